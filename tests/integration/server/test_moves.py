"""Moves of live tenants, as operators and tenants see them: between SQLite and PostgreSQL, under load."""

import pytest
from freehold_testing import PATIENCE, stubs
from freehold_testing.process import until
from freehold_testing.refusal import refused
from freehold_testing.server import Service
from google.protobuf import duration_pb2

from conftest import create, get, new_slug, prepare
from load import Load

m = stubs.move_admin
t = stubs.tenant_admin
PHASE = m.MovePhase
ENDED = {PHASE.MOVE_PHASE_DONE, PHASE.MOVE_PHASE_CANCELLED, PHASE.MOVE_PHASE_FAILED}
SECOND = "second"
# One writer at two records: they serialize, so ABORTED is the store's word and no failure.
UNDISTURBED = frozenset({"ABORTED"})
# No clock decides a test: on a machine that is busy a switch may take its time.
FAST = m.MoveSettings(duty_percent=100, max_pause=duration_pb2.Duration(seconds=30))
# Rests for a minute behind the first page (of 200 rows), unless it is told to pause or to end: it is
# still under way when the test comes to it, however long that took.
SLOW = m.MoveSettings(rows_per_second_max=1)
PAIRS = [("local", "pg"), ("pg", "local"), ("local", SECOND)]


@pytest.fixture(scope="session")
def server(server):
    server.add_sqlite(SECOND, SECOND)
    return server


def pause(seconds):
    return duration_pb2.Duration(nanos=int(seconds * 1e9))


def begin(server, tenant, store, **fields):
    request = m.StartMoveRequest(tenant=f"tenants/{tenant}", target_store=f"stores/{store}", **fields)
    return server.moves.StartMove(request).move


def read(server, move):
    return server.moves.GetMove(m.GetMoveRequest(name=move.name))


def ended(server, move):
    def look():
        now = read(server, move)
        return now if now.phase in ENDED else None

    return until(look, "the move's end")


def done(server, move):
    now = ended(server, move)
    assert now.phase == PHASE.MOVE_PHASE_DONE, now
    return now


def store_of(server, tenant):
    got = server.tenants.GetTenant(t.GetTenantRequest(name=f"tenants/{tenant}"))
    return got.placement.store.partition("/")[2]


def watch(server, move, **options):
    """The stream of one move."""
    stub = stubs.move_admin_grpc.MoveAdminServiceStub(server.operators)
    return Service(stub, server.operator_token()).WatchMove(
        m.WatchMoveRequest(name=move.name), **options
    )


def fill(server, tenant, count):
    """By commits of 100 records."""
    data = server.data(tenant)
    for base in range(0, count, 100):
        writes = [
            stubs.data.Write(insert=create(f"fill-{n:06}", note="x" * 200, big=n).record)
            for n in range(base, min(base + 100, count))
        ]
        data.Commit(stubs.data.CommitRequest(writes=writes, request_id=f"fill-{base}"))


def events_of(server, move):
    request = m.ListMoveEventsRequest(name=move.name, page_size=1000)
    return server.moves.ListMoveEvents(request).events


@pytest.mark.parametrize("source,target", PAIRS)
def test_move_under_load(server, source, target):
    """Not one call fails, and everything is there exactly once, history included."""
    tenant = server.create_tenant(new_slug("moving"), source)
    other = server.create_tenant(new_slug("staying"), source)
    server.data(other).CreateRecord(create("mine"))
    load = Load(server, tenant, timeout=PATIENCE, allowed=UNDISTURBED)
    load.start()
    load.await_more(200)
    move = begin(server, tenant, target, reason="test", settings=FAST)
    assert move.phase == PHASE.MOVE_PHASE_PLANNED
    assert (move.source_store, move.target_store) == (f"stores/{source}", f"stores/{target}")
    end = done(server, move)
    load.await_more(200)
    load.stop()
    assert set(load.codes) <= {"OK", "ABORTED", "WRITE_CONFLICT"}, load.codes
    load.settle()
    load.check()
    assert store_of(server, tenant) == target and store_of(server, other) == source
    server.data(other).GetRecord(get("mine"))
    assert end.progress.rows_copied > 0 and end.progress.switches_tried >= 1
    assert end.progress.HasField("pause") and end.HasField("finish_time")
    assert end.message == ""
    # Nothing of it is left where it was: the way back begins with an empty target.
    load.start()
    done(server, begin(server, tenant, source, settings=FAST))
    load.await_more(50)
    load.stop()
    load.settle()
    load.check()
    assert store_of(server, tenant) == source


