"""The code at the end of each line of an export, which only who has the secret can make.

Which caller gets an answer is decided by digests in its line. So that no line gives an answer to
others than those for whom it was stored, lines are taken as they were written or not at all.
"""

from __future__ import annotations

import hmac

_BEGINS = b',"code":"'
_ENDS = b'"}'


def line_key(secret: bytes, epoch: bytes = b"") -> bytes:
    """Return the key of codes: of the header, or of entries made in ``epoch``."""
    return hmac.digest(secret, b"kindcache: lines of an export, version 1" + epoch, "sha256")


def signed(line: bytes, key: bytes) -> bytes:
    """Return ``line``, a JSON object, with its code and its end."""
    return b"".join([line.removesuffix(b"}"), _BEGINS, _code(line, key), _ENDS, b"\n"])


def is_signed(line: bytes, key: bytes) -> bool:
    """Say whether ``line`` is as it was written."""
    head, begins, rest = line.strip().rpartition(_BEGINS)
    given = rest.removesuffix(_ENDS)
    return bool(begins) and hmac.compare_digest(given, _code(head + b"}", key))


def _code(line: bytes, key: bytes) -> bytes:
    return hmac.digest(key, line, "sha256").hex().encode()
