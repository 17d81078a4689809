"""What answers and lookups cost, for those who want to know whether a category pays."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .units import Share
from .value_types import CURRENCY_PATTERN, Strict, Text

Amount = Annotated[float, Field(ge=0.0)]


class PriceSettings(Strict):
    """What a model's tokens cost, in `economics.currency`."""

    input: Amount = Field(description="Of a million tokens of the prompt, as your contract says.")
    output: Amount = Field(description="Of a million tokens of the answer.")


class EconomicsSettings(Strict):
    """What is saved, and which categories pay (`docs/policies.md`). It decides nothing by itself.

    Only `probe` acts on it.
    """

    currency: str = Field(
        default="USD", pattern=CURRENCY_PATTERN, description="What amounts are in; only shown."
    )
    prices: dict[Text, PriceSettings] = Field(
        default_factory=dict,
        description="Prices by shell globs on the model's name in the request; the first that "
        "matches counts. None are shipped: they differ by contract and change.",
    )
    per_lookup: Amount | None = Field(
        default=None,
        description="What one lookup by meaning costs, such as the price of a remote embedding. "
        "Not set: not known.",
    )
    per_cpu_second: Amount | None = Field(
        default=None,
        description="What a second of this machine costs. Counts for the whole time of a lookup, "
        "waiting included. Not set: not known.",
    )
    probe: Share | None = Field(
        default=None,
        description="Share of the questions that are still looked up by meaning where searching "
        "and judging do not pay; the others are matched to the letter alone (`probed`). Not set: "
        "all are looked up.",
    )
