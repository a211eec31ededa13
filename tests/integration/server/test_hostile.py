"""What no honest client sends. Everything is refused by name, and the server goes on serving."""

import random
import socket
import struct

import grpc
import pytest
from freehold_testing import PATIENCE, stubs
from freehold_testing.refusal import Refusal, refused
from freehold_testing.server import bearer
from google.protobuf import field_mask_pb2, timestamp_pb2

from conftest import MIGRATIONS, create, get, thing, value

d = stubs.data
NAME = "tables/things/records/one"
# The only answers a caller's nonsense may have.
CALLERS_FAULT = {"INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED", "OUT_OF_RANGE", "FAILED_PRECONDITION"}


@pytest.fixture(autouse=True)
def still_serving(server):
    yield
    server.assert_serving()


class Raw:
    """Bytes as they are, to any method."""

    def __init__(self, server, tenant, role="admin"):
        self.channel = server.channel()
        self.token = server.tenant_token(tenant, role)

    def call(self, method, body, service="freehold.v1.DataService", **options):
        send = self.channel.unary_unary(
            f"/{service}/{method}",
            request_serializer=lambda data: data,
            response_deserializer=lambda data: data,
        )
        return send(body, metadata=bearer(self.token), timeout=PATIENCE, **options)

    def outcome(self, *arguments, **options):
        try:
            self.call(*arguments, **options)
        except grpc.RpcError as error:
            return error.code().name
        return "OK"


@pytest.fixture
def raw(server, tenant):
    return Raw(server, tenant)


def test_unknown_names(data):
    for name in (
        "", "/", "one", "tables", "tables/", "tables//records/one", "tables/things", "tables/things/",
        "tables/things/records", "tables/things/record/one", "tables/nope/records/one", "tables/things/recordsone",
        "tables/THINGS/records/one", "tables/things /records/one",
        "tables/fh_fence/records/one", "tables/pg_catalog.pg_class/records/1",
        "tables/things;drop table things/records/x", "tables/things\"/records/x",
        "/tables/things/records/one", "tables/things/records/%", "tables/things/records/%4",
        "tables/things/records/%ZZ", "tables/things/records/%00", "tables/things/records/a,b",
        "tables/books/records/1", "tables/books/records/1,a,b", "tables/authors/records/x",
        "tables/authors/records/", "tables/authors/records/99999999999999999999",
        "tables/authors/records/1.0", "tables/authors/records/0x10", "tables/things/records/%FF",
        "tables/things/records/%C0%80", "tables/things/records/%ED%A0%80",
        "tables/things/records/" + "k" * 5000, "t" * 100_000,
    ):  # fmt: skip
        with refused("INVALID_ARGUMENT", field="name"):
            data.GetRecord(d.GetRecordRequest(name=name))
        with refused("INVALID_ARGUMENT", field="record.name"):
            data.CreateRecord(d.CreateRecordRequest(record=d.Record(name=name)))
        with refused("INVALID_ARGUMENT", field="name"):
            data.PurgeRecord(d.PurgeRecordRequest(name=name))
    for parent in ("", "tables/nope", "tables/things/", "tables/things/records/one", "things"):
        with refused("INVALID_ARGUMENT", field="parent"):
            data.ListRecords(d.ListRecordsRequest(parent=parent))


def test_unknown_columns(data):
    for column in ("nope", "", "NOTE", "note ", "tenant_id", "created_at", "version", "deleted_at",
                   "note; drop table things", 'note"', "n" * 10_000, "é"):  # fmt: skip
        with refused("INVALID_ARGUMENT"):
            data.CreateRecord(create("one", **{column: "x"}))
        with refused("INVALID_ARGUMENT", field="read_mask"):
            data.GetRecord(get("one", read_mask=field_mask_pb2.FieldMask(paths=[column])))
    with refused("INVALID_ARGUMENT"):
        data.CreateRecord(create("one", id="another"))
    with refused("INVALID_ARGUMENT", field="record"):
        data.CreateRecord(d.CreateRecordRequest())


