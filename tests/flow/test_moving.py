"""Entries move between stores, and questions can be answered that nobody has asked yet."""

from __future__ import annotations

import io
import json
import uuid
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from kindcache.adapters.commands.export import ExportOptions, export
from kindcache.adapters.commands.import_ import ImportOptions, Stopped, import_
from kindcache.adapters.moving.codes import line_key, signed
from kindcache.adapters.moving.importing import ImportRefused
from kindcache.cache.errors import StartupError
from tests.drivers import AsgiDriver, ScriptedUpstream
from tests.drivers.cached import KEY, SECRET, proxied

pytestmark = pytest.mark.anyio

ADMIN = {"authorization": "Bearer root-token"}
ENVIRON = SECRET | {"KINDCACHE_ADMIN_TOKEN": "root-token", "KINDCACHE_KEYS": "0c" * 32}
MOVED_SECRET = SECRET["KINDCACHE_SECRET"].encode()
BOB = {"authorization": "Bearer bob"}
FRANCE = "What is the capital city of France?"
SAME = "What is the capital city of France"
TOWER = "How tall is the Eiffel tower?"

Config = dict[str, Any]


@pytest.fixture
def configs(tmp_path: Path, redis_url: str) -> Callable[..., Config]:
    def make(store: str, **extra: Any) -> Config:
        url = redis_url if store == "redis" else f"sqlite:///{tmp_path}/{store}.db"
        return {
            "store": {"url": url, "namespace": f"m{uuid.uuid4().hex}"},
            "embedder": {"runtime": "hashing"},
            "judge": {"scorer": "none"},
            "defaults": {"ttl": "1h", "similarity_threshold": 0.8},
        } | extra

    return make


