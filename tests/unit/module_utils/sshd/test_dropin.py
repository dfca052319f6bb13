# SPDX-License-Identifier: GPL-3.0-or-later
"""A drop-in that would lock somebody out is never installed, or taken back. The real sshd is tested on lab hosts."""

from __future__ import annotations

import re
import stat
import tempfile
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import CommandError, LyceumError, RefusedError
from ansible.module_utils.lyceum.sshd import dropin

from .conftest import Sshd

KEYS = "AuthorizedKeysFile /etc/ssh/authorized_keys.d/%u\nPasswordAuthentication no\n"
WANTED = {"authorizedkeysfile": "/etc/ssh/authorized_keys.d/%u", "PasswordAuthentication": False}


def install(spec: dropin.DropinSpec) -> None:
    dropin.install(spec, dropin.wanted(spec))


def etc(sshd: Sshd) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in [sshd.main, *sshd.dropins.iterdir()]}


# --- parameters


@pytest.mark.parametrize("path", ["/etc/passwd", "{d}/x", "{d}/../x.conf", "{d}/sub/x.conf", "x.conf"])
def test_only_conf_files_in_the_directory_are_taken(sshd: Sshd, path: str) -> None:
    with pytest.raises(LyceumError, match=r"must be a \.conf file in .*/etc/ssh/sshd_config\.d"):
        sshd.spec("", path=path.format(d=sshd.dropins))


@pytest.mark.parametrize(("value", "printed"), [(True, "yes"), (False, "no"), (22, "22"), ("No", "No")])
def test_yaml_values_are_compared_as_sshd_prints_them(sshd: Sshd, value: Any, printed: str) -> None:
    assert sshd.spec("", {"root": {"Port": value}}).expect[0].options == {"port": printed}


# --- validate


def test_a_good_candidate_passes_and_touches_nothing(sshd: Sshd) -> None:
    before, temporary = etc(sshd), set(Path(tempfile.gettempdir()).glob("lyceum-sshd-*"))
    dropin.validate(sshd.spec(KEYS, {"root": WANTED, "admin": WANTED}))
    assert etc(sshd) == before
    assert set(Path(tempfile.gettempdir()).glob("lyceum-sshd-*")) == temporary
    assert (sshd.root / "contexts").read_text().splitlines() == [
        "user=root,host=localhost,addr=127.0.0.1",
        "user=admin,host=localhost,addr=127.0.0.1",
    ]


@pytest.mark.parametrize(
    ("main", "others", "content", "message"),
    [
        (
            None,
            {},
            "BadOption yes\n",
            "sshd refuses the configuration with 00-lyceum.conf; nothing was changed: .*BadOption",
        ),
        (None, {"99.conf": "BadOther 1\n"}, KEYS, "sshd refuses the configuration with 00-lyceum.conf.*BadOther"),
        (
            None,
            {"00-a.conf": "PasswordAuthentication yes\n"},
            KEYS,
            "passwordauthentication for root would be 'yes', not 'no'; nothing was changed. The first value wins",
        ),
        ("PasswordAuthentication yes\nInclude {d}/*.conf\n", {}, KEYS, "would be 'yes', not 'no'"),
        ("#Include {d}/*.conf\n", {}, KEYS, "does not include .*; put 'Include .*' at its top"),
        ("Include /etc/elsewhere/*.conf {d}2/*.conf\n", {}, KEYS, "does not include"),
        ("", {}, KEYS, "does not include"),
        (None, {}, "PasswordAuthentication no\n", "authorizedkeysfile for root would be 'unset', not"),
        (None, {}, None, "authorizedkeysfile for root would be 'unset', not"),
    ],
)
def test_bad_candidates(
    sshd: Sshd, main: str | None, others: dict[str, str], content: str | None, message: str
) -> None:
    if main is not None:
        sshd.main.write_text(main.format(d=sshd.dropins))
    for name, text in others.items():
        (sshd.dropins / name).write_text(text)
    before = etc(sshd)
    with pytest.raises(RefusedError, match=message):
        dropin.validate(sshd.spec(content, {"root": WANTED}))
    assert etc(sshd) == before


