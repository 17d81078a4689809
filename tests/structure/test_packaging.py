"""What is published works: the wheel is built, installed where no source is, and tested there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Mapping
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# Quick ones that reach every layer and all shipped data; whole apps run in tests/flow.
RUN_ON_THE_WHEEL = ("config", "policies", "contract/test_dialect.py", "adapters/dialects", "flow")
UNPINNED = {"pip", "wheel"}
WHERE = "import kindcache.cache, kindcache; print(*kindcache.__path__, sep='\\n')"


@pytest.fixture(scope="module")
def project(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def folders(project: Mapping[str, Any]) -> dict[str, str]:
    """The four folders, by the name of the package that each is installed as."""
    found = project["tool"]["setuptools"]["package-dir"]
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module")
def wheel(root: Path, folders: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the sources; the copy is gone."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, source)
    for folder in folders.values():
        junk = shutil.ignore_patterns("__pycache__", ".*")
        shutil.copytree(root / folder, source / folder, ignore=junk)
    run("-m", "build", "--wheel", "--no-isolation", "--outdir", target, source, cwd=source)
    shutil.rmtree(source)
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the wheel, and this one's packages behind it.

    They are behind it as a plain path: the .pth file of the editable install has no effect there.
    """
    home = tmp_path_factory.mktemp("environment")
    run("-m", "venv", "--without-pip", home, cwd=home)
    python = home / "bin" / "python"
    offline = ("install", "--quiet", "--no-deps", "--no-index", "--no-compile")
    run("-m", "pip", "--disable-pip-version-check", "--python", python, *offline, wheel, cwd=home)
    (site,) = home.glob("lib/python*/site-packages")
    here = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "behind.pth").write_text("\n".join(sorted(here)) + "\n", encoding="utf-8")
    return python


def run(*command: str | Path, cwd: Path, python: Path = Path(sys.executable)) -> str:
    """Run ``python`` with ``command`` and return its output; what it prints is in the failure."""
    hidden = ("PYTHON", "COVERAGE", "COV_", "PYTEST_", "KINDCACHE_EVALDATA")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
    done = subprocess.run(
        [python, *command],
        check=False,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_every_package_is_listed(
    root: Path, project: Mapping[str, Any], folders: Mapping[str, str]
) -> None:
    present = {
        ".".join(("kindcache", *file.parent.relative_to(root).parts))
        for folder in folders.values()
        for file in (root / folder).rglob("__init__.py")
    }
    listed = set(project["tool"]["setuptools"]["packages"])
    assert present - listed == set()
    assert {name for name in listed if not (root / Path(*name.split(".")[1:])).is_dir()} == set()


def test_everything_that_is_installed_is_pinned(root: Path, project: Mapping[str, Any]) -> None:
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = {canonicalize_name(line.partition("==")[0]) for line in lines if "==" in line}
    extras = project["project"]["optional-dependencies"]
    waiting = [*project["project"]["dependencies"], *extras["model"], *extras["dev"]]
    names: set[str] = set()
    while waiting:
        wanted = Requirement(waiting.pop())
        name = canonicalize_name(wanted.name)
        needed = wanted.marker is None or wanted.marker.evaluate({"extra": ""})
        if needed and name not in names | UNPINNED:
            names.add(name)
            waiting += requires(name) or ()
    assert names - pins == set()  # scripts/lock adds them


def test_the_wheel_holds_every_file(root: Path, folders: Mapping[str, str], wheel: Path) -> None:
    wanted = {
        str(Path("kindcache") / file.relative_to(root))
        for folder in folders.values()
        for file in (root / folder).rglob("*")
        if file.is_file() and not file.name.startswith(".") and "__pycache__" not in file.parts
    }
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in names if ".dist-info/" not in name} == wanted
    assert {f"kindcache/{folder}/py.typed" for folder in folders.values()} <= names


def test_the_wheel_carries_the_pair_scorer(root: Path, wheel: Path) -> None:
    folder = Path("cache/weights/pair_scorer")
    with zipfile.ZipFile(wheel) as archive:
        for name in ("model.onnx", "tokenizer.json", "meta.json"):
            carried = archive.read(str("kindcache" / folder / name))
            assert carried == (root / folder / name).read_bytes(), name


def test_the_wheel_carries_the_licence(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert [name for name in names if name.endswith(".dist-info/licenses/LICENSE")]


def test_the_command_is_installed(python: Path, tmp_path: Path) -> None:
    shown = run(python.with_name("kindcache"), "--help", cwd=tmp_path, python=python)
    assert "serve" in shown


def test_the_tests_pass_without_the_sources(root: Path, python: Path, tmp_path: Path) -> None:
    (installed,) = python.parents[1].glob("lib/python*/site-packages/kindcache")
    found = run("-c", WHERE, cwd=tmp_path, python=python).split()
    assert found == [str(installed)]

    shutil.copy(root / "pyproject.toml", tmp_path)
    for folder in ("tests", "scripts", "docs"):
        junk = shutil.ignore_patterns("__pycache__")
        shutil.copytree(root / folder, tmp_path / folder, ignore=junk)
    chosen = [f"tests/{name}" for name in RUN_ON_THE_WHEEL]
    quick = ("-q", "-x", "-m", "not slow and not evaldata", "-p", "no:cacheprovider")
    output = run("-m", "pytest", *quick, *chosen, cwd=tmp_path, python=python)
    assert " passed" in output
