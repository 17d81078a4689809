"""The word in the settings decides how vectors are kept; what is missing is said at the start."""

from __future__ import annotations

from importlib.util import find_spec
from typing import get_args

import pytest

from kindcache.cache.errors import StartupError
from kindcache.cache.index import choose as module
from kindcache.cache.index.choose import Vectors, choose


@pytest.mark.parametrize(("vectors", "row_bytes"), [("float32", 32), ("float16", 16), ("int8", 12)])
def test_a_row_has_the_bytes_that_the_word_promises(vectors: Vectors, row_bytes: int) -> None:
    assert choose(vectors)(8).row.itemsize == row_bytes


@pytest.mark.parametrize("vectors", get_args(Vectors))
def test_without_the_extra_only_float32_can_be_had(
    vectors: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = {"usearch"}
    monkeypatch.setattr(
        module, "find_spec", lambda name: find_spec(name) if name not in absent else None
    )
    if vectors == "float32":
        assert choose(vectors)(8).dim == 8
    else:
        with pytest.raises(StartupError, match="compact"):
            choose(vectors)
