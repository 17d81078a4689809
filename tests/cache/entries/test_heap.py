"""What is freed below something that stays is resident no more."""

from __future__ import annotations

import ctypes
import sys

import psutil

from kindcache.cache.entries.heap import give_back

COUNT, EACH = 3000, 64 * 1024


def test_freed_memory_is_given_back() -> None:
    process = psutil.Process()
    blocks = [bytearray(EACH) for _ in range(COUNT)]
    top = bytearray(EACH)
    del blocks
    before = process.memory_info().rss
    give_back()
    freed = before - process.memory_info().rss
    assert top is not None
    can = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "malloc_trim")
    assert freed >= 0.9 * COUNT * EACH or not can
