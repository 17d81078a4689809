"""AES-256-GCM over what a store keeps, with keys that can be rotated.

    byte 0      the format, 1
    bytes 1-8   the key's id: the first 8 bytes of a digest of the key
    bytes 9-20  the nonce, random (NIST SP 800-38D, section 8.2.2)
    then        the ciphertext and its tag of 16 bytes

An id is derived, not given, so that no two keys can share one. With random nonces one key may seal
at most 2^32 values; an entry takes two.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING

from ..errors import StartupError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

FORMAT = b"\x01"
KEY_BYTES = 32
ID_BYTES = 8
NONCE_BYTES = 12
OVERHEAD_BYTES = len(FORMAT) + ID_BYTES + NONCE_BYTES + 16

_START = len(FORMAT) + ID_BYTES
_HEX_KEY = re.compile(r"[0-9A-Fa-f]{64}")


class Unreadable(Exception):
    """Sealed with a key that is not here, bound to another place, damaged, or not sealed at all."""


class Keys:
    """Seals with the first key and opens with any."""

    def __init__(self, ciphers: dict[bytes, AESGCM]) -> None:
        """``ciphers`` by key id, the sealing one first; at least one."""
        self._ciphers = ciphers
        self._sealing_id, self._sealing = next(iter(ciphers.items()))

    def __repr__(self) -> str:
        return f"<Keys {', '.join(name.hex() for name in self._ciphers)}>"

    def seal(self, data: bytes, place: bytes) -> bytes:
        """Encrypt ``data``, which can be opened again for the same ``place`` only."""
        head = FORMAT + self._sealing_id
        nonce = os.urandom(NONCE_BYTES)
        return head + nonce + self._sealing.encrypt(nonce, data, head + place)

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """Decrypt what was sealed for ``place``. Raises ``Unreadable``."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - an optional package

        head, nonce = sealed[:_START], sealed[_START : _START + NONCE_BYTES]
        cipher = self._ciphers.get(head[len(FORMAT) :])
        if cipher is None or head[: len(FORMAT)] != FORMAT or len(sealed) < OVERHEAD_BYTES:
            raise Unreadable
        try:
            return cipher.decrypt(nonce, sealed[_START + NONCE_BYTES :], head + place)
        except InvalidTag as exc:
            raise Unreadable from exc


def parse_keys(text: str, variable: str) -> Keys:
    """Read keys of 64 hexadecimal digits, separated by commas or white space; the first one seals.

    Raises ``StartupError``, which names ``variable`` and shows nothing of the keys.
    """
    found = [part for part in re.split(r"[,\s]+", text) if part]
    if not found:
        raise StartupError(
            f"store.encryption_env names {variable}, which is not set: set it, for example to the"
            " output of: openssl rand -hex 32"
        )
    for number, part in enumerate(found, start=1):
        if not _HEX_KEY.fullmatch(part):
            raise StartupError(
                f"{variable}: key {number} of {len(found)} is not {2 * KEY_BYTES} hexadecimal"
                " digits; make one with: openssl rand -hex 32"
            )
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415
    except ImportError as exc:
        raise StartupError(
            "store.encryption_env needs a package: pip install 'kindcache[encryption]'"
        ) from exc
    keys = [bytes.fromhex(part) for part in found]
    return Keys({key_id(key): AESGCM(key) for key in keys})


def key_id(key: bytes) -> bytes:
    """Return what tells ``key`` from others, and nothing of it."""
    return hashlib.blake2b(key, digest_size=ID_BYTES, person=b"kindcache key id").digest()
