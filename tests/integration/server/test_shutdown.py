"""How the server starts and ends: drained, cut short, refused, and on what it cannot use."""

import os
import signal
import subprocess
import threading

import grpc
import pytest
from freehold_testing import PATIENCE, stubs
from freehold_testing.process import until
from freehold_testing.refusal import Refusal
from freehold_testing.server import Server, program

from conftest import create, get, new_slug, prepare, thing

d = stubs.data
# What a caller may be told whose call meets the end of the server.
AT_THE_END = {"UNAVAILABLE", "CANCELLED", "DEADLINE_EXCEEDED", "UNKNOWN"}


def run(data_dir, *arguments, wrapper=()):
    """A start that must fail: exit status and standard error."""
    listen = [f"--{name}=127.0.0.1:0" for name in ("listen", "operator-listen", "http-listen")]
    got = subprocess.run(
        [*wrapper, program(), "--data-dir", str(data_dir), *listen, *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert "ready" not in got.stdout
    assert "Sanitizer" not in got.stderr and "runtime error" not in got.stderr, got.stderr
    return got.returncode, got.stderr


def test_idle(start):
    server = start()
    assert (server.data_dir / "freeholdd.json").exists()
    assert (server.data_dir.stat().st_mode & 0o777) == 0o700
    for key in (server.data_dir / "keys").glob("*.pem"):
        assert (key.stat().st_mode & 0o777) == 0o600
    assert server.stop() == 0
    assert not (server.data_dir / "freeholdd.json").exists()
    last = server.log_lines()[-1]
    assert (last["event"], last["failed"]) == ("server.stopped", 0)


def test_sigint_ends_too(start):
    server = start()
    server.process.send_signal(signal.SIGINT)
    assert server.ended() == 0


def test_everything_is_there_again(start, cluster):
    server = prepare(start(), cluster)
    tenants = {store: server.create_tenant(new_slug("again"), store) for store in ("local", "pg")}
    for store, tenant in tenants.items():
        server.data(tenant).CreateRecord(create("one", "id", note=store))
    assert server.stop() == 0
    server.start()
    for store, tenant in tenants.items():
        data = server.data(tenant)
        assert data.GetRecord(get("one")).fields["note"].string_value == store
        data.CreateRecord(create("one", "id", note=store))
        events = server.audit(tenant).ListEvents(stubs.audit.ListEventsRequest()).events
        assert len(events) == 1


def test_drain(start, cluster):
    """Calls under way when the signal comes are answered; nothing acknowledged is lost."""
    server = prepare(start(), cluster)
    for store in ("local", "pg"):
        tenant = server.create_tenant(new_slug("drain"), store)
        data = server.data(tenant)
        data.CreateRecord(create("warm"))
        calls = [
            data.Commit.future(
                d.CommitRequest(writes=[d.Write(insert=thing(f"{i}-{j}")) for j in range(100)])
            )
            for i in range(10)
        ]
        calls[0].result()
        server.process.send_signal(signal.SIGTERM)
        acknowledged = []
        for i, call in enumerate(calls):
            error = call.exception()
            if error is None:
                acknowledged.append(i)
            else:
                assert error.code().name in AT_THE_END, Refusal(error)
        assert server.ended() == 0
        server.start()
        data = server.data(tenant)
        for i in range(10):
            names = [f"tables/things/records/{i}-{j}" for j in range(100)]
            found = len(data.BatchGetRecords(d.BatchGetRecordsRequest(names=names)).records)
            assert found in (0, 100)
            assert found == 100 or i not in acknowledged


def test_a_stream_cannot_hold_the_server(start):
    """A watcher that never leaves: the drain has an end."""
    server = start("--drain-ms", "300")
    stub = stubs.health_grpc.HealthStub(server.channel())
    watch = stub.Watch(stubs.health.HealthCheckRequest())
    next(watch)
    server.process.send_signal(signal.SIGTERM)
    assert server.ended() == 0


def test_a_second_signal_ends_at_once(start, own_cluster):
    """A call is stuck in a frozen PostgreSQL, the drain may take ten minutes: the second signal cuts it."""
    server = prepare(start("--drain-ms", "600000"), own_cluster)
    data = server.data(server.create_tenant(new_slug("stuck"), "pg"))
    data.CreateRecord(create("warm"))
    own_cluster.freeze()
    try:
        call = data.CreateRecord.future(create("stuck"), timeout=600)
        until(lambda: 'in_flight{store="pg"} 1' in server.http("/metrics")[1], "the stuck call")
        server.process.send_signal(signal.SIGTERM)
        until(lambda: "server.signal" in server.log(), "the drain")
        server.process.send_signal(signal.SIGTERM)
        status = server.ended()
    finally:
        own_cluster.thaw()
    # One connection that does not answer may have to be left as it is.
    assert status == (1 if "server.forced" in server.log() else 0)
    assert call.exception().code().name in AT_THE_END


def test_one_server_a_data_dir(start):
    server = start()
    status, text = run(server.data_dir)
    assert status == 1
    assert f"another freeholdd serves {server.data_dir}" in text
    server.assert_serving()
    assert (server.data_dir / "freeholdd.json").exists(), "the refused one took the run file away"


def test_data_dir_is_a_file(folder):
    path = folder / "a-file"
    path.write_text("x")
    status, text = run(path)
    assert (status, str(path) in text) == (1, True), text
    status, text = run(path / "below")
    assert (status, str(path) in text) == (1, True), text
    status, text = run(folder / "no/such/parent")
    assert (status, "no/such/parent" in text) == (1, True), text


def test_data_dir_is_read_only(folder):
    path = folder / "read-only"
    path.mkdir(mode=0o500)
    # Root may write anywhere, unless it has no capabilities.
    status, text = run(path, wrapper=["setpriv", "--bounding-set=-all", "--inh-caps=-all"])
    assert (status, str(path) in text) == (1, True), text


def spoilt(folder, start, name, leaf):
    """A data directory that was good, with one file that is not."""
    server = Server(folder / name)
    prepare(server)
    assert server.stop() == 0
    path = server.data_dir / leaf
    path.write_bytes(b"this is no database\n" * 1000)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return server


def test_catalog_is_corrupt(folder, start):
    server = spoilt(folder, start, "bad-catalog", "catalog.db")
    status, text = run(server.data_dir)
    assert (status, "catalog" in text) == (1, True), text


def test_keys_are_corrupt(folder, start):
    server = spoilt(folder, start, "bad-keys", "keys/tenant.jwks.json")
    status, text = run(server.data_dir)
    assert (status, "tenant.jwks.json" in text) == (1, True), text


def test_a_store_is_corrupt(folder, start):
    """Its tenants are out of service, and nothing is made up for them; the operators are not."""
    server = Server(folder / "bad-store")
    try:
        prepare(server)
        tenant = server.create_tenant(new_slug("spoilt"))
        server.data(tenant).CreateRecord(create("one"))
        assert server.stop() == 0
        (path,) = (server.data_dir / "stores/local").glob("*.db")
        good = path.read_bytes()
        path.write_bytes(b"this is no database\n" * 1000)
        server.start()
        with pytest.raises(grpc.RpcError) as caught:
            server.data(tenant).GetRecord(get("one"))
        assert caught.value.code().name in ("UNAVAILABLE", "DATA_LOSS")
        tenants = server.tenants.ListTenants(stubs.tenant_admin.ListTenantsRequest()).tenants
        assert [one.uid for one in tenants] == [tenant]
        assert server.stop() == 0
        path.write_bytes(good)
        server.start()
        server.data(tenant).GetRecord(get("one"))
    finally:
        server.close()


def test_addresses(folder, start):
    server = start()
    status, text = run(folder / "taken", "--listen", f"127.0.0.1:{server.tenant_port}")
    assert (status, "127.0.0.1" in text) == (1, True), text
    status, text = run(folder / "open", "--listen", "0.0.0.0:0")
    assert (status, "insecure" in text) == (1, True), text
    status, text = run(folder / "nowhere", "--listen", "nonsense")
    assert status == 1, text


def test_disk_full(start):
    """No file may grow beyond a little: writes are refused, nothing acknowledged is lost."""
    server = start(wrapper=["prlimit", f"--fsize={2 * 1024 * 1024}"], start=False)
    server.env["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "")
    server.start()
    prepare(server)
    tenant = server.create_tenant(new_slug("full"))
    data = server.data(tenant)
    kept, refusal = [], None
    for i in range(200):
        try:
            data.CreateRecord(create(f"k{i}", f"id{i}", note="x" * 50_000))
            kept.append(i)
        except grpc.RpcError as error:
            refusal = Refusal(error)
            break
    assert kept and refusal is not None
    assert refusal.reason in ("DISK_FULL", "UNAVAILABLE", "OUTCOME_UNKNOWN"), refusal
    server.assert_serving()
    for i in kept:
        data.GetRecord(get(f"k{i}"))
    status = server.stop()
    assert status == 0
    server.wrapper = []
    server.start()
    data = server.data(tenant)
    for i in [*kept, len(kept)]:
        data.CreateRecord(create(f"k{i}", f"id{i}", note="x" * 50_000))
    listed = data.ListRecords(d.ListRecordsRequest(parent="tables/things", page_size=1000))
    assert len(listed.records) == len(kept) + 1


def test_stopped_while_callers_come(start):
    """Callers that keep coming do not keep the server from ending."""
    server = prepare(start())
    tenant = server.create_tenant(new_slug("busy"))
    token = server.tenant_token(tenant, "writer")
    over = threading.Event()
    odd = []

    def keep_calling(channel):
        data = server.data(tenant, token=token, channel=channel)
        for _ in range(100_000):
            if over.is_set():
                return
            try:
                data.GetRecord(get("none"))
            except grpc.RpcError as error:
                if error.code().name not in AT_THE_END | {"NOT_FOUND"}:
                    odd.append(Refusal(error))

    threads = [threading.Thread(target=keep_calling, args=(server.channel(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: '"NOT_FOUND"' in server.log(), "the first calls")
    server.process.send_signal(signal.SIGTERM)
    status = server.process.wait(PATIENCE)
    over.set()
    for thread in threads:
        thread.join()
    assert (server.ended(), status) == (0, 0)
    assert odd == []
