"""Moves, as clients and operators see them: pauses under a paced load, copy rate, small tenants.

A pause is the client's: the longest latency of a write that was under way between a move's beginning and its
end, counted from the instant the write was due. It is an upper bound: whatever else made a
write slow meanwhile is in it.
"""
import json
import statistics
import subprocess
import sys
import time
from datetime import datetime

from postgres import Cluster, programs

# Where a tenant lives: store and tier. Moves of a pair go there and back in turn.
PAIRS = {
    "sqlite_sqlite": (("local", "shared"), ("local2", "shared")),
    "sqlite_postgres": (("local", "shared"), ("postgres", "shared")),
    "postgres_postgres": (("postgres", "shared"), ("postgres2", "shared")),
}
TIER_PAIRS = {
    f"{engine}_{there}_{here}": ((store, there), (store, here))
    for engine, store in (("sqlite", "local"), ("postgres", "postgres"))
    for there, here in (("shared", "schema"), ("schema", "database"), ("database", "shared"))
}
ALL_PAIRS = PAIRS | TIER_PAIRS
ROWS = 1000
BULK_ROWS = 200_000
MOVES_A_TENANT = 10
LOAD_BEGINS_S = 0.5  # a small tenant moves in less than the load takes to begin
PAYLOAD = "0123456789abcdef" * 4


