"""The peers: how each is filled and started, and how its answers say what they are."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import uvloop
import yaml
from load_client import Response, load
from peers_prompts import KEY, MODEL, Prompts, request
from peers_workshop import (
    INSIDE,
    PeerError,
    environment,
    exported_model,
    last_line,
    model_files,
    run,
    store_folder,
)
from servers import Server, running
from upstream_app import WORDS

from kindcache.config.load import default_path

ROOM = 200_000  # entries that every peer may hold, where that can be set
FILL_CLIENTS = 16
FILL_BATCH = 2_000


@dataclass(frozen=True, slots=True)
class Bench:
    """What all peers share. ``upstream`` is the base address of the simulated model."""

    root: Path
    upstream: str
    prompts: Prompts
    seed: int


class Peer(Protocol):
    """A server to be measured."""

    @property
    def name(self) -> str:
        """Return what tables call it."""

    @property
    def semantic(self) -> bool:
        """Return whether it finds prompts in other words."""

    @property
    def caches(self) -> bool:
        """Return whether it keeps answers at all."""

    @property
    def most(self) -> int | None:
        """Return how many entries it is given at most; None = as many as there are."""

    @property
    def filled_by(self) -> str:
        """Return in words how entries get in."""

    def filled(self, bench: Bench, size: int) -> Path | None:
        """Return a folder with ``size`` entries, made if need be; None = it starts empty."""

    def start(self, bench: Bench, folder: Path) -> AbstractContextManager[Server]:
        """Run it in ``folder``, a copy of what ``filled`` returned, or an empty one."""

    def tier(self, response: Response) -> str:
        """Return "exact", "semantic", "hit" (which of both is not said), "miss" or "other"."""


@dataclass(frozen=True, slots=True)
class Kindcache:
    """kindcache's proxy. ``scorer`` "shipped" or "none", ``runtime`` as the setting."""

    name: str
    scorer: str
    runtime: str
    semantic: bool = True
    caches: bool = True
    most: int | None = None
    filled_by: str = "through the proxy with `Cache-Control: no-cache` (writes, reads nothing)"

    def filled(self, bench: Bench, size: int) -> Path | None:
        """Fill through the proxy, a size on top of the next smaller one."""
        folder = store_folder(
            bench.root, "kindcache", self.runtime, size, bench.seed, bench.upstream, _sources()
        )
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            with self.start(bench, folder) as server:
                uvloop.run(_store(server.port, bench.prompts.stored(size)))
            (folder / "done").touch()
        return folder

    def start(self, bench: Bench, folder: Path) -> AbstractContextManager[Server]:
        """Run ``kindcache serve`` with the shipped policies, but for what ``_policies`` changes."""
        (folder / "policies.yaml").write_text(self._policies(), encoding="utf-8")
        program = str(Path(sys.executable).with_name("kindcache"))
        command = [program, "serve", "--config", "policies.yaml", "--upstream", bench.upstream]
        return running(command, folder, "/readyz")

    def tier(self, response: Response) -> str:
        """Read the ``X-Cache`` headers."""
        return _headers_tier(response)

    def _policies(self) -> str:
        """Route the bench's model to one category, so that one index has all entries."""
        policies = yaml.safe_load(default_path().read_text(encoding="utf-8"))
        policies["categories"]["support"]["match"] = {"model": MODEL}
        policies["categories"]["support"]["ttl"] = "30d"  # filled stores are kept for other days
        policies["capacity"] = {"entries": ROOM * 5}  # support has a fifth of it
        policies["judge"] = {"scorer": self.scorer}
        policies["embedder"]["runtime"] = self.runtime
        return yaml.safe_dump(policies, sort_keys=False)


