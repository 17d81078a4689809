"""Writes the trained scorer as an ONNX graph with one node for each attention.

A traced graph has some ten nodes in the place of each ``Attention`` and takes longer.
Inputs ``input_ids`` and ``token_type_ids`` (n, tokens) int64, output ``logit`` (n,) float32. There
is no mask: all rows of a batch are of one length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto

from kindcache.cache.embedders.bert_graph import CONTRIB, GraphWriter, encoder_layer

Array = NDArray[Any]


def scorer_graph(state: Mapping[str, Array], layers: int, heads: int, window: int) -> ModelProto:
    """Return the graph of the scorer whose weights are ``state``, for up to ``window`` tokens."""
    writer = GraphWriter()
    tokens = _embedded(writer, state, window)
    for number in range(layers):
        tokens = encoder_layer(writer, state, f"bert.encoder.layer.{number}.", tokens, heads)
    writer.add("Identity", _head(writer, state, tokens))
    return writer.model("pair_scorer", ["input_ids", "token_type_ids"], "logit", ["n"])


def _embedded(writer: GraphWriter, state: Mapping[str, Array], window: int) -> str:
    rows = writer.add("Gather", writer.constant(state["words.rows"]), "input_ids")
    scale = writer.add("Gather", writer.constant(state["words.scale"]), "input_ids")
    words = writer.add("Mul", writer.add("Cast", rows, to=TensorProto.FLOAT), scale)
    table = "bert.embeddings.position_embeddings.weight"
    length = writer.add("Slice", writer.add("Shape", "input_ids"), *map(writer.ints, (1, 2, 0)))
    ends = (writer.ints(0), length, writer.ints(0))
    places = writer.add("Slice", writer.constant(state[table][:window]), *ends)
    table = "bert.embeddings.token_type_embeddings.weight"
    kinds = writer.add("Gather", writer.constant(state[table]), "token_type_ids")
    marks = writer.add("MatMul", _marks(writer), writer.constant(state["marks.weight"].T))
    total = writer.add("Add", writer.add("Add", words, marks), writer.add("Add", kinds, places))
    norm = [state[f"bert.embeddings.LayerNorm.{part}"] for part in ("weight", "bias")]
    return writer.normalised(total, *norm)


def _marks(writer: GraphWriter) -> str:
    """Say of each token whether the other text has it, and has it beside the same neighbour."""

    def crossed(name: str) -> str:
        column = writer.add("Unsqueeze", name, writer.ints(2))
        return writer.add("Equal", column, writer.add("Unsqueeze", name, writer.ints(1)))

    apart = writer.add("Not", crossed("token_type_ids"))
    both = writer.add("And", crossed("input_ids"), apart)
    same = writer.add("Cast", both, to=TensorProto.FLOAT)
    axes = writer.ints(1, 2)
    later = writer.add("Slice", same, writer.ints(1, 1), writer.ints(2**31, 2**31), axes)
    sooner = writer.add("Slice", same, writer.ints(0, 0), writer.ints(-1, -1), axes)
    pairs = writer.add("ReduceMax", writer.add("Mul", later, sooner), axes=[2], keepdims=0)
    marks = [
        writer.add("ReduceMax", same, axes=[2], keepdims=0),
        writer.add("Pad", pairs, writer.ints(0, 1, 0, 0)),
        writer.add("Pad", pairs, writer.ints(0, 0, 0, 1)),
    ]
    return writer.add(
        "Concat", *(writer.add("Unsqueeze", mark, writer.ints(2)) for mark in marks), axis=2
    )


def _head(writer: GraphWriter, state: Mapping[str, Array], tokens: str) -> str:
    kinds = writer.add("Cast", "token_type_ids", to=TensorProto.FLOAT)
    second = writer.add("Unsqueeze", kinds, writer.ints(2))
    first = writer.add("Sub", writer.constant(np.array(1.0, dtype=np.float32)), second)
    one, two = (_mean(writer, tokens, weight) for weight in (first, second))
    product = _scaled(writer, writer.add("Mul", one, two), 8.0)
    distance = _scaled(writer, writer.add("Abs", writer.add("Sub", one, two)), 4.0)
    start = writer.add("Gather", tokens, writer.constant(np.array(0, dtype=np.int64)), axis=1)
    seen = writer.add("Concat", start, product, distance, axis=1)
    hidden = _dense(writer, state, "head.0.", seen)
    bent = writer.add("Gelu", hidden, domain=CONTRIB)
    return writer.add("Squeeze", _dense(writer, state, "head.3.", bent), writer.ints(1))


def _mean(writer: GraphWriter, tokens: str, weight: str) -> str:
    axis = writer.ints(1)
    total = writer.add("ReduceSum", writer.add("Mul", tokens, weight), axis, keepdims=0)
    return writer.add("Div", total, writer.add("ReduceSum", weight, axis, keepdims=0))


def _scaled(writer: GraphWriter, name: str, factor: float) -> str:
    return writer.add("Mul", name, writer.constant(np.array(factor, dtype=np.float32)))


def _dense(writer: GraphWriter, state: Mapping[str, Array], at: str, name: str) -> str:
    product = writer.add("MatMul", name, writer.constant(state[f"{at}weight"].T))
    return writer.add("Add", product, writer.constant(state[f"{at}bias"]))


def sizes(state: Mapping[str, Array]) -> Sequence[int]:
    """Return the number of layers and of heads; a head of this encoder has 32 dimensions."""
    found = {name.split(".")[3] for name in state if name.startswith("bert.encoder.layer.")}
    return len(found), state["marks.weight"].shape[0] // 32
