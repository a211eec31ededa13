"""Tenants that come and go: each crash point of the sagas, and what suspend, resume and delete mean."""

import os
import sqlite3

import grpc
import pytest
from freehold_testing import stubs
from freehold_testing.process import until
from freehold_testing.refusal import refused
from freehold_testing.server import CRASHED

from conftest import create, get, new_slug, prepare

t = stubs.tenant_admin
STATE = t.Tenant.State


def named(tenant):
    return f"tenants/{tenant}"


def state_of(server, name):
    return STATE.Name(server.tenants.GetTenant(t.GetTenantRequest(name=named(name))).state)


def listed(server, **options):
    return {one.slug: one for one in server.tenants.ListTenants(t.ListTenantsRequest(**options)).tenants}


def rows_of(server, cluster, tenant):
    """Rows of the tenant in every table of every store, seen from below. SQLite: with the server stopped."""
    count = 0
    bytes_of = bytes.fromhex(tenant.replace("-", ""))
    for path in (server.data_dir / "stores").rglob("*.db"):
        with sqlite3.connect(path) as database:
            tables = database.execute("select name from sqlite_schema where type = 'table'")
            for (table,) in tables.fetchall():
                columns = {row[1] for row in database.execute(f'pragma table_info("{table}")')}
                if "tenant_id" in columns:
                    count += database.execute(
                        f'select count(*) from "{table}" where tenant_id in (?, ?)',
                        (bytes_of, tenant),
                    ).fetchone()[0]
        database.close()
    tables = cluster.sql(
        "select c.oid::regclass from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        "join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' "
        "where n.nspname = 'fh_shared' and c.relkind in ('r', 'p')",
        database="freehold",
    ).split()
    for table in tables:
        count += int(
            cluster.sql(
                f"select count(*) from {table} where tenant_id = '{tenant}'", database="freehold"
            )
        )
    return count


@pytest.fixture
def crashing(start, cluster):
    """A prepared server, to be started again with a crash point."""
    if os.environ.get("FREEHOLD_BUILD_TYPE") == "RelWithDebInfo":
        pytest.skip("crash points are in debug builds only")
    return prepare(start(), cluster)


def restart_with(server, point):
    assert server.stop() == 0
    server.start(env={"FREEHOLD_CRASH_AT": point})


def crash(server, method, request):
    with pytest.raises(grpc.RpcError) as caught:
        method(request)
    assert caught.value.code().name in ("UNAVAILABLE", "CANCELLED", "UNKNOWN")
    assert server.ended() == CRASHED


@pytest.mark.parametrize("point", ["create.after_row", "create.after_home"])
def test_killed_while_creating(crashing, cluster, store, point):
    server, slug = crashing, new_slug("half")
    restart_with(server, point)
    request = t.CreateTenantRequest(tenant=t.Tenant(slug=slug), store=f"stores/{store}")
    crash(server, server.tenants.CreateTenant, request)
    server.start()
    found = listed(server, show_deleted=True)[slug]
    # Never served: neither before the sweeper has come by nor after.
    for _ in range(20):
        with pytest.raises(grpc.RpcError) as caught:
            server.data(found.uid).GetRecord(get("one"))
        assert caught.value.code().name in ("NOT_FOUND", "FAILED_PRECONDITION")
    until(lambda: state_of(server, found.uid) == "STATE_DELETED", "the sweeper")
    assert slug not in listed(server)
    with refused("NOT_FOUND", "TENANT_NOT_FOUND"):
        server.data(found.uid).CreateRecord(create("one"))
    with refused("ALREADY_EXISTS"):
        server.create_tenant(slug, store)
    other = server.create_tenant(new_slug("whole"), store)
    server.data(other).CreateRecord(create("one"))
    assert server.stop() == 0
    assert rows_of(server, cluster, found.uid) == 0
    assert rows_of(server, cluster, other) > 0
    server.start()
    assert state_of(server, found.uid) == "STATE_DELETED"
    server.data(other).GetRecord(get("one"))


@pytest.mark.parametrize("point", ["delete.after_row", "delete.after_erase"])
def test_killed_while_deleting(crashing, cluster, store, point):
    server, slug = crashing, new_slug("going")
    tenant = server.create_tenant(slug, store)
    other = server.create_tenant(new_slug("staying"), store)
    for one in (tenant, other):
        for i in range(20):
            server.data(one).CreateRecord(create(f"k{i}"))
    restart_with(server, point)
    server.data(tenant).GetRecord(get("k0"))
    crash(server, server.tenants.DeleteTenant, t.DeleteTenantRequest(name=named(tenant)))
    server.start()
    for _ in range(20):
        with pytest.raises(grpc.RpcError) as caught:
            server.data(tenant).GetRecord(get("k0"))
        assert caught.value.code().name in ("NOT_FOUND", "FAILED_PRECONDITION")
    until(lambda: state_of(server, tenant) == "STATE_DELETED", "the sweeper")
    with refused("ALREADY_EXISTS"):
        server.create_tenant(slug, store)
    for i in range(20):
        server.data(other).GetRecord(get(f"k{i}"))
    assert server.stop() == 0
    assert rows_of(server, cluster, tenant) == 0
    assert rows_of(server, cluster, other) > 20


