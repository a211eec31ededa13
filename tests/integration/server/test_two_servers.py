"""Two servers on one catalog in PostgreSQL, and freehold-migrator beside them.

What is done through one is known to the other: soon, where the catalog's notifications are heard, and
in time where they are not.
"""

import itertools
import shutil
import subprocess

import pytest
from freehold_testing import PATIENCE, migrator, stubs
from freehold_testing.migrator import Migrator
from freehold_testing.postgres import Cluster
from freehold_testing.process import dying_with_us, until
from freehold_testing.refusal import Refusal, refused
from freehold_testing.server import Server
from google.protobuf import duration_pb2

from conftest import MIGRATIONS, create, get, new_slug, record
from load import Load
from test_moves import FAST, SLOW, UNDISTURBED, begin, done, ended, fill, read, store_of

m = stubs.move_admin
t = stubs.tenant_admin
PHASE = m.MovePhase
numbers = itertools.count()
# Ends the sessions that listen, as often as they come back, until it is told to stop.
DEAFEN = """
do $$
begin
    loop
        perform pg_stat_clear_snapshot();
        exit when exists (select from pg_stat_activity where application_name = 'enough');
        perform pg_terminate_backend(pid) from pg_stat_activity where query like 'LISTEN%';
        perform pg_sleep(0.002);
    end loop;
end $$
"""


@pytest.fixture(scope="session")
def catalog(folder):
    """A cluster of their own: it has the catalog, and the store `pg`."""
    cluster = Cluster(folder / "catalog")
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def dsn(catalog):
    return catalog.dsn("freehold_owner")


def add_server(folder, dsn, first=None):
    if first is not None:  # one issuer for all
        (folder / "data").mkdir(parents=True, mode=0o700)
        shutil.copytree(first.data_dir / "keys", folder / "data" / "keys")
    return Server(folder, *("--catalog", dsn), *("--moves-max", "0"))


@pytest.fixture(scope="session")
def pair(folder, catalog, dsn):
    """The second is there before there is anything to serve: it learns all of it from the catalog."""
    servers = [add_server(folder / "first", dsn)]
    try:
        first = servers[0]
        servers.append(add_server(folder / "second", dsn, first))
        first.apply_schema(MIGRATIONS)
        first.add_postgres(catalog)
        for name in ("one", "two"):
            first.add_sqlite(name, folder / f"stores-{name}")
        await_stores(servers[1], {"pg": 2, "one": 2, "two": 2})
        yield servers
    finally:
        for server in servers:
            server.close()


@pytest.fixture
def mover(folder, dsn):
    """Starts migrators; those still alive must end with 0."""
    movers = []

    def run(*args, catalog=dsn):
        movers.append(Migrator(folder / f"mover-{next(numbers)}", catalog, *args))
        return movers[-1]

    yield run
    for one in movers:
        if one.process.poll() is None:
            assert one.stop() == 0, one.log()[-4000:]


def stores_of(server):
    listed = server.stores.ListStores(stubs.store_admin.ListStoresRequest(page_size=1000)).stores
    return {one.name.partition("/")[2]: one.schema_version for one in listed}


def await_stores(server, wanted):
    until(lambda: wanted.items() <= stores_of(server).items(), f"the stores {wanted}")


def served(server, tenant):
    """None, or why not."""
    try:
        server.data(tenant).ListRecords(stubs.data.ListRecordsRequest(parent="tables/things"))
    except Exception as error:  # noqa: BLE001: whatever it is, it is told
        return Refusal(error).reason
    return None


class Both:
    """Each caller has one of the two, in turn."""

    def __init__(self, servers):
        self.servers = itertools.cycle(servers)
        self.tenant_token = servers[0].tenant_token
        self.audit = servers[0].audit

    def data(self, tenant, **options):
        return next(self.servers).data(tenant, **options)


def test_tenants_of_one_are_served_by_the_other(pair):
    first, second = pair
    for store in ("pg", "one"):
        tenant = first.create_tenant(new_slug(), store)
        first.data(tenant).CreateRecord(create("k", note="from the first"))
        got = second.data(tenant).GetRecord(get("k"))
        assert got.fields["note"].string_value == "from the first"
        second.data(tenant).CreateRecord(create("l"))
        first.data(tenant).GetRecord(get("l"))
        request = t.GetTenantRequest(name=f"tenants/{tenant}")
        assert first.tenants.GetTenant(request) == second.tenants.GetTenant(request)


