"""Addresses of Redis in the forms people run: one server, a cluster, or behind sentinels.

    redis://[user:password@]host[:6379][/database][?options]
    unix:///socket[?options]
    redis+cluster://[user:password@]host[:6379],host[:6379][?options]
    redis+sentinel://[user:password@]host[:26379],host[:26379]/service[?options]

``rediss`` in place of ``redis`` means TLS.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote, urlsplit

Form = Literal["single", "cluster", "sentinel"]
REDIS_SCHEMES = (
    "redis",
    "rediss",
    "unix",
    "redis+cluster",
    "rediss+cluster",
    "redis+sentinel",
    "rediss+sentinel",
)
_PORTS: dict[Form, int] = {"single": 6379, "cluster": 6379, "sentinel": 26379}
_PARTS = re.compile(r"([^/?#]*)(/[^?#]*)?(?:\?([^#]*))?")
_SERVICE = re.compile(r"[\w.-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where Redis is. ``login`` and ``query`` are as they stand in the URL."""

    form: Form
    tls: bool
    login: str
    hosts: tuple[tuple[str, int], ...]
    service: str  # of sentinels: what they call the group of servers
    query: str

    def __repr__(self) -> str:
        return f"<RedisAddress {self.form} {self.hosts}>"  # login and query may hold secrets

    def url_of(self, host: str, port: int) -> str:
        """Return the address of one server, with login and options."""
        shown = f"[{host}]" if ":" in host else host
        login = f"{self.login}@" if self.login else ""
        query = f"?{self.query}" if self.query else ""
        return f"{'rediss' if self.tls else 'redis'}://{login}{shown}:{port}{query}"


def split_redis_url(url: str) -> RedisAddress:
    """Split the address of TCP servers; raise ``ValueError`` that says what is wrong, not where."""
    scheme, _, rest = url.partition("://")
    plain, _, kind = scheme.partition("+")
    form: Form = "cluster" if kind == "cluster" else "sentinel" if kind else "single"
    parts = _PARTS.fullmatch(rest)
    if parts is None:
        raise ValueError("takes no #fragment")
    login, _, listed = parts[1].rpartition("@")
    if not listed:
        raise ValueError(f"names no host; write {_example(form)}")
    hosts = tuple(_host(each, form) for each in listed.split(","))
    if form == "single" and len(hosts) > 1:
        raise ValueError("names several hosts: write redis+cluster:// or redis+sentinel://")
    service = unquote((parts[2] or "").strip("/"))
    _check_path(form, service)
    if form != "sentinel":
        service = ""
    return RedisAddress(form, plain == "rediss", login, hosts, service, parts[3] or "")


def _host(listed: str, form: Form) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{listed}")
        host, port = parts.hostname, parts.port
    except ValueError as exc:
        raise ValueError("has a bad host or port") from exc
    if not host:
        raise ValueError(f"names no host; write {_example(form)}")
    return host, _PORTS[form] if port is None else port


def _check_path(form: Form, path: str) -> None:
    match form:
        case "single" if path and not path.isdecimal():
            raise ValueError("the part after the host is a database number, as in /0")
        case "cluster" if path not in ("", "0"):
            raise ValueError("a cluster has no other database than 0")
        case "sentinel" if not _SERVICE.fullmatch(path):
            raise ValueError(f"names no service; write {_example(form)}")


def _example(form: Form) -> str:
    match form:
        case "single":
            return "redis://localhost:6379/0"
        case "cluster":
            return "redis+cluster://HOST:6379,HOST:6379"
        case "sentinel":
            return "redis+sentinel://HOST:26379,HOST:26379/SERVICE"
