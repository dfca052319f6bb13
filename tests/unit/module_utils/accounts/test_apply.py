# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole runs on a pretended host. They change owners, so they need root (the lab and CI are root)."""

from __future__ import annotations

import os
import stat
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible.module_utils.lyceum.accounts import apply, homes
from ansible.module_utils.lyceum.errors import ConflictError, LyceumError, RefusedError

from .conftest import TODAY, Host, needs_root, person

pytestmark = needs_root

NONE = 0xFFFFFFFF


def acl_xattr(entries: list[tuple[int, int, int]]) -> bytes:
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


VISION = {"name": "vision", "gid": 10001}


def test_creates_account_group_home_and_subids(host: Host) -> None:
    outcome = host.run([person(groups=["vision"], expires="2029-08-31")], [VISION])
    assert outcome.failures == {}
    assert host.line("passwd", "amartin") == "amartin:x:2001:2001:A. Martin:/home/amartin:/bin/bash"
    # 2029-08-31 is day 21792 since 1970-01-01 (date -d 2029-08-31 +%s / 86400); PAM refuses on the day in the field.
    assert host.line("shadow", "amartin") == "amartin:*:20778:0:99999:7::21793:"
    assert host.line("group", "amartin") == "amartin:x:2001:"
    assert host.line("group", "vision") == "vision:x:10001:amartin"
    assert host.line("gshadow", "vision") == "vision:!::amartin"
    assert host.line("subuid", "amartin") == "amartin:524288:65536"
    home = host.root / "home/amartin"
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert (home.stat().st_uid, (home / ".profile").stat().st_uid) == (2001, 2001)
    assert (home / ".profile").read_text() == "umask 077\n"
    assert outcome.plan.people["amartin"].result == "created"


def test_second_run_plans_nothing_and_writes_nothing(host: Host) -> None:
    people = [person(groups=["vision"]), person("bchen", 2002, state="suspended"), person("gone", 2003, state="absent")]
    host.run(people, [VISION])
    before = host.snapshot()
    outcome = host.run(people, [VISION])
    assert not outcome.plan.changed
    assert outcome.plan.unchanged == ["amartin", "bchen", "gone"]
    assert host.snapshot() == before


def test_check_mode_plans_the_same_and_changes_nothing(host: Host) -> None:
    before = host.snapshot()
    checked = host.run([person(groups=["vision"])], [VISION], check=True)
    assert host.snapshot() == before
    applied = host.run([person(groups=["vision"])], [VISION])
    assert checked.plan.actions() == applied.plan.actions()
    assert checked.plan.people["amartin"].after == applied.plan.people["amartin"].after


def test_suspend_locks_expires_and_keeps_data_then_resume_restores_the_password(host: Host) -> None:
    host.run([person()])
    shadow = host.root / "etc/shadow"
    shadow.write_text(shadow.read_text().replace("amartin:*:", "amartin:$y$j9T$abc:"))
    outcome = host.run([person(state="suspended")])
    assert host.line("passwd", "amartin") == "amartin:x:2001:2001:A. Martin:/home/amartin:/usr/sbin/nologin"
    assert host.line("shadow", "amartin") == "amartin:!$y$j9T$abc:20778:0:99999:7::1:"
    assert (host.root / "home/amartin/.profile").exists()
    assert outcome.plan.people["amartin"].result == "suspended"
    said = [line for one in outcome.plan.people.values() for line in [*one.before, *one.after, *one.actions]]
    assert said
    assert not any("$y$" in line for line in said)
    host.run([person()])
    assert host.line("shadow", "amartin") == "amartin:$y$j9T$abc:20778:0:99999:7:::"
    assert host.line("passwd", "amartin").endswith("/bin/bash")  # type: ignore[union-attr]