def test_watch_tells_the_phases_in_order(server, store):
    target = SECOND if store == "local" else "local"
    tenant = server.create_tenant(new_slug("watched"), store)
    fill(server, tenant, 500)
    seen = list(watch(server, begin(server, tenant, target, settings=FAST)))
    phases = [one.move.phase for one in seen]
    assert phases[-1] == PHASE.MOVE_PHASE_DONE
    assert phases == sorted(phases)  # nothing went wrong, so it never went back
    assert PHASE.MOVE_PHASE_COPYING in phases
    stamps = [one.move.update_time.ToNanoseconds() for one in seen]
    assert stamps == sorted(stamps)
    copied = [one.move.progress.rows_copied for one in seen]
    assert copied == sorted(copied) and copied[-1] == 500
    # One that has ended is told once.
    (last,) = watch(server, seen[-1].move)
    assert last.move == seen[-1].move


def test_watch_ends_with_its_reader(server):
    tenant = server.create_tenant(new_slug("left"))
    fill(server, tenant, 300)
    move = begin(server, tenant, SECOND, settings=SLOW)
    for _ in range(100):  # more than are watched at once: each must be given back
        calls = watch(server, move)
        next(calls)
        calls.cancel()
    with refused("DEADLINE_EXCEEDED"):
        list(watch(server, move, timeout=0.5))
    with refused("NOT_FOUND"):
        list(watch(server, m.Move(name="moves/01a1fbd4-f500-7000-8000-000000000000")))
    server.moves.CancelMove(m.CancelMoveRequest(name=move.name))
    assert list(watch(server, move))[-1].move.phase == PHASE.MOVE_PHASE_CANCELLED


def test_plan_changes_nothing(server, store):
    target = SECOND if store == "local" else "local"
    tenant = server.create_tenant(new_slug("planned"), store)
    fill(server, tenant, 300)

    def plan(store):
        request = m.StartMoveRequest(
            tenant=f"tenants/{tenant}", target_store=f"stores/{store}", validate_only=True
        )
        return server.moves.StartMove(request).plan

    answer = plan(target)
    assert answer.source_store == f"stores/{store}" and answer.refusal == ""
    assert answer.rows == 300 and answer.records == 3 and answer.bytes > 300 * 200
    assert answer.pause_predicted.ToNanoseconds() > 0
    assert "lives in that store" in plan(store).refusal
    listed = server.moves.ListMoves(m.ListMovesRequest(tenant=f"tenants/{tenant}"))
    assert list(listed.moves) == [] and store_of(server, tenant) == store
    done(server, begin(server, tenant, target))


def test_pause_resume_cancel(server, store):
    target = SECOND if store == "local" else "local"
    tenant = server.create_tenant(new_slug("resting"), store)
    fill(server, tenant, 500)
    move = begin(server, tenant, target, settings=SLOW)
    until(lambda: read(server, move).progress.rows_copied > 0, "the first rows")
    server.moves.PauseMove(m.PauseMoveRequest(name=move.name, reason="not at noon"))
    until(lambda: read(server, move).message == "paused", "the rest")
    before = read(server, move)
    assert before.wish == m.MoveWish.MOVE_WISH_PAUSE and before.phase not in ENDED
    server.data(tenant).CreateRecord(create("meanwhile"))
    assert read(server, move).progress.rows_copied == before.progress.rows_copied
    server.moves.ResumeMove(m.ResumeMoveRequest(name=move.name))
    until(
        lambda: read(server, move).progress.rows_copied > before.progress.rows_copied,
        "it goes on",
    )
    answer = server.moves.CancelMove(m.CancelMoveRequest(name=move.name, reason="changed our mind"))
    assert answer.wish == m.MoveWish.MOVE_WISH_CANCEL
    assert ended(server, move).phase == PHASE.MOVE_PHASE_CANCELLED
    for method, request in (
        (server.moves.PauseMove, m.PauseMoveRequest),
        (server.moves.ResumeMove, m.ResumeMoveRequest),
        (server.moves.CancelMove, m.CancelMoveRequest),
    ):
        with refused("FAILED_PRECONDITION") as told:
            method(request(name=move.name))
        assert "cancelled" in told[0].message
    assert store_of(server, tenant) == store
    server.data(tenant).GetRecord(get("meanwhile"))
    server.data(tenant).GetRecord(get("fill-000499"))
    said = [(event.action, event.actor, event.reason) for event in events_of(server, move)]
    for wanted in (
        ("move.pause", "tester", "not at noon"),
        ("move.resume", "tester", ""),
        ("move.cancel", "tester", "changed our mind"),
    ):
        assert wanted in said, said
    assert said[0][0] == "move.create"
    # The target is clean again: the next move is welcome there.
    done(server, begin(server, tenant, target))
    server.data(tenant).GetRecord(get("meanwhile"))


