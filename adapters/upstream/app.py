"""The upstream as an ASGI app: forwards each request to an OpenAI-compatible server.

Bytes are passed on as they come, both ways. An answer that breaks off ends visibly incomplete.
"""

from __future__ import annotations

import asyncio
from functools import partial

import aiohttp
from starlette.types import Receive, Scope, Send
from yarl import URL

from ...cache.errors import KindcacheError
from .client_presence import Client, ClientGone
from .connection_loss import ends_with_connection
from .failure import Failure, failure_of
from .hop_by_hop import is_event_stream, request_headers, response_headers
from .target import Target
from .upload import Upload

# Shorter than the 5 s after which uvicorn, and so vLLM, closes an idle connection: a POST that
# meets the closing could not be repeated safely.
KEEPALIVE_S = 4.0
MAX_HEADER_BYTES = 64 << 10
DIRECT_BODY_BYTES = 256 << 10  # larger bodies are written in pieces, so that the loop stays free
AUTO_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class UpstreamBroken(KindcacheError):
    """The upstream's answer broke off after its headers had gone to the client.

    Leaves the app so that the server closes the client's connection without a proper end; nothing
    may be sent after it.
    """


class UpstreamApp:
    """Forwards to ``base_url``; see ``Target`` for how paths are joined.

    ``timeout_s`` is the longest silence of the upstream, not a limit on the whole answer;
    ``connect_timeout_s`` bounds one attempt to connect. Requests over ``max_connections`` wait for
    a free connection, no longer than ``timeout_s``. Raises ``StartupError`` for a base URL that
    cannot work. Connections open on first use and close with the lifespan or ``aclose()``.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout_s: float = 120.0,
        connect_timeout_s: float = 5.0,
        max_connections: int = 512,
    ) -> None:
        self._target = Target.parse(base_url)
        self._timeout_s = timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._max_connections = max_connections
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"UpstreamApp({self._target.origin + self._target.api!r})"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection. Raises ``UpstreamBroken`` after a response that broke off."""
        match scope["type"]:
            case "http":
                client = Client(receive, send)
                try:
                    await self._exchange(scope, client)
                except ClientGone:
                    return
                finally:
                    await client.aclose()
            case "lifespan":
                await self._lifespan(receive, send)
            case "websocket":
                await receive()
                reason = "websockets are not forwarded"
                await send({"type": "websocket.close", "code": 1011, "reason": reason})
            case unknown:
                raise ValueError(f"unknown scope type {unknown}")

    async def aclose(self) -> None:
        """Close the connections to the upstream. Safe to call twice."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self._open()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.aclose()
        await send({"type": "lifespan.shutdown.complete"})

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._max_connections, keepalive_timeout=KEEPALIVE_S
                ),
                cookie_jar=aiohttp.DummyCookieJar(),  # cookies belong to clients, not to us
                auto_decompress=False,
                skip_auto_headers=AUTO_HEADERS,
                timeout=aiohttp.ClientTimeout(
                    total=None,
                    connect=self._timeout_s,
                    sock_connect=self._connect_timeout_s,
                    sock_read=self._timeout_s,
                ),
                max_line_size=MAX_HEADER_BYTES,
                max_field_size=MAX_HEADER_BYTES,
            )
        return self._session

    async def _exchange(self, scope: Scope, client: Client) -> None:
        url = self._target.url(scope)
        if url is None:
            await _send_failure(client, Failure(400, "invalid_path", "The request has no path."))
            return
        first, more = await client.read()
        if not more:
            client.watch()
        try:
            response = await client.unless_gone(
                partial(self._request, scope, url, client, first, more=more)
            )
        except (aiohttp.ClientError, OSError) as exc:
            await client.aclose()
            await _send_failure(client, failure_of(exc, self._target.origin))
            return
        try:
            with ends_with_connection(response):
                await self._answer(response, client)
        finally:
            response.close()  # returns nothing to the pool that was not read to its end

    async def _request(
        self, scope: Scope, url: URL, client: Client, first: bytes, *, more: bool
    ) -> aiohttp.ClientResponse:
        """Send the request and return when the upstream's headers are there."""
        headers = request_headers(scope["headers"], size_bytes=None if more else len(first))
        request = partial(self._open().request, scope["method"], url, allow_redirects=False)
        # aiohttp times silence only once the body is written; this also ends a stalled upload.
        async with asyncio.timeout(self._connect_timeout_s + self._timeout_s) as silence:
            if not more and len(first) <= DIRECT_BODY_BYTES:
                return await request(headers=headers, data=first or None)
            upload = Upload(client, first, more=more, silence=silence, timeout_s=self._timeout_s)
            try:
                return await request(headers=headers, data=upload)
            finally:
                upload.stop_timing()

    async def _answer(self, response: aiohttp.ClientResponse, client: Client) -> None:
        status = response.status
        headers = response_headers(response.raw_headers, status=status)
        await client.send({"type": "http.response.start", "status": status, "headers": headers})
        content = response.content
        tail = b""
        last = False
        while not last:
            try:
                data = await client.unless_gone(content.readany)
            except (aiohttp.ClientError, OSError) as exc:
                await client.aclose()
                failure = failure_of(exc, self._target.origin)
                if _takes_error_frame(headers):
                    await _send_body(client, failure.frame(after=tail), more=True)
                raise UpstreamBroken(failure.message) from exc
            last = not data or content.at_eof()
            if last:
                await client.aclose()  # from here on there is nothing to interrupt
            await _send_body(client, data, more=not last)
            tail = (tail + data[-4:])[-4:]


def _takes_error_frame(headers: list[tuple[bytes, bytes]]) -> bool:
    """Say whether one more event can be written after what was sent."""
    fixed = any(name in (b"content-length", b"content-encoding") for name, _ in headers)
    return is_event_stream(headers) and not fixed


async def _send_body(client: Client, data: bytes, *, more: bool) -> None:
    await client.send({"type": "http.response.body", "body": data, "more_body": more})


async def _send_failure(client: Client, failure: Failure) -> None:
    body = failure.body()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await client.send({"type": "http.response.start", "status": failure.status, "headers": headers})
    await _send_body(client, body, more=False)
