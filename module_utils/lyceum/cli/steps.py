# SPDX-License-Identifier: GPL-3.0-or-later
"""A numbered list of steps with times: what `demo` and `test` show while they work."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from ..errors import LyceumError
from .project import ROOT, announce, environment, shown, state_dir

TAIL_LINES = 25
STOP_SECONDS = 30

MARK = "LYCEUM_STEP"
"""Environment variable by which everything that a runner's steps started is found again. Ansible's workers, and the
connections ssh keeps open, leave the process group they were started in."""

RECAP = re.compile(r"^\S+ +: ok=\d+ +changed=(\d+) +unreachable=\d+ +failed=\d+ ", re.MULTILINE)
NOT_ENFORCED = re.compile(r"^NOT ENFORCED (.+)$", re.MULTILINE)
COUNT = re.compile(r"(\d+) (passed|failed|errors?)\b")


@dataclass(frozen=True)
class Command:
    """A program as an admin would type it. environment: variables set for it."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        variables = "".join(f"{name}={value} " for name, value in self.environment.items())
        line = announce(self.argv)
        return f"$ {variables}{line[2:]}"


@dataclass(frozen=True)
class Step:
    """Commands that make one step. expect: a pattern that the output must contain. skip: a pattern by which a failed
    command says that this machine cannot do it; its first group is the reason. show_end: print what follows Ansible's
    recap, where a playbook's result table is."""

    title: str
    commands: tuple[Command, ...]
    expect: str = ""
    skip: str = ""
    show_end: bool = False


@dataclass
class Result:
    """What came of a step. changed: changed tasks over all hosts and playbooks. passed, failed: tests in it, 1 or 0
    for a step that counts none. skipped: why it could not be done on this machine; then nothing has passed.
    not_enforced: what the hosts of a playbook cannot hold anybody to, host first."""

    step: Step
    seconds: float = 0.0
    changed: int = 0
    passed: int = 0
    failed: int = 0
    skipped: str = ""
    not_enforced: list[str] = field(default_factory=list)


