from collections import Counter, defaultdict
from difflib import SequenceMatcher
from pathlib import Path

import pytest

from kindcache.adapters.demo.traffic import Kind, Prompt, TrafficError, load
from kindcache.config.load import default_path
from kindcache.config.load import load as load_settings

Shipped = tuple[Prompt, ...]


@pytest.fixture(scope="module")
def shipped() -> Shipped:
    return load()


def frame(prompt: Prompt) -> tuple[object, ...]:
    return prompt.system, prompt.turns, prompt.temperature


def test_the_mix_is_that_of_traffic(shipped: Shipped) -> None:
    counts = Counter(prompt.kind for prompt in shipped)
    shares = {kind: count / len(shipped) for kind, count in counts.items()}
    assert 190 <= len(shipped) <= 220
    assert 0.30 <= shares[Kind.NEW] <= 0.40
    assert 0.15 <= shares[Kind.REPEAT] <= 0.25
    assert 0.20 <= shares[Kind.PARAPHRASE] <= 0.30
    assert 0.15 <= shares[Kind.TRAP] <= 0.25
    categories = Counter(prompt.category for prompt in shipped)
    assert set(categories) == set(load_settings(default_path()).categories)
    assert sum(count >= 10 for count in categories.values()) >= 8


def test_kinds_are_interleaved_and_popularity_is_uneven(shipped: Shipped) -> None:
    for begin in range(0, len(shipped) - 50, 50):
        kinds = {prompt.kind for prompt in shipped[begin : begin + 50]}
        assert kinds == set(Kind)
    popularity = sorted(Counter(prompt.key for prompt in shipped).values(), reverse=True)
    assert popularity[0] >= 7
    assert sum(popularity[: len(popularity) // 10]) > sum(popularity) / 5
    assert popularity.count(1) > len(popularity) / 2


def test_each_kind_is_what_it_says(shipped: Shipped) -> None:
    earlier: defaultdict[str, list[Prompt]] = defaultdict(list)
    by_id: dict[str, Prompt] = {}
    for prompt in shipped:
        same = earlier[prompt.key]
        asked = [(frame(one), one.prompt) for one in same]
        match prompt.kind:
            case Kind.NEW:
                assert not same, prompt.id
            case Kind.REPEAT:
                assert (frame(prompt), prompt.prompt) in asked, prompt.id
            case Kind.PARAPHRASE:
                assert same, prompt.id
                assert (frame(prompt), prompt.prompt) not in asked, prompt.id
                # Otherwise no cache may serve it, whatever its wording.
                assert frame(prompt) in [frame(one) for one in same], prompt.id
            case Kind.TRAP:
                assert not same, prompt.id
                near = by_id[prompt.near]
                assert near.key != prompt.key, prompt.id
                likeness = SequenceMatcher(None, near.prompt, prompt.prompt).ratio()
                assert likeness > 0.5, prompt.id
                assert (frame(prompt), prompt.prompt) != (frame(near), near.prompt), prompt.id
        assert prompt.kind is Kind.TRAP or not prompt.near
        earlier[prompt.key].append(prompt)
        by_id[prompt.id] = prompt


def test_a_key_has_one_category_and_a_request_one_key(shipped: Shipped) -> None:
    categories: defaultdict[str, set[str]] = defaultdict(set)
    keys: defaultdict[object, set[str]] = defaultdict(set)
    for prompt in shipped:
        categories[prompt.key].add(prompt.category)
        keys[frame(prompt), prompt.prompt].add(prompt.key)
    assert all(len(found) == 1 for found in categories.values())
    assert all(len(found) == 1 for found in keys.values())


def test_lengths_are_those_of_prompts(shipped: Shipped) -> None:
    lengths = [len(prompt.prompt.split()) for prompt in shipped]
    assert max(lengths) <= 60
    assert sum(length < 6 for length in lengths) > 10
    assert sum(length > 15 for length in lengths) > 20
    assert min(lengths) >= 3


def test_messages_hold_system_turns_and_prompt_in_order(shipped: Shipped) -> None:
    prompt = next(prompt for prompt in shipped if prompt.turns)
    assert [m["role"] for m in prompt.messages()[:2]] == ["user", "assistant"]
    assert prompt.messages()[-1] == {"role": "user", "content": prompt.prompt}
    with_system = next(prompt for prompt in shipped if prompt.system)
    assert with_system.messages()[0] == {"role": "system", "content": with_system.system}
    assert "temperature" not in with_system.body()
    warm = next(prompt for prompt in shipped if prompt.temperature is not None)
    assert warm.body()["temperature"] == warm.temperature


LINE = '{"id": "a", "category": "code", "kind": "new", "key": "k", "prompt": "Why is it so?"}\n'


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (LINE + "{", ":2: "),
        (LINE + LINE, ":2: id a is there twice"),
        (LINE.replace('"key": "k", ', ""), "missing required field `key`"),
        (LINE.replace('"new"', '"old"'), ":1: Invalid enum value"),
        ("\n", "no prompts"),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path: Path, content: str, where: str) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(content)
    with pytest.raises(TrafficError, match=where) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert "Why is it so" not in str(caught.value)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrafficError, match=r"absent\.jsonl: No such file"):
        load(tmp_path / "absent.jsonl")
