# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs of the package quota, as recorded from Debian 12 (4.06) and 13 (4.09) on ext4 and XFS."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils.lyceum.errors import CommandError
from ansible.module_utils.lyceum.quota import tools
from ansible.module_utils.lyceum.quota.model import Limits
from ansible.module_utils.lyceum.quota.tools import Record, missing, parse, read, write, write_grace

from .conftest import FIXTURES, FakeHost

RECORDED = sorted((FIXTURES / "quota").glob("repquota-*.csv"))
CLOCK = {"4.06": 1795864453, "4.09": 1795864451}


def recorded(version: str, fstype: str, kind: str) -> dict[int, Record]:
    return parse((FIXTURES / f"quota/repquota-{version}-{fstype}-{kind}.csv").read_text())


def test_both_releases_and_file_systems_are_recorded() -> None:
    assert len(RECORDED) == 12


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_every_recorded_line_is_read(path: Path) -> None:
    assert len(parse(path.read_text())) == len(path.read_text().splitlines()) - 1


@pytest.mark.parametrize("version", CLOCK)
def test_recorded_numbers(version: str) -> None:
    assert recorded(version, "ext4", "user") == {
        0: Record(Limits(), 20, 2),
        2001: Record(Limits(1000, 2000, 10, 20), 1304, 4, CLOCK[version]),
        2002: Record(Limits(9_000_000_000, 10_000_000_000, 900_000, 1_000_000), 0, 0),
        2003: Record(Limits(0, 0, 0, 7), 0, 0),
    }
    assert recorded(version, "xfs", "group")[2001] == Record(Limits(1000, 0, 1, 0), 1300, 4, None, CLOCK[version])
    assert recorded(version, "xfs", "project")[4294967294] == Record(Limits(4, 4, 1, 1), 0, 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "repquota: its output is not the one known: []"),
        ("*** Report for user quotas", "repquota: its output is not the one known: ['*** Report for user quotas']"),
        (
            f"User,{','.join(tools.HEADER)}\namartin,ok,ok,1,0,0,0,1,0,0,0\n",
            "repquota: a line is not understood: amartin,ok,ok,1,0,0,0,1,0,0,0",
        ),
        (
            f"User,{','.join(tools.HEADER)}\n#1,ok,ok,1,0,0,6days,1,0,0,0\n",
            "repquota: a line is not understood: #1,ok,ok,1,0,0,6days,1,0,0,0",
        ),
        (f"User,{','.join(tools.HEADER)}\n#1,ok\n", "repquota: a line is not understood: #1,ok"),
    ],
)
def test_what_is_not_understood_is_not_guessed(text: str, message: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse(text)
    assert str(caught.value) == message


def test_many_limits_are_one_process(host: FakeHost) -> None:
    mount = str(host.folder / "home")
    limits = {2001 + number: Limits(90, 100 + 4 * number, 9, 10) for number in range(100)}
    assert write(mount, "user", limits) == ""
    assert host.calls("setquota") == [f"setquota -u -b -c {mount}"]
    assert {number: record.limits.space_hard for number, record in read(mount, "user").items() if number} == {
        number: new.space_hard for number, new in limits.items()
    }


def test_the_complaint_about_a_line_is_passed_on(host: FakeHost) -> None:
    host.write({**host.read(), "deaf": [2002]})
    words = write(str(host.folder / "home"), "user", {2001: Limits(4, 4, 1, 1), 2002: Limits(4, 4, 1, 1)})
    assert words == "setquota: Cannot write quota for 2002 on /dev/sdb1: No space left on device"
    assert list(host.limits("home", "user")) == [2001]


def test_a_program_that_fails_is_named_with_its_words(host: FakeHost) -> None:
    mount = str(host.folder / "plain")
    words = (
        f"exited with 1: {{}}: Mountpoint (or device) {mount} not found or has no quota enabled.;"
        " {}: Not all specified mountpoints are using quota."
    )
    with pytest.raises(CommandError) as caught:
        read(mount, "user")
    assert str(caught.value) == f"repquota -u -vnp -O csv {mount} " + words.format("repquota", "repquota")
    with pytest.raises(CommandError) as caught:
        write_grace(mount, "project", 60)
    assert str(caught.value) == f"setquota -P -t 60 60 {mount} " + words.format("setquota", "setquota")


def test_missing_programs_are_said(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing() is None
    monkeypatch.setattr(tools, "PATH", "/nowhere")
    assert missing() == "repquota and setquota not installed. Remedy: install the package quota."
