"""What the demo model says: pure functions from a request body to an answer."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

LABEL = "[demo model]"
EXCERPT_CHARS = 60
WORD = re.compile(r"[^\W\d_]{4,}")
PIECE = re.compile(r"\s*\S+")
OPENINGS = (
    "The short answer depends on {topic}.",
    "It helps to look at {topic} first.",
    "Most people start with {topic} here.",
    "There are two sides to {topic}.",
)
MIDDLES = (
    "Begin with the simplest case, check the result, and change one thing at a time.",
    "Write down what you expect, try it on a small example, and compare.",
    "Keep what already works, and measure before and after each change.",
    "Separate what is known from what is assumed, then test the assumption.",
    "Read the documentation for the exact version that you use.",
)
CLOSINGS = (
    "If the outcome differs from what you expected, the input is the first thing to check.",
    "Once that holds, the remaining details follow.",
    "Anything beyond that depends on your situation.",
)


class InvalidRequest(ValueError):
    """The request is not a chat completion; the message is meant for the client."""

    def __init__(self, message: str, *, code: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.param = param


@dataclass(frozen=True, slots=True)
class Draft:
    """An answer before it is sent. Joined, ``pieces`` are the text; one piece is one token."""

    pieces: tuple[str, ...]
    finish_reason: str  # "length" when ``max_tokens`` cut it
    prompt_tokens: int
    stream: bool
    include_usage: bool

    @property
    def text(self) -> str:
        """The whole answer."""
        return "".join(self.pieces)

    @property
    def usage(self) -> dict[str, int]:
        """Token counts in OpenAI's shape."""
        completion_tokens = len(self.pieces)
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": self.prompt_tokens + completion_tokens,
        }


def draft(body: bytes) -> Draft:
    """Read a request and write its answer. Raises ``InvalidRequest``."""
    request = _parse(body)
    texts = [_text(message, index) for index, message in enumerate(request["messages"])]
    pieces = tuple(PIECE.findall(answer_text(texts)))
    limit = _limit(request)
    options = request.get("stream_options")
    return Draft(
        pieces=pieces[:limit],
        finish_reason="stop" if limit is None or limit >= len(pieces) else "length",
        prompt_tokens=sum(len(text.split()) for text in texts),
        stream=_flag(request, "stream"),
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
    )


def answer_text(texts: list[str]) -> str:
    """Return the answer to a conversation; the same for the same texts, on every machine."""
    seed = int.from_bytes(
        blake2b("\x1f".join(texts).encode("utf-8", "replace"), digest_size=8).digest()
    )
    prompt = " ".join(texts[-1].split())
    excerpt = prompt if len(prompt) <= EXCERPT_CHARS else prompt[:EXCERPT_CHARS].rstrip() + "…"
    words = sorted(set(WORD.findall(prompt.lower())), key=lambda word: (-len(word), word))
    topic = f"“{words[seed % min(3, len(words))]}”" if words else "the question"
    sentences = (
        f"{LABEL} You asked: “{excerpt}”.",
        OPENINGS[seed % len(OPENINGS)].format(topic=topic),
        MIDDLES[(seed >> 8) % len(MIDDLES)],
        CLOSINGS[(seed >> 16) % len(CLOSINGS)],
        f"(No language model was involved; answer {seed:016x}.)",
    )
    return " ".join(sentences)


def _parse(body: bytes) -> dict[str, Any]:
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise InvalidRequest("The body is not valid JSON.", code="invalid_json") from exc
    if not isinstance(request, dict):
        raise InvalidRequest("The body must be a JSON object.", code="invalid_type")
    messages = request.get("messages")
    if messages is None:
        raise InvalidRequest(
            "Missing required parameter: 'messages'.",
            code="missing_required_parameter",
            param="messages",
        )
    if not isinstance(messages, list) or not messages:
        raise InvalidRequest(
            "'messages' must be a list with at least one message.",
            code="invalid_type",
            param="messages",
        )
    if request.get("n") not in (None, 1):
        raise InvalidRequest("The demo model gives one choice.", code="invalid_value", param="n")
    return request


def _text(message: Any, index: int) -> str:
    where = f"messages[{index}]"
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise InvalidRequest(
            f"'{where}' must be an object with a role.", code="invalid_type", param=where
        )
    content = message.get("content")
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        return "\n".join(str(part.get("text", "")) for part in content)
    raise InvalidRequest(
        f"'{where}.content' must be a string or a list of parts.",
        code="invalid_type",
        param=f"{where}.content",
    )


def _limit(request: dict[str, Any]) -> int | None:
    for name in ("max_completion_tokens", "max_tokens"):
        value = request.get(name)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise InvalidRequest(
                f"'{name}' must be a positive integer.", code="invalid_value", param=name
            )
        return value
    return None


def _flag(request: dict[str, Any], name: str) -> bool:
    value = request.get(name)
    if value is not None and not isinstance(value, bool):
        raise InvalidRequest(f"'{name}' must be true or false.", code="invalid_type", param=name)
    return bool(value)
