"""An import while its server, its store or the command itself is killed: at the end the records equal the file.

The faults come when a certain row is on its way, not after some time.
"""

import csv
import os
import re
import signal
import threading

import pytest
from freehold_testing import PATIENCE
from freehold_testing.postgres import Cluster
from freehold_testing.process import until
from freehold_testing.server import Server

from command import REFUSED, UNKNOWN, UNREACHABLE, Command
from conftest import add_pg, command_of, events, new_name, new_tenant, records

BATCH = 500
# How long a command goes on trying: far above what one commit takes on a slow machine under
# sanitizers, since a commit that is late would stop the import before its fault.
GIVES_UP = "10s"


def make_rows(path, count):
    """The file, and what must be in the store: key to the other fields."""
    wanted = {f"k{n:05}": (n * 7919 - 2**40, f'row "{n}", ü' + "x" * (n % 40)) for n in range(count)}
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "big", "note"])
        writer.writerows((key, *fields) for key, fields in wanted.items())
    return path, wanted


@pytest.fixture(scope="session")
def many(folder):
    return make_rows(folder / "many.csv", 30_000)


@pytest.fixture(scope="session")
def some(folder):
    return make_rows(folder / "some.csv", 10_000)


@pytest.fixture(scope="session")
def own_cluster(folder):
    """Killed here."""
    cluster = Cluster(folder / "own-postgres")
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def hurt(folder, migrations, own_cluster):
    """The server that is killed; on PostgreSQL that is killed."""
    server = Server(folder / "hurt")
    try:
        freehold = command_of(folder, server)
        freehold("schema", "apply", migrations)
        add_pg(freehold, own_cluster)
        yield server
    finally:
        server.close()


@pytest.fixture
def far(folder, hurt, store, relay):
    """The relay before the tenants' listener; a tenant's command that goes through it; and one that goes straight."""
    straight = command_of(folder, hurt)
    straight = straight.but(FREEHOLD_TENANT=new_tenant(straight, store)["uid"])
    between = relay(lambda: hurt.tenant_port)
    return between, Command(straight.folder, **straight.env, FREEHOLD_ADDRESS=f"127.0.0.1:{between.port}"), straight


def kill(server):
    """From another thread than the test's, which then forgets the process."""
    os.kill(server.process.pid, signal.SIGKILL)


def check(freehold, wanted):
    """Each row once, each commit once."""
    found = {}
    for one in records(freehold, "things"):
        fields = one["fields"]
        assert fields["id"] not in found
        found[fields["id"]] = (fields["big"], fields["note"])
    assert found == wanted
    trail = events(freehold)
    assert len({event["requestId"] for event in trail}) == len(trail) == len(wanted) // BATCH
    changed = [change["recordName"].rpartition("/")[2] for event in trail for change in event["changes"]]
    assert len(changed) == len(wanted) and set(changed) == set(wanted)
    assert all("before" not in change for event in trail for change in event["changes"])


