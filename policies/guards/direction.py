"""Direction: "from X to Y" is not "from Y to X", and "X beats Y" is not "Y beats X"."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

# A pivot gives the words around it a role: the letter says which pivots are one family.
_AFTER = {"to": "m>", "into": "m>", "from": "m<", "than": "t>", "over": "o>", "by": "b>"}
_BEFORE = {"to": "m<", "into": "m<", "than": "t<", "over": "o<", "by": "b<"}
_UNDIRECTED = frozenset(
    "vs versus between different difference differ same similar equal compare compared".split()
)
_EITHER_WAY = _UNDIRECTED | {"and", "or", "nor", "with"}
_PLAIN = frozenset(
    "a an the is are was were be do does did will would can could should how what which who "
    "where when why i you we they he she it my your our their his her its me us this that these "
    "those of in on at for and or with as if there have has had any some all".split()
)
_REACH = 2  # content words on either side of a pivot
_MOST = 3  # words in a thing that has changed places with another


def roles(words: Sequence[str]) -> tuple[str, ...]:
    """Return the content words beside "from", "to", "than", each with its role; sorted."""
    if _AFTER.keys().isdisjoint(words) or not _UNDIRECTED.isdisjoint(words):
        return ()
    found: set[str] = set()
    for place, word in enumerate(words):
        if word in _AFTER:
            reach = 1 if word == "to" else _REACH  # "to reset the" leads to a verb alone
            after = _near(words[place + 1 : place + 8], reach)
            found.update(_AFTER[word] + near for near in after)
        if word in _BEFORE:
            before = words[max(0, place - 7) : place][::-1]
            found.update(_BEFORE[word] + near for near in _near(before, _REACH))
    return tuple(sorted(found))


def reversed_roles(mine: Sequence[str], stored: Sequence[str]) -> bool:
    """Say whether two words have changed their roles with each other."""
    if not mine or not stored or mine == stored:
        return False
    moved = {
        role[1]
        for role in mine
        if _turned(role) in stored and role not in stored and _turned(role) not in mine
    }
    return len(moved) == 2


def exchanged(mine: Sequence[str], stored: Sequence[str]) -> bool:
    """Say whether the texts differ only in two things that have changed places.

    Not so when only words such as "and" stand between them.
    """
    if len(mine) != len(stored) or mine == stored or Counter(mine) != Counter(stored):
        return False
    if not _UNDIRECTED.isdisjoint(mine):
        return False
    first = next(i for i, word in enumerate(mine) if word != stored[i])
    last = next(i for i in range(len(mine) - 1, -1, -1) if mine[i] != stored[i]) + 1
    mine, stored = mine[first:last], stored[first:last]
    for head in range(1, min(_MOST, len(mine) - 1) + 1):
        for tail in range(1, min(_MOST, len(mine) - head - 1) + 1):
            middle = mine[head:-tail]
            if stored == [*mine[-tail:], *middle, *mine[:head]]:
                return _EITHER_WAY.isdisjoint(middle)
    return False


def _near(words: Sequence[str], reach: int) -> list[str]:
    near: list[str] = []
    for word in words:
        if word in _AFTER or len(near) == reach:
            break
        if word not in _PLAIN:
            near.append(word)
    return near


def _turned(role: str) -> str:
    return role[0] + ("<" if role[1] == ">" else ">") + role[2:]
