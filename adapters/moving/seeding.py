"""Puts questions and answers through the serving path, as if a model had answered."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...cache.events import Event, KeptApart, LookedUp, NotStored, Observers, Stored
from ...config.settings import Settings
from ...config.snapshot_settings import SnapshotSettings
from ...policies.verdict import Bypass
from ..asgi import Headers, Message, Receive, Scope, Send, respond
from ..build import Service, build
from ..dialects.openai_chat import OpenAIChat
from ..serving.trust import Trust
from .lines import BadLine, Counts, Seed

PATH = "/v1/chat/completions"
_OURS = frozenset({"messages", "model", "stream", "stream_options"})
_US = "127.0.0.1"  # the only caller, whose word for the category counts


@dataclass(slots=True)
class Seen:
    """What happened to the seed under way. An observer."""

    stored: bool = False
    why: str = ""

    def notify(self, event: Event) -> None:
        """Note ``event`` where it says what became of the seed."""
        match event:
            case Stored():
                self.stored = True
            case NotStored(reason=reason) | LookedUp(verdict=Bypass(reason=reason)):
                self.why = str(reason)
            case KeptApart(reason=reason):
                self.why = f"apart: {reason}"
            case _:
                pass


@dataclass(slots=True)
class Seeder:
    """Stores seeds for the caller who sends ``headers``. ``open`` first, ``aclose`` at the end."""

    settings: Settings
    headers: Mapping[str, str]
    upstream: str
    environ: Mapping[str, str]
    counts: Counts
    seen: Seen = field(default_factory=Seen)
    _service: Service = field(init=False)
    _answer: bytes = b""

    async def open(self) -> None:
        """Open store and models, and load what is stored. Raises ``StartupError``."""
        settings = self.settings.model_copy(update={"snapshot": SnapshotSettings()})
        service = build(settings, self._app, upstream=self.upstream, environ=self.environ)
        responder = replace(service.responder, trust=Trust([_US], ""), comparisons=None)
        self._service = replace(service, responder=responder)
        observer = service.engine.observer
        assert isinstance(observer, Observers)
        observer.members.append(self.seen)
        await service.lifecycle.prepare()
        await service.lifecycle.load()

    async def take(self, seed: Seed) -> None:
        """Store ``seed``, or count why not. Raises ``BadLine``."""
        if seed.category is not None and seed.category not in self.settings.category_names:
            raise BadLine("category: the settings have none of this name")
        if not _OURS.isdisjoint(seed.request):
            raise BadLine(f"request: {', '.join(sorted(_OURS))} are not among its fields")
        self.seen.stored, self.seen.why = False, ""
        self._answer = _body_of(seed)
        body = _request_of(seed)
        scope = _scope(self._headers(seed, len(body)))
        await self._service.responder.respond(OpenAIChat(), scope, _receiving(body), _ignore)
        if self.seen.stored:
            self.counts.taken += 1
            await self._service.engine.screening.drain()
        if not self.seen.stored or self.seen.why:
            self.counts.leave(self.seen.why or "not stored")
        if not self._service.engine.memory.writer.has_room:
            await self._service.engine.memory.writer.drain()

    async def aclose(self) -> None:
        """Finish the writes."""
        await self._service.engine.memory.writer.drain()
        await self._service.lifecycle.aclose()

    def _headers(self, seed: Seed, length: int) -> Headers:
        given = [(name.encode(), value.encode()) for name, value in self.headers.items()]
        asked = [(b"content-type", b"application/json"), (b"content-length", b"%d" % length)]
        asked.append((b"cache-control", b"no-cache"))  # what is near must not answer it
        if seed.category is not None:
            asked.append((b"x-cache-category", seed.category.encode()))
        return [*given, *asked]

    async def _app(self, _scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await respond(send, 200, self._answer, [])


def _request_of(seed: Seed) -> bytes:
    messages = [{"role": "user", "content": seed.prompt}]
    if seed.system is not None:
        messages.insert(0, {"role": "system", "content": seed.system})
    return json.dumps({**seed.request, "model": seed.model, "messages": messages}).encode()


def _body_of(seed: Seed) -> bytes:
    message = {"role": "assistant", "content": seed.answer}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    head = {"id": "seed", "object": "chat.completion", "created": int(time.time())}
    return json.dumps({**head, "model": seed.model, "choices": [choice]}).encode()


def _scope(headers: Headers) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "POST",
        "path": PATH,
        "raw_path": PATH.encode(),
        "query_string": b"",
        "headers": headers,
        "client": (_US, 0),
    }


def _receiving(body: bytes) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await asyncio.Event().wait()
        raise AssertionError

    return receive


async def _ignore(_message: Message) -> None:
    """Send nothing to nobody."""
