"""``POST /_cache/invalidate``, tags, and the command: what an operator sees."""

from __future__ import annotations

import io
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from kindcache.adapters.cli import main
from kindcache.adapters.commands.invalidate import InvalidateOptions, invalidate
from tests.drivers import AsgiDriver, Exchange, ScriptedUpstream, serve
from tests.drivers.cached import KEY, SECRET, proxied

pytestmark = pytest.mark.anyio

ADMIN = {"authorization": "Bearer root-token"}
TOKEN = {"KINDCACHE_ADMIN_TOKEN": "root-token"}
ENVIRON = SECRET | TOKEN
CONFIG: Any = {"categories": {"greeting": {"match": {"pattern": "Hello"}}}}
ADMIN_PATH = "/_cache/invalidate"


async def post(driver: AsgiDriver, body: Any, headers: Any = ADMIN) -> Exchange:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await driver.request("POST", ADMIN_PATH, body=data, headers=headers)


async def is_hit(driver: AsgiDriver, prompt: str, headers: Any = KEY) -> bool:
    exchange = await driver.chat(prompt, headers=headers | {"cache-control": "only-if-cached"})
    return exchange.header("x-cache") == "HIT"


async def test_a_dry_run_counts_and_shows_no_prompt_unless_asked_to(
    upstream: ScriptedUpstream,
) -> None:
    async with AsgiDriver(proxied(upstream.base_url, CONFIG, environ=ENVIRON)) as driver:
        entry = (await driver.chat("Hello there", headers=KEY)).header("x-cache-entry")
        await driver.chat("What time is it?", headers=KEY)
        asked = {"category": "greeting", "dry_run": True}
        told = await post(driver, asked)
        shown = (await post(driver, asked | {"show_prompts": True})).json()
        assert await is_hit(driver, "Hello there")
        done = (await post(driver, {"category": "greeting"})).json()
        left = (await is_hit(driver, "Hello there"), await is_hit(driver, "What time is it?"))
    assert told.json() == {
        "dry_run": True,
        "removed": 0,
        "matched": 1,
        "by_category": {"greeting": 1},
        "undecided": 0,
        "everything": False,
        "entries": [entry],
    }
    assert b"there" not in told.body
    assert shown["entries"] == [{"entry": entry, "category": "greeting", "prompt": "Hello there"}]
    assert (done["removed"], done["dry_run"], done["entries"]) == (1, False, [entry])
    assert left == (False, True)


@pytest.mark.parametrize(
    ("headers", "cache"),
    [
        ({"x-cache-tags": "docs/v1, team:blue"}, None),
        ({}, {"tags": ["team:blue"]}),
        ({"x-cache-tags": "docs/v1"}, {"tags": ["team:blue"]}),
    ],
)
async def test_callers_tag_their_answers(
    upstream: ScriptedUpstream, headers: dict[str, str], cache: Any
) -> None:
    extra = {} if cache is None else {"cache": cache}
    async with AsgiDriver(proxied(upstream.base_url, environ=ENVIRON)) as driver:
        first = await driver.chat("tagged", headers=KEY | headers, **extra)
        assert first.header("x-cache") == "MISS"
        await driver.chat("not tagged", headers=KEY)
        assert await is_hit(driver, "tagged")  # a tag is no part of the question
        told = (await post(driver, {"tag": ["team:blue", "team:red"]})).json()
        assert told["removed"] == 1
        assert await is_hit(driver, "not tagged")
        assert not await is_hit(driver, "tagged")
    assert "tags" not in json.loads(upstream.requests[0].body).get("cache", {})


@pytest.mark.parametrize(
    ("headers", "cache"),
    [
        ({"x-cache-tags": "two words"}, None),
        ({"x-cache-tags": ",".join(map(str, range(17)))}, None),
        ({}, {"tags": "docs"}),
        ({}, {"tags": ["two words"]}),
    ],
)
async def test_an_answer_whose_tags_cannot_be_kept_is_not_stored(
    upstream: ScriptedUpstream, headers: dict[str, str], cache: Any
) -> None:
    extra = {} if cache is None else {"cache": cache}
    async with AsgiDriver(proxied(upstream.base_url, environ=ENVIRON)) as driver:
        await driver.chat("tagged", headers=KEY | headers, **extra)
        assert not await is_hit(driver, "tagged")


