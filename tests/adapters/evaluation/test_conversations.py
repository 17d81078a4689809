import json
from pathlib import Path
from typing import Any

import pytest

from kindcache.adapters.evaluation.conversations import load_conversations
from kindcache.adapters.evaluation.data import DataError

ASSISTANT = {"role": "assistant", "content": "It is 5 pounds."}
A = [{"role": "user", "content": "I have the blue card."}, ASSISTANT]
B = [{"role": "user", "content": "I have the red card."}, ASSISTANT]
LABELLED = {
    "id": "x-00003",
    "messages_a": [*A, {"role": "user", "content": "and abroad?"}],
    "messages_b": [*B, {"role": "user", "content": "and outside the country?"}],
    "label": 0,
    "kind": "context_swap",
    "note": "not looked at",
}


def dialogue(number: int, name: str) -> dict[str, Any]:
    texts = {field: f"{field} {name}" for field in ("u0", "u0_duplicate", "u1", "u1_duplicate")}
    raw = texts | {"system_q0": f"answer {name}", "system_q1": f"more {name}"}
    return {"id": f"d-{number:05}", "raw": raw, "source": "here"}


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_labelled_conversations_split_at_the_last_message(tmp_path: Path) -> None:
    (case,) = load_conversations(write(tmp_path / "a.jsonl", LABELLED))
    assert (case.q1, case.q2) == ("and abroad?", "and outside the country?")
    assert case.earlier == (tuple(A), tuple(B))
    assert (case.id, case.label, case.kind, case.half) == ("x-00003", 0, "context_swap", "dev")


def test_a_message_keeps_fields_that_can_change_the_answer(tmp_path: Path) -> None:
    tool = {"role": "tool", "tool_call_id": "t", "content": "42"}
    row = LABELLED | {"messages_a": [*A, tool, {"role": "user", "content": "and?"}]}
    (case,) = load_conversations(write(tmp_path / "a.jsonl", row))
    assert case.before_q1[-1] == tool


def test_a_single_text_part_is_a_prompt(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "and abroad?"}]
    row = LABELLED | {"messages_b": [{"role": "user", "content": parts}]}
    (case,) = load_conversations(write(tmp_path / "a.jsonl", row))
    assert (case.q2, case.before_q2) == ("and abroad?", ())


def test_a_dialogue_becomes_four_cases(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", dialogue(1, "sun"), dialogue(3, "sea"))
    first, follow_up, both, other, *rest = load_conversations(path)
    sun = (
        {"role": "user", "content": "u0 sun"},
        {"role": "assistant", "content": "answer sun"},
    )
    reworded = ({"role": "user", "content": "u0_duplicate sun"}, sun[1])
    sea = (
        {"role": "user", "content": "u0 sea"},
        {"role": "assistant", "content": "answer sea"},
    )
    assert (first.label, first.q1, first.q2) == (1, "u0 sun", "u0_duplicate sun")
    assert first.earlier == ((), ())
    assert (follow_up.label, follow_up.q1, follow_up.q2) == (1, "u1 sun", "u1_duplicate sun")
    assert follow_up.earlier == (sun, sun)
    assert (both.label, both.q1, both.q2) == (1, "u1 sun", "u1_duplicate sun")
    assert both.earlier == (sun, reworded)
    assert (other.label, other.q1, other.q2) == (0, "u1 sun", "u1 sun")
    assert other.earlier == (sun, sea)
    kinds = ["first", "follow_up", "both", "other_history"]
    assert [case.kind for case in (first, follow_up, both, other)] == kinds
    assert [case.kind for case in rest] == kinds


def test_the_other_dialogue_is_of_the_same_half_and_shares_no_text(tmp_path: Path) -> None:
    same = dialogue(5, "sea")
    same["raw"]["u0"] = "u0 sun"  # asked in the same words as that of the first dialogue
    rows = [dialogue(1, "sun"), dialogue(2, "even"), same, dialogue(7, "sky")]
    cases = load_conversations(write(tmp_path / "a.jsonl", *rows))
    others = {case.id: case.before_q2[0]["content"] for case in cases if not case.label}
    assert others == {
        "other_history-d-00001": "u0 sky",
        "other_history-d-00005": "u0 sky",
        "other_history-d-00007": "u0 sun",  # after the last one comes the first
    }


def test_the_limit_counts_rows_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", dialogue(1, "sun"), dialogue(3, "sea"))
    assert [case.kind for case in load_conversations(path, 1)] == ["first", "follow_up", "both"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "x", "q1": "a", "q2": "b", "label": 1}, "missing required field `messages_a`"),
        (LABELLED | {"label": 3}, "Invalid enum value 3"),
        (LABELLED | {"messages_b": []}, "messages_b: no messages"),
        (LABELLED | {"messages_b": [*B]}, "messages_b: the last message is not a user's text"),
        (
            LABELLED | {"messages_a": [{"content": "secret"}]},
            "messages_a: a message without a role",
        ),
        ({"id": "d-1", "raw": {"u0": "secret"}}, "missing required field `u0_duplicate`"),
        ({"id": "d-1", "raw": 7}, "got `int`"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line_without_its_text(
    tmp_path: Path, row: dict[str, Any], message: str
) -> None:
    path = write(tmp_path / "a.jsonl", LABELLED, row)
    with pytest.raises(DataError) as caught:
        load_conversations(path)
    assert str(caught.value).startswith(f"{path}:2: ")
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)
