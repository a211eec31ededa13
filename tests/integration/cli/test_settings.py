"""Where settings come from, what `freehold` says about itself, its tokens, and its exit codes."""

import base64
import json
import os
import re
import socket
import stat

import pytest
from freehold_testing.server import Server

from command import LOCAL, REFUSED, TOKEN, UNREACHABLE, USAGE
from conftest import command_of, new_tenant


@pytest.fixture(scope="session")
def server(folder, migrations):
    """Without PostgreSQL: nothing here needs it."""
    server = Server(folder / "alone")
    try:
        command_of(folder, server)("schema", "apply", migrations)
        yield server
    finally:
        server.close()


def settings(freehold, *words):
    return {name: tuple(one.values()) for name, one in freehold.json("context", "show", *words)["settings"].items()}


def claims(token):
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


# Help


def test_help_and_version(freehold):
    out = freehold("--help").out
    for code in ("0 done", "1 refused", "2 wrong usage", "3 the server", "4 a failure", "5 an import", "6 a write's outcome"):
        assert code in " ".join(out.split())
    commands = re.findall(r"^  ([a-z]+(?: [a-z]+)?) {2,}\S", out.partition("options")[0], re.MULTILINE)
    assert {"tenant create", "store check", "schema apply", "token", "data import", "audit list", "context set", "move start"} <= set(commands)
    assert len(commands) == len(set(commands)) >= 39
    for command in commands:
        told = freehold(*command.split(), "--help").out
        assert told.startswith(f"usage: freehold {command}")
        assert freehold(*command.split(), "-h").out == told
    for group in ("tenant", "store", "schema", "data", "audit", "context"):
        assert freehold(group, "--help").out.startswith(f"usage: freehold {group} COMMAND")
    assert re.fullmatch(r"freehold \d+\.\d+\.\d+\n", freehold("--version").out)


@pytest.mark.parametrize(
    "words, told",
    [
        ([], "no command given"),
        (["tenant"], "freehold tenant --help"),
        (["tennant"], "did you mean 'tenant'?"),
        (["tenant", "creat"], "did you mean 'create'?"),
        (["tenant", "list", "--deletd"], "did you mean 'deleted'?"),
        (["tenant", "list", "--page-size"], "needs a value"),
        (["tenant", "list", "--all=yes"], "takes no value"),
        (["tenant", "list", "-x"], "unknown option '-x'"),
        (["tenant", "list", "more"], "too many arguments"),
        (["tenant", "show"], "too few arguments; usage: freehold tenant show"),
        (["tenant", "list", "-o", "yaml"], "table, json or ndjson"),
        (["tenant", "list", "--timeout", "soon"], "--timeout is like"),
        (["data", "list", "things"], "which tenant?"),
        (["token", "--role", "reader"], "whose?"),
        (["context", "set"], "set what?"),
    ],
)
def test_wrong_usage(freehold, words, told):
    result = freehold(*words, code=USAGE)
    assert told in result.err and result.out == ""
    assert result.err.startswith("freehold: ") or result.err.startswith('{"error"')


# Tokens


def test_tokens(freehold, server):
    tenant = new_tenant(freehold)
    for who in (tenant["slug"], tenant["uid"]):
        found = claims(freehold.token("--tenant", who, "--role", "reader", "--role", "writer", "--ttl", "90s"))
        assert (found["tenant"], found["roles"]) == (tenant["uid"], ["reader", "writer"])
        assert found["exp"] - found["iat"] == 90 and found["sub"] == "developer"
    operator = claims(freehold.token("--operator", "--subject", "root"))
    assert operator["sub"] == "root" and "tenant" not in operator and operator["exp"] - operator["iat"] == 12 * 3600
    told = freehold.json("token", "--operator")
    assert told["realm"] == "operator" and TOKEN.search(told["token"]) and told["expireTime"].endswith("Z")
    for words in (
        ["--tenant", tenant["slug"]], ["--tenant", tenant["slug"], "--role", "king"], ["--operator", "--role", "reader"],
        ["--operator", "--ttl", "0s"], ["--operator", "--ttl", "366d"],
    ):  # fmt: skip
        assert not TOKEN.search(freehold("token", *words, code=USAGE).err)
    nowhere = freehold.but(FREEHOLD_DATA_DIR=None)
    assert "--data-dir" in nowhere("token", "--operator", code=USAGE).err
    # A key that others could have read is not used any more.
    key = server.data_dir / "keys/operator.key.pem"
    key.chmod(0o644)
    try:
        assert "key" in freehold("token", "--operator", code=USAGE).err
    finally:
        key.chmod(0o600)


def test_bad_tokens(freehold):
    tenant = new_tenant(freehold)
    good = freehold.token("--tenant", tenant["slug"], "--role", "reader")
    for bad in (good[:-8] + "AAAAAAAA", "nonsense", "a.b.c"):
        refusal = freehold.but(FREEHOLD_TOKEN=bad).refused("data", "list", "things")
        assert refusal["status"] == "UNAUTHENTICATED" and "freehold token" in refusal["next"]
    result = freehold.but(FREEHOLD_TOKEN="hush hush")("data", "list", "things", code=USAGE)
    assert "visible ASCII" in result.err and "hush" not in result.err


# Contexts


