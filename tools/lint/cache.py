"""Remembers which checks of a source passed, under a hash of everything they read.

Only passes are kept: a refusal is always made, and said, again.
"""

import hashlib
import os
import re

INCLUDE = re.compile(rb'^[ \t]*#[ \t]*include[ \t]*[<"]([^>"\n]+)[>"]', re.MULTILINE)


class Reader:
    """Contents and includes of files, each read once."""

    def __init__(self):
        self.known = {}

    def get(self, path):
        if path not in self.known:
            with open(path, "rb") as file:
                content = file.read()
            self.known[path] = (content, INCLUDE.findall(content))
        return self.known[path]


def closure(reader, source, folders):
    """The source and every header reached from it through `folders`, in a stable order. Headers of
    the system are not followed: they change with the packages, which the salt tells."""
    seen = []
    todo = [os.path.realpath(source)]
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.append(path)
        for name in reader.get(path)[1]:
            for folder in folders:
                candidate = os.path.join(folder, name.decode(errors="replace"))
                if os.path.isfile(candidate):
                    todo.append(os.path.realpath(candidate))
                    break
    return sorted(seen)


def key(reader, source, folders, salt):
    digest = hashlib.sha256(salt.encode())
    for path in closure(reader, source, folders):
        digest.update(path.encode() + b"\0" + hashlib.sha256(reader.get(path)[0]).digest())
    return digest.hexdigest()


class Cache:
    """One empty file a pass."""

    def __init__(self, folder):
        self.folder = folder
        self.used = set()
        os.makedirs(folder, exist_ok=True)

    def has(self, name):
        self.used.add(name)
        return os.path.exists(os.path.join(self.folder, name))

    def add(self, name):
        with open(os.path.join(self.folder, name), "w", encoding="ascii"):
            pass

    def prune(self):
        """What the present tree did not ask for is of an older one."""
        for name in os.listdir(self.folder):
            if name not in self.used:
                os.unlink(os.path.join(self.folder, name))
