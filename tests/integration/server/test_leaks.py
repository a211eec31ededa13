"""Under valgrind: start, short use over both engines, SIGTERM. Nothing is lost, nothing is misused."""

import os
import shutil

import grpc
import pytest
from freehold_testing import stubs
from freehold_testing.refusal import refused

from conftest import create, get, new_slug, prepare, thing, value

d = stubs.data
VALGRIND = (
    "valgrind",
    "--quiet",
    "--leak-check=full",
    "--show-leak-kinds=definite",
    "--errors-for-leak-kinds=definite",
    "--error-exitcode=99",
    "--fair-sched=try",
    "--num-callers=30",
)


def use(server, tenant):
    data = server.data(tenant)
    data.CreateRecord(create("one", "id-1", note="x" * 5000, doc='{"a": [1]}', price="1.5"))
    data.CreateRecord(create("one", "id-1", note="x" * 5000, doc='{"a": [1]}', price="1.5"))
    data.UpdateRecord(d.UpdateRecordRequest(record=thing("one", big=1)))
    data.Commit(
        d.CommitRequest(
            writes=[d.Write(insert=thing(f"k{i}")) for i in range(20)]
            + [d.Write(update=thing("one"), transforms=[d.Transform(field="big", increment=value(1))])]
        )
    )
    page = data.ListRecords(d.ListRecordsRequest(parent="tables/things", page_size=5))
    data.ListRecords(d.ListRecordsRequest(parent="tables/things", page_token=page.next_page_token))
    name = "tables/things/records/one"
    data.BatchGetRecords(d.BatchGetRecordsRequest(names=[name, name + "x"]))
    data.DeleteRecord(d.DeleteRecordRequest(name=name))
    data.UndeleteRecord(d.UndeleteRecordRequest(name=name))
    data.PurgeRecord(d.PurgeRecordRequest(name=name))
    for bad in (create("two", mid="x"), create("k1"), create("two", nope=1)):
        with pytest.raises(grpc.RpcError):
            data.CreateRecord(bad)
    with refused("UNAUTHENTICATED"):
        server.data(tenant, token="x").GetRecord(get("one"))
    with refused("UNIMPLEMENTED"):
        server.channel().unary_unary("/x/y")(b"", timeout=60)
    server.audit(tenant).ListEvents(stubs.audit.ListEventsRequest())


def test_no_leak(start, cluster):
    if os.environ.get("FREEHOLD_SANITIZE"):
        pytest.skip("a sanitizer build watches itself, and valgrind cannot run it")
    if shutil.which("valgrind") is None:
        pytest.skip("valgrind is missing; run ./dev setup")
    server = prepare(start(wrapper=VALGRIND), cluster)
    for store in ("local", "pg"):
        tenant = server.create_tenant(new_slug("leak"), store)
        use(server, tenant)
        t = stubs.tenant_admin
        server.tenants.SuspendTenant(t.SuspendTenantRequest(name=f"tenants/{tenant}"))
        server.tenants.DeleteTenant(t.DeleteTenantRequest(name=f"tenants/{tenant}"))
    with pytest.raises(grpc.RpcError):
        server.apply_schema([("0001_no.sql", "drop table x;")])
    server.stores.CheckStore(stubs.store_admin.CheckStoreRequest(name="stores/pg"))
    for path in ("/metrics", "/readyz", "/nope"):
        server.http(path)
    watch = stubs.health_grpc.HealthStub(server.channel()).Watch(stubs.health.HealthCheckRequest())
    next(watch)
    status = server.stop()
    reports = [line for line in server.log().splitlines() if line.startswith("==")]
    assert status == 0, "\n".join(reports[:200])
