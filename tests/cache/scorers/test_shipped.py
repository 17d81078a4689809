"""The pair scorer that comes with kindcache, on its real weights."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from kindcache.cache.errors import StartupError
from kindcache.cache.scorers import shipped
from kindcache.cache.scorers.shipped import ShippedModel

CANCEL = "How do I cancel my order?"
META = json.loads((shipped.FOLDER / "meta.json").read_text(encoding="utf-8"))

SAME = [
    (CANCEL, "What's the way to cancel an order?"),
    ("How can I reset my password?", "What is the way to reset my password?"),
    ("What is the capital of France?", "Tell me the capital city of France"),
]
TRAPS = [
    (CANCEL, "How do I cancel my subscription?"),
    ("How can I reset my password?", "How can I reset my router?"),
    ("What is the capital of France?", "What is the capital of Spain?"),
    ("flights from Paris to Rome", "flights from Rome to Paris"),
    ("convert euros to dollars", "convert dollars to euros"),
]


@pytest.fixture(scope="module")
def model() -> ShippedModel:
    return shipped.load()


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(shipped.FOLDER, tmp_path / "weights"))


def test_the_identity_names_the_weights_and_the_fusion_belongs_to_it(model: ShippedModel) -> None:
    assert model.identity == f"shipped/{META['files']['model.onnx'][:16]}"
    assert model.fusion.scorer == model.identity
    assert model.fusion.logit == META["fusion"]["logit"] > 0
    assert model.fusion.similarity == META["fusion"]["similarity"] >= 0


@pytest.mark.parametrize("probe", META["probes"], ids=lambda probe: str(probe["stored"]))
def test_it_gives_the_logits_that_it_was_exported_with(
    model: ShippedModel, probe: dict[str, str | float]
) -> None:
    logit = model.logit(str(probe["new"]), str(probe["stored"]))
    # Processors round int8 products differently; the probes lie several units apart.
    assert logit == pytest.approx(probe["logit"], abs=0.5)


@pytest.mark.parametrize("same", SAME)
@pytest.mark.parametrize("trap", TRAPS)
def test_a_paraphrase_scores_above_a_trap(
    model: ShippedModel, same: tuple[str, str], trap: tuple[str, str]
) -> None:
    high, low = model.logit(*same), model.logit(*trap)
    assert high is not None
    assert low is not None
    assert high > 1.0 > -1.0 > low


def test_equal_calls_give_equal_logits(model: ShippedModel) -> None:
    pairs = [*SAME, *TRAPS]
    first = [model.logit(*pair) for pair in pairs]
    assert first == [model.logit(*pair) for pair in pairs]
    assert first == [shipped.load().logit(*pair) for pair in pairs]


def test_the_window_is_for_both_prompts_and_their_three_marks(model: ShippedModel) -> None:
    asked = "order " * 46
    fitting = model.logit(asked, "order " * (META["window"] - 3 - 46))
    assert fitting is not None
    assert math.isfinite(fitting)
    assert model.logit(asked, "order " * (META["window"] - 2 - 46)) is None


@pytest.mark.parametrize(
    "text",
    [
        "order " * 200,
        "x" * (shipped.LONGEST_CHARACTERS + 1),
        "Как отменить мой заказ?",
        "注文をキャンセルするには?",
        "\ud800cancel my order",
        "How do I cancel my \U0001f600 order?",
    ],
    ids=["tokens", "characters", "Cyrillic", "Japanese", "lone surrogate", "emoji"],
)
def test_what_it_cannot_read_has_no_score(model: ShippedModel, text: str) -> None:
    assert model.logit(text, CANCEL) is None
    assert model.logit(CANCEL, text) is None


def test_accents_are_readable(model: ShippedModel) -> None:
    same = model.logit("Where is the café in Zürich?", "Where's the café in Zürich?")
    other = model.logit("Where is the café in Zürich?", "Where is the café in Genève?")
    assert same is not None
    assert other is not None
    assert same > other


def test_an_empty_folder_has_no_weights(tmp_path: Path, copied: Path) -> None:
    assert shipped.is_here()
    assert shipped.is_here(copied)
    assert not shipped.is_here(tmp_path)
    with pytest.raises(StartupError, match="cannot be read"):
        shipped.load(tmp_path)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink])
@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_damaged_weights_are_refused(
    copied: Path, name: str, damage: Callable[[Path], None]
) -> None:
    damage(copied / name)
    with pytest.raises(StartupError, match="pair scorer's weights"):
        shipped.load(copied)


@pytest.mark.parametrize(
    "change",
    [
        {"format": shipped.FORMAT + 1},
        {"files": {**META["files"], "model.onnx": "0" * 64}},
        {"fusion": {"intercept": 0.0}},
        {"window": "wide"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_description_that_does_not_fit_is_refused(
    copied: Path, change: dict[str, object]
) -> None:
    (copied / "meta.json").write_text(json.dumps({**META, **change}), encoding="utf-8")
    with pytest.raises(StartupError, match="pair scorer's weights"):
        shipped.load(copied)


def test_a_cut_description_is_refused(copied: Path) -> None:
    (copied / "meta.json").write_bytes(b'{"format": 1')
    with pytest.raises(StartupError, match="cannot be read"):
        shipped.load(copied)
