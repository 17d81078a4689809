"""Settings: the shape of the one YAML file. Descriptions say what a key does and why its default.

Pure values. Reading files is ``load.py``; turning a category's settings into decisions is the
``policies`` package. What spans several keys (quotas, order of rules) is ``cross_checks.py``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StringConstraints,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from .addresses import check_http_url, check_network, check_store_url
from .patterns import check_pattern
from .units import Duration, Share, Size

T = TypeVar("T")
DEFAULT = "default"  # the category of prompts that no rule and no example decided
NAME_PATTERN = r"^[a-z][a-z0-9_]{0,39}$"
VARIABLE_PATTERN = r"^([A-Za-z_][A-Za-z0-9_]*)?$"
TEXT_PATTERN = r"\S"
HEADER_PATTERN = r"^[A-Za-z0-9-]+$"
NAMESPACE_PATTERN = r"^[A-Za-z0-9_.-]{1,64}$"
SCOPE_PATTERN = r"^(credential|shared|header:[A-Za-z0-9-]+)$"


def _as_list(value: Any) -> Any:
    return (value,) if isinstance(value, dict | BaseModel) else value


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("is not 1")  # noqa: TRY004 - pydantic reports ValueError
    return value


class _OneOrMany:
    """Writes "one mapping or a list of them" into the JSON Schema."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        many = handler(core)
        return {"anyOf": [many["items"], many]}


Similarity = Annotated[float, Field(ge=0.0, le=1.0)]
Probability = Annotated[float, Field(gt=0.0, lt=1.0)]
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Variable = Annotated[str, StringConstraints(pattern=VARIABLE_PATTERN)]
Text = Annotated[str, StringConstraints(pattern=TEXT_PATTERN)]
Pattern = Annotated[Text, AfterValidator(check_pattern)]
HeaderName = Annotated[str, StringConstraints(pattern=HEADER_PATTERN), AfterValidator(str.lower)]
Many = Annotated[tuple[T, ...], Field(strict=False)]  # a YAML list is not a tuple
OneOrMany = Annotated[Many[T], BeforeValidator(_as_list), _OneOrMany]


