"""A record's life: made, read, changed, refused, repeated, deleted, brought back, purged, and told about."""

import datetime
import json

import pytest
from freehold_testing import stubs
from freehold_testing.refusal import refused
from google.protobuf import field_mask_pb2, timestamp_pb2

from conftest import MIGRATIONS, create, get, record, thing, value

d = stubs.data
UUID = "0197a3c4-5b6d-7e8f-9012-3456789abcde"
AT = timestamp_pb2.Timestamp(seconds=1763690000, nanos=123456000)
BEFORE_1970 = ("timestamp_value", timestamp_pb2.Timestamp(seconds=-1, nanos=999999000))
EVERYTHING = {
    "flag": True,
    "small": -32768,
    "mid": 2**31 - 1,
    "big": -(2**63),
    "single": 0.5,
    "precise": 1.7976931348623157e308,
    "price": "-12345678.90",
    "label": "zehn Zeich",
    "note": "Ünïcødé \U0001f600 with\nlines",
    "raw": bytes(range(256)),
    "at": ("timestamp_value", AT),
    "day": "2026-11-21",
    "ref": UUID,
    "doc": '{"a": [1, 2.50, null, true, "x"], "b": {}}',
}


def name(key):
    return f"tables/things/records/{key}"


def mask(*paths):
    return field_mask_pb2.FieldMask(paths=paths)


def values(message):
    return {key: one for key, one in message.fields.items()}


def events(audit, **options):
    return list(audit.ListEvents(stubs.audit.ListEventsRequest(**options)).events)


def test_schema(server):
    schema = server.schemas.GetSchema(stubs.schema.GetSchemaRequest())
    assert schema.version == 2
    assert [file.name for file in schema.migrations] == [file for file, _ in MIGRATIONS]
    assert {table.name for table in schema.tables} == {"things", "counters", "authors", "books"}
    assert {(one.store, one.version) for one in schema.stores} == {
        ("stores/local", 2),
        ("stores/pg", 2),
    }
    again = server.apply_schema(MIGRATIONS)
    assert (again.applied, again.schema.version) == (0, 2)
    with refused("FAILED_PRECONDITION"):
        server.apply_schema([MIGRATIONS[0], (MIGRATIONS[1][0], MIGRATIONS[1][1] + " ")])
    with refused("INVALID_ARGUMENT") as seen:
        server.apply_schema([*MIGRATIONS, ("0003_no.sql", "create table ok (id int primary key);\ndrop table nothing;")])
    assert "0003_no.sql:2" in seen[0].message, seen[0]


def test_stores_are_healthy(server, store):
    answer = server.stores.CheckStore(
        stubs.store_admin.CheckStoreRequest(name=f"stores/{store}")
    )
    # The cluster of the tests runs with fsync off, and is told so.
    off = {"local": set(), "pg": {"setting fsync"}}[store]
    assert {one.subject for one in answer.findings if not one.ok} == off, answer
    assert answer.healthy == (not off)


def test_every_type_there_and_back(data):
    made = data.CreateRecord(create("all", **EVERYTHING))
    assert data.GetRecord(get("all")) == made
    sent = {key: value(given) for key, given in EVERYTHING.items()}
    got = values(made)
    assert got.pop("id") == value("all")
    assert json.loads(got.pop("doc").string_value) == json.loads(sent.pop("doc").string_value)
    assert got == sent
    assert made.name.endswith(name("all"))
    assert made.etag
    assert made.create_time == made.update_time
    assert not made.HasField("delete_time")


def test_null_and_defaults(data):
    made = values(data.CreateRecord(create("bare")))
    assert made.pop("id") == value("bare")
    assert made.pop("mid") == value(7)
    assert set(made) == set(EVERYTHING) - {"mid"}
    assert all(one == value(None) for one in made.values())
    full = data.CreateRecord(create("full", **EVERYTHING))
    emptied = data.UpdateRecord(
        d.UpdateRecordRequest(record=thing("full"), update_mask=mask(*EVERYTHING))
    )
    assert all(emptied.fields[key] == value(None) for key in EVERYTHING)
    assert full.etag != emptied.etag


