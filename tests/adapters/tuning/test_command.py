"""``kindcache tune`` as a user runs it: evidence in, a diff that can be applied out."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kindcache.adapters.build import build
from kindcache.adapters.cli import main
from kindcache.adapters.tuning.run import TuneOptions, run
from kindcache.config.load import load
from kindcache.policies.observation import Observation, Source

CONFIG = """\
embedder: {runtime: hashing}
store: {url: "sqlite:///kc.db"}
defaults:
  candidate_floor: 0.1        # asks about everything
  min_probability: 0.97       # strict
categories:
  code: {match: {pattern: function}}
  secret: {match: {pattern: salary}, cache: false}
"""
SAME = (
    ("How do I reverse a list with a function?", "How can I reverse a list with a function?"),
    ("How do I sort a list with a function?", "How can I sort a list with a function?"),
    ("Write a function that adds two numbers", "Write a function that adds two numbers please"),
    ("What does this function return?", "What does this function return here?"),
    ("How do I test a function?", "How can I test a function?"),
    ("How do I name a function?", "How should I name a function?"),
)
ROW = {"category": "code", "probability": 0.95, "correct": True, "source": "shadow"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.yaml").write_text(CONFIG)
    pairs = [
        {"id": f"p-{n}", "q1": one, "q2": other, "label": 1}
        for n, (one, other) in enumerate([*SAME, *((b, a) for a, b in SAME)])
    ]
    pairs.append({"id": "p-90", "q1": "my salary", "q2": "my salary now", "label": 0})
    write(tmp_path / "pairs.jsonl", pairs)
    write(tmp_path / "log.jsonl", [ROW] * 400)
    return tmp_path


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def tune(*options: str) -> int:
    return main(["tune", "--config", "policy.yaml", *options])


def apply(diff: str) -> None:
    program = shutil.which("git")
    assert program is not None
    subprocess.run([program, "apply", "-p0", "-"], input=diff, text=True, check=True)


def bar(name: str) -> float:
    return load(Path("policy.yaml")).effective(name).min_probability


def test_labelled_pairs_through_the_serving_code(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (folder / "policy.yaml").read_bytes()
    assert tune("pairs.jsonl", "--rate", "30%") == 0
    shown = capsys.readouterr()
    assert "12 of 13 pairs count" in shown.out
    assert "certified: 0 wrong of" in shown.out
    assert "patch policy.yaml" in shown.err
    assert (folder / "policy.yaml").read_bytes() == before

    apply(shown.out)
    assert bar("code") < 0.97
    assert "asks about everything" in (folder / "policy.yaml").read_text()
    assert tune("pairs.jsonl", "--rate", "30%") == 0
    assert "Nothing to change." in capsys.readouterr().out


def test_an_exported_log(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder / "other.jsonl", [ROW | {"category": "gone"}, ROW | {"correct": False}])
    logs = ("--observations", "log.jsonl", "--observations", "other.jsonl")
    assert tune(*logs, "--rate", "2%", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    code = {one["category"]: one for one in told["categories"]}["code"]
    assert (code["finding"], code["observations"], code["wrong"]) == ("certified", 401, 1)
    assert code["bar"]["upper"] <= 0.02
    assert [note for note in told["notes"] if "gone" in note]
    apply(told["diff"])
    assert bar("code") == code["proposed"]


@pytest.mark.anyio
async def test_what_a_cache_has_learnt_that_is_still_running(folder: Path) -> None:
    async def nobody(*_: object) -> None: ...

    service = build(load(folder / "policy.yaml"), nobody, upstream="test", environ={})
    await service.lifecycle.open()
    try:
        seen = Observation("code", 0.95, correct=True, source=Source.SHADOW, served=False)
        for _ in range(400):
            service.engine.evidence.note(seen)
        await service.engine.evidence.flush()
        out = io.StringIO()
        options = TuneOptions(config=Path("policy.yaml"), store=True, rate=0.01, out=out)
        assert await run(options) == 0
        assert "certified: 0 wrong of 400" in out.getvalue()
        elsewhere = CONFIG.replace("hashing}", "hashing}\njudge: {scorer: none}")
        (folder / "policy.yaml").write_text(elsewhere)
        assert await run(options) == 1
    finally:
        await service.lifecycle.aclose()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ((), "nothing to learn from"),
        (("--observations", "log.jsonl"), "--rate"),
        (("--store", "--rate", "1%"), "kc.db: no such file"),
        (("--observations", "none.jsonl", "--rate", "1%"), "none.jsonl: No such file"),
        (("none.jsonl", "--rate", "1%"), "none.jsonl: No such file"),
    ],
)
def test_what_cannot_be_is_one_line(
    options: tuple[str, ...], why: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune(*options) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    (line,) = shown.err.splitlines()
    assert why in line


def test_guards_alone_have_no_bar_to_tune(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "policy.yaml").write_text(CONFIG + "judge: {scorer: none}\n")
    assert tune("--observations", "log.jsonl", "--rate", "1%") == 1
    assert "similarity_threshold" in capsys.readouterr().err


def test_a_file_that_cannot_be_edited_is_said_and_its_bars_shown(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strict = "defaults: {min_probability: 0.97}\n"
    text = f"{strict}categories:\n  other: &own {{ttl: 1d}}\n  code: *own\n"
    (folder / "policy.yaml").write_text(text)
    assert tune("--observations", "log.jsonl", "--rate", "1%") == 1
    shown = capsys.readouterr()
    assert "certified: 0 wrong of 400" in shown.out
    assert "+++" not in shown.out
    assert "set the bars by hand" in shown.err


def test_a_rate_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        tune("--rate", "often")
    assert "a share such as" in capsys.readouterr().err
