"""A plain reverse proxy of httpx and uvicorn: what one more hop costs, without any cache."""

from __future__ import annotations

import argparse
from typing import Any

import httpx
import uvicorn


class Proxy:
    """Forwards each request, and each part of its answer as it comes."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._client: httpx.AsyncClient

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Forward one request."""
        if scope["type"] == "lifespan":
            await receive()
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=128)
            self._client = httpx.AsyncClient(limits=limits)
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        url = self._upstream + scope["path"].removeprefix("/v1")
        async with self._client.stream(scope["method"], url, content=body) as response:
            kept = [(k.lower(), v) for k, v in response.headers.raw]
            headers = [(k, v) for k, v in kept if k in (b"content-type", b"content-length")]
            status = response.status_code
            await send({"type": "http.response.start", "status": status, "headers": headers})
            async for part in response.aiter_raw():
                await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True)
    options = parser.parse_args()
    uvicorn.run(Proxy(options.upstream), port=options.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
