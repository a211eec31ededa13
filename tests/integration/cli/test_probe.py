"""`freehold probe`: both levels in one report, what it says of a layer that is gone, and the worker.

A server that has a bug put in (FREEHOLD_SEED_BUG) lost one layer: the report must name it, and nothing may leak.
"""

import json
import os
import re
import select
import signal
import stat
import time

import pytest
from freehold_testing import PATIENCE, stubs
from freehold_testing.process import until
from freehold_testing.server import Server

from command import LOCAL, OK, REFUSED, USAGE
from conftest import add_pg, command_of, new_name

ATTACKS_OF_PAIR = 17  # with the look at the other's records afterwards
ATTACKS_OF_LISTENERS = 6
seeded = pytest.mark.skipif(
    os.environ.get("FREEHOLD_BUILD_TYPE", "").startswith("Rel"), reason="builds for release have no seeded bugs"
)


@pytest.fixture(scope="session")
def server(folder, migrations):
    """Without PostgreSQL; the test that needs it adds it to a server of its own."""
    server = Server(folder / "probed")
    try:
        command_of(folder, server)("schema", "apply", migrations)
        yield server
    finally:
        server.close()


@pytest.fixture
def probe(freehold):
    """Runs it, over what is cheap to make, and answers the report as JSON."""
    return lambda *words, **options: freehold.json("probe", "--tier", "shared", *words, **options)


def rpc(report):
    return [one for one in report["results"] if one["probe"].startswith("rpc: ")]


def verdicts(lines):
    return {one["verdict"] for one in lines}


def test_all_holds(freehold):
    report = freehold.json("probe")
    assert report["held"] is True and not report["truncated"]
    assert verdicts(report["results"]) <= {"VERDICT_HELD", "VERDICT_SKIPPED"}
    lines = rpc(report)
    assert verdicts(lines) == {"VERDICT_HELD"}
    assert all(one["gone"] == [] for one in lines)
    for tier in ("TIER_SHARED", "TIER_SCHEMA", "TIER_DATABASE"):
        assert len([one for one in lines if one["tier"] == tier]) == ATTACKS_OF_PAIR
        assert len([one for one in report["results"] if one["tier"] == tier]) > ATTACKS_OF_PAIR
    assert len([one for one in lines if one["store"] == ""]) == ATTACKS_OF_LISTENERS
    again = freehold.json("probe")  # its own traces do not disturb it
    assert again["held"] is True and len(again["results"]) == len(report["results"])


def test_all_holds_on_postgresql(start, folder, migrations, cluster):
    server = start()
    freehold = command_of(folder, server)
    freehold("schema", "apply", migrations)
    add_pg(freehold, cluster)
    for _ in range(2):
        lines = rpc(freehold.json("probe", "--store", "pg"))
        assert len(lines) == 3 * ATTACKS_OF_PAIR + ATTACKS_OF_LISTENERS
        assert verdicts(lines) == {"VERDICT_HELD"}


def test_every_method_is_attacked(probe):
    """Services and methods are counted from the files, not from what the command was built with."""
    counts = {"tenant": 0, "operators": 0}
    for name, module in vars(stubs).items():
        for service in getattr(getattr(module, "DESCRIPTOR", None), "services_by_name", {}).values():
            if service.full_name.startswith("freehold.v1."):
                realm = "tenant" if service.name in ("DataService", "AuditService") else "operators"
                counts[realm] += 0 if name.endswith("_grpc") else len(service.methods)
    told = {one["probe"]: one["text"] for one in rpc(probe())}
    for attack in ("no token", "token with alg none", "metadata names another", "operator's token"):
        assert told[f"rpc: {attack}"] == f"{counts['tenant']} methods"
    for attack in ("tenant's token, operators' methods", "no token, operators' methods"):
        assert told[f"rpc: {attack}"] == f"{counts['operators']} methods"
    assert told["rpc: name of another"] == f"{counts['tenant'] - 1} methods"  # ListEvents names nobody


def test_table(freehold):
    head, *rows = freehold("probe", "--tier", "shared").rows
    assert head == ["RESULT", "STORE", "TIER", "PROBE", "EXPECTED", "SEEN", "FINDING"]
    found = {row[3]: row for row in rows}
    assert found["rpc: page token of another"][:3] == ["held", "local", "shared"]
    assert found["rpc: page token of another"][4:] == ["INVALID_ARGUMENT", "INVALID_ARGUMENT", "2 methods"]
    assert found["rpc: no token, operators' methods"][:3] == ["held", "-", "-"]
    assert found["key of another"][0] == "held"


def test_leaves_no_trace_of_a_secret(freehold, server, probe):
    """Command.check() looks for tokens; here for what the canaries' records hold."""
    report = probe()
    uid = next(one["canaries"][0] for one in report["results"] if one["canaries"]).removeprefix("tenants/")
    mine = freehold.but(FREEHOLD_TENANT=uid)
    record = mine("data", "list", "things", "-o", "ndjson").lines[0]
    assert record["name"] not in str(report) and record["etag"] not in str(report)


