# SPDX-License-Identifier: GPL-3.0-or-later
"""A mount with other owners, in a mount namespace of the test's own."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import pytest
from ansible.module_utils.lyceum.containers import idmap
from ansible.module_utils.lyceum.errors import LyceumError

CLONE_NEWNS = 0x20000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
MAP = "0 2001 1\n1 524288 65536\n"


def in_own_namespace(work: Path, source: Path) -> str:
    """What a child process sees that mounts and unmounts `source`; it changes nothing for anybody else."""
    result = work / "result"
    child = os.fork()
    if child == 0:
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None):
                result.write_text("no namespace")
                os._exit(0)
            target = work / "target"
            target.mkdir()
            idmap.mount(source, target, MAP, MAP)
            owners = {path.name: path.stat().st_uid for path in target.iterdir()}
            try:
                (target / "root").write_text("x")
            except OSError as exc:
                owners["write"] = exc.errno or 0
            options = Path("/proc/self/mountinfo").read_text().splitlines()[-1].split()[5]
            gone = (idmap.unmount(target), idmap.unmount(target), list(target.iterdir()))
            result.write_text(repr((sorted(owners.items()), options, gone)))
        except LyceumError as exc:
            result.write_text(f"refused: {exc}")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    return result.read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_owners_are_shifted_and_nothing_can_be_written(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name, uid in (("root", 0), ("www", 33), ("far", 70000)):
        (source / name).touch()
        os.chown(source / name, uid, uid)
    seen = in_own_namespace(tmp_path, source)
    if seen == "no namespace" or seen.startswith("refused"):
        pytest.skip(f"this machine cannot do it: {seen}")
    # What is outside the map belongs to nobody; 30 is EROFS.
    assert seen == repr(
        (
            [("far", 65534), ("root", 2001), ("write", 30), ("www", 524320)],
            "ro,nosuid,nodev,relatime,idmapped",
            (True, False, []),
        )
    )


def test_a_source_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LyceumError, match=f"cannot mount {tmp_path}/no on {tmp_path} with other owners"):
        idmap.mount(tmp_path / "no", tmp_path, MAP, MAP)
