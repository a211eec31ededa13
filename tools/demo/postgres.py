"""A throw-away PostgreSQL cluster for the demo: own directory, free loopback port, stopped by process id."""
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import time

READY_TRIES = 300
SETTINGS = """
listen_addresses = '127.0.0.1'
log_error_verbosity = terse
log_min_error_statement = panic
log_parameter_max_length_on_error = 0
shared_buffers = 128MB
"""


def programs():
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if not found:
        raise SystemExit("demo: PostgreSQL's programs are missing; run ./dev setup")
    return found[0]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Cluster:
    """Started by the constructor. PostgreSQL refuses root, so root starts it as `postgres`."""

    def __init__(self, folder, settings=""):
        self.folder = pathlib.Path(folder)
        self.port = free_port()
        self.user = "postgres" if os.geteuid() == 0 else None
        self.folder.mkdir(mode=0o700)
        if self.user:
            shutil.chown(self.folder, self.user)
        data = self.folder / "data"
        self.run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
                 "--locale=C.UTF-8", "--no-instructions")
        with open(data / "postgresql.conf", "a", encoding="utf-8") as file:
            file.write(SETTINGS + settings + f"port = {self.port}\n"
                       f"unix_socket_directories = '{self.folder}'\n")
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(
                [programs() / "postgres", "-D", data], stdout=log, stderr=log,
                preexec_fn=self.become_user)
        self.wait_ready()
        self.sql("create role freehold_owner login noinherit createdb")
        self.sql("create role freehold_app login noinherit")
        self.sql("grant set on parameter session_replication_role to freehold_app, freehold_owner")
        self.sql("create database freehold owner freehold_owner")

    def become_user(self):
        os.setsid()
        if self.user:
            entry = pwd.getpwnam(self.user)
            os.setgroups([])
            os.setgid(entry.pw_gid)
            os.setuid(entry.pw_uid)

    def run(self, program, *arguments, text=None):
        subprocess.run([programs() / program, *arguments], check=True, stdout=subprocess.DEVNULL,
                       preexec_fn=self.become_user, input=text, text=True)

    def sql(self, script, database="postgres"):
        self.run("psql", "-q", "-h", self.folder, "-p", str(self.port), "-U", "postgres",
                 "-d", database, "-v", "ON_ERROR_STOP=1", text=script)

    def prepare(self, script):
        """What a superuser runs once, so that tenants may have schemas and databases of their own."""
        self.sql(script, "freehold")

    def wait_ready(self):
        for _ in range(READY_TRIES):
            ready = subprocess.run([programs() / "pg_isready", "-q", "-h", self.folder, "-p",
                                    str(self.port)], check=False)
            if ready.returncode == 0:
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise SystemExit(f"demo: PostgreSQL did not start; see {self.folder}/log")

    def dsn(self, role):
        return f"host=127.0.0.1 port={self.port} dbname=freehold user={role}"

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
