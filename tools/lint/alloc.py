"""The heap is reached through base/alloc.h only, so that tests can make any allocation fail.

A line that must free what a library took from malloc says so: NOLINT(fh-alloc): the reason.
"""

import re
import sys

import common

RAW = re.compile(r"(?<![\w.>])(malloc|calloc|realloc|reallocarray|free|strdup|strndup|asprintf|"
                 r"vasprintf|aligned_alloc|posix_memalign|memalign|getline|getdelim)\s*\(")
EXCEPTION = re.compile(r"NOLINT(?:NEXTLINE)?\(fh-alloc\): \S")


def excused(lines, number):
    """`number` from 1: on the line itself, or NOLINTNEXTLINE on the one above."""
    here = lines[number - 1]
    above = lines[number - 2] if number > 1 else ""
    return bool(EXCEPTION.search(here)) or ("NOLINTNEXTLINE" in above
                                            and bool(EXCEPTION.search(above)))


def main():
    root = sys.argv[1]
    findings = []
    for name in common.files(root, "c"):
        if name == "base/alloc.c":
            continue
        text = common.read(root, name)
        lines = text.split("\n")
        plain = common.bare(text)
        for match in RAW.finditer(plain):
            number = common.line_of(plain, match.start())
            if not excused(lines, number):
                findings.append(f"{name}:{number}: {match.group(1)}: use base/alloc.h")
    common.finish(findings)


if __name__ == "__main__":
    main()
