"""What a client of several replicas may be told: answers name their scope, question and moment.

The model numbers its answers. An invalidation notes the last number given before it was asked for:
what it names may not be served with such a number once it has returned, wherever that is asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SCOPES = ("alice", "bob")
TOPICS = ("news", "recipe", "manual")  # each a category
WORDINGS = ("What does the {} number {} say?", "what does the {} number {} say")
ANSWER = re.compile(rb"(\w+)/(\w+)/(\d+)/(\d+)/end")
ASKED = re.compile(r"the (\w+) number (\d+)")
TAGS = 40


@dataclass(frozen=True, slots=True)
class Question:
    """One question of one caller."""

    scope: str
    topic: str
    number: int

    @property
    def tag(self) -> str:
        """Return the tag that its answer is stored with."""
        return f"shelf-{self.number % TAGS}"

    def request(self, wording: str, *, stream: bool = False, cached: bool = False) -> bytes:
        """Return the HTTP request that asks it; ``cached``: the model must not be asked."""
        only = "cache-control: only-if-cached\r\n" if cached else ""
        body = {
            "model": "demo",
            "messages": [{"role": "user", "content": wording.format(self.topic, self.number)}],
        }
        data = json.dumps(body | ({"stream": True} if stream else {})).encode()
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n"
            f"authorization: Bearer {self.scope}\r\nx-cache-tags: {self.tag}\r\n"
            f"{only}"
            f"content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
        )
        return head.encode() + data


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: who and what it was made for, and its number."""

    scope: str
    topic: str
    number: int
    stamp: int

    def __str__(self) -> str:
        return f"{self.scope}/{self.topic}/{self.number}/{self.stamp}/end"

    @classmethod
    def read(cls, body: bytes) -> Answer | None:
        """Find an answer in the bytes of a body, whole or as events."""
        found = ANSWER.search(body)
        if found is None:
            return None
        scope, topic, number, stamp = found.groups()
        return cls(scope.decode(), topic.decode(), int(number), int(stamp))


@dataclass(frozen=True, slots=True)
class Invalidation:
    """One that has returned. Times are of the client's monotonic clock."""

    selector: Mapping[str, Any]  # as in the body of ``POST /_cache/invalidate``
    stamp: int  # the last answer that was given before it was asked for
    returned_s: float
    process: int  # that was asked

    def covers(self, question: Question, answer: Answer, entry: str) -> bool:
        """Say whether ``answer``, given out from ``entry``, should be gone."""
        if answer.stamp > self.stamp:
            return False
        match self.selector:
            case {"category": category}:
                return bool(question.topic == category)
            case {"tag": tag}:
                return bool(question.tag == tag)
            case {"pattern": pattern}:
                said = WORDINGS[0].format(question.topic, question.number)
                return re.search(pattern, said) is not None
            case {"entry": name}:
                return bool(entry and entry == name)
        raise AssertionError(self.selector)


@dataclass(slots=True)
class Checked:
    """What the answers were found to be."""

    lag_s: float
    invalidations: list[Invalidation] = field(default_factory=list)
    cross_scope: int = 0
    other_question: int = 0
    late: int = 0  # of an invalidated entry, asked for more than ``lag_s`` after it had returned
    late_at_home: int = 0  # the same in the process that had been asked, at any time after
    within_lag: int = 0
    latest_s: float = 0.0  # of all those, after the return

    def check(
        self, question: Question, answer: Answer, entry: str, sent_s: float, process: int
    ) -> None:
        """Judge one answer to what was sent at ``sent_s`` to ``process``."""
        self.cross_scope += answer.scope != question.scope
        asked = (question.topic, question.number)
        self.other_question += (answer.topic, answer.number) != asked
        after_s = [
            sent_s - one.returned_s
            for one in self.invalidations
            if one.returned_s < sent_s and one.covers(question, answer, entry)
        ]
        if not after_s:
            return
        self.latest_s = max(self.latest_s, *after_s)
        self.late += max(after_s) > self.lag_s
        self.within_lag += max(after_s) <= self.lag_s
        self.late_at_home += any(
            one.process == process and one.returned_s < sent_s
            for one in self.invalidations
            if one.covers(question, answer, entry)
        )


class Model:
    """The model that all replicas ask: an ASGI app."""

    def __init__(self) -> None:
        self.stamp = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        body = b""
        while (message := await receive()).get("more_body"):
            body += message["body"]
        asked = json.loads(body + message["body"])
        topic, number = ASKED.findall(asked["messages"][-1]["content"])[0]
        caller = dict(scope["headers"])[b"authorization"].decode().removeprefix("Bearer ")
        self.stamp += 1
        text = str(Answer(caller, topic, int(number), self.stamp))
        kind, data = _events(text) if asked.get("stream") else _whole(text)
        headers = [(b"content-type", kind), (b"content-length", str(len(data)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": data})


HEAD = {"id": "chatcmpl-demo", "created": 1_700_000_000, "model": "demo"}
USAGE = {"prompt_tokens": 12, "completion_tokens": 9, "total_tokens": 21}


def _whole(text: str) -> tuple[bytes, bytes]:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    said = {**HEAD, "object": "chat.completion", "choices": [choice], "usage": USAGE}
    return b"application/json", json.dumps(said).encode()


def _events(text: str) -> tuple[bytes, bytes]:
    frames = []
    for delta, end in (({"role": "assistant", "content": text}, None), ({}, "stop")):
        choice = {"index": 0, "delta": delta, "finish_reason": end}
        chunk = {**HEAD, "object": "chat.completion.chunk", "choices": [choice]}
        frames.append(f"data: {json.dumps(chunk)}\n\n")
    return b"text/event-stream", "".join([*frames, "data: [DONE]\n\n"]).encode()
