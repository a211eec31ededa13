"""One server on a catalog that others may share: what it must not take for its own."""

import subprocess

import pytest
from freehold_testing import PATIENCE, migrator, stubs
from freehold_testing.postgres import Cluster
from freehold_testing.server import Server

from conftest import MIGRATIONS

RELATIVE = """
insert into freehold_catalog.stores
    (name, engine, location, owner_location, region, may_lose_writes, created_at)
values ('relative', 'sqlite', 'relative', '', '', false, 1)
"""


@pytest.fixture(scope="module")
def catalog(folder):
    cluster = Cluster(folder / "shared-catalog")
    yield cluster
    cluster.stop()


@pytest.fixture
def sharing(folder, catalog):
    server = Server(folder / "sharing", "--catalog", catalog.dsn("freehold_owner"))
    yield server
    server.close()


def events(server):
    return [line["event"] for line in server.log_lines()]


def test_keys_of_its_own_are_told(sharing, start):
    """A token that another server takes is a stranger's here."""
    assert events(sharing).count("server.own_keys") == 1
    assert "server.own_keys" not in events(start())


def test_keys_that_are_given_are_not_told(sharing, start, catalog):
    keys = sharing.data_dir / "keys"
    given = [
        option
        for realm in ("tenant", "operator")
        for option in (
            *(f"--{realm}-issuer", f"https://{realm}.example"),
            *(f"--{realm}-jwks", str(keys / f"{realm}.jwks.json")),
        )
    ]
    other = start("--catalog", catalog.dsn("freehold_owner"), *given)
    assert "server.own_keys" not in events(other)


def test_a_relative_store_is_not_opened(sharing, catalog):
    """However it came into the catalog: it would be another on every server."""
    sharing.apply_schema(MIGRATIONS)
    catalog.sql(RELATIVE, database="freehold")
    assert sharing.stop() == 0
    sharing.start()
    assert "store.not_opened" in events(sharing)
    assert not (sharing.data_dir / "stores").exists()
    listed = sharing.stores.ListStores(stubs.store_admin.ListStoresRequest()).stores
    assert [(store.name, store.schema_version) for store in listed] == [("stores/relative", 0)]


def test_a_migrator_that_moves_nothing_is_refused(folder):
    """With --once it would end as if nothing were left to do."""
    got = subprocess.run(
        [migrator.program(), "--once", "--moves-max", "0", "--data-dir", str(folder / "no-moves")],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert got.returncode == 2
    assert "moves_max" in got.stderr
    assert not (folder / "no-moves").exists()
