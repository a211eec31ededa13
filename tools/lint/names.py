"""No struct, union or enum hides behind a typedef; function types may have one."""

import re
import sys

import common

# From typedef to the first `;`, `{` or `(`: only the last means a function type.
TYPEDEF = re.compile(r"\btypedef\b[^;{(]*[;{(]")
TAGGED = re.compile(r"\b(struct|union|enum)\b")


def main():
    root = sys.argv[1]
    findings = []
    for name in common.files(root, "c"):
        text = common.bare(common.read(root, name))
        for match in TYPEDEF.finditer(text):
            # An attribute's parenthesis is not that of a function type.
            whole = re.sub(r"__attribute__\s*\(\(.*?\)\)", "", text[match.start():match.end() + 200])
            head = re.match(r"typedef\b[^;{(]*[;{(]", whole)
            if head and head.group()[-1] != "(" and TAGGED.search(head.group()):
                findings.append(f"{name}:{common.line_of(text, match.start())}: "
                                "a struct, union or enum is not typedef'd")
    common.finish(findings)


if __name__ == "__main__":
    main()
