"""A throw-away PostgreSQL cluster: own directory, free loopback port, stopped by process id.

PostgreSQL refuses root, so root starts it as `postgres`. Data survive kill -9 of every process with
fsync off: only a crash of the machine would lose them.
"""

import os
import pathlib
import shutil
import signal
import socket
import subprocess

from . import PATIENCE
from .process import dying_with_us, until

SETTINGS = """
listen_addresses = '127.0.0.1'
fsync = off
shared_buffers = 32MB
max_connections = 40
autovacuum = off
log_error_verbosity = terse
log_min_error_statement = panic
log_parameter_max_length_on_error = 0
"""
START_TRIES = 20
# What fh_pg_admin_script() gives for these two roles; a unit test compares them.
ADMIN_SQL = pathlib.Path(__file__).with_name("pg_admin.sql")


def programs():
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if not found:
        raise RuntimeError("PostgreSQL's programs are missing; run ./dev setup")
    return found[0]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def children_of(pid):
    out = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:  # it ended meanwhile
                continue
            if int(stat.rpartition(")")[2].split()[1]) == pid:
                out.append(int(entry.name))
    return out


class Cluster:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.user = "postgres" if os.geteuid() == 0 else None
        self.folder.mkdir(mode=0o700)
        if self.user:
            shutil.chown(self.folder, self.user)
        self.data = self.folder / "data"
        self.log_path = self.folder / "log"
        self.process = None
        self.run(
            "initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
            "--locale=C.UTF-8", "--no-instructions", "--no-sync",
        )  # fmt: skip
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as file:
            file.write(f"{SETTINGS}unix_socket_directories = '{self.folder}'\n")
        self.pick_port()
        self.sql(
            "create role freehold_owner login noinherit createdb",
            "create role freehold_app login noinherit",
            "grant set on parameter session_replication_role to freehold_app, freehold_owner",
            "create database freehold owner freehold_owner",
        )
        self.sql(ADMIN_SQL.read_text(), database="freehold")

    def pick_port(self):
        """A port that was free a moment ago may be gone: another is tried."""
        for _ in range(START_TRIES):
            self.port = free_port()
            self.launch()
            if self.is_up():
                return
            self.process = None
        raise RuntimeError(f"PostgreSQL did not start:\n{self.log()}")

    def command(self, program, *arguments):
        # SIGQUIT is PostgreSQL's immediate shutdown: its children end too.
        return dying_with_us([programs() / program, *arguments], signal.SIGQUIT, self.user)

    def run(self, program, *arguments, **options):
        return subprocess.run(
            self.command(program, *arguments),
            check=options.pop("check", True),
            stdout=subprocess.PIPE,
            cwd=self.folder,
            timeout=PATIENCE,
            text=True,
            **options,
        )

    def launch(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command("postgres", "-D", self.data, "-p", self.port),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.folder,
            )

    def is_up(self):
        """Waits until the cluster accepts connections or its process has ended."""

        def answer():
            if self.process.poll() is not None:
                return "ended"
            ready = self.run(
                "pg_isready", "-q", "-h", self.folder, "-p", str(self.port), check=False
            )
            return "up" if ready.returncode == 0 else None

        return until(answer, "PostgreSQL's start") == "up"

    def sql(self, *statements, database="postgres"):
        commands = [word for statement in statements for word in ("-c", statement)]
        return self.run(
            "psql", "-q", "-A", "-t", "-h", self.folder, "-p", str(self.port), "-U", "postgres",
            "-d", database, "-v", "ON_ERROR_STOP=1", *commands,
        ).stdout  # fmt: skip

    def dsn(self, role, port=None):
        """`port`: of whatever stands in between."""
        return f"host=127.0.0.1 port={port or self.port} dbname=freehold user={role}"

    def log(self):
        return self.log_path.read_text(errors="replace")

    # Faults

    def processes(self):
        return [self.process.pid, *children_of(self.process.pid)]

    def signal_all(self, number):
        for pid in self.processes():
            try:
                os.kill(pid, number)
            except ProcessLookupError:  # a back end that ended by itself
                pass

    def freeze(self):
        self.signal_all(signal.SIGSTOP)

    def thaw(self):
        self.signal_all(signal.SIGCONT)

    def kill_one(self, pid):
        assert pid in children_of(self.process.pid)
        os.kill(pid, signal.SIGKILL)

    def kill(self):
        """SIGKILL to the postmaster first, so that it restarts nobody, then to the rest."""
        pids = self.processes()
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(PATIENCE)
        # Orphans go to another parent; the start below waits until their shared memory is free.
        self.process = None

    def start(self):
        """On the same port and data; tried again while what was killed still goes away."""
        for _ in range(START_TRIES):
            self.launch()
            if self.is_up():
                return
        raise AssertionError(f"PostgreSQL did not start again:\n{self.log()[-4000:]}")

    def stop(self):
        if self.process is None:
            return
        self.signal_all(signal.SIGCONT)
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
