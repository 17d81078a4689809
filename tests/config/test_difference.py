"""What differs between two settings, in words for a log."""

from __future__ import annotations

import pytest

from kindcache.config.difference import Difference, difference, in_force
from kindcache.config.load import loads
from kindcache.config.settings import Settings

OLD = """
store: {url: "redis://:hunter2@one:6379/0"}
defaults: {ttl: 1h}
categories:
  code: {ttl: 7d, examples: ["write a function", "fix this bug"], match: {pattern: "def "}}
  news: {ttl: 5m}
  private: {cache: false}
"""


def settings(text: str = OLD) -> Settings:
    return loads(text, "policy.yaml")


def differs(old: str, new: str) -> Difference:
    return difference(settings(OLD), settings(OLD.replace(old, new)))


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("ttl: 7d", "ttl: 1d", ["categories.code.ttl: 7d -> 1d"]),
        (
            "ttl: 7d",
            "ttl: 7d, max_error_rate: 2%",
            ["categories.code.max_error_rate: not set -> 2%"],
        ),
        ("ttl: 5m", "ttl: 5m, mode: shadow", ["categories.news.mode: serve -> shadow"]),
        ("ttl: 5m", "ttl: 5m, guards: false", ["categories.news.guards: true -> false"]),
        (', "fix this bug"', "", ["categories.code.examples: changed (2 -> 1)"]),
        ("def ", "class ", ["categories.code.match: changed (1 -> 1)"]),
        (
            "categories:",
            "classifier: {margin: 0.1}\ncategories:",
            ["classifier.margin: 0.03 -> 0.1"],
        ),
        # what is inherited counts where it is in force
        (
            "{ttl: 1h}",
            "{ttl: 2h}",
            ["categories.private.ttl: 1h -> 2h", "categories.default.ttl: 1h -> 2h"],
        ),
        ("", "", []),
    ],
)
def test_changes_are_named_with_their_values(old: str, new: str, changed: list[str]) -> None:
    found = differs(old, new)
    assert list(found.changed) == changed
    assert not found.needs_restart
    assert not found.gone


def test_no_text_of_the_file_is_shown() -> None:
    found = differs('"write a function", "fix', '"a secret prompt", "fix')
    moved = differs("one:6379", "two:6379")
    assert "secret" not in str(found)
    assert "hunter2" not in str(moved)


@pytest.mark.parametrize(
    ("old", "new", "gone", "line"),
    [
        ("  news: {ttl: 5m}\n", "", ("news",), "categories.news: removed"),
        ("news: {ttl: 5m}", "news: {ttl: 5m, cache: false}", ("news",), "categories.news.cache: "),
        ("  private: {cache: false}\n", "", (), "categories.private: removed"),
        ("cache: false", "cache: true", (), "categories.private.cache: false -> true"),
        ("{ttl: 1h}", "{ttl: 1h, cache: false}", ("code", "news", "default"), "default.cache"),
    ],
)
def test_categories_that_are_no_longer_cached_are_gone(
    old: str, new: str, gone: tuple[str, ...], line: str
) -> None:
    found = differs(old, new)
    assert found.gone == gone
    assert any(line in text for text in found.changed)


def test_what_cannot_change_under_way_is_named_and_found_again() -> None:
    new = settings(OLD.replace("one:6379", "two:6379").replace("ttl: 7d", "ttl: 1d, quota: 30%"))
    found = difference(settings(), new)
    assert found.changed == (
        "categories.code.ttl: 7d -> 1d",
        "categories.code.quota: not set -> 30%",
    )
    assert found.needs_restart == ("store.url",)
    again = difference(in_force(settings(), new), new)
    assert again.changed == ()
    assert again.needs_restart == found.needs_restart


def test_how_vectors_are_kept_waits_for_a_restart_wherever_it_is_said() -> None:
    text = OLD.replace("defaults: {ttl: 1h}", "defaults: {ttl: 1h, vectors: float16}")
    new = settings(text.replace("ttl: 7d", "ttl: 7d, vectors: int8"))
    found = difference(settings(), new)
    assert found.changed == ()
    assert "categories.code.vectors: changed" in found.needs_restart
    assert "categories.news.vectors: changed" in found.needs_restart
    assert difference(in_force(settings(), new), new) == found


def test_the_room_of_categories_changes_at_once() -> None:
    added = "  more: {quota: 10%, priority: 2}\n  default: {quota: 5%}\n"
    new = settings(OLD + added)
    found = difference(settings(), new)
    assert set(found.changed) == {
        "categories.more: added",
        "categories.default.quota: not set -> 5%",
    }
    assert found.needs_restart == ()
    assert in_force(settings(), new) == new


def test_another_order_of_rules_is_a_change_since_the_first_that_matches_decides() -> None:
    ruled = OLD.replace("news: {ttl: 5m}", "news: {ttl: 5m, match: {pattern: today}}")
    first, second = ruled.split("  code:")[0], "  code:" + ruled.split("  code:")[1]
    code, news, private = second.splitlines(keepends=True)
    found = difference(settings(ruled), settings(first + news + code + private))
    moved = difference(settings(ruled), settings(first + private + code + news))
    assert found.changed == ("categories: another order of those with rules",)
    assert moved.changed == ()
