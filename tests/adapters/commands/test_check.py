"""The table of effective policies."""

from __future__ import annotations

import pytest

from kindcache.adapters.commands.check import effective_table, room_notes
from kindcache.config.load import default_path, load, loads

POLICIES = """
judge: {scorer: none}
categories:
  code: {similarity_threshold: 0.9, ttl: 7d, quota: 30%, priority: 3, match: {model: "*-coder"}}
  reports: {semantic: false, examples: [one, two]}
  medical: {cache: false}
"""
TABLE = """\
category  rules  examples  matching    at least  ttl  guards  sampled    quota  priority
--------  -----  --------  ----------  --------  ---  ------  ---------  -----  --------
code          1         -  semantic         0.9   7d  on      t>1 exact    30%         3
reports       -         2  exact              -   1h  -       t>1 exact      -         1
medical       -         -  not cached         -    -  -       -              -         1
default       -         -  semantic        0.95   1h  on      t>1 exact      -         1"""


def test_a_row_says_what_holds_for_a_category() -> None:
    assert effective_table(loads(POLICIES, "f")) == TABLE


def test_where_a_scorer_decides_the_bar_is_its_probability() -> None:
    text = effective_table(loads("defaults: {min_probability: 0.875}", "f"))
    assert "p 0.875" in text.splitlines()[-1]


def test_guards_that_are_off_stand_out() -> None:
    assert "OFF" in effective_table(loads("defaults: {guards: false}", "f"))


@pytest.mark.parametrize("width", [200, 100, 80, 60, 30])
def test_the_shipped_policies_fit_the_terminal(width: int) -> None:
    text = effective_table(load(default_path()), width)
    assert max(map(len, text.splitlines())) <= width
    assert "market_data" in text


def test_a_narrow_table_says_below_what_is_the_same_for_all() -> None:
    text = effective_table(loads(POLICIES, "f"), 75)
    headings = "category  rules  examples  matching    at least  ttl  quota  priority"
    assert text.splitlines()[0] == headings
    assert text.splitlines()[-1] == "Same for all: guards on, sampled t>1 exact"


def test_a_narrow_table_keeps_what_differs() -> None:
    text = effective_table(loads(POLICIES + "  other: {guards: false}", "f"), 80)
    assert text.splitlines()[-1] == "Same for all: sampled t>1 exact"
    assert "OFF" in text


def test_a_very_narrow_terminal_gets_a_block_for_each_category() -> None:
    blocks = effective_table(loads(POLICIES, "f"), 30).split("\n\n")
    assert [block.splitlines()[0] for block in blocks] == ["code", "reports", "medical", "default"]
    assert "  at least  0.9" in blocks[0].splitlines()


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ("categories: {a: {quota: 60%}, b: {quota: 30%}}", []),
        (
            "categories: {a: {quota: 60%}, b: {quota: 40%}, c: {}}",
            ["quotas take everything: c, default has only what others leave idle"],
        ),
        (
            "defaults: {cache: false}\ncategories: {a: {quota: 100%, cache: true}}",
            [],
        ),
        (
            "categories: {a: {quota: 5%, cache: false}}",
            ["a is not cached: its quota of 5% is always lent"],
        ),
    ],
)
def test_who_has_no_room_to_count_on_is_told(text: str, notes: list[str]) -> None:
    assert room_notes(loads(text, "f")) == notes


def test_the_shipped_policies_starve_nobody() -> None:
    assert room_notes(load(default_path())) == []
