"""``POST /_cache/erase`` leaves no byte: in the files of SQLite, and in the values of Redis."""

from __future__ import annotations

import io
import sqlite3
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from kindcache.adapters.commands.erase import EraseOptions, erase, headers_in
from tests.drivers import AsgiDriver, ScriptedUpstream, serve
from tests.drivers.cached import KEY, SECRET, proxied

pytestmark = pytest.mark.anyio

ADMIN = {"authorization": "Bearer root-token"}
TOKEN = {"KINDCACHE_ADMIN_TOKEN": "root-token"}
KEYS = {"KINDCACHE_KEYS": "0a" * 32}
ENVIRON = SECRET | TOKEN | KEYS
BOB = {"authorization": "Bearer bob"}
PIECE = 24  # bytes of a stored value that turn up by chance nowhere else


def pieces(values: list[bytes]) -> set[bytes]:
    return {
        value[start : start + PIECE]
        for value in values
        for start in range(8, len(value) - PIECE, PIECE)
    }


def left(of: set[bytes], data: bytes) -> int:
    return sum(piece in data for piece in of)


async def ask_all(driver: AsgiDriver, headers: dict[str, str], count: int) -> None:
    for number in range(count):
        text = f"{uuid.uuid4()} {uuid.uuid4()} " * (1 + number % 20)
        prompt = f"question {number} {headers['authorization']} {text}"
        assert (await driver.chat(prompt, headers=headers)).status == 200


def overwrite_nothing(store: Any) -> None:
    """Delete as most builds of SQLite do; Debian's overwrites by default, and hides failures."""
    while not hasattr(store, "_connections"):
        store = store._inner
    store._connections.writer.execute("PRAGMA secure_delete = OFF")


@pytest.mark.parametrize("sealed", [False, True])
async def test_no_byte_is_left_in_the_files_of_sqlite(
    upstream: ScriptedUpstream, tmp_path: Path, sealed: bool
) -> None:
    path = tmp_path / "kc.db"
    store = {"url": f"sqlite:///{path}"} | ({"encryption_env": "KINDCACHE_KEYS"} if sealed else {})
    config = {"store": store, "defaults": {"ttl": "1h", "similarity_threshold": 0.99}}

    def values() -> list[bytes]:
        with sqlite3.connect(path) as reading:
            rows = reading.execute("SELECT record, payload FROM entries JOIN payloads USING (id)")
            return [value for row in rows for value in row]

    def files() -> bytes:
        return b"".join(file.read_bytes() for file in sorted(tmp_path.glob("kc.db*")))

    async with AsgiDriver(proxied(upstream.base_url, config, environ=ENVIRON)) as driver:
        engine = driver.app.service.engine
        writer = engine.memory.writer
        overwrite_nothing(engine.store)
        await ask_all(driver, KEY, 40)
        await writer.drain()
        mine = pieces(values())
        await ask_all(driver, BOB, 40)
        entry = (await driver.chat("thrown away", headers=KEY)).header("x-cache-entry")
        await writer.drain()
        mine |= pieces(values()[-2:])
        theirs = pieces(values()) - mine
        # Deleted before: its bytes lie in free pages.
        await driver.request("DELETE", f"/_cache/entries/{entry}", headers=ADMIN)
        assert left(mine, files()) > 0.8 * len(mine)  # the rest is cut by the ends of pages
        body = {"headers": KEY}
        done = await driver.request("POST", "/_cache/erase", json=body, headers=ADMIN)
        assert done.json() == {"removed": 40}
        assert left(mine, files()) == 0
        assert left(theirs, files()) > 0.8 * len(theirs)
        assert KEY["authorization"].encode() not in files()
        assert len(values()) == 80
    assert left(mine, files()) == 0


async def test_no_byte_is_left_in_redis(upstream: ScriptedUpstream, redis_url: str) -> None:
    space = f"erase{uuid.uuid4().hex}"
    config = {
        "store": {"url": redis_url, "namespace": space},
        "defaults": {"ttl": "1h", "similarity_threshold": 0.99},
    }

    async with Redis.from_url(redis_url) as client:

        async def everything() -> bytes:
            """Every key of the server with what it holds, as the server would dump it."""
            found = b""
            async for name in client.scan_iter("*"):
                kind = await client.type(name)
                if kind == b"hash":
                    found += name + repr(await client.hgetall(name)).encode()
                elif kind == b"stream":
                    found += name
                    found += repr(await client.xrange(name)).encode()
                else:
                    found += name + (await client.get(name) or b"")
            return found

        async def values() -> list[bytes]:
            names = [name async for name in client.scan_iter(f"{space}:[px]:*")]
            return [value for value in await client.mget(names) if isinstance(value, bytes)]

        async with AsgiDriver(proxied(upstream.base_url, config, environ=ENVIRON)) as driver:
            writer = driver.app.service.engine.memory.writer
            await ask_all(driver, KEY, 20)
            hit = await driver.chat("again", headers=KEY)
            hit = await driver.chat("again", headers=KEY)
            token = hit.header("x-cache-hit-token")
            wrong = {"hit": token, "verdict": "wrong"}
            await driver.request("POST", "/_cache/feedback", json=wrong, headers=KEY)
            await writer.drain()
            names = [name async for name in client.scan_iter(f"{space}:[px]:*")]
            mine = pieces(await values())
            await ask_all(driver, BOB, 20)
            await writer.drain()
            assert left(mine, await everything()) == len(mine)
            done = await driver.request(
                "POST", "/_cache/erase", json={"headers": KEY}, headers=ADMIN
            )
            assert done.json() == {"removed": 20}
            dump = await everything()
            assert left(mine, dump) == 0
            assert not any(name in dump for name in names)
            assert len(await values()) == 40


