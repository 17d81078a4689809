"""What lookups cost and what they save, by category: counted since the start, and as fading means.

Lookups by meaning are those that searched, and hits of words that were judged before, which owe
their answer to such a lookup and cost nothing more. A hit to the letter pays for no embedding and
no search, and needs neither: it counts in what is saved, and in no hit rate here. Nor does a
stand-in for a failing model, which would have given nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...policies.account import Account, Stages
from ...policies.economics import LONGEST_S, Rate, passed_over
from ...policies.lifespan import drawn
from ...policies.prices import Price, Prices
from ...policies.verdict import Bypass, Hit, Reason, Tier
from ..events import Answered, Event, LookedUp, Served
from ..ports import Clock, EntryKey

MOST_MODELS = 256  # whose price is remembered; callers choose the names
_LAST = math.nextafter(1.0, 0.0)  # of what may be drawn
_EXACT, _STANDS_IN = Tier.EXACT, Reason.STALE_IF_ERROR  # a look into an enum is not free


@dataclass(slots=True)
class Totals:
    """What one category saved and spent since the start."""

    exact_hits: int = 0
    semantic_hits: int = 0
    misses: int = 0
    spent_s: float = 0.0  # embedding, search and judging
    saved_s: float = 0.0  # of the model
    saved_tokens: int = 0
    saved_money: float = 0.0
    priced: int = 0  # hits whose price is known
    unpriced: int = 0


class Economics:
    """An observer that keeps the books. One per engine; not thread-safe."""

    def __init__(self, prices: Prices, currency: str, clock: Clock, probe: float | None) -> None:
        self._prices = prices
        self._currency = currency
        self._clock = clock
        self._probe = probe
        self._known: dict[str, Price | None] = {}
        self._accounts: dict[str, Account] = {}
        self._totals: dict[str, Totals] = {}

    def notify(self, event: Event) -> None:
        """Count what concerns costs and savings."""
        if type(event) is LookedUp:
            self._looked_up(event)
        elif type(event) is Served:
            self._served(event)
        elif type(event) is Answered:
            self._answered(event)

    def passes_over(self, category: str, key: EntryKey) -> bool:
        """Say whether to answer the question under ``key`` without a search (`economics.probe`)."""
        account = self._accounts.get(category)
        if self._probe is None or account is None:
            return False
        account.pass_time(self._clock())
        return self._passed_over(account, drawn(key))

    def summary(self) -> Mapping[str, Any]:
        """Describe every category that was asked, in seconds and in the currency of the prices."""
        return {
            "currency": self._currency,
            "categories": {
                name: self._figures(name, totals) for name, totals in self._totals.items() if name
            },
        }

    def _looked_up(self, event: LookedUp) -> None:
        verdict, taken = event.verdict, event.trace
        if type(verdict) is Bypass or verdict.reason is _STANDS_IN:
            return
        totals = self._total(verdict.category)
        if type(verdict) is Hit:
            if verdict.tier is _EXACT:
                totals.exact_hits += 1
                return
            totals.semantic_hits += 1
            hit = True
        else:
            totals.misses += 1
            if not taken.search_s:
                return
            hit = verdict.reason is Reason.SHADOW  # it tells whether serving would pay
        stages = Stages(taken.embed_s, taken.search_s, taken.judge_s, taken.total_s)
        if stages.is_plausible:
            totals.spent_s += taken.embed_s + taken.search_s + taken.judge_s
        account = self._account(verdict.category)
        if not taken.search_s and self._passed_over(account):
            return  # beside a sample of the lookups that search, all of these would weigh too much
        account.looked_up(self._clock(), stages, hit=hit)

    def _passed_over(self, account: Account, at: float = _LAST) -> bool:
        """Say whether a question drawn ``at`` is passed over; the last: whether any is."""
        share = self._probe
        return share is not None and passed_over(
            account.search_rate, account.needed_to_search, share, at
        )

    def _served(self, event: Served) -> None:
        totals = self._total(event.category)
        totals.saved_tokens += event.tokens
        money = None
        if self._prices.table:
            money = self._cost(event.model, event.input_tokens, event.output_tokens)
            if money is None:
                totals.unpriced += 1
            else:
                totals.priced += 1
                totals.saved_money += money
        if 0.0 <= event.upstream_s <= LONGEST_S:  # not so for NaN
            totals.saved_s += event.upstream_s
            if (account := self._accounts.get(event.category)) is not None:
                account.given_again(event.upstream_s, money)

    def _answered(self, event: Answered) -> None:
        if event.complete and event.category:
            money = self._cost(event.model, event.input_tokens, event.output_tokens)
            self._account(event.category).answered(self._clock(), event.total_s, money)

    def _cost(self, model: str, input_tokens: int, output_tokens: int) -> float | None:
        """Return what an answer cost, None where its tokens or their price are not known."""
        if not (input_tokens or output_tokens):
            return None
        try:
            price = self._known[model]
        except KeyError:
            if len(self._known) >= MOST_MODELS:
                self._known.clear()
            price = self._known[model] = self._prices.of(model)
        return None if price is None else price.of(input_tokens, output_tokens)

    def _total(self, category: str) -> Totals:
        found = self._totals.get(category)
        if found is None:
            found = self._totals[category] = Totals()
        return found

    def _account(self, category: str) -> Account:
        found = self._accounts.get(category)
        if found is None:
            found = self._accounts[category] = Account(self._clock())
        return found

    def _figures(self, name: str, totals: Totals) -> dict[str, Any]:
        account = self._account(name)
        account.pass_time(self._clock())
        money = account.needed_in_money(self._prices)
        return {
            "exact_hits": totals.exact_hits,
            "semantic_hits": totals.semantic_hits,
            "misses": totals.misses,
            "hit_rate": _rate(account.rate),
            "lookup_s": account.lookup_s,
            "answer_s": account.model_s,
            "fetch_s": account.fetch_mean_s,
            "answer_money": account.model_cost,
            "in_time": _verdict(account, account.needed),
            "in_money": _verdict(account, money),
            "probed": self._passed_over(account),
            "spent_s": totals.spent_s,
            "saved_s": totals.saved_s,
            "saved_tokens": totals.saved_tokens,
            "saved_money": totals.saved_money if totals.priced else None,
            "unpriced_hits": totals.unpriced,
        }


def _rate(rate: Rate) -> dict[str, float | None]:
    low, high = rate.interval
    return {"value": rate.value, "lower": low, "upper": high, "lookups": rate.lookups}


def _verdict(account: Account, needed: float | None) -> dict[str, Any]:
    """Describe a verdict; a rate that nothing reaches is ``never`` and has no figure in JSON."""
    never = needed is not None and math.isinf(needed)
    pays = account.pays(needed)
    return {"break_even": None if never else needed, "never": never, "pays": pays.value}