class Mover:
    """The two commands, over settings of a test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "moved.jsonl"

    def written(self, config: Config) -> Path:
        path = self.folder / f"{uuid.uuid4().hex}.yaml"
        path.write_text(yaml.safe_dump(config))
        return path

    async def export(self, config: Config, **options: Any) -> int:
        values: dict[str, Any] = {"environ": ENVIRON} | options
        return await export(ExportOptions(self.file, self.written(config), **values))

    async def take(self, config: Config, stdin: str = "", **options: Any) -> int:
        values: dict[str, Any] = {"environ": ENVIRON, "given": io.StringIO(stdin)} | options
        return await import_(ImportOptions(self.file, self.written(config), **values))

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.file.read_text().splitlines()]

    def write(self, *lines: Any) -> None:
        """Write lines; those of an export with the codes that whoever has the secret can make."""
        epoch = b64decode(lines[0].get("epoch", "")) if isinstance(lines[0], dict) else b""
        texts = [line if isinstance(line, str) else _text(line, epoch) for line in lines]
        self.file.write_text("\n".join(texts) + "\n")


def _text(line: dict[str, Any], epoch: bytes) -> str:
    text = json.dumps({name: value for name, value in line.items() if name != "code"})
    if "kindcache" not in line:
        return text
    key = line_key(MOVED_SECRET, b"" if line["kindcache"] == "export" else epoch)
    return signed(text.encode(), key).decode().strip()


@pytest.fixture
def mover(tmp_path: Path) -> Mover:
    return Mover(tmp_path)


async def ask(upstream: ScriptedUpstream, config: Config, *prompts: str, **headers: Any) -> Any:
    app = proxied(upstream.base_url, config, environ=ENVIRON)
    async with AsgiDriver(app) as driver:
        await app.service.lifecycle.load()
        return [
            await driver.chat(prompt, headers=headers.get("headers", KEY)) for prompt in prompts
        ]


@pytest.mark.parametrize(("source", "target"), [("one", "redis"), ("redis", "one"), ("one", "two")])
@pytest.mark.parametrize("vectors", [True, False])
async def test_entries_move_from_store_to_store(
    source: str,
    target: str,
    vectors: bool,
    upstream: ScriptedUpstream,
    configs: Callable[..., Config],
    mover: Mover,
    capsys: pytest.CaptureFixture[str],
) -> None:
    here, there = configs(source), configs(target)
    await ask(upstream, here, FRANCE, TOWER)
    await ask(upstream, here, "Something of Bob's", headers=BOB)
    assert await mover.export(here, vectors=vectors) == 0
    assert "3 entries\n" in capsys.readouterr().err
    assert mover.file.stat().st_mode & 0o777 == 0o600
    assert [bool(line["record"]["vector"]) for line in mover.lines()[1:]] == [vectors] * 3
    assert await mover.take(there) == 0
    assert "3 entries\n" in capsys.readouterr().err
    upstream.reset()
    exact, semantic, other = await ask(upstream, there, FRANCE, SAME, "Something of Bob's")
    assert exact.header("x-cache-tier") == "exact"
    assert semantic.header("x-cache-tier") == "semantic"
    assert other.header("x-cache") == "MISS"
    (bobs,) = await ask(upstream, there, "Something of Bob's", headers=BOB)
    assert bobs.header("x-cache-tier") == "exact"
    assert upstream.count == 1
    await mover.take(there)
    assert "0 entries, 3 already there" in capsys.readouterr().err


async def test_an_encrypted_store_is_exported_in_the_clear_and_taken_in_encrypted(
    upstream: ScriptedUpstream, configs: Callable[..., Config], mover: Mover, tmp_path: Path
) -> None:
    here, there = configs("one"), configs("two")
    for config in (here, there):
        config["store"]["encryption_env"] = "KINDCACHE_KEYS"
    await ask(upstream, here, FRANCE)
    await mover.export(here)
    await mover.take(there)
    assert FRANCE in mover.file.read_text()
    assert FRANCE.encode() not in (tmp_path / "two.db").read_bytes()
    (again,) = await ask(upstream, there, SAME)
    assert again.header("x-cache-tier") == "semantic"


async def test_what_is_newer_stays_and_what_is_older_goes(
    upstream: ScriptedUpstream, configs: Callable[..., Config], mover: Mover
) -> None:
    here, there = configs("one"), configs("two")
    await ask(upstream, here, FRANCE)
    await mover.export(here)
    header, entry = mover.lines()
    older, newer = json.loads(json.dumps(entry)), json.loads(json.dumps(entry))
    for line, by_s, text in ((older, -10, "older"), (newer, 10, "newer")):
        line["record"]["created_s"] += by_s
        line["payload"]["created_s"] += by_s
        line["payload"]["answer"]["choices"][0]["text"] = text
    for lines, expected in (([entry], None), ([older], None), ([newer], "newer")):
        mover.write(header, *lines)
        await mover.take(there)
        (hit,) = await ask(upstream, there, FRANCE)
        text = hit.json()["choices"][0]["message"]["content"]
        assert hit.header("x-cache") == "HIT"
        assert text == (expected or entry["payload"]["answer"]["choices"][0]["text"])


async def test_time_goes_on_and_what_has_expired_stays_out(
    upstream: ScriptedUpstream,
    configs: Callable[..., Config],
    mover: Mover,
    capsys: pytest.CaptureFixture[str],
) -> None:
    here, there = configs("one"), configs("two")
    await ask(upstream, here, FRANCE, TOWER)
    await mover.export(here)
    header, first, second = mover.lines()
    first["record"]["expires_s"] -= 3_601
    second["record"]["expires_s"] -= 3_000
    mover.write(header, first, second)
    await mover.take(there)
    assert "1 entries, 1 expired" in capsys.readouterr().err
    async with AsgiDriver(proxied(upstream.base_url, there, environ=ENVIRON)) as driver:
        await driver.app.service.lifecycle.load()
        (entry,) = driver.app.service.engine.memory.table
        left_s = entry.expires_s - driver.app.service.engine.clock()
    assert 0 < left_s <= 600


async def test_another_secret_or_a_store_in_use_is_refused(
    upstream: ScriptedUpstream, configs: Callable[..., Config], mover: Mover
) -> None:
    here, there = configs("one"), configs("two")
    await ask(upstream, here, FRANCE)
    await mover.export(here)
    with pytest.raises(ImportRefused, match="under another secret"):
        await mover.take(there, environ={"KINDCACHE_SECRET": "another one than before"})
    await mover.take(there)  # nothing was written by the refused one
    used = configs("three")
    await ask(upstream, used, TOWER)
    with pytest.raises(ImportRefused, match="a store that no cache has used yet"):
        await mover.take(used)
    (still,) = await ask(upstream, used, TOWER)
    assert still.header("x-cache") == "HIT"


async def test_what_was_erased_or_invalidated_does_not_come_back(
    upstream: ScriptedUpstream, configs: Callable[..., Config], mover: Mover
) -> None:
    here, there = configs("one"), configs("two")
    await ask(upstream, here, FRANCE)
    await ask(upstream, here, TOWER, headers=BOB)
    await mover.export(here)
    before = mover.lines()
    async with AsgiDriver(proxied(upstream.base_url, here, environ=ENVIRON)) as driver:
        body = {"headers": KEY}
        done = await driver.request("POST", "/_cache/erase", json=body, headers=ADMIN)
        assert done.status == 200
    await mover.export(here)
    header, *entries = mover.lines()
    assert len(entries) == 1
    mover.write(header, *before[1:])  # even then
    await mover.take(there)
    (mine,) = await ask(upstream, there, FRANCE)
    (bobs,) = await ask(upstream, there, TOWER, headers=BOB)
    assert (mine.header("x-cache"), bobs.header("x-cache")) == ("MISS", "HIT")


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ("{", "not as an export"),
        ("\x00\xff", "not as an export"),
        ("[" * 60_000, "not as an export"),
        ("another's", "not as an export"),
        ("another epoch", "not as an export"),
        ({"kindcache": "entry"}, "missing required field"),
        ({"kindcache": "entry", "key": "AAAA", "record": 3, "payload": {}}, "Expected `object`"),
        ("short key", "have 16 bytes"),
        ("other times", "not of one entry"),
    ],
)
async def test_a_bad_line_is_named_and_those_before_it_are_kept(
    bad: Any,
    told: str,
    upstream: ScriptedUpstream,
    configs: Callable[..., Config],
    mover: Mover,
    capsys: pytest.CaptureFixture[str],
) -> None:
    here, there = configs("one"), configs("two")
    await ask(upstream, here, FRANCE, TOWER)
    await mover.export(here)
    header, first, second = mover.lines()
    if bad == "short key":
        bad = first | {"key": "AAAA"}
    elif bad == "other times":
        bad = first | {"record": first["record"] | {"created_s": 1.0}}
    elif bad == "another's":  # his answer under my key
        bad = mover.file.read_text().splitlines()[2].replace(second["key"], first["key"])
    elif bad == "another epoch":
        bad = _text(second, b"another")
    mover.write(header, first, "", bad, second)
    with pytest.raises(Stopped, match=rf"moved.jsonl:4: .*{told}") as caught:
        await mover.take(there)
    assert FRANCE not in str(caught.value)
    assert "1 entries\n" in capsys.readouterr().err
    await mover.take(there, skip_bad=True)
    assert "1 entries, 1 already there, 1 bad" in capsys.readouterr().err.replace(
        "1 bad, 1 already there", "1 already there, 1 bad"
    )


async def test_a_file_of_another_version_and_a_store_that_is_not_there(
    configs: Callable[..., Config], mover: Mover
) -> None:
    mover.write({"kindcache": "export", "version": 7, "secret": "", "epoch": ""})
    with pytest.raises(Stopped, match=r"moved.jsonl:1: an export of format 7; this one reads 1"):
        await mover.take(configs("two"))
    with pytest.raises(StartupError, match="no such store"):
        await mover.export(configs("nowhere"))
    mover.write('{"kindcache":' + "[" * 60_000)
    with pytest.raises(Stopped, match=r"moved.jsonl:1: Object contains unknown"):
        await mover.take(configs("two"), stdin="key", upstream="app")
    mover.file.unlink()
    with pytest.raises(Stopped, match="cannot be read"):
        await mover.take(configs("two"))
    with pytest.raises(StartupError, match="in memory"):
        await mover.export(configs("one") | {"store": {"url": "memory://"}})


SEEDS = [
    {"prompt": "How do I return a parcel?", "answer": "Within 30 days.", "model": "gpt-test"},
    {"prompt": "Where is my invoice?", "answer": "In your account.", "model": "gpt-test"},
]


@pytest.mark.parametrize("shared", [False, True])
async def test_a_seeded_question_is_answered_without_the_model(
    shared: bool,
    upstream: ScriptedUpstream,
    configs: Callable[..., Config],
    mover: Mover,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = configs("one", scope={"anonymous": "share"})
    mover.write(*SEEDS)
    code = await mover.take(
        config, "alice\n", upstream="app", **({"shared": True} if shared else {})
    )
    assert code == 0
    assert "2 entries\n" in capsys.readouterr().err
    headers = {} if shared else KEY
    app = proxied(upstream.base_url, config, environ=ENVIRON)
    async with AsgiDriver(app) as driver:
        await app.service.lifecycle.load()
        body = {"model": "gpt-test", "messages": [{"role": "user", "content": SEEDS[0]["prompt"]}]}
        path = "/v1/chat/completions"
        exact = await driver.request("POST", path, json=body, headers=headers)
        body["messages"] = [{"role": "user", "content": "How do I return a parcel"}]
        semantic = await driver.request("POST", path, json=body, headers=headers)
        stream = await driver.request("POST", path, json=body | {"stream": True}, headers=headers)
        other = await driver.request("POST", path, json=body, headers=BOB)
    assert exact.json()["choices"][0]["message"]["content"] == "Within 30 days."
    assert semantic.header("x-cache-tier") == "semantic"
    assert b"Within 30 days." in stream.body
    assert other.header("x-cache") == "MISS"
    assert upstream.count == 1


async def test_seeds_go_through_what_answers_go_through(
    upstream: ScriptedUpstream,
    configs: Callable[..., Config],
    mover: Mover,
    capsys: pytest.CaptureFixture[str],
) -> None:
    categories = {"faq": {"ttl": "7d"}, "off": {"cache": False}}
    config = configs("one", categories=categories)
    system = {"system": "Be brief.", "category": "faq", "request": {"temperature": 0}}
    mover.write(SEEDS[0] | system, SEEDS[1] | {"category": "off"})
    await mover.take(config, "alice\n", upstream="app")
    assert "1 entries, 1 " in capsys.readouterr().err
    app = proxied(upstream.base_url, config, environ=ENVIRON)
    async with AsgiDriver(app) as driver:
        await app.service.lifecycle.load()
        (entry,) = app.service.engine.memory.table
        assert entry.category == "faq"
        messages = [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": SEEDS[0]["prompt"]},
        ]
        body = {"model": "gpt-test", "messages": messages, "temperature": 0}
        hit = await driver.request("POST", "/v1/chat/completions", json=body, headers=KEY)
        del messages[0]
        miss = await driver.request("POST", "/v1/chat/completions", json=body, headers=KEY)
    assert (hit.header("x-cache"), miss.header("x-cache")) == ("HIT", "MISS")


@pytest.mark.parametrize(
    ("seed", "told"),
    [
        (SEEDS[0] | {"category": "nothing"}, "category: the settings have none"),
        (SEEDS[0] | {"prompt": " "}, "must not be empty"),
        (SEEDS[0] | {"answr": "x"}, "unknown field"),
        (SEEDS[0] | {"request": {"stream": True}}, "request: messages, model, stream"),
        ({"prompt": "x", "answer": "y"}, "missing required field `model`"),
    ],
)
async def test_a_bad_seed_is_named(
    seed: Any, told: str, configs: Callable[..., Config], mover: Mover
) -> None:
    mover.write(SEEDS[1], seed)
    with pytest.raises(Stopped, match=rf"moved.jsonl:2: .*{told}"):
        await mover.take(configs("one"), "alice\n", upstream="u")


async def test_seeds_need_a_caller_and_an_upstream(
    configs: Callable[..., Config], mover: Mover
) -> None:
    mover.write(*SEEDS)
    with pytest.raises(Stopped, match="names no caller"):
        await mover.take(configs("one"), "\n", upstream="u")
    with pytest.raises(Stopped, match="--upstream is needed"):
        await mover.take(configs("one"), "alice\n")
    with pytest.raises(Stopped, match="give nothing to callers without a credential"):
        await mover.take(configs("one"), shared=True, upstream="u")


async def test_a_header_that_was_changed_takes_nothing(
    upstream: ScriptedUpstream, configs: Callable[..., Config], mover: Mover
) -> None:
    here, there = configs("one"), configs("two")
    await ask(upstream, here, FRANCE)
    await mover.export(here)
    header, entry = mover.file.read_text().splitlines()
    mover.write(header.replace('"invalidated":[', '"invalidated":["all:00",'), entry)
    with pytest.raises(Stopped, match=r"moved.jsonl:1: .*not as an export"):
        await mover.take(there)


async def test_stdin_cannot_have_both_questions_and_caller(
    configs: Callable[..., Config], mover: Mover, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = json.dumps(SEEDS[0]).encode() + b"\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(2 * seed)))
    options = ImportOptions(Path("-"), mover.written(configs("one")), environ=ENVIRON)
    with pytest.raises(Stopped, match="stdin has the questions"):
        await import_(options)
