"""What no key can know alone: quotas together, rules in order, keys that need each other."""

from __future__ import annotations

from collections.abc import Iterator

from .addresses import check_http_url
from .category_settings import Rule
from .patterns import matches_everything
from .problems import Path, Problem, dotted
from .settings import Settings
from .units import format_share

_ROUNDING = 1e-9  # 0.7 + 0.2 + 0.1 is not more than 1


def problems(settings: Settings) -> Iterator[Problem]:
    """Yield what is wrong with ``settings`` as a whole."""
    yield from _remote_embedder(settings)
    yield from _remote_scorer(settings)
    yield from _evidence(settings)
    yield from _quotas(settings)
    yield from _rules(settings)
    yield from _examples(settings)


def _remote_embedder(settings: Settings) -> Iterator[Problem]:
    embedder = settings.embedder
    if embedder.runtime != "remote":
        return
    if not embedder.url:
        yield Problem(("embedder", "url"), "is needed for runtime: remote")
    if not embedder.window:
        yield Problem(("embedder", "window"), "is needed for runtime: remote; in tokens")


def _remote_scorer(settings: Settings) -> Iterator[Problem]:
    judge = settings.judge
    if judge.is_remote:
        try:
            check_http_url(judge.scorer)
        except ValueError as exc:
            yield Problem(("judge", "scorer"), str(exc))
        return
    if judge.api_key_env:
        yield Problem(("judge", "api_key_env"), "is only for a judge.scorer that is an address")
    if judge.score != "probability":
        yield Problem(("judge", "score"), "is only for a judge.scorer that is an address")


def _evidence(settings: Settings) -> Iterator[Problem]:
    evidence = settings.evidence
    if evidence.compare == "model" and not evidence.judge_model:
        yield Problem(("evidence", "judge_model"), "is needed for compare: model")
    if evidence.compare == "none" and evidence.verify_share:
        text = "needs evidence.compare: nothing else tells whether a hit was right"
        yield Problem(("evidence", "verify_share"), text)


def _quotas(settings: Settings) -> Iterator[Problem]:
    quotas = {name: kind.quota for name, kind in settings.categories.items() if kind.quota}
    total = sum(quotas.values())
    if total > 1 + _ROUNDING:
        parts = ", ".join(f"{name} {format_share(quota)}" for name, quota in quotas.items())
        text = f"quotas add up to {format_share(total)} ({parts}); at most 100% can be kept"
        yield Problem(("categories",), text)


def _rules(settings: Settings) -> Iterator[Problem]:
    seen: dict[tuple[object, ...], Path] = {}
    catch_all: Path | None = None
    for name, category in settings.categories.items():
        for number, rule in enumerate(category.match):
            path: Path = ("categories", name, "match", number)
            key = _comparable(rule)
            if key in seen:
                yield Problem(path, f"repeats the rule {dotted(seen[key])}")
            elif catch_all is not None:
                text = f"is never reached: the rule {dotted(catch_all)} matches every prompt"
                yield Problem(path, text)
            seen.setdefault(key, path)
            if catch_all is None and _matches_everything(rule):
                catch_all = path


def _examples(settings: Settings) -> Iterator[Problem]:
    seen: dict[str, Path] = {}
    for name, category in settings.categories.items():
        for number, example in enumerate(category.examples):
            path: Path = ("categories", name, "examples", number)
            first = seen.setdefault(" ".join(example.lower().split()), path)
            if first != path:
                yield Problem(path, f"repeats the example {dotted(first)}")


def _comparable(rule: Rule) -> tuple[object, ...]:
    """Return the conditions of ``rule`` in one order, so that equal rules compare equal."""
    pairs = (tuple(sorted(part.items())) for part in (rule.header or {}, rule.metadata or {}))
    return (rule.path, rule.model, rule.pattern, *pairs)


def _matches_everything(rule: Rule) -> bool:
    """Say whether no condition of ``rule`` can fail."""
    globs = (rule.path, rule.model)
    return (
        all(glob is None or not glob.strip("*") for glob in globs)
        and not rule.header
        and not rule.metadata
        and (rule.pattern is None or matches_everything(rule.pattern))
    )
