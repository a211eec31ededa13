"""What the tests of freeholdd share: one server with a SQLite and a PostgreSQL store, and tenants in both.

`server` lives as long as the file; tests that hurt their server start one of their own with `start`.
Parametrised by `store`, so everything a tenant can do is tried over both engines.
"""

import itertools
import pathlib
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "lib/python"))

from freehold_testing import stubs  # noqa: E402
from freehold_testing.postgres import Cluster  # noqa: E402
from freehold_testing.server import Server  # noqa: E402

STORES = ("local", "pg")
MIGRATIONS = (
    (
        "0001_things.sql",
        """
        create table things (
            id text primary key,
            flag boolean,
            small smallint,
            mid integer default 7,
            big bigint,
            single real,
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
        create table counters (
            id text primary key,
            n bigint not null default 0
        );
        """,
    ),
    (
        "0002_library.sql",
        """
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
        create index books_pages on books (pages);
        """,
    ),
)
slugs = itertools.count()


@pytest.fixture(scope="session")
def folder():
    path = pathlib.Path(tempfile.mkdtemp(prefix="freehold-test-"))
    path.chmod(0o711)  # the cluster's user must get through
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def cluster(folder):
    cluster = Cluster(folder / "postgres")
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def own_cluster(folder):
    """For tests that hurt it."""
    cluster = Cluster(folder / "own-postgres")
    yield cluster
    cluster.stop()


def prepare(server, cluster=None):
    """Schema, then the store: it must be brought to the schema when it is registered."""
    server.apply_schema(MIGRATIONS)
    if cluster is not None:
        server.add_postgres(cluster)
    return server


@pytest.fixture(scope="session")
def server(folder, cluster):
    server = Server(folder / "server", "--access-log-per-mille", "1000")
    try:
        prepare(server, cluster)
        yield server
    finally:
        server.close()


@pytest.fixture
def start(folder):
    """Starts servers of the test's own; those still alive must end with 0."""
    servers = []

    def run(*args, **options):
        servers.append(Server(folder / f"own-{next(slugs)}", *args, **options))
        return servers[-1]

    yield run
    for server in servers:
        server.close()


@pytest.fixture(params=STORES)
def store(request):
    return request.param


def new_slug(prefix="tenant"):
    return f"{prefix}-{next(slugs)}"


@pytest.fixture
def tenant(server, store):
    """A new tenant's UUID, in the store."""
    return server.create_tenant(new_slug(store), store)


@pytest.fixture
def data(server, tenant):
    return server.data(tenant)


@pytest.fixture
def audit(server, tenant):
    return server.audit(tenant)


def value(given):
    """A Value from what Python has; a pair (kind, value) says the kind."""
    kinds = {bool: "bool_value", int: "integer_value", float: "double_value", str: "string_value",
             bytes: "bytes_value"}  # fmt: skip
    if given is None:
        return stubs.data.Value(null_value=0)
    if isinstance(given, tuple):
        return stubs.data.Value(**{given[0]: given[1]})
    return stubs.data.Value(**{kinds[type(given)]: given})


def record(name, /, *, etag="", **fields):
    return stubs.data.Record(
        name=name, etag=etag, fields={key: value(given) for key, given in fields.items()}
    )


def thing(key, /, **fields):
    return record(f"tables/things/records/{key}", **fields)


def create(key, /, request_id="", **fields):
    return stubs.data.CreateRecordRequest(record=thing(key, **fields), request_id=request_id)


def get(key, **options):
    return stubs.data.GetRecordRequest(name=f"tables/things/records/{key}", **options)
