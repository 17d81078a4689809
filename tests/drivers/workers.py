"""``kindcache serve --workers N`` as real processes, and a client for each worker."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import yaml
from prometheus_client.parser import text_string_to_metric_families

from .cached import KEY, SECRET

ADMIN = {"authorization": "Bearer root-token"}
COMMAND = "from kindcache.adapters.cli import main; raise SystemExit(main())"
START_S = 60.0


class Workers:
    """A parent and its workers."""

    def __init__(self, config: Path, upstream: str, count: int) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.config = config
        self.count = count
        self.scratch = config.parent / "scratch"
        self.scratch.mkdir()
        options = ["--config", str(config), "--upstream", upstream]
        options += ["--port", str(self.port), "--workers", str(count)]
        self._log = (config.parent / "log").open("w+b")
        self.parent = subprocess.Popen(
            [sys.executable, "-P", "-c", COMMAND, "serve", *options],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=os.environ
            | SECRET
            | {"KINDCACHE_ADMIN_TOKEN": "root-token", "TMPDIR": str(self.scratch)},
        )

    @property
    def log(self) -> str:
        return (self.config.parent / "log").read_text()

    def pids(self) -> dict[int, int]:
        """Return the process of each worker by number."""
        found = {}
        for child in psutil.Process(self.parent.pid).children():
            with suppress(psutil.Error):  # it has just ended
                words = child.cmdline()
                if "-m" in words:
                    found[json.loads(words[words.index("-m") + 2])["number"]] = child.pid
        return found

    def until_ready(self) -> None:
        """Wait until every worker is ready."""
        give_up_s = time.monotonic() + START_S
        everyone = {str(number): "ready" for number in range(self.count)}
        while self._states() != everyone:
            assert self.parent.poll() is None, self.log
            assert time.monotonic() < give_up_s, self.log
            time.sleep(0.05)

    def _states(self) -> Any:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:
                return json.load(answer)["workers"]
        except OSError:
            return None

    def signal(self, number: int) -> None:
        self.parent.send_signal(number)

    def close(self) -> None:
        pids = self.pids() if self.parent.poll() is None else {}
        self.parent.kill()
        self.parent.wait()
        for pid in pids.values():
            os.kill(pid, signal.SIGKILL)
        self._log.close()

    @asynccontextmanager
    async def clients(self) -> AsyncIterator[list[Client]]:
        """Return a client for each worker, on a connection that this one has taken."""
        pids = self.pids()
        async with AsyncExitStack() as stack:
            made = []
            for number in sorted(pids):
                session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1))
                client = Client(await stack.enter_async_context(session), self.url)
                others = [pid for other, pid in pids.items() if other != number]
                with stopped(others):
                    async with client.session.get(f"{self.url}/healthz") as answer:
                        assert answer.status == 200
                made.append(client)
            yield made


@contextmanager
def stopped(pids: list[int]) -> Iterator[None]:
    """Have processes stand still."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


class Client:
    """Asks one worker, one request after another."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url

    async def ask(self, prompt: str, **headers: str) -> tuple[str, str, str]:
        """Return the answer's text, `X-Cache` and the tier."""
        body = {"model": "m", "messages": [{"role": "user", "content": prompt}]}
        url = f"{self.url}/v1/chat/completions"
        async with self.session.post(url, json=body, headers=KEY | headers) as answer:
            told = await answer.json()
            text = told["choices"][0]["message"]["content"] if answer.status == 200 else ""
            return text, answer.headers["x-cache"], answer.headers.get("x-cache-tier", "")

    async def has(self, prompt: str) -> bool:
        return (await self.ask(prompt, **{"cache-control": "only-if-cached"}))[1] == "HIT"

    async def get(self, path: str) -> Any:
        async with self.session.get(f"{self.url}{path}", headers=ADMIN) as answer:
            assert answer.status == 200
            return json.loads(await answer.read())

    async def post(self, path: str, value: Any) -> tuple[int, Any]:
        url = f"{self.url}{path}"
        async with self.session.post(url, json=value, headers=ADMIN) as answer:
            return answer.status, json.loads(await answer.read())

    async def metrics(self) -> dict[str, float]:
        """Return the sum of the samples of each name."""
        async with self.session.get(f"{self.url}/metrics") as answer:
            text = await answer.text()
        sums: dict[str, float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
        return sums


def write_config(path: Path, **more: Any) -> Path:
    """Write a policy file that needs no model."""
    values: Mapping[str, Any] = {
        "store": {"url": f"sqlite:///{path.parent}/kindcache.db"},
        "embedder": {"runtime": "hashing"},
        "judge": {"scorer": "none"},
        "defaults": {"similarity_threshold": 0.8, "ttl": "1h"},
    }
    path.write_text(yaml.safe_dump({**values, **more}))
    return path
