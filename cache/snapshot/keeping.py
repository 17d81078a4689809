"""Snapshots of what one process holds: taken now and then and at the end, used at a start.

The store stays the truth. A snapshot is a copy of what can be made of the store's records again,
and whatever keeps it from being used costs time, nothing else.
"""

from __future__ import annotations

import asyncio
import glob
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ..engine import Engine
from ..entries.table import Table
from ..errors import StoreError
from ..events import Failed
from ..fail_open import fail_open
from ..ports import Position
from .child import Child
from .contents import Facts, Format, fill, made_by, opened, write
from .following import Following, Wanted
from .sections import Unusable

DEADLINE_S = 120.0  # a million entries take some 20 s
CLOSING_DEADLINE_S = 20.0


class Snapshots:
    """Keeps one snapshot at ``path``, which no erasure survives.

    ``position`` says up to where this process knows the changes of the store; while it is None
    none is taken. One that does not write reads what another process at the file wrote.
    """

    def __init__(
        self, engine: Engine, path: Path, form: Format, every_s: float, *, writes: bool = True
    ) -> None:
        self._engine = engine
        self._path = path
        self._form = form
        self._every_s = every_s
        self._writes = writes
        self._drops = 0
        self._child: Child | None = None
        self._taken: tuple[int, int] | None = None  # what was held then
        self.position: Position | None = None
        engine.invalidated.copies.append(self.drop)

    def __repr__(self) -> str:
        return f"<Snapshots {self._path}>"

    async def run(self) -> None:
        """Take one every so often, until cancelled."""
        while True:
            await asyncio.sleep(self._every_s)
            with fail_open(self._engine.observer, "snapshot"):
                await self.take()

    async def aclose(self) -> None:
        """Take the last one."""
        with fail_open(self._engine.observer, "snapshot"):
            await self.take(CLOSING_DEADLINE_S)

    async def take(self, deadline_s: float = DEADLINE_S) -> bool:
        """Take a snapshot of this moment; False where nothing has changed, or it came to nothing.

        The loop stands still for as long as forking takes.
        """
        held, facts = self._engine.memory.table.version, self._facts()
        idle = (
            self._child is None and self._taken != held and not self._engine.invalidated.erasing_due
        )
        if not self._writes or not idle or facts is None:
            return False
        drops, done = self._drops, False
        try:
            done = await self._write(facts, drops, deadline_s)
        except OSError as exc:
            self._failed("snapshot.write", type(exc).__name__)
            return False
        if done:
            self._taken = held
        elif drops == self._drops:
            self._failed("snapshot.write", "Unfinished")
        return done

    async def _write(self, facts: Facts, drops: int, deadline_s: float) -> bool:
        """Write one, and put it in place unless one was dropped meanwhile. Raises ``OSError``."""
        table, form, draft = self._engine.memory.table, self._form, self._draft()
        descriptor = _created(draft)
        try:
            try:
                self._child = Child(lambda: write(descriptor, form, facts, table), descriptor)
            finally:
                os.close(descriptor)
            done = await self._child.succeeded(deadline_s) and drops == self._drops
            if done:
                draft.replace(self._path)  # before anything else can happen
        finally:
            self._child = None
            draft.unlink(missing_ok=True)
        await asyncio.to_thread(_sync, self._path.parent)
        return done and drops == self._drops

    async def drop(self) -> None:
        """Delete what there is, and keep what is being written from coming to be.

        What was removed from memory before is then in no snapshot, nor in a later one. Raises
        ``StoreError`` where the file cannot be deleted.
        """
        self._drops += 1
        self._taken = None
        if self._child is not None:
            self._child.kill()
        for index in self._engine.memory.table.indexes():
            index.renew()
        try:
            for path in (self._path, *self._drafts()):
                path.unlink(missing_ok=True)
        except NotADirectoryError:
            return
        except OSError as exc:
            raise StoreError("the snapshot cannot be deleted") from exc
        await asyncio.to_thread(_sync, self._path.parent)

    async def restore(self, wanted: Wanted) -> bool:
        """Fill the table from the snapshot, brought up to date; False where that cannot be.

        ``position`` then says from where the changes of the store are to be followed. To be called
        once erasures are known. Raises ``StoreError``.
        """
        try:
            if self._writes:
                for path in self._drafts():  # of a process that was killed
                    path.unlink(missing_ok=True)
            return await self._restored(wanted)
        except FileNotFoundError:
            return False
        except Unusable as exc:
            self._failed("snapshot.load", exc.why)
            if exc.why in {"Erased", "TooOld", "OtherEncryption"}:
                await self.drop()
        except OSError as exc:
            self._failed("snapshot.load", type(exc).__name__)
        return False

    async def _restored(self, wanted: Wanted) -> bool:
        engine, drops = self._engine, self._drops
        table, staged = engine.memory.table, engine.memory.table.emptied()
        facts = await asyncio.to_thread(
            self._read, staged, engine.epoch, engine.invalidated.erasures
        )
        following = Following(engine.store, replace(engine.memory, table=staged), wanted)
        reached = await following.catch_up(facts.position)
        if reached is None:
            reached = await engine.store.changes.latest()
            await following.compare()
        if drops != self._drops or facts.epoch != engine.epoch:
            raise Unusable("Overtaken")
        # What was admitted or deleted here or by others meanwhile: told up to ``reached``, it is
        # in the copy; told later, whoever follows the changes from there will hear of it.
        engine.memory.distrust()
        table.become(staged)
        self.position = reached
        # Who made these may have died before he deleted what they name.
        engine.invalidated.due |= not engine.invalidated.known.issubset(facts.invalidations)
        return True

    def _read(self, staged: Table, epoch: bytes | None, erasures: frozenset[bytes]) -> Facts:
        with opened(self._path, self._form) as (facts, source):
            engine = self._engine
            facts.check(epoch, engine.memory.embedder.identity, erasures, engine.clock())
            fill(staged, source)
            return facts

    def _facts(self) -> Facts | None:
        engine = self._engine
        if self.position is None or engine.epoch is None:
            return None
        return Facts(
            made_by=made_by(),
            made_s=engine.clock(),
            epoch=engine.epoch,
            embedder=engine.memory.embedder.identity,
            position=self.position,
            erasures=sorted(engine.invalidated.erasures),
            invalidations=sorted(engine.invalidated.known),
        )

    def _draft(self) -> Path:
        return self._path.with_name(f".{self._path.name}.{os.getpid()}")

    def _drafts(self) -> Iterator[Path]:
        return self._path.parent.glob(f".{glob.escape(self._path.name)}.*")

    def _failed(self, stage: str, why: str) -> None:
        self._engine.observer.notify(Failed(stage, why))


def _created(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)


def _sync(folder: Path) -> None:
    """Have the folder's names on the disk."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
