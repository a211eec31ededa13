"""Every header of ours compiles alone, whatever was included before it elsewhere."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import cache
import common

PACKAGES = ("libuv", "libpq", "sqlite3", "jansson", "libmicrohttpd", "libprotobuf-c", "cmocka")
FLAGS = ["-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wstrict-prototypes", "-Werror",
         "-fsyntax-only", "-x", "c"]
# cmocka.h itself asks for these before it; that is its contract, not our omission.
CMOCKA = ["-include", "setjmp.h", "-include", "stdarg.h", "-include", "stddef.h", "-include",
          "stdint.h"]


def main():
    root = os.path.realpath(sys.argv[1])
    found = subprocess.run(["pkg-config", "--cflags", *PACKAGES], check=True,
                           stdout=subprocess.PIPE).stdout.decode().split()
    generated = os.path.join(root, "build", "debug", "proto", "gen")
    compiler = subprocess.run(["cc", "--version"], check=True, stdout=subprocess.PIPE).stdout.decode()
    reader = cache.Reader()
    passes = cache.Cache(os.path.join(root, "build", "lint", "headers"))
    todo = []
    for name in common.files(root, "c"):
        if not name.endswith(".h"):
            continue
        # A header of the tests may use cmocka; one of ours may lean on nothing.
        flags = FLAGS + (CMOCKA if name.startswith("tests/") else [])
        command = ["cc", *flags, "-I", root, "-isystem", generated, *found, name]
        key = cache.key(reader, os.path.join(root, name), [root, generated],
                        compiler + " ".join(command))
        if not passes.has(key):
            todo.append((command, key))

    def run(item):
        return subprocess.run(item[0], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              check=False)

    failed = False
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for (_, key), done in zip(todo, pool.map(run, todo)):
            if done.returncode:
                failed = True
                print(done.stdout.decode(errors="replace"))
            else:
                passes.add(key)
    passes.prune()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
