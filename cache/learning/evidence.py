"""Evidence about hits by meaning: taken in, kept in the store, and turned into bars.

Whole days (UTC) count, for as long as ``evidence.window`` says. A wrong hit may tighten the bar of
its category at once; loosening waits for the next tick.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from ...policies.calibration import Bar, Cell, bars, bin_of, cell_of
from ...policies.drift import broken, tightened
from ...policies.observation import Observation
from ...policies.policy import Policy
from ...policies.verdict import Hit, Tier, certainty
from ..errors import StoreError
from ..events import BarMoved, Event, Failed, LookedUp, Observer, Verified
from ..fail_open import fail_open
from ..ports import Clock, Store
from .fact import DAY_S, Fact, Sent
from .findings import Findings
from .ledger import Ledger

READ_EVERY_TICKS = 30  # what other processes learnt is known after so long
HITS_EVERY_TICKS = 10  # hits alone are not worth a write in each tick


class Evidence:
    """What is known about the hits of each category. One per engine; not thread-safe.

    ``instrument`` names what gives the probabilities, once embedder and scorer are open. Where
    nothing is ``scored``, similarity stands for them, and evidence can close a category but not
    move its bar. An observer too, since the hits that go out count.
    """

    def __init__(
        self,
        policy: Policy,
        store: Store,
        observer: Observer,
        clock: Clock,
        window_s: float,
        instrument: Callable[[], str],
        *,
        scored: bool,
    ) -> None:
        self._policy = policy
        self._scored = scored
        self._observer = observer
        self._clock = clock
        self._window_s = window_s
        self._ledger = Ledger(store, instrument, self._learn)
        self._found: dict[str, Findings] = {name: Findings() for name in policy.names}
        self._calibrated: Mapping[str, Bar] = {}
        self._in_force: dict[str, float] = {}
        self._why: dict[str, str] = {}
        self._tick = 0
        self._unsent = False  # an observation waits for the store
        self._has_news = False  # the bars may no longer be right
        self._set_on = 0  # day

    def note(self, observation: Observation) -> None:
        """Take one observation in. Never raises, never waits."""
        with fail_open(self._observer, "evidence"):
            self._note(observation)

    def notify(self, event: Event) -> None:
        """Count hits by meaning."""
        if type(event) is not LookedUp:  # most events are of no concern
            return
        hit = event.verdict
        if isinstance(hit, Hit) and hit.tier is Tier.SEMANTIC:
            sent = Sent(bin_of(certainty(hit)))
            self._ledger.add(Fact(self._today(), hit.category, sent))

    def use(self, policy: Policy) -> None:
        """Speak of the categories of ``policy`` from now on, and set its bars."""
        self._policy = policy
        for name in policy.names:
            self._found.setdefault(name, Findings())
        bounded = {name for name in policy.names if policy[name].max_error_rate is not None}
        self._in_force = {name: bar for name, bar in self._in_force.items() if name in bounded}
        self._why = {name: why for name, why in self._why.items() if name in bounded}
        self._calibrate()

    async def keep(self) -> None:
        """Exchange evidence with the store and set the bars. Called once a tick."""
        try:
            await self._exchange()
        except StoreError as exc:
            self._unsent = True
            self._observer.notify(Failed("evidence", type(exc.__cause__ or exc).__name__))
        finally:
            self._tick += 1
        first_day = self._first_day()
        for found in self._found.values():
            self._has_news |= found.forget(first_day)
        if self._has_news or self._today() != self._set_on:
            self._has_news, self._set_on = False, self._today()
            self._calibrate()

    async def flush(self) -> None:
        """Send what is new, hits included. Raises ``StoreError``."""
        if self._ledger.waiting:
            await self._ledger.send(self._first_day(), self._today())

    def summary(self) -> Mapping[str, dict[str, Any]]:
        """Describe the bar of each category of the policy, and what is known of its hits."""
        return {
            name: self._standing(name) | self._found[name].figures() for name in self._policy.names
        }

    def _note(self, observation: Observation) -> None:
        category = observation.category
        cell = cell_of(observation, self._bar(category))
        if not self._ledger.add(Fact(self._today(), category, cell)):
            self._observer.notify(Failed("evidence", "Backlog"))
            return
        self._unsent = True
        self._observer.notify(Verified(category, observation.source, observation.correct))
        if observation.served and not observation.correct:
            self._set([category])

    def _learn(self, fact: Fact, amount: int) -> None:
        self._found.setdefault(fact.category, Findings()).add(fact, amount)
        self._has_news |= isinstance(fact.what, Cell)

    async def _exchange(self) -> None:
        first_day = self._first_day()
        if self._tick % READ_EVERY_TICKS == 0 or not self._ledger.has_read:
            await self._ledger.read(first_day)
        if self._unsent or self._tick % HITS_EVERY_TICKS == 0:
            self._unsent = False
            await self._ledger.send(first_day, self._today())

    def _calibrate(self) -> None:
        if self._scored:
            self._calibrated = bars(
                {name: self._found[name].tally() for name in self._policy.names},
                {name: self._policy[name].max_error_rate for name in self._policy.names},
                {name: self._strict(name) for name in self._policy.names},
            )
        self._set(self._policy.names)

    def _set(self, names: Iterable[str]) -> None:
        """Put bars in force: as calibrated, or stricter where the latest hits say so."""
        before = dict(self._in_force)
        for name in names:
            rate = self._policy[name].max_error_rate
            if rate is not None and name in self._policy:
                strict = self._strict(name)
                bar = self._calibrated.get(name) or Bar(strict, 0, 0, 1.0, certified=False)
                is_broken = partial(self._is_broken, self._found[name], rate)
                now = self._in_force[name] = tightened(bar.min_probability, strict, is_broken)
                self._why[name] = _why(bar, now)
        self._policy.use_bars(self._in_force)
        for name, now in self._in_force.items():
            if now != before.get(name, self._strict(name)):
                self._observer.notify(BarMoved(name, now, self._why[name]))

    def _is_broken(self, found: Findings, rate: float, bar: float) -> bool:
        return broken(found.daily(bar, self._today()), self._today(), rate)

    def _bar(self, name: str) -> float:
        """Return the bar in force: a probability, or a similarity where nothing is scored."""
        return self._in_force.get(name, self._strict(name))

    def _strict(self, name: str) -> float:
        policy = self._policy[name]
        return policy.min_probability if self._scored else policy.similarity_threshold

    def _standing(self, name: str) -> dict[str, Any]:
        why = self._why.get(name, "strict")
        return {
            "bar": self._bar(name),
            "strict_bar": self._strict(name),
            "max_error_rate": self._policy[name].max_error_rate,
            "certified": why == "certified",
            "alarm": why == "alarm",
        }

    def _today(self) -> int:
        return int(self._clock() // DAY_S)

    def _first_day(self) -> int:
        """Return the first day that reaches into the window."""
        return int((self._clock() - self._window_s) // DAY_S)


def _why(calibrated: Bar, bar: float) -> str:
    if bar > calibrated.min_probability or bar > 1.0:
        return "alarm"
    return "certified" if calibrated.certified else "strict"
