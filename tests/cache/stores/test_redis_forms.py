"""The store on a cluster, behind sentinels, over TLS and as a user with few rights."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis.crc import key_slot

from kindcache.cache.errors import StartupError, StoreError
from kindcache.cache.ports import EntryKey, Store
from kindcache.cache.stores.guarded import GuardedStore
from kindcache.cache.stores.redis import RedisStore
from tests.conftest import RedisServer
from tests.drivers.redis_forms import (
    RedisCluster,
    cluster_in,
    command,
    info,
    make_certificates,
    start_sentinels,
    until,
)

pytestmark = pytest.mark.anyio

MakeServer = Callable[..., RedisServer]

A = EntryKey(b"A" * 16)
HOUR_S = 3600.0
PAGE = Path(__file__).resolve().parents[3] / "docs" / "redis.md"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """A cluster takes two seconds before it takes writes: one for all that leave it whole."""
    with cluster_in(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
async def store(cluster: RedisCluster) -> AsyncIterator[RedisStore]:
    for node in cluster.nodes:
        command(node, "FLUSHALL")
    store = RedisStore.from_url(cluster.url, "test")
    yield store
    await store.aclose()


async def works(store: Store) -> None:
    """Use every part of the port once."""
    keys = [EntryKey(os.urandom(16)) for _ in range(60)]
    await store.open()
    await asyncio.gather(*(store.put(key, key * 9, key, HOUR_S) for key in keys))
    assert [await store.get(key) for key in keys] == [key * 9 for key in keys]
    assert {key: record async for key, record in store.records()} == {key: key for key in keys}
    assert await store.records_of(keys) == {key: key for key in keys}
    await store.delete(keys[1:])
    assert [item async for item in store.records()] == [(keys[0], keys[0])]
    await store.delete(keys)
    await store.claim("works", b"value")
    assert await store.claim("works", b"other") == b"value"
    await store.uncount("ledger", ["right", "wrong"])
    await store.count("ledger", {"right": 2, "wrong": 1})
    await store.uncount("ledger", ["wrong"])
    assert await store.counts("ledger") == {"right": 2}
    assert await store.lease("name", b"mine", 5.0)
    assert await store.lease("name", b"mine", 5.0)
    assert not await store.lease("name", b"yours", 5.0)
    await store.release("name", b"yours")
    assert not await store.lease("name", b"yours", 5.0)
    await store.release("name", b"mine")
    assert await store.lease("name", b"yours", 5.0)
    await store.release("name", b"yours")
    await store.changes.since(0, 1, 0.0)  # tells what could not be told before
    last = await store.changes.latest()
    assert await store.changes.since(last, 10, 0.01) == []
    assert keys[0] in await store.changes.admitted(100)


async def until_it_works(call: Callable[[], Any]) -> Any:
    async with asyncio.timeout(15.0):
        while True:
            try:
                return await call()
            except StoreError:
                await asyncio.sleep(0.01)


async def test_a_cluster_of_three_masters(store: RedisStore, cluster: RedisCluster) -> None:
    await works(store)
    keys = [EntryKey(n.to_bytes(16, "big")) for n in range(300)]
    await asyncio.gather(*(store.put(key, b"p", b"r", HOUR_S) for key in keys))
    assert min(command(node, "DBSIZE") for node in cluster.masters) > 100  # of 600


async def test_one_known_node_of_a_cluster_is_enough(
    store: RedisStore, cluster: RedisCluster
) -> None:
    assert await store.get(A) is None
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        away = unused.getsockname()[1]
        there = cluster.nodes[2].port
        url = f"redis+cluster://127.0.0.1:{away},127.0.0.1:{there}"
        knows_one = RedisStore.from_url(url, "test")
        await works(knows_one)
        await knows_one.aclose()


async def test_slots_that_move_are_followed(store: RedisStore, cluster: RedisCluster) -> None:
    """Before, during and after the move, as an operator reshards: MIGRATING, MIGRATE, NODE."""
    name = f"test:p:{{{A.hex()}}}"
    slot = key_slot(name.encode())
    old = next(node for node in cluster.masters if _owns(node, slot))
    new = next(node for node in cluster.masters if node is not old)
    await store.put(A, b"before", b"record", HOUR_S)
    command(new, "CLUSTER SETSLOT", slot, "IMPORTING", cluster.id_of(old))
    command(old, "CLUSTER SETSLOT", slot, "MIGRATING", cluster.id_of(new))
    assert await store.get(A) == b"before"
    command(old, "MIGRATE", "127.0.0.1", new.port, name, 0, 1000)
    assert await store.get(A) == b"before"  # ASK
    command(old, "MIGRATE", "127.0.0.1", new.port, f"test:x:{{{A.hex()}}}", 0, 1000)
    await store.put(A, b"during", b"record", HOUR_S)  # a transaction where it is about to be
    assert await store.get(A) == b"during"
    assert command(new, "CLUSTER COUNTKEYSINSLOT", slot) == 2
    for node in (new, old):
        command(node, "CLUSTER SETSLOT", slot, "NODE", cluster.id_of(new))
    assert await store.get(A) == b"during"  # MOVED
    assert await store.records_of([A]) == {A: b"record"}
    await store.put(A, b"after", b"record", HOUR_S)
    await store.delete([A])
    assert await store.get(A) is None


def _owns(node: RedisServer, slot: int) -> bool:
    for first, last, (_, port, *_), *_ in command(node, "CLUSTER SLOTS"):
        if first <= slot <= last:
            return bool(port == node.port)
    return False


@pytest.mark.parametrize("how", ["killed", "hangs"])
async def test_a_master_that_fails_is_replaced_by_its_replica(
    make_redis_server: MakeServer, how: str
) -> None:
    """A node that hangs closes no connection: only calls that are given up tell of it."""
    cluster = RedisCluster(make_redis_server, replicated=True)
    cluster.start()
    bare = RedisStore.from_url(cluster.url, "test")
    store = GuardedStore(bare, read_deadline_s=0.25, write_deadline_s=0.5)
    keys = [EntryKey(n.to_bytes(16, "big")) for n in range(60)]
    for key in keys:
        await store.put(key, key, key, HOUR_S)
    until("the replica has all", lambda: _in_step(cluster))
    (cluster.nodes[0].kill if how == "killed" else cluster.nodes[0].pause)()
    began_s = asyncio.get_running_loop().time()
    for key in keys:
        assert await until_it_works(partial(store.get, key)) == key
    assert asyncio.get_running_loop().time() - began_s < 15.0
    await until_it_works(lambda: store.put(A, b"payload", b"record", HOUR_S))
    await store.aclose()


def _in_step(cluster: RedisCluster) -> bool:
    offset = info(cluster.nodes[3], "replication")["slave_repl_offset"]
    return bool(offset == info(cluster.nodes[0], "replication")["master_repl_offset"])


async def test_behind_sentinels_a_failover_is_followed(
    make_redis_server: MakeServer, tmp_path: Path
) -> None:
    group = start_sentinels(make_redis_server, tmp_path)
    store = RedisStore.from_url(group.url, "test")
    try:
        await works(store)
        await store.put(A, b"payload", b"record", HOUR_S)
        group.fail_over()
        assert info(group.master, "replication")["role"] == "slave"
        await until_it_works(lambda: store.put(A, b"after", b"record", HOUR_S))
        assert await until_it_works(partial(store.get, A)) == b"after"
        assert command(group.replica, "GET", f"test:p:{{{A.hex()}}}") == b"after"
        await store.delete([A])
        await works(store)
    finally:
        await store.aclose()
        group.stop()


async def test_tls_with_certificates_on_both_sides(
    make_redis_server: MakeServer, tmp_path: Path
) -> None:
    files = make_certificates(tmp_path / "certificates")
    server, port = make_redis_server(), make_redis_server().port
    server.options = {**files, "tls-port": str(port)}
    server.start()
    known = f"ssl_ca_certs={files['tls-ca-cert-file']}"
    shown = f"ssl_certfile={files['tls-cert-file']}&ssl_keyfile={files['tls-key-file']}"
    store = RedisStore.from_url(f"rediss://127.0.0.1:{port}/0?{known}&{shown}", "test")
    await works(store)
    await store.aclose()
    for refused in (f"?{known}", f"?{shown}", ""):  # shows no certificate; trusts nobody we know
        other = RedisStore.from_url(f"rediss://127.0.0.1:{port}/0{refused}", "test")
        with pytest.raises(StoreError):
            await other.get(A)
        await other.aclose()


async def test_a_certificate_that_is_not_there_is_found_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="ssl_ca_certs: no such file"):
        RedisStore.from_url(f"rediss://host?ssl_ca_certs={tmp_path}/none", "test")


@pytest.fixture(params=["single", "cluster"])
def guarded_url(request: pytest.FixtureRequest, make_redis_server: MakeServer) -> str:
    """A server, or a cluster, where a user has the rights that the page about Redis lists."""
    (listed,) = re.findall(r"```\n(user kindcache .*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    rights = listed.replace("\\\n", " ").replace(">PASSWORD", ">secret").split()[2:]
    if request.param == "cluster":
        cluster = RedisCluster(make_redis_server)
        cluster.start()
        nodes, url = cluster.nodes, cluster.url
    else:
        server = make_redis_server()
        server.start()
        nodes, url = [server], server.url
    for node in nodes:
        command(node, "ACL", "SETUSER", "kindcache", *rights)
        command(node, "ACL", "SETUSER", "default", "off")
    return url.replace("://", "://kindcache@")


async def test_a_user_with_the_rights_of_the_page_can_do_all(guarded_url: str) -> None:
    store = RedisStore.from_url(guarded_url, "kindcache", password="secret")
    await works(store)
    await store.aclose()
    elsewhere = RedisStore.from_url(guarded_url, "other", password="secret")
    with pytest.raises(StoreError):
        await elsewhere.get(A)
    await elsewhere.aclose()


@pytest.mark.parametrize(
    "url",
    [
        "redis+cluster://:hunter2@h1,h2?colour=red",
        "redis+sentinel://:hunter2@h1,h2/service?colour=red",
        "redis+sentinel://:hunter2@h1/service?sentinel_login=maybe",
        "redis+sentinel://:hunter2@h1",
        "redis+cluster://:hunter2@h1/3",
    ],
)
async def test_an_unreadable_address_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(StartupError) as caught:
        RedisStore.from_url(url, "test")
    assert "hunter2" not in str(caught.value)
