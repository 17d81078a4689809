"""Settings of the store that need each other."""

from __future__ import annotations

import pytest

from kindcache.adapters.registry import is_shared, make_store
from kindcache.cache.errors import StartupError
from kindcache.config.load import loads
from kindcache.config.problems import ConfigError
from kindcache.config.settings import Settings


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "store: {password_env: REDIS_PASSWORD}",
            "f:1: store.password_env: is only for a store.url of Redis",
        ),
        (
            'store: {url: "redis://u:hunter2@h", password_env: REDIS_PASSWORD}',
            "f:1: store.password_env: is the second password: store.url has one too",
        ),
        (
            'store: {url: "memory://", single_flight: shared}',
            "f:1: store.single_flight: needs a store that several processes share",
        ),
        (
            'store:\n  url: "redis+sentinel://h1,h2"',
            'f:2: store.url: "redis+sentinel://h1,h2": names no service',
        ),
        (
            'store:\n  url: "redis+cluster://:hunter2@h1/2"',
            'f:2: store.url: "redis+cluster://:***@h1/2": a cluster has no other database',
        ),
    ],
)
def test_what_does_not_fit_is_said(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loads(text, "f")
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["redis://u@h", "rediss+cluster://h1,h2", "redis+sentinel://u@h1,h2/service", "unix:///run/s"],
)
def test_a_password_may_come_from_the_environment(url: str) -> None:
    settings = loads(f'store: {{url: "{url}", password_env: REDIS_PASSWORD}}', "f").store
    assert is_shared(url)
    make_store(settings, environ={"REDIS_PASSWORD": "hunter2"})
    with pytest.raises(StartupError, match="REDIS_PASSWORD is not set"):
        make_store(settings, environ={})


def test_each_process_is_for_itself_by_default() -> None:
    assert Settings().store.single_flight == "process"
