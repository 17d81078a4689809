"""The encoder for tests is deterministic and knows nearness by spelling."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from kindcache.cache.embedders.hashing import HashingEncoder

SUM = (
    "from kindcache.cache.embedders.hashing import HashingEncoder;"
    "print(HashingEncoder(16).encode(['a stable text']).vectors.tobytes().hex())"
)


def test_another_process_gives_the_same_vector() -> None:
    here = HashingEncoder(16).encode(["a stable text"]).vectors.tobytes().hex()
    there = subprocess.run([sys.executable, "-c", SUM], check=True, capture_output=True, text=True)
    assert there.stdout.strip() == here


def test_the_window_counts_words() -> None:
    encoder = HashingEncoder(64, window=3)
    assert encoder.encode(["one two three", "one two three four", "", "!"]).fits.tolist() == [
        True,
        False,
        False,
        True,
    ]


def test_rows_are_normalised_and_in_order() -> None:
    texts = ["alpha beta", "gamma", "alpha beta"]
    vectors = HashingEncoder(64).encode(texts).vectors
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)
    np.testing.assert_array_equal(vectors[0], vectors[2])
    assert float(vectors[0] @ vectors[1]) < 0.5


def test_the_identity_names_the_dimension() -> None:
    assert HashingEncoder(64).identity != HashingEncoder(65).identity
