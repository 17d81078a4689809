"""What the cache runs on and whom it serves: upstream, store, embedder, callers, HTTP."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from .addresses import check_http_url, check_network, check_store_url
from .units import Duration, Share, Size
from .value_types import (
    NAMESPACE_PATTERN,
    SCOPE_PATTERN,
    Many,
    Pattern,
    Strict,
    Text,
    Variable,
)

LEAST_LAG_S = 0.1  # a few round trips to a store that is busy


def _enough_to_look(lag_s: float) -> float:
    if lag_s < LEAST_LAG_S:
        raise ValueError("is less than 100ms: the store could not be asked often enough")
    return lag_s


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
        "unix:///SOCKET, redis+cluster://HOST:PORT,HOST:PORT or "
        "redis+sentinel://HOST:PORT,HOST:PORT/SERVICE; rediss... with TLS (`docs/redis.md`). The "
        "default needs no server and survives a restart.",
    )
    password_env: Variable = Field(
        default="",
        description="Name of the environment variable with the password of Redis. Empty: as the "
        "URL says.",
    )
    namespace: str = Field(
        default="kindcache",
        pattern=NAMESPACE_PATTERN,
        description="Prefix of every key, so that several caches can live in one Redis.",
    )
    single_flight: Literal["process", "shared"] = Field(
        default="process",
        description="`shared`: equal misses of all processes at the store make one call, at the "
        "price of one round trip for each miss (`docs/redis.md`). `process`: those of each "
        "process do.",
    )
    encryption_env: Variable = Field(
        default="",
        description="Name of the environment variable with the keys that encrypt what is stored: "
        "64 hexadecimal digits each, separated by commas; the first encrypts, all decrypt "
        "(`docs/security.md`). Empty: not encrypted.",
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
    max_lag: Annotated[Duration, AfterValidator(_enough_to_look)] | None = Field(
        default=None,
        description="Who has not heard for so long what other processes did to the store serves "
        "nothing from the cache until it has (`docs/http.md#invalidation`). `100ms` at least. Not "
        "set: answers in its memory are served, also those that others have invalidated since.",
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
    size: Size | None = Field(
        default=None,
        description="Bytes over all stored answers, compressed. Not set: only `entries` counts.",
    )
    per_scope: Share | None = Field(
        default=None,
        description="Most that one scope (`scope.by`) may have of both; past it its own answers "
        "go. Not set: no cap, since most caches serve one tenant.",
    )
    eviction: Literal["value", "lru", "lfu", "gdsf", "fifo"] = Field(
        default="value",
        description="What goes when room is short: the answer expected to save least "
        "(`docs/policies.md`), or the one that a classic rule names, for comparison.",
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
