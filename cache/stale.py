"""Stale answers: for a caller whose model failed, and as the misses that refresh them."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter

from ..policies.eligibility import Access
from ..policies.facts import while_failing
from ..policies.verdict import Bypass, Miss, Reason
from .asking.identity import Request
from .engine import Engine
from .events import LookedUp, Trace
from .fail_open import fail_open
from .outcome import Found, Lead
from .ports import EntryKey


async def rescue(engine: Engine, request: Request, missed: Lead) -> Found | None:
    """Find an answer for a caller whose model failed; None when none may stand in.

    What has expired counts too, within its category's ``stale_if_error``. Never raises.
    """
    if engine.policy.stands_in:
        with fail_open(engine.observer, "rescue"):
            return await _rescue(engine, request, missed)
    return None


async def as_miss(engine: Engine, request: Request, found: Found) -> Lead | None:
    """Return what the hit ``found`` would have been, had nothing been found.

    None where the prompt's vector cannot be had, or its category may not be stored now.
    """
    call, category = found.ask.call, found.hit.category
    policy = engine.policy
    access = policy.access(call)
    if isinstance(access, Access):
        access = engine.narrow(policy, access, call, category)
    if isinstance(access, Bypass) or not access.write or not engine.learnt:
        return None
    trace, vector = Trace(), None
    if access.semantic:
        vector, doubt = await engine.embed(found.ask, access, category, trace)
        if doubt is Reason.EMBEDDER:
            return None
    if engine.invalidated.may_cover(EntryKey(found.hit.key), found.payload, found.ask):  # by now
        return None
    ask = found.ask
    if access.semantic:
        ask = engine.with_history(policy, request, ask, category)
    miss = Miss(Reason.EXPIRED, category, found.hit.similarity)
    known = engine.invalidated.known
    return Lead(ask, miss, trace, vector, True, None, known)


async def _rescue(engine: Engine, request: Request, missed: Lead) -> Found | None:
    started = perf_counter()
    policy, category, trace = engine.policy.while_failing(), missed.miss.category, Trace()
    ask = replace(missed.ask, call=while_failing(missed.ask.call))
    access = policy.access(ask.call)
    if isinstance(access, Access):
        access = engine.narrow(policy, access, ask.call, category)
    if isinstance(access, Bypass) or not access.read or not engine.hears():
        return None
    found = await engine.answers.exact(ask, trace, policy)
    if isinstance(found, Miss) and missed.vector is not None:
        ask = engine.with_history(policy, request, ask, category)
        found = await engine.by_meaning(ask, access, category, missed.vector, None, trace, policy)
    if isinstance(found, Miss):
        return None
    if found.hit.reason is Reason.STALE:
        found = replace(found, hit=replace(found.hit, reason=Reason.STALE_IF_ERROR))
    trace.total_s = perf_counter() - started
    engine.observer.notify(LookedUp(found.hit, trace))
    return found
