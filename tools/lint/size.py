"""Files of code stay within 600 lines (functions are clang-tidy's part)."""

import sys

import common

LINES_MAX = 600


def main():
    root = sys.argv[1]
    findings = []
    for name in common.files(root, "code"):
        lines = common.read(root, name).count("\n")
        if lines > LINES_MAX:
            findings.append(f"{name}:{lines}: {lines} lines, at most {LINES_MAX}")
    common.finish(findings)


if __name__ == "__main__":
    main()
