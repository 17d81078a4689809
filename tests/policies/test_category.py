"""Which category a prompt is of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindcache.config.load import loads
from kindcache.policies.category import NO_PROTOTYPES, Prototypes, Rules, compile_rules
from kindcache.policies.facts import Origin

from .facts import a_call

FILE = r"""
categories:
  prices: {match: {pattern: "(?i)price|rate"}}
  code:
    match:
      - {path: "/v1/completions"}
      - {model: "coder-*", metadata: {team: web}}
  vip: {match: {header: {X-Plan: gold}}}
  prose: {examples: ["write a poem"]}
"""


@pytest.fixture(scope="module")
def rules() -> Rules:
    return compile_rules(loads(FILE, "policy.yaml"))


@pytest.mark.parametrize(
    ("call", "headers", "category"),
    [
        ({"prompt": "the PRICE of tea"}, {}, "prices"),
        ({"prompt": "x", "path": "/v1/completions"}, {}, "code"),
        ({"prompt": "the price", "path": "/v1/completions"}, {}, "prices"),  # the first in the file
        ({"prompt": "x", "model": "coder-7b", "metadata": {"team": "web"}}, {}, "code"),
        ({"prompt": "x", "model": "coder-7b", "metadata": {"team": "app"}}, {}, None),
        ({"prompt": "x", "model": "coder-7b"}, {}, None),
        ({"prompt": "x", "model": "Coder-7b", "metadata": {"team": "web"}}, {}, None),
        ({"prompt": "x"}, {"x-plan": "gold"}, "vip"),
        ({"prompt": "x"}, {"x-plan": "free"}, None),
        ({"prompt": "x"}, {"x-cache-category": "prose"}, "prose"),
        ({"prompt": "the price"}, {"x-cache-category": "default"}, "default"),
        ({"prompt": "the price"}, {"x-cache-category": "unknown"}, "prices"),
        ({"prompt": ""}, {}, None),
    ],
)
def test_rules(
    rules: Rules, call: dict[str, Any], headers: dict[str, str], category: str | None
) -> None:
    assert rules.decide(a_call(**call), Origin(headers)) == category


@given(st.text())
def test_without_a_trusted_header_no_client_names_its_category(name: str) -> None:
    rules = Rules((), frozenset({"vip"}))
    assert rules.decide(a_call(metadata={"x-cache-category": name}), Origin()) is None


def prototypes(margin: float = 0.1, least: float = 0.5) -> Prototypes:
    matrix = np.array([[1, 0, 0], [0, 1, 0], [0.8, 0.6, 0]], dtype=np.float32)
    return Prototypes(["code", "prose", "code"], matrix, min_similarity=least, margin=margin)


@pytest.mark.parametrize(
    ("vector", "category"),
    [
        ((1, 0, 0), "code"),
        ((0, 1, 0), "prose"),
        ((0.8, 0.6, 0), "code"),
        ((0.45, 0.893, 0), "default"),  # within the margin of the other
        ((0, 0, 1), "default"),  # far from every example
        ((-1, 0, 0), "default"),
    ],
)
def test_the_nearest_example_decides(vector: tuple[float, ...], category: str) -> None:
    assert prototypes().decide(np.array(vector, dtype=np.float32)) == category


def test_two_examples_of_one_category_do_not_compete() -> None:
    near_both = np.array([0.95, 0.3122, 0], dtype=np.float32)
    assert prototypes(margin=0.5).decide(near_both) == "code"


def test_without_examples_all_is_default() -> None:
    assert NO_PROTOTYPES.decide(np.ones(3, dtype=np.float32)) == "default"


@given(st.lists(st.floats(-1, 1, width=32), min_size=3, max_size=3), st.floats(0, 1))
def test_a_wider_margin_decides_less(vector: list[float], margin: float) -> None:
    asked = np.array(vector, dtype=np.float32)
    assert prototypes(margin=margin).decide(asked) in {
        prototypes(margin=0).decide(asked),
        "default",
    }