def test_create_and_list(server, store):
    slug = new_slug("named")
    uid = server.create_tenant(slug, store, display_name="Näme Ltd.", labels={"tier": "gold"})
    for name in (slug, uid):
        got = server.tenants.GetTenant(t.GetTenantRequest(name=named(name)))
        assert (got.uid, got.slug, got.display_name) == (uid, slug, "Näme Ltd.")
        assert (got.plan, dict(got.labels)) == ("starter", {"tier": "gold"})
        assert (got.state, got.placement.store) == (STATE.STATE_ACTIVE, f"stores/{store}")
        assert got.placement.epoch == 1
    with refused("ALREADY_EXISTS"):
        server.create_tenant(slug, store)
    for _ in range(4):
        server.create_tenant(new_slug("named"), store)
    everybody = [one.uid for one in listed(server, page_size=1000).values()]
    paged, token = [], ""
    for _ in range(len(everybody)):
        page = server.tenants.ListTenants(t.ListTenantsRequest(page_size=2, page_token=token))
        paged += [one.uid for one in page.tenants]
        token = page.next_page_token
        if not token:
            break
    assert paged == everybody == sorted(everybody), "in the order of creation"
    with refused("INVALID_ARGUMENT", field="page_token"):
        server.tenants.ListTenants(t.ListTenantsRequest(page_token="x"))


def test_suspend_and_resume(server, tenant, data):
    data.CreateRecord(create("one"))
    suspend = t.SuspendTenantRequest(name=named(tenant), reason="unpaid")
    for _ in range(2):
        assert server.tenants.SuspendTenant(suspend).state == STATE.STATE_SUSPENDED
    for call, request in (
        (data.GetRecord, get("one")),
        (data.CreateRecord, create("two")),
        (data.ListRecords, stubs.data.ListRecordsRequest(parent="tables/things")),
        (server.audit(tenant).ListEvents, stubs.audit.ListEventsRequest()),
    ):
        with refused("FAILED_PRECONDITION", "TENANT_SUSPENDED"):
            call(request)
    for _ in range(2):
        resumed = server.tenants.ResumeTenant(t.ResumeTenantRequest(name=named(tenant)))
        assert resumed.state == STATE.STATE_ACTIVE
    data.GetRecord(get("one"))
    with refused("NOT_FOUND"):
        data.GetRecord(get("two"))


def test_delete(server, tenant, data):
    data.CreateRecord(create("one"))
    gone = server.tenants.DeleteTenant(t.DeleteTenantRequest(name=named(tenant), reason="left"))
    assert gone.state == STATE.STATE_DELETED
    for call, request in ((data.GetRecord, get("one")), (data.CreateRecord, create("one"))):
        with refused("NOT_FOUND", "TENANT_NOT_FOUND"):
            call(request)
    with refused("ALREADY_EXISTS"):
        server.create_tenant(gone.slug)
    assert gone.slug not in listed(server, page_size=1000)
    assert gone.slug in listed(server, page_size=1000, show_deleted=True)
    again = server.tenants.DeleteTenant(t.DeleteTenantRequest(name=named(tenant)))
    assert again.state == STATE.STATE_DELETED
    for method, request in (
        (server.tenants.SuspendTenant, t.SuspendTenantRequest),
        (server.tenants.ResumeTenant, t.ResumeTenantRequest),
    ):
        with refused("FAILED_PRECONDITION"):
            method(request(name=named(tenant)))


def test_a_suspended_tenant_can_be_deleted(server, tenant):
    server.tenants.SuspendTenant(t.SuspendTenantRequest(name=named(tenant)))
    gone = server.tenants.DeleteTenant(t.DeleteTenantRequest(name=named(tenant)))
    assert gone.state == STATE.STATE_DELETED


def test_many_at_once(server, store):
    """The same slug from many sides: one gets it."""
    slug = new_slug("race")
    request = t.CreateTenantRequest(tenant=t.Tenant(slug=slug), store=f"stores/{store}")
    calls = [server.tenants.CreateTenant.future(request) for _ in range(10)]
    codes = [call.code().name if call.exception() else "OK" for call in calls]
    assert sorted(codes) == ["ALREADY_EXISTS"] * 9 + ["OK"]
    server.data(slug_uid(server, slug)).CreateRecord(create("one"))
    others = [new_slug("race") for _ in range(20)]
    calls = [
        server.tenants.CreateTenant.future(
            t.CreateTenantRequest(tenant=t.Tenant(slug=other), store=f"stores/{store}")
        )
        for other in others
    ]
    assert [call.result().slug for call in calls] == others


def slug_uid(server, slug):
    return server.tenants.GetTenant(t.GetTenantRequest(name=named(slug))).uid


def test_a_tenant_deleted_while_it_writes(server, store):
    """Callers see the end; no write is acknowledged after it, and nothing is left behind."""
    tenant = server.create_tenant(new_slug("busy"), store)
    data = server.data(tenant)
    data.CreateRecord(create("warm"))
    calls = [data.CreateRecord.future(create(f"k{i}")) for i in range(200)]
    gone = server.tenants.DeleteTenant(t.DeleteTenantRequest(name=named(tenant)))
    assert gone.state == STATE.STATE_DELETED
    for call in calls:
        if call.exception() is not None:
            assert call.code().name in ("NOT_FOUND", "UNAVAILABLE"), call.details()
    with refused("NOT_FOUND", "TENANT_NOT_FOUND"):
        data.CreateRecord(create("late"))
