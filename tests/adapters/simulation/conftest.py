"""Fixtures of these tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kindcache.adapters.simulation.figures import PolicyReport, report
from kindcache.adapters.simulation.known_models import KnownModels
from kindcache.adapters.simulation.replaying import Replayed, replay
from kindcache.adapters.simulation.request_log import RequestLog, read_log
from kindcache.adapters.simulation.virtual_time import run
from kindcache.config.load import loads
from tests.adapters.simulation.logs import POLICY, write

Simulate = Callable[..., tuple[RequestLog, Replayed, PolicyReport]]


@pytest.fixture
def simulate(tmp_path: Path) -> Simulate:
    """Replay lines under a policy; return the log, what happened, and the report."""

    def replayed(
        lines: list[dict[str, Any]], policy: str = POLICY, *, under_load: bool = False
    ) -> tuple[RequestLog, Replayed, PolicyReport]:
        log = read_log(write(tmp_path / "log.jsonl", lines))
        with KnownModels({}, print) as models:
            settings = loads(policy, "policy.yaml")
            made = run(replay(log, settings, models, {}, under_load=under_load))
        return log, made, report("policy.yaml", log.requests, made)

    return replayed
