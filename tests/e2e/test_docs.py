"""The guides are true: every command in them is run, every name in them exists."""

import os
import pathlib
import re
import shlex
import subprocess
import sys
import warnings

import pytest

import guide
from conftest import BUILD, SOURCE

DOCS = SOURCE / "docs"
PAGES = [SOURCE / "README.md", *sorted(DOCS.rglob("*.md"))]
GUIDES = ("operators", "developers", "moves", "rollouts")
CLUSTERS = {"operators": "cluster", "moves": "cluster", "developers": "prepared_cluster"}

# A checkout whose ./dev knows its own commands, and whose release build is the one under test:
# building once more would take minutes and tell nothing new.
DEV = """#!/bin/bash
set -e
real={source}/dev
bash "$real" "$1" --help >help.txt
for word in "${{@:2}}"; do
    case $word in
    -*) grep -q -- "$word" help.txt ;;
    esac
done
rm help.txt
if [[ "$*" == "build --preset release" ]]; then
    mkdir -p build
    ln -sfn {build} build/release
fi
"""
PRELUDE = """
cc() {
    command cc ${FREEHOLD_TEST_SANITIZE:+-fsanitize=$FREEHOLD_TEST_SANITIZE} "$@"
}
# A machine may have no curl; Python is always there.
type -P curl >/dev/null || curl() {
    python3 -c 'import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode(), end="")' "${@: -1}"
}
"""


def make_checkout(folder):
    folder.mkdir()
    for name in ("proto", "docs", "node_modules"):
        if (SOURCE / name).exists():
            (folder / name).symlink_to(SOURCE / name)
    (folder / "dev").write_text(
        DEV.format(source=shlex.quote(str(SOURCE)), build=shlex.quote(str(BUILD)))
    )
    (folder / "dev").chmod(0o755)


def environment_of(folder, programs):
    """Nothing of this machine's Freehold, loopback ports of the kernel's choice."""
    out = {key: value for key, value in os.environ.items() if not key.startswith("FREEHOLD")}
    out.update(
        HOME=str(folder / "home"),
        PATH=f"{programs}:{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}",
        LC_ALL="C.UTF-8",
        PIP_NO_INDEX="1",
        PIP_DISABLE_PIP_VERSION_CHECK="1",
        FREEHOLD_TEST_SANITIZE=os.environ.get("FREEHOLD_SANITIZE", ""),
        FREEHOLDD_LISTEN="127.0.0.1:0",
        FREEHOLDD_OPERATOR_LISTEN="127.0.0.1:0",
        FREEHOLDD_HTTP_LISTEN="127.0.0.1:0",
    )
    out.pop("XDG_CONFIG_HOME", None)
    return out


@pytest.mark.parametrize("name", GUIDES)
def test_guide(name, folder, programs, request):
    environment = environment_of(folder, programs)
    work = folder / "work"
    make_checkout(work)
    (folder / "home").mkdir()
    port = "5432"
    if name in CLUSTERS:
        cluster = request.getfixturevalue(CLUSTERS[name])
        port = str(cluster.port)
        environment.update(PGHOST="127.0.0.1", PGPORT=port, PGUSER="postgres")

    def rewrite(text):
        return re.sub(r"\b5432\b", port, text)

    def leave_out(text):
        """buf comes with ./dev lint; a machine that never ran it does without."""
        missing = "bin/buf " in text and not (SOURCE / "node_modules/.bin/buf").exists()
        if missing:
            warnings.warn("buf is not installed (./dev lint): its block is left out", stacklevel=1)
        return missing

    told = guide.Guide(DOCS / f"{name}.md", work, environment, PRELUDE, rewrite, leave_out)
    try:
        ran, compared = told.play()
    finally:
        told.close()
    assert ran >= 10 and compared >= 5, "the guide lost its examples"


# The runner itself


def play(folder, text):
    page = folder / "page.md"
    page.write_text(text)
    work = folder / "work"
    work.mkdir()
    told = guide.Guide(page, work, dict(os.environ), "", lambda same: same)
    try:
        return told.play()
    finally:
        told.close()


def test_runner_runs_and_compares(folder):
    text = "Save as `a/b.conf`:\n\n```conf\nx\n```\n\n```sh\nX=1\ncat a/b.conf\n```\n\n```text\nx\n```\n"
    text += "```sh\nseq $X 9; ls nothing || echo no\n```\n```text\n1\n<...>\n9\n<...>nothing<...>\nno\n```\n"
    assert play(folder, text) == (2, 2)


@pytest.mark.parametrize(
    "text, where",
    [
        ("\n```sh\ntrue\nfalse\ntrue\n```\n", r"page\.md:4: failed .*status 1 of: false"),
        ("```sh\necho a\n```\n```text\nb\n```\n", r"page\.md:5: the guide says"),
        ("```sh\nprintf 'a\\nb\\n'\n```\n```text\na\n```\n", r"page\.md:5: the guide says"),
        ("```sh\nexit 0\n```\n", r"page\.md:2: failed .*the shell ended"),
        ("```bash\ntrue\n```\n", "unknown language"),
        ("```sh\ntrue\n", "has no end"),
    ],
    ids=["command", "output", "more output", "exit", "language", "open"],
)
def test_runner_can_fail(folder, text, where):
    with pytest.raises(guide.GuideError, match=where):
        play(folder, text)


