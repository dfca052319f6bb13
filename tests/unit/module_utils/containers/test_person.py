# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done in homes is done by their person, is bounded, and cannot be led astray."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from ansible.module_utils.lyceum.containers import person
from ansible.module_utils.lyceum.containers.settings import Policy
from ansible.module_utils.lyceum.errors import LyceumError

from .samples import policy

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="becomes another person")


@needs_root
def test_ids_of_the_person_and_no_others() -> None:
    answer = person.call(policy(), lambda: repr((os.getresuid(), os.getresgid(), os.getgroups())).encode())
    assert answer == b"((2001, 2001, 2001), (2001, 2001, 2001), [2001])"


@needs_root
def test_a_failure_there_is_told_here(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch(mode=0o600)
    with pytest.raises(LyceumError, match=f"as amartin: {path}: Permission denied"):
        person.call(policy(), path.read_bytes)


@needs_root
def test_who_hangs_is_left() -> None:
    begun = time.monotonic()
    with pytest.raises(LyceumError, match=r"as amartin: no answer within 0.2 s"):
        person.call(policy(), lambda: time.sleep(60) or b"", 0.2)  # type: ignore[func-returns-value]
    assert time.monotonic() - begun < 5


@needs_root
def test_large_answers_come_whole_and_nobody_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    children: list[int] = []
    fork = os.fork
    monkeypatch.setattr(os, "fork", lambda: children.append(fork()) or children[-1])
    assert person.call(policy(), lambda: b"x" * 10_000_000) == b"x" * 10_000_000
    assert len(children) == 1
    with pytest.raises(ChildProcessError):
        os.waitpid(children[0], os.WNOHANG)


@needs_root
def test_who_cannot_become_a_person_does_nothing() -> None:
    nobody = Policy("x", -5, -5, Path("/"))
    with pytest.raises(LyceumError, match="as x: "):
        person.call(nobody, lambda: b"done as root")


def test_plain_files_alone_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    assert person.read_file(tmp_path / "file") == b"x"
    assert person.read_file(tmp_path / "none") == b""
    for name in ("link", "pipe"):
        with pytest.raises(OSError, match=r"plain file|symbolic links"):
            person.read_file(tmp_path / name)


def test_nothing_huge_is_read(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as handle:
        handle.truncate(person.MOST_BYTES + 1)
    with pytest.raises(OSError, match="sensible size"):
        person.read_file(tmp_path / "huge")
