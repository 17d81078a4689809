"""How the load of the model behind the cache is told."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from .addresses import check_http_url
from .units import Duration
from .value_types import Strict


class LoadSettings(Strict):
    """What counts as full load. What load then relaxes is each category's `under_load`."""

    slowdown: float = Field(
        default=4.0,
        gt=1.0,
        le=100.0,
        description="Time to the first token, or of an answer of its size, in multiples of that at "
        "rest, at which the model counts as fully loaded; a third of the way is no load yet.",
    )
    in_flight: int | None = Field(
        default=None,
        ge=1,
        description="Calls under way at which the model counts as fully loaded; half of them are "
        "no load. Not set: their number alone says nothing.",
    )
    metrics_url: Annotated[str, AfterValidator(lambda url: check_http_url(url) if url else url)] = (
        Field(
            default="",
            description="Address of the metrics of a vLLM server, such as "
            "`http://localhost:8000/metrics`: its queue is read too. Empty = not asked.",
        )
    )
    metrics_every: Duration = Field(
        default=1.0, description="How often they are read; a queue can build up in seconds."
    )
    metrics_deadline: Duration = Field(
        default=0.5, description="Past it they are absent, and what was read before soon too old."
    )