class Strict(BaseModel):
    """A settings object that refuses unknown keys, converts nothing and cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


class UpstreamSettings(Strict):
    """The model server behind the proxy. Unused when mounted as middleware."""

    base_url: Annotated[str, AfterValidator(check_http_url)] = Field(
        default="http://localhost:8000/v1",
        description="Base address of an OpenAI-compatible server. The default is where vLLM "
        "listens.",
    )
    timeout: Duration = Field(
        default=120.0,
        description="Longest silence while waiting for the next bytes. There is no limit on the "
        "whole answer: a long stream is not an error.",
    )
    connect_timeout: Duration = Field(
        default=5.0, description="Longest wait for a connection; a live server needs far less."
    )
    max_connections: int = Field(
        default=512,
        ge=1,
        description="Open connections; past it calls wait. More than a model server runs at once.",
    )


class StoreSettings(Strict):
    """Where answers are kept."""

    url: Annotated[str, AfterValidator(check_store_url)] = Field(
        default="sqlite:///kindcache.db",
        description="memory://, sqlite:///FILE (four slashes from the root), redis://HOST:PORT/DB, "
        "rediss://... with TLS, or unix:///SOCKET. The default needs no server and survives a "
        "restart.",
    )
    namespace: str = Field(
        default="kindcache",
        pattern=NAMESPACE_PATTERN,
        description="Prefix of every key, so that several caches can live in one Redis.",
    )
    read_deadline: Duration = Field(
        default=0.25,
        description="Past it a lookup is a miss: a slower store costs more than it saves on a "
        "small model.",
    )
    write_deadline: Duration = Field(
        default=2.0, description="Past it a write is dropped. Writes run in the background."
    )
    hot_payloads: Size = Field(
        default=64 << 20,
        description="Answers kept in process memory too, so that a hit on them needs no store.",
    )
    write_queue: int = Field(
        default=1024, ge=1, description="Waiting writes; past it they are dropped and counted."
    )


class EmbedderSettings(Strict):
    """The model that turns prompts into vectors."""

    model: Text = Field(
        default="sentence-transformers/all-MiniLM-L6-v2",
        description="A sentence-transformers name or a folder. The default is small (384 "
        "dimensions, 256 tokens) and runs on one core.",
    )
    runtime: Literal["onnx-int8", "onnx", "sentence-transformers", "remote", "hashing"] = Field(
        default="onnx-int8",
        description="What runs it. The default is five to eleven times as fast as torch on short "
        "prompts and moves similarities by at most 0.02. `hashing` knows no meaning: tests only.",
    )
    url: Annotated[str, AfterValidator(lambda url: check_http_url(url) if url else url)] = Field(
        default="",
        description="runtime: remote. Base address of a server that has `/embeddings`.",
    )
    api_key_env: Variable = Field(
        default="",
        description="runtime: remote. Name of the environment variable that holds its key.",
    )
    dimensions: int = Field(
        default=384, ge=1, le=8192, description="Length of a vector; runtime: remote or hashing."
    )
    window: int = Field(
        default=0,
        ge=0,
        description="Tokens the model reads. Longer prompts are matched exactly only. 0 = what the "
        "model says; must be given for runtime: remote.",
    )
    threads: int = Field(
        default=1,
        ge=1,
        description="Threads of the model. Short prompts gain nothing from a second one.",
    )
    artefacts: str = Field(
        default="", description="Folder of exported models; empty = the user's cache folder."
    )
    deadline: Duration = Field(
        default=2.0, description="Past it the call is a miss; long enough for a cold start."
    )
    batch: int = Field(default=16, ge=1, description="Texts embedded in one run of the model.")
    queue: int = Field(
        default=256,
        ge=1,
        description="Waiting texts; past it the call is a miss, as the wait would miss the "
        "deadline anyway.",
    )
    memo: int = Field(
        default=20_000,
        ge=0,
        description="Texts whose vector is remembered; about 2 KB each.",
    )


class ScopeSettings(Strict):
    """Who may share answers with whom."""

    by: str = Field(
        default="credential",
        pattern=SCOPE_PATTERN,
        description="`credential`: callers with the same key share. `header:X-Tenant`: callers "
        "with the same header value share, so the header must be set by a gateway, not by "
        "clients. `shared`: everybody shares.",
    )
    anonymous: Literal["bypass", "share"] = Field(
        default="bypass",
        description="Callers without a credential: not cached, as nobody knows who they are, or "
        "one group that shares.",
    )
    namespace: str = Field(
        default="", description="Part of every scope: a new value starts with an empty cache."
    )
    revalidate: Duration = Field(
        default=3600.0,
        description="A credential is answered from the cache only if the upstream accepted it this "
        "recently: bounds how long a revoked key still reads.",
    )


class TrustSettings(Strict):
    """Whose `X-Cache-Category` header and header rules count. Nobody's, unless said here."""

    peers: Many[Annotated[str, AfterValidator(check_network)]] = Field(
        default=(), description='Addresses or networks of trusted callers, such as "10.0.0.0/8".'
    )
    token_env: Variable = Field(
        default="",
        description="Name of the environment variable with a token that trusted callers send as "
        "`X-Cache-Token`.",
    )


class CapacitySettings(Strict):
    """How much is kept."""

    entries: int = Field(
        default=100_000,
        ge=1,
        description="Entries over all categories; about 2 KB of process memory each.",
    )


class HttpSettings(Strict):
    """The HTTP surface."""

    details: bool = Field(
        default=True, description="`X-Cache-*` headers beyond `X-Cache` and `Cache-Status`."
    )
    max_request: Size = Field(
        default=4 << 20, description="Larger request bodies pass through uncached."
    )
    max_answer: Size = Field(default=4 << 20, description="Larger answers are not stored.")
    admin_token_env: Variable = Field(
        default="KINDCACHE_ADMIN_TOKEN",
        description="Name of the environment variable with the token of `/_cache/`. The pages are "
        "off while that variable is unset.",
    )


class Normalisation(Strict):
    """Blanks what changes in system prompts without changing answers, such as today's date."""

    pattern: Pattern = Field(description="RE2 expression; every match is replaced.")
    placeholder: str = Field(default="<*>", description="What stands in its place.")


class Rule(Strict):
    """Conditions that must all hold; at least one rule of a category must match."""

    path: Text | None = Field(default=None, description="Shell glob on the request's path.")
    model: Text | None = Field(default=None, description="Shell glob on the model's name.")
    header: dict[HeaderName, str] | None = Field(
        default=None,
        min_length=1,
        description="Request headers and their values. Counts only from trusted callers.",
    )
    metadata: dict[str, str] | None = Field(
        default=None, min_length=1, description="Fields of the request's `metadata` object."
    )
    pattern: Pattern | None = Field(
        default=None, description="RE2 expression searched in the last user text."
    )


