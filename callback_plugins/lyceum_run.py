# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of every run: person x host table on the screen, one record in the audit log."""

from __future__ import annotations

import atexit
import datetime
import getpass
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ansible.module_utils
from ansible import constants as C  # noqa: N812  (the name every Ansible plugin uses)
from ansible import context
from ansible.plugins.callback import CallbackBase

PROJECT = Path(__file__).resolve().parent.parent
if str(PROJECT / "module_utils") not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(str(PROJECT / "module_utils"))

from ansible.module_utils.lyceum import audit  # noqa: E402
from ansible.module_utils.lyceum.errors import LyceumError  # noqa: E402
from ansible.module_utils.lyceum.registry import load  # noqa: E402
from ansible.module_utils.lyceum.results import RunResults  # noqa: E402

DOCUMENTATION = """
name: lyceum_run
type: notification
short_description: Per-person result table and audit record at the end of a run
description:
  - Gathers the C(lyceum) key of module results over all tasks and hosts, also of failed ones, and prints at the end
    of the run who was created, changed, suspended, removed or failed on which host.
  - Appends one record to C(<state_dir>/audit/<inventory>.jsonl), hash-chained, also when the run is interrupted.
    A check run is recorded as one. A run that reports on nobody prints and records nothing.
  - Prints what a play put into the custom stat C(lyceum_text) (a table, a report) as it is, without indentation.
options:
  state_dir:
    description: Directory on the controller for the audit log. The extra variable C(lyceum_state_dir) wins over it.
    type: path
    env: [{name: LYCEUM_STATE_DIR}]
    ini: [{section: lyceum, key: state_dir}]
  reason:
    description: Why the run is made, for the audit log. The extra variable C(reason) wins over it.
    type: str
    default: ""
    env: [{name: LYCEUM_REASON}]
"""


class CallbackModule(CallbackBase):
    """Notification callback; being in callback_plugins/ enables it."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "lyceum_run"

    def __init__(self) -> None:
        super().__init__()
        self.results = RunResults()
        self.playbook = ""
        self.extra: Mapping[str, Any] = {}
        self.failed: set[str] = set()
        self._process = os.getpid()
        self._ended = False
        # A run that is interrupted never reaches its statistics, but what it did must be on record.
        atexit.register(self._on_exit)

    def v2_playbook_on_start(self, playbook: Any) -> None:
        path = Path(playbook._file_name).resolve()
        self.playbook = str(path.relative_to(PROJECT) if path.is_relative_to(PROJECT) else path)

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self.extra = play.get_variable_manager().extra_vars
        self.results.only = str(self.extra["person"]) if self.extra.get("person") else None

    def v2_runner_on_ok(self, result: Any) -> None:
        self._collect(result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            self.failed.add(result.host.name)
        self._collect(result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        if not result.task.ignore_unreachable:
            words = str(result.result.get("msg") or "no message").strip().splitlines()[-1]
            self.results.unreachable(result.host.name, words.removeprefix("Task failed: "))

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._ended = True
        text = stats.custom.get("_run", {}).get("lyceum_text")
        if text:
            self._display.display(f"\n{text}")
        if not self.results:
            return
        check = bool(context.CLIARGS.get("check"))
        self._display.display("")
        for line in self.results.lines(check=check):
            self._display.display(line, color=_color(line))
        self._record(ok=not any(stats.failures.values()) and not any(stats.dark.values()))

    def _collect(self, result: Any) -> None:
        preview = bool(result.task.check_mode) and not context.CLIARGS.get("check")
        for part in result.result.get("results") or [result.result]:
            if isinstance(part, Mapping) and isinstance(part.get("lyceum"), Mapping):
                self.results.add(result.host.name, part["lyceum"], preview=preview)

    def _on_exit(self) -> None:
        # Worker processes are forks that carry this handler; only the process that made the plugin may write.
        if self._ended or not self.playbook or os.getpid() != self._process:
            return
        if self.results:
            self._record(ok=False, interrupted=True)
        else:
            self._explain_unreadable()

    def _explain_unreadable(self) -> None:
        """Ansible ends at a variable file that is no YAML and does not say which file it is. This does."""
        for source in context.CLIARGS.get("inventory") or C.DEFAULT_HOST_LIST:
            if (Path(source) / "group_vars").is_dir():
                for problem in load.read(Path(source)).problems:
                    self._display.error(str(problem))

    def _record(self, *, ok: bool, interrupted: bool = False) -> None:
        inventory = inventory_name(context.CLIARGS.get("inventory") or C.DEFAULT_HOST_LIST)
        state = self.extra.get("lyceum_state_dir") or self.get_option("state_dir") or PROJECT / ".lyceum"
        path = Path(str(state)) / "audit" / f"{inventory}.jsonl"
        record: dict[str, Any] = {
            "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "actor": actor(os.environ, self.extra),
            "reason": str(self.extra.get("reason") or self.get_option("reason")),
            "playbook": self.playbook,
            "inventory": inventory,
            "limit": str(context.CLIARGS.get("subset") or ""),
            "tags": sorted(str(tag) for tag in context.CLIARGS.get("tags") or ()),
            "person": self.results.only or "",
            "check": bool(context.CLIARGS.get("check")),
            "revision": revision(self.extra),
            "ok": ok,
            "interrupted": interrupted,
            "hosts": self.results.as_dict(),
        }
        try:
            entry = audit.append(path, record)
        except LyceumError as exc:
            self._display.error(f"This run is not on record: {exc}")
            return
        self._display.display(f"audit: record {entry['seq']} ({entry['hash'][:12]}) in {path}")


def inventory_name(sources: Any) -> str:
    """The name of the log: the last inventory directory (or an inventory file's directory), safe as a file name."""
    listed = [sources] if isinstance(sources, str) else list(sources)
    last = str(listed[-1]) if listed else ""
    if not last or "," in last:
        return "adhoc"
    path = Path(last).resolve()
    name = path.parent.name if path.suffix in {".yml", ".yaml", ".ini"} or path.is_file() else path.name
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name).lstrip(".") or "adhoc"


def actor(environment: Mapping[str, str], extra: Mapping[str, Any]) -> str:
    """Who started the run: AWX's user, else the person behind sudo, else the login name, else the uid."""
    for key in ("awx_user_name", "tower_user_name"):
        if extra.get(key):
            return f"{extra[key]} (AWX job {extra.get(key.replace('user_name', 'job_id'), '?')})"
    for name in ("SUDO_USER", "USER", "LOGNAME"):
        if environment.get(name):
            return environment[name]
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def revision(extra: Mapping[str, Any]) -> str | None:
    """The git commit of the checkout, `-dirty` where files differ from it; AWX's own word where there is no git."""
    for key in ("awx_project_revision", "tower_project_revision"):
        if extra.get(key):
            return str(extra[key])
    try:
        found = subprocess.run(
            ["git", "-C", str(PROJECT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        sys.stderr.write(f"git revision unknown: {exc}\n")
        return None
    return found.stdout.strip() or None


def _color(line: str) -> str | None:
    if line.startswith(("FAILED", "CONFLICT")):
        return str(C.COLOR_ERROR)
    return str(C.COLOR_WARN) if line.startswith("unmanaged") else None
