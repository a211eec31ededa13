"""What operators do: tenants, stores, the schema; as tables for people and JSON for programs."""

import os

import pytest

from command import LOCAL, REFUSED, USAGE
from conftest import MIGRATIONS, command_of, new_name


def test_tenant_life(freehold, store):
    slug = new_name("acme")
    made = freehold.json(
        "tenant", "create", slug, "--display-name", "Acme GmbH", "--plan", "starter",
        "--label", "region=north", "--label", "size=big=ish", "--store", store,
    )  # fmt: skip
    assert made["slug"] == slug and made["displayName"] == "Acme GmbH"
    assert made["labels"] == {"region": "north", "size": "big=ish"}
    assert made["state"] == "STATE_ACTIVE"
    assert made["placement"]["store"] == f"stores/{store}"
    assert made["placement"]["tier"] == "TIER_SHARED"
    assert made["name"] == f"tenants/{made['uid']}"
    for name in (slug, made["uid"], made["name"]):
        assert freehold.json("tenant", "show", name) == made
    mine = freehold.but(FREEHOLD_TENANT=slug)
    mine("data", "create", "things", "k", "note=kept")
    assert freehold.json("tenant", "suspend", slug, "--reason", "late")["state"] == "STATE_SUSPENDED"
    for words in (["list", "things"], ["get", "things", "k"], ["create", "things", "x"]):
        assert mine.refused("data", *words)["reason"] == "TENANT_SUSPENDED"
    assert "freehold tenant resume" in mine("data", "get", "things", "k", code=REFUSED).err
    assert freehold.json("tenant", "resume", slug)["state"] == "STATE_ACTIVE"
    assert mine.json("data", "get", "things", "k")["fields"]["note"] == "kept"
    assert "--yes" in freehold("tenant", "delete", slug, code=USAGE).err
    assert freehold.json("tenant", "show", slug)["state"] == "STATE_ACTIVE"
    assert freehold.json("tenant", "delete", slug, "--yes")["state"] == "STATE_DELETED"
    assert mine.refused("data", "get", "things", "k")["status"] == "NOT_FOUND"
    assert slug not in freehold("tenant", "list", "--all").out
    assert [slug, "DELETED"] in [row[:2] for row in freehold("tenant", "list", "--all", "--deleted").rows]
    assert freehold.refused("tenant", "create", slug)["status"] == "ALREADY_EXISTS"


def test_tenant_create_is_repeatable(freehold):
    slug = new_name("twice")
    first = freehold.json("tenant", "create", slug, "--request-id", slug)
    assert freehold.json("tenant", "create", slug, "--request-id", slug) == first
    assert freehold.refused("tenant", "create", slug)["violations"][0]["field"] == "tenant.slug"


def test_tenant_list_by_pages(freehold):
    made = [freehold.json("tenant", "create", new_name("page"))["uid"] for _ in range(3)]
    whole = freehold.json("tenant", "list", "--all")
    assert whole["nextPageToken"] == ""
    uids = [one["uid"] for one in whole["tenants"]]
    assert len(set(uids)) == len(uids) and set(made) <= set(uids)
    assert [one["uid"] for one in freehold("tenant", "list", "-a", "-o", "ndjson", "--page-size", "2").lines] == uids
    paged, token = [], []
    for _ in uids:
        page = freehold.json("tenant", "list", "--page-size", "2", *token)
        paged += [one["uid"] for one in page["tenants"]]
        if not page["nextPageToken"]:
            break
        token = ["--page-token", page["nextPageToken"]]
    assert paged == uids
    assert len(freehold.json("tenant", "list", "--limit", "1")["tenants"]) == 1
    told = freehold("tenant", "list", "--page-size", "1")
    assert len(told.rows) == 2 and "--page-token" in told.err
    assert freehold.refused("tenant", "list", "--page-token", "nonsense")["status"] == "INVALID_ARGUMENT"


def test_tenant_tables(freehold):
    slug = new_name("shown")
    shown = freehold("tenant", "create", slug, "--display-name", "Näme\x1b[31m\u202e")
    rows = dict(row for row in shown.rows if len(row) == 2)
    assert rows["slug"] == slug and rows["state"] == "ACTIVE"
    assert rows["display name"] == "Näme\\x1b[31m\\u202e"
    head, *lines = freehold("tenant", "list", "--all").rows
    assert head == ["SLUG", "STATE", "PLAN", "STORE", "TIER", "UUID", "CREATED", "DISPLAY NAME"]
    assert [slug, "ACTIVE", "starter", "local", "shared"] in [line[:5] for line in lines]


