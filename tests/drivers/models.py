"""The default model for tests: exported once, kept for later runs."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from kindcache.cache.embedders.onnx import OnnxEncoder, load
from kindcache.cache.embedders.sentence import SentenceEncoder
from kindcache.cache.embedders.shelf import default_root

DEFAULT = "sentence-transformers/all-MiniLM-L6-v2"


def artefacts() -> Path:
    """Where exported models lie: ``KINDCACHE_ARTEFACTS``, else where the product keeps them."""
    given = os.environ.get("KINDCACHE_ARTEFACTS")
    return Path(given) if given else default_root()


@cache
def onnx_int8() -> OnnxEncoder:
    return load(DEFAULT, "onnx-int8", artefacts(), print)


@cache
def sentence() -> SentenceEncoder:
    return SentenceEncoder.load(DEFAULT)