Sampled = Literal["exact", "semantic", "bypass"]


class CategoryFields(Strict):
    """What a category decides. A key left out is as in ``defaults``."""

    similarity_threshold: Similarity | None = Field(
        default=None,
        description="Cosine similarity a stored prompt must reach where no scorer decides.",
    )
    candidate_floor: Similarity | None = Field(
        default=None, description="Cosine similarity from which on the scorer is asked."
    )
    min_probability: Probability | None = Field(
        default=None, description="Probability of the same answer from which on it is served."
    )
    max_error_rate: Share | None = Field(
        default=None,
        description="Wrong hits / hits, such as 1%. Where enough evidence is there (`evidence`), "
        "the bar is the lowest whose one-sided 95 % upper bound stays within it; until then "
        "`min_probability` holds.",
    )
    mode: Literal["serve", "shadow"] | None = Field(
        default=None,
        description="shadow: what would have been a hit by meaning is recorded, and the model "
        "answers.",
    )
    ttl: Duration | None = Field(
        default=None, description="How long an answer lives, from its creation; hits renew nothing."
    )
    cache: bool | None = Field(
        default=None, description="false: neither looked up nor stored; calls pass through."
    )
    semantic: bool | None = Field(
        default=None, description="false: only identical prompts are answered from the cache."
    )
    guards: bool | None = Field(
        default=None,
        description="Refuse near prompts that differ in a number, a negation, a quoted string or a "
        "code identifier.",
    )
    max_temperature: float | None = Field(
        default=None, ge=0.0, le=2.0, description="Calls above it are treated as `sampled` says."
    )
    sampled: Sampled | None = Field(
        default=None,
        description="Calls with a seed or above `max_temperature`: identical prompts only, as any "
        "other, or not cached.",
    )
    tool_answers: bool | None = Field(default=None, description="Store answers that call tools.")
    share_sampled: bool | None = Field(
        default=None,
        description="Identical calls at the same time with a temperature above 0 share one answer.",
    )


class Defaults(CategoryFields):
    """What categories inherit, and the policy of prompts of no category."""

    similarity_threshold: Similarity = Field(
        default=0.95, description="Strict: what no category claims is what is known least about."
    )
    candidate_floor: Similarity = Field(
        default=0.7,
        description="Below it the scorer finds little that is right, and errs more often.",
    )
    min_probability: Probability = Field(
        default=0.97,
        description="The lowest bar, in steps of 0.01, with under 1 % wrong hits when all that was "
        "held back from training is asked as one stream (`training/held_stream.py`; 3 of 363).",
    )
    max_error_rate: Share | None = Field(
        default=None, description="Not set: `min_probability` is the bar, whatever is learnt."
    )
    mode: Literal["serve", "shadow"] = Field(
        default="serve", description="What is found is served; a new category may start in shadow."
    )
    ttl: Duration = Field(default=3600.0, description="Short, for the same reason.")
    cache: bool = Field(default=True, description="Cached, under the strict bar above.")
    semantic: bool = Field(default=True, description="Matched by meaning, under the strict bar.")
    guards: bool = Field(
        default=True, description="Similarity alone cannot see a negation or another number."
    )
    max_temperature: float = Field(
        default=1.0, ge=0.0, le=2.0, description="The wire protocol's own default temperature."
    )
    sampled: Sampled = Field(
        default="exact", description="Who raises the temperature or sets a seed wants that call."
    )
    tool_answers: bool = Field(
        default=False,
        description="A tool call acts on the world; replaying it acts again.",
    )
    share_sampled: bool = Field(
        default=False, description="Two callers who sample expect two samples."
    )


class Category(CategoryFields):
    """One kind of prompt."""

    match: OneOrMany[Rule] = Field(
        default=(), description="One rule or a list, tried in the file's order before any example."
    )
    examples: Many[Text] = Field(
        default=(), description="Prompts of this kind; the nearest example decides a category."
    )
    quota: Share | None = Field(
        default=None, description="Share of the capacity that is kept for it. All: at most 100 %."
    )
    priority: float = Field(
        default=1.0, gt=0.0, description="Weight against others when room is short."
    )


