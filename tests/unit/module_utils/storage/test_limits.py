# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person is told on request, without any privilege."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum import notices
from ansible.module_utils.lyceum.storage import limits, state
from ansible.module_utils.lyceum.storage.limits import lines, main, slice_of

from .test_usage import row

HALF_GIB = 512 * 1024 * 1024
# As systemd 252 and 257 print them.
SLICE = {
    "CPUQuotaPerSecUSec": "1.500s",
    "MemoryCurrent": "104857600",
    "MemoryHigh": "infinity",
    "MemoryMax": str(HALF_GIB),
    "TasksCurrent": "12",
    "TasksMax": "256",
}


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(state, "BASE", tmp_path / "storage")
    monkeypatch.setattr(notices, "NOTICES", tmp_path / "notices")
    monkeypatch.setattr(limits, "slice_of", lambda _uid: dict(SLICE))
    (tmp_path / "storage/people").mkdir(parents=True)
    return tmp_path


def hand_out(places: Path, suffix: str, text: str) -> None:
    (places / f"storage/people/{os.getuid()}{suffix}").write_text(text)


def test_everything_at_once(places: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unknown = row(what="total", filesystem="/srv", used_bytes=None, used_files=None)
    rows = [row(used_bytes=4096, used_files=2, hard_bytes=HALF_GIB), unknown]
    hand_out(places, "", json.dumps({"rows": [one.__dict__ for one in rows]}))
    (places / "storage/updated").write_text("2026-11-21T11:52:24Z\n")
    (places / f"notices/{os.getuid()}").mkdir(parents=True)
    (places / f"notices/{os.getuid()}/purge").write_text("Three files go.\nOn Monday.\n")
    assert main([]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Storage (as of 2026-11-21T11:52:24Z)",
        "  home       4 KiB of 512 MiB (0 %), 2 files",
        "Sessions, all together",
        "  memory     100 MiB of 512 MiB",
        "  processors 1.5",
        "  tasks      12 of 256",
        "Notice (purge)",
        "  Three files go.",
        "  On Monday.",
    ]
    assert main(["--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["slice"] == SLICE
    assert found["storage"][0]["used_bytes"] == 4096
    assert found["notices"] == {"purge": "Three files go.\nOn Monday.\n"}


def test_whoever_is_not_known_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 1
    said = capsys.readouterr()
    assert said.out.startswith("Storage\nSessions, all together\n")
    assert said.err == "lyceum-limits: nothing is known about your storage yet.\n"
    assert main(["--json"]) == 1


def test_the_list_of_what_is_to_go(places: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--purge"]) == 0
    assert capsys.readouterr().out == "Nothing of yours is to be deleted.\n"
    hand_out(places, ".purge", "2026-12-01 03:30       4 KiB  old/file\n")
    main(["--purge"])
    assert capsys.readouterr().out == "2026-12-01 03:30       4 KiB  old/file\n"


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({}, []),
        ({"CPUQuotaPerSecUSec": "infinity", "MemoryMax": "infinity", "TasksMax": "infinity"}, []),
        ({"MemoryCurrent": "[not set]", "TasksCurrent": "18446744073709551615"}, []),
        ({"CPUQuotaPerSecUSec": "1min 30s"}, ["processors 90"]),
        ({"CPUQuotaPerSecUSec": "250ms"}, ["processors 0.25"]),
        ({"MemoryCurrent": "4096"}, ["memory     4 KiB"]),
        ({"MemoryMax": str(HALF_GIB), "MemoryHigh": "104857600"}, ["memory     unknown of 100 MiB"]),
        ({"TasksMax": "256"}, ["tasks      unknown of 256"]),
    ],
)
def test_slices_as_systemd_describes_them(properties: dict[str, str], said: list[str]) -> None:
    found = lines([], properties, {}, "")
    assert found == ["Storage", *(["Sessions, all together"] if said else []), *(f"  {one}" for one in said)]


def test_where_systemd_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()

    def refuse(*_words: Any, **_options: Any) -> None:
        raise FileNotFoundError(2, "No such file or directory", "systemctl")

    monkeypatch.setattr("subprocess.run", refuse)
    assert slice_of(2001) == {}