def test_deleting_a_moving_tenant_is_refused(server):
    tenant = server.create_tenant(new_slug("kept"))
    fill(server, tenant, 300)
    move = begin(server, tenant, SECOND, settings=SLOW)
    with refused("FAILED_PRECONDITION"):
        server.tenants.DeleteTenant(t.DeleteTenantRequest(name=f"tenants/{tenant}"))
    server.data(tenant).GetRecord(get("fill-000000"))
    server.moves.CancelMove(m.CancelMoveRequest(name=move.name))
    ended(server, move)
    server.tenants.DeleteTenant(t.DeleteTenantRequest(name=f"tenants/{tenant}"))


def test_suspended_meanwhile(server, store):
    """Neither stops the other."""
    target = SECOND if store == "local" else "local"
    tenant = server.create_tenant(new_slug("unpaid"), store)
    fill(server, tenant, 300)
    move = begin(server, tenant, target, settings=m.MoveSettings(rows_per_second_max=300))
    until(lambda: read(server, move).progress.rows_copied > 0, "the first rows")
    server.tenants.SuspendTenant(t.SuspendTenantRequest(name=f"tenants/{tenant}"))
    with refused("FAILED_PRECONDITION", "TENANT_SUSPENDED"):
        server.data(tenant).GetRecord(get("fill-000000"))
    done(server, move)
    with refused("FAILED_PRECONDITION", "TENANT_SUSPENDED"):
        server.data(tenant).GetRecord(get("fill-000000"))
    server.tenants.ResumeTenant(t.ResumeTenantRequest(name=f"tenants/{tenant}"))
    server.data(tenant).GetRecord(get("fill-000299"))
    assert store_of(server, tenant) == target


def test_refused_at_once(server):
    tenant = server.create_tenant(new_slug("here"))
    with refused("NOT_FOUND", "TENANT_NOT_FOUND"):
        begin(server, "nobody-of-this-name", SECOND)
    with refused("NOT_FOUND", "TENANT_NOT_FOUND"):
        begin(server, "01a1fbd4-f500-7000-8000-000000000000", SECOND)
    with refused("INVALID_ARGUMENT", field="target_store"):
        begin(server, tenant, "nowhere")
    with refused("FAILED_PRECONDITION") as told:
        begin(server, tenant, "local")
    assert "lives in store local" in told[0].message
    with refused("INVALID_ARGUMENT", field="settings.max_pause"):
        begin(server, tenant, SECOND, settings=m.MoveSettings(max_pause=pause(0)))
    fill(server, tenant, 300)
    move = begin(server, tenant, SECOND, settings=SLOW)
    with refused("ALREADY_EXISTS") as told:
        begin(server, tenant, SECOND)
    assert "being moved already" in told[0].message
    server.moves.CancelMove(m.CancelMoveRequest(name=move.name))
    assert ended(server, move).phase == PHASE.MOVE_PHASE_CANCELLED


def test_start_is_repeatable(server):
    tenant, other = (server.create_tenant(new_slug("again")) for _ in range(2))
    first = begin(server, tenant, SECOND, request_id=tenant)
    assert begin(server, tenant, SECOND, request_id=tenant).name == first.name
    done(server, first)
    again = begin(server, tenant, SECOND, request_id=tenant)
    assert again.name == first.name and again.phase == PHASE.MOVE_PHASE_DONE
    with refused("INVALID_ARGUMENT", "REQUEST_ID_REUSED"):
        begin(server, other, SECOND, request_id=tenant)
    moves = server.moves.ListMoves(m.ListMovesRequest(tenant=f"tenants/{tenant}")).moves
    assert [one.name for one in moves] == [first.name]


