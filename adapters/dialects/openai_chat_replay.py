"""Render a stored answer as a chat completion: one JSON object, or a stream of chunks."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import msgspec

from ...cache.entries.entry import Answer, Choice, ToolCall
from .sse import frame

_encode = msgspec.json.Encoder().encode
_DONE = frame(b"[DONE]")
_PREFIX = "chatcmpl-"

# Characters of text in one chunk. Readers with a line buffer of 64 KiB exist (Go's bufio.Scanner,
# aiohttp); a character takes at most 6 bytes, and reasoning may be sent under two names.
_PIECE = 4096


def new_id() -> str:
    """Return an id that no text holds."""
    return f"{_PREFIX}{uuid.uuid4().hex}"


def render_body(answer: Answer, name: str) -> bytes:
    """Render one chat completion with the id ``name``; ``usage`` is left out when not known."""
    completion = _head(answer, "chat.completion", name)
    completion["choices"] = [
        {
            "index": index,
            "message": _message(choice),
            "logprobs": None,
            "finish_reason": choice.finish_reason,
        }
        for index, choice in enumerate(answer.choices)
    ]
    if answer.usage is not None:
        completion["usage"] = answer.usage
    return _encode(completion)


def render_frames(answer: Answer, name: str, *, usage: bool) -> list[bytes]:
    """Render chunks with the id ``name``, then ``[DONE]``; few chunks, each line below 64 KiB.

    ``usage``: the caller asked for the usage chunk. It is sent when the numbers are known.
    """
    chunk = _head(answer, "chat.completion.chunk", name)
    chunk["choices"] = []
    numbers = answer.usage if usage else None
    if numbers is not None:
        chunk["usage"] = None
    frames: list[bytes] = []
    for index, choice in enumerate(answer.choices):
        for delta in _deltas(choice):
            chunk["choices"] = [_piece(index, delta, None)]
            frames.append(frame(_encode(chunk)))
    for index, choice in enumerate(answer.choices):
        chunk["choices"] = [_piece(index, {}, choice.finish_reason)]
        frames.append(frame(_encode(chunk)))
    if numbers is not None:
        chunk["choices"] = []
        chunk["usage"] = numbers
        frames.append(frame(_encode(chunk)))
    frames.append(_DONE)
    return frames


def id_of(number: int) -> bytes:
    """Return the id that ``number`` (128 bits) makes."""
    return b"%s%032x" % (_PREFIX.encode(), number)


def render_error(message: str, *, kind: str, code: str) -> bytes:
    """Render an error object as OpenAI servers send it."""
    return _encode({"error": {"message": message, "type": kind, "param": None, "code": code}})


def _head(answer: Answer, kind: str, name: str) -> dict[str, Any]:
    head: dict[str, Any] = {
        "id": name,
        "object": kind,
        "created": answer.created,
        "model": answer.model,
    }
    if answer.system_fingerprint is not None:
        head["system_fingerprint"] = answer.system_fingerprint
    return head


def _message(choice: Choice) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": choice.text,
        "refusal": choice.refusal,
    }
    if choice.reasoning:
        message.update(dict.fromkeys(_reasoning_names(choice), choice.reasoning))
    if choice.tool_calls:
        message["tool_calls"] = [_tool(call, call.arguments) for call in choice.tool_calls]
    return message


def _deltas(choice: Choice) -> Iterator[dict[str, Any]]:
    opening = None if choice.text is None else ""
    yield {"role": "assistant", "content": opening, "refusal": None}
    for piece in _pieces(choice.reasoning):
        yield dict.fromkeys(_reasoning_names(choice), piece)
    for piece in _pieces(choice.text):
        yield {"content": piece}
    for piece in _pieces(choice.refusal):
        yield {"refusal": piece}
    for index, call in enumerate(choice.tool_calls):
        first, *rest = _pieces(call.arguments) or [""]
        yield {"tool_calls": [{"index": index, **_tool(call, first)}]}
        for piece in rest:
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _pieces(text: str | None) -> list[str]:
    if not text:
        return []
    return [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]


def _piece(index: int, delta: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _reasoning_names(choice: Choice) -> list[str]:
    return (choice.reasoning_field or "reasoning_content").split(",")


def _tool(call: ToolCall, arguments: str) -> dict[str, Any]:
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }
