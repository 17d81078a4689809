"""Values are set where they belong, and nothing else of the file changes."""

from pathlib import Path

import pytest

from kindcache.adapters.tuning.yaml_edit import EditError, Setting, edited
from kindcache.config.load import default_path, loads

DAY = "2026-11-21"
WHY = f"1 wrong of 512, at most 0.93 %, {DAY}"
SHIPPED = [default_path(), *sorted(default_path().parent.glob("examples/*.yaml"))]


def bar(name: str, value: str = "0.9", why: str = WHY) -> Setting:
    return Setting(("categories", name, "min_probability"), value, why)


DEFAULTS = Setting(("defaults", "min_probability"), "0.9", WHY)

CASES = {
    "a value and the comment on it are replaced": (
        bar("code"),
        "categories:\n  code:\n    min_probability: 0.97  # ours: a guess\n    ttl: 7d  # long\n",
        f"categories:\n  code:\n    min_probability: 0.9   # {WHY}\n    ttl: 7d  # long\n",
    ),
    "comments stay in their column": (
        bar("code"),
        "categories:\n  code:\n    min_probability: 0.97   # a\n    ttl: 7d                 # b\n",
        (
            f"categories:\n  code:\n    min_probability: 0.9    # {WHY}\n"
            "    ttl: 7d                 # b\n"
        ),
    ),
    "a comment over several lines goes as a whole": (
        bar("code"),
        (
            "categories:\n  code:\n    min_probability: 0.97  # ours: a guess\n"
            "                           # from last year\n    # how long\n    ttl: 7d\n"
        ),
        (
            f"categories:\n  code:\n    min_probability: 0.9   # {WHY}\n"
            "    # how long\n    ttl: 7d\n"
        ),
    ),
    "a value without a comment gets one": (
        DEFAULTS,
        "defaults:\n  min_probability: 0.97\n",
        f"defaults:\n  min_probability: 0.9  # {WHY}\n",
    ),
    "a hash in a text is no comment": (
        bar("code"),
        'categories:\n  code: {min_probability: 0.5, examples: ["a # b"]}\n',
        f'categories:\n  code: {{min_probability: 0.9, examples: ["a # b"]}}  # code: {WHY}\n',
    ),
    "a key that is missing comes first": (
        bar("code"),
        "categories:\n  code:  # programs\n    # how long\n    ttl: 7d\n",
        (
            f"categories:\n  code:  # programs\n    min_probability: 0.9  # {WHY}\n"
            "    # how long\n    ttl: 7d\n"
        ),
    ),
    "deep indentation is kept": (
        bar("code"),
        "categories:\n      code:\n         ttl: 7d\n",
        f"categories:\n      code:\n         min_probability: 0.9  # {WHY}\n         ttl: 7d\n",
    ),
    "into braces": (
        bar("code"),
        "categories:\n  code: { ttl: 7d }\n  other: { ttl: 1d }\n",
        (
            f"categories:\n  code: {{ min_probability: 0.9, ttl: 7d }}  # code: {WHY}\n"
            "  other: { ttl: 1d }\n"
        ),
    ),
    "into braces over several lines": (
        bar("code"),
        "categories:\n  code: {\n    ttl: 7d,\n  }\n",
        f"categories:\n  code: {{ min_probability: 0.9,  # code: {WHY}\n    ttl: 7d,\n  }}\n",
    ),
    "no comment into a text of several lines": (
        bar("code"),
        'categories:\n  code: {min_probability: 0.97, examples: ["a\n    b"]}\n',
        'categories:\n  code: {min_probability: 0.9, examples: ["a\n    b"]}\n',
    ),
    "into empty braces": (
        DEFAULTS,
        "defaults: {}\nversion: 1",
        f"defaults: {{min_probability: 0.9}}  # defaults: {WHY}\nversion: 1",
    ),
    "a comment behind braces stays": (
        bar("code"),
        "categories:\n  code: {min_probability: 0.97}    # programs\n",
        f"categories:\n  code: {{min_probability: 0.9}}     # programs; code: {WHY}\n",
    ),
    "our own comment behind braces is renewed": (
        bar("code"),
        (
            "categories:\n  code: {min_probability: 0.97}"
            "  # programs; code: 2 wrong of 9, at most 55 %, 2025-01-31\n"
        ),
        f"categories:\n  code: {{min_probability: 0.9}}   # programs; code: {WHY}\n",
    ),
    "a category that is missing is appended": (
        bar("default"),
        (
            "categories:\n  code:\n    examples:\n      - a\n      - |\n        b\n        c\n\n"
            "judge: {queue: 3}\n"
        ),
        (
            "categories:\n  code:\n    examples:\n      - a\n      - |\n        b\n        c\n\n"
            f"  default:\n    min_probability: 0.9  # {WHY}\njudge: {{queue: 3}}\n"
        ),
    ),
    "it stands before a comment on what follows": (
        bar("default"),
        "categories:\n  code:\n    ttl: 7d  # long\n\n# judging\njudge: {queue: 3}\n",
        (
            "categories:\n  code:\n    ttl: 7d  # long\n"
            f"  default:\n    min_probability: 0.9  # {WHY}\n\n# judging\njudge: {{queue: 3}}\n"
        ),
    ),
    "a category that is missing among braces": (
        bar("default"),
        "categories: {code: {ttl: 7d},}\n",
        (
            "categories: {default: {min_probability: 0.9}, code: {ttl: 7d},}"
            f"  # default: {WHY}\n"
        ),
    ),
    "a section that is missing is appended to a last line without an end": (
        DEFAULTS,
        "version: 1",
        f"version: 1\ndefaults:\n  min_probability: 0.9  # {WHY}\n",
    ),
    "an empty file": (DEFAULTS, "", f"defaults:\n  min_probability: 0.9  # {WHY}\n"),
    "a file of comments": (
        DEFAULTS,
        "# mine\n",
        f"# mine\ndefaults:\n  min_probability: 0.9  # {WHY}\n",
    ),
    "lines of another system": (
        bar("code"),
        "categories:\r\n  code:\r\n    min_probability: 0.97 # x\r\n    ttl: 7d\r\n",
        f"categories:\r\n  code:\r\n    min_probability: 0.9  # {WHY}\r\n    ttl: 7d\r\n",
    ),
}


