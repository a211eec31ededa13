"""Tenants in the three tiers of both engines: made, moved under load, changed by a rollout, erased; and
the logins of their own that PostgreSQL gives them."""

import subprocess

import pytest
from freehold_testing import PATIENCE, stubs
from freehold_testing.postgres import ADMIN_SQL
from freehold_testing.process import until
from freehold_testing.refusal import refused

from conftest import MIGRATIONS, create, get, new_slug
from load import Load
from test_moves import FAST, UNDISTURBED, begin, done

t = stubs.tenant_admin
s = stubs.store_admin
TIER = t.Placement.Tier
TIERS = {"shared": TIER.TIER_SHARED, "schema": TIER.TIER_SCHEMA, "database": TIER.TIER_DATABASE}
MORE = ("0003_more.sql", "alter table things add column extra integer not null default 5;")


@pytest.fixture(params=TIERS)
def tier(request):
    return request.param


def new_tenant(server, store, tier, **fields):
    request = t.CreateTenantRequest(
        tenant=t.Tenant(slug=new_slug(tier)), store=f"stores/{store}", tier=TIERS[tier], **fields
    )
    return server.tenants.CreateTenant(request).uid


def placement(server, tenant):
    return server.tenants.GetTenant(t.GetTenantRequest(name=f"tenants/{tenant}")).placement


def home_of(server, tenant):
    found = placement(server, tenant)
    return found.store.partition("/")[2], TIER.Name(found.tier).removeprefix("TIER_").lower()


def store_is_sound(server, store):
    answer = server.stores.CheckStore(s.CheckStoreRequest(name=f"stores/{store}"))
    wrong = [finding for finding in answer.findings if not finding.ok]
    return [finding for finding in wrong if "t_" in finding.subject]


def test_lives_in_a_tier(server, store, tier):
    tenant = new_tenant(server, store, tier)
    assert home_of(server, tenant) == (store, tier)
    data = server.data(tenant)
    data.CreateRecord(create("mine", note="here"))
    assert data.GetRecord(get("mine")).fields["note"].string_value == "here"
    assert store_is_sound(server, store) == []
    server.tenants.DeleteTenant(t.DeleteTenantRequest(name=f"tenants/{tenant}"))
    with refused("NOT_FOUND", "TENANT_NOT_FOUND"):
        data.GetRecord(get("mine"))


def test_tells_what_a_store_offers(server, store):
    answer = server.stores.GetStore(s.GetStoreRequest(name=f"stores/{store}"))
    assert set(answer.tiers) == set(TIERS.values())
    assert answer.credentials == (store == "pg")


def test_keeps_to_a_region(server, tmp_path):
    made = s.Store(
        name="stores/regional", engine="sqlite", location=str(tmp_path / "regional"), region="eu"
    )
    server.stores.CreateStore(s.CreateStoreRequest(store=made))
    tenant = new_tenant(server, "regional", "schema", region="eu")
    with refused("FAILED_PRECONDITION", field="region"):
        new_tenant(server, "regional", "schema", region="us")
    with refused("FAILED_PRECONDITION", field="region"):
        new_tenant(server, "local", "shared", region="eu")
    with refused("FAILED_PRECONDITION", field="region"):
        begin(server, tenant, "local", region="eu")
    server.tenants.DeleteTenant(t.DeleteTenantRequest(name=f"tenants/{tenant}"))


def test_climbs_and_comes_back_under_load(server, store):
    """shared, schema, database, shared again: all in one store; not one call fails."""
    tenant = new_tenant(server, store, "shared")
    load = Load(server, tenant, timeout=PATIENCE, allowed=UNDISTURBED)
    load.start()
    load.await_more(100)
    for target in ("schema", "database", "schema", "shared", "database", "shared"):
        move = begin(server, tenant, store, target_tier=TIERS[target], settings=FAST)
        assert move.target_tier == TIERS[target]
        done(server, move)
        assert home_of(server, tenant) == (store, target)
        load.await_more(50)
    load.stop()
    assert set(load.codes) <= {"OK", "ABORTED", "WRITE_CONFLICT"}, load.codes
    load.settle()
    load.check()
    with refused("FAILED_PRECONDITION"):
        begin(server, tenant, store, target_tier=TIERS["shared"])
    assert store_is_sound(server, store) == []


def test_moves_between_dedicated_homes_of_both_engines(server):
    tenant = new_tenant(server, "local", "schema")
    load = Load(server, tenant, timeout=PATIENCE, allowed=UNDISTURBED)
    load.start()
    path = (("pg", "database"), ("local", "database"), ("pg", "schema"), ("local", "schema"))
    for store, target in path:
        load.await_more(50)
        done(server, begin(server, tenant, store, target_tier=TIERS[target], settings=FAST))
        assert home_of(server, tenant) == (store, target)
    load.stop()
    load.settle()
    load.check()


