"""Remembers the vectors of recent texts."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b

from ..ports import Embedder, Vector


class Memo:
    """An ``Embedder`` that asks ``inner`` only for texts it has not seen lately.

    Keeps the ``entries`` most recently used texts; 0 keeps none. An entry costs about 2.0 KB at 384
    dimensions (1,536 bytes of vector, the rest is the array, the key and the table): 40 MB for the
    default of 20,000. Keys are 32-byte hashes: no text is kept. That a text does not fit the window
    is remembered too, failures are not. The vectors are shared and read-only.
    """

    def __init__(self, inner: Embedder, entries: int) -> None:
        self.hits = 0
        self.misses = 0
        self._inner = inner
        self._entries = entries
        self._vectors: OrderedDict[bytes, Vector | None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._vectors)

    @property
    def identity(self) -> str:
        """Return the identity of the encoder behind it."""
        return self._inner.identity

    @property
    def dim(self) -> int:
        """Return the length of the vectors."""
        return self._inner.dim

    async def embed(self, text: str) -> Vector | None:
        """Return the vector of ``text``; raises what the inner embedder raises."""
        key = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=32).digest()
        if key in self._vectors:
            self.hits += 1
            self._vectors.move_to_end(key)
            return self._vectors[key]
        self.misses += 1
        vector = await self._inner.embed(text)
        self._remember(key, vector)
        return vector

    def _remember(self, key: bytes, vector: Vector | None) -> None:
        if vector is not None:
            vector.setflags(write=False)
        self._vectors[key] = vector
        self._vectors.move_to_end(key)
        while len(self._vectors) > self._entries:
            self._vectors.popitem(last=False)

    def forget(self) -> None:
        """Forget every text; whose each was is not known."""
        self._vectors.clear()

    async def open(self) -> None:
        """Open the inner embedder."""
        await self._inner.open()

    async def aclose(self) -> None:
        """Close the inner embedder and forget everything."""
        self._vectors.clear()
        await self._inner.aclose()
