"""The way back: what becomes of an answer that the model gave to a leading call."""

from __future__ import annotations

from dataclasses import dataclass

from ..policies.facts import AnswerFacts
from ..policies.verdict import Admit, Reason, Refuse
from .engine import Engine
from .entry import Answer, Payload
from .events import Answered, NotStored, Stored
from .fail_open import fail_open
from .outcome import Lead


@dataclass(frozen=True, slots=True)
class Received:
    """What came back: an answer, or why what came back is none that can be kept."""

    answer: Answer | Reason
    status: int
    upstream_no_store: bool = False
    size_bytes: int = 0
    first_byte_s: float = 0.0
    total_s: float = 0.0


def settle(engine: Engine, lead: Lead, received: Received) -> Admit | Refuse:
    """Store the answer if policy admits it, and end the flight either way. Never raises."""
    verdict: Admit | Refuse = Refuse(Reason.INTERNAL)
    payload: Payload | None = None
    with fail_open(engine.observer, "settle"):
        _note_standing(engine, lead, received.status)
        verdict, payload = _admit(engine, lead, received)
    release(engine, lead, payload if isinstance(verdict, Admit) else None)
    if isinstance(verdict, Refuse):
        engine.observer.notify(NotStored(lead.miss.category, verdict.reason))
    engine.observer.notify(
        Answered(lead.ask.call.model, received.status, received.first_byte_s, received.total_s)
    )
    return verdict


def release(engine: Engine, lead: Lead, payload: Payload | None = None) -> None:
    """End the flight of ``lead``; its followers get ``payload`` or are free to ask themselves."""
    if lead.flight is not None:
        engine.flights.land(lead.ask.key, lead.flight, payload)


def _note_standing(engine: Engine, lead: Lead, status: int) -> None:
    if 200 <= status < 300:
        engine.memory.standing.succeeded(lead.ask.principal, engine.clock())
    elif status in {401, 403}:
        engine.memory.standing.refused(lead.ask.principal)


def _admit(engine: Engine, lead: Lead, received: Received) -> tuple[Admit | Refuse, Payload | None]:
    if isinstance(received.answer, Reason):
        return Refuse(received.answer), None
    if not lead.write:
        asked = lead.ask.call.directives
        return Refuse(Reason.CLIENT_NO_STORE if asked.no_store else Reason.EMBEDDER), None
    answer, category = received.answer, lead.miss.category
    facts = AnswerFacts(
        status=received.status,
        complete=len(answer.choices) == lead.ask.call.choices,
        finish_reasons=tuple(choice.finish_reason for choice in answer.choices),
        has_tool_calls=answer.has_tool_calls,
        size_bytes=received.size_bytes,
        upstream_no_store=received.upstream_no_store,
    )
    verdict = engine.policy.admit(category, facts, lead.ask.call.directives)
    if isinstance(verdict, Refuse):
        return verdict, None
    payload = Payload(
        answer=answer,
        category=category,
        prompt=lead.ask.call.prompt,
        created_s=engine.clock(),
        dialect=lead.ask.call.dialect,
        ttl_s=lead.ask.call.directives.ttl_s,
        upstream_s=received.total_s,
    )
    if not engine.memory.admit(lead.ask, payload, lead.vector, verdict):
        return Refuse(Reason.BACKLOG), None
    engine.observer.notify(Stored(category, received.size_bytes))
    return verdict, payload
