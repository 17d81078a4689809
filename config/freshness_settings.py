"""What bounds the calls that keep answers fresh."""

from __future__ import annotations

from pydantic import Field

from .value_types import Strict


class FreshnessSettings(Strict):
    """Refreshing of answers that were served stale (`stale_while_revalidate`)."""

    refresh_per_day: int = Field(
        default=1000,
        ge=0,
        description="Most refreshes in a day (UTC), for each process. Past it nothing is served "
        "stale but for `stale_if_error`.",
    )
