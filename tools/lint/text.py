"""What must stand in no file of the repository.

Marks of unfinished work, paths of one machine, addresses of registries in lock files, and
suppressions of clang-tidy that do not say why. The patterns are written so that they do not
match themselves.
"""

import re
import sys

import common

MARKS = re.compile(r"\b(TO[D]O|FIX[M]E|XX[X])\b")
MACHINE = re.compile(r"(?<![\w.$}~)-])/(ho[m]e|ro[o]t|wor[k])/")
# A fixed name in a folder that everyone may write to; mktemp's templates carry X's.
FIXED_TMP = re.compile(r"(?<![\w.$}])/tm[p]/(?![\w./-]*X{6})[\w.-]+")
LOCKED = re.compile(r'"resolve[d]":|--(extra-)?index-ur[l]|--find-link[s]|https?://')
SILENT = re.compile(r"NOLIN[T](?!END)(?!(NEXTLINE|BEGIN)?\([\w.,*-]+\): \S)")


def is_test(name):
    return name.startswith("tests/")


def check(root, name):
    if name in ("package-lock.json", "tests/requirements.txt"):
        for number, line in enumerate(common.read(root, name).split("\n"), 1):
            if LOCKED.search(line):
                yield f"{name}:{number}: an address of a registry"
        return
    for number, line in enumerate(common.read(root, name).split("\n"), 1):
        where = f"{name}:{number}: "
        if MARKS.search(line):
            yield where + "a mark of unfinished work"
        if MACHINE.search(line):
            yield where + "a path of one machine"
        if not is_test(name) and FIXED_TMP.search(line):
            yield where + "a fixed name in the temporary directory"
        if common.is_c(name) and SILENT.search(line):
            yield where + "a suppression without check or reason: NOLINT(check): reason"


def main():
    root = sys.argv[1]
    names = [name for name in common.files(root, "all")]
    common.finish([fault for name in names if b"\0" not in common.first_line(root, name)
                   for fault in check(root, name)])


if __name__ == "__main__":
    main()
