"""Fixtures for the adapters' tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.drivers import ScriptedUpstream


@pytest.fixture(scope="module")
def shared_upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as upstream:
        yield upstream


@pytest.fixture
def upstream(shared_upstream: ScriptedUpstream) -> ScriptedUpstream:
    shared_upstream.reset()
    return shared_upstream
