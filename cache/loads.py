"""How loaded each model behind the cache is, told by the calls that go to it.

Hits never reach it, so that what is measured is the model. The clock is one that does not jump
(monotonic); should it, the controller holds still (``policies/load.py``). Times of answers are
compared with those of equal length at rest, since a long answer is no sign of load.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from ..policies.load import LONGEST_HOLD_S, Limits, Load, Queue, Readings, step
from ..policies.resting import Rest, at_rest_s, learn, slowdown
from .events import LoadMoved, Observer

MOST_MODELS = 64  # callers choose the names
LONGEST_NAME = 128
FORGOTTEN_S = 3600.0  # after a call that was the last
FEWEST_WAITING = 3  # one call that hangs is no queue
LATEST_S = 10.0  # time constant of the share of refused answers
DOUBT = 4.0  # good answers assumed beside the latest: one refusal alone is no load
REFUSALS = frozenset({429, 500, 502, 503, 504, 529})

Kind = tuple[bool, int]  # streamed, octave of the answer's size; -1 = until the first token


@dataclass(slots=True, eq=False)
class Ongoing:
    """One call on its way to the model and back."""

    model: str
    streamed: bool
    began_s: float
    waits: bool = True  # for its first token
    ended: bool = False


@dataclass(slots=True)
class _Model:
    load: Load
    used_s: float
    proven: bool = False  # it has answered: its name is one of a model
    in_flight: int = 0
    waiting: int = 0  # streams without a first token
    waiting_since: float = 0.0  # sum of their beginnings
    rests: dict[Kind, Rest] = field(default_factory=dict)
    first: list[float] = field(default_factory=list)  # logarithms of slow-downs since the last step
    total: list[float] = field(default_factory=list)
    answers: float = 0.0  # the latest, fading
    refused: float = 0.0
    readings: Readings = field(default_factory=Readings)


@dataclass(frozen=True, slots=True)
class ModelFigures:
    """What there is to say of a model."""

    factor: float  # 0..1
    pressure: float  # smoothed, 0..1
    in_flight: int
    first_token_at_rest_s: float | None


class Loads:
    """The models behind one upstream. Not thread-safe: one event loop."""

    def __init__(self, limits: Limits, observer: Observer, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._observer = observer
        self._clock = clock
        self._models: dict[str, _Model] = {}

    def began(self, model: str, *, streamed: bool) -> Ongoing | None:
        """Note a call that goes out; None where too many models are known already."""
        now_s = self._clock()
        known = self._models.get(model) or self._meet(model, now_s)
        if known is None:
            return None
        known.in_flight += 1
        known.used_s = now_s
        if streamed:
            known.waiting += 1
            known.waiting_since += now_s
        return Ongoing(model, streamed, now_s, waits=streamed)

    def first_token(self, call: Ongoing) -> None:
        """Note that the first of the answer is there. Later ones change nothing."""
        if call.waits:
            self._stop_waiting(call)
            now_s = self._clock()
            known = self._models[call.model]
            self._time(known, (True, -1), now_s - call.began_s, now_s, known.first)

    def answered(
        self,
        call: Ongoing,
        status: int,
        size_bytes: int,
        *,
        idle_s: float = 0.0,
        retry_after_s: float | None = None,
    ) -> None:
        """Note the end of an answer; ``idle_s`` of it the client took to read."""
        known, now_s = self._models[call.model], self._clock()
        self.left(call)
        known.answers += 1
        if status in REFUSALS:
            known.refused += 1
            if retry_after_s is not None and 0.0 < retry_after_s < math.inf:
                held_until_s = now_s + min(retry_after_s, LONGEST_HOLD_S)
                known.readings = replace(known.readings, retry_at_s=held_until_s)
        elif 200 <= status < 300:
            known.proven = True
            kind = (call.streamed, size_bytes.bit_length())
            self._time(known, kind, now_s - call.began_s - idle_s, now_s, known.total)

    def left(self, call: Ongoing) -> None:
        """Note that a call is over, however it ended. Safe to call twice."""
        if not call.ended:
            call.ended = True
            self._stop_waiting(call)
            self._models[call.model].in_flight -= 1

    def heard(self, queues: Mapping[str, Queue]) -> None:
        """Note what the server said of its queues, by model; a single one is that of all."""
        now_s = self._clock()
        sole = next(iter(queues.values())) if len(queues) == 1 else None
        for name, known in self._models.items():
            queue = queues.get(name, sole)
            if queue is not None:
                known.readings = replace(known.readings, queue=queue, queue_at_s=now_s)

    def step(self) -> Mapping[str, float]:
        """Move every model's load on to now; return the factors, 0..1."""
        now_s = self._clock()
        for name, known in list(self._models.items()):
            self._step(name, known, now_s)
            idle = known.in_flight == 0 and now_s - known.used_s > FORGOTTEN_S
            if idle and known.load.factor == 0.0:
                del self._models[name]
        return {name: known.load.factor for name, known in self._models.items()}

    def figures(self) -> Mapping[str, ModelFigures]:
        """Describe the models that have answered."""
        return {
            name: ModelFigures(
                known.load.factor,
                known.load.smoothed,
                known.in_flight,
                at_rest_s(known.rests.get((True, -1), Rest())),
            )
            for name, known in self._models.items()
            if known.proven
        }

    def _step(self, name: str, known: _Model, now_s: float) -> None:
        fade = math.exp(-max(0.0, now_s - known.load.at_s) / LATEST_S)
        before = known.load.factor
        known.readings = self._read(known, now_s)
        known.load = step(known.load, known.readings, now_s, self._limits)
        known.answers *= fade
        known.refused *= fade
        if known.proven and (before == 0.0) is not (known.load.factor == 0.0):
            self._observer.notify(LoadMoved(name, known.load.factor))

    def _read(self, known: _Model, now_s: float) -> Readings:
        readings = known.readings
        if known.first or known.total:
            readings = replace(
                readings,
                first_token=_mean(known.first),
                total=_mean(known.total),
                times_at_s=now_s,
            )
            known.first, known.total = [], []
        if known.answers > 1e-3:
            share = known.refused / (known.answers + DOUBT)
            if _holds(readings, now_s):
                share = max(share, readings.refused or 0.0)
            readings = replace(readings, refused=share, refused_at_s=now_s)
        return replace(readings, waiting=self._waiting(known, now_s), in_flight=known.in_flight)

    def _waiting(self, known: _Model, now_s: float) -> float | None:
        """Return how slow the calls are that still wait: a lower bound, known before any ends."""
        rest = known.rests.get((True, -1))
        if rest is None or known.waiting < FEWEST_WAITING:
            return None
        return slowdown(rest, now_s - known.waiting_since / known.waiting)

    def _time(
        self, known: _Model, kind: Kind, taken_s: float, now_s: float, into: list[float]
    ) -> None:
        rest = known.rests.get(kind, Rest())
        slower = slowdown(rest, taken_s)
        if slower is not None:
            into.append(math.log(slower))
        known.rests[kind] = learn(rest, taken_s, now_s)

    def _stop_waiting(self, call: Ongoing) -> None:
        if call.waits:
            call.waits = False
            known = self._models[call.model]
            known.waiting -= 1
            known.waiting_since = known.waiting_since - call.began_s if known.waiting else 0.0

    def _meet(self, model: str, now_s: float) -> _Model | None:
        if len(model) > LONGEST_NAME:
            return None
        if len(self._models) >= MOST_MODELS:
            idle = [
                (m.proven, m.used_s, name) for name, m in self._models.items() if not m.in_flight
            ]
            if not idle:
                return None
            del self._models[min(idle)[2]]
        known = self._models[model] = _Model(Load(now_s), now_s)
        return known


def _mean(logarithms: list[float]) -> float | None:
    return math.exp(sum(logarithms) / len(logarithms)) if logarithms else None


def _holds(readings: Readings, now_s: float) -> bool:
    """Say whether the model asked for no more calls: few answers come, and say nothing new."""
    return readings.retry_at_s is not None and now_s < readings.retry_at_s
