"""Shared by the checks: which files are ours, and C text without comments and strings.

As a program: common.py ROOT KIND prints the files of a kind, each ended by NUL.
Every check takes the root of the tree as its only argument, prints FILE:LINE: what is wrong, and
exits 1 when it refused something.
"""

import os
import re
import subprocess
import sys

# Build trees and what package managers fetched are never ours.
PRUNED = {".git", "build", "node_modules", "__pycache__", ".venv"}
C_ROOTS = ("base", "stores", "router", "migrator", "server", "clients", "tests")
# The self-test's violations; they are data.
CASES = "tests/lint/"


def tracked(root):
    """Files that git tracks or would track; every file where there is no git (an exported tree)."""
    command = ["git", "-c", "safe.directory=*", "-C", root, "ls-files", "-z", "--cached", "--others",
               "--exclude-standard"]
    if os.path.exists(os.path.join(root, ".git")):
        out = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.decode()
        names = set(out.split("\0")) - {""}
    else:
        names = set()
        for folder, folders, leaves in os.walk(root):
            folders[:] = [name for name in folders if name not in PRUNED]
            names |= {os.path.relpath(os.path.join(folder, leaf), root) for leaf in leaves}
    return sorted(name for name in names
                  if not name.startswith(CASES) and os.path.isfile(os.path.join(root, name)))


def is_c(name):
    return name.endswith((".c", ".h")) and name.split("/")[0] in C_ROOTS


def first_line(root, name):
    with open(os.path.join(root, name), "rb") as file:
        return file.readline(128)


def is_shell(root, name):
    return name.endswith(".sh") or re.match(rb"#!.*\b(ba|da)?sh\b", first_line(root, name))


def files(root, kind):
    names = tracked(root)
    if kind == "c":
        return [name for name in names if is_c(name)]
    if kind == "shell":
        return [name for name in names if is_shell(root, name)]
    if kind == "code":
        return [name for name in names
                if is_c(name) or name.endswith(".py") or is_shell(root, name)]
    return names


def read(root, name):
    with open(os.path.join(root, name), encoding="utf-8", errors="replace") as file:
        return file.read()


TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def bare(text):
    """C text with comments and literals blanked out, every line where it was."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group())
    return TOKEN.sub(blank, text)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def finish(findings):
    for finding in findings:
        print(finding)
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    for found in files(sys.argv[1], sys.argv[2]):
        sys.stdout.write(os.path.join(sys.argv[1], found) + "\0")
