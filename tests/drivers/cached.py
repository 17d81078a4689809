"""A whole cache in front of an app, as a test wants it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from kindcache.adapters.build import Service, build
from kindcache.adapters.middleware import KindcacheMiddleware
from kindcache.adapters.upstream.app import UpstreamApp
from kindcache.config.load import loads

SECRET = {"KINDCACHE_SECRET": "a secret that only tests use"}
KEY = {"authorization": "Bearer alice"}

Clock = Callable[[], float]


def cached(
    app: Any,
    config: Mapping[str, Any] | None = None,
    *,
    clock: Clock = time.time,
    monotonic: Clock = time.monotonic,
    environ: Mapping[str, str] | None = None,
    snapshots: bool = True,
) -> KindcacheMiddleware:
    """Return the middleware over ``app``: hashing embedder, memory store and guards alone, unless
    ``config`` names others."""
    values: dict[str, Any] = {
        "store": {"url": "memory://"},
        "embedder": {"runtime": "hashing"},
        "judge": {"scorer": "none"},
        "defaults": {"similarity_threshold": 0.8, "ttl": "1h"},
    }
    values |= config or {}

    def make(settings: Any, inner: Any, upstream: str) -> Service:
        return build(
            settings,
            inner,
            upstream=upstream,
            environ=environ or SECRET,
            clock=clock,
            monotonic=monotonic,
            snapshots=snapshots,
        )

    return KindcacheMiddleware(app, loads(yaml.safe_dump(values), "test.yaml"), build=make)


def proxied(base_url: str, config: Mapping[str, Any] | None = None, **options: Any) -> Any:
    """Return a cache in front of the server at ``base_url``."""
    return cached(UpstreamApp(base_url, timeout_s=5.0, connect_timeout_s=2.0), config, **options)