def test_no_such_tenant(freehold):
    for words in (["show"], ["suspend"], ["resume"], ["delete", "--yes"]):
        refusal = freehold.refused("tenant", words[0], "no-such", *words[1:])
        assert (refusal["status"], refusal["reason"]) == ("NOT_FOUND", "TENANT_NOT_FOUND")
        assert refusal["requestId"] and "freehold tenant list" in refusal["next"]
    assert freehold.refused("tenant", "create", "Not A Slug")["violations"][0]["field"] == "tenant.slug"
    assert freehold.refused("tenant", "create", new_name("x"), "--store", "no-such")["status"] in (
        "NOT_FOUND",
        "INVALID_ARGUMENT",
    )
    assert "KEY=VALUE" in freehold("tenant", "create", "x", "--label", "no", code=USAGE).err


def test_stores(start, folder, migrations, cluster):
    server = start()
    freehold = command_of(folder, server)
    freehold("schema", "apply", migrations)
    added = freehold.json("store", "add", "second", "--engine", "sqlite", "--location", "second", "--region", "eu")
    assert (added["name"], added["engine"], added["region"]) == ("stores/second", "sqlite", "eu")
    assert added["schemaVersion"] == 2
    cluster.sql("create database stores owner freehold_owner")
    where = [cluster.dsn(role).replace("dbname=freehold", "dbname=stores") for role in ("freehold_app", "freehold_owner")]
    words = ["store", "add", "pg", "--engine", "postgresql", "--location", where[0], "--owner-location", where[1]]
    head, line = freehold(*words, "--may-lose-writes").rows
    assert head == ["NAME", "ENGINE", "REGION", "TIERS", "SCHEMA", "FAILOVER", "LOCATION"]
    assert line[:2] == ["pg", "postgresql"] and "may lose writes" in line
    assert freehold.refused(*words)["status"] == "ALREADY_EXISTS"
    listed = {one["name"]: one for one in freehold.json("store", "list")["stores"]}
    assert set(listed) == {"stores/local", "stores/pg", "stores/second"}
    assert listed["stores/pg"]["mayLoseWritesOnFailover"] is True
    assert [row[0] for row in freehold("store", "list").rows] == ["NAME", "local", "pg", "second"]
    for name in ("second", "stores/local"):
        checked = freehold.json("store", "check", name)
        assert checked["healthy"] and all(one["ok"] for one in checked["findings"])
    # The cluster of the tests runs without fsync: that is found, and told by the exit code.
    result = freehold("store", "check", "pg", "-o", "json", code=REFUSED)
    assert not result.json["healthy"]
    assert "setting fsync" in [one["subject"] for one in result.json["findings"] if not one["ok"]]
    assert "WRONG" in [row[0] for row in freehold("store", "check", "pg", code=REFUSED).rows]
    for store in ("second", "pg"):
        slug = freehold.json("tenant", "create", f"in-{store}", "--store", store)["slug"]
        made = freehold.json("-t", slug, "data", "create", "things", "k", f"note={store}")
        assert made["fields"]["note"] == store


def test_store_refusals(freehold):
    assert freehold.refused("store", "check", "no-such")["status"] == "NOT_FOUND"
    assert "--engine" in freehold("store", "add", "x", code=USAGE).err
    for words in (
        ["--engine", "oracle", "--location", "x"],
        ["--engine", "sqlite", "--location", "../up"],
        ["--engine", "postgresql", "--location", "host=127.0.0.1 password=hush-hush"],
    ):
        result = freehold("store", "add", "x", *words, code=REFUSED)
        assert "INVALID_ARGUMENT" in result.err and "hush-hush" not in result.err


def test_schema(start, folder):
    freehold = command_of(folder, start())
    path = folder / "schema"
    path.mkdir()
    assert "no migration files" in freehold("schema", "apply", path, code=USAGE).err
    assert "cannot open" in freehold("schema", "apply", folder / "no-such", code=LOCAL).err
    first, second = sorted(MIGRATIONS)
    (path / first).write_text(MIGRATIONS[first])
    (path / "README.md").write_text("not a migration")
    dry = freehold("schema", "apply", path, "--dry-run")
    assert dry.out.startswith("1 of 1 files would be applied; schema version 1, ")
    assert freehold.json("schema", "status")["version"] == 0
    assert freehold.json("schema", "apply", path)["applied"] == 1
    (path / second).write_text(MIGRATIONS[second])
    assert freehold.json("schema", "apply", path, "--dry-run")["applied"] == 1
    dry = freehold("schema", "apply", path, "--dry-run")
    assert dry.out.startswith("1 of 2 files would be applied; schema version 2, 3 tables")
    told = freehold("schema", "apply", path)
    assert told.out.startswith("1 of 2 files applied; schema version 2, 3 tables")
    assert ["local", "2", "current"] in told.rows
    assert freehold.json("schema", "apply", path)["applied"] == 0
    status = freehold.json("schema", "status")
    assert (status["version"], [one["name"] for one in status["migrations"]]) == (2, [first, second])
    tables = {one["name"]: one for one in status["tables"]}
    assert tables["books"]["primaryKey"] == ["author", "title"]
    assert {one["name"]: one["type"] for one in tables["things"]["columns"]}["price"] == "numeric(10,2)"
    out = freehold("schema", "status").out
    assert "schema version 2" in out and "books (3 columns, key: author, title)" in out


