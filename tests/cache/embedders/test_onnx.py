"""The exported default model: close to the original, independent of batches, free of torch."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest

from kindcache.cache.embedders import artefact
from kindcache.cache.embedders.onnx import OnnxEncoder
from kindcache.cache.embedders.shelf import obtain
from kindcache.cache.errors import StartupError
from tests.drivers import models

TEXTS = [
    "How do I cancel my order number 12345?",
    "yes",
    "Write a Python function that reverses a linked list in place.",
    "Which side effects does ibuprofen have when it is taken every day?",
    "word " * 250,
    "What is the capital of France?",
    "What is the capital of Canada?",
]

LOAD = """
import sys
from pathlib import Path
from kindcache.cache.embedders.onnx import load
said = []
encoder = load(sys.argv[1], "onnx-int8", Path(sys.argv[2]), said.append)
assert encoder.encode(["a text"]).fits[0]
assert said == [], said
print(sorted({"torch", "transformers", "sentence_transformers"} & set(sys.modules)))
"""


def test_the_vector_of_a_text_does_not_depend_on_its_batch_mates() -> None:
    encoder = models.onnx_int8()
    together = encoder.encode(TEXTS).vectors
    for text, vector in zip(TEXTS, together, strict=True):
        np.testing.assert_array_equal(encoder.encode([text]).vectors[0], vector)


def test_int8_stays_close_to_the_original() -> None:
    exported = models.onnx_int8().encode(TEXTS)
    original = models.sentence().encode(TEXTS)
    np.testing.assert_array_equal(exported.fits, original.fits)
    cosines = (exported.vectors * original.vectors).sum(axis=1)
    assert cosines.min() > 0.97
    assert cosines.mean() > 0.985


def test_loading_a_finished_model_imports_no_torch() -> None:
    models.onnx_int8()  # finished from here on
    done = subprocess.run(
        [sys.executable, "-c", LOAD, models.DEFAULT, str(models.artefacts())],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


@pytest.mark.parametrize(
    "text",
    ["great 😊", "a" * 101 + " is a long word", "", "\x00", "\udcff", "x" * 5000, "龘"],
    ids=["emoji", "long-word", "empty", "nul", "surrogate", "long", "unknown-letter"],
)
def test_a_text_that_the_model_cannot_tell_from_others_does_not_fit(text: str) -> None:
    for encoder in (models.onnx_int8(), models.sentence()):
        encoded = encoder.encode([text, "a good text"])
        assert encoded.fits.tolist() == [False, True]


def test_the_window_is_exact() -> None:
    # [CLS] and [SEP] are two of the 256 tokens.
    for encoder in (models.onnx_int8(), models.sentence()):
        assert encoder.encode(["word " * 254, "word " * 255]).fits.tolist() == [True, False]


def test_the_window_may_be_narrowed_but_not_widened() -> None:
    finished = obtain(models.DEFAULT, "onnx-int8", models.artefacts(), print)
    narrow = OnnxEncoder.of(finished, window=10)
    assert narrow.window == 10
    assert narrow.encode(["word " * 8, "word " * 9]).fits.tolist() == [True, False]
    with pytest.raises(StartupError, match="at most 256"):
        OnnxEncoder.of(finished, window=257)


def test_a_graph_that_cannot_run_is_a_startup_error() -> None:
    finished = obtain(models.DEFAULT, "onnx-int8", models.artefacts(), print)
    with pytest.raises(StartupError, match="onnxruntime"):
        OnnxEncoder.of(artefact.Artefact(finished.meta, b"no graph", finished.tokenizer))


def test_a_megabyte_is_refused_without_reading_it() -> None:
    encoder = models.onnx_int8()
    started = time.perf_counter()
    assert not encoder.encode(["word " * 200_000]).fits[0]
    assert time.perf_counter() - started < 0.1  # reading it would take a second


def test_runtimes_have_identities_of_their_own() -> None:
    one, other = models.onnx_int8().identity, models.sentence().identity
    assert one != other
    assert one.rsplit("/", 1)[-1] == other.rsplit("/", 1)[-1]  # the same weights