def test_suspended_by_one_is_refused_by_the_other(pair):
    first, second = pair
    tenant = first.create_tenant(new_slug(), "pg")
    name = f"tenants/{tenant}"
    for server, other in ((first, second), (second, first)):
        assert served(first, tenant) is None and served(second, tenant) is None
        server.tenants.SuspendTenant(t.SuspendTenantRequest(name=name))
        assert served(server, tenant) == "TENANT_SUSPENDED"
        until(lambda o=other: served(o, tenant) == "TENANT_SUSPENDED", "the other knows")
        server.tenants.ResumeTenant(t.ResumeTenantRequest(name=name))
        until(lambda o=other: served(o, tenant) is None, "the other serves again")
    second.tenants.DeleteTenant(t.DeleteTenantRequest(name=name))
    until(lambda: served(first, tenant) == "TENANT_NOT_FOUND", "the other forgets")


def test_stores_and_schema_of_one_are_known_to_the_other(pair, folder):
    """And while it learns, nobody's request fails."""
    first, second = pair
    tenant = first.create_tenant(new_slug(), "pg")
    load = Load(Both(pair), tenant, timeout=PATIENCE, allowed=UNDISTURBED)
    load.start()
    load.await_more(20)
    version = len(first.schemas.GetSchema(stubs.schema.GetSchemaRequest()).migrations)
    second.add_sqlite("late", folder / "stores-late")
    files = [*MIGRATIONS, ("0003_late.sql", "create table lates (id bigint primary key);")]
    first.apply_schema(files)
    await_stores(first, {"late": version + 1})
    await_stores(second, {"pg": version + 1, "one": version + 1, "late": version + 1})
    mine = first.create_tenant(new_slug(), "late")
    request = stubs.data.CreateRecordRequest(record=record("tables/lates/records/1"))
    second.data(mine).CreateRecord(request)
    first.data(mine).GetRecord(stubs.data.GetRecordRequest(name="tables/lates/records/1"))
    load.await_more(20)
    load.stop()
    load.settle()
    load.check()


def test_a_relative_store_is_refused(pair):
    with refused("INVALID_ARGUMENT", field="store.location") as told:
        pair[0].add_sqlite("relative", "relative")
    assert "absolute" in told[0].message


@pytest.mark.parametrize("source,target", [("pg", "one"), ("one", "pg"), ("one", "two")])
def test_moved_while_both_serve(pair, mover, source, target):
    first, second = pair
    tenant = first.create_tenant(new_slug("moving"), source)
    load = Load(Both(pair), tenant, timeout=PATIENCE, allowed=UNDISTURBED)
    load.start()
    load.await_more(100)
    move = begin(second, tenant, target, settings=FAST)
    assert move.phase == PHASE.MOVE_PHASE_PLANNED  # neither server moves anything
    mover("--takeover-ms", "400").await_ready()
    done(first, move)
    load.await_more(100)
    load.stop()
    assert set(load.codes) <= {"OK", "ABORTED", "WRITE_CONFLICT"}, load.codes
    load.settle()
    load.check()
    for server in pair:
        assert store_of(server, tenant) == target


@pytest.fixture
def deaf(catalog):
    """Nobody hears a notification: whoever listens is cut off, again and again."""
    with subprocess.Popen(
        catalog.command(
            "psql", "-q", "-h", catalog.folder, "-p", catalog.port, "-U", "postgres", "-d", "freehold",
            "-c", DEAFEN,
        ),
        stdout=subprocess.DEVNULL,
        cwd=catalog.folder,
    ) as loop:  # fmt: skip

        def check():
            assert loop.poll() is None, "somebody may have heard something"

        yield check
        check()
        over = subprocess.Popen(
            catalog.command(
                "psql", "-q", "-h", catalog.folder, "-p", catalog.port, "-U", "postgres",
                "-c", "set application_name = 'enough'", "-c", f"select pg_sleep({PATIENCE})",
            ),
            stdout=subprocess.DEVNULL,
            cwd=catalog.folder,
        )  # fmt: skip
        assert loop.wait(PATIENCE) == 0
        over.kill()
        over.wait()


def test_right_without_notifications(pair, mover, folder, deaf):
    first, second = pair
    tenant = first.create_tenant(new_slug("deaf"), "pg")
    load = Load(Both(pair), tenant, timeout=PATIENCE, allowed=UNDISTURBED)
    load.start()
    load.await_more(50)
    mover("--takeover-ms", "400").await_ready()
    for target in ("one", "pg"):
        done(first, begin(second, tenant, target, settings=FAST))
        load.await_more(50)
    load.stop()
    assert set(load.codes) <= {"OK", "ABORTED", "WRITE_CONFLICT"}, load.codes
    load.settle()
    load.check()
    first.tenants.SuspendTenant(t.SuspendTenantRequest(name=f"tenants/{tenant}"))
    until(lambda: served(second, tenant) == "TENANT_SUSPENDED", "the other looks again")
    first.add_sqlite("unheard", folder / "stores-unheard")
    until(lambda: "unheard" in stores_of(second), "the other lists the stores")
    deaf()


