"""Rollouts: a schema change over many homes, against the same change without Freehold, and what live traffic
notices of it.

A set is a server of its own with FREEHOLD_BENCH_HOMES tenants in one tier of one engine. Every measurement
rolls the next version out, one column more in each of two tables, and checks that every home came to it.
"""
import concurrent.futures
import functools
import json
import math
import os
import pathlib
import sqlite3
import subprocess
import sys
import time

from postgres import Cluster, programs

HOMES = int(os.environ.get("FREEHOLD_BENCH_HOMES", "1000"))
CREATED_AT_ONCE = 8
TRAFFIC_TENANTS = 50
TRAFFIC_THREADS = 2  # a tenant: a call that waits must not keep many others from being made
TRAFFIC_ROWS = 20
READS, WRITES = 400, 100  # a second, over all traffic's tenants together
CALM_S = 8  # before a rollout under traffic, and behind it
FLOOR_BATCH = 50  # schemas a transaction
DEFAULT_CONCURRENCY = 4
TABLES = ("bench", "trail")
SCHEMA = """create table bench (id text primary key, payload text, weight integer not null default 0);
create index bench_weight on bench (weight);
create table trail (id text primary key, note text, at timestamptz);
"""


def columns(version):
    """What a version adds, to each table."""
    return (f"extra{version} integer not null default 0", f"more{version} text")


def statements(version, prefix=""):
    return [f"alter table {prefix}{table} add column {column}"
            for table, column in zip(TABLES, columns(version), strict=True)]


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(len(ordered) * share) - 1)]


def testing(build):
    """The tests' server and stubs; imported when first needed, since that loads gRPC."""
    root = pathlib.Path(__file__).resolve().parents[2]
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # what we start is started by fork and exec
    os.environ["FREEHOLDD"] = str(build / "tests/bench/server/bench_server")
    os.environ["FREEHOLD_PROTO"] = str(root / "proto")
    os.environ["FREEHOLD_STUBS"] = str(build / "tests/bench/stubs")
    sys.path.insert(0, str(root / "tests/lib/python"))
    from freehold_testing import server, stubs
    return server, stubs


