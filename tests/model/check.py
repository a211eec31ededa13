"""Runs what checks.txt lists: spin's exhaustive search of each model and variant.

usage: check.py [--jobs N] [--show] [NAME]...

NAME selects the row that is called so, else those that begin so ("copy", "switch").
One line a row:

  ok    drain   lost_write   1163 states   depth 85   0.1 s

and last "N passed, N failed"; the status is zero only when nothing failed. --show also prints the
counterexample of a row whose property is violated, one step a line, as short as spin finds it.

A row "holds" only when the search was complete and no property failed. Anything else must violate
the property it names, and no other. A row's search may use MEMORY_MB; SECONDS_MAX
only guards against hanging.
"""

import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PARTS = {"switch": ("switch.pml", "clients.pml", "accidents.pml"), "copy": ("copy.pml",), "homes": ("homes.pml",)}
SHARED = "move.pml"
MEMORY_MB = 1800
SECONDS_MAX = 600
DEPTH_MAX = 20000
# A model that hardly begins proves nothing: the smallest complete search here has 19,000 states.
STATES_MIN = 5000


class Row:
    def __init__(self, line):
        self.name, self.model, self.outcome, *self.flags = line.split()
        self.holds = self.outcome == "holds"
        self.liveness = "-DENDS" in self.flags


def rows_of(path):
    with open(path, encoding="utf-8") as file:
        lines = [line.strip() for line in file]
    return [Row(line) for line in lines if line and not line.startswith("#")]


def macros_of(model):
    """What a model's configurations and variants are called: every macro that it tests."""
    found = set()
    for part in PARTS[model]:
        with open(os.path.join(HERE, part), encoding="utf-8") as file:
            found |= set(re.findall(r"^#(?:ifdef|ifndef|if) (\w+)", file.read(), re.MULTILINE))
    return found


def table_faults(rows):
    """Flags that no model knows, and macros of a model that no row uses."""
    for model in PARTS:
        used = set()
        for row in rows:
            if row.model == model:
                used |= {flag[2:].split("=")[0] for flag in row.flags} - {"PHASES_UNCHECKED"}
        known = macros_of(model)
        yield from (f"{model}: no macro {name}" for name in sorted(used - known))
        yield from (f"{model}: no row for {name}" for name in sorted(known - used))
    names = [row.name for row in rows]
    yield from (f"{name}: twice in the table" for name in sorted(set(names))
                if names.count(name) > 1)
    yield from (f"{row.name}: no model {row.model}" for row in rows if row.model not in PARTS)


def run(command, folder, seconds=SECONDS_MAX):
    return subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", timeout=seconds, check=False)


def build(row, folder, defines=()):
    for part in (SHARED, *PARTS[row.model]):
        shutil.copy(os.path.join(HERE, part), folder)
    made = run(["spin", "-a", *row.flags, row.model + ".pml"], folder)
    if made.returncode or "rror" in made.stdout:
        raise RuntimeError("spin refuses the model:\n" + made.stdout)
    # Optimising costs more than it gives where a counterexample ends the search early.
    made = run([os.environ.get("CC", "cc"), "-O1" if row.holds else "-O0", "-w", "-DCOLLAPSE",
                f"-DMEMLIM={MEMORY_MB}", *([] if row.liveness else ["-DSAFETY", "-DNOCLAIM"]),
                *defines, "-o", "pan", "pan.c"], folder)
    if made.returncode:
        raise RuntimeError("the checker does not compile:\n" + made.stdout)


def search_options(row):
    options = [f"-m{DEPTH_MAX}", "-w22"]
    if row.liveness:
        options.append("-a")
    # Where a named property is to fail, somebody waiting for ever is not what we look for.
    if not row.holds and row.outcome != "stuck":
        options.append("-E")
    return options


def property_of(report):
    """The property that a search found violated; None when there is none."""
    found = re.search(r"^pan:\d+: (.*?)(?: \(at depth \d+\))?$", report, re.MULTILINE)
    if not found:
        return None
    text = found.group(1)
    named = re.match(r"assertion violated\s+!\((\w+)\)$", text)
    if named:
        return named.group(1)
    if text.startswith("invalid end state"):
        return "stuck"
    return text


