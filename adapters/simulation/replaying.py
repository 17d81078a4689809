"""One policy: the log through the serving code, on a virtual clock, in front of a logged model."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from ...cache.events import Event, Failed, GaveWay, Observers
from ...cache.removing.invalidation import GENERATION, LEDGER
from ...cache.stores.memory import MemoryStore
from ...config.service_settings import StoreSettings
from ...config.settings import Settings
from ...config.snapshot_settings import SnapshotSettings
from ...policies.room import Used
from ..asgi import Headers, Message, Scope
from ..build import Service, build
from ..evaluation.asker import Progress, silent
from ..load_watch import STEP_S
from ..secret import VARIABLE
from .known_models import KnownModels
from .logged_model import NUMBER, LoggedModel
from .outcome import Outcome, outcome_of
from .request_log import Logged, RequestLog

SECRET = "the same in every simulation"  # noqa: S105 - nothing is kept
EPOCH = b"simulated epoch."  # 16 bytes, as a drawn one
FIRST_GENERATION = GENERATION + 32 * "0"
SEED = 1
SAMPLES = 200  # of the room, over the log
AHEAD = 32  # requests whose prompts are being embedded; fewer than the embedder's queue holds
PATIENCE_S = 60.0  # a busy machine makes no miss
OPENING_S = 1.0  # before the first request
MOST = 1_000_000  # writes that wait
UNNAMED = "the caller without a name"  # who asked where no principal was logged
CREDENTIAL = b"authorization"


@dataclass(frozen=True, slots=True)
class Sample:
    """The room at one time."""

    at_s: float  # Unix time
    entries: Mapping[str, int]  # by category


@dataclass(frozen=True, slots=True)
class Replayed:
    """What one policy made of a log. ``outcomes`` stand as the requests of the log."""

    outcomes: tuple[Outcome, ...]
    room: Mapping[str, tuple[Used, Used]]  # at the end: what a category holds, and its guarantee
    gave_way: Mapping[str, int]  # evicted entries, by category
    samples: tuple[Sample, ...]
    calls: int  # to the model, refreshes among them
    refreshed: tuple[int, ...]  # requests that were served stale and asked again
    failures: Mapping[str, int]  # of the cache: "embed: EmbedderError" -> count
    left_out: tuple[str, ...] = ()  # of what the policy asks for


@dataclass(slots=True)
class _Noted:
    """Observes what no response tells."""

    gave_way: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)

    def notify(self, event: Event) -> None:
        match event:
            case GaveWay(category=category):
                self.gave_way[category] += 1
            case Failed(stage=stage, error=error):
                self.failures[f"{stage}: {error}"] += 1
            case _:
                pass


def offline(settings: Settings) -> Settings:
    """Return ``settings`` for a cache that reaches nothing and does not compare answers."""
    patience = {"deadline": PATIENCE_S}
    return settings.model_copy(
        update={
            "store": StoreSettings(
                url="memory://", write_queue=MOST, hot_payloads=settings.store.hot_payloads
            ),
            "snapshot": SnapshotSettings(),
            "embedder": settings.embedder.model_copy(update=patience),
            "judge": settings.judge.model_copy(update=patience),
            "http": settings.http.model_copy(update={"details": True}),
            "evidence": settings.evidence.model_copy(update={"compare": "none", "feedback": False}),
            "load": settings.load.model_copy(update={"metrics_url": ""}),
            "economics": settings.economics.model_copy(update={"probe": None}),
        }
    )


def left_out(settings: Settings, *, under_load: bool) -> tuple[str, ...]:
    """Return what ``settings`` ask for and a simulation leaves out, a phrase each."""
    categories = [settings.effective(name) for name in settings.category_names]
    relaxing = any(category.under_load is not None for category in categories)
    certified = any(category.max_error_rate is not None for category in categories)
    asked = (
        (relaxing and not under_load, "`under_load`, but for `--under-load`"),
        (certified, "evidence for `max_error_rate`: bars stand where they do without any"),
        (settings.economics.probe is not None, "`economics.probe`, which hangs on the machine"),
    )
    return tuple(phrase for applies, phrase in asked if applies)


async def replay(
    log: RequestLog,
    settings: Settings,
    models: KnownModels,
    environ: Mapping[str, str],
    *,
    under_load: bool = False,
    progress: Progress = silent,
) -> Replayed:
    """Replay ``log``. Needs a virtual loop of its own. Raises ``StartupError``.

    ``under_load``: categories may be relaxed by the load that the logged latencies show.
    """
    replaying = Replaying(log, settings, models, environ, under_load=under_load)
    await replaying.open()
    try:
        await replaying.play(progress)
        return replaying.replayed()
    finally:
        await replaying.aclose()


class Replaying:
    """A cache of its own, and the log's requests going through it."""

    def __init__(
        self,
        log: RequestLog,
        settings: Settings,
        models: KnownModels,
        environ: Mapping[str, str],
        *,
        under_load: bool,
    ) -> None:
        self._log = log
        self._by = settings.scope.by
        self._under_load = under_load
        self._left_out = left_out(settings, under_load=under_load)
        self._began_s = log.requests[0].at_s - OPENING_S
        self._loop = asyncio.get_running_loop()
        self._store = MemoryStore(self._now_s)
        self._model = LoggedModel(log.requests, self._keep)
        self._noted = _Noted()
        self._tick = -1
        self._asked = asyncio.Event()
        self._outcomes: dict[int, Outcome] = {}
        self._samples: list[Sample] = []
        settings = offline(settings)
        self._embedder = models.embedder(settings.embedder)
        self._service = self._built(settings, models, environ)
        self._occupancy = self._service.engine.memory.table.occupancy
        observers = self._service.engine.observer
        assert isinstance(observers, Observers)
        observers.members.append(self._noted)

    def _built(
        self, settings: Settings, models: KnownModels, environ: Mapping[str, str]
    ) -> Service:
        return build(
            settings,
            self._model,
            upstream="simulation",
            environ={**environ, VARIABLE: SECRET},
            clock=self._now_s,
            monotonic=self._loop.time,
            store=self._store,
            embedder=self._embedder,
            scorer=models.scorer(settings.judge),
            dice=random.Random(SEED),  # noqa: S311 - no secret
        )

    async def open(self) -> None:
        """Open the cache."""
        await self._store.claim("epoch", EPOCH)
        await self._store.count(LEDGER, {FIRST_GENERATION: 1})
        await self._service.lifecycle.prepare()
        await self._service.lifecycle.load()

    async def aclose(self) -> None:
        """Close the cache."""
        await self._service.lifecycle.aclose()

    async def play(self, progress: Progress) -> None:
        """Let every request arrive in its time, and wait until all have their answers."""
        requests = self._log.requests
        every = max(1, len(requests) // SAMPLES)
        load = self._loop.create_task(self._follow_load()) if self._under_load else None
        async with asyncio.TaskGroup() as answering:
            for number, logged in enumerate(requests):
                wait_s = logged.at_s - self._now_s()
                if wait_s > 0.0:
                    await asyncio.sleep(wait_s)
                self._embed_ahead(number)
                await self._keep()
                if number % every == 0:
                    self._sample()
                answering.create_task(self._ask(number, logged))
                progress(number + 1, len(requests))
        for work in self._service.lifecycle.background:
            await work.drain()
        await self._keep()
        self._sample()
        if load is not None:
            load.cancel()
            with suppress(asyncio.CancelledError):
                await load

    def replayed(self) -> Replayed:
        """Say what became of the log."""
        return Replayed(
            outcomes=tuple(self._outcomes[number] for number in range(len(self._outcomes))),
            room=self._occupancy.by_category(),
            gave_way=dict(self._noted.gave_way),
            samples=tuple(self._samples),
            calls=self._model.calls,
            refreshed=tuple(self._model.refreshed),
            failures=dict(sorted(self._noted.failures.items())),
            left_out=self._left_out,
        )

    def _embed_ahead(self, number: int) -> None:
        if number % AHEAD == 0:
            for logged in self._log.requests[number : number + AHEAD]:
                if logged.prompt:
                    self._embedder.begin(logged.prompt)

    async def _follow_load(self) -> None:
        """Step once a second as serving does, but not through silence: a log may span years."""
        while True:
            if self._service.load.step():
                await asyncio.sleep(STEP_S)
            else:
                self._asked.clear()
                await self._asked.wait()
                await asyncio.sleep(STEP_S - self._loop.time() % STEP_S)

    def _now_s(self) -> float:
        return self._began_s + self._loop.time()

    async def _ask(self, number: int, logged: Logged) -> None:
        self._asked.set()
        caller = _Caller(logged.body)
        began_s = self._loop.time()
        scope = self._scope(number, logged)
        responder = self._service.responder
        dialect = responder.dialect_for(scope)
        if dialect is None:  # no path of ours: the model answers, as in serving
            await self._model(scope, caller.receive, caller.send)
        else:
            await responder.respond(dialect, scope, caller.receive, caller.send)
        waited_s = self._loop.time() - began_s
        self._outcomes[number] = outcome_of(caller.headers, caller.body, waited_s)

    def _scope(self, number: int, logged: Logged) -> Scope:
        path = logged.path.encode()
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": logged.path,
            "raw_path": path,
            "query_string": b"",
            "root_path": "",
            "headers": self._headers(logged),
            "client": ("127.0.0.1", 0),
            "server": ("127.0.0.1", 80),
            "state": {NUMBER: number},
        }

    def _headers(self, logged: Logged) -> list[tuple[bytes, bytes]]:
        headers = [(b"content-type", b"application/json"), *logged.headers]
        name = self._by.partition(":")[2].lower().encode() or CREDENTIAL
        if logged.principal is not None:
            headers.append((name, logged.principal.encode()))
        elif not any(known == name for known, _ in headers):
            headers.append((name, UNNAMED.encode()))
        return headers

    async def _keep(self) -> None:
        """Do what serving does once a second, if one has passed."""
        tick = int(self._loop.time())
        if tick == self._tick:
            return
        self._tick = tick
        await self._service.lifecycle.keep(tick)
        for index in self._service.engine.memory.table.indexes():
            while (build := index.next_build()) is not None:
                build.run()
                index.finish_build(build)

    def _sample(self) -> None:
        held = self._occupancy.by_category()
        entries = {category: used.entries for category, (used, _) in held.items()}
        self._samples.append(Sample(self._now_s(), entries))


class _Caller:
    """A client that sends one request and never leaves."""

    def __init__(self, body: bytes) -> None:
        self._to_send: bytes | None = body
        self._parts: list[bytes] = []
        self.headers: Headers = ()

    @property
    def body(self) -> bytes:
        return b"".join(self._parts)

    async def receive(self) -> Message:
        body, self._to_send = self._to_send, None
        if body is None:
            await asyncio.get_running_loop().create_future()
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.headers = message["headers"]
        else:
            self._parts.append(message.get("body", b""))