class Homes:
    """One engine's set. Subclasses say where the homes are and what the floor is."""

    tier = ""

    def __init__(self, machine, name):
        self.machine, self.name = machine, name
        self.folder = machine.folder / f"alter-{name}"
        self.folder.mkdir()
        self.folder.chmod(0o711)
        self.files = self.folder / "schema"
        self.files.mkdir()
        self.version = 1
        self.floor_version = 1
        (self.files / "0001_bench.sql").write_text(SCHEMA)
        server, self.stubs = testing(machine.build)
        self.server = server.Server(self.folder, "--tenant-calls-max", "65536", "--homes-max",
                                    str(HOMES + 10))
        machine.on_stop.append(self.server.close)
        self.environment = dict(os.environ, FREEHOLD_DATA_DIR=str(self.server.data_dir))
        self.freehold("schema", "apply", self.files)
        self.add_store()
        self.spans = {"w": [], "r": []}  # p99 with and without a rollout, measured and not yet taken
        self.provision()
        self.seed()
        self.make_floor()

    def freehold(self, *arguments):
        return subprocess.run([self.machine.build / "clients/cli/freehold", *map(str, arguments)],
                              env=self.environment, check=True, text=True,
                              stdout=subprocess.PIPE).stdout

    # -- the homes ----------------------------------------------------------------------------

    def provision(self):
        admin = self.stubs.tenant_admin
        tenants = self.server.tenants
        tier = admin.Placement.Tier.Value(f"TIER_{self.tier.upper()}")
        began = time.monotonic()

        def create(number):
            request = admin.CreateTenantRequest(
                tenant=admin.Tenant(slug=f"{self.name}-{number}"), store=f"stores/{self.name}",
                tier=tier)
            return tenants.CreateTenant(request).uid

        self.tenants = []
        with concurrent.futures.ThreadPoolExecutor(CREATED_AT_ONCE) as pool:
            for uid in pool.map(create, range(HOMES)):
                self.tenants.append(uid)
                if len(self.tenants) % 100 == 0 or len(self.tenants) == HOMES:
                    print(f"  {self.name}: {len(self.tenants)} of {HOMES} homes, "
                          f"{time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)

    def seed(self):
        """Rows for those that have traffic, and their tokens."""
        data = self.stubs.data
        some = self.tenants[::max(1, HOMES // TRAFFIC_TENANTS)][:TRAFFIC_TENANTS]
        channel = self.server.channel()
        for tenant in some:
            service = self.server.data(tenant, channel=channel)
            for i in range(TRAFFIC_ROWS):
                service.CreateRecord(data.CreateRecordRequest(record=data.Record(
                    name=f"tables/bench/records/seed-{i}",
                    fields={"payload": data.Value(string_value="0123456789abcdef" * 4)})))
        self.tokens = self.folder / "tokens"
        self.tokens.write_text("".join(self.server.tenant_token(tenant, "writer") + "\n"
                                       for tenant in some) * TRAFFIC_THREADS)
        self.keys = self.folder / "keys"
        self.keys.write_text("".join(f"seed-{i}\n" for i in range(TRAFFIC_ROWS)))

    # -- rollouts -----------------------------------------------------------------------------

    def roll_out(self, concurrency):
        """Seconds that the command took for the next version."""
        self.version += 1
        name = self.files / f"{self.version:04}_more.sql"
        name.write_text("".join(f"{text};\n" for text in statements(self.version)))
        began = time.monotonic()
        self.freehold("schema", "apply", self.files, "--concurrency", concurrency)
        seconds = time.monotonic() - began
        self.check_homes()
        return seconds

    def check_homes(self):
        schema = self.stubs.schema
        rollout = self.server.schemas.GetRollout(schema.GetRolloutRequest(name="rollouts/-"))
        request = schema.ListRolloutHomesRequest(name="rollouts/-", page_size=500)
        there = tries = 0
        while True:
            page = self.server.schemas.ListRolloutHomes(request)
            there += sum(home.version == self.version and home.store == f"stores/{self.name}" and
                         home.state == schema.ROLLOUT_HOME_STATE_DONE and home.tenant != ""
                         for home in page.homes)
            tries += sum(home.tries for home in page.homes)
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        if rollout.phase != schema.ROLLOUT_PHASE_DONE or rollout.version != self.version \
                or there != HOMES:
            raise SystemExit(f"bench: the rollout to {self.version} is not done, {there} of {HOMES} homes "
                             f"are there: {rollout}")
        if tries > HOMES + 2:
            print(f"  {self.name}: {tries - HOMES - 2} tries had to be repeated", file=sys.stderr)

    # -- traffic ------------------------------------------------------------------------------

    def under_traffic(self, concurrency=DEFAULT_CONCURRENCY):
        """Before, during, behind: p99 of reads and of writes, as (during, mean of the others), in seconds."""
        out = self.folder / f"pace-{self.version}"
        process = subprocess.Popen(
            [self.machine.build / "tests/bench/load/bench_pace",
             f"127.0.0.1:{self.server.tenant_port}", self.tokens, str(WRITES), str(READS), "bench",
             "payload", self.keys, out], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout.readline() == "ready\n"
            time.sleep(2)  # connections, statements: not what is measured
            marks = [time.monotonic()]
            time.sleep(CALM_S)
            marks.append(time.monotonic())
            seconds = self.roll_out(concurrency)
            marks.append(marks[-1] + seconds)
            time.sleep(1)
            behind = time.monotonic()
            time.sleep(CALM_S)
            marks += [behind, time.monotonic()]
        finally:
            text, _ = process.communicate()
        result = json.loads(text)
        if result["failures"]:
            raise SystemExit(f"bench: {result['failures']} of {result['calls']} calls failed")
        latencies = {kind: [[], [], []] for kind in "wr"}
        spans = ((marks[0], marks[1]), (marks[1], marks[2]), (marks[3], marks[4]))
        with open(out, encoding="utf-8") as lines:
            for line in lines:
                at, latency, kind, _ = line.split()
                for i, (begin, end) in enumerate(spans):
                    if begin <= int(at) / 1e6 < end:
                        latencies[kind][i].append(int(latency) / 1e6)
        for kind, parts in latencies.items():
            before, during, after = (percentile(part, 0.99) for part in parts)
            self.spans[kind].append((during, (before + after) / 2))
            print(f"  {self.name}, {'writes' if kind == 'w' else 'reads'}: p99 {before * 1e3:.1f} ms, "
                  f"{during * 1e3:.1f} ms in {seconds:.1f} s of rollout, {after * 1e3:.1f} ms; p50 "
                  + ", ".join(f"{percentile(part, 0.5) * 1e3:.2f} ms" for part in parts)
                  + f"; longest {max(parts[1]) * 1e3:.0f} ms", file=sys.stderr, flush=True)

    def p99(self, kind):
        if not self.spans[kind]:
            self.under_traffic()
        return self.spans[kind].pop(0)


class PostgresSchemas(Homes):
    tier = "schema"

    def add_store(self):
        self.cluster = Cluster(self.folder / "cluster")
        self.machine.on_stop.append(self.cluster.stop)
        self.cluster.prepare(self.freehold("store", "prepare", "--owner", "freehold_owner",
                                           "--serving", "freehold_app"))
        self.freehold("store", "add", self.name, "--engine", "postgresql", "--location",
                      self.cluster.dsn("freehold_app"), "--owner-location",
                      self.cluster.dsn("freehold_owner"))

    def psql(self, database, *commands, script=None):
        """Each command is one round trip and, unless it says otherwise, one transaction."""
        line = [programs() / "psql", "-q", "-X", "-h", "127.0.0.1", "-p", str(self.cluster.port), "-U",
                "postgres", "-d", database, "-v", "ON_ERROR_STOP=1"]
        for command in commands:
            line += ["-c", command]
        return subprocess.run(line, check=True, stdout=subprocess.PIPE, input=script, text=True).stdout

    def make_floor(self):
        """Schemas with the same tables, columns, indexes and checks, in a database of their own."""
        home = "t_" + self.tenants[0].replace("-", "")
        dump = subprocess.run(
            [programs() / "pg_dump", "-h", "127.0.0.1", "-p", str(self.cluster.port), "-U", "postgres",
             "--schema-only", "--no-owner", "--no-acl", "-n", home, "freehold"], check=True,
            stdout=subprocess.PIPE, text=True).stdout
        self.psql("postgres", "create database floor")
        self.psql("floor", script=dump)
        self.psql("floor", script="".join(
            f"create schema floor_{i};" + "".join(
                f"create table floor_{i}.{table} (like {home}.{table} including all);"
                for table in TABLES) + "\n" for i in range(HOMES)))

    def floor(self, concurrency):
        del concurrency  # one connection is the fastest way
        self.floor_version += 1
        batches = []
        for first in range(0, HOMES, FLOOR_BATCH):
            some = range(first, min(first + FLOOR_BATCH, HOMES))
            batches.append(";".join(text for i in some
                                    for text in statements(self.floor_version, f"floor_{i}.")))
        began = time.monotonic()
        self.psql("floor", *batches)
        return time.monotonic() - began


class SqliteFiles(Homes):
    tier = "database"

    def add_store(self):
        pass  # the server's own is one; see __init__

    def __init__(self, machine):
        super().__init__(machine, "local")

    def make_floor(self):
        """Copies of a home's file as it is."""
        name = f"t_{self.tenants[-1].replace('-', '')}.db"
        home = next(self.server.data_dir.rglob(name))
        self.floor_folder = self.folder / "floor"
        self.floor_folder.mkdir()
        first = self.floor_folder / "0.db"
        with sqlite3.connect(home) as source:
            source.execute("vacuum into ?", (str(first),))
        with sqlite3.connect(first) as copy:
            copy.execute("pragma journal_mode=wal")
        copy.close()
        for i in range(1, HOMES):
            (self.floor_folder / f"{i}.db").write_bytes(first.read_bytes())

    def floor(self, concurrency):
        self.floor_version += 1
        output = subprocess.run(
            [self.machine.build / "tests/bench/load/bench_sqlite_alter", self.floor_folder, str(HOMES),
             str(concurrency), ";".join(statements(self.floor_version))], check=True, text=True,
            stdout=subprocess.PIPE).stdout
        return json.loads(output)["seconds"]


def homes_of(machine, engine):
    """One set an engine and machine, made when first needed."""
    sets = machine.__dict__.setdefault("alter", {})
    if engine not in sets:
        sets[engine] = PostgresSchemas(machine, "postgres") if engine == "postgres" \
            else SqliteFiles(machine)
    return sets[engine]


def rollout(engine, concurrency, machine):
    homes = homes_of(machine, engine)
    floor = homes.floor(concurrency)
    return homes.roll_out(concurrency), floor


def traffic_p99(engine, kind, machine):
    during, others = homes_of(machine, engine).p99(kind)
    return during * 1e3, others * 1e3


# Of each engine, the default, and what was fastest where it was tried.
CONCURRENCY = {"default": 4, "best": 16}
P99_GOAL = 1.10
# What makes a Row.
ROWS = [
    (f"rollout_{what}" + ("" if which == "default" else f"_{CONCURRENCY[which]}_at_once"), "s", 1.5, "lower",
     functools.partial(rollout, engine, CONCURRENCY[which]))
    for engine, what in (("postgres", "postgres_1000_schemas"), ("sqlite", "sqlite_1000_files"))
    for which in CONCURRENCY
] + [
    (f"rollout_{engine}_p99_{name}", "ms", P99_GOAL, "lower",
     functools.partial(traffic_p99, engine, name[0]))
    for engine in ("postgres", "sqlite") for name in ("reads", "writes")
]
