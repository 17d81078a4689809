"""The OpenAI chat completions dialect, as OpenAI, vLLM, llama.cpp and most others speak it."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec

from ...cache.entries.entry import Answer
from ...cache.entries.rendering import Rendering, rendering
from ...policies.facts import NO_DIRECTIVES, Call
from .body_directives import read_directives
from .dialect import Parsed, Recorder, Unparsable
from .openai_chat_recording import JsonRecorder, StreamRecorder
from .openai_chat_replay import id_of, new_id, render_body, render_error, render_frames
from .wire_json import NotJson, decode_unambiguous, without_member

# Stands in the frame for the last user text. No request can hold it: `_read_messages` refuses
# a message whose content is an object.
_PROMPT: dict[str, Any] = {"$prompt": 1}

# Fields that cannot change the answer. `user` and `safety_identifier` go to the scope instead.
_NOT_IN_FRAME = frozenset({"stream", "stream_options", "metadata", "store", "service_tier"})
_USER_FIELDS = frozenset({"user", "safety_identifier"})
_TOOL_FIELDS = frozenset({"tools", "tool_choice", "functions", "function_call"})
_FEW_TOKENS = 8  # a word, and the white space and quotes that some models put around it
_MAX_NUMBER = 1e9  # larger temperatures are a mistake, and may not fit a float


class OpenAIChat:
    """Chat completions. Implements ``Dialect``."""

    name = "openai.chat"
    paths: tuple[str, ...] = ("/chat/completions",)

    def __init__(self) -> None:
        # For the ids of replays, which need not be secret: asking the system for each costs 2 us.
        self._numbers = Random()  # noqa: S311

    def parse(self, path: str, body: bytes) -> Parsed:
        """Understand a request body. Raises ``Unparsable``.

        Refuses what a model server might read in another way than the cache does: repeated
        keys, and wrong types in the fields that are looked at.
        """
        request = _decode(body)
        messages, prompt = _read_messages(request.get("messages"))
        stream = _flag(request, "stream")
        choices = _choices(request)
        user, frame = _split_frame(request, messages, choices)
        control = request.get("cache")
        call = Call(
            dialect=self.name,
            path=path,
            model=_model(request),
            prompt="" if prompt is None else prompt,
            stream=stream,
            wants_usage=stream and _wants_usage(request),
            frame=frame,
            user=user,
            ends_with_user_text=prompt is not None,
            has_tools=not _TOOL_FIELDS.isdisjoint(request) and _has_tools(request),
            choices=choices,
            temperature=_temperature(request),
            seeded=request.get("seed") is not None,
            metadata=_metadata(request),
            directives=NO_DIRECTIVES if control is None else read_directives(control),
        )
        return Parsed(call, without_member(body, "cache") if isinstance(control, dict) else None)

    def unstreamed(self, body: bytes) -> bytes:
        """Return a request body that ``parse`` took, asking for the answer in one piece."""
        for name in ("stream", "stream_options"):
            body = without_member(body, name)
        return body

    def question(self, model: str, instructions: str, text: str) -> bytes:
        """Render a request for a few tokens of the likeliest answer to ``text``."""
        messages = [
            {"role": "system", "content": instructions},
            {"role": "user", "content": text},
        ]
        return msgspec.json.encode(
            {"model": model, "messages": messages, "temperature": 0, "max_tokens": _FEW_TOKENS}
        )

    def recorder(self, *, stream: bool, limit_bytes: int) -> Recorder:
        """Return a recorder for a streamed (SSE) or a plain JSON answer."""
        kind = StreamRecorder if stream else JsonRecorder
        return kind(limit_bytes=limit_bytes)

    def body(self, answer: Answer) -> bytes:
        """Render ``answer`` for a caller that did not ask for a stream; fresh ``id``."""
        return render_body(answer, new_id())

    def frames(self, answer: Answer, *, usage: bool) -> list[bytes]:
        """Render ``answer`` as SSE frames, terminal frame included; fresh ``id``."""
        return render_frames(answer, new_id(), usage=usage)

    def rendering(self, answer: Answer, *, stream: bool, usage: bool) -> Rendering:
        """Render ``answer`` once for all that will be sent of it: a body, or joined frames."""
        name = new_id()
        if stream:
            return rendering(b"".join(render_frames(answer, name, usage=usage)), name.encode())
        return rendering(render_body(answer, name), name.encode())

    def fresh(self, rendering: Rendering) -> bytes:
        """Return what ``rendering`` made, with a fresh ``id``."""
        return rendering.under(id_of(self._numbers.getrandbits(128)))

    def error(self, message: str, *, kind: str, code: str) -> bytes:
        """Render an error in this dialect's shape."""
        return render_error(message, kind=kind, code=code)


