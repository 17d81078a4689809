"""The prompts that all peers are asked: stored ones, the same in other words, and unlike ones.

*Stored* are questions of one kind that differ in a verb, two nouns and an adjective, as in
``questions.py``, in an order that the seed decides. *Reworded* asks a stored question in words that
no cache has seen. *Unlike* prompts resemble no stored one and no other unlike one, so that they are
misses for every peer, whatever its threshold: those of a cosine above ``UNLIKE`` are left out.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from questions import NOUNS, THINGS, VERBS

from kindcache.cache.embedders.onnx import OnnxEncoder
from kindcache.cache.ports import Matrix

MODEL = "bench"
KEY = f"sk-{hashlib.sha256(b'bench').hexdigest()}"  # one peer takes no shorter one
FIRST = "How do I {} the {} for my {} {}?"
WORDINGS = (
    "How can I {} the {} for my {} {}?",
    "So how do I {} the {} for my {} {}?",
    "How could I {} the {} for my {} {}?",
    "Please tell me how I can {} the {} for my {} {}",
    "How do you {} the {} for my {} {}?",
    "How would I {} the {} for my {} {}?",
    "Tell me how to {} the {} for my {} {}",
    "How am I able to {} the {} for my {} {}?",
)
KINDS = "new old red blue small large cheap broken French German spare second".split()
LEFT_OUT = {"phone case"}  # "my phone" is personal data to one of the peers, which passes it on

SUBJECTS = "{0} and {1}|the history of {0} in {1}|a {0} made of {1}|{0}, {1}|why {0} needs {1}"
UNLIKE = 0.55  # one peer serves from a cosine of 0.6 on
POOL = 14_000


@dataclass(frozen=True, slots=True)
class Prompts:
    """What is asked. ``unlike`` is in an order of its own, each used once in a server's life."""

    questions: Sequence[tuple[str, ...]]  # the first N of them are stored
    unlike: Sequence[str]

    def stored(self, size: int) -> list[str]:
        """Return the prompts that are stored in a cache of ``size`` entries."""
        return [FIRST.format(*words) for words in self.questions[:size]]

    def reworded(self, size: int) -> list[str]:
        """Return stored questions in other words, each wording once.

        They are spread evenly over the entries, and all wordings over the list.
        """
        drawn = list(self.questions[:size])
        random.Random(size).shuffle(drawn)
        return [
            WORDINGS[(turn + place) % len(WORDINGS)].format(*words)
            for turn in range(len(WORDINGS))
            for place, words in enumerate(drawn[:1_000])
        ]


def request(text: str, *, stream: bool = False, headers: Sequence[str] = ()) -> bytes:
    """Return the HTTP request that asks ``text``; temperature 0, or some peers do not cache."""
    messages = [{"role": "user", "content": text}]
    body: dict[str, object] = {"model": MODEL, "messages": messages, "temperature": 0}
    if stream:
        body["stream"] = True
    return post(body, headers)


def post(body: dict[str, Any], headers: Sequence[str] = ()) -> bytes:
    """Return the HTTP request that sends ``body``."""
    data = json.dumps(body).encode()
    lines = (
        "POST /v1/chat/completions HTTP/1.1",
        "host: 127.0.0.1",
        f"authorization: Bearer {KEY}",
        "content-type: application/json",
        *headers,
        f"content-length: {len(data)}",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


def questions(seed: int, count: int) -> list[tuple[str, ...]]:
    """Return ``count`` questions in an order that ``seed`` decides."""
    things = [thing for thing in THINGS if thing not in LEFT_OUT]
    drawn: list[tuple[str, ...]] = list(itertools.product(VERBS, NOUNS, KINDS, things))
    random.Random(seed).shuffle(drawn)
    if count > len(drawn):
        raise SystemExit(f"there are {len(drawn):,} questions, not {count:,}")
    return drawn[:count]


def unlike(count: int, seed: int, stored: Matrix, encoder: OnnxEncoder, words: Path) -> list[str]:
    """Return up to ``count`` prompts unlike ``stored`` ((n, dim) vectors) and unlike each other.

    They are made of words of the tokenizer's vocabulary, the file ``words``.
    """
    draw = random.Random(seed)
    known = [word for word in words.read_text().split() if word.isalpha() and len(word) > 4]
    shapes = SUBJECTS.split("|")
    texts = [draw.choice(shapes).format(*draw.sample(known, 2)) for _ in range(POOL)]
    vectors = encoder.encode(texts).vectors
    near = np.concatenate(
        [(vectors[at : at + 500] @ stored.T).max(axis=1) for at in range(0, len(texts), 500)]
    )
    chosen: list[int] = []
    for row in np.flatnonzero(near < UNLIKE):
        if len(chosen) == count:
            break
        if not chosen or float((vectors[chosen] @ vectors[row]).max()) < UNLIKE:
            chosen.append(int(row))
    return [texts[row] for row in chosen]
