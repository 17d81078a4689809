"""Reads the hand-written groups of equal questions and fills their slots."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import yaml

SLOT = re.compile(r"\{([a-z_]+)(\d*)\}")
ESCAPES = str.maketrans({"\u00a0": " "})

Values = Mapping[str, Sequence[Sequence[str]]]  # slot: values, each in one or more spellings
Choice = Mapping[str, Sequence[str]]  # slot as written: the value taken


@dataclass(frozen=True, slots=True)
class Group:
    """Ways to ask one thing."""

    variants: tuple[str, ...]

    @property
    def slots(self) -> tuple[str, ...]:
        """Return the names of all slots, as written, in order of first use."""
        return tuple(dict.fromkeys(m[0][1:-1] for v in self.variants for m in SLOT.finditer(v)))


@dataclass(frozen=True, slots=True)
class Family:
    """Groups about one subject: near in wording, each with another answer."""

    groups: tuple[Group, ...]
    source: str

    @property
    def name(self) -> str:
        """Return what the family is known by, whatever file holds it."""
        return self.groups[0].variants[0]


def read_values(path: Path) -> Values:
    """Read ``slots.yaml``."""
    raw: dict[str, list[str]] = yaml.load(
        path.read_text(),
        Loader=yaml.BaseLoader,  # noqa: S506 - builds strings only
    )
    return {
        name: [tuple(part.strip() for part in value.split(" | ")) for value in values]
        for name, values in raw.items()
    }


def read_families(folder: Path) -> list[Family]:
    """Read every ``*.txt`` of ``folder``, in order of name."""
    families = []
    for path in sorted(folder.glob("*.txt")):
        for block in re.split(r"\n\s*\n", path.read_text().translate(ESCAPES)):
            lines = [line for line in block.splitlines() if line.strip() and line[0] != "#"]
            groups = tuple(group for line in lines if (group := _group(line)).variants)
            if groups:
                families.append(Family(groups, path.stem))
    return families


def _group(line: str) -> Group:
    parts = (" ".join(part.split()) for part in line.split("|"))
    return Group(tuple(dict.fromkeys(part for part in parts if part)))


def unknown_slots(families: Sequence[Family], values: Values) -> dict[str, set[str]]:
    """Return the slots that have no values, each with the files that use it."""
    found: dict[str, set[str]] = {}
    for family in families:
        for group in family.groups:
            for slot in group.slots:
                if list_of(slot, values) is None:
                    found.setdefault(slot, set()).add(family.source)
    return found


def list_of(slot: str, values: Values) -> str | None:
    """Return the name of the list that ``slot`` takes its values from: its own or its kind's."""
    kind = slot.rstrip("0123456789")
    return slot if slot in values else kind if kind in values else None


def choose(slots: Sequence[str], values: Values, random: Random) -> dict[str, Sequence[str]]:
    """Return a value for each slot; two slots of one list never share one."""
    chosen: dict[str, Sequence[str]] = {}
    for slot in slots:
        name = list_of(slot, values)
        assert name is not None, slot
        taken = {v[0] for s, v in chosen.items() if list_of(s, values) == name}
        chosen[slot] = random.choice([v for v in values[name] if v[0] not in taken])
    return chosen


def other_value(
    slot: str, chosen: Choice, values: Values, random: Random
) -> dict[str, Sequence[str]]:
    """Return ``chosen`` with another value in ``slot``; half the time one that looks alike."""
    name = list_of(slot, values)
    assert name is not None, slot
    taken = {v[0] for v in chosen.values()}
    free = [value for value in values[name] if value[0] not in taken]
    if not free:
        return dict(chosen)
    old = chosen[slot][0].lower()
    alike = [v for v in free if v[0][:1].lower() == old[:1] or set(v[0].split()) & set(old.split())]
    pool = alike if alike and random.random() < 0.5 else free
    return {**chosen, slot: random.choice(pool)}


def fill(variant: str, chosen: Choice, random: Random) -> str:
    """Put values into ``variant``, each in one of its spellings."""
    text = SLOT.sub(lambda m: random.choice(chosen[m[0][1:-1]]), variant)
    text = re.sub(r"\b[Aa] (?=[aeioAEIO][a-z])", lambda m: m[0][0] + "n ", text)
    return text[:1].upper() + text[1:] if variant[:1].isupper() else text
