"""The two models by themselves: what bounds a semantic hit on this machine at this moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

from kindcache.cache.embedders.onnx import load as load_encoder
from kindcache.cache.embedders.shelf import default_root
from kindcache.cache.scorers.shipped import load as load_scorer
from kindcache.config.service_settings import EmbedderSettings

COUNT = 200
PAUSE_S = 0.001  # as between requests, in which caches grow cold


def alone() -> list[str]:
    """Measure both in this process, one thread, with pauses; a line each.

    In turn they take longer than their sum: each drives the other's weights out of the caches.
    """
    model = EmbedderSettings().model
    encoder = load_encoder(model, "onnx-int8", default_root(), print)
    scorer = load_scorer()
    texts = [f"How do I reverse list number {number} in Python?" for number in range(COUNT)]
    encode_ms = _median_ms(lambda text: encoder.encode([text]), texts)
    score_ms = _median_ms(lambda text: scorer.logit(text, texts[0]), texts)
    both_ms = _median_ms(lambda text: (encoder.encode([text]), scorer.logit(text, texts[0])), texts)
    return [
        f"Embedding a prompt of 10 tokens, in process, alone: p50 {encode_ms:.2f} ms",
        f"Scoring a pair of such prompts, in process, alone: p50 {score_ms:.2f} ms",
        f"One after the other, in process: p50 {both_ms:.2f} ms",
    ]


def _median_ms(work: Callable[[str], object], texts: list[str]) -> float:
    taken = []
    for text in texts:
        started = time.perf_counter()
        work(text)
        taken.append(time.perf_counter() - started)
        time.sleep(PAUSE_S)
    return median(taken) * 1e3
