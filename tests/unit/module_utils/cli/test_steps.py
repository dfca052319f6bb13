# SPDX-License-Identifier: GPL-3.0-or-later
"""The step list: what is shown, counted, and left behind."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from ansible.module_utils.lyceum.cli import steps
from ansible.module_utils.lyceum.errors import LyceumError

RECAP = """\
PLAY RECAP *********************************************************************
lab-debian12               : ok=5    changed=2    unreachable=0    failed=0    skipped=0    rescued=0    ignored=0
lab-debian13               : ok=5    changed=1    unreachable=0    failed=0    skipped=0    rescued=0    ignored=0
"""


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> steps.Runner:
    """A runner whose logs are scratch and whose output is text."""
    monkeypatch.setenv("LYCEUM_STATE_DIR", str(tmp_path))
    return steps.Runner("x", 3, out=io.StringIO())


def shown(runner: steps.Runner) -> str:
    assert isinstance(runner.out, io.StringIO)
    return runner.out.getvalue()


def python(code: str) -> steps.Command:
    return steps.command(sys.executable, "-c", code)


def test_a_step_says_what_it_runs_and_keeps_a_log(runner: steps.Runner, tmp_path: Path) -> None:
    result = runner.run(steps.Step("Say hello!", (steps.command("sh", "-c", 'echo "$W"', W="hello"),)))
    assert (result.passed, result.failed, result.changed) == (1, 0, 0)
    lines = shown(runner).splitlines()
    assert lines[0] == "[1/3] Say hello!"
    assert lines[1] == """      $ W=hello sh -c 'echo "$W"'"""
    assert lines[2].startswith("      done in ")
    assert (tmp_path / "logs" / "x-01-say-hello.log").read_text().endswith("hello\n")


def test_what_this_machine_cannot_do_is_skipped_and_says_why(runner: steps.Runner) -> None:
    code = "import sys; print('no', 'kernel: not root' + chr(10) + '   here.'); print('5 passed in 0.1s'); sys.exit(2)"
    result = runner.run(steps.Step("Boot", (python(code),), skip=r"no kernel: ([^.]+)\."))
    assert (result.passed, result.failed, result.skipped) == (0, 0, "not root here")
    assert "SKIPPED after" in shown(runner)
    assert steps.all_ok(runner.results)
    failed = runner.run(steps.Step("Boot", (python("raise SystemExit(2)"),), skip="no kernel: (.*)"))
    assert (failed.passed, failed.failed, failed.skipped) == (0, 1, "")


def test_changes_are_summed_over_hosts_and_steps(runner: steps.Runner) -> None:
    for _ in range(2):
        assert runner.run(steps.Step("Play", (python(f"print({RECAP!r})"),))).changed == 3
    assert runner.changed == 6
    assert "changed=3" in shown(runner)


def test_what_hosts_do_not_enforce_is_kept_once(runner: steps.Runner) -> None:
    code = f"print({'NOT ENFORCED one: gitea: no mirror' + chr(10) + 'x NOT ENFORCED not at its beginning'!r})"
    for _ in range(2):
        assert runner.run(steps.Step("Play", (python(code),))).not_enforced == ["one: gitea: no mirror"]
    assert runner.not_enforced == ["one: gitea: no mirror"]


def test_what_follows_the_recap_is_shown_where_asked(runner: steps.Runner) -> None:
    code = f"print({RECAP + chr(10) + 'person  host' + chr(10) + 'a  created'!r})"
    runner.run(steps.Step("Quiet", (python(code),)))
    assert "      a  created\n" not in shown(runner)
    runner.run(steps.Step("Play", (python(code),), show_end=True))
    assert "      person  host\n      a  created\n" in shown(runner)


def test_a_failure_stops_the_step_and_shows_the_end_of_its_log(runner: steps.Runner) -> None:
    step = steps.Step("Fail", (python("print('why'); raise SystemExit(4)"), python("print('never')")))
    result = runner.run(step)
    assert (result.passed, result.failed) == (0, 1)
    assert "FAILED after" in shown(runner)
    assert "ended with status 4" in shown(runner)
    assert "      | why\n" in shown(runner)
    assert "To go on:" in shown(runner)
    assert "never" not in shown(runner).split("FAILED")[1]
    assert not steps.all_ok(runner.results)


def test_a_step_may_have_to_say_something(runner: steps.Runner) -> None:
    demo = python("print('demo: changed=2 over all')")
    assert runner.run(steps.Step("Again", (demo,), expect="changed=2 ")).failed == 0
    assert runner.run(steps.Step("Again", (demo,), expect="changed=0 ")).failed == 1
    assert "its output has no 'changed=0 '" in shown(runner)


def test_a_missing_program_is_named(runner: steps.Runner) -> None:
    with pytest.raises(LyceumError, match="Cannot start `no-such-program`"):
        runner.run(steps.Step("X", (steps.command("no-such-program"),)))


def test_a_terminal_sees_what_goes_on(runner: steps.Runner) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    runner.out = Terminal()
    runner.run(steps.Step("Play", (python("print('TASK [slow] ****', flush=True); import time; time.sleep(1.2)"),)))
    assert "s  TASK [slow]" in shown(runner)


def test_an_interrupt_leaves_no_process_behind(
    runner: steps.Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "STOP_SECONDS", 0.5)
    pid = tmp_path / "pid"
    # A program that ignores polite requests, with a child that does so too.
    script = f"trap '' INT TERM; sh -c 'trap \"\" INT TERM; echo $$ > {pid}; sleep 60; sleep 60' & wait; sleep 60"

    def interrupt() -> None:
        while not (pid.exists() and pid.read_text().strip()):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    # Where the tests were started in the background, Python has left SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=interrupt).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            runner.run(steps.Step("Hang", (steps.command("sh", "-c", script),)))
    finally:
        signal.signal(signal.SIGINT, before)
    left = Path(f"/proc/{pid.read_text().strip()}/stat")
    deadline = time.monotonic() + 5
    while left.exists() and left.read_text().rsplit(")", 1)[1].split()[0] != "Z" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left.exists() or left.read_text().rsplit(")", 1)[1].split()[0] == "Z"


def test_what_left_its_group_is_swept_up(runner: steps.Runner, tmp_path: Path) -> None:
    code = "import subprocess as s; s.Popen(['sleep', '60'], start_new_session=True, stdout=-3, stderr=-3)"
    runner.run(steps.Step("Detach", (python(code),)))
    assert len(steps.marked(runner.mark)) == 1
    assert steps.marked(steps.Runner("other", 1).mark) == []
    runner.sweep()
    assert steps.marked(runner.mark) == []


@pytest.mark.parametrize(
    ("text", "ok", "expected"),
    [
        ("no tests here", True, (1, 0)),
        ("no tests here", False, (0, 1)),
        ("==== 12 passed in 3.1s ====", True, (12, 0)),
        ("336 passed, 2 warnings in 3.10s", True, (336, 0)),
        ("3 failed, 9 passed, 1 error in 3.1s", False, (9, 4)),
        ("12 passed in 3.1s\nlater: 3 passed in 1.0s", True, (15, 0)),
        ("12 passed in 3.1s\nthen the shell broke", False, (12, 1)),
        ("the plan says 40 passed", True, (1, 0)),
    ],
)
def test_tests_are_counted_from_summaries(text: str, ok: bool, expected: tuple[int, int]) -> None:
    assert steps.count_tests(text, ok=ok) == expected
