"""The one place where the unexpected is caught: a fault of the cache is a miss, never an error."""

from __future__ import annotations

from types import TracebackType

from .events import Failed, Observer


class fail_open:  # noqa: N801 - reads as a verb: with fail_open(observer, "lookup")
    """Run a block; if it raises, count that and go on behind it. Cancellation passes.

    A class rather than a generator: it is entered at every request, and costs a third of one.
    """

    __slots__ = ("_observer", "_stage")

    def __init__(self, observer: Observer, stage: str) -> None:
        self._observer = observer
        self._stage = stage

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Swallow what is not an order to stop: the cache never breaks the application."""
        if not isinstance(exc, Exception):
            return False
        self._observer.notify(Failed(self._stage, type(exc).__name__))
        return True
