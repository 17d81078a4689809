"""Exports a sentence-transformers model to ONNX. Runs as a process of its own.

``python -m kindcache.cache.embedders.export MODEL RUNTIME FOLDER`` fills ``FOLDER``. Lines on
standard output begin with ``report`` (progress) or ``refuse`` (why not; exit status 2).

The graph takes ``input_ids`` (n, tokens) int64 and gives ``vector`` (n, dim) float32, normalised.
It has no attention mask: a batch holds texts of equal length only. The graph of a ``BertModel`` is
written node by node (``bert_graph.py``), that of any other model is traced. The TorchScript
exporter (``dynamo=False``) is meant: it needs no package besides torch, takes 2 s instead of 8, and
its int8 graph runs 256 tokens in 17 ms, that of the newer exporter in 27 (torch 2.13, onnxruntime
1.31); the written one takes 14 ms.
"""

from __future__ import annotations

import math
import sys
import warnings
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ..errors import StartupError
from ..ports import Matrix
from . import artefact
from .sentence import SentenceEncoder
from .tokens import TokenReader
from .weights import content_hash, locate, stamp

OPSET = 17
SAME = 0.9999  # least cosine of the float graph to the original
INT8_LEAST = 0.97  # least mean cosine of the int8 graph; all-MiniLM-L6-v2 has 0.994
SENTENCES = (
    "How do I cancel my order number 12345 and get a refund?",
    "Write a Python function that reverses a linked list in place.",
    "What is the capital of France?",
    "thanks, that was helpful",
    "Explain the difference between TCP and UDP to a beginner, with an example for each of them.",
    "Which side effects does ibuprofen have when it is taken every day?",
    "SELECT name, COUNT(*) FROM users GROUP BY name HAVING COUNT(*) > 1;",
    "Was kostet die Lieferung nach Österreich?",
    (
        "The meeting has been moved from Monday to Thursday at 3 pm. Please tell everybody who "
        "takes part, book a room for eight people, and send me the agenda before noon on Wednesday."
    ),
    "yes",
)


def main(arguments: list[str]) -> int:
    """Export as ``arguments`` say; return the exit status."""
    model, runtime, folder = arguments
    try:
        export(model, runtime, Path(folder))
    except StartupError as error:
        _say("refuse", " ".join(str(error).split()))
        return 2
    return 0


def export(model: str, runtime: str, folder: Path) -> None:
    """Write the artefact of ``model`` into the empty ``folder``. Raises ``StartupError``."""
    _say("report", "Loading torch and the original model.")
    original = SentenceEncoder.load(model)
    reader = original.reader
    pooling = _pooling(original.model, reader.prefix)
    graph = folder / artefact.MODEL
    wanted = original.encode(SENTENCES).vectors
    written = _write(original.model[0].auto_model, pooling, graph)
    if not written or not (cosines := _cosines(graph, reader, wanted)).min() >= SAME:
        _say("report", "Tracing the model.")
        _trace(original.model, pooling, reader, graph)
        cosines = _cosines(graph, reader, wanted)
    if not cosines.min() >= SAME:
        raise StartupError(
            f"the exported graph of {model} disagrees with the original (cosine "
            f"{cosines.min():.4f}); use embedder.runtime: sentence-transformers"
        )
    recipe = runtime
    if runtime == "onnx-int8":
        _say("report", "Quantising to int8.")
        recipe, cosines = _quantise(graph, reader, wanted, model)
    _describe(model, runtime, recipe, folder, original, pooling, cosines)


def _pooling(model: Any, prefix: str) -> str:
    """Return the pooling of a model that the graph can express. Raises ``StartupError``."""
    kinds = [type(module).__name__ for module in model]
    pooling = getattr(model[1], "pooling_mode", "none") if len(kinds) > 1 else "none"
    skips_prompt = prefix and not getattr(model[1], "include_prompt", True)
    plain = kinds in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])
    if not plain or pooling not in ("mean", "cls") or skips_prompt:
        raise StartupError(
            f"only models of transformer, mean or cls pooling and normalisation can be exported, "
            f"this one is {' + '.join(kinds)} with pooling {pooling}; "
            f"use embedder.runtime: sentence-transformers"
        )
    return str(pooling)


def _write(bert: Any, pooling: str, path: Path) -> bool:
    """Write the graph of ``bert`` node by node; False when it is not a plain BERT."""
    from .bert_graph import sentence_graph  # noqa: PLC0415 - onnx is part of an extra

    config = bert.config
    plain = type(bert).__name__ == "BertModel" and config.hidden_act == "gelu"
    absolute = getattr(config, "position_embedding_type", None) in (None, "absolute")
    if not (plain and absolute):
        return False
    model = sentence_graph(
        {name: tensor.numpy() for name, tensor in bert.state_dict().items()},
        layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        pooling=pooling,
        epsilon=config.layer_norm_eps,
    )
    path.write_bytes(model.SerializeToString())
    return True


