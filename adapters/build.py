"""The composition root: settings in, a running cache out."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from ..cache.background import Background
from ..cache.canonical import Substitution
from ..cache.deciding import Decider
from ..cache.embedders.choose import choose
from ..cache.engine import Engine
from ..cache.events import Observers
from ..cache.hot import HotPayloads
from ..cache.identity import Identity
from ..cache.index.category import CategoryIndex
from ..cache.index.choose import choose as choose_coding
from ..cache.learning.answer_similarity import SimilarityJudge
from ..cache.learning.blocked import Blocked
from ..cache.learning.budget import DailyBudget
from ..cache.learning.comparing import Comparing
from ..cache.learning.evidence import Evidence
from ..cache.learning.fact import instrument
from ..cache.lifecycle import Lifecycle
from ..cache.loads import Loads
from ..cache.memory import Memory
from ..cache.occupancy import Occupancy
from ..cache.outages import Outages
from ..cache.ports import AnswerJudge, Clock, Embedder, PairScorer, Store
from ..cache.refreshes import Refreshes
from ..cache.scope import Scoping
from ..cache.scorers.choose import choose as choose_scorer
from ..cache.screening import Screening
from ..cache.singleflight import Flights
from ..cache.standing import Standing
from ..cache.steady_clock import SteadyClock
from ..cache.table import Table
from ..cache.turns import TurnScorer
from ..cache.writer import Writer
from ..config.patterns import compile_pattern
from ..config.settings import Settings
from ..config.value_types import DEFAULT
from ..policies.allotment import allot
from ..policies.load import Limits
from ..policies.policy import compose
from .asgi import App, Scope
from .checking import Checks
from .comparisons import Comparisons
from .dialects.dialect import Dialect
from .dialects.openai_chat import OpenAIChat
from .feedback import FeedbackEndpoint
from .hit_token import HitTokens
from .load_watch import LoadWatch
from .model_judge import ModelJudge
from .observers.log import LogObserver
from .observers.prometheus import PrometheusObserver
from .own_calls import OwnCalls
from .refreshing import Refreshing
from .registry import is_shared, make_store, store_file
from .reloading import examples_of
from .responder import Responder
from .secret import load_secret
from .standing_in import StandIns
from .trust import Trust
from .upstream.vllm_metrics import VllmMetrics
from .watching import Watch

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
    feedback: FeedbackEndpoint | None
    load: LoadWatch


def build(
    settings: Settings,
    app: App,
    *,
    upstream: str,
    environ: Mapping[str, str] = os.environ,
    clock: Clock | None = None,
    monotonic: Clock = time.monotonic,
    report: Report = silent,
    store: Store | None = None,
    embedder: Embedder | None = None,
    chance: Callable[[], float] = random.random,
) -> Service:
    """Build a cache in front of ``app``. Opens nothing; raises ``StartupError``.

    ``upstream`` identifies what answers behind ``app``: answers of one are never given for another.
    ``chance`` (0..1) draws the hits that are checked; ``monotonic`` times the model's answers.
    """
    clock = SteadyClock() if clock is None else clock
    metrics = PrometheusObserver()
    observer = Observers([metrics, LogObserver()])
    if embedder is None:
        key = environ.get(settings.embedder.api_key_env, "")
        embedder = choose(settings.embedder, key, report)
    judge_key = environ.get(settings.judge.api_key_env, "")
    scorer = choose_scorer(settings.judge, judge_key, report)
    if store is None:
        store = make_store(settings.store, clock, environ)
    engine = _engine(settings, upstream, environ, clock, observer, store, embedder, scorer)
    table = engine.memory.table
    metrics.watch(table.count_by_category, lambda: table.size_bytes)
    metrics.watch_room(table.occupancy.by_category)
    metrics.watch_evidence(engine.evidence.summary)
    load = _load_watch(settings, engine, monotonic)
    metrics.watch_loads(load.loads.figures)
    tokens = HitTokens(engine.identity.scoping) if settings.evidence.feedback else None
    comparisons = _comparisons(settings, app, engine, metrics, chance)
    refreshing = _refreshing(settings, app, engine, metrics)
    engine.answers.refreshes = refreshing.refreshes
    return Service(
        engine=engine,
        lifecycle=Lifecycle(
            engine,
            examples_of(settings),
            min_similarity=settings.classifier.min_similarity,
            margin=settings.classifier.margin,
            beside=(load.run,),
            background=(
                engine.screening.queue,
                refreshing.queue,
                *(() if comparisons is None else comparisons.queues),
            ),
        ),
        responder=Responder(
            app=app,
            watch=Watch(app, load.loads, monotonic),
            engine=engine,
            dialects=(OpenAIChat(),),
            trust=Trust(settings.trust.peers, environ.get(settings.trust.token_env, "")),
            max_request_bytes=settings.http.max_request,
            max_answer_bytes=settings.http.max_answer,
            details=settings.http.details,
            tokens=tokens if settings.http.details else None,
            comparisons=comparisons,
            refreshing=refreshing,
            stand_ins=StandIns(engine, Outages()),
        ),
        metrics=metrics,
        admin_token=environ.get(settings.http.admin_token_env, ""),
        feedback=None if tokens is None else FeedbackEndpoint(engine, tokens),
        load=load,
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
        table=Table(
            Occupancy(allot(settings), clock, random.Random()),  # noqa: S311 - no secret
            _indexes(settings, embedder),
        ),
        hot=HotPayloads(settings.store.hot_payloads),
        standing=Standing(settings.scope.revalidate),
        writer=Writer(store, settings.store.write_queue, observer),
        observer=observer,
        embedder=embedder,
    )
    policy = compose(settings)
    evidence = Evidence(
        policy,
        store,
        observer,
        clock,
        settings.evidence.window,
        partial(instrument, scorer, embedder),
        scored=scorer is not None,
    )
    observer.members.append(evidence)  # it counts the hits that go out
    return Engine(
        policy=policy,
        decider=Decider(scorer, observer, clock, TurnScorer(scorer, embedder) if scorer else None),
        identity=Identity(scoping, embedder, _substitutions(settings)),
        memory=memory,
        store=store,
        embedder=embedder,
        flights=Flights(settings.http.max_answer),
        evidence=evidence,
        blocked=Blocked(clock, settings.evidence.window),
        screening=Screening(policy, memory, embedder, observer, _screening_queue(observer)),
        observer=observer,
        clock=clock,
    )


def _load_watch(settings: Settings, engine: Engine, monotonic: Clock) -> LoadWatch:
    asked = settings.load
    limits = Limits(asked.slowdown, asked.in_flight)
    url, deadline_s = asked.metrics_url, asked.metrics_deadline
    return LoadWatch(
        engine,
        Loads(limits, engine.observer, monotonic),
        VllmMetrics(url, deadline_s) if url else None,
        asked.metrics_every,
    )


def _indexes(settings: Settings, embedder: Embedder) -> Callable[[str], CategoryIndex]:
    codings = {
        name: choose_coding(settings.effective(name).vectors) for name in settings.category_names
    }

    def new_index(category: str) -> CategoryIndex:
        # A category of an entry that was stored under other settings has no say any more.
        return CategoryIndex(embedder.dim, coding=codings.get(category, codings[DEFAULT]))

    return new_index


def _screening_queue(observer: Observers) -> Background:
    return Background("screen", observer, workers=1, limit=64)


def _comparisons(
    settings: Settings,
    app: App,
    engine: Engine,
    metrics: PrometheusObserver,
    chance: Callable[[], float],
) -> Comparisons | None:
    asked = settings.evidence
    if asked.compare == "none":
        return None
    budget = DailyBudget(asked.verify_per_day, engine.clock)
    metrics.watch_budget(lambda: budget.left)
    calls = OwnCalls(
        app,
        budget,
        engine.observer,
        deadline_s=settings.upstream.timeout,
        limit_bytes=settings.http.max_answer,
    )
    by_model = asked.compare == "model"
    near = SimilarityJudge(engine.embedder, asked.min_answer_similarity)

    def judge_for(dialect: Dialect, scope: Scope) -> AnswerJudge:
        return ModelJudge(calls, dialect, scope, asked.judge_model) if by_model else near

    # One at a time where the embedder does it, since lookups wait for the embedder too.
    shadow = Background("compare", engine.observer, workers=2 if by_model else 1, limit=64)
    checked = Background("check", engine.observer, workers=2, limit=32)
    share = asked.verify_share or 0.0
    return Comparisons(
        judge_for,
        Comparing(engine, shadow, (lambda: calls.left > 0) if by_model else (lambda: True)),
        Checks(engine, calls, checked, share, chance, calls_each=2 if by_model else 1),
    )


def _refreshing(
    settings: Settings, app: App, engine: Engine, metrics: PrometheusObserver
) -> Refreshing:
    budget = DailyBudget(settings.freshness.refresh_per_day, engine.clock)
    metrics.watch_refreshes(lambda: budget.left)
    calls = OwnCalls(
        app,
        budget,
        engine.observer,
        deadline_s=settings.upstream.timeout,
        limit_bytes=settings.http.max_answer,
    )
    queue = Background("refresh", engine.observer, workers=4, limit=64)
    return Refreshing(engine, calls, queue, Refreshes(engine.clock, lambda: budget.left))


def _substitutions(settings: Settings) -> Sequence[Substitution]:
    return [partial(compile_pattern(n.pattern).sub, n.placeholder) for n in settings.normalise]
