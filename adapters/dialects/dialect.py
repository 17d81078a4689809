"""The port that every wire dialect implements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ...cache.entries.entry import Answer
from ...cache.entries.rendering import Rendering
from ...policies.facts import Call
from ...policies.verdict import Reason


class Unparsable(Exception):
    """The request is not one that this dialect understands; it is forwarded untouched."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A request understood."""

    call: Call
    forward: bytes | None  # the body to forward when it differs from what came in


@dataclass(frozen=True, slots=True)
class Unstorable:
    """A received answer that must not be stored, and why."""

    reason: Reason


class Recorder(Protocol):
    """Reads a copy of an answer as it passes. Never raises on what an upstream sends."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body, split anywhere."""
        ...

    def finish(self) -> Answer | Unstorable:
        """Say what was received; call once, when the body ended as its protocol says."""
        ...


class Dialect(Protocol):
    """One wire format: request to ``Call``, answer to ``Answer`` and back."""

    @property
    def name(self) -> str:
        """Return its name, "openai.chat"."""
        ...

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the path endings that speak it, "/chat/completions"."""
        ...

    def parse(self, path: str, body: bytes) -> Parsed:
        """Understand a request body. Raises ``Unparsable``."""
        ...

    def unstreamed(self, body: bytes) -> bytes:
        """Return a request body that ``parse`` took, asking for the answer in one piece."""
        ...

    def question(self, model: str, instructions: str, text: str) -> bytes:
        """Render a request for a few tokens of the likeliest answer to ``text``."""
        ...

    def recorder(self, *, stream: bool, limit_bytes: int) -> Recorder:
        """Return a recorder for a streamed (SSE) or a plain JSON answer."""
        ...

    def body(self, answer: Answer) -> bytes:
        """Render ``answer`` for a caller that did not ask for a stream; fresh ``id``."""
        ...

    def frames(self, answer: Answer, *, usage: bool) -> list[bytes]:
        """Render ``answer`` as SSE frames, terminal frame included; fresh ``id``."""
        ...

    def rendering(self, answer: Answer, *, stream: bool, usage: bool) -> Rendering:
        """Render ``answer`` once for all that will be sent of it: a body, or joined frames."""
        ...

    def fresh(self, rendering: Rendering) -> bytes:
        """Return what ``rendering`` made, with a fresh ``id``."""
        ...

    def error(self, message: str, *, kind: str, code: str) -> bytes:
        """Render an error in this dialect's shape."""
        ...
