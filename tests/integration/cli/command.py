"""`freehold` as a process, with an environment of its own: nothing of who runs the tests gets in.

Whatever a command does, it must not print a token (but for `freehold token`) nor an escape byte, and
under a sanitizer must end without its report: looked at in every run.
"""

import json
import os
import re
import signal
import subprocess

from freehold_testing import PATIENCE
from freehold_testing.process import dying_with_us

TOKEN = re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}")
OK, REFUSED, USAGE, UNREACHABLE, LOCAL, PARTIAL, UNKNOWN = range(7)


class Result:
    def __init__(self, words, code, out, err):
        self.words, self.code, self.out, self.err = words, code, out, err

    def __repr__(self):
        return f"freehold {' '.join(self.words)} -> {self.code}\n{self.out[-3000:]}\n{self.err[-3000:]}"

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def lines(self):
        """Of NDJSON."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def errors(self):
        """What -o json says on stderr."""
        return [json.loads(line)["error"] for line in self.err.splitlines()]

    @property
    def error(self):
        (one,) = self.errors
        return one

    @property
    def rows(self):
        """A table's lines as lists of cells; cells of the tests hold no two spaces in a row."""
        return [re.split(r" {2,}", line.strip()) for line in self.out.splitlines() if line]

    def check(self):
        text = self.out + self.err
        assert "\x1b" not in text and "\r" not in text, self
        assert "Sanitizer" not in text and "runtime error" not in text, self
        if self.words[:1] != ("token",):
            assert not TOKEN.search(text), self
        return self


class Run:
    """One that is under way."""

    def __init__(self, command, words, stdin, stdout=subprocess.PIPE, **env):
        self.words = tuple(map(str, words))
        self.stdin = stdin
        base = {name: text for name, text in os.environ.items() if not name.startswith("FREEHOLD_")}
        base.pop("XDG_CONFIG_HOME", None)
        self.process = subprocess.Popen(
            dying_with_us([os.environ["FREEHOLD_COMMAND"], *self.words]),
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            cwd=command.folder,
            env={**base, "HOME": str(command.folder), **command.env, **env},
            encoding="utf-8",
        )

    def kill(self):
        """SIGKILL, and what it had said; its words are of no weight."""
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate(timeout=PATIENCE)

    def end(self, code=OK):
        try:
            out, err = self.process.communicate(self.stdin, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        result = Result(self.words, self.process.returncode, out or "", err).check()
        assert code is None or result.code == code, result
        return result


class Command:
    def __init__(self, folder, **env):
        self.folder = folder
        self.env = {name: str(text) for name, text in env.items() if text is not None}
        self.folder.mkdir(exist_ok=True)

    def but(self, **env):
        """The same with other variables; None takes one away."""
        return Command(self.folder, **{**self.env, **env})

    def start(self, *words, stdin=None, **env):
        return Run(self, words, stdin, **env)

    def __call__(self, *words, code=OK, stdin=None, **env):
        return self.start(*words, stdin=stdin, **env).end(code)

    def refused(self, *words, code=REFUSED, **options):
        """With -o json; the error it says."""
        result = self(*words, "-o", "json", code=code, **options)
        assert result.out == "", result
        return result.error

    def json(self, *words, **options):
        return self(*words, "-o", "json", **options).json

    def token(self, *words):
        out = self("token", *words).out
        assert TOKEN.fullmatch(out.rpartition(".")[0]) and out.count("\n") == 1
        return out.strip()
