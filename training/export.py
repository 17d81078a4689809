"""Exports the trained scorer to an int8 ONNX graph, checks it and describes it.

``python -m training.export [--folder FOLDER]`` reads ``out/scorer.pt`` and writes ``model.onnx``,
``tokenizer.json`` and ``meta.json``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic

from .embedding import MODEL, folder
from .graph import scorer_graph, sizes
from .model import fresh
from .reading import read_pair, tokenizer

HERE = Path(__file__).parent
OUT = HERE / "out"
TARGET = HERE.parent / "cache" / "weights" / "pair_scorer"
FORMAT = 1
WINDOW = 96  # tokens of a pair; training saw up to 80, and longer ones are no business of it
SAME = 1e-3  # greatest difference of a logit, float graph to torch
LEAST = 0.98  # least correlation of the logits, int8 graph to torch
SAMPLE = 400
PROBES = (
    ("How do I cancel my order?", "What's the way to cancel an order?"),
    ("How do I cancel my order?", "How do I cancel my subscription?"),
    ("flights from Paris to Rome", "flights from Rome to Paris"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Export; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=TARGET)
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    tensors = torch.load(OUT / "scorer.pt", weights_only=True)
    state = {name: tensor.numpy() for name, tensor in tensors.items()}
    layers, heads = sizes(state)
    model = fresh(folder(), layers)
    model.load_state_dict(tensors)
    model.eval()

    plain, target = OUT / "model.float.onnx", options.folder / "model.onnx"
    onnx.save(scorer_graph(state, layers, heads, WINDOW), str(plain))
    wanted = _torch_logits(model)
    gap = float(np.abs(_logits(plain) - wanted).max())
    if not gap < SAME:
        raise SystemExit(f"the float graph is off by {gap:.4f}")
    recipe, agreement = _quantised(plain, target, wanted)
    shutil.copyfile(Path(folder()) / "tokenizer.json", options.folder / "tokenizer.json")
    _describe(options.folder, layers, recipe, agreement)
    return 0


def _quantised(plain: Path, target: Path, wanted: NDArray[np.float64]) -> tuple[str, float]:
    """Write the int8 graph, with 7-bit weights where they agree: those suit every processor.

    Processors without VNNI saturate on full 8-bit weights.
    """
    for recipe, narrow in (("int7", True), ("int8", False)):
        quantize_dynamic(
            str(plain),
            str(target),
            op_types_to_quantize=["MatMul", "Attention"],
            per_channel=True,
            reduce_range=narrow,
            weight_type=QuantType.QInt8,
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )
        agreement = float(np.corrcoef(_logits(target), wanted)[0, 1])
        sys.stdout.write(f"{recipe}: correlation {agreement:.4f}\n")
        if agreement >= LEAST:
            return recipe, agreement
    raise SystemExit("int8 loses too much")


def _pairs() -> list[tuple[str, str]]:
    reader = tokenizer(folder())
    lines = (OUT / "held.jsonl").read_text().splitlines()[:SAMPLE]
    pairs = [(row["b"], row["a"]) for row in map(json.loads, lines)]
    return [pair for pair in pairs if len(read_pair(reader, *pair)[0]) <= WINDOW]


def _torch_logits(model: Any) -> NDArray[np.float64]:
    reader = tokenizer(folder())
    found = []
    with torch.no_grad():
        for pair in _pairs():
            ids, kinds = (torch.tensor([row]) for row in read_pair(reader, *pair))
            found.append(float(model(ids, kinds)))
    return np.array(found)


def _logits(path: Path) -> NDArray[np.float64]:
    run = _session(path).run
    reader = tokenizer(folder())
    return np.array([float(run(None, _feeds(reader, *pair))[0][0]) for pair in _pairs()])


def _session(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options)


def _feeds(reader: Any, new: str, stored: str) -> dict[str, NDArray[np.int64]]:
    ids, kinds = read_pair(reader, new, stored)
    return {"input_ids": np.array([ids]), "token_type_ids": np.array([kinds])}


def _describe(target: Path, layers: int, recipe: str, agreement: float) -> None:
    session = _session(target / "model.onnx")
    reader = tokenizer(target)
    probes = []
    for new, stored in PROBES:
        feeds = _feeds(reader, new, stored)
        probes.append(
            {"new": new, "stored": stored, "logit": float(session.run(None, feeds)[0][0])}
        )
    meta = {
        "format": FORMAT,
        "name": "pair-scorer",
        "start": MODEL,
        "layers": layers,
        "recipe": recipe,
        "window": WINDOW,
        "inputs": ["input_ids", "token_type_ids"],
        "output": "logit",
        "files": {name: _sha256(target / name) for name in ("model.onnx", "tokenizer.json")},
        "agreement": round(agreement, 4),
        "fusion": {"intercept": 0.0, "logit": 1.0, "similarity": 0.0},  # until it is calibrated
        "probes": probes,
    }
    (target / "meta.json").write_text(json.dumps(meta, indent=2) + "\n")
    _time(session, reader, (target / "model.onnx").stat().st_size)


def _time(session: Any, reader: Any, size: int) -> None:
    """Print what one call takes, tokenising included: on the clock, and of the processor.

    On a machine that others use, the second is what a free one takes.
    """
    pairs = _pairs()
    clock, processor = [], []
    for pair in pairs * 3:
        begun, worked = time.perf_counter(), time.thread_time()
        session.run(None, _feeds(reader, *pair))
        clock.append((time.perf_counter() - begun) * 1e3)
        processor.append((time.thread_time() - worked) * 1e3)
    lengths = [len(read_pair(reader, *pair)[0]) for pair in pairs]
    sys.stdout.write(f"{size / 1e6:.1f} MB, {np.median(lengths):.0f} tokens a pair\n")
    for name, spent in (("clock", clock), ("processor", processor)):
        middle, high = np.percentile(spent, (50, 95))
        sys.stdout.write(f"{name}: p50 {middle:.2f} ms, p95 {high:.2f} ms\n")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