@pytest.mark.parametrize(
    "include",
    [
        "Include {d}/*.conf",
        "  include\t{d}/*.conf",
        "INCLUDE {d}/*.conf",
        "Include sshd_config.d/*.conf",
        "Include /etc/other/*.conf {d}/*.conf",
        "Include {d}/*.conf\r",
    ],
)
def test_every_way_to_include_the_directory_counts(sshd: Sshd, include: str) -> None:
    text, found = dropin._with_includes_of(f"A 1\n{include.format(d=sshd.dropins)}\nB 2\n", sshd.dropins, Path("/copy"))
    assert found
    assert "/copy/*.conf" in text
    assert str(sshd.dropins) not in text
    assert re.search(r"sshd_config\.d", text) is None
    assert (text.startswith("A 1\n"), text.endswith("\nB 2\n")) == (True, True)


def test_the_candidate_replaces_the_installed_file_in_the_copy(sshd: Sshd) -> None:
    sshd.path.write_text("BadOption yes\n")
    dropin.validate(sshd.spec(KEYS, {"root": WANTED}))
    dropin.validate(sshd.spec(None))


def test_a_linked_dropin_is_not_written_through(sshd: Sshd) -> None:
    target = sshd.root / "target"
    target.write_text("X 1\n")
    sshd.path.symlink_to(target)
    dropin.validate(sshd.spec(KEYS))
    assert target.read_text() == "X 1\n"


def test_bytes_that_are_not_utf8_survive(sshd: Sshd) -> None:
    sshd.main.write_bytes(sshd.main.read_bytes() + b"# caf\xe9\r\n")
    sshd.path.write_bytes(b"# old \xff\r\n")
    old = dropin.read(sshd.path)
    dropin.validate(sshd.spec(old))
    install(sshd.spec(KEYS, confirm_seconds=60))
    sshd.time_passes()
    assert sshd.path.read_bytes() == b"# old \xff\r\n"


def test_without_a_server_the_message_says_so(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dropin, "SSHD", str(sshd.root / "none"))
    with pytest.raises(RefusedError, match="/none is not installed"):
        dropin.validate(sshd.spec(KEYS))
    sshd.main.unlink()
    with pytest.raises(RefusedError, match="sshd_config does not exist; install the OpenSSH server first"):
        dropin.validate(sshd.spec(KEYS))


def test_a_dangling_link_beside_it_is_named(sshd: Sshd) -> None:
    (sshd.dropins / "dead.conf").symlink_to("/nowhere")
    with pytest.raises(LyceumError, match=r"cannot copy .*sshd_config\.d: .*dead\.conf"):
        dropin.validate(sshd.spec(KEYS))


def test_the_directory_may_be_missing(sshd: Sshd) -> None:
    sshd.dropins.rmdir()
    dropin.validate(sshd.spec(KEYS, {"root": WANTED}))
    install(sshd.spec(KEYS))
    assert sshd.path.read_text() == KEYS


# --- install, wait, confirm


def test_install_arms_first_then_reloads(sshd: Sshd) -> None:
    install(sshd.spec(KEYS))
    assert sshd.path.read_text() == KEYS
    assert stat.S_IMODE(sshd.path.stat().st_mode) == 0o644
    assert dropin.pending(sshd.path)
    verbs = [call for call in sshd.calls if call.startswith("systemd-run") or " reload" in call]
    assert verbs[0].startswith("systemd-run --unit=lyceum-sshd-revert-00-lyceum --on-active=60s")
    assert verbs[1:] == ["systemctl reload ssh"]
    assert stat.S_IMODE((sshd.root / "state").stat().st_mode) == 0o700


@pytest.mark.parametrize("old", [None, "", "# old\n"])
def test_an_unconfirmed_change_is_taken_back(sshd: Sshd, old: str | None) -> None:
    if old is not None:
        sshd.path.write_text(old)
    install(sshd.spec(KEYS))
    sshd.time_passes()
    assert dropin.read(sshd.path) == old
    assert not dropin.pending(sshd.path)
    assert sshd.calls[-1] == "systemctl reload ssh"


