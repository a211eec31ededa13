"""Rollouts of schema versions: over all tiers and both engines, under load, killed anywhere, by two servers."""

import shutil

import pytest
from freehold_testing import PATIENCE, stubs
from freehold_testing.process import until
from freehold_testing.refusal import refused
from freehold_testing.server import Server, Service

from conftest import MIGRATIONS, create, new_slug, prepare
from load import Load

s = stubs.schema
PHASE = s.RolloutPhase
WISH = s.RolloutWish
STATE = s.RolloutHomeState
P = stubs.tenant_admin.Placement
TIERS = (P.TIER_SHARED, P.TIER_SCHEMA, P.TIER_DATABASE)
POINTS = ("claimed", "surveyed", "note", "noted", "canary", "apply", "apply:3", "applied", "applied:2", "ending")
UNDISTURBED = frozenset({"ABORTED"})


def files_to(version):
    return list(MIGRATIONS) + [
        (f"{n:04}_more.sql", f"alter table things add column more{n} bigint not null default {n};")
        for n in range(len(MIGRATIONS) + 1, version + 1)
    ]


def apply(server, version, **fields):
    request = s.ApplySchemaRequest(
        migrations=[s.Migration(name=name, sql=sql) for name, sql in files_to(version)], **fields
    )
    return server.schemas.ApplySchema(request)


def newest(server):
    return server.schemas.GetRollout(s.GetRolloutRequest(name="rollouts/-"))


def homes(server):
    request = s.ListRolloutHomesRequest(name="rollouts/-", page_size=3)
    found = []
    while True:
        page = server.schemas.ListRolloutHomes(request)
        found += page.homes
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


def done(server, version):
    def look():
        rollout = newest(server)
        return rollout if rollout.version == version and rollout.phase == PHASE.ROLLOUT_PHASE_DONE else None

    rollout = until(look, f"the rollout to {version}")
    assert all(home.version == version for home in homes(server) if home.state == STATE.ROLLOUT_HOME_STATE_DONE)
    return rollout


def make_tenants(server, store):
    made = []
    for tier in TIERS:
        request = stubs.tenant_admin.CreateTenantRequest(
            tenant=stubs.tenant_admin.Tenant(slug=new_slug("rolled")), store=f"stores/{store}", tier=tier
        )
        made.append(server.tenants.CreateTenant(request).uid)
    return made


def version_now(server):
    return server.schemas.GetSchema(s.GetSchemaRequest()).version


def test_under_load(server, store):
    """Two versions are served meanwhile: not one call fails, in any tier."""
    tenants = make_tenants(server, store)
    loads = [Load(server, tenant, timeout=PATIENCE, allowed=UNDISTURBED) for tenant in tenants]
    for load in loads:
        load.start()
        load.await_more(50)
    version = version_now(server) + 1
    answer = apply(server, version, reason="test")
    for load in loads:
        load.await_more(50)
        load.stop()
        assert set(load.codes) <= {"OK", "ABORTED", "WRITE_CONFLICT"}, load.codes
        load.settle()
        load.check()
    assert answer.applied == 1 and answer.rollout.version == version
    assert answer.rollout.phase == PHASE.ROLLOUT_PHASE_DONE, answer.rollout
    noted = {home.tenant: home for home in homes(server)}
    for tenant in tenants[1:]:
        home = noted[f"tenants/{tenant}"]
        assert (home.version, home.state) == (version, STATE.ROLLOUT_HOME_STATE_DONE)
    for tenant in tenants:
        made = server.data(tenant).CreateRecord(create(new_slug("after")))
        assert made.fields[f"more{version}"].integer_value == version


def test_canary_then_resume(server):
    tenants = make_tenants(server, "local")
    version = version_now(server) + 1
    settings = s.RolloutSettings(canary_tenants=[f"tenants/{tenants[1]}"], stop_after_canary=True)
    answer = apply(server, version, rollout=settings)
    assert answer.rollout.wish == WISH.ROLLOUT_WISH_PAUSE
    assert "canary" in answer.rollout.message
    by_tenant = {home.tenant: home for home in homes(server)}
    assert by_tenant[f"tenants/{tenants[1]}"].state == STATE.ROLLOUT_HOME_STATE_DONE
    assert by_tenant[f"tenants/{tenants[2]}"].state == STATE.ROLLOUT_HOME_STATE_PENDING
    for tenant in tenants:  # each served at its own version
        server.data(tenant).CreateRecord(create("mine"))
    with refused("FAILED_PRECONDITION"):
        apply(server, version + 1)
    server.schemas.ResumeRollout(s.ResumeRolloutRequest(name="rollouts/-", reason="looks good"))
    done(server, version)
    events = server.schemas.ListRolloutEvents(s.ListRolloutEventsRequest(name="rollouts/-")).events
    told = [event.action for event in events if event.action not in ("rollout.claim", "rollout.advance")]
    assert told == ["rollout.create", "rollout.pause", "rollout.resume", "rollout.done"]
    assert [event.reason for event in events if event.action == "rollout.resume"] == ["looks good"]
    stub = stubs.schema_grpc.SchemaServiceStub(server.operators)
    stream = Service(stub, server.operator_token()).WatchRollout(s.WatchRolloutRequest(name="rollouts/-"))
    assert [told.rollout.phase for told in stream][-1] == PHASE.ROLLOUT_PHASE_DONE