def seconds_of(text):
    """RFC 3339, and a Duration's JSON ("0.004s")."""
    if text.endswith("s"):
        return float(text[:-1])
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class Moves:
    def __init__(self, machine):
        self.machine = machine
        self.count = 0
        machine.start_server()
        self.cluster = Cluster(machine.folder / "postgres2")
        machine.on_stop.append(self.cluster.stop)
        machine.freehold("store", "add", "postgres2", "--engine", "postgresql", "--location",
                         self.cluster.dsn("freehold_app"), "--owner-location",
                         self.cluster.dsn("freehold_owner"))
        machine.freehold("store", "add", "local2", "--engine", "sqlite", "--location", "local2")
        self.keys = machine.folder / "keys"
        self.keys.write_text("".join(f"seed-{i}\n" for i in range(ROWS)))

    def tenant(self, place, rows):
        """A new tenant with rows seed-0.. at the place: (slug, token file)."""
        store, tier = place
        self.count += 1
        slug = f"move-{self.count}"
        self.machine.freehold("tenant", "create", slug, "--store", store, "--tier", tier)
        path = self.machine.folder / f"{slug}.csv"
        with open(path, "w", encoding="utf-8") as file:
            file.write("id,payload\n")
            file.writelines(f"seed-{i},{PAYLOAD}\n" for i in range(rows))
        self.machine.freehold("data", "import", "bench", path, "--tenant", slug, "--insert", "--quiet")
        token = self.machine.folder / f"{slug}.token"
        token.write_text(self.machine.freehold("token", "--tenant", slug, "--role", "writer",
                                               "--ttl", "12h").strip() + "\n")
        return slug, token

    def move(self, slug, place, *options):
        """One move to its end; what `freehold` says of it."""
        store, tier = place
        out = self.machine.freehold("move", "start", slug, "--to", store, "--tier", tier, "--watch",
                                    "-o", "json", *options)
        move = json.loads(out)
        if move["phase"] != "MOVE_PHASE_DONE":
            raise SystemExit(f"bench: the move of {slug} ended as {move}")
        return move

    def pace(self, token, writes, reads):
        out = self.machine.folder / f"pace-{self.count}-{time.monotonic_ns()}"
        process = subprocess.Popen(
            [self.machine.build / "tests/bench/load/bench_pace", f"127.0.0.1:{self.machine.port}",
             token, str(writes), str(reads), "bench", "payload", self.keys, out],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "ready\n"
        return process, out

    @staticmethod
    def end_pace(process, out):
        """The samples: (instant s, latency s, kind)."""
        text, _ = process.communicate()
        result = json.loads(text)
        if result["failures"]:
            raise SystemExit(f"bench: {result['failures']} of {result['calls']} calls failed")
        samples = []
        with open(out, encoding="utf-8") as lines:
            for line in lines:
                at, latency, kind, _ = line.split()
                samples.append((int(at) / 1e6, int(latency) / 1e6, kind))
        return samples

    def pauses(self, pair, rate, moves):
        """Client-observed pauses of writes, and of reads, in seconds, one of each a move. Every MOVES_A_TENANT
        moves another tenant: a history of minutes under load would make the copying longer, not the pause."""
        writes, reads = [], []
        while len(writes) < moves:
            some = self.pauses_of_one(pair, rate, min(MOVES_A_TENANT, moves - len(writes)))
            writes += some[0]
            reads += some[1]
            print(f"    {pair} at {rate:g} writes/s: {len(writes)} of {moves} moves, median pause "
                  f"{statistics.median(writes) * 1e3:.1f} ms", file=sys.stderr, flush=True)
        return writes, reads

    def pauses_of_one(self, pair, rate, moves):
        there, here = ALL_PAIRS[pair]
        slug, token = self.tenant(there, ROWS)
        process, out = self.pace(token, rate, rate / 5)
        time.sleep(LOAD_BEGINS_S)
        spans = []
        offset = time.time() - time.monotonic()
        for _ in range(moves):
            move = self.move(slug, here)
            spans.append((seconds_of(move["createTime"]) - offset,
                          seconds_of(move["finishTime"]) - offset))
            there, here = here, there
        samples = self.end_pace(process, out)
        writes, reads = [], []
        for begin, end in spans:
            for kind, into in (("w", writes), ("r", reads)):
                into.append(max((latency for at, latency, what in samples
                                 if what == kind and at + latency >= begin and at <= end), default=0))
        return writes, reads

    def copy_rate(self, pair):
        """Rows a second of one large, idle tenant, unthrottled."""
        there, here = PAIRS[pair]
        slug, _ = self.tenant(there, BULK_ROWS)
        progress = self.move(slug, here, "--duty", "100")["progress"]
        self.machine.freehold("tenant", "delete", slug, "--yes")
        return progress["rowsPerSecond"]

    def relay_rate(self, staged):
        """COPY out of one cluster into a keyed table of another: straight, or through a staging table as
        row-level security wants it."""
        shape = ("(tenant_id uuid not null, id text collate \"C\" not null, payload text, created_at "
                 "timestamptz, updated_at timestamptz, deleted_at timestamptz, version bigint, "
                 "primary key (tenant_id, id))")
        self.machine.cluster.sql("drop table if exists relay", "freehold")
        self.machine.cluster.sql(f"create table relay {shape}", "freehold")
        self.machine.cluster.sql(
            "insert into relay select '0198c0de-0000-7000-8000-000000000000', 'seed-' || i, "
            f"'{PAYLOAD}', now(), now(), null, 1 from generate_series(1, {BULK_ROWS}) i", "freehold")
        self.cluster.sql("drop table if exists relay", "freehold")
        self.cluster.sql(f"create table relay {shape}", "freehold")
        psql = [programs() / "psql", "-q", "-h", "127.0.0.1", "-U", "postgres", "-d", "freehold"]
        into = (["-c", "create temp table stage (like relay)", "-c", "copy stage from stdin binary",
                 "-c", "insert into relay select * from stage on conflict do nothing"]
                if staged else ["-c", "copy relay from stdin binary"])
        begin = time.monotonic()
        source = subprocess.Popen([*psql, "-p", str(self.machine.cluster.port), "-c",
                                   "copy relay to stdout binary"], stdout=subprocess.PIPE)
        subprocess.run([*psql, "-p", str(self.cluster.port), "-1", *into], stdin=source.stdout,
                       check=True)
        source.stdout.close()
        if source.wait() != 0:
            raise SystemExit("bench: COPY failed")
        return BULK_ROWS / (time.monotonic() - begin)

    def small(self, pair, count):
        """Seconds for `count` tenants of 1,000 rows, one move after another."""
        there, here = PAIRS[pair]
        slugs = [self.tenant(there, ROWS)[0] for _ in range(count)]
        begin = time.monotonic()
        for slug in slugs:
            self.move(slug, here)
        return time.monotonic() - begin

    def record_tax(self):
        """pgbench inserts a second: alone, and with a commit record of the same shape beside it."""
        self.machine.floor_table()
        self.machine.cluster.sql(
            "create table if not exists record (tenant_id uuid not null, epoch bigint not null, seq "
            "bigserial, request_id text collate \"C\", request_hash bytea not null, schema_version "
            "integer not null, actor text not null, address text not null, at timestamptz not null, "
            "txid xid8 not null default pg_current_xact_id(), changes json not null, images bytea, "
            "primary key (tenant_id, epoch, seq))", "freehold")
        self.machine.cluster.sql("create index if not exists record_txid on record (tenant_id, epoch, "
                                 "txid)", "freehold")
        alone = self.machine.pgbench(f"insert into floor (payload) values ('{PAYLOAD}');\n")
        both = self.machine.pgbench(
            f"with row as (insert into floor (payload) values ('{PAYLOAD}') returning id, payload) "
            "insert into record (tenant_id, epoch, request_hash, schema_version, actor, address, at, "
            "changes, images) select '0198c0de-0000-7000-8000-000000000000', 1, sha256(payload::bytea), 1, "
            "'bench', 'ipv4:127.0.0.1:1', now(), json_build_array(json_build_array('i', 'floor', id)), "
            "record_send(row) from row;\n")
        return both, alone


def moves_of(machine):
    """One a machine, made when first needed."""
    if machine.moves is None:
        machine.moves = Moves(machine)
    return machine.moves


def p50_and_p95(values):
    ordered = sorted(values)
    return statistics.median(ordered), ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
