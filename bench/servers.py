"""The processes of the overhead benchmark: started, found ready, and always stopped."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from kindcache.config.load import default_path

BENCH = Path(__file__).parent
START_DEADLINE_S = 60.0
SETTLE_DEADLINE_S = 120.0
STOP_DEADLINE_S = 15.0
POLL_S = 0.005
QUIET_S = 0.5
QUIET_SHARE = 0.05  # of one core; upkeep alone takes less


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    port: int
    ready_s: float  # from the start of its process until it answered
    process: subprocess.Popen[bytes]


@contextmanager
def upstream(folder: Path, latency_ms: float) -> Iterator[Server]:
    """Run the simulated model; its log goes to ``folder``."""
    app = str(BENCH / "upstream_app.py")
    options = ["--latency-ms", str(latency_ms)]
    with running([sys.executable, app, *options], folder, "/floor") as server:
        yield server


@contextmanager
def proxy(
    folder: Path, upstream_port: int, scorer: str = "none", *, redis: str = ""
) -> Iterator[Server]:
    """Run ``kindcache serve`` in ``folder``, where its store lies, with the shipped policies.

    ``scorer`` is ``judge.scorer``: "none" leaves the decision to the guards. With ``redis``, the
    URL of a server, every answer comes from there and none from memory.
    """
    policies = default_path().read_text(encoding="utf-8")
    if redis:
        policies = re.sub(r'url: "sqlite:.*', f'url: "{redis}"\n  hot_payloads: 1B', policies)
    config = folder / "policies.yaml"
    config.write_text(
        policies.replace("anonymous: bypass", "anonymous: share")
        + f"\njudge: {{scorer: {scorer}}}\n",
        encoding="utf-8",
    )
    command = [str(Path(sys.executable).with_name("kindcache")), "serve", "--config", str(config)]
    target = f"http://127.0.0.1:{upstream_port}/v1"
    secret = {"KINDCACHE_SECRET": "a secret of this benchmark alone"} if redis else {}
    with running([*command, "--upstream", target], folder, "/readyz", environ=secret) as server:
        yield server


def settle(server: Server) -> None:
    """Wait until the server does nothing: entries are loaded and graphs are built."""
    process = psutil.Process(server.process.pid)
    give_up_at = time.monotonic() + SETTLE_DEADLINE_S
    quiet = 0
    while quiet < 3:
        if time.monotonic() > give_up_at:
            raise SystemExit("the proxy does not come to rest")
        before = process.cpu_times()
        time.sleep(QUIET_S)
        after = process.cpu_times()
        used_s = after.user + after.system - before.user - before.system
        quiet = quiet + 1 if used_s <= QUIET_SHARE * QUIET_S else 0


@contextmanager
def running(
    command: Sequence[str],
    folder: Path,
    probe: str,
    *,
    port: int = 0,
    environ: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Run ``command --port PORT`` in ``folder`` until left; ``port`` 0 = a free one.

    It is ready when the path ``probe`` is answered, be it with a 404.
    """
    port = port or _free_port()
    kept = {name: text for name, text in os.environ.items() if "KINDCACHE_" not in name}
    log_path = folder / f"log-{port}.txt"
    started_s = time.perf_counter()
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [*command, "--port", str(port)],
            cwd=folder,
            env={**kept, **(environ or {})},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _await_ready(process, f"http://127.0.0.1:{port}{probe}", log_path)
        yield Server(port, time.perf_counter() - started_s, process)
    finally:
        process.terminate()
        try:
            process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_ready(process: subprocess.Popen[bytes], url: str, log_path: Path) -> None:
    give_up_at = time.monotonic() + START_DEADLINE_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=1.0):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError) as exc:
            if isinstance(exc, urllib.error.HTTPError) and exc.code < 500:
                return
            if process.poll() is not None or time.monotonic() > give_up_at:
                raise SystemExit(f"{url} did not start:\n{log_path.read_text()}") from None
            time.sleep(POLL_S)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