@pytest.mark.parametrize(
    "column, given, back",
    [
        ("price", "7", "7.00"),
        ("price", 7, "7.00"),
        ("precise", 3, 3.0),
        ("precise", -0.0, 0.0),
        ("single", 0.1, 0.10000000149011612),
        ("big", 2**63 - 1, 2**63 - 1),
        ("note", "", ""),
        ("raw", b"", b""),
        ("day", "0001-01-01", "0001-01-01"),
        ("at", BEFORE_1970, BEFORE_1970),
        ("ref", UUID.upper(), UUID),
    ],
    ids=str,
)
def test_canonical_values(data, column, given, back):
    made = data.CreateRecord(create("canonical", **{column: given}))
    assert made.fields[column] == value(back)
    assert data.GetRecord(get("canonical")).fields[column] == value(back)


def test_names_with_every_character(data):
    key = "a/b,c%d é\U0001f600'\"; drop table things--"
    encoded = "".join(
        chr(byte) if chr(byte).isalnum() and byte < 128 or chr(byte) in "-_.~" else f"%{byte:02X}"
        for byte in key.encode()
    )
    made = data.CreateRecord(create(encoded, note="x"))
    assert made.fields["id"].string_value == key
    assert made.name.endswith(name(encoded))
    assert data.GetRecord(d.GetRecordRequest(name=made.name)) == made


def test_update_and_etags(data, audit):
    made = data.CreateRecord(create("one", note="first", big=1))
    changed = data.UpdateRecord(
        d.UpdateRecordRequest(record=thing("one", etag=made.etag, note="second"))
    )
    assert changed.fields["note"] == value("second")
    assert changed.fields["big"] == value(1)
    assert changed.etag != made.etag
    assert changed.create_time == made.create_time
    stale = d.UpdateRecordRequest(record=thing("one", etag=made.etag, note="third"))
    with refused("ABORTED", "ETAG_MISMATCH"):
        data.UpdateRecord(stale)
    with refused("ABORTED", "ETAG_MISMATCH"):
        data.DeleteRecord(d.DeleteRecordRequest(name=name("one"), etag=made.etag))
    with refused("INVALID_ARGUMENT", field="record.etag"):
        data.UpdateRecord(d.UpdateRecordRequest(record=thing("one", etag="x'y", note="third")))
    assert data.GetRecord(get("one")) == changed
    assert len(events(audit)) == 2


def test_masks(data):
    data.CreateRecord(create("one", note="first", big=1, flag=True))
    masked = data.UpdateRecord(
        d.UpdateRecordRequest(
            record=thing("one", note="second", big=2), update_mask=mask("note", "flag")
        )
    )
    assert masked.fields["note"] == value("second")
    assert masked.fields["big"] == value(1)
    assert masked.fields["flag"] == value(None)
    read = data.GetRecord(get("one", read_mask=mask("big")))
    assert set(read.fields) == {"big"}
    with refused("INVALID_ARGUMENT", field="read_mask"):
        data.GetRecord(get("one", read_mask=mask("nope")))
    with refused("INVALID_ARGUMENT", field="update_mask"):
        data.UpdateRecord(
            d.UpdateRecordRequest(record=thing("one"), update_mask=mask("nope"))
        )


def test_missing_and_taken(data):
    with refused("NOT_FOUND"):
        data.GetRecord(get("none"))
    with refused("NOT_FOUND"):
        data.UpdateRecord(d.UpdateRecordRequest(record=thing("none", note="x")))
    for method, request in (
        (data.DeleteRecord, d.DeleteRecordRequest),
        (data.UndeleteRecord, d.UndeleteRecordRequest),
        (data.PurgeRecord, d.PurgeRecordRequest),
    ):
        with refused("NOT_FOUND"):
            method(request(name=name("none")))
    data.CreateRecord(create("one"))
    with refused("ALREADY_EXISTS"):
        data.CreateRecord(create("one"))


