# SPDX-License-Identifier: GPL-3.0-or-later
"""Append-only log of runs on the controller, one canonical JSON object per line, each carrying the hash of the last.

Next to `<log>` lie `<log>.head` (number of records, last hash, size in bytes: so that a cut-off tail is noticed) and
`<log>.lock`. The chain has no secret in it: it finds accidents and careless edits. Whoever may write the directory
can forge a whole new chain, which is why every run prints its own hash: a copy of that elsewhere is an anchor.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from .errors import LyceumError

GENESIS = "0" * 64


@dataclass(frozen=True)
class Head:
    """What the log must end with: `count` records, the last one's `hash`, `size` bytes in all."""

    count: int = 0
    hash: str = GENESIS
    size: int = 0

    def encode(self) -> bytes:
        return canonical({"count": self.count, "hash": self.hash, "size": self.size}) + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> Head:
        """The reverse of `encode`; raises ValueError for anything that `encode` would not have written."""
        fields = json.loads(data)
        if not isinstance(fields, dict) or sorted(fields) != ["count", "hash", "size"]:
            raise ValueError("not a head record")
        head = cls(**fields)
        if head.encode() != data:
            raise ValueError("not as it was written")
        return head


def canonical(value: Any) -> bytes:
    """The only accepted spelling of a JSON value: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii")


def digest(record: Mapping[str, Any]) -> str:
    """sha256 (hex) of a record without its own `hash`."""
    return hashlib.sha256(canonical({key: value for key, value in record.items() if key != "hash"})).hexdigest()


def append(path: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    """Add one record under the lock and force it to disk; return it with `seq` (from 1), `prev_hash` and `hash`.

    A half line left by a killed writer is removed first (it was never acknowledged). After tampering the record still
    goes in, chained to the head, because a run must not go unrecorded; `verify` then names the place.
    Raises LyceumError when the directory cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(path, fcntl.LOCK_EX):
            return _append(path, record)
    except OSError as exc:
        raise LyceumError(
            f"append to audit log {path}: {exc.strerror or exc}; point LYCEUM_STATE_DIR at a writable directory"
        ) from exc


def verify(path: Path) -> list[str]:
    """Every break of the chain, the first broken line first; an empty list means intact.

    Raises LyceumError when the log cannot be read.
    """
    try:
        if not path.exists() and not _head_path(path).exists():
            return [f"{path}: there is no audit log here"]
        with _locked(path, fcntl.LOCK_SH):
            data = path.read_bytes() if path.exists() else b""
            head_data = _head_path(path).read_bytes() if _head_path(path).exists() else None
    except OSError as exc:
        raise LyceumError(f"read audit log {path}: {exc.strerror or exc}") from exc
    return [f"{path}:{line}: {what}" for line, what in _breaks(data)] + [
        f"{path}: {what}" for what in _head_breaks(data, head_data)
    ]


def _append(path: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+b") as log:
        os.fchmod(log.fileno(), 0o600)
        head, note = _recover(path, log)
        entry: dict[str, Any] = {**record, **note, "seq": head.count + 1, "prev_hash": head.hash}
        entry["hash"] = digest(entry)
        log.write(canonical(entry) + b"\n")
        log.flush()
        os.fsync(log.fileno())
        _write_head(path, Head(head.count + 1, entry["hash"], log.tell()))
    return entry


def _recover(path: Path, log: BinaryIO) -> tuple[Head, dict[str, str]]:
    """Leave `log` at the place to write at; return the head to chain to and, if the head was lost, a note that says so.

    A writer that died between line and head left complete lines behind the head: they count. One that died in the
    middle of a line left half a line behind the head: it goes. Half a line before the head is tampering: it stays.
    """
    data_size = log.seek(0, os.SEEK_END)
    try:
        head, note = Head.decode(_head_path(path).read_bytes()), {}
    except (FileNotFoundError, ValueError, TypeError):
        head, note = Head(), {"chain_note": "the head file was missing or damaged"} if data_size else {}
    log.seek(min(head.size, data_size))
    complete, _, torn = log.read().rpartition(b"\n")
    for line in complete.splitlines():
        entry = _parse(line)
        if entry is not None and entry["prev_hash"] == head.hash:
            head = Head(head.count + 1, entry["hash"], head.size)
    if torn:
        log.truncate(data_size - len(torn))
    log.seek(0, os.SEEK_END)
    if log.tell() and not _ends_line(log):
        log.write(b"\n")
    return head, note


def _ends_line(log: BinaryIO) -> bool:
    log.seek(-1, os.SEEK_END)
    return log.read(1) == b"\n"


def _write_head(path: Path, head: Head) -> None:
    target = _head_path(path)
    temporary = target.with_name(target.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(head.encode())
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(target)
    directory = os.open(target.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _breaks(data: bytes) -> Iterator[tuple[int, str]]:
    lines = data.split(b"\n")
    if lines[-1]:
        yield len(lines), "the last line is cut off"
    records = [_parse(line) for line in lines[:-1]]
    line_of = {record["hash"]: number for number, record in enumerate(records, 1) if record is not None}
    previous, sequence = GENESIS, 0
    for number, record in enumerate(records, 1):
        if record is None:
            yield number, "edited: the line is not the record that was hashed"
            # Its place in the chain is still known, so that only this line is reported, not the rest of the file.
            following = records[number] if number < len(records) else None
            previous, sequence = (following["prev_hash"] if following else ""), sequence + 1
            continue
        if record["prev_hash"] != previous and previous:
            yield number, _misplaced(record, sequence, line_of, number)
        previous, sequence = record["hash"], record["seq"]


def _misplaced(record: dict[str, Any], sequence: int, line_of: dict[str, int], number: int) -> str:
    home = line_of.get(record["prev_hash"])
    if home is not None and home != number:
        return f"reordered: record {record['seq']} belongs after line {home}"
    if record["seq"] > sequence + 1:
        return f"removed: records {sequence + 1} to {record['seq'] - 1} are missing before this line"
    return f"record {record['seq']} does not continue the record before it"


def _parse(line: bytes) -> dict[str, Any] | None:
    """The record, or None when the line is not exactly what `append` writes."""
    try:
        record = json.loads(line)
        if not isinstance(record, dict) or canonical(record) != line:
            return None
    except ValueError:
        return None
    if not isinstance(record.get("seq"), int) or not isinstance(record.get("prev_hash"), str):
        return None
    return record if digest(record) == record.get("hash") else None


def _head_breaks(data: bytes, head_data: bytes | None) -> Iterator[str]:
    if head_data is None:
        yield "the head file is gone: records cut off at the end would not be noticed"
        return
    try:
        head = Head.decode(head_data)
    except (ValueError, TypeError):
        yield "the head file was edited"
        return
    last = _parse(data.rstrip(b"\n").rsplit(b"\n", 1)[-1]) if data else None
    count, last_hash = data.count(b"\n"), (last["hash"] if last else GENESIS)
    if count < head.count:
        yield f"truncated: {head.count} records were written, {count} are left"
    elif count != head.count or last_hash != head.hash or len(data) != head.size:
        yield f"the log does not end as its head says (record {head.count}, {head.hash[:12]})"


def _head_path(path: Path) -> Path:
    return path.with_name(path.name + ".head")


@contextmanager
def _locked(path: Path, kind: int) -> Iterator[None]:
    descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, kind)
        yield
    finally:
        os.close(descriptor)
