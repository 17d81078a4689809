"""The way back: what becomes of an answer that the model gave to a leading call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..policies.facts import AnswerFacts
from ..policies.selecting import Facts
from ..policies.verdict import Admit, Reason, Refuse
from .asking.fingerprint import Ask
from .asking.scope import Principal
from .engine import Engine
from .entries.entry import Answer, Payload, usage_of
from .events import Answered, NotStored, Stored
from .fail_open import fail_open
from .outcome import Lead
from .ports import EntryKey, PartitionKey
from .removing.entry_facts import of_payload, whose_is


@dataclass(frozen=True, slots=True)
class Received:
    """What came back: an answer, or why what came back is none that can be kept."""

    answer: Answer | Reason
    status: int
    upstream_no_store: bool = False
    size_bytes: int = 0
    first_byte_s: float = 0.0
    total_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Ruling:
    """What becomes of an answer. Carried out after the caller has it: storing takes longer."""

    received: Received
    verdict: Admit | Refuse
    payload: Payload | None = None

    @property
    def stores(self) -> bool:
        """Say whether the answer will be stored."""
        return isinstance(self.verdict, Admit)


def rule(engine: Engine, lead: Lead, received: Received) -> Ruling:
    """Decide about the answer. Changes nothing, never raises."""
    with fail_open(engine.observer, "settle"):
        return _ruling(engine, lead, received)
    return Ruling(received, Refuse(Reason.INTERNAL))


def carry_out(engine: Engine, lead: Lead, ruling: Ruling) -> Admit | Refuse:
    """Store the answer if it was admitted, and end the flight either way. Never raises."""
    received, payload = ruling.received, None
    verdict = Refuse(Reason.INTERNAL) if ruling.stores else ruling.verdict  # until it is stored
    with fail_open(engine.observer, "settle"):
        note_standing(engine, lead.ask.principal, received.status)
        if ruling.payload is not None and _outdated(engine, lead, ruling.payload):
            verdict = Refuse(Reason.INVALIDATED)
        elif ruling.payload is not None and isinstance(ruling.verdict, Admit):
            verdict = _store(engine, lead, ruling.payload, ruling.verdict, received.size_bytes)
            payload = ruling.payload if isinstance(verdict, Admit) else None
    release(engine, lead, payload)
    if isinstance(verdict, Refuse):
        engine.observer.notify(NotStored(lead.miss.category, verdict.reason))
    engine.observer.notify(_answered(lead, received))
    return verdict


def _answered(lead: Lead, received: Received) -> Answered:
    answer, model, category = received.answer, lead.ask.call.model, lead.miss.category
    times = received.first_byte_s, received.total_s
    if isinstance(answer, Reason):
        return Answered(model, received.status, *times, category)
    read, written, _ = usage_of(answer)
    return Answered(
        model,
        received.status,
        *times,
        category,
        complete=True,
        input_tokens=read,
        output_tokens=written,
    )


def settle(engine: Engine, lead: Lead, received: Received) -> Admit | Refuse:
    """Decide about the answer and carry that out at once."""
    return carry_out(engine, lead, rule(engine, lead, received))


def release(engine: Engine, lead: Lead, payload: Payload | None = None) -> None:
    """End the flight of ``lead``; its followers get ``payload`` or are free to ask themselves."""
    if lead.flight is not None:
        engine.flights.land(lead.ask.key, lead.flight, payload)
        if engine.leases is not None:
            engine.leases.give_back(lead.ask.key, lead.flight)


def note_standing(engine: Engine, principal: Principal, status: int) -> None:
    """Note what an answer's status says of the credential that it was given to."""
    if 200 <= status < 300:
        engine.memory.standing.succeeded(principal, engine.clock())
    elif status in {401, 403}:
        engine.memory.standing.refused(principal)


def _store(
    engine: Engine, lead: Lead, payload: Payload, verdict: Admit, size_bytes: int
) -> Admit | Refuse:
    today = engine.policy  # it may have changed since the ruling
    if payload.category not in today or not today[payload.category].cache:
        return Refuse(Reason.CATEGORY)
    known = replace(verdict, likeness=lead.miss.similarity or 0.0)
    refused = engine.screening.admit(_kept_as(engine, lead), payload, lead.vector, known)
    if refused is not None:
        return Refuse(refused)
    engine.observer.notify(Stored(payload.category, size_bytes))
    return verdict


def _kept_as(engine: Engine, lead: Lead) -> Ask:
    """Return the ask as it is kept: earlier turns could be guessed from the partition's digest."""
    ask = lead.ask
    if not ask.call.personal or lead.vector is not None:
        return ask
    hidden = engine.identity.scoping.hidden(EntryKey(ask.partition))
    return replace(ask, partition=PartitionKey(hidden))


def _ruling(engine: Engine, lead: Lead, received: Received) -> Ruling:
    if isinstance(received.answer, Reason):
        return Ruling(received, Refuse(received.answer))
    if not lead.write:
        asked = lead.ask.call.directives
        reason = Reason.CLIENT_NO_STORE if asked.no_store else Reason.EMBEDDER
        return Ruling(received, Refuse(reason))
    answer, category = received.answer, lead.miss.category
    facts = AnswerFacts(
        status=received.status,
        complete=len(answer.choices) == lead.ask.call.choices,
        finish_reasons=tuple(choice.finish_reason for choice in answer.choices),
        has_tool_calls=answer.has_tool_calls,
        size_bytes=received.size_bytes,
        upstream_no_store=received.upstream_no_store,
        personal=engine.policy.personal_in(_texts(answer)),
    )
    call, created_s = lead.ask.call, engine.clock()
    verdict = engine.policy.admit(
        category, facts, call.directives, lead.ask.key, call.prompt, created_s
    )
    if isinstance(verdict, Refuse):
        return Ruling(received, verdict)
    if not engine.memory.writer.has_room:
        return Ruling(received, Refuse(Reason.BACKLOG))
    prompt = engine.policy.kept_prompt(category, call, by_meaning=lead.vector is not None)
    if prompt is None:
        return Ruling(received, Refuse(Reason.PERSONAL_DATA))
    payload = Payload(
        answer=answer,
        category=category,
        prompt=prompt,
        created_s=created_s,
        dialect=lead.ask.call.dialect,
        ttl_s=lead.ask.call.directives.ttl_s,
        upstream_s=received.total_s,
        model=call.model,
        tags=call.directives.tags,
        whose=whose_is(lead.ask),
    )
    if not engine.invalidated.in_force:
        return Ruling(received, verdict, payload)
    after = engine.invalidated.comes_after(_facts(lead, payload), lead.known)
    if after is None:
        return Ruling(received, Refuse(Reason.INVALIDATED))
    return Ruling(received, verdict, replace(payload, after=after) if after else payload)


def _outdated(engine: Engine, lead: Lead, payload: Payload) -> bool:
    """Say whether the answer was invalidated since the ruling, or may have been."""
    in_force = engine.invalidated.in_force
    return bool(in_force) and in_force.covers(_facts(lead, payload), payload.after) is not False


def _facts(lead: Lead, payload: Payload) -> Facts:
    return replace(of_payload(lead.ask.key, payload), vector=lead.vector)


def _texts(answer: Answer) -> Iterator[str]:
    for choice in answer.choices:
        yield from filter(None, (choice.text, choice.refusal, choice.reasoning))
        yield from (call.arguments for call in choice.tool_calls)