@dataclass(frozen=True, slots=True)
class CacheLLM:
    """``cachellm-proxy`` with its memory store and its own thresholds."""

    name: str = "CacheLLM"
    semantic: bool = True
    caches: bool = True
    most: int | None = None
    filled_by: str = "into its snapshot file by its own classes; the first entry through its proxy"

    def filled(self, bench: Bench, size: int) -> Path | None:
        """Store one prompt through the proxy, the others by its own code into the snapshot."""
        facts = (size, bench.seed, environment("cachellm", bench.root))
        folder = store_folder(bench.root, "cachellm", *facts)
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            prompts = bench.prompts.stored(size)
            with self.start(bench, folder) as server:
                uvloop.run(load(server.port, [request(prompts[0])]))
            (folder / "prompts.json").write_text(json.dumps(prompts[1:]))
            python = environment("cachellm", bench.root)
            fill = [str(python), str(INSIDE / "cachellm_fill.py"), "--fill", "prompts.json"]
            run(fill, folder, self._environ(bench))
            (folder / "done").touch()
        return folder

    def start(self, bench: Bench, folder: Path) -> AbstractContextManager[Server]:
        """Run ``cachellm serve``."""
        program = environment("cachellm", bench.root).with_name("cachellm")
        return running([str(program), "serve"], folder, "/healthz", environ=self._environ(bench))

    def tier(self, response: Response) -> str:
        """Read the ``X-Cache`` headers."""
        return _headers_tier(response)

    def _environ(self, bench: Bench) -> dict[str, str]:
        return {
            "CACHELLM_BACKEND": "memory",
            "CACHELLM_MEMORY_SNAPSHOT_PATH": "snapshot.npz",
            "CACHELLM_MEMORY_MAX_ENTRIES": str(ROOM),
            "CACHELLM_OPENAI_BASE_URL": bench.upstream,
            "CACHELLM_OPENAI_API_KEY": "bench-key",
            "CACHELLM_DISCOVER_MODELS": "false",
            "CACHELLM_LOG_LEVEL": "WARNING",
            "FASTEMBED_CACHE_PATH": str(exported_model(bench.root)),
            "HF_HUB_OFFLINE": "1",
        }


@dataclass(frozen=True, slots=True)
class GPTCache:
    """GPTCache behind the smallest ASGI app, with sqlite and faiss and its own threshold."""

    name: str = "GPTCache"
    semantic: bool = True
    caches: bool = True
    most: int | None = None
    filled_by: str = "by its own `import_data`, in batches"

    def filled(self, bench: Bench, size: int) -> Path | None:
        """Import all prompts."""
        python = environment("gptcache", bench.root)
        folder = store_folder(bench.root, "gptcache", size, bench.seed, python)
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            (folder / "prompts.json").write_text(json.dumps(bench.prompts.stored(size)))
            options = ["--fill", "prompts.json", "--answer", " ".join(WORDS)]
            script = str(INSIDE / "gptcache_store.py")
            run([str(python), script, "--model", _model(bench), *options], folder)
            (folder / "done").touch()
        return folder

    def start(self, bench: Bench, folder: Path) -> AbstractContextManager[Server]:
        """Run the app."""
        python = environment("gptcache", bench.root)
        command = [str(python), str(INSIDE / "gptcache_app.py"), "--upstream", bench.upstream]
        return running([*command, "--model", _model(bench)], folder, "/ready")

    def tier(self, response: Response) -> str:
        """Read the header that the app sets: it has one tier."""
        return response.header("x-cache") if response.status == 200 else "other"


