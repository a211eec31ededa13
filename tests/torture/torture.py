"""Moves under fire: `./dev torture`.

One run: a new tenant with a load on both servers, a move from one home to another (of any tier, in the
same store or another one), and one thing that goes wrong in it: the mover is killed, or stopped and
woken too late, at a named step, also inside an engine that makes or drops a home; a server or a
database is killed or frozen; a connection is cut or slow; a new version of the schema comes. Then the
move must come to its end all by itself, exactly one home must be open, at the newest version, every
record must read as the clients' history demands, every acknowledged request must have one audit
event, and the stores must hold nothing but that home. Then the tenant is deleted, and they must hold nothing.

The last lines are the counts: lost, duplicated, resurrected, foreign, failed, stuck, left.
"""

import argparse
import collections
import itertools
import os
import pathlib
import random
import signal
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "lib/python"))
sys.path.insert(0, str(pathlib.Path(__file__).parent))

import faults  # noqa: E402
import grpc  # noqa: E402
import homes  # noqa: E402
from checker import check  # noqa: E402
from freehold_testing import stubs  # noqa: E402
from freehold_testing.process import until  # noqa: E402
from load import Load  # noqa: E402
from world import World  # noqa: E402

m = stubs.move_admin
t = stubs.tenant_admin
LATE_TRIES = 300  # of 100 ms
SETTLED_TRIES = 9000  # of 10 ms: a move that takes longer is stuck
OPERATOR_TRIES = 50
CRASHED = 137
PATIENCE_S = 90
# Steps that only a claim after a crash comes by: another mover is killed first, here.
AFTER_A_CRASH = {
    "look": ("move.switch", "move.freeze.done"),
    "target_read": ("move.copy_apply.done", "move.switch.done"),
    "target_set": ("move.copy_apply.done", "move.final_apply.done"),
    "state_read": ("move.copy_read.done", "move.round_view.done"),
    "reset": ("move.start_view", "move.create.done"),
}
CALLED_OFF = {"erase_target"}
WORDS = ("lost", "duplicated", "resurrected", "foreign", "failed", "stuck", "left", "order")
DONE = m.MovePhase.MOVE_PHASE_DONE
ENDED = {DONE, m.MovePhase.MOVE_PHASE_CANCELLED, m.MovePhase.MOVE_PHASE_FAILED}


def tier(home):
    return t.Placement.Tier.Value(f"TIER_{home.tier.upper()}")


