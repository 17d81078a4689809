"""The change log of an SQLite store: a table of the same file, written in the same transactions.

Followers look at it in the loop, as reads of answers do: whether there is something new costs
some 5 us, so that looking often is cheaper than any message between processes.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import islice
from typing import TypeVar

from ..ports import Change, EntryKey, Gap, News, Position
from . import sqlite_file as file

T = TypeVar("T")

KEPT = 100_000  # changes: about 6 MB of the file
TRIM_EVERY = 64
LOOK_EVERY_S = 0.02  # a tenth of what a person notices, with all else

Statement = Callable[[sqlite3.Connection], bytes | None]


class SqliteLog:
    """``reader`` returns the connection to read by; ``write`` runs a statement in a transaction.

    Both raise ``StoreError`` where there is none.
    """

    def __init__(
        self,
        reader: Callable[[], sqlite3.Connection],
        write: Callable[[Statement], Awaitable[bytes | None]],
        kept: int = KEPT,
    ) -> None:
        self._reader = reader
        self._write = write
        self._kept = kept
        self._origin = secrets.token_bytes(8)

    def __repr__(self) -> str:
        return f"<SqliteLog of {self._origin.hex()}>"

    @property
    def origin(self) -> bytes:
        """Return the mark of this process's changes."""
        return self._origin

    def told(self, statement: Statement, news: News) -> Statement:
        """Return ``statement`` with its ``news``."""
        telling = self.telling([news])

        def both(connection: sqlite3.Connection) -> bytes | None:
            result = statement(connection)
            telling(connection)
            return result

        return both

    def telling(self, news: Sequence[News]) -> Statement:
        """Return a statement that adds ``news``, and returns the last position in 8 bytes."""
        return partial(_add, origin=self._origin, news=tuple(news), kept=self._kept)

    async def tell(self, news: Sequence[News]) -> Position:
        """Add ``news``; returns after the commit."""
        if not news:
            return await self.latest()
        position = await self._write(self.telling(news))
        assert position is not None
        return int.from_bytes(position, "big")

    async def since(self, after: Position, limit: int, wait_s: float) -> Sequence[Change] | Gap:
        """Return at most ``limit`` changes after ``after``; looks for one every 20 ms."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + wait_s
        while (last := await self.latest()) == after:
            left_s = until_s - loop.time()
            if left_s <= 0:
                return []
            await asyncio.sleep(min(left_s, LOOK_EVERY_S))
        if last < after:
            return Gap("behind")
        return self._read(partial(_read, after=after, limit=limit))

    async def latest(self) -> Position:
        """Return the position of the last change."""
        return self._read(_last)

    async def admitted(self, limit: int) -> Sequence[EntryKey]:
        """Return the keys of the last admissions, newest first."""
        rows = self._read(partial(_admitted, limit=limit))
        return list(islice(dict.fromkeys(EntryKey(row[0]) for row in rows), limit))

    def _read(self, question: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return question(self._reader())
        except sqlite3.Error as exc:
            raise file.translated(exc) from exc


def _add(
    connection: sqlite3.Connection, *, origin: bytes, news: Sequence[News], kept: int
) -> bytes:
    position = 0
    for one in news:
        cursor = connection.execute(
            "INSERT INTO changes (origin, kind, body) VALUES (?, ?, ?)",
            (origin, one.kind, one.body),
        )
        position = cursor.lastrowid or 0
        if position % TRIM_EVERY == 0:
            connection.execute("DELETE FROM changes WHERE position <= ?", (position - kept,))
    return position.to_bytes(8, "big")


def _last(connection: sqlite3.Connection) -> Position:
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'changes'").fetchone()
    return 0 if row is None else int(row[0])


def _read(connection: sqlite3.Connection, after: Position, limit: int) -> list[Change] | Gap:
    connection.execute("BEGIN")  # one snapshot for both questions
    try:
        rows = connection.execute(
            "SELECT position, origin, kind, body FROM changes"
            " WHERE position > ? ORDER BY position LIMIT ?",
            (after, limit),
        ).fetchall()
    finally:
        connection.execute("COMMIT")
    # Positions are given without holes, and the oldest go first.
    if not rows or rows[0][0] != after + 1:
        return Gap("trimmed")
    return [Change(*row) for row in rows]


def _admitted(connection: sqlite3.Connection, limit: int) -> list[tuple[bytes]]:
    return connection.execute(
        "SELECT body FROM changes WHERE kind = 'admit' ORDER BY position DESC LIMIT ?", (limit,)
    ).fetchall()
