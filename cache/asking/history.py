"""Conversations that differ only in what the user said earlier: where their entries are found.

They share a second partition, made like the first from all that can change the answer, with the
user's earlier texts blanked. Roles, count and order of the messages stay, and so do the answers in
between, system prompts, images and every other field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...policies.facts import Turns
from ..ports import PartitionKey
from .normal_form import nfc

# Stands for a blanked text. No request can hold it: dialects refuse a content that is an object.
_TURN: Mapping[str, Any] = {"$turn": 1}

MOST_CHARACTERS = 4096  # of all turns together; kept with each entry, in memory and in the store


@dataclass(frozen=True, slots=True)
class History:
    """What the user said earlier, and where conversations stand that differ in nothing else."""

    partition: PartitionKey
    turns: Turns


def without_turns(frame: Mapping[str, Any]) -> tuple[Mapping[str, Any], Turns] | None:
    """Return ``frame`` with the user's earlier texts blanked, and these texts.

    None where there are none, or more than is kept. Messages of several parts stay as they are.
    """
    messages = frame.get("messages")
    if not isinstance(messages, list):
        return None
    turns = tuple(_text(message["content"]) for message in messages if _is_turn(message))
    if not turns or sum(map(len, turns)) > MOST_CHARACTERS:
        return None
    blanked = [{**m, "content": _TURN} if _is_turn(m) else m for m in messages]
    return {**frame, "messages": blanked}, turns


def _is_turn(message: Any) -> bool:
    # The last user text is no string in a frame.
    return (
        isinstance(message, dict)
        and message.get("role") == "user"
        and isinstance(message.get("content"), str)
    )


def _text(content: str) -> str:
    return nfc(content).replace("\r\n", "\n").strip()