@dataclass(frozen=True, slots=True)
class LiteLLM:
    """LiteLLM's proxy with its local cache: exact only, 200 entries, which cannot be changed."""

    name: str = "LiteLLM"
    semantic: bool = False
    caches: bool = True
    most: int | None = 200
    filled_by: str = "not filled: its local cache holds 200 answers, in memory"

    def filled(self, bench: Bench, size: int) -> Path | None:  # noqa: ARG002 - the port's
        """Start empty."""
        return None

    def start(self, bench: Bench, folder: Path) -> AbstractContextManager[Server]:
        """Run ``litellm``."""
        target = {"model": "openai/*", "api_base": bench.upstream, "api_key": "bench-key"}
        config = {
            "model_list": [{"model_name": "*", "litellm_params": target}],
            "litellm_settings": {
                "cache": True,
                "cache_params": {"type": "local", "ttl": 86_400},
                "telemetry": False,
            },
        }
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        program = environment("litellm", bench.root).with_name("litellm")
        environ = {
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_LOG": "ERROR",
            "LITELLM_MASTER_KEY": KEY,
        }
        options = ["--config", "config.yaml", "--host", "127.0.0.1", "--num_workers", "1"]
        return running([str(program), *options], folder, "/health/liveliness", environ=environ)

    def tier(self, response: Response) -> str:
        """Take an answer with a cache key for a hit; the count of upstream calls proves it."""
        if response.status != 200:
            return "other"
        return "exact" if response.header("x-litellm-cache-key") else "miss"


@dataclass(frozen=True, slots=True)
class PlainProxy:
    """A reverse proxy of httpx without a cache."""

    name: str = "httpx proxy"
    semantic: bool = False
    caches: bool = False
    most: int | None = 0
    filled_by: str = "no cache"

    def filled(self, bench: Bench, size: int) -> Path | None:  # noqa: ARG002 - the port's
        """Start empty."""
        return None

    def start(self, bench: Bench, folder: Path) -> AbstractContextManager[Server]:
        """Run the proxy."""
        python = environment("gptcache", bench.root)
        command = [str(python), str(INSIDE / "httpx_proxy.py"), "--upstream", bench.upstream]
        return running(command, folder, "/models")

    def tier(self, response: Response) -> str:
        """Everything is a miss."""
        return "miss" if response.status == 200 else "other"


PEERS: tuple[Peer, ...] = (
    Kindcache("kindcache", "shipped", "onnx-int8"),
    Kindcache("kindcache, guards alone", "none", "onnx-int8"),
    # float32 fills too slowly for more, and shows what it is for with less.
    Kindcache("kindcache, guards alone, float32", "none", "onnx", most=10_000),
    CacheLLM(),
    GPTCache(),
    LiteLLM(),
    PlainProxy(),
)


@contextmanager
def started(peer: Peer, bench: Bench, filled: Path | None, folder: Path) -> Iterator[Server]:
    """Run ``peer`` on a copy of ``filled`` in the new ``folder``; killed in the end.

    Raises ``PeerError``.
    """
    if filled is None:
        folder.mkdir(parents=True)
    else:
        shutil.copytree(filled, folder)
    try:
        with peer.start(bench, folder) as server:
            try:
                yield server
            finally:
                server.process.kill()  # some would write all they hold; nobody reads it
    except SystemExit as exc:
        raise PeerError(last_line(str(exc))) from exc
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _store(port: int, prompts: Sequence[str]) -> None:
    """Ask ``prompts`` so that all are stored whatever resembles them. Raises ``PeerError``."""
    for start in range(0, len(prompts), FILL_BATCH):
        batch = prompts[start : start + FILL_BATCH]
        asked = [request(prompt, headers=["cache-control: no-cache"]) for prompt in batch]
        done = await load(port, asked, FILL_CLIENTS)
        stored = sum("; stored" in each.header("cache-status") for each in done.responses)
        if stored < len(batch):
            raise PeerError(f"only {stored} of {len(batch)} prompts were stored")


def _headers_tier(response: Response) -> str:
    if response.status != 200:
        return "other"
    result = response.header("x-cache").lower()
    return response.header("x-cache-tier") if result == "hit" else result or "other"


def _model(bench: Bench) -> str:
    return str(model_files(exported_model(bench.root)))


def _sources() -> str:
    """Return a digest of kindcache's code: a store that other code filled may not be its own."""
    layers = default_path().parent.parent
    code = hashlib.sha256()
    for layer in ("adapters", "cache", "config", "policies"):
        for file in sorted((layers / layer).rglob("*.py")):
            code.update(file.read_bytes())
    return code.hexdigest()
