"""Canonical bytes of a request's frame: equal bytes, equal question to the model.

Top-level keys are sorted and top-level nulls dropped, text is NFC; nothing else is changed, since
schemas and tools may mean their order and their nulls. Versioned: a change of the rules changes
every partition, which costs a cold start and never a wrong answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from .normal_form import nfc

VERSION = b"1"

Substitution = Callable[[str], str]
_encode = msgspec.json.Encoder().encode
_SYSTEM_ROLES = frozenset({"system", "developer"})


def canonical(frame: Mapping[str, Any], blank: Sequence[Substitution] = ()) -> bytes:
    """Return the canonical bytes of ``frame``.

    ``blank`` are the configured normalisations (a date in a system prompt becomes a placeholder);
    they touch system prompts only.
    """
    kept = {key: frame[key] for key in sorted(frame) if frame[key] is not None}
    if blank:
        kept = {key: _blanked(key, value, blank) for key, value in kept.items()}
    data = _encode(kept)
    return VERSION + (data if data.isascii() else nfc(data.decode()).encode())


def _blanked(key: str, value: Any, blank: Sequence[Substitution]) -> Any:
    if key == "system" and isinstance(value, str):
        return _apply(value, blank)
    if key == "messages" and isinstance(value, list):
        return [_blanked_message(message, blank) for message in value]
    return value


def _blanked_message(message: Any, blank: Sequence[Substitution]) -> Any:
    if not isinstance(message, dict) or message.get("role") not in _SYSTEM_ROLES:
        return message
    content = message.get("content")
    return {**message, "content": _apply(content, blank)} if isinstance(content, str) else message


def _apply(text: str, blank: Sequence[Substitution]) -> str:
    for substitute in blank:
        text = substitute(text)
    return text
