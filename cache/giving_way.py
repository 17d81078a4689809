"""Lets threads that compute give way to the event loop, where one core has to do for both."""

from __future__ import annotations

import contextlib
import os
import sys
import threading

# The loop takes microseconds a request, a model a millisecond. At the same priority an exact hit
# waits for the end of a model's turn. But a thread gives way to all that runs on the machine, not
# to its own loop alone: ten steps leave it a tenth of a core that somebody else keeps busy, and a
# question waits out its deadline; five leave it a quarter. `bench/priority.py` measures both.
NICER = 5  # models: a caller waits for them
NOBODY_WAITS = 10  # building a graph: its rows serve meanwhile


def give_way(by: int = NICER) -> None:
    """Lower the priority of the calling thread, where the system knows one by thread (Linux)."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # forbidden to us: then it stays as it is
            thread = threading.get_native_id()
            now = os.getpriority(os.PRIO_PROCESS, thread)
            os.setpriority(os.PRIO_PROCESS, thread, now + by)
