"""A cluster of Redis for the contract suites."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.drivers.redis_forms import RedisCluster, cluster_in


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """Run one for all: it takes two seconds before it takes writes."""
    with cluster_in(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster
