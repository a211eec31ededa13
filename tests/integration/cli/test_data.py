"""A tenant's records by hand: made, read, changed, refused, deleted, brought back, purged; and the trail of it."""

import base64
import json

import pytest

from command import REFUSED, USAGE
from conftest import events, new_tenant, records

UUID = "0197a3c4-5b6d-7e8f-9012-3456789abcde"
GIVEN = {
    "flag": "true",
    "mid": "-5",
    "big": "9223372036854775807",
    "precise": "0.1",
    "price": "12345678.90",
    "label": "007",
    "note": "a=b, Ünï \U0001f600",
    "raw": "\\x00ff10",
    "at": "2026-11-21T03:07:37.123456Z",
    "day": "2026-11-21",
    "ref": UUID,
    "doc": '{"a": [1, 2.5, null], "b": {}}',
}
SHOWN = {
    "flag": True,
    "mid": -5,
    "big": 2**63 - 1,
    "precise": 0.1,
    "price": "12345678.90",
    "label": "007",
    "note": GIVEN["note"],
    "raw": base64.b64encode(b"\x00\xff\x10").decode(),
    "at": GIVEN["at"],
    "day": "2026-11-21",
    "ref": UUID,
}


def fields_of(record):
    fields = dict(record["fields"])
    if fields.get("doc") is not None:
        fields["doc"] = json.loads(fields["doc"])
    return fields


def test_every_type(mine):
    words = [f"{name}={text}" for name, text in GIVEN.items()]
    made = mine.json("data", "create", "things", "all", *words)
    assert fields_of(made) == {"id": "all", **SHOWN, "doc": json.loads(GIVEN["doc"])}
    assert made["etag"] and made["createTime"] == made["updateTime"] and "deleteTime" not in made
    assert mine.json("data", "get", "things", "all") == made
    assert mine.json("data", "get", made["name"]) == made
    assert records(mine, "things") == [made]
    shown = dict(row for row in mine("data", "get", "things", "all").rows if len(row) == 2)
    assert shown["raw"] == "\\x00ff10" and shown["at"] == GIVEN["at"] and shown["label"] == "007"
    emptied = mine.json("data", "update", "things", "all", *[f"{name}:=null" for name in GIVEN])
    assert fields_of(emptied) == {"id": "all", **dict.fromkeys(GIVEN)}


def test_life(mine):
    made = mine.json("data", "create", "authors", "7", "name=Ada", "email=ada@example.org")
    assert made["fields"] == {"id": 7, "name": "Ada", "email": "ada@example.org"}
    book = mine.json("data", "create", "books", "7", "a, b/c%d é", "pages:=10")
    assert book["fields"] == {"author": 7, "title": "a, b/c%d é", "pages": 10}
    assert mine.json("data", "get", "books", "7", "a, b/c%d é") == book
    assert mine.json("data", "get", book["name"]) == book
    changed = mine.json("data", "update", "authors", "7", "name=Ada L.", "--etag", made["etag"])
    assert changed["fields"] == {**made["fields"], "name": "Ada L."} and changed["etag"] != made["etag"]
    stale = mine.refused("data", "update", "authors", "7", "name=X", "--etag", made["etag"])
    assert stale["reason"] == "ETAG_MISMATCH" and "etag" in stale["next"]
    assert mine.json("data", "update", "authors", "8", "name=Bob", "--create")["fields"]["id"] == 8
    assert mine.refused("data", "update", "authors", "9", "name=No")["status"] == "NOT_FOUND"
    assert mine.refused("data", "delete", "authors", "8", "--etag", changed["etag"])["reason"] == "ETAG_MISMATCH"
    deleted = mine.json("data", "delete", "authors", "8")
    assert deleted["deleteTime"]
    assert mine.refused("data", "get", "authors", "8")["status"] == "NOT_FOUND"
    assert mine.json("data", "get", "authors", "8", "--deleted") == deleted
    assert [one["fields"]["id"] for one in records(mine, "authors")] == [7]
    with_deleted = mine.json("data", "list", "authors", "--deleted")["records"]
    assert [one["fields"]["id"] for one in with_deleted] == [7, 8]
    assert "(deleted)" in mine("data", "list", "authors", "--deleted").rows[0]
    back = mine.json("data", "undelete", "authors", "8")
    assert "deleteTime" not in back and mine.json("data", "get", "authors", "8") == back
    gone = mine("data", "purge", "authors", "8")
    assert (gone.out, gone.err) == ("", "purged\n")
    assert mine.refused("data", "get", "authors", "8", "--deleted")["status"] == "NOT_FOUND"
    mine("data", "create", "authors", "8", "name=Bob again")
    assert mine.json("data", "purge", "authors", "8") == {}


