"""A policy that grows stricter while the model is answering."""

from __future__ import annotations

import pytest

from kindcache.cache.entries.entry import decode_payload, decode_record
from kindcache.cache.settling import settle
from kindcache.policies.verdict import Admit, Reason, Refuse
from tests.cache.small_engine import POLICY, found, leading, policy, received, request, running
from tests.conftest import FakeClock

pytestmark = pytest.mark.anyio

PROMPT = "is 4111 1111 1111 1111 a card"


def minding(rule: str, of: str = "defaults") -> str:
    """Let the defaults, or else one category, mind cards."""
    if of == "defaults":
        return POLICY.replace("ttl: 1h}", f"ttl: 1h, personal_data: {rule}}}", 1)
    return POLICY + f"  {of}: {{match: {{pattern: zzz}}, personal_data: {rule}}}\n"


@pytest.mark.parametrize(
    ("before", "after", "stored"),
    [
        (POLICY, minding("refuse"), False),
        (POLICY, minding("redact"), False),
        (minding("refuse", of="other"), minding("redact"), False),  # it has a vector
        (minding("redact"), minding("refuse"), False),
        (minding("redact"), minding("redact"), True),
        (minding("redact"), POLICY, True),
    ],
)
async def test_what_is_not_allowed_any_more_is_not_stored(
    clock: FakeClock, before: str, after: str, stored: bool
) -> None:
    async with running(clock, text=before) as at:
        lead = await leading(at.engine, request(PROMPT))
        at.engine.policy = policy(after)
        verdict = settle(at.engine, lead, received())
        assert isinstance(verdict, Admit) if stored else verdict == Refuse(Reason.PERSONAL_DATA)


async def test_the_key_tells_nothing_to_who_lacks_the_secret(clock: FakeClock) -> None:
    async with running(clock, text=minding("redact")) as at:
        lead = await leading(at.engine, request(PROMPT))
        settle(at.engine, lead, received())
        await at.engine.memory.writer.drain()
        [(key, _)] = [item async for item in at.store.records()]
        payload = await at.store.get(key)
        assert payload is not None
        assert decode_payload(payload).prompt == "is [CARD] a card"
        open_ask = at.engine.identity.identify(request(PROMPT), at.engine.epoch or b"")
        assert open_ask is not None
        assert open_ask.key != key  # what could be tried with the store alone


async def test_an_earlier_turn_cannot_be_guessed_from_what_is_stored(clock: FakeClock) -> None:
    turns = [{"role": "user", "content": PROMPT}, {"role": "assistant", "content": "it is"}]
    asked = request("and is it valid", frame={"model": "m", "messages": turns})
    async with running(clock, text=minding("redact")) as at:
        assert isinstance(settle(at.engine, await leading(at.engine, asked), received()), Admit)
        await at.engine.memory.writer.drain()
        [(_, record)] = [item async for item in at.store.records()]
        # Made of the turns and of what can be read in the store.
        open_ask = at.engine.identity.identify(asked, at.engine.epoch or b"")
        assert open_ask is not None
        assert open_ask.partition not in record_parts(record)
        assert (await found(at.engine, asked)).hit.reason is Reason.EXACT


def record_parts(data: bytes) -> set[bytes]:
    record = decode_record(data)
    return {record.partition, record.loose_partition, record.user, record.namespace}
