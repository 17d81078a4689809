"""The serving engine as an ``Asker``: a real cache over a memory store, one scope per name."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ...cache.engine import Engine
from ...cache.entry import Answer, Choice
from ...cache.identity import Request
from ...cache.outcome import Aside, Found, Lead, Outcome
from ...cache.ports import EntryKey
from ...cache.settling import Received, release, settle
from ...policies.facts import Call, Directives
from .asker import Asked

_ANSWER = Answer(
    model="evaluation", created=0, choices=(Choice(text="an answer", finish_reason="stop"),)
)


class EngineAsker:
    """Asks ``engine`` as an HTTP caller would be asked for, one credential per scope."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._stored: dict[str, list[bytes]] = {}

    async def prepare(self, prompts: Sequence[str]) -> None:
        """Embed ``prompts`` side by side; the embedder remembers them."""
        room = asyncio.Semaphore(64)  # fewer than the embedder's queue holds

        async def one(prompt: str) -> None:
            async with room:
                await self._engine.embedder.embed(prompt)

        await asyncio.gather(*(one(prompt) for prompt in dict.fromkeys(prompts)))

    async def ask(self, scope: str, prompt: str) -> Asked:
        """Look ``prompt`` up; store nothing."""
        match outcome := await self._lookup(scope, prompt):
            case Found(hit=hit, payload=payload):
                return Asked(
                    hit=True,
                    tier=hit.tier,
                    served_prompt=payload.prompt,
                    similarity=hit.similarity,
                    category=hit.category,
                    reason=hit.reason,
                    probability=hit.probability,
                )
            case Lead(miss=miss):
                release(self._engine, outcome)
                return Asked(
                    hit=False,
                    tier=None,
                    served_prompt=None,
                    similarity=miss.similarity,
                    category=miss.category,
                    reason=miss.reason,
                    probability=miss.probability,
                )
            case Aside(bypass=bypass):
                return Asked(
                    hit=False,
                    tier=None,
                    served_prompt=None,
                    similarity=None,
                    category=bypass.category,
                    reason=bypass.reason,
                )
            case _:
                raise AssertionError("nobody else asks")

    async def fill(self, scope: str, prompt: str) -> None:
        """Store an answer for ``prompt``, beside what is there in other words."""
        outcome = await self._lookup(scope, prompt, no_cache=True)
        if isinstance(outcome, Lead):
            settle(self._engine, outcome, Received(_ANSWER, 200))
            self._stored.setdefault(scope, []).append(outcome.ask.key)

    async def forget(self, scope: str) -> None:
        """Drop all that ``scope`` stored."""
        keys = self._stored.pop(scope, [])
        self._engine.memory.remove([EntryKey(key) for key in keys], "purged")

    async def _lookup(self, scope: str, prompt: str, *, no_cache: bool = False) -> Outcome:
        call = Call(
            dialect="openai.chat",
            path="/v1/chat/completions",
            model="evaluation",
            prompt=prompt,
            stream=False,
            wants_usage=False,
            frame={},
            directives=Directives(no_cache=no_cache),
        )
        headers = [(b"authorization", b"Bearer " + scope.encode())]
        return await self._engine.lookup(Request(call, b"/v1/chat/completions", headers))
