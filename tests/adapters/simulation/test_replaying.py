"""Logs whose figures can be worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kindcache.adapters.load_watch import LoadWatch
from kindcache.adapters.simulation.outcome import Kind
from tests.adapters.simulation.conftest import Simulate
from tests.adapters.simulation.logs import POLICY, line

TOWER = "How tall is the Eiffel Tower in Paris?"
REWORDED = "How tall is the Eiffel Tower in Paris"
GOLD = "price of gold"


def kinds(replayed: Any) -> list[Kind]:
    return [outcome.kind for outcome in replayed.outcomes]


def test_hits_misses_joined_calls_and_wrong_answers(simulate: Simulate) -> None:
    def asked(after_s: float, prompt: str, **fields: Any) -> dict[str, Any]:
        return line(after_s, prompt, **{"usage": {"total_tokens": 100}, "key": "tower"} | fields)

    _, replayed, report = simulate(
        [
            asked(0, TOWER, latency_s=2.0),
            asked(0.5, TOWER, latency_s=4.0),  # waits for the first one: 1.5 s
            asked(10, TOWER, latency_s=3.0),
            asked(20, REWORDED, latency_s=5.0, usage={"total_tokens": 50}),
            asked(30, TOWER, latency_s=1.0, key="another tower"),
            asked(40, TOWER, usage=None, key=None),
            asked(50, TOWER, latency_s=7.0, principal="bob"),  # nobody else's answer is his
            asked(60, "my salary", latency_s=1.0),
        ]
    )
    assert kinds(replayed) == [
        Kind.MISS,
        Kind.JOINED,
        Kind.EXACT,
        Kind.SEMANTIC,
        Kind.EXACT,
        Kind.EXACT,
        Kind.MISS,
        Kind.BYPASS,
    ]
    overall = report.overall
    assert (overall.hits.part, overall.hits.whole) == (4, 8)
    assert (overall.wrong.part, overall.wrong.whole) == (1, 4)  # nobody knows of the one without
    assert overall.saved_s == pytest.approx(4.0 - 1.5 + 3.0 + 5.0 + 1.0)
    assert overall.spent_s == pytest.approx(2 + 4 + 3 + 5 + 1 + 7 + 1)
    assert (overall.saved_tokens, overall.spent_tokens) == (100 + 100 + 50 + 100, 650)
    assert (overall.untimed, overall.uncounted) == (1, 1)
    assert report.calls == 3
    assert [(one.name, one.requests) for one in report.categories] == [
        ("default", 7),
        ("secret", 1),
    ]
    assert {room.category: room.entries for room in report.room}["default"] == 2


def test_stale_answers_are_refreshed_once_and_after_the_logged_time(simulate: Simulate) -> None:
    def gold(after_s: float, latency_s: float) -> dict[str, Any]:
        return line(after_s, GOLD, latency_s=latency_s, usage={"total_tokens": 10}, key="gold")

    _, replayed, report = simulate(
        [
            gold(0, 1.0),  # stored at 1, fresh until 61, stale until 121
            gold(60, 1.0),
            gold(70, 4.0),  # stale: its refresh is back at 74
            gold(72, 9.0),  # stale, and already being refreshed
            gold(75, 1.0),  # fresh again, until 134; stale until 194
            gold(200, 1.0),
        ]
    )
    assert kinds(replayed) == [Kind.MISS, *[Kind.EXACT] * 4, Kind.MISS]
    assert [outcome.stale for outcome in replayed.outcomes] == [0, 0, 1, 1, 0, 0]
    assert [outcome.made_for for outcome in replayed.outcomes] == [0, 0, 0, 0, 2, 5]
    assert (report.overall.stale.part, report.overall.stale.whole) == (2, 4)
    assert (report.calls, report.refreshes) == (3, 1)
    assert report.overall.saved_s == pytest.approx(1 + 4 + 9 + 1)
    assert report.overall.saved_tokens == 40 - 10  # the refresh took some


def test_what_has_expired_is_gone(simulate: Simulate) -> None:
    _, replayed, report = simulate([line(0, TOWER), line(3599, TOWER), line(7300, GOLD)])
    assert kinds(replayed) == [Kind.MISS, Kind.EXACT, Kind.MISS]
    assert {room.category: room.entries for room in report.room if room.entries} == {"prices": 1}
    assert {room.category: room.most for room in report.room if room.most} == {
        "default": 1,
        "prices": 1,
    }


def test_an_answer_is_there_when_its_time_has_passed_and_not_before(simulate: Simulate) -> None:
    _, replayed, _ = simulate(
        [line(0, TOWER, latency_s=30.0), line(10, REWORDED, latency_s=5.0), line(40, TOWER)]
    )
    # In other words nothing is joined: an answer that is not there yet cannot be judged.
    assert kinds(replayed) == [Kind.MISS, Kind.MISS, Kind.EXACT]
    assert [outcome.waited_s for outcome in replayed.outcomes] == pytest.approx([30, 5, 0])


def test_errors_are_not_stored_and_answers_stand_in_for_them(simulate: Simulate) -> None:
    policy = POLICY.replace("ttl: 1h", "ttl: 1m, stale_if_error: 1h")
    _, replayed, report = simulate(
        [
            line(0, GOLD, status=500, latency_s=1.0),
            line(10, GOLD, latency_s=1.0),
            line(20, TOWER, latency_s=1.0),
            line(200, TOWER, latency_s=2.0, status=503),
        ],
        policy,
    )
    assert kinds(replayed) == [Kind.MISS, Kind.MISS, Kind.MISS, Kind.STOOD_IN]
    assert [outcome.made_for for outcome in replayed.outcomes] == [None, 1, 2, 2]
    assert report.overall.hits.part == 0
    assert report.overall.saved_s == 0  # the caller waited for the error
    assert report.calls == 4


def test_followers_of_an_error_ask_themselves(simulate: Simulate) -> None:
    _, replayed, report = simulate(
        [line(0, TOWER, status=500, latency_s=2.0), line(1, TOWER, latency_s=2.0)]
    )
    assert kinds(replayed) == [Kind.MISS, Kind.MISS]
    assert [outcome.waited_s for outcome in replayed.outcomes] == pytest.approx([2, 3])
    assert report.calls == 2


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("served", [True, False])
def test_streams_and_whole_answers(simulate: Simulate, *, stored: bool, served: bool) -> None:
    def asked(after_s: float, *, stream: bool) -> dict[str, Any]:
        messages = [{"role": "user", "content": TOWER}]
        request = {"model": "m", "messages": messages, "stream": stream}
        logged = line(after_s, TOWER, answer="330 m", latency_s=1.0)
        return logged | {"prompt": None, "request": request}

    _, replayed, _ = simulate([asked(0, stream=stored), asked(5, stream=served)])
    assert kinds(replayed) == [Kind.MISS, Kind.EXACT]
    assert replayed.outcomes[1].made_for == 0


def test_a_logged_response_is_the_answer(simulate: Simulate) -> None:
    def response(reason: str) -> dict[str, Any]:
        message = {"role": "assistant", "content": '"created": 99, I say'}
        choice = {"index": 0, "message": message, "finish_reason": reason}
        return {"choices": [choice], "object": "chat.completion", "model": "m", "id": "x"}

    _, replayed, report = simulate(
        [
            line(0, TOWER, answer=response("length")),  # cut off, so it is not kept
            line(5, TOWER, answer=response("stop")),
            line(9, TOWER),
        ]
    )
    assert kinds(replayed) == [Kind.MISS, Kind.MISS, Kind.EXACT]
    assert replayed.outcomes[2].made_for == 1
    assert report.calls == 2


def test_room_that_is_short(simulate: Simulate) -> None:
    policy = POLICY + "capacity: {entries: 2}\n"
    towns = ["weather of Rome", "history of Oslo", "food in Lima", "music from Cairo"]
    _, replayed, report = simulate([line(n, town) for n, town in enumerate(towns)], policy)
    assert len(replayed.samples) == 5
    assert sum(room.entries for room in report.room) == 2
    assert sum(room.gave_way for room in report.room) == 2


def test_what_took_the_model_long_is_kept(simulate: Simulate) -> None:
    policy = POLICY + "capacity: {entries: 2}\n"
    _, replayed, _ = simulate(
        [
            line(0, "weather of Rome", latency_s=60.0),
            line(100, "history of Oslo", latency_s=0.5),
            line(110, "food in Lima", latency_s=0.5),
            line(120, "weather of Rome", latency_s=60.0),
            line(130, "history of Oslo", latency_s=0.5),
        ],
        policy,
    )
    assert kinds(replayed) == [Kind.MISS, Kind.MISS, Kind.MISS, Kind.EXACT, Kind.MISS]


def test_callers_without_a_name_are_one(simulate: Simulate) -> None:
    def unnamed(after_s: float, **fields: Any) -> dict[str, Any]:
        return line(after_s, TOWER, **fields) | {"principal": None}

    _, replayed, _ = simulate(
        [
            unnamed(0),
            unnamed(1),
            unnamed(2, headers={"Authorization": "Bearer x"}),
            unnamed(3, headers={"Cache-Control": "no-cache"}),
        ]
    )
    assert kinds(replayed) == [Kind.MISS, Kind.EXACT, Kind.MISS, Kind.MISS]


def test_scopes_by_a_header(simulate: Simulate) -> None:
    policy = POLICY + 'scope: {by: "header:X-Tenant"}\n'
    lines = [line(0, TOWER), line(1, TOWER), line(2, TOWER, principal="bob")]
    _, replayed, _ = simulate(lines, policy)
    assert kinds(replayed) == [Kind.MISS, Kind.EXACT, Kind.MISS]


def test_bad_requests_and_other_paths_pass_by(simulate: Simulate) -> None:
    _, replayed, report = simulate(
        [
            {"time": 0, "request": {"messages": [1]}},
            line(1, TOWER, path="/v1/embeddings"),
            line(2, TOWER, headers={"Cache-Control": "only-if-cached"}),
        ]
    )
    assert kinds(replayed) == [Kind.BYPASS, Kind.BYPASS, Kind.MISS]
    assert report.calls == 2
    assert report.reasons == {"(none)": 2, "malformed": 1}


RELAXING = """\
embedder: {runtime: hashing}
judge: {scorer: none}
load: {in_flight: 4}
categories: {default: {ttl: 60s, under_load: {ttl: 1h}}}
"""


@pytest.mark.parametrize("under_load", [True, False])
def test_load_relaxes_only_when_it_is_wanted(simulate: Simulate, *, under_load: bool) -> None:
    crowd = [line(70 + n, f"question number {n} of many", latency_s=600.0) for n in range(60)]
    lines = [line(0, TOWER, latency_s=1.0), *crowd, line(140, TOWER, latency_s=1.0)]
    _, replayed, report = simulate(lines, RELAXING, under_load=under_load)
    assert replayed.outcomes[-1].relaxed is under_load
    assert report.overall.relaxed == int(under_load)
    assert report.left_out == (() if under_load else ("`under_load`, but for `--under-load`",))


def test_load_is_not_followed_through_years_of_silence(
    simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[bool] = []
    step = LoadWatch.step

    def counted(watch: LoadWatch) -> bool:
        steps.append(step(watch))
        return steps[-1]

    monkeypatch.setattr(LoadWatch, "step", counted)
    lines = [line(after_s, TOWER, latency_s=1.0) for after_s in (0.0, 9e8, 9e8 + 10)]
    _, replayed, _ = simulate(lines, RELAXING, under_load=True)
    assert kinds(replayed) == [Kind.MISS, Kind.MISS, Kind.EXACT]
    assert 10 < len(steps) < 10_000


def test_what_a_policy_keeps_elsewhere_is_left_alone(simulate: Simulate, tmp_path: Path) -> None:
    policy = POLICY + (
        f"store: {{url: 'sqlite:///{tmp_path}/answers.db'}}\n"
        f"snapshot: {{path: '{tmp_path}/snapshot'}}\n"
    )
    _, replayed, _ = simulate([line(0, TOWER), line(1, TOWER)], policy)
    assert kinds(replayed) == [Kind.MISS, Kind.EXACT]
    assert [path.name for path in tmp_path.iterdir()] == ["log.jsonl"]


@pytest.mark.slow
def test_the_same_log_and_policy_make_the_same(simulate: Simulate) -> None:
    policy = POLICY + "capacity: {entries: 40}\n"
    lines = [
        line(n, f"question {n * n % 97} of the day", latency_s=1.5, key=str(n * n % 97))
        for n in range(300)
    ]
    assert simulate(lines, policy)[1:] == simulate(lines, policy)[1:]
