"""Mounting the middleware costs an application little at start, and nothing it may not need."""

from __future__ import annotations

import subprocess
import sys

MOST = 0.5  # of what `asyncio` and `logging` take, which any server loads; 0.15 when this was set
ATTEMPTS = 15
OWN = frozenset({"kindcache", "starlette"})
MEASURE = """
import sys, time
import starlette
before = set(sys.modules)
began = time.perf_counter()
import asyncio, logging
loaded = time.perf_counter()
import kindcache.adapters.middleware
print((time.perf_counter() - loaded) / (loaded - began))
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
"""


def run() -> tuple[float, frozenset[str]]:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE], check=True, capture_output=True, text=True, timeout=60
    )
    share, loaded = done.stdout.splitlines()
    return float(share), frozenset(loaded.split())


def test_importing_the_middleware_loads_no_other_package() -> None:
    _, loaded = run()
    assert "kindcache" in loaded
    assert loaded - sys.stdlib_module_names == OWN & loaded


def test_importing_the_middleware_is_quick() -> None:
    # The least of several: other processes can only make an import slower.
    least = float("inf")
    for _ in range(ATTEMPTS):
        least = min(least, run()[0])
        if least < MOST:
            break
    assert least < MOST


def test_a_cache_loads_no_http_client_and_no_model_library_before_it_needs_one() -> None:
    heavy = "aiohttp hnswlib onnx onnxruntime re2 redis tokenizers torch transformers usearch"
    loads = f"import sys, kindcache.adapters.build; print(*{set(heavy.split())} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", loads], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == []
