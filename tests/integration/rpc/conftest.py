"""What the rpc tests share: the test server as a process, and messages made from its descriptors.

Every server listens on a port the kernel picked and tells it on its first line; it is stopped by its process id, and
the exit status is part of every test: 0, no leak found by a sanitizer, nothing left running.
"""

import os
import select
import signal
import socket
import subprocess

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVER = os.environ["RPC_TEST_SERVER"]
POLLER = os.environ.get("RPC_TEST_POLLER", "nested")
# A bound on waiting for what must happen; no result depends on how long it takes.
PATIENCE = 60


def load_messages():
    with open(os.environ["RPC_TEST_DESCRIPTORS"], "rb") as file:
        files = descriptor_pb2.FileDescriptorSet.FromString(file.read())
    pool = descriptor_pool.DescriptorPool()
    for one in files.file:
        pool.Add(one)
    return pool


POOL = load_messages()


def message(name):
    return message_factory.GetMessageClass(
        POOL.FindMessageTypeByName("freehold.test.v1." + name)
    )


class Stub:
    """Typed methods of the test service over one channel."""

    STREAMS = {"Count", "HoldStream"}

    def __init__(self, channel):
        self.channel = channel
        service = POOL.FindServiceByName("freehold.test.v1.TestService")
        for method in service.methods:
            make = (
                channel.unary_stream
                if method.name in self.STREAMS
                else channel.unary_unary
            )
            callable_ = make(
                f"/freehold.test.v1.TestService/{method.name}",
                request_serializer=lambda m: m.SerializeToString(),
                response_deserializer=message_factory.GetMessageClass(
                    method.output_type
                ).FromString,
            )
            setattr(self, method.name, callable_)

    def raw(self, name, body, **kwargs):
        """Sends bytes as they are."""
        method = self.channel.unary_unary(
            f"/freehold.test.v1.TestService/{name}",
            request_serializer=lambda b: b,
            response_deserializer=lambda b: b,
        )
        return method(body, timeout=PATIENCE, **kwargs)

    def state(self):
        return self.State(message("StateRequest")(), timeout=PATIENCE)


class Server:
    def __init__(self, args, log):
        self.log = log
        command = [SERVER, *(["--pump"] if POLLER == "pump" else []), *args]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True
        )
        self.first_line = self.read_line()
        self.channels = []
        self.port = None
        if self.first_line.startswith("port "):
            words = self.first_line.split()
            self.port = int(words[1])
            assert words[3] == POLLER, f"asked for {POLLER}, got {words[3]}"

    def read_line(self):
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        assert ready, "the server said nothing"
        return self.process.stdout.readline().strip()

    def channel(self, credentials=None, options=()):
        address = f"127.0.0.1:{self.port}"
        # Each channel has connections of its own, not those of the process.
        options = [("grpc.use_local_subchannel_pool", 1), *options]
        if credentials is not None:
            channel = grpc.secure_channel(address, credentials, options)
        else:
            channel = grpc.insecure_channel(address, options)
        self.channels.append(channel)
        return channel

    def stub(self, **kwargs):
        return Stub(self.channel(**kwargs))

    def until(self, condition, stub=None):
        """Asks for the state until it is as wanted; a hang is a failure."""
        stub = stub or self.stub()
        for _ in range(20000):
            state = stub.state()
            if condition(state):
                return state
        raise AssertionError(f"the state never came: {state}")

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def wait(self):
        try:
            status = self.process.wait(PATIENCE)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()
        self.log.seek(0)
        text = self.log.read()
        assert "Sanitizer" not in text and "runtime error" not in text, text
        return status

    def close(self):
        for channel in self.channels:
            channel.close()
        if self.process.poll() is None:
            self.signal()
        if not self.process.stdout.closed:
            return self.wait()
        return self.process.returncode


@pytest.fixture
def start(tmp_path):
    """Starts servers; all must have ended with 0 unless the test looked itself."""
    servers = []

    def run(*args):
        log = open(tmp_path / f"server-{len(servers)}.log", "w+")
        servers.append(Server(args, log))
        return servers[-1]

    yield run
    statuses = []
    for server in servers:
        expected = getattr(server, "expected_status", 0)
        statuses.append((server.close(), expected))
        server.log.close()
    for status, expected in statuses:
        assert status == expected


@pytest.fixture
def server(start):
    return start()


@pytest.fixture
def stub(server):
    return server.stub()


@pytest.fixture
def raw_connection(server):
    connections = []

    def connect():
        connections.append(
            socket.create_connection(("127.0.0.1", server.port), PATIENCE)
        )
        return connections[-1]

    yield connect
    for connection in connections:
        connection.close()