def test_server_killed_and_started_again(far, hurt, many):
    """The command goes on by itself. Behind the first commits, which fill its window: until a server
    has answered at all, it is taken for one that is not there."""
    path, wanted = many
    between, through, straight = far
    for row in (b"k06000", b"k15000", b"k24000"):
        between.trap(row, lambda: kill(hurt))
    run = through.start("data", "import", "things", path, "-o", "json")
    for _ in range(3):
        between.await_trap()
        hurt.kill()
        hurt.start()
    told = run.end().json
    assert (told["rows"], told["errors"], told["commits"]) == (len(wanted), 0, len(wanted) // BATCH)
    check(straight, wanted)


def test_server_killed_and_the_command_run_again(far, hurt, some):
    path, wanted = some
    between, through, straight = far
    between.trap(b"k06500", lambda: kill(hurt))
    run = through.start("data", "import", "things", path, "-o", "json", "--timeout", GIVES_UP)
    between.await_trap()
    stopped = run.end(UNREACHABLE)
    assert 0 <= stopped.json["rows"] < len(wanted)
    hurt.kill()
    hurt.start()
    told = through.json("data", "import", "things", path)
    assert told["rows"] == len(wanted) and told["replayedRows"] >= stopped.json["rows"]
    assert told["replayedRows"] < len(wanted)
    check(straight, wanted)
    assert through.json("data", "import", "things", path)["replayedRows"] == len(wanted)
    assert len(events(straight)) == len(wanted) // BATCH


def test_command_killed_and_run_again(far, some):
    path, wanted = some
    between, through, straight = far
    run = None
    between.trap(b"k06500", lambda: run.process.send_signal(signal.SIGKILL))
    run = through.start("data", "import", "things", path)
    between.await_trap()
    run.kill()
    told = through.json("data", "import", "things", path)
    assert told["rows"] == len(wanted) and 0 < told["replayedRows"] < len(wanted)
    check(straight, wanted)


@pytest.mark.parametrize("store", ["pg"])
def test_postgres_killed(far, own_cluster, some, store):
    """And started again: the command goes on by itself."""
    path, wanted = some
    between, through, straight = far
    started = threading.Event()
    between.trap(b"k06000", own_cluster.kill)
    between.trap(b"k08500", lambda: started.wait(PATIENCE) and own_cluster.kill())
    run = through.start("data", "import", "things", path, "-o", "json")
    for _ in range(2):
        between.await_trap()
        own_cluster.start()
        started.set()
    assert run.end().json["rows"] == len(wanted)
    check(straight, wanted)


@pytest.mark.parametrize("store", ["pg"])
def test_postgres_killed_and_the_command_run_again(far, own_cluster, some, store):
    path, wanted = some
    between, through, straight = far
    between.trap(b"k06500", own_cluster.kill)
    run = through.start("data", "import", "things", path, "--timeout", GIVES_UP)
    between.await_trap()
    stopped = run.end(None)
    # The first that failed decides: whether its commit was made is unknown, or it never began.
    assert stopped.code in (REFUSED, UNREACHABLE, UNKNOWN), stopped
    assert "Running the same command again goes on" in stopped.err
    own_cluster.start()
    told = through.json("data", "import", "things", path)
    assert told["rows"] == len(wanted) and 0 < told["replayedRows"] < len(wanted)
    check(straight, wanted)


# One write whose outcome nobody can know


@pytest.fixture
def blind(folder, start, migrations, own_cluster, relay):
    """A server that reaches PostgreSQL through a relay, the relay, and a tenant's command."""
    database = new_name("blind").replace("-", "_")
    own_cluster.sql(f"create database {database} owner freehold_owner")
    between = relay(lambda: own_cluster.port)
    freehold = command_of(folder, start())
    freehold("schema", "apply", migrations)
    add_pg(freehold, own_cluster, database, between.port)
    between.database = database
    return between, freehold.but(FREEHOLD_TENANT=new_tenant(freehold, "pg")["uid"])


def await_row(own_cluster, between):
    """Until the commit is made; its answer is held back."""
    count = "select count(*) from fh_shared.things where id = 'marked-key'"
    until(lambda: int(own_cluster.sql(count, database=between.database)) == 1, "the row")


def test_outcome_unknown(blind, own_cluster):
    """The commit was made, its answer never came back, nor did PostgreSQL: 6, and repeating settles it."""
    between, freehold = blind
    freehold("data", "create", "things", "before")
    words = ["data", "create", "things", "marked-key", "note=once"]
    between.trap(b"marked-key", between.hold_replies)
    run = freehold.start(*words, "--timeout", GIVES_UP)
    between.await_trap()
    await_row(own_cluster, between)
    between.cut()
    said = run.end(UNKNOWN).err
    assert "reason: OUTCOME_UNKNOWN" in said and "with the same --request-id" in said
    (own,) = re.findall(r"this write: --request-id (\S+)", said)
    between.mend()
    made = freehold.json(*words, "--request-id", own)
    assert made["fields"]["note"] == "once"
    assert [one["fields"]["id"] for one in records(freehold, "things")] == ["before", "marked-key"]
    assert [event["requestId"] for event in events(freehold)].count(own) == 1


def test_outcome_unknown_and_soon_known(blind, own_cluster):
    """PostgreSQL is back at once: the command settles it by itself."""
    between, freehold = blind
    freehold("data", "create", "things", "before")
    between.trap(b"marked-key", between.hold_replies)
    run = freehold.start("data", "create", "things", "marked-key", "note=once", "-o", "json")
    between.await_trap()
    await_row(own_cluster, between)
    between.cut()
    between.mend()
    assert run.end().json["fields"]["note"] == "once"
    assert len(records(freehold, "things")) == len(events(freehold)) == 2