# Tokens


def without_keys(freehold, server):
    """An operator elsewhere: addresses and his own token."""
    return freehold.but(
        FREEHOLD_DATA_DIR=None,
        FREEHOLD_ADDRESS=f"127.0.0.1:{server.tenant_port}",
        FREEHOLD_OPERATOR_ADDRESS=f"127.0.0.1:{server.operator_port}",
        FREEHOLD_OPERATOR_TOKEN=server.operator_token(),
    )


def test_without_tokens_it_says_so(freehold, server):
    elsewhere = without_keys(freehold, server)
    report = elsewhere.json("probe", "--tier", "shared")
    assert report["held"] is True
    skipped = [one for one in rpc(report) if one["verdict"] == "VERDICT_SKIPPED"]
    (pair,) = [one for one in skipped if one["store"] != ""]
    assert "--token-command" in pair["text"]
    assert [one["probe"] for one in skipped if one["store"] == ""] == [
        "rpc: tenant's token, operators' methods",
        "rpc: expired operator's token",
        "rpc: tenants' methods at the operators' listener",
    ]
    nowhere = elsewhere.but(FREEHOLD_ADDRESS=None)
    (line,) = rpc(nowhere.json("probe", "--tier", "shared"))
    assert line["verdict"] == "VERDICT_SKIPPED" and "--address" in line["text"]


@pytest.fixture
def tokens(freehold, server, folder, probe):
    """A folder with a token of each canary, by its UUID, and the command that prints one."""
    path = folder / new_name("tokens")
    path.mkdir(mode=0o700)
    for one in probe()["results"]:
        for name in one["canaries"]:
            uid = name.removeprefix("tenants/")
            (path / uid).write_text(server.tenant_token(uid, "reader", "writer", "admin") + "\n")
    return path


def test_token_command(freehold, server, tokens):
    elsewhere = without_keys(freehold, server)
    asked = tokens / "asked"
    command = f'echo "$FREEHOLD_ROLES" >> {asked}; cat {tokens}/$FREEHOLD_TENANT_UID'
    report = elsewhere.json("probe", "--tier", "shared", "--token-command", command)
    assert report["held"] is True
    assert asked.read_text().split() == ["reader,writer,admin"] * 2
    skipped = {one["probe"] for one in rpc(report) if one["verdict"] == "VERDICT_SKIPPED"}
    assert skipped == {"rpc: expired token", "rpc: expired operator's token"}
    assert len([one for one in rpc(report) if one["verdict"] == "VERDICT_HELD"]) == (
        ATTACKS_OF_PAIR + ATTACKS_OF_LISTENERS - len(skipped)
    )


def test_token_command_gets_no_descriptors(freehold):
    """Connections to both listeners are open by then."""
    run = freehold("probe", "--tier", "shared", "--token-command", "ls /proc/self/fd >&2", code=REFUSED)
    assert run.err.split() == ["0", "1", "2", "3"]  # 3: of ls itself


@pytest.mark.parametrize(
    "command, told",
    [("echo secret-word; false", "status 1"), ("true", "no token"), ("yes secret-word", "more than a token")],
)
def test_token_command_that_fails(probe, command, told):
    report = probe("--token-command", command, code=REFUSED)
    (line,) = [one for one in rpc(report) if one["verdict"] == "VERDICT_UNKNOWN"]
    assert told in line["text"] and "secret-word" not in str(report)
    assert report["held"] is False


def test_tokens_of_others_are_not_used(freehold, server, probe):
    """A command that prints an ordinary tenant's token must not have that tenant attacked, nor attack with it."""
    slug = new_name("ordinary")
    uid = freehold.json("tenant", "create", slug)["uid"]
    mine = freehold.but(FREEHOLD_TENANT=slug)
    mine("data", "create", "things", "k", "note=kept")
    before = mine.json("data", "get", "things", "k"), mine("audit", "list", "-o", "ndjson").lines
    report = probe("--token-command", f"echo {server.tenant_token(uid, 'admin')}", code=REFUSED)
    (line,) = [one for one in rpc(report) if one["verdict"] == "VERDICT_UNKNOWN"]
    assert "cannot list its own records" in line["text"]
    assert (mine.json("data", "get", "things", "k"), mine("audit", "list", "-o", "ndjson").lines) == before


# A layer that is gone


