"""Another policy for a running cache: at once, without a failed request, or not at all."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from kindcache.adapters.build import Service, build
from kindcache.adapters.control.reloading import ReloadRefused
from kindcache.adapters.middleware import KindcacheMiddleware
from kindcache.adapters.proxy import Proxy
from kindcache.adapters.upstream.app import UpstreamApp
from kindcache.cache.errors import StoreError
from kindcache.cache.ports import EntryKey
from kindcache.config.load import load
from tests.conftest import FakeClock
from tests.drivers import AsgiDriver, Gate, ScriptedUpstream, chat_reply
from tests.drivers.cached import KEY, SECRET

pytestmark = pytest.mark.anyio

ADMIN = {"authorization": "Bearer root-token"}
ENVIRON = SECRET | {"KINDCACHE_ADMIN_TOKEN": "root-token"}
CODE = "Write code that sorts a list"
REWORDED = "write code that sorts a list!"


class Away:
    """A store whose records break off at once."""

    seen: tuple[tuple[EntryKey, bytes], ...] = ()

    async def records(self) -> AsyncIterator[tuple[EntryKey, bytes]]:
        for record in self.seen:
            yield record
        raise StoreError("away")


class File:
    """A policy file that a test writes anew."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "policy.yaml"
        self.values: dict[str, Any] = {
            "store": {"url": f"sqlite:///{folder}/kc.db"},
            "embedder": {"runtime": "hashing"},
            "judge": {"scorer": "none"},
            "scope": {"revalidate": "30d"},
            "defaults": {"similarity_threshold": 0.8, "ttl": "1h"},
            "categories": {"code": {"match": {"pattern": "code"}, "ttl": "7d"}},
        }
        self.write()

    def write(self, **values: Any) -> None:
        self.values |= values
        self.path.write_text(yaml.safe_dump(self.values))

    def code(self, **fields: Any) -> None:
        self.write(categories={"code": {"match": {"pattern": "code"}, "ttl": "7d"} | fields})


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path)


def running(
    upstream: ScriptedUpstream, file: File, clock: Any = None, **options: Any
) -> KindcacheMiddleware:
    def make(settings: Any, app: Any, name: str) -> Service:
        return build(settings, app, upstream=name, environ=ENVIRON, clock=clock)

    app = UpstreamApp(upstream.base_url, timeout_s=5.0, connect_timeout_s=2.0)
    return KindcacheMiddleware(app, file.path, build=make, **options)


async def reload(driver: AsgiDriver) -> Mapping[str, Any]:
    exchange = await driver.request("POST", "/_cache/reload", headers=ADMIN)
    assert exchange.status == 200, exchange.body
    return exchange.json()  # type: ignore[no-any-return]


async def test_thresholds_and_ttls_apply_to_what_is_stored(
    upstream: ScriptedUpstream, clock: FakeClock, file: File
) -> None:
    async with AsgiDriver(running(upstream, file, clock)) as driver:
        await driver.chat(CODE, headers=KEY)
        near = await driver.chat(REWORDED, headers=KEY)
        file.code(similarity_threshold=1.0)
        changed = await reload(driver)
        far = await driver.chat(REWORDED, headers=KEY | {"cache-control": "no-store"})
        clock.advance(7200.0)
        known = await driver.chat(CODE, headers=KEY)
        file.code(ttl="1h")
        await reload(driver)
        late = await driver.chat(CODE, headers=KEY)
    assert near.header("x-cache-tier") == "semantic"
    assert changed["changed"] == ["categories.code.similarity_threshold: 0.8 -> 1"]
    assert far.header("x-cache") == "MISS"
    assert known.header("x-cache-tier") == "exact"
    assert late.header("x-cache-reason") == "expired"


async def test_a_quota_that_is_given_under_way_keeps_room(
    upstream: ScriptedUpstream, file: File
) -> None:
    file.write(capacity={"entries": 4, "eviction": "lru"})
    plain = ["What is the tallest mountain?", "Who painted the ceiling of that chapel?"]
    async with AsgiDriver(running(upstream, file)) as driver:
        for prompt in plain:
            await driver.chat(prompt, headers=KEY)
        file.write(
            categories={
                "code": {"match": {"pattern": "code"}, "ttl": "7d"},
                "default": {"quota": "50%"},
            }
        )
        done = await reload(driver)
        for kind in ("sorts a list", "parses a date", "opens a window", "draws a cat"):
            await driver.chat(f"Write code that {kind}", headers=KEY)
        kept = [await driver.chat(prompt, headers=KEY) for prompt in plain]
    assert done["changed"] == ["categories.default.quota: not set -> 50%"]
    assert [each.header("x-cache") for each in kept] == ["HIT", "HIT"]


