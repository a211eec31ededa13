"""Unary and streaming calls, limits, refusals."""

import re

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from conftest import PATIENCE, message

Echo = message("EchoRequest")
Count = message("CountRequest")
Fail = message("FailRequest")
Hold = message("HoldRequest")


def refusal(call):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value


def details(error):
    status = rpc_status.from_call(error)
    assert status is not None, "no grpc-status-details-bin"
    found = {}
    for any_ in status.details:
        kind = getattr(error_details_pb2, any_.type_url.split(".")[-1])
        found[kind.__name__] = kind.FromString(any_.value)
    return status, found


def test_echo(stub):
    response, call = stub.Echo.with_call(
        Echo(text="grüß dich", payload=b"\0\xff", numbers=[1, -2, 3]), timeout=PATIENCE
    )
    assert response.text == "grüß dich"
    assert response.payload == b"\0\xff"
    assert response.number_count == 3
    assert re.match(r"ipv4:127\.0\.0\.1:\d+$", response.peer)
    initial = dict(call.initial_metadata())
    assert initial["freehold-request-id"] == response.request_id
    assert re.match(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-", response.request_id)
    assert dict(call.trailing_metadata())["freehold-test"] == "trailer"


def test_many_at_once(stub):
    futures = [stub.Echo.future(Echo(text=str(i)), timeout=PATIENCE) for i in range(500)]
    answers = [future.result() for future in futures]
    assert [answer.text for answer in answers] == [str(i) for i in range(500)]
    assert len({answer.request_id for answer in answers}) == 500


def test_large_message_in_many_frames(stub):
    body = bytes(range(256)) * 8192
    assert stub.Echo(Echo(payload=body), timeout=PATIENCE).payload == body


def test_deadline_reaches_the_handler(stub):
    left = stub.Echo(Echo(), timeout=40).deadline_left_us
    assert 0 < left <= 40_000_000


def test_default_and_greatest_deadline(start):
    stub = start("--deadline-ms", "20000", "--deadline-max-ms", "50000").stub()
    assert 0 < stub.Echo(Echo()).deadline_left_us <= 20_000_000
    left = stub.Echo(Echo(), timeout=5000).deadline_left_us
    assert 20_000_000 < left <= 50_000_000


def arriving(begin, came, stub):
    """A call that came to the server before its deadline was over: that of one which did not was too
    short for the machine as it is."""
    for timeout in (0.2, 1, 5, 25):
        call = begin(timeout)
        while not call.done():
            if came(stub.state()):
                return call
    raise AssertionError("no call came to the server")


def test_deadline_of_the_caller_ends_a_held_call(server, stub):
    call = arriving(lambda timeout: stub.Hold.future(Hold(), timeout=timeout),
                    lambda s: s.holding == 1, stub)
    assert call.exception().code() == grpc.StatusCode.DEADLINE_EXCEEDED
    # Which of the two clocks was first decides the name. A call is observed when its status went
    # out, which may be after the caller has it.
    server.until(lambda s: s.holding == 0 and s.cancellations >= 1 and
                 s.observed["DEADLINE"] + s.observed["CANCELLED"] == s.cancellations, stub)


def test_default_deadline_ends_a_held_call(start):
    """The caller set none: the status comes from us, the handler is told."""
    server = start("--deadline-ms", "200")
    error = refusal(lambda: server.stub().Hold(Hold()))
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    server.until(lambda s: s.holding == 0 and s.cancellations == 1 and
                 s.observed["DEADLINE"] == 1)


def test_greatest_deadline_ends_a_held_call(start):
    server = start("--deadline-max-ms", "200")
    error = refusal(lambda: server.stub().Hold(Hold(), timeout=5000))
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    server.until(lambda s: s.holding == 0 and s.cancellations == 1)


def test_cancellation_reaches_the_handler(server, stub):
    future = stub.Hold.future(Hold(), timeout=PATIENCE)
    server.until(lambda s: s.holding == 1, stub)
    future.cancel()
    server.until(lambda s: s.cancellations == 1 and s.live_calls == 1 and s.holding == 0 and
                 s.observed["CANCELLED"] == 1, stub)


def test_cancellation_of_a_stream(server, stub):
    call = stub.HoldStream(Hold(), timeout=PATIENCE)
    # Initial metadata does not wait for the first message.
    assert "freehold-request-id" in dict(call.initial_metadata())
    call.cancel()
    server.until(lambda s: s.cancellations == 1 and s.live_calls == 1, stub)


def test_vanished_client(server, stub):
    """The connection goes away with calls in it."""
    other = server.stub()
    futures = [other.Hold.future(Hold()) for _ in range(20)]
    stream = other.HoldStream(Hold())
    count = other.Count(Count(messages=1_000_000, bytes=4096))
    assert next(count).index == 0
    server.until(lambda s: s.holding == 21, stub)
    other.channel.close()
    server.until(lambda s: s.cancellations == 21 and s.live_calls == 1 and s.count_ended, stub)
    assert all(future.done() for future in futures) and not stream.is_active()


def test_stream(stub):
    answers = list(stub.Count(Count(messages=1000, bytes=100), timeout=PATIENCE))
    assert [answer.index for answer in answers] == list(range(1000))
    assert all(len(answer.payload) == 100 for answer in answers)
    assert list(stub.Count(Count(messages=0), timeout=PATIENCE)) == []


def test_stream_fails_after_its_messages(stub):
    call = stub.Count(Count(messages=100, bytes=10, code="NOT_FOUND"), timeout=PATIENCE)
    got = []
    error = refusal(lambda: got.extend(m.index for m in call) or list(call))
    seen = []
    call = stub.Count(Count(messages=100, bytes=10, code="NOT_FOUND"), timeout=PATIENCE)
    with pytest.raises(grpc.RpcError) as caught:
        for answer in call:
            seen.append(answer.index)
    assert seen == list(range(100))
    assert caught.value.code() == error.code() == grpc.StatusCode.NOT_FOUND


def test_slow_reader_bounds_memory(server, stub):
    """A reader that stops reading stops the handler; nothing piles up."""
    before = stub.state().rss_bytes
    other = server.stub()
    messages, size = 16384, 65536  # 1 GiB
    call = other.Count(Count(messages=messages, bytes=size), timeout=PATIENCE)
    assert next(call).index == 0
    last, same = -1, 0
    while same < 200:
        counted = stub.state().counted
        same = same + 1 if counted == last else 0
        last = counted
    state = stub.state()
    # How much is on its way is the client's affair (its windows), what piles up here is ours.
    assert not state.count_ended
    assert state.counted * size < 512 << 20
    assert state.rss_bytes - before < 128 << 20
    # And it goes on where it stopped.
    for index in range(1, 2000):
        assert next(call).index == index
    call.cancel()
    server.until(lambda s: s.count_ended and s.live_calls == 1, stub)


def test_stream_ends_with_a_deadline_though_nobody_reads(server, stub):
    other = server.stub()
    call = arriving(lambda timeout: other.Count(Count(messages=1 << 30, bytes=65536), timeout=timeout),
                    lambda s: s.counted > 0, stub)
    server.until(lambda s: s.count_ended and s.live_calls == 1, stub)
    with pytest.raises(grpc.RpcError) as caught:
        for _ in call:
            pass
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


def test_unknown_method_at_once(server):
    channel = server.channel()
    for path in ("/freehold.test.v1.TestService/Nope", "/no.Such/Thing", "/"):
        method = channel.unary_unary(path)
        # Without a deadline: a server without a catch-all would hang here.
        error = refusal(lambda: method(b""))
        assert error.code() == grpc.StatusCode.UNIMPLEMENTED
        _, found = details(error)
        assert found["ErrorInfo"].reason == "UNIMPLEMENTED"
    server.until(lambda s: s.observed["UNIMPLEMENTED"] == 3)


def test_many_unknown_methods_at_once(server):
    method = server.channel().unary_unary("/no.Such/Thing")
    futures = [method.future(b"") for _ in range(300)]
    assert {f.exception().code() for f in futures} == {grpc.StatusCode.UNIMPLEMENTED}


def test_oversized_request(server, stub):
    error = refusal(lambda: stub.Echo(Echo(payload=b"x" * (5 << 20)), timeout=PATIENCE))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert stub.Echo(Echo(text="still here"), timeout=PATIENCE).text == "still here"
    server.until(lambda s: s.live_calls == 1, stub)


def test_oversized_response(server):
    stub = server.stub(options=[("grpc.max_receive_message_length", 64 << 20)])
    error = refusal(lambda: stub.Echo(Echo(response_bytes=17 << 20), timeout=PATIENCE))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert details(error)[1]["ErrorInfo"].reason == "TOO_LARGE"
    size = 15 << 20
    response = stub.Echo(Echo(response_bytes=size), timeout=PATIENCE)
    assert len(response.payload) == size


def test_oversized_metadata(server, stub):
    """Refused alone: another call on the same connection goes on."""
    held = stub.Hold.future(Hold(), timeout=PATIENCE)
    server.until(lambda s: s.holding == 1, stub)
    error = refusal(
        lambda: stub.Echo(Echo(), timeout=PATIENCE, metadata=[("x-large", "v" * 20000)])
    )
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert details(error)[1]["ErrorInfo"].reason == "TOO_LARGE"
    assert not held.done()
    held.cancel()
    server.until(lambda s: s.live_calls == 1, stub)


def test_metadata_beyond_all_measure(server):
    """gRPC itself refuses, and may close the connection; the server stays well."""
    error = refusal(
        lambda: server.stub().Echo(Echo(), timeout=PATIENCE, metadata=[("x", "v" * 900_000)])
    )
    assert error.code() in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE)
    server.until(lambda s: s.live_calls == 1)