# Names


def output_of(program, *arguments):
    done = subprocess.run(
        [BUILD / program, *arguments], check=True, stdout=subprocess.PIPE, text=True, timeout=60
    )
    return done.stdout


@pytest.fixture(scope="module")
def commands():
    """Of `freehold`: each command's options."""
    found = re.findall(r"^  ([a-z]+(?: [a-z]+)?)  ", output_of("clients/cli/freehold", "--help"), re.M)
    assert len(found) > 15
    return {
        name: set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", output_of("clients/cli/freehold", *name.split(), "--help")))
        for name in found
    }


def settings():
    """Of freeholdd: name to default."""
    help_text = output_of("server/freeholdd", "--help")
    return set(re.findall(r"^  --([a-z-]+) ", help_text, re.M))


def reasons():
    text = (SOURCE / "base/code.h").read_text()
    found = re.findall(r'X\(\w+, "([A-Z_]+)", \d+,', text)
    assert len(found) > 25
    return set(found) - {"OK"}


def spoken_in(page):
    """The commands a page shows: lines of sh blocks and code spans, continued lines joined."""
    lines = []
    for block in guide.blocks_of(page, guide.LANGUAGES | {""}):
        if block.language == "sh":
            lines += block.text.replace("\\\n", " ").splitlines()
    return lines + re.findall(r"`([^`\n]+)`", page.read_text())


def table_names(page, heading):
    """The code spans of the first column of the table under a heading."""
    text = page.read_text()
    part = text[text.index(f"\n{heading}\n") + 1 :].split("\n## ")[0]
    return re.findall(r"^\| `([^`]+)`", part, re.M)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_exist(page, commands):
    for line in spoken_in(page):
        for word in re.findall(r"(?:^|[\s(])\./dev ([a-z]+)", line):
            assert word == "help" or (SOURCE / f"tools/dev/{word}.sh").exists(), line
        for rest in re.findall(r"(?:^|[\s(;|])freehold ((?:[a-z]+ ?){1,2}(?:[^|;&)>]*))", line):
            words = rest.split()
            name = next((n for n in (" ".join(words[:2]), words[0]) if n in commands), None)
            assert name or not words[0].isalpha() or len(words) == 1, f"{page.name}: {line}"
            for option in re.findall(r"(?<=\s)--?[a-z][a-z-]*", rest) if name else ():
                assert option in commands[name] or option == "-h", f"{page.name}: {option} in {line}"
        if re.fullmatch(r"--[a-z-]+( [A-Z]+)?", line):  # a code span of its own
            known = {flag for options in commands.values() for flag in options}
            known |= {f"--{name}" for name in settings() | {"config"}} | {"--preset"}
            assert line.split()[0] in known, f"{page.name}: {line}"
        for option in re.findall(r"freeholdd [^|;&>]*", line):
            for flag in re.findall(r"--([a-z-]+)", option):
                # One that is shown to be refused.
                known = settings() | {"config", "help", "version", "no-such-setting"}
                assert flag in known, f"{page.name}: {line}"
        for variable in re.findall(r"\bFREEHOLDD_([A-Z_]+)\b", line):
            assert variable.lower().replace("_", "-") in settings() | {"config", "name"}, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_setting_is_documented():
    documented = table_names(DOCS / "operators.md", "## Settings")
    assert {name.replace("_", "-") for name in documented} == settings()
    assert len(documented) == len(set(documented))


def test_every_reason_is_documented():
    documented = table_names(DOCS / "developers.md", "## Refusals")
    assert set(documented) == reasons()
    assert len(documented) == len(set(documented))


@pytest.mark.parametrize("name", GUIDES)
def test_reasons_exist(name):
    words = re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", (DOCS / f"{name}.md").read_text())
    assert words
    for word in words:
        assert word in reasons() or word.startswith("FREEHOLD"), f"{name}.md: {word}"


def test_readme_opens_with_two_commands():
    text = (SOURCE / "README.md").read_text()
    assert re.findall(r"^    (.+)$", text, re.M)[:2] == ["./dev demo", "./dev test"]
    before = text[: text.index("    ./dev demo")].split("\n\n")[1].replace("\n", " ")
    assert len(re.findall(r"\.(?= |$)", before)) == 3, "what it is, in three sentences"
    # The demo is run by test_demo.py; the tests run this.
    for name in ("demo", "test"):
        done = subprocess.run(
            ["bash", SOURCE / "dev", name, "--help"], stdout=subprocess.PIPE, text=True, timeout=60
        )
        assert done.returncode == 0 and done.stdout.strip()
