"""``kindcache stats`` against a running cache, and what it says when there is none."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kindcache.adapters.cli import main
from kindcache.adapters.commands.stats import TOKEN_VARIABLE, StatsError, StatsOptions, stats, table
from tests.drivers import serve
from tests.drivers.cached import SECRET, cached

pytestmark = pytest.mark.anyio

TOKEN = {TOKEN_VARIABLE: "root-token"}
CODE = {
    "bar": 0.912345,
    "strict_bar": 0.97,
    "max_error_rate": 0.01,
    "certified": True,
    "alarm": False,
    "hits": 1520,
    "observations": {"check": {"right": 197, "wrong": 3}, "feedback": {"right": 0, "wrong": 2}},
    "precision": {"value": 0.985, "lower": 0.9568, "upper": 0.9949, "observed": 200},
}
QUIET = CODE | {"certified": False, "hits": 0, "observations": {}, "precision": None, "bar": 0.97}
FOUND = {
    "status": "degraded",
    "problems": ["store", "embedder"],
    "index": "loaded",
    "entries": 125,
    "entries_by_category": {"code": 120, "gone": 5},
    "stored_bytes": 5_100_000,
    "writes_waiting": 3,
    "evidence": {
        "code": CODE,
        "news": QUIET,
        "chat": QUIET | {"max_error_rate": None},
        "drifted": QUIET | {"alarm": True, "bar": 1.01},
    },
}


async def shown(url: str, environ: dict[str, str] = TOKEN, **options: Any) -> tuple[int, str]:
    out = io.StringIO()
    code = await stats(StatsOptions(url=url, environ=environ, out=out, **options))
    return code, out.getvalue()


@contextmanager
def answering(status: int, body: str) -> Iterator[str]:
    async def answer(_: Request) -> Response:
        return Response(body, status)

    with serve(Starlette(routes=[Route("/{path:path}", answer)])) as served:
        yield served.url


def rows() -> dict[str, list[str]]:
    lines = table(FOUND).splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("---"))
    cells = [[cell.strip() for cell in line.split("  ") if cell] for line in lines[start + 1 :]]
    return {cell[0]: cell[1:] for cell in cells if cell}


def test_the_table_says_how_sure_each_category_is() -> None:
    found = rows()
    assert found["code"] == [
        *("120", "1520", "0.9123", "evidence", "1%", "98.5 (95.7-99.5)", "197/3", "-", "0/2")
    ]
    assert found["news"][2:5] == ["0.97", "policy, too little evidence", "1%"]
    assert found["chat"][2:5] == ["0.97", "policy", "-"]
    assert found["drifted"][2:5] == ["closed", "ALARM", "1%"]
    assert found["gone"] == ["5", *["-"] * 8]
    assert table(FOUND).startswith("degraded (store, embedder), index loaded: 125 entries, 5.1 MB")


def test_of_several_workers_it_says_how_many_answered() -> None:
    one = {"status": "ready", "entries": 125, "writes_waiting": 0}
    told = FOUND | {"worker": 1, "workers": {"0": {"status": "no answer"}, "1": one}}
    assert "; 1 of 2 workers answered, entries as worker 1 has" in table(told).splitlines()[0]


@pytest.mark.parametrize(
    "found", [{}, {"evidence": 3, "entries_by_category": {}}, FOUND | {"evidence": []}]
)
def test_other_figures_are_no_figures(found: Any) -> None:
    with pytest.raises(StatsError, match="not with the figures of a cache"):
        table(found)


async def test_a_running_cache_is_asked_with_the_token(capsys: pytest.CaptureFixture[str]) -> None:
    app = cached(Starlette(), environ=SECRET | TOKEN)
    with serve(app) as served:
        code, text = await shown(f"{served.url}/")
        as_json = await shown(served.url, as_json=True)
        refused = await shown(served.url, {TOKEN_VARIABLE: "another"})
    assert code == 0
    assert "default" in text
    assert as_json[0] == 0
    assert json.loads(as_json[1])["evidence"]["default"]["hits"] == 0
    assert refused == (1, "")
    assert "does not accept the token" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, "", "is not there: was the cache started with KINDCACHE_ADMIN_TOKEN?"),
        (500, "", "answers with status 500"),
        (200, "<html>", "something else than JSON"),
        (200, "[]", "not with the figures of a cache"),
        (200, "{}", "not with the figures of a cache"),
    ],
)
async def test_what_is_no_cache_is_said_in_one_line(
    status: int, body: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(status, body) as url:
        assert await shown(url) == (1, "")
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:1", "cannot be reached"),
        ("no address", "cannot be reached"),
        ("ftp://127.0.0.1", "cannot be reached"),
    ],
)
async def test_nobody_there(url: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert await shown(url) == (1, "")
    assert said in capsys.readouterr().err


def test_without_a_token_nobody_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    assert main(["stats"]) == 1
    assert TOKEN_VARIABLE in capsys.readouterr().err