def test_refusals(mine):
    mine("data", "create", "authors", "1", "name=Ada", "email=one@example.org")
    for words, status in (
        (["create", "authors", "1", "name=Twice"], "ALREADY_EXISTS"),
        (["create", "authors", "2", "name=B", "email=one@example.org"], "ALREADY_EXISTS"),
        (["create", "authors", "2"], "INVALID_ARGUMENT"),
        (["create", "books", "99", "t"], "FAILED_PRECONDITION"),
        (["create", "things", "x", "label=elf Zeichen!"], "INVALID_ARGUMENT"),
        (["create", "things", "x", "price=1.234"], "INVALID_ARGUMENT"),
        (["create", "things", "x", "day=2026-02-30"], "INVALID_ARGUMENT"),
        (["create", "things", "x", "ref=no-uuid"], "INVALID_ARGUMENT"),
        (["create", "things", "x", "doc={broken"], "INVALID_ARGUMENT"),
        (["get", "things", "no-such"], "NOT_FOUND"),
        (["get", "no_such_table", "x"], "INVALID_ARGUMENT"),
        (["list", "things/broken"], "INVALID_ARGUMENT"),
    ):
        refusal = mine.refused("data", *words)
        assert refusal["status"] == status, (words, refusal)
        assert refusal["requestId"] and refusal["message"]
    refusal = mine.refused("data", "create", "things", "x", "day=2026-02-30")
    assert "day" in refusal["violations"][0]["field"]
    assert "field: " in mine("data", "create", "things", "x", "day=no", code=REFUSED).err
    for words, told in (
        (["create", "things", "x", "mid=many"], "column mid: 'many' is not a whole number"),
        (["create", "things", "x", "nope=1"], "no column 'nope'"),
        (["create", "things", "x", "doc:={"], "after := stands no JSON"),
        (["create", "things", "x", "what"], "neither field=value nor"),
        (["update", "things", "x"], "change what?"),
        (["update", "authors", "1", "2"], "neither field=value nor"),
        (["get", "things"], "which record?"),
    ):
        assert told in mine("data", *words, code=USAGE).err
    assert "did you mean 'authors'?" in mine("data", "list", "author", code=REFUSED).err
    assert [one["fields"]["id"] for one in records(mine, "authors")] == [1]
    assert records(mine, "things") == []


def test_request_ids_and_dry_runs(mine):
    words = ["data", "create", "things", "k", "note=once", "--request-id", "same"]
    first = mine.json(*words)
    assert mine.json(*words) == first
    other = mine.refused("data", "create", "things", "k2", "--request-id", "same")
    assert other["reason"] == "REQUEST_ID_REUSED" and "--request-id" in other["next"]
    for dry in (["create", "things", "dry"], ["update", "things", "k", "note=dry"], ["delete", "things", "k"]):
        mine("data", *dry, "--dry-run")
    assert records(mine, "things") == [first]
    assert len(events(mine)) == 1


