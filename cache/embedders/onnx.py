"""Runs an exported model with onnxruntime and tokenizers. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors
from tokenizers import Tokenizer

from ..errors import EmbedderError, StartupError
from ..ports import Encoded
from .artefact import Artefact
from .shelf import Report, Runtime, obtain
from .tokens import TokenReader, narrowed

# onnxruntime's errors have no common root besides Exception.
ORT_ERRORS = (
    ort_errors.EPFail,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
    MemoryError,
    RuntimeError,
    ValueError,
)
SAMPLE_LEAST = 0.995  # least cosine to the sample vector; another CPU's int8 kernels differ less


class OnnxEncoder:
    """Encodes one text after the other: the vector of a text never depends on its batch mates.

    Not by a bit. Dynamic int8 takes its scale from the whole batch: in batches of 16 the vector of
    a text moves by up to 0.016 in cosine (300 prompts), and by 0.014 among texts of equal length;
    and on one thread a batch is hardly faster than its texts in turn.
    """

    def __init__(self, session: Any, reader: TokenReader, identity: str) -> None:
        self.identity = identity
        self.dim: int = session.get_outputs()[0].shape[-1]
        self.window = reader.window
        self._run = session.run
        self._reader = reader

    @classmethod
    def of(cls, artefact: Artefact, *, threads: int = 1, window: int = 0) -> OnnxEncoder:
        """Make an encoder of ``artefact``; ``window`` 0 = the model's own.

        Raises ``StartupError`` when this onnxruntime cannot run it.
        """
        meta = artefact.meta
        reader = TokenReader(
            Tokenizer.from_str(artefact.tokenizer),
            narrowed(meta.window, window),
            unknown_id=meta.unknown_id,
            prefix=meta.prefix,
            lower=meta.lower,
        )
        try:
            return cls(session(artefact.model, threads), reader, meta.identity)
        except ORT_ERRORS as exc:
            raise StartupError(
                f"onnxruntime {onnxruntime.__version__} cannot run the exported {meta.model}"
            ) from exc

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Encode ``texts``; about 0.5, 1.3 and 14 ms for 8, 25 and 256 tokens (int8, BERT)."""
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        fits = np.zeros(len(texts), dtype=np.bool_)
        for row, text in enumerate(texts):
            ids = self._reader.read(text)
            if ids is None:
                continue
            try:
                vectors[row] = self._run(None, {"input_ids": np.array([ids], dtype=np.int64)})[0][0]
            except ORT_ERRORS as exc:
                raise EmbedderError(f"onnxruntime failed with {type(exc).__name__}") from exc
            if not np.isfinite(vectors[row, 0]):
                raise EmbedderError("the model gave a vector that is not finite")
            fits[row] = True
        return Encoded(vectors, fits)


def load(
    model: str, runtime: Runtime, root: Path, report: Report, *, threads: int = 1, window: int = 0
) -> OnnxEncoder:
    """Load ``model`` from the artefacts under ``root``, building what is missing or unfit.

    Blocks: 0.3 s when the artefact is there, some 20 s else. Raises ``StartupError``.
    """
    artefact = obtain(model, runtime, root, report)
    encoder = OnnxEncoder.of(artefact, threads=threads, window=window)
    if not _agrees(encoder, artefact):
        report("The exported model was made on another kind of processor; it is built anew.")
        artefact = obtain(model, runtime, root, report, rebuild=True)
        encoder = OnnxEncoder.of(artefact, threads=threads, window=window)
    return encoder


def session(model: bytes, threads: int) -> Any:
    """Open ``model`` on the CPU, without threads that spin while idle."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _agrees(encoder: OnnxEncoder, artefact: Artefact) -> bool:
    encoded = encoder.encode([artefact.meta.sample_text])
    wanted = np.array(artefact.meta.sample_vector, dtype=np.float32)
    # A narrow window may not take the sample; then there is nothing to compare.
    return not encoded.fits[0] or float(encoded.vectors[0] @ wanted) >= SAMPLE_LEAST
