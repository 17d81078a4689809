"""The graph that is written node by node gives what the model gives, and only where it can."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from kindcache.cache.embedders import artefact, bert_graph, export
from kindcache.cache.embedders.onnx import OnnxEncoder
from kindcache.cache.embedders.sentence import SentenceEncoder
from tests.drivers.tiny import tiny_model

TEXTS = ["how do i cancel the order?", "thanks", "what is the capital of a function"]


def exported(model: Path, folder: Path) -> artefact.Artefact:
    folder.mkdir()
    assert export.main([str(model), "onnx", str(folder)]) == 0
    finished = artefact.read(folder)
    assert finished is not None
    return finished


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_bert_is_written_and_gives_the_vectors_of_the_original(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pooling: str
) -> None:
    model = tiny_model(tmp_path / "model", pooling=pooling)
    finished = exported(model, tmp_path / "folder")
    assert "Tracing" not in capsys.readouterr().out
    found = OnnxEncoder.of(finished).encode(TEXTS).vectors
    wanted = SentenceEncoder.load(str(model)).encode(TEXTS).vectors
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_rows_of_one_length_have_the_vectors_they_have_alone(tmp_path: Path, pooling: str) -> None:
    finished = exported(tiny_model(tmp_path / "model", pooling=pooling), tmp_path / "folder")
    run = onnxruntime.InferenceSession(finished.model).run
    rows = np.array([[2, 7, 9, 11, 3], [2, 60, 61, 9, 3]])
    (together,) = run(None, {"input_ids": rows})
    for row, vector in zip(rows, together, strict=True):
        (alone,) = run(None, {"input_ids": row[None]})
        np.testing.assert_allclose(vector, alone[0], atol=1e-5)


def test_another_activation_is_traced_and_gives_the_vectors_of_the_original(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tiny_model(tmp_path / "model", pooling="mean")
    (path,) = (each for each in model.rglob("config.json") if "hidden_act" in each.read_text())
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "hidden_act": "relu"}))
    finished = exported(model, tmp_path / "folder")
    assert "Tracing" in capsys.readouterr().out
    found = OnnxEncoder.of(finished).encode(TEXTS).vectors
    wanted = SentenceEncoder.load(str(model)).encode(TEXTS).vectors
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_a_written_graph_that_disagrees_gives_way_to_the_traced_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = bert_graph.sentence_graph
    monkeypatch.setattr(
        bert_graph,
        "sentence_graph",
        lambda state, **rest: plain(state, **{**rest, "pooling": "cls"}),
    )
    model = tiny_model(tmp_path / "model", pooling="mean")
    finished = exported(model, tmp_path / "folder")
    assert "Tracing" in capsys.readouterr().out
    assert finished.meta.cosine_min > 0.999
