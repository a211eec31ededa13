"""What the tests of `freehold` share: a server with a SQLite and a PostgreSQL store, set up by the command itself."""

import itertools
import pathlib
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "lib/python"))

from freehold_testing.postgres import Cluster  # noqa: E402
from freehold_testing.server import Server  # noqa: E402

from command import Command  # noqa: E402
from freehold_testing.relay import Relay  # noqa: E402

STORES = ("local", "pg")
MIGRATIONS = {
    "0001_things.sql": """
        create table things (
            id text primary key,
            flag boolean,
            mid integer default 7,
            big bigint,
            precise double precision,
            price numeric(10,2),
            label varchar(10),
            note text,
            raw bytea,
            at timestamptz,
            day date,
            ref uuid,
            doc jsonb
        );
    """,
    "0002_library.sql": """
        create table authors (
            id bigint primary key,
            name text not null,
            email text unique
        );
        create table books (
            author bigint not null references authors (id),
            title text not null,
            pages integer,
            primary key (author, title)
        );
    """,
}
numbers = itertools.count()


def new_name(prefix):
    return f"{prefix}-{next(numbers)}"


@pytest.fixture(scope="session")
def folder():
    path = pathlib.Path(tempfile.mkdtemp(prefix="freehold-cli-"))
    path.chmod(0o711)  # the cluster's user must get through
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def cluster(folder):
    cluster = Cluster(folder / "postgres")
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def migrations(folder):
    path = folder / "migrations"
    path.mkdir()
    for name, sql in MIGRATIONS.items():
        (path / name).write_text(sql)
    return path


def add_pg(freehold, cluster, database="freehold", port=None):
    """As the store `pg`; where it serves may be reached by another port."""
    where = [
        cluster.dsn(role).replace("dbname=freehold", f"dbname={database}")
        for role in ("freehold_app", "freehold_owner")
    ]
    if port is not None:
        where[0] = where[0].replace(f"port={cluster.port}", f"port={port}")
    return freehold.json(
        "store", "add", "pg", "--engine", "postgresql",
        "--location", where[0], "--owner-location", where[1],
    )  # fmt: skip


def command_of(folder, server):
    return Command(folder / new_name("home"), FREEHOLD_DATA_DIR=server.data_dir)


@pytest.fixture(scope="session")
def server(folder, migrations, cluster):
    server = Server(folder / "server")
    try:
        freehold = command_of(folder, server)
        freehold("schema", "apply", migrations)
        add_pg(freehold, cluster)
        yield server
    finally:
        server.close()


@pytest.fixture
def start(folder):
    """Starts servers of the test's own; those still alive must end with 0."""
    servers = []

    def run(*args, **options):
        servers.append(Server(folder / new_name("own"), *args, **options))
        return servers[-1]

    yield run
    for server in servers:
        server.close()


@pytest.fixture
def relay():
    """Starts relays; all are closed at the end."""
    relays = []

    def run(target):
        relays.append(Relay(target))
        return relays[-1]

    yield run
    for one in relays:
        one.close()


@pytest.fixture
def freehold(folder, server):
    """The command of an operator on the server's machine."""
    return command_of(folder, server)


@pytest.fixture(params=STORES)
def store(request):
    return request.param


def new_tenant(freehold, store="local"):
    return freehold.json("tenant", "create", new_name(store), "--store", store)


@pytest.fixture
def tenant(freehold, store):
    return new_tenant(freehold, store)


@pytest.fixture
def mine(freehold, tenant):
    """The command with the tenant set."""
    return freehold.but(FREEHOLD_TENANT=tenant["slug"])


def records(freehold, table):
    return freehold("data", "list", table, "--all", "--page-size", "1000", "-o", "ndjson").lines


def events(freehold):
    return freehold("audit", "list", "--all", "-o", "ndjson").lines
