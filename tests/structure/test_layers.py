"""Imports point one way, decisions stay pure, files stay small."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ORDER = {"config": 0, "policies": 1, "cache": 2, "adapters": 3}

# What a decision must not touch: the clock, chance, the outside, and anything that waits.
IMPURE = frozenset(
    "aiohttp asyncio concurrent http httpx io logging multiprocessing os pathlib random redis "
    "requests secrets select selectors shutil signal socket sqlite3 ssl starlette subprocess sys "
    "tempfile threading time urllib uuid uvicorn".split()
)
IMPURE_CALLS = frozenset({"open", "print", "input", "exec", "eval", "__import__"})
CLOCK_METHODS = frozenset({"now", "utcnow", "today"})

# The web belongs to the adapters; the one client in cache/ asks for vectors.
WEB = frozenset({"aiohttp", "fastapi", "httptools", "httpx", "httpx2", "starlette", "uvicorn"})
MAY_USE_WEB = frozenset({"kindcache.cache.embedders.remote", "kindcache.cache.scorers.remote"})

# The one place that turns any failure of the cache into a miss.
FAIL_OPEN = frozenset({"kindcache.cache.fail_open"})

EMPTY_NAMES = frozenset({"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"})
MOST_LINES = 500


@pytest.fixture(scope="session")
def sources(modules: Mapping[str, Path]) -> dict[str, str]:
    return {name: path.read_text(encoding="utf-8") for name, path in modules.items()}


@pytest.fixture(scope="session")
def packages(modules: Mapping[str, Path]) -> frozenset[str]:
    return frozenset(name for name, path in modules.items() if path.stem == "__init__")


def imports(name: str, source: str, *, is_package: bool) -> Iterator[str]:
    """Yield the dotted name of all that ``source`` imports, relative names resolved.

    ``from x import y`` yields ``x.y``: y may be a module.
    """
    parts = name.split(".")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            keep = len(parts) - node.level + is_package
            base = parts[:keep] if node.level else []
            stem = [*base, *(node.module.split(".") if node.module else [])]
            yield from (".".join([*stem, alias.name]) for alias in node.names)
        elif isinstance(node, ast.Call) and _called(node) in {"import_module", "__import__"}:
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value


def layer_breaks(sources: Mapping[str, str], packages: frozenset[str]) -> list[str]:
    found = []
    for name, source in sources.items():
        own = ORDER[name.split(".")[1]]
        for target in imports(name, source, is_package=name in packages):
            first, _, rest = target.partition(".")
            layer = rest.split(".")[0]
            if first == "kindcache" and ORDER[layer] > own:
                found.append(f"{name} imports {target}")
    return found


def impurities(source: str) -> Iterator[str]:
    for target in imports("kindcache.policies.x", source, is_package=False):
        if target.partition(".")[0] in IMPURE:
            yield f"import {target}"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            yield f"line {node.lineno}: waits"
        elif isinstance(node, ast.Call):
            called = _called(node)
            is_method = isinstance(node.func, ast.Attribute)
            if called in (CLOCK_METHODS if is_method else IMPURE_CALLS):
                yield f"line {node.lineno}: {called}()"


def blind_handlers(source: str) -> Iterator[int]:
    """Yield the lines that swallow any failure; one that raises again is no such line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ExceptHandler) and _is_blind(node.type):
            if not isinstance(node.body[-1], ast.Raise) or _names(node.type) == {"Exception"}:
                yield node.lineno
        elif (
            isinstance(node, ast.Call)
            and _called(node) == "suppress"
            and any(map(_is_blind, node.args))
        ):
            yield node.lineno


def _called(node: ast.Call) -> str:
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _names(caught: ast.expr | None) -> set[str]:
    match caught:
        case None:
            return {"BaseException"}
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return {name}
        case ast.Tuple(elts=elements):
            return set().union(*map(_names, elements))
        case _:
            return set()


