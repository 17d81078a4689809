"""Principals and scopes: who shares answers with whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindcache.cache.asking import scope as scope_module
from kindcache.cache.asking.scope import CREDENTIAL_HEADERS, SHARED, Principal, Scoping, digest

Headers = Sequence[tuple[bytes, bytes]]

BY_KEY = Scoping(b"secret", "credential", share_anonymous=False, upstream="u", namespace="n")
BY_HEADER = replace(BY_KEY, by="header:X-Tenant")
ALICE = [(b"authorization", b"Bearer alice")]
BOB = [(b"authorization", b"Bearer bob")]

parts = st.lists(st.binary(max_size=4), max_size=4)


@given(parts, parts)
def test_a_digest_tells_where_each_part_ends(one: list[bytes], other: list[bytes]) -> None:
    assert (digest(*one) == digest(*other)) == (one == other)


def test_digests_are_sixteen_bytes_and_fixed_for_good() -> None:
    assert digest().hex() == "cae66941d9efbd404e4d88758ea67670"
    assert digest(b"a", b"").hex() != digest(b"", b"a").hex()
    assert len(digest(b"x" * 1000)) == 16


def test_equal_credentials_are_one_principal_in_any_order_of_headers() -> None:
    two = [*ALICE, (b"openai-project", b"p")]
    assert BY_KEY.principal(two) == BY_KEY.principal(two[::-1])
    assert BY_KEY.principal([*ALICE, (b"user-agent", b"x")]) == BY_KEY.principal(ALICE)


@pytest.mark.parametrize("name", sorted(CREDENTIAL_HEADERS))
def test_every_credential_header_tells_callers_apart(name: bytes) -> None:
    one, other = BY_KEY.principal([(name, b"1")]), BY_KEY.principal([(name, b"2")])
    assert one is not None
    assert len({one, other, BY_KEY.principal([*ALICE, (name, b"1")])}) == 3


@given(
    st.lists(st.tuples(st.sampled_from(sorted(CREDENTIAL_HEADERS)), st.binary(min_size=1))),
    st.lists(st.tuples(st.sampled_from(sorted(CREDENTIAL_HEADERS)), st.binary(min_size=1))),
)
def test_different_credentials_are_different_principals(one: Headers, other: Headers) -> None:
    same = sorted(one) == sorted(other)
    assert (BY_KEY.principal(one) == BY_KEY.principal(other)) == same


def test_the_secret_is_in_and_the_credential_is_not() -> None:
    principal = BY_KEY.principal(ALICE)
    assert principal is not None
    assert principal != replace(BY_KEY, secret=b"another").principal(ALICE)
    assert b"alice" not in bytes(principal)
    assert len(principal) == 16


def test_nobody_without_a_credential_unless_the_anonymous_share() -> None:
    open_house = replace(BY_KEY, share_anonymous=True)
    for headers in ([], [(b"user-agent", b"x")], [(b"authorization", b"")]):
        assert BY_KEY.principal(headers) is None
        assert open_house.principal(headers) == SHARED
    assert open_house.principal(ALICE) == BY_KEY.principal(ALICE)


def test_by_header_only_that_header_counts_in_any_case_of_its_name() -> None:
    tenant = [(b"x-tenant", b"one")]
    assert BY_HEADER.principal([*tenant, *ALICE]) == BY_HEADER.principal([*tenant, *BOB])
    assert BY_HEADER.principal(tenant) != BY_HEADER.principal([(b"x-tenant", b"two")])
    assert BY_HEADER.principal(ALICE) is None
    assert BY_HEADER.principal([(b"x-tenant", b"")]) is None


def test_shared_by_all_when_told_so() -> None:
    shared = replace(BY_KEY, by="shared")
    assert shared.principal(ALICE) == shared.principal([]) == SHARED


@given(
    st.lists(st.binary(max_size=3), min_size=5, max_size=5),
    st.integers(0, 4),
    st.binary(max_size=3),
)
def test_a_scope_depends_on_each_of_its_parts(parts: list[bytes], at: int, value: bytes) -> None:
    def scope(user: bytes, upstream: bytes, fixed: bytes, asked: bytes, epoch: bytes) -> bytes:
        scoping = replace(BY_KEY, upstream=upstream.hex(), namespace=fixed.hex())
        return scoping.scope(SHARED, user.hex(), asked.hex(), epoch)

    changed = [*parts[:at], value, *parts[at + 1 :]]
    assert (scope(*parts) == scope(*changed)) == (parts == changed)
    turned = [*parts[1:], parts[0]]
    assert (scope(*parts) == scope(*turned)) == (parts == turned)


def test_a_scope_depends_on_the_principal() -> None:
    alice, bob = BY_KEY.principal(ALICE), BY_KEY.principal(BOB)
    assert alice is not None
    assert bob is not None
    scopes = {BY_KEY.scope(Principal(who), "", "", b"") for who in (alice, bob, SHARED)}
    assert len(scopes) == 3


def test_who_was_made_before_is_made_alike_however_many_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scope_module, "REMEMBERED", 4)
    scoping = replace(BY_KEY)
    callers = [[(b"authorization", b"Bearer %d" % number)] for number in range(10)]
    first = [scoping.principal(caller) for caller in callers]
    assert [scoping.principal(caller) for caller in callers] == first
    assert len(set(first)) == len(callers)


def test_names_that_are_too_long_to_be_remembered_still_tell_scopes_apart() -> None:
    principal = BY_KEY.principal(ALICE)
    assert principal is not None
    long = ["x" * 300, "x" * 301]
    one, other = (BY_KEY.scope(principal, name, "", b"e") for name in long)
    assert one != other
    assert one == BY_KEY.scope(principal, long[0], "", b"e")
