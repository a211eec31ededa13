"""kill -9 of a server that makes or erases a dedicated home: the sweeper leaves nothing of it behind."""

import os

import grpc
import pytest
from freehold_testing import PATIENCE, stubs
from freehold_testing.process import until
from freehold_testing.server import CRASHED

from conftest import new_slug, prepare
from test_tiers import TIERS

t = stubs.tenant_admin
POINTS = ["create.after_row", "create.after_home", "delete.after_row", "delete.after_erase"]


@pytest.mark.parametrize("tier", ["schema", "database"])
@pytest.mark.parametrize("point", POINTS)
def test_leaves_nothing_behind_when_killed(start, cluster, store, tier, point):
    if os.environ.get("FREEHOLD_BUILD_TYPE") == "RelWithDebInfo":
        pytest.skip("crash points are in debug builds only")
    server = prepare(start(), cluster)
    slug = new_slug("killed")
    request = t.CreateTenantRequest(
        tenant=t.Tenant(slug=slug), store=f"stores/{store}", tier=TIERS[tier]
    )
    name = f"tenants/{slug}"
    if point.startswith("delete"):
        server.tenants.CreateTenant(request)
    assert server.stop() == 0
    server.start(env={"FREEHOLD_CRASH_AT": point})
    with pytest.raises(grpc.RpcError):
        if point.startswith("delete"):
            server.tenants.DeleteTenant(t.DeleteTenantRequest(name=name))
        else:
            server.tenants.CreateTenant(request)
    assert server.process.wait(PATIENCE) == CRASHED
    server.kill()
    server.start()

    def deleted():
        found = server.tenants.GetTenant(t.GetTenantRequest(name=name))
        return found if found.state == t.Tenant.State.STATE_DELETED else None

    found = until(deleted, "the sweeper")
    home = f"t_{found.uid.replace('-', '')}"
    if store == "pg":
        left = cluster.sql(
            f"select nspname from pg_namespace where nspname = '{home}' "
            f"union all select datname from pg_database where datname = '{home}' "
            f"union all select rolname from pg_roles where rolname like '{home}%'",
            database="freehold",
        )
        assert left.strip() == ""
    else:
        assert [path for path in (server.data_dir / "stores").rglob("*") if home in path.name] == []
