import asyncio
import struct
import sys
from pathlib import Path
from typing import Any

import pytest

from kindcache.adapters.evaluation import plots
from kindcache.adapters.evaluation.data import Pair, Query
from kindcache.adapters.evaluation.pairs import PairReport, run_pairs
from kindcache.adapters.evaluation.stream import StreamReport, run_stream

PAIRS = [
    Pair("t-1", "where is my order", "where is my order please", 1),
    Pair("t-2", "how do I pay", "what ways of payment exist", 1),
    Pair("t-3", "cancel my order now", "cancel my order not now", 0),
]
STREAM = [
    Query("1", "where is my order 12", "order 12"),
    Query("2", "where is my order 12 please", "order 12"),
    Query("3", "where is my order 13", "order 13"),
]


def pairs(asker: Any, source: str = "few", rows: Any = PAIRS) -> PairReport:
    return asyncio.run(run_pairs(asker, rows, source=source))


def stream(asker: Any) -> StreamReport:
    return asyncio.run(run_stream(asker, STREAM, source="run"))


def size(path: Path) -> tuple[int, int]:
    """Width and height of a PNG; nothing else has these in that place."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def test_each_file_gets_both_pictures(judged: Any, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "plots"
    plots.prepare(folder)
    lines = plots.draw(folder, "pairs", [pairs(judged)])
    lines += plots.draw(folder, "stream", [stream(judged)])
    written = sorted(folder.iterdir())
    assert [path.name for path in written] == [
        "pairs-few-frontier.png",
        "pairs-few-reliability.png",
        "stream-run-frontier.png",
        "stream-run-reliability.png",
    ]
    assert sorted(lines) == [f"wrote {path}" for path in written]
    assert all(size(path) == (840, 600) for path in written)


def test_a_reliability_diagram_shows_prediction_share_interval_and_count(judged: Any) -> None:
    report = pairs(judged)
    (axes,) = plots.reliability_figure("few", report.reliability).axes
    (observed,) = axes.containers
    line, _, (bars,) = observed.lines
    assert list(line.get_ydata()) == [one.right.value for one in report.reliability]
    ends = [tuple(segment[:, 1]) for segment in bars.get_segments()]
    assert ends == [pytest.approx(one.right.interval) for one in report.reliability]
    predicted = next(one for one in axes.lines if one.get_label() == "predicted")
    assert list(predicted.get_ydata()) == [one.predicted for one in report.reliability]
    assert [text.get_text() for text in axes.texts] == ["1", "2"]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0-0.1", "0.7-0.8"]


@pytest.mark.parametrize("fine", [True, False])
def test_a_frontier_shows_the_judge_beside_cosine_and_the_policy(judged: Any, fine: bool) -> None:
    frontier = pairs(judged).frontier
    assert frontier is not None
    (axes,) = plots.frontier_figure("few", frontier, fine=fine).axes
    drawn = {line.get_label(): list(line.get_xydata()[-1]) for line in axes.lines}
    assert drawn == {
        "judge": [1.0, 1.0],
        "cosine": [1.0, 1.0],
        "the policy": list(frontier.shipped or ()),
    }
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("served on label 0", "served on label 1")


def test_what_has_nothing_to_show_is_said(asker: Any, tmp_path: Path) -> None:
    lines = plots.draw(tmp_path, "pairs", [pairs(asker, rows=PAIRS[:2])])
    assert not list(tmp_path.iterdir())
    assert len(lines) == 2
    assert all(line.startswith("few: ") for line in lines)


def test_files_of_one_name_do_not_overwrite_each_other(judged: Any, tmp_path: Path) -> None:
    plots.draw(tmp_path, "pairs", [pairs(judged), pairs(judged)])
    names = {path.name for path in tmp_path.iterdir()}
    assert names >= {"pairs-few-frontier.png", "pairs-few-2-frontier.png"}


def test_a_name_with_signs_of_a_formula_is_only_a_name(judged: Any, tmp_path: Path) -> None:
    plots.draw(tmp_path, "pairs", [pairs(judged, source=r"a$\frac$_b")])
    assert len(list(tmp_path.iterdir())) == 2


def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    with pytest.raises(plots.PlotsError, match=r"pip install 'kindcache\[plots\]'"):
        plots.prepare(tmp_path / "plots")
    assert not (tmp_path / "plots").exists()


def test_a_folder_that_cannot_be_made_or_written_is_named(judged: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(plots.PlotsError, match=r"file/plots: Not a directory"):
        plots.prepare(tmp_path / "file" / "plots")
    with pytest.raises(plots.PlotsError, match=r"gone/pairs-few-reliability.png: No such file"):
        plots.draw(tmp_path / "gone", "pairs", [pairs(judged)])
