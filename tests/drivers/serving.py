"""Run an ASGI app under a real uvicorn, in a thread, on a free port of 127.0.0.1."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import uvicorn

from .gate import Gate


@dataclass(frozen=True)
class Served:
    """A running server. `url` has no path: `http://127.0.0.1:43215`."""

    url: str
    port: int


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = Gate("server start")

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.open()


@contextmanager
def serve(
    app: Any, *, loop: Literal["asyncio", "uvloop"] = "asyncio", graceful_s: int = 2
) -> Iterator[Served]:
    """Serve `app`, its lifespan included, until the block ends; both take well under a second.

    Requests that are still running then get `graceful_s` seconds before they are cancelled.
    `Server` and `Date` are left to the app, so that headers can be compared.
    """
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    port = listener.getsockname()[1]
    config = uvicorn.Config(
        app,
        loop=loop,
        http="httptools",
        ws="none",
        interface="asgi3",
        proxy_headers=False,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=graceful_s,
    )
    server = _Server(config)
    failure: list[BaseException] = []

    def work() -> None:
        try:
            with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
                runner.run(server.serve(sockets=[listener]))
        except BaseException as exc:  # noqa: BLE001 - reported by the thread that started us
            failure.append(exc)
        finally:
            server.ready.open()

    thread = threading.Thread(target=work, name=f"serve-{port}", daemon=True)
    thread.start()
    server.ready.wait()
    try:
        assert server.started, f"the app did not start: {failure or 'lifespan failed'}"
        yield Served(url=f"http://127.0.0.1:{port}", port=port)
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
    assert not thread.is_alive(), "the server did not stop"
    if failure:
        raise failure[0]
