# SPDX-License-Identifier: GPL-3.0-or-later
"""Configurations broken on purpose: refused, or taken back by the host itself. The admin always comes back."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from target import Target, UnreachableError

from playbooks import play, succeeds

BREAK = str(Path(__file__).with_name("break.yml"))
FILES = ("/etc/ssh/sshd_config.d/10-lyceum-jail.conf", "/etc/pam.d/sshd")
CONFIRM_SECONDS = 8


def contents(target: Target) -> dict[str, str]:
    return {path: target.host.file(path).content_string for path in FILES}


def admin_comes_in(target: Target) -> bool:
    """Over a new connection, as a client that knows nothing of the old one."""
    other = Target(target.plan)
    try:
        return bool(other.connect())
    except UnreachableError:
        return False
    finally:
        other.close()


def reloads(target: Target) -> int:
    """How often sshd has been made to read its configuration again."""
    lines = target.host.run("journalctl --unit=ssh --output=cat --quiet --no-pager --grep='Received SIGHUP'").stdout
    return int(lines.count("Received SIGHUP"))


def pwd_by_sftp(target: Target, name: str) -> subprocess.CompletedProcess[str]:
    words = [*target.transfer_words("sftp", name), "-b", "-", target.address]
    return subprocess.run(words, input="pwd\n", capture_output=True, text=True, check=False, timeout=30)


@pytest.fixture
def unchanged(target: Target) -> Iterator[None]:
    """Whatever the test does, sshd's and PAM's files end as they were, and the admin comes in."""
    before = contents(target)
    yield
    assert contents(target) == before
    assert admin_comes_in(target)


@pytest.fixture
def refused(target: Target, unchanged: None) -> Iterator[None]:
    """sshd is not even asked to read anything again."""
    before = reloads(target)
    yield
    assert reloads(target) == before


@pytest.mark.usefixtures("refused")
def test_a_value_that_sshd_does_not_know_is_refused(target: Target) -> None:
    done = play(target.name, tags="sshd_jail_sshd", sshd_jail_ciphers=["rot13"])
    assert done.returncode != 0
    assert "sshd refuses the configuration with 10-lyceum-jail.conf; nothing was changed" in done.stdout


@pytest.mark.usefixtures("refused")
@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (
            "Match User root\n  ForceCommand /bin/false\nMatch all\n",
            "forcecommand for root would be '/bin/false', not 'none'; nothing was changed",
        ),
        ("NoSuchOption yes\n", "Bad configuration option: NoSuchOption"),
    ],
)
def test_a_host_that_somebody_broke_by_hand_is_refused(target: Target, lines: str, why: str) -> None:
    """Confining the admin, or keeping sshd from starting; either would become true with the next reload."""
    path = "/etc/ssh/sshd_config.d/05-by-hand.conf"
    target.host.check_output("printf %s > %s", lines, path)
    try:
        done = play(target.name, tags="sshd_jail_sshd", sshd_jail_login_grace_seconds=31)
        assert admin_comes_in(target)
    finally:
        target.host.check_output("rm %s", path)
    assert done.returncode != 0
    assert why in " ".join(done.stdout.split())


@pytest.mark.usefixtures("unchanged")
def test_a_change_after_which_the_admin_is_not_let_in_is_taken_back(target: Target) -> None:
    """Valid, and a client like this one shares no key exchange with it."""
    options = f"{target.plan['connection']['args']} -oKexAlgorithms=-diffie-hellman-group16-sha512"
    done = play(
        target.name, tags="sshd_jail_sshd", sshd_jail_key_exchange=["diffie-hellman-group16-sha512"],
        sshd_jail_confirm_seconds=CONFIRM_SECONDS, ansible_ssh_common_args=options,
    )  # fmt: skip
    assert done.returncode != 0
    assert f"root cannot log in to {target.name}" in " ".join(done.stdout.split())
    deadline = time.monotonic() + CONFIRM_SECONDS + 20
    while "diffie-hellman-group16" in contents(target)[FILES[0]] and time.monotonic() < deadline:
        time.sleep(1)


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("broken", ["AllowUsers nobody", "pam"])
def test_lines_that_shut_everybody_out_are_taken_back(target: Target, broken: str) -> None:
    """As a mistake in the role itself would: sshd finds nothing wrong with them."""
    line = "# nothing" if broken == "pam" else broken
    blocks = []
    if broken == "pam":
        blocks = [
            {"path": "/etc/pam.d/sshd", "text": "account requisite pam_deny.so", "anchor": "^account", "before": True}
        ]
    before = reloads(target)
    done = play(target.name, BREAK, break_content=f"{line}\n", break_blocks=blocks, break_seconds=CONFIRM_SECONDS)
    assert done.returncode == 0, done.stdout[-2000:]
    assert not admin_comes_in(target)
    deadline = time.monotonic() + CONFIRM_SECONDS + 20
    while not admin_comes_in(target) and time.monotonic() < deadline:
        time.sleep(1)
    assert target.host.run("test -e /etc/ssh/sshd_config.d/07-break.conf").rc != 0
    assert reloads(target) >= before + 2


@pytest.mark.usefixtures("unchanged")
def test_a_jail_that_does_not_start_is_said_and_stays_shut(target: Target) -> None:
    target.host.check_output("chmod 0 /usr/bin/bwrap")
    try:
        refused = target.run_as("jweber", "id")
        done = play(target.name, tags="sshd_jail")
    finally:
        target.host.check_output("chmod 755 /usr/bin/bwrap")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("This login is not possible: ")
    assert done.returncode != 0
    assert "verify | Ensure a jail starts" in done.stdout
    assert "uid=2009" in target.run_as("jweber", "id").stdout


@pytest.mark.usefixtures("unchanged")
def test_a_torn_program_lets_nobody_out(target: Target) -> None:
    path = "/usr/local/lib/lyceum/sshd_jail/lyceum/jail/enter.py"
    target.host.check_output("sed -i '1i (' %s", path)
    refused = target.run_as("jweber", "id")
    assert (refused.returncode, refused.stdout) == (1, "")
    succeeds(target.name, tags="sshd_jail")
    assert "uid=2009" in target.run_as("jweber", "id").stdout


@pytest.mark.usefixtures("unchanged")
def test_a_missing_policy_lets_nobody_in(target: Target) -> None:
    target.host.check_output("rm /etc/lyceum/sshd_jail.d/jweber.json /etc/lyceum/sshd_jail.d/ksato.json")
    refused = target.run_as("jweber", "id")
    shut = pwd_by_sftp(target, "ksato")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert shut.returncode != 0
    assert "Remote working directory" not in shut.stdout
    succeeds(target.name, tags="sshd_jail")
    assert pwd_by_sftp(target, "ksato").returncode == 0
