"""Exported logs and asked pairs become observations."""

import json
from pathlib import Path
from typing import Any

import pytest

from kindcache.adapters.evaluation.asker import Asked
from kindcache.adapters.evaluation.data import DataError, Pair
from kindcache.adapters.evaluation.pairs import PairRow
from kindcache.adapters.tuning.observations import labelled, load_observations, tallies
from kindcache.config.load import loads

SETTINGS = loads(
    "defaults: {min_probability: 0.9}\ncategories: {code: {ttl: 1d}, live: {max_error_rate: 1%}}\n",
    "test",
)
ROW = {"category": "code", "probability": 0.95, "correct": True, "source": "shadow"}


def written(folder: Path, *rows: object) -> Path:
    path = folder / "log.jsonl"
    path.write_text(
        "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows)
    )
    return path


def counts(folder: Path, *rows: dict[str, Any]) -> tuple[int, int]:
    """Of bars far below and far above the file's: how many observations speak about them."""
    path = written(folder, *rows)
    (tally,) = tallies(load_observations(path, SETTINGS)).values()
    found = tally.counts()
    return found.fair[1] + found.reported[1], found.fair[28] + found.reported[28]


def test_what_was_only_watched_speaks_about_every_bar(tmp_path: Path) -> None:
    seen = [ROW | {"probability": 0.999}, ROW | {"probability": 0.999, "source": "label"}]
    assert counts(tmp_path, *seen) == (2, 2)


def test_a_checked_hit_says_nothing_of_bars_below_the_one_it_passed(tmp_path: Path) -> None:
    check = ROW | {"probability": 0.999, "source": "check"}
    assert counts(tmp_path, check) == (0, 1)
    assert counts(tmp_path, check | {"bar": 0.02}) == (1, 1)
    assert counts(tmp_path, check | {"bar": 0.998}) == (0, 0)


def test_the_bar_of_a_check_must_be_known_where_evidence_moves_it(tmp_path: Path) -> None:
    check = ROW | {"category": "live", "source": "check"}
    assert load_observations(written(tmp_path, check | {"bar": 0.9}), SETTINGS)
    with pytest.raises(DataError, match=r"log\.jsonl:2: .*`bar`"):
        load_observations(written(tmp_path, ROW, check), SETTINGS)


def test_of_feedback_only_wrong_counts(tmp_path: Path) -> None:
    report = ROW | {"probability": 0.999, "source": "feedback"}
    assert counts(tmp_path, report) == (0, 0)
    assert counts(tmp_path, report | {"correct": False}) == (1, 1)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("{", "truncated"),
        (ROW | {"probability": 1.5}, "<= 1.0"),
        (ROW | {"probability": "0.9"}, "float"),
        (ROW | {"correct": 1}, "bool"),
        (ROW | {"source": "rumour"}, "rumour"),
        (ROW | {"category": ""}, "length"),
        ({key: ROW[key] for key in ("category", "probability", "correct")}, "source"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(row: Any, why: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"log\.jsonl:3: .*{why}"):
        load_observations(written(tmp_path, ROW, "", row), SETTINGS)


def test_a_pair_counts_in_the_category_as_decided_if_the_judge_was_asked() -> None:
    def row(label: Any, probability: float | None) -> PairRow:
        pair = Pair(id="p-1", q1="a", q2="b", label=label, category="as labelled")
        asked = Asked(False, None, None, 0.8, "code", "unsure", probability)
        return PairRow(0, pair, backward=False, asked=asked)

    seen = [one.observation for one in labelled([row(1, 0.9), row(0, 0.8), row(1, None)])]
    assert [(one.category, one.probability, one.correct) for one in seen] == [
        ("code", 0.9, True),
        ("code", 0.8, False),
    ]
