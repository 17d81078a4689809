"""The exporter refuses what it cannot do faithfully, and says what to do instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from kindcache.cache.embedders import artefact, export
from kindcache.cache.embedders.sentence import SentenceEncoder
from tests.drivers.tiny import tiny_model


@pytest.mark.parametrize("pooling", ["max", "lasttoken"])
def test_a_pooling_that_the_graph_does_not_have_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pooling: str
) -> None:
    model = tiny_model(tmp_path / "odd", pooling=pooling)
    assert export.main([str(model), "onnx", str(tmp_path)]) == 2
    refusal = capsys.readouterr().out.splitlines()[-1]
    assert refusal.startswith("refuse ")
    assert pooling in refusal
    assert refusal.endswith("use embedder.runtime: sentence-transformers")


def test_int8_that_loses_too_much_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "INT8_LEAST", 1.01)
    model = tiny_model(tmp_path / "model", pooling="mean")
    assert export.main([str(model), "onnx-int8", str(tmp_path)]) == 2
    assert capsys.readouterr().out.splitlines()[-1].endswith("use embedder.runtime: onnx")


@pytest.mark.parametrize("runtime", ["onnx", "onnx-int8"])
def test_an_export_describes_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], runtime: str
) -> None:
    model, folder = tiny_model(tmp_path / "model", pooling="mean"), tmp_path / "folder"
    folder.mkdir()
    assert export.main([str(model), runtime, str(folder)]) == 0
    assert "report" in capsys.readouterr().out
    finished = artefact.read(folder)
    assert finished is not None
    meta = finished.meta
    assert (meta.dim, meta.window, meta.pooling, meta.runtime) == (32, 32, "mean", runtime)
    assert meta.cosine_min > 0.9
    digest = SentenceEncoder.load(str(model)).identity.rsplit("/", 1)[-1]
    assert meta.identity == f"model/{runtime}.{artefact.FORMAT}/{digest}"
