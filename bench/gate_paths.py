"""The ways through the cache that the gate watches, in one process, without server or models.

A path is one request whose answer is known in advance. Its app call is driven by hand, so that each
run does the same, step for step, and a wait on the event loop is seen at once.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import upstream_app
from bare_app import bare

from kindcache.adapters.build import Service, build
from kindcache.adapters.middleware import KindcacheMiddleware
from kindcache.cache.embedders.hashing import HashingEncoder
from kindcache.cache.ports import EntryKey, Vector
from kindcache.cache.stores.memory import MemoryStore
from kindcache.config.load import default_path, load
from kindcache.config.settings import Settings

KEY = "a key of the gate's own, of no worth"
STORED = 110  # entries beside those that are asked for; tables of open addressing are half full
QUESTION = "how do I reset the password of my account?"
GREETINGS = "hi hello hey well so also again please sorry okay".split()
HEADERS = [
    (b"host", b"127.0.0.1:8080"),
    (b"authorization", b"Bearer gate"),
    (b"content-type", b"application/json"),
    (b"accept", b"application/json"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"user-agent", b"OpenAI/Python 1.0"),
]

Scope = dict[str, Any]
Message = dict[str, Any]


class Nearby:
    """An embedder that neither computes nor waits: a greeting does not change the vector."""

    identity = "nearby"
    dim = 384

    def __init__(self) -> None:
        self._encoder = HashingEncoder(self.dim)
        self._known: dict[str, Vector] = {}

    async def open(self) -> None:
        """Have nothing to load."""

    async def aclose(self) -> None:
        """Have nothing to release."""

    async def embed(self, text: str) -> Vector | None:
        """Return what ``know`` has prepared, else compute it now."""
        return self._known.get(text) if text in self._known else self.know(text)

    def know(self, text: str) -> Vector:
        """Compute the vector of ``text`` in advance."""
        vector: Vector = self._encoder.encode([text.rpartition(", ")[2]]).vectors[0]
        self._known[text] = vector
        return vector


class Counted(MemoryStore):
    """A store in memory that counts how often an answer is fetched, and how often one is kept."""

    gets = 0
    puts = 0

    async def get(self, key: EntryKey) -> bytes | None:
        """Count, then get."""
        self.gets += 1
        return await super().get(key)

    async def put(self, key: EntryKey, payload: bytes, record: bytes, retention_s: float) -> None:
        """Count, then put."""
        self.puts += 1
        await super().put(key, payload, record, retention_s)


@dataclass(slots=True)
class Client:
    """Sends bodies into an ASGI app by hand and keeps the last answer."""

    app: Callable[..., Coroutine[Any, Any, None]]
    sent: list[Message]
    _body: bytes = b""

    def call(self, body: bytes) -> Coroutine[Any, Any, None]:
        """Return the app's call for ``body``, not begun."""
        self.sent.clear()
        self._body = body
        headers = [*HEADERS, (b"content-length", str(len(body)).encode())]
        path = "/v1/chat/completions"
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 50_000),
            "server": ("127.0.0.1", 8_080),
            "state": {},
        }
        return self.app(scope, self._receive, self._send)

    def header(self, name: str) -> str:
        """Return a header of the last answer, "" = absent."""
        found = [value for key, value in self.sent[0]["headers"] if key == name.encode()]
        return str(found[0], "latin-1") if found else ""

    async def _receive(self) -> Message:
        return {"type": "http.request", "body": self._body, "more_body": False}

    async def _send(self, message: Message) -> None:
        self.sent.append(message)


@dataclass(frozen=True, slots=True)
class Path:
    """One kind of request: the bodies that take it, and what their answers say."""

    name: str
    client: Client
    bodies: Iterator[bytes]
    tier: str  # "exact", "semantic" or "" = a miss
    store: Counted

    def next(self) -> Coroutine[Any, Any, None]:
        """Return the next request, not begun."""
        return self.client.call(next(self.bodies))

    def check(self) -> None:
        """End the program when the last answer was not of this kind."""
        status, tier = self.client.sent[0]["status"], self.client.header("x-cache-tier")
        if status != 200 or tier != self.tier:
            raise SystemExit(f"{self.name}: the answer was {status}, tier {tier!r}")


