"""Entries in columns: some 130 bytes each and their text, where objects would take 900.

What is looked at often stands in arrays, keys side by side in one buffer. All text of an entry,
and what is rarely asked for, is one packed string of bytes, which is read back when somebody asks
for the entry: some 5 us.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field, fields
from typing import Any, get_type_hints

import msgspec
import numpy as np
from numpy.typing import NDArray

from ...policies.facts import Candidate
from ...policies.guards.signature import Signature
from ..asking.history import History
from ..ports import EntryKey, PartitionKey
from ..snapshot.sections import (
    Sink,
    Source,
    Unusable,
    put_array,
    put_facts,
    put_strings,
    take_array,
    take_facts,
    take_strings,
)

WIDTH = 16  # bytes of a key
NOTHING_RARE = (None, b"", ())  # no bound of the client, no history


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored answer as the table knows it, at the time of asking."""

    key: EntryKey
    partition: PartitionKey
    category: str
    prompt: str
    signature: Signature
    created_s: float
    expires_s: float  # by the policy at admission; the judge asks today's
    size_bytes: int
    ttl_s: float | None = None
    history: History | None = None  # it is found there too, by other conversations
    indexed: bool = field(default=False, compare=False)  # found by meaning too; the table says


class EntryRows:
    """Entries by row. A row that was freed is given to the next entry."""

    __slots__ = (
        "_categories",
        "_category",
        "_created_s",
        "_free",
        "_keys",
        "_numbers",
        "_partitions",
        "_texts",
        "indexed",
    )

    def __init__(self) -> None:
        self._keys = bytearray()
        self._partitions = bytearray()
        self._created_s = array("d")
        self.indexed = bytearray()
        self._category = array("i")
        self._texts: list[bytes] = []
        self._categories: list[str] = []
        self._numbers: dict[str, int] = {}
        self._free = array("i")

    def put(self, entry: Entry) -> int:
        """Keep ``entry``; return its row. Raises ``ValueError`` for keys of another length."""
        if len(entry.key) != WIDTH or len(entry.partition) != WIDTH:
            raise ValueError(f"a key has {WIDTH} bytes")
        text = _packed(entry)
        row = self._free.pop() if self._free else self._more()
        start = row * WIDTH
        self._keys[start : start + WIDTH] = entry.key
        self._partitions[start : start + WIDTH] = entry.partition
        self._created_s[row] = entry.created_s
        self.indexed[row] = False
        self._category[row] = self._number(entry.category)
        self._texts[row] = text
        return row

    def free(self, row: int) -> None:
        """Give ``row`` back."""
        self._texts[row] = b""
        self._free.append(row)

    def entry(self, row: int, expires_s: float) -> Entry:
        """Return what stands at ``row``; when it expires is kept elsewhere."""
        prompt, facts, size_bytes, rare = _texts.decode(self._texts[row])
        ttl_s, place, turns = rare or NOTHING_RARE
        return Entry(
            key=self.key(row),
            partition=self.partition(row),
            category=self.category(row),
            prompt=prompt,
            signature=Signature(*facts),
            created_s=self._created_s[row],
            expires_s=expires_s,
            size_bytes=size_bytes,
            ttl_s=ttl_s,
            history=History(PartitionKey(place), turns) if place else None,
            indexed=bool(self.indexed[row]),
        )

    def candidate(self, row: int, similarity: float, asked_in: PartitionKey) -> Candidate:
        """Return what policies may know of ``row`` when a call in ``asked_in`` might get it."""
        prompt, facts, _, rare = _texts.decode(self._texts[row])
        ttl_s, _, turns = rare or NOTHING_RARE
        return Candidate(
            self.key(row),
            self.category(row),
            prompt,
            Signature(*facts),
            similarity,
            self._created_s[row],
            ttl_s,
            None if self.partition(row) == asked_in else turns,
        )

    def prompt(self, row: int) -> str:
        """Return the prompt at ``row``."""
        prompt: str = _texts.decode(self._texts[row])[0]
        return prompt

    def created_s(self, row: int) -> float:
        """Return when the answer at ``row`` was received."""
        return self._created_s[row]

    def key(self, row: int) -> EntryKey:
        """Return the key at ``row``."""
        return EntryKey(bytes(self._keys[row * WIDTH : row * WIDTH + WIDTH]))

    def has_key(self, key: EntryKey, row: int) -> bool:
        """Say whether ``key`` stands at ``row``."""
        return self._keys.startswith(key, row * WIDTH)

    def partition(self, row: int) -> PartitionKey:
        """Return the partition at ``row``."""
        return PartitionKey(bytes(self._partitions[row * WIDTH : row * WIDTH + WIDTH]))

    def category(self, row: int) -> str:
        """Return the category at ``row``."""
        return self._categories[self._category[row]]

    def save(self, sink: Sink, in_use: NDArray[np.bool_]) -> None:
        """Write the rows ``in_use``, and nothing of those that were freed."""
        put_facts(sink, "categories", self._categories)
        keys = np.frombuffer(self._keys, dtype=np.uint8).reshape(-1, WIDTH)
        places = np.frombuffer(self._partitions, dtype=np.uint8).reshape(-1, WIDTH)
        rows = len(in_use)  # one that could not be indexed may stand beyond
        put_array(sink, "keys", keys[:rows] * in_use[:, None])
        put_array(sink, "partitions", places[:rows] * in_use[:, None])
        put_array(sink, "created", np.where(in_use, np.frombuffer(self._created_s)[:rows], 0.0))
        put_array(sink, "indexed", np.frombuffer(self.indexed, dtype=np.uint8)[:rows] * in_use)
        numbers = np.frombuffer(self._category, dtype=np.int32)[:rows]
        put_array(sink, "category", numbers * in_use)
        put_strings(sink, "texts", self._texts[:rows])

    def load(self, source: Source, in_use: NDArray[np.bool_]) -> None:
        """Become what was written. Raises ``Unusable``."""
        rows = len(in_use)
        self._categories = take_facts(source, "categories", list[str])
        self._numbers = {name: number for number, name in enumerate(self._categories)}
        self._keys = bytearray(take_array(source, "keys", (np.uint8, (WIDTH,))))
        self._partitions = bytearray(take_array(source, "partitions", (np.uint8, (WIDTH,))))
        self._created_s = array("d", take_array(source, "created", np.float64).tobytes())
        self.indexed = bytearray(take_array(source, "indexed", np.uint8))
        self._category = array("i", take_array(source, "category", np.int32).tobytes())
        self._texts = take_strings(source, "texts")
        sizes = {len(self._keys) // WIDTH, len(self._partitions) // WIDTH, len(self._created_s)}
        if sizes | {len(self.indexed), len(self._category), len(self._texts)} != {rows}:
            raise Unusable("Damaged")
        self._free = array("i", np.flatnonzero(~in_use).astype(np.int32).tobytes())

    def _number(self, category: str) -> int:
        number = self._numbers.setdefault(category, len(self._categories))
        if number == len(self._categories):
            self._categories.append(category)
        return number

    def _more(self) -> int:
        self._keys.extend(bytes(WIDTH))
        self._partitions.extend(bytes(WIDTH))
        self._created_s.append(0.0)
        self._category.append(0)
        self.indexed.append(False)
        self._texts.append(b"")
        return len(self._texts) - 1


_FACTS = tuple(one.name for one in fields(Signature))
_FACT_TYPES = tuple(get_type_hints(Signature)[name] for name in _FACTS)
_Facts: Any = tuple.__class_getitem__(_FACT_TYPES)
_Rare: Any = tuple[float | None, bytes, tuple[str, ...]]
_Texts: Any = tuple[str, _Facts, int, _Rare | None]
_encoder = msgspec.msgpack.Encoder()
_texts = msgspec.msgpack.Decoder(_Texts)


def _packed(entry: Entry) -> bytes:
    facts = tuple(getattr(entry.signature, name) for name in _FACTS)
    history = entry.history
    place, turns = (history.partition, history.turns) if history else (b"", ())
    rare = (entry.ttl_s, place, turns)
    parts = (entry.prompt, facts, entry.size_bytes, None if rare == NOTHING_RARE else rare)
    # Not ``encode``: what it returns keeps the room of its buffer of 512 bytes.
    buffer = bytearray()
    _encoder.encode_into(parts, buffer)
    return bytes(buffer)
