"""What clients saw: every call's start, end and outcome, on one clock.

A call is recorded twice, when it begins and when its outcome is known, so that one that was never
answered is there as well. Times are of the machine's monotonic clock (nanoseconds), which all
client threads and processes share. The checker (checker.py) judges a history; it knows nothing
of how one is made.
"""

import dataclasses
import itertools
import json
import threading
import time

OK = "ok"  # done, and answered
NONE = "none"  # certainly not done
UNKNOWN = "unknown"  # perhaps done, perhaps later


@dataclasses.dataclass
class Call:
    id: int
    client: int
    tenant: str
    key: str
    kind: str  # "put", "delete", "purge", "get", "add"
    value: object = None  # put: the value; add: the number
    request_id: str = ""
    start: int = 0
    end: int | None = None  # None: never
    outcome: str = UNKNOWN
    result: object = None  # get: the value, None for no record; add: the sum; delete, purge: was there one


class History:
    """Thread-safe; bounded by the run that fills it."""

    def __init__(self):
        self.calls = []
        self.numbers = itertools.count()
        self.lock = threading.Lock()

    def begin(self, client, tenant, key, kind, value=None, request_id=""):
        call = Call(next(self.numbers), client, tenant, key, kind, value, request_id)
        call.start = time.monotonic_ns()
        with self.lock:
            self.calls.append(call)
        return call

    @staticmethod
    def end(call, outcome, result=None):
        call.outcome = outcome
        call.result = result
        if outcome != UNKNOWN:  # else it may take effect at any later time
            call.end = time.monotonic_ns()

    def write(self, path):
        with open(path, "w", encoding="utf-8") as out:
            for call in self.calls:
                out.write(json.dumps(dataclasses.asdict(call)) + "\n")

    @classmethod
    def read(cls, path):
        history = cls()
        with open(path, encoding="utf-8") as lines:
            history.calls = [Call(**json.loads(line)) for line in lines]
        return history
