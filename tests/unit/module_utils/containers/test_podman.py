# SPDX-License-Identifier: GPL-3.0-or-later
"""Podman runs as the person and in the person's slice; what it answers is bounded and not believed."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.containers import podman
from ansible.module_utils.lyceum.containers.podman import Stopped, bounded, parse_stopped, save_and_remove, saved_name
from ansible.module_utils.lyceum.containers.settings import Policy
from ansible.module_utils.lyceum.errors import CommandError

from .samples import DATA, VERSIONS, policy

IDENTITY = "a" * 64


def test_podman_runs_as_the_person_in_the_persons_slice() -> None:
    words = podman.words_as(policy(), ["stop", "--time", "5", IDENTITY], 25)
    assert words[0] == "systemd-run"
    assert {"--uid=2001", "--gid=2001", "--slice=user-2001.slice", "--property=RuntimeMaxSec=25"} <= set(words)
    assert {"--setenv=HOME=/home/amartin", "--setenv=XDG_RUNTIME_DIR=/run/user/2001"} <= set(words)
    assert words[words.index("--") :] == ["--", "/usr/bin/podman", "stop", "--time", "5", IDENTITY]
    # Several at once need names of their own.
    assert words != podman.words_as(policy(), ["stop", "--time", "5", IDENTITY], 25)


def test_output_status_and_complaint() -> None:
    assert bounded(["sh", "-c", "echo out; echo err >&2; exit 3"], 10) == (3, b"out\n", "err\n")
    assert bounded(["true"], 10) == (0, b"", "")
    assert bounded(["/does/not/exist"], 10) == (None, b"", "cannot run /does/not/exist: No such file or directory")


def test_who_takes_too_long_is_left() -> None:
    begun = time.monotonic()
    assert bounded(["sleep", "60"], 0.2) == (None, b"", "did not end within 0.2 s")
    # Also when a child holds the pipe open after the program itself has been killed.
    assert bounded(["sh", "-c", "sleep 60 & sleep 60"], 0.2)[0] is None
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("where", [1, 2])
def test_who_talks_too_much_is_left(where: int) -> None:
    status, output, why = bounded(["sh", "-c", f"exec yes >&{where}"], 30)
    assert (status, output, why) == (None, b"", f"wrote more than {podman.MOST_BYTES} bytes")


def test_nothing_of_our_environment_gets_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    status, output, _complaint = bounded(["env"], 10)
    assert status == 0
    assert b"SECRET" not in output


def test_no_descriptor_is_left_open() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for argv in (["true"], ["/does/not/exist"]):
        bounded(argv, 10)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_what_podman_says_last_cannot_steer_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(podman, "words_as", lambda *_: ["sh", "-c", r"printf 'a\n\033[31mred\n' >&2; exit 125"])
    with pytest.raises(CommandError, match=r"podman ps as amartin ended with 125: \?\[31mred$"):
        podman.run(policy(), ["ps"], 5)


class Script:
    """Answers of podman by first word, and what was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **answers: bytes | Exception) -> None:
        self.answers, self.asked = answers, list[list[str]]()
        monkeypatch.setattr(podman, "run", self.run)

    def run(self, _policy: Policy, words: Sequence[str], _seconds: float) -> bytes:
        self.asked.append(list(words))
        answer = self.answers.get(words[0], b"")
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.mark.parametrize("version", VERSIONS)
def test_recorded_containers(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Script(monkeypatch, ps=(DATA / f"ps-{version}.json").read_bytes())
    found = {container.name: container for container in podman.stopped(policy())}
    assert set(found) == {"s1", "s2", "s3"}
    # s1 still ran when this was recorded: its end is that of its making, never the year 1.
    assert found["s1"].ended == found["s3"].ended - (found["s3"].ended - found["s1"].ended)
    assert all(1795258000 < container.ended < 1795259000 for container in found.values())
    assert [name for name, container in found.items() if container.keep] == ["s1"]


@pytest.mark.parametrize(
    "answer",
    [b"", b"{", b"{}x", b"[1]", b'[{"Id": "../x", "ExitedAt": 1, "Created": 1}]', b"[{}]", b"[" * 100_000,
     b'[{"Id": "' + b"a" * 64 + b'", "ExitedAt": "soon", "Created": 1}]'],
)  # fmt: skip
def test_senseless_answers_are_an_error_of_this_person_alone(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    Script(monkeypatch, ps=answer)
    with pytest.raises(CommandError, match="podman ps as amartin gave a senseless answer"):
        podman.stopped(policy())


@pytest.mark.parametrize("value", ["true", "1", "Yes", "TRUE"])
def test_the_label_that_keeps_a_container(value: str) -> None:
    entry: dict[str, Any] = {"Id": IDENTITY, "ExitedAt": 1, "Created": 1, "Labels": {"lyceum.keep": value}}
    assert parse_stopped(entry).keep
    assert not parse_stopped({**entry, "Labels": {"lyceum.keep": "no"}}).keep
    assert not parse_stopped({**entry, "Labels": None}).keep


@pytest.mark.parametrize(
    ("name", "image"),
    [("web", "web"), ("My_Web.1", "my-web-1"), ("---", "container"), ("x;rm -rf /", "x-rm-rf"), ("", "container")],
)
def test_the_name_of_a_saved_container_is_one_that_podman_takes(name: str, image: str) -> None:
    assert saved_name(name, time.gmtime(1795258800)) == f"localhost/lyceum-saved/{image}:20261121t110000"


def old() -> Stopped:
    return Stopped(IDENTITY, "web", 0, keep=False)


def test_a_container_is_removed_once_its_image_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(monkeypatch, commit=b"b" * 64 + b"\n", image=b"sha256:" + b"b" * 64 + b"\n")
    save_and_remove(policy(), old(), "localhost/lyceum-saved/web:1")
    assert [words[0] for words in script.asked] == ["commit", "image", "rm"]
    assert script.asked[-1] == ["rm", IDENTITY]  # no --force, no --volumes


@pytest.mark.parametrize(
    ("commit", "image"),
    [
        (CommandError("disk quota exceeded"), b""),
        (b"b" * 64, CommandError("no such image")),
        (b"b" * 64, b"c" * 64),
        (b"", b""),
        (b"Error", b"Error"),
    ],
)
def test_a_container_that_could_not_be_saved_stays(
    commit: bytes | Exception, image: bytes | Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script(monkeypatch, commit=commit, image=image)
    with pytest.raises(CommandError):
        save_and_remove(policy(), old(), "localhost/lyceum-saved/web:1")
    assert "rm" not in [words[0] for words in script.asked]


def test_limits_as_podman_wants_them(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(monkeypatch)
    podman.update(policy(container_memory_gib=0.5, container_cpu_cores=1.5), IDENTITY)
    podman.update(policy(container_cpu_cores=2), IDENTITY)
    memory = str(512 * 1024**2) + "b"
    assert script.asked == [
        ["update", "--memory", memory, "--memory-swap", memory, "--cpus", "1.5", IDENTITY],
        ["update", "--cpus", "2", IDENTITY],
    ]


def test_whether_there_may_be_containers(tmp_path: Path) -> None:
    assert not podman.has_storage(tmp_path)
    (tmp_path / "overlay-containers").mkdir()
    path = tmp_path / "overlay-containers/containers.json"
    path.write_text("[]")
    assert not podman.has_storage(tmp_path)
    path.write_text(json.dumps([{"id": IDENTITY}]))
    assert podman.has_storage(tmp_path)
