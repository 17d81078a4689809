import asyncio
import io
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from kindcache.adapters.demo.client import DemoError, address
from kindcache.adapters.demo.play import PlayOptions, play

TRAFFIC = [
    {"kind": "new", "category": "support", "key": "a", "prompt": "Where is my order 48213?"},
    {"kind": "repeat", "category": "support", "key": "a", "prompt": "Where is my order 48213?"},
    {"kind": "paraphrase", "category": "support", "key": "a", "prompt": "where's my order 48213"},
    {
        "kind": "trap",
        "category": "support",
        "key": "b",
        "near": "1",
        "prompt": "Where is my order 48231?",
    },
    {"kind": "new", "category": "medical", "key": "m", "prompt": "How much ibuprofen may I take?"},
    {"kind": "new", "category": "code", "key": "c", "prompt": "Reverse a list in Python, please."},
]


@dataclass
class CarelessProxy:
    """Speaks as kindcache does, and takes prompts for equal that differ only in digits."""

    entries: bool = True
    status: int = 200
    fail_after: int = 1_000
    body: str = ""
    kindcache: bool = True
    block_at: int = 1_000
    blocked: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    stored: dict[tuple[str, str], str] = field(default_factory=dict)

    async def models(self, _request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "tiny-demo"}]})

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked.append(body)
        self.keys.append(request.headers.get("Authorization"))
        if len(self.asked) == self.block_at:
            self.blocked.set()
            await asyncio.Event().wait()
        if self.status != 200 or len(self.asked) > self.fail_after:
            status = self.status if self.status != 200 else 502
            return web.json_response({"error": {"message": "no\nway"}}, status=status)
        if self.body:
            return web.Response(text=self.body)
        text, headers = self._lookup(body)
        if not self.kindcache:
            headers = {}
        return self._streamed(text, headers) if body.get("stream") else self._whole(text, headers)

    def _lookup(self, body: dict[str, Any]) -> tuple[str, dict[str, str]]:
        prompt = body["messages"][-1]["content"]
        if "ibuprofen" in prompt:
            return "Ask a doctor.", {"X-Cache": "BYPASS", "X-Cache-Category": "medical"}
        space = body.get("cache", {}).get("namespace", "")
        near = re.sub(r"[^a-z]", "", prompt.lower().replace("'s", " is"))
        origin = self.stored.setdefault((space, near), prompt)
        kind = "MISS" if origin is prompt else "HIT"
        headers = {"X-Cache": kind, "X-Cache-Category": "support", "X-Cache-Similarity": "0.9700"}
        if kind == "HIT":
            headers["X-Cache-Tier"] = "exact" if origin == prompt else "semantic"
        if self.entries:
            headers["X-Cache-Entry"] = f"{space}{near}"
        return f"This is about: {origin}", headers

    def _whole(self, text: str, headers: dict[str, str]) -> web.Response:
        message = {"role": "assistant", "content": text}
        answer = {
            "model": "tiny-demo",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
        }
        return web.json_response(answer, headers=headers)

    def _streamed(self, text: str, headers: dict[str, str]) -> web.Response:
        deltas = [{"role": "assistant", "content": ""}, *({"content": word} for word in [text])]
        frames: list[dict[str, Any]] = [
            {"model": "tiny-demo", "choices": [{"index": 0, "delta": d}]} for d in deltas
        ]
        frames += [{"model": "tiny-demo", "choices": [], "usage": {"total_tokens": 7}}]
        lines = [f"data: {json.dumps(frame)}\n\n" for frame in frames]
        body = "".join([*lines, "data: [DONE]\n\n"])
        return web.Response(text=body, content_type="text/event-stream", headers=headers)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        app = web.Application()
        app.add_routes([web.get("/v1/models", self.models)])
        app.add_routes([web.post("/v1/chat/completions", self.chat)])
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            await runner.cleanup()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def options(tmp_path: Path) -> PlayOptions:
    path = tmp_path / "traffic.jsonl"
    rows = [{"id": str(number), **row} for number, row in enumerate(TRAFFIC, 1)]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return PlayOptions(prompts=path, out=io.StringIO(), timeout_s=5.0)


