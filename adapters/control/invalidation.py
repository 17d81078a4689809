"""``POST /_cache/invalidate``: a body in, an answer with counts out."""

from __future__ import annotations

from typing import Any

from ...cache.engine import Engine
from ...cache.errors import EmbedderError, StoreError
from ...cache.ports import Vector
from ...cache.removing.invalidating import invalidate, invalidate_all, preview
from ...cache.removing.tally import Tally
from ...policies.selecting import Selector
from .selecting import NoSelector, Wanted, wanted_of

Reply = tuple[int, dict[str, Any]]

SHOWN_CHARS = 200  # of a prompt


async def invalidation(engine: Engine, asked: Any) -> Reply:
    """Do what ``asked``, a parsed body, says; return the status and what to say."""
    try:
        wanted = wanted_of(asked, engine.identity.scoping, engine.clock())
        vector = await _vector(engine, wanted.selector)
        tally = await _done(engine, wanted, vector)
    except NoSelector as exc:
        return 400, {"error": str(exc)}
    except EmbedderError:
        return 503, {"error": 'the embedder did not answer, and "like" needs it; ask again'}
    except StoreError:
        return 503, {"error": _FAILED}
    return 200, _told(tally, wanted)


_FAILED = (
    "the store did not answer. What was named is served no more by this process; that others heard"
    " of it is not known, so ask again"
)


async def _vector(engine: Engine, selector: Selector) -> Vector | None:
    if not selector.like:
        return None
    vector = await engine.embedder.embed(selector.like)
    if vector is None:
        raise NoSelector('"like" is longer than the window of the embedder')
    return vector


async def _done(engine: Engine, wanted: Wanted, vector: Vector | None) -> Tally:
    if wanted.dry_run:
        return await preview(engine, wanted.selector, vector)
    if wanted.everything:
        return await invalidate_all(engine)
    return await invalidate(engine, wanted.selector, vector)


def _told(tally: Tally, wanted: Wanted) -> dict[str, Any]:
    shown: list[Any] = [one.entry for one in tally.examples]
    if wanted.show_prompts:
        shown = [
            {"entry": one.entry, "category": one.category, "prompt": one.prompt[:SHOWN_CHARS]}
            for one in tally.examples
        ]
    return {
        "dry_run": wanted.dry_run,
        "removed": 0 if wanted.dry_run else tally.total,
        "matched": tally.total,
        "by_category": dict(sorted(tally.by_category.items())),
        "undecided": tally.undecided,
        "everything": wanted.everything or tally.everything,
        "entries": shown,
    }
