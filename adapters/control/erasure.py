"""What an operator says of whose answers are to be erased: the headers that a caller sends."""

from __future__ import annotations

from typing import Any

from ...cache.asking.scope import CREDENTIAL_HEADERS, Scoping
from ...cache.removing.subject import ANY, Subject

SHAPE = (
    'the body must be {"headers": {"authorization": "Bearer …"}}: the credential headers of a call'
    ' whose answers are to be erased; perhaps with "user" or "namespace" as the call had them'
)


class NoSubject(Exception):
    """The body does not say whose; the message does, without what it held."""


def subject_of(asked: Any, scoping: Scoping) -> Subject:
    """Return whose answers ``asked``, a parsed body, speaks of. Raises ``NoSubject``."""
    if not isinstance(asked, dict) or not asked.keys() <= {"headers", "user", "namespace"}:
        raise NoSubject(SHAPE)
    headers = asked.get("headers")
    user, namespace = asked.get("user", ""), asked.get("namespace", "")
    if not isinstance(headers, dict) or not all(
        isinstance(part, str) for part in (user, namespace, *headers, *headers.values())
    ):
        raise NoSubject(SHAPE)
    try:
        given = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    except UnicodeEncodeError as exc:  # half a pair of surrogates, which no caller can send
        raise NoSubject(SHAPE) from exc
    unknown = [name.decode() for name, _ in given if name not in _telling(scoping)]
    if unknown:
        raise NoSubject(f"no scope depends on the header {unknown[0]!r}; {_known(scoping)}")
    principal = scoping.principal(given)
    if principal is None:
        raise NoSubject(f"these headers name nobody; {_known(scoping)}")
    return Subject(
        principal,
        scoping.name(b"user", principal, user) or ANY,
        scoping.name(b"namespace", principal, namespace) or ANY,
    )


def _telling(scoping: Scoping) -> frozenset[bytes]:
    if scoping.by == "credential":
        return CREDENTIAL_HEADERS
    named = scoping.by.partition(":")[2].lower().encode()
    return frozenset({named}) if named else frozenset()


def _known(scoping: Scoping) -> str:
    names = sorted(name.decode() for name in _telling(scoping))
    return f"known here: {', '.join(names) or 'none, as all callers share'}"