def _trace(model: Any, pooling: str, reader: TokenReader, path: Path) -> None:
    import torch  # noqa: PLC0415 - heavy, part of an extra

    class Graph(torch.nn.Module):  # type: ignore[misc]  # torch is not seen by the type checker
        def __init__(self, transformer: Any) -> None:
            super().__init__()
            self.transformer = transformer

        def forward(self, input_ids: Any) -> Any:
            tokens = self.transformer(input_ids=input_ids).last_hidden_state
            pooled = tokens.mean(dim=1) if pooling == "mean" else tokens[:, 0]
            return torch.nn.functional.normalize(pooled, dim=-1)

    ids = reader.read(SENTENCES[0])
    assert ids is not None, "every model reads a plain sentence"
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # deprecation of the exporter, remarks of the tracer
        torch.onnx.export(
            Graph(model[0].auto_model).eval(),  # else the exporter switches dropout on again
            (torch.tensor([ids, ids]),),
            str(path),
            input_names=["input_ids"],
            output_names=["vector"],
            dynamic_axes={"input_ids": {0: "n", 1: "tokens"}, "vector": {0: "n"}},
            opset_version=OPSET,
            dynamo=False,
        )


def _quantise(
    graph: Path, reader: TokenReader, wanted: Matrix, model: str
) -> tuple[str, np.ndarray[Any, np.dtype[np.float32]]]:
    """Replace ``graph`` by its int8 form; return its recipe and its cosines to ``wanted``.

    Only products are quantised: an int8 embedding table costs accuracy and time. Processors without
    VNNI saturate on full 8-bit weights; there the 7-bit form is the better one, and it is taken
    where full range misses the mark.
    """
    from onnx import TensorProto  # noqa: PLC0415 - see onnx.py
    from onnxruntime.quantization import QuantType, quantize_dynamic  # noqa: PLC0415

    plain = graph.rename(graph.with_suffix(".float"))
    for recipe, narrow in (("onnx-int8", False), ("onnx-int7", True)):
        quantize_dynamic(
            str(plain),
            str(graph),
            op_types_to_quantize=["MatMul", "Gemm", "Attention"],
            per_channel=True,
            reduce_range=narrow,
            weight_type=QuantType.QInt8,
            extra_options={"DefaultTensorType": TensorProto.FLOAT},  # which it cannot infer
        )
        cosines = _cosines(graph, reader, wanted)
        if cosines.mean() >= INT8_LEAST:
            plain.unlink()
            return recipe, cosines
    raise StartupError(
        f"int8 loses too much of {model} (mean cosine {cosines.mean():.3f}); "
        f"use embedder.runtime: onnx"
    )


def _cosines(
    graph: Path, reader: TokenReader, wanted: Matrix
) -> np.ndarray[Any, np.dtype[np.float32]]:
    from .onnx import OnnxEncoder, session  # noqa: PLC0415 - brings onnxruntime

    encoder = OnnxEncoder(session(graph.read_bytes(), 1), reader, "export")
    encoded = encoder.encode(SENTENCES)
    found = (encoded.vectors * wanted).sum(axis=1)[encoded.fits]
    assert len(found), "every model reads a plain sentence"
    return np.asarray(found, dtype=np.float32)


def _describe(
    model: str,
    runtime: str,
    recipe: str,
    folder: Path,
    original: SentenceEncoder,
    pooling: str,
    cosines: np.ndarray[Any, np.dtype[np.float32]],
) -> None:
    from .onnx import OnnxEncoder, session  # noqa: PLC0415 - brings onnxruntime

    weights = locate(model)
    graph = (folder / artefact.MODEL).read_bytes()
    encoder = OnnxEncoder(session(graph, 1), original.reader, "export")
    sample = encoder.encode(SENTENCES[:1]).vectors[0]
    tokenizer = original.reader.to_json().encode()
    (folder / artefact.TOKENIZER).write_bytes(tokenizer)
    digest = original.identity.rsplit("/", 1)[-1]
    meta = artefact.Meta(
        format=artefact.FORMAT,
        identity=f"{weights.label}/{recipe}.{artefact.FORMAT}/{digest}",
        model=model,
        runtime=runtime,
        pooling=pooling,
        dim=len(sample),
        window=original.reader.window,
        unknown_id=original.reader.unknown_id,
        prefix=original.reader.prefix,
        lower=original.reader.lower,
        files={
            artefact.MODEL: artefact.sha256(graph),
            artefact.TOKENIZER: artefact.sha256(tokenizer),
        },
        sample_text=SENTENCES[0],
        sample_vector=[float(value) for value in sample],
        cosine_min=math.floor(float(cosines.min()) * 1e4) / 1e4,
        cosine_mean=math.floor(float(cosines.mean()) * 1e4) / 1e4,
        source_stamp=stamp(weights.folder) if weights.folder else "",
        source_hash=content_hash(weights.folder) if weights.folder else "",
    )
    (folder / artefact.META).write_bytes(msgspec.json.format(msgspec.json.encode(meta)))


def _say(kind: str, text: str) -> None:
    sys.stdout.write(f"{kind} {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