def judge(row, report):
    """(verdict, states, depth) of a search; the verdict says what is wrong, None: nothing."""
    states = re.search(r"^\s*([\d.e+]+) states, stored", report, re.MULTILINE)
    depth = re.search(r"depth reached (\d+), errors: (\d+)", report)
    if not states or not depth:
        return "the search ended without a report:\n" + report, 0, 0
    count = int(float(states.group(1)))
    reached = int(depth.group(1))
    violated = property_of(report)
    said = violated or "holds"
    verdict = None
    if said != row.outcome:
        verdict = f"says {said}, not {row.outcome}"
    elif row.holds and (int(depth.group(2)) or "not completed" in report
                        or "max search depth too small" in report):
        verdict = "the search is not complete"
    elif row.holds and count < STATES_MIN:
        verdict = f"only {count} states: the model does not get anywhere"
    return verdict, count, reached


def check(row):
    folder = tempfile.mkdtemp(prefix="freehold-model-")
    started = time.monotonic()
    try:
        build(row, folder)
        report = run(["./pan", *search_options(row)], folder).stdout
        verdict, states, depth = judge(row, report)
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        verdict, states, depth = str(error), 0, 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return row, verdict, states, depth, time.monotonic() - started


# A step of the counterexample: what was done where. The model's book-keeping is left out.
STEP = re.compile(r"^\s*\d+:\s+proc\s+(\d+) \((\S+?)(?::1)?\) (\S+?:\d+) \(state \d+\)\s+\[(.*)\]$")
NOISE = re.compile(r"^\(1\)$|^else$|^skip$|illegal_phase|^goto |^\.\(goto\)|^assert|^printf|"
                   r"^\w+ = 0$|^(two_homes|lost_write|duplicated|stale_read|unserved|arrived|"
                   r"dropped_living|left_over|lost_row|resurrected|forgotten|unique_broken|digest_differs) =")


def names():
    """What spin's numbers for phases and modes mean: it counts each list from its end."""
    with open(os.path.join(HERE, SHARED), encoding="utf-8") as file:
        lists = re.findall(r"mtype = \{([^}]*)\}", file.read())
    return [name for found in lists for name in reversed(re.findall(r"\w+", found))]


def readable(text):
    known = names()
    return re.sub(r"((?:f_mode\[\w+\]|t_mode|phase|source|target)\s*==?\s*)(\d+)",
                  lambda match: match.group(1) + known[int(match.group(2)) - 1], text)


def show(row):
    folder = tempfile.mkdtemp(prefix="freehold-model-")
    try:
        build(row, folder, () if row.liveness else ("-DREACH",))
        shorten = [] if row.liveness else ["-i"]
        run(["./pan", *search_options(row), *shorten], folder, SECONDS_MAX)
        replay = run(["spin", "-t", "-p", *row.flags, row.model + ".pml"], folder)
        for line in replay.stdout.splitlines():
            step = STEP.match(line)
            if step and not NOISE.search(step.group(4)):
                print(f"    {step.group(2)}({step.group(1)})".ljust(20)
                      + step.group(3).ljust(18) + readable(step.group(4)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def selected(rows, names):
    if not names:
        return rows
    chosen = [row for row in rows if row.name in names]
    chosen = chosen or [row for row in rows
                        if row.name.startswith(tuple(name + mark for name in names
                                                     for mark in "._"))]
    if not chosen:
        sys.exit("no such check; there are: " + " ".join(row.name for row in rows))
    return chosen


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--show", action="store_true")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    rows = rows_of(os.path.join(HERE, "checks.txt"))
    faults = list(table_faults(rows))
    for fault in faults:
        print("FAIL  checks.txt: " + fault)
    passed, failed = 0, len(faults)
    chosen = selected(rows, options.names)
    with concurrent.futures.ThreadPoolExecutor(max(1, options.jobs)) as pool:
        for row, verdict, states, depth, seconds in pool.map(check, chosen):
            print(f"{'FAIL' if verdict else 'ok':5} {row.name:20} {row.outcome:15} "
                  f"{states:9} states  depth {depth:4}  {seconds:5.1f} s", flush=True)
            if verdict:
                failed += 1
                print("      " + verdict.strip().replace("\n", "\n      "))
            else:
                passed += 1
            if options.show and not row.holds:
                show(row)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
