"""What no key can know alone: quotas together, rules in order, keys that need each other."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from .addresses import check_http_url
from .category_settings import CategoryFields, Effective, Rule, UnderLoad
from .patterns import matches_everything
from .problems import Path, Problem, dotted
from .redis_address import REDIS_SCHEMES
from .settings import Settings
from .units import format_duration, format_share, format_size

_LIBRARIES = {"phone": "phonenumbers", "national_id": "stdnum"}
_ROUNDING = 1e-9  # 0.7 + 0.2 + 0.1 is not more than 1
SMALLEST_ANSWER = 256  # bytes, compressed, with what is stored beside it


def problems(settings: Settings) -> Iterator[Problem]:
    """Yield what is wrong with ``settings`` as a whole."""
    yield from _snapshot(settings)
    yield from _store(settings)
    yield from _remote_embedder(settings)
    yield from _remote_scorer(settings)
    yield from _evidence(settings)
    yield from _freshness(settings)
    yield from _under_load(settings)
    yield from _personal_data(settings)
    yield from _economics(settings)
    yield from _quotas(settings)
    yield from _room(settings)
    yield from _rules(settings)
    yield from _examples(settings)


def _snapshot(settings: Settings) -> Iterator[Problem]:
    store, snapshot = settings.store.url, settings.snapshot
    if not snapshot.path:
        if "every" in snapshot.model_fields_set:
            yield Problem(("snapshot", "every"), "changes nothing without snapshot.path")
    elif store.startswith("memory:"):
        text = "needs a store that survives a restart: sqlite or redis"
        yield Problem(("snapshot", "path"), text)
    elif snapshot.path.endswith("/"):
        yield Problem(("snapshot", "path"), f"{snapshot.path!r} names a folder, not a file in it")
    elif store.startswith("sqlite:") and store.endswith("/" + snapshot.path.lstrip("/")):
        yield Problem(("snapshot", "path"), "is the file of the store; name another one")


def _store(settings: Settings) -> Iterator[Problem]:
    store = settings.store
    scheme, _, rest = store.url.partition("://")
    if store.password_env and scheme not in REDIS_SCHEMES:
        yield Problem(("store", "password_env"), "is only for a store.url of Redis")
    elif store.password_env and ":" in rest.partition("/")[0].rpartition("@")[0]:
        yield Problem(("store", "password_env"), "is the second password: store.url has one too")
    if store.single_flight == "shared" and scheme == "memory":
        text = "needs a store that several processes share; memory:// is of one"
        yield Problem(("store", "single_flight"), text)


def _remote_embedder(settings: Settings) -> Iterator[Problem]:
    embedder = settings.embedder
    if embedder.runtime != "remote":
        return
    if not embedder.url:
        yield Problem(("embedder", "url"), "is needed for runtime: remote")
    if not embedder.window:
        yield Problem(("embedder", "window"), "is needed for runtime: remote; in tokens")


def _freshness(settings: Settings) -> Iterator[Problem]:
    kinds: dict[Path, CategoryFields] = {("defaults",): settings.defaults}
    kinds |= {("categories", name): kind for name, kind in settings.categories.items()}
    for path, kind in kinds.items():
        policy = settings.effective(str(path[-1])) if len(path) > 1 else settings.defaults
        if kind.stale_while_revalidate and not settings.freshness.refresh_per_day:
            text = "needs freshness.refresh_per_day above 0: nothing stale is served unrefreshed"
            yield Problem((*path, "stale_while_revalidate"), text)
        shorten = policy.time_words == "shorten" and "time_words_ttl" in kind.model_fields_set
        if shorten and policy.time_words_ttl >= policy.ttl:
            text = f"shortens nothing: the ttl is {format_duration(policy.ttl)}"
            yield Problem((*path, "time_words_ttl"), text)


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


def _under_load(settings: Settings) -> Iterator[Problem]:
    for name, category in settings.categories.items():
        if category.under_load is not None:
            yield from _floors(("categories", name), settings.effective(name), category.under_load)


def _floors(place: Path, kind: Effective, floors: UnderLoad) -> Iterator[Problem]:
    for key in ("min_probability", "similarity_threshold"):
        floor, bar = getattr(floors, key), getattr(kind, key)
        path = (*place, "under_load", key)
        if floor is not None and kind.max_error_rate is not None:
            text = "has no effect beside max_error_rate, which keeps its own bar under any load"
            yield Problem(path, text)
        elif floor is not None and floor > bar:
            text = f"is above the bar at rest ({key}: {bar:g}); load only ever lowers it"
            yield Problem(path, text)
    if floors.ttl is not None and floors.ttl < kind.ttl:
        text = f"is shorter than the TTL at rest ({format_duration(kind.ttl)}); load stretches it"
        yield Problem((*place, "under_load", "ttl"), text)


def _personal_data(settings: Settings) -> Iterator[Problem]:
    """Look for the libraries here: a policy that cannot be carried out must not start."""
    holders: list[tuple[Path, CategoryFields]] = [(("defaults",), settings.defaults)]
    holders += [
        (("categories", name), kind)
        for name, kind in settings.categories.items()
        if kind.personal_data or kind.personal_kinds  # else it is as in the defaults
    ]
    for path, fields in holders:
        if (fields.personal_data or settings.defaults.personal_data) == "allow":
            continue
        for kind in fields.personal_kinds or settings.defaults.personal_kinds:
            if not find_spec(_LIBRARIES.get(kind, "re")):
                named = "personal_kinds" in fields.model_fields_set
                key = "personal_kinds" if named else "personal_data"
                text = f"{kind} needs a package: pip install 'kindcache[personal]', or name others"
                yield Problem((*path, key), text)


def _economics(settings: Settings) -> Iterator[Problem]:
    every: str | None = None
    for glob in settings.economics.prices:
        if every is not None:
            text = f"is never reached: the first that matches counts, and {every!r} matches all"
            yield Problem(("economics", "prices", glob), text)
        elif not glob.strip("*"):
            every = glob


def _quotas(settings: Settings) -> Iterator[Problem]:
    quotas = {name: kind.quota for name, kind in settings.categories.items() if kind.quota}
    total = sum(quotas.values())
    if total > 1 + _ROUNDING:
        parts = ", ".join(f"{name} {format_share(quota)}" for name, quota in quotas.items())
        text = f"quotas add up to {format_share(total)} ({parts}); at most 100% can be kept"
        yield Problem(("categories",), text)


def _room(settings: Settings) -> Iterator[Problem]:
    entries, size = settings.capacity.entries, settings.capacity.size
    for name, kind in settings.categories.items():
        if kind.quota and kind.quota * entries < 1 - _ROUNDING:
            text = (
                f"{format_share(kind.quota)} of {entries} entries is less than one: the category "
                "would be kept nothing"
            )
            yield Problem(("categories", name, "quota"), text)
        elif kind.quota and size and kind.quota * size < SMALLEST_ANSWER:
            text = (
                f"{format_share(kind.quota)} of {format_size(size)} holds no answer: the smallest "
                f"take about {SMALLEST_ANSWER} bytes"
            )
            yield Problem(("categories", name, "quota"), text)
    cap = settings.capacity.per_scope
    if cap is None:
        return
    path = ("capacity", "per_scope")
    if cap * entries < 1 - _ROUNDING:
        text = f"{format_share(cap)} of {entries} entries is less than one: nothing could be stored"
        yield Problem(path, text)
    elif size and cap * size < SMALLEST_ANSWER:
        text = (
            f"{format_share(cap)} of {format_size(size)} holds no answer: nothing could be stored"
        )
        yield Problem(path, text)
    elif settings.scope.by == "shared" and cap < 1:
        text = "has no sense with scope.by: shared: there is one scope, and the rest stays empty"
        yield Problem(path, text)


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
