"""The place where moves are tortured: three PostgreSQL clusters (two stores and the catalog), each behind
a relay that can cut and delay, two SQLite stores, two servers, and movers that come and go.

Everything is on loopback, in one temporary folder, and stopped by process id.
"""

import os
import pathlib
import shutil
import sqlite3
import tempfile

from freehold_testing.migrator import Migrator
from freehold_testing.postgres import Cluster
from freehold_testing.relay import Relay
from freehold_testing.server import Server
from load import SCHEMA

STORES = ("pga", "pgb", "sqa", "sqb")
MODES = {1: "open", 2: "frozen", 3: "closed", 4: "incoming"}
TAKEOVER_MS = 400


class World:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="freehold-torture-"))
        self.folder.chmod(0o711)  # the clusters' user must get through
        self.clusters = {}
        self.relays = {}
        self.servers = []
        self.movers = []
        self.mover_count = 0
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

    def fences(self, tenant):
        """{store: (epoch, mode)}, from the stores themselves."""
        found = {}
        for name in ("pga", "pgb"):
            lines = self.clusters[name].sql(
                f"select epoch, mode from fh_shared.fh_fence where tenant_id = '{tenant}'",
                database="freehold",
            )
            for line in lines.split():
                epoch, mode = line.split("|")
                found[name] = (int(epoch), MODES[int(mode)])
        for name in ("sqa", "sqb"):
            for path in (self.folder / name).glob("*.db"):
                db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
                rows = db.execute(
                    "select epoch, mode from fh_fence where tenant_id = ?",
                    (bytes.fromhex(tenant.replace("-", "")),),
                ).fetchall()
                db.close()
                for epoch, mode in rows:
                    found[name] = (epoch, MODES[mode])
        return found

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
