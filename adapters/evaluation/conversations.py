"""Pairs of conversations with labels: read as they are, or derived from dialogues.

A file holds rows of two shapes. Rows with ``messages_a``, ``messages_b`` and ``label`` are cases as
they stand: a is stored, b is asked, each with its last user text as the prompt.

Rows with ``raw`` hold a dialogue of two questions, each in two wordings (``u0``, ``u0_duplicate``,
``u1``, ``u1_duplicate``, with the answers ``system_q0`` and ``system_q1``), as MeanCache published
them. MeanCache counts a follow-up as a duplicate only where the dialogue before it is the same. In
those terms each dialogue becomes four cases; what is stored is the dialogue in its first wording:

- ``first``, label 1: the other wording of the first question is asked;
- ``follow_up``, label 1: the other wording of the follow-up, after the same words;
- ``both``, label 1: the other wording of the follow-up, after that of the first question;
- ``other_history``, label 0: the follow-up to the letter, after another dialogue's first question.

The first question is always answered by ``system_q0``: with a cache both wordings have got that
answer. The other dialogue is the next one in the file that shares no text with this one and is of
the same half, so that no case mixes the halves. Some follow-ups name their subject and could be
answered after any dialogue; they are label 0 all the same, so that figures err to the strict side.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from ..dialects.dialect import Unparsable
from .asker import Message
from .chat import chat_call
from .data import Pair, half_of, read_rows

Turns = tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Conversation(Pair):
    """Two conversations; ``q1`` and ``q2`` are the last user texts."""

    before_q1: Turns = ()
    before_q2: Turns = ()

    @property
    def earlier(self) -> tuple[Turns, Turns]:
        """The messages before ``q1``, and those before ``q2``."""
        return self.before_q1, self.before_q2


@dataclass(frozen=True, slots=True)
class Texts:
    """What was said in a dialogue, and other wordings of what the user said."""

    u0: str
    u0_duplicate: str
    system_q0: str
    u1: str
    u1_duplicate: str

    def said_by_user(self) -> frozenset[str]:
        """Return what the user said, in all wordings."""
        return frozenset((self.u0, self.u0_duplicate, self.u1, self.u1_duplicate))


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A row from which cases are derived."""

    id: str
    raw: Texts


@dataclass(frozen=True, slots=True)
class _Labelled:
    id: str
    messages_a: list[dict[str, Any]]
    messages_b: list[dict[str, Any]]
    label: Literal[0, 1]
    kind: str = ""
    category: str = ""


@dataclass(frozen=True, slots=True)
class _Shape:
    raw: Any = None


_labelled = msgspec.json.Decoder(_Labelled)
_dialogues = msgspec.json.Decoder(Dialogue)
_shapes = msgspec.json.Decoder(_Shape)


def load_conversations(path: Path, limit: int | None = None) -> list[Conversation]:
    """Read or derive the cases of the first ``limit`` rows of ``path``. Raises ``DataError``."""
    rows = read_rows(path, _decode, limit)
    derived = derive([row for row in rows if isinstance(row, Dialogue)])
    return [*(row for row in rows if isinstance(row, Conversation)), *derived]


def derive(dialogues: Sequence[Dialogue]) -> list[Conversation]:
    """Return the cases of each dialogue, as the module says."""
    cases: list[Conversation] = []
    for number, dialogue in enumerate(dialogues):
        texts = dialogue.raw
        before = _before(texts.u0, texts.system_q0)
        reworded = _before(texts.u0_duplicate, texts.system_q0)
        cases += [
            _case(dialogue, "first", 1, texts.u0, texts.u0_duplicate),
            _case(dialogue, "follow_up", 1, texts.u1, texts.u1_duplicate, before, before),
            _case(dialogue, "both", 1, texts.u1, texts.u1_duplicate, before, reworded),
        ]
        other = next(_others(dialogues, number), None)
        if other is not None:
            after = _before(other.u0, other.system_q0)
            cases.append(_case(dialogue, "other_history", 0, texts.u1, texts.u1, before, after))
    return cases


def _others(dialogues: Sequence[Dialogue], number: int) -> Iterator[Texts]:
    half, said = half_of(dialogues[number].id), dialogues[number].raw.said_by_user()
    for other in (*dialogues[number + 1 :], *dialogues[:number]):
        if half_of(other.id) == half and said.isdisjoint(other.raw.said_by_user()):
            yield other.raw


def _before(question: str, answer: str) -> Turns:
    return {"role": "user", "content": question}, {"role": "assistant", "content": answer}


def _case(
    dialogue: Dialogue,
    kind: str,
    label: Literal[0, 1],
    q1: str,
    q2: str,
    before_q1: Turns = (),
    before_q2: Turns = (),
) -> Conversation:
    # The number stays at the end: it says which half the case is in.
    return Conversation(f"{kind}-{dialogue.id}", q1, q2, label, kind, "", before_q1, before_q2)


def _decode(line: bytes) -> Conversation | Dialogue:
    if _shapes.decode(line).raw is not None:
        return _dialogues.decode(line)
    row = _labelled.decode(line)
    (before_q1, q1), (before_q2, q2) = (
        _split(row.messages_a, "messages_a"),
        _split(row.messages_b, "messages_b"),
    )
    return Conversation(row.id, q1, q2, row.label, row.kind, row.category, before_q1, before_q2)


def _split(messages: list[dict[str, Any]], name: str) -> tuple[Turns, str]:
    try:
        call = chat_call(messages)
    except Unparsable as exc:
        raise msgspec.ValidationError(f"{name}: {exc}") from exc
    if not call.ends_with_user_text:
        raise msgspec.ValidationError(f"{name}: the last message is not a user's text")
    return tuple(messages[:-1]), call.prompt
