"""kill -9 of the server under load: nothing acknowledged is lost, nothing happens twice, on both engines."""

from freehold_testing import PATIENCE, stubs

from conftest import MIGRATIONS, new_slug, prepare
from load import Load

ROUNDS = 4
COMMITS_A_ROUND = 150


def test_kill_under_load(start, cluster, store):
    server = prepare(start(), cluster)
    # Only the kill may be an error: who has one stops, so a disk that stood still must be none.
    load = Load(server, server.create_tenant(new_slug("crash"), store), timeout=PATIENCE)
    for round_ in range(ROUNDS):
        load.start(stop_at_error=True)
        load.await_more(COMMITS_A_ROUND + 17 * round_)
        server.process.kill()
        load.join()
        server.kill()
        server.start()
        load.check_acknowledged()
        load.settle()
    load.check()
    assert load.codes["OK"] >= ROUNDS * COMMITS_A_ROUND


def test_kill_while_starting(start):
    """Killed at the first signs of life, again and again: the directory stays good."""
    server = start(start=False)
    for sign in ("lock", "keys", "catalog.db", "keys/tenant.jwks.json", "stores", "freeholdd.json"):
        server.launch()
        for _ in range(1_000_000):
            if (server.data_dir / sign).exists():
                break
        server.kill()
        (server.data_dir / "freeholdd.json").unlink(missing_ok=True)
    server.start()
    prepare(server)
    tenant = server.create_tenant(new_slug("early"))
    load = Load(server, tenant)
    load.start()
    load.await_more(20)
    load.stop()
    load.settle()
    load.check()


def test_kill_while_the_schema_changes(start, cluster):
    """The whole list is sent again, as an operator would: it is applied once."""
    server = prepare(start(), cluster)
    files = list(MIGRATIONS)
    for number in range(3, 7):
        files.append((f"{number:04}_more.sql", f"create table more{number} (id bigint primary key, n text);"))
        call = server.schemas.ApplySchema.future(request(files))
        if number % 2:
            server.process.kill()
        call.exception()
        server.kill()
        server.start()
        answer = server.apply_schema(files)
        assert answer.schema.version == number
        assert {(one.store, one.version) for one in answer.schema.stores} == {
            ("stores/local", number),
            ("stores/pg", number),
        }


def request(files):
    return stubs.schema.ApplySchemaRequest(
        migrations=[stubs.schema.Migration(name=name, sql=sql) for name, sql in files]
    )
