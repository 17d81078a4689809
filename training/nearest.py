"""Finds groups of different families that lie near each other: the hard negatives."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np
from numpy.typing import NDArray

from .embedding import encode
from .groups import Family, Group, Values, choose, fill

NEAR = 0.42  # least cosine that makes a pair hard
SAME = 0.78  # from here on the two may well ask the same: writers did not know of each other
NEIGHBOURS = 6


def near_strangers(
    families: Sequence[Family],
    texts: Sequence[tuple[str, ...]],
    values: Values,
    random: Random,
) -> list[tuple[Group, Group]]:
    """Return pairs of groups, of different families, that are near but not too near."""
    groups = [(n, group) for n, family in enumerate(families) for group in family.groups]
    groups += [(-1 - n, Group(group)) for n, group in enumerate(texts) if "{" not in str(group)]
    if len(groups) < 2:
        return []
    # One value a slot for all, so that nearness is that of the questions and not of their values.
    names = sorted({slot for _, group in groups for slot in group.slots})
    chosen = choose(names, values, random)
    vectors = encode([fill(group.variants[0], chosen, random) for _, group in groups])
    pairs = []
    for row, (family, group) in enumerate(groups):
        cosine: NDArray[np.float32] = vectors @ vectors[row]
        order = [int(i) for i in np.argsort(-cosine)[: NEIGHBOURS * 5]]
        near = [i for i in order if groups[i][0] != family and NEAR < cosine[i] < SAME]
        pairs += [(group, groups[i][1]) for i in near[:NEIGHBOURS]]
    return pairs
