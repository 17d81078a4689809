"""One request of the demo through a running proxy."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from .summary import Outcome, Result
from .traffic import Prompt

CONNECT_TIMEOUT_S = 5.0
MAX_DETAIL = 200  # characters of a server's error message that are shown


class DemoError(Exception):
    """The demo cannot go on; the message is one line for its user."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What an answer said, whichever way it came."""

    text: str
    model: str
    tokens: int


def address(base_url: str) -> str:
    """Complete ``base_url`` to where ``/chat/completions`` hangs: a bare host gets ``/v1``."""
    url = base_url.rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise DemoError(f"{base_url} is not an http:// or https:// address")
    return url if parts.path else f"{url}/v1"


@dataclass(frozen=True, slots=True)
class Client:
    """Asks a proxy. ``session`` belongs to the caller."""

    session: aiohttp.ClientSession
    address: str
    api_key: str  # "" = no Authorization header
    timeout_s: float  # for a whole answer
    stream: bool
    namespace: str  # "" = share what the cache already holds

    async def first_model(self) -> str:
        """Return the first model that the proxy lists. Raises ``DemoError``."""
        async with self._request("GET", "/models") as response:
            listed = _decoded(await response.read())
        match listed:
            case {"data": [{"id": str(name)}, *_]}:
                return name
        raise DemoError(f"{self.address}/models names no model; choose one with --model")

    async def ask(self, prompt: Prompt, model: str) -> Outcome:
        """Send ``prompt`` and read its answer to the end. Raises ``DemoError``."""
        body = {"model": model, **prompt.body()}
        if self.namespace:
            body["cache"] = {"namespace": self.namespace}
        if self.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        begun_s = time.perf_counter()
        async with self._request("POST", "/chat/completions", body) as response:
            data = await response.read()
            latency_s = time.perf_counter() - begun_s
            headers = response.headers
        try:
            reply = _streamed(data) if self.stream else _whole(_decoded(data))
        except (KeyError, IndexError, TypeError, AttributeError) as exc:
            raise DemoError(f"{self.address} sent something else than a chat completion") from exc
        return _outcome(prompt, reply, headers, latency_s)

    @asynccontextmanager
    async def _request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        timeout = aiohttp.ClientTimeout(total=self.timeout_s, sock_connect=CONNECT_TIMEOUT_S)
        try:
            async with self.session.request(
                method, self.address + path, json=body, headers=headers, timeout=timeout
            ) as response:
                if response.status != 200:
                    raise DemoError(await self._refusal(response))
                yield response
        except aiohttp.ClientConnectorError as exc:
            raise DemoError(f"cannot reach {self.address}: is the proxy running?") from exc
        except TimeoutError as exc:
            raise DemoError(f"{self.address}: no answer within {self.timeout_s:g} s") from exc
        except aiohttp.InvalidURL as exc:
            raise DemoError(f"{self.address} is not an address") from exc
        except aiohttp.ClientError as exc:
            raise DemoError(f"{self.address}: the connection broke ({type(exc).__name__})") from exc

    async def _refusal(self, response: aiohttp.ClientResponse) -> str:
        detail = ""
        try:
            match json.loads(await response.read()):
                case {"error": {"message": str(message)}} | {"error": str(message)}:
                    detail = ": " + " ".join(message.split())[:MAX_DETAIL]
        except ValueError:
            pass  # not JSON: the status says enough
        if response.status == 401:
            return f"{self.address} refuses the API key (HTTP 401){detail}"
        return f"{self.address} answers HTTP {response.status}{detail}"


def _decoded(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError as exc:
        raise DemoError("the answer is not JSON: is this a model server?") from exc


def _whole(answer: Any) -> Reply:
    return Reply(
        text=answer["choices"][0]["message"]["content"] or "",
        model=str(answer.get("model", "")),
        tokens=_tokens(answer),
    )


def _streamed(data: bytes) -> Reply:
    text: list[str] = []
    model, tokens, done = "", 0, False
    for line in data.splitlines():
        if not line.startswith(b"data:"):
            continue
        value = line[5:].strip()
        if value == b"[DONE]":
            done = True
            break
        frame = _decoded(value)
        if "error" in frame:
            raise DemoError("the model reported an error in the middle of its answer")
        model = model or str(frame.get("model", ""))
        tokens = _tokens(frame) or tokens
        text += [choice["delta"].get("content") or "" for choice in frame.get("choices", ())]
    if not done:
        raise DemoError("the answer ended before its last frame")
    return Reply("".join(text), model, tokens)


def _tokens(answer: Any) -> int:
    match answer:
        case {"usage": {"total_tokens": int(tokens)}}:
            return tokens
    return 0


def _outcome(prompt: Prompt, reply: Reply, headers: Mapping[str, str], latency_s: float) -> Outcome:
    try:
        result = Result(headers.get("X-Cache", "").lower())
    except ValueError as exc:
        raise DemoError(
            "the answer has no X-Cache header: not kindcache, or KINDCACHE_DISABLED is set"
        ) from exc
    similarity = headers.get("X-Cache-Similarity", "")
    return Outcome(
        prompt=prompt,
        result=result,
        text=reply.text,
        latency_s=latency_s,
        tier=headers.get("X-Cache-Tier", ""),
        category=headers.get("X-Cache-Category", ""),
        reason=headers.get("X-Cache-Reason", ""),
        similarity=float(similarity) if similarity.replace(".", "", 1).isdecimal() else None,
        entry=headers.get("X-Cache-Entry", ""),
        tokens=reply.tokens,
        model=reply.model,
    )
