"""grpc.health.v1 and server reflection, spoken by the public client packages."""

import grpc
import pytest
from google.protobuf import descriptor_pool
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from conftest import PATIENCE, message

SetServing = message("SetServingRequest")
SERVICE = "freehold.test.v1.TestService"
SERVICES = {
    SERVICE,
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
}
UNKNOWN, SERVING, NOT_SERVING, SERVICE_UNKNOWN = range(4)


class Health:
    """The public grpc.health.v1 by its bytes: one text of field 1 in, one number of field 1 out."""

    def __init__(self, channel):
        coding = {"request_serializer": self.encode, "response_deserializer": self.decode}
        self.check_method = channel.unary_unary("/grpc.health.v1.Health/Check", **coding)
        self.watch_method = channel.unary_stream("/grpc.health.v1.Health/Watch", **coding)

    @staticmethod
    def encode(service):
        return b"\x0a" + bytes([len(service)]) + service.encode() if service else b""

    @staticmethod
    def decode(body):
        assert len(body) in (0, 2) and body[:1] in (b"", b"\x08")
        return body[1] if body else UNKNOWN

    def check(self, service=""):
        return self.check_method(service, timeout=PATIENCE)

    def watch(self, service=""):
        return self.watch_method(service)


def test_check(server, stub):
    health = Health(server.channel())
    assert health.check() == SERVING
    assert health.check(SERVICE) == NOT_SERVING
    stub.SetServing(SetServing(service=SERVICE, serving=True), timeout=PATIENCE)
    assert health.check(SERVICE) == SERVING
    with pytest.raises(grpc.RpcError) as caught:
        health.check("no.Such")
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_list(server):
    method = server.channel().unary_unary("/grpc.health.v1.Health/List")
    body = method(b"", timeout=PATIENCE)
    assert SERVICE.encode() in body and b"grpc.health.v1.Health" in body


def test_watch(server, stub):
    health = Health(server.channel())
    watch = health.watch(SERVICE)
    assert next(watch) == NOT_SERVING
    stub.SetServing(SetServing(service=SERVICE, serving=True), timeout=PATIENCE)
    assert next(watch) == SERVING
    stub.SetServing(SetServing(service=SERVICE, serving=True), timeout=PATIENCE)
    stub.SetServing(SetServing(service=SERVICE, serving=False), timeout=PATIENCE)
    assert next(watch) == NOT_SERVING
    watch.cancel()
    server.until(lambda s: s.live_calls == 1, stub)


def test_watch_of_a_service_that_comes_later(server, stub):
    health = Health(server.channel())
    watch = health.watch("later")
    assert next(watch) == SERVICE_UNKNOWN
    stub.SetServing(SetServing(service="later", serving=True), timeout=PATIENCE)
    assert next(watch) == SERVING


def test_watchers_hear_of_the_end(start):
    server = start("--drain-ms", "3600000")
    health = Health(server.channel())
    watch = health.watch("")
    assert next(watch) == SERVING
    server.signal()
    assert next(watch) == NOT_SERVING
    with pytest.raises(grpc.RpcError) as caught:
        next(watch)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    # The watcher did not hold the drain up.
    assert server.wait() == 0


def test_too_many_watchers(server):
    health = Health(server.channel())
    watches = [health.watch() for _ in range(256)]
    for watch in watches:
        assert next(watch) == SERVING
    with pytest.raises(grpc.RpcError) as caught:
        next(health.watch())
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


class Reflection:
    """v1 has the bytes of v1alpha under another name."""

    def __init__(self, channel, version):
        self.method = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )

    def ask(self, *requests):
        requests = [reflection_pb2.ServerReflectionRequest(**r) for r in requests]
        return list(self.method(iter(requests), timeout=PATIENCE))


@pytest.fixture(params=["v1", "v1alpha"])
def reflection(request, server):
    return Reflection(server.channel(), request.param)


def test_list_services(reflection):
    (answer,) = reflection.ask({"host": "h", "list_services": "*"})
    assert {s.name for s in answer.list_services_response.service} == SERVICES
    assert answer.valid_host == "h" and answer.original_request.list_services == "*"


def test_many_questions_on_one_stream(reflection):
    answers = reflection.ask(*[{"list_services": str(i)} for i in range(300)])
    assert [a.original_request.list_services for a in answers] == [str(i) for i in range(300)]


