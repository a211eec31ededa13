"""Tiers: point reads and durable writes of tenants that have a schema, a database or a file of their own.

One tenant, or many at once, in turn (FREEHOLD_BENCH_TENANTS): that is what a tier is for, and what it costs.
The load is bench_spread's in every row, so tiers compare with each other.
"""
import json
import os
import pathlib
import subprocess
import sys

import jwt

from machine import PAYLOAD

TENANTS = int(os.environ.get("FREEHOLD_BENCH_TENANTS", "100"))
DATABASES = min(TENANTS, 16)  # on PostgreSQL: each has connections of its own
ROWS_EACH = 100  # what bench_spread reads
SECONDS, FLOOR_SECONDS = 1.5, 2.0  # of a measurement at most, behind what it takes to get warm
BEHIND_THE_FIRST = ("-P", "1")
WRITES, SPREAD_WRITES = 20000, 10000  # of SQLite's floor
IN_FLIGHT = 256  # bench_spread's
LANES = 4  # writing threads of a SQLite store's dedicated homes
BRIDGE_FILES = 64
SCRIPTS_MAX = 100  # pgbench has room for 128
GOALS = {("sqlite", "read"): 0.70, ("sqlite", "write"): 0.50, ("postgres", "read"): 0.80,
         ("postgres", "write"): 0.80}
STORES = {"sqlite": "local", "postgres": "postgres"}


