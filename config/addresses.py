"""Addresses in settings: what forms are accepted, and how to print them without their secrets.

``check_*`` return their argument or raise ``ValueError``; no message holds the address itself.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from .redis_address import REDIS_SCHEMES, split_redis_url

STORE_SCHEMES = ("memory", "sqlite", *REDIS_SCHEMES)
STORES_ACCEPTED = (
    "memory://, sqlite:///FILE, redis://HOST:PORT/DB, rediss://HOST:PORT/DB, unix:///SOCKET, "
    "redis+cluster://HOST:PORT,HOST:PORT or redis+sentinel://HOST:PORT,HOST:PORT/SERVICE"
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_SECRET_PARAMETER = re.compile(
    r"(?i)([?&;][^=&;]*(?:pass|secret|token|key|auth|credential)[^=&;]*=)[^&;#]*"
)


def redact_url(url: str) -> str:
    """Return ``url`` with user's password and secret query parameters replaced by ``***``.

    Works on what is not a proper URL too: everything before the last ``@`` counts as a login.
    """
    shown = _SECRET_PARAMETER.sub(r"\1***", url)
    if "@" not in shown or shown.startswith("sqlite:"):
        return shown
    login, _, rest = shown.rpartition("@")
    scheme = _SCHEME.match(login)
    start = scheme.end() if scheme else 0
    user, colon, _ = login[start:].partition(":")
    return f"{login[:start]}{f'{user}:***' if colon else '***'}@{rest}"


def check_store_url(url: str) -> str:
    """Accept the address of a store."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in STORE_SCHEMES:
        raise ValueError(f"is not a store; write {STORES_ACCEPTED}")
    if scheme == "memory" and rest:
        raise ValueError("memory:// takes nothing after it")
    if scheme == "sqlite" and not (rest.startswith("/") and rest.strip("/")):
        raise ValueError(
            "needs a file: sqlite:///kindcache.db, or sqlite:////var/lib/kindcache.db from the root"
        )
    if scheme == "unix" and not urlsplit(url).path.strip("/"):
        raise ValueError("needs a socket: unix:///run/redis.sock")
    if scheme in REDIS_SCHEMES and scheme != "unix":
        split_redis_url(url)
    return url


def check_http_url(url: str) -> str:
    """Accept the base address of an HTTP server."""
    parts = _split(url)
    if parts.scheme not in ("http", "https"):
        raise ValueError("is not an http:// or https:// address")
    if not parts.hostname:
        raise ValueError("names no host")
    if parts.query or parts.fragment:
        raise ValueError("takes neither ?query nor #fragment")
    if url != url.strip() or any(character.isspace() for character in url):
        raise ValueError("holds white space")
    return url


def check_network(text: str) -> str:
    """Accept an address or a network: ``10.1.2.3``, ``10.0.0.0/8``, ``fd00::/8``."""
    try:
        ipaddress.ip_network(text)
    except ValueError as exc:
        raise ValueError(_why_no_network(text)) from exc
    return text


def _why_no_network(text: str) -> str:
    try:
        meant = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return 'is not an address or network; write "10.1.2.3" or "10.0.0.0/8"'
    return f'has host bits set; nearest: "{meant}"'


def _split(url: str) -> SplitResult:
    """Split ``url``; a port that is no port is an error."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as exc:
        raise ValueError("has a bad host or port") from exc
    return parts