def run(proxy: CarelessProxy, options: PlayOptions, times: int = 1) -> tuple[int, str]:
    async def scenario() -> int:
        async with proxy.serve() as url:
            for _ in range(times):
                code = await play(replace(options, base_url=url))
            return code

    code = asyncio.run(scenario())
    return code, printed(options)


def printed(options: PlayOptions) -> str:
    assert isinstance(options.out, io.StringIO)
    return options.out.getvalue()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("entries", [False, True])
def test_a_wrong_answer_is_found_and_everything_is_counted(
    options: PlayOptions, stream: bool, entries: bool
) -> None:
    proxy = CarelessProxy(entries=entries)
    code, shown = run(proxy, replace(options, stream=stream))
    assert code == 0
    summary = shown[shown.index("kindcache demo:") :]
    assert "6 requests" in summary
    assert "model tiny-demo (demo model" in summary
    assert "Hits: 3 of 6 (50.0 %): 1 exact, 2 semantic; 2 misses, 1 bypasses" in summary
    assert "Wrong answers: 1 of 3 hits (33.3 %" in summary
    assert "1 of 1 repeats, 1 of 1 paraphrases, 1 of 1 traps" in summary
    assert "21 tokens" in summary
    assert "Wrongly served: 4 (trap, similarity 0.970)" in summary
    assert shown.endswith("\n")
    assert not shown[shown.index("Wrongly served") :].rstrip("\n").count("\n")


def test_prompts_go_out_in_order_with_model_and_key(options: PlayOptions) -> None:
    proxy = CarelessProxy()
    run(proxy, replace(options, api_key="secret"))
    assert [b["messages"][-1]["content"] for b in proxy.asked] == [r["prompt"] for r in TRAFFIC]
    assert {body["model"] for body in proxy.asked} == {"tiny-demo"}
    assert set(proxy.keys) == {"Bearer secret"}
    proxy = CarelessProxy()
    run(proxy, replace(options, api_key="", model="other"))
    assert {body["model"] for body in proxy.asked} == {"other"}
    assert set(proxy.keys) == {None}


def test_every_run_starts_cold(options: PlayOptions) -> None:
    proxy = CarelessProxy()
    _, shown = run(proxy, options, times=2)
    assert shown.count("Hits: 3 of 6") == 2
    assert len({body["cache"]["namespace"] for body in proxy.asked}) == 2


def test_keep_uses_what_is_there_and_does_not_judge_it(options: PlayOptions) -> None:
    proxy = CarelessProxy()
    _, shown = run(proxy, replace(options, keep=True), times=2)
    assert "Hits: 5 of 6" in shown
    assert "Wrong answers: 0 of 0 hits; 5 hits on answers from before this run" in shown
    assert all("cache" not in body for body in proxy.asked)


def test_later_passes_are_repeats_and_callers_may_be_many(options: PlayOptions) -> None:
    code, shown = run(CarelessProxy(), replace(options, passes=3, concurrency=4))
    assert code == 0
    assert "18 requests" in shown
    assert "of 11 repeats" in shown  # 1 + 2 x 6, less the two that are bypassed


def test_a_terminal_gets_a_live_table(options: PlayOptions) -> None:
    terminal = Terminal()
    code, _ = run(CarelessProxy(), replace(options, out=terminal))
    shown = terminal.getvalue()
    assert code == 0
    assert "6 of 6 requests" in shown
    assert "medical" in shown
    assert shown.index("medical") < shown.index("Hits: 3 of 6")


def test_elsewhere_the_table_is_plain_lines(options: PlayOptions) -> None:
    _, shown = run(CarelessProxy(), options)
    assert "\x1b" not in shown
    rows = {line.split()[0]: line.split() for line in shown.splitlines() if line[:1].isalpha()}
    assert rows["support"][1:8] == ["4", "1", "2", "1", "0", "1", "75"]
    assert rows["total"][1:8] == ["6", "1", "2", "2", "1", "1", "50"]
    # Nothing is wider than its heading allows: all lines of the table are equally long.
    table = [line for line in shown.splitlines() if line.startswith(("category", "code", "total"))]
    assert len({len(line) for line in table}) == 1


