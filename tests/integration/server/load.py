"""Writers that never lose count, to run while something is being broken.

Each writer makes numbered commits: one new record and one increment of a counter, under a request
id. One that is not acknowledged is repeated as it is until it is. At the end there must be exactly
one record, one increment and one audit event for each, whatever happened in between.
"""

import collections
import threading

import grpc
from freehold_testing import PATIENCE, stubs
from freehold_testing.process import until
from freehold_testing.refusal import Refusal
from google.protobuf import field_mask_pb2

from conftest import thing, value

d = stubs.data
WRITERS = 4
RETRIES = 2000
RETRY_S = 0.05
# What a caller may be told while the store or the server is away. ABORTED: the same request is at
# work still, or another holds the counter.
WHILE_AWAY = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "UNKNOWN", "ABORTED", "CANCELLED", "RESOURCE_EXHAUSTED"}


def counter(name):
    return f"tables/counters/records/{name}"


class Load:
    """One tenant's writers. `server` may be started again in between: channels are asked for anew."""

    def __init__(self, server, tenant, timeout=5, allowed=frozenset(WHILE_AWAY)):
        self.server = server
        self.tenant = tenant
        self.timeout = timeout
        self.allowed = allowed
        self.acknowledged = [0] * WRITERS  # commits 0..n-1 of each writer
        self.begun = [0] * WRITERS
        self.codes = collections.Counter()
        self.odd = []
        self.over = threading.Event()
        self.lost = threading.Event()  # writers stop at the first error
        self.threads = []
        data = server.data(tenant)
        for writer in range(WRITERS):
            for name in (f"own{writer}", f"shared{writer // 2}"):
                data.UpdateRecord(
                    d.UpdateRecordRequest(
                        record=d.Record(name=counter(name), fields={"n": value(0)}),
                        allow_missing=True,
                    )
                )

    def request(self, writer, number):
        shared = number % 5 == 0  # seldom, so that the writers do not only wait for each other
        name = f"shared{writer // 2}" if shared else f"own{writer}"
        return d.CommitRequest(
            request_id=f"{writer}-{number}",
            writes=[
                d.Write(insert=thing(f"{writer}-{number:06}", big=number, note=f"w{writer}")),
                d.Write(
                    update=d.Record(name=counter(name)),
                    update_mask=field_mask_pb2.FieldMask(),
                    transforms=[d.Transform(field="n", increment=value(1))],
                ),
            ],
        )

    def once(self, data, writer, number):
        """One try; the refusal, or None."""
        try:
            data.Commit(self.request(writer, number), timeout=self.timeout)
        except grpc.RpcError as error:
            refusal = Refusal(error)
            self.codes[refusal.reason or refusal.code.name] += 1
            if refusal.code.name not in self.allowed:
                self.odd.append(refusal)
            return refusal
        self.codes["OK"] += 1
        return None

    def write(self, writer, stop_at_error):
        data = self.server.data(self.tenant, token=self.token)
        while not self.over.is_set():
            number = self.acknowledged[writer]
            self.begun[writer] = number + 1
            for _ in range(RETRIES):
                refusal = self.once(data, writer, number)
                if refusal is None:
                    self.acknowledged[writer] += 1
                    break
                if self.odd or (stop_at_error and refusal.code.name != "ABORTED"):
                    self.lost.set()
                    return
                if self.over.wait(RETRY_S):
                    return
            else:
                self.odd.append(f"never acknowledged: {writer}-{number}")
                return

    def start(self, stop_at_error=False):
        self.token = self.server.tenant_token(self.tenant, "writer")
        self.over.clear()
        self.threads = [
            threading.Thread(target=self.write, args=(writer, stop_at_error), daemon=True)
            for writer in range(WRITERS)
        ]
        for thread in self.threads:
            thread.start()

    def total(self):
        return sum(self.acknowledged)

    def await_more(self, count):
        """Until `count` more commits are acknowledged."""
        target = self.total() + count
        until(lambda: self.odd or self.total() >= target, f"{count} more commits")
        assert self.odd == []

    def await_errors(self, count):
        before = sum(self.codes.values()) - self.codes["OK"]
        until(
            lambda: self.odd or sum(self.codes.values()) - self.codes["OK"] >= before + count,
            f"{count} errors",
        )
        assert self.odd == []

    def join(self):
        for thread in self.threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a writer hangs"
        self.threads = []

    def stop(self):
        self.over.set()
        self.join()
        assert self.odd == []

    def numbers(self):
        """What is there: for each writer the numbers of its records, read by pages."""
        data = self.server.data(self.tenant)
        found = collections.defaultdict(list)
        token = ""
        for _ in range(10_000):
            page = data.ListRecords(
                d.ListRecordsRequest(parent="tables/things", page_size=1000, page_token=token)
            )
            for one in page.records:
                writer, _, number = one.fields["id"].string_value.partition("-")
                assert one.fields["big"].integer_value == int(number)
                assert one.fields["note"].string_value == f"w{writer}"
                found[int(writer)].append(int(number))
            token = page.next_page_token
            if not token:
                return found
        raise AssertionError("the list has no end")

    def check_acknowledged(self):
        """Before anything is repeated: no acknowledged commit is lost, and none is there that was not begun."""
        found = self.numbers()
        for writer in range(WRITERS):
            count = len(found[writer])
            assert found[writer] == list(range(count))
            assert self.acknowledged[writer] <= count <= self.begun[writer]

    def settle(self):
        """Repeats what was begun and not acknowledged."""
        data = self.server.data(self.tenant)
        for writer in range(WRITERS):
            for number in range(self.acknowledged[writer], self.begun[writer]):
                until(
                    lambda w=writer, n=number: self.odd or self.once(data, w, n) is None,
                    "the outcome",
                    tries=RETRIES,
                )
                assert self.odd == []
                self.acknowledged[writer] = number + 1

    def check(self):
        """Everything exactly once: records, increments, audit events."""
        assert self.acknowledged == self.begun
        found = self.numbers()
        assert [found[writer] for writer in range(WRITERS)] == [
            list(range(count)) for count in self.begun
        ]
        data = self.server.data(self.tenant)
        counters = data.ListRecords(d.ListRecordsRequest(parent="tables/counters")).records
        assert sum(one.fields["n"].integer_value for one in counters) == self.total()
        self.check_events()

    def check_events(self):
        audit = self.server.audit(self.tenant)
        seen = collections.Counter()
        token = ""
        for _ in range(10_000):
            page = audit.ListEvents(
                stubs.audit.ListEventsRequest(page_size=1000, page_token=token)
            )
            for event in page.events:
                if event.request_id:
                    seen[event.request_id] += 1
                    assert len(event.changes) == 2
                    (insert,) = [c for c in event.changes if "/things/" in c.record_name]
                    writer, _, number = event.request_id.partition("-")
                    assert insert.after.fields["id"].string_value == f"{writer}-{int(number):06}"
                    (update,) = [c for c in event.changes if "/counters/" in c.record_name]
                    before, after = (
                        image.fields["n"].integer_value for image in (update.before, update.after)
                    )
                    assert after == before + 1
            token = page.next_page_token
            if not token:
                break
        wanted = {f"{w}-{n}" for w in range(WRITERS) for n in range(self.begun[w])}
        assert set(seen) == wanted
        assert set(seen.values()) == {1}