def test_rows_that_break_the_change(server):
    """Homes that cannot take it are named, with the reason; they are put right, and the rollout goes on.

    The last on this server: its file is none of files_to().
    """
    good, bad = [], []
    for store in ("local", "pg"):
        made = make_tenants(server, store)
        good.append(made[1])
        bad.append(made[2])
    for tenant in bad:
        server.data(tenant).CreateRecord(create("breaks", note="bad"))
    version = version_now(server) + 1
    name = f"{version:04}_more.sql"
    files = [*files_to(version - 1), (name, "alter table things add constraint noted check (note <> 'bad');")]
    request = s.ApplySchemaRequest(
        migrations=[s.Migration(name=n, sql=q) for n, q in files], rollout=s.RolloutSettings(failures_max=5)
    )
    answer = server.schemas.ApplySchema(request)
    assert answer.rollout.wish == WISH.ROLLOUT_WISH_PAUSE, answer.rollout
    failed = [home for home in homes(server) if home.state == STATE.ROLLOUT_HOME_STATE_FAILED]
    assert {home.tenant for home in failed} == {f"tenants/{tenant}" for tenant in bad}
    assert all(home.message for home in failed)
    for tenant in good + bad:
        server.data(tenant).CreateRecord(create("still-served"))
    for tenant in bad:
        server.data(tenant).PurgeRecord(stubs.data.PurgeRecordRequest(name="tables/things/records/breaks"))
    server.schemas.ResumeRollout(s.ResumeRolloutRequest(name="rollouts/-"))
    done(server, version)


# Three homes: two of a tenant's own, and the shared one.
@pytest.mark.parametrize("point", POINTS)
def test_killed_at(start, point):
    """kill -9 at every step: whoever comes next goes on, and every home gets there once."""
    server = prepare(start())
    tenants = make_tenants(server, "local")
    version = len(MIGRATIONS) + 1
    server.stop()
    server.start(env={"FREEHOLD_CRASH_AT": f"rollout.{point}"})
    settings = s.RolloutSettings(canary_percent=10, concurrency=1)
    call = server.schemas.ApplySchema.future(
        s.ApplySchemaRequest(
            migrations=[s.Migration(name=name, sql=sql) for name, sql in files_to(version)], rollout=settings
        )
    )
    call.exception()
    assert server.ended() == 137
    server.start()
    assert done(server, version).progress.homes_done == len(tenants)
    for tenant in tenants:
        made = server.data(tenant).CreateRecord(create("after"))
        assert made.fields[f"more{version}"].integer_value == version


def test_another_server_takes_over(folder, cluster):
    """Two servers on one catalog: the one at work is killed, the other ends the rollout under load."""
    keys = None
    servers = []
    try:
        for name in ("left", "right"):
            place = folder / f"rollout-{name}"
            if keys is not None:
                (place / "data").mkdir(parents=True, mode=0o700)
                shutil.copytree(keys, place / "data" / "keys")
            args = ("--catalog", cluster.dsn("freehold_owner"), "--takeover-ms", "500")
            env = {"FREEHOLD_CRASH_AT": "rollout.apply:3"} if name == "right" else None
            servers.append(Server(place, *args, env=env))
            keys = keys or servers[0].data_dir / "keys"
        left, right = servers
        prepare(left)
        left.add_sqlite("both", folder / "stores-both")
        tenants = make_tenants(left, "both") + make_tenants(left, "both")
        version = len(MIGRATIONS) + 1
        until(lambda: version_now(right) == len(MIGRATIONS), "the other server's schema")
        left.stop()  # so that the other is the one that claims it
        apply_to = right.schemas.ApplySchema.future(
            s.ApplySchemaRequest(
                migrations=[s.Migration(name=name, sql=sql) for name, sql in files_to(version)],
                rollout=s.RolloutSettings(concurrency=1),
            )
        )
        assert right.ended() == 137
        apply_to.exception()
        left.start()
        load = Load(left, tenants[1], timeout=PATIENCE, allowed=UNDISTURBED)
        load.start()
        done(left, version)
        load.await_more(20)
        load.stop()
        load.settle()
        load.check()
        for tenant in tenants:
            made = left.data(tenant).CreateRecord(create("after"))
            assert made.fields[f"more{version}"].integer_value == version
    finally:
        for server in servers:
            server.close()
