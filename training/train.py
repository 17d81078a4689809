"""Trains the pair scorer on the shards.

``python -m training.train [--minutes 38] [--steps 2400]`` reads ``out/shards`` in order and writes
``out/scorer.pt``. The learning rate falls with steps or minutes, whichever is further on, so that a
slow machine ends with a finished run.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import torch
from tokenizers import Tokenizer

from .embedding import folder
from .model import PairScorer, fresh
from .reading import read_pair, tokenizer

HERE = Path(__file__).parent
OUT = HERE / "out"
SEED = 20
BATCH = 64
LONGEST = 80  # tokens of a pair in training; longer pairs are left out
LAYERS = 5
PEAK = 2e-4  # learning rate of the top layer; each layer below has DECAY of it
HEAD = 6e-4
DECAY = 0.85
WARM = 0.04
GENTLY = 0.3  # of the peak rates, when a trained scorer goes on

Batch = tuple[Any, Any, Any, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Train as the arguments say; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=38.0)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--go-on", action="store_true", help="from out/scorer.pt, more gently")
    parser.add_argument("--first", type=int, default=0, help="leave the shards before this one")
    parser.add_argument("--rates", type=float, default=GENTLY, help="share of them, with --go-on")
    options = parser.parse_args(arguments)
    torch.manual_seed(SEED)
    torch.set_num_threads(options.threads)
    model = fresh(folder(), LAYERS)
    if options.go_on:
        model.load_state_dict(torch.load(OUT / "scorer.pt", weights_only=True))
    scale = options.rates if options.go_on else 1.0
    train(model, options.steps, options.minutes * 60, options.first, scale)
    save(model)
    return 0


def save(model: PairScorer) -> None:
    """Write the weights, whole or not at all."""
    part = OUT / "scorer.part"
    torch.save(model.state_dict(), part)
    part.replace(OUT / "scorer.pt")


def train(
    model: PairScorer, steps: int, limit_s: float, first: int = 0, scale: float = 1.0
) -> None:
    """Take up to ``steps`` steps in up to ``limit_s`` seconds; ``scale`` the peak rates."""
    optimiser = torch.optim.AdamW(_rates(model), weight_decay=0.01)
    schedule = [group["lr"] * scale for group in optimiser.param_groups]
    begun = time.monotonic()
    model.train()
    losses: list[float] = []
    for step, (ids, kinds, mask, labels) in enumerate(_batches(tokenizer(folder()), first)):
        done = max(step / steps, (time.monotonic() - begun) / limit_s)
        if done >= 1.0:
            break
        rate = min((step + 1) / (WARM * steps), (1.0 - done) / (1.0 - WARM))
        for group, peak in zip(optimiser.param_groups, schedule, strict=True):
            group["lr"] = peak * rate
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(ids, kinds, mask)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits.float(), labels)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        losses.append(float(loss.detach()))
        if step % 25 == 24:
            pace = (time.monotonic() - begun) / (step + 1)
            recent = sum(losses[-50:]) / len(losses[-50:])
            _say(f"step {step + 1} loss {recent:.4f} pace {pace:.2f} s done {done:.3f}")
        if step % 400 == 399:
            save(model)


def _rates(model: PairScorer) -> list[dict[str, Any]]:
    """Return the parameters with their peak rates: lower layers move less."""
    layers = model.bert.encoder.layer
    groups = [
        {"params": list(layer.parameters()), "lr": PEAK * DECAY ** (len(layers) - 1 - n)}
        for n, layer in enumerate(layers)
    ]
    low = {"params": list(model.bert.embeddings.parameters()), "lr": PEAK * DECAY ** len(layers)}
    top = {"params": [*model.marks.parameters(), *model.head.parameters()], "lr": HEAD}
    return [*groups, low, top]


def _batches(reader: Tokenizer, first: int) -> Iterator[Batch]:
    """Yield batches, shard by shard and round again; pairs of like length together."""
    random = Random(SEED)
    for number in count():
        every = sorted((OUT / "shards").glob("*.jsonl"), key=lambda path: int(path.stem))
        paths = [path for path in every if int(path.stem) >= first]
        path = paths[number % len(paths)]
        _say(f"shard {path.name}")
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        read = [(*read_pair(reader, row["a"], row["b"]), float(row["label"])) for row in rows]
        read = [one for one in read if len(one[0]) <= LONGEST]
        read.sort(key=lambda one: len(one[0]) + random.random() * 4)
        batches = [read[n : n + BATCH] for n in range(0, len(read), BATCH)]
        random.shuffle(batches)
        yield from map(_stacked, batches)


def _stacked(rows: Sequence[tuple[list[int], list[int], float]]) -> Batch:
    width = max(len(ids) for ids, _, _ in rows)
    ids = torch.zeros((len(rows), width), dtype=torch.long)
    kinds, mask = torch.zeros_like(ids), torch.zeros_like(ids)
    for n, (row, kind, _) in enumerate(rows):
        ids[n, : len(row)] = torch.tensor(row)
        kinds[n, : len(row)] = torch.tensor(kind)
        mask[n, : len(row)] = 1
    return ids, kinds, mask, torch.tensor([label for _, _, label in rows])


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    os.nice(19)
    sys.exit(main())
