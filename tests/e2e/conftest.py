"""What the tests from the outside share: the programs of the build, and a PostgreSQL server."""

import os
import pathlib
import shlex
import shutil
import sys
import tempfile

import pytest

SOURCE = pathlib.Path(os.environ["FREEHOLD_SOURCE"])
BUILD = pathlib.Path(os.environ["FREEHOLD_BUILD"])
sys.path.insert(0, str(SOURCE / "tests/lib/python"))

from freehold_testing.postgres import Cluster  # noqa: E402

PROGRAMS = {
    "freehold": "clients/cli/freehold",
    "freeholdd": "server/freeholdd",
    "freehold-migrator": "server/freehold-migrator",
}
# Passwords count, as with a server that is not ours.
HBA = """
local all postgres trust
host all postgres 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
"""


@pytest.fixture
def folder():
    path = pathlib.Path(tempfile.mkdtemp(prefix="freehold-docs-"))
    path.chmod(0o711)  # the cluster's user must get through
    yield path
    shutil.rmtree(path)


@pytest.fixture
def cluster(folder):
    """A PostgreSQL server as the operator's guide finds it: nothing of Freehold's in it yet."""
    cluster = Cluster(folder / "postgres")
    try:
        (cluster.data / "pg_hba.conf").write_text(HBA)
        cluster.sql(
            "drop database freehold",
            "revoke set on parameter session_replication_role from freehold_app, freehold_owner",
            "drop role freehold_app",
            "drop role freehold_owner",
            "alter system set fsync = on",
            "select pg_reload_conf()",
        )
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def prepared_cluster(folder):
    """As the operator's guide leaves it: roles and database are there, and let in without passwords."""
    cluster = Cluster(folder / "postgres")
    try:
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def programs(folder):
    """The programs of this build. What a guide starts dies with its shell."""
    out = folder / "programs"
    out.mkdir()
    for name, path in PROGRAMS.items():
        assert (BUILD / path).exists(), f"{BUILD / path} is missing: build it first"
        real = shlex.quote(str(BUILD / path))
        (out / name).write_text(f'#!/bin/sh\nexec setpriv --pdeathsig KILL {real} "$@"\n')
        (out / name).chmod(0o755)
    return out