async def test_an_operator_names_a_caller_by_what_he_sends(upstream: ScriptedUpstream) -> None:
    config = {"scope": {"by": "header:X-Tenant"}}
    async with AsgiDriver(proxied(upstream.base_url, config, environ=ENVIRON)) as driver:
        for tenant in ("acme", "other"):
            await driver.chat("Hello", headers={"x-tenant": tenant})
        body = {"headers": {"X-Tenant": "acme"}}
        done = await driver.request("POST", "/_cache/erase", json=body, headers=ADMIN)
        assert done.json() == {"removed": 1}
        other = await driver.chat("Hello", headers={"x-tenant": "other"})
        assert other.header("x-cache") == "HIT"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"{", "the body must be"),
        (b"[]", "the body must be"),
        (b"{}", "the body must be"),
        (b'{"headers": {"authorization": 3}}', "the body must be"),
        (b'{"headers": {"authorization": "x"}, "usr": "ann"}', "the body must be"),
        (b'{"headers": {}}', "name nobody"),
        (b'{"headers": {"authorization": "\\ud800"}}', "the body must be"),
        (b'{"headers": {"authorisation": "Bearer secret-key"}}', "'authorisation'"),
    ],
)
async def test_who_does_not_say_whose_erases_nothing(
    upstream: ScriptedUpstream, body: Any, told: str
) -> None:
    async with AsgiDriver(proxied(upstream.base_url, environ=ENVIRON)) as driver:
        await driver.chat("Hello", headers=KEY)
        refused = await driver.request("POST", "/_cache/erase", body=body, headers=KEY)
        done = await driver.request("POST", "/_cache/erase", body=body, headers=ADMIN)
        again = await driver.chat("Hello", headers=KEY)
    assert refused.status == 401
    assert done.status == 400
    assert told in done.json()["error"]
    assert "secret-key" not in done.json()["error"]
    assert again.header("x-cache") == "HIT"


@pytest.fixture
async def address(upstream: ScriptedUpstream) -> AsyncIterator[str]:
    with serve(proxied(upstream.base_url, environ=ENVIRON)) as server:
        yield server.url


async def test_the_command_reads_a_credential_and_erases(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    import aiohttp

    body = {"model": "m", "user": "ann", "messages": [{"role": "user", "content": "Hello"}]}
    async with aiohttp.ClientSession() as session:
        post: Callable[..., Any] = session.post
        async with post(f"{address}/v1/chat/completions", json=body, headers=KEY) as answer:
            assert answer.status == 200

    async def run(stdin: str, **options: Any) -> tuple[int, str]:
        out = io.StringIO()
        values = {"url": address, "environ": TOKEN} | options
        code = await erase(EraseOptions(**values, given=io.StringIO(stdin), out=out))
        return code, out.getvalue()

    assert await run("alice\n", user="ben") == (0, "erased 0 entries\n")
    assert await run("alice\n", user="ann") == (0, "erased 1 entries\n")
    for stdin, options in (
        ("", {}),
        ("alice", {"environ": {}}),
        ("alice", {"environ": {"KINDCACHE_ADMIN_TOKEN": "no"}}),
        ("alice", {"url": "http://127.0.0.1:9"}),
        ("alice", {"url": f"{address}/other"}),
    ):
        assert await run(stdin, **options) == (1, "")
        told = capsys.readouterr().err
        assert told.startswith("kindcache erase: ")
        assert told.count("\n") == 1
        assert "alice" not in told


def test_lines_of_headers_are_read_as_they_are_sent() -> None:
    text = "Authorization: Bearer a:b\n\n OpenAI-Organization : org\n"
    assert headers_in(text) == {"authorization": "Bearer a:b", "openai-organization": "org"}
    assert headers_in("sk-key\n") == {"authorization": "Bearer sk-key"}


async def test_an_empty_stdin_does_not_mean_all_who_share(
    upstream: ScriptedUpstream, capsys: pytest.CaptureFixture[str]
) -> None:
    import aiohttp

    config = {"scope": {"anonymous": "share"}}
    with serve(proxied(upstream.base_url, config, environ=ENVIRON)) as server:
        body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
        async with aiohttp.ClientSession() as session:
            post: Callable[..., Any] = session.post
            for told in (None, "HIT"):
                async with post(f"{server.url}/v1/chat/completions", json=body) as answer:
                    assert answer.headers["x-cache"] == (told or "MISS")
                nothing = io.StringIO("\n")
                options = EraseOptions(server.url, environ=TOKEN, given=nothing)
                assert await erase(options) == 1
    assert "names no caller" in capsys.readouterr().err