@pytest.mark.parametrize("how", ["removed", "not cached"])
async def test_a_category_that_goes_takes_its_entries_with_it(
    upstream: ScriptedUpstream, file: File, how: str
) -> None:
    async with AsgiDriver(running(upstream, file)) as driver:
        for prompt in (CODE, "Hello"):
            await driver.chat(prompt, headers=KEY)
        if how == "removed":
            file.write(categories={})
        else:
            file.code(cache=False)
        done = await reload(driver)
        after = await driver.chat(CODE, headers=KEY)
        other = await driver.chat("Hello", headers=KEY)
        file.code()
        await reload(driver)
    app = running(upstream, file)
    async with AsgiDriver(app) as driver:
        assert app.service is not None
        await app.service.lifecycle.load()
        counts = app.service.engine.memory.table.count_by_category()
    assert done["purged"] == {"code": 1}
    assert after.header("x-cache") == ("MISS" if how == "removed" else "BYPASS")
    assert other.header("x-cache") == "HIT"
    assert counts.get("code", 0) == 0


async def test_an_answer_on_its_way_is_not_stored_for_a_category_that_went(
    upstream: ScriptedUpstream, file: File
) -> None:
    gate = Gate("the answer")
    upstream.script = lambda seen: chat_reply(seen, "late", before=(gate,))
    app = running(upstream, file)
    async with AsgiDriver(app) as driver:
        task = asyncio.create_task(driver.chat(CODE, headers=KEY))
        await upstream.request(0)
        file.write(categories={})
        await reload(driver)
        gate.open()
        answered = await task
        assert app.service is not None
        assert len(app.service.engine.memory.table) == 0
    assert answered.status == 200


async def test_an_invalid_file_changes_nothing_and_says_why(
    upstream: ScriptedUpstream, file: File, caplog: pytest.LogCaptureFixture
) -> None:
    async with AsgiDriver(running(upstream, file)) as driver:
        await driver.chat(CODE, headers=KEY)
        file.code(ttl="5 parsecs")
        line = 1 + file.path.read_text().splitlines().index("    ttl: 5 parsecs")
        refused = await driver.request("POST", "/_cache/reload", headers=ADMIN)
        file.path.unlink()
        gone = await driver.request("POST", "/_cache/reload", headers=ADMIN)
        still = await driver.chat(CODE, headers=KEY)
    assert refused.status == gone.status == 422
    [problem] = refused.json()["problems"]
    assert f"{file.path}:{line}: categories.code.ttl" in problem
    assert f"policy not changed: {problem}" in caplog.messages
    assert "cannot be read" in gone.json()["problems"][0]
    assert still.header("x-cache") == "HIT"


async def test_what_needs_a_restart_is_named_and_the_rest_applies(
    upstream: ScriptedUpstream, file: File, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "kindcache")
    async with AsgiDriver(running(upstream, file)) as driver:
        await driver.chat(CODE, headers=KEY)
        file.write(store={"url": "memory://"}, embedder={"runtime": "onnx-int8"})
        file.code(ttl="1d")
        done = await reload(driver)
        again = await reload(driver)
        hit = await driver.chat(CODE, headers=KEY)
    assert done["needs_restart"] == ["store.url", "embedder.runtime"]
    assert done["changed"] == ["categories.code.ttl: 7d -> 1d"]
    assert again["changed"] == []
    assert again["needs_restart"] == done["needs_restart"]
    assert hit.header("x-cache") == "HIT"
    assert "policy changed: categories.code.ttl: 7d -> 1d" in caplog.messages
    assert any("store.url needs a restart" in line for line in caplog.messages)


async def test_new_examples_decide_at_once(upstream: ScriptedUpstream, file: File) -> None:
    async with AsgiDriver(running(upstream, file)) as driver:
        before = await driver.chat("tell me a joke about cats", headers=KEY)
        file.write(categories={"jokes": {"examples": ["tell me a joke about dogs"]}})
        await reload(driver)
        after = await driver.chat("tell me a joke about cows", headers=KEY)
    assert before.header("x-cache-category") == "default"
    assert after.header("x-cache-category") == "jokes"


async def test_no_request_fails_while_the_policy_changes_all_the_time(
    upstream: ScriptedUpstream, file: File
) -> None:
    async with AsgiDriver(running(upstream, file)) as driver:
        answers: list[tuple[int, str, str]] = []

        async def ask(first: int) -> None:
            for number in range(first, first + 60):
                prompt = f"Write code number {number % 12}"
                exchange = await driver.chat(prompt, headers=KEY, stream=number % 2 == 0)
                answers.append((exchange.status, prompt, exchange.body.decode()))

        tasks = [asyncio.create_task(ask(first)) for first in range(6)]
        policies: list[dict[str, Any]] = [
            {"ttl": "1s"},
            {"similarity_threshold": 1.0},
            {"cache": False},
            {"examples": ["Write code number 3"]},
            {"ttl": "5 parsecs"},
            {"semantic": False},
        ]
        statuses: list[int] = []
        while not all(task.done() for task in tasks):
            fields = policies[len(statuses) % len(policies)]
            file.code(**fields)
            exchange = await driver.request("POST", "/_cache/reload", headers=ADMIN)
            statuses.append(exchange.status)
            assert exchange.status == (422 if "parsecs" in str(fields) else 200)
        await asyncio.gather(*tasks)
    assert len(answers) == 360
    assert {status for status, _, _ in answers} == {200}
    for _, prompt, body in answers:
        assert prompt.rpartition(" ")[2] in body
    assert len(statuses) > len(policies)


