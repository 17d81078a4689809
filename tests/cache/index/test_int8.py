"""What is lost in a byte a dimension: never a similarity above the true one, and little below."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kindcache.cache.index.coding import Coding
from kindcache.cache.index.float16 import Float16
from kindcache.cache.index.int8 import Int8
from kindcache.cache.ports import Matrix, Vector

from .vectors import normalised, paraphrases, prompts

CODINGS: dict[str, type[Int8 | Float16]] = {"int8": Int8, "float16": Float16}


def _stated(coding: Coding, rows: Matrix, query: Vector) -> dict[int, float]:
    labels = np.arange(len(rows), dtype=np.int64)
    return dict(coding.nearest(coding.encode(rows), labels, query, len(rows)))


def _true(rows: Matrix, query: Vector) -> list[float]:
    similarities: list[float] = (rows.astype(np.float64) @ query.astype(np.float64)).tolist()
    return similarities


@pytest.mark.parametrize("kind", CODINGS)
@settings(deadline=None, max_examples=300)
@given(data=st.data(), dim=st.integers(1, 24), length=st.floats(0.0, 1.009))
def test_no_similarity_is_stated_above_the_true_one(
    kind: str, data: st.DataObject, dim: int, length: float
) -> None:
    # Anything but prompts: a few large components, tiny ones, zeros, vectors of any length.
    component = st.floats(-1, 1, width=32, allow_subnormal=False) | st.sampled_from([0.0, 1e-6])
    drawn = data.draw(arrays(np.float32, (6, dim), elements=component))
    lengths = np.linalg.norm(drawn, axis=1, keepdims=True)
    unit = (drawn / np.maximum(lengths, 1e-20)).astype(np.float32)
    rows = (unit * np.float32(length)).astype(np.float32)
    for query in (*unit[:2], -unit[0], rows[3]):
        stated = _stated(CODINGS[kind](dim), rows, query)
        for label, true in enumerate(_true(rows, query)):
            assert stated[label] <= max(true, -1.0) + 1e-7


@pytest.mark.parametrize(
    ("coding", "most", "mean"), [(Int8(384), 0.006, 0.004), (Float16(384), 0.0011, 0.0006)]
)
def test_little_is_lost_of_vectors_like_those_of_prompts(
    coding: Coding, most: float, mean: float
) -> None:
    rows = prompts(500, 384)
    lost = []
    for label, query in enumerate(paraphrases(rows)[:200]):
        stated = _stated(coding, rows, query)
        lost.append(_true(rows, query)[label] - stated[label])
        assert next(iter(stated)) == int(np.argmax(_true(rows, query)))
    assert min(lost) >= 0
    assert max(lost) < most
    assert np.mean(lost) < mean


@pytest.mark.parametrize("kind", CODINGS)
def test_the_few_best_of_many_are_those_a_full_comparison_finds(kind: str) -> None:
    coding, rows = CODINGS[kind](48), prompts(2000, 48)
    labels = np.arange(len(rows), dtype=np.int64)
    encoded = coding.encode(rows)
    for query in paraphrases(rows)[::100]:
        few, all_of_them = (coding.nearest(encoded, labels, query, k) for k in (5, 2000))
        assert few == all_of_them[:5]


@pytest.mark.parametrize("kind", CODINGS)
def test_a_vector_that_is_nothing_is_near_to_nothing(kind: str) -> None:
    rows = np.vstack((np.zeros((1, 16), dtype=np.float32), prompts(1, 16)))
    stated = _stated(CODINGS[kind](16), rows, rows[1])
    assert stated[0] == pytest.approx(0.0, abs=0.001)
    assert stated[0] <= 0.0
    assert stated[1] > 0.99


def test_an_opposite_is_not_stated_too_near() -> None:
    rows = normalised(np.random.default_rng(4).standard_normal((200, 384)))
    for row in rows[:50]:
        stated = _stated(Int8(384), np.stack((-row, row)), row)
        assert stated[0] <= -1.0 + 1e-6
        assert stated[1] > 0.9995
