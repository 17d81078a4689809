"""Asks the pair scorer about the earlier turns of two conversations."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field

from ...policies.history import Differences
from ..errors import ScorerError
from ..ports import Embedder, PairScorer
from .scope import digest

REMEMBERED = 4096  # pairs; a conversation that goes on compares its first turns again and again
DEADLINE_S = 1.0  # for all turns of one candidate
HOPELESS = 0.5  # below it nothing more is asked, and what was not asked counts as another question


@dataclass(slots=True)
class TurnScorer:
    """Judges turns as the last texts are judged: floor, scorer, fusion. Remembers what it asked."""

    scorer: PairScorer
    embedder: Embedder
    _known: OrderedDict[bytes, tuple[float, float]] = field(default_factory=OrderedDict)

    async def least(self, differences: Differences, floor: float) -> float:
        """Return the least probability that one answer fits both turns, over all pairs.

        0 where it is hopeless, where a pair is below ``floor`` in similarity, and where one cannot
        be read whole. Raises ``ScorerError`` and ``EmbedderError``, within ``DEADLINE_S``.
        """
        least = 1.0
        try:
            async with asyncio.timeout(DEADLINE_S):
                for asked, stored in differences:
                    least = min(least, await self._probability(asked, stored, floor))
                    if least < HOPELESS:
                        return 0.0
        except TimeoutError as exc:
            raise ScorerError("the earlier turns took too long") from exc
        return least

    async def _probability(self, asked: str, stored: str, floor: float) -> float:
        key = digest(asked.encode(), stored.encode())
        known = self._known.get(key)
        if known is None:
            one, other = await self.embedder.embed(asked), await self.embedder.embed(stored)
            if one is None or other is None:
                return 0.0
            similarity = float(one @ other)
            if not similarity >= floor:
                return 0.0
            known = similarity, await self._score(asked, stored, similarity)
            self._known[key] = known
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(key)
        similarity, probability = known
        return probability if similarity >= floor else 0.0

    async def _score(self, asked: str, stored: str, similarity: float) -> float:
        logit = await self.scorer.score(asked, stored)
        return 0.0 if logit is None else self.scorer.fusion.probability(similarity, logit)
