"""The demo's prompts: traffic whose right answers are known."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec


class TrafficError(Exception):
    """The file of prompts cannot be used; the message names file and line."""


class Kind(StrEnum):
    """What a prompt is to those before it."""

    NEW = "new"  # first of its key
    REPEAT = "repeat"  # an earlier prompt of its key, word for word
    PARAPHRASE = "paraphrase"  # an earlier prompt of its key, in other words
    TRAP = "trap"  # looks like the earlier prompt `near`, needs another answer


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of the conversation before the prompt."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """One request of the demo."""

    id: str
    category: str
    kind: Kind
    key: str  # prompts with the same key share a right answer, others never do
    prompt: str
    system: str = ""
    turns: tuple[Turn, ...] = ()
    temperature: float | None = None
    near: str = ""  # traps: id of the prompt whose answer must not be served

    def messages(self) -> list[dict[str, str]]:
        """Return the messages of the request, as chat completions want them."""
        system = [Turn("system", self.system)] if self.system else []
        turns = [*system, *self.turns, Turn("user", self.prompt)]
        return [{"role": turn.role, "content": turn.content} for turn in turns]

    def body(self) -> dict[str, Any]:
        """Return the part of a request body that depends on the prompt."""
        body: dict[str, Any] = {"messages": self.messages()}
        if self.temperature is not None:
            body["temperature"] = self.temperature
        return body


def load(path: Path | None = None) -> tuple[Prompt, ...]:
    """Read prompts from ``path``, a JSON object a line; None = those shipped with kindcache.

    Raises ``TrafficError``.
    """
    name = "prompts.jsonl" if path is None else str(path)
    try:
        source = resources.files(__package__) / name if path is None else path
        lines = source.read_bytes().splitlines()
    except OSError as exc:
        raise TrafficError(f"{name}: {exc.strerror or type(exc).__name__}") from exc
    decoder = msgspec.json.Decoder(Prompt)
    prompts: dict[str, Prompt] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            prompt = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise TrafficError(f"{name}:{number}: {exc}") from exc
        if prompt.id in prompts:
            raise TrafficError(f"{name}:{number}: id {prompt.id} is there twice")
        prompts[prompt.id] = prompt
    if not prompts:
        raise TrafficError(f"{name}: no prompts")
    return tuple(prompts.values())
