"""The demo's move: the largest tenant changes its store while clients write and read it."""
import json
import os
import pathlib
import re
import subprocess
import time

BUILD = pathlib.Path(os.environ["FREEHOLD_BUILD"])
WRITES_PER_SECOND = 200
READS_PER_SECOND = 200
PLAIN_KEY = re.compile(r"[a-z0-9-]{1,60}")
KEYS_MAX = 5000
BESIDE_S = 1


class Load:
    """Paced calls on the tenant's packages; every latency counts from the instant the call was due."""

    def __init__(self, server, folder, slug, names):
        keys = folder / "keys"
        plain = [name for name in names if PLAIN_KEY.fullmatch(name)][:KEYS_MAX]
        keys.write_text("".join(f"{name}\n" for name in plain))
        token = folder / "token"
        token.write_text(server.command("token", "--tenant", slug, "--role", "writer", "--ttl", "1h",
                                        quiet=True).stdout)
        self.out = folder / "calls"
        self.process = subprocess.Popen(
            [BUILD / "tests/bench/load/bench_pace", f"127.0.0.1:{server.port}", token,
             str(WRITES_PER_SECOND), str(READS_PER_SECOND), "packages", "summary", keys, self.out],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise SystemExit("demo: the load did not start")

    def end(self):
        """(requests, failures, longest latency of a write in ms, of a read in ms)"""
        text, _ = self.process.communicate()
        result = json.loads(text)
        longest = {"w": 0, "r": 0}
        with open(self.out, encoding="utf-8") as lines:
            for line in lines:
                _, latency, kind, _ = line.split()
                longest[kind] = max(longest[kind], int(latency))
        return result["calls"], result["failures"], longest["w"] / 1e3, longest["r"] / 1e3

    def kill(self):
        self.process.kill()
        self.process.wait()


def move(server, folder, slug, names, target, tier):
    """Moves the tenant, with a load on it; ends the demo when anything was lost or failed."""
    load = Load(server, folder, slug, names)
    try:
        home = ["--store", target, "--tier", tier]
        print(server.command("move", "plan", slug, *home).stdout.rstrip())
        time.sleep(BESIDE_S)  # some calls without a move, to compare with
        print(server.command("move", "start", slug, *home, "--reason", "the demo",
                             "--watch").stdout.rstrip())
        time.sleep(BESIDE_S)
        requests, failures, write_ms, read_ms = load.end()
    finally:
        if load.process.poll() is None:
            load.kill()
    progress = server.query("move", "list", "--of", slug)["moves"][0]["progress"]
    placement = server.query("tenant", "show", slug)["placement"]
    where, lives_in = placement["store"], placement["tier"].removeprefix("TIER_").lower()
    held_ms = float(progress["pause"].rstrip("s")) * 1e3
    print(f"{slug} lives in {where}, tier {lives_in}: {progress['rowsCopied']} rows copied, "
          f"{progress.get('rowsApplied', 0)} changed meanwhile and brought along")
    print(f"requests {requests}, failures {failures}, longest pause {held_ms:.1f} ms, rows compared "
          f"{progress['rowsVerified']}; longest write {write_ms:.1f} ms, longest read {read_ms:.1f} ms")
    if failures or where != f"stores/{target}" or lives_in != tier:
        raise SystemExit("demo: the move cost a request")
