"""`freehold move`: starting, watching, reading and calling off moves; what is said when one is refused."""

import re
import signal

import pytest
from freehold_testing.process import until

from command import OK, REFUSED, USAGE
from conftest import command_of, new_name

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
NOBODY = "01a1fbd4-f500-7000-8000-000000000000"


@pytest.fixture(scope="session")
def second(folder, server):
    """Another SQLite store."""
    command_of(folder, server).json("store", "add", "second", "--engine", "sqlite", "--location", "second")
    return "second"


@pytest.fixture
def filled(freehold, second, folder):
    """A tenant in `local` with 300 records; its slug."""
    slug = freehold.json("tenant", "create", new_name("moved"))["slug"]
    rows = folder / f"{slug}.csv"
    rows.write_text("id,note\n" + "".join(f"k{n},note {n}\n" for n in range(300)))
    freehold("data", "import", "things", rows, "--tenant", slug, "--insert", "--quiet")
    return slug


def slow(freehold, slug, *words):
    """A move that rests for a minute behind its first page, unless it is told to pause or to end."""
    return freehold.json("move", "start", slug, "--to", "second", "--rate", "1", *words)


def name_of(move):
    return move["name"].removeprefix("moves/")


def state(freehold, move):
    return freehold.json("move", "show", name_of(move))


def await_rows(freehold, move):
    until(
        lambda: state(freehold, move)["progress"]["rowsCopied"] > 0,
        "the first rows",
        tries=600,
    )


def test_start_and_watch(freehold, filled, store):
    to = "pg" if store == "pg" else "second"
    # On a machine that is busy a switch may take its time; one that is called off has its phases twice.
    result = freehold("move", "start", filled, "--to", to, "-w", "--reason", "why", "--max-pause", "30s")
    rows = dict(row for row in result.rows if len(row) == 2)
    assert UUID.fullmatch(rows["move"]) and UUID.fullmatch(rows["tenant"])
    assert (rows["from"], rows["to"], rows["phase"]) == ("local", to, "done")
    assert rows["rows copied"] == "300" and rows["reason"] == "why" and rows["asked for by"]
    assert rows["writes held"].endswith("ms") or rows["writes held"].endswith("s")
    assert freehold.json("tenant", "show", filled)["placement"]["epoch"] == 2
    assert freehold.json("data", "get", "things", "k299", "--tenant", filled)["fields"]["note"] == "note 299"
    # Without a terminal, a line for each phase.
    phases = [line.partition(":")[0].partition(";")[0] for line in result.err.splitlines()]
    assert phases[-1] == "done" and len(phases) == len(set(phases))


def test_start_as_json(freehold, filled):
    move = freehold.json(
        "move", "start", f"tenants/{filled}", "--to", "stores/second", "--max-pause", "2s", "--rate", "5000",
        "--duty", "90", "--reason", "why",
    )  # fmt: skip
    assert UUID.fullmatch(name_of(move)) and move["sourceStore"] == "stores/local"
    assert move["phase"] == "MOVE_PHASE_PLANNED" and move["wish"] == "MOVE_WISH_RUN"
    assert move["settings"] == {"maxPause": "2s", "rowsPerSecondMax": 5000, "dutyPercent": 90}
    watched = freehold.json("move", "watch", name_of(move))
    assert watched["phase"] == "MOVE_PHASE_DONE" and watched["name"] == move["name"]
    assert freehold.json("move", "show", move["name"]) == watched
    lines = freehold("move", "watch", name_of(move), "-o", "ndjson").lines
    assert [line["phase"] for line in lines] == ["MOVE_PHASE_DONE"]


def test_start_is_repeatable(freehold, filled):
    first = freehold.json("move", "start", filled, "--to", "second", "--request-id", filled)
    assert freehold.json("move", "start", filled, "--to", "second", "--request-id", filled)["name"] == first["name"]
    assert freehold.json("move", "watch", name_of(first))["phase"] == "MOVE_PHASE_DONE"


def test_plan(freehold, filled):
    rows = dict(row for row in freehold("move", "plan", filled, "--to", "second").rows if len(row) == 2)
    assert (rows["from"], rows["rows"], rows["would be refused"]) == ("local", "300", "no")
    plan = freehold.json("move", "plan", filled, "--to", "second")
    assert plan["rows"] == 300 and plan["refusal"] == "" and plan["pausePredicted"].endswith("s")
    result = freehold("move", "plan", filled, "--to", "local", code=REFUSED)
    assert dict(row for row in result.rows if len(row) == 2)["would be refused"] == (
        "the tenant lives in that store and tier already"
    )
    assert freehold.json("move", "list", "--of", filled)["moves"] == []


