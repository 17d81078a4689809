"""Settings of personal data: what is refused, and what is inherited."""

from __future__ import annotations

from importlib.machinery import ModuleSpec
from importlib.util import find_spec

import pytest

from kindcache.config import cross_checks
from kindcache.config.load import loads
from kindcache.config.problems import ConfigError


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("defaults: {personal_data: redacted}", "f:1: defaults.personal_data"),
        ("defaults: {personal_kinds: [card, mail]}", "f:1: defaults.personal_kinds[1]"),
        ("defaults: {personal_kinds: []}", "f:1: defaults.personal_kinds"),
        ("store: {encryption_env: a-key}", "f:1: store.encryption_env"),
    ],
)
def test_what_cannot_be_meant_is_named_with_its_line(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loads(text, "f")
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            "defaults:\n  personal_data: refuse",
            ["f:2: defaults.personal_data: national_id", "f:2: defaults.personal_data: phone"],
        ),
        (
            "categories:\n  a:\n    personal_data: redact\n    personal_kinds: [card, phone]",
            ["f:4: categories.a.personal_kinds: phone"],
        ),
        ("defaults: {personal_data: refuse, personal_kinds: [card, iban, email, secret]}", []),
        ("defaults: {personal_kinds: [phone]}", []),  # nothing is looked for
    ],
)
def test_a_missing_library_is_told_before_anything_starts(
    text: str, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_the_extra(name: str) -> ModuleSpec | None:
        return None if name in {"phonenumbers", "stdnum"} else find_spec(name)

    monkeypatch.setattr(cross_checks, "find_spec", without_the_extra)
    if not lines:
        loads(text, "f")
        return
    with pytest.raises(ConfigError) as caught:
        loads(text, "f")
    found = [line for line in str(caught.value).splitlines() if "needs a package" in line]
    assert [line.partition(" needs")[0] for line in found] == lines
    assert all("pip install 'kindcache[personal]'" in line for line in found)


def test_a_category_says_for_itself_or_inherits() -> None:
    settings = loads(
        "defaults: {personal_data: refuse, personal_kinds: [card]}\n"
        "categories: {a: {personal_kinds: [iban]}, b: {personal_data: allow}}",
        "f",
    )
    a, b = settings.effective("a"), settings.effective("b")
    assert (a.personal_data, a.personal_kinds) == ("refuse", ("iban",))
    assert (b.personal_data, b.personal_kinds) == ("allow", ("card",))
    assert settings.effective("default").personal_kinds == ("card",)
