"""Another policy for a running cache: read, checked, then in force at once, or not at all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ...cache.errors import EmbedderError
from ...cache.examples import Example, Examples
from ...cache.fail_open import fail_open
from ...cache.lifecycle import Lifecycle
from ...config.difference import difference, in_force
from ...config.problems import ConfigError
from ...config.settings import Settings
from ...policies.allotment import allot
from ...policies.policy import compose

Source = Callable[[], Settings]  # blocking; raises ConfigError


class ReloadRefused(Exception):
    """The old policy stays. ``problems`` are lines that say why."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What a reload did: lines of changed settings, and entries purged by category."""

    changed: tuple[str, ...]
    needs_restart: tuple[str, ...]
    purged: dict[str, int]
    to_purge: tuple[str, ...]  # the store did not answer; tried again until it does


class Reloading:
    """Reloads one running cache, one time after another. ``source`` reads the settings anew."""

    def __init__(self, lifecycle: Lifecycle, settings: Settings, source: Source | None) -> None:
        self._lifecycle = lifecycle
        self._settings = settings
        self._source = source
        self._turn = asyncio.Lock()
        self._logger = logging.getLogger("kindcache")

    async def reload(self, settings: Settings | None = None) -> Reloaded:
        """Put ``settings``, or what the source says now, in force. Raises ``ReloadRefused``.

        Whatever goes wrong before the change leaves everything as it was.
        """
        async with self._turn:
            try:
                done = await self._reload(settings)
            except ReloadRefused as exc:
                self._log_refusal(exc)
                raise
            self._log(done)
            return done

    async def reload_quietly(self) -> None:
        """Reload for nobody in particular: what goes wrong is in the log."""
        with suppress(ReloadRefused), fail_open(self._lifecycle.engine.observer, "reload"):
            await self.reload()

    async def _reload(self, settings: Settings | None) -> Reloaded:
        new = await self._read() if settings is None else settings
        differs = difference(self._settings, new)
        if differs.changed:
            policy = await asyncio.to_thread(compose, new)
            taken = in_force(self._settings, new)
            try:
                await self._lifecycle.change(policy, allot(taken), examples_of(new))
            except EmbedderError as exc:
                text = f"the examples cannot be embedded now: {type(exc).__name__}"
                raise ReloadRefused([text]) from exc
            self._settings = taken
        purged = await self._lifecycle.purge_gone(differs.gone)
        return Reloaded(
            differs.changed, differs.needs_restart, purged, tuple(self._lifecycle.to_purge)
        )

    async def _read(self) -> Settings:
        if self._source is None:
            raise ReloadRefused(["the settings came from the program, not from a file"])
        try:
            return await asyncio.to_thread(self._source)
        except ConfigError as exc:
            raise ReloadRefused(exc.lines) from exc

    def _log_refusal(self, refused: ReloadRefused) -> None:
        for problem in refused.problems:
            self._logger.error("policy not changed: %s", problem)

    def _log(self, done: Reloaded) -> None:
        for line in done.changed:
            self._logger.warning("policy changed: %s", line)
        for line in done.needs_restart:
            self._logger.warning("policy: %s needs a restart, and is as before until then", line)
        for name, number in done.purged.items():
            self._logger.warning("policy: purged %s, %d entries", name, number)
        if not done.changed:
            self._logger.warning("policy reloaded, nothing changed")


def examples_of(settings: Settings) -> Examples:
    """Return the example prompts of all categories, and how near to them a prompt must be."""
    prompts = tuple(
        Example(name, text)
        for name, category in settings.categories.items()
        for text in category.examples
    )
    return Examples(prompts, settings.classifier.min_similarity, settings.classifier.margin)
