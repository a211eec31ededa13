"""The demo: a server with no configuration, real data, many tenants, and what one cannot see of another."""
import argparse
import csv
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import packages
from move import move
from postgres import Cluster

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ["FREEHOLD_BUILD"])


WORDS = {"shared": "the tables that all tenants share", "schema": "a schema of its own",
         "database": "a database of its own"}


def say(text):
    print(f"\n== {text}", flush=True)


class Freehold:
    """A server in a folder of its own, and the command that talks to it."""

    def __init__(self, folder):
        self.data = folder / "data"
        self.log = open(folder / "freeholdd.log", "wb")
        self.environment = {key: value for key, value in os.environ.items()
                            if not key.startswith("FREEHOLD")}
        self.environment["FREEHOLD_DATA_DIR"] = str(self.data)
        loopback = "127.0.0.1:0"
        self.process = subprocess.Popen(
            [BUILD / "server/freeholdd", "--data-dir", self.data, "--listen", loopback,
             "--operator-listen", loopback, "--http-listen", loopback],
            stdout=subprocess.PIPE, stderr=self.log, text=True, start_new_session=True)
        line = self.process.stdout.readline()
        if "ready" not in line:
            raise SystemExit(f"demo: the server did not start; see {folder}/freeholdd.log")
        self.port = int(re.search(r"tenants (\d+)", line).group(1))
        print(line.strip())

    def command(self, *arguments, check=True, quiet=False):
        line = [str(BUILD / "clients/cli/freehold"), *map(str, arguments)]
        if not quiet:
            print("$ freehold " + " ".join(map(str, arguments)), flush=True)
        return subprocess.run(line, env=self.environment, check=check, text=True,
                              stdout=subprocess.PIPE, stderr=None if check else subprocess.PIPE)

    def query(self, *arguments):
        return json.loads(self.command(*arguments, "-o", "json", quiet=True).stdout)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait()
        self.log.close()
        if status != 0:
            raise SystemExit(f"demo: the server ended with status {status}")


def tier_of(position):
    """Shared tables for most; every third tenant has a schema or a database of its own. The largest begins
    in shared tables: it is the one that moves."""
    return ("shared", "schema", "database")[position % 3]


def load(server, folder, sections, store):
    """Tenants and their rows; the largest first, so that the skew is seen. It lives in the server's own store
    until it moves."""
    total = sum(sum(counts.values()) for _, counts in sections)
    done = 0
    start = time.monotonic()
    for position, (section, counts) in enumerate(sections):
        slug = "section-" + "".join(c if c.isalnum() else "-" for c in section)
        tier = tier_of(position)
        create = ["tenant", "create", slug, "--tier", tier, "--display-name",
                  f"Debian section {section}"]
        placed = ["--store", store] if store and (section, counts) != sections[0] else []
        server.command(*create, *placed, quiet=True)
        for table in packages.TABLES:
            if counts[table]:
                server.command("data", "import", table, folder / section / f"{table}.csv",
                               "--tenant", slug, "--insert", "--quiet", quiet=True)
        done += sum(counts.values())
        rate = done / (time.monotonic() - start)
        print(f"\r{slug:28} {tier:8} {counts['packages']:6} packages   {done:7}/{total} rows   "
              f"{rate:7.0f} rows/s  {100 * done // total:3}%  ", end="", flush=True)
    print()
    return [("section-" + "".join(c if c.isalnum() else "-" for c in s), n) for s, n in sections]


def read_back(server, tenants):
    """Every package of the smallest and of the largest tenant, counted."""
    for slug, counts in (tenants[0], tenants[-1]):
        rows = server.query("data", "list", "packages", "--tenant", slug, "--all",
                            "--page-size", "1000")
        found = len(rows["records"])
        print(f"{slug}: {found} packages read back, {counts['packages']} imported")
        if found != counts["packages"]:
            raise SystemExit("demo: rows are missing")


