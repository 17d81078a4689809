"""The change log of a Redis store: one stream, trimmed to about so many entries by each addition.

An entry has one field: "a" (admit), "d" (delete) or "n" (notice), and in it the 8 bytes of who
told it and the body. A position is the entry's id, milliseconds and number, in one integer: the
server never gives a smaller one, whatever its clock does.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Any, Final

from ..ports import Change, EntryKey, Gap, News, NewsKind, Position

KEPT = 100_000  # changes: about 8 MB of the server
MOST_UNTOLD = 10_000  # then all that is said is that records have changed
SEQUENCE_BITS = 22  # four million changes within one millisecond
LETTERS: Final[dict[NewsKind, bytes]] = {"admit": b"a", "delete": b"d", "notice": b"n"}
KINDS: Final[dict[bytes, NewsKind]] = {letter: kind for kind, letter in LETTERS.items()}
ORIGIN_BYTES = 8
RECORDS = News("notice", b"records")  # who hears that reads all of them

Call = Callable[[Any], Awaitable[Any]]  # of a client
Also = Callable[[Any], object]  # puts more into a pipeline


class RedisStream:
    """The stream ``name``. ``ask`` makes a call with the client of the server that keeps it.

    ``listen(call, wait_s)`` does so for calls that wait at the server. ``together``: what is
    written elsewhere in the store may be sent along with what is told of it, to the same server.
    """

    def __init__(
        self,
        name: str,
        ask: Callable[[Call], Awaitable[Any]],
        listen: Callable[[Call, float], Awaitable[Any]],
        *,
        together: bool,
        kept: int = KEPT,
    ) -> None:
        self._name = name
        self._ask = ask
        self._listen = listen
        self._together = together
        self._kept = kept
        self._origin = secrets.token_bytes(ORIGIN_BYTES)
        self._untold: deque[News] = deque()

    def __repr__(self) -> str:
        return f"<RedisStream {self._name}>"

    @property
    def origin(self) -> bytes:
        """Return the mark of this process's changes."""
        return self._origin

    async def told(self, news: News, write: Callable[[Also], Awaitable[object]]) -> None:
        """Carry out ``write`` and tell ``news`` of it: with it where that can be, or after it.

        ``write`` lets what it is given add a last command to its pipeline. If anything may have
        failed, ``news`` is told later: who hears it looks what is true.
        """
        with self._remembering([news]):
            if self._together:
                await write(partial(self._add, news=news))
            else:
                await write(_nothing)
                await self._ask(partial(self._tell, news=[news]))

    async def tell(self, news: Sequence[News]) -> Position:
        """Add ``news``, in one round trip."""
        if not news:
            return await self.latest()
        ids = await self._ask(partial(self._tell, news=news))
        return _position(ids[-1])

    async def since(self, after: Position, limit: int, wait_s: float) -> Sequence[Change] | Gap:
        """Return at most ``limit`` changes after ``after``, or wait for one at the server.

        What was told to wake us is read anew, together with the entry at ``after``: where that
        stands, nothing that followed it was trimmed.
        """
        await self._tell_late()
        found = await self._read(after, limit)
        if found or isinstance(found, Gap) or wait_s <= 0:
            return found
        wait_ms = max(1, int(wait_s * 1000))

        def wake(client: Any) -> Awaitable[Any]:
            answer: Awaitable[Any] = client.xread({self._name: _id(after)}, 1, wait_ms)
            return answer

        if not await self._listen(wake, wait_s):
            return []
        return await self._read(after, limit)

    async def latest(self) -> Position:
        """Return the position of the last entry."""
        last = await self._ask(partial(self._last, count=1))
        return _position(last[0][0]) if last else 0

    async def admitted(self, limit: int) -> Sequence[EntryKey]:
        """Return the keys of the last admissions, newest first; as many entries are looked at."""
        entries = await self._ask(partial(self._last, count=limit))
        changes = (change for change in _changes(entries) if change.kind == "admit")
        return list(islice(dict.fromkeys(key for one in changes for key in one.keys), limit))

    async def _read(self, after: Position, limit: int) -> list[Change] | Gap:
        def read(client: Any) -> Awaitable[Any]:
            pipeline = client.pipeline(transaction=False)
            pipeline.xrange(self._name, _id(after + 1), "+", count=limit)
            if after:
                pipeline.xrange(self._name, _id(after), _id(after), count=1)
            else:
                pipeline.xlen(self._name)
            answer: Awaitable[Any] = pipeline.execute()
            return answer

        entries, anchor = await self._ask(read)
        known = anchor if after else anchor < self._kept
        if known:
            return list(_changes(entries))
        return Gap("trimmed" if await self.latest() > after else "behind")

    async def _last(self, client: Any, count: int) -> list[Any]:
        entries: list[Any] = await client.xrevrange(self._name, count=count)
        return entries

    async def _tell(self, client: Any, news: Sequence[News]) -> list[Any]:
        pipeline = client.pipeline(transaction=False)
        for one in news:
            self._add(pipeline, one)
        ids: list[Any] = await pipeline.execute()
        return ids

    async def _tell_late(self) -> None:
        """Tell what could not be told when it was done."""
        if self._untold:
            late = [RECORDS] if len(self._untold) > MOST_UNTOLD else list(self._untold)
            self._untold.clear()
            with self._remembering(late):
                await self._ask(partial(self._tell, news=late))

    @contextmanager
    def _remembering(self, news: Sequence[News]) -> Iterator[None]:
        told = False
        try:
            yield
            told = True
        finally:
            if not told and len(self._untold) <= MOST_UNTOLD:
                self._untold.extend(news)

    def _add(self, pipeline: Any, news: News) -> None:
        fields = {LETTERS[news.kind]: self._origin + news.body}
        pipeline.xadd(self._name, fields, maxlen=self._kept, approximate=True)


def _nothing(_pipeline: object) -> None:
    pass


def _changes(entries: Sequence[tuple[bytes, dict[bytes, bytes] | None]]) -> Iterator[Change]:
    """Read entries; what another version wrote, or nobody of ours, is a notice of nothing."""
    for entry, fields in entries:
        position = _position(entry)
        known = ((KINDS[one], said) for one, said in (fields or {}).items() if one in KINDS)
        kind, said = next(known, ("notice", b""))
        yield Change(position, said[:ORIGIN_BYTES], kind, said[ORIGIN_BYTES:])


def _position(entry: bytes) -> Position:
    ms, _, number = entry.partition(b"-")
    return (int(ms) << SEQUENCE_BITS) + int(number)


def _id(position: Position) -> str:
    ms, number = divmod(position, 1 << SEQUENCE_BITS)
    return f"{ms}-{number}"