def _is_blind(caught: ast.expr | None) -> bool:
    return not _names(caught).isdisjoint({"Exception", "BaseException"})


def test_imports_point_from_adapters_to_config(
    sources: Mapping[str, str], packages: frozenset[str]
) -> None:
    assert layer_breaks(sources, packages) == []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("kindcache.config.x", "from ..policies.facts import Call"),
        ("kindcache.config.x", "from .. import cache"),
        ("kindcache.policies.guards.x", "from ...cache.ports import Index"),
        ("kindcache.policies", "from ..cache.ports import Index"),
        ("kindcache.cache.x", "def f():\n    from ..adapters import build"),
        ("kindcache.cache.x", "import kindcache.adapters.build"),
        ("kindcache.cache.x", "importlib.import_module('kindcache.adapters.build')"),
    ],
)
def test_an_import_against_the_direction_is_found(name: str, source: str) -> None:
    assert len(layer_breaks({name: source}, frozenset({"kindcache.policies"}))) == 1


def test_packages_import_their_own_relatively(sources: Mapping[str, str]) -> None:
    absolute = [
        f"{name}: {node.lineno}"
        for name, source in sources.items()
        for node in ast.walk(ast.parse(source))
        if (isinstance(node, ast.Import) and any(_is_ours(a.name) for a in node.names))
        or (isinstance(node, ast.ImportFrom) and not node.level and _is_ours(node.module or ""))
    ]
    assert absolute == []


def _is_ours(target: str) -> bool:
    return target.partition(".")[0] in {"kindcache", *ORDER}


def test_policies_are_pure(sources: Mapping[str, str]) -> None:
    found = {
        name: list(impurities(source))
        for name, source in sources.items()
        if name.startswith("kindcache.policies")
    }
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "from os import path",
        "import asyncio.tasks",
        "async def f(): ...",
        "def f(): return datetime.now()",
        "def f(): return open('x')",
    ],
)
def test_an_impure_policy_is_found(source: str) -> None:
    assert len(list(impurities(source))) == 1


def test_the_cache_does_not_know_the_web(
    sources: Mapping[str, str], packages: frozenset[str]
) -> None:
    found = [
        f"{name} imports {target}"
        for name, source in sources.items()
        if not name.startswith("kindcache.adapters") and name not in MAY_USE_WEB
        for target in imports(name, source, is_package=name in packages)
        if target.partition(".")[0] in WEB
    ]
    assert found == []


def test_failures_are_swallowed_in_one_place(sources: Mapping[str, str]) -> None:
    found = {name: list(blind_handlers(source)) for name, source in sources.items()}
    allowed = {name for name, lines in found.items() if lines and name in FAIL_OPEN}
    assert {name: lines for name, lines in found.items() if lines and name not in allowed} == {}
    assert all(len(found[name]) == 1 for name in allowed)


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("try: f()\nexcept Exception: pass", 1),
        ("try: f()\nexcept (ValueError, Exception): pass", 1),
        ("try: f()\nexcept Exception: raise", 1),
        ("try: f()\nexcept: pass", 1),
        ("try: f()\nexcept BaseException: pass", 1),
        ("with contextlib.suppress(Exception): f()", 1),
        ("try: f()\nexcept BaseException:\n    undo()\n    raise", 0),
        ("try: f()\nexcept ValueError: pass", 0),
    ],
)
def test_a_blind_handler_is_found(source: str, count: int) -> None:
    assert len(list(blind_handlers(source))) == count


def test_no_file_is_long_or_named_after_nothing(root: Path, modules: Mapping[str, Path]) -> None:
    files = [*modules.values()]
    for folder in ("tests", "bench", "scripts"):
        files += (root / folder).rglob("*.py")
    long = [str(f) for f in files if len(f.read_text(encoding="utf-8").splitlines()) > MOST_LINES]
    vague = [str(f) for f in files if {f.stem, f.parent.name} & EMPTY_NAMES]
    assert (long, vague) == ([], [])
