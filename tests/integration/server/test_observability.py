"""What operators see: metrics, readiness, access log; and what nobody may find there."""

import re
import subprocess
import uuid

import grpc
import pytest
from freehold_testing import stubs
from freehold_testing.process import until
from freehold_testing.refusal import refused
from freehold_testing.server import Service, program

from conftest import create, get, new_slug, prepare, record, thing, value

d = stubs.data
SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? -?[0-9.e+-]+$|^.* \+Inf$')


def samples(server):
    """Every sample of /metrics, by its name and labels."""
    status, text = server.http("/metrics")
    assert status == 200
    out = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            assert SAMPLE.match(line), line
            name, _, number = line.rpartition(" ")
            assert name not in out, f"twice: {name}"
            out[name] = float(number)
    return out


def calls(server, method, code):
    key = f'freehold_calls_total{{method="/freehold.v1.DataService/{method}",code="{code}"}}'
    return samples(server).get(key, 0)


def test_metrics_count_by_method(server, data):
    before = {
        (method, code): calls(server, method, code)
        for method in ("CreateRecord", "GetRecord")
        for code in ("OK", "NOT_FOUND")
    }
    data.CreateRecord(create("one"))
    for _ in range(3):
        data.GetRecord(get("one"))
    for _ in range(2):
        with refused("NOT_FOUND"):
            data.GetRecord(get("none"))
    # The count follows the answer: a call is counted once its status is on its way.
    grown = {("CreateRecord", "OK"): 1, ("GetRecord", "OK"): 3, ("GetRecord", "NOT_FOUND"): 2}
    for (method, code), count in before.items():
        wanted = count + grown.get((method, code), 0)
        until(lambda m=method, c=code, w=wanted: calls(server, m, c) == w, f"{method} {code}")


def test_metrics_of_the_stores(server, store, data):
    data.CreateRecord(create("one"))
    found = samples(server)
    assert found[f'freehold_store_requests_total{{store="{store}"}}'] > 0
    assert found[f'freehold_store_connections{{store="{store}"}}'] > 0
    assert found["freehold_placements"] > 0


def test_probes(server):
    assert server.http("/healthz") == (200, "ok\n")
    assert server.http("/readyz") == (200, "ready\n")
    for path in ("/", "/nope", "/metrics/x", "/%00", "/../../etc/passwd"):
        assert server.http(path)[0] == 404


def access(server, tenant, method=None):
    return [
        line
        for line in server.log_lines()
        if line["event"] == "access"
        and line["tenant_id"] == tenant
        and (method is None or line["method"].endswith("/" + method))
    ]


def test_access_log(server, tenant, data):
    _, call = data.CreateRecord.with_call(create("one"))
    with refused("NOT_FOUND"):
        data.GetRecord(get("none"))
    with refused("PERMISSION_DENIED"):
        server.data(tenant, "reader").DeleteRecord(
            d.DeleteRecordRequest(name="tables/things/records/one")
        )
    until(lambda: access(server, tenant, "DeleteRecord"), "the log's batch")
    (made,) = access(server, tenant, "CreateRecord")
    assert made["request_id"] == dict(call.initial_metadata())["freehold-request-id"]
    assert made["method"] == "/freehold.v1.DataService/CreateRecord"
    assert (made["code"], made["level"], made["user_id"]) == ("OK", "info", "tester")
    assert made["duration_us"] >= 0 and made["peer"]
    assert access(server, tenant, "GetRecord")[0]["code"] == "NOT_FOUND"
    assert access(server, tenant, "DeleteRecord")[0]["code"] == "PERMISSION_DENIED"


def test_successes_are_sampled_failures_never(start):
    server = prepare(start("--access-log-per-mille", "100"))
    tenant = server.create_tenant(new_slug("sampled"))
    data = server.data(tenant)
    data.CreateRecord(create("one"))
    for _ in range(200):
        data.GetRecord(get("one"))
    for _ in range(50):
        with refused("NOT_FOUND"):
            data.GetRecord(get("none"))
    until(
        lambda: len([e for e in access(server, tenant) if e["code"] == "NOT_FOUND"]) == 50,
        "every failure",
    )
    good = len([e for e in access(server, tenant, "GetRecord") if e["code"] == "OK"])
    assert 15 <= good <= 25


