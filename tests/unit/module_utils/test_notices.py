# SPDX-License-Identifier: GPL-3.0-or-later
"""Notices reach their person, only their person, once, and never hold up whoever tells."""

from __future__ import annotations

import os
import stat
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible.module_utils.lyceum import notices
from ansible.module_utils.lyceum.errors import CommandError, LyceumError
from ansible.module_utils.lyceum.notices import Recipient, forget, pending, post, sanitise

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other people")
AMARTIN = Recipient("amartin", 2001, 2001, "amartin@example.org")


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(notices, "NOTICES", tmp_path / "lyceum/notices")
    monkeypatch.setattr(notices, "TERMINALS", ((tmp_path / "pts", "[0-9]*"),))
    monkeypatch.setattr(notices, "SENDMAIL", str(tmp_path / "sendmail"))
    (tmp_path / "pts").mkdir()
    return tmp_path


def sendmail(folder: Path, script: str) -> Path:
    """A stand-in that keeps what it is given; returns where."""
    program = folder / "sendmail"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return folder / "mails"


@needs_root
def test_a_notice_is_kept_for_its_person_until_it_is_withdrawn(places: Path) -> None:
    old = os.umask(0o077)
    try:
        assert post(AMARTIN, "storage", "Your home is more than 90 % full.")
    finally:
        os.umask(old)
    path = places / "lyceum/notices/2001/storage"
    assert path.read_text() == "Your home is more than 90 % full.\n"
    for one, mode, gid in ((path, 0o640, 2001), (path.parent, 0o750, 2001), (path.parent.parent, 0o711, 0)):
        info = one.stat()
        assert (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid) == (mode, 0, gid), one
    assert not post(AMARTIN, "storage", "Your home is more than 90 % full.")
    assert post(AMARTIN, "purge", "Three files go on Monday.")
    assert pending(2001) == {"purge": "Three files go on Monday.\n", "storage": "Your home is more than 90 % full.\n"}
    assert post(AMARTIN, "storage", None)
    assert not post(AMARTIN, "storage", None)
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["purge"]


@needs_root
def test_a_person_who_is_gone_leaves_no_notice(places: Path) -> None:
    post(AMARTIN, "storage", "Full.")
    assert forget(2001)
    assert not forget(2001)
    assert pending(2001) == {}
    assert not post(AMARTIN, "storage", None)


@needs_root
def test_a_killed_run_leaves_nothing_that_the_next_one_does_not_mend(places: Path) -> None:
    post(AMARTIN, "storage", "Full.")
    path = places / "lyceum/notices/2001/storage"
    os.chown(path, 0, 0)
    assert not post(AMARTIN, "storage", "Full.")
    assert path.stat().st_gid == 2001


@pytest.mark.parametrize("source", ["", "../x", "A", "a/b", ".storage", "a b", "a\n"])
def test_a_source_is_a_plain_name(source: str) -> None:
    with pytest.raises(LyceumError, match="cannot be the source of a notice"):
        post(AMARTIN, source, "x")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("  plain text \n\n", "plain text\n"),
        ("two\nlines", "two\nlines\n"),
        ("tab\there", "tab here\n"),
        ("\x1b]0;title\x07 \x1b[2Jrm", "?]0;title? ?[2Jrm\n"),
        ("turned \u202e around\u200b", "turned ? around?\n"),
        ("carriage\rreturn\x85\x9b", "carriage?return??\n"),
        ("half \udcff a byte", "half ? a byte\n"),
        ("caf\u00e9 \u6587", "caf\u00e9 \u6587\n"),
    ],
)
def test_nothing_a_terminal_obeys_is_left(text: str, shown: str) -> None:
    assert sanitise(text) == shown


def test_a_text_without_end_is_cut() -> None:
    assert len(sanitise("x" * 10_000_000)) < notices.MOST_CHARACTERS + 10
    assert sanitise("x" * 10_000_000).endswith("x\n[...]\n")


class Terminal:
    """A real pseudo-terminal of somebody."""

    def __init__(self, uid: int, mode: int) -> None:
        self.master, self.slave = os.openpty()
        os.set_blocking(self.master, False)
        os.fchown(self.slave, uid, -1)
        os.fchmod(self.slave, mode)

    def heard(self) -> bytes:
        try:
            return os.read(self.master, 65536)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        os.close(self.master)
        os.close(self.slave)


# Nobody's uid: the terminals stand among all others of this machine.
TYPIST = Recipient("typist", 54321, 54321)


@pytest.fixture
def terminals(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Terminal]]:
    monkeypatch.setattr(notices, "TERMINALS", ((Path("/dev/pts"), "[0-9]*"),))
    made = {"own": Terminal(54321, 0o620), "silent": Terminal(54321, 0o600), "stranger": Terminal(54322, 0o620)}
    yield made
    for terminal in made.values():
        terminal.close()


