"""A head leaves with the first of its body, or soon alone; nothing is lost or reordered."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from kindcache.adapters.serving.one_write import HeadHolding

pytestmark = pytest.mark.anyio

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


class Wire:
    """Notes what a transport is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def write(self, data: bytes) -> None:
        self.told.append(data)

    def close(self) -> None:
        self.told.append("close")

    def is_closing(self) -> bool:
        return False

    def get_extra_info(self, name: str) -> str:
        return f"the {name}"


def holding(wire: Wire) -> HeadHolding:
    return HeadHolding(cast("Any", wire), asyncio.get_running_loop())


async def test_a_head_and_the_first_of_its_body_are_one_write() -> None:
    wire = Wire()
    transport = holding(wire)
    transport.write(HEAD)
    transport.write(b"ok")
    transport.write(b"more")
    await asyncio.sleep(0)
    assert wire.told == [HEAD + b"ok", b"more"]


async def test_a_head_whose_body_comes_later_does_not_wait_for_it() -> None:
    wire = Wire()
    transport = holding(wire)
    transport.write(HEAD)
    assert wire.told == []
    await asyncio.sleep(0)
    assert wire.told == [HEAD]
    transport.write(b"ok")
    assert wire.told == [HEAD, b"ok"]


async def test_a_body_that_looks_like_a_head_arrives_in_order() -> None:
    wire = Wire()
    transport = holding(wire)
    for part in (HEAD, HEAD, HEAD, b"end"):
        transport.write(part)
    await asyncio.sleep(0)
    assert b"".join(cast("list[bytes]", wire.told)) == HEAD * 3 + b"end"


async def test_what_waits_is_sent_before_the_connection_is_closed() -> None:
    wire = Wire()
    transport = holding(wire)
    transport.write(HEAD)
    transport.close()
    await asyncio.sleep(0)
    assert wire.told == [HEAD, "close"]


async def test_all_else_is_the_transports_own() -> None:
    transport = holding(Wire())
    assert transport.get_extra_info("peername") == "the peername"
    assert not transport.is_closing()
