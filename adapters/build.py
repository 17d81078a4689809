"""The composition root: settings in, a running cache out."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..cache.background import Background
from ..cache.embedders.choose import choose
from ..cache.engine import Engine
from ..cache.events import Observers
from ..cache.learning.answer_similarity import SimilarityJudge
from ..cache.learning.budget import DailyBudget
from ..cache.learning.comparing import Comparing
from ..cache.lifecycle import Lifecycle
from ..cache.loads import Loads
from ..cache.outages import Outages
from ..cache.ports import AnswerJudge, Clock, Embedder, PairScorer, Store
from ..cache.refreshes import Refreshes
from ..cache.scorers.choose import choose as choose_scorer
from ..cache.snapshot.keeping import Snapshots
from ..cache.steady_clock import SteadyClock
from ..config.settings import Settings
from ..policies.load import Limits
from .asgi import App, Scope
from .background.checking import Checks
from .background.comparisons import Comparisons
from .background.model_judge import ModelJudge
from .background.own_calls import OwnCalls
from .background.refreshing import Refreshing
from .control.feedback import FeedbackEndpoint
from .control.reloading import examples_of
from .dialects.dialect import Dialect
from .dialects.openai_chat import OpenAIChat
from .load_watch import LoadWatch
from .make_engine import make_engine
from .make_snapshots import make_snapshots
from .observers.log import LogObserver
from .observers.prometheus import PrometheusObserver
from .registry import make_store
from .serving.hit_token import HitTokens
from .serving.responder import Responder
from .serving.standing_in import StandIns
from .serving.trust import Trust
from .serving.watching import Watch

if TYPE_CHECKING:
    from .upstream.vllm_metrics import VllmMetrics

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
    scorer: PairScorer | None = None,
    chance: Callable[[], float] = random.random,
    dice: random.Random | None = None,
    snapshots: bool = True,
) -> Service:
    """Build a cache in front of ``app``. Opens nothing; raises ``StartupError``.

    ``upstream`` identifies what answers behind ``app``: answers of one are never given for another.
    ``chance`` (0..1) draws the hits that are checked, ``dice`` the entries that may give way;
    ``monotonic`` times the model's answers. Without ``snapshots`` one is read and none written.
    """
    clock = SteadyClock() if clock is None else clock
    metrics = PrometheusObserver()
    observer = Observers([metrics, LogObserver()])
    if embedder is None:
        key = environ.get(settings.embedder.api_key_env, "")
        embedder = choose(settings.embedder, key, report)
    if scorer is None:
        key = environ.get(settings.judge.api_key_env, "")
        scorer = choose_scorer(settings.judge, key, report)
    if store is None:
        store = make_store(settings.store, clock, environ)
    engine = make_engine(
        settings, upstream, environ, clock, observer, store, embedder, scorer, dice
    )
    load = _load_watch(settings, engine, monotonic)
    _watch(metrics, engine, load.loads)
    metrics.watch_state(engine, settings.capacity.entries)
    tokens = HitTokens(engine.identity.scoping) if settings.evidence.feedback else None
    comparisons = _comparisons(settings, app, engine, metrics, chance)
    refreshing = _refreshing(settings, app, engine, metrics, monotonic)
    engine.answers.refreshes = refreshing.refreshes
    queues = () if comparisons is None else comparisons.queues
    lifecycle = _lifecycle(
        settings,
        engine,
        load,
        (refreshing.queue, *queues),
        make_snapshots(settings, engine, environ, writes=snapshots),
    )
    metrics.watch_replication(lifecycle.follower.behind)
    return Service(
        engine=engine,
        lifecycle=lifecycle,
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
            stand_ins=StandIns(engine, Outages(monotonic)),
            clock=monotonic,
        ),
        metrics=metrics,
        admin_token=environ.get(settings.http.admin_token_env, ""),
        feedback=None if tokens is None else FeedbackEndpoint(engine, tokens),
        load=load,
    )


def _watch(metrics: PrometheusObserver, engine: Engine, loads: Loads) -> None:
    table = engine.memory.table
    metrics.watch(table.count_by_category, lambda: table.size_bytes)
    metrics.watch_room(table.occupancy.by_category)
    metrics.watch_evidence(engine.evidence.summary)
    if engine.economics is not None:
        metrics.watch_economics(engine.economics.summary)
    metrics.watch_loads(loads.figures)


def _lifecycle(
    settings: Settings,
    engine: Engine,
    load: LoadWatch,
    queues: Sequence[Background],
    snapshots: Snapshots | None,
) -> Lifecycle:
    beside = (load.run,) if snapshots is None else (load.run, snapshots.run)
    return Lifecycle(
        engine,
        examples_of(settings),
        beside=beside,
        background=(engine.screening.queue, *queues),
        snapshots=snapshots,
    )


def _load_watch(settings: Settings, engine: Engine, monotonic: Clock) -> LoadWatch:
    asked = settings.load
    limits = Limits(asked.slowdown, asked.in_flight)
    return LoadWatch(
        engine,
        Loads(limits, engine.observer, monotonic),
        _queue_of_server(settings),
        asked.metrics_every,
    )


def _queue_of_server(settings: Settings) -> VllmMetrics | None:
    url, deadline_s = settings.load.metrics_url, settings.load.metrics_deadline
    if not url:
        return None
    from .upstream.vllm_metrics import VllmMetrics  # noqa: PLC0415 - loads aiohttp

    return VllmMetrics(url, deadline_s)


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
    settings: Settings, app: App, engine: Engine, metrics: PrometheusObserver, monotonic: Clock
) -> Refreshing:
    budget = DailyBudget(settings.freshness.refresh_per_day, engine.clock)
    metrics.watch_refreshes(lambda: budget.left)
    calls = OwnCalls(
        app,
        budget,
        engine.observer,
        deadline_s=settings.upstream.timeout,
        limit_bytes=settings.http.max_answer,
        clock=monotonic,
    )
    queue = Background("refresh", engine.observer, workers=4, limit=64)
    return Refreshing(engine, calls, queue, Refreshes(engine.clock, lambda: budget.left))
