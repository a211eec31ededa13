"""Bytes that no honest client sends: refused with the field at fault, and the server stays well."""

import random
import socket
import struct

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from conftest import PATIENCE, message

Echo = message("EchoRequest")
Node = message("Node")


def varint(value):
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def delimited(number, body):
    return varint(number << 3 | 2) + varint(len(body)) + body


def nested(depth):
    """From the inside out; put together once, since a copy for each level takes half a minute."""
    heads, length = [], 0
    for _ in range(depth):
        heads.append(varint(2 << 3 | 2) + varint(length))
        length += len(heads[-1])
    return b"".join(reversed(heads))


def refused(stub, body):
    with pytest.raises(grpc.RpcError) as caught:
        stub.raw("Echo", body)
    error = caught.value
    status = rpc_status.from_call(error)
    fields = []
    for any_ in status.details if status else []:
        if any_.type_url.endswith("BadRequest"):
            bad = error_details_pb2.BadRequest.FromString(any_.value)
            fields = [v.field for v in bad.field_violations]
    return error.code(), fields


INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    "name, body, fields",
    [
        ("invalid UTF-8", delimited(1, b"\xff\xfe"), ["text"]),
        ("surrogate", delimited(1, b"\xed\xa0\x80"), ["text"]),
        ("overlong", delimited(1, b"\xc0\xaf"), ["text"]),
        ("NUL", delimited(1, b"a\0b"), ["text"]),
        ("NUL below", delimited(3, delimited(2, delimited(1, b"\0"))), ["node.child.name"]),
        ("bad map key", delimited(5, delimited(1, b"\xff")), ["nodes.key"]),
        ("bad map value", delimited(5, delimited(2, delimited(1, b"\xff"))), ["nodes.value.name"]),
        ("cut varint", b"\x08\xff", []),
        ("endless varint", b"\x20" + b"\xff" * 11, []),
        ("cut length", b"\x0a\x05abc", []),
        ("huge length", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", []),
        ("cut fixed", b"\x09\x01\x02", []),
        ("field number 0", b"\x00\x01", []),
        ("field number too large", b"\x80\x80\x80\x80\x10\x00", []),
        ("group", b"\x0b\x0c", []),
        ("wire type 7", b"\x0f", []),
        ("text as number", b"\x08\x01", ["text"]),
        ("node as number", b"\x18\x01", ["node"]),
        ("number as fixed", b"\x25\x01\x02\x03\x04", ["numbers"]),
        ("cut packed", delimited(4, b"\x01\xff"), ["numbers"]),
        ("node twice", delimited(3, b"") * 2, ["node"]),
        ("node twice, apart", delimited(3, b"") + delimited(1, b"x") + delimited(3, b""), ["node"]),
    ],
)
def test_refused(stub, name, body, fields):
    code, found = refused(stub, body)
    assert (code, found) == (INVALID, fields), name
    assert stub.Echo(Echo(text="well"), timeout=PATIENCE).text == "well"


def test_depth(stub):
    assert stub.raw("Echo", delimited(3, nested(30))) is not None
    code, _ = refused(stub, delimited(3, nested(32)))
    assert code == INVALID
    code, _ = refused(stub, delimited(3, nested(200_000)))
    assert code == INVALID


def test_elements(stub):
    many = delimited(4, b"\x01" * 200_000)
    assert message("EchoResponse").FromString(stub.raw("Echo", many)).number_count == 200_000
    code, _ = refused(stub, delimited(4, b"\x01" * 300_000))
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    # Two bytes each on the wire, a hundred in memory.
    code, _ = refused(stub, delimited(3, delimited(3, b"") * 1_000_000))
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_unknown_fields_are_skipped(stub):
    body = delimited(1, b"ok") + delimited(1000, b"\xff\0") + b"\xf8\x3f\x01"
    assert message("EchoResponse").FromString(stub.raw("Echo", body)).text == "ok"


def test_no_message(server):
    """The client half-closes without a request."""
    method = server.channel().stream_unary("/freehold.test.v1.TestService/Echo")
    with pytest.raises(grpc.RpcError) as caught:
        method(iter([]), timeout=PATIENCE)
    assert caught.value.code() == INVALID


def test_two_messages(server, stub):
    method = server.channel().stream_unary("/freehold.test.v1.TestService/Echo")
    body = Echo(text="one").SerializeToString()
    try:
        method(iter([body, body]), timeout=PATIENCE)
    except grpc.RpcError:
        pass
    server.until(lambda s: s.live_calls == 1, stub)


def test_random_bytes(server, stub):
    """Whatever it is, it is answered, and nothing stays behind."""
    seed = 20261121
    chance = random.Random(seed)
    whole = Echo(
        text="text",
        payload=b"p" * 50,
        node=Node(name="n", child=Node(name="c"), children=[Node(name="d")] * 3),
        numbers=range(50),
        nodes={"k": Node(name="v")},
    ).SerializeToString()
    futures = []
    method = stub.channel.unary_unary("/freehold.test.v1.TestService/Echo")
    for _ in range(3000):
        body = bytearray(whole[: chance.randrange(len(whole) + 1)])
        for _ in range(chance.randrange(8)):
            if body:
                body[chance.randrange(len(body))] = chance.randrange(256)
        futures.append(method.future(bytes(body), timeout=PATIENCE))
    codes = {f.exception().code() if f.exception() else None for f in futures}
    assert codes <= {None, INVALID, grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert None in codes and INVALID in codes, f"seed {seed}"
    server.until(lambda s: s.live_calls == 1, stub)


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0" * 4096,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 4096,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + struct.pack(">I", 9) + b"\x01\x05\0\0\0\1" + b"\x80" * 9,
    ],
)
def test_not_even_http2(stub, raw_connection, garbage):
    connection = raw_connection()
    connection.sendall(garbage)
    while True:
        try:
            if not connection.recv(4096):
                break
        except ConnectionError:
            break
    assert stub.Echo(Echo(text="well"), timeout=PATIENCE).text == "well"


def frame(kind, flags, stream, body):
    return struct.pack(">I", len(body))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + body


def header(name, value):
    """HPACK: a literal without indexing, without Huffman's code."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def test_reader_that_never_reads(start):
    """No deadline of its own, and flow control stays shut: the answer is not kept beyond ours."""
    server = start("--deadline-max-ms", "200")
    stub = server.stub()
    body = Echo(response_bytes=1 << 20).SerializeToString()
    headers = b"".join(
        header(name, value)
        for name, value in [
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", b"/freehold.test.v1.TestService/Echo"),
            (b":authority", b"localhost"),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
        ]
    )
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as connection:
        connection.sendall(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
            + frame(4, 0, 0, b"")
            + frame(1, 4, 1, headers)
            + frame(0, 1, 1, b"\0" + struct.pack(">I", len(body)) + body)
        )
        server.until(lambda s: s.observed["DEADLINE"] == 1 and s.live_calls == 1, stub)