@pytest.mark.parametrize(("setting", "before", "after"), CASES.values(), ids=CASES)
def test_one_value(setting: Setting, before: str, after: str) -> None:
    assert edited(before, [setting]) == after
    settings = loads(after, "after")
    name = setting.path[-2]
    changed = settings.defaults if name == "defaults" else settings.categories[name]
    assert changed.min_probability == 0.9


def test_several_values_at_once() -> None:
    before = "categories:\n  a: {ttl: 1d}\n  b:\n    ttl: 1d\n  c:\n    min_probability: 0.5\n"
    after = edited(before, [bar("c"), bar("a"), bar("b"), bar("default")])
    assert after == (
        f"categories:\n  a: {{min_probability: 0.9, ttl: 1d}}  # a: {WHY}\n"
        f"  b:\n    min_probability: 0.9  # {WHY}\n    ttl: 1d\n"
        f"  c:\n    min_probability: 0.9  # {WHY}\n"
        f"  default:\n    min_probability: 0.9  # {WHY}\n"
    )


def test_values_that_share_a_line_share_its_comment() -> None:
    before = "categories: {a: {ttl: 1d}, b: {ttl: 1d}}\n"
    once = edited(before, [bar("a"), bar("b")])
    assert once.endswith(f"  # a: {WHY}; b: {WHY}\n")
    again = edited(once, [bar("b", "0.8", "no error, 2027-01-01")])
    assert again.endswith(f"  # a: {WHY}; b: no error, 2027-01-01\n")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_category_of_every_shipped_file(path: Path) -> None:
    before = path.read_text(encoding="utf-8")
    names = list(loads(before, "before").categories)
    after = edited(before, [bar(name, f"0.9{i}") for i, name in enumerate(names, 1)])
    wanted = loads(before, "before").model_dump()
    for i, name in enumerate(names, 1):
        wanted["categories"][name]["min_probability"] = float(f"0.9{i}")
    assert loads(after, "after").model_dump() == wanted
    lost = set(before.splitlines()) - set(after.splitlines())
    assert all("min_probability:" in line or "{" in line for line in lost)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("categories:\n  a: &same\n    ttl: 1d\n  code: *same\n", "alias"),
        ("categories: {a: {ttl: &day 1d}, code: {min_probability: *day}}\n", "alias"),
        ('categories:\n  code:\n    min_probability: !!float "0.\\\n      5"\n', "several lines"),
    ],
)
def test_what_stands_somewhere_else_is_refused(text: str, why: str) -> None:
    with pytest.raises(EditError, match=why):
        edited(text, [bar("code")])
