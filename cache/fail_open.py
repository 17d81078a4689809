"""The one place where the unexpected is caught: a fault of the cache is a miss, never an error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .events import Failed, Observer


@contextmanager
def fail_open(observer: Observer, stage: str) -> Iterator[None]:
    """Run a block; if it raises, count that and go on behind it. Cancellation passes."""
    try:
        yield
    except Exception as exc:  # noqa: BLE001 - invariant: the cache never breaks the application
        observer.notify(Failed(stage, type(exc).__name__))