class Run:
    """One run; `fault` is (kind, ...)."""

    def __init__(self, world, number, pair, fault, rows, bug=None):
        self.world = world
        self.number = number
        self.source, self.target = pair
        self.fault = fault
        self.rows = rows
        self.rng = random.Random(f"{number}-{fault}")
        self.env = {"FREEHOLD_SEED_BUG": bug} if bug else {}
        self.faults = []
        self.reached = False  # the fault took place
        self.rolls = False

    def name(self):
        return f"{self.source}->{self.target} {' '.join(map(str, self.fault))}"

    # The move

    def moves(self):
        return self.world.servers[0].moves

    def start_move(self):
        request = m.StartMoveRequest(
            tenant=f"tenants/{self.tenant}",
            target_store=f"stores/{self.target.store}",
            target_tier=tier(self.target),
            reason="torture",
            request_id=f"run-{self.number}",
        )
        request.settings.duty_percent = 100
        self.move = self.moves().StartMove(request).move.name

    def look(self):
        """The move, or None while the catalog is away."""
        try:
            return self.moves().GetMove(m.GetMoveRequest(name=self.move), timeout=5)
        except grpc.RpcError:  # whatever it is, it is asked again
            return None

    def has_ended(self):
        move = self.look()
        return move is not None and move.phase in ENDED

    def await_end(self):
        """True when it ended."""
        for _ in range(SETTLED_TRIES):
            move = self.look()
            if move is not None and move.phase in ENDED:
                self.end = move
                return True
            time.sleep(0.01)
        self.end = self.look()
        return False

    def await_progress(self):
        """Until the move is somewhere between its beginning and a random phase; or has ended."""
        wanted = self.rng.randrange(2, 8)
        until(
            lambda: (found := self.look()) is not None and found.phase >= wanted,
            "the move's progress",
        )

    # What goes wrong

    def hurt_mover(self, kind, point):
        """Killed (or stopped) at a step; another takes over; a stopped one wakes while that one is at
        work or when all is over."""
        variable = "FREEHOLD_CRASH_AT" if kind == "kill" else "FREEHOLD_STOP_AT"
        step = point.split(".")[1]
        if step in AFTER_A_CRASH:
            before = self.world.mover(
                {**self.env, "FREEHOLD_CRASH_AT": self.rng.choice(AFTER_A_CRASH[step])}
            )
            before.await_ready()
            self.start_move()
            assert before.await_ended() == CRASHED, before.log()[-4000:]
        first = self.world.mover({**self.env, variable: point})
        first.await_ready()
        if step not in AFTER_A_CRASH:
            self.start_move()
        if step in CALLED_OFF:
            self.call_off()
        until(
            lambda: first.process.poll() is not None
            or (kind == "stop" and first.is_stopped())
            or self.has_ended(),
            f"{point} or the end",
        )
        if kind == "kill":
            self.reached = first.process.poll() is not None
            assert not self.reached or first.await_ended() == CRASHED, first.log()[-4000:]
        else:
            self.reached = first.is_stopped()
        self.world.mover(self.env).await_ready()
        if kind == "stop" and self.reached:
            wake_early = self.rng.random() < 0.5
            if wake_early:
                time.sleep(self.rng.random() * 0.8)
                first.signal(signal.SIGCONT)
            ended = self.await_end()
            if not wake_early:
                first.signal(signal.SIGCONT)
            return ended
        return self.await_end()

    def hurt_engine(self, kind, point, before=None, undo=False):
        """Killed, or stopped for a while, inside an engine: it may hold a home's lock, so it is always
        woken. `before`: where another is killed first, `undo`: whose move is called off then."""
        if before:
            first = self.world.mover({**self.env, "FREEHOLD_CRASH_AT": before})
            first.await_ready()
            self.start_move()
            assert first.await_ended() == CRASHED, first.log()[-4000:]
            if undo:
                self.call_off()
        variable = "FREEHOLD_CRASH_AT" if kind == "kill" else "FREEHOLD_STOP_AT"
        mover = self.world.mover({**self.env, variable: point})
        mover.await_ready()
        if not before:
            self.start_move()
        until(
            lambda: mover.process.poll() is not None or mover.is_stopped() or self.has_ended(),
            f"{point} or the end",
        )
        self.reached = mover.process.poll() is not None or mover.is_stopped()
        self.world.mover(self.env).await_ready()
        if kind == "stop" and self.reached:
            time.sleep(self.rng.random() * 1.5)
            mover.signal(signal.SIGCONT)
        return self.await_end()

    def undo(self, kind, point):
        return self.hurt_engine(kind, point, before="move.copy_apply.done", undo=True)

    def late(self):
        """A mover sleeps before it makes the target's home; the move is called off by another; then it wakes."""
        first = self.world.mover({**self.env, "FREEHOLD_STOP_AT": "move.create"})
        first.await_ready()
        self.start_move()
        until(first.is_stopped, "move.create")
        self.call_off()
        self.world.mover(self.env).await_ready()
        ended = self.await_end()
        first.signal(signal.SIGCONT)
        self.reached = True
        time.sleep(0.5)  # it makes the home meanwhile, or does so later: that is the next run's
        for _ in range(LATE_TRIES):  # to make it took a while, and so does making it go again
            if not self.target.things(self.tenant) & self.world.things():
                break
            time.sleep(0.1)
        return ended

    def roll_out(self, how, point):
        """A new version of the schema comes while the mover stands at a step; then it goes on, or another does."""
        first = self.world.mover({**self.env, "FREEHOLD_STOP_AT": point})
        first.await_ready()
        self.start_move()
        until(lambda: first.is_stopped() or self.has_ended(), f"{point} or the end")
        self.reached = first.is_stopped()
        self.world.begin_rollout()
        self.rolls = True
        time.sleep(self.rng.random() * 0.6)
        if how == "killed":
            first.kill()
            self.world.mover(self.env).await_ready()
        else:
            first.signal(signal.SIGCONT)
        return self.await_end()

    def overlap(self, early, late):
        """One mover sleeps at a step; another takes over and sleeps further on, while clients write to what it
        has opened again; then the first wakes, and then the second: two that both believe."""
        first = self.world.mover({**self.env, "FREEHOLD_STOP_AT": early})
        first.await_ready()
        self.start_move()
        until(lambda: first.is_stopped() or self.has_ended(), f"{early} or the end")
        second = self.world.mover({**self.env, "FREEHOLD_STOP_AT": late})
        second.await_ready()
        until(lambda: second.is_stopped() or self.has_ended(), f"{late} or the end")
        self.reached = first.is_stopped() and second.is_stopped()
        first.signal(signal.SIGCONT)
        time.sleep(0.05 + self.rng.random() * 0.1)
        second.signal(signal.SIGCONT)
        return self.await_end()

    def hurt_server(self, kind):
        """The second server dies and comes back, or sleeps with a stale placement."""
        self.world.mover(self.env).await_ready()
        victim = self.world.servers[1]
        self.load.hurting.set()
        self.start_move()
        self.await_progress()
        self.reached = True
        if kind == "kill":
            victim.kill()
            victim.start()
        else:
            victim.process.send_signal(signal.SIGSTOP)
            time.sleep(self.rng.random())
            victim.process.send_signal(signal.SIGCONT)
        return self.await_end()

    def hurt_postgres(self, kind, name):
        self.world.mover(self.env).await_ready()
        cluster = self.world.clusters[name]
        self.load.hurting.set()
        self.start_move()
        self.await_progress()
        self.reached = True
        if kind == "kill":
            cluster.kill()
            cluster.start()
        else:
            cluster.freeze()
            time.sleep(self.rng.random() * 2)
            cluster.thaw()
        return self.await_end()

    def hurt_network(self, kind, name):
        self.world.mover(self.env).await_ready()
        relay = self.world.relays[name]
        self.load.hurting.set()
        self.start_move()
        self.await_progress()
        self.reached = True
        if kind == "cut":
            for _ in range(3):
                relay.drop()
                time.sleep(self.rng.random() * 0.2)
        else:
            relay.hold_replies()
            time.sleep(self.rng.random() * 1.5)
            relay.replies.set()
        return self.await_end()

    def hurt_nobody(self):
        self.world.mover(self.env).await_ready()
        self.start_move()
        self.reached = True
        return self.await_end()

    def call_off(self):
        """Somewhere; or too late, which is refused and changes nothing. True: it was in time."""
        for _ in range(OPERATOR_TRIES):
            try:
                self.moves().CancelMove(m.CancelMoveRequest(name=self.move, reason="torture"))
                return True
            except grpc.RpcError as error:
                if error.code() == grpc.StatusCode.FAILED_PRECONDITION:
                    return False
                # A mover that sleeps may hold the move's row until the catalog ends its transaction.
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise
        raise AssertionError("the move cannot be called off")

    def cancel(self):
        self.world.mover(self.env).await_ready()
        self.start_move()
        self.await_progress()
        self.reached = self.call_off()
        return self.await_end()

    # The judgement

    def judge(self, ended):
        if not ended:
            text = f"phase {self.end.phase if self.end else '?'}: {self.end.message if self.end else ''}"
            self.faults.append(("stuck", text))
            return
        home = self.target if self.end.phase == DONE else self.source
        found = self.world.homes(self.tenant)
        if found != {home: (2 if self.end.phase == DONE else 1, "open", str(self.world.version))}:
            told = {str(one): what for one, what in found.items()}
            self.faults.append(("stuck", f"homes {told}, the move ended as {self.end.phase}"))
        self.faults += [("left", text) for text in self.world.left_over(self.tenant, home)]
        if self.end.phase == m.MovePhase.MOVE_PHASE_FAILED:
            self.faults.append(("failed", f"the move: {self.end.message}"))
        self.load.hurting.clear()
        self.load.read_back()
        still = [r for r in self.load.rows("items") if "still-" in r.name]
        if len(still) != self.rows:
            self.faults.append(("lost", f"{len(still)} of {self.rows} untouched records"))
        columns = {frozenset(r.fields) for r in still}
        extra = {self.world.extra()} - {None}
        if columns != {frozenset({"id", "body"} | extra)}:
            self.faults.append(("lost", f"columns {columns}"))
        for found in check(self.load.history, {self.tenant: self.request_ids()}):
            self.faults.append((found.word, str(found)))
        for method, answer in self.load.failed:
            self.faults.append(("failed", f"{method}: {answer}"))

    def forget(self):
        """The tenant's end: nothing of it is left."""
        name = f"tenants/{self.tenant}"
        for _ in range(OPERATOR_TRIES):
            try:
                self.world.servers[0].tenants.DeleteTenant(t.DeleteTenantRequest(name=name))
                break
            except grpc.RpcError as error:
                last = f"DeleteTenant: {error.code().name} {error.details()}"
                # The other server may have finished what this one began.
                if error.code() not in (grpc.StatusCode.ABORTED, grpc.StatusCode.UNAVAILABLE):
                    self.faults.append(("failed", last))
                    return
        else:
            self.faults.append(("failed", last))
            return
        self.faults += [("left", text) for text in self.world.left_over(self.tenant, None)]

    def request_ids(self):
        server = self.world.servers[0]
        audit = server.audit(self.tenant)
        found, token = [], ""
        while True:
            request = stubs.audit.ListEventsRequest(page_size=200, page_token=token)
            page = audit.ListEvents(request)
            found += [event.request_id for event in page.events if event.request_id]
            token = page.next_page_token
            if not token:
                return found

    def run(self):
        server = self.world.servers[0]
        request = t.CreateTenantRequest(
            tenant=t.Tenant(slug=f"t-{os.getpid()}-{self.number}"),
            store=f"stores/{self.source.store}",
            tier=tier(self.source),
        )
        self.tenant = server.tenants.CreateTenant(request).uid
        token = server.tenant_token(self.tenant, "writer")
        self.load = Load(self.world.servers, self.tenant, token, self.number)
        self.load.prepare(self.rows)
        self.load.start()
        kind = self.fault[0]
        ended = False
        try:
            ended = {
                "mover": self.hurt_mover,
                "engine": self.hurt_engine,
                "undo": self.undo,
                "late": self.late,
                "rollout": self.roll_out,
                "overlap": self.overlap,
                "server": self.hurt_server,
                "postgres": self.hurt_postgres,
                "network": self.hurt_network,
                "nobody": self.hurt_nobody,
                "cancel": self.cancel,
            }[kind](*self.fault[1:])
            time.sleep(0.1)  # some more load on the new home
        finally:
            self.load.stop(PATIENCE_S)
            if not ended:
                self.world.keep_logs()
        if self.rolls and (why := self.world.await_rollout()):
            self.faults.append(("stuck", f"the rollout: {why}"))
        self.judge(ended)
        if ended:
            self.forget()
        if self.faults:
            self.world.keep_logs()
        self.world.forget_movers()
        return self.faults


