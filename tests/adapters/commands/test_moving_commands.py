"""``kindcache export`` and ``kindcache import`` as a person types them."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest

from kindcache.adapters.cli import main
from kindcache.adapters.moving.progress import progress

CONFIG = """
store: {url: "sqlite:///%s/%s.db"}
embedder: {runtime: hashing}
judge: {scorer: none}
scope: {anonymous: share}
"""


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINDCACHE_SECRET", "a secret that only tests use")


def config(folder: Path, name: str) -> str:
    path = folder / f"{name}.yaml"
    path.write_text(CONFIG % (folder, name))
    return str(path)


def test_a_faq_goes_in_and_on_to_another_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds, moved = tmp_path / "faq.jsonl", tmp_path / "moved.jsonl"
    seeds.write_text(json.dumps({"prompt": "Where?", "answer": "Here.", "model": "m"}) + "\n")
    one, two = config(tmp_path, "one"), config(tmp_path, "two")
    asked = ["import", str(seeds), "--config", one, "--upstream", "app"]
    assert main([*asked, "--shared"]) == 0
    monkeypatch.setattr("sys.stdin", StringIO("alice\n"))
    assert main(asked) == 0
    assert main(["export", str(moved), "--config", one]) == 0
    assert main(["import", str(moved), "--config", two]) == 0
    assert main(["export", "-", "--config", two, "--no-vectors"]) == 0
    printed = capsys.readouterr()
    lines = [json.loads(line) for line in printed.out.splitlines()]
    assert [line["payload"]["prompt"] for line in lines[1:]] == ["Where?"] * 2
    assert "kindcache export: of use only under the same secret" in printed.err
    assert f"({lines[0]['secret']})" in printed.err


def test_what_is_wrong_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text("{}\n")
    one = config(tmp_path, "one")
    for arguments, told in (
        (["export", str(tmp_path / "x"), "--config", one], "no such store"),
        (["import", str(tmp_path / "nothing"), "--config", one], "cannot be read"),
        (["import", str(bad), "--config", one, "--shared"], "--upstream is needed"),
        (["import", str(bad), "--config", one, "--shared", "--upstream", "u"], "bad.jsonl:1: "),
    ):
        assert main(arguments) == 1
        printed = capsys.readouterr()
        assert told in printed.err
        assert printed.err.startswith("kindcache: ")
        assert printed.err.count("\n") == 1


def test_a_file_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = config(tmp_path, "one")
    seeds = tmp_path / "faq.jsonl"
    seeds.write_text(json.dumps({"prompt": "Where?", "answer": "Here.", "model": "m"}) + "\n")
    main(["import", str(seeds), "--config", one, "--upstream", "app", "--shared"])
    assert main(["export", str(tmp_path / "no" / "x"), "--config", one]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_a_bar_is_shown_on_a_terminal_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with progress("moving", 10) as told:
        told(5)
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with progress("moving", 10) as told:
        told(5)
    assert "moving" in capsys.readouterr().err