def drive(call: Coroutine[Any, Any, None]) -> int:
    """Run ``call`` to its end. Return how often it gave way to other tasks: each is a wait."""
    waits = 0
    try:
        while True:
            waited_for = call.send(None)
            waits += 1
            if waited_for is not None:
                call.close()
                raise SystemExit("this path is to answer without waiting, and it waits")
    except StopIteration:
        return waits


@asynccontextmanager
async def paths() -> Any:
    """Open the caches, fill them, and give every ``Path`` by name, and the bare app's client."""
    async with _cache(hot=True) as memory, _cache(hot=False) as cold:
        embedder, client, store = memory
        await _fill(client)
        await _fill(cold[1])
        stored, wordings = _body(QUESTION), _greeted(embedder)
        stream = _body(QUESTION, stream=True)
        new = (_body(f"{QUESTION} {number}") for number in _unlike(embedder))
        ways = [
            Path("exact hit", client, itertools.repeat(stored), "exact", store),
            Path("exact hit, stream", client, itertools.repeat(stream), "exact", store),
            Path("exact hit, store", cold[1], itertools.repeat(stored), "exact", cold[2]),
            Path("semantic hit", client, wordings, "semantic", store),
            Path("miss", client, new, "", store),
        ]
        yield {path.name: path for path in ways}, Client(bare, [])


@asynccontextmanager
async def _cache(*, hot: bool) -> Any:
    embedder, store = Nearby(), Counted(_now)

    def make(settings: Settings, app: Any, upstream: str) -> Service:
        environ = {"KINDCACHE_SECRET": KEY}
        return build(
            settings,
            app,
            upstream=upstream,
            environ=environ,
            clock=_now,
            store=store,
            embedder=embedder,
            chance=lambda: 1.0,  # no hit is drawn for a check
        )

    settings = load(default_path())
    judge = settings.judge.model_copy(update={"scorer": "none"})
    kept = {} if hot else {"hot_payloads": 0}
    settings = settings.model_copy(
        update={"judge": judge, "store": settings.store.model_copy(update=kept)}
    )
    app = KindcacheMiddleware(upstream_app.Model(0.0), settings, build=make)
    service = await app.open()
    loaded = asyncio.Event()
    service.lifecycle.when_loaded = loaded.set
    if not service.lifecycle.loaded:
        await loaded.wait()
    try:
        yield embedder, Client(app, []), store
    finally:
        await app.aclose()


def _now() -> float:
    return 1_700_000_000.0  # stands still, so that each run finds the same ages


async def _fill(client: Client) -> None:
    drawn = random.Random(1)
    for number in range(STORED):
        words = " ".join(drawn.choices(WORDS, k=8))
        await client.call(_body(f"{words} {number}"))
    await client.call(_body(QUESTION))
    await asyncio.sleep(0)
    await client.call(_body(QUESTION))  # now its rendering is kept as well
    await client.call(_body(QUESTION, stream=True))


def _body(prompt: str, *, stream: bool = False) -> bytes:
    body: dict[str, Any] = {
        "model": "bench",
        "messages": [
            {"role": "system", "content": "You help the customers of a shop."},
            {"role": "user", "content": prompt},
        ],
        "temperature": 0,
    }
    return json.dumps(body | ({"stream": True} if stream else {})).encode()


def _greeted(embedder: Nearby) -> Iterator[bytes]:
    """Word the question anew each time: a wording that was accepted needs no search again."""
    for count in itertools.count(1):
        for chosen in itertools.permutations(GREETINGS, count):
            wording = f"{', '.join(chosen)}, {QUESTION}"
            embedder.know(wording)
            yield _body(wording)


def _unlike(embedder: Nearby) -> Iterator[str]:
    """Give ends of questions that the guards tell apart from the stored one."""
    for number in itertools.count(1_000_000):
        end = f"Order {number}."
        embedder.know(f"{QUESTION} {end}")
        yield end


WORDS: Sequence[str] = (
    "river engine paper yellow winter doctor music castle garden window silver market poet "
    "harbour kettle lantern meadow needle orchard pocket quarry ribbon saddle thunder"
).split()
