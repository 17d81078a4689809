"""The tee: reads a copy of an answer on its way to the caller, and tells what it was."""

from __future__ import annotations

import time
from collections.abc import Callable

from ...cache.entries.entry import Answer
from ...cache.settling import Received
from ...policies.verdict import Reason
from ..asgi import Headers, Message, header
from ..dialects.dialect import Dialect, Recorder
from .cache_control import forbids_storing


class Recording:
    """One answer being received. What it is given is never changed and never held back."""

    def __init__(
        self, dialect: Dialect, limit_bytes: int, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._dialect = dialect
        self._limit_bytes = limit_bytes
        self._recorder: Recorder | None = None
        self._clock = clock
        self._started = clock()
        self._first_byte_s = 0.0
        self._status = 0
        self._no_store = False
        self._size_bytes = 0
        self._unreadable: Reason | None = Reason.INCOMPLETE
        self.streamed = False
        self.ended = False

    def take(self, message: Message) -> None:
        """Take the next ASGI message of the response."""
        if message["type"] == "http.response.start":
            self._start(message["status"], message.get("headers", ()))
        elif message["type"] == "http.response.body":
            data = message.get("body", b"")
            self._size_bytes += len(data)
            if self._recorder is not None and data:
                self._recorder.feed(data)
            self.ended = not message.get("more_body", False)

    def received(self) -> Received:
        """Say what was received; before the end of the body it is incomplete."""
        return Received(
            answer=self._answer(),
            status=self._status,
            upstream_no_store=self._no_store,
            size_bytes=self._size_bytes,
            first_byte_s=self._first_byte_s,
            total_s=self._clock() - self._started,
        )

    def _start(self, status: int, headers: Headers) -> None:
        self._first_byte_s = self._clock() - self._started
        self._status = status
        self._no_store = forbids_storing(headers)
        kind = (header(headers, b"content-type") or b"").split(b";")[0].strip().lower()
        self.streamed = kind == b"text/event-stream"
        encoding = (header(headers, b"content-encoding") or b"identity").strip().lower()
        if not 200 <= status < 300:
            self._unreadable = Reason.STATUS
        elif encoding != b"identity" or kind not in {b"text/event-stream", b"application/json"}:
            self._unreadable = Reason.UNSUPPORTED
        else:
            self._unreadable = None
            self._recorder = self._dialect.recorder(
                stream=self.streamed, limit_bytes=self._limit_bytes
            )

    def _answer(self) -> Answer | Reason:
        if self._unreadable is not None:
            return self._unreadable
        if self._recorder is None or not self.ended:
            return Reason.INCOMPLETE
        result = self._recorder.finish()
        return result if isinstance(result, Answer) else result.reason
