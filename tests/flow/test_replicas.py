"""Three caches on one store, each with its own memory, through their HTTP surface."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest

from kindcache.cache.ports import Position
from tests.conftest import RedisServer
from tests.drivers import AsgiDriver, ScriptedUpstream
from tests.drivers.cached import KEY, proxied

pytestmark = pytest.mark.anyio

BOB = {"authorization": "Bearer bob"}
STORED = "Write code that sorts a list"
ASKED = "write code that sorts a list!"


class Replica:
    """One cache, and a way to wait for what it hears."""

    def __init__(self, driver: AsgiDriver) -> None:
        self.driver = driver
        self.service = driver.app.service
        self._moved = asyncio.Event()
        inner = self.service.lifecycle.follower.moved

        def moved(position: Position | None) -> None:
            inner(position)
            self._moved.set()

        self.service.lifecycle.follower.moved = moved

    async def caught_up(self) -> None:
        """Return once all that the store was told so far is carried out here."""
        engine = self.service.engine
        last = await engine.store.changes.latest()
        async with asyncio.timeout(20):
            while (engine.position or -1) < last:
                self._moved.clear()
                await self._moved.wait()

    async def written(self) -> None:
        await self.service.engine.memory.writer.drain()

    async def reason(self, prompt: str, headers: dict[str, str] = KEY) -> str:
        reply = await self.driver.chat(prompt, headers=headers)
        return str(reply.header("x-cache-reason"))

    def held(self) -> set[bytes]:
        return set(self.service.engine.memory.table.keys_of())

    def holds(self, keys: set[bytes]) -> bool:
        return self.held() == keys

    def loaded(self) -> bool:
        return bool(self.service.lifecycle.loaded)

    async def stored(self) -> set[bytes]:
        return {key async for key, _ in self.service.engine.store.records()}


@asynccontextmanager
async def replicas(
    upstream: ScriptedUpstream, url: str, count: int = 3
) -> AsyncIterator[list[Replica]]:
    config = {"store": {"url": url, "namespace": f"replicas-{uuid4().hex}"}}
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(count):
            app = proxied(upstream.base_url, config)
            driver = await stack.enter_async_context(AsgiDriver(app))
            made.append(Replica(driver))
        for one in made:
            await until(one.loaded)
        yield made


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture(params=["redis", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "redis":
        return str(request.getfixturevalue("redis_url"))
    return f"sqlite:///{tmp_path}/kc.db"


async def test_a_hit_by_meaning_on_another_replica_within_a_tenth_of_a_second(
    upstream: ScriptedUpstream, url: str
) -> None:
    async with replicas(upstream, url) as (one, other, third):
        took_s = []
        for number in range(5):
            word = "abcde"[number] * 7
            await one.driver.chat(f"{STORED} of {word}", headers=KEY)
            await one.written()  # its caller has had the answer for a while by now
            began = time.perf_counter()
            await other.caught_up()
            took_s.append(time.perf_counter() - began)
            assert await other.reason(f"{ASKED} of {word}") == "semantic"
        assert min(took_s) < 0.1
        await third.caught_up()
        assert await third.reason(f"{ASKED} of aaaaaaa") == "semantic"
        assert await third.reason(f"{ASKED} of aaaaaaa", BOB) == "new"  # of another scope


async def test_what_is_purged_through_one_is_gone_on_all(
    upstream: ScriptedUpstream, url: str
) -> None:
    async with replicas(upstream, url) as (one, other, third):
        await one.driver.chat(STORED, headers=KEY)
        await one.written()
        for replica in (other, third):
            await replica.caught_up()
            assert await replica.reason(ASKED) == "semantic"
            assert await replica.reason(STORED) == "exact"
        one.service.engine.memory.remove(list(one.held()), "purged")
        await one.written()
        for replica in (other, third):
            await replica.caught_up()
            assert replica.held() == set()
        assert await other.reason(STORED) == "new"


async def test_they_end_with_the_same_whoever_is_asked(
    upstream: ScriptedUpstream, url: str
) -> None:
    async with replicas(upstream, url) as all_three:
        prompts = [f"What is the capital of {name}?" for name in "ABCDEFGHIJKLMNOPQRST"]
        await asyncio.gather(
            *(
                all_three[(turn + number) % 3].driver.chat(prompt, headers=(KEY, BOB)[number % 2])
                for number, prompt in enumerate(prompts)
                for turn in range(2)
            )
        )
        for replica in all_three:
            await replica.written()
        truth = await all_three[0].stored()
        assert truth
        for replica in all_three:
            await replica.caught_up()
            await until(partial(replica.holds, truth))


async def test_a_replica_follows_again_after_its_redis_was_paused_killed_and_emptied(
    upstream: ScriptedUpstream, redis_server: RedisServer
) -> None:
    async with replicas(upstream, redis_server.url, 2) as (one, other):
        await one.driver.chat(STORED, headers=KEY)
        await one.written()
        await other.caught_up()
        redis_server.pause()
        assert (await other.driver.chat("Hello there", headers=KEY)).status == 200
        redis_server.resume()
        redis_server.restart()  # without a disk: everything is lost, the log as well
        for replica in (one, other):
            await until(partial(replica.holds, set()))
        assert await other.reason(ASKED) in {"new", "starting", "store"}

        async def told() -> bool:
            await one.driver.chat("What is new after that?", headers=KEY)
            await one.written()
            return bool(await one.stored())

        async with asyncio.timeout(20):
            while not await told():
                await asyncio.sleep(0.05)
        await other.caught_up()
        truth = await one.stored()
        await until(lambda: other.held() == truth)
        ready = other.service.lifecycle.health()
        assert ready["status"] == "ready"
