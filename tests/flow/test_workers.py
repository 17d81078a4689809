"""``kindcache serve --workers N``: real processes behind one port."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from tests.drivers import Gate, Reply, ScriptedUpstream, chat_reply
from tests.drivers.cached import KEY
from tests.drivers.workers import Client, Workers, write_config

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

COUNT = 4
START_S = 20.0
LAG_S = 1.0  # what docs/http.md promises
STORED = "Write code that sorts a list"
ASKED = "write code that sorts a list!"


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as made:
        yield made


@pytest.fixture(scope="module")
def shared(
    upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workers]:
    """Four workers; the last test ends them."""
    config = write_config(tmp_path_factory.mktemp("workers") / "policies.yaml")
    workers = Workers(config, upstream.base_url, COUNT)
    try:
        workers.until_ready()
        yield workers
    finally:
        workers.close()


@pytest.fixture
def two(upstream: ScriptedUpstream, tmp_path: Path) -> Iterator[Workers]:
    """Two workers to be ended."""
    snapshot = {"path": str(tmp_path / "snapshots" / "kc.snapshot")}
    config = write_config(tmp_path / "policies.yaml", snapshot=snapshot)
    workers = Workers(config, upstream.base_url, 2)
    try:
        workers.until_ready()
        yield workers
    finally:
        workers.close()


def running(pids: Iterable[int]) -> list[int]:
    """Return those that are there, and are more than a name that nobody has asked for."""
    return [p.pid for p in psutil.process_iter() if p.pid in pids and p.status() != "zombie"]


async def until(clients: list[Client], wanted: Any, within_s: float) -> None:
    """Wait until ``wanted`` of a client is true for all."""
    async with asyncio.timeout(within_s):
        for client in clients:
            while not await wanted(client):
                await asyncio.sleep(0.02)


async def test_concurrent_clients_are_served_and_counted_once(shared: Workers) -> None:
    async with shared.clients() as clients, aiohttp.ClientSession() as session:
        before = await clients[0].metrics()
        waiting = [f"What is {number % 50} plus {number % 7}?" for number in range(200)]

        async def ask(number: int, prompt: str) -> int:
            body = {
                "model": "m",
                "messages": [{"role": "user", "content": prompt}],
                "stream": number % 3 == 0,
            }
            url = f"{shared.url}/v1/chat/completions"
            async with session.post(url, json=body, headers=KEY) as answer:
                await answer.read()
                return answer.status

        async def client(number: int) -> list[int]:
            return [await ask(number, waiting.pop()) for _ in range(200 // 16 + 1) if waiting]

        statuses = await asyncio.gather(*(client(number) for number in range(16)))
        assert list(chain(*statuses)) == [200] * 200
        for asked in clients:  # whoever is asked
            after = await asked.metrics()
            counted = after["kindcache_requests_total"] - before.get("kindcache_requests_total", 0)
            assert counted == 200
            histogram = "kindcache_operation_duration_seconds_count"
            assert after[histogram] > before.get(histogram, 0)
        assert "kindcache_write_skipped_total" not in after
        assert "kindcache_failures_total" not in after, shared.log


async def test_what_one_worker_stored_the_others_find_by_meaning(shared: Workers) -> None:
    async with shared.clients() as clients:
        text, was, _ = await clients[0].ask(STORED)
        assert was == "MISS"
        await until(clients[1:], lambda client: client.has(ASKED), LAG_S)
        for client in clients[1:]:
            assert await client.ask(ASKED) == (text, "HIT", "semantic")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/_cache/invalidate", {"pattern": "to be removed"}),
        ("/_cache/purge", {"all": True}),
        ("/_cache/erase", {"headers": {"authorization": "Bearer alice"}}),
    ],
)
async def test_a_removal_through_one_worker_is_in_force_in_all(
    shared: Workers, path: str, body: Any
) -> None:
    prompt = f"Something to be removed by {path}"
    async with shared.clients() as clients:
        await clients[0].ask(prompt)
        await until(clients, lambda client: client.has(prompt), 5 * LAG_S)
        status, told = await clients[1].post(path, body)
        assert status == 200, told
        assert told["removed"] >= 1
        assert not any([await client.has(prompt) for client in clients])  # at once


async def test_a_reload_through_one_worker_reaches_all_and_one_that_is_refused_none(
    shared: Workers,
) -> None:
    async def bypasses(client: Client) -> bool:
        return (await client.ask("anything"))[1] == "BYPASS"

    async def caches(client: Client) -> bool:
        return not await bypasses(client)

    async with shared.clients() as clients:
        write_config(shared.config, categories={"default": {"cache": False}})
        status, told = await clients[2].post("/_cache/reload", None)
        assert status == 200
        assert {number: one["status"] for number, one in told["workers"].items()} == dict.fromkeys(
            "013", "reloaded"
        )
        assert all([await bypasses(client) for client in clients])

        whole = shared.config.read_text()
        shared.config.write_text("nonsense: 1")
        status, told = await clients[0].post("/_cache/reload", None)
        assert status == 422
        assert all([await bypasses(client) for client in clients])
        shared.config.write_text(whole)

        write_config(shared.config)
        shared.signal(signal.SIGHUP)
        await until(clients, caches, 5)


async def test_a_token_of_one_worker_is_good_in_another(shared: Workers) -> None:
    async with shared.clients() as clients:
        await clients[0].ask("Who reads tokens?")
        await until(clients, lambda client: client.has("Who reads tokens?"), 5)
        body = {"model": "m", "messages": [{"role": "user", "content": "Who reads tokens?"}]}
        url = f"{shared.url}/v1/chat/completions"
        async with clients[1].session.post(url, json=body, headers=KEY) as answer:
            token = answer.headers["x-cache-hit-token"]
        url = f"{shared.url}/_cache/feedback"
        given = {"hit": token, "verdict": "right"}
        async with clients[2].session.post(url, json=given, headers=KEY) as answer:
            assert answer.status == 200, await answer.text()


async def test_figures_are_of_all_workers(shared: Workers) -> None:
    async with shared.clients() as clients:
        for client in clients:
            await client.ask("asked of each")
        told = await clients[3].get("/_cache/stats")
        counted = told["economics"]["categories"]["default"]
        metrics = await clients[0].metrics()
        hits = counted["exact_hits"] + counted["semantic_hits"]
        assert hits + counted["misses"] <= metrics["kindcache_requests_total"]
        assert hits >= 3
        assert told["worker"] == 3
        assert {one["status"] for one in told["workers"].values()} == {"ready"}
        assert len(told["workers"]) == COUNT


async def test_a_worker_that_stands_still_is_left_out_and_its_counts_are_not_lost(
    shared: Workers,
) -> None:
    async with shared.clients() as clients:
        before = await clients[0].metrics()
        pid = shared.pids()[1]
        os.kill(pid, signal.SIGSTOP)
        try:
            told = await clients[0].metrics()
            ready = await clients[0].get("/readyz")
        finally:
            os.kill(pid, signal.SIGCONT)
        assert told["kindcache_requests_total"] == before["kindcache_requests_total"]
        assert ready["status"] == "ready"
        assert ready["workers"] == {"0": "ready", "1": "no answer", "2": "ready", "3": "ready"}
        after = await clients[0].metrics()
        assert after["kindcache_failures_total"] == before.get("kindcache_failures_total", 0) + 1


async def test_a_worker_that_is_killed_fails_only_what_it_was_at(shared: Workers) -> None:
    failed: list[int] = []
    served = 0
    stop = asyncio.Event()

    async def load(number: int) -> None:
        nonlocal served
        async with aiohttp.ClientSession() as session:
            client = Client(session, shared.url)
            while not stop.is_set():
                try:
                    assert (await client.ask(f"load {served % 20}"))[0]
                    served += 1
                except aiohttp.ClientError:
                    failed.append(number)

    async with shared.clients() as clients:
        async with asyncio.timeout(START_S), asyncio.TaskGroup() as tasks:
            for number in range(8):
                tasks.create_task(load(number))
            while served < 50:
                await asyncio.sleep(0.01)
            before = await clients[0].metrics()
            killed = shared.pids()[2]
            os.kill(killed, signal.SIGKILL)
            while shared.pids().get(2, killed) == killed:
                await asyncio.sleep(0.02)
            await asyncio.to_thread(shared.until_ready)
            since = served
            while served < since + 50:
                await asyncio.sleep(0.01)
            stop.set()
        # A client has one request under way, and its next one goes to a worker that lives.
        assert len(failed) == len(set(failed))
        after = await clients[0].metrics()
        assert after["kindcache_requests_total"] >= before["kindcache_requests_total"] + 50
        assert "worker 2 ended" in shared.log


async def test_sigterm_finishes_what_is_under_way_and_leaves_nothing(
    two: Workers, upstream: ScriptedUpstream
) -> None:
    hold = Gate("answer under way")

    def script(seen: Any) -> Reply:
        return replace(chat_reply(seen, "in time"), before=(hold,))

    pids = two.pids()
    assert len(pids) == 2
    sockets = list(two.scratch.rglob("*.sock"))
    assert len(sockets) == 2
    assert {path.parent.stat().st_mode & 0o777 for path in sockets} == {0o700}
    async with aiohttp.ClientSession() as session:
        client = Client(session, two.url)
        number = upstream.count
        upstream.enqueue(script)
        under_way = asyncio.create_task(client.ask("slow one"))
        await upstream.request(number)
        began_s = time.monotonic()
        two.signal(signal.SIGTERM)
        hold.open()
        assert (await under_way)[0] == "in time"
    assert await asyncio.to_thread(two.parent.wait, 10) == 0
    assert time.monotonic() - began_s < 10
    assert not running(pids.values())
    assert list(two.scratch.iterdir()) == []
    # One worker has written the snapshot.
    assert [file.name for file in (two.config.parent / "snapshots").iterdir()] == ["kc.snapshot"]
    assert "failed" not in two.log


async def test_workers_end_when_their_parent_is_killed(shared: Workers) -> None:  # the last one
    pids = shared.pids()
    shared.parent.kill()
    shared.parent.wait()
    async with asyncio.timeout(10):
        while running(pids.values()):
            await asyncio.sleep(0.05)
    assert list(shared.scratch.iterdir()) == []