@seeded
@pytest.mark.parametrize(
    "bug, layer, probes",
    [
        ("name_of_any_tenant", "name", {"rpc: name of another", "rpc: name of another, key of one's own"}),
        ("page_of_any_tenant", "page_token", {"rpc: page token of another"}),
    ],
)
def test_names_the_layer_that_is_gone(start, folder, migrations, bug, layer, probes):
    server = start(env={"FREEHOLD_SEED_BUG": bug})
    freehold = command_of(folder, server)
    freehold("schema", "apply", migrations)
    metrics = folder / new_name("metrics")
    for _ in range(2):  # a run leaves nothing that would change the next one's word
        result = freehold("probe", "--tier", "shared", "-o", "json", "--metrics", metrics, code=REFUSED)
        report = result.json
        off = [one for one in report["results"] if one["verdict"] not in ("VERDICT_HELD", "VERDICT_SKIPPED")]
        assert report["held"] is False
        assert verdicts(off) == {"VERDICT_BROKEN"}, "nothing leaked: the layers behind it hold"
        assert {one["probe"] for one in off} == probes and all(one["gone"] == [layer] for one in off)
    counted = values(metrics)
    assert counted[f'freehold_probe_failures{{layer="{layer}"}}'] == len(off)
    assert counted['freehold_probe_failures{layer="scope"}'] == 0
    assert counted["freehold_probe_last_ok_seconds"] == 0


# Metrics, and the worker


def values(path):
    found = re.findall(r"^(freehold_\S+) (\d+)$", path.read_text(), re.MULTILINE)
    return {name: int(value) for name, value in found}


def test_metrics(freehold, folder, probe):
    path = folder / new_name("metrics")
    report = probe("--metrics", path)
    counted = values(path)
    assert counted["freehold_probe_runs_total"] == 1
    assert counted['freehold_probe_lines{result="held"}'] == len(
        [one for one in report["results"] if one["verdict"] == "VERDICT_HELD"]
    )
    assert sum(count for name, count in counted.items() if name.startswith("freehold_probe_failures")) == 0
    assert counted["freehold_probe_last_ok_seconds"] == counted["freehold_probe_last_run_seconds"] > 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [one.name for one in folder.iterdir() if one.name.startswith(path.name)] == [path.name]
    freehold("probe", "--tier", "shared", "--metrics", folder / "no" / "such", code=LOCAL)


def lines_of(run, count):
    """That many lines of a worker's output, as they come."""
    out = []
    while len(out) < count:
        ready, _, _ = select.select([run.process.stdout], [], [], PATIENCE)
        assert ready, "the worker says nothing"
        out.append(run.process.stdout.readline())
    return out


def test_worker(freehold, folder):
    path = folder / new_name("metrics")
    run = freehold.start("probe", "--tier", "shared", "--every", "1s", "--metrics", path)
    lines = lines_of(run, 2)
    run.process.send_signal(signal.SIGTERM)
    rest = run.end(OK)
    for line in lines:
        assert re.fullmatch(r"\d{4}-\S+Z held: \d+ lines, 0 off\n", line), line
    assert rest.err == "" and values(path)["freehold_probe_runs_total"] >= 2


def test_worker_outlives_its_server(start, folder, migrations):
    """Reports what it cannot do, goes on, and finds the server again at its new ports."""
    server = start()
    freehold = command_of(folder, server)
    freehold("schema", "apply", migrations)
    run = freehold.start("probe", "--tier", "shared", "--every", "1s", "-o", "ndjson")
    assert json.loads(lines_of(run, 1)[0])["held"]
    assert server.stop() == 0
    gone = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    ready, _, _ = select.select([run.process.stderr], [], [], PATIENCE)
    assert ready and "error" in run.process.stderr.readline()
    server.start()

    def holds_again():
        """Before it: reports of runs that were begun earlier, or met the server's end or its start."""
        told = json.loads(lines_of(run, 1)[0])
        return told["held"] and told["startTime"][: len(gone)] > gone

    until(holds_again, "a run in which all holds")
    run.process.send_signal(signal.SIGINT)
    run.end(OK)


def test_worker_is_ended_while_it_waits_for_a_token(freehold):
    """In the middle of a run: what it started ends with it."""
    run = freehold.start("probe", "--tier", "shared", "--every", "1h", "--token-command", "echo waiting >&2; sleep 600")
    ready, _, _ = select.select([run.process.stderr], [], [], PATIENCE)
    assert ready and run.process.stderr.readline() == "waiting\n"
    run.process.send_signal(signal.SIGTERM)
    assert run.end(OK).out == ""


def test_token_command_ends_with_a_single_run(freehold):
    """The command is no terminal's foreground job: interrupting the probe must end it, too."""
    run = freehold.start("probe", "--tier", "shared", "--token-command", "echo $$ >&2; exec sleep 600")
    ready, _, _ = select.select([run.process.stderr], [], [], PATIENCE)
    assert ready
    pid = int(run.process.stderr.readline())
    run.process.send_signal(signal.SIGINT)
    assert run.end(-signal.SIGINT).out == ""
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("words", [["--every", "0s"], ["--every", "soon"], ["--every", "99d"], ["--tier", "none"]])
def test_wrong_usage(freehold, words):
    freehold("probe", *words, code=USAGE)
