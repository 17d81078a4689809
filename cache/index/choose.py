"""From the settings' word for how vectors are kept to what keeps them."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Literal

from ..errors import StartupError
from .coding import Coding
from .float16 import Float16
from .float32 import Float32
from .int8 import Int8

Vectors = Literal["float32", "float16", "int8"]
_NEEDED = ("usearch", "numkong")
_CODINGS: dict[Vectors, Callable[[int], Coding]] = {
    "float32": Float32,
    "float16": Float16,
    "int8": Int8,
}


def choose(vectors: Vectors) -> Callable[[int], Coding]:
    """Return what makes the coding for a number of dimensions.

    Raises ``StartupError`` when a package is missing that it needs.
    """
    if vectors != "float32" and not all(map(find_spec, _NEEDED)):
        raise StartupError(f"vectors: {vectors} needs usearch: pip install 'kindcache[compact]'")
    return _CODINGS[vectors]
