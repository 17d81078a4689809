"""The file: frames of sections, sealed where the store is, under a code that only we can make.

    bytes 0-5    "kcsnap"
    byte 6       the format, 1
    byte 7       1 = sealed
    bytes 8-15   names the secret, and says nothing of it
    bytes 16-31  random; a sealed frame can be read in no other file
    then frames  4 bytes of length, then so many bytes; the last one has none
    32 bytes     BLAKE2b over all before, keyed by the secret

The plain bytes of the frames, joined, are sections: 2 bytes of length, the name, 8 bytes of length,
the content. Numbers are little-endian. The code is checked before anything is read: what follows
goes to libraries that trust their files.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from ..stores.sealing import Keys, Unreadable
from .sections import Piece, Unusable

MAGIC = b"kcsnap"
FORMAT = 1
HEAD_BYTES = 32
CODE_BYTES = 32
FRAME_BYTES = 1 << 20
_LONGEST_FRAME = FRAME_BYTES + 1024


def code_key(secret: bytes) -> bytes:
    """Return the key of the code, made of the secret of the scopes."""
    return hmac.digest(secret, b"kindcache: snapshot of the index, version 1", "sha256")


class FileSink:
    """Writes sections to ``file``. Implements ``Sink``; ``finish`` ends it."""

    def __init__(self, file: BinaryIO, key: bytes, seals: Keys | None) -> None:
        self._file = file
        self._seals = seals
        self._code = _new_code(key)
        self._salt = os.urandom(16)
        self._frames = 0
        self._waiting = bytearray()
        self._write(MAGIC + bytes([FORMAT, seals is not None]) + _named(key) + self._salt)

    def put(self, name: str, size_bytes: int, pieces: Iterable[Piece]) -> None:
        """Write a section. Raises ``ValueError`` when ``pieces`` have another size."""
        label = name.encode()
        self._plain(len(label).to_bytes(2, "little") + label + size_bytes.to_bytes(8, "little"))
        written = 0
        for piece in pieces:
            written += len(piece)
            self._plain(piece)
        if written != size_bytes:
            raise ValueError(f"{name}: {written} bytes, not {size_bytes}")

    def finish(self) -> None:
        """Write what waits, and the code."""
        if self._waiting:
            self._frame(bytes(self._waiting))
            self._waiting.clear()
        self._write(bytes(4))
        self._file.write(self._code.digest())
        self._file.flush()

    def _plain(self, piece: Piece) -> None:
        view = memoryview(piece)
        for start in range(0, len(view), FRAME_BYTES):
            self._waiting += view[start : start + FRAME_BYTES]
            if len(self._waiting) >= FRAME_BYTES:
                self._frame(bytes(self._waiting[:FRAME_BYTES]))
                del self._waiting[:FRAME_BYTES]

    def _frame(self, plain: bytes) -> None:
        if self._seals is not None:
            plain = self._seals.seal(plain, _place(self._salt, self._frames))
        self._frames += 1
        self._write(len(plain).to_bytes(4, "little"))
        self._write(plain)

    def _write(self, data: bytes) -> None:
        self._code.update(data)
        self._file.write(data)


class FileSource:
    """Reads sections from ``file``. Implements ``Source``. Raises ``Unusable``."""

    def __init__(self, file: BinaryIO, key: bytes, seals: Keys | None) -> None:
        """Check the whole file; nothing of it is used before."""
        self._file = file
        self._seals = seals
        self._salt = _checked(file, key, sealed=seals is not None)
        self._frames = 0
        self._plain = memoryview(b"")
        self._left = 0  # of the section that is being read

    def take(self, name: str) -> tuple[int, Iterator[bytes]]:
        """Return the next section, which must be ``name``."""
        if self._left:
            raise Unusable("Damaged")
        length = int.from_bytes(self._some(2), "little")
        if self._some(length) != name.encode():
            raise Unusable("Damaged")
        self._left = size = int.from_bytes(self._some(8), "little")
        return size, self._pieces()

    def _pieces(self) -> Iterator[bytes]:
        while self._left:
            piece = self._some(min(self._left, FRAME_BYTES))
            self._left -= len(piece)
            yield piece

    def _some(self, count: int) -> bytes:
        found = bytearray()
        while len(found) < count:
            if not self._plain:
                self._plain = memoryview(self._frame())
            part = self._plain[: count - len(found)]
            self._plain = self._plain[len(part) :]
            found += part
        return bytes(found)

    def _frame(self) -> bytes:
        length = int.from_bytes(self._file.read(4), "little")
        if not 0 < length <= _LONGEST_FRAME:
            raise Unusable("Damaged")
        data = self._file.read(length)
        if self._seals is not None:
            try:
                data = self._seals.open(data, _place(self._salt, self._frames))
            except Unreadable as exc:
                raise Unusable("OtherEncryption") from exc
        self._frames += 1
        return data


def _checked(file: BinaryIO, key: bytes, *, sealed: bool) -> bytes:
    """Read all of ``file``; return its salt, with the first frame next to be read."""
    file.seek(0)
    head = file.read(HEAD_BYTES)
    if len(head) < HEAD_BYTES or head[:6] != MAGIC:
        raise Unusable("Damaged")
    if head[6] != FORMAT:
        raise Unusable("OtherVersion")
    if head[8:16] != _named(key):
        raise Unusable("OtherSecret")
    code = _new_code(key)
    code.update(head)
    left = os.fstat(file.fileno()).st_size - HEAD_BYTES - CODE_BYTES
    while left > 0:
        part = file.read(min(left, FRAME_BYTES))
        if not part:
            raise Unusable("Damaged")
        code.update(part)
        left -= len(part)
    if left < 0 or not hmac.compare_digest(file.read(CODE_BYTES + 1), code.digest()):
        raise Unusable("Damaged")
    if head[7] != sealed:
        raise Unusable("OtherEncryption")
    file.seek(HEAD_BYTES)
    return head[16:]


def _new_code(key: bytes) -> hashlib.blake2b:
    return hashlib.blake2b(key=key, digest_size=CODE_BYTES, person=b"kindcache snap")


def _named(key: bytes) -> bytes:
    return hashlib.blake2b(b"name", key=key, digest_size=8, person=b"kindcache snap").digest()


def _place(salt: bytes, number: int) -> bytes:
    return b"snapshot" + salt + number.to_bytes(8, "little")
