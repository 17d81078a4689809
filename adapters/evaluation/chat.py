"""Messages as the ``Call`` that a chat client's request becomes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ...policies.facts import Call
from ..dialects.openai_chat import OpenAIChat
from .asker import Message

PATH = "/v1/chat/completions"


def chat_call(messages: Sequence[Message]) -> Call:
    """Parse a request with ``messages`` as the serving dialect does. Raises ``Unparsable``."""
    body = msgspec.json.encode({"model": "evaluation", "messages": list(messages)})
    return OpenAIChat().parse(PATH, body).call