async def test_a_store_that_is_away_is_purged_once_it_is_back(
    upstream: ScriptedUpstream, file: File
) -> None:
    app = running(upstream, file)
    async with AsgiDriver(app) as driver:
        await driver.chat(CODE, headers=KEY)
        assert app.service is not None
        engine, lifecycle = app.service.engine, app.service.lifecycle
        await engine.memory.writer.drain()
        store = engine.store
        engine.store = Away()  # type: ignore[assignment]
        file.write(categories={})
        done = await reload(driver)
        assert done["to_purge"] == ["code"]
        engine.store = store
        await lifecycle.purge_gone()
        assert not lifecycle.to_purge
        assert [key async for key, _ in store.records()] == []


async def test_settings_without_a_file_are_changed_by_the_program(
    upstream: ScriptedUpstream, file: File
) -> None:
    app = running(upstream, file)
    ready = KindcacheMiddleware(app.app, load(file.path), build=app._build)
    async with AsgiDriver(ready) as driver:
        await driver.chat(CODE, headers=KEY)
        with pytest.raises(ReloadRefused, match="not from a file"):
            await ready.reload()
        file.code(cache=False)
        done = await ready.reload(load(file.path))
        after = await driver.chat(CODE, headers=KEY)
    assert done.purged == {"code": 1}
    assert after.header("x-cache") == "BYPASS"


async def test_sighup_reloads_the_file(
    upstream: ScriptedUpstream, file: File, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "kindcache")
    before = signal.getsignal(signal.SIGHUP)
    app = running(upstream, file, sighup=True)
    async with AsgiDriver(app) as driver:
        file.code(ttl="5 parsecs")
        os.kill(os.getpid(), signal.SIGHUP)
        await _logged(caplog, "policy not changed")
        file.code(ttl="1d")
        os.kill(os.getpid(), signal.SIGHUP)
        await _logged(caplog, "policy changed: categories.code.ttl: 7d -> 1d")
        assert (await driver.chat(CODE, headers=KEY)).status == 200
    assert signal.getsignal(signal.SIGHUP) == before


async def test_the_proxy_reloads_what_it_is_given_to_read(
    upstream: ScriptedUpstream, file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    proxy = Proxy(
        UpstreamApp(upstream.base_url),
        load(file.path),
        upstream="u",
        source=lambda: load(file.path),
    )
    async with AsgiDriver(proxy) as driver:
        file.code(ttl="1d")
        done = await reload(driver)
    assert done["changed"] == ["categories.code.ttl: 7d -> 1d"]


async def test_a_served_proxy_reloads_on_sighup_and_goes_on_answering(
    upstream: ScriptedUpstream, file: File
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = "from kindcache.adapters.cli import main; raise SystemExit(main())"
    options = ["serve", "--config", str(file.path), "--port", str(port)]
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-c", command, *options, "--upstream", upstream.base_url],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | ENVIRON,
    )
    try:
        await _said(process, "ready after")
        async with aiohttp.ClientSession() as client:
            url = f"http://127.0.0.1:{port}/v1/chat/completions"
            body = {"model": "m", "messages": [{"role": "user", "content": CODE}]}
            headers = []
            for ttl, line in (
                ("1d", "policy changed: categories.code.ttl: 7d -> 1d"),
                ("5 parsecs", 'categories.code.ttl: "5 parsecs": unknown unit'),
            ):
                file.code(ttl=ttl)
                process.send_signal(signal.SIGHUP)
                await _said(process, line)
                async with client.post(url, json=body, headers=KEY) as response:
                    assert response.status == 200
                    headers.append(response.headers)
    finally:
        process.terminate()
        await process.communicate()
    assert [given["x-cache"] for given in headers] == ["MISS", "HIT"]
    assert "ttl=86" in headers[1]["cache-status"]


async def _said(process: asyncio.subprocess.Process, needle: str) -> None:
    assert process.stdout is not None
    lines: list[str] = []
    async with asyncio.timeout(30):
        while needle not in (lines[-1] if lines else ""):
            line = await process.stdout.readline()
            assert line, lines
            lines.append(line.decode())


async def _logged(caplog: pytest.LogCaptureFixture, needle: str) -> None:
    async with asyncio.timeout(10):
        while not any(needle in line for line in caplog.messages):
            await asyncio.sleep(0)
