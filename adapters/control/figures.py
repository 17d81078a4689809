"""What a running cache knows, as ``GET /_cache/stats`` says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...cache.engine import Engine
from ...cache.lifecycle import Lifecycle


def figures(engine: Engine, lifecycle: Lifecycle) -> Mapping[str, Any]:
    """Return the figures of this process."""
    table, economics = engine.memory.table, engine.economics
    return {
        **lifecycle.health(),
        "entries_by_category": table.count_by_category(),
        "stored_bytes": table.size_bytes,
        "writes_waiting": engine.memory.writer.waiting,
        "evidence": engine.evidence.summary(),
        "economics": {} if economics is None else economics.summary(),
    }
