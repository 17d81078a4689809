"""Ports: what the engine needs from the outside, and nothing more.

Constructors of implementations take ready objects and do no I/O; opening is ``open()``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NewType, Protocol

import numpy as np
from numpy.typing import NDArray

from ..policies.fusion import Fusion

Vector = NDArray[np.float32]  # (dim,) float32, L2-normalised
Matrix = NDArray[np.float32]  # (n, dim) float32, rows L2-normalised

EntryKey = NewType("EntryKey", bytes)  # 16 bytes: the exact key of an entry
PartitionKey = NewType("PartitionKey", bytes)  # 16 bytes
Position = int  # of a change in the log of a store: grows with each one; 0 = before all


class Clock(Protocol):
    """Unix time in seconds. Injected, so that tests can move it."""

    def __call__(self) -> float:
        """Return the time now."""
        ...


@dataclass(frozen=True, slots=True)
class Encoded:
    """Result of one encoder run over n texts."""

    vectors: Matrix  # (n, dim); the rows of texts that do not fit are undefined
    fits: NDArray[np.bool_]  # (n,) False: longer than the window, must not be matched by meaning


class Encoder(Protocol):
    """A blocking text encoder. Runs in a worker thread, one call at a time."""

    identity: str  # model, runtime and revision; two encoders with one identity are interchangeable
    dim: int
    window: int  # tokens, special tokens included

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Encode ``texts``. Raise ``EmbedderError`` for anything that goes wrong."""
        ...


class Embedder(Protocol):
    """What the engine asks for vectors. Both properties are known once ``open`` has returned."""

    @property
    def identity(self) -> str:
        """Return the encoder's identity: model, runtime and revision."""
        ...

    @property
    def dim(self) -> int:
        """Return the length of the vectors."""
        ...

    async def embed(self, text: str) -> Vector | None:
        """Return the vector of ``text``, or None when it is longer than the window.

        Raises ``EmbedderBusy``, ``EmbedderTimeout`` or ``EmbedderError``; returns within the
        configured deadline.
        """
        ...

    async def open(self) -> None:
        """Load what is needed; may take seconds. Raises ``StartupError``."""
        ...

    async def aclose(self) -> None:
        """Free threads and connections. Safe to call twice."""
        ...


class PairScorer(Protocol):
    """A second look at a pair of prompts that similarity found near."""

    @property
    def identity(self) -> str:
        """Name the model and its revision."""
        ...

    @property
    def fusion(self) -> Fusion:
        """Say how its log-odds and the similarity become a probability."""
        ...

    async def score(self, asked: str, stored: str) -> float | None:
        """Return the log-odds that an answer to ``stored`` answers ``asked``.

        None = it cannot read the pair, which is a miss. Raises ``ScorerError``; returns within
        the configured deadline.
        """
        ...

    async def open(self) -> None:
        """Load what is needed. Raises ``StartupError``."""
        ...

    async def aclose(self) -> None:
        """Free threads. Safe to call twice."""
        ...


class AnswerJudge(Protocol):
    """Compares two answers to one question. Used in the background, never while a caller waits."""

    async def same(self, question: str, stored: str, fresh: str) -> bool | None:
        """Say whether who asked ``question`` is served as well by ``stored`` as by ``fresh``.

        None = it cannot say. Raises ``JudgeError``; returns within a deadline of its own.
        """
        ...


class Index(Protocol):
    """Vectors under integer labels, searched by cosine similarity. Not thread-safe: one owner."""

    def __len__(self) -> int:
        """Count the live labels."""
        ...

    def add(self, label: int, vector: Vector) -> None:
        """Add ``vector`` under ``label``; a label that is present is replaced."""
        ...

    def remove(self, label: int) -> None:
        """Remove ``label``; a label that is absent is not an error."""
        ...

    def search(self, vector: Vector, k: int) -> list[tuple[int, float]]:
        """Return at most ``k`` live ``(label, cosine similarity)`` pairs, best first."""
        ...


NewsKind = Literal["admit", "delete", "notice"]


@dataclass(frozen=True, slots=True)
class News:
    """Something to tell all who share a store.

    The body of "admit" and "delete" is the keys, joined; of "notice" the name of what has
    something new: a ledger of notices, or "epoch". Never a text, never an answer.
    """

    kind: NewsKind
    body: bytes


