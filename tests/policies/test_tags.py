"""Tags: which texts may be one."""

from __future__ import annotations

import pytest

from kindcache.policies.tags import LONGEST, MOST, tags_of


def test_tags_are_kept_once_each() -> None:
    assert tags_of(["v2", "docs/api", "v2", "a.b:c_d-e@f"]) == ("a.b:c_d-e@f", "docs/api", "v2")
    assert tags_of([]) == ()
    assert tags_of([str(number) for number in range(MOST)] * 2) is not None
    assert tags_of(["x" * LONGEST]) == ("x" * LONGEST,)


@pytest.mark.parametrize(
    "texts",
    [[""], ["a b"], ["a,b"], ["é"], [3], [None], ["x" * (LONGEST + 1)], list(map(str, range(17)))],
)
def test_what_is_no_tag_makes_all_of_them_unusable(texts: list[object]) -> None:
    assert tags_of(texts) is None
