"""What starting the proxy leaves behind."""

from __future__ import annotations

import gc
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from kindcache.adapters.commands.serve import Announcing

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _collecting() -> Iterator[None]:
    gc.disable()  # as while things are loaded
    yield
    gc.enable()


async def app(_scope: Any, _receive: Any, _send: Any) -> None:
    return


def announcing(port: int) -> Announcing:
    config = uvicorn.Config(app, port=port, lifespan="off", log_level="critical")
    config.load()
    server = Announcing(config, ["curl it"], 0.0)
    server.lifespan = config.lifespan_class(config)
    return server


async def test_garbage_is_collected_once_it_has_started(
    capsys: pytest.CaptureFixture[str],
) -> None:
    server = announcing(0)
    await server.startup()
    assert gc.isenabled()
    await server.shutdown()
    assert "curl it" in capsys.readouterr().out


async def test_garbage_is_collected_after_a_start_that_failed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit):
        await announcing(taken.getsockname()[1]).startup()
    assert gc.isenabled()
