from __future__ import annotations

from typing import Any

import pytest

from kindcache.adapters.dialects.body_directives import read_directives
from kindcache.policies.facts import NO_DIRECTIVES, Directives


@pytest.mark.parametrize(
    ("control", "directives"),
    [
        ({}, NO_DIRECTIVES),
        ({"ttl": 60}, Directives(ttl_s=60.0)),
        ({"ttl": 0}, Directives(ttl_s=0.0)),
        ({"s-maxage": 1.5}, Directives(max_age_s=1.5)),
        ({"s-max-age": 9, "s-maxage": 5}, Directives(max_age_s=5.0)),
        ({"no-cache": True}, Directives(no_cache=True)),
        ({"no-store": True, "no-cache": False}, Directives(no_store=True)),
        ({"namespace": "eu"}, Directives(namespace="eu")),
        ({"use-cache": False}, Directives(bypass=True)),
        ({"use-cache": True}, NO_DIRECTIVES),
        ({"ttl": None, "namespace": None}, NO_DIRECTIVES),
    ],
)
def test_reads_what_a_client_asks(control: Any, directives: Directives) -> None:
    assert read_directives(control) == directives


@pytest.mark.parametrize(
    "control",
    [
        True,
        "no-cache",
        [],
        {"ttl": -1},
        {"ttl": "60"},
        {"ttl": True},
        {"s-maxage": float("nan")},
        {"s-maxage": [1]},
        {"no-cache": "false"},
        {"no-store": 0},
        {"use-cache": 1},
        {"namespace": 5},
        {"no_store": True},
    ],
)
def test_what_cannot_be_used_means_bypass(control: Any) -> None:
    assert read_directives(control).bypass


def test_huge_ages_fit_a_float() -> None:
    assert read_directives({"ttl": 10**400}).ttl_s == 1e10