async def test_conditions_are_met_together(upstream: ScriptedUpstream) -> None:
    async with AsgiDriver(proxied(upstream.base_url, CONFIG, environ=ENVIRON)) as driver:
        bob = {"authorization": "Bearer bob"}
        for headers in (KEY, bob):
            await driver.chat("Hello there", headers=headers)
            await driver.chat("Goodbye then", headers=headers)
        asked = {
            "scope": {"headers": bob},
            "category": "greeting",
            "pattern": "(?i)THERE",
            "like": "Hello there",
            "at_least": 0.9,
            "model": "*",
        }
        refused = await post(driver, asked)
        done = await post(driver, asked | {"model": "test-*"})
        left = [
            await is_hit(driver, prompt, headers)
            for headers in (KEY, bob)
            for prompt in ("Hello there", "Goodbye then")
        ]
    assert (refused.status, done.json()["removed"]) == (400, 1)
    assert left == [True, True, False, True]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "a JSON object"),
        (b"[]", "a JSON object"),
        (b"[" * 60_000, "a JSON object"),
        (b"{}", '{"all": true}'),
        ({"category": None}, '{"all": true}'),
        ({"dry_run": True}, '{"all": true}'),
        ({"all": True, "category": "code"}, "nothing else"),
        ({"all": "yes"}, '"all" must be'),
        ({"dry_run": 1, "all": True}, '"dry_run" must be'),
        ({"categori": "code"}, "'categori'"),
        ({"category": []}, '"category" must be'),
        ({"category": ["a", 3]}, '"category" must be'),
        ({"category": "x" * 300}, '"category" must be'),
        ({"category": [str(number) for number in range(101)]}, "more than 100"),
        ({"entry": "xyz"}, '"entry" must be'),
        ({"tag": "two words"}, '"tag" must be'),
        ({"model": "*"}, "every model"),
        ({"pattern": "("}, "RE2"),
        ({"pattern": ".*"}, "every prompt"),
        ({"pattern": ""}, '"pattern" must be'),
        ({"pattern": "x" * 1001}, '"pattern" must be'),
        ({"like": "  "}, '"like" must be'),
        ({"like": "word " * 700}, "longer than the window"),
        ({"like": "a", "at_least": 0.2}, '"at_least" must be'),
        ({"like": "a", "at_least": "high"}, '"at_least" must be'),
        ({"at_least": 0.9}, '"like", which is missing'),
        ({"older_than": "soon"}, '"older_than"'),
        ({"older_than": 0}, '"older_than"'),
        ({"scope": {"headers": {}}}, '"scope"'),
        ({"scope": "alice"}, '"scope"'),
        (b'{"category": "\\ud800"}', '"category" must be'),
        (b'{"pattern": "\\ud800"}', '"pattern"'),
        (b'{"like": "\\ud800"}', '"like" must be'),
    ],
)
async def test_what_does_not_say_what_takes_nothing(
    upstream: ScriptedUpstream, body: Any, told: str
) -> None:
    async with AsgiDriver(proxied(upstream.base_url, environ=ENVIRON)) as driver:
        await driver.chat("Hello", headers=KEY)
        done = await post(driver, body)
        assert await is_hit(driver, "Hello")
    assert done.status == 400
    assert told in done.json()["error"]


async def test_only_the_token_opens_it(upstream: ScriptedUpstream) -> None:
    async with AsgiDriver(proxied(upstream.base_url, environ=ENVIRON)) as driver:
        await driver.chat("Hello", headers=KEY)
        assert (await post(driver, {"all": True}, KEY)).status == 401
        assert await is_hit(driver, "Hello")


