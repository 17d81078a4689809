"""Keys of ``evidence`` that need each other."""

from __future__ import annotations

import pytest

from kindcache.config.load import ConfigError, loads


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("evidence: {compare: model}", "evidence.judge_model"),
        ("evidence: {verify_share: 5%}", "evidence.verify_share"),
        ("evidence: {compare: none, verify_share: 5%}", "evidence.verify_share"),
    ],
)
def test_what_cannot_work_is_refused(text: str, path: str) -> None:
    with pytest.raises(ConfigError, match=path):
        loads(text, "test.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "evidence: {compare: similarity, verify_share: 5%}",
        "evidence: {compare: model, judge_model: m}",
        "evidence: {compare: none}",
    ],
)
def test_what_can_work_is_taken(text: str) -> None:
    loads(text, "test.yaml")
