"""What a policy file may say about load, and what it is told when that cannot be meant."""

from __future__ import annotations

import pytest

from kindcache.config.load import ConfigError, loads

TEXT = "defaults: {min_probability: 0.92, ttl: 1h}\ncategories:\n  code: "


@pytest.mark.parametrize(
    ("category", "line"),
    [
        (
            "{under_load: {min_probability: 0.95}}",
            (
                "f:3: categories.code.under_load.min_probability: is above the bar at rest "
                "(min_probability: 0.92); load only ever lowers it"
            ),
        ),
        (
            "{similarity_threshold: 0.9, under_load: {similarity_threshold: 0.91}}",
            (
                "f:3: categories.code.under_load.similarity_threshold: is above the bar at rest "
                "(similarity_threshold: 0.9); load only ever lowers it"
            ),
        ),
        (
            "{under_load: {ttl: 30m}}",
            (
                "f:3: categories.code.under_load.ttl: is shorter than the TTL at rest (1h); load "
                "stretches it"
            ),
        ),
        (
            "{max_error_rate: 2%, under_load: {min_probability: 0.9}}",
            (
                "f:3: categories.code.under_load.min_probability: has no effect beside "
                "max_error_rate, which keeps its own bar under any load"
            ),
        ),
        (
            "{under_load: {min_probability: 0.4}}",
            "f:3: categories.code.under_load.min_probability: 0.4: must be at least 0.5",
        ),
        (
            "{under_load: {min_probability: 1.0}}",
            "f:3: categories.code.under_load.min_probability: 1.0: must be below 1",
        ),
    ],
)
def test_floors_that_cannot_be_meant_are_refused(category: str, line: str) -> None:
    with pytest.raises(ConfigError) as refused:
        loads(TEXT + category, "f")
    assert refused.value.lines == (line,)


@pytest.mark.parametrize(
    "text", ["defaults: {under_load: {ttl: 2h}}", "categories: {code: {under_load: {tll: 2h}}}"]
)
def test_a_floor_that_nothing_reads_is_no_key(text: str) -> None:
    with pytest.raises(ConfigError, match="unknown key"):
        loads(text, "f")


@pytest.mark.parametrize(
    "text",
    [
        "load: {slowdown: 1}",
        "load: {in_flight: 0}",
        "load: {metrics_url: vllm}",
        "load: {metrics_every: 0}",
    ],
)
def test_signals_that_cannot_work_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"f:1: load\."):
        loads(text, "f")


def test_no_category_inherits_what_another_allows() -> None:
    settings = loads(TEXT + "{under_load: {min_probability: 0.85, ttl: 2d}}", "f")
    allowed = settings.effective("code").under_load
    assert allowed is not None
    assert (allowed.min_probability, allowed.similarity_threshold, allowed.ttl) == (
        0.85,
        None,
        172_800.0,
    )
    assert settings.effective("default").under_load is None


def test_with_an_error_budget_the_ttl_alone_may_give_way() -> None:
    loads(TEXT + "{max_error_rate: 2%, under_load: {ttl: 2d}}", "f")
