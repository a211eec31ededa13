"""How long a tenant takes to make, as an operator's client sees it, against plain SQL making an equal home.

The floor's DDL is the product's own, read from a home that was just made, under other names: so it
follows the product, and what is compared is what comes on top of it. It is sent in one go.
"""
import ctypes
import ctypes.util
import functools
import os
import pathlib
import re
import sqlite3
import statistics
import time
import uuid

from tiers import BRIDGE_FILES, STORES, tiers_of

HOMES = {("sqlite", "shared"): 50, ("sqlite", "schema"): 30, ("sqlite", "database"): 30,
         ("postgres", "shared"): 50, ("postgres", "schema"): 20, ("postgres", "database"): 8}  # a round
LOGGED = re.compile(r"LOG:  (?:statement|execute [^:]*): (.*)")
NIL = "00000000-0000-0000-0000-000000000000"
# What the functions that a superuser installs give a role.
ROLE = "noinherit nosuperuser nocreatedb nocreaterole noreplication nobypassrls"
QUIET = ("log_error_verbosity = terse", "log_min_error_statement = panic", "log_statement = none",
         "log_min_duration_statement = -1", "log_min_duration_sample = -1",
         "log_transaction_sample_rate = 0", "log_parameter_max_length_on_error = 0")


class Session:
    """A connection to PostgreSQL through libpq, so that no process is started within what is measured."""

    def __init__(self, port, user, database):
        path = ctypes.util.find_library("pq")
        if not path:
            raise SystemExit("bench: libpq is missing; run ./dev setup")
        self.pq = ctypes.CDLL(path)
        for name in ("PQconnectdb", "PQexec"):
            getattr(self.pq, name).restype = ctypes.c_void_p
        self.pq.PQerrorMessage.restype = ctypes.c_char_p
        self.connection = ctypes.c_void_p(self.pq.PQconnectdb(
            f"host=127.0.0.1 port={port} user={user} dbname={database} application_name=floor".encode()))
        if self.pq.PQstatus(self.connection) != 0:
            self.fail()

    def fail(self):
        raise SystemExit("bench: " + self.pq.PQerrorMessage(self.connection).decode())

    def sql(self, text):
        """One round trip; several statements are one transaction."""
        result = ctypes.c_void_p(self.pq.PQexec(self.connection, text.encode()))
        status = self.pq.PQresultStatus(result)
        self.pq.PQclear(result)
        if status not in (1, 2):  # PGRES_COMMAND_OK, PGRES_TUPLES_OK
            self.fail()

    def close(self):
        self.pq.PQfinish(self.connection)


def name_of(uid):
    return "t_" + uid.replace("-", "")


