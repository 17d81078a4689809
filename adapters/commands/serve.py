"""``kindcache serve``: the proxy as a process, or as several."""

from __future__ import annotations

import contextlib
import gc
import time

import uvicorn

from ..demo.model import MODEL
from ..proxy import Proxy
from .server import ServeOptions, prepare, read_settings, say, server_config, try_it


class Announcing(uvicorn.Server):
    """A server that says when it is ready, and how to try it."""

    def __init__(self, config: uvicorn.Config, lines: list[str], started_s: float) -> None:
        super().__init__(config)
        self._lines = lines
        self._started_s = started_s

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Start, then print what a person needs to know."""
        try:
            await super().startup(sockets)  # type: ignore[arg-type]
        finally:
            gc.enable()
        if self.started:
            say(f"ready after {time.perf_counter() - self._started_s:.1f} s. Try:")
            for line in self._lines:
                print(line, flush=True)


def serve(options: ServeOptions, started_s: float) -> int:
    """Serve until stopped; return the exit code. Raises ``ConfigError`` and ``StartupError``."""
    if options.workers > 1:
        from ..workers.parent import serve_with_workers  # noqa: PLC0415 - only where asked for

        return serve_with_workers(options, started_s)
    gc.disable()  # until it has started: what is being loaded stays, and looking costs 40 ms
    settings, app, upstream = prepare(options)
    # What is loaded at the start stays. A full collection would walk through all of it, 34 ms with
    # the libraries alone, in which nobody is answered. Answers hold no cycles, so that those which
    # leave are freed all the same.
    proxy = Proxy(
        app,
        settings,
        upstream=upstream,
        report=say,
        when_loaded=gc.freeze,
        source=lambda: read_settings(options)[0],
    )
    lines = try_it(options, demo=upstream == MODEL)
    server = Announcing(server_config(proxy, options), lines, started_s)
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    return 0 if server.started else 1
