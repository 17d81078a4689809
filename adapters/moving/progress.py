"""How far a move is, on stderr where that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Told(Protocol):
    """Is told how far things are."""

    def __call__(self, done: int, /) -> None:
        """Show ``done`` of the total: bytes read, or entries written."""
        ...


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Told]:
    """Show a bar; ``total`` None = not known."""
    if not sys.stderr.isatty():
        yield _silent
        return
    from rich.console import Console  # noqa: PLC0415 - only where somebody looks
    from rich.progress import Progress  # noqa: PLC0415

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)

        def told(done: int) -> None:
            bar.update(task, completed=done)

        yield told


def _silent(_done: int) -> None:
    """Show nothing."""
