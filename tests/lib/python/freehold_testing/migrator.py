"""freehold-migrator as a process of its own: killed, stopped and resumed by process id.

Needs FREEHOLD_MIGRATOR (the program) in the environment.
"""

import os
import pathlib
import select
import signal
import subprocess

from . import PATIENCE
from .process import dying_with_us, until


def program():
    return os.environ["FREEHOLD_MIGRATOR"]


class Migrator:
    def __init__(self, folder, catalog, *args, env=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log_path = self.folder / "migrator.log"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                dying_with_us(
                    [
                        program(),
                        *("--catalog", catalog),
                        *("--data-dir", self.folder / "data"),
                        *("--http-listen", "127.0.0.1:0"),
                        *args,
                    ]
                ),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **(env or {})},
            )

    def await_ready(self):
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        line = self.process.stdout.readline() if ready else ""
        if not line.startswith("freehold-migrator ready"):
            self.kill()
            raise AssertionError(f"no ready line but {line!r}\n{self.log()[-4000:]}")
        return self

    def signal(self, number):
        self.process.send_signal(number)

    def is_stopped(self):
        """By SIGSTOP, its own or ours."""
        stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] == "T"

    def await_ended(self):
        """The exit status."""
        until(lambda: self.process.poll() is not None, "the migrator's end")
        return self.forget()

    def forget(self):
        self.process.stdout.close()
        text = self.log()
        assert "Sanitizer" not in text and "runtime error" not in text, text[-8000:]
        return self.process.returncode

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE)
        return self.forget()

    def stop(self):
        """SIGTERM (a stopped one is woken first), and the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGTERM)
        return self.await_ended()

    def log(self):
        return self.log_path.read_text(errors="replace")
