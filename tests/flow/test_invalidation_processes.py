"""Three real processes on one Redis: what was invalidated through one is gone in all, for good."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.drivers import Gate, Reply, ScriptedUpstream, chat_reply
from tests.drivers.cached import KEY, SECRET

pytestmark = pytest.mark.anyio

ADMIN = {"authorization": "Bearer root-token"}
ENVIRON = SECRET | {"KINDCACHE_ADMIN_TOKEN": "root-token"}
COMMAND = "from kindcache.adapters.cli import main; raise SystemExit(main())"
START_S = 60.0
LAG_S = 1.0  # what docs/http.md promises


@dataclass(eq=False)
class Replica:
    """``kindcache serve`` in a process of its own."""

    config: Path
    upstream: str
    client: aiohttp.ClientSession
    port: int = 0
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        options = ["--config", str(self.config), "--port", str(self.port)]
        self.process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-c", COMMAND, "serve", *options, "--upstream", self.upstream],
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env=os.environ | ENVIRON,
        )
        async with asyncio.timeout(START_S):
            while not await self._is_ready():
                await asyncio.sleep(0.05)

    async def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.returncode is None
        try:
            async with self.client.get(f"http://127.0.0.1:{self.port}/readyz") as answer:
                return bool((await answer.json())["status"] == "ready")
        except aiohttp.ClientError:
            return False

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    async def ask(self, prompt: str, **headers: str) -> tuple[str, str]:
        """Return the answer's text, and whether it was a hit."""
        url = f"http://127.0.0.1:{self.port}/v1/chat/completions"
        body = {"model": "m", "messages": [{"role": "user", "content": prompt}]}
        async with self.client.post(url, json=body, headers=KEY | headers) as answer:
            told = await answer.json()
            text = told["choices"][0]["message"]["content"] if answer.status == 200 else ""
            return text, answer.headers["x-cache"]

    async def has(self, prompt: str) -> bool:
        return (await self.ask(prompt, **{"cache-control": "only-if-cached"}))[1] == "HIT"

    async def invalidate(self, **asked: Any) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.port}/_cache/invalidate"
        async with self.client.post(url, json=asked, headers=ADMIN) as answer:
            assert answer.status == 200, await answer.text()
            return dict(await answer.json())


@asynccontextmanager
async def three(upstream: str, redis_url: str, folder: Path) -> AsyncIterator[list[Replica]]:
    config = folder / "kindcache.yaml"
    values = {
        "store": {"url": redis_url, "namespace": f"inv{uuid.uuid4().hex}"},
        "embedder": {"runtime": "hashing"},
        "judge": {"scorer": "none"},
        "defaults": {"similarity_threshold": 0.99, "ttl": "1h"},
    }
    config.write_text(yaml.safe_dump(values))
    async with aiohttp.ClientSession() as client:
        replicas = [Replica(config, upstream, client) for _ in range(3)]
        try:
            await asyncio.gather(*(replica.start() for replica in replicas))
            yield replicas
        finally:
            await asyncio.gather(*(replica.kill() for replica in replicas))


async def spread(prompt: str, replicas: list[Replica]) -> str:
    """Ask until all have the answer in memory; return it."""
    text, _ = await replicas[0].ask(prompt)
    for replica in replicas:
        async with asyncio.timeout(10):
            while not await replica.has(prompt):
                await asyncio.sleep(0.02)
    return text


async def gone(prompt: str, replicas: list[Replica]) -> float:
    """Wait until nobody has the answer; return how long that took."""
    began_s = time.monotonic()
    async with asyncio.timeout(10):
        while any([await replica.has(prompt) for replica in replicas]):
            await asyncio.sleep(0.02)
    return time.monotonic() - began_s


async def test_nothing_that_was_invalidated_comes_back_in_any_process(
    redis_url: str, tmp_path: Path
) -> None:
    hold = Gate("late answer")

    def script(seen: Any) -> Reply:
        reply = chat_reply(seen, f"version {upstream.count}")
        return replace(reply, before=(hold,)) if seen.prompt == "slow news" else reply

    with ScriptedUpstream(script) as upstream:
        async with three(upstream.base_url, redis_url, tmp_path) as replicas:
            first, second, third = replicas
            old = await spread("the news", replicas)
            await spread("some code", replicas)
            late = asyncio.create_task(second.ask("slow news"))
            await upstream.request(upstream.count)

            told = await first.invalidate(pattern="news")
            assert told["removed"] == 1
            assert not await first.has("the news")  # at once
            assert await gone("the news", replicas) <= LAG_S
            assert all([await replica.has("some code") for replica in replicas])
            hold.open()
            assert (await late)[0]  # its caller has it
            assert not any([await replica.has("slow news") for replica in replicas])

            new = await spread("the news", replicas)
            assert new != old
            await second.kill()
            await second.start()
            assert await second.has("some code")
            assert await second.ask("the news") == (new, "HIT")

            third.signal(signal.SIGSTOP)  # it hears nothing
            assert (await first.invalidate(pattern="news"))["removed"] == 1
            third.signal(signal.SIGCONT)
            assert await gone("the news", replicas) <= LAG_S
            await second.kill()
            await second.start()
            assert not await second.has("the news")

            kept = await spread("the news", replicas)
            assert kept not in {old, new}
            assert (await third.invalidate(all=True))["everything"]
            assert not await third.has("some code")
            assert await gone("some code", replicas) <= LAG_S
            assert not any([await replica.has("the news") for replica in replicas])
