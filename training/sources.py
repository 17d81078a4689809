"""Reads the public labelled pairs for training and closes their groups."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

FILES = (
    "semanticmemo_train",
    "nl2bash_half_a",
    "advising_half_a",
    "checklist_mft_half_a",
    "api_docs_paraphrases",
)
HELD_BACK = 0.1  # share of families and components kept for validation and calibration


@dataclass(frozen=True, slots=True)
class Pair:
    """Two prompts; label 1 when the same answer fits both."""

    a: str
    b: str
    label: int
    source: str
    kind: str


@dataclass(frozen=True, slots=True)
class Source:
    """Pairs of one public file, split by connected component, and its groups of equals."""

    train: tuple[Pair, ...]
    held: tuple[Pair, ...]
    groups: tuple[tuple[str, ...], ...]  # of the training part
    held_groups: tuple[tuple[str, ...], ...]


def held_back(name: str) -> bool:
    """Say whether what is called ``name`` belongs to the held-back slice; stable over builds."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) < HELD_BACK * 2**32


def plain(text: str) -> str:
    """Return ``text`` in the form in which prompts are compared."""
    return re.sub(r"\W+", " ", text.lower()).strip()


def rows(path: Path) -> Iterator[dict[str, str | int]]:
    """Read a JSONL file, plain or gzipped."""
    raw = path.read_bytes()
    text = gzip.decompress(raw) if path.suffix == ".gz" else raw
    yield from map(json.loads, text.splitlines())


def evaluation_prompts(data: Path) -> frozenset[str]:
    """Return every prompt of ``pairs/`` and ``streams/``, in plain form: not to be trained on."""
    return frozenset(
        plain(str(row[side]))
        for folder, sides in (("pairs", ("q1", "q2")), ("streams", ("text",)))
        for path in sorted((data / folder).glob("*.jsonl*"))
        for row in rows(path)
        for side in sides
    )


def read(data: Path, name: str, banned: frozenset[str]) -> Source:
    """Read one file of ``train/``."""
    path = next((data / "train").glob(f"{name}.jsonl*"))
    pairs = [
        Pair(str(r["q1"]), str(r["q2"]), int(r["label"]), name, str(r["kind"])) for r in rows(path)
    ]
    pairs = [p for p in pairs if not {plain(p.a), plain(p.b)} & banned and not _mislabelled(p)]
    root = _components([(p.a, p.b) for p in pairs if p.label])
    members: dict[str, list[str]] = {}
    for text in dict.fromkeys(t for p in pairs for t in (p.a, p.b)):
        members.setdefault(root.get(text, text), []).append(text)
    held = {text for key, texts in members.items() if held_back(min(texts)) for text in texts}
    groups = [tuple(texts) for texts in members.values() if len(texts) > 1]
    return Source(
        train=tuple(p for p in pairs if p.a not in held and p.b not in held),
        held=tuple(p for p in pairs if p.a in held and p.b in held),
        groups=tuple(g for g in groups if g[0] not in held),
        held_groups=tuple(g for g in groups if g[0] in held),
    )


def _mislabelled(pair: Pair) -> bool:
    """nl2bash calls some pairs equal that differ in a size."""
    numbers = [sorted(re.findall(r"\d+", text)) for text in (pair.a, pair.b)]
    return pair.source == "nl2bash_half_a" and pair.label == 1 and numbers[0] != numbers[1]


def _components(edges: Sequence[tuple[str, str]]) -> dict[str, str]:
    parent: dict[str, str] = {}

    def find(text: str) -> str:
        while parent.setdefault(text, text) != text:
            parent[text] = parent[parent[text]]
            text = parent[text]
        return text

    for one, two in edges:
        parent[find(one)] = find(two)
    return {text: find(text) for text in parent}
