"""One of several workers: ``python -m`` of this module, as its parent starts it."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import uvicorn

from ...cache.errors import KindcacheError
from ...config.problems import ConfigError
from ...config.settings import Settings
from ..commands.server import ServeOptions, read_settings, say, server_config, upstream_app
from ..proxy import Proxy
from .place import Place, reload_mark
from .together import Together

MODULE = "kindcache.adapters.workers.worker"
ORPHAN_S = 45.0  # to end in, once the parent is gone


class Bonded(uvicorn.Server):
    """A server that tells its parent when it is ready, and ends when that is gone."""

    def __init__(self, config: uvicorn.Config, bond: socket.socket, folder: Path) -> None:
        super().__init__(config)
        self._bond = bond
        self._folder = folder
        self._is_orphan = False
        threading.Thread(target=self._watch, name="kindcache-bond", daemon=True).start()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        try:
            await super().startup(sockets)
        finally:
            gc.enable()
        if self.started:
            with suppress(OSError):
                self._bond.send(b"1")

    def _watch(self) -> None:
        with suppress(OSError):
            self._bond.recv(1)
        self._is_orphan = self.should_exit = True
        time.sleep(ORPHAN_S)
        self.clean_up()
        os._exit(1)

    def clean_up(self) -> None:
        """Do what the parent would have done, if it is gone."""
        if self._is_orphan:
            shutil.rmtree(self._folder, ignore_errors=True)


def command(place: Place, options: ServeOptions) -> Sequence[str]:
    """Return the command line of a worker."""
    told = [msgspec.json.encode(value, enc_hook=str).decode() for value in (place, options)]
    return [sys.executable, "-P", "-m", MODULE, *told]


def main(arguments: Sequence[str]) -> int:
    """Serve until stopped; return the exit code."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the policy can be read anew
    place = msgspec.json.decode(arguments[0], type=Place)
    options = msgspec.json.decode(arguments[1], type=ServeOptions, dec_hook=_path)
    try:
        return _serve(place, options)
    except (ConfigError, KindcacheError) as exc:
        sys.stderr.write(f"kindcache: worker {place.number}: {exc}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _path(kind: type, text: str) -> Path:
    assert kind is Path
    return Path(text)


def _serve(place: Place, options: ServeOptions) -> int:
    gc.disable()  # as in a process that is alone
    mark = reload_mark(place.folder)
    settings, own = read_settings(options)
    app, upstream = upstream_app(options, settings if own else None, say=_unsaid)
    proxy = Proxy(
        app,
        own_part(place, settings),
        upstream=upstream,
        report=lambda line: say(f"worker {place.number}: {line}"),
        when_loaded=gc.freeze,
        source=lambda: own_part(place, read_settings(options)[0]),
        together=Together(place, mark),
        snapshots=place.is_writer,
    )
    bond = socket.socket(fileno=place.bond)
    server = Bonded(server_config(proxy, options), bond, Path(place.folder))
    server.run([socket.socket(fileno=descriptor) for descriptor in place.listening])
    server.clean_up()
    return 0 if server.started else 1


def own_part(place: Place, settings: Settings) -> Settings:
    """Return ``settings`` with this worker's part of what is meant for all of them."""
    evidence, freshness, load = settings.evidence, settings.freshness, settings.load
    checks, refreshes = place.share(evidence.verify_per_day), place.share(freshness.refresh_per_day)
    calls = None if load.in_flight is None else max(1, place.share(load.in_flight))
    return settings.model_copy(
        update={
            "evidence": evidence.model_copy(update={"verify_per_day": checks}),
            "freshness": freshness.model_copy(update={"refresh_per_day": refreshes}),
            "load": load.model_copy(update={"in_flight": calls}),
        }
    )


def _unsaid(_line: str) -> None:
    """Say nothing: the parent has."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
