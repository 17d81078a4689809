"""One server process: its options, settings, upstream and sockets, and what it says of them."""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from ...config.addresses import redact_url
from ...config.load import default_path, load
from ...config.settings import Settings
from ..asgi import App
from ..demo.model import MODEL, DemoModel
from ..middleware import CONFIG_VARIABLE
from ..proxy import Proxy
from ..serving.one_write import OneWriteProtocol
from ..upstream.app import UpstreamApp

UPSTREAM_VARIABLE = "KINDCACHE_UPSTREAM"
KEEP_ALIVE_S = 75
GRACE_S = 10  # for answers under way, once asked to stop


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What the command line asked for."""

    config: Path | None = None
    upstream: str | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    demo_latency_s: float = 0.6
    log_level: str = "warning"
    workers: int = 1


def say(line: str) -> None:
    """Print one line of progress."""
    print(f"kindcache: {line}", flush=True)


def prepare(options: ServeOptions) -> tuple[Settings, App, str]:
    """Return the settings, the app that answers misses and its identity; say what they are.

    Raises ``ConfigError``.
    """
    settings, own = read_settings(options, announced=True)
    app, upstream = upstream_app(options, settings if own else None)
    say(f"answers are kept in {redact_url(settings.store.url)}")
    _tell_who_shares(options, settings)
    return settings, app, upstream


def server_config(proxy: Proxy, options: ServeOptions) -> uvicorn.Config:
    """Return how ``proxy`` is served."""
    return uvicorn.Config(
        proxy,
        host=options.host,
        port=options.port,
        log_level=options.log_level,
        access_log=False,
        lifespan="on",
        http=OneWriteProtocol,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )


def read_settings(options: ServeOptions, *, announced: bool = False) -> tuple[Settings, bool]:
    """Return the settings, and whether they are the user's own.

    The shipped ones let callers without a key share answers when only this machine can call: a
    local model server asks for no key.
    """
    named = options.config or os.environ.get(CONFIG_VARIABLE)
    config = Path(named or default_path())
    settings = load(config)
    if announced:
        say(f"policies: {config} ({len(settings.categories)} categories)")
    if named is None and _is_loopback(options.host):
        scope = settings.scope.model_copy(update={"anonymous": "share"})
        settings = settings.model_copy(update={"scope": scope})
    return settings, named is not None


def upstream_app(
    options: ServeOptions, own: Settings | None, say: Callable[[str], None] = say
) -> tuple[App, str]:
    """Return the app that answers misses, and its identity."""
    settings = own or Settings()
    named = options.upstream or os.environ.get(UPSTREAM_VARIABLE)
    if named is None and "base_url" in settings.upstream.model_fields_set:
        named = settings.upstream.base_url
    if named is None:
        say(
            f"no upstream named (--upstream or {UPSTREAM_VARIABLE}): answers come from a built-in "
            f"DEMO model, latency {options.demo_latency_s:g} s"
        )
        return DemoModel(latency_s=options.demo_latency_s), MODEL
    app = UpstreamApp(
        named,
        timeout_s=settings.upstream.timeout,
        connect_timeout_s=settings.upstream.connect_timeout,
        max_connections=settings.upstream.max_connections,
    )
    say(f"upstream: {redact_url(named)}")
    return app, named


def _tell_who_shares(options: ServeOptions, settings: Settings) -> None:
    if settings.scope.by == "shared":
        who = "all callers share answers"
    elif settings.scope.anonymous == "share":
        who = "callers with the same key share answers, and so do all that send none"
    else:
        who = "callers with the same key share answers; without one nothing is cached"
    say(who)
    if "all" in who and not _is_loopback(options.host):
        say(f"WARNING: {options.host} can be reached from outside this machine; see `scope`")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def try_it(options: ServeOptions, *, demo: bool) -> list[str]:
    """Return lines that show how to ask for the first time."""
    host = f"[{options.host}]" if ":" in options.host else options.host
    host = "127.0.0.1" if host in {"0.0.0.0", "[::]"} else host  # noqa: S104 - compared, not bound
    model = MODEL if demo else "YOUR_MODEL"
    question = "How do I reverse a list in Python?"
    body = {"model": model, "messages": [{"role": "user", "content": question}]}
    key = "" if demo else ' -H "Authorization: Bearer $OPENAI_API_KEY"'
    command = (
        f"  curl -i http://{host}:{options.port}/v1/chat/completions{key} "
        f"-H 'Content-Type: application/json' -d '{json.dumps(body)}'"
    )
    return [
        command,
        "  Send it twice: the second answer says X-Cache: HIT.",
    ]
