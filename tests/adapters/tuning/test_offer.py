"""The change of the file says exactly what is proposed."""

import shutil
import subprocess
from pathlib import Path

import pytest

from kindcache.adapters.tuning.offer import changes_of, offered, percent, unified
from kindcache.adapters.tuning.propose import Proposal, propose
from kindcache.adapters.tuning.yaml_edit import EditError
from kindcache.config.load import loads
from kindcache.policies.calibration import Tally
from tests.adapters.tuning.conftest import MakeTally

DAY = "2026-11-21"
TEXT = """\
defaults:
  min_probability: 0.97   # strict
categories:
  code:
    ttl: 7d
  support: {ttl: 1d}
  prices:
    min_probability: 0.98
    ttl: 5m
"""


def proposals(text: str, tallies: dict[str, Tally]) -> tuple[Proposal, ...]:
    return propose(loads(text, "test"), tallies, 0.01)


def offer(text: str, tallies: dict[str, Tally]) -> str:
    return offered(text, loads(text, "test"), proposals(text, tallies), DAY)


def bars(text: str) -> dict[str, float]:
    settings = loads(text, "test")
    return {name: settings.effective(name).min_probability for name in settings.category_names}


def paths(text: str, tallies: dict[str, Tally]) -> list[str]:
    changes = changes_of(loads(text, "test"), proposals(text, tallies), DAY)
    return [".".join(change.path) for change in changes]


def poor(tally: MakeTally) -> Tally:
    """Too many wrong for a certificate, its own or all categories'; too few to be closed."""
    return tally((0.95, 888, 12))


def test_only_what_is_proposed_changes(tally: MakeTally) -> None:
    tallies = {"code": tally((0.95, 900, 0)), "support": poor(tally)}
    before, after = bars(TEXT), bars(offer(TEXT, tallies))
    assert before | {"code": after["code"]} == after
    assert after["code"] < 0.97


def test_without_news_the_text_is_the_same(tally: MakeTally) -> None:
    assert offer(TEXT, {}) == TEXT
    assert offer(TEXT, {"code": tally((0.95, 10, 0))}) == TEXT


def test_a_second_look_at_the_same_evidence_changes_nothing(tally: MakeTally) -> None:
    tallies = {"code": tally((0.95, 900, 0)), "default": tally((0.95, 900, 1))}
    once = offer(TEXT, tallies)
    assert once != TEXT
    assert offer(once, tallies) == once


def test_the_default_of_all_alike_is_set_in_one_place(tally: MakeTally) -> None:
    # `prices` has evidence of its own and a bar of its own; all others borrow from it.
    tallies = {"prices": tally((0.95, 900, 0), (0.9, 900, 1))}
    assert paths(TEXT, tallies) == ["categories.prices.min_probability", "defaults.min_probability"]
    after = bars(offer(TEXT, tallies))
    assert len({after["code"], after["support"], after["default"]}) == 1
    assert "all categories: 1 wrong of 1,801" in offer(TEXT, tallies)


def test_who_has_a_bar_of_its_own_does_not_move_with_the_default(tally: MakeTally) -> None:
    tallies = {
        "code": tally((0.95, 900, 0)),
        "support": tally((0.95, 900, 0), (0.9, 300, 0)),
        "default": tally((0.95, 900, 0), (0.9, 300, 0), (0.8, 300, 0)),
        "prices": poor(tally),
    }
    assert paths(TEXT, tallies) == [
        "categories.code.min_probability",
        "categories.support.min_probability",
        "defaults.min_probability",
    ]
    after = bars(offer(TEXT, tallies))
    assert 0.97 > after["code"] > after["support"] > after["default"] > 0.7
    assert after["prices"] == 0.98


def test_the_default_category_alone_becomes_one_of_its_own(tally: MakeTally) -> None:
    tallies = {"default": tally((0.95, 900, 0)), "code": poor(tally)}
    assert "categories.default.min_probability" in paths(TEXT, tallies)
    after = bars(offer(TEXT, tallies))
    assert after["default"] < 0.97 == after["code"]


def test_the_default_category_alone_is_the_default_where_nobody_inherits(tally: MakeTally) -> None:
    text = "defaults: {min_probability: 0.97}\ncategories:\n  prices:\n    min_probability: 0.98\n"
    tallies = {"default": tally((0.95, 900, 0)), "prices": poor(tally)}
    assert paths(text, tallies) == ["defaults.min_probability"]
    assert bars(offer(text, tallies))["default"] < 0.97


def test_a_category_that_no_bar_makes_safe_goes_into_shadow(tally: MakeTally) -> None:
    tallies = {"code": tally((0.98, 60, 40))}
    after = loads(offer(TEXT, tallies), "after")
    assert after.effective("code").mode == "shadow"
    assert [after.effective(name).mode for name in ("support", "prices", "default")] == [
        "serve"
    ] * 3
    assert "40 wrong of 100 from 0.97 on, and no bar holds" in offer(TEXT, tallies)
    assert offer(offer(TEXT, tallies), tallies) == offer(TEXT, tallies)


STRICT = "defaults: {min_probability: 0.97}\n"


@pytest.mark.parametrize(
    "text",
    [
        STRICT
        + "categories:\n  ? code\n  : ttl: 7d\n    quota: 5%\n",  # has no line for a first key
        STRICT
        + "categories:\n  code: &own\n    ttl: 7d\n  support: *own\n",  # changes another, too
        "defaults: &own {ttl: 7d, min_probability: 0.97}\ncategories: {code: *own}\n",
    ],
)
def test_an_edit_that_would_say_something_else_is_not_offered(text: str, tally: MakeTally) -> None:
    with pytest.raises(EditError):
        offer(text, {"code": tally((0.95, 900, 0)), "support": poor(tally)})


def test_a_byte_order_mark_stays(tally: MakeTally) -> None:
    after = offered(
        "\ufeff" + TEXT,
        loads(TEXT, "test"),
        proposals(TEXT, {"code": tally((0.95, 900, 0))}),
        DAY,
    )
    assert after.startswith("\ufeffdefaults:")


@pytest.mark.parametrize("last", ["", "\n"])
def test_the_difference_is_what_patch_reads(last: str, tally: MakeTally, tmp_path: Path) -> None:
    program = shutil.which("git")
    assert program is not None
    old = TEXT.rstrip("\n") + last
    new = offer(old, {"code": tally((0.95, 900, 0)), "prices": tally((0.95, 900, 0))})
    (tmp_path / "policy.yaml").write_text(old)
    (tmp_path / "tune.diff").write_text(unified(old, new, "policy.yaml"))
    subprocess.run([program, "apply", "-p0", "tune.diff"], cwd=tmp_path, check=True)
    assert (tmp_path / "policy.yaml").read_text() == new


def test_no_difference_is_empty() -> None:
    assert unified(TEXT, TEXT, "policy.yaml") == ""


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0 %"), (0.0091, "0.91 %"), (0.00912, "0.92 %"), (0.01, "1 %"), (1.0, "100 %")],
)
def test_a_bound_is_rounded_up(share: float, text: str) -> None:
    assert percent(share) == text
