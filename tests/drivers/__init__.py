"""Drivers for tests that run whole apps: `from tests.drivers import AsgiDriver, serve, …`."""

from .asgi import AsgiDriver, Exchange
from .gate import Gate
from .raw import raw_upstream
from .replies import (
    Act,
    Pause,
    Reply,
    Seen,
    chat_reply,
    error_reply,
    html_reply,
    json_reply,
    sse_reply,
)
from .scripted_upstream import ScriptedUpstream
from .serving import Served, serve

__all__ = [
    "Act",
    "AsgiDriver",
    "Exchange",
    "Gate",
    "Pause",
    "Reply",
    "ScriptedUpstream",
    "Seen",
    "Served",
    "chat_reply",
    "error_reply",
    "html_reply",
    "json_reply",
    "raw_upstream",
    "serve",
    "sse_reply",
]
