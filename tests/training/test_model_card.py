"""The model card says what the shipped weights and the sources of the training say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from training import corpus, sources, train
from training.groups import Family, read_families

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = ROOT / "cache" / "weights" / "pair_scorer"


@pytest.fixture(scope="module")
def card() -> str:
    return " ".join((ROOT / "training" / "MODEL_CARD.md").read_text(encoding="utf-8").split())


@pytest.fixture(scope="module")
def families() -> list[Family]:
    return read_families(ROOT / "training" / "groups")


def test_it_has_the_size_of_the_weights(card: str) -> None:
    meta = json.loads((WEIGHTS / "meta.json").read_text(encoding="utf-8"))
    size_bytes = (WEIGHTS / "model.onnx").stat().st_size
    assert f"{size_bytes / 1e6:.1f} MB" in card
    assert f"first {meta['layers']} of the 6 layers of {meta['start']}" in card
    assert f"correlation with the float logits {meta['agreement']:.3f}" in card
    assert f"up to {meta['window']} tokens" in card


def test_it_counts_the_written_families(card: str, families: list[Family]) -> None:
    held = [family for family in families if sources.held_back(family.name)]
    for_training = [family for family in families if family not in held]
    trained, kept = (sum(len(f.groups) for f in part) for part in (for_training, held))
    assert f"{len(for_training)} families, {trained:,} groups trained on" in card
    assert f"{len(held)} families, {kept:,} groups held back" in card
    assert f"all {len(families)} families" in card


def test_it_names_the_seed_and_the_longest_pair(card: str) -> None:
    assert train.SEED == corpus.SEED
    assert f"Seed {train.SEED}," in card
    assert f"of {train.BATCH} pairs" in card
    assert f"more than {train.LONGEST} tokens a pair" in card


@pytest.mark.parametrize(
    "name",
    [
        *("semanticmemo", "CheckList", "nl2bash", "text2sql advising", "GPTCache"),
        *("MIT", "CC BY 4.0", "Apache-2.0"),
    ],
)
def test_it_names_every_public_source_and_licence(card: str, name: str) -> None:
    assert name in card


@pytest.mark.parametrize(
    "part", ["semanticmemo_gold", "fow_cache", "redis_langcache", "banking_traps", "held back"]
)
def test_it_has_figures_on_every_set(card: str, part: str) -> None:
    row = card.split(f"| {part}", 1)[1].split(" |", 4)
    assert len(row) > 3
    assert all(any(char.isdigit() for char in cell) for cell in row[1:4])
