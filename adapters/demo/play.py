"""The demo: plays known traffic through a running proxy and says what the cache made of it."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

import aiohttp

from .client import Client, DemoError, address
from .summary import Outcome, figures, summary
from .table import Display, display
from .traffic import Kind, Prompt, TrafficError, load


@dataclass(frozen=True, slots=True)
class PlayOptions:
    """What to play, and against what."""

    base_url: str = "http://127.0.0.1:8080"
    api_key: str = "kindcache-demo"  # any key: without one a strict proxy caches nothing
    prompts: Path | None = None  # None = the shipped ones
    model: str = ""  # "" = the first that the proxy lists
    passes: int = 1
    concurrency: int = 1  # more than one: an answer may not be stored yet when its twin is asked
    stream: bool = False
    keep: bool = False  # True: use what earlier runs stored, instead of a fresh namespace
    timeout_s: float = 120.0  # for a whole answer
    out: TextIO | None = None  # None = stdout


async def play(options: PlayOptions) -> int:
    """Send the traffic, show a live table, end with the summary; return the exit code.

    0 = played to the end, 1 = failed, with one line on stderr that says why. Cancelling (Ctrl-C)
    prints the summary of what was played so far, then goes on cancelling.
    """
    out = options.out or sys.stdout
    outcomes: list[Outcome] = []
    failure = ""
    try:
        prompts = _passes(load(options.prompts), options.passes)
        url = address(options.base_url)
        shown = display(out, len(prompts))
        try:
            await _drive(options, url, prompts, outcomes, shown)
        except* DemoError as group:
            failure = str(_first(group))
        finally:
            shown.close(outcomes)
            _conclude(out, outcomes, len(prompts), url)
    except (DemoError, TrafficError) as exc:
        failure = str(exc)
    if failure:
        sys.stderr.write(f"kindcache demo: {failure}\n")
    return 1 if failure else 0


async def _drive(
    options: PlayOptions,
    url: str,
    prompts: Sequence[Prompt],
    outcomes: list[Outcome],
    shown: Display,
) -> None:
    async with aiohttp.ClientSession() as session:
        client = Client(
            session=session,
            address=url,
            api_key=options.api_key,
            timeout_s=options.timeout_s,
            stream=options.stream,
            namespace="" if options.keep else f"demo-{secrets.token_hex(6)}",
        )
        model = options.model or await client.first_model()

        async def work(waiting: Iterator[Prompt]) -> None:
            for prompt in waiting:
                outcomes.append(await client.ask(prompt, model))
                shown.tick(outcomes)

        waiting = iter(prompts)
        async with asyncio.TaskGroup() as group:
            for _ in range(max(1, options.concurrency)):
                group.create_task(work(waiting))


def _passes(prompts: Sequence[Prompt], passes: int) -> list[Prompt]:
    """Return the prompts ``passes`` times; from the second time on they are repeats."""
    again = [replace(prompt, kind=Kind.REPEAT) for prompt in prompts]
    return [*prompts, *(again * (max(1, passes) - 1))]


def _first(group: BaseExceptionGroup[DemoError]) -> BaseException:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def _conclude(out: TextIO, outcomes: Sequence[Outcome], expected: int, url: str) -> None:
    if not outcomes:
        return
    short = len(outcomes) < expected
    note = f"Stopped after {len(outcomes)} of {expected} requests." if short else ""
    lines = summary(figures(outcomes), address=url, note=note)
    out.write("\n" + "\n".join(lines) + "\n")
    out.flush()
