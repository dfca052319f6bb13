# SPDX-License-Identifier: GPL-3.0-or-later
"""The tool as a whole: told before stopped, remembered whatever happens, nobody waits for anybody else."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum import notices
from ansible.module_utils.lyceum.containers import host, limits, lingering, podman, processes
from ansible.module_utils.lyceum.containers.processes import TICKS, Container
from ansible.module_utils.lyceum.containers.settings import Policy, Settings
from ansible.module_utils.lyceum.errors import CommandError, LyceumError

from .samples import HOUR, container, settings


class Host:
    """A host with people and containers, and what was done to them."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.settings = settings(folder, textfile=str(folder / "lyceum_containers.prom"))
        self.now = 0.0
        self.containers: list[Container] = []
        self.done: list[str] = []
        self.notices: dict[str, str] = {}
        self.podman_works = True
        self.mail_works = True
        (folder / "policies").mkdir()
        monkeypatch.setattr(processes, "now", lambda: self.now)
        monkeypatch.setattr(processes, "boot_id", lambda: "boot")
        monkeypatch.setattr(processes, "running", lambda: list(self.containers))
        monkeypatch.setattr(processes, "end", self.end)
        monkeypatch.setattr(host.time, "sleep", lambda _seconds: None)
        monkeypatch.setattr(podman, "stop", self.stop)
        monkeypatch.setattr(
            podman, "update", lambda policy, identity: self.done.append(f"update {policy.name} {identity[:4]}")
        )
        monkeypatch.setattr(limits, "enforceable", lambda: False)
        monkeypatch.setattr(lingering, "LINGER", folder / "linger")
        monkeypatch.setattr(lingering, "make_ready", lambda _uids: [])
        monkeypatch.setattr(notices, "post", self.post)
        monkeypatch.setattr(
            notices, "pending", lambda uid: {"containers": self.notices[str(uid)]} if str(uid) in self.notices else {}
        )

    def person(self, name: str, uid: int, **found: Any) -> None:
        content = {"name": name, "uid": uid, "gid": uid, "home": f"/home/{name}", "limits": found}
        (self.folder / f"policies/{name}.json").write_text(json.dumps(content))

    def post(self, recipient: notices.Recipient, _source: str, text: str | None, *, mail: bool) -> bool:
        if text is None:
            self.notices.pop(str(recipient.uid), None)
        else:
            self.notices[str(recipient.uid)] = notices.sanitise(text)
        if not self.mail_works:
            raise LyceumError("no mail")
        return True

    def stop(self, policy: Policy, identity: str, grace: int) -> None:
        self.done.append(f"stop {policy.name} {identity[:4]} {grace}")
        if not self.podman_works:
            raise CommandError("podman stop: broken settings")
        self.containers = [one for one in self.containers if one.identity != identity]

    def end(self, one: Container, number: signal.Signals, _belongs: Any) -> int:
        self.done.append(f"{number.name} {one.name}")
        if number == signal.SIGKILL:
            self.containers.remove(one)
        return 1

    def look(self, now: float, **options: Any) -> host.Look:
        self.now = now
        return host.look(self.settings, **{"only": None, "dry_run": False, **options})

    def log(self) -> list[str]:
        path = self.folder / "log"
        return [json.loads(line)["event"] for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    site = Host(tmp_path, monkeypatch)
    site.person("amartin", 2001, runtime_hours=10)
    return site


def test_warned_twice_then_stopped_and_told(site: Host) -> None:
    site.containers = [container()]
    site.look(7 * HOUR)
    assert site.notices == {}
    site.look(8 * HOUR)
    assert "web at " in site.notices["2001"]
    assert "over 80 %" in site.notices["2001"]
    site.look(9.6 * HOUR)
    assert "over 95 %" in site.notices["2001"]
    assert site.done == []
    site.look(10 * HOUR)
    assert site.done == ["stop amartin 7765 30"]
    assert site.notices["2001"].startswith("Stopped web on ")
    assert site.log() == ["warned", "warned", "stopped"]
    state = json.loads((site.folder / "state/state.json").read_text())
    assert state["people"]["amartin"]["stops"] == {"runtime": 1}
    assert state["people"]["amartin"]["containers"] == {}
    metrics = (site.folder / "lyceum_containers.prom").read_text()
    assert 'lyceum_containers_stops_total{person="amartin",rule="runtime"} 1' in metrics


def test_the_notice_stays_the_same_from_look_to_look(site: Host) -> None:
    site.containers = [container()]
    site.look(8 * HOUR)
    first = site.notices["2001"]
    for minute in range(1, 60):
        site.look(8 * HOUR + 60 * minute)
        assert site.notices["2001"] == first


def test_a_notice_is_withdrawn_when_the_container_has_ended(site: Host) -> None:
    site.containers = [container()]
    site.look(8 * HOUR)
    site.containers = []
    site.look(8.1 * HOUR)
    assert site.notices == {}
    assert json.loads((site.folder / "state/state.json").read_text())["people"] == {}


def test_a_notice_that_cannot_be_left_stops_nothing(site: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> bool:
        raise LyceumError("cannot keep the notice: disk full")

    monkeypatch.setattr(notices, "post", fail)
    site.containers = [container()]
    for hour in range(8, 40):
        assert site.look(hour * HOUR).failures == ["cannot keep the notice: disk full"] * 2
    assert site.done == []


def test_mail_that_does_not_go_out_does_not_keep_a_container_for_ever(site: Host) -> None:
    site.mail_works = False
    site.containers = [container()]
    for number in range(4):
        site.look(10 * HOUR + number * 60)
    assert site.done == ["stop amartin 7765 30"]
    assert "failed" in site.log()


def test_a_broken_podman_ends_nothing_but_its_own_container_and_that_in_the_end(site: Host) -> None:
    site.person("bchen", 2002, runtime_hours=10)
    site.podman_works = False
    site.containers = [container()]
    for number in range(6):
        site.look(10 * HOUR + number * 60)
    assert site.done == ["stop amartin 7765 30", "SIGTERM web", "SIGKILL web"]
    assert site.log() == ["warned", "warned", "failed", "failed", "stopped"]


def test_a_container_that_lives_on_although_podman_says_otherwise_is_not_called_stopped(
    site: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(podman, "stop", lambda *_: None)
    site.containers = [container()]
    for number in range(3):
        seen = site.look(10 * HOUR + number * 60)
    assert seen.failures == ["web of amartin still runs after podman stop"]


def test_killed_before_anything_is_stopped_the_tool_remembers_that_it_warned(
    site: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.containers = [container()]

    def killed(_seen: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(host, "stop_all", killed)
        with pytest.raises(KeyboardInterrupt):
            site.look(10 * HOUR)
    assert site.look(10 * HOUR + 60).events[0]["percent"] == 95


def test_killed_while_it_stops_a_container_the_tool_tells_of_it_all_the_same(
    site: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.containers = [container()]
    site.look(8 * HOUR)
    site.look(9.6 * HOUR)

    def killed(policy: Policy, identity: str, grace: int) -> None:
        site.stop(policy, identity, grace)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(podman, "stop", killed)
        with pytest.raises(KeyboardInterrupt):
            site.look(10 * HOUR)
    assert site.log() == ["warned", "warned"]
    site.look(10 * HOUR + 60)
    assert site.notices["2001"].startswith("Stopped web on ")
    assert site.log() == ["warned", "warned", "stopped"]
    site.look(10 * HOUR + 120)
    assert site.log() == ["warned", "warned", "stopped"]


def test_who_has_no_account_any_more_is_forgotten(site: Host) -> None:
    site.person("nobody", os.getuid(), runtime_hours=1)
    site.containers = [container(), container(uid=os.getuid())]
    site.look(9 * HOUR)
    for name in ("amartin", "nobody"):
        (site.folder / f"policies/{name}.json").unlink()
    site.look(9 * HOUR + 60)
    # Of these two, only `nobody` has an account on the machine of the test.
    assert list(json.loads((site.folder / "state/state.json").read_text())["people"]) == ["nobody"]


def test_a_dry_run_does_and_remembers_nothing(site: Host) -> None:
    site.containers = [container()]
    for _ in range(5):
        found = host.summary(site.look(20 * HOUR, dry_run=True))
        assert found["people"]["amartin"]["warned"] == [{"name": "web", "rule": "runtime", "percent": 80, "new": True}]
    assert (site.done, site.notices, site.log()) == ([], {}, [])
    assert not (site.folder / "state/state.json").exists()


def test_one_person_alone_leaves_what_is_known_of_the_others(site: Host) -> None:
    site.person("bchen", 2002, runtime_hours=10)
    site.containers = [container(), container("db", uid=2002)]
    site.look(8 * HOUR)
    before = json.loads((site.folder / "state/state.json").read_text())["people"]["bchen"]
    (site.folder / "lyceum_containers.prom").unlink()
    site.look(8.1 * HOUR, only="amartin")
    assert json.loads((site.folder / "state/state.json").read_text())["people"]["bchen"] == before
    assert not (site.folder / "lyceum_containers.prom").exists()


def test_a_bad_policy_is_reported_and_the_others_are_served(site: Host) -> None:
    (site.folder / "policies/bchen.json").write_text("{")
    site.containers = [container()]
    seen = site.look(8 * HOUR)
    assert len(seen.failures) == 1
    assert "bchen.json" in seen.failures[0]
    assert "2001" in site.notices


def test_containers_without_a_policy_are_named(site: Host) -> None:
    site.containers = [container(uid=2999)]
    assert host.summary(site.look(0))["without_policy"] == [2999]
    assert site.done == []


def test_limits_of_single_containers_where_the_kernel_can(
    site: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(limits, "enforceable", lambda: True)
    monkeypatch.setattr(limits, "cgroup_of", lambda one: tmp_path / one.name)
    monkeypatch.setattr(
        limits, "too_wide", lambda _policy, cgroup: iter(["memory max"] if cgroup.name == "web" else [])
    )
    site.containers = [container("web"), container("db")]
    site.look(0)
    assert site.done == ["update amartin 7765"]
    assert site.log() == ["limited"]


def test_the_slow_hold_up_nobody() -> None:
    """As many as there are hands meet in the middle of their work, which one after the other never could."""
    meeting = threading.Barrier(host.AT_ONCE, timeout=10)
    assert host.at_once(lambda item: f"{item} {meeting.wait() >= 0}", range(host.AT_ONCE)) == [
        f"{number} True" for number in range(host.AT_ONCE)
    ]


def run_main(site: Host, *arguments: str) -> int:
    path = site.folder / "settings.json"
    fields = {key: value for key, value in dataclasses.asdict(site.settings).items() if value is not None}
    path.write_text(
        json.dumps({key: str(value) if isinstance(value, Path) else value for key, value in fields.items()})
    )
    return host.main([*arguments, "--settings", str(path)])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(["show"], "people"), (["--json"], "people"), (["look", "--json", "--dry-run"], "people")],
)
def test_the_command_line_prints_json(
    site: Host,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: Sequence[str],
    expected: str,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    site.containers = [container(since=-100)]
    assert run_main(site, *arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert found[expected]["amartin"]["running"][0] == {
        "id": container().identity,
        "name": "web",
        "age_seconds": 100,
        "idle_seconds": 0,
    }


def test_the_command_line_says_what_it_did(
    site: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    site.containers = [dataclasses.replace(container(), started=-round(9 * HOUR * TICKS))]
    (site.folder / "policies/bchen.json").write_text("{")
    assert run_main(site) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0].endswith("warned web 80 amartin runtime")
    assert out[1].startswith("FAILED ")


def test_only_root_and_only_with_settings(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert host.main(["--settings", "/does/not/exist"]) == 1
    assert "cannot use /does/not/exist" in capsys.readouterr().err
    monkeypatch.setattr(os, "geteuid", lambda: 2001)
    with pytest.raises(SystemExit):
        host.main([])


def test_sample_settings_are_all_below_one_folder(tmp_path: Path) -> None:
    assert isinstance(settings(tmp_path), Settings)