def test_allow_missing(data):
    request = d.UpdateRecordRequest(record=thing("new", note="made"), allow_missing=True)
    made = data.UpdateRecord(request)
    assert (made.fields["note"], made.fields["mid"]) == (value("made"), value(7))
    again = data.UpdateRecord(
        d.UpdateRecordRequest(record=thing("new", big=5), allow_missing=True)
    )
    assert (again.fields["note"], again.fields["big"]) == (value("made"), value(5))


def test_request_id(data, audit):
    first = data.CreateRecord.with_call(create("one", "id-1", note="x"))[0]
    data.UpdateRecord(d.UpdateRecordRequest(record=thing("one", note="later")))
    again = data.CreateRecord(create("one", "id-1", note="x"))
    assert again.SerializeToString(deterministic=True) == first.SerializeToString(
        deterministic=True
    )
    assert again.fields["note"] == value("x"), "the first result, not what is there now"
    with refused("INVALID_ARGUMENT", "REQUEST_ID_REUSED"):
        data.CreateRecord(create("one", "id-1", note="y"))
    with refused("INVALID_ARGUMENT", "REQUEST_ID_REUSED"):
        data.DeleteRecord(d.DeleteRecordRequest(name=name("one"), request_id="id-1"))
    assert data.GetRecord(get("one")).fields["note"] == value("later")
    assert [one.request_id for one in events(audit)] == ["", "id-1"]


def test_refused_requests_leave_no_id(data):
    with refused("NOT_FOUND"):
        data.UpdateRecord(
            d.UpdateRecordRequest(record=thing("late", note="x"), request_id="id-2")
        )
    data.CreateRecord(create("late", "id-2"))


@pytest.mark.parametrize("bad", ["x" * 65, "with blank", "tab\t", "é", "\x7f"])
def test_bad_request_ids(data, bad):
    with refused("INVALID_ARGUMENT", field="request_id"):
        data.CreateRecord(create("one", bad))
    with refused("NOT_FOUND"):
        data.GetRecord(get("one"))


def test_validate_only(data, audit):
    would = data.CreateRecord(
        d.CreateRecordRequest(record=thing("one", note="x"), validate_only=True)
    )
    assert (would.fields["note"], would.fields["mid"]) == (value("x"), value(7))
    with refused("NOT_FOUND"):
        data.GetRecord(get("one"))
    data.CreateRecord(create("one", note="y"))
    with refused("ALREADY_EXISTS"):
        data.CreateRecord(d.CreateRecordRequest(record=thing("one"), validate_only=True))
    would = data.UpdateRecord(
        d.UpdateRecordRequest(record=thing("one", note="z"), validate_only=True)
    )
    assert would.fields["note"] == value("z")
    data.DeleteRecord(d.DeleteRecordRequest(name=name("one"), validate_only=True))
    data.PurgeRecord(d.PurgeRecordRequest(name=name("one"), validate_only=True))
    assert data.GetRecord(get("one")).fields["note"] == value("y")
    assert len(events(audit)) == 1


def test_soft_delete(data):
    data.CreateRecord(create("one", note="x"))
    deleted = data.DeleteRecord(d.DeleteRecordRequest(name=name("one")))
    assert deleted.HasField("delete_time")
    with refused("NOT_FOUND"):
        data.GetRecord(get("one"))
    assert data.GetRecord(get("one", show_deleted=True)) == deleted
    with refused("ALREADY_EXISTS"):
        data.CreateRecord(create("one"))
    with refused("NOT_FOUND"):
        data.UpdateRecord(d.UpdateRecordRequest(record=thing("one", note="y")))
    with refused("NOT_FOUND"):
        data.DeleteRecord(d.DeleteRecordRequest(name=name("one")))
    back = data.UndeleteRecord(d.UndeleteRecordRequest(name=name("one")))
    assert not back.HasField("delete_time")
    assert back.fields["note"] == value("x")
    with refused("ALREADY_EXISTS"):
        data.UndeleteRecord(d.UndeleteRecordRequest(name=name("one")))
    data.PurgeRecord(d.PurgeRecordRequest(name=name("one")))
    with refused("NOT_FOUND"):
        data.GetRecord(get("one", show_deleted=True))
    new = data.CreateRecord(create("one", note="again"))
    assert new.etag != back.etag


