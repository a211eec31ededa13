"""What the rows run on: servers, PostgreSQL, load generators, all in one folder, started when first needed."""
import json
import os
import pathlib
import re
import signal
import statistics
import struct
import subprocess
import time

from postgres import Cluster, programs  # noqa: E402

CLIENTS = ["-c", "8", "-m", "32", "-t", "1"]
SCHEMA = "create table bench (id text primary key, payload text);\n"
PAYLOAD = "0123456789abcdef" * 4
CONNECTIONS_MAX = 200  # tenants' databases have connections of their own


def cpu_seconds(pid):
    """User and system time of a process so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Machine:
    def __init__(self, folder, build, seconds):
        self.folder, self.build, self.seconds = folder, build, seconds
        self.server = self.echo = self.cluster = None
        self.moves = None  # moves.py's
        self.tiers = None  # tiers.py's
        self.on_stop = []
        self.counter = 0

    # -- servers ------------------------------------------------------------------------------

    def start_server(self):
        """bench_server with a tenant on each engine: (address, {engine: token file})."""
        if self.server:
            return
        data = self.folder / "data"
        loopback = "127.0.0.1:0"
        self.server = subprocess.Popen(
            [self.build / "tests/bench/server/bench_server", "--data-dir", data, "--listen",
             loopback, "--operator-listen", loopback, "--http-listen", loopback,
             "--tenant-calls-max", "65536"],
            stdout=subprocess.PIPE, stderr=open(self.folder / "server.log", "wb"), text=True)
        line = self.server.stdout.readline()
        self.port = int(re.search(r"tenants (\d+)", line).group(1))
        self.operator_port = int(re.search(r"operators (\d+)", line).group(1))
        self.environment = dict(os.environ, FREEHOLD_DATA_DIR=str(data))
        schema = self.folder / "schema"
        schema.mkdir()
        (schema / "0001_bench.sql").write_text(SCHEMA)
        self.cluster = Cluster(self.folder / "postgres", f"max_connections = {CONNECTIONS_MAX}\n")
        self.prepare(self.cluster)
        self.freehold("schema", "apply", schema)
        self.freehold("store", "add", "memory", "--engine", "memory", "--location", "memory")
        self.freehold("store", "add", "postgres", "--engine", "postgresql", "--location",
                      self.cluster.dsn("freehold_app"), "--owner-location",
                      self.cluster.dsn("freehold_owner"))
        self.tokens = {}
        for engine in ("memory", "local", "postgres"):
            slug = f"bench-{engine}"
            self.freehold("tenant", "create", slug, "--store", engine)
            token = self.freehold("token", "--tenant", slug, "--role", "writer", "--ttl", "12h")
            self.tokens[engine] = self.folder / f"{engine}.token"
            self.tokens[engine].write_text(token.strip() + "\n")
            self.load(engine, "create", 1000, 64, "seed")

    def prepare(self, cluster):
        """So that tenants may have schemas and databases of their own there."""
        cluster.prepare(self.freehold("store", "prepare", "--owner", "freehold_owner", "--serving",
                                      "freehold_app"))

    def freehold(self, *arguments):
        return subprocess.run([self.build / "clients/cli/freehold", *map(str, arguments)],
                              env=self.environment, check=True, text=True,
                              stdout=subprocess.PIPE).stdout

    def start_echo(self):
        if not self.echo:
            self.echo = subprocess.Popen(
                [self.build / "tests/bench/echo/bench_echo", "--async"], stdout=subprocess.PIPE,
                text=True)
            self.echo_port = int(re.search(r"port (\d+)", self.echo.stdout.readline()).group(1))

    # -- loads --------------------------------------------------------------------------------

    def h2load(self, pid, port, path, body, headers=(), seconds=None):
        """(requests a second, server CPU microseconds a request)."""
        frame = self.folder / "frame"
        frame.write_bytes(b"\0" + struct.pack(">I", len(body)) + body)
        before = cpu_seconds(pid)
        output = subprocess.run(
            ["h2load", *CLIENTS, "-D", str(max(1, round(seconds or self.seconds))), "-d", frame,
             "-H", "content-type: application/grpc", "-H", "te: trailers",
             *[part for header in headers for part in ("-H", header)],
             f"http://127.0.0.1:{port}{path}"], check=True, text=True,
            stdout=subprocess.PIPE).stdout
        used = cpu_seconds(pid) - before
        rate = float(re.search(r"finished in [^,]+, ([\d.]+) req/s", output).group(1))
        counts = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", output)
        done, failed, errored = map(int, counts.groups())
        if failed or errored or not done:
            raise SystemExit(f"bench: h2load on {path} failed:\n{output}")
        return rate, used / done * 1e6

    def echo_load(self, seconds=None):
        self.start_echo()
        return self.h2load(self.echo.pid, self.echo_port, self.echo_path(), self.echo_body(),
                           seconds=seconds)

    def echo_path(self):
        return "/freehold.bench.v1.EchoService/Echo"

    def echo_body(self):
        frame = self.folder / "echo.request"
        subprocess.run([self.build / "tests/bench/echo/bench_echo", "--request", frame],
                       check=True, stdout=subprocess.DEVNULL)
        return frame.read_bytes()[5:]

    def get_load(self, engine):
        """Point reads through gRPC: (requests a second, server CPU microseconds a request)."""
        self.start_server()
        name = b"tables/bench/records/seed-1"
        token = self.tokens[engine].read_text().strip()
        return self.h2load(self.server.pid, self.port, "/freehold.v1.DataService/GetRecord",
                           b"\x0a" + bytes([len(name)]) + name,
                           [f"authorization: Bearer {token}"])

    def load(self, engine, operation, calls, window, seed):
        output = subprocess.run(
            [self.build / "tests/bench/load/bench_load", f"127.0.0.1:{self.port}",
             self.tokens[engine], operation, str(calls), str(window), seed],
            check=True, text=True, stdout=subprocess.PIPE).stdout
        return json.loads(output)

    def write_load(self, engine, calls):
        """Durable creates a second."""
        self.start_server()
        self.counter += 1
        result = self.load(engine, "create", calls, 128, f"round{self.counter}")
        return result["calls"] / result["seconds"]

    # -- floors -------------------------------------------------------------------------------

    def start_pgbench(self, script, *arguments, database="freehold", clients=8, options="",
                      seconds=None):
        """`script`: the transaction, or a list of which each is one of. `options`: of every session."""
        self.start_server()
        scripts = [script] if isinstance(script, str) else script
        self.counter += 1
        folder = self.folder / f"pgbench{self.counter}"
        folder.mkdir()
        files = []
        for i, text in enumerate(scripts):
            (folder / f"{i}.sql").write_text(text)
            files += ["-f", folder / f"{i}.sql"]
        return subprocess.Popen(
            [programs() / "pgbench", "-h", "127.0.0.1", "-p", str(self.cluster.port), "-U",
             "postgres", "-n", "-M", "prepared", "-c", str(clients), "-j", str(min(clients, 2)), "-T",
             str(max(1, round(seconds or self.seconds))), *files, *arguments, database],
            env=dict(os.environ, PGOPTIONS=options), text=True, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if "-P" in arguments else subprocess.DEVNULL)

    @staticmethod
    def end_pgbench(process):
        """Transactions a second; with its progress told, those behind the first second."""
        output, progress = process.communicate()
        if process.returncode != 0:
            raise SystemExit(f"bench: pgbench failed:\n{output}")
        seconds = re.findall(r"progress: [\d.]+ s, ([\d.]+) tps", progress or "")[1:]
        if seconds:
            return statistics.mean(map(float, seconds))
        return float(re.search(r"tps = ([\d.]+)", output).group(1))

    def pgbench(self, script, *arguments, **more):
        return self.end_pgbench(self.start_pgbench(script, *arguments, **more))

    def pgbench_select(self):
        self.floor_table()
        return self.pgbench("\\set id random(1, 1000)\n"
                            "select id, payload from floor where id = :id;\n")

    def pgbench_insert(self):
        self.floor_table()
        return self.pgbench(f"insert into floor (payload) values ('{PAYLOAD}');\n")

    def floor_table(self):
        self.start_server()
        self.cluster.sql("create table if not exists floor (id bigserial primary key, payload text);"
                         "insert into floor (payload) select 'x' from generate_series(1, 1000)"
                         " where not exists (select from floor)", "freehold")

    def sqlite_floor(self, rows, *spread):
        self.counter += 1
        folder = self.folder / f"floor{self.counter}"
        folder.mkdir()
        output = subprocess.run(
            [self.build / "tests/bench/load/bench_sqlite_floor", folder, str(rows),
             *map(str, spread)], check=True, text=True, stdout=subprocess.PIPE).stdout
        result = json.loads(output)
        return result["rows"] / result["seconds"]

    def csv_file(self, rows):
        path = self.folder / "import.csv"
        with open(path, "w", encoding="utf-8") as file:
            file.write("id,payload\n")
            self.counter += 1
            for i in range(rows):
                file.write(f"import{self.counter}-{i},{PAYLOAD}\n")
        return path

    def import_rate(self, path, rows):
        self.start_server()
        start = time.monotonic()
        self.freehold("data", "import", "bench", path, "--tenant", "bench-local", "--insert",
                      "--quiet")
        return rows / (time.monotonic() - start)

    def sqlite_import_rate(self, path, rows):
        self.counter += 1
        database = self.folder / f"shell{self.counter}.db"
        start = time.monotonic()
        subprocess.run(["sqlite3", database,
                        "create table bench(id text primary key, payload text)", ".mode csv",
                        f".import --skip 1 {path} bench"], check=True)
        return rows / (time.monotonic() - start)

    def fsync_us(self):
        times = []
        with open(self.folder / "fsync", "wb", buffering=0) as file:
            for _ in range(200):
                file.write(b"x" * 4096)
                start = time.monotonic()
                os.fdatasync(file.fileno())
                times.append((time.monotonic() - start) * 1e6)
        return statistics.median(times)

    def stop(self):
        for process in (self.server, self.echo):
            if process:
                process.send_signal(signal.SIGTERM)
                process.wait()
        for stop in self.on_stop:
            stop()
        if self.cluster:
            self.cluster.stop()
