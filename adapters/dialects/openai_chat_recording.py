"""Read chat completion answers as they pass: a stream of chunks, or one JSON object."""

from __future__ import annotations

from ...cache.entries.entry import Answer
from ...policies.verdict import Reason
from .answer_fields import Refused
from .dialect import Unstorable
from .openai_chat_assembly import Assembly
from .sse import Event, EventParser
from .wire_json import NotJson, decode

_ENVELOPE_BYTES = 64 << 10  # what a chunk may hold beside the text that is kept


class StreamRecorder:
    """Reads a stream of chat completion chunks.

    Of an answer at most ``limit_bytes`` are kept, however many bytes its chunks took, so that
    a stream and a JSON object with the same answer are treated alike.
    """

    def __init__(self, *, limit_bytes: int) -> None:
        self._parser = EventParser(limit_bytes=limit_bytes + _ENVELOPE_BYTES)
        self._assembly = Assembly(limit_bytes=limit_bytes)
        self._done = False
        self._refused: Reason | None = None

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body, split anywhere; what follows ``[DONE]`` is ignored."""
        if self._done or self._refused:
            return
        self._take(self._parser.feed(data))
        if self._parser.overflowed and not self._done:
            self._refuse(Reason.TOO_LARGE)

    def finish(self) -> Answer | Unstorable:
        """Say what was received; call once, when the body ended as its protocol says."""
        if not self._done and not self._refused:
            # Some servers leave out the last empty line. A cut chunk is no JSON, so this is safe.
            self._take(self._parser.flush())
        if self._refused:
            return Unstorable(self._refused)
        if not self._done:
            return Unstorable(Reason.INCOMPLETE)
        return _answer(self._assembly)

    def _take(self, events: list[Event]) -> None:
        for event in events:
            if event.data.strip() == b"[DONE]":
                self._done = True
                return
            if event.name == "error":
                self._refuse(Reason.INCOMPLETE)
                return
            try:
                self._assembly.take(decode(event.data), message="delta")
            except NotJson:
                self._refuse(Reason.INCOMPLETE)
                return
            except Refused as refused:
                self._refuse(refused.reason)
                return

    def _refuse(self, reason: Reason) -> None:
        self._refused = reason
        # What was collected is of no more use, and the stream may go on for long.
        self._assembly = Assembly(limit_bytes=0)


class JsonRecorder:
    """Reads one chat completion object of at most ``limit_bytes``."""

    def __init__(self, *, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._body = bytearray()
        self._too_large = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body, split anywhere."""
        if self._too_large:
            return
        if len(self._body) + len(data) > self._limit:
            self._too_large = True
            self._body.clear()
            return
        self._body += data

    def finish(self) -> Answer | Unstorable:
        """Say what was received; call once, when the body ended as its protocol says."""
        if self._too_large:
            return Unstorable(Reason.TOO_LARGE)
        assembly = Assembly(limit_bytes=self._limit)
        try:
            completion = decode(bytes(self._body))
            if not isinstance(completion, dict) or not isinstance(completion.get("choices"), list):
                return Unstorable(Reason.INCOMPLETE)  # valid JSON, but no completion
            assembly.take(completion, message="message")
        except NotJson:
            return Unstorable(Reason.INCOMPLETE)
        except Refused as refused:
            return Unstorable(refused.reason)
        return _answer(assembly)


def _answer(assembly: Assembly) -> Answer | Unstorable:
    try:
        return assembly.answer()
    except Refused as refused:
        return Unstorable(refused.reason)
