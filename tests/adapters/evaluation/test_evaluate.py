import asyncio
import io
import json
from pathlib import Path
from typing import Any

import pytest

from kindcache.adapters.evaluation.asker import Asker
from kindcache.adapters.evaluation.evaluate import (
    EvaluateOptions,
    Format,
    Protocol,
    evaluate,
    terminal,
)
from kindcache.adapters.evaluation.pairs import Direction
from kindcache.adapters.evaluation.tables import ALL, SUMMARY, Shown
from tests.conftest import FakeClock

PAIRS = """\
{"id": "p-1", "q1": "where is my order", "q2": "where is my order now", "label": 1, "kind": "a|b"}
{"id": "p-2", "q1": "buy the stock now", "q2": "sell the stock now", "label": 0, "kind": "swap"}
"""
STREAM = """\
{"id": "s-1", "text": "where is my order", "key": "o", "category": "support"}
{"id": "s-2", "text": "where is my order please", "key": "o", "category": "support"}
"""
CARD = [{"role": "user", "content": "the blue card"}, {"role": "assistant", "content": "yes"}]
FEE = {"role": "user", "content": "and the fee"}
CASES = [
    {"id": "c-1", "messages_a": [*CARD, FEE], "messages_b": [*CARD, FEE], "label": 1, "kind": "k"},
    {"id": "c-2", "messages_a": [*CARD, FEE], "messages_b": [FEE], "label": 0, "kind": "j"},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "few.jsonl").write_text(PAIRS)
    (tmp_path / "run.jsonl").write_text(STREAM)
    (tmp_path / "talk.jsonl").write_text("".join(json.dumps(case) + "\n" for case in CASES))
    return tmp_path


def run(asker: Asker, protocol: str, *files: Path, **options: Any) -> tuple[int, str]:
    out = io.StringIO()
    chosen = EvaluateOptions(Protocol(protocol), files, out=out, **options)
    return asyncio.run(evaluate(asker, chosen)), out.getvalue()


def test_text_names_the_file_and_its_figures(asker: Any, folder: Path) -> None:
    code, text = run(asker, "pairs", folder / "few.jsonl")
    assert code == 0
    lines = text.splitlines()
    assert lines[0] == "Pairs, forward"
    row = next(line for line in lines if line.startswith("few"))
    assert row.split() == [
        "few", "2", "100.0", "(20.7-100.0)", "0.0", "(0.0-79.3)",
        "1.000", "100.0", "@", "0.894", "100.0", "@", "0.894", "-", "-", "-",
    ]  # fmt: skip
    assert "few by kind" in lines


def test_several_files_share_the_overview(asker: Any, folder: Path) -> None:
    (folder / "more.jsonl").write_text(PAIRS)
    _, text = run(asker, "pairs", folder / "few.jsonl", folder / "more.jsonl")
    overview = text.split("\n\n")[1]
    assert [line.split()[0] for line in overview.splitlines()[2:4]] == ["few", "more"]


def test_streams_have_their_own_table(asker: Any, folder: Path) -> None:
    code, text = run(asker, "stream", folder / "run.jsonl")
    assert code == 0
    row = next(line for line in text.splitlines() if line.startswith("run"))
    assert row.split()[:5] == ["run", "2", "0", "1", "50.0"]


def test_conversations_count_what_is_served_on_each_label(asker: Any, folder: Path) -> None:
    code, text = run(asker, "conversations", folder / "talk.jsonl", direction=Direction.BACKWARD)
    assert code == 0
    lines = text.splitlines()
    assert lines[0] == "Conversations, backward"
    row = next(line for line in lines if line.startswith("talk"))
    assert row.split() == ["talk", "2", "100.0", "(20.7-100.0)", "0.0", "(0.0-79.3)"]
    assert {"talk by kind", "talk by half"} <= set(lines)


@pytest.mark.parametrize(
    ("shown", "titles"),
    [
        (ALL, ["few by half", "few by kind", "Why label 1 was not served"]),
        (Shown(("kind",)), ["few by kind", "Why label 1 was not served"]),
        (SUMMARY, []),
    ],
)
def test_only_the_tables_that_are_wanted_are_shown(
    asker: Any, folder: Path, shown: Shown, titles: list[str]
) -> None:
    asker.bar = 0.95
    _, text = run(asker, "pairs", folder / "few.jsonl", shown=shown, format=Format.MARKDOWN)
    found = [line[4:] for line in text.splitlines() if line.startswith("### ")]
    assert found == ["Pairs, forward", *titles]


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (SUMMARY, "--summary"),
        (Shown(("half", "decided category")), "--by half --by decided-category"),
    ],
)
def test_the_command_asks_for_the_same_tables(
    asker: Any, folder: Path, shown: Shown, words: str
) -> None:
    _, text = run(asker, "stream", folder / "run.jsonl", shown=shown, format=Format.MARKDOWN)
    assert f"run.jsonl {words} --markdown\n" in text


