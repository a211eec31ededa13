"""Two tenants in one store with identical keys: neither sees, changes or learns of the other's."""

import base64
import random

import pytest
from freehold_testing import stubs
from freehold_testing.refusal import refused

from conftest import create, get, new_slug, thing, value

d = stubs.data
KEYS = [f"key{i:02}" for i in range(12)]


class Side:
    """One tenant, and what only it may ever be told."""

    def __init__(self, server, store, mark):
        self.mark = mark
        self.uuid = server.create_tenant(new_slug(f"side-{store}"), store)
        channel = server.channel()
        self.data = server.data(self.uuid, channel=channel)
        self.audit = server.audit(self.uuid, channel=channel)
        writes = [d.Write(insert=thing(key, note=f"{mark} {key}", big=1)) for key in KEYS]
        self.data.Commit(d.CommitRequest(writes=writes, request_id="the"))

    def records(self, **options):
        request = d.ListRecordsRequest(parent="tables/things", **options)
        return list(self.data.ListRecords(request).records)

    def check(self):
        """Everything this side can read is its own and as it was."""
        records = self.records(show_deleted=True)
        assert [one.fields["id"].string_value for one in records] == KEYS
        for one in records:
            assert one.fields["note"].string_value.startswith(self.mark)
        for event in self.audit.ListEvents(stubs.audit.ListEventsRequest()).events:
            for change in event.changes:
                for image in (change.before, change.after):
                    note = image.fields["note"].string_value
                    assert note == "" or note.startswith(self.mark)


@pytest.fixture
def sides(server, store):
    return Side(server, store, "left"), Side(server, store, "right")


def foreign_names(other):
    yield f"tenants/{other.uuid}/tables/things/records/key00"
    yield f"tenants/{other.uuid.upper()}/tables/things/records/key00"
    yield "tenants/0197a3c4-5b6d-7e8f-9012-3456789abcde/tables/things/records/key00"
    yield "tenants/not-a-uuid/tables/things/records/key00"
    yield "tenants//tables/things/records/key00"


def writes_of(name):
    record = d.Record(name=name, fields={"note": value("stolen")})
    return [
        d.Write(insert=record),
        d.Write(upsert=record),
        d.Write(update=record),
        d.Write(delete=name),
        d.Write(undelete=name),
        d.Write(purge=name),
    ]


def test_own_names(sides):
    for side in sides:
        name = f"tenants/{side.uuid}/tables/things/records/key00"
        assert side.data.GetRecord(d.GetRecordRequest(name=name)).fields["note"] == value(
            f"{side.mark} key00"
        )


def test_every_method_with_a_foreign_name(sides):
    """As if it did not exist, whether it does or not."""
    left, right = sides
    for name in foreign_names(right):
        record = d.Record(name=name, fields={"note": value("stolen")})
        for method, request in (
            (left.data.GetRecord, d.GetRecordRequest(name=name, show_deleted=True)),
            (left.data.BatchGetRecords, d.BatchGetRecordsRequest(names=[name])),
            (left.data.ListRecords, d.ListRecordsRequest(parent=name.partition("/records")[0])),
            (left.data.CreateRecord, d.CreateRecordRequest(record=record)),
            (left.data.UpdateRecord, d.UpdateRecordRequest(record=record, allow_missing=True)),
            (left.data.DeleteRecord, d.DeleteRecordRequest(name=name)),
            (left.data.UndeleteRecord, d.UndeleteRecordRequest(name=name)),
            (left.data.PurgeRecord, d.PurgeRecordRequest(name=name)),
        ):
            with refused("NOT_FOUND") as seen:
                method(request)
            assert "right" not in seen[0].message
        for write in writes_of(name):
            with refused("NOT_FOUND"):
                left.data.Commit(d.CommitRequest(writes=[d.Write(insert=thing("mine")), write]))
    with refused("NOT_FOUND"):
        left.data.GetRecord(get("mine"))
    for side in sides:
        side.check()


def test_the_same_keys_are_different_records(sides):
    left, right = sides
    before = right.records()
    left.data.UpdateRecord(d.UpdateRecordRequest(record=thing("key00", note="left changed")))
    left.data.DeleteRecord(d.DeleteRecordRequest(name="tables/things/records/key01"))
    left.data.Commit(
        d.CommitRequest(
            writes=[
                d.Write(update=thing(key), transforms=[d.Transform(field="big", increment=value(1))])
                for key in KEYS[2:]
            ]
        )
    )
    assert right.records() == before
    left.check()
    right.check()


def test_etags_of_the_other_side(sides):
    left, right = sides
    etag = right.data.GetRecord(get("key00")).etag
    right.data.UpdateRecord(d.UpdateRecordRequest(record=thing("key00", note="right again")))
    with refused("ABORTED", "ETAG_MISMATCH"):
        right.data.DeleteRecord(
            d.DeleteRecordRequest(name="tables/things/records/key00", etag=etag)
        )
    left.check()