class Effective(Defaults):
    """A category's resolved policy: nothing is inherited any more."""

    name: str
    quota: float | None = None
    priority: float = 1.0


class JudgeSettings(Strict):
    """What decides, after similarity and guards, whether a stored answer fits."""

    scorer: str = Field(
        default="shipped",
        pattern=r"^\S{1,200}$",
        description="`shipped`: the pair scorer that comes with kindcache; without its weights "
        "the guards decide alone. `none`: the same. Else the name or path of a "
        "sentence-transformers CrossEncoder with one output.",
    )
    deadline: Duration = Field(default=0.5, description="For one pair; past it the call is a miss.")
    queue: int = Field(default=64, ge=1, description="Waiting pairs; past it the call is a miss.")


class EvidenceSettings(Strict):
    """What is learnt from traffic about how often hits are wrong."""

    feedback: bool = Field(
        default=True,
        description="`POST /_cache/feedback` takes verdicts on hits from whoever got them.",
    )
    compare: Literal["none", "similarity", "model"] = Field(
        default="none",
        description="How a fresh answer is compared with the stored one that would have been "
        "served: not at all, by the similarity of the two answers, or by asking a model "
        "yes or no through the upstream.",
    )
    min_answer_similarity: Similarity = Field(
        default=0.9,
        description="compare: similarity. From which on two answers count as the same.",
    )
    judge_model: str = Field(
        default="", description="compare: model. Name of the upstream's model that is asked."
    )
    verify_share: Share | None = Field(
        default=None,
        description="Share of hits by meaning that are checked in the background: the upstream "
        "is asked too, with the caller's own credential. Not set: none, as it costs calls.",
    )
    verify_per_day: int = Field(
        default=200, ge=0, description="Most calls of our own in a day, checks and judging."
    )
    window: Duration = Field(
        default=30 * 86400.0,
        description="Older evidence no longer counts: traffic and models change.",
    )


class Classifier(Strict):
    """How examples decide a category when no rule does."""

    min_similarity: Similarity = Field(
        default=0.35,
        description="Needed to the nearest example; below it the prompt is of no category. "
        "Unrelated prompts rarely reach it with the default model.",
    )
    margin: Similarity = Field(
        default=0.03,
        description="Needed ahead of the next category's nearest example; less is undecided.",
    )
    others: bool = Field(
        default=True,
        description="Search what other categories stored too, under the stricter of both "
        "policies: one question in two wordings may fall into two categories.",
    )


class Settings(Strict):
    """The whole file."""

    version: Annotated[Literal[1], BeforeValidator(_no_bool)] = Field(
        default=1, description="Version of this file's format."
    )
    upstream: UpstreamSettings = UpstreamSettings()
    store: StoreSettings = StoreSettings()
    embedder: EmbedderSettings = EmbedderSettings()
    scope: ScopeSettings = ScopeSettings()
    trust: TrustSettings = TrustSettings()
    capacity: CapacitySettings = CapacitySettings()
    http: HttpSettings = HttpSettings()
    normalise: Many[Normalisation] = Field(
        default=(),
        description="Blanks what changes in system prompts without changing answers, in order.",
    )
    classifier: Classifier = Classifier()
    judge: JudgeSettings = JudgeSettings()
    evidence: EvidenceSettings = EvidenceSettings()
    defaults: Defaults = Defaults()
    categories: dict[Name, Category] = Field(
        default_factory=dict,
        description="Kinds of prompts by name, in order. One named `default` decides for prompts "
        "of no other.",
    )

    def effective(self, name: str) -> Effective:
        """Return the policy of category ``name`` with everything resolved.

        ``"default"`` always exists. Raises ``KeyError`` for an unknown name. Builds a new object
        each time: call it at start, not per request.
        """
        if name not in self.categories and name != DEFAULT:
            raise KeyError(name)
        category = self.categories.get(name, Category())
        own = {
            field: value
            for field in CategoryFields.model_fields
            if (value := getattr(category, field)) is not None
        }
        return Effective(
            **{**self.defaults.model_dump(), **own},
            name=name,
            quota=category.quota,
            priority=category.priority,
        )

    @property
    def category_names(self) -> tuple[str, ...]:
        """Every category in the file's order; ``"default"`` comes last unless listed."""
        names = tuple(self.categories)
        return names if DEFAULT in names else (*names, DEFAULT)
