"""A redis-server of the benchmark's own, on a free port, that keeps nothing on disk."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_DEADLINE_S = 10.0


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Run a server until left; give its URL. Ends the program when there is none to run."""
    program = shutil.which("redis-server")
    if program is None:
        raise SystemExit("redis-server is not in PATH (Debian: apt-get install redis-server)")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    command = [program, "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)]
    command += ["--save", "", "--appendonly", "no"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            _await_ready(server, port)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()


def _await_ready(server: subprocess.Popen[bytes], port: int) -> None:
    give_up_at = time.monotonic() + START_DEADLINE_S
    while time.monotonic() < give_up_at and server.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1.0):
                return
        except OSError:
            time.sleep(0.02)
    raise SystemExit("redis-server did not start")