def test_request_ids_are_of_one_tenant(sides):
    left, right = sides
    for side in sides:
        made = side.data.CreateRecord(create("shared", "same-id", note=side.mark))
        assert made.fields["note"] == value(side.mark)
    for side in sides:
        again = side.data.CreateRecord(create("shared", "same-id", note=side.mark))
        assert again.fields["note"] == value(side.mark)
    with refused("INVALID_ARGUMENT", "REQUEST_ID_REUSED"):
        left.data.CreateRecord(create("shared", "same-id", note=right.mark))


def test_unique_values_and_references_stay_inside(sides):
    left, right = sides
    author = d.Record(
        name="tables/authors/records/1", fields={"name": value("N"), "email": value("n@x")}
    )
    right.data.CreateRecord(d.CreateRecordRequest(record=author))
    book = d.Record(name="tables/books/records/1,Title")
    with refused("FAILED_PRECONDITION", "REFERENCE_VIOLATION"):
        left.data.CreateRecord(d.CreateRecordRequest(record=book))
    left.data.CreateRecord(d.CreateRecordRequest(record=author))
    right.data.DeleteRecord(d.DeleteRecordRequest(name=author.name))
    left.data.CreateRecord(d.CreateRecordRequest(record=book))


def pages(side, **options):
    return side.data.ListRecords(
        d.ListRecordsRequest(**{"parent": "tables/things", "page_size": 3, **options})
    )


def test_page_tokens_are_bound(sides):
    left, right = sides
    token = pages(left).next_page_token
    assert pages(left, page_token=token).records[0].fields["id"] == value("key03")
    with refused("INVALID_ARGUMENT", field="page_token"):
        pages(right, page_token=token)
    with refused("INVALID_ARGUMENT", field="page_token"):
        pages(left, page_token=token, show_deleted=True)
    with refused("INVALID_ARGUMENT", field="page_token"):
        pages(left, page_token=token, parent="tables/counters")
    with refused("INVALID_ARGUMENT", field="page_token"):
        left.audit.ListEvents(stubs.audit.ListEventsRequest(page_token=token))
    # Another size is the same query.
    assert len(pages(left, page_token=token, page_size=5).records) == 5


def test_forged_page_tokens(server, sides):
    left, _ = sides
    token = pages(left).next_page_token
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    chance = random.Random(2)
    forged = ["x", "=" * 10, "../../etc/passwd", "\x7f", token[:-1], token + "A", token * 2,
              "A" * 100_000, "é"]  # fmt: skip
    for _ in range(60):
        bent = bytearray(raw)
        bent[chance.randrange(len(bent))] ^= 1 << chance.randrange(8)
        forged.append(base64.urlsafe_b64encode(bytes(bent)).rstrip(b"=").decode())
    for length in range(1, len(raw), 7):
        forged.append(base64.urlsafe_b64encode(bytes(raw[:length])).rstrip(b"=").decode())
    for one in forged:
        with refused("INVALID_ARGUMENT", field="page_token"):
            pages(left, page_token=one)
    with refused("INVALID_ARGUMENT", field="page_token"):
        left.audit.ListEvents(stubs.audit.ListEventsRequest(page_token=forged[-1]))
    server.assert_serving()


def test_page_tokens_tell_nothing(sides):
    """They hold a key; whoever sees them in a log must not read it."""
    left, _ = sides
    token = pages(left).next_page_token
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    assert b"key" not in raw
    assert left.uuid.replace("-", "") not in raw.hex()


def test_audit_is_ones_own(sides):
    left, right = sides
    right.data.CreateRecord(create("only-right", "r-1", note="right secret"))
    ids = [e.request_id for e in left.audit.ListEvents(stubs.audit.ListEventsRequest()).events]
    assert ids == ["the"]
    left.check()


def test_many_at_once(sides):
    """Both sides' calls mixed on two connections: every answer is its asker's."""
    left, right = sides
    calls = []
    chance = random.Random(3)
    for number in range(600):
        side = chance.choice(sides)
        key = chance.choice(KEYS)
        if chance.random() < 0.3:
            request = d.UpdateRecordRequest(record=thing(key, note=f"{side.mark} {number}"))
            calls.append((side, side.data.UpdateRecord.future(request)))
        elif chance.random() < 0.2:
            request = d.ListRecordsRequest(parent="tables/things")
            calls.append((side, side.data.ListRecords.future(request)))
        else:
            calls.append((side, side.data.GetRecord.future(get(key))))
    for side, call in calls:
        error = call.exception()
        # Two updates of one record may meet; the second is told to come again.
        if error is not None and error.code().name == "ABORTED":
            continue
        answer = call.result()
        for one in getattr(answer, "records", None) or [answer]:
            assert one.fields["note"].string_value.startswith(side.mark)
    left.check()
    right.check()
