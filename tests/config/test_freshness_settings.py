"""Settings of freshness that cannot work, and what is wrong with them."""

from __future__ import annotations

import pytest

from kindcache.config.load import ConfigError, loads


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "freshness: {refresh_per_day: 0}\ncategories:\n  a: {stale_while_revalidate: 1m}",
            (
                "f:3: categories.a.stale_while_revalidate: needs freshness.refresh_per_day above "
                "0: nothing stale is served unrefreshed"
            ),
        ),
        (
            "freshness: {refresh_per_day: 0}\ndefaults: {stale_while_revalidate: 1m}",
            (
                "f:2: defaults.stale_while_revalidate: needs freshness.refresh_per_day above 0: "
                "nothing stale is served unrefreshed"
            ),
        ),
        (
            "categories:\n  a: {ttl: 1m, time_words: shorten, time_words_ttl: 1m}",
            "f:2: categories.a.time_words_ttl: shortens nothing: the ttl is 1m",
        ),
    ],
)
def test_what_contradicts_itself_is_told(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loads(text, "f")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("defaults: {ttl_jitter: 60%}", "defaults.ttl_jitter"),
        ("defaults: {time_words: sometimes}", "defaults.time_words"),
        ("defaults: {stale_if_error: soon}", "defaults.stale_if_error"),
        ("freshness: {refresh_per_day: -1}", "freshness.refresh_per_day"),
    ],
)
def test_a_bad_value_is_named_by_its_key(text: str, place: str) -> None:
    with pytest.raises(ConfigError, match=place):
        loads(text, "f")


def test_a_category_takes_what_the_defaults_say() -> None:
    settings = loads(
        "defaults: {ttl_jitter: 10%, stale_if_error: 1d, time_words: shorten}\n"
        "categories: {a: {}, b: {ttl_jitter: 20%, time_words: ignore}}",
        "f",
    )
    one, other = settings.effective("a"), settings.effective("b")
    assert (one.ttl_jitter, one.stale_if_error, one.time_words) == (0.1, 86400.0, "shorten")
    assert (other.ttl_jitter, other.time_words) == (0.2, "ignore")