def test_a_rollout_is_not_noticed(start, cluster, store):
    """Each home is served at its own version: callers of all tiers see no failure."""
    server = start()
    server.apply_schema(MIGRATIONS)
    if store == "pg":
        cluster.sql("create database freehold_rollout owner freehold_owner")
        cluster.sql(ADMIN_SQL.read_text(), database="freehold_rollout")
        made = s.Store(
            name="stores/pg", engine="postgresql",
            location=cluster.dsn("freehold_app").replace("dbname=freehold", "dbname=freehold_rollout"),
            owner_location=cluster.dsn("freehold_owner").replace("dbname=freehold", "dbname=freehold_rollout"),
        )  # fmt: skip
        server.stores.CreateStore(s.CreateStoreRequest(store=made))
    tenants = [new_tenant(server, store, tier) for tier in TIERS]
    loads = [Load(server, tenant, timeout=PATIENCE, allowed=UNDISTURBED) for tenant in tenants]
    for load in loads:
        load.start()
        load.await_more(30)
    server.apply_schema([*MIGRATIONS, MORE])
    for load, tenant in zip(loads, tenants):
        data = server.data(tenant)
        until(lambda: "extra" in data.GetRecord(get("0-000000")).fields, "the new column")
        load.await_more(30)
        data.CreateRecord(create("late", extra=6))
        data.PurgeRecord(stubs.data.PurgeRecordRequest(name="tables/things/records/late"))
    for load in loads:
        load.stop()
        assert set(load.codes) <= {"OK", "ABORTED", "WRITE_CONFLICT"}, load.codes
        load.settle()
        load.check()
    if store == "pg":
        for tenant in tenants:
            server.tenants.DeleteTenant(t.DeleteTenantRequest(name=f"tenants/{tenant}"))


# Logins of their own


def psql(cluster, credential, statement, check=True):
    return cluster.run(
        "psql", "-q", "-A", "-t", "-h", credential.host or cluster.folder,
        "-p", credential.port or str(cluster.port), "-U", credential.user, "-d", credential.database,
        "-v", "ON_ERROR_STOP=1", "-c", statement, check=check, stderr=subprocess.STDOUT,
    )  # fmt: skip


@pytest.mark.parametrize("tier", ["schema", "database"])
def test_reads_with_a_login_of_its_own(server, cluster, tier):
    tenant = new_tenant(server, "pg", tier)
    name = f"tenants/{tenant}"
    server.data(tenant).CreateRecord(create("mine", note="here"))
    with refused("NOT_FOUND"):
        server.tenants.GetCredential(t.GetCredentialRequest(name=name))
    with refused("NOT_FOUND"):
        server.tenants.IssueCredential(t.IssueCredentialRequest(name=name, rotate=True))
    with refused("INVALID_ARGUMENT", field="tables"):
        server.tenants.IssueCredential(t.IssueCredentialRequest(name=name, tables=["nothing"]))
    issued = server.tenants.IssueCredential(t.IssueCredentialRequest(name=name, tables=["things"]))
    credential = issued.credential
    assert issued.secret and credential == server.tenants.GetCredential(
        t.GetCredentialRequest(name=name)
    )
    read = f"select note from {credential.namespace}.things"
    assert psql(cluster, credential, read).stdout.strip() == "here"
    for statement in (
        f"select * from {credential.namespace}.counters",
        f"delete from {credential.namespace}.things",
        "select * from fh_shared.things",
    ):
        assert psql(cluster, credential, statement, check=False).returncode != 0
    with refused("ALREADY_EXISTS"):
        server.tenants.IssueCredential(t.IssueCredentialRequest(name=name))
    again = server.tenants.IssueCredential(t.IssueCredentialRequest(name=name, rotate=True))
    assert again.secret not in ("", issued.secret)
    server.tenants.RevokeCredential(t.RevokeCredentialRequest(name=name, reason="it is over"))
    assert psql(cluster, credential, "select 1", check=False).returncode != 0
    server.tenants.RevokeCredential(t.RevokeCredentialRequest(name=name))
    assert issued.secret not in server.log() and again.secret not in server.log()
    server.tenants.DeleteTenant(t.DeleteTenantRequest(name=name))


def test_gives_no_login_where_there_can_be_none(server):
    for store, tier in (("pg", "shared"), ("local", "schema")):
        tenant = new_tenant(server, store, tier)
        with refused("FAILED_PRECONDITION"):
            server.tenants.IssueCredential(t.IssueCredentialRequest(name=f"tenants/{tenant}"))


def test_prints_what_a_superuser_runs(server):
    answer = server.stores.PrepareStore(
        s.PrepareStoreRequest(owner="freehold_owner", serving="freehold_app")
    )
    assert answer.sql == ADMIN_SQL.read_text()
    with refused("INVALID_ARGUMENT", field="owner"):
        server.stores.PrepareStore(s.PrepareStoreRequest(owner="", serving="app"))
    with refused("FAILED_PRECONDITION", field="engine"):
        server.stores.PrepareStore(
            s.PrepareStoreRequest(engine="sqlite", owner="owner", serving="app")
        )
