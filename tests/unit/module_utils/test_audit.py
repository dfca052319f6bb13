# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit log: every edit is found, and two runs at once or a killed one keep the chain whole."""

from __future__ import annotations

import json
import multiprocessing
import stat
from pathlib import Path

import pytest
from ansible.module_utils.lyceum import audit
from ansible.module_utils.lyceum.errors import LyceumError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

RECORDS = [{"actor": "amartin", "hosts": {"h1": {"bchen": {"result": "created"}}}, "number": n} for n in range(4)]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "audit" / "lab.jsonl"
    for record in RECORDS:
        audit.append(path, record)
    return path


def head_of(path: Path) -> Path:
    return path.with_name(path.name + ".head")


def test_an_untouched_log_is_intact_and_private(log: Path) -> None:
    assert audit.verify(log) == []
    assert [stat.S_IMODE(p.stat().st_mode) for p in (log, head_of(log), log.parent)] == [0o600, 0o600, 0o700]
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    assert [entry["seq"] for entry in entries] == [1, 2, 3, 4]
    assert entries[0]["prev_hash"] == audit.GENESIS
    assert [entry["prev_hash"] for entry in entries[1:]] == [entry["hash"] for entry in entries[:-1]]
    assert {key: entries[3][key] for key in RECORDS[3]} == RECORDS[3]


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_edit_of_any_byte_is_found(log: Path, data: st.DataObject) -> None:
    target = data.draw(st.sampled_from([log, head_of(log)]))
    before = target.read_bytes()
    place = data.draw(st.integers(0, len(before) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != before[place]))
    kind = data.draw(st.sampled_from(["replace", "insert", "delete"]))
    new = {"replace": bytes([byte]), "insert": bytes([byte, before[place]]), "delete": b""}[kind]
    target.write_bytes(before[:place] + new + before[place + 1 :])
    try:
        problems = audit.verify(log)
        assert problems
        if target == log and kind != "insert":
            assert problems[0].startswith(f"{log}:{before[:place].count(10) + 1}:")
    finally:
        target.write_bytes(before)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(lambda n: [n[0], n[1].replace("bchen", "dlopez"), n[2], n[3]], ":2: edited", id="edited"),
        pytest.param(lambda n: [n[0], n[2], n[3]], ":2: removed: records 2 to 2 are missing", id="removed"),
        pytest.param(lambda n: [n[0], n[2], n[1], n[3]], ":2: reordered: record 3 belongs after line", id="reordered"),
        pytest.param(lambda n: n[:2], "truncated: 4 records were written, 2 are left", id="truncated"),
        pytest.param(lambda n: [], "truncated: 4 records were written, 0 are left", id="emptied"),
        pytest.param(lambda n: [n[0], n[1], n[1], n[2], n[3]], ":3: reordered", id="duplicated"),
    ],
)
def test_the_first_broken_line_is_named(log: Path, change: object, expected: str) -> None:
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(change(lines)))  # type: ignore[operator]
    assert expected in audit.verify(log)[0]


def test_one_edited_line_is_reported_once(log: Path) -> None:
    log.write_text(log.read_text().replace('"number":1', '"number":7'))
    assert audit.verify(log) == [f"{log}:2: edited: the line is not the record that was hashed"]


def test_tampering_stays_visible_after_the_next_run(log: Path) -> None:
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:2]))
    audit.append(log, {"number": 5})
    assert "records 3 to 4 are missing" in audit.verify(log)[0]


def test_a_cut_line_before_the_head_is_kept_as_evidence(log: Path) -> None:
    log.write_bytes(log.read_bytes()[:-5])
    audit.append(log, {"number": 5})
    assert audit.verify(log)[0].startswith(f"{log}:4: edited")
    assert json.loads(log.read_text().splitlines()[-1])["number"] == 5


def test_a_lost_head_is_noted_in_the_next_record(log: Path) -> None:
    head_of(log).unlink()
    assert "head file is gone" in audit.verify(log)[0]
    assert audit.append(log, {"number": 5})["chain_note"] == "the head file was missing or damaged"
    assert audit.verify(log) == []


def test_half_a_line_of_a_killed_writer_is_removed(log: Path) -> None:
    with log.open("ab") as handle:
        handle.write(b'{"actor":"half a li')
    assert audit.append(log, {"number": 5})["seq"] == 5
    assert audit.verify(log) == []


def test_a_writer_killed_before_it_wrote_the_head_is_continued(log: Path) -> None:
    old_head = head_of(log).read_bytes()
    audit.append(log, {"number": 5})
    head_of(log).write_bytes(old_head)
    assert audit.append(log, {"number": 6})["seq"] == 6
    assert audit.verify(log) == []


def _write_many(path: str) -> None:
    for number in range(25):
        audit.append(Path(path), {"number": number})


def test_runs_at_the_same_time_keep_the_chain(tmp_path: Path) -> None:
    path = tmp_path / "lab.jsonl"
    writers = [multiprocessing.get_context("fork").Process(target=_write_many, args=(str(path),)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert audit.verify(path) == []
    assert len(path.read_text().splitlines()) == 100


def test_no_log_is_not_an_intact_log(tmp_path: Path) -> None:
    assert audit.verify(tmp_path / "none.jsonl") == [f"{tmp_path}/none.jsonl: there is no audit log here"]


def test_a_directory_that_cannot_be_written_names_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "audit").write_text("a file in the way")
    with pytest.raises(LyceumError, match="LYCEUM_STATE_DIR"):
        audit.append(tmp_path / "audit" / "lab.jsonl", {})