class Floors:
    def __init__(self, machine):
        self.machine = machine
        self.tiers = tiers_of(machine)
        self.count = 0
        self.folder = machine.folder / "provision"
        self.folder.mkdir()
        self.port = machine.cluster.port
        self.owner = Session(self.port, "freehold_owner", "freehold")
        self.admin = Session(self.port, "postgres", "freehold")
        self.catalog = self.open_file("catalog.db")
        self.catalog.execute("create table tenant (uid text primary key, slug text not null unique, state "
                             "integer not null, store text not null, epoch integer not null) strict")
        self.shared = self.open_file("shared.db")
        self.shared.execute("create table fence (tenant blob primary key, epoch integer, generation "
                            "integer, mode integer) strict, without rowid")
        self.owner.sql("create schema floor_shared; create table floor_shared.fence (tenant uuid primary "
                       "key, epoch bigint, generation bigint, mode smallint)")
        self.bridges = []

    def open_file(self, name):
        file = sqlite3.connect(self.folder / name, isolation_level=None)
        file.execute("pragma journal_mode = wal")
        file.execute("pragma synchronous = full")
        return file

    def next_name(self):
        self.count += 1
        return f"p_{self.count}"

    # -- shared: the catalog's row, the home's fence, the catalog's row: a crash may come between any two

    def make_shared(self, engine):
        uid = str(uuid.uuid4())
        self.catalog.execute("insert into tenant values (?, ?, 1, ?, 1)", (uid, uid, STORES[engine]))
        if engine == "sqlite":
            self.shared.execute("insert into fence values (?, 1, 1, 1)", (uuid.UUID(uid).bytes,))
        else:
            self.owner.sql(f"insert into floor_shared.fence values ('{uid}', 1, 1, 1)")
        self.catalog.execute("update tenant set state = 2 where uid = ?", (uid,))

    # -- PostgreSQL ---------------------------------------------------------------------------

    def end_owners(self):
        """The product's sessions, so that new ones have the role's settings."""
        self.admin.sql("select pg_terminate_backend(pid, 30000) from pg_stat_activity where usename = "
                       "'freehold_owner' and application_name <> 'floor'")

    @functools.cached_property
    def ddl(self):
        """What makes a schema's tables, in which {home} and {role} stand for their names."""
        self.admin.sql("alter role freehold_owner set log_statement = 'ddl'")
        self.end_owners()  # a session that is kept would not know
        log = pathlib.Path(self.machine.cluster.folder, "log")
        begin = log.stat().st_size
        uid = self.tiers.provision("postgres", "schema", 1)[0][0]
        self.admin.sql("alter role freehold_owner reset log_statement")
        self.end_owners()
        lines = log.read_bytes()[begin:].decode().replace("\n\t", " ").splitlines()
        name = name_of(uid)
        texts = [found[1].rstrip("; ") for found in map(LOGGED.search, lines)
                 if found and name in found[1] and not found[1].startswith("drop ")]
        text = ";\n".join(texts).replace("{", "{{").replace("}", "}}")
        text = re.sub(rf'\bto "?{name}\b"?', "to {role}", text)
        text = re.sub(rf'"?\b{name}\b"?', "{home}", text)
        if "create table" not in text or "{role}" not in text:
            raise SystemExit("bench: PostgreSQL's log does not show how a home's tables are made")
        return text + (f";\nselect set_config('fh.tenant', '{uid}', true);\n"
                       f"insert into {{home}}.fh_fence values ('{uid}', 1, 1, 1);\n"
                       f"select set_config('fh.tenant', '{NIL}', true);\n"
                       f"insert into {{home}}.fh_meta values ('{NIL}', 'schema_version', '1') on "
                       "conflict (tenant_id, name) do nothing")

    def make_schema_postgres(self):
        name = self.next_name()
        self.admin.sql(
            f"create role {name} nologin connection limit 0 {ROLE}; grant {name} to freehold_app; "
            f"set local role freehold_owner; {self.ddl.format(home=name, role=name)}; reset role")

    def make_database_postgres(self):
        name = self.next_name()
        settings = "".join(f"alter role {name} set {setting}; " for setting in QUIET)
        self.admin.sql(f"create role {name} login connection limit 32 {ROLE} password '{name}'; {settings}"
                       f"grant set on parameter session_replication_role to {name}")
        self.owner.sql(f"create database {name} template template0 encoding 'UTF8' locale 'C' strategy "
                       "wal_log")
        self.owner.sql(f"comment on database {name} is 'floor'; revoke all on database {name} from public; "
                       f"grant connect on database {name} to {name}")
        inside = Session(self.port, "freehold_owner", name)
        inside.sql("set local role pg_database_owner; drop schema public; set local role none; " +
                   self.ddl.format(home="app", role=name))
        inside.close()

    # -- SQLite -------------------------------------------------------------------------------

    def read_home(self, path, prefix):
        """[(statement, parameters)] that make one home of a file's again."""
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as file:
            objects = file.execute("select type, name, sql from sqlite_master where sql is not null and "
                                   "tbl_name like ? and name not like 'sqlite%' order by rowid",
                                   (prefix + "%",)).fetchall()
            rows = [(f"insert into {name} values ({', '.join('?' * len(row))})", row)
                    for kind, name, _ in objects if kind == "table"
                    for row in file.execute(f'select * from "{name}"')]
        made = {when: [(sql, ()) for kind, _, sql in objects if (kind == "trigger") == when]
                for when in (False, True)}
        return made[False] + rows + made[True]  # triggers would keep the rows out

    @functools.cached_property
    def file_home(self):
        uid = self.tiers.provision("local", "database", 1)[0][0]
        return self.read_home(self.local(f"homes/{uid[-2:]}/{name_of(uid)}.db"), "")

    @functools.cached_property
    def bridge_home(self):
        uid = self.tiers.provision("local", "schema", 1)[0][0]
        path = self.local(f"bridge-{int(uid[-2:], 16) % BRIDGE_FILES:02x}.db")
        return name_of(uid), self.read_home(path, name_of(uid))

    def local(self, path):
        return pathlib.Path(self.machine.environment["FREEHOLD_DATA_DIR"], "stores/local", path)

    def make_database_sqlite(self):
        """Filled without syncs, synced once, and its directory."""
        statements = self.file_home
        path = self.folder / f"{self.next_name()}.db"
        file = sqlite3.connect(path, isolation_level=None)
        for setting in ("pragma journal_mode = off", "pragma synchronous = off", "begin"):
            file.execute(setting)
        for sql, parameters in statements:
            file.execute(sql, parameters)
        file.execute("commit")
        file.execute("pragma journal_mode = wal")
        file.close()
        for synced in (path, self.folder):
            fd = os.open(synced, os.O_RDONLY)
            os.fsync(fd)
            os.close(fd)

    def make_schema_sqlite(self):
        """One durable transaction, in the next of as many files as the product has, all of them open."""
        if not self.bridges:
            self.bridges = [self.open_file(f"bridge-{i}.db") for i in range(BRIDGE_FILES)]
        model, statements = self.bridge_home
        name = self.next_name()
        file = self.bridges[self.count % BRIDGE_FILES]
        file.execute("begin immediate")
        for sql, parameters in statements:
            file.execute(sql.replace(model, name), parameters)
        file.execute("commit")

    # -- all ----------------------------------------------------------------------------------

    def seconds(self, engine, tier, count):
        """The median of so many."""
        make = {"shared": functools.partial(self.make_shared, engine),
                "schema": self.make_schema_sqlite if engine == "sqlite" else self.make_schema_postgres,
                "database": self.make_database_sqlite if engine == "sqlite"
                else self.make_database_postgres}[tier]
        make()  # what is made once, and read once, is
        times = []
        for _ in range(count):
            begin = time.monotonic()
            make()
            times.append(time.monotonic() - begin)
        return statistics.median(times)


@functools.cache
def floors_of(machine):
    return Floors(machine)


def provision(engine, tier, machine):
    count = HOMES[engine, tier]
    floor = floors_of(machine).seconds(engine, tier, count)
    taken = [seconds for _, seconds in tiers_of(machine).provision(STORES[engine], tier, count)]
    return statistics.median(taken) * 1e3, floor * 1e3
