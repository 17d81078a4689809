"""Draws labelled pairs from families of hand-written groups."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from random import Random

from . import light_changes, sameness, traps
from .groups import Choice, Family, Group, Values, choose, fill, list_of, other_value
from .sources import Pair

DRESSES = (
    sameness.courteous,
    sameness.retyped,
    sameness.mistyped,
    sameness.hummed,
    light_changes.reopened,
    light_changes.reopened,
    light_changes.fronted,
    light_changes.unarticled,
)
# Share of the equal pairs that are the closest wordings. As many contrasts are close: else a small
# change would speak for a label by itself.
CLOSE = 0.5
DRESSED = 0.3  # share of texts, of either label, that get manners or noise
EQUALS = re.compile(
    r"(?i)\bbetween\b|\bdiffer|\bvs\b|\bversus\b|\bcompar|\btogether\b|\b(?:and|or) \{"
)


OFTEN = 3  # times the draws of other families, for those of the files that are asked for


class Drawer:
    """Draws pairs. Every method returns one pair, or None where the draw has no such pair.

    Families of files whose name begins with ``often`` are drawn more often.
    """

    def __init__(
        self,
        families: Sequence[Family],
        values: Values,
        strangers: Sequence[tuple[Group, Group]],
        random: Random,
        often: str | None = None,
    ) -> None:
        self._families = families
        self._values = values
        self._strangers = strangers
        self._random = random
        self._places = [
            (f, g)
            for f in families
            for g in f.groups
            for _ in range((1 + 2 * _worded(g, values)) * _weight(f, often))
        ]
        self._many = [(f, g) for f, g in self._places if len(g.variants) > 1]
        self._slotted = [(f, g) for f, g in self._places if g.slots]
        self._twins = [(f, g) for f, g in self._places if _twin_slots(g, values)]

    def text(self) -> str:
        """Return one text."""
        _, group = self._random.choice(self._places)
        return self._filled(group, choose(group.slots, self._values, self._random))

    def equal(self) -> Pair | None:
        """Two variants of one group."""
        family, group = self._random.choice(self._many)
        chosen = choose(group.slots, self._values, self._random)
        one, two = self._random.sample(group.variants, 2)
        if self._random.random() < CLOSE:
            two = _nearest(one, [variant for variant in group.variants if variant != one])
        return self._pair(family, one, two, chosen, chosen, 1, "equal")

    def contrast(self) -> Pair | None:
        """Variants of two groups of one family, the same values in the slots that both have."""
        family, group = self._random.choice(self._places)
        others = [other for other in family.groups if other is not group]
        if not others:
            return None
        other = self._random.choice(others)
        slots = tuple(dict.fromkeys((*group.slots, *other.slots)))
        chosen = choose(slots, self._values, self._random)
        one, two = self._likest(group, other)
        return self._pair(family, one, two, chosen, chosen, 0, "contrast")

    def slot(self) -> Pair | None:
        """One group, another value in one slot."""
        family, group = self._random.choice(self._slotted)
        chosen = choose(group.slots, self._values, self._random)
        changed = self._random.choice(group.slots)
        other = other_value(changed, chosen, self._values, self._random)
        one, two = (self._random.choice(group.variants) for _ in range(2))
        if f"{{{changed}}}" not in one or f"{{{changed}}}" not in two:
            return None
        return self._pair(family, one, two, chosen, other, 0, "slot")

    def exchange(self) -> Pair | None:
        """One group, the values of two slots exchanged; equal where the two sides are equals."""
        if not self._twins:
            return None
        family, group = self._random.choice(self._twins)
        left, right = self._random.choice(_twin_slots(group, self._values))
        chosen = choose(group.slots, self._values, self._random)
        turned = {**chosen, left: chosen[right], right: chosen[left]}
        one, two = (self._random.choice(group.variants) for _ in range(2))
        if any(EQUALS.search(variant) for variant in group.variants):
            return None  # whether order counts here, the text does not say
        return self._pair(family, one, two, chosen, turned, 0, "exchange")

    def restated(self, text: str) -> Pair | None:
        """A text and the same text with manners, noise or another spelling."""
        changed = sameness.restate(text, self._random)
        return Pair(text, changed[0], 1, "rules", changed[1]) if changed else None

    def altered(self, text: str) -> Pair | None:
        """A text and the same text after a change of meaning."""
        changed = traps.alter(text, self._random)
        return Pair(text, changed[0], 0, "rules", changed[1]) if changed else None

    def reworded_trap(self) -> Pair | None:
        """Two variants of one group, one of them after a change of meaning."""
        family, group = self._random.choice(self._many)
        chosen = choose(group.slots, self._values, self._random)
        one, two = (fill(v, chosen, self._random) for v in self._random.sample(group.variants, 2))
        changed = traps.alter(two, self._random)
        return (
            Pair(one, changed[0], 0, family.source, f"reworded {changed[1]}") if changed else None
        )

    def stranger(self) -> Pair | None:
        """Variants of two near groups of different families."""
        if not self._strangers:
            return None
        one, two = self._random.choice(self._strangers)
        chosen = choose(tuple(dict.fromkeys((*one.slots, *two.slots))), self._values, self._random)
        left, right = self._random.choice(one.variants), self._random.choice(two.variants)
        first, second = (fill(v, chosen, self._random) for v in (left, right))
        return Pair(first, second, 0, "mined", "stranger")

    def unrelated(self) -> Pair | None:
        """Two texts drawn alone."""
        one, two = self._random.sample(self._families, 2)
        groups = [self._random.choice(f.groups) for f in (one, two)]
        first, second = (
            self._filled(g, choose(g.slots, self._values, self._random)) for g in groups
        )
        return Pair(first, second, 0, "mined", "unrelated")

    def dressed(self, pair: Pair) -> Pair:
        """Put manners or noise on either text now and then, and turn half of the pairs round.

        Labels 0 and 1 are treated alike: else noise itself would speak for a label.
        """
        texts = [pair.a, pair.b]
        for side in (0, 1):
            if self._random.random() < DRESSED:
                change = self._random.choice(DRESSES)
                texts[side] = change(texts[side], self._random) or texts[side]
        if self._random.random() < 0.5:
            texts.reverse()
        return replace(pair, a=texts[0], b=texts[1])

    def _likest(self, group: Group, other: Group) -> tuple[str, str]:
        """Return a variant of each, more often than not the two with most words in common."""
        one = self._random.choice(group.variants)
        if self._random.random() < 0.4:
            return one, self._random.choice(other.variants)
        return one, _nearest(one, other.variants)

    def _filled(self, group: Group, chosen: Choice) -> str:
        return fill(self._random.choice(group.variants), chosen, self._random)

    def _pair(
        self,
        family: Family,
        one: str,
        two: str,
        left: Choice,
        right: Choice,
        label: int,
        kind: str,
    ) -> Pair:
        texts = fill(one, left, self._random), fill(two, right, self._random)
        return Pair(*texts, label, family.source, kind)


def _twin_slots(group: Group, values: Values) -> list[tuple[str, str]]:
    """Return pairs of slots of one list that stand in the same variants."""
    slots = group.slots
    return [
        (one, two)
        for n, one in enumerate(slots)
        for two in slots[n + 1 :]
        if list_of(one, values) == list_of(two, values)
        and all(f"{{{one}}}" in v and f"{{{two}}}" in v for v in group.variants)
    ]


def _worded(group: Group, values: Values) -> bool:
    """Say whether a slot of ``group`` has values that are spelled in several ways."""
    lists = [values[name] for slot in group.slots if (name := list_of(slot, values))]
    return any(sum(map(len, found)) > 1.6 * len(found) for found in lists)


def _weight(family: Family, often: str | None) -> int:
    return OFTEN if often and family.source.startswith(often) else 1


def _nearest(text: str, others: Sequence[str]) -> str:
    """Return the one of ``others`` that has the most words in common with ``text``."""
    words = set(text.lower().split())
    return max(others, key=lambda other: _overlap(words, set(other.lower().split())))


def _overlap(one: set[str], two: set[str]) -> float:
    return len(one & two) / len(one | two)