def test_compressed_request_is_refused(server):
    stub = server.stub(options=[("grpc.default_compression_algorithm", 2)])
    error = refusal(lambda: stub.Echo(Echo(text="x" * 5000), timeout=PATIENCE))
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED


def test_authenticator_comes_first(start):
    server = start("--token", "secret")
    stub = server.stub()
    # Not even the request's bytes are looked at.
    error = refusal(lambda: stub.raw("Echo", b"\xff\xff\xff"))
    assert error.code() == grpc.StatusCode.UNAUTHENTICATED
    assert details(error)[1]["ErrorInfo"].reason == "UNAUTHENTICATED"
    metadata = [("authorization", "secret")]
    assert stub.Echo(Echo(text="in"), timeout=PATIENCE, metadata=metadata).text == "in"
    server.until(lambda s: s.observed["UNAUTHENTICATED"] == 1)


def test_too_many_calls(start):
    server = start("--calls-max", "10", "--deadline-ms", "600000")
    stub = server.stub()
    futures = [stub.Hold.future(Hold()) for _ in range(9)]
    server.until(lambda s: s.holding == 9, stub)
    futures.append(stub.Hold.future(Hold()))
    error = futures_error = None
    # The tenth is in; all places are taken now, for every method.
    for _ in range(1000):
        try:
            stub.Echo(Echo(), timeout=PATIENCE)
        except grpc.RpcError as caught:
            error = caught
            break
    assert error is not None, futures_error
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    _, found = details(error)
    assert found["ErrorInfo"].reason == "RESOURCE_EXHAUSTED"
    assert found["RetryInfo"].retry_delay.ToMilliseconds() > 0
    # A flood beyond the places kept for refusals is refused too, and nothing breaks.
    flood = [stub.Echo.future(Echo()) for _ in range(2000)]
    assert {f.exception().code() for f in flood} <= {
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.CANCELLED,
    }
    for future in futures:
        future.cancel()
    for _ in range(10000):
        try:
            if stub.state().live_calls == 1:
                break
        except grpc.RpcError:
            pass
    assert stub.Echo(Echo(text="again"), timeout=PATIENCE).text == "again"