BUGS = {
    # What the mover leaves out, and under which fault that must show.
    "skip_drain": ("nobody",),
    "skip_fence": ("nobody",),
    "sequence_cursor": ("nobody",),
    "journal_left_behind": ("nobody",),
    "chunk_after_delete": ("nobody",),
    "no_generation": ("overlap", "move.final_apply", "move.freeze"),
}


class Tally:
    def __init__(self):
        self.counts = collections.Counter()
        self.done = self.bad = self.reached = self.requests = 0
        self.longest_s = 0.0

    def add(self, run, found):
        self.done += 1
        self.bad += bool(found)
        self.reached += run.reached
        self.requests += sum(run.load.codes.values())
        self.longest_s = max(self.longest_s, run.load.longest_s)
        for word, _ in found:
            self.counts[word] += 1

    def tell(self):
        print(
            f"\n{self.done} runs, the fault took place in {self.reached}; {self.requests} requests, "
            f"the longest {self.longest_s:.2f} s"
        )
        print(", ".join(f"{word} {self.counts[word]}" for word in WORDS))


def one(world, tally, run, title):
    started = time.monotonic()
    found = run.run()
    tally.add(run, found)
    for word, text in found:
        print(f"  {word}: {text}"[:600], flush=True)
    print(
        f"{'FAIL' if found else 'ok':5}{title} {run.name():64} {time.monotonic() - started:5.1f} s  "
        f"{len(run.load.history.calls)} calls{'' if run.reached else '  (not reached)'}",
        flush=True,
    )
    return found