@dataclass
class Runner:
    """Runs steps one after the other. name: prefix of the log files. total: how many steps there will be.
    keep: file descriptors that started programs inherit."""

    name: str
    total: int
    keep: tuple[int, ...] = ()
    results: list[Result] = field(default_factory=list)
    out: IO[str] = field(default_factory=lambda: sys.stdout)
    mark: str = field(default_factory=lambda: f"{os.environ.get(MARK, '')}/{os.getpid()}-{time.monotonic_ns()}")

    @property
    def changed(self) -> int:
        """Changed tasks so far."""
        return sum(result.changed for result in self.results)

    @property
    def not_enforced(self) -> list[str]:
        """What the hosts cannot hold anybody to, as the last playbook has it that says anything about it."""
        return next((result.not_enforced for result in reversed(self.results) if result.not_enforced), [])

    def run(self, step: Step) -> Result:
        """Run one step to its end, showing what it does. Its output goes to a log under the state directory."""
        number = len(self.results) + 1
        log = self._log(number, step)
        result = Result(step)
        began = time.monotonic()
        print(f"[{number}/{self.total}] {step.title}", file=self.out, flush=True)
        with log.open("w") as sink:
            status = 0
            for command in step.commands:
                print(f"      {command}", file=self.out, flush=True)
                sink.write(f"{command}\n")
                sink.flush()
                status = self._execute(command, log, sink, began)
                if status:
                    break
        text = log.read_text(errors="replace")
        result.seconds = time.monotonic() - began
        result.changed = sum(int(found) for found in RECAP.findall(text))
        result.not_enforced = NOT_ENFORCED.findall(text)
        wrong = f"ended with status {status}" if status else ""
        if not wrong and step.expect and not re.search(step.expect, text):
            wrong = f"its output has no {step.expect!r}"
        unable = re.search(step.skip, text, re.DOTALL) if status and step.skip else None
        if unable:
            result.skipped = " ".join(unable[1].split())
        else:
            result.passed, result.failed = count_tests(text, ok=not wrong)
        self.results.append(result)
        if result.skipped:
            print(f"      SKIPPED after {result.seconds:.1f} s: {result.skipped}", file=self.out, flush=True)
        elif wrong:
            self._explain(log, text, f"FAILED after {result.seconds:.1f} s: {wrong}")
        else:
            if step.show_end:
                print(indent(after_recap(text)), end="", file=self.out)
            note = f", changed={result.changed}" if RECAP.search(text) else ""
            print(f"      done in {result.seconds:.1f} s{note}", file=self.out, flush=True)
        return result

    def _log(self, number: int, step: Step) -> Path:
        folder = state_dir() / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        slug = re.sub("[^a-z0-9]+", "-", step.title.lower()).strip("-")
        return folder / f"{self.name}-{number:02d}-{slug}.log"

    def _execute(self, command: Command, log: Path, sink: IO[str], began: float) -> int:
        try:
            # A group of its own: an interrupt reaches it once, from here, and nothing of it is left behind.
            child = subprocess.Popen(
                list(command.argv),
                cwd=ROOT,
                env=environment(**{**command.environment, MARK: self.mark}),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
                pass_fds=self.keep,
            )
        except FileNotFoundError as exc:
            raise LyceumError(f"Cannot start `{command.argv[0]}`: it is not installed.") from exc
        over = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(log, began, over), daemon=True)
        ticker.start()
        try:
            return child.wait()
        except KeyboardInterrupt:
            self._stop(child)
            raise
        finally:
            over.set()
            ticker.join()

    def _stop(self, child: subprocess.Popen[bytes]) -> None:
        """End a started program as Ctrl-C does, then everything that it leaves behind."""
        os.killpg(child.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(STOP_SECONDS)
        self.sweep()
        child.wait()

    def sweep(self) -> None:
        """End every process that steps of this runner have started and left: politely, then by force."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in marked(self.mark):
                with contextlib.suppress(ProcessLookupError, PermissionError):  # ended meanwhile; raised by sudo
                    os.kill(process, number)
            deadline = time.monotonic() + STOP_SECONDS
            while marked(self.mark) and time.monotonic() < deadline:
                time.sleep(0.05)

    def _tick(self, log: Path, began: float, over: threading.Event) -> None:
        """On a terminal, one line that says how long the step takes and what it does just now."""
        if not self.out.isatty():
            return
        while not over.wait(0.5):
            lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
            last = next((line for line in reversed(lines) if line.startswith(("TASK [", "PLAY ["))), lines[-1])
            self.out.write(f"\r\033[K      {time.monotonic() - began:4.0f} s  {last.rstrip(' *')[:80]}")
            self.out.flush()
        self.out.write("\r\033[K")

    def _explain(self, log: Path, text: str, headline: str) -> None:
        print(f"      {headline}. The last lines of {shown(log)}:", file=self.out)
        print(indent("\n".join(text.splitlines()[-TAIL_LINES:]) + "\n", "      | "), end="", file=self.out)
        print("      To go on: mend what these lines say and start the same command again; what is done stays done.",
              file=self.out, flush=True)  # fmt: skip


def marked(mark: str) -> list[int]:
    """Processes that were started with a mark and are not at their end."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            environ = entry.read_bytes()  # empty for a process that has ended and waits for its parent
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if f"{MARK}={mark}".encode() in environ:
            found.append(int(entry.parent.name))
    return found


def after_recap(text: str) -> str:
    """What playbooks print behind Ansible's recap: result tables and reports."""
    matches = list(RECAP.finditer(text))
    if not matches:
        return ""
    rest = text[matches[-1].end() :].split("\n", 1)
    return rest[1].strip("\n") + "\n" if len(rest) > 1 and rest[1].strip() else ""


def count_tests(text: str, *, ok: bool) -> tuple[int, int]:
    """(passed, failed) of the last pytest summary of each run in an output; (1, 0) or (0, 1) where there is none."""
    passed = failed = 0
    for line in text.splitlines():
        if re.search(r"\bin [0-9.]+s\b", line):
            for number, kind in COUNT.findall(line):
                if kind == "passed":
                    passed += int(number)
                else:
                    failed += int(number)
    if passed + failed == 0:
        return (1, 0) if ok else (0, 1)
    return (passed, failed) if ok else (passed, max(failed, 1))


def indent(text: str, prefix: str = "      ") -> str:
    """A text with a prefix before each line."""
    return "".join(f"{prefix}{line}\n" for line in text.splitlines())


def command(*argv: str, **variables: str) -> Command:
    """Short form of Command."""
    return Command(argv, variables)


def all_ok(results: Sequence[Result]) -> bool:
    """Whether no step failed."""
    return all(result.failed == 0 for result in results)
