"""The masters of a Redis Cluster, by slot.

A plain client for each node, and a map that is learnt from the nodes. The client library's own
cluster client is not used: it starts a thread and an event loop for each command of a transaction,
closes the connections to all nodes when one caller's deadline ends while it reads the map, and
never notices a node that hangs without closing its connections.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from redis.asyncio import Redis
from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    ClusterDownError,
    ConnectionError,  # noqa: A004
    MovedError,
    RedisError,
    TryAgainError,
)

from .redis_servers import DEMOTED, Add, Call, T

Node = tuple[str, int]  # host and port
Connect = Callable[[Node, int | None], Redis]  # None: as many connections as a node may have

SLOTS = 16_384
HOPS = 4  # redirections of one call: two are usual while a slot moves, more mean a loop
MOVING_S = 0.02
LEARN_EVERY_S = 0.5  # calls that were given up raise doubts; each is worth one look at most
LEARN_WITHIN_S = 2.0
TROUBLE = (ConnectionError, ClusterDownError, OSError, RuntimeError, *DEMOTED)


class Cluster:
    """Asks the master of a name's slot, follows redirections, and learns who is master now.

    ``connect`` makes clients without I/O; they are closed here. The first call asks ``seeds`` for
    the map.
    """

    one_node = False

    def __init__(self, seeds: Sequence[Node], connect: Connect) -> None:
        self._seeds = tuple(seeds)
        self._connect = connect
        self._clients: dict[Node, Redis] = {}
        self._masters: list[Node | None] = []  # by slot; empty = not learnt yet
        self._learning: asyncio.Task[None] | None = None
        self._learnt_s = float("-inf")

    def __repr__(self) -> str:
        return f"<Cluster of {len(set(self._masters) - {None})} masters>"

    async def ask(self, name: str, call: Call[T]) -> T:
        """Make ``call`` on the master of ``name``, or where that sends it."""
        await self._know()
        node = self._master_of(name)
        for _ in range(HOPS):
            try:
                return await call(self._client(node))
            except MovedError as exc:
                node = (exc.host or node[0], exc.port)
                self._masters[exc.slot_id] = node
                self._doubt()  # a slot seldom moves alone
            except TryAgainError:  # half of a slot's names have moved, the others follow
                await asyncio.sleep(MOVING_S)
            except AskError as exc:
                return await self._ask_on_the_move((exc.host or node[0], exc.port), call)
            except (*TROUBLE, asyncio.CancelledError):  # cancelled: by a deadline, as a rule
                self._doubt()
                raise
        raise ConnectionError("cluster: sent from node to node")

    async def ask_each(self, names: Sequence[str], add: Add) -> list[Any]:
        """Send a pipeline to each master; what has moved meanwhile is asked again by itself."""
        await self._know()
        groups: dict[Node, list[str]] = {}
        for name in names:
            groups.setdefault(self._master_of(name), []).append(name)
        answers: dict[str, Any] = {}
        for node, group in groups.items():
            try:
                found = await _pipelined(self._client(node), group, add)
            except (*TROUBLE, asyncio.CancelledError):
                self._doubt()
                raise
            answers.update(zip(group, found, strict=True))
        for name, answer in answers.items():
            if isinstance(answer, AskError | TryAgainError):
                answers[name] = await self.ask(name, partial(_alone, name=name, add=add))
            elif isinstance(answer, Exception):
                raise answer
        return [answers[name] for name in names]

    async def masters(self) -> Sequence[Redis]:
        """Return a client of each master."""
        await self._know()
        if None in self._masters:
            self._doubt()
            raise ConnectionError("cluster: some slots have no master now")
        return [self._client(node) for node in dict.fromkeys(self._masters) if node is not None]

    async def demoted(self) -> None:
        """Learn anew who is master."""
        self._doubt()

    async def aclose(self) -> None:
        """Stop learning and close every connection."""
        if self._learning is not None:
            self._learning.cancel()
            await asyncio.wait({self._learning})
        clients, self._clients = self._clients, {}
        await asyncio.gather(*(client.aclose() for client in clients.values()))

    async def _ask_on_the_move(self, node: Node, call: Call[T]) -> T:
        """Ask the node that a slot is just moving to; one connection, as leave is given to that."""
        client = self._connect(node, 1)
        try:
            await _sent(client, "ASKING")
            return await call(client)
        finally:
            await client.aclose()

    def _master_of(self, name: str) -> Node:
        node = self._masters[key_slot(name.encode())]
        if node is None:
            self._doubt()
            raise ConnectionError("cluster: a slot has no master now")
        return node

    def _client(self, node: Node) -> Redis:
        client = self._clients.get(node)
        if client is None:
            client = self._clients[node] = self._connect(node, None)
        return client

    async def _know(self) -> None:
        """Wait for the first map."""
        if not self._masters:
            # A caller whose deadline ends leaves the others waiting for the same answer.
            await asyncio.shield(self._learn())

    def _doubt(self) -> None:
        """Learn the map anew, unless that has just been done. Nobody waits for it."""
        if time.monotonic() - self._learnt_s >= LEARN_EVERY_S:
            self._learn()

    def _learn(self) -> asyncio.Task[None]:
        if self._learning is None or self._learning.done():
            self._learning = asyncio.create_task(self._learn_map())
            self._learning.add_done_callback(_looked_at)
        return self._learning

    async def _learn_map(self) -> None:
        """Ask every node that is known, and take what the first one says: some may hang."""
        self._learnt_s = time.monotonic()
        nodes = dict.fromkeys([*self._clients, *self._seeds])
        asked = [asyncio.create_task(_map_from(node, self._client(node))) for node in nodes]
        trouble: Exception = ConnectionError("cluster: no node says who is master of what")
        try:
            for answer in asyncio.as_completed(asked, timeout=LEARN_WITHIN_S):
                try:
                    masters = await answer
                except TimeoutError as exc:
                    raise trouble from exc
                except (RedisError, OSError, RuntimeError) as exc:
                    trouble = exc
                    continue
                self._masters = masters
                break
            else:
                raise trouble
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        await self._forget()

    async def _forget(self) -> None:
        """Close the clients of nodes that are master of nothing; the seeds may be again."""
        kept = {*self._masters, *self._seeds}
        for node in [node for node in self._clients if node not in kept]:
            await self._clients.pop(node).aclose()


async def _pipelined(client: Redis, names: Sequence[str], add: Add) -> list[Any]:
    pipeline = client.pipeline(transaction=False)
    for name in names:
        add(pipeline, name)
    return await pipeline.execute(raise_on_error=False)


async def _alone(client: Redis, name: str, add: Add) -> Any:
    (answer,) = await _pipelined(client, [name], add)
    if isinstance(answer, Exception):
        raise answer
    return answer


async def _map_from(node: Node, client: Redis) -> list[Node | None]:
    """Return the master of each slot as ``node`` knows them. Raises what the client raises."""
    masters: list[Node | None] = [None] * SLOTS
    for first, last, (host, port, *_), *_replicas in await _sent(client, "CLUSTER SLOTS"):
        # A node that does not know how it is reached leaves the host out.
        master = (host.decode() if host and host != b"?" else node[0], int(port))
        masters[first : last + 1] = [master] * (last + 1 - first)
    if not any(masters):
        raise ConnectionError("cluster: no slot has a master")
    return masters


async def _sent(client: Redis, command: str) -> Any:
    send: Callable[[str], Awaitable[Any]] = client.execute_command
    return await send(command)


def _looked_at(task: asyncio.Task[None]) -> None:
    """Take note of how it ended: who did not wait for it has no use for its exception."""
    if not task.cancelled():
        task.exception()