TIMES = timestamp_pb2.Timestamp
WRONG = {
    "flag": [1, "true", 0.0, b"\x01"],
    "small": [32768, -32769, 1.0, "1", True],
    "mid": [2**31, -(2**31) - 1, "1"],
    "big": ["9223372036854775808", 1.5],
    "single": [float("nan"), float("inf"), 3.5e38, "1"],
    "precise": [float("nan"), float("inf"), float("-inf"), "1"],
    "price": ["123456789.00", "1.005", "abc", "", "NaN", "1e5", "Infinity", "--1", 0.1, 10**9, "1" * 100_000],
    "label": ["elf Zeichen", 1, b"x"],
    "note": ["a\0b", "\0", 1, b"bytes", "x" * (1024 * 1024 + 1)],
    "raw": ["text", 1, b"x" * (1024 * 1024 + 1)],
    "at": [
        ("timestamp_value", TIMES(seconds=1, nanos=1)),
        ("timestamp_value", TIMES(seconds=1, nanos=-1000)),
        ("timestamp_value", TIMES(seconds=1, nanos=1_000_000_000)),
        ("timestamp_value", TIMES(seconds=2**62)),
        ("timestamp_value", TIMES(seconds=-(2**63))),
        "yesterday",
        "infinity",
        5,
    ],
    "day": ["2026-02-30", "2026-13-01", "26-1-1", "infinity", "0000-01-01", "", "99999-01-01", 20260101],
    "ref": ["not-a-uuid", "", "0197a3c4-5b6d-7e8f-9012-3456789abcd", "{0197a3c4}", 5],
    "doc": ["{", "", "nul", '{"a":1}x', '{"a":NaN}', "[" * 10_000, '{"a":"\\u0000"}', '"\ud7ff', 5],
}  # fmt: skip


@pytest.mark.parametrize("column", WRONG)
def test_wrong_values(data, column):
    for given in WRONG[column]:
        with refused("INVALID_ARGUMENT") as seen:
            data.CreateRecord(create("one", **{column: given}))
            raise AssertionError(f"taken: {given!r:.80}")
        # Text with a NUL is refused while the message is unpacked, which knows no columns.
        assert seen[0].fields[0] in (f"record.fields.{column}", "record.fields.value.string_value")
    with refused("INVALID_ARGUMENT"):
        data.CreateRecord(
            d.CreateRecordRequest(record=d.Record(name=NAME, fields={column: d.Value()}))
        )
    with refused("NOT_FOUND"):
        data.GetRecord(get("one", show_deleted=True))


def test_the_largest_values(data):
    big = "x" * (1024 * 1024)
    made = data.CreateRecord(create("one", note=big, raw=big.encode()))
    assert made.fields["note"].string_value == big
    assert data.GetRecord(get("one")) == made


def test_numbers_beyond(data):
    with refused("INVALID_ARGUMENT", field="page_size"):
        data.ListRecords(d.ListRecordsRequest(parent="tables/things", page_size=-1))
    with refused("INVALID_ARGUMENT", field="page_size"):
        data.ListRecords(d.ListRecordsRequest(parent="tables/things", page_size=-(2**31)))
    data.ListRecords(d.ListRecordsRequest(parent="tables/things", page_size=2**31 - 1))
    for count in (0, 501):
        writes = [d.Write(insert=thing(f"k{i}")) for i in range(count)]
        with refused("INVALID_ARGUMENT", field="writes"):
            data.Commit(d.CommitRequest(writes=writes))
    answer = data.Commit(
        d.CommitRequest(writes=[d.Write(insert=thing(f"k{i}")) for i in range(500)])
    )
    assert len(answer.results) == 500


def test_bad_commits(data):
    data.CreateRecord(create("one"))
    transform = d.Transform(field="big", increment=value(1))
    for writes in (
        [d.Write()],
        [d.Write(insert=thing("two")), d.Write(purge="tables/things/records/two")],
        [d.Write(insert=thing("two"), transforms=[transform])],
        [d.Write(update=thing("one", big=1), transforms=[transform])],
        [d.Write(update=thing("one"), transforms=[transform, transform])],
        [d.Write(update=thing("one"), transforms=[d.Transform(field="big")])],
        [d.Write(update=thing("one"), transforms=[d.Transform(increment=value(1))])],
        [d.Write(update=thing("one"), transforms=[d.Transform(field="id", increment=value(1))])],
        [d.Write(update=thing("one"), transforms=[d.Transform(field="note", increment=value(1))])],
        [d.Write(update=thing("one"), transforms=[d.Transform(field="big", server_time=True)])],
        [d.Write(update=thing("one"), transforms=[d.Transform(field="big", maximum=value(None))])],
        [d.Write(update=thing("one"), precondition=d.Precondition())],
        [d.Write(update=thing("one"), precondition=d.Precondition(etag="1"))],
    ):
        with refused("INVALID_ARGUMENT"):
            data.Commit(d.CommitRequest(writes=writes))


