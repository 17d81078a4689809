"""The serving engine as an ``Asker``: a real cache over a memory store, one scope per name."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from ...cache.asking.identity import Request
from ...cache.engine import Engine
from ...cache.entries.entry import Answer, Choice
from ...cache.outcome import Aside, Found, Lead, Outcome
from ...cache.ports import EntryKey
from ...cache.settling import Received, release, settle
from ...policies.facts import Directives
from ...policies.verdict import Bypass, Reason
from ..dialects.dialect import Unparsable
from .asker import Asked, Message
from .chat import PATH, chat_call

_ANSWER = Answer(
    model="evaluation", created=0, choices=(Choice(text="an answer", finish_reason="stop"),)
)
_TARGET = PATH.encode() + b"?"  # path and query, as the responder puts them


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

    async def ask(self, scope: str, prompt: str, earlier: Sequence[Message] = ()) -> Asked:
        """Look ``prompt`` up; store nothing."""
        match outcome := await self._lookup(scope, prompt, earlier):
            case Found(hit=hit, payload=payload):
                return Asked(
                    hit=True,
                    tier=hit.tier,
                    served_prompt=payload.prompt,
                    similarity=hit.similarity,
                    category=hit.category,
                    reason=hit.reason,
                    probability=hit.probability,
                    candidate=payload.prompt,
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
                    candidate=self._stored_prompt(miss.key),
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

    async def fill(self, scope: str, prompt: str, earlier: Sequence[Message] = ()) -> None:
        """Store an answer for ``prompt``, beside what is there in other words."""
        outcome = await self._lookup(scope, prompt, earlier, no_cache=True)
        if isinstance(outcome, Lead):
            settle(self._engine, outcome, Received(_ANSWER, 200))
            await self._engine.screening.drain()
            self._stored.setdefault(scope, []).append(outcome.ask.key)

    async def forget(self, scope: str) -> None:
        """Drop all that ``scope`` stored."""
        keys = self._stored.pop(scope, [])
        memory = self._engine.memory
        memory.remove([EntryKey(key) for key in keys], "purged")
        await memory.writer.drain()  # or the exact tier could still find it in the store

    def _stored_prompt(self, key: bytes | None) -> str | None:
        entry = None if key is None else self._engine.memory.table.get(EntryKey(key))
        return None if entry is None else entry.prompt

    async def _lookup(
        self, scope: str, prompt: str, earlier: Sequence[Message], *, no_cache: bool = False
    ) -> Outcome:
        try:
            call = chat_call([*earlier, {"role": "user", "content": prompt}])
        except Unparsable:
            return Aside(Bypass(Reason.MALFORMED))  # as in serving
        call = replace(call, directives=Directives(no_cache=no_cache))
        headers = [(b"authorization", b"Bearer " + scope.encode())]
        return await self._engine.lookup(Request(call, _TARGET, headers))
