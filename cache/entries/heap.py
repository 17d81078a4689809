"""Memory that was freed goes back to the system."""

from __future__ import annotations

import sys


def give_back() -> None:
    """Return freed memory to the system, where the C library offers that.

    glibc keeps what was freed below what is still in use, and up to 64 MiB at the top: after
    30,000 entries came in, as much again as they take. Some milliseconds, in any thread.
    """
    if sys.platform != "linux":
        return
    import ctypes  # noqa: PLC0415 - needed once or twice in a process's life

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
