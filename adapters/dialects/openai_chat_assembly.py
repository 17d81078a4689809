"""Put an ``Answer`` together from chat completion objects, whole or in pieces.

Whatever an answer holds beyond what ``Answer`` can express makes it unstorable, unless it says
nothing (null, empty) or is on the lists below: fields that tell how the answer was served, not
what it says.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from ...cache.entries.entry import Answer
from ...policies.verdict import Reason
from .answer_fields import (
    Refused,
    Room,
    a_list,
    a_string,
    an_index,
    an_object,
    check_fields,
    in_order,
)
from .openai_chat_choice import ChoiceAssembly

_TOP = frozenset({"id", "object", "created", "model", "choices", "usage", "system_fingerprint"})
_TOP_DROPPED = frozenset(
    {
        "service_tier",  # OpenAI, Groq: which queue served it
        "obfuscation",  # OpenAI: padding against traffic analysis
        "p",  # Mistral, Cloudflare: the same
        "prompt_filter_results",  # Azure: about the prompt, which passed
        "provider",  # OpenRouter: who served it
        "x_groq",  # Groq: request id and its own usage (its `error` is looked at)
        "timings",  # llama.cpp
        "time_info",  # Cerebras
        "usage_breakdown",  # Groq
    }
)
_CHOICE = {
    "message": frozenset({"index", "message", "finish_reason"}),
    "delta": frozenset({"index", "delta", "finish_reason"}),
}
_CHOICE_DROPPED = frozenset(
    {
        "content_filter_results",  # Azure; an answer that was filtered ends with content_filter
        "content_filter_offsets",  # Azure
        "stop_reason",  # vLLM: which stop string or token ended it
        "matched_stop",  # SGLang: the same
        "native_finish_reason",  # OpenRouter: the provider's word for finish_reason
    }
)
_MAX_CREATED = 1 << 53  # past it JSON numbers lose digits


class Assembly:
    """Collects one answer; keeps at most ``limit_bytes`` of its text (UTF-8)."""

    def __init__(self, *, limit_bytes: int) -> None:
        self._room = Room(limit_bytes)
        self._choices: dict[int, ChoiceAssembly] = {}
        self._model = ""
        self._created = 0
        self._fingerprint: str | None = None
        self._usage: dict[str, Any] | None = None

    def take(self, part: object, *, message: Literal["message", "delta"]) -> None:
        """Take a completion, or a chunk of one. Raises ``Refused``.

        ``message`` names the field of a choice that holds its content.
        """
        if not isinstance(part, dict) or part.get("error") is not None:
            raise Refused(Reason.INCOMPLETE)
        check_fields(part, _TOP, _TOP_DROPPED)
        groq = part.get("x_groq")
        if isinstance(groq, dict) and groq.get("error") is not None:
            raise Refused(Reason.INCOMPLETE)  # Groq's way to say why a stream stopped early
        if not self._model or not self._created or self._fingerprint is None:
            self._take_head(part)
        usage = part.get("usage")
        if usage is not None:
            self._take_usage(usage)
        for choice in a_list(part.get("choices")):
            self._take_choice(choice, message)

    def answer(self) -> Answer:
        """Return what was put together. Raises ``Refused``."""
        if not self._choices:
            raise Refused(Reason.EMPTY)
        ordered = in_order(self._choices)
        if not all(choice.finish_reason for choice in ordered):
            raise Refused(Reason.INCOMPLETE)
        return Answer(
            model=self._model,
            created=self._created,
            choices=tuple(choice.choice() for choice in ordered),
            usage=self._usage,
            system_fingerprint=self._fingerprint,
        )

    def _take_head(self, part: dict[str, Any]) -> None:
        # Azure's first chunk has an empty model and a `created` of 0: the first real ones count.
        model, created = part.get("model"), part.get("created")
        if not self._model and model is not None:
            self._model = a_string(model)
        if not self._created and isinstance(created, int | float) and 0 < created < _MAX_CREATED:
            self._created = int(created)
        fingerprint = part.get("system_fingerprint")
        if self._fingerprint is None and fingerprint is not None:
            self._fingerprint = a_string(fingerprint) or None

    def _take_usage(self, usage: object) -> None:
        usage = an_object(usage)
        try:
            msgspec.msgpack.encode(usage)  # integers past 64 bits cannot be stored
        except (OverflowError, RecursionError) as exc:
            raise Refused(Reason.UNSUPPORTED) from exc
        self._usage = usage or self._usage

    def _take_choice(self, part: object, message: Literal["message", "delta"]) -> None:
        part = an_object(part)
        check_fields(part, _CHOICE[message], _CHOICE_DROPPED)
        index = an_index(part.get("index"))
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = ChoiceAssembly(self._room)
        finish_reason = part.get("finish_reason")
        if finish_reason is not None:
            choice.take_finish_reason(finish_reason)
        content = part.get(message)
        if content is not None:
            choice.take(content)
