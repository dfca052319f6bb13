# SPDX-License-Identifier: GPL-3.0-or-later
"""The command a timer runs, from the files of the role to notices and metrics."""

from __future__ import annotations

import grp
import json
import os
from pathlib import Path

import pytest
from ansible.module_utils.lyceum.storage import purger
from ansible.module_utils.lyceum.storage.host import main, members

from .conftest import Site, notice_of

GIB = 1024 * 1024  # in KiB


def test_a_run_reads_warns_hands_out_and_measures(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    textfiles = site.folder / "textfiles"
    textfiles.mkdir()
    site.settings["textfile_dir"] = str(textfiles)
    site.write()
    site.host.use("home", "user", 2001, GIB * 95 // 100, 10)
    # Limits are read from the kernel, where the role has set them.
    content = site.host.read()
    content["mounts"][f"{site.folder}/home"]["user"]["2001"][1:3] = [GIB * 9 // 10, GIB]
    site.host.write(content)
    assert main(["usage"]) == 0
    assert capsys.readouterr() == ("", "")
    assert notice_of(site, 2001, "storage") == (
        "Your home: more than 90 % of 1 GiB is used.\nSee what you use: lyceum-limits\n"
    )
    assert notice_of(site, 2002, "storage") is None
    banner = (site.base / "people/2001.banner").read_text().splitlines()
    assert banner[0] == "home       972.8 MiB of 1 GiB (95 %), 10 files"
    assert [line.split()[0] for line in banner] == ["home", "scratch", "retina"]
    handed = json.loads((site.base / "people/2001").read_text())
    assert [one["what"] for one in handed["rows"]] == ["home", "scratch", "total", "project"]
    assert "lyceum_storage_problems 0\n" in (textfiles / "lyceum_storage.prom").read_text()
    # A little less is no reason to withdraw; a lot less is.
    for kib, expected in ((GIB * 88 // 100, True), (GIB // 2, False)):
        site.host.use("home", "user", 2001, kib, 10)
        assert main(["usage"]) == 0
        assert (notice_of(site, 2001, "storage") is not None) == expected


def test_people_who_left_leave_nothing_and_suspended_ones_no_notice(site: Site) -> None:
    main(["usage"])
    (site.folder / "lyceum/notices/2001").mkdir(parents=True)
    (site.folder / "lyceum/notices/2001/storage").write_text("old")
    site.people[0]["state"] = "absent"
    site.people[1]["state"] = "suspended"
    site.write()
    assert main(["usage"]) == 0
    assert sorted(path.name for path in (site.base / "people").iterdir()) == ["2002", "2002.banner"]
    assert not (site.folder / "lyceum/notices/2001").exists()


def test_one_file_system_that_fails_stops_nothing_else(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    content = site.host.read()
    del content["mounts"][f"{site.folder}/srv"]["project"]
    site.host.write(content)
    site.host.use("home", "user", 2001, 4, 1)
    assert main(["usage"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"lyceum-storage: repquota -P -vnp -O csv {site.folder}/srv exited with 1: ")
    assert (site.base / "people/2001.banner").read_text().startswith("home       4 KiB")


def test_without_settings_it_is_said(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    (site.etc / "groups_and_acls.json").unlink()
    assert main(["usage"]) == 1
    assert "groups_and_acls.json: No such file or directory" in capsys.readouterr().err


def test_mail_that_cannot_be_sent_is_a_problem_and_the_rest_is_done(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ansible.module_utils.lyceum.notices.SENDMAIL", "/nowhere/sendmail")
    site.settings["mail"] = True
    for person in site.people:
        content = site.host.read()
        content["mounts"][f"{site.folder}/home"]["user"][str(person["uid"])] = [GIB, 0, GIB, 0, 1, 0, 0, 0]
        site.host.write(content)
    site.write()
    assert main(["usage"]) == 1
    assert capsys.readouterr().err.count("no mail to ") == 2
    assert notice_of(site, 2001, "storage") is not None
    assert (site.base / "usage.json").exists()


def test_the_report_is_json_before_and_after_the_first_look(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["rows"] == []
    main(["usage"])
    purger.LOG.parent.mkdir()
    assert main(["report"]) == 0
    tables = json.loads(capsys.readouterr().out)
    assert [cells[0] for cells in tables[0]["rows"]] == ["amartin", "amartin", "bchen", "bchen", "retina"]


def test_purging_is_told_what_would_go(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    path = site.scratch / "amartin"
    path.mkdir()
    os.chown(path, 2001, 2001)
    assert main(["purge", "--dry-run"]) == 0
    assert main(["purge"]) == 0
    assert capsys.readouterr() == ("", "")
    Path(site.scratch / "amartin").rmdir()
    path.write_text("no directory")
    assert main(["purge"]) == 1
    assert "lyceum-storage: amartin: " in capsys.readouterr().err


def test_members_are_those_of_the_host(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {10001: grp.struct_group(("vision", "x", 10001, ["amartin", "stranger"]))}
    monkeypatch.setattr(grp, "getgrgid", known.__getitem__)
    site.settings["groups"] = {"vision": 10001, "gone": 10002}
    assert members(site.write()) == {"vision": ["amartin"]}
