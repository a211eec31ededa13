"""Judges a history: is there an order of the calls that explains every answer?

Linearizability, record by record (a record is the unit of the promise; Herlihy and Wing, 1990:
a history is linearizable if each of its objects' is). The search is Wing and Gong's with Lowe's
memory of states that led nowhere ("Testing for linearizability", 2017): take any call that began
before the earliest end of those not yet taken, try its effect, go on; a set of taken calls with a
state that was seen before is not tried again. A call whose outcome is unknown may be taken at any
time after its start, or never.

The state of a record is its value, or None. What the calls mean:

    put v      -> v             delete   None -> None (result False), v -> None (result True)
    get        result == state  add n    s -> s + n (result the sum; a missing record counts as 0)
    purge      -> None; a deleted record is purged as well as a live one (result False: neither was there)

What is wrong is told as one of four words. `lost`: an acknowledged write that no later read could
see. `duplicated`: an increment that counts twice, or a request id with two audit events.
`resurrected`: a value read after it was overwritten or deleted for certain. `foreign`: a value that
another tenant wrote. Which of them a history without an order shows is found out by simple
rules; `order` is what is left.
"""

import collections
import dataclasses

from history import NONE, OK, UNKNOWN

STEPS_MAX = 2_000_000


@dataclasses.dataclass(frozen=True)
class Fault:
    word: str
    tenant: str
    key: str
    text: str

    def __str__(self):
        return f"{self.word}: {self.tenant} {self.key}: {self.text}"


def effect(call, state):
    """(does the answer fit, the state behind it)"""
    answered = call.outcome == OK
    if call.kind == "get":
        return call.result == state, state
    if call.kind == "put":
        return True, call.value
    if call.kind == "delete":
        return not answered or call.result == (state is not None), None
    if call.kind == "purge":
        return not answered or call.result or state is None, None
    if call.kind == "add":
        total = (state or 0) + call.value
        return not answered or call.result == total, total
    raise ValueError(call.kind)


def is_linearizable(calls, initial=None):
    """Calls of one record. Reads without an answer say nothing and are left out."""
    calls = [c for c in calls if c.outcome != NONE and not (c.kind == "get" and c.outcome == UNKNOWN)]
    calls.sort(key=lambda call: call.start)
    ends = [call.end if call.end is not None else float("inf") for call in calls]
    must = sum(1 << i for i, call in enumerate(calls) if call.outcome == OK)
    seen = set()
    stack = [(0, initial)]  # taken (bits), state
    steps = 0
    while stack:
        taken, state = stack.pop()
        if taken & must == must:
            return True
        if (taken, state) in seen:
            continue
        seen.add((taken, state))
        steps += 1
        if steps > STEPS_MAX:
            raise RuntimeError(f"no verdict within {STEPS_MAX} steps over {len(calls)} calls")
        # Every call before `low` is taken in most steps; skipping them keeps the walk short.
        inverted = ~taken
        low = (inverted & -inverted).bit_length() - 1
        first_end = float("inf")
        i = low
        candidates = []
        while i < len(calls) and calls[i].start <= first_end:
            if not taken >> i & 1:
                candidates.append(i)
                first_end = min(first_end, ends[i])
            i += 1
        for i in reversed(candidates):
            if calls[i].start <= first_end:
                fits, behind = effect(calls[i], state)
                if fits:
                    stack.append((taken | 1 << i, behind))
    return False


def writes_of(calls):
    return [c for c in calls if c.kind in ("put", "add", "delete", "purge") and c.outcome != NONE]


def name_fault(calls):
    """A word and a text for a record's history that has no order."""
    puts = {repr(c.value): c for c in calls if c.kind == "put" and c.outcome != NONE}
    adds = [c for c in writes_of(calls) if c.kind == "add"]
    reads = [c for c in calls if c.kind == "get" and c.outcome == OK]
    if adds and not puts:
        most = sum(c.value for c in adds)
        least = sum(c.value for c in adds if c.outcome == OK)
        last = max(reads, key=lambda c: c.start, default=None)
        if last is not None and isinstance(last.result, int):
            if last.result > most:
                return "duplicated", f"increments of {most} in all, but {last.result} was read"
            if last.result < least:
                return "lost", f"increments of {least} acknowledged, but {last.result} was read last"
    for read in reads:
        source = puts.get(repr(read.result))
        # Certain writes that began after the value was written for certain, and ended before
        # the read began: the value must be gone.
        limit = source.end if source is not None else None
        later = [
            c for c in writes_of(calls)
            if c.outcome == OK and c is not source and c.end is not None and c.end < read.start
            and (limit is None or c.start > limit)
        ]  # fmt: skip
        if read.result is not None and source is None and not adds:
            return "resurrected", f"{read.result!r} was read, which nobody wrote to this record"
        if source is not None and source.end is not None and later:
            return "resurrected", f"{read.result!r} was read after {later[-1].kind} had replaced it"
        if read.result is None and not any(c.kind in ("delete", "purge") for c in writes_of(calls)) and later:
            return "lost", f"no record, after {later[-1].value!r} was acknowledged"
    for read in reads:
        acknowledged = [
            c for c in writes_of(calls)
            if c.outcome == OK and c.end is not None and c.end < read.start
        ]  # fmt: skip
        if acknowledged:
            last = max(acknowledged, key=lambda c: c.start)
            return "lost", f"{read.result!r} was read, {last.kind} {last.value!r} came before it"
    return "order", "no order of the calls explains their answers"


def foreign_of(calls):
    """Values say who wrote them: "<tenant>/..."."""
    for call in calls:
        if call.kind == "get" and call.outcome == OK and isinstance(call.result, str):
            owner = call.result.partition("/")[0]
            if owner != call.tenant:
                yield Fault("foreign", call.tenant, call.key, f"read {call.result!r}")


def check(history, events=None):
    """Faults of a history. `events`: {tenant: [request ids of its audit events]}; every acknowledged
    write with a request id must be there once, every other at most once."""
    faults = list(foreign_of(history.calls))
    records = collections.defaultdict(list)
    for call in history.calls:
        records[call.tenant, call.key].append(call)
    for (tenant, key), calls in sorted(records.items()):
        if not is_linearizable(calls):
            faults.append(Fault(*_named(tenant, key, calls)))
    for tenant, ids in (events or {}).items():
        faults += check_events(tenant, [c for c in history.calls if c.tenant == tenant], ids)
    return faults


def _named(tenant, key, calls):
    word, text = name_fault(calls)
    return word, tenant, key, text


def check_events(tenant, calls, ids):
    seen = collections.Counter(ids)
    outcomes = collections.defaultdict(set)
    for call in calls:
        if call.request_id:
            outcomes[call.request_id].add(call.outcome)
    for request_id, count in sorted(seen.items()):
        if count > 1:
            yield Fault("duplicated", tenant, request_id, f"{count} audit events")
        if request_id not in outcomes:
            yield Fault("foreign", tenant, request_id, "an audit event of a request nobody made")
    for request_id, found in sorted(outcomes.items()):
        if OK in found and request_id not in seen:
            yield Fault("lost", tenant, request_id, "acknowledged, but no audit event")
