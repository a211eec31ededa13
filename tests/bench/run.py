"""Benchmarks: each row a ratio against a floor measured in the same run.

usage: ./dev bench [NAME...] [--json FILE] [--seconds S] [--rounds N] [--plot FILE]

The machine is shared and noisy: a row is the median of N rounds, and in each round the floor is measured
right beside the figure. Programs come from $FREEHOLD_BUILD.
"""
import argparse
import fnmatch
import json
import os
import pathlib
import shutil
import signal
import statistics
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "demo"))
from moves import moves_of  # noqa: E402
from plot import draw  # noqa: E402
from rows import ROWS  # noqa: E402
from machine import Machine  # noqa: E402


def measure(row, machine, rounds):
    """The row with the median ratio of all rounds."""
    results = []
    rounds = 1 if row.once else rounds
    for number in range(rounds):
        value, floor = row.run(machine)
        results.append((value / floor, value, floor))
        print(f"  {row.name} round {number + 1}/{rounds}: {value:.4g} {row.unit}, "
              f"floor {floor:.4g}, ratio {value / floor:.2f}", file=sys.stderr, flush=True)
    ratio = statistics.median(result[0] for result in results)
    _, value, floor = min(results, key=lambda result: abs(result[0] - ratio))
    return {"name": row.name, "unit": row.unit, "value": value, "floor": floor, "ratio": ratio,
            "goal": row.goal, "better": row.better}


def print_table(results):
    print(f"\n{'name':44} {'value':>12} {'floor':>12} {'unit':>10} {'ratio':>7} {'goal':>9}  reached")
    for row in results:
        sign = "<=" if row["better"] == "lower" else ">="
        goal, reached = "-", "-"
        if row["goal"] is not None:
            met = row["ratio"] <= row["goal"] if row["better"] == "lower" else row["ratio"] >= row["goal"]
            goal, reached = f"{sign} {row['goal']:.2f}", "yes" if met else "no"
        print(f"{row['name']:44} {row['value']:12.4g} {row['floor']:12.4g} {row['unit']:>10} "
              f"{row['ratio']:7.2f} {goal:>9}  {reached}")


def main():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="rows to measure (* stands for anything); all: " +
                        ", ".join(row.name for row in ROWS))
    parser.add_argument("--json", metavar="FILE", help="write the rows as a JSON array")
    parser.add_argument("--seconds", type=float, default=3.0, help="of load a measurement (3)")
    parser.add_argument("--rounds", type=int, default=3, help="medians are taken over (3)")
    parser.add_argument("--plot", metavar="FILE", help="an SVG of one move as clients saw it")
    options = parser.parse_args()
    rows = [row for row in ROWS
            if not options.names or any(fnmatch.fnmatch(row.name, name) for name in options.names)]
    unknown = {name for name in options.names
               if not any(fnmatch.fnmatch(row.name, name) for row in ROWS)}
    if unknown:
        parser.error("no row " + ", ".join(sorted(unknown)))
    # Told to end: what was started ends too, by the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    folder = pathlib.Path(tempfile.mkdtemp(prefix="freehold-bench-"))
    folder.chmod(0o711)  # PostgreSQL's own user passes through
    machine = Machine(folder, pathlib.Path(os.environ["FREEHOLD_BUILD"]), options.seconds)
    try:
        if options.plot:
            draw(moves_of(machine), options.plot)
            rows = rows if options.names else []
        results = [measure(row, machine, options.rounds) for row in rows]
        fsync_us = machine.fsync_us()
    finally:
        machine.stop()
        shutil.rmtree(folder)
    print_table(results)
    print(f"\nfsync of this machine: {fsync_us:.0f} us (median of 200)")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=2) + "\n",
                                              encoding="utf-8")


if __name__ == "__main__":
    main()
