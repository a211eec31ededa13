"""Who may include whom.

Libraries stay inside their adapter, our folders keep their direction of dependency, every include of
ours is by full path from the root, and a source includes its own header first.
"""

import os
import re
import sys

import common

# Header of a library -> where it may appear: folders (with a slash) or beginnings of file names.
LIBRARIES = (
    (r"libpq-fe\.h|libpq/|postgresql/",
     ("stores/pg/", "router/catalog_pg/", "tests/lib/", "tests/bench/")),
    (r"sqlite3(ext)?\.h", ("stores/sqlite/", "router/catalog_sqlite", "tests/")),
    (r"hiredis/", ("router/shared_redis", "server/limits/redis", "tests/lib/")),
    (r"grpc(\+\+|pp)?/", ("server/rpc/", "clients/c/", "tests/bench/")),
    (r"pg_query", ("stores/schema/",)),
    (r"microhttpd\.h", ("server/http/",)),
    # Stores know neither protobuf nor gRPC; libpg_query's tree is the exception.
    (r"protobuf-c/", ("server/", "clients/", "tests/", "stores/schema/")),
)

# Ours, from the bottom up: the folders a folder may include besides itself. The longest key that
# fits the includer counts; an entry of the right side opens what begins with it, and
# one that begins with "!" closes it again.
ENGINES = ("!stores/pg/", "!stores/sqlite/", "!stores/mem/", "!stores/fault/")
LAYERS = {
    "base/": (),
    "stores/": ("base/", "stores/"),
    "router/": ("base/", "stores/") + ENGINES,
    "migrator/": ("base/", "stores/", "router/") + ENGINES,
    "prober/": ("base/", "stores/", "router/") + ENGINES,
    "server/": ("base/", "proto/", "stores/", "router/", "prober/", "migrator/", "server/"),
    "server/rpc/": ("base/", "proto/"),
    "clients/": ("base/", "proto/", "clients/"),
    "tests/": ("base/", "proto/", "stores/", "router/", "prober/", "migrator/", "server/", "clients/",
               "tests/"),
}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', re.MULTILINE)
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


def layer(name):
    keys = [key for key in LAYERS if name.startswith(key)]
    return max(keys, key=len) if keys else None


def allowed(includer, target):
    key = layer(includer)
    if key is None or target.startswith(key):
        return True
    rules = LAYERS[key]
    if any(rule[0] == "!" and target.startswith(rule[1:]) for rule in rules):
        return False
    return any(rule[0] != "!" and target.startswith(rule) for rule in rules)


def library_fault(name, target):
    for pattern, places in LIBRARIES:
        if re.match(pattern, target) and not name.startswith(places):
            return f"<{target}> may be included only in {', '.join(places)}"
    return None


def own_fault(root, name, target):
    """For an include in quotes. Generated protobuf headers are ours, made under build/."""
    if target.endswith(".pb-c.h"):
        if target.startswith("pg_query"):
            return library_fault(name, target)
        return None if allowed(name, "proto/") else f'"{target}": this folder knows no protobuf'
    if not os.path.isfile(os.path.join(root, target)):
        return f'"{target}" is not the full path of a header of ours from the root'
    if not allowed(name, target):
        return f'"{target}" is against the direction of dependency'
    return None


def check(root, name):
    text = COMMENT.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), common.read(root, name))
    own = name[:-2] + ".h" if name.endswith(".c") else None
    if own and not os.path.isfile(os.path.join(root, own)):
        own = None
    for index, match in enumerate(INCLUDE.finditer(text)):
        quote, target = match.groups()
        where = f"{name}:{common.line_of(text, match.start(1))}: "
        if own and index == 0 and target != own:
            yield where + f'the first include must be its own header, "{own}"'
        if quote == '"':
            fault = own_fault(root, name, target)
        elif os.path.isfile(os.path.join(root, target)) and common.is_c(target):
            fault = f"<{target}> is ours: include it in quotes"
        elif target.endswith(".pb-c.h") and not allowed(name, "proto/"):
            fault = f"<{target}>: this folder knows no protobuf"
        else:
            fault = library_fault(name, target)
        if fault:
            yield where + fault


def main():
    root = sys.argv[1]
    common.finish([fault for name in common.files(root, "c") for fault in check(root, name)])


if __name__ == "__main__":
    main()
