"""``kindcache evaluate`` as a user runs it: options in, a report out of the serving code."""

import json
from pathlib import Path
from typing import Any

import pytest

from kindcache.adapters.cli import main

CONFIG = """\
embedder: {runtime: hashing}
judge: {scorer: none}
defaults: {similarity_threshold: 0.8}
"""
EARLIER = [{"role": "user", "content": "the blue card"}, {"role": "assistant", "content": "yes"}]
ASKED = {"role": "user", "content": "what does the card cost abroad please"}
REWORDED = {"role": "user", "content": "what does the card cost abroad"}
CASES = [
    {
        "id": "c-1",
        "messages_a": [*EARLIER, ASKED],
        "messages_b": [*EARLIER, REWORDED],
        "label": 1,
        "kind": "reworded",
    },
    {
        "id": "c-2",
        "messages_a": [*EARLIER, ASKED],
        "messages_b": [ASKED],
        "label": 0,
        "kind": "no_history",
    },
]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "policy.yaml").write_text(CONFIG)
    (tmp_path / "talk.jsonl").write_text("".join(json.dumps(case) + "\n" for case in CASES))
    return tmp_path


def evaluate(files: Path, *options: str) -> int:
    shared = ["--config", str(files / "policy.yaml")]
    return main(["evaluate", "conversations", str(files / "talk.jsonl"), *shared, *options])


def test_conversations_through_the_serving_code(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(files, "--direction", "both", "--json") == 0
    (report,) = json.loads(capsys.readouterr().out)
    overall = report["overall"]
    assert (overall["recall"]["part"], overall["recall"]["whole"]) == (2, 2)
    assert (overall["wrong"]["part"], overall["wrong"]["whole"]) == (0, 2)
    assert [group["name"] for group in report["groups"]["direction"]] == ["backward", "forward"]


@pytest.mark.parametrize(
    ("options", "tables"),
    [
        ((), {"talk by half", "talk by kind"}),
        (("--by", "kind"), {"talk by kind"}),
        (("--by", "kind", "--by", "half"), {"talk by half", "talk by kind"}),
        (("--summary",), set()),
    ],
)
def test_the_tables_to_show_can_be_chosen(
    files: Path, capsys: pytest.CaptureFixture[str], options: Any, tables: set[str]
) -> None:
    assert evaluate(files, *options) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Conversations, forward"
    assert {line for line in lines if line.startswith("talk by")} == tables


def test_what_cannot_be_plotted_is_said_and_is_no_failure(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(files, "--plots", str(files / "plots")) == 0
    said = capsys.readouterr().err
    assert "talk: the pair scorer was asked about none, so no reliability diagram\n" in said
    assert (files / "plots" / "conversations-talk-frontier.png").exists()


def test_a_bad_row_is_one_line(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (files / "talk.jsonl").open("a") as file:
        file.write('{"id": "c-3", "messages_a": []}\n')
    assert evaluate(files) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-1].startswith(
        f"kindcache evaluate: {files / 'talk.jsonl'}:3: "
    )