@pytest.mark.parametrize("bad", [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"a\x00b", b"\xf4\x90\x80\x80"], ids=repr)
def test_text_that_is_none(raw, bad):
    """proto3 strings are UTF-8; generated code would not even send these."""

    def field(number, data):
        out = bytearray([number << 3 | 2])
        length = len(data)
        while length > 127:
            out.append(length & 127 | 128)
            length >>= 7
        return bytes(out) + bytes([length]) + data

    name = field(1, NAME.encode())
    text = field(5, bad)
    in_field = field(1, name + field(2, field(1, b"note") + field(2, text)))
    in_key = field(1, name + field(2, field(1, bad) + field(2, field(5, b"x"))))
    in_name = field(1, field(1, NAME.encode() + bad))
    in_request_id = field(1, name) + field(2, bad)
    in_etag = field(1, name) + field(2, bad)
    for method, body in (
        ("CreateRecord", in_field), ("CreateRecord", in_key), ("CreateRecord", in_name),
        ("CreateRecord", in_request_id), ("DeleteRecord", in_etag),
        ("GetRecord", field(1, bad)), ("GetRecord", field(1, NAME.encode() + bad)),
        ("ListRecords", field(1, bad)), ("ListRecords", field(1, b"tables/things") + field(3, bad)),
    ):  # fmt: skip
        assert raw.outcome(method, body) == "INVALID_ARGUMENT", (method, body)
    assert raw.outcome("GetRecord", d.GetRecordRequest(name=NAME).SerializeToString()) == "NOT_FOUND"


def test_truncated_and_bent(raw):
    """Every prefix and many single-bit changes of a real request."""
    body = d.CommitRequest(
        writes=[
            d.Write(insert=thing("a", note="x", big=1, price="1.5")),
            d.Write(
                update=thing("b", flag=True),
                transforms=[d.Transform(field="big", increment=value(1))],
                precondition=d.Precondition(exists=True),
            ),
        ],
        validate_only=True,
    ).SerializeToString()
    chance = random.Random(1)
    bodies = [body[:length] for length in range(0, len(body), 3)]
    for _ in range(150):
        bent = bytearray(body)
        bent[chance.randrange(len(bent))] ^= 1 << chance.randrange(8)
        bodies.append(bytes(bent))
    for bent in bodies:
        outcome = raw.outcome("Commit", bent)
        assert outcome in CALLERS_FAULT | {"OK", "ALREADY_EXISTS", "ABORTED"}, bent


def test_hostile_wire_forms(raw):
    deep = b""
    for _ in range(5000):
        length = len(deep)
        varint = b""
        while True:
            varint += bytes([length & 127 | (128 if length > 127 else 0)])
            length >>= 7
            if not length:
                break
        deep = b"\x0a" + varint + deep
    for body in (
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # a length of 2^64 - 1
        b"\x0a\xff\xff\xff\xff\x0f",  # 2^32 - 1
        b"\x0a\xff\xff\xff\xff\x07x",  # 2^31 - 1
        b"\x80" * 100,  # a tag without an end
        b"\x00\x00",  # field number 0
        b"\x0b\x0b\x0b",  # groups
        b"\x0c",
        b"\x0f\x00",  # wire type 7
        b"\x0a",
        b"\x08\x01",  # a number where a message belongs
        b"\xff" * 1000,
    ):
        for method in ("GetRecord", "CreateRecord", "Commit", "BatchGetRecords", "ListRecords"):
            assert raw.outcome(method, body) in CALLERS_FAULT, (method, body[:20])
    raw.outcome("Commit", deep)
    # Unknown fields are passed over, many of them too.
    request = d.GetRecordRequest(name=NAME).SerializeToString()
    assert raw.outcome("GetRecord", request + b"\xf8\x07\x01" * 1000) == "NOT_FOUND"
    # The last of several counts, as protobuf has it.
    assert raw.outcome("GetRecord", b"\x0a\x01x" + request) == "NOT_FOUND"


def test_many_small_things(raw):
    """Little bytes that unpack into much: the call's arena has a bound."""
    assert raw.outcome("Commit", b"\x0a\x00" * 1_000_000) in CALLERS_FAULT
    assert raw.outcome("BatchGetRecords", b"\x0a\x00" * 1_000_000) in CALLERS_FAULT
    fields = b"\x0a\x1b" + NAME.encode()[:27].ljust(27, b"x") + b"\x12\x00" * 1_000_000
    assert raw.outcome("CreateRecord", fields) in CALLERS_FAULT


