"""What counts as personal data, and what does not."""

from __future__ import annotations

import random
import re
import time
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import iban, luhn

from kindcache.config.category_settings import PERSONAL_KINDS
from kindcache.policies.personal import sums
from kindcache.policies.personal.finder import Finder, finder

ALL = frozenset[str](PERSONAL_KINDS)

HELD = [
    ("My card is 4111 1111 1111 1111, exp 12/29", "card"),
    ("4111-1111-1111-1111", "card"),
    ("card:378282246310005.", "card"),
    ("3782 822463 10005", "card"),
    ("6220 2000 0000 0000 121", "card"),
    ("4111 1111 1111 1111 123", "card"),
    ("4111-1111-1111-1111 123", "card"),
    ("in 2024 4111 1111 1111 1111 was charged", "card"),
    ("４１１１ １１１１ １１１１ １１１１", "card"),
    ("4111\u20111111\u20111111\u20111111", "card"),
    ("4111\u200b1111\u200b1111\u200b1111", "card"),
    ("Send it to DE89 3704 0044 0532 0130 00 please", "iban"),
    ("gb82west12345698765432", "iban"),
    ("NO93 8601 1117 947", "iban"),
    ("write to john.o-neil+x@mail.acme.co.uk today", "email"),
    ("<a@b.io>", "email"),
    ("call +49 30 901820", "phone"),
    ("call 0049 30 901820 at 10", "phone"),
    ("call (415) 555-2671 now", "phone"),
    ("1-800-275-2273", "phone"),
    ("my number is 219-45-6789", "national_id"),
    ("AB 12 34 56 C", "national_id"),
    ("RSSMRA85T10A562S", "national_id"),
    ("2 94 03 75 120 005 91", "national_id"),
    ("12345678Z", "national_id"),
    ("44051401359", "national_id"),
    ("390.533.447-05", "national_id"),
    ("why is sk-proj-4fT9xQ2mBv7LpZ8KcW3rYd6H invalid?", "secret"),
    ("AKIAIOSFODNN7EXAMPLE", "secret"),
    ("token=ghp_" + "aB3" * 12, "secret"),
    ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n", "secret"),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N", "secret"),
]
FREE = [
    "What is the capital of Australia?",
    "4111 1111 1111 1112",
    "0000 0000 0000 0000",
    "41111111111111111111111111",
    "1700000000000 is a time in milliseconds",
    "DE89 3704 0044 0532 0130 01",
    "mail user@example.com or root@server.test",
    "git clone git@github.com:owner/name.git",
    "@app.route('/x') and a @ b",
    "2 + 2, 1,000,000 and 3.14159265358979",
    "192.168.100.200, 2024-11-21 06:05:16, v1.2.3-rc4",
    "000-12-3456",
    "commit 1f2a5c7e9b3d4a6c8e0f1a2b3c4d5e6f70819293",
    "550e8400-e29b-41d4-a716-446655440000",
    "the class sk-folding-cube-container-inner",
    "sk-short1",
    "ISBN 978-3-16-148410-0",
]


@pytest.fixture(scope="module")
def everything() -> Finder:
    found = finder(ALL)
    assert found is not None
    return found


@pytest.mark.parametrize(("text", "kind"), HELD)
def test_it_is_found_and_replaced(everything: Finder, text: str, kind: str) -> None:
    assert kind in everything.kinds(text)
    redacted = everything.redact(text, ALL)
    assert f"[{kind.upper()}]" in redacted
    assert everything.kinds(redacted) == frozenset()


@pytest.mark.parametrize("text", FREE)
def test_what_only_looks_like_it_is_left_alone(everything: Finder, text: str) -> None:
    assert everything.kinds(text) == frozenset()
    assert everything.redact(text, ALL) == text


def test_a_value_is_replaced_whole_and_nothing_else(everything: Finder) -> None:
    text = (
        "Pay 4111 1111 1111 1111 and DE89 3704 0044 0532 0130 00 from a.b@mail.org (+49 30 901820)"
    )
    assert everything.redact(text, ALL) == "Pay [CARD] and [IBAN] from [EMAIL] ([PHONE])"
    assert everything.redact(text, {"email"}).endswith("from [EMAIL] (+49 30 901820)")


def test_a_private_key_goes_with_its_body(everything: Finder) -> None:
    head, tail = "-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----"
    text = f"before\n{head}\nMIIEow\nIBAAKC\n{tail}\nafter"
    assert everything.redact(text, ALL) == "before\n[SECRET]\nafter"
    assert everything.redact(f"before {head}\nMIIEow", ALL) == "before [SECRET]"


def test_only_what_is_asked_for_is_looked_for() -> None:
    cards = finder(frozenset({"card"}))
    assert cards is not None
    assert cards.kinds("4111 1111 1111 1111 a@b.io") == {"card"}
    assert finder(frozenset()) is None


@given(st.text(st.sampled_from("0123456789 -"), min_size=1, max_size=40))
def test_the_sum_of_cards_is_the_library_s(text: str) -> None:
    digits = "".join(filter(str.isdigit, text))
    assert not digits or sums.luhn(digits) == luhn.is_valid(digits)


def test_the_lengths_of_accounts_are_those_of_the_registry() -> None:
    table = resources.files("stdnum").joinpath("iban.dat").read_text(encoding="utf-8")
    forms = re.findall(r'^([A-Z]{2}) .*bban="([^"]+)"', table, re.MULTILINE)
    known = {country: 4 + sum(map(int, re.findall(r"(\d+)!", form))) for country, form in forms}
    assert known == sums.IBAN_LENGTHS


@given(st.integers(0, 10**18 - 1))
def test_a_made_account_is_whole_and_a_changed_one_is_not(number: int) -> None:
    account = f"{number:018}"
    check = 98 - int(account + "131400") % 97  # DE
    assert sums.mod_97(f"DE{check:02}{account}") == iban.is_valid(
        f"DE{check:02}{account}", check_country=False
    )
    assert not sums.mod_97(f"DE{check % 97 + 1:02}{account}") or check % 97 + 1 == check


def test_long_texts_take_no_more_than_their_length(everything: Finder) -> None:
    """Texts that nearly match at every place, which would show a search that goes back."""
    rng = random.Random(1)
    makers = ["4111 ", "a.", "a@b.", "+1 2 ", "DE89 ", "-----BEGIN A ", "123-45-", "eyJhbGciOiJI."]
    makers += ["-----BEGIN PRIVATE KEY----- ", "(415) 555-2671 ", "(415) 555-0000 "]
    for maker in [*makers, f"{rng.random()} "]:
        took_s = []
        for count in (1_000, 10_000):
            started = time.perf_counter()
            everything.kinds(maker * count)
            everything.redact(maker * count, ALL)
            took_s.append(time.perf_counter() - started)
        assert took_s[1] < 40 * took_s[0] + 0.5, maker


def test_a_text_full_of_candidates_is_taken_to_hold_some() -> None:
    """Else each of a hundred thousand would be looked up."""
    cards = finder(frozenset({"card"}))
    assert cards is not None
    refused = "4111 1111 1111 1112, "
    assert cards.kinds(refused * 100) == frozenset()
    assert cards.kinds(refused * 1000) == {"card"}
