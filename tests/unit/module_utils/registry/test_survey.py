# SPDX-License-Identifier: GPL-3.0-or-later
"""survey.sh runs on this machine as it is; its output is read whole or refused."""

from __future__ import annotations

import os
import pwd
import subprocess
from datetime import date
from pathlib import Path

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.registry.survey import SCRIPT, Account, HostGroup, parse


def test_the_script_finds_what_this_machine_has() -> None:
    done = subprocess.run(["sh", str(SCRIPT)], capture_output=True, text=True, check=True)
    survey = parse(done.stdout)
    found = {account.name: account for account in survey.accounts}
    assert {entry.pw_name for entry in pwd.getpwall()} <= set(found)
    assert found["root"].uid == 0
    assert "root" in {group.name for group in survey.groups}
    assert survey.uid_min >= 100
    assert bool(survey.notes) == (os.getuid() != 0)


def test_the_script_prints_no_password_hash_and_follows_no_link(tmp_path: Path) -> None:
    """Run with tools that stand in for those of the host."""
    key = "ssh-ed25519 AAAA own"
    homes = {name: tmp_path / name for name in ("good", "linked", "linkdir")}
    for home in homes.values():
        home.mkdir()
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "authorized_keys").write_text("ssh-ed25519 SECRET\n")
    (homes["good"] / ".ssh").mkdir()
    (homes["good"] / ".ssh" / "authorized_keys").write_text(f"# ssh-ed25519 old\n{key}\nrandom line\n")
    (homes["linked"] / ".ssh").mkdir()
    (homes["linked"] / ".ssh" / "authorized_keys").symlink_to(secret / "authorized_keys")
    (homes["linkdir"] / ".ssh").symlink_to(secret)
    tools = tmp_path / "tools"
    tools.mkdir()
    passwd = "\\n".join(
        f"{name}:x:{4000 + n}:{4000 + n}::{home}:/bin/sh" for n, (name, home) in enumerate(homes.items())
    )
    (tools / "getent").write_text(
        "#!/bin/sh\ncase $1 in\n"
        f"passwd) printf '{passwd}\\n' ;;\n"
        "group) echo 'staff:x:50:' ;;\n"
        "shadow) printf 'good:$6$HASH:1:0:9:7::20000:\\nlinked:!$6$HASH:1:0:9:7:::\\n' ;;\n"
        "esac\n"
    )
    (tools / "getent").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", str(SCRIPT)], capture_output=True, text=True, check=True, env=environment)
    assert "HASH" not in done.stdout
    assert "SECRET" not in done.stdout
    by_name = {account.name: account for account in parse(done.stdout).accounts}
    assert by_name["good"].keys == (key,)
    assert by_name["good"].expires == date(2024, 10, 3)
    assert by_name["linked"].locked
    assert by_name["linked"].keys == by_name["linkdir"].keys == ()


def test_lines_are_put_together() -> None:
    text = (
        "uid_min:500\r\nnote:not root\r\npasswd:b\\c@x:x:2:3:G. E.:/home/b:/bin/sh\r\npasswd:a:x:1:3::/a:\r\n"
        "group:g:x:3:a,b\\c@x\r\nshadow:a::20000\r\nshadow:b\\c@x:locked:-1\r\n"
        "key:a:ssh-ed25519 AA:BB\r\nkey:a:ssh-ed25519 AA:BB\r\nend:\r\n"
    )
    survey = parse(text)
    assert survey.accounts == (
        Account("a", 1, 3, "", "/a", "", date(2024, 10, 3), False, ("ssh-ed25519 AA:BB",)),
        Account("b\\c@x", 2, 3, "G. E.", "/home/b", "/bin/sh", None, True, ()),
    )
    assert survey.groups == (HostGroup("g", 3, ("a", "b\\c@x")),)
    assert (survey.uid_min, survey.notes) == (500, ("not root",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cut off"),
        ("passwd:a:x:1:1::/a:\n", "cut off"),
        ("passwd:a:x:1\nend:\n", "cannot be read"),
        ("passwd:a:x:one:1::/a:\nend:\n", "cannot be read"),
        ("shadow:a::99999999999\nend:\n", "cannot be read"),
    ],
)
def test_what_is_not_whole_is_refused(text: str, message: str) -> None:
    with pytest.raises(LyceumError, match=message):
        parse(text)
