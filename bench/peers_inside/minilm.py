"""MiniLM for GPTCache: the ONNX file that CacheLLM runs, with onnxruntime and tokenizers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Tokenizer


class MiniLM:
    """Turns texts into vectors, float32, normalised; ``threads`` 0 = as many as there are cores.

    One is what kindcache uses, and was faster than more for one short text on two busy cores.
    """

    def __init__(self, folder: Path, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options)
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(256)

    def one(self, text: str, **_: Any) -> np.ndarray[Any, Any]:
        """Return the vector of ``text``; GPTCache passes more, which is not needed."""
        return np.asarray(self.many([text])[0])

    def many(self, texts: Sequence[str]) -> np.ndarray[Any, Any]:
        """Return the vectors of ``texts``, run as one batch."""
        self._tokenizer.enable_padding()
        read = self._tokenizer.encode_batch(list(texts))
        ids = np.array([each.ids for each in read], dtype=np.int64)
        mask = np.array([each.attention_mask for each in read], dtype=np.int64)
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        hidden = self._session.run(None, feed)[0]
        pooled = (hidden * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
        return np.asarray(pooled / np.linalg.norm(pooled, axis=1, keepdims=True), dtype=np.float32)
