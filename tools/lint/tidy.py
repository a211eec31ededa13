"""clang-tidy over the sources of ours that preset debug compiles, several at a time."""

import json
import os
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import cache
import common


def folders_of(entry):
    """The include folders inside the tree that a compile command names."""
    words = shlex.split(entry["command"])
    found = []
    for index, word in enumerate(words):
        if word in ("-I", "-isystem") and index + 1 < len(words):
            found.append(words[index + 1])
        elif word.startswith("-I"):
            found.append(word[2:])
    return [folder for folder in found if not folder.startswith("/usr/")]


def sources(root, build):
    """Entries of the compile database that are ours: not generated, not gone."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        entries = json.load(file)
    ours = {os.path.realpath(os.path.join(root, name)) for name in common.files(root, "c")}
    found = {}
    for entry in entries:
        path = os.path.realpath(os.path.join(entry["directory"], entry["file"]))
        if path in ours:
            found[path] = entry
    return found


def run(build, path):
    command = ["clang-tidy", "--quiet", "-p", build, "--extra-arg=-Wno-unknown-warning-option", path]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    # stderr counts suppressed warnings; it matters only when clang-tidy itself failed.
    out = done.stdout.decode(errors="replace")
    if done.returncode and not out.strip():
        out = done.stderr.decode(errors="replace")
    return done.returncode, out


def main():
    root = os.path.realpath(sys.argv[1])
    build = os.path.join(root, "build", "debug")
    version = subprocess.run(["clang-tidy", "--version"], check=True, stdout=subprocess.PIPE)
    reader = cache.Reader()
    passes = cache.Cache(os.path.join(root, "build", "lint", "tidy"))
    configs = [name for name in common.files(root, "all") if name.endswith(".clang-tidy")]
    salt = version.stdout.decode() + "".join(common.read(root, name) for name in configs)
    todo = []
    for path, entry in sorted(sources(root, build).items()):
        name = cache.key(reader, path, folders_of(entry), salt + entry["command"])
        if not passes.has(name):
            todo.append((path, name))
    failed = False
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda item: run(build, item[0]), todo)
        for (_, name), (status, out) in zip(todo, results):
            if status:
                failed = True
                print(out)
            else:
                passes.add(name)
    passes.prune()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
