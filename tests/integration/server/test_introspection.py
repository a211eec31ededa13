"""Health and reflection, as the tools of the world use them, and methods that do not exist."""

import grpc
import pytest
from freehold_testing import PATIENCE, stubs
from freehold_testing.refusal import refused
from freehold_testing.server import bearer
from google.protobuf import descriptor_pool
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from conftest import new_slug

STANDARD = {
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
}
TENANT = {"freehold.v1.DataService", "freehold.v1.AuditService"}
OPERATOR = {
    "freehold.v1.TenantAdminService",
    "freehold.v1.StoreAdminService",
    "freehold.v1.MoveAdminService",
    "freehold.v1.ProbeService",
    "freehold.v1.SchemaService",
}
Status = stubs.health.HealthCheckResponse


@pytest.fixture(params=("tenant", "operator"))
def listener(request):
    return request.param


@pytest.fixture
def channel(server, listener):
    return server.channel(server.tenant_port if listener == "tenant" else server.operator_port)


@pytest.fixture(params=("with", "without"))
def metadata(request, server, listener):
    if request.param == "without":
        return []
    if listener == "operator":
        return bearer(server.operator_token())
    return bearer(server.tenant_token(server.create_tenant(new_slug("reflect")), "reader"))


def services(listener):
    return STANDARD | (TENANT if listener == "tenant" else OPERATOR)


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection(channel, listener, metadata, version):
    """The messages of both versions are the same bytes; only the service's name differs."""
    ask = channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    requests = [reflection_pb2.ServerReflectionRequest(list_services="")]
    for name in sorted(services(listener)):
        requests.append(reflection_pb2.ServerReflectionRequest(file_containing_symbol=name))
    requests.append(reflection_pb2.ServerReflectionRequest(file_by_filename="freehold/v1/nope.proto"))
    requests.append(reflection_pb2.ServerReflectionRequest(file_containing_symbol="no.Such"))
    answers = list(ask(iter(requests), metadata=metadata, timeout=PATIENCE))
    assert len(answers) == len(requests)
    listed = {one.name for one in answers[0].list_services_response.service}
    assert listed == services(listener)
    for answer in answers[1:-2]:
        assert answer.file_descriptor_response.file_descriptor_proto
    for answer in answers[-2:]:
        assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


def test_a_client_without_proto_files(server, listener):
    """Everything that a call needs is learnt from the server."""
    port = server.tenant_port if listener == "tenant" else server.operator_port
    pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(server.channel(port)))
    for name in services(listener) - STANDARD:
        service = pool.FindServiceByName(name)
        known = {
            "DataService": stubs.data,
            "AuditService": stubs.audit,
            "TenantAdminService": stubs.tenant_admin,
            "StoreAdminService": stubs.store_admin,
            "MoveAdminService": stubs.move_admin,
            "ProbeService": stubs.probe,
            "SchemaService": stubs.schema,
        }[name.rpartition(".")[2]].DESCRIPTOR.services_by_name[name.rpartition(".")[2]]
        assert [method.name for method in service.methods] == [
            method.name for method in known.methods
        ]
        assert [method.input_type.full_name for method in service.methods] == [
            method.input_type.full_name for method in known.methods
        ]


def test_health(channel, listener):
    stub = stubs.health_grpc.HealthStub(channel)
    check = stubs.health.HealthCheckRequest
    assert stub.Check(check(), timeout=PATIENCE).status == Status.SERVING
    if listener == "tenant":
        answer = stub.Check(check(service="freehold.v1.DataService"), timeout=PATIENCE)
        assert answer.status == Status.SERVING
    with refused("NOT_FOUND"):
        stub.Check(check(service="no.Such"), timeout=PATIENCE)


def test_health_watch_sees_the_end(start):
    server = start()
    stub = stubs.health_grpc.HealthStub(server.channel())
    watch = stub.Watch(stubs.health.HealthCheckRequest(), timeout=PATIENCE)
    assert next(watch).status == Status.SERVING
    unknown = stub.Watch(stubs.health.HealthCheckRequest(service="no.Such"), timeout=PATIENCE)
    assert next(unknown).status == Status.SERVICE_UNKNOWN
    unknown.cancel()
    server.process.terminate()
    statuses = []
    try:
        statuses = [answer.status for answer in watch]
    except grpc.RpcError:
        pass  # the stream ends with the server
    assert set(statuses) <= {Status.NOT_SERVING}
    assert server.ended() == 0


def test_unknown_methods(channel, server):
    """At once, whoever asks and whatever is sent: a hang would end by the deadline."""
    for path in (
        "/freehold.v1.DataService/Nope",
        "/freehold.v1.DataService/",
        "/freehold.v1.NoService/GetRecord",
        "/freehold.v2.DataService/GetRecord",
        "/x/y",
        "/grpc.health.v1.Health/Nope",
        "/" + "a" * 1000 + "/b",
    ):
        for body in (b"", b"\xff" * 100):
            call = channel.unary_unary(path)
            with refused("UNIMPLEMENTED"):
                call(body, timeout=PATIENCE)
        with refused("UNIMPLEMENTED"):
            list(channel.stream_stream(path)(iter([b"x", b"y"]), timeout=PATIENCE))
    server.assert_serving()
