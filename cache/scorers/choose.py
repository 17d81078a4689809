"""Chooses the pair scorer that the settings ask for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..ports import PairScorer
from . import shipped
from .threaded import PairModel, ThreadedScorer

if TYPE_CHECKING:
    from ...config.judging_settings import JudgeSettings


def choose(
    settings: JudgeSettings, api_key: str, report: Callable[[str], None]
) -> PairScorer | None:
    """Make the scorer of ``settings``, not opened yet; None where the guards decide alone.

    ``api_key`` goes to the service that is asked over HTTP, "" = none.
    """
    if settings.scorer == "none":
        return None
    if settings.scorer == "shipped":
        if not shipped.is_here():
            report("the pair scorer's weights are not here: similarity and guards decide alone")
            return None
        return ThreadedScorer(shipped.load, deadline_s=settings.deadline, queue=settings.queue)
    if settings.is_remote:
        from .remote import RemoteScorer  # noqa: PLC0415 - loads aiohttp

        return RemoteScorer(
            settings.scorer,
            log_odds=settings.score == "log_odds",
            api_key=api_key,
            deadline_s=settings.deadline,
            queue=settings.queue,
        )

    def load() -> PairModel:
        from .cross_encoder import load as load_cross_encoder  # noqa: PLC0415 - loads torch

        report(f"Loading the pair scorer {settings.scorer}.")
        return load_cross_encoder(settings.scorer)

    return ThreadedScorer(load, deadline_s=settings.deadline, queue=settings.queue)
