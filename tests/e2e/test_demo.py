"""./dev demo after the build, on a few packages: both engines, nothing left behind."""

import os
import re
import subprocess

import pytest

from conftest import BUILD, SOURCE

PACKAGES = 300
PATIENCE_S = 240


@pytest.mark.parametrize("options", [[], ["--postgres"]], ids=["sqlite", "postgres"])
def test_demo(folder, options):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FREEHOLD")}
    scratch = folder / "tmp"
    scratch.mkdir()
    scratch.chmod(0o711)
    environment.update(FREEHOLD_BUILD=str(BUILD), TMPDIR=str(scratch), HOME=str(folder))
    done = subprocess.run(
        ["bash", SOURCE / "tools/demo/demo.sh", "--packages", str(PACKAGES), *options],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-8000:]
    assert "freeholdd ready" in done.stdout
    assert "NOT_FOUND" in done.stdout, "one tenant's token must not reach another's record"
    told = re.findall(r"requests (\d+), failures 0, longest pause [\d.]+ ms, rows compared (\d+)", done.stdout)
    assert len(told) == 3, "the largest tenant must move up and back without a failed request"
    assert all(int(requests) > 0 and int(rows) > 0 for requests, rows in told)
    assert re.findall(r"tier (\w+): \d+ rows copied", done.stdout) == ["schema", "database", "shared"]
    assert "Sanitizer" not in done.stdout
    assert not list(scratch.iterdir()), "the demo left files behind"