def test_lists(mine):
    for number in range(5):
        mine("data", "create", "authors", number, f"name=n{number}")
    whole = mine.json("data", "list", "authors")
    assert [one["fields"]["id"] for one in whole["records"]] == [0, 1, 2, 3, 4]
    paged = mine("data", "list", "authors", "--all", "--page-size", "2", "-o", "ndjson").lines
    assert paged == whole["records"]
    assert mine("data", "list", "authors", "-n", "3", "-o", "ndjson").lines == whole["records"][:3]
    page = mine.json("data", "list", "authors", "--page-size", "2")
    rest = mine.json("data", "list", "authors", "--page-token", page["nextPageToken"])
    assert page["records"] + rest["records"] == whole["records"]
    head, *lines = mine("data", "list", "authors").rows
    assert head == ["id", "name", "email"] and lines[4] == ["4", "n4", "null"]
    some = mine("data", "list", "authors", "--fields", "name")
    assert some.rows[:2] == [["(key)", "name"], ["0", "n0"]]
    assert set(mine.json("data", "list", "authors", "--fields", "name")["records"][0]["fields"]) == {"name"}
    for words in (["--page-size", "0"], ["--page-size", "x"], ["--limit", "-1"]):
        mine("data", "list", "authors", *words, code=USAGE)
    assert mine.refused("data", "list", "authors", "--page-token", "x")["status"] == "INVALID_ARGUMENT"
    things = mine.refused("data", "list", "things", "--page-token", page["nextPageToken"])
    assert things["status"] == "INVALID_ARGUMENT"


def test_nothing_steers_the_terminal(mine):
    """What is stored comes out as escapes in tables, and exactly in JSON."""
    text = "a\x1b[2Jb\x07\u202ec\r\n"
    mine("data", "create", "things", "bad\x1bkey", f"note={text}")
    for words in (["data", "get", "things", "bad\x1bkey"], ["data", "list", "things"], ["audit", "list"]):
        out = mine(*words).out
        assert all(char.isprintable() or char == "\n" for char in out)
    assert "a\\x1b[2Jb\\x07\\u202ec\\r\\n" in mine("data", "list", "things").out
    assert records(mine, "things")[0]["fields"]["note"] == text


def test_audit(mine):
    steps = (
        ["create", "things", "k", "note=one", "--request-id", "r1"],
        ["update", "things", "k", "note=two"],
        ["delete", "things", "k"],
        ["undelete", "things", "k"],
        ["purge", "things", "k"],
    )
    for words in steps:
        mine("data", *words)
    mine("data", "create", "things", "k", "mid=1", "--dry-run")
    trail = mine.json("audit", "list")["events"]
    changes = [event["changes"] for event in reversed(trail)]
    assert all(len(one) == 1 for one in changes)
    changes = [one for (one,) in changes]
    assert [one["operation"][10:].lower() for one in changes] == ["insert", "update", "delete", "undelete", "purge"]
    assert trail[-1]["requestId"] == "r1"
    assert changes[1]["before"]["fields"]["note"] == "one" and changes[1]["after"]["fields"]["note"] == "two"
    assert "before" not in changes[0] and "after" not in changes[4]
    assert {event["actor"] for event in trail} == {"freehold-cli"}
    assert [event["time"] for event in trail] == sorted((event["time"] for event in trail), reverse=True)
    assert events(mine) == trail
    assert mine("audit", "list", "-n", "2", "-o", "ndjson").lines == trail[:2]
    head, first, *_ = mine("audit", "list").rows
    assert head == ["TIME", "EVENT", "ACTOR", "FROM", "CHANGES"]
    assert first[2] == "freehold-cli" and first[4] == "PURGE things k"


def test_roles(freehold, tenant):
    token = {
        role: freehold.token("--tenant", tenant["slug"], "--role", role) for role in ("reader", "writer", "admin")
    }
    as_role = {role: freehold.but(FREEHOLD_TOKEN=token[role]) for role in token}
    as_role["writer"]("data", "create", "things", "k")
    refusal = as_role["reader"].refused("data", "create", "things", "k2")
    assert refusal["status"] == "PERMISSION_DENIED" and "role" in refusal["next"]
    for role in token:
        as_role[role]("data", "get", "things", "k")
    for role in ("reader", "writer"):
        assert as_role[role].refused("audit", "list")["status"] == "PERMISSION_DENIED"
    assert len(events(as_role["admin"])) == 1


# Isolation


@pytest.fixture
def pair(freehold, store):
    """Two tenants in one store, each with a record of the same key; the first one's command holds nothing but its token."""
    out = []
    for name in ("one", "two"):
        tenant = new_tenant(freehold, store)
        freehold("-t", tenant["slug"], "data", "create", "things", "k", f"note={name}")
        out.append(tenant)
    words = [word for role in ("reader", "writer", "admin") for word in ("--role", role)]
    token = freehold.token("--tenant", out[0]["slug"], *words)
    address = freehold.json("context", "show")["settings"]["address"]["value"]
    return out, freehold.but(FREEHOLD_DATA_DIR=None, FREEHOLD_ADDRESS=address, FREEHOLD_TOKEN=token)


