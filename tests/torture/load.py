"""Clients of one tenant, on all servers at once, that write down what they see.

Every change carries a request id and is repeated as it is until its outcome is certain; the whole of
its tries is one call of the history. What a caller may be told while a server or a store is being
hurt is tried again; anything else, and anything at all while nothing but the mover is hurt, is a
failed request.
"""

import collections
import random
import threading
import time

import grpc
from freehold_testing import stubs
from freehold_testing.refusal import Refusal
from google.protobuf import field_mask_pb2
from history import OK, UNKNOWN, History

d = stubs.data
SCHEMA = (
    (
        "0001_torture.sql",
        """
        create table items (id text primary key, body text);
        create table counters (id text primary key, n bigint not null default 0);
        create table seats (id text primary key, holder text unique);
        create table owners (id text primary key, name text);
        create table pets (
            id text primary key,
            owner text not null references owners (id),
            name text
        );
        """,
    ),
)
CLIENTS = 6
HOT = [f"k{i}" for i in range(24)]  # at which clients meet
WARM = [f"w{i}" for i in range(150)]  # written seldom enough that a late write of a mover stays
COUNTERS = 4
SEATS = 6
TRY_TIMEOUT_S = 10
TRIES_MAX = 400
RETRY_S = 0.05
WHILE_HURT = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "UNKNOWN", "CANCELLED", "RESOURCE_EXHAUSTED"}
# Two writers at one record or two tries at one request: an answer of the API, moves or none.
CONTENTION = {"ABORTED"}


def text(value):
    return d.Value(string_value=value)


