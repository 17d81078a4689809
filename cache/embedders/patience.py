"""A word now and then while something takes long, so that nobody takes it for dead."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EVERY_S = 5.0


@contextmanager
def still(doing: str, report: Callable[[str], None], every_s: float = EVERY_S) -> Iterator[None]:
    """Report that it is still ``doing`` something, and for how long, until left.

    ``report`` is called from a thread of its own, which has ended when this returns.
    """
    over = threading.Event()
    began_s = time.monotonic()

    def remind() -> None:
        while not over.wait(every_s):
            report(f"Still {doing} ({time.monotonic() - began_s:.0f} s).")

    thread = threading.Thread(target=remind, name="kindcache-patience", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
