"""``kindcache serve --workers N``: the parent, which answers nobody itself."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from ...cache.errors import StartupError
from ...config.settings import Settings
from ..commands.server import ServeOptions, prepare, say, try_it
from ..demo.model import MODEL
from ..registry import is_shared, store_file
from ..secret import load_secret
from .keeping import GaveUp, Keeper, Patience
from .listening import listen
from .place import Place
from .process import WorkerProcess
from .worker import command

LONGEST_ADDRESS = 100  # bytes of a UNIX socket's path; systems have room for 103 to 107
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def serve_with_workers(options: ServeOptions, started_s: float) -> int:
    """Serve until stopped; return the exit code. Raises ``ConfigError`` and ``StartupError``."""
    settings, _, upstream = prepare(options)
    check(settings, options.workers, os.environ)
    _note_threads(settings, options.workers)
    with ExitStack() as stack:
        sockets = listen(options.host, options.port)
        for made in sockets:
            stack.enter_context(made)
        here = replace(options, port=sockets[0].getsockname()[1])
        folder = stack.enter_context(runtime_folder())
        lines = try_it(here, demo=upstream == MODEL)
        return asyncio.run(_run(here, sockets, folder, lines, started_s))


async def _run(
    options: ServeOptions,
    sockets: Sequence[socket.socket],
    folder: Path,
    lines: Sequence[str],
    started_s: float,
) -> int:
    shared = [made.fileno() for made in sockets]
    environ = environment(os.environ, options.workers, os.cpu_count() or 1)

    async def start(number: int) -> WorkerProcess:
        place = partial(Place, number, options.workers, str(folder), tuple(shared))
        return await WorkerProcess.start(
            lambda bond: command(place(bond), options), shared, environ
        )

    def all_ready() -> None:
        say(f"{options.workers} workers ready after {time.perf_counter() - started_s:.1f} s. Try:")
        for line in lines:
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    keeper = Keeper(start, options.workers, say, Patience())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, keeper, sockets)
    loop.add_signal_handler(signal.SIGHUP, keeper.reload)
    try:
        await keeper.run(all_ready)
    except GaveUp as exc:
        sys.stderr.write(f"kindcache: stopped: {exc}\n")
        return 1
    return 0


def _stop(keeper: Keeper, sockets: Sequence[socket.socket]) -> None:
    for made in sockets:
        made.close()  # once the workers have closed theirs, nobody can connect
    keeper.stop()


def check(settings: Settings, workers: int, environ: Mapping[str, str]) -> None:
    """Raise ``StartupError`` where several workers cannot share what they must.

    A secret that is not given is made here, before anyone needs it.
    """
    if sys.platform == "win32":
        raise StartupError(f"--workers {workers}: this system knows no workers; leave it out")
    if urlsplit(settings.store.url).scheme == "memory":
        raise StartupError(
            f"--workers {workers} needs a store that processes share, and store.url is"
            f" {settings.store.url}: name sqlite:///FILE or redis://HOST:PORT/DB"
        )
    url = settings.store.url
    load_secret(environ, store_file(url), shared_store=is_shared(url))


def _note_threads(settings: Settings, workers: int) -> None:
    cores, threads = os.cpu_count() or 1, settings.embedder.threads
    if threads > 1 and workers * threads > cores:
        say(
            f"WARNING: {workers} workers with embedder.threads: {threads} want"
            f" {workers * threads} cores, and there are {cores}"
        )


def environment(environ: Mapping[str, str], workers: int, cores: int) -> dict[str, str]:
    """Return the environment of a worker: what computes with arrays takes its part of the cores.

    What the user has set counts.
    """
    return {**dict.fromkeys(_THREADS, str(max(1, cores // workers))), **environ}


@contextmanager
def runtime_folder() -> Iterator[Path]:
    """Make a folder that only this user can reach, and remove it. Raises ``StartupError``."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="kindcache-"))  # mode 0700
    except OSError as exc:
        raise StartupError(f"cannot make a folder for the workers: {exc}; see TMPDIR") from exc
    try:
        if len(os.fsencode(folder)) > LONGEST_ADDRESS - len("/9999.sock"):
            raise StartupError(f"{folder} is too long for a socket; set TMPDIR to a shorter path")
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
