"""Reading a log: what counts, and what is wrong with the rest."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from kindcache.adapters.simulation.request_log import LogError, read_log
from tests.adapters.simulation.logs import START_S, line, write

SECRET = "my landlord is called Krause"


def read(tmp_path: Path, *lines: dict[str, Any]) -> Any:
    return read_log(write(tmp_path / "log.jsonl", list(lines)))


def test_the_short_form_becomes_a_request(tmp_path: Path) -> None:
    log = read(tmp_path, line(0, "hello", model="m", user="u", namespace="n"))
    (request,) = log.requests
    assert json.loads(request.body) == {
        "model": "m",
        "messages": [{"role": "user", "content": "hello"}],
        "user": "u",
        "cache": {"namespace": "n"},
    }
    assert (request.prompt, request.principal, request.at_s) == ("hello", "alice", START_S)


def test_a_logged_request_stays_as_it_is(tmp_path: Path) -> None:
    body = {"model": "m", "messages": [{"role": "system", "content": "s"}], "temperature": 0.3}
    log = read(tmp_path, {"time": START_S, "request": body})
    assert json.loads(log.requests[0].body) == body
    assert log.requests[0].principal is None


@pytest.mark.parametrize(
    "time", ["2023-11-14T22:13:20Z", "2023-11-14T23:13:20+01:00", 1_700_000_000, 1.7e9]
)
def test_times_of_all_forms(tmp_path: Path, time: Any) -> None:
    log = read(tmp_path, {**line(0, "hello"), "time": time})
    assert log.requests[0].at_s == START_S


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"total_tokens": 7, "prompt_tokens": 1}, 7),
        ({"prompt_tokens": 3, "completion_tokens": 5}, 8),
        ({"completion_tokens": 5}, 5),
        ({}, None),
        (None, None),
    ],
)
def test_tokens(tmp_path: Path, usage: Any, tokens: int | None) -> None:
    assert read(tmp_path, line(0, "hello", usage=usage)).requests[0].tokens == tokens


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"latency": 2}, "unknown field `latency`"),
        ({"time": "yesterday"}, "`time` is no ISO 8601 time"),
        ({"time": "2023-11-14T22:13:20"}, "`time` has no time zone"),
        ({"time": START_S * 1000}, "`time` is no Unix time in seconds"),
        ({"time": -1}, "`time` is no Unix time in seconds"),
        ({"time": None}, "$.time"),
        ({"time": True}, "$.time"),
        ({"prompt": None}, "needs either `request` or `prompt`"),
        ({"request": {"messages": []}}, "needs either `request` or `prompt`"),
        ({"prompt": None, "request": {"model": "m"}}, "no list of `messages`"),
        ({"prompt": None, "request": {"messages": []}, "model": "m"}, "`model` stands in"),
        (
            {"prompt": None, "request": {"messages": [], "user": "a"}, "user": "b"},
            "`user` is another one",
        ),
        (
            {"prompt": None, "request": {"messages": [], "cache": 1}, "namespace": "b"},
            "`cache` of `request` is no object",
        ),
        ({"latency_s": -0.1}, "`latency_s` is no number of seconds"),
        ({"latency_s": 90_000}, "`latency_s` is no number of seconds"),
        ({"latency_s": "2s"}, "$.latency_s"),
        ({"status": 99}, "`status` is no HTTP status"),
        ({"usage": {"total_tokens": -1}}, "a number of tokens that is none"),
        ({"usage": {"total_tokens": True}}, "a number of tokens that is none"),
        ({"answer": {"text": "a"}}, "`answer` is neither a text nor a response"),
        ({"headers": {"x-a": "\u20ac"}}, "`headers` hold what no header can"),
    ],
)
def test_a_bad_line_is_named_and_not_quoted(
    tmp_path: Path, wrong: dict[str, Any], told: str
) -> None:
    lines = [line(0, SECRET), {**line(1, SECRET), **wrong}]
    with pytest.raises(LogError) as error:
        read(tmp_path, *lines)
    assert str(error.value).startswith(f"{tmp_path / 'log.jsonl'}:2: ")
    assert told in str(error.value)
    assert "Krause" not in str(error.value)
    log = read_log(tmp_path / "log.jsonl", skip_bad=True)
    assert (len(log.requests), log.bad, log.first_bad) == (1, 1, str(error.value))


@pytest.mark.parametrize("text", ['{"time": 1', "[1]", "nonsense", '{"time": 1e999}'])
def test_what_is_no_object_is_a_bad_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(f"\n{text}\n")
    with pytest.raises(LogError, match=r"log\.jsonl:2: "):
        read_log(path)


def test_not_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"time": 1, "prompt": "\xff"}\n')
    with pytest.raises(LogError, match=r"log\.jsonl:1: "):
        read_log(path)


def test_a_mark_of_byte_order_is_no_part_of_the_log(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"time": 1, "prompt": "hello"}\n')
    assert [request.prompt for request in read_log(path).requests] == ["hello"]


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_an_empty_log(tmp_path: Path, text: str) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(text)
    with pytest.raises(LogError, match="no requests"):
        read_log(path)


def test_nothing_but_bad_lines_is_an_error_too(tmp_path: Path) -> None:
    path = write(tmp_path / "log.jsonl", [{"time": 1}])
    with pytest.raises(LogError, match=r"no requests; .*log\.jsonl:1: needs either"):
        read_log(path, skip_bad=True)


def test_a_log_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"log\.jsonl: No such file"):
        read_log(tmp_path / "log.jsonl")


def test_lines_are_sorted_by_time_and_the_late_ones_counted(tmp_path: Path) -> None:
    log = read(tmp_path, line(5, "b"), line(1, "a"), line(5, "c"), line(4, "d"))
    assert [request.prompt for request in log.requests] == ["a", "d", "b", "c"]
    assert log.late == 2


def test_a_compressed_log(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(line(0, "hello")).encode()))
    assert len(read_log(path).requests) == 1
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(LogError, match="damaged gzip data"):
        read_log(path)