class Load:
    def __init__(self, servers, tenant, token, seed):
        self.servers = servers
        self.tenant = tenant
        self.token = token
        self.seed = seed
        self.history = History()
        self.hurting = threading.Event()  # servers or stores are: passing errors are no failures
        self.over = threading.Event()
        self.failed = []
        self.codes = collections.Counter()
        self.longest_s = 0.0
        self.threads = []
        self.lock = threading.Lock()

    # One try, one call

    def channel(self, client, attempt):
        server = self.servers[(client + attempt) % len(self.servers)]
        return server.tenant_port

    def stub(self, cache, port):
        if port not in cache:
            cache[port] = d_stub(grpc.insecure_channel(f"127.0.0.1:{port}", OPTIONS))
        return cache[port]

    def attempt(self, cache, client, attempt, method, request):
        """(code name, answer or Refusal)"""
        try:
            stub = self.stub(cache, self.channel(client, attempt))
            answer = getattr(stub, method)(
                request,
                timeout=TRY_TIMEOUT_S,
                metadata=[("authorization", f"Bearer {self.token}")],
            )
            return "OK", answer
        except grpc.RpcError as error:
            refusal = Refusal(error)
            return refusal.code.name, refusal

    def call(self, cache, client, method, request, final=()):
        """Tries until the outcome is certain; (code, answer). A code of `final` is an answer too."""
        started = time.monotonic()
        moved_on = 0
        for _ in range(TRIES_MAX):
            hurt = self.hurting.is_set()
            code, answer = self.attempt(cache, client, moved_on, method, request)
            self.codes[code] += 1
            if code == "OK" or code in final:
                self.longest_s = max(self.longest_s, time.monotonic() - started)
                return code, answer
            tolerated = code in CONTENTION or (
                code in WHILE_HURT and (hurt or self.hurting.is_set())
            )
            if not tolerated:
                with self.lock:
                    self.failed.append((method, answer))
                if code not in WHILE_HURT:
                    return code, answer
            moved_on += code not in CONTENTION
            time.sleep(RETRY_S if code not in CONTENTION else RETRY_S / 10)
        with self.lock:
            self.failed.append((method, "never answered"))
        return "NEVER", None

    # What clients do

    def put(self, cache, client, key, number):
        value = f"{self.tenant}/{client}-{number}"
        request_id = f"put-{client}-{number}"
        record = d.Record(name=f"tables/items/records/{key}", fields={"body": text(value)})
        request = d.UpdateRecordRequest(record=record, request_id=request_id, allow_missing=True)
        one = self.history.begin(client, self.tenant, key, "put", value, request_id)
        code, _ = self.call(cache, client, "UpdateRecord", request)
        History.end(one, OK if code == "OK" else UNKNOWN)

    def remove(self, cache, client, key, number, kind):
        """Without a record there is nothing to remove, and no commit record to look for."""
        request_id = f"{kind}-{client}-{number}"
        kinds = {
            "delete": (d.DeleteRecordRequest, "DeleteRecord"),
            "purge": (d.PurgeRecordRequest, "PurgeRecord"),
        }
        message, method = kinds[kind]
        request = message(name=f"tables/items/records/{key}", request_id=request_id)
        one = self.history.begin(client, self.tenant, key, kind, None, request_id)
        code, _ = self.call(cache, client, method, request, final=("NOT_FOUND",))
        if code == "NOT_FOUND":
            one.request_id = ""
        History.end(one, OK if code in ("OK", "NOT_FOUND") else UNKNOWN, code == "OK")

    def get(self, cache, client, key):
        request = d.GetRecordRequest(name=f"tables/items/records/{key}")
        one = self.history.begin(client, self.tenant, key, "get")
        code, answer = self.call(cache, client, "GetRecord", request, final=("NOT_FOUND",))
        if code == "OK":
            History.end(one, OK, answer.fields["body"].string_value)
        elif code == "NOT_FOUND":
            History.end(one, OK, None)

    def add(self, cache, client, key, number):
        request_id = f"add-{client}-{number}"
        write = d.Write(
            update=d.Record(name=f"tables/counters/records/{key}"),
            update_mask=field_mask_pb2.FieldMask(),
            transforms=[d.Transform(field="n", increment=d.Value(integer_value=1))],
        )
        request = d.CommitRequest(request_id=request_id, writes=[write])
        one = self.history.begin(client, self.tenant, key, "add", 1, request_id)
        code, answer = self.call(cache, client, "Commit", request)
        if code == "OK":
            History.end(one, OK, answer.results[0].record.fields["n"].integer_value)

    def swap(self, cache, client, number):
        """Two seats change holders in one commit: a unique value changes hands, which no order of single
        rows at a move's target could follow."""
        rng = random.Random(f"{self.seed}-{client}-{number}")
        a, b = rng.sample(range(SEATS), 2)
        request_id = f"swap-{client}-{number}"
        holders = f"{self.tenant}/{client}-{number}a", f"{self.tenant}/{client}-{number}b"
        writes = [
            d.Write(update=d.Record(name=f"tables/seats/records/s{seat}", fields={"holder": text(holder)}))
            for seat, holder in ((a, holders[0]), (b, holders[1]))
        ]
        request = d.CommitRequest(request_id=request_id, writes=writes)
        calls = [
            self.history.begin(client, self.tenant, f"s{seat}", "put", holder, request_id)
            for seat, holder in ((a, holders[0]), (b, holders[1]))
        ]
        code, _ = self.call(cache, client, "Commit", request)
        for one in calls:
            History.end(one, OK if code == "OK" else UNKNOWN)

    def seat(self, cache, client, key):
        one = self.history.begin(client, self.tenant, key, "get")
        request = d.GetRecordRequest(name=f"tables/seats/records/{key}")
        code, answer = self.call(cache, client, "GetRecord", request)
        if code == "OK":
            History.end(one, OK, answer.fields["holder"].string_value)

    def prepare(self, rows):
        """What is there before the move: counters, seats, and `rows` records that nobody touches."""
        cache = {}
        for key in range(COUNTERS):
            one = self.history.begin(0, self.tenant, f"c{key}", "add", 0)
            self.insert(cache, "counters", f"c{key}", n=d.Value(integer_value=0))
            History.end(one, OK, 0)
        for key in range(SEATS):
            holder = f"{self.tenant}/first-{key}"
            one = self.history.begin(0, self.tenant, f"s{key}", "put", holder)
            self.insert(cache, "seats", f"s{key}", holder=text(holder))
            History.end(one, OK)
        self.insert(cache, "owners", "o", name=text("owner"))
        self.insert(cache, "pets", "p", owner=text("o"), name=text("pet"))
        for first in range(0, rows, 400):
            writes = [
                d.Write(insert=d.Record(name=f"tables/items/records/still-{i:06}", fields={"body": text(f"{self.tenant}/still")}))
                for i in range(first, min(first + 400, rows))
            ]
            code, answer = self.call(cache, 0, "Commit", d.CommitRequest(writes=writes))
            assert code == "OK", answer

    def insert(self, cache, table, key, **fields):
        record = d.Record(name=f"tables/{table}/records/{key}", fields=fields)
        request = d.UpdateRecordRequest(record=record, allow_missing=True)
        code, answer = self.call(cache, 0, "UpdateRecord", request)
        assert code == "OK", answer

    def run(self, client):
        rng = random.Random(f"{self.seed}-{client}")
        cache = {}
        number = 0
        while not self.over.is_set():
            number += 1
            key = rng.choice(HOT if rng.random() < 0.5 else WARM)
            what = rng.random()
            if what < 0.35:
                self.put(cache, client, key, number)
            elif what < 0.40:
                self.remove(cache, client, key, number, "delete")
            elif what < 0.48:
                self.remove(cache, client, key, number, "purge")
            elif what < 0.75:
                self.get(cache, client, key)
            elif what < 0.87:
                self.add(cache, client, f"c{rng.randrange(COUNTERS)}", number)
            elif what < 0.93:
                self.swap(cache, client, number)
            else:
                self.seat(cache, client, f"s{rng.randrange(SEATS)}")

    # Life

    def start(self):
        self.threads = [
            threading.Thread(target=self.run, args=(client,), daemon=True)
            for client in range(1, CLIENTS + 1)
        ]
        for thread in self.threads:
            thread.start()

    def stop(self, patience_s):
        self.over.set()
        for thread in self.threads:
            thread.join(patience_s)
            assert not thread.is_alive(), "a client hangs"

    def read_back(self):
        """Everything, once more through every server: the end of the history must explain it."""
        for server in range(len(self.servers)):
            cache = {}
            for key in HOT + WARM:
                self.get(cache, server, key)
            for key in range(SEATS):
                self.seat(cache, server, f"s{key}")
            for key in range(COUNTERS):
                one = self.history.begin(server, self.tenant, f"c{key}", "get")
                request = d.GetRecordRequest(name=f"tables/counters/records/c{key}")
                code, answer = self.call(cache, server, "GetRecord", request)
                if code == "OK":
                    History.end(one, OK, answer.fields["n"].integer_value)

    def rows(self, table):
        """Every record's key and fields, by pages."""
        found, token = [], ""
        cache = {}
        while True:
            request = d.ListRecordsRequest(parent=f"tables/{table}", page_size=1000, page_token=token)
            code, page = self.call(cache, 0, "ListRecords", request)
            assert code == "OK", page
            found += page.records
            token = page.next_page_token
            if not token:
                return found


OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 20),
    ("grpc.max_reconnect_backoff_ms", 100),
    ("grpc.enable_retries", 0),
)


def d_stub(channel):
    return stubs.data_grpc.DataServiceStub(channel)