def test_only_for_operators(server, tenant):
    """Neither a tenant's token nor a tenants' listener leads to the service."""
    request = m.ListMovesRequest()
    stub = stubs.move_admin_grpc.MoveAdminServiceStub
    with refused("UNAUTHENTICATED"):
        Service(stub(server.operators), server.tenant_token(tenant, "admin")).ListMoves(request)
    with refused("UNAUTHENTICATED"):
        Service(stub(server.operators), None).ListMoves(request)
    with refused("UNIMPLEMENTED"):
        Service(stub(server.channel()), server.operator_token()).ListMoves(request)


@pytest.mark.parametrize("source,target", PAIRS)
def test_requests_of_before_are_replayed(server, source, target):
    """What was answered in the old home is not done again in the new one."""
    tenant = server.create_tenant(new_slug("replayed"), source)
    data = server.data(tenant)
    first = data.CreateRecord(create("once", request_id="before", note="kept"))
    done(server, begin(server, tenant, target))
    assert data.CreateRecord(create("once", request_id="before", note="kept")) == first
    with refused("INVALID_ARGUMENT", "REQUEST_ID_REUSED"):
        data.CreateRecord(create("twice", request_id="before", note="kept"))
    with refused("ALREADY_EXISTS"):
        data.CreateRecord(create("once", request_id="after"))


def test_pages(server):
    """Newest first, each once."""
    tenant = server.create_tenant(new_slug("to-and-fro"))
    moves = []
    for target in (SECOND, "local", SECOND):
        moves.append(begin(server, tenant, target).name)
        done(server, m.Move(name=moves[-1]))
    found, token = [], ""
    for _ in range(len(moves)):
        request = m.ListMovesRequest(tenant=f"tenants/{tenant}", page_size=1, page_token=token)
        page = server.moves.ListMoves(request)
        found += [one.name for one in page.moves]
        token = page.next_page_token
    assert token == "" and found == moves[::-1]
    unfinished = m.ListMovesRequest(tenant=f"tenants/{tenant}", unfinished=True)
    assert list(server.moves.ListMoves(unfinished).moves) == []
    actions = [event.action for event in events_of(server, m.Move(name=moves[0]))]
    assert actions[0] == "move.create" and actions.count("move.switch") == 1


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_goes_on_after_a_restart(start, cluster, end):
    server = prepare(start(), cluster)
    tenant = server.create_tenant(new_slug("patient"))
    fill(server, tenant, 201)  # one more than the first page has, behind which it rests for 20 s
    move = begin(server, tenant, "pg", settings=m.MoveSettings(rows_per_second_max=10))
    until(lambda: read(server, move).progress.rows_copied > 0, "the first rows")
    if end == "stop":
        assert server.stop() == 0
    else:
        server.kill()
    server.start()
    done(server, move)
    server.data(tenant).GetRecord(get("fill-000200"))
    assert store_of(server, tenant) == "pg"
    # Once before and once behind; once more each time a step took too long for its mover.
    assert [one.action for one in events_of(server, move)].count("move.claim") >= 2


def test_without_a_mover(start):
    """A server of moves_max 0 takes moves down, and leaves them to others."""
    server = prepare(start("--moves-max", "0"))
    server.add_sqlite(SECOND, SECOND)
    tenant = server.create_tenant(new_slug("waiting"))
    move = begin(server, tenant, SECOND)
    with refused("FAILED_PRECONDITION") as told:
        server.moves.StartMove(
            m.StartMoveRequest(
                tenant=f"tenants/{tenant}", target_store=f"stores/{SECOND}", validate_only=True
            )
        )
    assert "moves_max" in told[0].message
    assert read(server, move).phase == PHASE.MOVE_PHASE_PLANNED
    assert server.stop() == 0
    server.args[server.args.index("--moves-max") + 1] = "1"
    server.start()
    done(server, move)