def test_once(pair, mover):
    """Ends by itself, with 0: at once when nothing is to be done, else when all is done."""
    first, _ = pair
    assert mover("--once").await_ended() == 0
    tenants = [first.create_tenant(new_slug("once"), "one") for _ in range(6)]
    for tenant in tenants:
        fill(first, tenant, 100)
    moves = [begin(first, tenant, "two") for tenant in tenants]
    assert mover("--once").await_ended() == 0
    for tenant, move in zip(tenants, moves, strict=True):
        assert read(first, move).phase == PHASE.MOVE_PHASE_DONE
        assert store_of(first, tenant) == "two"


def test_several_movers_do_each_move_once(pair, mover):
    first, second = pair
    tenants = [first.create_tenant(new_slug("shared"), "one") for _ in range(8)]
    for tenant in tenants:
        fill(second, tenant, 100)
    moves = [begin(first, tenant, "pg") for tenant in tenants]
    for one in [mover("--once") for _ in range(3)]:
        assert one.await_ended() == 0
    for tenant, move in zip(tenants, moves, strict=True):
        done(first, move)
        second.data(tenant).GetRecord(get("fill-000099"))
        request = m.ListMoveEventsRequest(name=move.name, page_size=1000)
        actions = [event.action for event in second.moves.ListMoveEvents(request).events]
        assert actions.count("move.switch") == 1


def test_a_killed_movers_move_is_taken_over(pair, mover):
    first, _ = pair
    tenant = first.create_tenant(new_slug("orphan"), "pg")
    fill(first, tenant, 201)  # one more than the first page has, behind which it rests for 20 s
    move = begin(first, tenant, "two", settings=m.MoveSettings(rows_per_second_max=10))
    killed = mover().await_ready()
    until(lambda: read(first, move).progress.rows_copied > 0, "the first rows")
    killed.kill()
    mover("--takeover-ms", "400").await_ready()
    done(first, move)
    first.data(tenant).GetRecord(get("fill-000200"))


def test_cancelled_through_the_other_server(pair, mover):
    first, second = pair
    tenant = first.create_tenant(new_slug("cancelled"), "one")
    fill(first, tenant, 300)
    mover().await_ready()
    move = begin(first, tenant, "pg", settings=SLOW)
    until(lambda: read(second, move).progress.rows_copied > 0, "the first rows")
    second.moves.CancelMove(m.CancelMoveRequest(name=move.name))
    assert ended(first, move).phase == PHASE.MOVE_PHASE_CANCELLED
    first.data(tenant).GetRecord(get("fill-000299"))


def test_a_switch_that_cannot_be_short_enough_stays_away(pair, mover):
    """max_pause is kept by calling off, never by failing somebody's request."""
    first, second = pair
    tenant = first.create_tenant(new_slug("impatient"), "one")
    load = Load(Both(pair), tenant, timeout=PATIENCE, allowed=UNDISTURBED)
    load.start()
    load.await_more(20)
    mover("--takeover-ms", "400").await_ready()
    short = m.MoveSettings(max_pause=duration_pb2.Duration(nanos=1_000_000), duty_percent=100)
    move = begin(first, tenant, "pg", settings=short)
    until(
        lambda: read(first, move).message or read(first, move).phase == PHASE.MOVE_PHASE_DONE,
        "what keeps it",
    )
    load.await_more(50)
    load.stop()
    load.settle()
    load.check()
    if read(first, move).phase != PHASE.MOVE_PHASE_DONE:
        # Nobody writes now; it may succeed, and it may be called off.
        try:
            second.moves.CancelMove(m.CancelMoveRequest(name=move.name))
        except Exception as error:  # noqa: BLE001: it was done meanwhile
            assert Refusal(error).code.name == "FAILED_PRECONDITION"
    ended(first, move)
    load.check()


def test_beside_a_server_with_a_catalog_of_its_own(start):
    """Its SQLite catalog is one process's."""
    server = start()
    refusal = subprocess.run(
        dying_with_us(
            [migrator.program(), "--data-dir", server.data_dir, "--http-listen", "127.0.0.1:0"]
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert refusal.returncode == 1 and refusal.stdout == ""
    assert "a migrator beside it needs a shared --catalog" in refusal.stderr
    server.assert_serving()
    assert server.stop() == 0
    # Where no server is, it may.
    alone = Migrator(server.folder / "alone", "", *("--data-dir", server.data_dir), "--once")
    assert alone.await_ended() == 0
    server.start()
