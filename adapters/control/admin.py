"""The admin surface under ``/_cache/``. Off unless a token is set."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ...cache.engine import Engine
from ...cache.errors import StoreError
from ...cache.lifecycle import Lifecycle
from ...cache.removing.invalidating import erase
from ...cache.replication.digest import digest_of
from ..asgi import Receive, Scope, Send, header, respond
from ..serving.request_body import read_body
from .erasure import NoSubject, subject_of
from .figures import figures
from .invalidation import invalidation
from .reloading import Reloaded, ReloadRefused

if TYPE_CHECKING:
    from ..workers.together import Together

PREFIX = "/_cache/"
MAX_BODY_BYTES = 64 << 10


class Admin:
    """Answers ``GET stats``, ``digest``, ``POST invalidate`` in three forms, ``erase``, ``reload``.

    Only to who has the token. With ``together`` for all workers that are.
    """

    def __init__(
        self,
        engine: Engine,
        lifecycle: Lifecycle,
        token: str,
        reload: Callable[[], Awaitable[Reloaded]],
        together: Together | None = None,
    ) -> None:
        self._engine = engine
        self._reload = reload
        self._lifecycle = lifecycle
        self._token = token.encode()
        self._together = together

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request below the prefix."""
        given = header(scope["headers"], b"authorization") or b""
        if not hmac.compare_digest(given, b"Bearer " + self._token):
            await _reply(send, 401, {"error": "admin token needed: Authorization: Bearer …"})
            return
        what: str = scope["path"][len(PREFIX) :]
        match scope["method"], what.split("/"):
            case "GET", ["stats"]:
                await _reply(send, 200, await self._stats())
            case "GET", ["digest"]:
                await _reply(send, 200, asdict(await digest_of(self._engine.memory.table)))
            case "DELETE", ["entries", name]:
                await self._delete(name, send)
            case "POST", ["invalidate"]:
                await self._invalidate(receive, send)
            case "POST", ["purge"]:
                await self._purge(receive, send)
            case "POST", ["erase"]:
                await self._erase(receive, send)
            case "POST", ["reload"]:
                await self._reload_policy(send)
            case _:
                known = (
                    "GET stats, GET digest, DELETE entries/{id}, POST invalidate, POST purge,"
                    " POST erase, POST reload"
                )
                await _reply(send, 404, {"error": f"unknown; known here: {known}"})

    async def _stats(self) -> Mapping[str, Any]:
        own = figures(self._engine, self._lifecycle)
        return own if self._together is None else await self._together.figures(own)

    async def _reload_policy(self, send: Send) -> None:
        try:
            done = await self._reload()
        except ReloadRefused as exc:
            refused = {"error": "the old policy stays", "problems": exc.problems}
            await _reply(send, 422, refused)
            return
        told = asdict(done)
        if self._together is not None:
            told["workers"] = await self._together.reload_others()
        await _reply(send, 200, told)

    async def _delete(self, name: str, send: Send) -> None:
        status, told = await invalidation(self._engine, {"entry": name})
        await self._level()
        if status == 400:
            told = {"error": "an entry's id is the hex text of X-Cache-Entry"}
        await _reply(send, status, _in_short(told))

    async def _invalidate(self, receive: Receive, send: Send) -> None:
        body = await read_body(receive, MAX_BODY_BYTES)
        status, told = await invalidation(self._engine, _parsed(body.data))
        await self._level()
        await _reply(send, status, told)

    async def _purge(self, receive: Receive, send: Send) -> None:
        body = await read_body(receive, MAX_BODY_BYTES)
        asked = _parsed(body.data)
        category = asked.get("category") if isinstance(asked, dict) else None
        everything = isinstance(asked, dict) and asked.get("all") is True
        if not everything and not isinstance(category, str):
            shape = 'the body must be {"all": true} or {"category": "NAME"}'
            await _reply(send, 400, {"error": shape})
            return
        wanted = {"all": True} if everything else {"category": category}
        status, told = await invalidation(self._engine, wanted)
        await self._level()
        await _reply(send, status, _in_short(told))

    async def _erase(self, receive: Receive, send: Send) -> None:
        body = await read_body(receive, MAX_BODY_BYTES)
        try:
            subject = subject_of(_parsed(body.data), self._engine.identity.scoping)
            tally = await erase(self._engine, subject)
        except NoSubject as exc:
            await _reply(send, 400, {"error": str(exc)})
        except StoreError:
            text = "it is served no more, but the store did not answer; erase again"
            await _reply(send, 503, {"error": text})
        else:
            await self._level()
            await _reply(send, 200, {"removed": tally.total})

    async def _level(self) -> None:
        """Have what was removed in force in all workers before the answer, if they answer."""
        if self._together is not None:
            await self._together.level()


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _in_short(told: Mapping[str, Any]) -> Mapping[str, Any]:
    return told if "error" in told else {"removed": told["removed"]}


async def _reply(send: Send, status: int, value: Mapping[str, Any]) -> None:
    await respond(send, status, json.dumps(value).encode(), [(b"cache-control", b"no-store")])