def test_absent_archives_verifies_and_removes_everything(host: Host) -> None:
    host.run([person(groups=["vision"]), person("bchen", 2002, groups=["vision"])], [VISION])
    home = host.root / "home/amartin"
    (home / "thesis.tex").write_text("all of it\n")
    (home / "link").symlink_to("/etc/passwd")
    crontabs = host.root / "var/spool/cron/crontabs"
    crontabs.mkdir(parents=True)
    (crontabs / "amartin").write_text("* * * * * true\n")
    stray = host.root / "srv/stray"
    stray.write_text("x")
    os.chown(stray, 2001, 2001)
    outcome = host.run([person(state="absent"), person("bchen", 2002, groups=["vision"])], [VISION])
    assert outcome.failures == {}
    for name in ("passwd", "shadow", "group", "gshadow", "subuid", "subgid"):
        assert host.line(name, "amartin") is None, name
    assert host.line("group", "vision") == "vision:x:10001:bchen"
    assert not home.exists()
    assert not (crontabs / "amartin").exists()
    archive = outcome.archives["amartin"]
    listing = subprocess.run(["tar", "--zstd", "-tf", archive], capture_output=True, text=True, check=True).stdout
    assert {"home/amartin/thesis.tex", "home/amartin/link", "var/spool/cron/crontabs/amartin"} <= set(listing.split())
    directory = Path(archive).parent
    subprocess.run(["sha256sum", "-c", f"{archive}.sha256"], cwd=directory, check=True, capture_output=True)
    assert stat.S_IMODE(Path(archive).stat().st_mode) == 0o600
    assert outcome.reports == [f"amartin (uid 2001) still owns 1 file(s) below /srv: {stray}"]
    assert (host.root / "etc/passwd").exists()


def test_keep_data_removes_the_account_and_leaves_the_home(host: Host) -> None:
    host.run([person(), person("bchen", 2002)])
    outcome = host.run([person(state="absent"), person("bchen", 2002)], keep_data=True)
    assert (host.root / "home/amartin/.profile").exists()
    assert host.line("passwd", "amartin") is None
    assert outcome.archives == {}


