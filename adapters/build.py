"""The composition root: settings in, a running cache out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from ..cache.canonical import Substitution
from ..cache.deciding import Decider
from ..cache.embedders.choose import choose
from ..cache.engine import Engine
from ..cache.events import Observers
from ..cache.hot import HotPayloads
from ..cache.identity import Identity
from ..cache.index.category import CategoryIndex
from ..cache.lifecycle import Example, Lifecycle
from ..cache.memory import Memory
from ..cache.ports import Clock, Embedder, PairScorer, Store
from ..cache.scope import Scoping
from ..cache.scorers.choose import choose as choose_scorer
from ..cache.singleflight import Flights
from ..cache.standing import Standing
from ..cache.table import Table
from ..cache.writer import Writer
from ..config.patterns import compile_pattern
from ..config.settings import Settings
from ..policies.policy import compose
from .asgi import App
from .dialects.openai_chat import OpenAIChat
from .observers.log import LogObserver
from .observers.prometheus import PrometheusObserver
from .registry import is_shared, make_store, store_file
from .responder import Responder
from .secret import load_secret
from .trust import Trust

Report = Callable[[str], None]


def silent(_line: str) -> None:
    """Report nothing."""


@dataclass(frozen=True, slots=True)
class Service:
    """A cache, ready to be opened and to answer for an app."""

    engine: Engine
    lifecycle: Lifecycle
    responder: Responder
    metrics: PrometheusObserver
    admin_token: str


def build(
    settings: Settings,
    app: App,
    *,
    upstream: str,
    environ: Mapping[str, str] = os.environ,
    clock: Clock = time.time,
    report: Report = silent,
    store: Store | None = None,
    embedder: Embedder | None = None,
) -> Service:
    """Build a cache in front of ``app``. Opens nothing; raises ``StartupError``.

    ``upstream`` identifies what answers behind ``app``: answers of one are never given for another.
    """
    metrics = PrometheusObserver()
    observer = Observers([metrics, LogObserver()])
    if embedder is None:
        key = environ.get(settings.embedder.api_key_env, "")
        embedder = choose(settings.embedder, key, report)
    scorer = choose_scorer(settings.judge, report)
    if store is None:
        store = make_store(settings.store, clock)
    engine = _engine(settings, upstream, environ, clock, observer, store, embedder, scorer)
    table = engine.memory.table
    metrics.watch(table.count_by_category, lambda: table.size_bytes)
    return Service(
        engine=engine,
        lifecycle=Lifecycle(
            engine,
            _examples(settings),
            min_similarity=settings.classifier.min_similarity,
            margin=settings.classifier.margin,
        ),
        responder=Responder(
            app=app,
            engine=engine,
            dialects=(OpenAIChat(),),
            trust=Trust(settings.trust.peers, environ.get(settings.trust.token_env, "")),
            max_request_bytes=settings.http.max_request,
            max_answer_bytes=settings.http.max_answer,
            details=settings.http.details,
        ),
        metrics=metrics,
        admin_token=environ.get(settings.http.admin_token_env, ""),
    )


def _engine(
    settings: Settings,
    upstream: str,
    environ: Mapping[str, str],
    clock: Clock,
    observer: Observers,
    store: Store,
    embedder: Embedder,
    scorer: PairScorer | None,
) -> Engine:
    url = settings.store.url
    scoping = Scoping(
        secret=load_secret(environ, store_file(url), shared_store=is_shared(url)),
        by=settings.scope.by,
        share_anonymous=settings.scope.anonymous == "share",
        upstream=upstream,
        namespace=settings.scope.namespace,
    )
    memory = Memory(
        table=Table(settings.capacity.entries, lambda: CategoryIndex(embedder.dim)),
        hot=HotPayloads(settings.store.hot_payloads),
        standing=Standing(settings.scope.revalidate),
        writer=Writer(store, settings.store.write_queue, observer),
        observer=observer,
        embedder=embedder,
    )
    return Engine(
        policy=compose(settings),
        decider=Decider(scorer, observer, clock),
        identity=Identity(scoping, embedder, _substitutions(settings)),
        memory=memory,
        store=store,
        embedder=embedder,
        flights=Flights(settings.http.max_answer),
        observer=observer,
        clock=clock,
    )


def _examples(settings: Settings) -> Sequence[Example]:
    return [
        Example(name, text)
        for name, category in settings.categories.items()
        for text in category.examples
    ]


def _substitutions(settings: Settings) -> Sequence[Substitution]:
    return [partial(compile_pattern(n.pattern).sub, n.placeholder) for n in settings.normalise]
