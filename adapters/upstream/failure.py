"""What goes wrong with an upstream, in the words and the shape that OpenAI clients read.

Messages name the upstream by scheme, host and port, and hold nothing of the request.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import aiohttp


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed exchange: HTTP status, machine-readable code, one sentence."""

    status: int
    code: str
    message: str

    def body(self) -> bytes:
        """Render as a JSON error object."""
        error = {
            "message": self.message,
            "type": "invalid_request_error" if self.status < 500 else "upstream_error",
            "param": None,
            "code": self.code,
        }
        return json.dumps({"error": error}).encode()

    def frame(self, *, after: bytes) -> bytes:
        """Render as a server-sent event that starts on a line of its own, whatever came before."""
        open_event = bool(after) and not after.endswith((b"\n\n", b"\r\n\r\n", b"\r\r"))
        return (b"\n\n" if open_event else b"") + b"data: " + self.body() + b"\n\n"


def failure_of(exc: aiohttp.ClientError | OSError, origin: str) -> Failure:
    """Translate what the HTTP client raised."""
    match exc:
        case aiohttp.ConnectionTimeoutError():
            return Failure(
                504,
                "upstream_timeout",
                f"The upstream {origin} did not accept a connection in time.",
            )
        case TimeoutError():
            return Failure(
                504, "upstream_timeout", f"The upstream {origin} did not send anything in time."
            )
        case aiohttp.ClientConnectorError():
            return Failure(
                502, "upstream_unreachable", f"The upstream {origin} could not be reached."
            )
        case _:
            return Failure(
                502, "upstream_broken", f"The upstream {origin} broke off or did not speak HTTP."
            )