def test_context_file(freehold, server, folder):
    tenant = new_tenant(freehold)
    token = freehold.token("--tenant", tenant["slug"], "--role", "writer")
    (folder / "token").write_text(f"{token}\n")
    bare = freehold.but(FREEHOLD_DATA_DIR=None)
    assert "no server" in bare("data", "list", "things", code=USAGE).err
    address = f"127.0.0.1:{server.tenant_port}"
    told = bare("context", "set", "--address", address, "--token-file", folder / "token")
    file = bare.folder / ".config/freehold/context.json"
    assert told.err == f"wrote {file}\n" and told.out == ""
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text()) == {"address": address, "token": token}
    bare("data", "create", "things", "k")
    assert bare.json("data", "get", "things", "k")["fields"]["id"] == "k"
    shown = settings(bare)
    assert shown["address"] == (address, "context file")
    assert shown["token"] == ("(set, not shown)", "context file")
    # What was set before stays; the environment is not written.
    bare("context", "set", "--tenant", tenant["uid"], FREEHOLD_OPERATOR_ADDRESS="127.0.0.1:1")
    assert json.loads(file.read_text()) == {"address": address, "token": token, "tenant": tenant["uid"]}
    bare("data", "get", "things", "k")
    # The stronger source wins, each setting on its own.
    assert settings(bare.but(FREEHOLD_TENANT="env"), "-t", "opt")["tenant"] == ("opt", "option")
    assert settings(bare.but(FREEHOLD_TENANT="env"))["tenant"] == ("env", "environment")
    assert settings(bare)["tenant"] == (tenant["uid"], "context file")
    file.chmod(0o640)
    open_to_others = bare("data", "list", "things", code=USAGE)
    assert f"chmod 600 {file}" in open_to_others.err
    file.chmod(0o600)
    for text in ("{", "[]", '{"adress": "x"}', '{"address": 1}', '{"address": "x", "address": "y"}'):
        file.write_text(text)
        assert str(file) in bare("data", "list", "things", code=USAGE).err


def test_named_context_files(freehold, folder):
    bare = freehold.but(FREEHOLD_DATA_DIR=None)
    file = folder / "elsewhere/deep/context.json"
    assert "cannot open" in bare("tenant", "list", "--context", file, code=LOCAL).err
    bare("context", "set", "--data-dir", freehold.env["FREEHOLD_DATA_DIR"], "--context", file)
    assert bare("tenant", "list", "--context", file)
    assert bare("tenant", "list", FREEHOLD_CONTEXT=str(file))
    table = bare("context", "show", "--context", file)
    assert table.rows[0] == ["SETTING", "VALUE", "FROM"]
    assert "(made from development keys)" in table.out and ", running," in table.out


def test_token_files(freehold, folder, server):
    (folder / "operator").write_text(freehold.token("--operator"))
    (folder / "empty").write_text(" \n")
    bare = freehold.but(FREEHOLD_DATA_DIR=None, FREEHOLD_OPERATOR_ADDRESS=f"127.0.0.1:{server.operator_port}")
    assert "no operator token" in bare("tenant", "list", code=USAGE).err
    assert bare.json("tenant", "list", "--operator-token-file", folder / "operator")
    assert "is empty" in bare("tenant", "list", "--operator-token-file", folder / "empty", code=USAGE).err
    assert "cannot open" in bare("tenant", "list", "--operator-token-file", folder / "no-such", code=LOCAL).err


def test_plaintext_stays_on_this_machine(freehold):
    far = freehold.but(FREEHOLD_DATA_DIR=None, FREEHOLD_OPERATOR_TOKEN="x")
    result = far("tenant", "list", "--operator-address", "freehold.example.org:443", code=USAGE)
    assert "TLS" in result.err
    for address in ("127.0.0.1", "localhost:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:http", "::1", ":1"):
        assert "host:port" in far("tenant", "list", "--operator-address", address, code=USAGE).err


# Exit codes that need a server which is not well


def test_nobody_there(freehold):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        away = freehold.but(FREEHOLD_OPERATOR_ADDRESS=f"127.0.0.1:{taken.getsockname()[1]}")
        refusal = away.refused("tenant", "list", code=UNREACHABLE)
        assert refusal["status"] == "UNAVAILABLE" and "freeholdd" in refusal["next"]


def test_silence(freehold):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        away = freehold.but(FREEHOLD_OPERATOR_ADDRESS=f"127.0.0.1:{mute.getsockname()[1]}")
        result = away("tenant", "list", "--timeout", "1s", code=UNREACHABLE)
        assert "DEADLINE_EXCEEDED" in result.err or "UNAVAILABLE" in result.err


def test_server_gone(start, folder):
    server = start()
    freehold = command_of(folder, server)
    assert freehold.json("tenant", "list")["tenants"] == []
    server.kill()
    result = freehold("tenant", "list", code=UNREACHABLE)
    assert "is not running" in result.err and "freeholdd" in result.err


def test_no_room_for_the_output(freehold):
    with open("/dev/full", "w", encoding="utf-8") as full:
        for words in (["tenant", "list"], ["schema", "status", "-o", "json"], ["context", "show"], ["--help"]):
            freehold.start(*words, stdout=full).end(LOCAL)


def test_nothing_is_left_behind(freehold):
    freehold("tenant", "list")
    freehold("tenant", "show", "no-such", code=REFUSED)
    assert os.listdir(freehold.folder) == []
