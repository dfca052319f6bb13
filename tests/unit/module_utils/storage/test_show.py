# SPDX-License-Identifier: GPL-3.0-or-later
"""Use and limits in lines, tables and metrics."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible.module_utils.lyceum.storage.show import amount, banner, line, metrics, sections
from ansible.module_utils.lyceum.storage.usage import Row, Usage, add_up_usage

from .test_usage import row

GIB = 1024**3
HOME = row(hard_bytes=100 * GIB, used_bytes=4 * GIB, hard_files=20000, used_files=1203)


def project(name: str, used: int) -> Row:
    values = {"kind": "project", "id": 11001, "person": None, "filesystem": "/srv"}
    return row(what="project", name=name, used_bytes=used * GIB, hard_bytes=100 * GIB, **values)


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (HOME, "home       4 GiB of 100 GiB (4 %), 1203 of 20000 files"),
        (row(what="scratch"), "scratch    nothing, 0 files"),
        (row(what="scratch", used_bytes=100, used_files=1), "scratch    1 KiB, 1 files"),
        (project("retina", 50), "retina     50 GiB of 100 GiB (50 %), 0 files"),
        (replace(HOME, enforced=False), "home       4 GiB of 100 GiB (4 %), 1203 of 20000 files; not enforced"),
        (row(enforced=False), "home       nothing, 0 files"),
        (
            replace(HOME, space_ends=1795261944),
            (
                "home       4 GiB of 100 GiB (4 %), 1203 of 20000 files;"
                " over the soft limit, writing stops 2026-11-21 11:52 UTC"
            ),
        ),
        (
            replace(HOME, measured=1795261944.5),
            "home       4 GiB of 100 GiB (4 %), 1203 of 20000 files (measured 2026-11-21)",
        ),
        (replace(HOME, used_bytes=None, used_files=None), "home       limit 100 GiB, use unknown"),
        (row(what="total", filesystem="/srv"), "all on /srv nothing, 0 files"),
    ],
)
def test_lines(shown: Row, text: str) -> None:
    assert line(shown) == text


def test_amounts() -> None:
    assert [amount(used) for used in (0, 1, 4096, GIB)] == ["nothing", "1 KiB", "4 KiB", "1 GiB"]


def test_the_banner_is_short_and_shows_the_fullest_projects() -> None:
    rows = [project(f"p{number}", 10 * number) for number in range(8)]
    rows += [row(what="total", filesystem="/srv"), row(what="scratch"), HOME]
    assert [text.split()[0] for text in banner(rows)] == ["home", "scratch", "p7", "p6", "and"]
    assert banner(rows)[-1] == "and 6 more: lyceum-limits"
    assert [text.split()[0] for text in banner(rows[:1])] == ["p0"]


def test_the_banner_warns_of_a_total_and_shows_a_home_once() -> None:
    full = row(what="total", filesystem="/srv", used_bytes=90 * GIB, hard_bytes=100 * GIB)
    assert banner([full]) == ["all on /srv 90 GiB of 100 GiB (90 %), 0 files"]
    apart = replace(HOME, kind="project", id=2002001, used_bytes=GIB)
    assert banner([HOME, apart]) == ["home       1 GiB of 100 GiB (1 %), 1203 of 20000 files"]


def some() -> Usage:
    reason = "/srv (ext4 on /dev/sdc): they are off"
    usage = Usage(1795261944.0, [HOME, replace(project("retina", 5), enforced=False, why_not=reason)])
    add_up_usage(usage, {"vision": ["amartin"]})
    return usage


def test_the_tables_of_the_report() -> None:
    purged = [{"person": "amartin", "files": 3, "bytes": 2 * GIB, "failed": 0, "announced": 7}]
    tables = {one["title"]: one for one in sections(some(), purged)}
    assert tables["Storage by person and project"]["rows"] == [
        ["amartin", "home", "4 GiB", "100 GiB", "6 %", "1203", "20000"],
        ["retina", "project", "5 GiB", "100 GiB", "5 %", "0", "-"],
    ]
    assert tables["Storage by group and in all"]["rows"] == [
        ["group vision", "4 GiB", "1203"],
        ["everybody together", "9 GiB", "1203"],
    ]
    assert tables["Limits of storage that are not enforced"]["rows"] == [
        ["/srv (ext4 on /dev/sdc): they are off", "1", "retina"]
    ]
    assert tables["Purge of scratch in the last 30 days"]["rows"] == [["amartin", "3", "2.0", "0", "7"]]
    for one in tables.values():
        assert all(len(cells) == len(one["header"]) for cells in one["rows"])
        assert all(isinstance(cell, str) for cells in one["rows"] for cell in cells)


def test_a_host_that_was_never_looked_at_has_empty_tables() -> None:
    assert [one["rows"] for one in sections(Usage(0.0, []), [])] == [
        [],
        [["everybody together", "nothing", "0"]],
        [],
        [],
    ]


def test_metrics_are_whole_numbers_with_labels() -> None:
    lines = metrics(some(), 2).splitlines()
    labels = 'what="home",person="amartin",filesystem="/home",kind="user"'
    assert f"lyceum_storage_used_bytes{{{labels}}} 4294967296" in lines
    assert f"lyceum_storage_hard_files{{{labels}}} 20000" in lines
    assert f"lyceum_storage_enforced{{{labels}}} 1" in lines
    assert 'lyceum_storage_enforced{what="project",project="retina",filesystem="/srv",kind="project"} 0' in lines
    assert 'lyceum_storage_person_bytes{person="amartin"} 4294967296' in lines
    assert 'lyceum_storage_group_files{group="vision"} 1203' in lines
    assert 'lyceum_storage_project_bytes{project="retina"} 5368709120' in lines
    assert "lyceum_storage_institution_bytes 9663676416" in lines
    assert "lyceum_storage_problems 2" in lines
    assert "lyceum_storage_last_run_timestamp_seconds 1795261944" in lines
    families = [text.split()[2] for text in lines if text.startswith("# TYPE")]
    assert len(families) == len(set(families))
    # What has no limit has no sample, and every sample has a family.
    assert not any(text.startswith("lyceum_storage_soft_bytes") for text in lines)
    assert {text.split("{")[0].split(" ")[0] for text in lines if not text.startswith("#")} <= set(families)


def test_labels_are_escaped() -> None:
    odd = Usage(0.0, [row(filesystem='/a"b\\c\nd')])
    assert 'filesystem="/a\\"b\\\\c\\nd"' in metrics(odd, 0)
