"""Partitions and exact keys: what must be equal before similarity is asked at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...policies.facts import Call, Origin
from ..ports import EntryKey, PartitionKey
from .canonical import Substitution, canonical
from .history import History
from .normal_form import nfc
from .scope import Principal, Scope, digest


@dataclass(frozen=True, slots=True)
class Ask:
    """A call, who asks it, and where its answer belongs."""

    call: Call
    origin: Origin
    principal: Principal
    scope: Scope
    partition: PartitionKey
    key: EntryKey
    user: bytes = b""  # which of the principal's users and namespaces, as keyed digests
    namespace: bytes = b""
    history: History | None = None  # where the category lets earlier turns be in other words


def partition(scope: Scope, compatibility: bytes, embedder: str) -> PartitionKey:
    """Return the partition in which answers to calls of this shape may be compared."""
    return PartitionKey(digest(scope, compatibility, embedder.encode()))


def compatibility(
    call: Call, target: bytes, vary: bytes, blank: Sequence[Substitution] = ()
) -> bytes:
    """Return the compatibility fingerprint: all that can change the answer but the last user text.

    ``target`` is the path with its query (some servers name model and version there), ``vary`` the
    request headers that select an API version.
    """
    return digest(call.dialect.encode(), target, vary, canonical(call.frame, blank))


def exact_key(partition: PartitionKey, prompt: str) -> EntryKey:
    """Return the key of the entry that answers ``prompt`` to the letter.

    Normalised = NFC, line ends as LF, white space at the ends cut. Nothing inside is touched: it
    may be code.
    """
    text = nfc(prompt).replace("\r\n", "\n").strip()
    return EntryKey(digest(partition, text.encode()))
