from dataclasses import replace
from typing import Any

import pytest

from kindcache.adapters.demo.summary import (
    Outcome,
    Result,
    Ruling,
    figures,
    milliseconds,
    percentile,
    rule,
    summary,
)
from kindcache.adapters.demo.traffic import Kind, Prompt


def outcome(
    key: str,
    result: Result,
    *,
    kind: Kind = Kind.NEW,
    category: str = "code",
    latency_s: float = 0.2,
    **rest: Any,
) -> Outcome:
    prompt = Prompt(id=f"{key}-{kind}", category=category, kind=kind, key=key, prompt="…")
    text = rest.pop("text", f"answer for {key}")
    return Outcome(prompt=prompt, result=result, latency_s=latency_s, text=text, **rest)


HIT, MISS, BYPASS = Result.HIT, Result.MISS, Result.BYPASS


@pytest.mark.parametrize(
    ("hit", "ruling"),
    [
        ({"entry": "e1", "text": "answer for a"}, Ruling.RIGHT),
        ({"entry": "e2", "text": "answer for b"}, Ruling.WRONG),
        ({"entry": "", "text": "answer for a"}, Ruling.RIGHT),
        ({"entry": "", "text": "answer for b"}, Ruling.WRONG),
        ({"entry": "", "text": "I cannot help with that."}, Ruling.RIGHT),  # a and b got it
        ({"entry": "e9", "text": "answer for b"}, Ruling.WRONG),  # unknown entry, known text
        ({"entry": "e9", "text": "from yesterday"}, Ruling.UNKNOWN),
    ],
)
def test_a_hit_is_judged_by_its_entry_then_by_its_text(hit: dict[str, Any], ruling: Ruling) -> None:
    shrug = "I cannot help with that."
    outcomes = [
        outcome("a", MISS, entry="e1"),
        outcome("b", MISS, entry="e2"),
        outcome("a", MISS, text=shrug),
        outcome("b", MISS, text=shrug),
        outcome("a", HIT, **hit),
    ]
    assert rule(outcomes) == [None, None, None, None, ruling]


def test_a_bypass_fills_nothing() -> None:
    outcomes = [outcome("b", BYPASS, text="same"), outcome("a", HIT, text="same")]
    assert rule(outcomes) == [None, Ruling.UNKNOWN]


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1.0), (0.5, 2.0), (0.75, 3.0), (0.99, 4.0), (1.0, 4.0)]
)
def test_percentile_is_the_nearest_rank(share: float, expected: float) -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], share) == expected
    assert percentile([], share) is None


def traffic() -> list[Outcome]:
    return [
        outcome("a", MISS, entry="e1", latency_s=0.100, tokens=50, model="kindcache-demo"),
        outcome("b", MISS, entry="e2", latency_s=0.300, category="support"),
        outcome("a", HIT, entry="e1", kind=Kind.REPEAT, latency_s=0.001, tier="exact", tokens=50),
        outcome("a", HIT, entry="e1", kind=Kind.PARAPHRASE, latency_s=0.003, tokens=50,
                tier="semantic"),
        outcome("c", HIT, entry="e2", kind=Kind.TRAP, latency_s=0.004, tokens=70,
                tier="semantic", category="support", similarity=0.97),
        outcome("m", BYPASS, category="medical"),
        outcome("m", BYPASS, category="medical", kind=Kind.REPEAT),
    ]  # fmt: skip


def test_figures_count_each_category_and_the_total() -> None:
    counted = figures(traffic())
    code, support, medical = counted.rows
    assert [row.name for row in counted.rows] == ["code", "support", "medical"]
    assert (code.requests, code.exact, code.semantic, code.misses, code.wrong) == (3, 1, 1, 1, 0)
    assert (support.requests, support.semantic, support.misses, support.wrong) == (2, 1, 1, 1)
    assert (medical.bypasses, medical.hits, medical.saved_s) == (2, 0, 0.0)
    total = counted.total
    assert (total.requests, total.hits, total.misses, total.bypasses) == (7, 3, 2, 2)
    assert total.saved_tokens == 170


def test_time_saved_is_the_usual_miss_of_the_category_less_the_time_of_the_hits() -> None:
    counted = figures(traffic())
    code, support, _ = counted.rows
    assert code.saved_s == pytest.approx(2 * 0.100 - 0.004)
    assert support.saved_s == pytest.approx(0.300 - 0.004)
    assert counted.total.saved_s == pytest.approx(0.492)
    only_hits = [one for one in traffic() if one.result is HIT]
    assert figures(only_hits).total.saved_s is None


def test_the_summary_is_what_a_report_needs() -> None:
    lines = summary(figures(traffic()), address="http://localhost:8080/v1")
    assert 6 <= len(lines) <= 10
    text = "\n".join(lines)
    assert "7 requests to http://localhost:8080/v1, model kindcache-demo (demo model" in text
    assert "Hits: 3 of 7 (42.9 %): 1 exact, 2 semantic; 2 misses, 2 bypasses" in text
    assert (
        "Wrong answers: 1 of 3 hits (33.3 %, 95 % Wilson interval 6.1 to 79.2 %), "
        "14.3 % of requests" in text
    )
    assert "1 of 1 repeats, 1 of 1 paraphrases, 1 of 1 traps" in text
    assert "hits p50 3.0 ms, p99 4.0 ms; misses p50 100 ms, p99 300 ms" in text
    assert "Saved: 0.5 s of waiting, 170 tokens" in text
    assert "Wrongly served: c-trap (trap, similarity 0.970)" in text


def test_a_real_model_is_not_called_a_demo() -> None:
    outcomes = [replace(one, model="qwen3-8b") for one in traffic()]
    lines = summary(figures(outcomes), address="http://x/v1")
    assert lines[0].endswith("model qwen3-8b")


def test_hits_of_unknown_origin_are_not_counted_as_right() -> None:
    outcomes = [*traffic(), outcome("z", HIT, entry="old", text="old")]
    lines = summary(figures(outcomes), address="http://x/v1")
    line = next(line for line in lines if line.startswith("Wrong answers"))
    assert line.startswith("Wrong answers: 1 of 3 hits")
    assert line.endswith("1 hits on answers from before this run, not judged")


def test_many_wrong_hits_are_cut_short() -> None:
    wrong = [outcome("c", HIT, entry="e2", similarity=0.9) for _ in range(9)]
    lines = summary(figures([*traffic(), *wrong]), address="http://x/v1")
    assert lines[-1].endswith("and 5 more")


def test_categories_are_compared_where_the_proxy_names_them() -> None:
    outcomes = [
        replace(traffic()[0], category="code"),
        replace(traffic()[1], category="default"),
        traffic()[5],
    ]
    assert "Categories: 1 of 2 prompts classified as labelled" in summary(
        figures(outcomes), address="http://x/v1"
    )


@pytest.mark.parametrize(
    ("seconds", "shown"), [(None, "-"), (0.0004567, "0.46"), (0.0123, "12.3"), (1.5, "1,500")]
)
def test_milliseconds(seconds: float | None, shown: str) -> None:
    assert milliseconds(seconds) == shown
