"""What of traffic is compared, and by which judge: the responder's one door to all of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...cache.background import Background
from ...cache.fail_open import fail_open
from ...cache.learning.comparing import Comparing
from ...cache.outcome import Found, Lead
from ...cache.ports import AnswerJudge
from ...cache.settling import Ruling
from ..asgi import Scope
from ..dialects.dialect import Dialect
from .checking import Checks

JudgeFor = Callable[[Dialect, Scope], AnswerJudge]  # the judge that serves one caller


@dataclass(frozen=True, slots=True)
class Comparisons:
    """Never raises, never waits: the caller has his answer, and nothing may reach him any more."""

    judge_for: JudgeFor
    misses: Comparing
    checks: Checks

    @property
    def queues(self) -> tuple[Background, ...]:
        """Return the background work that must be started and ended."""
        return self.misses.queue, self.checks.queue

    def after_miss(self, lead: Lead, ruling: Ruling, dialect: Dialect, scope: Scope) -> None:
        """Compare a miss that named a candidate."""
        with fail_open(self.misses.engine.observer, "compare"):
            self.misses.after_miss(lead, ruling, self.judge_for(dialect, scope))

    def after_hit(self, found: Found, dialect: Dialect, scope: Scope, body: bytes) -> None:
        """Check a hit, if it is drawn."""
        with fail_open(self.misses.engine.observer, "check"):
            if self.checks.draws(found):
                judge = self.judge_for(dialect, scope)
                self.checks.after_hit(found, dialect, scope, body, judge)
