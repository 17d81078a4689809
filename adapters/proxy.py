"""The standalone proxy: the middleware around an upstream app, and the probes beside it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from .asgi import App, Receive, Scope, Send, respond
from .middleware import KindcacheMiddleware
from .observers.prometheus import CONTENT_TYPE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..config.settings import Settings
    from .build import Report, Service
    from .workers.together import Together

PROBES = frozenset({"/healthz", "/readyz", "/metrics"})


class Proxy:
    """``/healthz``, ``/readyz`` and ``/metrics`` are its own; all else goes through the cache.

    ``when_loaded`` is called once, when all that the store has is in memory. ``source`` reads the
    settings anew, on SIGHUP and for the admin call. ``together`` answers for all where this is one
    of several workers; without ``snapshots`` it writes none.
    """

    def __init__(
        self,
        app: App,
        settings: Settings,
        *,
        upstream: str,
        report: Report | None = None,
        when_loaded: Callable[[], None] | None = None,
        source: Callable[[], Settings] | None = None,
        together: Together | None = None,
        snapshots: bool = True,
    ) -> None:
        def make(settings: Settings, app: App, upstream: str) -> Service:
            from .build import build, silent  # noqa: PLC0415 - loads everything

            service = build(
                settings, app, upstream=upstream, report=report or silent, snapshots=snapshots
            )
            service.lifecycle.when_loaded = when_loaded
            return service

        self._together = together
        self.cached = KindcacheMiddleware(
            app,
            settings,
            upstream=upstream,
            build=make,
            source=source,
            sighup=source is not None,
            together=together,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope."""
        if scope["type"] == "http" and scope["path"] in PROBES and scope["method"] == "GET":
            await self._probe(scope["path"], send)
        else:
            await self.cached(scope, receive, send)

    async def _probe(self, path: str, send: Send) -> None:
        service = self.cached.service
        if path == "/healthz":
            await respond(send, 200, b'{"status": "ok"}', [])
        elif path == "/metrics":
            text = b"" if service is None else await self._metrics(service)
            await respond(send, 200, text, [], CONTENT_TYPE)
        elif service is None:
            await respond(send, 503, b'{"status": "starting"}', [])
        else:  # stays 200 when degraded: a store that is away must not empty a fleet
            told: Mapping[str, object] = service.lifecycle.health()
            if self._together is not None:
                told = await self._together.health(told)
            await respond(send, 200, json.dumps(told).encode(), [])

    async def _metrics(self, service: Service) -> bytes:
        if self._together is not None:
            return await self._together.metrics()
        return service.metrics.exposition()
