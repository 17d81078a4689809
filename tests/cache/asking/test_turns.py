"""What the scorer says of the earlier turns of two conversations."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import numpy as np
import pytest

from kindcache.cache.asking import turns as module
from kindcache.cache.asking.turns import TurnScorer
from kindcache.cache.errors import EmbedderError, ScorerError
from kindcache.cache.ports import Vector
from kindcache.policies.fusion import Fusion

pytestmark = pytest.mark.anyio


@dataclass
class Words:
    """Vectors of which the test says how near they are to the axis; None does not fit."""

    near: dict[str, float | None] = field(default_factory=dict)
    error: EmbedderError | None = None
    identity: str = "words"
    dim: int = 2

    async def embed(self, text: str) -> Vector | None:
        if self.error is not None:
            raise self.error
        near = self.near.get(text, 1.0)
        return None if near is None else np.array([near, (1 - near**2) ** 0.5], np.float32)

    async def open(self) -> None:
        """Nothing to load."""

    async def aclose(self) -> None:
        """Nothing to free."""


@dataclass
class Odds:
    """A scorer with the log-odds that the test says, by the stored text."""

    odds: dict[str, float | None]
    asked: list[tuple[str, str]] = field(default_factory=list)
    gate: asyncio.Event | None = None
    identity: str = "odds"
    fusion: Fusion = field(default_factory=lambda: Fusion("odds", 0.0, 1.0, 0.0))

    async def score(self, asked: str, stored: str) -> float | None:
        self.asked.append((asked, stored))
        if self.gate is not None:
            await self.gate.wait()
        return self.odds[stored]

    async def open(self) -> None:
        """Nothing to load."""

    async def aclose(self) -> None:
        """Nothing to free."""


async def test_the_least_probability_counts() -> None:
    scorer = Odds({"b": 4.0, "d": 2.0, "f": 3.0})
    judge = TurnScorer(scorer, Words())
    least = await judge.least((("a", "b"), ("c", "d"), ("e", "f")), 0.7)
    assert least == pytest.approx(0.8808, abs=1e-4)
    assert await judge.least((), 0.7) == 1.0


@pytest.mark.parametrize("odds", [-1.0, None])
async def test_after_a_turn_that_is_another_nothing_more_is_asked(odds: float | None) -> None:
    scorer = Odds({"b": odds, "d": 9.0})
    assert await TurnScorer(scorer, Words()).least((("a", "b"), ("c", "d")), 0.7) == 0.0
    assert scorer.asked == [("a", "b")]


@pytest.mark.parametrize("words", [Words({"b": 0.69}), Words({"b": None}), Words({"a": None})])
async def test_turns_that_are_not_near_or_too_long_are_others_and_cost_no_score(
    words: Words,
) -> None:
    scorer = Odds({"b": 9.0})
    assert await TurnScorer(scorer, words).least((("a", "b"),), 0.7) == 0.0
    assert scorer.asked == []


async def test_a_text_too_long_to_embed_is_another_even_without_a_floor() -> None:
    judge = TurnScorer(Odds({"b": 9.0}), Words({"b": None}))
    assert await judge.least((("a", "b"),), 0.0) == 0.0


async def test_a_pair_is_asked_about_once_and_every_floor_holds() -> None:
    scorer = Odds({"b": 9.0})
    judge = TurnScorer(scorer, Words({"b": 0.8}))
    results = [await judge.least((("a", "b"),), floor) for floor in (0.9, 0.7, 0.7, 0.9)]
    assert results == [0.0, pytest.approx(0.9999, abs=1e-4), pytest.approx(0.9999, abs=1e-4), 0.0]
    assert scorer.asked == [("a", "b")]


async def test_the_direction_of_a_pair_is_not_forgotten() -> None:
    scorer = Odds({"a": 1.0, "b": 9.0})
    judge = TurnScorer(scorer, Words())
    assert await judge.least((("a", "b"),), 0.7) > await judge.least((("b", "a"),), 0.7)


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 2)
    scorer = Odds(dict.fromkeys("bcd", 9.0))
    judge = TurnScorer(scorer, Words())
    for stored in "bcbdbc":
        await judge.least((("a", stored),), 0.7)
    assert [stored for _, stored in scorer.asked] == ["b", "c", "d", "c"]


async def test_all_turns_together_have_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DEADLINE_S", 0.01)
    judge = TurnScorer(Odds({"b": 9.0}, gate=asyncio.Event()), Words())
    with pytest.raises(ScorerError):
        await judge.least((("a", "b"),), 0.7)


async def test_a_failed_embedder_is_said() -> None:
    with pytest.raises(EmbedderError):
        await TurnScorer(Odds({}), Words(error=EmbedderError("down"))).least((("a", "b"),), 0.7)
