"""google.rpc details: each kind of refusal says its stable reason, the field at fault, and whether to retry."""

import grpc
import pytest
from freehold_testing import stubs
from freehold_testing.refusal import Refusal

from conftest import create, get, new_slug, prepare, record, thing

d = stubs.data


def refusal(method, request, **options):
    with pytest.raises(grpc.RpcError) as caught:
        method(request, **options)
    return Refusal(caught.value)


def check(got, code, reason, field=None, retry=False):
    assert (got.code.name, got.reason) == (code, reason), got
    assert got.details["ErrorInfo"].domain == "freehold"
    assert got.message
    assert got.fields == ([field] if field else []), got
    if field:
        assert got.details["BadRequest"].field_violations[0].description
    assert ("RetryInfo" in got.details) == retry, got
    if retry:
        delay = got.details["RetryInfo"].retry_delay
        assert 0 < delay.seconds + delay.nanos / 1e9 < 10


def test_field_at_fault(data):
    got = refusal(data.CreateRecord, create("one", mid="text"))
    check(got, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "record.fields.mid")
    got = refusal(data.ListRecords, d.ListRecordsRequest(parent="tables/things", page_size=-1))
    check(got, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "page_size")


def test_the_write_at_fault(data):
    writes = [d.Write(insert=thing("a")), d.Write(insert=thing("b", mid="text"))]
    got = refusal(data.Commit, d.CommitRequest(writes=writes))
    assert got.reason == "INVALID_ARGUMENT"
    assert "mid" in got.fields[0]


def test_not_found(data):
    check(refusal(data.GetRecord, get("none")), "NOT_FOUND", "NOT_FOUND", "name")


def test_already_exists(data):
    data.CreateRecord(create("one"))
    got = refusal(data.CreateRecord, create("one"))
    assert (got.code.name, got.reason) == ("ALREADY_EXISTS", "ALREADY_EXISTS")


def test_unique(data):
    for number in (1, 2):
        request = d.CreateRecordRequest(
            record=record(f"tables/authors/records/{number}", name="N", email="same@x")
        )
        if number == 1:
            data.CreateRecord(request)
    got = refusal(data.CreateRecord, request)
    assert (got.code.name, got.reason) == ("ALREADY_EXISTS", "UNIQUE_VIOLATION")
    assert "same@x" not in got.message


def test_reference(data):
    got = refusal(data.CreateRecord, d.CreateRecordRequest(record=record("tables/books/records/7,T")))
    assert (got.code.name, got.reason) == ("FAILED_PRECONDITION", "REFERENCE_VIOLATION")


def test_etag(data):
    old = data.CreateRecord(create("one")).etag
    data.UpdateRecord(d.UpdateRecordRequest(record=thing("one", note="x")))
    got = refusal(
        data.DeleteRecord, d.DeleteRecordRequest(name="tables/things/records/one", etag=old)
    )
    assert (got.code.name, got.reason) == ("ABORTED", "ETAG_MISMATCH")
    assert "RetryInfo" not in got.details, "the same request would be refused again"


def test_request_id_reused(data):
    data.CreateRecord(create("one", "id"))
    got = refusal(data.CreateRecord, create("two", "id"))
    assert (got.code.name, got.reason) == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED")


def test_precondition(data):
    write = d.Write(upsert=thing("one"), precondition=d.Precondition(exists=True))
    got = refusal(data.Commit, d.CommitRequest(writes=[write]))
    assert (got.code.name, got.reason) == ("FAILED_PRECONDITION", "FAILED_PRECONDITION")


def test_suspended(server, tenant, data):
    t = stubs.tenant_admin
    server.tenants.SuspendTenant(t.SuspendTenantRequest(name=f"tenants/{tenant}"))
    check(refusal(data.GetRecord, get("one")), "FAILED_PRECONDITION", "TENANT_SUSPENDED")


def test_identity(server, tenant):
    got = refusal(server.data(tenant, token="x").GetRecord, get("one"))
    check(got, "UNAUTHENTICATED", "UNAUTHENTICATED")
    got = refusal(server.data(tenant, "reader").CreateRecord, create("one"))
    check(got, "PERMISSION_DENIED", "PERMISSION_DENIED")
    assert "writer" in got.message


def test_unknown_tenant(server):
    got = refusal(server.data("0197a3c4-5b6d-7e8f-9012-3456789abcde").GetRecord, get("one"))
    check(got, "NOT_FOUND", "TENANT_NOT_FOUND")


def test_unimplemented(server):
    got = refusal(server.channel().unary_unary("/freehold.v1.DataService/Nope"), b"", timeout=10)
    check(got, "UNIMPLEMENTED", "UNIMPLEMENTED")


def test_too_large(data):
    got = refusal(data.CreateRecord, create("one", note="x" * (5 * 1024 * 1024)))
    assert got.code.name == "RESOURCE_EXHAUSTED"


def test_deadline(data):
    writes = [d.Write(insert=thing(f"k{i}")) for i in range(500)]
    got = refusal(data.Commit, d.CommitRequest(writes=writes), timeout=0.0005)
    assert got.code.name == "DEADLINE_EXCEEDED"


def test_concurrency_bound(start):
    """Beyond a tenant's bound: told to come again, and how soon."""
    server = prepare(start("--tenant-calls-max", "1"))
    tenant = server.create_tenant(new_slug("bounded"))
    data = server.data(tenant)
    writes = [d.Write(upsert=thing(f"k{i}", note="x" * 1000)) for i in range(500)]
    refusals = []
    for _ in range(20):
        calls = [data.Commit.future(d.CommitRequest(writes=writes)) for _ in range(8)]
        refusals += [Refusal(call) for call in calls if call.exception() is not None]
        if refusals:
            break
    check(refusals[0], "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED", retry=True)
    other = server.create_tenant(new_slug("bounded"))
    server.data(other).CreateRecord(create("one"))