def author(number, **fields):
    return record(f"tables/authors/records/{number}", **fields)


def book(number, title, **fields):
    return record(f"tables/books/records/{number},{title}", **fields)


def create_any(message):
    return d.CreateRecordRequest(record=message)


def test_unique_among_the_living(data):
    data.CreateRecord(create_any(author(1, name="A", email="a@x")))
    with refused("ALREADY_EXISTS", "UNIQUE_VIOLATION"):
        data.CreateRecord(create_any(author(2, name="B", email="a@x")))
    data.DeleteRecord(d.DeleteRecordRequest(name="tables/authors/records/1"))
    data.CreateRecord(create_any(author(2, name="B", email="a@x")))
    with refused("ALREADY_EXISTS", "UNIQUE_VIOLATION"):
        data.UndeleteRecord(d.UndeleteRecordRequest(name="tables/authors/records/1"))


def test_references(data):
    with refused("FAILED_PRECONDITION", "REFERENCE_VIOLATION"):
        data.CreateRecord(create_any(book(9, "Lost", pages=1)))
    data.CreateRecord(create_any(author(9, name="N")))
    data.CreateRecord(create_any(book(9, "Found%2C%20twice", pages=2)))
    with refused("FAILED_PRECONDITION", "REFERENCE_VIOLATION"):
        data.DeleteRecord(d.DeleteRecordRequest(name="tables/authors/records/9"))
    data.DeleteRecord(d.DeleteRecordRequest(name="tables/books/records/9,Found%2C%20twice"))
    data.DeleteRecord(d.DeleteRecordRequest(name="tables/authors/records/9"))


def test_required_and_too_long(data):
    with refused("INVALID_ARGUMENT"):
        data.CreateRecord(create_any(author(1)))
    with refused("INVALID_ARGUMENT"):
        data.CreateRecord(create_any(author(1, name=None)))
    with refused("INVALID_ARGUMENT"):
        data.CreateRecord(create("one", label="elf Zeichen"))


def fill(data, count, prefix="k"):
    writes = [d.Write(insert=thing(f"{prefix}{i:04}", big=i)) for i in range(count)]
    data.Commit(d.CommitRequest(writes=writes))
    return [f"{prefix}{i:04}" for i in range(count)]


def keys_of(records):
    return [one.name.rpartition("/")[2] for one in records]


def test_list_pages(data):
    keys = fill(data, 25)
    listed, token, pages = [], "", 0
    for _ in range(30):
        page = data.ListRecords(
            d.ListRecordsRequest(parent="tables/things", page_size=7, page_token=token)
        )
        assert len(page.records) <= 7
        listed += keys_of(page.records)
        pages += 1
        token = page.next_page_token
        if not token:
            break
    assert (listed, pages) == (keys, 4)
    exact = data.ListRecords(d.ListRecordsRequest(parent="tables/things", page_size=25))
    assert (keys_of(exact.records), exact.next_page_token) == (keys, "")
    data.DeleteRecord(d.DeleteRecordRequest(name=name(keys[3])))
    assert keys_of(
        data.ListRecords(d.ListRecordsRequest(parent="tables/things")).records
    ) == [*keys[:3], *keys[4:]]
    shown = data.ListRecords(
        d.ListRecordsRequest(parent="tables/things", show_deleted=True, read_mask=mask("big"))
    )
    assert keys_of(shown.records) == keys
    assert [one.fields["big"] for one in shown.records] == [value(i) for i in range(25)]
    assert all(set(one.fields) == {"big"} for one in shown.records)