def test_details_of_everything(stub):
    error = refusal(
        lambda: stub.Fail(
            Fail(code="HELD", message="hold on, ünïcode", everything=True), timeout=PATIENCE
        )
    )
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    assert error.details() == "hold on, ünïcode"
    status, found = details(error)
    assert status.code == 14 and status.message == "hold on, ünïcode"
    info = found["ErrorInfo"]
    assert (info.reason, info.domain) == ("TENANT_HELD", "freehold")
    assert dict(info.metadata) == {"tenant": "t-1", "store": "s-1"}
    violations = found["BadRequest"].field_violations
    assert [(v.field, v.description) for v in violations] == [
        ("a.b", "too long"),
        ("c", "missing"),
    ]
    assert found["RetryInfo"].retry_delay.ToMilliseconds() == 1250
    links = found["Help"].links
    assert (links[0].url, links[0].description) == ("https://example.org/help", "how to go on")


@pytest.mark.parametrize(
    "code, status, reason, retry",
    [
        ("NOT_FOUND", grpc.StatusCode.NOT_FOUND, "NOT_FOUND", False),
        ("ETAG_MISMATCH", grpc.StatusCode.ABORTED, "ETAG_MISMATCH", False),
        ("CONFLICT", grpc.StatusCode.ABORTED, "CONFLICT", True),
        ("UNAVAILABLE", grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE", True),
        ("OUTCOME_UNKNOWN", grpc.StatusCode.UNKNOWN, "OUTCOME_UNKNOWN", True),
    ],
)
def test_details_of_an_error(stub, code, status, reason, retry):
    error = refusal(lambda: stub.Fail(Fail(code=code, message="why"), timeout=PATIENCE))
    assert error.code() == status and error.details() == "why"
    _, found = details(error)
    assert found["ErrorInfo"].reason == reason
    assert ("RetryInfo" in found) == retry
    assert "BadRequest" not in found
    assert "freehold-request-id" in dict(error.initial_metadata())


def test_memory_runs_out(server, stub):
    """Each allocation of a call fails in turn: refused, never a crash, a leak or a hang."""
    Faults = message("FaultsRequest")
    reflect = stub.channel.stream_stream(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
    )

    def attempts():
        # Held calls keep their places in the slab, so that each round makes a new one.
        holds.append(stub.HoldStream(Hold(), timeout=PATIENCE))
        yield lambda: holds[-1].initial_metadata() and None
        yield lambda: stub.Echo(Echo(payload=b"x" * 100_000), timeout=PATIENCE)
        yield lambda: list(stub.Count(Count(messages=5, bytes=100_000), timeout=PATIENCE))
        yield lambda: stub.raw("Echo", delimited_nul)
        yield lambda: list(reflect(iter([b"\x3a\x01*"]), timeout=PATIENCE))

    delimited_nul = b"\x0a\x01\0"
    holds = []
    expected = {
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.INVALID_ARGUMENT,
    }
    deliveries = []
    while not deliveries or deliveries[-1]:
        after = len(deliveries)
        stub.Faults(Faults(on=True, after=after), timeout=PATIENCE)
        for attempt in attempts():
            try:
                attempt()
            except grpc.RpcError as error:
                assert error.code() in expected, error
        deliveries.append(stub.Faults(Faults(), timeout=PATIENCE).delivered)
    # The place in the slab, its arena, and room in the arena, at least.
    assert 3 < len(deliveries) < 100
    for hold in holds:
        hold.cancel()
    server.until(lambda s: s.live_calls == 1, stub)
    assert stub.Echo(Echo(text="well"), timeout=PATIENCE).text == "well"
