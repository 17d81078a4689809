"""The secret that keys the HMAC over credentials."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from ..cache.errors import StartupError

VARIABLE = "KINDCACHE_SECRET"
MIN_BYTES = 16


def load_secret(environ: Mapping[str, str], beside: Path | None, *, shared_store: bool) -> bytes:
    """Return the secret: from the environment, else generated once and kept beside the store.

    ``beside`` is the file of the embedded store, None when there is none. A store that other
    replicas may use needs an explicit secret, since theirs must be the same. Raises
    ``StartupError``.
    """
    given = environ.get(VARIABLE, "")
    if given:
        if len(given.encode()) < MIN_BYTES:
            raise StartupError(f"{VARIABLE} is shorter than {MIN_BYTES} bytes")
        return given.encode()
    if shared_store:
        raise StartupError(
            f"a store that several replicas share needs the same secret on each of them: "
            f"set {VARIABLE}, for example to the output of: openssl rand -hex 32"
        )
    return secrets.token_bytes(32) if beside is None else _kept(beside.with_suffix(".secret"))


def _kept(path: Path) -> bytes:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _create(path)
        secret = path.read_bytes()
    except OSError as exc:
        raise StartupError(f"cannot keep the secret in {path}: {exc.strerror}") from exc
    if len(secret) < MIN_BYTES:
        raise StartupError(f"{path} is damaged; delete it to start with an empty cache")
    return secret


def _create(path: Path) -> None:
    """Create the file whole or not at all, readable by its owner only; leave one that is there."""
    if path.exists():
        return
    # A process of another container may have the same id, and so has the next one after a kill.
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_hex(32).encode())
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)  # fails if another process was first, whose secret then holds
    except FileExistsError:
        pass
    finally:
        draft.unlink()