def test_list_is_in_byte_order(data):
    keys = ["%0A", "A", "B", "Z", "a", "b", "%C3%A4", "%EF%BF%BD", "%F0%9F%98%80"]
    data.Commit(d.CommitRequest(writes=[d.Write(insert=thing(key)) for key in reversed(keys)]))
    listed = []
    token = ""
    for _ in keys:
        page = data.ListRecords(
            d.ListRecordsRequest(parent="tables/things", page_size=1, page_token=token)
        )
        listed += keys_of(page.records)
        token = page.next_page_token
    assert (listed, token) == (keys, "")


def test_composite_keys_in_order(data):
    writes = [d.Write(insert=author(number, name="x")) for number in (-5, 0, 7, 10)]
    writes += [
        d.Write(insert=book(number, title))
        for number, title in ((10, "a"), (7, "b"), (7, "B"), (-5, "z"))
    ]
    data.Commit(d.CommitRequest(writes=writes))
    page = data.ListRecords(d.ListRecordsRequest(parent="tables/books"))
    assert keys_of(page.records) == ["-5,z", "7,B", "7,b", "10,a"]


def test_batch_get(data):
    keys = fill(data, 3)
    asked = [name(keys[2]), name("none"), "tables/authors/records/1", name(keys[0])]
    answer = data.BatchGetRecords(d.BatchGetRecordsRequest(names=asked))
    assert keys_of(answer.records) == [keys[2], keys[0]]
    assert list(answer.missing) == asked[1:3]
    for count in (0, 101):
        with refused("INVALID_ARGUMENT", field="names"):
            data.BatchGetRecords(d.BatchGetRecordsRequest(names=[name("x")] * count))


def test_commit_is_all_or_nothing(data, audit):
    data.CreateRecord(create("there", big=1))
    writes = [
        d.Write(insert=thing("new", big=2)),
        d.Write(update=thing("there", big=3)),
        d.Write(delete=name("none")),
    ]
    with refused("NOT_FOUND"):
        data.Commit(d.CommitRequest(writes=writes, request_id="all"))
    assert data.GetRecord(get("there")).fields["big"] == value(1)
    with refused("NOT_FOUND"):
        data.GetRecord(get("new"))
    answer = data.Commit(d.CommitRequest(writes=writes[:2], request_id="all"))
    assert not answer.replayed
    assert [one.record.fields["big"].integer_value for one in answer.results] == [2, 3]
    again = data.Commit(d.CommitRequest(writes=writes[:2], request_id="all"))
    assert again.replayed
    again.replayed = False
    assert again.SerializeToString(deterministic=True) == answer.SerializeToString(
        deterministic=True
    )
    assert len(events(audit)) == 2


def test_commit_of_every_kind(data):
    data.Commit(
        d.CommitRequest(
            writes=[d.Write(insert=thing(key, big=1, note="n")) for key in "abcdefg"]
        )
    )
    data.DeleteRecord(d.DeleteRecordRequest(name=name("d")))
    data.DeleteRecord(d.DeleteRecordRequest(name=name("g")))
    before = datetime.datetime.now(datetime.timezone.utc)
    answer = data.Commit(
        d.CommitRequest(
            writes=[
                d.Write(upsert=thing("a", big=5)),
                d.Write(upsert=thing("new", big=6)),
                d.Write(
                    update=thing("b", note="m"),
                    transforms=[
                        d.Transform(field="big", increment=value(41)),
                        d.Transform(field="mid", maximum=value(100)),
                        d.Transform(field="small", minimum=value(3)),
                        d.Transform(field="at", server_time=True),
                        d.Transform(field="price", increment=value("1.25")),
                    ],
                    precondition=d.Precondition(exists=True),
                ),
                d.Write(delete=name("c")),
                d.Write(undelete=name("d")),
                d.Write(purge=name("e")),
                d.Write(upsert=thing("g", big=7)),
            ]
        )
    )
    upserted, new, changed, deleted, undeleted, purged, revived = answer.results
    assert upserted.record.fields["big"] == value(5)
    assert upserted.record.fields["note"] == value(None), "an upsert replaces the whole record"
    assert new.record.fields["big"] == value(6)
    fields = changed.record.fields
    assert (fields["note"], fields["big"], fields["mid"]) == (value("m"), value(42), value(100))
    assert (fields["small"], fields["price"]) == (value(3), value("1.25"))
    assert fields["at"].timestamp_value == answer.commit_time
    assert deleted.record.HasField("delete_time")
    assert not undeleted.record.HasField("delete_time")
    assert not purged.HasField("record")
    assert not revived.record.HasField("delete_time")
    assert abs(answer.commit_time.seconds - before.timestamp()) < 3600
    listed = data.ListRecords(d.ListRecordsRequest(parent="tables/things"))
    assert keys_of(listed.records) == ["a", "b", "d", "f", "g", "new"]


