"""A guide as a program: its fenced blocks, run in the order of reading in one shell.

What a reader sees is all there is; the info strings say the language only.
  ```sh      run; the first command that fails fails the guide, with file and line
  ```text    what the sh block above it prints, both streams; <...> stands for anything in a line,
             and alone on a line for any number of lines
  others     are saved where the paragraph above says "Save as `PATH`:"; without it, only shown
"""

import dataclasses
import json
import os
import pathlib
import re
import select
import shlex
import signal
import subprocess
import tempfile

SAVE_AS = re.compile(r"Save as `([^`\s]+)`.*:$")
FENCE = re.compile(r"^```([a-z]*)$")
LANGUAGES = {"sh", "text", "conf", "sql", "python", "c", "json"}
PORTS = {"7070": "tenant", "7071": "operator", "7072": "http"}
BLOCK_PATIENCE_S = 120
LOOKS_PER_S = 10


@dataclasses.dataclass
class Block:
    language: str
    line: int  # of its first line of content, from 1
    text: str
    save_as: str | None


class GuideError(AssertionError):
    pass


def blocks_of(path, languages=frozenset(LANGUAGES)):
    lines = path.read_text(encoding="utf-8").splitlines()
    out = []
    said = ""
    start = None
    for number, line in enumerate(lines, 1):
        found = FENCE.match(line)
        if start is None and found:
            start, language = number, found[1]
            if language not in languages:
                raise GuideError(f"{path.name}:{number}: unknown language {language!r}")
        elif start is None and line.startswith("```"):
            raise GuideError(f"{path.name}:{number}: an info string is one word")
        elif start is None:
            said = line if line.strip() else said
        elif line == "```":
            save_as = SAVE_AS.search(said) if language not in ("sh", "text") else None
            text = "".join(f"{each}\n" for each in lines[start : number - 1])
            out.append(Block(language, start + 1, text, save_as[1] if save_as else None))
            start, said = None, ""
    if start is not None:
        raise GuideError(f"{path.name}:{start}: the block has no end")
    return out


def squeeze(text):
    """Columns are as wide as their widest cell, a port for instance: how many blanks, does not count."""
    return "".join(re.sub(" +", " ", line).rstrip() + "\n" for line in text.rstrip().splitlines())


def matches(expected, printed):
    """Whole and line by line, the number of blanks aside."""
    pattern = ""
    for line in squeeze(expected).splitlines():
        if line.strip() == "<...>":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += r"[^\n]*?".join(map(re.escape, line.split("<...>"))) + r"\n"
    return re.fullmatch(pattern, squeeze(printed)) is not None


class Guide:
    """One shell in one folder. `rewrite` changes a block's text on its way to the shell."""

    def __init__(self, path, folder, environment, prelude, rewrite, leave_out=lambda text: False):
        self.path = path
        self.leave_out = leave_out  # of the text of sh blocks; what they print goes with them
        self.folder = folder
        self.rewrite = rewrite
        self.private = pathlib.Path(tempfile.mkdtemp(dir=folder.parent, prefix="blocks-"))
        # Named, not inherited: what the shell starts must not hold it open.
        self.fifo = self.private / "answers"
        os.mkfifo(self.fifo, 0o600)
        self.answers = os.open(self.fifo, os.O_RDWR | os.O_NONBLOCK)
        (self.private / "prelude.sh").write_text(prelude, encoding="utf-8")
        self.shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            env=environment,
            text=True,
            start_new_session=True,
        )
        self.tell(f". {shlex.quote(str(self.private / 'prelude.sh'))}")

    def tell(self, line):
        self.shell.stdin.write(line + "\n")
        self.shell.stdin.flush()

    def answer(self):
        """What the shell wrote into the pipe; "" when it ended without a word."""
        for _ in range(BLOCK_PATIENCE_S * LOOKS_PER_S):
            ended = self.shell.poll() is not None
            ready, _, _ = select.select([self.answers], [], [], 1 / LOOKS_PER_S)
            if ready:
                return os.read(self.answers, 65536).decode()
            if ended:
                return ""
        return f"no end within {BLOCK_PATIENCE_S} s"

    def replace_ports(self, text):
        """The guide's ports become those of the server that was started last, or "any"."""
        found = sorted(
            self.folder.rglob("freeholdd.json"), key=lambda file: file.stat().st_mtime_ns
        )
        run_file = json.loads(found[-1].read_text()) if found else {}
        for port, key in PORTS.items():
            real = run_file.get(key, ":0").rpartition(":")[2]
            text = re.sub(rf"(?<=:){port}\b", real, text)
        return text

    def run(self, block):
        """What the block printed."""
        script = self.private / f"line-{block.line}.sh"
        output = self.private / f"line-{block.line}.out"
        # Padded, so that the shell's line numbers are the guide's.
        script.write_text(
            "\n" * (block.line - 1) + self.replace_ports(self.rewrite(block.text)), encoding="utf-8"
        )
        fifo = shlex.quote(str(self.fifo))
        trap = f'echo "$LINENO: status $? of: $BASH_COMMAND" >{fifo}; exit 1'
        self.tell(
            f"trap {shlex.quote(trap)} ERR; . {shlex.quote(str(script))} "
            f">{shlex.quote(str(output))} 2>&1 </dev/null; trap - ERR; echo done >{fifo}"
        )
        answer = self.answer()
        printed = output.read_text(errors="replace") if output.exists() else ""
        if answer != "done\n":
            line = answer.split(":", 1)[0] if answer[:1].isdigit() else block.line
            raise GuideError(
                f"{self.path.name}:{line}: failed ({answer.strip() or 'the shell ended'})\n"
                f"{block.text}\n--- printed:\n{printed[-4000:]}\n{self.logs()}"
            )
        return printed

    def logs(self):
        return "".join(
            f"--- {file.name}:\n{file.read_text(errors='replace')[-4000:]}"
            for file in sorted(self.folder.glob("*.log"))
        )

    def play(self):
        """Runs everything; answers how many blocks were run and how many outputs compared."""
        ran = compared = 0
        printed = None
        left_out = False
        for block in blocks_of(self.path):
            if block.language == "sh":
                left_out = self.leave_out(block.text)
            if left_out and block.language in ("sh", "text"):
                continue
            if block.language == "sh":
                printed = self.run(block)
                ran += 1
            elif block.language == "text":
                where = f"{self.path.name}:{block.line}"
                if printed is None:
                    raise GuideError(f"{where}: output of nothing")
                if not matches(self.replace_ports(block.text), printed):
                    raise GuideError(f"{where}: the guide says\n{block.text}--- printed:\n{printed}")
                printed = None
                compared += 1
            elif block.save_as:
                file = self.folder / block.save_as
                if not file.resolve().is_relative_to(self.folder.resolve()):
                    raise GuideError(f"{self.path.name}:{block.line}: saves outside of its folder")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(self.rewrite(block.text), encoding="utf-8")
        return ran, compared

    def close(self):
        """The shell, and what it left running: all in a session of their own."""
        try:
            os.killpg(self.shell.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.shell.stdin.close()
        self.shell.wait()
        os.close(self.answers)
