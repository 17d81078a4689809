"""``kindcache simulate`` as a user runs it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from kindcache.adapters.cli import main
from kindcache.adapters.simulation import plots
from tests.adapters.simulation.logs import POLICY, line, write

TOWER = "How tall is the Eiffel Tower?"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "long.yaml").write_text(POLICY)
    (tmp_path / "short.yaml").write_text(POLICY.replace("ttl: 1h", "ttl: 1m"))
    lines = [line(90 * n, TOWER, latency_s=2.0, key="tower", category="default") for n in range(4)]
    write(tmp_path / "log.jsonl", lines)
    return tmp_path


def simulate(files: Path, *options: str) -> int:
    policies = ["--policy", str(files / "long.yaml"), "--policy", str(files / "short.yaml")]
    return main(["simulate", "--log", str(files / "log.jsonl"), *policies, *options])


def test_two_policies_side_by_side(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(files) == 0
    printed = capsys.readouterr().out
    overview = printed.partition("By category")[0].splitlines()
    rows = {row[0]: row[1:] for row in (re.split(r"  +", one) for one in overview)}
    assert overview[2].split() == ["long.yaml", "short.yaml"]
    assert rows["hits, %"] == ["75.0", "0.0"]
    assert rows["calls to the model"] == ["1", "4"]
    assert rows["saved time, s"] == ["6.0", "0.0"]
    assert rows["wrong, %"][1] == "-"
    assert "4 requests over 4 min 30 s." in printed
    assert "All requests have no `usage`: they save no tokens." in printed


@pytest.mark.slow
def test_the_same_run_prints_the_same(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = []
    for name in ("a.html", "b.html"):
        assert simulate(files, "--json", "--html", str(files / name)) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert (files / "a.html").read_bytes() == (files / "b.html").read_bytes()


@pytest.mark.slow
def test_nothing_hangs_on_the_order_of_sets(files: Path) -> None:
    (files / "long.yaml").write_text(
        POLICY + "  towns: {match: {pattern: town}}\ncapacity: {entries: 20}\n"
    )
    kinds = ("price of item", "history of town", "question about")
    lines = [
        line(n, f"{kinds[n % 3]} {n * n % 89}", latency_s=0.5 + n % 7, key=str(n * n % 89))
        for n in range(600)
    ]
    write(files / "log.jsonl", lines)
    program = [sys.executable, "-m", "kindcache.adapters.cli", "simulate", "--json"]
    options = ["--log", str(files / "log.jsonl"), "--policy", str(files / "long.yaml")]
    printed = [
        subprocess.run(
            [*program, *options],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            timeout=60,
        ).stdout
        for seed in ("1", "2", "3")
    ]
    assert printed[0] == printed[1] == printed[2]
    room = json.loads(printed[0])["policies"][0]["room"]
    assert sum(one["gave_way"] for one in room) > 100


def test_json_has_every_figure(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(files, "--json") == 0
    whole = json.loads(capsys.readouterr().out)
    long, short = whole["policies"]
    assert (long["policy"], short["policy"]) == ("long.yaml", "short.yaml")
    assert long["overall"]["hits"]["part"] == 3
    assert short["overall"]["misses"] == 4
    assert whole["log"] == "log.jsonl"


@pytest.mark.slow
def test_the_page_needs_nothing_else(files: Path) -> None:
    assert simulate(files, "--html", str(files / "page.html")) == 0
    page = (files / "page.html").read_text()
    assert "<h1>log.jsonl: simulated</h1>" in page
    assert re.findall(r"<(?:script|link|iframe)\b", page) == []
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(sources) == 4
    for source in sources:
        kind, _, data = source.partition(",")
        assert kind == "data:image/svg+xml;base64"
        assert ET.fromstring(b64decode(data)).tag.endswith("svg")
    assert "<td>75.0</td><td>0.0</td>" in page


@pytest.mark.parametrize(
    ("html", "told"), [("", "is a folder"), ("absent/page.html", "there is no folder")]
)
def test_a_page_that_cannot_be_written(
    files: Path, html: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulate(files, "--html", str(files / html)) == 1
    assert told in capsys.readouterr().err


def test_plots_that_cannot_be_made(
    files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "available", lambda: False)
    assert simulate(files, "--html", str(files / "page.html")) == 1
    captured = capsys.readouterr()
    assert "pip install 'kindcache[plots]'" in captured.err
    assert captured.out == ""


def test_bad_lines(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (files / "log.jsonl").open("a") as log:
        log.write('{"time": 1, "prompt": "x", "latency": 3}\n')
    assert simulate(files) == 1
    captured = capsys.readouterr()
    assert "log.jsonl:5: Object contains unknown field `latency`" in captured.err
    assert captured.out == ""
    assert simulate(files, "--skip-bad") == 0
    assert "1 bad lines were left out; the first: " in capsys.readouterr().out


def test_a_policy_that_is_not_there(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = str(files / "log.jsonl")
    assert main(["simulate", "--log", log, "--policy", str(files / "absent.yaml")]) == 1
    assert "absent.yaml: cannot be read" in capsys.readouterr().err


def test_a_policy_that_is_wrong(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (files / "short.yaml").write_text("defaults: {ttl: 5 parsecs}\n")
    assert simulate(files) == 1
    assert "short.yaml:1: defaults.ttl" in capsys.readouterr().err


def test_policies_of_one_name_are_told_apart(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (files / "other").mkdir()
    twin = files / "other" / "long.yaml"
    twin.write_text(POLICY)
    assert simulate(files, "--policy", str(twin), "--policy", str(twin), "--json") == 0
    names = [one["policy"] for one in json.loads(capsys.readouterr().out)["policies"]]
    assert len(set(names)) == 4


def example(capsys: pytest.CaptureFixture[str], *options: str) -> list[dict[str, Any]]:
    assert main(["simulate", "--example", *options]) == 0
    return [json.loads(one) for one in capsys.readouterr().out.splitlines()]


@pytest.mark.slow
def test_the_example_log_is_one(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = example(capsys, "300")
    assert len(lines) == 300
    assert example(capsys, "300") == lines
    assert example(capsys, "300", "--seed", "2") != lines
    assert [one["time"] for one in lines] == sorted(one["time"] for one in lines)
    write(files / "log.jsonl", lines)
    assert simulate(files, "--json") == 0
    whole = json.loads(capsys.readouterr().out)
    assert whole["notes"] == [note for note in whole["notes"] if " over " in note]
    assert whole["policies"][0]["overall"]["hits"]["part"] > 50


def test_who_reads_the_example_may_stop_early() -> None:
    command = "from kindcache.adapters.cli import main; raise SystemExit(main())"
    with subprocess.Popen(
        [sys.executable, "-c", command, "simulate", "--example", "3000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["key"]
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141  # as a shell says of a program that a closed pipe ended


@pytest.mark.parametrize(
    "options", [[], ["--log", "a", "--example", "3"], ["--example", "0"], ["--example", "many"]]
)
def test_options_that_make_no_sense(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["simulate", *options])
    assert "usage: kindcache simulate" in capsys.readouterr().err
