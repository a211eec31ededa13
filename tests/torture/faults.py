"""What can go wrong in a move between two homes, and which of it a run of so many takes.

A fault is a tuple of words; its first says which method of Run (torture.py) makes it happen.
"""

import collections
import itertools
import pathlib
import random
import re

import homes

# Named points of the engines (fh_fault_point), where dedicated homes are made and dropped. `:n` is the
# nth time that it is passed.
CREATING = {
    ("pg", "schema"): ("pg.home.role", "pg.home.tables", "pg.home.committed"),
    ("pg", "database"): (
        *("pg.home.making", "pg.home.database", "pg.home.owned"),
        *("pg.home.role", "pg.home.inside", "pg.home.committed"),
    ),
    ("sqlite", "schema"): ("sqlite.home.tables", "sqlite.home.committed"),
    ("sqlite", "database"): ("sqlite.home.filled", "sqlite.home.named"),
}
ERASING = {
    ("pg", "schema"): ("pg.erase.sessions", "pg.erase.namespace", "pg.erase.committed"),
    ("pg", "database"): (
        *("pg.erase.fence", "pg.home.looked", "pg.erase.sessions"),
        *("pg.erase.renamed", "pg.erase.database"),
    ),
    ("sqlite", "schema"): ("sqlite.erase.table", "sqlite.erase.table:3"),
    ("sqlite", "database"): ("sqlite.erase.fence", "sqlite.erase.unnamed"),
}
# Passed only where a tenant's reader is in the way: tests/unit/stores_pg/test_tiers_readers.c goes there.
WITH_A_READER = {"pg.erase.kept_out", "pg.erase.reader"}
# Two movers at once: where the first sleeps, and where the one that took over does.
OVERLAP_EARLY = ("move.copy_apply", "move.round_apply", "move.final_apply", "move.close", "move.switch")
OVERLAP_LATE = ("move.verify_source", "move.freeze", "move.switch.done")
# Where a mover stands when a new version of the schema comes.
ROLLING = (
    *("move.create", "move.copy_apply", "move.copy_apply.done", "move.round_apply.done"),
    *("move.verify_source", "move.freeze", "move.final_apply", "move.switch", "move.switch.done"),
    *("move.open", "move.erase_source"),
)


def move_points(source):
    """The names in migrator/steps.h, before and behind each."""
    text = (pathlib.Path(source) / "migrator/steps.h").read_text(encoding="utf-8")
    names = re.findall(r"^    STEP\(\w+, (\w+)\)", text, re.MULTILINE)
    assert len(names) > 10, "migrator/steps.h is not read as it was"
    return [f"move.{name}{suffix}" for name in names for suffix in ("", ".done")]


def check_engine_points(source):
    """The tables above name every point that the engines have."""
    known = {point.partition(":")[0] for table in (CREATING, ERASING) for of in table.values() for point in of}
    known |= WITH_A_READER
    found = set()
    for path in pathlib.Path(source, "stores").glob("*/home*.c"):
        found |= set(re.findall(r'fh_fault_point\("([^"]+)"\)', path.read_text(encoding="utf-8")))
    assert found == known, f"the engines' points are others: {sorted(found ^ known)}"


def faults_of(pair, points):
    """Everything that can go wrong with a pair, in a fixed order."""
    source, target = pair
    yield ("nobody",)
    for point in points:
        if "copy_within" in point and not homes.goes_within(source, target):
            continue
        yield ("mover", "kill", point)
        yield ("mover", "stop", point)
    for kind in ("kill", "stop"):
        for point in (*CREATING.get(target.kind, ()), *ERASING.get(source.kind, ())):
            yield ("engine", kind, point)
        for point in ERASING.get(target.kind, ()):
            yield ("undo", kind, point)
    if target.tier != "shared":
        yield ("late",)
    for early, late in itertools.product(OVERLAP_EARLY, OVERLAP_LATE):
        yield ("overlap", early, late)
    away = [*sorted({home.store for home in pair if home.engine == "pg"}), "catalog"]
    for kind in ("kill", "freeze"):
        yield ("server", kind)
        for name in away:
            yield ("postgres", kind, name)
    for kind in ("cut", "slow"):
        for name in away:
            yield ("network", kind, name)
    for point in ROLLING:
        yield ("rollout", "on", point)
        yield ("rollout", "killed", point)
    yield ("cancel",)


def everything(points):
    return [(pair, fault) for pair in homes.pairs() for fault in faults_of(pair, points)]


class Plan:
    """Chooses runs evenly: kinds of faults in turn, of each kind the fault that was used least, and for it the
    pair whose homes, and which itself, were used least."""

    def __init__(self, seed, points):
        runs = everything(points)
        random.Random(seed).shuffle(runs)
        self.left = collections.defaultdict(lambda: collections.defaultdict(list))
        for pair, fault in runs:
            self.left[fault[0]][fault].append(pair)
        self.uses = collections.Counter()

    def cost(self, pair):
        source, target = pair
        return self.uses[("from", source.kind)] + self.uses[("to", target.kind)], self.uses[pair]

    def take(self, kind):
        fault = min(self.left[kind], key=lambda one: self.uses[one])
        pairs = self.left[kind][fault]
        pair = min(pairs, key=self.cost)
        pairs.remove(pair)
        if not pairs:
            del self.left[kind][fault]
            if not self.left[kind]:
                del self.left[kind]
        source, target = pair
        self.uses.update([fault, pair, ("from", source.kind), ("to", target.kind)])
        return pair, fault

    def runs(self, count):
        """So many, or with 0 all there are."""
        out = []
        while self.left and (count == 0 or len(out) < count):
            for kind in list(self.left):
                out.append(self.take(kind))
        return out[:count] if count else out