def test_oversized(raw, data):
    assert raw.outcome("GetRecord", b"\x0a" + b"x" * (5 * 1024 * 1024)) == "RESOURCE_EXHAUSTED"
    with refused("RESOURCE_EXHAUSTED"):
        data.CreateRecord(create("one", note="x" * (5 * 1024 * 1024)))
    with pytest.raises(grpc.RpcError) as caught:
        data.GetRecord(get("one"), metadata=[("x-filler", "y" * 100_000)])
    assert Refusal(caught.value).code.name in ("RESOURCE_EXHAUSTED", "UNAVAILABLE", "INTERNAL")


def test_answers_have_a_bound(data):
    """24 MiB of records do not fit an answer; the caller is told, and smaller pages work."""
    text = "x" * (1024 * 1024)
    for i in range(24):
        data.CreateRecord(create(f"k{i:02}", note=text))
    with refused("RESOURCE_EXHAUSTED"):
        data.ListRecords(d.ListRecordsRequest(parent="tables/things"))
    page = data.ListRecords(d.ListRecordsRequest(parent="tables/things", page_size=8))
    assert len(page.records) == 8 and page.next_page_token


def test_operators_are_checked_too(server):
    t = stubs.tenant_admin
    for slug in ("", "ab", "A-b-c", "1abc", "-abc", "abc-", "a" * 64, "a_b", "a b", "äbc", "a/b", "a'b"):
        with refused("INVALID_ARGUMENT", field="tenant.slug"):
            server.create_tenant(slug)
    with refused("INVALID_ARGUMENT", field="tenant"):
        server.tenants.CreateTenant(t.CreateTenantRequest())
    for store in ("nowhere", "../x", "", "A"):
        request = t.CreateTenantRequest(
            tenant=t.Tenant(slug="fine-slug"), store=f"stores/{store}"
        )
        with refused("INVALID_ARGUMENT", field="store"):
            server.tenants.CreateTenant(request)
    for labels in ({f"k{i}": "v" for i in range(33)}, {"": "v"}, {"k" * 64: "v"}, {"k": "v" * 64}, {"k": "a b"}):
        with refused("INVALID_ARGUMENT", field="tenant.labels"):
            server.create_tenant("fine-slug", labels=labels)
    for name in ("", "x", "tenants/", "tenants/A", "stores/local", "tenants/a/b"):
        with refused("INVALID_ARGUMENT", field="name"):
            server.tenants.GetTenant(t.GetTenantRequest(name=name))
    with refused("NOT_FOUND"):
        server.tenants.GetTenant(t.GetTenantRequest(name="tenants/never-was"))
    for size in (-1, -(2**31)):
        with refused("INVALID_ARGUMENT", field="page_size"):
            server.tenants.ListTenants(t.ListTenantsRequest(page_size=size))


def test_stores_are_checked(server, cluster):
    s = stubs.store_admin

    def add(**fields):
        return server.stores.CreateStore(s.CreateStoreRequest(store=s.Store(**fields)))

    for name in ("", "x", "stores/", "stores/A", "stores/1a", "stores/" + "a" * 41, "stores/a b"):
        with refused("INVALID_ARGUMENT", field="store.name"):
            add(name=name, engine="sqlite", location="x")
    with refused("ALREADY_EXISTS"):
        add(name="stores/local", engine="sqlite", location="local2")
    with refused("INVALID_ARGUMENT"):
        add(name="stores/odd", engine="oracle", location="x")
    for location in ("", "x" * 2000, "../outside", "a/../../b"):
        with refused("INVALID_ARGUMENT"):
            add(name="stores/odd", engine="sqlite", location=location)
    dsn = cluster.dsn("freehold_app")
    for location in (
        "", "nonsense", f"{dsn} password=secret", f"{dsn} options='-c row_security=off'",
        f"{dsn} service=x", f"{dsn} replication=on", "postgresql://127.0.0.1/freehold",
    ):  # fmt: skip
        with refused("INVALID_ARGUMENT") as seen:
            add(name="stores/odd", engine="postgresql", location=location,
                owner_location=cluster.dsn("freehold_owner"))  # fmt: skip
        assert "secret" not in seen[0].message
    # A superuser as serving role would pass under every policy.
    with refused("UNAVAILABLE") as seen:
        add(name="stores/odd", engine="postgresql", location=cluster.dsn("postgres"),
            owner_location=cluster.dsn("freehold_owner"))  # fmt: skip
    assert "superuser" in seen[0].message
    # One that does not exist: the owner alone is not enough.
    with refused("UNAVAILABLE"):
        add(name="stores/odd", engine="postgresql", location=cluster.dsn("nobody"),
            owner_location=cluster.dsn("freehold_owner"))  # fmt: skip
    names = [one.name for one in server.stores.ListStores(s.ListStoresRequest()).stores]
    assert sorted(names) == ["stores/local", "stores/pg"]


