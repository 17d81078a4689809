"""Put one choice of a chat completion together from its message, whole or in pieces."""

from __future__ import annotations

from io import StringIO
from typing import Any

from ...cache.entries.entry import Choice, ToolCall
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
    says_nothing,
)

_TOOL = frozenset({"index", "id", "type", "function"})
_FUNCTION = frozenset({"name", "arguments"})


class ChoiceAssembly:
    """One choice in the making. All methods raise ``Refused``."""

    __slots__ = ("_reasoning", "_refusal", "_room", "_text", "_tools", "finish_reason")

    def __init__(self, room: Room) -> None:
        self._room = room
        self._text: StringIO | None = None  # None = no text was sent, which is not the same as ""
        self._refusal = StringIO()
        self._reasoning: dict[str, StringIO] = {}
        self._tools: dict[int, _ToolAssembly] = {}
        self.finish_reason = ""

    def take_finish_reason(self, value: object) -> None:
        """Take why the choice ended; "" is what some servers send for "not yet"."""
        finish_reason = a_string(value)
        if self.finish_reason and finish_reason not in ("", self.finish_reason):
            raise Refused(Reason.UNSUPPORTED)
        self.finish_reason = finish_reason or self.finish_reason

    def take(self, part: object) -> None:
        """Take a message or a piece of one."""
        for key, value in an_object(part).items():
            if value is None:
                continue
            if key == "content":
                if self._text is None:
                    self._text = StringIO()
                self._text.write(self._room.admit(value))
            else:
                self._take_other(key, value)

    def choice(self) -> Choice:
        """Return the finished choice."""
        tools = tuple(tool.call() for tool in in_order(self._tools))
        text = None if self._text is None else self._text.getvalue()
        refusal = self._refusal.getvalue() or None
        if self.finish_reason == "function_call":
            raise Refused(Reason.UNSUPPORTED)
        if self.finish_reason not in ("stop", "tool_calls"):
            raise Refused(Reason.FINISH_REASON)
        if not (text or tools or refusal):
            raise Refused(Reason.EMPTY)
        if self.finish_reason == "tool_calls" and not tools:
            raise Refused(Reason.UNSUPPORTED)
        reasoning, field = self._reasoning_text()
        return Choice(text, self.finish_reason, tools, refusal, reasoning, field)

    def _take_other(self, key: str, value: object) -> None:
        if key == "refusal":
            self._refusal.write(self._room.admit(value))
        elif key in ("reasoning", "reasoning_content"):
            self._reasoning.setdefault(key, StringIO()).write(self._room.admit(value))
        elif key == "tool_calls":
            for position, part in enumerate(a_list(value)):
                index = an_index(an_object(part).get("index", position))
                self._tools.setdefault(index, _ToolAssembly(self._room)).take(part)
        elif not (key == "role" and value == "assistant") and not says_nothing(value):
            raise Refused(Reason.UNSUPPORTED)

    def _reasoning_text(self) -> tuple[str | None, str]:
        # Some vLLM versions send the same text under both names; then both are replayed.
        sent = {name: text for name, io in self._reasoning.items() if (text := io.getvalue())}
        if len(set(sent.values())) > 1:
            raise Refused(Reason.UNSUPPORTED)
        return next(iter(sent.values()), None), ",".join(sorted(sent))


class _ToolAssembly:
    """One tool call in the making."""

    __slots__ = ("_arguments", "_id", "_name", "_room")

    def __init__(self, room: Room) -> None:
        self._room = room
        self._id = ""
        self._name = ""
        self._arguments = StringIO()

    def take(self, part: dict[str, Any]) -> None:
        """Take a tool call or a piece of one."""
        check_fields(part, _TOOL)
        if part.get("type") not in (None, "", "function"):
            raise Refused(Reason.UNSUPPORTED)
        self._id = self._once(self._id, part.get("id"))
        function = part.get("function")
        if function is None:
            return
        check_fields(an_object(function), _FUNCTION)
        self._name = self._once(self._name, function.get("name"))
        arguments = function.get("arguments")
        if arguments is not None:
            self._arguments.write(self._room.admit(arguments))

    def call(self) -> ToolCall:
        """Return the finished call."""
        if not (self._id and self._name):
            raise Refused(Reason.UNSUPPORTED)
        return ToolCall(self._id, self._name, self._arguments.getvalue())

    def _once(self, known: str, value: object) -> str:
        # Sent with the first piece; some servers repeat it, but it never changes.
        if value in (None, "", known):
            return known
        if known:
            raise Refused(Reason.UNSUPPORTED)
        return self._room.admit(value)