class Tiers:
    def __init__(self, machine):
        self.machine = machine
        self.made = {}
        self.floors = set()
        self.count = 0
        machine.start_server()
        machine.operator_token = machine.folder / "operator.token"
        machine.operator_token.write_text(machine.freehold("token", "--operator", "--ttl", "12h"))

    # -- tenants ------------------------------------------------------------------------------

    def provision(self, store, tier, count):
        """New tenants, one after another: [(uid, seconds)]."""
        self.count += 1
        machine = self.machine
        output = subprocess.run(
            [machine.build / "tests/bench/load/bench_provision",
             f"127.0.0.1:{machine.operator_port}", machine.operator_token, store, tier, str(count),
             f"tier-{self.count}"], check=True, text=True, stdout=subprocess.PIPE).stdout
        return [(uid, int(us) / 1e6) for uid, us in map(str.split, output.splitlines())]

    def sign(self, uids):
        """Writers' tokens: one of the command's, made out to others with the same key."""
        model = self.machine.freehold("token", "--tenant", uids[0], "--role", "writer", "--ttl",
                                      "12h").strip()
        key = pathlib.Path(self.machine.environment["FREEHOLD_DATA_DIR"], "keys/tenant.key.pem")
        header = jwt.get_unverified_header(model)
        claims = jwt.decode(model, options={"verify_signature": False})
        return [jwt.encode(claims | {"tenant": uid}, key.read_bytes(), header["alg"],
                           {"kid": header["kid"]}) for uid in uids]

    def tenants(self, engine, tier, count):
        """The file of the first `count` tenants' tokens; they have ROWS_EACH rows each."""
        if (engine, tier) not in self.made:
            many = tenants_of(engine, tier)
            print(f"    {engine}: {many} tenants in the tier {tier}", file=sys.stderr, flush=True)
            tokens = self.sign([uid for uid, _ in self.provision(STORES[engine], tier, many)])
            self.made[engine, tier] = tokens
            self.run(self.tenants(engine, tier, many), "create", ROWS_EACH * many, "seed")
        path = self.machine.folder / f"{engine}-{tier}-{count}.tokens"
        path.write_text("".join(f"{token}\n" for token in self.made[engine, tier][:count]))
        return path

    def run(self, tokens, operation, limit, seed):
        output = subprocess.run(
            [self.machine.build / "tests/bench/load/bench_spread",
             f"127.0.0.1:{self.machine.port}", tokens, operation, str(limit), seed],
            check=True, text=True, stdout=subprocess.PIPE).stdout
        result = json.loads(output)
        return result["calls"] / result["seconds"]

    def rate(self, engine, tier, what, count):
        """Calls a second through gRPC."""
        tokens = self.tenants(engine, tier, count)
        self.count += 1
        operation, seed = ("get", "seed") if what == "read" else ("create", f"new{self.count}")
        return self.run(tokens, operation, f"{min(self.machine.seconds, SECONDS)}s", seed)

    def seconds(self):
        return min(self.machine.seconds, FLOOR_SECONDS)

    # -- floors -------------------------------------------------------------------------------

    def floor(self, engine, tier, what, count):
        if engine == "postgres":
            make = self.schema_floor if tier == "schema" else self.database_floor
            return make(what, count)
        if what == "read":
            return self.machine.echo_load(self.seconds())[0]
        return self.sqlite_floor(tier, count)

    def sqlite_floor(self, tier, count):
        """The same bytes, in groups that as many calls in flight make of themselves, by as many threads."""
        if count == 1:
            return self.machine.sqlite_floor(WRITES)
        files = min(count, BRIDGE_FILES) if tier == "schema" else count
        group = -(-IN_FLIGHT // files)
        return self.machine.sqlite_floor(SPREAD_WRITES, files, group, LANES)

    def floor_table(self, schema, role, database):
        self.machine.cluster.sql(
            f"create role {role}; create schema {schema}; create table {schema}.floor (id bigserial "
            f"primary key, payload text); insert into {schema}.floor (payload) select '{PAYLOAD}' from "
            f"generate_series(1, {ROWS_EACH}); grant usage on schema {schema} to {role}; grant all on "
            f"all tables in schema {schema} to {role}; grant all on all sequences in schema {schema} "
            f"to {role};", database)

    def schema_floor(self, what, count):
        """One tenant: sessions that are its role's from the beginning. Many: each transaction, sent in one
        go, takes on a tenant's role and does the one statement in its schema."""
        names = [f"floor_{i}" for i in range(min(count, SCRIPTS_MAX))]
        for name in names:
            if name not in self.floors:
                self.floor_table(name, name, "freehold")
                self.floors.add(name)
        if count == 1:
            return self.machine.pgbench(statement(what, names[0]), options=f"-c role={names[0]}",
                                        seconds=self.seconds())
        return self.machine.pgbench(
            [f"{choose(what)}\\startpipeline\nselect set_config('role', '{name}', true);\n"
             f"{statement(what, name, chosen=True)}\\endpipeline\n" for name in names],
            *BEHIND_THE_FIRST, seconds=self.seconds() + 1)

    def database_floor(self, what, count):
        """pgbench in one database, or as many of it as there are databases, a session each."""
        names = [f"floor_db_{i}" for i in range(count)]
        for name in names:
            if name not in self.floors:
                self.machine.cluster.sql(f"create database {name}", "postgres")
                self.floor_table("app", name, name)
                self.floors.add(name)
        if count == 1:
            return self.machine.pgbench(statement(what, "app"), database=names[0],
                                        options=f"-c role={names[0]}", seconds=self.seconds())
        started = [self.machine.start_pgbench(statement(what, "app"), *BEHIND_THE_FIRST, database=name,
                                              clients=1, options=f"-c role={name}",
                                              seconds=self.seconds() + 1) for name in names]
        return sum([self.machine.end_pgbench(process) for process in started])


def choose(what):
    return f"\\set id random(1, {ROWS_EACH})\n" if what == "read" else ""


def statement(what, schema, chosen=False):
    if what == "read":
        return f"{'' if chosen else choose(what)}select id, payload from {schema}.floor where id = :id;\n"
    return f"insert into {schema}.floor (payload) values ('{PAYLOAD}');\n"


def tenants_of(engine, tier):
    return DATABASES if (engine, tier) == ("postgres", "database") else TENANTS


def tiers_of(machine):
    """One a machine, made when first needed."""
    if machine.tiers is None:
        machine.tiers = Tiers(machine)
    return machine.tiers


class Measured:
    """One round's figures of a tier serve two rows: against the floor, and against shared tables."""

    def __init__(self, engine, tier, what):
        self.engine, self.tier, self.what = engine, tier, what
        self.rounds = []
        self.given = {"floor": 0, "shared": 0}

    def measure(self, machine):
        tiers = tiers_of(machine)
        count = tenants_of(self.engine, self.tier)
        floor = tiers.floor(self.engine, self.tier, self.what, count)
        value = tiers.rate(self.engine, self.tier, self.what, count)
        shared = tiers.rate(self.engine, "shared", self.what, count)
        self.rounds.append((value, {"floor": floor, "shared": shared}))

    def against(self, which, machine):
        number = self.given[which]
        self.given[which] += 1
        if number == len(self.rounds):
            self.measure(machine)
        value, others = self.rounds[number]
        return value, others[which]


def one_tenant(engine, tier, what, machine):
    tiers = tiers_of(machine)
    floor = tiers.floor(engine, tier, what, 1)
    return tiers.rate(engine, tier, what, 1), floor
