"""Tells the reader of a response body that its connection is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp


@contextmanager
def ends_with_connection(response: aiohttp.ClientResponse) -> Iterator[None]:
    """Make reading ``response`` fail once its connection is lost before the body is whole.

    aiohttp 3.14 does so itself except after a damaged chunk: then it closes the connection, stops
    its timer and leaves the reader waiting for ever.
    """
    connection = response.connection  # None once the body is whole
    protocol = None if connection is None else connection.protocol
    if protocol is None:
        yield
        return
    content = response.content

    def lost(_: object) -> None:
        if not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError("the connection was lost"))

    closed = protocol.closed
    if closed is None:
        lost(None)
        yield
        return
    # The future outlives this response, and complains if nobody looks at its exception.
    closed.remove_done_callback(_look)
    closed.add_done_callback(_look)
    closed.add_done_callback(lost)
    try:
        yield
    finally:
        closed.remove_done_callback(lost)


def _look(closed: asyncio.Future[None]) -> None:
    if not closed.cancelled():
        closed.exception()
