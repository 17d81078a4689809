"""``KindcacheMiddleware``: the cache in front of any ASGI app.

Importing this module costs next to nothing: everything heavy is loaded when the cache starts.
"""

from __future__ import annotations

import asyncio
import logging
import os
from functools import partial
from typing import TYPE_CHECKING

from .asgi import App, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..config.settings import Settings
    from .build import Service
    from .control.admin import Admin
    from .control.reloading import Reloaded, Reloading
    from .control.sighup import OnSighup
    from .workers.together import Together

CONFIG_VARIABLE = "KINDCACHE_CONFIG"
DISABLED_VARIABLE = "KINDCACHE_DISABLED"
START_DEADLINE_S = 30.0  # a request waits this long for a start that no lifespan event caused


class KindcacheMiddleware:
    """Answer from the cache, or let ``app`` answer and keep what it says.

    ``config`` is a policy file or ready settings; without it the file that ``KINDCACHE_CONFIG``
    names, else the shipped one. ``upstream`` identifies what answers behind ``app``, where several
    caches share a store. The cache starts with the server's lifespan, where a configuration that
    cannot work raises; without a lifespan it starts on the first request, and such a configuration
    is logged and everything passes through.

    ``source`` reads the settings anew for ``reload``; without it the file is read again. With
    ``sighup`` that signal reloads it too, where the application leaves it to us. ``together`` is
    for a process that is one of several workers.
    """

    def __init__(
        self,
        app: App,
        config: str | Path | Settings | None = None,
        *,
        upstream: str = "app",
        build: Callable[[Settings, App, str], Service] | None = None,
        source: Callable[[], Settings] | None = None,
        sighup: bool = False,
        together: Together | None = None,
    ) -> None:
        self.app = app
        self._config = config
        self._source = source if source is not None else _source(config)
        self._sighup = sighup
        self._together = together
        self._on_sighup: OnSighup | None = None
        self._reloading: Reloading | None = None
        self._upstream = upstream
        self._build = build or _build
        self._disabled = os.environ.get(DISABLED_VARIABLE, "") not in {"", "0"}
        self._starting: asyncio.Task[Service] | None = None
        self._admin: Admin | None = None
        self._refused = False
        self.service: Service | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope."""
        if self._disabled or scope["type"] == "websocket":
            await self.app(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        elif self.service is not None and (asked := self.service.responder.dialect_for(scope)):
            await self.service.responder.respond(asked, scope, receive, send)
        else:
            await self._http(scope, receive, send)

    async def open(self) -> Service:
        """Start the cache, once. Raises ``StartupError`` or ``ConfigError``."""
        if self.service is None:
            if self._starting is None:
                self._starting = asyncio.create_task(self._open())
            try:
                self.service = await asyncio.shield(self._starting)
            finally:
                if self._starting is not None and self._starting.done():
                    self._starting = None
        return self.service

    async def reload(self, settings: Settings | None = None) -> Reloaded:
        """Put another policy in force: ``settings``, or what the file says now.

        Starts the cache if it has not started. Raises ``ReloadRefused``, and nothing has changed.
        """
        await self.open()
        assert self._reloading is not None
        return await self._reloading.reload(settings)

    async def aclose(self) -> None:
        """Stop the cache; queued writes are finished first."""
        if self._on_sighup is not None:
            await self._on_sighup.aclose()
        service, self.service = self.service, None
        if service is not None:
            if self._together is not None:
                await self._together.aclose()
            await service.lifecycle.aclose()

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        service = self.service or await self._start_late()
        if service is None:
            await self.app(scope, receive, send)
            return
        dialect = service.responder.dialect_for(scope)
        if dialect is not None:
            await service.responder.respond(dialect, scope, receive, send)
        elif service.feedback is not None and scope["path"] == service.feedback.path:
            await service.feedback(scope, receive, send)
        elif self._admin is not None and scope["path"].startswith("/_cache/"):
            await self._admin(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _start_late(self) -> Service | None:
        from ..cache.errors import KindcacheError  # noqa: PLC0415

        if self._refused:
            return None
        try:
            async with asyncio.timeout(START_DEADLINE_S):
                return await self.open()
        except TimeoutError:
            return None  # it goes on starting; until it has, the app answers
        except (KindcacheError, ValueError) as exc:
            if not self._refused:
                _logger().error("not started, everything passes: %s", exc)
            self._refused = True
            return None

    async def _open(self) -> Service:
        from .control.reloading import Reloading  # noqa: PLC0415 - loads what the start loads
        from .control.sighup import OnSighup  # noqa: PLC0415

        settings = _settings(self._config)
        service = self._build(settings, self.app, self._upstream)
        self._reloading = reloading = Reloading(service.lifecycle, settings, self._source)
        if service.admin_token:
            from .control.admin import Admin  # noqa: PLC0415 - loaded only where it is on

            self._admin = Admin(
                service.engine,
                service.lifecycle,
                service.admin_token,
                reloading.reload,
                self._together,
            )
        await service.lifecycle.open()
        if self._sighup:
            self._on_sighup = OnSighup(reloading.reload_quietly)
            self._on_sighup.start()
        if self._together is not None:
            await self._together.open(service, reloading)
        return service

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def arriving() -> Message:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self.open()
            elif message["type"] == "lifespan.shutdown" and self.service is not None:
                await self.service.lifecycle.end_background()  # while the app can still be called
            return message

        async def ending(message: Message) -> None:
            if message["type"].startswith("lifespan.shutdown"):
                await self.aclose()
            await send(message)

        try:
            await self.app(scope, arriving, ending)
        finally:
            await self.aclose()


def _logger() -> logging.Logger:
    return logging.getLogger("kindcache")


def _settings(config: str | Path | Settings | None) -> Settings:
    from pathlib import Path  # noqa: PLC0415

    from ..config.load import default_path, load  # noqa: PLC0415 - loads pydantic

    if config is None:
        config = os.environ.get(CONFIG_VARIABLE) or default_path()
    return load(Path(config)) if isinstance(config, (str, Path)) else config


def _source(config: str | Path | Settings | None) -> Callable[[], Settings] | None:
    """Return what reads the file again; None for settings that came ready made."""
    if config is None or isinstance(config, (str, os.PathLike)):
        return partial(_settings, config)
    return None


def _build(settings: Settings, app: App, upstream: str) -> Service:
    from .build import build  # noqa: PLC0415 - loads everything

    # Steps that may take many seconds, the export of a model above all: they are to be seen.
    return build(settings, app, upstream=upstream, report=_logger().warning)