@pytest.mark.parametrize(
    ("proxy", "message"),
    [
        ({"status": 401}, r"refuses the API key \(HTTP 401\): no way"),
        ({"status": 500}, r"answers HTTP 500: no way"),
        ({"kindcache": False}, "no X-Cache header"),
        ({"body": "<html>"}, "not JSON"),
        ({"body": '{"choices": []}'}, "something else than a chat completion"),
    ],
)
def test_a_failure_is_one_line_and_exit_code_1(
    options: PlayOptions, capsys: pytest.CaptureFixture[str], proxy: dict[str, Any], message: str
) -> None:
    code, shown = run(CarelessProxy(**proxy), options)
    errors = capsys.readouterr().err
    assert code == 1
    assert re.search(message, errors)
    assert errors.count("\n") == 1
    assert not shown


def test_an_unfinished_stream_is_a_failure(
    options: PlayOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = run(CarelessProxy(body="data: {}\n\n"), replace(options, stream=True))
    assert code == 1
    assert "ended before its last frame" in capsys.readouterr().err


def test_a_proxy_that_is_not_there_is_named(
    options: PlayOptions, capsys: pytest.CaptureFixture[str], unused_port: int
) -> None:
    url = f"http://127.0.0.1:{unused_port}"
    assert asyncio.run(play(replace(options, base_url=url))) == 1
    assert f"cannot reach {url}/v1: is the proxy running?" in capsys.readouterr().err


@pytest.fixture
def unused_port() -> int:
    async def find() -> int:
        server = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
        port = int(server.sockets[0].getsockname()[1])
        server.close()
        await server.wait_closed()
        return port

    return asyncio.run(find())


def test_a_proxy_that_does_not_answer_is_not_waited_for_long(
    options: PlayOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = run(CarelessProxy(block_at=1), replace(options, timeout_s=0.2))
    assert code == 1
    assert "no answer within 0.2 s" in capsys.readouterr().err


def test_a_failure_on_the_way_still_shows_what_came_before(
    options: PlayOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    code, shown = run(CarelessProxy(fail_after=4), options)
    assert code == 1
    assert "Hits: 3 of 4" in shown
    assert shown.endswith("Stopped after 4 of 6 requests.\n")
    assert "HTTP 502" in capsys.readouterr().err


def test_cancelling_prints_the_summary_so_far(options: PlayOptions) -> None:
    proxy = CarelessProxy(block_at=3)

    async def scenario() -> None:
        async with proxy.serve() as url:
            task = asyncio.create_task(play(replace(options, base_url=url)))
            await asyncio.wait_for(proxy.blocked.wait(), 5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    begun = time.monotonic()
    asyncio.run(scenario())
    shown = printed(options)
    assert "Hits: 1 of 2" in shown
    assert shown.endswith("Stopped after 2 of 6 requests.\n")
    assert time.monotonic() - begun < 4


def test_a_file_that_is_not_there_is_named(
    options: PlayOptions, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert asyncio.run(play(replace(options, prompts=tmp_path / "none.jsonl"))) == 1
    assert "none.jsonl" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("http://localhost:8080", "http://localhost:8080/v1"),
        ("http://localhost:8080/", "http://localhost:8080/v1"),
        ("http://localhost:8080/v1/", "http://localhost:8080/v1"),
        ("https://host/openai/v1", "https://host/openai/v1"),
    ],
)
def test_addresses_are_completed(given: str, expected: str) -> None:
    assert address(given) == expected


@pytest.mark.parametrize("given", ["localhost:8080", "", "ftp://host"])
def test_an_address_must_be_http(given: str) -> None:
    with pytest.raises(DemoError, match="is not an http"):
        address(given)