@needs_root
def test_a_new_text_is_written_to_the_terminals_of_its_person(terminals: dict[str, Terminal]) -> None:
    post(TYPIST, "storage", "Full.\nDelete something.")
    heard = terminals["own"].heard()
    assert b"notice (storage)\r" in heard
    assert b"\nFull.\r" in heard
    assert (terminals["silent"].heard(), terminals["stranger"].heard()) == (b"", b"")
    post(TYPIST, "storage", "Full.\nDelete something.")
    post(TYPIST, "storage", None)
    assert terminals["own"].heard() == b""


@needs_root
def test_a_long_text_is_cut_on_terminals_only(terminals: dict[str, Terminal], places: Path) -> None:
    post(TYPIST, "purge", "\n".join(f"file {number}" for number in range(100)))
    heard = terminals["own"].heard()
    assert b"file 14\r" in heard
    assert b"file 15\r" not in heard
    assert b"85 more lines" in heard
    assert "file 99\n" in (places / "lyceum/notices/54321/purge").read_text()


@needs_root
def test_a_stopped_terminal_holds_up_nobody(terminals: dict[str, Terminal]) -> None:
    termios.tcflow(terminals["own"].slave, termios.TCOOFF)
    for number in range(50):
        assert post(TYPIST, "purge", f"round {number}\n" + "x" * 5000)
    assert terminals["own"].heard() == b""
    termios.tcflow(terminals["own"].slave, termios.TCOON)
    post(TYPIST, "purge", "Heard again.")
    assert b"Heard again." in terminals["own"].heard()


@needs_root
def test_what_is_no_terminal_is_never_written_to(places: Path) -> None:
    (places / "target").write_text("kept")
    (places / "pts/7").symlink_to(places / "target")
    (places / "pts/8").write_text("kept")
    os.mkfifo(places / "pts/9")
    for name in ("7", "8", "9"):
        os.chown(places / "pts" / name, 2001, 5, follow_symlinks=False)
    (places / "pts/8").chmod(0o620)
    assert post(AMARTIN, "storage", "Full.")
    assert [(places / name).read_text() for name in ("target", "pts/8")] == ["kept", "kept"]


@needs_root
def test_mail_goes_out_once_per_text_and_is_tried_again(places: Path) -> None:
    mails = sendmail(places, f'echo "$@" >> {places}/mails; cat >> {places}/mails')
    post(AMARTIN, "storage", "No mail was asked for.")
    assert not mails.exists()
    post(AMARTIN, "storage", "Your home is full.\nSecond line.", mail=True)
    content = mails.read_text()
    assert content.startswith("-i -- amartin@example.org\n")
    assert "To: amartin@example.org\n" in content
    assert "] Your home is full.\n" in content
    assert "Auto-Submitted: auto-generated\n" in content
    assert content.endswith("Your home is full.\nSecond line.\n")
    mails.unlink()
    post(AMARTIN, "storage", "Your home is full.\nSecond line.", mail=True)
    assert not mails.exists()
    sendmail(places, "echo relay is down >&2; exit 75")
    with pytest.raises(CommandError, match=r"no mail to amartin about storage: .* exited 75: relay is down"):
        post(AMARTIN, "storage", "Another text.", mail=True)
    assert (places / "lyceum/notices/2001/storage").read_text() == "Another text.\n"
    sendmail(places, f"cat >> {places}/mails")
    assert not post(AMARTIN, "storage", "Another text.", mail=True)
    assert mails.read_text().endswith("Another text.\n")


@needs_root
@pytest.mark.parametrize("address", ["-oQ/tmp@x", "a@b\nBcc: c@d", "a b@c", "nobody"])
def test_an_address_that_sendmail_could_misread_is_refused(places: Path, address: str) -> None:
    mails = sendmail(places, f"cat >> {places}/mails")
    with pytest.raises(LyceumError, match="is not an address"):
        post(Recipient("amartin", 2001, 2001, address), "storage", "Full.", mail=True)
    assert not mails.exists()


@needs_root
def test_without_sendmail_it_is_said(places: Path) -> None:
    with pytest.raises(CommandError, match=r"no mail to amartin about storage: .*sendmail: .*No such file"):
        post(AMARTIN, "storage", "Full.", mail=True)
    assert pending(2001) == {"storage": "Full.\n"}


@needs_root
def test_who_has_no_address_gets_no_mail(places: Path) -> None:
    assert post(Recipient("amartin", 2001, 2001), "storage", "Full.", mail=True)
