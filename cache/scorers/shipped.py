"""The pair scorer that comes with kindcache: a small cross-encoder as an int8 ONNX graph.

How it was trained, and what it can and cannot do, is in ``training/MODEL_CARD.md``.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ...policies.familiar import is_familiar
from ...policies.fusion import Fusion
from ..errors import ScorerError, StartupError

FORMAT = 1
FOLDER = Path(__file__).resolve().parent.parent / "weights" / "pair_scorer"
LONGEST_CHARACTERS = 2_000  # longer prompts are not tokenised: they cannot fit the window


class Fitted(msgspec.Struct, frozen=True):
    """Coefficients of the fusion, fitted on held-back pairs."""

    intercept: float
    logit: float
    similarity: float


class Meta(msgspec.Struct, frozen=True, kw_only=True):
    """What ``meta.json`` says; further keys describe how it was made."""

    format: int
    window: int  # tokens of a pair, special tokens included
    files: dict[str, str]  # name -> SHA-256
    fusion: Fitted


def is_here(folder: Path = FOLDER) -> bool:
    """Say whether there are weights in ``folder``."""
    return (folder / "meta.json").is_file()


class ShippedModel:
    """Reads ``[CLS] asked [SEP] stored [SEP]`` and gives one logit. One call at a time."""

    def __init__(self, run: Any, tokenizer: Any, meta: Meta) -> None:
        self._run = run
        self._tokenizer = tokenizer
        self._window = meta.window
        self._unknown_id = tokenizer.token_to_id("[UNK]")
        self.identity = f"shipped/{meta.files['model.onnx'][:16]}"
        fitted = meta.fusion
        self.fusion = Fusion(self.identity, fitted.intercept, fitted.logit, fitted.similarity)

    def logit(self, asked: str, stored: str) -> float | None:
        """Return the log-odds; None for a pair too long, or unlike what it was trained on."""
        if max(len(asked), len(stored)) > LONGEST_CHARACTERS:
            return None
        if not (is_familiar(asked) and is_familiar(stored)):
            return None
        try:
            read = self._tokenizer.encode(asked, stored)
        except TypeError:  # how tokenizers refuses a lone surrogate
            return None
        if len(read.ids) > self._window or self._unknown_id in read.ids:
            return None
        feeds = {"input_ids": np.array([read.ids]), "token_type_ids": np.array([read.type_ids])}
        from ..embedders.onnx import ORT_ERRORS  # noqa: PLC0415 - loads onnxruntime

        try:
            return float(self._run(None, feeds)[0][0])
        except ORT_ERRORS as exc:
            raise ScorerError(f"onnxruntime failed with {type(exc).__name__}") from exc


def load(folder: Path = FOLDER) -> ShippedModel:
    """Load and check the weights in ``folder``. Raises ``StartupError``."""
    from tokenizers import Tokenizer  # noqa: PLC0415 - only where a scorer is used

    from ..embedders.onnx import ORT_ERRORS, session  # noqa: PLC0415

    try:
        meta = msgspec.json.decode((folder / "meta.json").read_bytes(), type=Meta)
        parts = {name: (folder / name).read_bytes() for name in meta.files}
    except (OSError, msgspec.DecodeError) as exc:
        raise StartupError(f"the pair scorer's weights in {folder} cannot be read") from exc
    hashes = {name: sha256(data).hexdigest() for name, data in parts.items()}
    if meta.format != FORMAT or hashes != meta.files:
        raise StartupError(f"the pair scorer's weights in {folder} are damaged; install them anew")
    tokenizer = Tokenizer.from_str(parts["tokenizer.json"].decode())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    try:
        return ShippedModel(session(parts["model.onnx"], 1).run, tokenizer, meta)
    except ORT_ERRORS as exc:
        raise StartupError("onnxruntime cannot run the pair scorer's weights") from exc
