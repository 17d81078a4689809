"""A log to try the simulation with: the demo's prompts, arriving at random, some often."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any

from ..demo.answers import PIECE, answer_text
from ..demo.traffic import Prompt, load

START = datetime(2025, 1, 6, 9, tzinfo=UTC).timestamp()
PER_S = 0.5  # requests, on average: 10,000 take five and a half hours
ZIPF = 0.9  # the question of rank n is asked n ** -0.9 times as often as the first
CALLERS = ("team-a", "team-b", "team-c")
FIRST_TOKEN_S = 0.6  # as the demo model
TOKENS_PER_S = 80.0
SPREAD = 0.25  # of a latency, as the standard deviation of its logarithm
OF_THE_DAY = frozenset({"live_data", "market_data"})  # whose right answers change overnight


def example(number: int, seed: int) -> Iterator[str]:
    """Yield ``number`` lines. The same for the same ``seed``, on every machine."""
    draw = Random(seed)  # noqa: S311 - no secret
    questions = _questions(load(), draw)
    weights = [(rank + 1) ** -ZIPF for rank in range(len(questions))]
    at_s = START
    for asked in draw.choices(questions, weights, k=number):
        at_s += draw.expovariate(PER_S)
        yield json.dumps(_line(draw.choice(asked), at_s, draw), ensure_ascii=False)


def _questions(prompts: Sequence[Prompt], draw: Random) -> list[list[Prompt]]:
    """Return the wordings of each question, the questions in an order of chance."""
    by_key: dict[str, list[Prompt]] = {}
    for prompt in prompts:
        by_key.setdefault(prompt.key, []).append(prompt)
    questions = list(by_key.values())
    draw.shuffle(questions)
    return questions


def _line(prompt: Prompt, at_s: float, draw: Random) -> dict[str, Any]:
    messages = prompt.messages()
    answer = answer_text([message["content"] for message in messages])
    asked = sum(len(message["content"].split()) for message in messages)
    said = len(PIECE.findall(answer))
    slower = math.exp(draw.gauss(0.0, SPREAD))
    day = datetime.fromtimestamp(at_s, UTC).date()
    return {
        "time": round(at_s, 3),
        "principal": draw.choice(CALLERS),
        "request": {"model": "demo", **prompt.body()},
        "latency_s": round((FIRST_TOKEN_S + said / TOKENS_PER_S) * slower, 3),
        "usage": {
            "prompt_tokens": asked,
            "completion_tokens": said,
            "total_tokens": asked + said,
        },
        "key": f"{prompt.key}@{day}" if prompt.category in OF_THE_DAY else prompt.key,
        "category": prompt.category,
        "answer": answer,
    }