def test_failed_archive_keeps_home_and_locked_account_and_stops_nobody_else(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.run([person(), person("bchen", 2002)])
    (host.root / "home/amartin/data").write_text("precious")

    def fail(*_args: object) -> str:
        raise LyceumError("no space left")

    monkeypatch.setattr(homes, "archive", fail)
    people = [person(state="absent"), person("bchen", 2002, gecos="B. Chen"), person("new", 2003)]
    outcome = host.run(people)
    assert outcome.failures == {"amartin": "no space left"}
    assert (host.root / "home/amartin/data").read_text() == "precious"
    assert host.line("shadow", "amartin") == "amartin:!*:20778:0:99999:7::1:"
    assert "B. Chen" in (host.line("passwd", "bchen") or "")
    assert host.line("passwd", "new") is not None
    monkeypatch.undo()
    again = host.run(people)
    assert again.failures == {}
    assert host.line("passwd", "amartin") is None


def test_archive_that_differs_from_the_files_deletes_nothing(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.run([person(), person("bchen", 2002)])
    data = host.root / "home/amartin/data"
    data.write_text("first")
    real = homes._pack

    def pack_then_change(*args: object) -> str:
        digest = real(*args)  # type: ignore[arg-type]
        data.write_text("second, longer")
        return digest

    monkeypatch.setattr(homes, "_pack", pack_then_change)
    outcome = host.run([person(state="absent"), person("bchen", 2002)])
    assert "differs from the files" in outcome.failures["amartin"]
    assert data.read_text() == "second, longer"
    assert list((host.root / "var/backups/homes").iterdir()) == []


def test_members_outside_the_registry_are_removed_only_when_the_list_is_complete(host: Host) -> None:
    host.run([person(groups=["vision"]), person("bchen", 2002, groups=["vision"])], [VISION])
    host.run([person(groups=["vision"])], [VISION], complete=False)
    assert host.line("group", "vision") == "vision:x:10001:amartin,bchen"
    host.run([person(groups=["vision"])], [VISION])
    assert host.line("group", "vision") == "vision:x:10001:amartin"


def test_extra_members_stay(host: Host) -> None:
    host.run([person(groups=["vision"])], [{**VISION, "extra_members": ["www-data", "nobody-here"]}])
    assert host.line("group", "vision") == "vision:x:10001:amartin,www-data"


def test_one_person_at_a_time_gives_the_same_end_state(make_host: Callable[[str], Host]) -> None:
    people = [
        person(groups=["vision"]),
        person("bchen", 2002),
        person("dlopez", 2003, state="suspended", groups=["vision"]),
    ]
    whole, single = make_host("whole"), make_host("single")
    whole.run(people, [VISION])
    for one in people:
        single.run([one], [VISION], complete=False)
    ignoring_backups = [
        {key: value for key, value in host.snapshot().items() if not key.endswith("-")} for host in (whole, single)
    ]
    assert ignoring_backups[0] == ignoring_backups[1]


@pytest.mark.parametrize(
    ("people", "expected"),
    [
        ([person("www-data2", 33)], "uid 33 of www-data2 belongs to account www-data here"),
        ([person("sudo", 2001)], "group sudo has gid 27 here but 2001 in the registry"),
        ([person("amartin", 2001, gid=27)], "gid 27 of amartin belongs to group sudo here"),
    ],
)
def test_conflicts_are_found_before_anything_is_changed(
    host: Host, people: list[dict[str, object]], expected: str
) -> None:
    before = host.snapshot()
    with pytest.raises(ConflictError) as caught:
        host.run(people)
    assert expected in str(caught.value)
    assert {k: v for k, v in host.snapshot().items() if not k.startswith("run")} == before


def test_another_uid_is_a_conflict_unless_the_move_is_wanted(host: Host) -> None:
    host.run([person()])
    with pytest.raises(ConflictError, match=r"account amartin has uid 2001 here but 2101 in the registry"):
        host.run([person(uid=2101)])


def test_moving_to_another_uid_hands_over_files_acls_and_schedule(host: Host) -> None:
    host.run([person(groups=["vision"])], [VISION])
    home = host.root / "home/amartin"
    tool = home / "tool"
    tool.write_text("#!/bin/sh\n")
    os.chown(tool, 2001, 2001)
    tool.chmod(0o4755)
    shared = host.root / "srv/shared"
    shared.mkdir()
    # As `setfacl -m u:2001:rwx,g:2001:r` writes it: (tag, permissions, id), see acl(5).
    for name in ("system.posix_acl_access", "system.posix_acl_default"):
        entries = [(1, 7, NONE), (2, 7, 2001), (4, 5, NONE), (8, 4, 2001), (16, 7, NONE), (32, 5, NONE)]
        os.setxattr(shared, name, acl_xattr(entries))
    outcome = host.run([person(uid=2101, migrate_uid=True, groups=["vision"])], [VISION])
    assert outcome.failures == {}
    assert host.line("passwd", "amartin") == "amartin:x:2101:2101:A. Martin:/home/amartin:/bin/bash"
    assert host.line("group", "amartin") == "amartin:x:2101:"
    assert host.line("subuid", "amartin") == "amartin:524288:65536"  # kept: containers on disk use it
    assert (home.stat().st_uid, tool.stat().st_uid, tool.stat().st_gid) == (2101, 2101, 2101)
    assert stat.S_IMODE(tool.stat().st_mode) == 0o4755
    for name in ("system.posix_acl_access", "system.posix_acl_default"):
        assert os.getxattr(shared, name) == acl_xattr(
            [(1, 7, NONE), (2, 7, 2101), (4, 5, NONE), (8, 4, 2101), (16, 7, NONE), (32, 5, NONE)]
        )
    assert "amartin" in host.ended
    assert any("hand over 3 file(s)" in action for action in outcome.plan.actions()), outcome.plan.actions()
    assert not host.run([person(uid=2101, migrate_uid=True, groups=["vision"])], [VISION]).plan.changed


def test_home_drift_is_repaired_without_touching_what_is_inside(host: Host) -> None:
    host.run([person()])
    home = host.root / "home/amartin"
    inside = home / "paper"
    inside.write_text("x")
    inside.chmod(0o640)
    home.chmod(0o755)
    outcome = host.run([person()])
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE(inside.stat().st_mode) == 0o640
    assert outcome.plan.actions() == [
        "amartin: home /home/amartin: owner 2001:2001 mode 0755 -> 2001:2001 0700",
    ]


def test_the_home_of_somebody_suspended_stays_private_and_is_never_made(host: Host) -> None:
    host.run([person(), person("bchen", 2002, state="suspended")])
    (host.root / "home/amartin").chmod(0o755)
    host.run([person(state="suspended"), person("bchen", 2002, state="suspended")])
    assert stat.S_IMODE((host.root / "home/amartin").stat().st_mode) == 0o700
    assert not (host.root / "home/bchen").exists()


def test_a_home_of_somebody_else_is_a_conflict(host: Host) -> None:
    home = host.root / "home/amartin"
    home.mkdir()
    os.chown(home, 4242, 4242)
    with pytest.raises(ConflictError, match="belongs to uid 4242, not to amartin"):
        host.run([person()])


def test_a_changed_home_is_moved(host: Host) -> None:
    host.run([person()])
    (host.root / "home/amartin/data").write_text("x")
    outcome = host.run([person(home="/srv/home/amartin")])
    assert outcome.failures == {}
    assert (host.root / "srv/home/amartin/data").read_text() == "x"
    assert not (host.root / "home/amartin").exists()


@pytest.mark.parametrize(("percent", "count", "refused"), [(10, 10, True), (100, 10, False), (100, 4, True)])
def test_too_many_removals_are_refused(host: Host, percent: int, count: int, refused: bool) -> None:
    everybody = [person(f"p{number}", 2001 + number) for number in range(10)]
    host.run(everybody)
    leaving = [{**one, "state": "absent"} for one in everybody[:5]] + everybody[5:]
    before = host.snapshot()
    if refused:
        with pytest.raises(RefusedError, match="removes or suspends 5 of 10 accounts"):
            host.run(leaving, max_removals=count, max_removals_percent=percent)
        assert host.snapshot() == before
    else:
        assert host.run(leaving, max_removals=count, max_removals_percent=percent).failures == {}


def test_removals_named_one_by_one_are_allowed(host: Host) -> None:
    everybody = [person(f"p{number}", 2001 + number) for number in range(10)]
    host.run(everybody)
    names = [one["name"] for one in everybody[:5]]
    leaving = [{**one, "state": "absent"} for one in everybody[:5]] + everybody[5:]
    assert host.run(leaving, allow_removals=names).failures == {}


def test_an_empty_complete_list_is_refused(host: Host) -> None:
    with pytest.raises(LyceumError, match="people is empty"):
        host.run([])


def test_leftovers_of_a_killed_run_are_deleted(host: Host) -> None:
    for name in (".lyceum-amartin.new", ".lyceum-fmoreau.removed"):
        (host.root / "home" / name).mkdir()
        (host.root / "home" / name / "x").write_text("x")
    host.run([person()])
    assert sorted(path.name for path in (host.root / "home").iterdir()) == ["amartin"]


@pytest.mark.parametrize("table", ["shadow", "gshadow", "group", "subuid", "subgid"])
def test_a_line_missing_in_one_file_is_put_back(host: Host, table: str) -> None:
    host.run([person(groups=["vision"])], [VISION])
    whole = host.lines(table)
    path = host.root / "etc" / table
    path.write_text("".join(f"{line}\n" for line in whole if not line.startswith("amartin:")))
    outcome = host.run([person(groups=["vision"])], [VISION])
    assert outcome.plan.changed
    assert sorted(host.lines(table)) == sorted(whole)


def test_foreign_lines_and_bytes_survive(host: Host) -> None:
    passwd = host.root / "etc/passwd"
    odd = b"# a comment\n+@nis\n\nbroken line\nj\xc3\x85nsson:x:3001:3001:J\xc3\x85nsson \xff:/home/j:/bin/sh\n"
    passwd.write_bytes(passwd.read_bytes() + odd)
    host.run([person(gecos="Åsa Ñ")])
    content = passwd.read_bytes()
    assert odd in content
    assert "amartin:x:2001:2001:Åsa Ñ:".encode() in content
    assert not host.run([person(gecos="Åsa Ñ")]).plan.changed


def test_unmanaged_accounts_and_memberships_are_reported(host: Host) -> None:
    passwd, group = host.root / "etc/passwd", host.root / "etc/group"
    passwd.write_text(passwd.read_text() + "oldservice:x:2900:2900::/srv/old:/bin/sh\n")
    group.write_text(group.read_text().replace("sudo:x:27:", "sudo:x:27:amartin"))
    outcome = host.run([person()])
    assert outcome.plan.unmanaged == [
        "account oldservice (uid 2900) is not in the registry",
        "group sudo (not managed) has amartin as member(s)",
    ]


def test_not_allowed_here_means_no_account_and_no_way_in(host: Host) -> None:
    barred = person(state="suspended", create=False)
    assert not host.run([barred, person("bchen", 2002)]).plan.people.get("amartin")
    host.run([person(), person("bchen", 2002)])
    host.run([barred, person("bchen", 2002)])
    assert (host.line("shadow", "amartin") or "").endswith(":1:")


def test_overlapping_subordinate_ids_are_a_conflict(host: Host) -> None:
    (host.root / "etc/subuid").write_text("podmanbox:500000:100000\n")
    with pytest.raises(ConflictError, match=r"subordinate ids 524288-589823 of amartin overlap those of podmanbox"):
        host.run([person()])


def test_subordinate_ids_never_overlap_and_never_move(host: Host) -> None:
    people = [person(f"p{number}", 2001 + number * 7) for number in range(20)]
    host.run(people)
    before = host.lines("subuid")
    host.run([*people, person("late", 2003)])
    assert host.lines("subuid")[: len(before)] == before
    spans = sorted((int(line.split(":")[1]), int(line.split(":")[2])) for line in host.lines("subuid"))
    assert all(left[0] + left[1] <= right[0] for left, right in zip(spans, spans[1:]))


def test_a_tombstone_never_removes_an_account_that_is_somebody_elses(host: Host) -> None:
    before = host.snapshot()
    with pytest.raises(ConflictError, match="account www-data has uid 33 here but 2009 in the registry"):
        host.run([person("www-data", 2009, state="absent"), person()])
    assert {k: v for k, v in host.snapshot().items() if not k.startswith("run")} == before


def test_a_home_shared_with_somebody_who_stays_is_kept(host: Host) -> None:
    host.run([person(), person("bchen", 2002)])
    host.append("passwd", "alice:x:3001:3001::/home/amartin/alice:/bin/sh")
    outcome = host.run([person(state="absent"), person("bchen", 2002)])
    assert (outcome.failures, outcome.archives) == ({}, {})
    assert (host.root / "home/amartin/.profile").exists()
    assert host.line("passwd", "amartin") is None


def test_a_mount_inside_a_home_stops_the_removal_of_that_person_only(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.run([person(), person("bchen", 2002)])
    table = host.root / "mountinfo"
    table.write_text(f"36 35 98:0 / {host.root}/home/amartin/data rw - ext4 /dev/x rw\n")
    monkeypatch.setattr(homes, "MOUNTINFO", table)
    outcome = host.run([person(state="absent"), person("bchen", 2002, state="absent")])
    assert outcome.failures.keys() == {"amartin"}
    assert "home/amartin/data is a mount point; unmount it" in outcome.failures["amartin"]
    assert (host.root / "home/amartin/.profile").exists()
    assert [path.name[:5] for path in (host.root / "var/backups/homes").glob("*.zst")] == ["bchen"]
    # Nobody gets in meanwhile.
    assert (host.line("shadow", "amartin") or "").endswith("::1:")


def test_an_account_whose_old_home_is_the_systems_gets_a_new_one(host: Host) -> None:
    www = host.root / "var/www"
    www.mkdir(parents=True)
    (www / "index.html").write_text("x")
    host.append("passwd", "amartin:x:2001:2001::/var/www:/bin/sh")
    outcome = host.run([person()])
    assert outcome.failures == {}
    assert (www / "index.html").exists()
    assert (www.stat().st_uid, (host.root / "home/amartin").stat().st_uid) == (0, 2001)


def test_a_moved_home_has_the_right_mode_at_once(host: Host) -> None:
    host.run([person()])
    (host.root / "home/amartin").chmod(0o755)
    assert host.run([person(home="/srv/amartin")]).failures == {}
    assert stat.S_IMODE((host.root / "srv/amartin").stat().st_mode) == 0o700
    assert not host.run([person(home="/srv/amartin")]).plan.changed


def test_a_suspended_account_keeps_its_home_until_it_comes_back(host: Host) -> None:
    host.run([person(home="/srv/old/amartin")])
    (host.root / "srv/old/amartin/data").write_text("x")
    assert host.run([person(state="suspended")]).failures == {}
    assert (host.line("passwd", "amartin") or "").split(":")[5] == "/srv/old/amartin"
    assert host.run([person()]).failures == {}
    assert (host.root / "home/amartin/data").read_text() == "x"
    assert not host.run([person()]).plan.changed


def test_moving_somebody_suspended_hands_over_the_home_where_it_is(host: Host) -> None:
    host.run([person(home="/srv/old/amartin")])
    outcome = host.run([person(uid=2101, migrate_uid=True, state="suspended")])
    assert outcome.failures == {}
    assert (host.root / "srv/old/amartin/.profile").stat().st_uid == 2101
    assert not host.run([person(uid=2101, migrate_uid=True, state="suspended")]).plan.changed


@pytest.mark.parametrize("when", ["leftover", "put aside"])
def test_what_cannot_be_deleted_is_one_failure_and_the_rest_is_done(
    host: Host, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    host.run([person(), person("bchen", 2002)])
    if when == "leftover":
        (host.root / "home/.lyceum-amartin.removed").mkdir()

    def fail(path: Path) -> None:
        if path.exists():
            raise LyceumError(f"cannot delete {path}: busy")

    monkeypatch.setattr(homes, "delete_tree", fail)
    state = "present" if when == "leftover" else "absent"
    outcome = host.run([person(state=state), person("bchen", 2002, gecos="B. Chen")])
    assert outcome.failures == {"amartin": f"cannot delete {host.root}/home/.lyceum-amartin.removed: busy"}
    assert "B. Chen" in (host.line("passwd", "bchen") or "")
    monkeypatch.undo()
    assert host.run([person(state=state), person("bchen", 2002, gecos="B. Chen")]).failures == {}
    assert not (host.root / "home/.lyceum-amartin.removed").exists()


def test_files_elsewhere_that_cannot_be_counted_are_reported(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.run([person(), person("bchen", 2002)])

    def fail(*_args: object) -> None:
        raise LyceumError("cannot read /srv/x: Permission denied")

    monkeypatch.setattr(apply, "survey", fail)
    outcome = host.run([person(state="absent"), person("bchen", 2002)])
    assert outcome.failures == {}
    assert outcome.reports == ["amartin: not all files elsewhere are known: cannot read /srv/x: Permission denied"]


def test_sessions_that_do_not_end_keep_the_account_locked_and_the_home(host: Host) -> None:
    host.run([person(), person("bchen", 2002)])
    wish = host.desired([person(state="absent"), person("bchen", 2002, gecos="B. Chen")])
    outcome = apply.run(
        wish, check=False, root=host.root, today=TODAY, end_sessions=lambda people: dict.fromkeys(people, "survives")
    )
    assert outcome.failures == {"amartin": "survives"}
    assert (host.root / "home/amartin/.profile").exists()
    assert (host.line("shadow", "amartin") or "").split(":")[1].startswith("!")
    assert "B. Chen" in (host.line("passwd", "bchen") or "")


def test_sessions_are_ended_with_the_ids_the_account_has_here(host: Host) -> None:
    host.run([person(), person("bchen", 2002)])
    asked: dict[str, tuple[int, list[tuple[int, int]]]] = {}

    def end(people: dict[str, tuple[int, list[tuple[int, int]]]]) -> dict[str, str]:
        asked.update(people)
        # Locked before anything is ended: nobody logs in again in between.
        assert (host.line("shadow", "amartin") or "").endswith("::1:")
        return {}

    wish = host.desired([person(uid=2101, migrate_uid=True), person("bchen", 2002)])
    assert apply.run(wish, check=False, root=host.root, today=TODAY, end_sessions=end).failures == {}
    assert asked == {"amartin": (2001, [(524288, 65536)])}


def test_two_runs_at_once_are_refused(host: Host) -> None:
    host.run([person()])
    with apply._only_run(host.root):
        with pytest.raises(LyceumError, match="another run is changing the accounts of this host"):
            host.run([person("bchen", 2002)])
        assert host.run([person("bchen", 2002)], check=True).plan.changed
    assert host.run([person(), person("bchen", 2002)]).failures == {}


def test_a_step_without_effect_is_a_failure(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.run([person(), person("bchen", 2002)])
    (host.root / "home/amartin").chmod(0o755)
    monkeypatch.setattr(homes, "repair", lambda *_args: None)
    outcome = host.run([person(), person("bchen", 2002)])
    assert outcome.failures == {
        "amartin": "applied, yet still to do: home /home/amartin: owner 2001:2001 mode 0755 -> 2001:2001 0700"
    }


@pytest.mark.parametrize("migrate", [False, True])
def test_every_transition_converges_in_one_run(host: Host, migrate: bool) -> None:
    """From each state to each other: one run, and the second one plans nothing."""
    states = ["present", "suspended", "absent"]
    for first in states:
        for second in states:
            for state in (first, second, "present"):
                one = [person(groups=["vision"], state=state, migrate_uid=migrate), person("bchen", 2002)]
                assert host.run(one, [VISION]).failures == {}, (first, second)
                assert not host.run(one, [VISION]).plan.changed, (first, second, state)
