"""The prober of a running server, and every method of the tenants' services from the wrong side, with its canaries."""

import grpc
import pytest
from freehold_testing import stubs
from freehold_testing.server import PATIENCE, bearer

from conftest import value

d = stubs.data
Result = stubs.probe.ProbeResult


@pytest.fixture
def report(server, store):
    prober = server.operator(stubs.probe_grpc.ProbeServiceStub)
    return prober.RunProbe(stubs.probe.RunProbeRequest(store=f"stores/{store}"))


@pytest.fixture
def canaries(server, store, report):
    tenants = server.tenants.ListTenants(stubs.tenant_admin.ListTenantsRequest(page_size=1000)).tenants
    found = {one.slug: one for one in tenants if one.slug.startswith(f"fh-canary-{store}-shared-")}
    return found[f"fh-canary-{store}-shared-a"], found[f"fh-canary-{store}-shared-b"]


def test_all_holds(server, store, report):
    off = [one for one in report.results if one.verdict not in (Result.VERDICT_HELD, Result.VERDICT_SKIPPED)]
    assert report.held and not off
    held = {one.probe for one in report.results if one.verdict == Result.VERDICT_HELD}
    assert {"key of another", "predicate", "enforcement", "ownership"} <= held
    prober = server.operator(stubs.probe_grpc.ProbeServiceStub)
    assert prober.GetProbe(stubs.probe.GetProbeRequest()).held
    assert "freehold_probe_runs_total" in server.http("/metrics")[1]


def test_canaries_are_tenants_with_a_label(canaries):
    assert [dict(one.labels)["fh_canary"] for one in canaries] == ["a", "b"]


def calls_at(other):
    """A call of each method that names what is the other's."""
    name = f"tenants/{other}/tables/things/records/key"
    record = d.Record(name=name, fields={"note": value("stolen")})
    return {
        "GetRecord": d.GetRecordRequest(name=name),
        "BatchGetRecords": d.BatchGetRecordsRequest(names=[name]),
        "ListRecords": d.ListRecordsRequest(parent=f"tenants/{other}/tables/things"),
        "CreateRecord": d.CreateRecordRequest(record=record),
        "UpdateRecord": d.UpdateRecordRequest(record=record, allow_missing=True),
        "DeleteRecord": d.DeleteRecordRequest(name=name),
        "UndeleteRecord": d.UndeleteRecordRequest(name=name),
        "PurgeRecord": d.PurgeRecordRequest(name=name),
        "Commit": d.CommitRequest(writes=[d.Write(insert=record)]),
        "ListEvents": stubs.audit.ListEventsRequest(page_token="AAAA"),  # it names no tenant
    }


def test_no_method_serves_the_wrong_side(server, canaries):
    a, b = (one.uid for one in canaries)
    calls = calls_at(b)
    channel = server.channel()
    realms = {
        "the other's": (bearer(server.tenant_token(a, "reader", "writer", "admin")), None),
        "nobody": ([], grpc.StatusCode.UNAUTHENTICATED),
        "an operator": (bearer(server.operator_token()), grpc.StatusCode.UNAUTHENTICATED),
    }
    services = (d.DESCRIPTOR.services_by_name["DataService"], stubs.audit.DESCRIPTOR.services_by_name["AuditService"])
    methods = [method for service in services for method in service.methods]
    assert {one.name for one in methods} == set(calls), "a method that no probe covers"
    for method in methods:
        call = channel.unary_unary(
            f"/{method.containing_service.full_name}/{method.name}",
            request_serializer=lambda message: message.SerializeToString(),
        )
        for who, (metadata, expected) in realms.items():
            with pytest.raises(grpc.RpcError) as caught:
                call(calls[method.name], metadata=metadata, timeout=PATIENCE)
            allowed = [expected] if expected else [
                grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.NOT_FOUND,
            ]  # fmt: skip
            assert caught.value.code() in allowed, (method.name, who)


def test_a_tenant_is_no_operator(server, canaries):
    call = server.operators.unary_unary(
        "/freehold.v1.ProbeService/RunProbe", request_serializer=lambda message: message.SerializeToString()
    )
    for metadata in ([], bearer(server.tenant_token(canaries[0].uid, "admin"))):
        with pytest.raises(grpc.RpcError) as caught:
            call(stubs.probe.RunProbeRequest(), metadata=metadata, timeout=PATIENCE)
        assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
