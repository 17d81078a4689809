"""The fusion is fitted on what the cache would ask about."""

from __future__ import annotations

import json
import math
from pathlib import Path
from random import Random

import pytest

from kindcache.policies.fusion import Fusion
from training import calibrate

Row = dict[str, object]


def drawn(logit: float, similarity: float, size: int = 4_000) -> list[Row]:
    """Rows whose labels follow these coefficients, with an intercept of -0.5."""
    random = Random(0)
    rows: list[Row] = []
    for _ in range(size):
        odds, cosine = random.uniform(-5, 5), random.uniform(0.6, 1.0)
        chance = 1 / (1 + math.exp(-(-0.5 + logit * odds + similarity * cosine)))
        label = int(random.random() < chance)
        rows.append({"logit": odds, "cosine": cosine, "label": label, "a": "x", "b": "x"})
    return rows


def test_it_finds_the_coefficients_that_made_the_labels() -> None:
    fusion = calibrate.fit([drawn(0.8, 2.0)])
    assert fusion.logit == pytest.approx(0.8, abs=0.1)
    assert fusion.similarity == pytest.approx(2.0, abs=0.8)


def test_more_similar_is_never_less_probable() -> None:
    fusion = calibrate.fit([drawn(0.8, -5.0)])
    assert fusion.similarity == 0.0
    assert fusion.logit > 0


def test_each_part_weighs_the_same_however_large_it_is() -> None:
    small, large = drawn(1.5, 2.0, 2_000), drawn(0.3, 2.0, 20_000)
    fusion = calibrate.fit([small, large])
    assert fusion.logit == pytest.approx(calibrate.fit([small, large[:2_000]]).logit, abs=0.05)
    assert fusion.logit > calibrate.fit([[*small, *large]]).logit + 0.1


@pytest.mark.parametrize(
    ("new", "stored", "cosine", "asked"),
    [
        ("How do I cancel my order?", "how to cancel an order", 0.9, True),
        ("How do I cancel my order?", "how to cancel an order", calibrate.FLOOR, True),
        ("How do I cancel my order?", "how to cancel an order", 0.59, False),
        ("Pay 100 EUR to Alice", "Pay 200 EUR to Alice", 0.95, False),
    ],
    ids=["near", "at the floor", "below the floor", "a guard objects"],
)
def test_only_near_pairs_without_an_objection_are_asked_about(
    new: str, stored: str, cosine: float, asked: bool
) -> None:
    assert calibrate.is_asked({"a": stored, "b": new, "cosine": cosine}) is asked


def test_what_a_bar_would_serve_is_counted_over_all_rows() -> None:
    fusion = Fusion("test", 0.0, 1.0, 0.0)
    asked = [
        {"label": 1, "logit": 4.0, "cosine": 0.9},
        {"label": 1, "logit": -4.0, "cosine": 0.9},
        {"label": 0, "logit": 3.0, "cosine": 0.9},
    ]
    never_asked = [{"label": 1}, {"label": 1}, *[{"label": 0}] * 3]
    line = calibrate.served([*asked, *never_asked], asked, fusion, 0.9)
    assert line == ("bar 0.900: recall 25.0 %, traps served 25.00 %, wrong of hits 50.00 %")
    nothing = calibrate.served([*asked, *never_asked], asked, fusion, 0.999)
    assert nothing == "bar 0.999: recall 0.0 %, traps served 0.00 %, wrong of hits 0.00 %"


def test_it_writes_the_fusion_and_keeps_the_rest_of_the_description(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores, meta = tmp_path / "scores.jsonl", tmp_path / "meta.json"
    scores.write_text("".join(json.dumps(row) + "\n" for row in drawn(0.8, 2.0, 500)), "utf-8")
    meta.write_text(json.dumps({"format": 1, "files": {"model.onnx": "00"}}), encoding="utf-8")
    files = ["--scores", str(scores), "--stream", str(scores), "--meta", str(meta)]
    assert calibrate.main(files) == 0
    written = json.loads(meta.read_text(encoding="utf-8"))
    assert written["format"] == 1
    assert written["files"] == {"model.onnx": "00"}
    assert set(written["fusion"]) == {"intercept", "logit", "similarity"}
    assert written["fusion"]["logit"] > 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith("500 of 500 pairs")
    assert len(shown) == 1 + len(calibrate.BARS) + len(calibrate.RATES)


def test_held_back_pairs_certify_a_bar_by_the_rule_of_the_cache() -> None:
    fusion = Fusion("test", 0.0, 1.0, 0.0)

    def rows(probability: float, right: int, wrong: int) -> list[Row]:
        odds = math.log(probability / (1 - probability))
        labels = [1] * right + [0] * wrong
        return [{"logit": odds, "cosine": 0.9, "label": label} for label in labels]

    found = calibrate.certified([*rows(0.98, 400, 0), *rows(0.9, 100, 20)], fusion, 0.01)
    bar, _, rest = found.partition(" ")
    assert 0.9 < float(bar) <= 0.98
    assert rest == "(0 of 400 wrong, at most 0.75%)"
    assert calibrate.certified(rows(0.98, 200, 0), fusion, 0.01) == "none"
