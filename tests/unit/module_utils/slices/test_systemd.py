# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemctl is called with, and what its answers mean."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils.lyceum.errors import CommandError
from ansible.module_utils.lyceum.slices import systemd

from .conftest import Host

ANSWER = """\
ControlGroup=/user.slice/user-2001.slice
Id=user-2001.slice
CPUWeight=[not set]
CPUQuotaPerSecUSec=1.500000s
AllowedCPUs=0-1
MemoryHigh=infinity
MemoryMax=536870912
MemorySwapMax=0
TasksMax=256
IOWeight=50

Id=user-2002.slice
TasksMax=infinity

Id=other.slice
TasksMax=5
"""


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that keeps its arguments and says what is in `answer`."""
    program = tmp_path / "systemctl"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" > {tmp_path}/said\ncat {tmp_path}/answer\n')
    program.chmod(0o755)
    monkeypatch.setattr(systemd, "SYSTEMCTL", str(program))
    return tmp_path


def test_all_slices_are_asked_for_at_once(systemctl: Path) -> None:
    (systemctl / "answer").write_text(ANSWER)
    assert systemd.show([2001, 2002]) == {
        2001: {
            "CPUWeight": None,
            "CPUQuota": 15_000,
            "AllowedCPUs": (0, 1),
            "MemoryHigh": None,
            "MemoryMax": 2**29,
            "MemorySwapMax": 0,
            "TasksMax": 256,
            "IOWeight": 50,
        },
        2002: {"TasksMax": None},
    }
    said = (systemctl / "said").read_text()
    assert said.startswith("show --property=Id,")
    assert said.endswith(" -- user-2001.slice user-2002.slice\n")


def test_nobody_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "SYSTEMCTL", "/nowhere/systemctl")
    assert systemd.show([]) == {}


def test_an_answer_that_cannot_be_understood(systemctl: Path) -> None:
    (systemctl / "answer").write_text("Id=user-2001.slice\nMemoryMax=plenty\n")
    with pytest.raises(CommandError) as raised:
        systemd.show([2001])
    assert str(raised.value) == "systemctl show prints MemoryMax=plenty, which cannot be understood"


def test_a_refusal_is_told(systemctl: Path) -> None:
    (systemctl / "systemctl").write_text("#!/bin/sh\necho 'Access denied' >&2\nexit 4\n")
    with pytest.raises(CommandError) as raised:
        systemd.reload()
    assert str(raised.value) == "systemctl daemon-reload failed with exit status 4: Access denied"


def test_a_host_without_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "SYSTEMCTL", "/nowhere/systemctl")
    with pytest.raises(CommandError) as raised:
        systemd.reload()
    assert str(raised.value) == "cannot run systemctl daemon-reload: systemctl is not installed"


def test_applying_to_a_live_slice_leaves_no_file(host: Host) -> None:
    host.log_in(2001)
    systemd.apply_live(2001, {"MemoryMax": 2**29, "CPUQuota": None, "AllowedCPUs": (0, 1)})
    assert host.calls == [
        ["set-property", "--runtime", "--", "user-2001.slice", "MemoryMax=512M", "CPUQuota=", "AllowedCPUs=0-1"]
    ]
    assert host.kernel(2001, "MemoryMax") == str(2**29)
    assert not (host.root / "run/systemd/system.control/user-2001.slice.d").exists()


def test_applying_leaves_the_files_of_others(host: Host) -> None:
    host.log_in(2001)
    kept = host.root / "run/systemd/system.control/user-2001.slice.d/50-TasksMax.conf"
    kept.parent.mkdir(parents=True)
    kept.write_text("[Slice]\nTasksMax=7\n")
    systemd.apply_live(2001, {"MemoryMax": 2**29})
    assert list(kept.parent.iterdir()) == [kept]
