"""Finds groups of different families that lie near each other: the hard negatives."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np
from numpy.typing import NDArray

from .embedding import encode
from .groups import Family, Group, Values, choose, fill

NEAR = 0.42  # least cosine that makes a pair hard
SAME = 0.78  # from here on the two may well ask the same
SAME_APART = 0.68  # the same for groups of two files, whose writers did not know of each other
TWIN = 0.88  # from here on two families are about one thing
NEIGHBOURS = 6


def near_strangers(
    families: Sequence[Family],
    texts: Sequence[tuple[str, ...]],
    values: Values,
    random: Random,
) -> list[tuple[Group, Group]]:
    """Return pairs of groups, of different families, that are near but not too near."""
    groups = [(n, f.source, group) for n, f in enumerate(families) for group in f.groups]
    groups += [
        (-1 - n, "public", Group(group)) for n, group in enumerate(texts) if "{" not in str(group)
    ]
    if len(groups) < 2:
        return []
    vectors = _placed([group for _, _, group in groups], values, random)
    pairs = []
    for row, (family, source, group) in enumerate(groups):
        cosine: NDArray[np.float32] = vectors @ vectors[row]
        order = [int(i) for i in np.argsort(-cosine)[: NEIGHBOURS * 5]]
        near = [
            i
            for i in order
            if groups[i][0] != family
            and NEAR < cosine[i] < (SAME if groups[i][1] == source else SAME_APART)
        ]
        pairs += [(group, groups[i][2]) for i in near[:NEIGHBOURS]]
    return pairs


def without_twins(
    families: Sequence[Family], held: Sequence[Family], values: Values, random: Random
) -> list[Family]:
    """Return ``families`` less those with a group that asks the same as one of ``held``.

    Several writers wrote about some subjects; what is held back must not be known from the others.
    """
    if not families or not held:
        return list(families)
    groups = [(n, group) for n, family in enumerate(families) for group in family.groups]
    groups += [(-1, group) for family in held for group in family.groups]
    vectors = _placed([group for _, group in groups], values, random)
    owner = np.array([n for n, _ in groups])
    nearest = (vectors[owner >= 0] @ vectors[owner < 0].T).max(axis=1)
    twins = {int(n) for n, cosine in zip(owner[owner >= 0], nearest, strict=True) if cosine > TWIN}
    return [family for n, family in enumerate(families) if n not in twins]


def _placed(groups: Sequence[Group], values: Values, random: Random) -> NDArray[np.float32]:
    """Return the vectors of the groups' first wordings, (n, dim).

    One value a slot for all, so that nearness is that of the questions and not of their values.
    """
    chosen = choose(sorted({slot for group in groups for slot in group.slots}), values, random)
    return encode([fill(group.variants[0], chosen, random) for group in groups])