def _decode(body: bytes) -> dict[str, Any]:
    try:
        request = decode_unambiguous(body)
    except NotJson as exc:
        raise Unparsable("not JSON, or ambiguous") from exc
    if not isinstance(request, dict):
        raise Unparsable("not a JSON object")
    return request


def _read_messages(messages: object) -> tuple[list[dict[str, Any]], str | None]:
    """Return the messages for the frame, and the last one's text if it is plain user text.

    A content of exactly one text part becomes the string it is equal to, in place.
    """
    if not isinstance(messages, list) or not messages:
        raise Unparsable("no messages")
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise Unparsable("a message without a role")
        content = message.get("content")
        if isinstance(content, list):
            text = _sole_text(content)
            if text is not None:
                message["content"] = text
        elif content is not None and not isinstance(content, str):
            raise Unparsable("a message whose content is neither text nor parts")
    last = messages[-1]
    prompt = last.get("content")
    if last["role"] != "user" or not isinstance(prompt, str):
        return messages, None
    last["content"] = _PROMPT
    return messages, prompt


def _sole_text(parts: list[Any]) -> str | None:
    if len(parts) != 1 or not isinstance(part := parts[0], dict) or len(part) != 2:
        return None
    text = part.get("text")
    return text if part.get("type") == "text" and isinstance(text, str) else None


def _split_frame(
    request: dict[str, Any], messages: list[dict[str, Any]], choices: int
) -> tuple[str, dict[str, Any]]:
    """Return the user, and everything in the request that can change the answer."""
    frame = {
        key: value
        for key, value in request.items()
        if value is not None and key not in _NOT_IN_FRAME and not key.startswith("prompt_cache_")
    }
    frame["messages"] = messages
    if choices == 1:
        frame.pop("n", None)
    if isinstance(frame.get("cache"), dict):
        del frame["cache"]
    if _USER_FIELDS.isdisjoint(frame):
        return "", frame
    return _joined(_taken(frame, "user"), _taken(frame, "safety_identifier")), frame


def _taken(frame: dict[str, Any], name: str) -> str:
    return frame.pop(name) if isinstance(frame.get(name), str) else ""


def _joined(user: str, safety_identifier: str) -> str:
    # Either alone stands as it is. Both are joined behind a NUL, and so is a name that begins
    # with one, so that no single name equals a joined pair.
    single = user or safety_identifier
    if (user and safety_identifier) or single.startswith("\0"):
        return "\0" + msgspec.json.encode((user, safety_identifier)).decode()
    return single


def _model(request: dict[str, Any]) -> str:
    model = request.get("model")
    if model is None:
        return ""  # servers with one model do not ask for its name
    if not isinstance(model, str):
        raise Unparsable("model is not a string")
    return model


def _has_tools(request: dict[str, Any]) -> bool:
    return any(request.get(field) for field in _TOOL_FIELDS)


def _flag(values: dict[str, Any], name: str) -> bool:
    value = values.get(name)
    if value is not None and not isinstance(value, bool):
        raise Unparsable(f"{name} is not true or false")
    return value is True


def _choices(request: dict[str, Any]) -> int:
    choices = request.get("n")
    if choices is None:
        return 1
    if type(choices) is not int or choices < 1:
        raise Unparsable("n is not a count")
    return choices


def _wants_usage(request: dict[str, Any]) -> bool:
    options = request.get("stream_options")
    if options is None:
        return False
    if not isinstance(options, dict):
        raise Unparsable("stream_options is not an object")
    return _flag(options, "include_usage")


def _temperature(request: dict[str, Any]) -> float | None:
    value = request.get("temperature")
    if value is None:
        return None
    if type(value) not in (int, float) or not -_MAX_NUMBER < value < _MAX_NUMBER:
        raise Unparsable("temperature is not a number")
    return float(value)


def _metadata(request: dict[str, Any]) -> dict[str, str]:
    metadata = request.get("metadata")
    if not isinstance(metadata, dict):
        return {}
    return {key: value for key, value in metadata.items() if isinstance(value, str)}