def test_rollouts(start, folder):
    freehold = command_of(folder, start())
    path = folder / "rolled"
    path.mkdir()
    (path / "0001_a.sql").write_text("create table a (id bigint primary key);")
    assert "no action 'stop'" in freehold("schema", "rollout", "stop", code=USAGE).err
    assert freehold.refused("schema", "rollout", "show")["status"] == "NOT_FOUND"
    freehold("schema", "apply", path)
    freehold("tenant", "create", "own-home", "--tier", "schema")
    (path / "0002_b.sql").write_text("alter table a add column n integer not null default 1;")
    diff = freehold.json("schema", "diff", path)
    assert (diff["fromVersion"], diff["toVersion"]) == (1, 2)
    assert "add column a.n integer" in freehold("schema", "diff", path).out
    plans = {(one["engine"], one["tier"]) for one in freehold.json("schema", "preview", path)["plans"]}
    assert plans == {("sqlite", "shared"), ("sqlite", "schema"), ("sqlite", "database")}
    assert "locks writes" in freehold("schema", "preview", path).out
    freehold("schema", "apply", path, "--canary", "101", code=USAGE)
    told = freehold("schema", "apply", path, "--canary-tenants", "own-home", "--stop-after-canary", "--reason", "n")
    assert "1 of 2 homes (50%)" in told.out and "the canary is done" in told.out
    assert freehold.refused("schema", "apply", path, "--canary-tenants", "nobody")["status"] == "NOT_FOUND"
    homes = {one["tier"]: one["state"] for one in freehold.json("schema", "rollout", "homes")["homes"]}
    assert homes == {"schema": "ROLLOUT_HOME_STATE_DONE", "shared": "ROLLOUT_HOME_STATE_PENDING"}
    assert "paused" in freehold("schema", "rollout", "list").out
    assert "paused" in freehold("schema", "rollout", "watch", code=REFUSED).out
    freehold("schema", "rollout", "resume", "--reason", "good")
    assert "2 of 2 homes (100%)" in freehold("schema", "rollout", "watch").out
    assert freehold.refused("schema", "rollout", "cancel")["status"] == "FAILED_PRECONDITION"
    events = freehold("schema", "rollout", "events", "-a", "--page-size", "2", "-o", "ndjson").lines
    assert (events[0]["action"], events[0]["reason"]) == ("rollout.create", "n")
    assert [one["reason"] for one in events if one["action"] == "rollout.resume"] == ["good"]
    assert events[-1]["action"] == "rollout.done"
    head, *lines = freehold("schema", "rollout", "events").rows
    assert head == ["TIME", "ACTION", "ACTOR", "REASON", "DETAIL"]
    assert [line[1] for line in lines] == [one["action"] for one in events]
    assert freehold.json("schema", "rollout", "homes", "--failed").get("homes", []) == []
    assert ["local", "2", "current"] in freehold("schema", "show").rows
    assert freehold.json("schema", "apply", path)["rollout"]["phase"] == "ROLLOUT_PHASE_DONE"


@pytest.mark.parametrize(
    "sql, place",
    [
        ("create table ok (id int primary key);\n  create view v as select 1;", "2:3"),
        ("create table odd (id int primary key,\n    b blob);", "2:7"),
        ("create table (id int primary key);", "1:14"),
        ("create table none (id int);", "1:14"),
        ("create table bad (id text primary key default\n set_config('fh.tenant', 'x', true));", "2:2"),
    ],
)
def test_refused_schema_names_the_place(freehold, migrations, folder, sql, place):
    path = folder / new_name("refused")
    path.mkdir()
    for name, text in MIGRATIONS.items():
        (path / name).write_text(text)
    (path / "0003_new.sql").write_text(sql)
    for dry in ([], ["--dry-run"]):
        refusal = freehold.refused("schema", "apply", path, *dry)
        assert refusal["status"] == "INVALID_ARGUMENT"
        assert refusal["message"].startswith(f"0003_new.sql:{place}: "), refusal
    assert f"0003_new.sql:{place}: " in freehold("schema", "apply", path, code=REFUSED).err
    assert freehold.json("schema", "status")["version"] == 2


def test_changed_and_unreadable_migrations(freehold, folder):
    path = folder / new_name("changed")
    path.mkdir()
    for name, text in MIGRATIONS.items():
        (path / name).write_text(text)
    changed = path / sorted(MIGRATIONS)[0]
    changed.write_text(changed.read_text() + "-- more")
    refusal = freehold.refused("schema", "apply", path)
    assert refusal["status"] == "FAILED_PRECONDITION" and changed.name in refusal["message"]
    changed.write_bytes(b"create table x\xff")
    assert "UTF-8" in freehold("schema", "apply", path, code=USAGE).err
    changed.unlink()
    os.mkfifo(changed)
    assert "is not a file" in freehold("schema", "apply", path, code=USAGE).err
