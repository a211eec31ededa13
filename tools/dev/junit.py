"""Counts a ctest --output-junit file: prints "PASSED FAILED SKIPPED", names failures on stderr.

A test counts as skipped only when it said so itself (SKIP_RETURN_CODE or
SKIP_REGULAR_EXPRESSION); what could not be started is a failure. A file that is missing or cut
short exits 1, so that a ctest that died never reads as nothing failed.
"""

import sys
import xml.etree.ElementTree as ElementTree


def verdict(case):
    status = case.get("status")
    if status == "run" and case.find("failure") is None:
        return "passed"
    skipped = case.find("skipped")
    if skipped is not None and "SKIP_" in (skipped.get("message") or ""):
        return "skipped"
    return "disabled" if status == "disabled" else "failed"


def main():
    try:
        cases = list(ElementTree.parse(sys.argv[1]).getroot().iter("testcase"))
    except (OSError, ElementTree.ParseError) as error:
        print(f"no result of ctest: {error}", file=sys.stderr)
        return 1
    counts = {"passed": 0, "failed": 0, "skipped": 0, "disabled": 0}
    for case in cases:
        found = verdict(case)
        counts[found] += 1
        if found == "failed":
            print(f"  failed: {case.get('name')}", file=sys.stderr)
    print(counts["passed"], counts["failed"], counts["skipped"] + counts["disabled"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
