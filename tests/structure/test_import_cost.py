"""Mounting the middleware costs an application little at start, and nothing it may not need."""

from __future__ import annotations

import subprocess
import sys

LIMIT_MS = 150
ATTEMPTS = 15
HEAVY = frozenset(
    "hnswlib onnx onnxruntime pydantic redis sentence_transformers tokenizers torch "
    "transformers".split()
)
MEASURE = """
import sys, time
import starlette
before = set(sys.modules)
began = time.perf_counter()
import kindcache.adapters.middleware
print((time.perf_counter() - began) * 1000)
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
"""


def run() -> tuple[float, frozenset[str]]:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE], check=True, capture_output=True, text=True, timeout=60
    )
    spent_ms, loaded = done.stdout.splitlines()
    return float(spent_ms), frozenset(loaded.split())


def test_importing_the_middleware_loads_nothing_heavy() -> None:
    _, loaded = run()
    assert "kindcache" in loaded
    assert loaded & HEAVY == frozenset()


def test_importing_the_middleware_is_quick() -> None:
    # The least of several: other processes can only make an import slower.
    fastest_ms = float("inf")
    for _ in range(ATTEMPTS):
        fastest_ms = min(fastest_ms, run()[0])
        if fastest_ms < LIMIT_MS:
            break
    assert fastest_ms < LIMIT_MS
