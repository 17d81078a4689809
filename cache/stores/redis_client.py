"""From the address of a store to clients of its servers. No I/O."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import Connection, ConnectionPool, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from ...config.redis_address import RedisAddress, split_redis_url
from ..errors import StartupError
from .redis_cluster import Cluster, Node
from .redis_servers import OneServer, Servers

IDLE_CHECK_S = 30.0  # a connection idle for longer is pinged before use
FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
SENTINEL_LOGIN = "sentinel_login"  # ?sentinel_login=same: the sentinels want it too


def servers_of(url: str, password: str, *, connections: int, timeout_s: float) -> Servers:
    """Make the clients for ``url``; ``password`` is used where the URL has none.

    ``connections``: most to each server. Raises ``StartupError`` for an address that cannot be
    read, for options that do not exist, and for certificates that are not there.
    """
    shared: dict[str, Any] = {
        "decode_responses": False,
        "protocol": 2,  # no handshake, no pushed messages
        "max_connections": connections,
        "socket_timeout": None,  # the client's own swallows cancellation on Python 3.11
        "socket_connect_timeout": timeout_s,
        "health_check_interval": IDLE_CHECK_S,
        "retry": Retry(NoBackoff(), 0),
    }
    if password:
        shared["password"] = password
    try:
        if url.startswith("unix:"):
            return _single(url, shared)
        address = split_redis_url(url)
        _check_files(parse_url(address.url_of(*address.hosts[0])))
        match address.form:
            case "single":
                return _single(url, shared)
            case "cluster":
                return _cluster(address, shared)
            case "sentinel":
                return _behind_sentinels(address, shared)
    except (ValueError, TypeError) as exc:
        raise StartupError("store.url: not a Redis address, or with unknown options") from exc


def _single(url: str, shared: Mapping[str, Any]) -> OneServer:
    return OneServer(_checked(Redis.from_url(url, **shared)))


def _checked(client: Redis) -> Redis:
    connect: Callable[[], object] = client.connection_pool.make_connection
    connect()  # no I/O; finds options that do not exist
    return client


def _check_files(options: Mapping[str, Any]) -> None:
    """See that the files are there now: later it would only look as if the server were away."""
    for name in FILES:
        path = options.get(name)
        if path is not None and not Path(path).is_file():
            raise StartupError(f"store.url: {name}: no such file: {path}")


def _cluster(address: RedisAddress, shared: Mapping[str, Any]) -> Cluster:
    def connect(node: Node, connections: int | None) -> Redis:
        most = shared["max_connections"] if connections is None else connections
        pool = _pool(address, node, {**shared, "max_connections": most})
        return Redis.from_pool(pool)

    _checked(connect(address.hosts[0], None))
    return Cluster(address.hosts, connect)


def _pool(address: RedisAddress, node: Node, shared: Mapping[str, Any]) -> ConnectionPool:
    options: dict[str, Any] = {**shared, **parse_url(address.url_of(*node))}
    options.setdefault("connection_class", Connection)
    return ConnectionPool(**options)


def _behind_sentinels(address: RedisAddress, shared: Mapping[str, Any]) -> OneServer:
    options: dict[str, Any] = {**shared, **parse_url(address.url_of(*address.hosts[0]))}
    for name in ("host", "port", "connection_class"):
        options.pop(name, None)
    same_login = options.pop(SENTINEL_LOGIN, "none")
    if same_login not in ("same", "none"):
        raise ValueError(SENTINEL_LOGIN)
    left_out = {"db"} if same_login == "same" else {"db", "username", "password"}
    asked = {name: value for name, value in options.items() if name not in left_out}
    make: Callable[..., Sentinels] = Sentinels
    sentinels = make(address.hosts, sentinel_kwargs={**asked, "ssl": address.tls}, **options)
    client = sentinels.master_for(address.service, ssl=address.tls)
    return OneServer(_checked(client), sentinels.sentinels)


class Sentinels(Sentinel):
    """Asks all sentinels at once who is master: one that hangs must not hold up the others."""

    async def discover_master(self, service_name: str) -> Node:
        """Return host and port of the master. Raises ``MasterNotFoundError``."""
        asked = [asyncio.create_task(self._told(one, service_name)) for one in self.sentinels]
        try:
            for answer in asyncio.as_completed(asked):
                found = await answer
                if found is not None:
                    return found
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        raise MasterNotFoundError(f"no sentinel knows a master of {service_name}")

    async def _told(self, sentinel: Redis, service_name: str) -> Node | None:
        try:
            asking: Awaitable[Any] = sentinel.sentinel_masters()
            groups: Mapping[str, Any] = await asking
        except (RedisError, OSError, RuntimeError):
            return None
        state = groups.get(service_name)
        if not state or not self.check_master_state(state, service_name):
            return None
        return state["ip"], state["port"]
