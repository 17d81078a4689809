"""What a policy file may say about prices, and what it is told when that cannot be meant."""

from __future__ import annotations

import pytest

from kindcache.config.difference import difference
from kindcache.config.load import ConfigError, loads


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "prices: {'*': {input: 1, output: 2}, 'gpt-*': {input: 1, output: 2}}",
            "prices.gpt-*: is never reached: the first that matches counts, and '*' matches all",
        ),
        ("prices: {m: {input: -1, output: 2}}", "prices.m.input: -1: must be at least 0"),
        ("prices: {m: {input: 1}}", "prices.m.output: is missing"),
        ("prices: {m: {input: 1, output: .inf}}", "prices.m.output: Infinity: is not finite"),
        (
            "prices: {m: {input: 1, ouput: 2, output: 2}}",
            'prices.m.ouput: unknown key; nearest: "output"',
        ),
        ("prices: {'': {input: 1, output: 2}}", 'prices.: "": is empty'),
        (
            "probe: 0%",
            (
                'probe: "0%": is out of range; write a share such as "30%" or 0.3, above 0 and at '
                "most 1"
            ),
        ),
        ("currency: €", 'currency: "€": is not a currency: 1 to 8 of A-Z and a-z, such as EUR'),
        ("per_lookup: -1", "per_lookup: -1: must be at least 0"),
        ("per_cpu_second: .nan", "per_cpu_second: NaN: is not finite"),
    ],
)
def test_prices_that_cannot_be_meant_are_refused(text: str, line: str) -> None:
    with pytest.raises(ConfigError) as refused:
        loads(f"version: 1\neconomics: {{{text}}}", "f")
    assert refused.value.lines == (f"f:2: economics.{line}",)


def test_another_price_waits_for_a_restart_and_says_so() -> None:
    old, new = loads("", "f"), loads("economics: {prices: {m: {input: 1, output: 2}}}", "f")
    assert difference(old, new).needs_restart == ("economics.prices",)