@dataclass(frozen=True, slots=True)
class Change:
    """Something that was told, and where it stands. ``origin``: 8 bytes of the log that told it."""

    position: Position
    origin: bytes
    kind: NewsKind
    body: bytes

    @property
    def keys(self) -> list[EntryKey]:
        """Return the keys of an "admit" or a "delete"."""
        return [EntryKey(self.body[at : at + 16]) for at in range(0, len(self.body), 16)]


@dataclass(frozen=True, slots=True)
class Gap:
    """What followed is not known any more: read the records instead.

    "trimmed": the log has forgotten it. "behind": the log ends before the position asked for, as
    after a failover or when the store was emptied.
    """

    cause: Literal["trimmed", "behind"]


class ChangeLog(Protocol):
    """What was done to a store, in one order for all who share it. Bounded: it forgets the oldest.

    Every method raises ``StoreError`` only. A position is a logical clock: no machine's time
    decides which of two is greater.
    """

    @property
    def origin(self) -> bytes:
        """Return the 8 bytes that mark what this log told; others' never bear them.

        Where several share one log, theirs bear another mark: nobody's.
        """
        ...

    async def tell(self, news: Sequence[News]) -> Position:
        """Add ``news``, after all that was told before; return the position of the last."""
        ...

    async def since(self, after: Position, limit: int, wait_s: float) -> Sequence[Change] | Gap:
        """Return at most ``limit`` changes that follow ``after``, in order.

        Waits for the first one for at most ``wait_s``; then there are none.
        """
        ...

    async def latest(self) -> Position:
        """Return the position of the last change; 0 when there is none."""
        ...

    async def admitted(self, limit: int) -> Sequence[EntryKey]:
        """Return the keys of about the last ``limit`` admissions known, newest first, each once."""
        ...


class Store(Protocol):
    """Keeps answers. Every method raises ``StoreError`` only, within the store's own deadline.

    ``put`` and ``delete`` tell ``changes`` what they did: with it or after it, never before.
    An expired entry is as good as absent. Keys are the store's own namespace.
    """

    @property
    def changes(self) -> ChangeLog:
        """Return the log of what is done here."""
        ...

    async def open(self) -> None:
        """Connect. Raises ``StoreError`` when the store cannot be reached now."""
        ...

    async def get(self, key: EntryKey) -> bytes | None:
        """Return the payload under ``key``, None when absent or expired. One round trip."""
        ...

    async def put(self, key: EntryKey, payload: bytes, record: bytes, retention_s: float) -> None:
        """Keep ``payload`` and its small index ``record`` for ``retention_s`` seconds.

        Replaces what is there. One round trip; both or neither.
        """
        ...

    async def delete(self, keys: Collection[EntryKey]) -> None:
        """Delete payloads and records; absent keys are not an error."""
        ...

    async def scrub(self) -> None:
        """Leave no byte of what was deleted, replaced or has expired where the store can help it.

        May take seconds. ``StoreError`` where something keeps it from that now.
        """
        ...

    def records(self) -> AsyncIterator[tuple[EntryKey, bytes]]:
        """Iterate over the index records of live entries, in no particular order.

        Entries written or deleted meanwhile may or may not appear; none appears twice.
        """
        ...

    async def records_of(self, keys: Collection[EntryKey]) -> dict[EntryKey, bytes]:
        """Return the index records of those ``keys`` that are live. A few hundred at most."""
        ...

    async def claim(self, name: str, value: bytes) -> bytes:
        """Return what is kept under ``name``; if nothing is, keep ``value`` and return it.

        Atomic over all users of the store; never expires.
        """
        ...

    async def count(self, ledger: str, amounts: Mapping[str, int]) -> None:
        """Add ``amounts`` to the counters of ``ledger``; one that is absent counts as 0.

        Atomic over all users of the store; counters never expire.
        """
        ...

    async def counts(self, ledger: str) -> dict[str, int]:
        """Return every counter of ``ledger``."""
        ...

    async def uncount(self, ledger: str, names: Collection[str]) -> None:
        """Drop counters; absent names are not an error."""
        ...

    async def lease(self, name: str, token: bytes, ttl_s: float) -> bool:
        """Take or renew the lease ``name`` for ``ttl_s`` seconds; False: another token holds it.

        Atomic over all users of the store.
        """
        ...

    async def release(self, name: str, token: bytes) -> None:
        """Free the lease ``name`` if ``token`` holds it."""
        ...

    async def aclose(self) -> None:
        """Release what ``open`` took. Safe to call twice."""
        ...
