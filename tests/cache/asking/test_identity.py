"""From a request to who asks what."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kindcache.cache.asking.fingerprint import Ask
from kindcache.cache.asking.identity import VARY, Identity, Request
from kindcache.cache.asking.scope import Scoping
from kindcache.cache.embedders.hashing import HashingEncoder
from kindcache.policies.facts import Directives
from tests.cache.small_engine import batcher, request

pytestmark = pytest.mark.anyio

SCOPING = Scoping(b"secret", "credential", share_anonymous=False, upstream="u", namespace="")
EPOCH = b"epoch"


async def identify(asked: Request, scoping: Scoping = SCOPING, epoch: bytes = EPOCH) -> Ask:
    embedder = batcher()
    await embedder.open()
    ask = Identity(scoping, embedder).identify(asked, epoch)
    await embedder.aclose()
    assert ask is not None
    return ask


async def test_an_ask_carries_the_call_its_owner_and_its_place() -> None:
    asked = request("hello")
    ask = await identify(asked)
    assert ask.call is asked.call
    assert ask.origin is asked.origin
    assert ask.principal == SCOPING.principal(asked.headers)
    assert ask == await identify(request("hello"))


async def test_another_prompt_has_another_key_in_the_same_partition() -> None:
    one, other = await identify(request("one")), await identify(request("other"))
    assert one.partition == other.partition
    assert one.key != other.key


async def test_nobody_has_no_ask() -> None:
    embedder = batcher()
    await embedder.open()
    assert Identity(SCOPING, embedder).identify(request("hello", owner=""), EPOCH) is None
    await embedder.aclose()


@pytest.mark.parametrize(
    "changed",
    [
        request("hello", owner="bob"),
        request("hello", user="u"),
        request("hello", frame={"model": "another", "messages": []}),
        request("hello", dialect="another"),
        request("hello", directives=Directives(namespace="n")),
        replace(request("hello"), target=b"/v2/chat/completions"),
        replace(request("hello"), target=b"/v1/chat/completions?api-version=2"),
        *(
            replace(request("hello"), headers=[*request("hello").headers, (name, b"1")])
            for name in sorted(VARY)
        ),
    ],
)
async def test_what_parts_partitions_and_keys(changed: Request) -> None:
    one, other = await identify(request("hello")), await identify(changed)
    assert one.partition != other.partition
    assert one.key != other.key


@pytest.mark.parametrize(
    "same",
    [
        request("hello", stream=True, wants_usage=True),
        request("hello", directives=Directives(no_cache=True, ttl_s=1.0)),
        request("hello", metadata={"a": "b"}),
        replace(request("hello"), headers=[*request("hello").headers, (b"user-agent", b"x")]),
    ],
)
async def test_what_does_not(same: Request) -> None:
    one, other = await identify(request("hello")), await identify(same)
    assert (one.partition, one.key) == (other.partition, other.key)


async def test_upstream_namespace_and_epoch_part_partitions() -> None:
    asks = [
        await identify(request("hello")),
        await identify(request("hello"), replace(SCOPING, upstream="another")),
        await identify(request("hello"), replace(SCOPING, namespace="another")),
        await identify(request("hello"), epoch=b"another"),
    ]
    assert len({ask.partition for ask in asks}) == 4


async def test_the_embedder_parts_partitions() -> None:
    parts = set()
    for dim in (64, 65):
        embedder = batcher(HashingEncoder(dim))
        await embedder.open()
        ask = Identity(SCOPING, embedder).identify(request("hello"), EPOCH)
        await embedder.aclose()
        assert ask is not None
        parts.add(ask.partition)
    assert len(parts) == 2


async def test_version_headers_cannot_be_glued_together() -> None:
    owner = request("hello").headers
    two = [*owner, (b"openai-beta", b"a"), (b"openai-version", b"b")]
    one = [*owner, (b"openai-beta", b"a\nopenai-version:b")]
    asks = [await identify(replace(request("hello"), headers=headers)) for headers in (two, one)]
    assert asks[0].partition != asks[1].partition


async def test_configured_blanks_join_partitions() -> None:
    embedder = batcher()
    await embedder.open()
    identity = Identity(SCOPING, embedder, [lambda text: text.replace("Monday", "*")])
    frames = [{"system": f"It is {day}."} for day in ("Monday", "*", "Friday")]
    asks = [identity.identify(request("hello", frame=frame), EPOCH) for frame in frames]
    await embedder.aclose()
    monday, star, friday = [ask.partition for ask in asks if ask is not None]
    assert monday == star
    assert monday != friday
