"""An answer as bytes that are ready to be sent, but for its id: that is new each time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Form(NamedTuple):
    """What decides about the bytes of an answer, besides the answer."""

    dialect: str
    stream: bool
    usage: bool


@dataclass(frozen=True, slots=True)
class Rendering:
    """What stands before, between and behind the places of the id."""

    pieces: tuple[bytes, ...]

    def under(self, name: bytes) -> bytes:
        """Return the bytes with the id ``name``."""
        return name.join(self.pieces)

    @property
    def size_bytes(self) -> int:
        """Return how much room it takes, the objects around the bytes left out."""
        return sum(map(len, self.pieces))


def rendering(data: bytes, name: bytes) -> Rendering:
    """Take the id ``name`` out of ``data``, which must not hold it anywhere else."""
    return Rendering(tuple(data.split(name)))
