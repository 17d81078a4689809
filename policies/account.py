"""What one category's lookups by meaning cost, and what they bring; the past fades."""

from __future__ import annotations

from dataclasses import dataclass, field

from .demand import faded
from .economics import Pays, Rate, break_even, is_plausible, pays
from .prices import Prices

HALF_LIFE_S = 86_400.0  # ours: hit rates differ by the hour, and small categories need a day
FEWEST = 8.0  # ours: what must be left of the values before their mean says anything
SOME = 1e-6


@dataclass(slots=True)
class Mean:
    """A fading mean."""

    total: float = 0.0
    count: float = 0.0

    def take(self, value: float) -> None:
        """Take ``value`` in."""
        self.total += value
        self.count += 1.0

    def fade(self, left: float) -> None:
        """Keep the share ``left`` of the past."""
        self.total *= left
        self.count *= left

    @property
    def value(self) -> float | None:
        """Return the mean, None when too little is known of late."""
        return self.total / self.count if self.count >= FEWEST else None


@dataclass(frozen=True, slots=True)
class Stages:
    """How long the stages of one lookup took, in seconds."""

    embed_s: float
    search_s: float
    judge_s: float
    total_s: float  # of the whole lookup

    @property
    def is_plausible(self) -> bool:
        """Say whether all of them can be times that were measured."""
        times = (self.embed_s, self.search_s, self.judge_s, self.total_s)
        return all(map(is_plausible, times))


@dataclass(slots=True)
class Account:
    """The means and the hit rate of one category. Everything fades with one half-life."""

    now_s: float
    lookups: float = 0.0
    hits: float = 0.0
    searches: float = 0.0  # lookups that searched; the others are of words that were judged before
    found: float = 0.0  # hits of those
    embed_s: Mean = field(default_factory=Mean)
    find_s: Mean = field(default_factory=Mean)  # search and judging
    fetch_s: Mean = field(default_factory=Mean)  # of hits: all the rest
    answer_s: Mean = field(default_factory=Mean)  # of the model
    answer_cost: Mean = field(default_factory=Mean)  # of answers whose price is known
    again_s: Mean = field(default_factory=Mean)  # what answers took that were given again
    again_cost: Mean = field(default_factory=Mean)

    def pass_time(self, now_s: float) -> None:
        """Let time pass; a clock that went back fades nothing."""
        left = faded(1.0, now_s - self.now_s, HALF_LIFE_S)
        self.now_s = now_s
        if left == 1.0:
            return
        self.lookups *= left
        self.hits *= left
        self.searches *= left
        self.found *= left
        for mean in (self.embed_s, self.find_s, self.fetch_s, self.answer_s, self.answer_cost):
            mean.fade(left)
        self.again_s.fade(left)
        self.again_cost.fade(left)

    def looked_up(self, now_s: float, taken: Stages, *, hit: bool) -> None:
        """Count a lookup by meaning. Absurd times are not taken in; the lookup counts."""
        self.pass_time(now_s)
        self.lookups += 1.0
        self.hits += hit
        if taken.search_s > 0.0:
            self.searches += 1.0
            self.found += hit
        if taken.is_plausible:
            find_s = taken.search_s + taken.judge_s
            self.embed_s.take(taken.embed_s)
            self.find_s.take(find_s)
            if hit:
                self.fetch_s.take(max(0.0, taken.total_s - taken.embed_s - find_s))

    def answered(self, now_s: float, taken_s: float, cost: float | None) -> None:
        """Take in an answer of the model; ``cost`` in money, None = not known."""
        self.pass_time(now_s)
        if is_plausible(taken_s):
            self.answer_s.take(taken_s)
        if cost is not None:
            self.answer_cost.take(cost)

    def given_again(self, took_s: float, cost: float | None) -> None:
        """Take in a stored answer that was served: what it took, and cost, when it was made.

        ``took_s`` is plausible. Hits to the letter come here too: so it calls nothing.
        """
        again = self.again_s
        again.total += took_s
        again.count += 1.0
        if cost is not None:
            again = self.again_cost
            again.total += cost
            again.count += 1.0

    @property
    def model_s(self) -> float | None:
        """Return the model's mean time; where it answered too little of late, by what was served.

        Else nothing could be said of the best of categories: those that hardly ever miss.
        """
        own = self.answer_s.value
        return self.again_s.value if own is None else own

    @property
    def model_cost(self) -> float | None:
        """Return the mean price of an answer; where that is not known, of those served."""
        own = self.answer_cost.value
        return self.again_cost.value if own is None else own

    @property
    def rate(self) -> Rate:
        """Return the hits by meaning among the lookups by meaning."""
        return Rate(self.hits, self.lookups)

    @property
    def search_rate(self) -> Rate:
        """Return the hits among the lookups that searched: those that a search not made loses."""
        return Rate(self.found, self.searches)

    @property
    def lookup_s(self) -> float | None:
        """Return the mean time of embedding, search and judging; None = not known."""
        embed_s, find_s = self.embed_s.value, self.find_s.value
        return None if embed_s is None or find_s is None else embed_s + find_s

    @property
    def needed(self) -> float | None:
        """Return the hit rate at which lookups by meaning save as much time as they take."""
        return break_even(self.lookup_s, self.model_s, self.fetch_mean_s)

    @property
    def needed_to_search(self) -> float | None:
        """Return the same for search and judging alone, where the vector is made anyway."""
        known = self.find_s.value is not None and self.searches > SOME
        find_s = self.find_s.total / self.searches if known else None
        return break_even(find_s, self.model_s, self.fetch_mean_s)

    def needed_in_money(self, prices: Prices) -> float | None:
        """Return the hit rate at which they save as much money as they cost; None = not known."""
        lookup = prices.lookup(self.lookup_s)
        return break_even(lookup, self.model_cost, prices.fetch(self.fetch_mean_s))

    def pays(self, needed: float | None) -> Pays:
        """Say whether the hit rate reaches the one ``needed``."""
        return pays(self.rate, needed)

    @property
    def fetch_mean_s(self) -> float | None:
        """Return what a hit takes besides, of however few; None = no hit of late."""
        mean = self.fetch_s
        return mean.total / mean.count if mean.count > SOME else None
