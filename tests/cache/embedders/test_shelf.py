"""Exported models are built once, checked at every load, and built anew when they must be."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from kindcache.cache.embedders import artefact, onnx, shelf
from kindcache.cache.embedders.sentence import SentenceEncoder
from kindcache.cache.embedders.weights import Weights
from kindcache.cache.errors import StartupError
from tests.drivers.tiny import tiny_model

TEXTS = ["how do i cancel the order", "what is the capital", "the order the order the order"]


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("weights") / "tiny", pooling="cls")


@pytest.fixture(scope="session")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A shelf with one really exported model, and what was said meanwhile."""
    root, said = tmp_path_factory.mktemp("shelf"), list[str]()
    shelf.obtain(str(source), "onnx", root, said.append)
    return root, said


@pytest.fixture
def root(built: tuple[Path, list[str]], tmp_path: Path) -> Path:
    """A copy of that shelf, for the test to spoil."""
    return Path(shutil.copytree(built[0], tmp_path / "shelf"))


@pytest.fixture
def exports(
    built: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> list[Callable[[], None]]:
    """Replace the ten seconds of exporting by a copy of what they give; what is in the list is
    called first, and the list says how often."""
    calls: list[Callable[[], None]] = []
    finished = only_model(built[0])

    def copy(_w: Weights, _r: str, scratch: Path, _report: object, _folder: Path) -> None:
        calls.append(lambda: None)
        calls[0]()
        shutil.copytree(finished, scratch, dirs_exist_ok=True)

    monkeypatch.setattr(shelf, "_export", copy)
    return calls


def only_model(root: Path) -> Path:
    (folder,) = (path for path in root.iterdir() if path.is_dir())
    return folder


def test_an_export_says_what_it_does_and_leaves_only_the_model(
    built: tuple[Path, list[str]],
) -> None:
    root, said = built
    assert said[0].startswith("Exporting tiny to ONNX")
    assert said[-1] == f"Saved in {only_model(root)}."
    assert {path.name for path in only_model(root).iterdir()} == {
        "meta.json",
        "model.onnx",
        "tokenizer.json",
    }


def test_an_export_gives_the_vectors_of_the_original(
    built: tuple[Path, list[str]], source: Path
) -> None:
    exported = onnx.load(str(source), "onnx", built[0], print)
    original = SentenceEncoder.load(str(source))
    np.testing.assert_allclose(
        exported.encode(TEXTS).vectors, original.encode(TEXTS).vectors, atol=1e-5
    )
    assert exported.window == original.window == 32


def test_a_finished_model_is_not_built_again(
    root: Path, source: Path, exports: list[Callable[[], None]]
) -> None:
    said: list[str] = []
    shelf.obtain(str(source), "onnx", root, said.append)
    assert (said, exports) == ([], [])


@pytest.mark.parametrize("file", ["model.onnx", "tokenizer.json", "meta.json"])
@pytest.mark.parametrize("damage", ["truncate", "flip", "remove"])
def test_a_damaged_model_is_built_anew_and_that_is_said(
    root: Path, source: Path, exports: list[Callable[[], None]], file: str, damage: str
) -> None:
    path = only_model(root) / file
    data = bytearray(path.read_bytes())
    data[0 if file == "meta.json" else len(data) // 2] ^= 0xFF
    match damage:
        case "truncate":
            path.write_bytes(data[: len(data) // 2])
        case "flip":
            path.write_bytes(data)
        case _:
            path.unlink()
    said: list[str] = []
    found = shelf.obtain(str(source), "onnx", root, said.append)
    assert "damaged" in said[0]
    assert len(exports) == 1
    assert artefact.read(only_model(root)) == found


def test_new_times_alone_do_not_build_anew(
    root: Path, source: Path, exports: list[Callable[[], None]]
) -> None:
    for path in source.rglob("*"):
        os.utime(path)
    shelf.obtain(str(source), "onnx", root, print)
    assert exports == []


def test_changed_weights_build_anew(
    root: Path, source: Path, exports: list[Callable[[], None]]
) -> None:
    extra = source / "another.txt"
    extra.write_text("changed")
    try:
        said: list[str] = []
        shelf.obtain(str(source), "onnx", root, said.append)
    finally:
        extra.unlink()
    assert "have changed" in said[0]
    assert len(exports) == 1


def test_another_processors_vectors_build_anew(
    root: Path, source: Path, exports: list[Callable[[], None]]
) -> None:
    path = only_model(root) / "meta.json"
    meta = msgspec.json.decode(path.read_bytes(), type=artefact.Meta)
    foreign = msgspec.structs.replace(meta, sample_vector=meta.sample_vector[::-1])
    path.write_bytes(msgspec.json.encode(foreign))
    said: list[str] = []
    onnx.load(str(source), "onnx", root, said.append)
    assert "another kind of processor" in said[0]
    assert len(exports) == 1


def test_one_builds_and_the_others_wait(
    tmp_path: Path, source: Path, exports: list[Callable[[], None]]
) -> None:
    building, waiting = threading.Event(), threading.Event()

    def first() -> None:
        building.set()
        assert waiting.wait(20.0)

    exports.append(first)
    said: list[str] = []

    def hear(text: str) -> None:
        said.append(text)
        waiting.set()

    builder = threading.Thread(target=shelf.obtain, args=(str(source), "onnx", tmp_path, print))
    builder.start()
    assert building.wait(20.0)
    shelf.obtain(str(source), "onnx", tmp_path, hear)
    builder.join()
    assert said == ["Another process is exporting this model; waiting for it."]
    assert len(exports) == 2  # the one put in here, and one export


def test_what_a_killed_builder_left_is_removed(
    tmp_path: Path, source: Path, exports: list[Callable[[], None]]
) -> None:
    shelf.obtain(str(source), "onnx", tmp_path, print)
    left = tmp_path / f".{only_model(tmp_path).name}.{'0' * 32}"
    left.mkdir()
    shelf.obtain(str(source), "onnx", tmp_path, print, rebuild=True)
    assert not left.exists()
    assert len(exports) == 2


def test_a_folder_that_cannot_be_written_is_a_startup_error(
    tmp_path: Path, source: Path, exports: list[Callable[[], None]]
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartupError, match="cannot write"):
        shelf.obtain(str(source), "onnx", tmp_path / "file", print)
    assert exports == []


def test_without_sentence_transformers_the_error_says_what_to_install(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sentence_transformers.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(StartupError, match=r"pip install 'kindcache\[model\]'"):
        shelf.obtain(str(source), "onnx", tmp_path / "shelf", print)


def test_a_folder_that_does_not_exist_is_a_startup_error(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="does not exist"):
        shelf.obtain(str(tmp_path / "nowhere"), "onnx", tmp_path, print)


def test_an_unknown_name_without_a_hub_is_a_startup_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    with pytest.raises(StartupError, match="cannot load nobody/nothing"):
        shelf.obtain("nobody/nothing", "onnx", tmp_path, print)


def test_the_cache_folder_follows_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert shelf.default_root() == tmp_path / "kindcache" / "models"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert shelf.default_root() == Path.home() / ".cache" / "kindcache" / "models"