def test_a_confirmed_change_stays(sshd: Sshd) -> None:
    install(sshd.spec(KEYS))
    dropin.disarm_revert(sshd.path)
    assert not dropin.pending(sshd.path)
    assert sorted(path.name for path in (sshd.root / "active").iterdir()) == ["ssh"]
    assert sshd.path.read_text() == KEYS


def test_a_second_change_before_the_confirmation_goes_back_to_what_was_confirmed(sshd: Sshd) -> None:
    sshd.path.write_text("# confirmed\n")
    install(sshd.spec("# first\n"))
    install(sshd.spec("# second\n"))
    assert sshd.path.read_text() == "# second\n"
    sshd.time_passes()
    assert sshd.path.read_text() == "# confirmed\n"
    install(sshd.spec("# third\n"))
    dropin.disarm_revert(sshd.path)
    install(sshd.spec("# fourth\n"))
    sshd.time_passes()
    assert sshd.path.read_text() == "# third\n"


def test_two_dropins_wait_on_their_own(sshd: Sshd) -> None:
    other = sshd.spec("# other\n", path=str(sshd.dropins / "50 odd.conf"))
    install(sshd.spec(KEYS))
    install(other)
    dropin.disarm_revert(other.path)
    assert dropin.pending(sshd.path)
    sshd.time_passes()
    assert not sshd.path.exists()
    assert other.path.exists()


def test_installing_for_good_needs_no_timer_and_ends_a_waiting_one(sshd: Sshd) -> None:
    install(sshd.spec("# first\n"))
    install(sshd.spec(KEYS, confirm_seconds=0))
    assert not dropin.pending(sshd.path)
    assert sorted(path.name for path in (sshd.root / "active").iterdir()) == ["ssh"]
    assert sum(call.startswith("systemd-run") for call in sshd.calls) == 1


def test_removal_is_taken_back_too(sshd: Sshd) -> None:
    sshd.path.write_text(KEYS)
    install(sshd.spec(None))
    assert not sshd.path.exists()
    sshd.time_passes()
    assert sshd.path.read_text() == KEYS


@pytest.mark.parametrize("old", [None, "# old\n"])
@pytest.mark.parametrize(
    ("trouble", "kind", "message"),
    [
        ("reload-fails", CommandError, "cannot reload ssh: Job for ssh.service failed"),
        ("run-fails", CommandError, "cannot arm the way back, so nothing was changed: Failed to start"),
        ("bad", RefusedError, "once 00-lyceum.conf is in place; the old one is back: .*BadOption"),
    ],
)
def test_whatever_fails_the_old_file_is_back_and_no_timer_runs(
    sshd: Sshd, old: str | None, trouble: str, kind: type[LyceumError], message: str
) -> None:
    if old is not None:
        sshd.path.write_text(old)
    (sshd.root / trouble).touch()
    with pytest.raises(kind, match=message):
        install(sshd.spec("BadOption 1\n" if trouble == "bad" else KEYS))
    assert dropin.read(sshd.path) == old
    assert not dropin.pending(sshd.path)
    assert sorted(path.name for path in (sshd.root / "active").iterdir()) == ["ssh"]


def test_a_failure_on_top_of_a_waiting_change_keeps_it_waiting(sshd: Sshd) -> None:
    install(sshd.spec("# first\n"))
    with pytest.raises(RefusedError):
        install(sshd.spec("BadOption 1\n"))
    assert sshd.path.read_text() == "# first\n"
    assert dropin.pending(sshd.path)
    sshd.time_passes()
    assert not sshd.path.exists()


def test_an_sshd_that_does_not_run_is_not_reloaded(sshd: Sshd) -> None:
    (sshd.root / "active/ssh").unlink()
    install(sshd.spec(KEYS))
    assert sshd.path.exists()
    assert "systemctl reload ssh" not in sshd.calls


def test_without_systemd_the_message_says_so(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(sshd.root))
    with pytest.raises(CommandError, match=r"systemctl is not installed"):
        install(sshd.spec(KEYS))
    assert not sshd.path.exists()


def test_what_cannot_be_read_is_named(sshd: Sshd) -> None:
    sshd.path.mkdir()
    with pytest.raises(LyceumError, match=r"cannot read .*00-lyceum\.conf: Is a directory"):
        dropin.read(sshd.path)
