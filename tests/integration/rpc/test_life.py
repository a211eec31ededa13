"""Start, listen, TLS, stop."""

import signal
import socket
import subprocess

import grpc
import pytest

from conftest import PATIENCE, message

Echo = message("EchoRequest")
Hold = message("HoldRequest")
Count = message("CountRequest")


def make_certificate(path, name="localhost"):
    key, certificate = path / "key.pem", path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-keyout", key, "-out", certificate, "-subj", f"/CN={name}",
         "-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return key, certificate


def test_without_coalescing(start):
    stub = start("--no-coalesce").stub()
    assert stub.Echo(Echo(text="at once"), timeout=PATIENCE).text == "at once"
    assert len(list(stub.Count(Count(messages=500, bytes=9000), timeout=PATIENCE))) == 500


def test_stops_idle(start):
    server = start()
    server.signal()
    assert server.wait() == 0


def test_stops_with_idle_connections(start):
    server = start()
    channel = server.channel()
    grpc.channel_ready_future(channel).result(PATIENCE)
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE):
        server.signal()
        assert server.wait() == 0


def test_drain_lets_calls_finish(start):
    """A call in flight when the signal comes has its answer; a new one is refused."""
    server = start("--drain-ms", "50000")
    stub = server.stub()
    stream = stub.Count(Count(messages=3000, bytes=4096), timeout=PATIENCE)
    assert next(stream).index == 0
    server.signal()
    assert server.read_line() == "stopping"
    rest = [answer.index for answer in stream]
    assert rest == list(range(1, 3000))
    assert server.wait() == 0


def test_drain_refuses_new_calls(start):
    server = start("--drain-ms", "50000")
    stub = server.stub()
    held = stub.Hold.future(Hold(), timeout=PATIENCE)
    server.until(lambda s: s.holding == 1, stub)
    server.signal()
    assert server.read_line() == "stopping"
    with pytest.raises(grpc.RpcError) as caught:
        for _ in range(1000):
            server.stub().Echo(Echo(), timeout=PATIENCE)
    assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
    assert server.process.poll() is None, "the drain did not wait for the call"
    held.cancel()
    assert server.wait() == 0


def test_drain_is_cut(start):
    server = start("--drain-ms", "100")
    stub = server.stub()
    held = stub.Hold.future(Hold(), timeout=PATIENCE)
    stream = stub.HoldStream(Hold(), timeout=PATIENCE)
    server.until(lambda s: s.holding == 2, stub)
    server.signal()
    assert server.wait() == 0
    assert held.exception().code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
    with pytest.raises(grpc.RpcError):
        next(stream)


def test_second_signal_ends_at_once(start):
    """The drain would take an hour; the test's patience is a minute."""
    server = start("--drain-ms", "3600000")
    stub = server.stub()
    held = stub.Hold.future(Hold())
    server.until(lambda s: s.holding == 1, stub)
    server.signal()
    assert server.read_line() == "stopping"
    assert server.process.poll() is None
    server.signal(signal.SIGINT)
    assert server.wait() == 0
    assert held.exception() is not None


def test_stops_under_load(start):
    server = start("--drain-ms", "1000")
    stub = server.stub()
    futures = [stub.Echo.future(Echo(text=str(i))) for i in range(3000)]
    futures[0].result(PATIENCE)
    server.signal()
    assert server.wait() == 0
    answered = sum(1 for f in futures if f.exception() is None)
    assert answered > 0
    for index, future in enumerate(futures):
        if future.exception() is None:
            assert future.result().text == str(index)


def test_plaintext_beyond_loopback_is_refused(start):
    server = start("--address", "0.0.0.0:0")
    server.expected_status = 1
    assert not server.first_line.startswith("port")
    assert server.wait() == 1
    server.log.seek(0)
    assert "needs TLS" in server.log.read()


def test_plaintext_beyond_loopback_when_asked(start):
    stub = start("--address", "0.0.0.0:0", "--insecure").stub()
    assert stub.Echo(Echo(text="open"), timeout=PATIENCE).text == "open"


def test_port_in_use(start):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = start("--address", f"127.0.0.1:{taken.getsockname()[1]}")
        server.expected_status = 1
        assert server.wait() == 1
        server.log.seek(0)
        assert "cannot listen on" in server.log.read()


def test_tls(start, tmp_path):
    key, certificate = make_certificate(tmp_path)
    server = start("--tls", str(certificate), str(key), "--address", "0.0.0.0:0")
    credentials = grpc.ssl_channel_credentials(certificate.read_bytes())
    stub = server.stub(credentials=credentials)
    assert stub.Echo(Echo(text="private"), timeout=PATIENCE).text == "private"
    body = b"z" * (3 << 20)
    assert stub.Echo(Echo(payload=body), timeout=PATIENCE).payload == body
    count = list(stub.Count(Count(messages=200, bytes=10000), timeout=PATIENCE))
    assert len(count) == 200
    # Plaintext to a TLS port gets nowhere, and does no harm.
    with pytest.raises(grpc.RpcError) as caught:
        server.stub().Echo(Echo(), timeout=PATIENCE)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    # Nor does a client that trusts somebody else.
    (tmp_path / "other").mkdir()
    _, other = make_certificate(tmp_path / "other")
    stranger = grpc.ssl_channel_credentials(other.read_bytes())
    with pytest.raises(grpc.RpcError):
        server.stub(credentials=stranger).Echo(Echo(), timeout=PATIENCE)
    assert stub.Echo(Echo(text="still"), timeout=PATIENCE).text == "still"


@pytest.mark.parametrize("what", ["missing", "garbage", "swapped", "mismatch"])
def test_bad_certificates(start, tmp_path, what):
    key, certificate = make_certificate(tmp_path)
    if what == "missing":
        certificate = tmp_path / "nothing.pem"
    elif what == "garbage":
        certificate.write_bytes(b"\0garbage" * 100)
    elif what == "swapped":
        key, certificate = certificate, key
    else:
        (tmp_path / "other").mkdir()
        key, _ = make_certificate(tmp_path / "other")
    server = start("--tls", str(certificate), str(key))
    server.expected_status = 1
    assert server.wait() == 1
    server.log.seek(0)
    text = server.log.read()
    assert "refused:" in text and "PRIVATE KEY" not in text
