"""Composes the engine from settings and from what is behind its ports."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from ..cache.asking.canonical import Substitution
from ..cache.asking.identity import Identity
from ..cache.asking.scope import Scoping
from ..cache.asking.turns import TurnScorer
from ..cache.background import Background
from ..cache.deciding import Decider
from ..cache.engine import Engine
from ..cache.entries.hot import HotPayloads
from ..cache.entries.memory import Memory
from ..cache.entries.occupancy import Occupancy
from ..cache.entries.table import Table
from ..cache.events import Observers
from ..cache.index.category import CategoryIndex
from ..cache.index.choose import choose as choose_coding
from ..cache.learning.blocked import Blocked
from ..cache.learning.economics import Economics
from ..cache.learning.evidence import Evidence
from ..cache.learning.fact import instrument
from ..cache.leases import Leases
from ..cache.ports import Clock, Embedder, PairScorer, Store
from ..cache.replication.level import Level
from ..cache.screening import Screening
from ..cache.singleflight import Flights
from ..cache.standing import Standing
from ..cache.writer import Writer
from ..config.patterns import compile_pattern
from ..config.settings import Settings
from ..config.value_types import DEFAULT
from ..policies.allotment import allot
from ..policies.policy import compose
from ..policies.prices import read_prices
from .registry import is_shared, store_file
from .secret import load_secret


def make_engine(
    settings: Settings,
    upstream: str,
    environ: Mapping[str, str],
    clock: Clock,
    observer: Observers,
    store: Store,
    embedder: Embedder,
    scorer: PairScorer | None,
    dice: random.Random | None = None,
) -> Engine:
    """Return an engine that is not ready yet: ``Lifecycle`` opens and fills it."""
    url = settings.store.url
    scoping = Scoping(
        secret=load_secret(environ, store_file(url), shared_store=is_shared(url)),
        by=settings.scope.by,
        share_anonymous=settings.scope.anonymous == "share",
        upstream=upstream,
        namespace=settings.scope.namespace,
    )
    if dice is None:
        dice = random.Random()  # noqa: S311 - no secret
    memory = _memory(settings, clock, observer, store, embedder, dice)
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
    asked = settings.economics
    economics = Economics(read_prices(settings), asked.currency, clock, asked.probe)
    observer.members += (evidence, economics)  # they count what goes out
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
        economics=economics,
        leases=_leases(settings, store, memory.writer, observer),
        level=None if settings.store.max_lag is None else Level(settings.store.max_lag),
    )


def _leases(settings: Settings, store: Store, writer: Writer, observer: Observers) -> Leases | None:
    return Leases(store, writer, observer) if settings.store.single_flight == "shared" else None


def _memory(
    settings: Settings,
    clock: Clock,
    observer: Observers,
    store: Store,
    embedder: Embedder,
    dice: random.Random,
) -> Memory:
    return Memory(
        table=Table(
            Occupancy(allot(settings), clock, dice),
            _indexes(settings, embedder),
        ),
        hot=HotPayloads(settings.store.hot_payloads),
        standing=Standing(settings.scope.revalidate),
        writer=Writer(store, settings.store.write_queue, observer),
        observer=observer,
        embedder=embedder,
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


def _substitutions(settings: Settings) -> Sequence[Substitution]:
    return [partial(compile_pattern(n.pattern).sub, n.placeholder) for n in settings.normalise]