def test_json_holds_what_the_plots_show(judged: Any, folder: Path) -> None:
    _, text = run(judged, "pairs", folder / "few.jsonl", format=Format.JSON)
    (report,) = json.loads(text)
    assert [one["right"]["whole"] for one in report["reliability"]] == [1, 1]
    assert report["frontier"]["shipped"] == [0.0, 1.0]
    assert report["frontier"]["curves"][0]["points"][-1].keys() == {"bar", "x", "y"}
    _, text = run(judged, "stream", folder / "run.jsonl", format=Format.JSON)
    assert json.loads(text)[0]["frontier"]["curves"][0]["points"][0]["x"] == 0.5


def test_streams_show_how_well_both_scores_rank(judged: Any, folder: Path) -> None:
    more = STREAM + '{"id": "s-3", "text": "where is my parcel", "key": "p"}\n'
    (folder / "run.jsonl").write_text(more)
    _, text = run(judged, "stream", folder / "run.jsonl")
    header, row = text.splitlines()[2], text.splitlines()[4]
    assert header.endswith("AUC of similarity  AUC of the judge")
    assert row.split()[-2:] == ["1.000", "1.000"]


def test_json_holds_counts_and_intervals(asker: Any, folder: Path) -> None:
    _, text = run(asker, "pairs", folder / "few.jsonl", format=Format.JSON)
    (report,) = json.loads(text)
    assert report["source"] == "few"
    recall = report["overall"]["recall"]
    assert (recall["part"], recall["whole"], recall["share"]) == (1, 1, 1.0)
    assert recall["low"] == pytest.approx(0.2065, abs=1e-3)
    assert [group["name"] for group in report["groups"]["kind"]] == ["a|b", "swap"]
    _, text = run(asker, "stream", folder / "run.jsonl", format=Format.JSON)
    assert json.loads(text)[0]["overall"]["hits"]["part"] == 1


def test_markdown_gives_tables_and_the_command(
    asker: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KINDCACHE_EVALDATA", str(folder))
    _, text = run(
        asker,
        "pairs",
        folder / "few.jsonl",
        format=Format.MARKDOWN,
        direction=Direction.BOTH,
        limit=2,
    )
    command = "kindcache evaluate pairs $KINDCACHE_EVALDATA/few.jsonl"
    assert f"{command} --direction both --limit 2 --markdown\n" in text
    grid = [line for line in text.splitlines() if line.startswith("|")]
    assert grid[0].startswith("| file | pairs |")
    widths = {line.replace("\\|", "").count("|") for line in grid[:3]}
    assert len(widths) == 1
    assert "| a\\|b |" in text
    assert "\n\n### few by kind\n\n|" in text


def test_the_limit_bounds_each_file(asker: Any, folder: Path) -> None:
    _, text = run(asker, "pairs", folder / "few.jsonl", limit=1, format=Format.JSON)
    assert json.loads(text)[0]["overall"]["pairs"] == 1


def test_a_bad_file_ends_the_run_before_anything_is_asked(
    asker: Any, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = run(asker, "stream", folder / "run.jsonl", folder / "few.jsonl")
    assert code == 1
    assert not text
    assert not asker.filled_in
    errors = capsys.readouterr().err
    assert errors.startswith(f"kindcache evaluate: {folder / 'few.jsonl'}:1: ")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("protocol", "name", "count"),
    [("pairs", "few", 2), ("conversations", "talk", 2), ("stream", "run", 2)],
)
def test_every_protocol_shows_its_progress(
    asker: Any,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    protocol: str,
    name: str,
    count: int,
) -> None:
    shown = Terminal()
    monkeypatch.setattr("sys.stderr", shown)
    run(asker, protocol, folder / f"{name}.jsonl")
    assert shown.getvalue() == f"\r{name}: 1 of {count}\r{name}: {count} of {count}\n"


def test_plots_are_written_and_named(
    judged: Any, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plots = folder / "plots"
    code, text = run(judged, "pairs", folder / "few.jsonl", plots=plots)
    assert code == 0
    assert text.startswith("Pairs, forward")
    names = ["pairs-few-reliability.png", "pairs-few-frontier.png"]
    lines = [f"kindcache evaluate: wrote {plots / name}" for name in names]
    assert capsys.readouterr().err.splitlines() == lines
    assert sorted(path.name for path in plots.iterdir()) == sorted(names)


def test_plots_that_cannot_be_made_end_the_run_before_anything_is_asked(
    judged: Any, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = run(judged, "pairs", folder / "few.jsonl", plots=folder / "few.jsonl")
    assert (code, text, judged.filled_in) == (1, "", [])
    assert capsys.readouterr().err == f"kindcache evaluate: {folder / 'few.jsonl'}: File exists\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_one_line_that_is_redrawn_on_terminals_only() -> None:
    shown = Terminal()
    progress = terminal(shown, "run")
    for done in range(1, 1001):
        progress(done, 1000)
    assert shown.getvalue().count("\r") == 100
    assert shown.getvalue().endswith("run: 1,000 of 1,000\n")
    file = io.StringIO()
    terminal(file, "run")(1000, 1000)
    assert not file.getvalue()


def test_a_long_run_that_nobody_watches_is_heard_of_every_ten_seconds(clock: FakeClock) -> None:
    file = io.StringIO()
    progress = terminal(file, "run", clock)
    for done in range(1, 1001):
        clock.advance(0.025)
        progress(done, 1000)
    assert file.getvalue() == "run: 400 of 1,000\nrun: 800 of 1,000\n"