def test_a_store_that_cannot_be_reached(server):
    s = stubs.store_admin
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, and never listening
        where = f"host=127.0.0.1 port={closed.getsockname()[1]} dbname=freehold user="
        with refused("UNAVAILABLE"):
            server.stores.CreateStore(
                s.CreateStoreRequest(
                    store=s.Store(
                        name="stores/away", engine="postgresql",
                        location=where + "freehold_app", owner_location=where + "freehold_owner",
                    )
                )
            )  # fmt: skip
    with refused("NOT_FOUND"):
        server.stores.GetStore(s.GetStoreRequest(name="stores/away"))


def test_hostile_schemas(server):
    for sql in ("select 1;", "create table", "create extension x;", "drop table nothing;",
                "create table fh_fence (id int primary key);", "create table a (id int);",
                "create table a (id int primary key default (select 1));",
                "create table a (id int primary key default set_config('fh.tenant','x',true)::int);",
                "create table a (tenant_id uuid primary key);",
                "create table public.a (id int primary key);", "(" * 100_000, "\x01",
                "create table a (id int primary key, " + ", ".join(f"c{i} int" for i in range(5000)) + ");"):  # fmt: skip
        before = server.schemas.GetSchema(stubs.schema.GetSchemaRequest())
        files = [(one.name, "") for one in before.migrations]
        assert [name for name, _ in files] == [name for name, _ in MIGRATIONS]
        with pytest.raises(grpc.RpcError) as caught:
            server.apply_schema([*MIGRATIONS, ("0003_hostile.sql", sql)])
        assert Refusal(caught.value).code.name in ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED"), sql[:60]
        assert server.schemas.GetSchema(stubs.schema.GetSchemaRequest()).version == 2


def test_callers_that_vanish(server, tenant, data):
    """Cancelled, cut, and deadlined in mid-call: nothing stays behind, nothing is half done."""
    for round_ in range(10):
        channel = server.channel()
        client = server.data(tenant, channel=channel)
        calls = []
        for i in range(20):
            writes = [d.Write(upsert=thing(f"v{round_}-{j}", note=f"{i}")) for j in range(20)]
            calls.append(client.Commit.future(d.CommitRequest(writes=writes)))
        for call in calls[::2]:
            call.cancel()
        channel.close()
    for i in range(20):
        with pytest.raises(grpc.RpcError) as caught:
            writes = [d.Write(upsert=thing(f"v{j}", note="d")) for j in range(500)]
            data.Commit(d.CommitRequest(writes=writes), timeout=0.001)
        assert caught.value.code().name in ("DEADLINE_EXCEEDED", "CANCELLED")
    server.assert_serving()
    for round_ in range(10):
        names = [f"tables/things/records/v{round_}-{j}" for j in range(20)]
        found = data.BatchGetRecords(d.BatchGetRecordsRequest(names=names))
        assert len(found.records) in (0, 20)
        assert len({one.fields["note"].string_value for one in found.records}) <= 1


def test_connections_that_are_none(server):
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    settings = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    for port in (server.tenant_port, server.operator_port, server.http_port):
        for data in (
            b"", b"\x00" * 100, b"GET / HTTP/1.1\r\n\r\n", preface[:10], preface, preface + settings,
            preface + settings + b"\xff\xff\xff\x01\x04\x00\x00\x00\x01" + b"x" * 1000,
            preface + settings + b"\x00\x00\x05\x01\x04\x00\x00\x00\x01" + b"\xff" * 5,
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500,
            b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        ):  # fmt: skip
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as peer:
                # Reset, not closed: the peer is gone at once.
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                try:
                    peer.sendall(data)
                except OSError:
                    pass  # refused in mid-sentence is fine
        server.assert_serving()
    assert server.http("/healthz")[0] == 200
