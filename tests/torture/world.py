"""The place where moves are tortured: three PostgreSQL clusters (two stores and the catalog), each behind
a relay that can cut and delay, two SQLite stores, two servers, and movers that come and go.

Everything is on loopback, in one temporary folder, and stopped by process id.
"""

import os
import pathlib
import shutil
import tempfile
import time

import grpc
import homes
from freehold_testing import stubs
from freehold_testing.migrator import Migrator
from freehold_testing.postgres import Cluster
from freehold_testing.relay import Relay
from freehold_testing.server import Server
from load import SCHEMA

TAKEOVER_MS = 400
ROLLOUT_TRIES = 9000  # of 10 ms
LEFT_TRIES = 50  # of 100 ms: what is being cleared away when it is looked at
ROLLED = stubs.schema.ROLLOUT_PHASE_DONE


class World:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="freehold-torture-"))
        self.folder.chmod(0o711)  # the clusters' user must get through
        self.clusters = {}
        self.relays = {}
        self.servers = []
        self.movers = []
        self.mover_count = 0
        self.files = list(SCHEMA)
        self.left = set()  # left over, and told once
        try:
            self.build()
        except BaseException:
            self.close()
            raise

    def build(self):
        for name in ("pga", "pgb", "catalog"):
            cluster = self.clusters[name] = Cluster(self.folder / name)
            self.relays[name] = Relay(lambda cluster=cluster: cluster.port)
        self.catalog = self.clusters["catalog"].dsn("freehold_owner", self.relays["catalog"].port)
        self.add_server(0)
        first = self.servers[0]
        first.apply_schema(SCHEMA)
        for name in ("pga", "pgb"):
            first.add_postgres(self.clusters[name], name, self.relays[name].port)
        for name in ("sqa", "sqb"):
            first.add_sqlite(name, self.folder / name)
        self.add_server(1)

    def add_server(self, number):
        folder = self.folder / f"server-{number}"
        if number > 0:  # one issuer for all
            (folder / "data").mkdir(parents=True, mode=0o700)
            shutil.copytree(self.servers[0].data_dir / "keys", folder / "data" / "keys")
        self.servers.append(
            Server(
                folder,
                *("--catalog", self.catalog),
                *("--moves-max", "0"),
                *("--takeover-ms", str(TAKEOVER_MS)),
            )
        )

    def mover(self, env=None):
        self.mover_count += 1
        mover = Migrator(
            self.folder / f"mover-{self.mover_count}",
            self.catalog,
            *("--takeover-ms", str(TAKEOVER_MS)),
            env=env,
        )
        self.movers.append(mover)
        return mover

    def forget_movers(self):
        """Ends those that are left; what they leave behind is the next one's."""
        for mover in self.movers:
            if mover.process.poll() is None:
                mover.kill()
        self.movers = []

    # What the stores hold

    def homes(self, tenant):
        """{home: (epoch, mode, schema version)}, from the stores themselves."""
        found = {}
        for store in homes.STORES:
            if store in self.clusters:
                found |= homes.postgres_homes(self.clusters[store], store, tenant)
            else:
                found |= homes.sqlite_homes(self.folder / store, store, tenant)
        return found

    def things(self):
        found = set()
        for store in homes.STORES:
            if store in self.clusters:
                found |= homes.postgres_things(self.clusters[store], store)
            else:
                found |= homes.sqlite_things(self.folder / store, store)
        return found

    def left_over(self, tenant, home):
        """What there is besides the tenant's home (None: of a tenant that was deleted), and what is missing."""
        wanted = home.things(tenant) if home else set()
        for _ in range(LEFT_TRIES):
            found = self.things() - self.left
            if found == wanted:
                return []
            time.sleep(0.1)
        self.left |= found - wanted
        return [f"left: {one}" for one in found - wanted] + [f"missing: {one}" for one in wanted - found]

    # Versions of the schema: an extra column and an index come and go.

    @property
    def version(self):
        return len(self.files)

    def extra(self):
        """The name of the column that is there besides; None."""
        step = (len(self.files) - len(SCHEMA)) % 4
        return f"extra_{len(self.files) - step}" if step else None

    def begin_rollout(self):
        number = len(self.files)
        sql = (
            f"alter table items add column extra_{number} integer not null default {number};",
            f"create index items_body_{number} on items (body);",
            f"drop index items_body_{number - 1};",
            f"alter table items drop column extra_{number - 3};",
        )[(number - len(SCHEMA)) % 4]
        self.files.append((f"{number + 1:04}_torture.sql", sql))
        migrations = [stubs.schema.Migration(name=name, sql=text) for name, text in self.files]
        request = stubs.schema.ApplySchemaRequest(migrations=migrations, no_wait=True, reason="torture")
        self.servers[0].schemas.ApplySchema(request)

    def await_rollout(self):
        """None, or why it does not come to its end; then it is called off, for the next run's sake."""
        request = stubs.schema.GetRolloutRequest(name="rollouts/-")
        schemas = self.servers[0].schemas
        found = None
        for _ in range(ROLLOUT_TRIES):
            try:
                found = schemas.GetRollout(request)
            except grpc.RpcError:  # asked again
                continue
            if found.phase == ROLLED:
                return None
            if found.message:
                break
            time.sleep(0.01)
        all_homes = schemas.ListRolloutHomes(stubs.schema.ListRolloutHomesRequest(name="rollouts/-"))
        schemas.CancelRollout(stubs.schema.CancelRolloutRequest(name=found.name, reason="torture"))
        return f"{found} {all_homes}".replace("\n", " ")

    def keep(self):
        """Where what a failed run leaves is kept: beside the build, not in the temporary folder."""
        folder = pathlib.Path(os.environ.get("FREEHOLD_TORTURE_KEEP", self.folder / "kept"))
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def keep_logs(self):
        for number, mover in enumerate(self.movers):
            shutil.copy(mover.log_path, self.keep() / f"mover-{self.mover_count}-{number}.log")
        for number, server in enumerate(self.servers):
            shutil.copy(server.log_path, self.keep() / f"server-{number}.log")

    def close(self):
        for cluster in self.clusters.values():
            if cluster.process is not None:
                cluster.thaw()
        self.forget_movers()
        try:
            for server in self.servers:
                if server.process is not None:
                    server.close()
        finally:
            for relay in self.relays.values():
                relay.close()
            for cluster in self.clusters.values():
                cluster.stop()
            shutil.rmtree(self.folder)
