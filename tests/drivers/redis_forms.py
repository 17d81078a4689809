"""Redis in the forms people run, on free ports of 127.0.0.1: a cluster, sentinels, TLS.

Each is made of ``RedisServer``s; readiness is asked for, never slept for.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from tests.conftest import RedisServer

READY_S = 15.0
ASK_S = 0.02  # between two looks
SERVICE = "answers"

MakeServer = Callable[[], RedisServer]


def until(what: str, happened: Callable[[], bool], deadline_s: float = READY_S) -> None:
    """Look again and again until ``happened``; fail after ``deadline_s``."""
    give_up_at = time.monotonic() + deadline_s
    while time.monotonic() < give_up_at:
        try:
            if happened():
                return
        except (RedisError, OSError):
            pass
        time.sleep(ASK_S)
    raise AssertionError(f"{what}: not within {deadline_s:g} s")


def command(server: RedisServer, *words: Any) -> Any:
    """Send one command."""
    with Redis(port=server.port) as client:
        send: Callable[..., Any] = client.execute_command
        return send(*words)


def info(server: RedisServer, section: str) -> dict[str, Any]:
    """Return a section of INFO."""
    with Redis(port=server.port) as client:
        found: Any = client.info(section)
        return dict(found)


class RedisCluster:
    """Three masters; ``replicated`` gives the first one a replica."""

    def __init__(self, make: MakeServer, *, replicated: bool = False) -> None:
        self.nodes = [make() for _ in range(4 if replicated else 3)]
        for node in self.nodes:
            node.options = {
                "cluster-enabled": "yes",
                "cluster-config-file": "nodes.conf",
                "cluster-node-timeout": "500",
                "cluster-port": str(make().port),
                "cluster-replica-validity-factor": "0",
                "cluster-require-full-coverage": "no",
                "repl-diskless-sync-delay": "0",
            }

    @property
    def masters(self) -> list[RedisServer]:
        """Return those that begin as masters."""
        return self.nodes[:3]

    @property
    def url(self) -> str:
        """Return the address, by two of the nodes."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes[:2])

    def start(self) -> None:
        """Start all, and wait until each knows all slots."""
        for node in self.nodes:
            node.start()
        for number, node in enumerate(self.masters):
            command(node, "CLUSTER ADDSLOTSRANGE", 5462 * number, min(5462 * number + 5461, 16383))
        for number, node in enumerate(self.nodes):
            command(node, "CLUSTER SET-CONFIG-EPOCH", number + 1)
        for node in self.nodes[1:]:
            bus = node.options["cluster-port"]
            command(self.nodes[0], "CLUSTER MEET", "127.0.0.1", node.port, bus)
        until("the nodes know each other", lambda: all(map(self._is_whole, self.nodes)))
        for replica in self.nodes[3:]:
            command(replica, "CLUSTER REPLICATE", self.id_of(self.nodes[0]))
            until("the replica follows", partial(_is_following, replica))

    def id_of(self, node: RedisServer) -> str:
        """Return what the cluster calls ``node``."""
        return _text(command(node, "CLUSTER MYID"))

    def _is_whole(self, node: RedisServer) -> bool:
        state = command(node, "CLUSTER INFO")
        whole = state["cluster_state"] == "ok" and state["cluster_slots_ok"] == "16384"
        return whole and int(state["cluster_known_nodes"]) == len(self.nodes)


@contextmanager
def cluster_in(folder: Path) -> Iterator[RedisCluster]:
    """Run a cluster until the block ends."""
    servers: list[RedisServer] = []

    def make() -> RedisServer:
        servers.append(RedisServer(folder / str(len(servers))))
        return servers[-1]

    try:
        cluster = RedisCluster(make)
        cluster.start()
        yield cluster
    finally:
        for server in servers:
            server.stop()


@dataclass
class Sentinels:
    """A master, its replica, and one sentinel that watches both."""

    master: RedisServer
    replica: RedisServer
    sentinel: subprocess.Popen[bytes]
    port: int

    @property
    def url(self) -> str:
        """Return the address; the first sentinel of it is not there."""
        return f"redis+sentinel://127.0.0.1:1,127.0.0.1:{self.port}/{SERVICE}"

    def fail_over(self) -> None:
        """Let the replica take over, and wait until it has and the sentinel says so."""
        new = self.replica.port
        with Redis(port=self.port) as asked:
            asked.sentinel_failover(SERVICE)
            until("the failover", lambda: asked.sentinel_master(SERVICE)["port"] == new)
        until("the promotion", lambda: info(self.replica, "replication")["role"] == "master")
        # The sentinel would see to it after ten seconds.
        command(self.master, "REPLICAOF", "127.0.0.1", new)

    def stop(self) -> None:
        """Stop the sentinel; the servers are their maker's."""
        self.sentinel.kill()
        self.sentinel.wait(timeout=READY_S)


def start_sentinels(make: MakeServer, folder: Path) -> Sentinels:
    """Start a master, its replica and a sentinel; wait until it knows both."""
    master, replica, spare = make(), make(), make()
    master.options = {"repl-diskless-sync-delay": "0"}
    replica.options = {"replicaof": f"127.0.0.1 {master.port}"}
    master.start()
    replica.start()
    # A sentinel that finds no replica at its first look looks again after ten seconds.
    until("the replica follows", partial(_is_following, replica))
    config = folder / "sentinel.conf"
    config.write_text(
        f"port {spare.port}\nbind 127.0.0.1\ndir {folder}\n"
        f"sentinel monitor {SERVICE} 127.0.0.1 {master.port} 1\n"
        f"sentinel down-after-milliseconds {SERVICE} 300\n"
        f"sentinel failover-timeout {SERVICE} 2000\n"
    )
    process = subprocess.Popen(
        ["redis-server", str(config), "--sentinel"], stdout=subprocess.DEVNULL
    )
    group = Sentinels(master, replica, process, spare.port)
    try:
        with Redis(port=spare.port) as asked:
            until("the sentinel knows both", lambda: _is_watched(asked))
    except BaseException:
        group.stop()
        raise
    return group


def _is_watched(asked: Redis) -> bool:
    replicas: Any = asked.sentinel_slaves(SERVICE)
    return any(replica.get("master-link-status") == "ok" for replica in replicas)


def _is_following(replica: RedisServer) -> bool:
    return str(info(replica, "replication").get("master_link_status")) == "up"


def make_certificates(folder: Path) -> dict[str, str]:
    """Make a CA, and a certificate of it for 127.0.0.1; return the paths by their options."""
    folder.mkdir(parents=True, exist_ok=True)
    names = folder / "names"
    names.write_text("subjectAltName=IP:127.0.0.1")
    new = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    _openssl(folder, f"{new} -x509 -days 2 -subj /CN=tests -keyout ca.key -out ca.crt")
    _openssl(folder, f"{new} -subj /CN=server -keyout server.key -out server.csr")
    _openssl(
        folder,
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 "
        "-extfile names -out server.crt",
    )
    return {
        "tls-ca-cert-file": str(folder / "ca.crt"),
        "tls-cert-file": str(folder / "server.crt"),
        "tls-key-file": str(folder / "server.key"),
    }


def _openssl(folder: Path, words: str) -> None:
    subprocess.run(["openssl", *words.split()], cwd=folder, check=True, capture_output=True)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
