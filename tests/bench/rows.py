"""The rows: what is measured, against which floor, and what we aim at."""
from dataclasses import dataclass
from typing import Callable

WRITES = 20000
IMPORT_ROWS = 50000


@dataclass
class Row:
    name: str
    unit: str
    goal: float
    better: str
    run: Callable  # (machine) -> (value, floor)


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


ROWS = [
    Row("cpu_per_call", "us", 1.5, "lower", cpu_per_call),
    Row("sqlite_point_read", "req/s", 0.70, "higher", sqlite_read),
    Row("postgres_point_read", "req/s", 0.80, "higher", postgres_read),
    Row("postgres_durable_write", "req/s", 0.80, "higher", postgres_write),
    Row("sqlite_durable_write", "req/s", 0.50, "higher", sqlite_write),
    Row("sqlite_import", "rows/s", 0.30, "higher", sqlite_import),
]