@pytest.mark.parametrize("sealed", [False, True])
async def test_it_outlives_the_process_and_a_sealed_store_does_not_tell_what_it_was(
    upstream: ScriptedUpstream, tmp_path: Path, sealed: bool
) -> None:
    path = tmp_path / "kc.db"
    store = {"url": f"sqlite:///{path}"} | ({"encryption_env": "KINDCACHE_KEYS"} if sealed else {})
    environ = ENVIRON | {"KINDCACHE_KEYS": "0a" * 32}
    config = CONFIG | {"store": store}
    asked = {"pattern": "merger of Acme", "like": "the merger of Acme", "at_least": 0.5}
    async with AsgiDriver(proxied(upstream.base_url, config, environ=environ)) as driver:
        await driver.chat("the merger of Acme", headers=KEY)
        assert (await post(driver, asked)).json()["removed"] == 1
        await driver.chat("Hello", headers=KEY)
    with sqlite3.connect(path) as reading:
        names = str(reading.execute("SELECT name FROM counters").fetchall())
    assert ("Acme" in names) is not sealed
    app = proxied(upstream.base_url, config, environ=environ)
    async with AsgiDriver(app) as driver:
        assert len(app.service.engine.invalidated) == 1
        assert await is_hit(driver, "Hello")
        assert not await is_hit(driver, "the merger of Acme")
        await post(driver, asked)  # in place of the other one
        assert len(await app.service.engine.store.counts("invalidated")) == 2


async def test_the_command_says_what_goes(
    upstream: ScriptedUpstream, capsys: pytest.CaptureFixture[str]
) -> None:
    app = proxied(upstream.base_url, CONFIG, environ=ENVIRON)
    with serve(app) as server:

        async def run(stdin: str = "", **options: Any) -> tuple[int, str]:
            out = io.StringIO()
            values = {"url": server.url, "environ": TOKEN} | options
            code = await invalidate(InvalidateOptions(**values, given=io.StringIO(stdin), out=out))
            return code, out.getvalue()

        async with AsgiDriver(proxied(server.url + "/v1")) as driver:  # any client will do
            first = await driver.chat("Hello there", headers=KEY)
        entry = await _entry(server.url)
        code, text = await run(category=("greeting",), dry_run=True, show_prompts=True)
        assert code == 0
        assert text == (
            f"would remove 1 entries\n         1 greeting\n  {entry}  greeting  'Hello there'\n"
        )
        assert await run("alice\n", scope=True, user="ann") == (0, "removed 0 entries\n")
        assert await run(entry=(entry,), older_than="1h") == (0, "removed 0 entries\n")
        code, text = await run(entry=(entry,), as_json=True)
        assert json.loads(text)["removed"] == 1
        code, text = await run(all=True)
        assert text == "removed 0 entries\neverything that was asked before is out of reach\n"
        for stdin, options in (
            ("", {}),
            ("", {"scope": True}),
            ("", {"user": "ann", "all": True}),
            ("", {"pattern": "("}),
            ("", {"all": True, "environ": {}}),
            ("", {"all": True, "environ": {"KINDCACHE_ADMIN_TOKEN": "no"}}),
            ("", {"all": True, "url": "http://127.0.0.1:9"}),
            ("", {"all": True, "url": f"{server.url}/other"}),
        ):
            assert await run(stdin, **options) == (1, ""), options
            told = capsys.readouterr().err
            assert told.startswith("kindcache invalidate: ")
            assert told.count("\n") == 1
    assert first.status == 200


async def _entry(url: str) -> str:
    import aiohttp

    body = {"model": "test-model", "messages": [{"role": "user", "content": "Hello there"}]}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/v1/chat/completions", json=body, headers=KEY) as answer,
    ):
        return answer.headers["x-cache-entry"]


def test_the_options_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["invalidate", "--at-least", "much"])
    assert "--at-least" in capsys.readouterr().err
    options = ["--category", "code", "--tag", "a", "--tag", "b", "--older-than", "7d", "--dry-run"]
    assert main(["invalidate", "--url", "http://127.0.0.1:9", *options]) == 1
    assert "KINDCACHE_ADMIN_TOKEN" in capsys.readouterr().err
