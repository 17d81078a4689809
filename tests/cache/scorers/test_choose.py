"""The settings choose the pair scorer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kindcache.cache.errors import StartupError
from kindcache.cache.scorers import shipped
from kindcache.cache.scorers.choose import choose
from kindcache.cache.scorers.remote import RemoteScorer
from kindcache.cache.scorers.threaded import ThreadedScorer
from kindcache.config.judging_settings import JudgeSettings

pytestmark = pytest.mark.anyio

HEAVY = """
import sys
import kindcache.cache.scorers.choose
heavy = {"aiohttp", "onnxruntime", "tokenizers", "torch", "sentence_transformers"}
print(sorted(heavy & set(sys.modules)))
"""


def test_none_is_no_scorer() -> None:
    lines: list[str] = []
    assert choose(JudgeSettings(scorer="none"), "", lines.append) is None
    assert lines == []


async def test_the_default_is_the_shipped_one() -> None:
    lines: list[str] = []
    scorer = choose(JudgeSettings(deadline=10.0), "", lines.append)
    assert scorer is not None
    await scorer.open()
    assert scorer.identity.startswith("shipped/")
    assert scorer.fusion.scorer == scorer.identity
    logit = await scorer.score("How do I cancel my order?", "How do I cancel an order?")
    assert logit is not None
    assert logit > 0
    await scorer.aclose()
    assert lines == []


def test_without_its_weights_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "is_here", lambda: False)
    lines: list[str] = []
    assert choose(JudgeSettings(), "", lines.append) is None
    (line,) = lines
    assert "weights are not here" in line


async def test_another_name_is_a_cross_encoder_and_a_wrong_one_stops_the_start(
    tmp_path: Path,
) -> None:
    scorer = choose(JudgeSettings(scorer=str(tmp_path / "nothing")), "", print)
    assert isinstance(scorer, ThreadedScorer)
    with pytest.raises(StartupError, match=r"judge\.scorer"):
        await scorer.open()
    await scorer.aclose()


def test_an_address_is_a_service_that_is_asked() -> None:
    settings = JudgeSettings(scorer="https://judge.example/rerank", score="log_odds")
    scorer = choose(settings, "sk-test", print)
    assert isinstance(scorer, RemoteScorer)
    assert scorer.identity == "remote/https://judge.example/rerank/log-odds"


def test_choosing_loads_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HEAVY], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