def test_no_secret_is_logged(server, cluster, tenant, store, data):
    """Values, keys, request bodies and tokens, on good ways and bad ones."""
    secret = uuid.uuid4().hex
    number = 712_345_678_901_234
    key = f"key-{secret}"
    token = server.tenant_token(tenant, "admin", subject="spy")
    own = server.data(tenant, token=token)
    own.CreateRecord(create(key, note=secret, raw=secret.encode(), big=number))
    own.UpdateRecord(d.UpdateRecordRequest(record=thing(key, doc=f'{{"s": "{secret}"}}')))
    own.ListRecords(d.ListRecordsRequest(parent="tables/things", page_size=1))
    Service(stubs.audit_grpc.AuditServiceStub(server.channel()), token).ListEvents(
        stubs.audit.ListEventsRequest()
    )

    def fails(method, request):
        with pytest.raises(grpc.RpcError):
            method(request)

    fails(own.CreateRecord, create(key, note=secret))
    fails(own.CreateRecord, create(f"x{key}", small=secret, price=f"{secret}"))
    fails(own.CreateRecord, create(f"x{key}", label=secret * 3))
    fails(own.CreateRecord, create(f"x{key}", doc=f'{{"{secret}"'))
    fails(own.CreateRecord, create(f"x{key}", **{f"c{secret}": 1}))
    fails(own.GetRecord, d.GetRecordRequest(name=f"tables/t{secret}/records/1"))
    fails(own.GetRecord, get(f"none-{secret}"))
    fails(own.ListRecords, d.ListRecordsRequest(parent="tables/things", page_token=secret))
    fails(own.CreateRecord, create("y", secret + " "))
    for i in (1, 2):
        request = d.CreateRecordRequest(
            record=record(f"tables/authors/records/{number + i}", name=secret, email=secret)
        )
        if i == 1:
            own.CreateRecord(request)
    fails(own.CreateRecord, request)
    fails(own.CreateRecord, d.CreateRecordRequest(record=record(f"tables/books/records/{number},{secret}")))
    overflow = d.Transform(field="big", increment=value(2**63 - 1))
    fails(own.Commit, d.CommitRequest(writes=[d.Write(update=thing(key), transforms=[overflow])]))
    forged = f"{token[:-20]}{secret}"
    fails(server.data(tenant, token=forged).GetRecord, get(key))
    own.PurgeRecord(d.PurgeRecordRequest(name=f"tables/things/records/{key}"))
    until(lambda: access(server, tenant, "PurgeRecord"), "the log's batch")
    log = server.log()
    for found in (secret, secret.encode().hex(), token, token.rpartition(".")[2], forged, str(number)):
        assert found not in log, found[:20]
        assert found not in cluster.log(), found[:20]
    assert secret not in server.http("/metrics")[1]
    for line in log.splitlines():
        assert line.startswith("{") and line.endswith("}")
    server.log_lines()  # every line is JSON


def test_settings_are_told(server):
    """--help names every setting; a wrong one is refused with its name."""
    text = subprocess.run([program(), "--help"], capture_output=True, text=True, check=True).stdout
    for setting in ("--data-dir", "--listen", "--tenant-jwks", "--access-log-per-mille"):
        assert setting in text
    for arguments in (["--nope"], ["--calls-max", "0"], ["--calls-max", "many"], ["--pump=maybe"], ["x"]):
        got = subprocess.run([program(), *arguments], capture_output=True, text=True, timeout=60)
        assert got.returncode == 2
        assert arguments[0].partition("=")[0].lstrip("-").replace("-", "_") in got.stderr.replace("-", "_")
