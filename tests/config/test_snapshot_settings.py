"""Where a snapshot may stand, and where not."""

from __future__ import annotations

import pytest

from kindcache.config.load import ConfigError, loads


def test_none_is_kept_unless_a_file_is_named() -> None:
    assert loads("", "f").snapshot.path == ""
    settings = loads("snapshot: {path: a/kc.snapshot, every: 5m}", "f")
    assert (settings.snapshot.path, settings.snapshot.every) == ("a/kc.snapshot", 300.0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('store: {url: "memory://"}\nsnapshot: {path: x}', "f:2: snapshot.path: needs a store"),
        ("snapshot: {path: a/}", "f:1: snapshot.path: 'a/' names a folder"),
        ("snapshot: {every: 5m}", "f:1: snapshot.every: changes nothing without snapshot.path"),
        ("snapshot: {path: kindcache.db}", "f:1: snapshot.path: is the file of the store"),
        ("snapshot: {pth: x}", "f:1: snapshot.pth"),
    ],
)
def test_a_snapshot_that_cannot_be_is_said_with_its_line(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loads(text, "f")
    assert str(caught.value).startswith(told)
