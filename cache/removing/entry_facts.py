"""What an invalidation may know of an entry, wherever the entry is met."""

from __future__ import annotations

from ...policies.selecting import Facts
from ..asking.fingerprint import Ask
from ..asking.scope import Principal
from ..entries.entry import IndexRecord, Payload
from ..errors import CorruptRecord
from ..ports import Embedder, EntryKey
from .subject import ANY, Subject


def of_payload(key: EntryKey, payload: Payload, ask: Ask | None = None) -> Facts:
    """Return what is known of an answer, which ``ask`` found: his own, of his own model."""
    whose = payload.whose or (None if ask is None else whose_is(ask))
    model = payload.model if ask is None or payload.model is not None else ask.call.model
    return Facts(
        key,
        payload.category,
        payload.prompt,
        payload.created_s,
        whose,
        model,
        payload.tags,
    )


def of_record(key: EntryKey, record: IndexRecord, embedder: Embedder | None = None) -> Facts:
    """Return what is known of an entry of the store; of its vector only who has the embedder."""
    vector = None
    if embedder is not None and record.embedder == embedder.identity:
        try:
            vector = record.decoded_vector(embedder.dim)
        except CorruptRecord:
            vector = None
    subject = Subject(Principal(record.principal), record.user or ANY, record.namespace or ANY)
    return Facts(
        key,
        record.category,
        record.prompt,
        record.created_s,
        subject.packed() if record.principal else None,
        record.model,
        record.tags,
        vector,
    )


def whose_is(ask: Ask) -> bytes:
    """Return whose question ``ask`` is, as entries have it."""
    return Subject(ask.principal, ask.user or ANY, ask.namespace or ANY).packed()