def test_list_show_events(freehold, filled):
    move = freehold.json("move", "start", filled, "--to", "second", "--reason", "bigger disks")
    freehold("move", "watch", name_of(move))
    back = freehold.json("move", "start", filled, "--to", "local")
    freehold("move", "watch", name_of(back))
    listed = freehold.json("move", "list", "--of", filled)
    assert [one["name"] for one in listed["moves"]] == [back["name"], move["name"]]
    assert freehold.json("move", "list", "--of", filled, "--unfinished")["moves"] == []
    head, *lines = freehold("move", "list", "--of", filled).rows
    assert head == ["MOVE", "TENANT", "FROM", "TO", "PHASE", "ROWS", "PAUSE", "CREATED", "MESSAGE"]
    assert [line[2:6] for line in lines] == [["second", "local", "done", "300"], ["local", "second", "done", "300"]]
    paged = freehold("move", "list", "--of", filled, "-a", "--page-size", "1", "-o", "ndjson").lines
    assert [one["name"] for one in paged] == [back["name"], move["name"]]
    assert len(freehold.json("move", "list", "--limit", "1")["moves"]) == 1
    events = freehold("move", "events", name_of(move), "-a", "-o", "ndjson").lines
    assert events[0]["action"] == "move.create" and events[0]["reason"] == "bigger disks"
    assert [one["action"] for one in events].count("move.switch") == 1
    head, *lines = freehold("move", "events", name_of(move)).rows
    assert head == ["TIME", "ACTION", "ACTOR", "REASON", "DETAIL"]
    assert [line[1] for line in lines] == [one["action"] for one in events]


def test_pause_resume_cancel(freehold, filled):
    move = slow(freehold, filled)
    await_rows(freehold, move)
    assert freehold.json("move", "pause", name_of(move), "--reason", "noon")["wish"] == "MOVE_WISH_PAUSE"
    until(lambda: state(freehold, move)["message"] == "paused", "the rest", tries=600)
    assert freehold.json("move", "resume", move["name"])["wish"] == "MOVE_WISH_RUN"
    watching = freehold.start("move", "watch", name_of(move))
    assert "phase" in freehold("move", "cancel", name_of(move), "--reason", "after all").out
    result = watching.end(REFUSED)  # a move that did not reach its end is no success
    assert "cancelled" in result.out
    for word in ("pause", "resume", "cancel"):
        refusal = freehold.refused("move", word, name_of(move))
        assert refusal["status"] == "FAILED_PRECONDITION" and refusal["message"] == "the move is cancelled"
    assert freehold.json("tenant", "show", filled)["placement"]["store"] == "stores/local"
    reasons = {one["reason"] for one in freehold("move", "events", name_of(move), "-a", "-o", "ndjson").lines}
    assert {"noon", "after all"} <= reasons


def test_watch_may_be_left(freehold, filled):
    """The move goes on without whoever watched it."""
    move = slow(freehold, filled)
    watching = freehold.start("move", "watch", name_of(move))
    await_rows(freehold, move)
    watching.process.send_signal(signal.SIGINT)
    watching.end(None)
    assert state(freehold, move)["phase"] not in ("MOVE_PHASE_CANCELLED", "MOVE_PHASE_CANCELLING")
    freehold("move", "cancel", name_of(move))


def test_refusals(freehold, filled):
    refusal = freehold.refused("move", "start", "no-such", "--to", "second")
    assert (refusal["status"], refusal["reason"]) == ("NOT_FOUND", "TENANT_NOT_FOUND")
    assert "freehold tenant list" in refusal["next"]
    refusal = freehold.refused("move", "start", filled, "--to", "no-such")
    assert refusal["violations"][0]["field"] == "target_store" and "no store 'no-such'" in refusal["message"]
    refusal = freehold.refused("move", "start", filled, "--to", "local")
    assert refusal["status"] == "FAILED_PRECONDITION"
    assert refusal["message"] == "the tenant lives in store local in the tier 'shared' already"
    move = slow(freehold, filled)
    refusal = freehold.refused("move", "start", filled, "--to", "second")
    assert (refusal["status"], refusal["message"]) == ("ALREADY_EXISTS", "the tenant is being moved already")
    assert freehold.refused("tenant", "delete", filled, "--yes")["status"] == "FAILED_PRECONDITION"
    freehold("move", "cancel", name_of(move))
    for word in ("show", "watch", "pause", "resume", "cancel"):
        assert freehold.refused("move", word, NOBODY)["status"] == "NOT_FOUND"
        assert freehold.refused("move", word, "nonsense")["violations"][0]["field"] == "name"
    assert freehold.refused("move", "list", "--page-token", "nonsense")["status"] == "INVALID_ARGUMENT"
    assert freehold.refused("move", "list", "--of", "no-such")["reason"] == "TENANT_NOT_FOUND"


@pytest.mark.parametrize(
    "words, said",
    [
        (["start", "acme"], "--to STORE is needed"),
        (["start", "acme", "--to", "x", "--max-pause", "soon"], "--max-pause"),
        (["start", "acme", "--to", "x", "--max-pause", "61s"], "--max-pause"),
        (["start", "acme", "--to", "x", "--max-pause", "-1"], "--max-pause"),
        (["start", "acme", "--to", "x", "--rate", "-1"], "--rate"),
        (["start", "acme", "--to", "x", "--duty", "0"], "--duty"),
        (["start", "acme", "--to", "x", "--duty", "101"], "--duty"),
        (["start"], "TENANT"),
        (["watch"], "MOVE"),
        (["plan", "acme", "--to", "x", "--watch"], "'watch'"),
    ],
)
def test_usage(freehold, words, said):
    assert said in freehold("move", *words, code=USAGE).err


def test_help(freehold):
    assert re.search(r"^  start +TENANT  ", freehold("move", "--help", code=OK).out, re.MULTILINE)
