"""One start, timed from inside. Run by ``start.py``, each in a process of its own.

    python bench/start_child.py STAGE

Prints what took how many milliseconds, as JSON. Runs in an empty folder, where the store is made.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import pairwise
from typing import Any

STAGES = ("import", "build", "models", "request", "artefact")
MODEL = "sentence-transformers/all-MiniLM-L6-v2"


class Watch:
    """Times what happens between two calls of ``lap``."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._at_s = time.perf_counter()

    def lap(self, name: str) -> None:
        """Note the time since the last lap under ``name``."""
        now_s = time.perf_counter()
        self.laps[name] = (now_s - self._at_s) * 1e3
        self._at_s = now_s


def importing(watch: Watch) -> None:
    """Import what an application imports to mount the middleware."""
    import starlette  # noqa: F401, PLC0415

    watch.lap("starlette")
    import asyncio  # noqa: F401, PLC0415
    import logging  # noqa: F401, PLC0415

    watch.lap("asyncio")
    import kindcache.adapters.middleware  # noqa: F401, PLC0415

    watch.lap("middleware")


def building(watch: Watch) -> None:
    """Import the rest, read the shipped policies and put a cache together."""
    importing(Watch())
    watch.lap("middleware")
    import kindcache.adapters.build as composition  # noqa: PLC0415
    from kindcache.config.load import default_path, load  # noqa: PLC0415

    watch.lap("everything else")
    settings = load(default_path())
    watch.lap("policies")
    composition.build(settings, answer, upstream="bench")
    watch.lap("put together")


def models(watch: Watch) -> None:
    """Load the encoder and the pair scorer, one after the other."""
    building(Watch())
    from kindcache.cache.embedders import onnx, shelf  # noqa: PLC0415
    from kindcache.cache.scorers import shipped  # noqa: PLC0415

    watch = _again(watch)
    onnx.load(MODEL, "onnx-int8", shelf.default_root(), _nothing)
    watch.lap("encoder")
    shipped.load()
    watch.lap("pair scorer")


def request(watch: Watch) -> None:
    """Ask an application whose server sends no lifespan events: the first request starts all."""
    import asyncio  # noqa: PLC0415

    from kindcache.adapters.middleware import KindcacheMiddleware  # noqa: PLC0415

    async def ask() -> None:
        app = KindcacheMiddleware(answer)
        await _post(app)
        watch.lap("first")
        await _post(app)
        watch.lap("second")
        await app.aclose()

    watch = _again(watch)
    asyncio.run(ask())


def artefact(watch: Watch) -> None:
    """Export the model into the folder that ``XDG_CACHE_HOME`` names; note the lines shown."""
    from kindcache.cache.embedders import shelf  # noqa: PLC0415

    told_s: list[float] = []
    watch = _again(watch)
    told_s.append(time.perf_counter())
    shelf.obtain(MODEL, "onnx-int8", shelf.default_root(), lambda _: told_s.append(_now_s()))
    told_s.append(time.perf_counter())
    watch.lap("built")
    silent_s = max(later - earlier for earlier, later in pairwise(told_s))
    watch.laps["longest silence"] = silent_s * 1e3
    watch.laps["lines"] = len(told_s) - 2


async def answer(_scope: Any, receive: Any, send: Any) -> None:
    """Answer as a model server would."""
    await receive()
    choice = {"index": 0, "message": {"role": "assistant", "content": "Yes."}}
    body = {"id": "x", "object": "chat.completion", "created": 1, "model": "bench"}
    data = json.dumps(body | {"choices": [choice | {"finish_reason": "stop"}]}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(data))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": data})


async def _post(app: Any) -> None:
    messages = [{"role": "user", "content": "How do I reset my password?"}]
    data = json.dumps({"model": "bench", "messages": messages}).encode()
    headers = [(b"authorization", b"Bearer bench"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": headers}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": data, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message.get("status", 200) != 200:
            raise SystemExit(f"the answer was {message['status']}")

    await app(scope, receive, send)


def _again(watch: Watch) -> Watch:
    watch.lap("before")
    del watch.laps["before"]
    return watch


def _now_s() -> float:
    return time.perf_counter()


def _nothing(_line: str) -> None:
    return


def main() -> None:
    """Run the stage that the command line names."""
    stages = (importing, building, models, request, artefact)
    watch = Watch()
    dict(zip(STAGES, stages, strict=True))[sys.argv[1]](watch)
    print(json.dumps(watch.laps))


if __name__ == "__main__":
    main()
