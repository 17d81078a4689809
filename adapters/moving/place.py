"""The store that settings name, its secret and its embedder."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...cache.embedders.choose import choose
from ...cache.errors import StartupError
from ...cache.ports import Embedder, Store
from ...config.load import default_path, load
from ...config.settings import Settings
from ..middleware import CONFIG_VARIABLE
from ..registry import is_shared, make_store, store_file
from ..secret import load_secret


@dataclass(frozen=True, slots=True)
class Place:
    """What entries are moved out of or into. Nothing is opened yet."""

    settings: Settings
    named: bool  # the settings are the user's own
    store: Store
    secret: bytes
    environ: Mapping[str, str]

    def embedder(self) -> Embedder:
        """Make the embedder."""
        key = self.environ.get(self.settings.embedder.api_key_env, "")
        return choose(self.settings.embedder, key, lambda _line: None)


def place(config: Path | None, environ: Mapping[str, str], *, must_exist: bool) -> Place:
    """Read the settings and make the store. Raises ``ConfigError`` and ``StartupError``."""
    named = config or environ.get(CONFIG_VARIABLE)
    settings = load(Path(named or default_path()))
    url = settings.store.url
    file = store_file(url)
    if must_exist and file is not None and not file.exists():
        raise StartupError(f"{file.resolve()}: no such store")
    if url.startswith("memory:"):
        raise StartupError("store.url: a store in memory is of one process; name another one")
    return Place(
        settings=settings,
        named=named is not None,
        store=make_store(settings.store, time.time, environ),
        secret=load_secret(environ, file, shared_store=is_shared(url)),
        environ=environ,
    )
