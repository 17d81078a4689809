"""An exported model on disk: a folder of ``model.onnx``, ``tokenizer.json`` and ``meta.json``.

``meta.json`` holds the hashes of the other two. Finding, building and replacing is ``shelf.py``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec

FORMAT = 2  # of the folder and of the recipe in export.py: another one builds anew
META, MODEL, TOKENIZER = "meta.json", "model.onnx", "tokenizer.json"


class Meta(msgspec.Struct, frozen=True, kw_only=True):
    """What ``meta.json`` says."""

    format: int
    identity: str  # from the weights, not from the exported bytes: replicas that build agree
    model: str
    runtime: str
    pooling: str  # "mean" or "cls"; pooling and normalisation are part of the graph
    dim: int
    window: int  # tokens, special tokens included
    unknown_id: int | None
    prefix: str  # put before every text, as the model's own default prompt says
    lower: bool
    files: dict[str, str]  # name -> SHA-256
    sample_text: str
    sample_vector: list[float]  # of the sample text by this artefact, where it was built
    cosine_min: float  # to the original's vectors, over some sentences
    cosine_mean: float
    source_stamp: str = ""  # of the folder the weights came from; "" = came from a hub
    source_hash: str = ""


@dataclass(frozen=True, slots=True)
class Artefact:
    """A complete, undamaged artefact in memory."""

    meta: Meta
    model: bytes  # ONNX
    tokenizer: str  # JSON


def read(folder: Path) -> Artefact | None:
    """Read and check what is in ``folder``; None when absent, damaged or of another format."""
    try:
        meta = msgspec.json.decode((folder / META).read_bytes(), type=Meta)
        model, tokenizer = (folder / MODEL).read_bytes(), (folder / TOKENIZER).read_bytes()
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    found = {MODEL: sha256(model), TOKENIZER: sha256(tokenizer)}
    if meta.format != FORMAT or meta.files != found:
        return None
    return Artefact(meta, model, tokenizer.decode())


def sha256(data: bytes) -> str:
    """Return the SHA-256 of ``data`` in hex."""
    return hashlib.sha256(data).hexdigest()
