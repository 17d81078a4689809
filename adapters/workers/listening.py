"""The sockets that all workers accept from.

They share one descriptor. With a socket each (``SO_REUSEPORT``) the system deals connections out by
a hash, whoever is free: those of a worker that died are lost with its queue, and those dealt to one
that is busy or being restarted wait for it.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import ExitStack

from ...cache.errors import StartupError

BACKLOG = 2048


def listen(host: str, port: int) -> Sequence[socket.socket]:
    """Listen on all addresses of ``host``. Raises ``StartupError``."""
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        with ExitStack() as opened:
            sockets = []
            for family, _, _, _, address in dict.fromkeys(found):
                sockets.append(opened.enter_context(_listening(family, address)))
            opened.pop_all()
            return sockets
    except OSError as exc:
        raise StartupError(f"cannot listen on {host}:{port}: {exc.strerror or exc}") from exc


def _listening(family: int, address: tuple[str | int | bytes, ...]) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        made.listen(BACKLOG)
        made.setblocking(False)
    except OSError:
        made.close()
        raise
    return made
