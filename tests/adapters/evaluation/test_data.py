import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from kindcache.adapters.evaluation.data import DataError, Pair, load_pairs, load_stream

PAIR = {"id": "x-00001", "q1": "one", "q2": "two", "label": 1, "kind": "k", "category": "c"}
QUERY = {"id": "x-00001", "text": "one", "key": "k", "category": "c", "source": "here"}


def write(path: Path, *rows: dict[str, Any]) -> Path:
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_plain_and_compressed_files_read_alike(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, QUERY, {**QUERY, "id": "x-00002", "text": "zwölf"})
    loaded = load_stream(path)
    assert [(query.text, query.key) for query in loaded] == [("one", "k"), ("zwölf", "k")]
    path = write(tmp_path / name, PAIR)
    assert load_pairs(path) == [Pair("x-00001", "one", "two", 1, "k", "c")]


def test_the_limit_takes_the_first_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", *({**QUERY, "id": str(n)} for n in range(5)))
    assert [query.id for query in load_stream(path, 3)] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("number", "half"), [("x-00001", "dev"), ("x-00002", "final"), ("x2-00013", "dev")]
)
def test_halves_go_by_the_number_in_the_id(number: str, half: str) -> None:
    assert Pair(number, "a", "b", 1).half == half


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**PAIR, "label": 2}, "Invalid enum value 2"),
        ({**PAIR, "q2": 7}, "Expected `str`, got `int`"),
        (QUERY, "missing required field `q1`"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(
    tmp_path: Path, row: dict[str, Any], message: str
) -> None:
    path = write(tmp_path / "a.jsonl", PAIR, row)
    with pytest.raises(DataError, match=message) as caught:
        load_pairs(path)
    assert str(caught.value).startswith(f"{path}:2: ")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"id": "x", "q1": ', "truncated"),
        (b"no JSON", "malformed"),
        (b'{"id": "x", "extra": ' + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_line_that_is_no_row_is_named(tmp_path: Path, line: bytes, message: str) -> None:
    path = write(tmp_path / "a.jsonl", PAIR)
    path.write_bytes(path.read_bytes() + b"\n" + line)
    with pytest.raises(DataError, match=message) as caught:
        load_pairs(path)
    assert str(caught.value).startswith(f"{path}:3: ")


def test_damaged_files_are_named(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.jsonl.gz", *({**PAIR, "id": str(n)} for n in range(500)))
    whole.write_bytes(whole.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"a\.jsonl\.gz:\d+: damaged gzip data"):
        load_pairs(whole)
    plain = tmp_path / "b.jsonl.gz"
    plain.write_bytes(json.dumps(PAIR).encode())
    with pytest.raises(DataError, match="damaged gzip data"):
        load_pairs(plain)
    latin = tmp_path / "c.jsonl"
    latin.write_bytes(json.dumps(PAIR).encode().replace(b"one", b"\xe4\xf6"))
    with pytest.raises(DataError, match=r"c\.jsonl:1: "):
        load_pairs(latin)


def test_absent_and_empty_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jsonl: No such file"):
        load_pairs(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(DataError, match=r"empty\.jsonl: no rows"):
        load_stream(tmp_path / "empty.jsonl")
