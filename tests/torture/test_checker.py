"""The checker itself: histories that are right, and one for each way to be wrong."""

import pathlib
import random
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from checker import check, effect, is_linearizable  # noqa: E402
from history import NONE, OK, UNKNOWN, Call, History  # noqa: E402


def call(start, end, kind, value=None, result=None, outcome=OK, key="k", tenant="t", request_id=""):
    return Call(
        id=start, client=0, tenant=tenant, key=key, kind=kind, value=value, start=start, end=end,
        outcome=outcome, result=result, request_id=request_id,
    )  # fmt: skip


def words(*calls, events=None):
    history = History()
    history.calls = list(calls)
    return [fault.word for fault in check(history, events)]


def test_right_histories():
    assert words() == []
    assert words(call(1, 2, "get")) == []
    assert words(call(1, 2, "put", "t/1"), call(3, 4, "get", result="t/1")) == []
    # At the same time: either may be first.
    assert words(call(1, 9, "put", "t/1"), call(2, 3, "get")) == []
    assert words(call(1, 9, "put", "t/1"), call(2, 3, "get", result="t/1")) == []
    assert words(call(1, 5, "put", "t/1"), call(2, 6, "put", "t/2"), call(7, 8, "get", result="t/1")) == []
    assert words(call(1, 2, "add", 1, 1), call(3, 4, "add", 2, 3), call(5, 6, "get", result=3)) == []
    assert words(call(1, 2, "put", "t/1"), call(3, 4, "delete", result=True), call(5, 6, "get")) == []
    assert words(call(1, 2, "delete", result=False), call(3, 4, "get")) == []
    # A purge takes the deleted record away too, and says so.
    put = call(1, 2, "put", "t/1")
    assert words(put, call(3, 4, "delete", result=True), call(5, 6, "purge", result=True)) == []
    assert words(put, call(3, 4, "purge", result=True), call(5, 6, "purge", result=False)) == []
    assert words(put, call(3, 4, "purge", result=False)) != []


def test_unknown_outcomes():
    put = call(1, None, "put", "t/1", outcome=UNKNOWN)
    assert words(put, call(2, 3, "get")) == []
    assert words(put, call(2, 3, "get", result="t/1")) == []
    # Late, after a read that did not see it; but not back and forth.
    assert words(put, call(2, 3, "get"), call(4, 5, "get", result="t/1")) == []
    assert words(put, call(2, 3, "get", result="t/1"), call(4, 5, "get")) != []
    assert words(call(1, 2, "put", "t/1", outcome=NONE), call(3, 4, "get", result="t/1")) != []
    assert words(call(1, None, "add", 5, outcome=UNKNOWN), call(2, 3, "add", 1, 6)) == []


def test_lost():
    assert words(call(1, 2, "put", "t/1"), call(3, 4, "get")) == ["lost"]
    assert words(call(1, 2, "put", "t/1"), call(3, 4, "put", "t/2"), call(5, 6, "get")) == ["lost"]
    assert words(call(1, 2, "add", 1, 1), call(3, 4, "add", 1, 1), call(5, 6, "get", result=1)) == ["lost"]


def test_duplicated():
    assert words(call(1, 2, "add", 1, 1), call(3, 4, "get", result=2)) == ["duplicated"]
    assert words(
        call(1, 2, "put", "t/1", request_id="a"), events={"t": ["a", "a"]}
    ) == ["duplicated"]


def test_resurrected():
    old = call(1, 2, "put", "t/1")
    assert words(old, call(3, 4, "put", "t/2"), call(5, 6, "get", result="t/1")) == ["resurrected"]
    assert words(old, call(3, 4, "delete", result=True), call(5, 6, "get", result="t/1")) == [
        "resurrected"
    ]


def test_stale_read():
    """The new value was seen, then the old one again."""
    assert words(
        call(1, 2, "put", "t/1"),
        call(3, 20, "put", "t/2"),
        call(4, 5, "get", result="t/2"),
        call(6, 7, "get", result="t/1"),
    )


def test_foreign():
    assert words(call(1, 2, "get", result="other/1")) [0] == "foreign"
    assert words(events={"t": ["x"]}) == ["foreign"]


def test_events():
    put = call(1, 2, "put", "t/1", request_id="a")
    assert words(put, events={"t": ["a"]}) == []
    assert words(put, events={"t": []}) == ["lost"]
    maybe = call(1, None, "put", "t/1", request_id="a", outcome=UNKNOWN)
    assert words(maybe, events={"t": []}) == []
    assert words(maybe, events={"t": ["a"]}) == []


def made_history(random_, count, clients):
    """Really executed one after another at random instants within the calls' spans."""
    calls, state, now = [], None, 0
    free = [0] * clients
    for number in range(count):
        client = random_.randrange(clients)
        start = max(free[client], now - random_.randrange(3)) + 1
        now = max(now, start) + 1
        kind = random_.choice(["put", "get", "get", "delete"])
        one = call(start, now + random_.randrange(4) + 1, kind, f"t/{number}" if kind == "put" else None)
        if kind == "get":
            one.result = state
        elif kind == "delete":
            one.result = state is not None
        _, state = effect(one, state)
        free[client] = one.end
        if kind != "get" and random_.random() < 0.1:
            one.outcome, one.end, one.result = UNKNOWN, None, None
        calls.append(one)
    return calls


@pytest.mark.parametrize("seed", range(50))
def test_made_histories(seed):
    random_ = random.Random(seed)
    calls = made_history(random_, 120, 4)
    assert is_linearizable(list(calls)), f"seed {seed}"
    # A read of a value that was written before another certain, finished write began.
    puts = [c for c in calls if c.kind == "put" and c.outcome == OK]
    last = max(c.end or 0 for c in calls) + 10
    lie = call(last + 20, last + 30, "get", result=puts[0].value)
    final = call(last, last + 5, "put", "t/final")
    assert not is_linearizable([*calls, final, lie]), f"seed {seed}"
    assert is_linearizable([*calls, final, call(last + 20, last + 30, "get", result="t/final")])


def test_history_file(tmp_path):
    history = History()
    one = history.begin(1, "t", "k", "put", "t/1", "a")
    History.end(one, OK)
    two = history.begin(1, "t", "k", "get")
    History.end(two, UNKNOWN)
    history.write(tmp_path / "history")
    again = History.read(tmp_path / "history")
    assert again.calls == history.calls
    assert two.end is None and one.end is not None
