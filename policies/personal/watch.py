"""What a policy wants to know of personal data: who minds which kinds, and where they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..facts import Call
from ..policy_values import CategoryPolicy, minds
from .finder import Finder, finder


@dataclass(frozen=True, slots=True)
class Watch:
    """Looks for the kinds that some category minds."""

    finder: Finder
    cached: Sequence[CategoryPolicy]

    def in_call(self, call: Call) -> frozenset[str]:
        """Return the kinds in what the user says in ``call``, earlier turns included.

        What systems and models say there is left out: of it nothing but a digest is kept.
        """
        return self.in_texts(_said(call))

    def in_texts(self, texts: Iterable[str]) -> frozenset[str]:
        """Return the kinds in ``texts``."""
        return frozenset[str]().union(*map(self.finder.kinds, texts))

    def redacted(self, text: str, kinds: frozenset[str]) -> str:
        """Return ``text`` with placeholders for the values of ``kinds``."""
        return self.finder.redact(text, kinds)

    def refused(self, call: Call) -> bool:
        """Say whether no category would take the call: then it need not even be embedded."""
        return all(p.personal_data == "refuse" and minds(p, call.personal) for p in self.cached)


def watch(policies: Iterable[CategoryPolicy]) -> Watch | None:
    """Return a watch over what ``policies`` mind, None where none minds anything."""
    cached = [policy for policy in policies if policy.cache]
    wanted = (policy.personal_kinds for policy in cached if policy.personal_data != "allow")
    found = finder(frozenset[str]().union(*wanted))
    return None if found is None else Watch(found, cached)


def _said(call: Call) -> Iterator[str]:
    yield call.prompt
    messages = call.frame.get("messages")
    for message in messages if isinstance(messages, list) else ():
        if not isinstance(message, dict) or message.get("role") != "user":
            continue
        content = message.get("content")
        if isinstance(content, str):
            yield content
        elif isinstance(content, list):
            parts = (part.get("text") for part in content if isinstance(part, dict))
            yield from (text for text in parts if isinstance(text, str))
