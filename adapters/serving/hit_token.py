"""A token for each hit: who holds it, and is who got the hit, may say whether the answer fitted.

It is signed, not secret: it holds digests, a category and figures. What it says is taken back
only from the principal that it names.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode
from binascii import b2a_base64

import msgspec

from ...cache.asking.scope import Principal, Scoping, digest
from ...cache.learning.blocked import Pair, pair
from ...cache.learning.fact import DAY_S
from ...cache.learning.feedback import Judged
from ...cache.outcome import Found
from ...cache.ports import EntryKey
from ...policies.verdict import Tier, certainty

HEADER = b"x-cache-hit-token"
LIFE_S = 7 * DAY_S
_VERSION = b"\x01"
_MAC_BYTES = 16
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_PURPOSE = b"kindcache: token of a hit, version 1"  # no other key is derived with these words

_Content = tuple[bytes, bytes, int, float, bytes, str, float]
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Content).decode


class BadToken(Exception):
    """It is not one that this secret signed."""


class HitTokens:
    """Makes and reads tokens: those of all caches with this secret, upstream and namespace."""

    def __init__(self, scoping: Scoping) -> None:
        place = digest(scoping.upstream.encode(), scoping.namespace.encode())
        key = hmac.digest(scoping.secret, _PURPOSE + place, "sha256")
        self._keyed = hashlib.blake2b(key=key, digest_size=_MAC_BYTES)

    def make(self, found: Found, now_s: float) -> bytes:
        """Return the token of ``found``, about 170 characters. Takes a few microseconds."""
        hit, payload = found.hit, found.payload
        semantic = hit.tier is Tier.SEMANTIC
        content: _Content = (
            found.ask.principal,
            hit.key,
            int(now_s),
            payload.created_s,
            pair(found.ask, payload.prompt) if semantic else b"",
            hit.category,
            certainty(hit),
        )
        body = _VERSION + _encode(content)
        return b2a_base64(self._mac(body) + body, newline=False).rstrip(b"=").translate(_URL_SAFE)

    def read(self, token: str) -> Judged:
        """Return the hit that ``token`` is about, however old it is. Raises ``BadToken``."""
        try:
            data = urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except ValueError as exc:
            raise BadToken from exc
        mac, body = data[:_MAC_BYTES], data[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(body)) or body[:1] != _VERSION:
            raise BadToken
        principal, entry, issued_s, created_s, both, category, probability = _decode(body[1:])
        return Judged(
            id=mac,
            principal=Principal(principal),
            entry=EntryKey(entry),
            created_s=created_s,
            issued_s=issued_s,
            pair=Pair(both) if both else None,
            category=category,
            probability=probability,
        )

    def _mac(self, body: bytes) -> bytes:
        signed = self._keyed.copy()
        signed.update(body)
        return signed.digest()
