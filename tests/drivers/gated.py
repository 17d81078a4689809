"""An encoder that waits at a gate, so that tests decide when it works."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from kindcache.cache.ports import Encoded, Encoder

PATIENCE_S = 20.0


class GatedEncoder:
    """Passes on to ``inner`` while the gate is open; records the batches it was given."""

    def __init__(self, inner: Encoder) -> None:
        self.identity = inner.identity
        self.dim = inner.dim
        self.window = inner.window
        self.batches: list[list[str]] = []
        self.entered = threading.Semaphore(0)  # one more for every batch that has arrived
        self.gate = threading.Event()
        self.gate.set()
        self._inner = inner

    def encode(self, texts: Sequence[str]) -> Encoded:
        self.batches.append(list(texts))
        self.entered.release()
        assert self.gate.wait(PATIENCE_S)
        return self._inner.encode(texts)
