# SPDX-License-Identifier: GPL-3.0-or-later
"""What the system itself says after the role has run, with the people of inventories/lab."""

from __future__ import annotations

import subprocess

import pytest
from target import Target

PROGRAMS = "/usr/local/lib/lyceum/sshd_jail"


def test_policies_are_root_s_and_only_their_person_reads_them(target: Target) -> None:
    names = {"jweber", "ksato", "lrossi"}
    assert set(target.host.file("/etc/lyceum/sshd_jail.d").listdir()) == {f"{name}.json" for name in names}
    for name in names:
        file = target.host.file(f"/etc/lyceum/sshd_jail.d/{name}.json")
        assert (file.user, file.group, file.mode) == ("root", name, 0o640)


def test_programs_can_be_written_by_root_alone(target: Target) -> None:
    found = target.host.check_output("find %s -not -user root -o -perm /022 -not -type l", PROGRAMS)
    assert found == ""
    for name in ("jail", "view", "user-manager"):
        assert target.host.file(f"{PROGRAMS}/{name}").mode == 0o755


def test_no_unit_failed(target: Target) -> None:
    assert target.host.check_output("systemctl --failed --plain --no-legend") == ""


def test_the_changes_of_sshd_were_confirmed(target: Target) -> None:
    assert "lyceum-sshd-revert" not in target.host.check_output("systemctl list-timers --all --plain --no-legend")


@pytest.mark.parametrize("service", ["sshd", "cron"])
def test_pam_has_the_lines_once_and_no_environment_of_people(target: Target, service: str) -> None:
    text = target.host.file(f"/etc/pam.d/{service}").content_string
    assert text.count("# BEGIN lyceum 10-lyceum-jail\n") == text.count("# END lyceum 10-lyceum-jail\n") == 1
    assert "user_readenv" not in text


def test_views_of_sftp_logins_are_not_seen_from_outside(target: Target) -> None:
    """There is no second path to a home, by which somebody could delete it, while it is shown to its person."""
    words = [*target.transfer_words("sftp", "ksato"), target.address]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as session:
        assert session.stdin is not None
        assert session.stdout is not None
        session.stdin.write("pwd\n")
        session.stdin.flush()
        while "Remote working directory: /home/ksato" not in (line := session.stdout.readline()):
            assert line
        assert target.host.file("/run/lyceum/sftp").listdir() == []
        assert "/run/lyceum/sftp" not in target.host.check_output("cat /proc/self/mounts")
        session.stdin.close()
    assert target.host.run("pgrep -u ksato").stdout == ""


def test_brute_force_is_throttled_by_what_the_release_has(target: Target) -> None:
    own = "persourcepenalties" in target.host.check_output("/usr/sbin/sshd -T -C user=root,host=x,addr=192.0.2.7")
    assert own == target.plan["sshd_jail"]["own_penalties"]
    assert target.host.file("/etc/fail2ban/jail.d/lyceum-sshd.local").exists == (not own)
    if not own:
        assert target.host.service("fail2ban").is_running


def test_a_jail_costs_little(target: Target) -> None:
    """Starting one takes less than a tenth of a second of work: processor time, whatever else the machine does."""
    script = (
        "import os, subprocess\n"
        "for _ in range(5):\n"
        f"    subprocess.run(['runuser', '-u', 'jweber', '--', '{PROGRAMS}/jail', '-c', 'true'], check=True)\n"
        "print((os.times().children_user + os.times().children_system) / 5)\n"
    )
    assert float(target.host.check_output("python3 -c %s", script)) < 0.1