@pytest.mark.parametrize(
    "symbol",
    [
        "grpc.health.v1.Health",
        "grpc.health.v1.Health.Check",
        "grpc.health.v1.HealthCheckResponse",
        "grpc.health.v1.HealthCheckResponse.status",
        "grpc.health.v1.HealthCheckResponse.ServingStatus",
        "grpc.health.v1.HealthCheckResponse.SERVING",
        "grpc.health.v1.HealthListResponse.StatusesEntry",
    ],
)
def test_describe_symbol(reflection, symbol):
    (answer,) = reflection.ask({"file_containing_symbol": symbol})
    files = answer.file_descriptor_response.file_descriptor_proto
    pool = descriptor_pool.DescriptorPool()
    for body in reversed(files):
        pool.AddSerializedFile(body)
    service = pool.FindServiceByName("grpc.health.v1.Health")
    assert {m.name for m in service.methods} == {"Check", "List", "Watch"}
    assert pool.FindMethodByName("grpc.health.v1.Health.Watch").server_streaming


def test_imports_come_along(reflection):
    (answer,) = reflection.ask({"file_by_filename": "google/rpc/error_details.proto"})
    files = answer.file_descriptor_response.file_descriptor_proto
    assert len(files) == 2
    assert b"google/protobuf/duration.proto" in files[1]


def test_not_found(reflection):
    answers = reflection.ask(
        {"file_by_filename": "no/such.proto"},
        {"file_containing_symbol": "no.Such"},
        {"file_containing_symbol": "grpc.health.v1"},
        {"file_containing_symbol": ""},
        {"file_containing_extension": {"containing_type": "x", "extension_number": 1}},
        {"all_extension_numbers_of_type": "x"},
        {},
    )
    codes = [a.error_response.error_code for a in answers]
    assert codes == [5, 5, 5, 5, 5, 5, 3]


def test_public_client(server):
    database = ProtoReflectionDescriptorDatabase(server.channel())
    assert set(database.get_services()) == SERVICES
    pool = descriptor_pool.DescriptorPool(database)
    service = pool.FindServiceByName("grpc.health.v1.Health")
    assert service.methods_by_name["Check"].input_type.fields_by_name["service"].number == 1
    info = pool.FindServiceByName("grpc.reflection.v1.ServerReflection")
    assert info.methods_by_name["ServerReflectionInfo"].client_streaming


def test_idle_reflection_stream_does_not_hold_the_drain(start):
    server = start("--drain-ms", "3600000")
    channel = server.channel()
    reflection = Reflection(channel, "v1")
    import queue

    questions = queue.Queue()
    questions.put(reflection_pb2.ServerReflectionRequest(list_services="*"))
    answers = reflection.method(iter(questions.get, None))
    assert next(answers).list_services_response.service
    server.signal()
    with pytest.raises(grpc.RpcError) as caught:
        next(answers)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    questions.put(None)
    assert server.wait() == 0


def test_open_without_a_token_on_loopback(start):
    server = start("--token", "secret")
    assert Health(server.channel()).check() == SERVING
    assert Reflection(server.channel(), "v1").ask({"list_services": ""})


def test_open_on_loopback_only(start):
    """Beyond loopback any caller who is known may ask, and nobody else."""
    server = start("--token", "secret", "--address", "0.0.0.0:0", "--insecure")
    health = Health(server.channel())
    reflection = Reflection(server.channel(), "v1")
    for refused in [health.check, lambda: reflection.ask({"list_services": ""})]:
        with pytest.raises(grpc.RpcError) as caught:
            refused()
        assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
    token = [("authorization", "secret")]
    assert health.check_method("", timeout=PATIENCE, metadata=token) == SERVING
    questions = [reflection_pb2.ServerReflectionRequest(list_services=str(i)) for i in range(3)]
    answers = list(reflection.method(iter(questions), timeout=PATIENCE, metadata=token))
    assert [a.original_request.list_services for a in answers] == ["0", "1", "2"]
    # The caller is still known when the stream of many messages has ended.
    server.until(lambda s: s.observed["OK"] > 1 and s.live_calls == 1)
    assert server.stub().state().observed["CORRUPT"] == 0
