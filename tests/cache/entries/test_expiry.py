"""The heap of expiries tells what is due, in order, whatever left it before its time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kindcache.cache.entries.expiry import NONE, Expiry

_steps = st.lists(
    st.tuples(st.sampled_from(["add", "discard", "pass"]), st.integers(0, 25), st.integers(0, 9)),
    max_size=120,
)


@given(_steps)
def test_what_is_due_comes_first_and_nothing_else(steps: list[tuple[str, int, int]]) -> None:
    times: dict[int, float] = {}
    expiry, now_s = Expiry(times.__getitem__), 0.0
    for step, row, seconds in steps:
        if step == "add" and row not in times:
            times[row] = now_s + seconds
            expiry.add(row)
        elif step == "discard" and row in times:
            expiry.discard(row)
            del times[row]
        elif step == "pass":
            now_s += seconds
            while (due := expiry.due(now_s)) != NONE:
                assert times[due] == min(times.values()) <= now_s
                expiry.discard(due)
                del times[due]
            assert all(at > now_s for at in times.values())
        assert len(expiry) == len(times)


def test_many_come_in_order() -> None:
    times = [float(number * 7919 % 1009) for number in range(1009)]
    expiry, order = Expiry(times.__getitem__), []
    for row in range(1009):
        expiry.add(row)
    while (row := expiry.due(2000.0)) != NONE:
        order.append(times[row])
        expiry.discard(row)
    assert order == sorted(times)