def torture(world, options):
    faults.check_engine_points(options.source)
    runs = faults.Plan(options.seed, faults.move_points(options.source)).runs(options.runs)
    if options.fault:
        runs = [(pair, tuple(options.fault.split())) for pair, _ in runs]
    if options.pair:
        runs = [(tuple(map(homes.Home.parse, options.pair.split(":"))), fault) for _, fault in runs]
    tally = Tally()
    begun = time.monotonic()
    for number, (pair, fault) in enumerate(runs):
        if options.seconds and time.monotonic() - begun > options.seconds:
            break
        run = Run(world, number, pair, fault, options.rows, options.bug)
        if one(world, tally, run, f"{number + 1:4}/{len(runs)}"):
            run.load.history.write(world.keep() / f"history-{number}.ndjson")
    tally.tell()
    print(f"{tally.done - tally.bad} passed, {tally.bad} failed")
    return 1 if tally.bad or not tally.done else 0


def seeded_bugs(world, options):
    """Each bug must be found within options.runs; what finds it is what is printed."""
    found = missed = 0
    numbers = itertools.count(10_000)
    for bug, fault in BUGS.items():
        tally = Tally()
        # Another store: what stays in one may go within it, where there is nothing to forget.
        pairs = itertools.cycle(pair for pair in homes.pairs() if pair[0].store != pair[1].store)
        for number in range(options.runs):
            run = Run(world, next(numbers), next(pairs), fault, options.rows, bug)
            if one(world, tally, run, f"{bug} {number + 1}"):
                break
        caught = tally.bad > 0
        found += caught
        missed += not caught
        print(f"{'caught' if caught else 'MISSED'} {bug} after {tally.done} runs\n", flush=True)
    print(f"{found} passed, {missed} failed")
    return 1 if missed else 0


def main():
    parser = argparse.ArgumentParser(prog="./dev torture", description=__doc__)
    parser.add_argument("--runs", type=int, default=300, help="0: every pair with every fault")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rows", type=int, help="records that nobody touches (300; bugs: 3000)")
    parser.add_argument("--pair", help="source:target, as in pga.schema:sqb.database")
    parser.add_argument("--fault", help="its words, as a run prints them")
    parser.add_argument("--bug", help="a seeded bug of the mover")
    parser.add_argument("--bugs", action="store_true", help="all of them, each must be found")
    parser.add_argument("--seconds", type=int, default=0, help="begin no run after so many")
    parser.add_argument("--source", default=".", help="the sources")
    options = parser.parse_args()
    if options.rows is None:  # bugs want a move that lasts
        options.rows = 3000 if options.bugs or options.bug else 300
    world = World()
    try:
        return seeded_bugs(world, options) if options.bugs else torture(world, options)
    finally:
        world.close()


if __name__ == "__main__":
    threading.excepthook = lambda args: (sys.__excepthook__(*args[:3]), os._exit(3))
    sys.exit(main())