def show_isolation(server, tenants):
    owner, other = tenants[0][0], tenants[1][0]
    records = server.query("data", "list", "packages", "--tenant", owner, "--page-size", "1")
    key = records["records"][0]["fields"]["name"]
    print(server.command("data", "get", "packages", key, "--tenant", owner).stdout.strip())
    for table_owner, words in ((other, [key]), ):
        refused = server.command("data", "get", "packages", *words, "--tenant", table_owner,
                                 check=False)
        print(f"as {table_owner}: {refused.stderr.strip()}")
        if refused.returncode == 0:
            raise SystemExit("demo: another tenant's token reached the record")


def show_history(server, tenants):
    slug = tenants[-1][0]
    records = server.query("data", "list", "packages", "--tenant", slug, "--page-size", "1")
    key = records["records"][0]["fields"]["name"]
    server.command("data", "update", "packages", key, "summary=changed by the demo", "--tenant",
                   slug)
    print(server.command("audit", "list", "--tenant", slug, "--page-size", "3").stdout.strip())


def package_names(folder, section):
    with open(folder / section / "packages.csv", newline="", encoding="utf-8") as file:
        return [row["name"] for row in csv.DictReader(file)]


def keep(server, folder, cluster):
    print(f"""
The server goes on (process {server.process.pid}). Try:
  export FREEHOLD_DATA_DIR={server.data}
  {BUILD}/clients/cli/freehold tenant list
Stop it with: kill {server.process.pid}{f' {cluster.process.pid}' if cluster else ''}; rm -r {folder}""")


def main():
    parser = argparse.ArgumentParser(prog="./dev demo", description=__doc__)
    parser.add_argument("--postgres", action="store_true", help="tenants on a PostgreSQL cluster")
    parser.add_argument("--keep", action="store_true", help="leave the server running")
    parser.add_argument("--packages", type=int, default=0, metavar="N",
                        help="at most N packages (all)")
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="freehold-demo-"))
    folder.chmod(0o711)  # PostgreSQL's own user passes through
    cluster = server = None
    finished = False
    start = time.monotonic()
    try:
        say("a server with no configuration")
        server = Freehold(folder)
        store = ""
        if options.postgres:
            say("a throw-away PostgreSQL cluster, registered as store \"postgres\"")
            cluster = Cluster(folder / "postgres")
            store = "postgres"
            cluster.prepare(server.command("store", "prepare", "--owner", "freehold_owner",
                                           "--serving", "freehold_app").stdout)
            server.command("store", "add", store, "--engine", "postgresql", "--location",
                           cluster.dsn("freehold_app"), "--owner-location",
                           cluster.dsn("freehold_owner"))
        say("the application's schema, from ordinary migration files")
        print(server.command("schema", "apply", HERE / "schema").stdout.strip())
        say("this machine's package index: one tenant per archive section")
        sections = packages.write(folder / "csv", options.packages)
        tenants = load(server, folder / "csv", sections, store)
        say("read back")
        read_back(server, tenants)
        say("one tenant's token does not reach another's record")
        show_isolation(server, tenants)
        names = package_names(folder / "csv", sections[0][0])
        home = server.query("tenant", "show", tenants[0][0])["placement"]["store"].split("/")[1]
        for tier, target in (("schema", store or home), ("database", store or home),
                             ("shared", home)):
            say(f"the largest tenant moves to {WORDS[tier]}, live, while clients write and read it")
            move(server, folder, tenants[0][0], names, target, tier)
        say("who did what")
        show_history(server, tenants)
        say("where everything is")
        print(server.command("store", "list").stdout.strip())
        print(f"data directory {server.data}, log {folder}/freeholdd.log")
        print(f"\n{len(tenants)} tenants, {sum(sum(n.values()) for _, n in tenants)} rows, "
              f"{time.monotonic() - start:.0f} s")
        finished = True
        if options.keep:
            keep(server, folder, cluster)
    finally:
        if not (options.keep and finished):
            if server:
                server.stop()
            if cluster:
                cluster.stop()
            shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
