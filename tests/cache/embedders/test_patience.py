"""Long steps are not silent."""

from __future__ import annotations

import threading

import pytest

from kindcache.cache.embedders.patience import still

DEADLINE_S = 10.0


def test_a_long_step_is_reported_again_and_again_and_no_more_once_it_is_over() -> None:
    lines: list[str] = []
    thrice = threading.Event()

    def report(line: str) -> None:
        lines.append(line)
        if len(lines) == 3:
            thrice.set()

    with still("exporting a-model", report, every_s=0.001):
        assert thrice.wait(DEADLINE_S)
    told = len(lines)
    assert lines[0].startswith("Still exporting a-model (")
    assert not [each for each in threading.enumerate() if each.name == "kindcache-patience"]
    assert len(lines) == told


def test_a_short_step_says_nothing() -> None:
    lines: list[str] = []
    with still("exporting a-model", lines.append):
        pass
    assert lines == []


def test_a_step_that_fails_ends_the_reports() -> None:
    with pytest.raises(OSError, match="full"), still("exporting", print):
        raise OSError("the disk is full")
    assert not [each for each in threading.enumerate() if each.name == "kindcache-patience"]
