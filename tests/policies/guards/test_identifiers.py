"""What is an identifier by its shape."""

from __future__ import annotations

import pytest

from kindcache.policies.guards.signature import signature


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("order ORD-1234", ("ord-1234",)),
        ("python3 and h264", ("h264", "python3")),
        ("gpt-4o", ("gpt-4o",)),
        ("a 4k screen", ("4k",)),
        ("run --force or -v", ("--force", "-v")),
        ("in /etc/hosts.", ("/etc/hosts",)),
        ("in ~/notes/", ("~/notes",)),
        ("see https://example.com/a?b=c", ("//example.com/a",)),
        ("mail john@example.com", ("john@example.com",)),
        ("my_table", ("my_table",)),
        ("__init__", ("__init__",)),
        ("np.array", ("np.array",)),
        ("all *.txt files", (".txt",)),
        ("call foo() or a.b()", ("a.b()", "foo()")),
        ("C++, C# and C", ("c#", "c++")),
        ("print $path", ("$path",)),
        ("#topic", ("#topic",)),
        ("--depth=3", ("--depth",)),
        ("使用Python3编写", ("python3",)),
        # Plain words, numbers and quantities:
        ("and/or, he/she, input/output", ()),
        ("a five-minute follow-up", ()),
        ("a 5-minute, 20-year-old", ()),
        ("5kg at 7pm, 20%, $5, 1st", ()),
        ("version 1.5", ()),
        ("24 - 7", ()),
        ("Yes. No! (Really?) ...", ()),
        ("/ - * . ~", ()),
        ("", ()),
    ],
)
def test_identifiers(text: str, found: tuple[str, ...]) -> None:
    assert signature(text).identifiers == found
