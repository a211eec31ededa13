"""PostgreSQL killed, frozen, cut off and out of connections under load: callers are told so, and nothing is lost or doubled.

Meanwhile the SQLite store's tenants are served as if nothing had happened.
"""

import contextlib
import threading

import grpc
import pytest
from freehold_testing.process import until
from freehold_testing.refusal import Refusal
from freehold_testing.server import Server

from conftest import create, get, new_slug, prepare
from load import Load

# The only things a caller may be told; everything else would be a wrong answer.
TOLD = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "OUTCOME_UNKNOWN", "CONFLICT", "RESOURCE_EXHAUSTED"}
STATUS = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "UNKNOWN", "ABORTED", "RESOURCE_EXHAUSTED"}


class Neighbour:
    """Reads and writes in the other store, all the time: no error may reach it."""

    def __init__(self, server):
        self.data = server.data(server.create_tenant(new_slug("neighbour"), "local"))
        self.data.CreateRecord(create("one", big=0))
        self.over = threading.Event()
        self.odd = []
        self.rounds = 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.over.is_set():
            try:
                self.data.CreateRecord(create(f"k{self.rounds}"), timeout=20)
                self.data.GetRecord(get("one"), timeout=20)
                self.rounds += 1
            except grpc.RpcError as error:
                self.odd.append(Refusal(error))
                return
            self.over.wait(0.02)

    def stop(self):
        self.over.set()
        self.thread.join()
        assert self.odd == []
        assert self.rounds > 0


class Reader:
    """Reads what was acknowledged: whatever the weather, never a wrong answer."""

    def __init__(self, load):
        self.load = load
        self.data = load.server.data(load.tenant)
        self.over = threading.Event()
        self.odd = []
        self.good = 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.over.is_set():
            newest = self.load.acknowledged[0] - 1
            if newest >= 0:
                try:
                    got = self.data.GetRecord(get(f"0-{newest:06}"), timeout=3)
                    if got.fields["big"].integer_value != newest:
                        self.odd.append(f"wrong: {got}")
                    self.good += 1
                except grpc.RpcError as error:
                    refusal = Refusal(error)
                    if refusal.code.name not in STATUS:
                        self.odd.append(refusal)
            if self.odd:
                return
            self.over.wait(0.02)

    def stop(self):
        self.over.set()
        self.thread.join()
        assert self.odd == []
        assert self.good > 0


@pytest.fixture(scope="session")
def hurt_server(folder, own_cluster):
    """Never started again: it must recover from every fault by itself."""
    server = Server(folder / "hurt")
    try:
        yield prepare(server, own_cluster)
    finally:
        server.close()


@contextlib.contextmanager
def under_load(server, own_cluster):
    load = Load(server, server.create_tenant(new_slug("faults"), "pg"), timeout=2, allowed=STATUS)
    neighbour = Neighbour(server)
    reader = Reader(load)
    load.start()
    try:
        load.await_more(50)
        yield load
        load.await_more(50)
    except AssertionError as error:
        raise AssertionError(f"{error}; codes {load.codes}; log {server.log()[-3000:]}") from error
    finally:
        load.over.set()
        load.join()
        reader.stop()
        neighbour.stop()
    assert load.odd == []
    load.settle()
    load.check()
    assert set(load.codes) <= TOLD | {"OK"}, load.codes
    server.assert_serving()


def test_killed_and_started_again(hurt_server, own_cluster):
    with under_load(hurt_server, own_cluster) as load:
        for _ in range(2):
            own_cluster.kill()
            load.await_errors(8)
            own_cluster.start()
            load.await_more(50)
    assert load.codes["UNAVAILABLE"] + load.codes["OUTCOME_UNKNOWN"] > 0


def test_one_back_end_killed(hurt_server, own_cluster):
    """PostgreSQL then throws everybody out and recovers by itself."""
    with under_load(hurt_server, own_cluster) as load:
        pid = int(
            own_cluster.sql(
                "select pid from pg_stat_activity where usename = 'freehold_app' limit 1"
            )
        )
        own_cluster.kill_one(pid)
        load.await_errors(1)


def test_connections_cut_in_mid_pipeline(hurt_server, own_cluster):
    with under_load(hurt_server, own_cluster) as load:
        for _ in range(5):
            own_cluster.sql(
                "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'freehold_app'"
            )
            load.await_more(30)


def test_frozen(hurt_server, own_cluster):
    """Every process stopped: callers get their deadline, not a hang, and all goes on after the thaw."""
    with under_load(hurt_server, own_cluster) as load:
        own_cluster.freeze()
        try:
            load.await_errors(4)
        finally:
            own_cluster.thaw()
    assert load.codes["DEADLINE_EXCEEDED"] > 0


def test_out_of_connections(hurt_server, own_cluster):
    with under_load(hurt_server, own_cluster) as load:
        own_cluster.sql(
            "alter role freehold_app connection limit 0",
            "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'freehold_app'",
        )
        try:
            load.await_errors(8)
        finally:
            own_cluster.sql("alter role freehold_app connection limit -1")
    assert load.codes["UNAVAILABLE"] > 0


def test_away_at_the_start(start, own_cluster):
    """A server whose PostgreSQL is away starts, serves the rest, and finds it when it comes."""
    server = prepare(start(), own_cluster)
    far = server.create_tenant(new_slug("far"), "pg")
    near = server.create_tenant(new_slug("near"), "local")
    for tenant in (far, near):
        server.data(tenant).CreateRecord(create("one"))
    assert server.stop() == 0
    own_cluster.kill()
    try:
        server.start()
        server.data(near).GetRecord(get("one"))
        with pytest.raises(grpc.RpcError) as caught:
            server.data(far).GetRecord(get("one"), timeout=3)
        assert caught.value.code().name in ("UNAVAILABLE", "DEADLINE_EXCEEDED")
    finally:
        own_cluster.start()
    data = server.data(far)

    def comes_back():
        try:
            return data.GetRecord(get("one"), timeout=3)
        except grpc.RpcError as error:
            assert error.code().name in ("UNAVAILABLE", "DEADLINE_EXCEEDED"), Refusal(error)
            return None

    until(comes_back, "PostgreSQL's tenants", tries=600)