def test_preconditions(data):
    made = data.CreateRecord(create("one", big=1))

    def commit(key, condition):
        return data.Commit(
            d.CommitRequest(
                writes=[d.Write(upsert=thing(key, big=2), precondition=condition)]
            )
        )

    with refused("FAILED_PRECONDITION"):
        commit("one", d.Precondition(exists=False))
    with refused("FAILED_PRECONDITION"):
        commit("none", d.Precondition(exists=True))
    commit("one", d.Precondition(etag=made.etag))
    with refused("ABORTED", "ETAG_MISMATCH"):
        commit("one", d.Precondition(etag=made.etag))
    commit("none", d.Precondition(exists=False))


def test_overflow(data):
    data.CreateRecord(create("one", small=32767, big=2**63 - 1))
    for column in ("small", "big"):
        with refused("OUT_OF_RANGE"):
            data.Commit(
                d.CommitRequest(
                    writes=[
                        d.Write(
                            update=thing("one"),
                            transforms=[d.Transform(field=column, increment=value(1))],
                        )
                    ]
                )
            )
    assert data.GetRecord(get("one")).fields["small"] == value(32767)


def test_events(server, tenant, data, audit):
    made = data.CreateRecord(create("one", "r1", note="x"))
    changed = data.UpdateRecord(
        d.UpdateRecordRequest(record=thing("one", note="y"), request_id="r2")
    )
    data.PurgeRecord(d.PurgeRecordRequest(name=name("one"), request_id="r3"))
    with refused("NOT_FOUND"):
        data.DeleteRecord(d.DeleteRecordRequest(name=name("one"), request_id="r4"))
    newest, middle, oldest = events(audit)
    assert [one.request_id for one in (newest, middle, oldest)] == ["r3", "r2", "r1"]
    operation = stubs.audit.Change
    assert [one.changes[0].operation for one in (newest, middle, oldest)] == [
        operation.OPERATION_PURGE,
        operation.OPERATION_UPDATE,
        operation.OPERATION_INSERT,
    ]
    assert not oldest.changes[0].HasField("before")
    assert oldest.changes[0].after == made
    assert (middle.changes[0].before, middle.changes[0].after) == (made, changed)
    assert newest.changes[0].before == changed
    assert not newest.changes[0].HasField("after")
    for one in (newest, middle, oldest):
        assert (one.actor, one.schema_version) == ("tester", 2)
        assert one.address.startswith(("ipv4:127.0.0.1", "127.0.0.1"))
        assert one.changes[0].record_name == made.name
    listed, token = [], ""
    for _ in range(3):
        page = audit.ListEvents(stubs.audit.ListEventsRequest(page_size=1, page_token=token))
        listed += page.events
        token = page.next_page_token
    assert (listed, token) == ([newest, middle, oldest], "")
    with refused("INVALID_ARGUMENT", field="page_size"):
        events(audit, page_size=-1)


def test_the_request_id_of_the_server(data):
    made, call = data.CreateRecord.with_call(create("one"))
    first = dict(call.initial_metadata())["freehold-request-id"]
    _, call = data.GetRecord.with_call(get("one"))
    assert first != dict(call.initial_metadata())["freehold-request-id"]
    with refused("NOT_FOUND") as seen:
        data.GetRecord(get("none"))
    assert dict(seen[0].error.initial_metadata())["freehold-request-id"]
