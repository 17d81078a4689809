"""Addresses: what is accepted, and what may be printed."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindcache.config.addresses import (
    check_http_url,
    check_network,
    check_store_url,
    redact_url,
)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("redis://:pw@host:6379/0", "redis://:***@host:6379/0"),
        ("rediss://user:pw@host/1", "rediss://user:***@host/1"),
        ("rediss://user:p@s:s/w@host/1", "rediss://user:***@host/1"),
        ("redis://token@host", "redis://***@host"),
        ("redis//user:pw@host", "redis//user:***@host"),
        ("user:pw@host", "user:***@host"),
        ("redis://host?db=1&password=pw&x=2", "redis://host?db=1&password=***&x=2"),
        ("https://api.example/v1?api_key=pw#top", "https://api.example/v1?api_key=***#top"),
        ("unix://user:pw@/run/redis.sock", "unix://user:***@/run/redis.sock"),
        ("sqlite:///odd@name.db", "sqlite:///odd@name.db"),
        ("redis+cluster://u:pw@h1:1,h2:2", "redis+cluster://u:***@h1:1,h2:2"),
        ("redis+sentinel://:pw@h1,h2/x?db=1", "redis+sentinel://:***@h1,h2/x?db=1"),
    ],
)
def test_passwords_are_not_shown(url: str, shown: str) -> None:
    assert redact_url(url) == shown


@given(st.text(alphabet="ab:/@?&=#.%", max_size=20), st.sampled_from(["redis", "http", "unix"]))
def test_no_password_before_the_host_is_ever_shown(noise: str, scheme: str) -> None:
    assert "S3CRET" not in redact_url(f"{scheme}://user:{noise}S3CRET{noise}@host")


@pytest.mark.parametrize(
    "url",
    [
        "memory://",
        "sqlite:///kindcache.db",
        "sqlite:////var/lib/kindcache.db",
        "redis://localhost",
        "redis://user:pw@[::1]:6379/0",
        "rediss://cache.example:6380/1?ssl_cert_reqs=none",
        "unix:///run/redis.sock?db=1",
        "redis+cluster://h1,h2:6380",
        "rediss+cluster://user:pw@[::1]:6379,h2/0?ssl_ca_certs=/ca.pem",
        "redis+sentinel://h1,h2:26380/service?db=1",
        "rediss+sentinel://h1/my-service.1",
    ],
)
def test_stores_that_are_accepted(url: str) -> None:
    assert check_store_url(url) == url


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "is not a store; write memory://"),
        ("kindcache.db", "is not a store; write memory://"),
        ("postgres://host/db", "is not a store; write memory://"),
        ("memory://x", "memory:// takes nothing after it"),
        ("sqlite://kindcache.db", "needs a file: sqlite:///kindcache.db"),
        ("sqlite:///", "needs a file: sqlite:///kindcache.db"),
        ("unix://", "needs a socket: unix:///run/redis.sock"),
        ("redis://", "names no host"),
        ("redis://:pw@host:port", "has a bad host or port"),
        ("redis://host/name", "the part after the host is a database number"),
        ("redis://[::1", "has a bad host or port"),
        ("redis://h1,h2", "names several hosts: write redis+cluster://"),
        ("redis+cluster://", "names no host; write redis+cluster://HOST:6379,HOST:6379"),
        ("redis+cluster://h1,,h2", "names no host; write redis+cluster://"),
        ("redis+cluster://:pw@h1:port,h2", "has a bad host or port"),
        ("redis+cluster://h1,h2/1", "a cluster has no other database than 0"),
        ("redis+sentinel://:pw@h1,h2", "names no service; write redis+sentinel://"),
        ("redis+sentinel://h1/a b", "names no service"),
        ("redis://host/0#top", "takes no #fragment"),
        ("redis+ring://h1", "is not a store"),
    ],
)
def test_stores_that_are_refused(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}") as caught:
        check_store_url(url)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("localhost:8000", "is not an http:// or https:// address"),
        ("ftp://host", "is not an http:// or https:// address"),
        ("http://", "names no host"),
        ("http://host:99999999", "has a bad host or port"),
        ("http://host/v1?x=1", "takes neither ?query nor #fragment"),
        ("http://host/v 1", "holds white space"),
    ],
)
def test_servers_that_are_refused(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_http_url(url)


@pytest.mark.parametrize("text", ["10.1.2.3", "10.0.0.0/8", "::1", "fd00::/8"])
def test_networks_that_are_accepted(text: str) -> None:
    assert check_network(text) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10.0.0.1/8", 'has host bits set; nearest: "10.0.0.0/8"'),
        ("10.0.0.0/33", 'is not an address or network; write "10.1.2.3" or "10.0.0.0/8"'),
        ("gateway", 'is not an address or network; write "10.1.2.3" or "10.0.0.0/8"'),
    ],
)
def test_networks_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_network(text)
