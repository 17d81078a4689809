"""Any CrossEncoder as a pair scorer; the weights are random, so only its manners are tested."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from kindcache.cache.errors import ScorerError, StartupError
from kindcache.cache.scorers.cross_encoder import CrossEncoderModel, load
from tests.drivers.tiny import tiny_cross_encoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_cross_encoder(tmp_path_factory.mktemp("weights") / "tiny")


@pytest.fixture(scope="module")
def model(folder: Path) -> CrossEncoderModel:
    return load(str(folder))


def test_its_name_is_its_identity_and_its_odds_are_the_odds(
    model: CrossEncoderModel, folder: Path
) -> None:
    assert model.identity == f"cross-encoder/{folder}"
    assert model.fusion.scorer == model.identity
    assert model.fusion.probability(0.7, 0.0) == pytest.approx(0.5)
    assert model.fusion.probability(0.7, 2.0) == pytest.approx(1 / (1 + math.exp(-2.0)))


def test_it_gives_the_raw_logit(model: CrossEncoderModel) -> None:
    logits = {
        pair: model.logit(*pair)
        for pair in [
            ("cancel the order", "how do i cancel the order?"),
            ("cancel the order", "what is the capital?"),
            ("what is the capital?", "cancel the order"),
        ]
    }
    assert all(isinstance(logit, float) and math.isfinite(logit) for logit in logits.values())
    assert len(set(logits.values())) == len(logits)
    # A sigmoid in between would keep everything within 0 and 1.
    assert min(logit for logit in logits.values() if logit is not None) < 0
    for pair, logit in logits.items():
        assert model.logit(*pair) == logit


def test_a_lone_surrogate_is_an_error_of_the_scorer(model: CrossEncoderModel) -> None:
    with pytest.raises(ScorerError):
        model.logit("cancel \ud800", "cancel the order")


def test_a_pair_that_would_be_cut_is_none(model: CrossEncoderModel) -> None:
    assert model.logit("cancel the order " * 400, "cancel the order") is None


def test_a_score_that_is_no_number_is_none() -> None:
    class Broken:
        max_seq_length = None

        def predict(self, *args: object, **options: object) -> list[float]:
            return [float("nan")]

    assert CrossEncoderModel(Broken(), "broken").logit("a", "b") is None


def test_a_model_that_is_none_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(StartupError, match=r"judge\.scorer"):
        load(str(tmp_path))
