"""The rows: what is measured, against which floor, and what we aim at."""
import functools
import os
from dataclasses import dataclass
from typing import Callable

import alter
import tiers
from moves import PAIRS, TIER_PAIRS, moves_of, p50_and_p95
from provision import provision

# Of each pair and rate, in all rounds together.
MOVES = int(os.environ.get("FREEHOLD_BENCH_MOVES", "200"))
TIER_MOVES = int(os.environ.get("FREEHOLD_BENCH_TIER_MOVES", "50"))
RATES = (500, 2000)
PAUSE_GOALS_S = {"p50": 0.005, "p95": 0.020}
WRITES = 20000
IMPORT_ROWS = 50000


@dataclass
class Row:
    name: str
    unit: str
    goal: float | None  # None: a figure to know, no promise
    better: str
    run: Callable  # (machine) -> (value, floor)
    once: bool = False  # one round: it is a median itself, or too long for more


def cpu_per_call(machine):
    floor = machine.echo_load()[1]
    return machine.get_load("memory")[1], floor


def sqlite_read(machine):
    floor = machine.echo_load()[0]
    return machine.get_load("local")[0], floor


def postgres_read(machine):
    floor = machine.pgbench_select()
    return machine.get_load("postgres")[0], floor


def postgres_write(machine):
    floor = machine.pgbench_insert()
    return machine.write_load("postgres", WRITES), floor


def sqlite_write(machine):
    floor = machine.sqlite_floor(WRITES)
    return machine.write_load("local", WRITES), floor


def sqlite_import(machine):
    path = machine.csv_file(IMPORT_ROWS)
    floor = machine.sqlite_import_rate(path, IMPORT_ROWS)
    return machine.import_rate(path, IMPORT_ROWS), floor


@functools.cache
def pauses(machine, pair, rate):
    """Both percentiles and the reads come from the same moves."""
    return moves_of(machine).pauses(pair, rate, MOVES if pair in PAIRS else TIER_MOVES)


def write_pause(pair, rate, which, machine):
    writes, _ = pauses(machine, pair, rate)
    value = p50_and_p95(writes)[0 if which == "p50" else 1]
    return value * 1e3, PAUSE_GOALS_S[which] * 1e3


def read_hold(pair, rate, machine):
    _, reads = pauses(machine, pair, rate)
    return max(reads) * 1e3, PAUSE_GOALS_S["p95"] * 1e3


def copy_rate(staged, machine):
    moves = moves_of(machine)
    floor = moves.relay_rate(staged)
    return moves.copy_rate("postgres_postgres"), floor


def small_tenant(count, limit_s, machine):
    return moves_of(machine).small("sqlite_postgres", count), limit_s


def record_tax(machine):
    return moves_of(machine).record_tax()


def pause_rows(pairs, rates):
    return [
        Row(f"move_pause_{which}_{pair}_{rate}", "ms", 1.0, "lower",
            functools.partial(write_pause, pair, rate, which), once=True)
        for pair in pairs for rate in rates for which in ("p50", "p95")
    ] + [
        Row(f"move_read_hold_{pair}", "ms", 1.0, "lower", functools.partial(read_hold, pair, rates[0]),
            once=True)
        for pair in pairs
    ]


# The "floor" of a promise is the promise.
MOVE_ROWS = pause_rows(PAIRS, RATES) + [
    Row("move_copy_rate_relay", "rows/s", 0.35, "higher", functools.partial(copy_rate, False)),
    Row("move_copy_rate_staged", "rows/s", 0.35, "higher", functools.partial(copy_rate, True)),
    Row("move_small_tenant", "s", 1.0, "lower", functools.partial(small_tenant, 1, 0.3)),
    Row("move_20_small_tenants", "s", 1.0, "lower", functools.partial(small_tenant, 20, 5.0), once=True),
    Row("commit_record_tax", "req/s", 0.75, "higher", record_tax),
]


def tier_rows():
    """Of one tenant, of many, and what many cost beside as many in shared tables; and the making of one."""
    rows = []
    for engine in tiers.STORES:
        for tier in ("schema", "database"):
            for what in ("read", "write"):
                name = f"{engine}_{tier}_{what}"
                goal = tiers.GOALS[engine, what]
                measured = tiers.Measured(engine, tier, what)
                rows += [
                    Row(name, "req/s", goal, "higher",
                        functools.partial(tiers.one_tenant, engine, tier, what)),
                    Row(f"{name}_many", "req/s", goal, "higher",
                        functools.partial(measured.against, "floor")),
                    Row(f"{name}_many_to_shared", "req/s", None, "higher",
                        functools.partial(measured.against, "shared")),
                ]
        rows += [
            Row(f"provision_{engine}_{tier}", "ms", 1.5, "lower",
                functools.partial(provision, engine, tier))
            for tier in ("shared", "schema", "database")
        ]
    return rows


ROWS = [
    Row("cpu_per_call", "us", 1.5, "lower", cpu_per_call),
    Row("sqlite_point_read", "req/s", 0.70, "higher", sqlite_read),
    Row("postgres_point_read", "req/s", 0.80, "higher", postgres_read),
    Row("postgres_durable_write", "req/s", 0.80, "higher", postgres_write),
    Row("sqlite_durable_write", "req/s", 0.50, "higher", sqlite_write),
    Row("sqlite_import", "rows/s", 0.30, "higher", sqlite_import),
]
ROWS += MOVE_ROWS
ROWS += tier_rows()
ROWS += pause_rows(TIER_PAIRS, RATES[:1])
ROWS += [Row(*row) for row in alter.ROWS]
