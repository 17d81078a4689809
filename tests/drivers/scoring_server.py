"""A scoring service as one would write it: common words as the score, or what a test says."""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.drivers.serving import serve

WINDOW = 100  # words of a pair


def common(asked: str, stored: str) -> float:
    """Return the share of common words, kept off 0 and 1."""
    mine, other = (set(re.findall(r"\w+", text.lower())) for text in (asked, stored))
    return min(max(len(mine & other) / max(len(mine | other), 1), 0.01), 0.99)


class ScoringServer:
    """Answers ``POST /rerank``. ``reply`` takes the place of every answer; ``gate`` holds them."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.reply: Response | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.url = ""

    def answer(self, request: Request, body: bytes) -> Response:
        """Answer one request. Blocks while the gate is closed."""
        asked = json.loads(body)
        self.requests.append(asked)
        self.keys.append(request.headers.get("authorization"))
        self.entered.release()
        self.gate.wait(10)
        if self.reply is not None:
            return self.reply
        (stored,) = asked["texts"]
        if len(f"{asked['query']} {stored}".split()) > WINDOW:
            return JSONResponse({"error": "too long"}, status_code=413)
        share = common(asked["query"], stored)
        score = math.log(share / (1 - share)) if asked["raw_scores"] else share
        return JSONResponse([{"index": 0, "score": score}])


@contextmanager
def scoring_server() -> Iterator[ScoringServer]:
    """Run a service on a free port of 127.0.0.1 until the block ends."""
    server = ScoringServer()

    async def rerank(request: Request) -> Response:

        return await run_in_threadpool(server.answer, request, await request.body())

    app = Starlette(routes=[Route("/rerank", rerank, methods=["POST"])])
    with serve(app) as served:
        server.url = f"{served.url}/rerank"
        yield server
        server.gate.set()
