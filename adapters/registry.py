"""From a store's URL to a store. A new kind of store is one line here."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from ..cache.errors import StartupError
from ..cache.ports import Clock, Store
from ..cache.stores.guarded import GuardedStore
from ..config.redis_address import REDIS_SCHEMES

if TYPE_CHECKING:
    from ..config.service_settings import StoreSettings


def store_file(url: str) -> Path | None:
    """Return the file of an embedded store: ``sqlite:///relative`` or ``sqlite:////absolute``."""
    parts = urlsplit(url)
    return Path(unquote(parts.path[1:])) if parts.scheme == "sqlite" else None


def is_shared(url: str) -> bool:
    """Say whether other replicas may use the store as well."""
    return urlsplit(url).scheme in REDIS_SCHEMES


def make_store(
    settings: StoreSettings,
    clock: Clock = time.time,
    environ: Mapping[str, str] = os.environ,
) -> Store:
    """Make the store that ``settings`` name, with deadlines and a breaker; opens nothing.

    Raises ``StartupError``: a store that shall be encrypted is never opened without its keys, nor
    one that has a password without that.
    """
    return GuardedStore(
        _sealed(_bare_store(settings, clock, environ), settings.encryption_env, environ),
        read_deadline_s=settings.read_deadline,
        write_deadline_s=settings.write_deadline,
    )


def _sealed(store: Store, variable: str, environ: Mapping[str, str]) -> Store:
    if not variable:
        return store
    from ..cache.stores.sealed import SealedStore  # noqa: PLC0415 - only what is used is loaded
    from ..cache.stores.sealing import parse_keys  # noqa: PLC0415

    return SealedStore(store, parse_keys(environ.get(variable, ""), variable))


def _password(variable: str, environ: Mapping[str, str]) -> str:
    password = environ.get(variable, "") if variable else ""
    if variable and not password:
        raise StartupError(f"store.password_env: {variable} is not set")
    return password


def _bare_store(settings: StoreSettings, clock: Clock, environ: Mapping[str, str]) -> Store:
    scheme = urlsplit(settings.url).scheme
    path = store_file(settings.url)
    if path is not None:
        from ..cache.stores.sqlite import SqliteStore  # noqa: PLC0415 - only what is used is loaded

        return SqliteStore(path, clock=clock)
    if scheme in REDIS_SCHEMES:
        from ..cache.stores.redis import RedisStore  # noqa: PLC0415

        password = _password(settings.password_env, environ)
        return RedisStore.from_url(settings.url, settings.namespace, password=password)
    if scheme == "memory":
        from ..cache.stores.memory import MemoryStore  # noqa: PLC0415

        return MemoryStore(clock=clock)
    raise StartupError(f"no store speaks {scheme}://; known: sqlite, redis, memory")
