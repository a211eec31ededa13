"""Homes of a tenant, as the stores themselves show them: which there are, and what is left over.

Everything is read beside the servers, with psql and sqlite3. What exists is told as words: "database t_1f.. in pga",
"rows of 1f.. in sqa", so that two sets of them can be compared and what is too much can be printed.
"""

import dataclasses
import re
import sqlite3
import subprocess

STORES = ("pga", "pgb", "sqa", "sqb")
TIERS = ("shared", "schema", "database")
MODES = {1: "open", 2: "frozen", 3: "closed", 4: "incoming"}
# Tables of a shared home that hold rows of tenants.
TABLES = ("fh_fence", "fh_commit", "fh_move", "items", "counters", "seats", "owners", "pets")


@dataclasses.dataclass(frozen=True, order=True)
class Home:
    store: str
    tier: str = "shared"

    def __str__(self):
        return f"{self.store}.{self.tier}"

    @classmethod
    def parse(cls, text):
        store, _, tier = text.partition(".")
        home = cls(store, tier or "shared")
        assert home.store in STORES and home.tier in TIERS, text
        return home

    @property
    def engine(self):
        return "pg" if self.store.startswith("pg") else "sqlite"

    @property
    def kind(self):
        return self.engine, self.tier

    def things(self, tenant):
        """What it is made of."""
        name = namespace(tenant)
        if self.tier == "shared":
            return {f"rows of {tenant} in {self.store}"}
        if self.engine == "sqlite":
            return {f"{'tables' if self.tier == 'schema' else 'file'} {name} in {self.store}"}
        role = name if self.tier == "schema" else f"{name}_db"
        return {f"{self.tier} {name} in {self.store}", f"role {role} in {self.store}"}


def pairs():
    """Every kind of home to every other kind; to its own in another store; and within one store."""
    out = []
    for engine in ("pg", "sq"):
        for tier in TIERS:
            source = Home(f"{engine}a", tier)
            out += [(source, Home(f"{other}b", to)) for other in ("pg", "sq") for to in TIERS]
            out += [(source, Home(f"{engine}a", to)) for to in TIERS if to != tier]
    return out


def goes_within(source, target):
    """Does the store itself bring the rows over?"""
    return source.engine == "pg" and source.store == target.store and "database" not in (source.tier, target.tier)


def namespace(tenant):
    return f"t_{tenant.replace('-', '')}"


# PostgreSQL


def fence_sql(space, tenant):
    version = f"(select string_agg(substr(viewname, 11), '+') from pg_views where schemaname = '{space}' and viewname ~ '^fh_fence_v')"
    return f"select epoch, mode, {version} from {space}.fh_fence where tenant_id = '{tenant}'"


def dedicated(cluster, name):
    return cluster.sql(
        f"select 'schema' from pg_namespace where nspname = '{name}' "
        f"union all select 'database' from pg_database where datname = '{name}' and datconnlimit <> -2",
        database="freehold",
    ).split()


def fences(cluster, database, space, tenant):
    if not cluster.sql(f"select to_regclass('{space}.fh_fence')", database=database).strip():
        return []  # half made, or half dropped
    return cluster.sql(fence_sql(space, tenant), database=database).split()


def postgres_homes(cluster, store, tenant):
    """A mover that slept may still be dropping a home here: what is gone when it is looked into is not there."""
    name = namespace(tenant)
    places = {"shared": ("freehold", "fh_shared"), "schema": ("freehold", name), "database": (name, "app")}
    found = {}
    for tier in ("shared", *dedicated(cluster, name)):
        try:
            lines = fences(cluster, *places[tier], tenant)
        except subprocess.CalledProcessError:
            if tier in ("shared", *dedicated(cluster, name)):
                raise
            continue
        for line in lines:
            epoch, mode, version = line.split("|")
            found[Home(store, tier)] = (int(epoch), MODES[int(mode)], version)
    return found


def postgres_things(cluster, store):
    rows = " union ".join(f"select tenant_id from fh_shared.{table}" for table in TABLES)
    lines = cluster.sql(
        "select 'schema ' || nspname from pg_namespace where nspname ~ '^t_[0-9a-f]' "
        "union all select 'database ' || datname from pg_database where datname ~ "
        "'^(t|fh_home_[0-9]+_t)_[0-9a-f]' "
        "union all select 'role ' || rolname from pg_roles where rolname ~ '^t_[0-9a-f]' "
        f"union all select 'rows of ' || tenant_id from ({rows}) all_rows",
        database="freehold",
    )
    return {f"{line} in {store}" for line in lines.splitlines()}


# SQLite


class Reading:
    """One file of a store, for reading. It may vanish at any time."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        self.db = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=30)
        return self.db

    def __exit__(self, *_):
        self.db.close()


def sqlite_homes(folder, store, tenant):
    name = namespace(tenant)
    prefixes = {"shared": "", "schema": f"{name}__", "database": ""}
    files = [("shared", folder / "shared.db")]
    files += [("schema", path) for path in folder.glob("bridge-*.db")]
    files += [("database", path) for path in folder.glob(f"homes/*/{name}.db")]
    found = {}
    for tier, path in files:
        with Reading(path) as db:
            prefix = prefixes[tier]
            if not db.execute("select 1 from sqlite_master where name = ?", (f"{prefix}fh_fence",)).fetchone():
                continue
            rows = db.execute(
                f'select epoch, mode, (select value from "{prefix}fh_meta" where name = \'schema_version\') '
                f'from "{prefix}fh_fence" where tenant_id = ?',
                (bytes.fromhex(tenant.replace("-", "")),),
            ).fetchall()
        for epoch, mode, version in rows:
            found[Home(store, tier)] = (epoch, MODES[mode], str(version))
    return found


def uuid_text(raw):
    text = raw.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def sqlite_things(folder, store):
    found = set()
    with Reading(folder / "shared.db") as db:
        for table in TABLES:
            for (raw,) in db.execute(f"select distinct tenant_id from {table}"):
                found.add(f"rows of {uuid_text(raw)} in {store}")
    for path in folder.glob("bridge-*.db"):
        with Reading(path) as db:
            for (name,) in db.execute("select name from sqlite_master where name glob 't_*'"):
                found.add(f"tables {name.partition('__')[0]} in {store}")
    for path in folder.glob("homes/*/*"):
        # Beside a file that is open there are its log and the log's index.
        name = re.sub(r"\.db(-wal|-shm)?$", "", path.name)
        found.add(f"file {name} in {store}")
    return found
