"""Logs and policies of these tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

START_S = 1_700_000_000.0

POLICY = """\
embedder: {runtime: hashing}
judge: {scorer: none}
defaults: {similarity_threshold: 0.8, ttl: 1h}
categories:
  secret:
    match: {pattern: salary}
    cache: false
  prices:
    match: {pattern: price}
    ttl: 60s
    stale_while_revalidate: 60s
"""


def line(after_s: float, prompt: str, **fields: Any) -> dict[str, Any]:
    """Return a line of a log; ``after_s`` its start."""
    return {"time": START_S + after_s, "prompt": prompt, "principal": "alice", **fields}


def write(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    return path
