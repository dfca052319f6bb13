# SPDX-License-Identifier: GPL-3.0-or-later
"""Use is counted by the kernel where it counts, and measured where it does not; no file counts twice."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.quota.kernel import State
from ansible.module_utils.lyceum.storage import usage
from ansible.module_utils.lyceum.storage.usage import Row, Usage, add_up_usage, collect, measure, rows_of

from .conftest import Site

MIB = 1024 * 1024


def row(**values: Any) -> Row:
    """A home of which nothing is used, unless said otherwise."""
    blank: dict[str, Any] = dict.fromkeys(Row.__dataclass_fields__)
    about = {"what": "home", "name": "amartin", "person": "amartin", "filesystem": "/home", "kind": "user", "id": 2001}
    return Row(**{**blank, **about, "used_bytes": 0, "used_files": 0, "enforced": True, "why_not": "", **values})


def test_what_the_kernel_counts(site: Site) -> None:
    site.host.use("home", "user", 2001, 512 * 1024, 10)
    site.host.use("home", "user", 2002, 100, 1)
    site.host.use("srv", "project", 1002001, 1024, 3)
    site.host.use("srv", "project", 11001, 2048, 5)
    site.host.use("srv", "user", 2001, 4096, 9)
    site.host.write({**site.host.read()})
    found = collect(site.write(), (), {"vision": ["amartin", "bchen", "nobody"]}, lambda: 1000.0)
    assert found.errors == []
    assert [(one.what, one.name, one.kind, one.used_bytes, one.used_files, one.measured) for one in found.rows] == [
        ("home", "amartin", "user", 512 * MIB, 10, None),
        ("scratch", "amartin", "project", MIB, 3, None),
        ("total", "amartin", "user", 4 * MIB, 9, None),
        ("home", "bchen", "user", 102400, 1, None),
        ("scratch", "bchen", "project", 0, 0, None),
        ("project", "retina", "project", 2 * MIB, 5, None),
    ]
    assert found.people == {
        "amartin": {"bytes": 513 * MIB, "files": 13},
        "bchen": {"bytes": 102400, "files": 1},
    }
    assert found.projects == {"retina": {"bytes": 2 * MIB, "files": 5}}
    assert found.groups == {"vision": {"bytes": 513 * MIB + 102400, "files": 14}}
    assert found.institution == {"bytes": 515 * MIB + 102400, "files": 19}
    assert rows_of(found.as_dict()) == found.rows


def fill(site: Site) -> None:
    for name, size in (
        ("home/amartin/a", 8192),
        ("srv/scratch/amartin/b/c", 4096),
        ("srv/projects/.gid/11001/d", 4096),
    ):
        path = site.folder / name
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x" * size)


def test_what_nobody_counts_is_walked_through(site: Site) -> None:
    fill(site)
    site.host.states.clear()
    found = collect(site.write(), (), {}, lambda: 1000.0)
    assert {(one.what, one.name): (one.used_files, one.measured) for one in found.rows} == {
        ("home", "amartin"): (2, 1000.0),
        ("scratch", "amartin"): (3, 1000.0),
        ("total", "amartin"): (None, None),
        ("home", "bchen"): (0, 1000.0),  # no home yet
        ("scratch", "bchen"): (0, 1000.0),
        ("project", "retina"): (2, 1000.0),
    }
    home = next(one for one in found.rows if (one.what, one.name) == ("home", "amartin"))
    assert (home.hard_bytes, home.hard_files, home.enforced) == (1024 * MIB, 1000, False)
    assert "they are off" in home.why_not
    assert home.used_bytes is not None
    assert home.used_bytes >= 8192
    assert found.institution["files"] == 7


def test_a_measurement_is_kept_until_it_is_too_old(site: Site) -> None:
    fill(site)
    site.host.states.clear()
    policy = site.write()
    first = collect(policy, (), {}, lambda: 1000.0)
    (site.folder / "home/amartin/new").touch()
    hour = collect(policy, first.rows, {}, lambda: 1000.0 + 3600)
    assert {one.measured for one in hour.rows if one.what != "total"} == {1000.0}
    day = collect(policy, hour.rows, {}, lambda: 1000.0 + 86400)
    assert next(one.used_files for one in day.rows if one.what == "home") == 3
    site.settings["walk_hours"] = 0
    never = collect(site.write(), day.rows, {}, lambda: 10.0**9)
    assert never.rows == day.rows


def test_walking_ends_when_its_time_is_over_and_goes_on_with_the_oldest(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.host.states.clear()
    policy = site.write()
    now = [1000.0]

    def slow(_path: str, _complain: Any) -> tuple[int, int]:
        now[0] += usage.WALK_SECONDS / 2
        return 1, 1

    monkeypatch.setattr(usage, "measure", slow)
    found = collect(policy, (), {}, lambda: now[0])
    assert len([one for one in found.rows if one.measured]) == 2
    measured = {one.key for one in found.rows if one.measured}
    again = collect(policy, found.rows, {}, lambda: now[0])
    assert len([one for one in again.rows if one.measured]) == 4
    assert measured < {one.key for one in again.rows if one.measured}


def test_one_file_system_for_everything_counts_by_owner() -> None:
    rows = [
        row(filesystem="/", used_bytes=100, used_files=10),
        row(what="scratch", filesystem="/", kind="project", used_bytes=30, used_files=3),
        row(what="project", name="retina", person=None, filesystem="/", kind="project", used_bytes=20, used_files=2),
    ]
    found = Usage(0.0, rows)
    add_up_usage(found, {"vision": ["amartin"]})
    assert found.people == {"amartin": {"bytes": 100, "files": 10}}
    assert found.projects == {"retina": {"bytes": 20, "files": 2}}
    assert found.institution == {"bytes": 100, "files": 10}


def test_a_home_with_two_quotas_counts_once() -> None:
    rows = [
        row(used_bytes=100, used_files=10),
        row(kind="project", id=2002001, used_bytes=90, used_files=9),
        row(what="total", filesystem="/srv", used_bytes=50, used_files=5),
    ]
    found = Usage(0.0, rows)
    add_up_usage(found, {})
    assert found.people == {"amartin": {"bytes": 100, "files": 10}}


def test_what_is_not_known_counts_for_nothing() -> None:
    found = Usage(0.0, [replace(row(), used_bytes=None, used_files=None)])
    add_up_usage(found, {"empty": ["amartin"]})
    assert (found.people, found.institution, found.groups) == ({}, {}, {"empty": {"bytes": 0, "files": 0}})


def test_measuring_counts_links_once_and_follows_none(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/file").write_bytes(b"x" * 100_000)
    os.link(tmp_path / "sub/file", tmp_path / "again")
    (tmp_path / "out").symlink_to("/usr")
    found = measure(str(tmp_path), pytest.fail)
    assert found is not None
    assert found[1] == 4
    assert 100_000 <= found[0] < 150_000
    assert measure(str(tmp_path / "missing"), pytest.fail) is None
    with pytest.raises(NotADirectoryError):
        measure(str(tmp_path / "out"), pytest.fail)


def test_what_cannot_be_measured_is_told(site: Site) -> None:
    site.host.states[f"{site.folder}/home", "user"] = State(False, False)
    (site.folder / "home/amartin").write_text("no directory")
    found = collect(site.write(), (), {}, lambda: 1000.0)
    assert found.errors == [f"cannot measure {site.folder}/home/amartin: Not a directory"]
