"""Settings objects: what a category's policy comes to."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from kindcache.config.category_settings import Defaults, Effective
from kindcache.config.load import loads
from kindcache.config.settings import Settings

POLICIES = """
defaults: {similarity_threshold: 0.97, ttl: 2h, tool_answers: true}
categories:
  code: {similarity_threshold: 0.9, quota: 30%, priority: 3, match: {header: {X-Team: dev}}}
  medical: {cache: false}
"""


def test_a_category_keeps_its_own_values_and_inherits_the_rest() -> None:
    code = loads(POLICIES, "f").effective("code")
    assert (code.name, code.similarity_threshold, code.ttl) == ("code", 0.9, 7200)
    assert (code.quota, code.priority, code.tool_answers) == (0.3, 3, True)


def test_false_is_a_value_and_not_an_absence() -> None:
    assert loads(POLICIES, "f").effective("medical").cache is False


def test_default_is_the_defaults_unless_a_category_has_that_name() -> None:
    assert loads(POLICIES, "f").effective("default").similarity_threshold == 0.97
    own = loads(POLICIES + "  default: {similarity_threshold: 0.99}", "f")
    assert own.effective("default").similarity_threshold == 0.99
    assert own.effective("default").ttl == 7200
    assert own.effective("code").similarity_threshold == 0.9


def test_every_resolved_field_has_a_value() -> None:
    values = loads(POLICIES, "f").effective("code").model_dump()
    assert {*Defaults.model_fields} < {*values}
    assert [name for name, value in values.items() if value is None] == [
        "max_error_rate",  # no rate: nothing is calibrated
        "ttl_jitter",  # every answer lives for the whole TTL
        "stale_while_revalidate",  # no windows: nothing stale is served
        "stale_if_error",
        "under_load",  # load relaxes nothing
    ]


def test_an_unknown_category_has_no_policy() -> None:
    with pytest.raises(KeyError):
        Settings().effective("code")


def test_names_come_in_the_order_of_the_file_and_default_last() -> None:
    assert loads(POLICIES, "f").category_names == ("code", "medical", "default")
    assert loads("categories: {default: {}, a: {}}", "f").category_names == ("default", "a")


def test_one_rule_is_a_list_of_one_and_header_names_are_lower_case() -> None:
    (rule,) = loads(POLICIES, "f").categories["code"].match
    assert rule.header == {"x-team": "dev"}


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Settings().capacity.entries = 5


def test_a_resolved_policy_says_what_it_is() -> None:
    assert isinstance(Settings().effective("default"), Effective)


def test_importing_the_package_loads_no_pydantic_and_settings_load_no_re2() -> None:
    code = (
        "import sys, kindcache.config; assert 'pydantic' not in sys.modules;"
        "import kindcache.config.load; assert 're2' not in sys.modules;"
        "assert 'rich' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
