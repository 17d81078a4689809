"""One scripted upstream per module; each test finds it as new."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.drivers import ScriptedUpstream


@pytest.fixture(scope="module")
def _server() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as server:
        yield server


@pytest.fixture
def upstream(_server: ScriptedUpstream) -> ScriptedUpstream:
    _server.reset()
    return _server
