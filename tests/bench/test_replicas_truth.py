"""Wrong and late answers are recognised."""

from __future__ import annotations

import pytest
from replicas_truth import Answer, Checked, Invalidation, Question

ASKED = Question("alice", "news", 17)
HOME, ELSEWHERE = 1, 2


def checked(answer: Answer, *, after_s: float = 5.0, process: int = ELSEWHERE) -> Checked:
    """Return what is found of an answer to ``ASKED`` after all of "news" was invalidated."""
    found = Checked(lag_s=1.0)
    found.invalidations = [Invalidation({"category": "news"}, 100, 50.0, HOME)]
    found.check(ASKED, answer, "entry", 50.0 + after_s, process)
    return found


def test_a_right_answer_is_nothing_to_speak_of() -> None:
    found = checked(Answer("alice", "news", 17, 101))
    assert (found.cross_scope, found.other_question, found.late, found.within_lag) == (0, 0, 0, 0)


def test_an_answer_of_another_scope_is_seen() -> None:
    assert checked(Answer("bob", "news", 17, 101)).cross_scope == 1


@pytest.mark.parametrize(("topic", "number"), [("recipe", 17), ("news", 18)])
def test_an_answer_to_another_question_is_seen(topic: str, number: int) -> None:
    assert checked(Answer("alice", topic, number, 101)).other_question == 1


@pytest.mark.parametrize(
    ("after_s", "process", "late", "within_lag", "late_at_home"),
    [
        (1.5, ELSEWHERE, 1, 0, 0),
        (0.5, ELSEWHERE, 0, 1, 0),
        (0.5, HOME, 0, 1, 1),
        (1.5, HOME, 1, 0, 1),
        (-0.1, HOME, 0, 0, 0),
    ],
)
def test_an_answer_of_before_is_late(
    after_s: float, process: int, late: int, within_lag: int, late_at_home: int
) -> None:
    found = checked(Answer("alice", "news", 17, 100), after_s=after_s, process=process)
    assert (found.late, found.within_lag, found.late_at_home) == (late, within_lag, late_at_home)


@pytest.mark.parametrize(
    ("selector", "covered"),
    [
        ({"tag": ASKED.tag}, True),
        ({"tag": "shelf-0"}, False),
        ({"pattern": r"number \d*17\b"}, True),
        ({"pattern": r"number \d*18\b"}, False),
        ({"entry": "entry"}, True),
        ({"entry": "other"}, False),
        ({"category": "recipe"}, False),
    ],
)
def test_what_is_named_is_what_is_covered(selector: dict[str, str], covered: bool) -> None:
    done = Invalidation(selector, 100, 50.0, HOME)
    assert done.covers(ASKED, Answer("alice", "news", 17, 100), "entry") is covered


def test_answers_are_read_from_what_came() -> None:
    answer = Answer("bob", "manual", 3, 44)
    assert Answer.read(b'{"content": "' + str(answer).encode() + b'"}') == answer
    assert Answer.read(b"something else") is None
