"""Whose category header and header rules count."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from ...policies.facts import Origin
from ..asgi import Scope, header

NOBODY = Origin()
TOKEN_HEADER = b"x-cache-token"


class Trust:
    """Tells trusted callers by their address or by a token."""

    def __init__(self, peers: Sequence[str], token: str) -> None:
        self._networks: list[IPv4Network | IPv6Network] = [
            ip_network(peer, strict=False) for peer in peers
        ]
        self._token = token.encode()

    def origin(self, scope: Scope) -> Origin:
        """Return what policies may know of the caller; nothing unless it is trusted."""
        if not self._networks and not self._token:
            return NOBODY
        headers = scope["headers"]
        if not (self._by_token(headers) or self._by_address(scope.get("client"))):
            return NOBODY
        return Origin({key.decode("latin-1"): value.decode("latin-1") for key, value in headers})

    def _by_token(self, headers: Sequence[tuple[bytes, bytes]]) -> bool:
        given = header(headers, TOKEN_HEADER)
        return bool(self._token) and given is not None and hmac.compare_digest(given, self._token)

    def _by_address(self, client: Sequence[object] | None) -> bool:
        if not self._networks or not client:
            return False
        try:
            address = ip_address(str(client[0]))
        except ValueError:  # a Unix socket's peer, or a test client's name
            return False
        return any(address in network for network in self._networks)
