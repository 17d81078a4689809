"""What every wire dialect must do. A new dialect joins by adding a ``Case``."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kindcache.adapters.dialects.dialect import Dialect, Parsed, Unparsable, Unstorable
from kindcache.adapters.dialects.openai_chat import OpenAIChat
from kindcache.cache.entries.entry import Answer, Choice, ToolCall
from kindcache.policies.verdict import Reason

LIMIT = 1 << 20
BOUNDED = settings(max_examples=60, deadline=None)


@dataclass(frozen=True)
class Case:
    """A dialect, what it can express, and things that were seen on its wire."""

    dialect: Dialect
    request: dict[str, Any]  # ends with plain user text PROMPT
    prompt: str
    answers: st.SearchStrategy[Answer]  # every answer that it can express
    pairs: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)  # name: (JSON, stream)


def choices() -> st.SearchStrategy[Choice]:
    name = st.text(min_size=1)
    said = st.builds(Choice, text=st.text(min_size=1), finish_reason=st.just("stop"))
    refused = st.builds(
        Choice,
        text=st.none() | st.text(),
        finish_reason=st.just("stop"),
        refusal=st.text(min_size=1),
    )
    reasoned = st.builds(
        Choice,
        text=st.text(min_size=1),
        finish_reason=st.just("stop"),
        reasoning=st.text(min_size=1),
        reasoning_field=st.sampled_from(
            ["reasoning", "reasoning_content", "reasoning,reasoning_content"]
        ),
    )
    called = st.builds(
        Choice,
        text=st.none() | st.text(),
        finish_reason=st.sampled_from(["stop", "tool_calls"]),
        tool_calls=st.lists(st.builds(ToolCall, name, name, st.text()), min_size=1, max_size=3).map(
            tuple
        ),
    )
    return said | refused | reasoned | called


def answers() -> st.SearchStrategy[Answer]:
    counts = st.integers(min_value=0, max_value=2**53)
    usage = st.fixed_dictionaries(
        {"prompt_tokens": counts, "completion_tokens": counts, "total_tokens": counts},
        optional={"prompt_tokens_details": st.just({"cached_tokens": 3}), "cost": st.just(0.25)},
    )
    return st.builds(
        Answer,
        model=st.text(min_size=1),
        created=st.integers(min_value=1, max_value=2**40),
        choices=st.lists(choices(), min_size=1, max_size=3).map(tuple),
        usage=st.none() | usage,
        system_fingerprint=st.none() | st.text(min_size=1),
    )


def sse(*chunks: dict[str, Any] | str) -> bytes:
    return b"".join(
        b"data: %s\n\n" % (chunk if isinstance(chunk, str) else json.dumps(chunk)).encode()
        for chunk in chunks
    )


HEAD = {"id": "chatcmpl-1", "created": 1_700_000_000, "model": "m-1", "system_fingerprint": "fp_1"}
USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}


def chat_body(message: dict[str, Any], finish_reason: str, **more: Any) -> bytes:
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}
    body = {**HEAD, "object": "chat.completion", "choices": [choice], "usage": USAGE, **more}
    return json.dumps(body).encode()


def chat_chunk(delta: dict[str, Any], finish_reason: str | None = None, **more: Any) -> Any:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    kind = "chat.completion.chunk"
    return {**HEAD, "object": kind, "choices": [choice], "usage": None, **more}


def chat_usage_chunk() -> Any:
    return {**HEAD, "object": "chat.completion.chunk", "choices": [], "usage": USAGE}


OPENAI_CHAT = Case(
    dialect=OpenAIChat(),
    request={
        "model": "m-1",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Why is the sky blue?"},
        ],
        "temperature": 0.2,
    },
    prompt="Why is the sky blue?",
    answers=answers(),
    pairs={
        "text": (
            chat_body(
                {"role": "assistant", "content": "Grüße 🌍", "refusal": None, "annotations": []},
                "stop",
                service_tier="default",
            ),
            sse(
                chat_chunk({"role": "assistant", "content": "", "refusal": None}, obfuscation="x9"),
                chat_chunk({"content": "Grü"}, obfuscation="x"),
                chat_chunk({"content": "ße 🌍"}),
                chat_chunk({}, "stop"),
                chat_usage_chunk(),
                "[DONE]",
            ),
        ),
        "two tool calls": (
            chat_body(
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {
                            "id": "call_a",
                            "type": "function",
                            "function": {"name": "get_weather", "arguments": '{"city":"Oslo"}'},
                        },
                        {
                            "id": "call_b",
                            "type": "function",
                            "function": {"name": "get_time", "arguments": "{}"},
                        },
                    ],
                },
                "tool_calls",
            ),
            sse(
                chat_chunk({"role": "assistant", "content": None}),
                chat_chunk(
                    {
                        "tool_calls": [
                            {
                                "index": 0,
                                "id": "call_a",
                                "type": "function",
                                "function": {"name": "get_weather", "arguments": ""},
                            }
                        ]
                    }
                ),
                chat_chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"city":'}}]}),
                chat_chunk({"tool_calls": [{"index": 0, "function": {"arguments": '"Oslo"}'}}]}),
                chat_chunk(
                    {
                        "tool_calls": [
                            {
                                "index": 1,
                                "id": "call_b",
                                "type": "function",
                                "function": {"name": "get_time", "arguments": "{}"},
                            }
                        ]
                    }
                ),
                chat_chunk({}, "tool_calls"),
                chat_usage_chunk(),
                "[DONE]",
            ),
        ),
        "reasoning": (
            chat_body({"role": "assistant", "content": "4", "reasoning_content": "2+2"}, "stop"),
            sse(
                chat_chunk({"role": "assistant", "content": None}),
                chat_chunk({"reasoning_content": "2"}),
                chat_chunk({"reasoning_content": "+2", "content": None}),
                chat_chunk({"content": "4"}, "stop", usage=USAGE),
                "[DONE]",
            ),
        ),
        "refusal": (
            chat_body({"role": "assistant", "content": None, "refusal": "I cannot."}, "stop"),
            sse(
                chat_chunk({"role": "assistant", "refusal": ""}),
                chat_chunk({"refusal": "I can"}),
                chat_chunk({"refusal": "not."}),
                chat_chunk({}, "stop"),
                chat_usage_chunk(),
                "[DONE]",
            ),
        ),
    },
)

CASES = {case.dialect.name: case for case in (OPENAI_CHAT,)}
PAIRS = [(case, name) for case in CASES.values() for name in case.pairs]


@pytest.fixture(params=CASES.values(), ids=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    found = request.param
    assert isinstance(found, Case)
    return found


@pytest.fixture(params=PAIRS, ids=[f"{case.dialect.name}-{name}" for case, name in PAIRS])
def pair(request: pytest.FixtureRequest) -> tuple[Dialect, bytes, bytes]:
    found, name = request.param
    return (found.dialect, *found.pairs[name])


def record(dialect: Dialect, *, stream: bool, pieces: list[bytes]) -> Answer | Unstorable:
    recorder = dialect.recorder(stream=stream, limit_bytes=LIMIT)
    for piece in pieces:
        recorder.feed(piece)
    return recorder.finish()


def cuts(data: bytes) -> Iterator[bytes]:
    """Beginnings of ``data`` that miss more than white space."""
    whole = len(data.rstrip())
    yield from (data[:end] for end in range(0, whole, max(1, whole // 200)))
    yield data[: whole - 1]


class TestRecording:
    def test_stream_and_json_give_equal_answers(self, pair: tuple[Dialect, bytes, bytes]) -> None:
        dialect, body, stream = pair
        answer = record(dialect, stream=False, pieces=[body])

        assert isinstance(answer, Answer)
        assert record(dialect, stream=True, pieces=[stream]) == answer

    def test_split_does_not_matter(self, pair: tuple[Dialect, bytes, bytes]) -> None:
        dialect, body, stream = pair
        for streamed, data in ((False, body), (True, stream)):
            whole = record(dialect, stream=streamed, pieces=[data])
            single = [data[at : at + 1] for at in range(len(data))]
            assert record(dialect, stream=streamed, pieces=single) == whole

    def test_cut_answer_is_not_stored(self, pair: tuple[Dialect, bytes, bytes]) -> None:
        dialect, body, stream = pair
        for streamed, data in ((False, body), (True, stream)):
            for cut in cuts(data):
                found = record(dialect, stream=streamed, pieces=[cut])
                assert found == Unstorable(Reason.INCOMPLETE), cut[-40:]

    def test_answer_over_the_limit_is_not_stored(self, pair: tuple[Dialect, bytes, bytes]) -> None:
        dialect, body, stream = pair
        for streamed, data in ((False, body), (True, stream)):
            recorder = dialect.recorder(stream=streamed, limit_bytes=0)
            recorder.feed(data)
            assert recorder.finish() == Unstorable(Reason.TOO_LARGE)

    @pytest.mark.parametrize("stream", [True, False])
    @pytest.mark.parametrize(
        "garbage",
        [
            b"",
            b"<html><body>502 Bad Gateway</body></html>",
            b"data: [DONE]\n\n",
            b"data: {\n\ndata: [DONE]\n\n",
            b"\xff\xfe\x00",
            b"[" * 100_000,
            b"data: " + b"[" * 100_000 + b"\n\n",
            b"null",
            b'{"error": {"message": "overloaded"}}',
        ],
    )
    def test_garbage_is_not_stored(self, case: Case, garbage: bytes, *, stream: bool) -> None:
        assert isinstance(record(case.dialect, stream=stream, pieces=[garbage]), Unstorable)

    @pytest.mark.parametrize("name", CASES)
    def test_recorder_never_raises(self, name: str) -> None:
        dialect, pairs = CASES[name].dialect, CASES[name].pairs

        @BOUNDED
        @given(st.data())
        def check(data: st.DataObject) -> None:
            body, stream = data.draw(st.sampled_from(list(pairs.values())))
            streamed = data.draw(st.booleans())
            wire = bytearray(stream if streamed else body)
            at = data.draw(st.integers(0, len(wire) - 1))
            wire[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
            record(dialect, stream=streamed, pieces=[bytes(wire)])

        check()


class TestReplay:
    @pytest.mark.parametrize("name", CASES)
    def test_recording_a_replay_gives_the_answer_again(self, name: str) -> None:
        dialect = CASES[name].dialect

        @BOUNDED
        @given(CASES[name].answers, st.integers(1, 40))
        def check(answer: Answer, step: int) -> None:
            assert record(dialect, stream=False, pieces=[dialect.body(answer)]) == answer
            wire = b"".join(dialect.frames(answer, usage=True))
            pieces = [wire[at : at + step] for at in range(0, len(wire), step)]
            assert record(dialect, stream=True, pieces=pieces) == answer

        check()

    def test_each_replay_has_its_own_id(self, pair: tuple[Dialect, bytes, bytes]) -> None:
        dialect, body, _ = pair
        answer = record(dialect, stream=False, pieces=[body])
        assert isinstance(answer, Answer)

        assert dialect.body(answer) != dialect.body(answer)
        assert dialect.frames(answer, usage=False) != dialect.frames(answer, usage=False)

    @pytest.mark.parametrize("name", CASES)
    def test_what_is_rendered_once_is_each_replay_but_for_the_id(self, name: str) -> None:
        dialect = CASES[name].dialect

        @BOUNDED
        @given(CASES[name].answers, st.booleans())
        def check(answer: Answer, usage: bool) -> None:
            whole = dialect.rendering(answer, stream=False, usage=False)
            one, other = dialect.fresh(whole), dialect.fresh(whole)
            assert one != other
            assert len(one) == len(other) == len(dialect.body(answer))
            assert record(dialect, stream=False, pieces=[other]) == answer
            streamed = dialect.rendering(answer, stream=True, usage=usage)
            one, other = dialect.fresh(streamed), dialect.fresh(streamed)
            assert one != other
            assert len(one) == len(b"".join(dialect.frames(answer, usage=usage)))
            known = answer if usage else replace(answer, usage=None)
            assert record(dialect, stream=True, pieces=[other]) == known

        check()

    def test_frames_are_whole_events(self, pair: tuple[Dialect, bytes, bytes]) -> None:
        dialect, body, _ = pair
        answer = record(dialect, stream=False, pieces=[body])
        assert isinstance(answer, Answer)

        for frame in dialect.frames(answer, usage=True):
            assert frame.endswith(b"\n\n")
            assert frame.count(b"\n\n") == 1

    def test_long_answers_keep_lines_short(self, case: Case) -> None:
        text = "\x01𝄞" * 50_000
        answer = Answer("m", 1, (Choice(text, "stop"),))

        frames = case.dialect.frames(answer, usage=False)

        assert max(map(len, b"".join(frames).split(b"\n"))) < 1 << 16
        assert record(case.dialect, stream=True, pieces=frames) == answer

    def test_error_is_json_with_the_message(self, case: Case) -> None:
        error = case.dialect.error("no such model", kind="invalid_request_error", code="missing")

        assert json.loads(error)["error"]["message"] == "no such model"


class TestParsing:
    def parse(self, case: Case, **changes: Any) -> Parsed:
        body = json.dumps({**case.request, **changes}).encode()
        return case.dialect.parse(f"/v1{case.dialect.paths[0]}", body)

    def test_call_says_who_and_what(self, case: Case) -> None:
        parsed = self.parse(case)

        assert parsed.call.dialect == case.dialect.name
        assert parsed.call.path == f"/v1{case.dialect.paths[0]}"
        assert parsed.call.model == case.request["model"]
        assert parsed.call.prompt == case.prompt
        assert parsed.call.ends_with_user_text
        assert parsed.forward is None

    def test_prompt_is_not_in_the_frame(self, case: Case) -> None:
        assert case.prompt not in json.dumps(dict(self.parse(case).call.frame))

    def test_stream_does_not_change_the_frame(self, case: Case) -> None:
        streamed, plain = self.parse(case, stream=True).call, self.parse(case, stream=False).call

        assert streamed.stream
        assert not plain.stream
        assert streamed.frame == plain.frame == self.parse(case).call.frame

    def test_unstreamed_is_the_same_call_in_one_piece(self, case: Case) -> None:
        streamed = {"stream": True, "stream_options": {"include_usage": True}}
        body = json.dumps({**case.request, **streamed, "vendor_field": [1.50, None]}).encode()
        path = f"/v1{case.dialect.paths[0]}"
        whole = case.dialect.parse(path, case.dialect.unstreamed(body)).call

        assert not whole.stream
        assert whole.frame == case.dialect.parse(path, body).call.frame
        assert whole.prompt == case.prompt

    def test_a_question_of_our_own_is_one_that_the_dialect_speaks(self, case: Case) -> None:
        body = case.dialect.question("referee", "Say yes or no.", 'Is "é" a letter?')
        call = case.dialect.parse(f"/v1{case.dialect.paths[0]}", body).call

        assert (call.model, call.prompt) == ("referee", 'Is "é" a letter?')
        assert not call.stream
        assert call.temperature == 0

    def test_unknown_field_changes_the_frame(self, case: Case) -> None:
        assert self.parse(case, vendor_field=0).call.frame != self.parse(case).call.frame

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"[]",
            b"{}",
            b"\xff\xfe{}",
            b'{"model":"m"}',
            b"[" * 100_000,
            b'{"a":' * 500 + b"1" + b"}" * 500,
            b"1" * 10_000,
        ],
    )
    def test_what_is_not_understood_is_refused(self, case: Case, body: bytes) -> None:
        with pytest.raises(Unparsable):
            case.dialect.parse("/v1", body)

    @pytest.mark.parametrize("name", CASES)
    def test_parse_raises_nothing_else(self, name: str) -> None:
        case = CASES[name]
        wire = json.dumps({**case.request, "stream": True, "cache": {"ttl": 5}}).encode()

        @BOUNDED
        @given(st.integers(0, len(wire) - 1), st.integers(0, 9), st.binary(max_size=9))
        def check(at: int, gone: int, put: bytes) -> None:
            body = wire[:at] + put + wire[at + gone :]
            with contextlib.suppress(Unparsable):
                case.dialect.parse("/v1", body)

        check()