def test_own_names_serve(pair):
    (one, _), holder = pair
    for name in (["things", "k"], [f"tenants/{one['uid']}/tables/things/records/k"]):
        assert holder.json("data", "get", *name)["fields"]["note"] == "one"
        assert holder.json("-t", one["uid"], "data", "get", *name)["fields"]["note"] == "one"


def test_anothers_names_are_not_found(freehold, pair, folder):
    (_, two), holder = pair
    rows = folder / "isolation.csv"
    rows.write_text("id,note\nk,stolen\nk9,new\n")

    def answers(uid):
        whole = f"tenants/{uid}/tables/things"
        out = []
        for where in ([f"{whole}/records/k"], ["things", "k"]):
            for words in (
                ["get", *where], ["get", *where, "--deleted"], ["create", *where], ["create", *where, "note=x"],
                ["update", *where, "note=x"], ["update", *where, "note=x", "--create"], ["delete", *where],
                ["undelete", *where], ["purge", *where],
            ):  # fmt: skip
                out.append(holder.refused("-t", uid, "data", *words))
        out.append(holder.refused("data", "list", whole))
        out.append(holder.refused("-t", uid, "data", "list", "things"))
        out.append(holder("-t", uid, "data", "import", "things", rows, "--key", "id", code=None))
        return out

    real, made_up = answers(two["uid"]), answers("0197a3c4-5b6d-7e8f-9012-3456789abcde")
    for refusal, nothing in zip(real[:-1], made_up[:-1], strict=True):
        assert refusal["status"] == "NOT_FOUND"
        # Not even whether there is such a tenant can be told from it.
        for one in (refusal, nothing):
            del one["requestId"]
        assert refusal == nothing
    assert real[-1].code == made_up[-1].code != 0 and "imported 0 rows" in real[-1].out
    freehold = freehold.but(FREEHOLD_TENANT=two["uid"])
    assert [one["fields"]["note"] for one in records(freehold, "things")] == ["two"]
    assert len(events(freehold)) == 1


def test_a_slug_needs_an_operator(pair):
    (_, two), holder = pair
    assert "only an operator can look it up" in holder("-t", two["slug"], "data", "list", "things", code=USAGE).err


def test_anothers_page_tokens(freehold, pair):
    (_, two), holder = pair
    freehold("-t", two["slug"], "data", "create", "things", "k2")
    token = freehold.json("-t", two["slug"], "data", "list", "things", "--page-size", "1")["nextPageToken"]
    assert token
    assert holder.refused("data", "list", "things", "--page-token", token)["status"] == "INVALID_ARGUMENT"


def test_realms_are_apart(freehold, pair):
    """A tenant's token opens nothing at the operators' listener, nor an operator's at the tenants'."""
    _, holder = pair
    settings = freehold.json("context", "show")["settings"]
    operators = settings["operatorAddress"]["value"]
    stranger = holder.but(FREEHOLD_OPERATOR_ADDRESS=operators, FREEHOLD_OPERATOR_TOKEN=holder.env["FREEHOLD_TOKEN"])
    for words in (["tenant", "list"], ["store", "list"], ["schema", "status"]):
        assert stranger.refused(*words)["status"] == "UNAUTHENTICATED"
    token = freehold.token("--operator")
    mixed = holder.but(FREEHOLD_TOKEN=token, FREEHOLD_OPERATOR_TOKEN=token, FREEHOLD_OPERATOR_ADDRESS=operators)
    assert mixed.json("tenant", "list")
    assert mixed.refused("data", "get", "things", "k")["status"] == "UNAUTHENTICATED"
    swapped = mixed.but(FREEHOLD_OPERATOR_ADDRESS=settings["address"]["value"])
    assert swapped.refused("tenant", "list")["status"] in ("UNIMPLEMENTED", "UNAUTHENTICATED")
