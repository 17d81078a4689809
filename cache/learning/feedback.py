"""Verdicts on hits, from whoever got them.

What a verdict blocks lies in the scope of who gives it. As evidence it counts for everybody, so
little of it counts: a wrong verdict can only tighten, a right one loosens nothing (see
``policies/calibration.py``), and one principal has a daily allowance.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from enum import Enum, auto

from ...policies.observation import Observation, Source
from ..asking.scope import Principal
from ..engine import Engine
from ..ports import EntryKey
from .blocked import Pair
from .fact import DAY_S

COUNTED_PER_DAY = 20  # of one principal, right and wrong each, that become evidence
TAKEN_PER_DAY = 200  # of one principal, right and wrong each, that have any effect
MOST_PRINCIPALS = 100_000  # in a day; further ones have no allowance
REMEMBERED = 50_000  # hits on which a verdict was given


@dataclass(frozen=True, slots=True)
class Judged:
    """The hit that a verdict is about."""

    id: bytes  # differs from that of any other hit
    principal: Principal  # who got it
    entry: EntryKey
    created_s: float  # when the answer was
    issued_s: float  # when it went out
    pair: Pair | None  # None: an exact hit
    category: str
    probability: float  # of the same answer; where no scorer decided, the similarity


class Effect(Enum):
    """What became of a verdict."""

    BLOCKED = auto()  # the pair is
    REMOVED = auto()  # the answer is
    NOTED = auto()  # as evidence
    UNCHANGED = auto()  # it says what was known
    CONTRADICTED = auto()  # refused: this hit was said to be wrong
    TOO_MANY = auto()  # refused: the allowance is used up


class Allowance:
    """So many a day for each principal; a day is one of UTC."""

    def __init__(self, per_day: int) -> None:
        self._per_day = per_day
        self._day = -1
        self._spent: dict[Principal, int] = {}

    def spend(self, principal: Principal, now_s: float) -> bool:
        """Take one from the allowance of ``principal``; False when there is none left."""
        day = int(now_s // DAY_S)
        if day != self._day:
            self._day, self._spent = day, {}
        spent = self._spent.get(principal, 0)
        if spent >= self._per_day or (not spent and len(self._spent) >= MOST_PRINCIPALS):
            return False
        self._spent[principal] = spent + 1
        return True


def _allowances(per_day: int) -> dict[bool, Allowance]:
    return {verdict: Allowance(per_day) for verdict in (False, True)}


@dataclass(slots=True)
class Feedback:
    """Acts on verdicts. State changes are synchronous; the store follows."""

    engine: Engine
    _taken: dict[bool, Allowance] = field(default_factory=lambda: _allowances(TAKEN_PER_DAY))
    _counted: dict[bool, Allowance] = field(default_factory=lambda: _allowances(COUNTED_PER_DAY))
    _verdicts: OrderedDict[bytes, bool] = field(default_factory=OrderedDict)

    def take(self, hit: Judged, *, right: bool) -> Effect:
        """Take one verdict on ``hit``, whose owner gives it. The first wrong one is final."""
        known = self._verdicts.get(hit.id)
        if known is right:
            return Effect.UNCHANGED
        if known is False:
            return Effect.CONTRADICTED
        if not self._taken[right].spend(hit.principal, self.engine.clock()):
            return Effect.TOO_MANY
        self._remember(hit.id, right=right)
        if right:
            self._note(hit, right=True)
            return Effect.NOTED
        return self._withdraw(hit) if hit.pair is None else self._block(hit, hit.pair)

    def _withdraw(self, hit: Judged) -> Effect:
        """Remove the answer, unless a newer one has taken its place."""
        memory, blocked = self.engine.memory, self.engine.blocked
        entry = memory.table.get(hit.entry)
        if entry is not None and entry.created_s > hit.created_s:
            return Effect.UNCHANGED
        if blocked.withdrawn(hit.entry, hit.created_s):
            return Effect.UNCHANGED
        blocked.withdraw(hit.entry, hit.created_s, 0.0 if entry is None else entry.expires_s)
        memory.remove([hit.entry], "feedback")
        return Effect.REMOVED

    def _block(self, hit: Judged, pair: Pair) -> Effect:
        """Block the pair. The evidence counts once, however often the pair is reported."""
        memory, blocked = self.engine.memory, self.engine.blocked
        if blocked.knows(pair):
            return Effect.UNCHANGED
        self._note(hit, right=False)
        entry = memory.table.get(hit.entry)
        if blocked.add(pair, 0.0 if entry is None else entry.expires_s):
            return Effect.BLOCKED
        memory.remove([hit.entry], "feedback")  # no room to remember the pair
        return Effect.REMOVED

    def _note(self, hit: Judged, *, right: bool) -> None:
        """Add to the evidence; exact hits are no matter of judgement, and are none."""
        if hit.pair is None or not self._counted[right].spend(hit.principal, self.engine.clock()):
            return
        observation = Observation(
            hit.category, hit.probability, right, source=Source.FEEDBACK, served=True
        )
        self.engine.evidence.note(observation)

    def _remember(self, hit_id: bytes, *, right: bool) -> None:
        self._verdicts.pop(hit_id, None)
        self._verdicts[hit_id] = right
        if len(self._verdicts) > REMEMBERED:
            self._verdicts.popitem(last=False)
