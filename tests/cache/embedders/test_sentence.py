"""Any sentence-transformers model, from a folder, a package or a hub."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from kindcache.cache.embedders.sentence import SentenceEncoder
from kindcache.cache.embedders.weights import content_hash, locate, stamp
from kindcache.cache.errors import StartupError
from tests.drivers import models
from tests.drivers.tiny import tiny_model


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_a_folder_with_any_pooling(tmp_path: Path, pooling: str) -> None:
    encoder = SentenceEncoder.load(str(tiny_model(tmp_path / "model", pooling=pooling)))
    encoded = encoder.encode(["how do i cancel the order", "the order " * 40, "thanks"])
    assert encoder.dim == 32
    assert encoded.fits.tolist() == [True, False, True]
    np.testing.assert_allclose(np.linalg.norm(encoded.vectors[[0, 2]], axis=1), 1.0, atol=1e-5)


def test_the_default_has_its_weights_in_a_package() -> None:
    long, short = locate(models.DEFAULT), locate("all-MiniLM-L6-v2")
    assert long.folder == short.folder is not None
    assert long.slug == short.slug == "all-MiniLM-L6-v2"


def test_names_and_folders_do_not_share_an_artefact(tmp_path: Path) -> None:
    (tmp_path / "all-MiniLM-L6-v2").mkdir()
    slugs = {
        locate("all-MiniLM-L6-v2").slug,
        locate("other/all-MiniLM-L6-v2").slug,
        locate(str(tmp_path / "all-MiniLM-L6-v2")).slug,
    }
    assert len(slugs) == 3
    assert not any("/" in slug for slug in slugs)


def test_equal_weights_have_one_identity_and_others_another(tmp_path: Path) -> None:
    one = tiny_model(tmp_path / "a" / "model", pooling="mean")
    other = tiny_model(tmp_path / "b" / "model", pooling="mean")
    identity = SentenceEncoder.load(str(one)).identity
    assert SentenceEncoder.load(str(one)).identity == identity
    assert SentenceEncoder.load(str(other)).identity != identity


def test_a_folder_that_is_no_model_is_a_startup_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    with pytest.raises(StartupError, match="not a sentence-transformers model"):
        SentenceEncoder.load(str(tmp_path))


def test_the_hash_of_a_folder_sees_contents_and_the_stamp_sees_times(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("one")
    content, mark = content_hash(tmp_path), stamp(tmp_path)
    file.write_text("two!")
    assert content_hash(tmp_path) != content
    assert stamp(tmp_path) != mark
    file.write_text("one")
    assert content_hash(tmp_path) == content
