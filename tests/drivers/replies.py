"""What a scripted upstream sees, and the replies that a test can script."""

from __future__ import annotations

import enum
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .gate import Gate

RawHeaders = Sequence[tuple[str, str]]


class Act(enum.Enum):
    """Steps of an answer that are neither bytes nor waiting."""

    CLOSE = "close the connection without ending the body"
    HANG = "send nothing more, until the client leaves"


@dataclass(frozen=True)
class Pause:
    """A step that takes time: for slow upstreams, never for synchronisation."""

    seconds: float


Step = bytes | Gate | Pause | Act


@dataclass(frozen=True)
class Reply:
    """An answer: steps before its headers, status, headers, then the body step by step.

    `Act.CLOSE` counts in `steps` only. A reply without `content-length` is chunked.
    """

    steps: Sequence[Step] = ()
    status: int = 200
    headers: RawHeaders = ()
    before: Sequence[Step] = ()


@dataclass
class Seen:
    """A request as the upstream saw it. Kept from the moment its headers arrived."""

    method: str
    path: str  # as on the wire, without the query
    query: str
    headers: list[tuple[bytes, bytes]]
    pieces: list[tuple[float, bytes]] = field(default_factory=list)
    first_piece: Gate = field(default_factory=lambda: Gate("first piece of the upload"))
    read: Gate = field(default_factory=lambda: Gate("whole request read"))
    disconnected: Gate = field(default_factory=lambda: Gate("client left the upstream"))
    answered: Gate = field(default_factory=lambda: Gate("answer sent"))

    @property
    def body(self) -> bytes:
        return b"".join(piece for _, piece in self.pieces)

    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        wanted = name.lower().encode()
        return next((v.decode("latin-1") for k, v in self.headers if k == wanted), None)

    @property
    def prompt(self) -> str:
        """The last message's text."""
        content = self.json()["messages"][-1]["content"]
        if isinstance(content, str):
            return content
        return "".join(part.get("text", "") for part in content)


def json_reply(value: Any, *, status: int = 200, headers: RawHeaders = ()) -> Reply:
    body = json.dumps(value).encode()
    fixed = [("content-type", "application/json"), ("content-length", str(len(body)))]
    return Reply(steps=(body,), status=status, headers=(*fixed, *headers))


def error_reply(status: int, message: str = "scripted error", *, retry_after: str = "") -> Reply:
    """An error in OpenAI's shape, as for 429 and 500."""
    error = {"message": message, "type": "server_error", "param": None, "code": None}
    headers = [("retry-after", retry_after)] if retry_after else []
    return json_reply({"error": error}, status=status, headers=headers)


def html_reply(status: int = 200) -> Reply:
    """What a captive portal or a misconfigured ingress answers."""
    body = b"<!doctype html><title>Welcome</title><p>This is not a model."
    return Reply(steps=(body,), status=status, headers=(("content-type", "text/html"),))


def sse_reply(*steps: Step | dict[str, Any], headers: RawHeaders = ()) -> Reply:
    """An event stream; dicts become `data:` frames, other steps stay as they are."""
    rendered = tuple(_frame(step) if isinstance(step, dict) else step for step in steps)
    return Reply(steps=rendered, headers=(("content-type", "text/event-stream"), *headers))


def chat_reply(
    seen: Seen,
    text: str,
    *,
    finish_reason: str = "stop",
    gates: Sequence[Gate] = (),
    before: Sequence[Step] = (),
) -> Reply:
    """A chat completion as the request asks for it; a stream has one frame a word.

    `gates[i]` is waited for before content frame `i + 1`: with one gate, the first frame leaves at
    once and the rest when the test opens it.
    """
    request = seen.json()
    words = [word + " " for word in text.split(" ")]
    words[-1] = words[-1][:-1]
    usage = {
        "prompt_tokens": len(seen.prompt.split()),
        "completion_tokens": len(words),
        "total_tokens": len(seen.prompt.split()) + len(words),
    }
    head = {"id": "chatcmpl-scripted", "created": 1_700_000_000, "model": request.get("model", "")}
    if not request.get("stream"):
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}
        whole = head | {"object": "chat.completion", "choices": [choice], "usage": usage}
        reply = json_reply(whole)
        return Reply(reply.steps, headers=reply.headers, before=before)
    wants_usage = (request.get("stream_options") or {}).get("include_usage", False)
    head |= {"object": "chat.completion.chunk"} | ({"usage": None} if wants_usage else {})
    steps: list[Step | dict[str, Any]] = [head | _delta({"role": "assistant", "content": ""})]
    for index, word in enumerate(words):
        steps.extend(gates[index - 1 : index] if index else ())
        steps.append(head | _delta({"content": word}))
    steps.append(head | _delta({}, finish_reason))
    if wants_usage:
        steps.append(head | {"choices": [], "usage": usage})
    streamed = sse_reply(*steps, b"data: [DONE]\n\n")
    return Reply(streamed.steps, headers=streamed.headers, before=before)


def _delta(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}


def _frame(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"
