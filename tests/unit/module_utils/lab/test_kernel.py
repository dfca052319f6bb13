# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernels and disks: where they come from, made once, and what stands in the way."""

from __future__ import annotations

import shlex
import threading
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import CommandError, LyceumError
from ansible.module_utils.lyceum.lab import engine
from ansible.module_utils.lyceum.lab import kernel as core

MIRROR = "http://debian.example.org/debian"
NEW = core.Source("sid", "7.2um1", MIRROR)
ANY = core.Source("sid", "", MIRROR)
OLD = core.Source("trixie", "", MIRROR)

# Stands in for mmdebstrap: suite `sid` has version 7.2um1 only, each run leaves a line in the log.
ARCHIVE = """
echo "$*" >> {log}
for word in "$@"; do
  case $word in
    --include=user-mode-linux=7.2um1 | --include=user-mode-linux) found=yes ;;
    --include=user-mode-linux=*) echo "E: Version '${{word##*=}}' for 'user-mode-linux' was not found" >&2; exit 25 ;;
    */tree) tree=$word ;;
  esac
done
mkdir -p "$tree/usr/bin" "$tree/usr/lib/uml/modules/7.2.7/kernel" "$tree/etc/systemd/system" "$tree/usr/lib/modules"
echo "{options}" > "$tree/usr/bin/linux.uml"
echo module > "$tree/usr/lib/uml/modules/7.2.7/kernel/quota_v2.ko"
echo installed > "$tree/etc/hostname"
"""


@pytest.fixture
def archive(docker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with a Debian archive. Returns the log of what was fetched."""
    log = tmp_path / "fetched"
    log.touch()
    docker.program("mmdebstrap", ARCHIVE.format(log=shlex.quote(str(log)), options="seccomp=<on/auto/off>"))
    docker.program("mke2fs", 'for last in "$@"; do :; done; test -s "$last" || exit 1; echo made > "$last"')
    docker.program("ip", "exit 0")
    docker.program("mkdir", 'exec /usr/bin/mkdir "$@"')
    monkeypatch.setattr(core, "KEYRING", engine.KEYRING)
    monkeypatch.setattr(core, "is_root", lambda: True)
    return log


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    folder = tmp_path / "overlay"
    (folder / "etc/systemd/system").mkdir(parents=True)
    (folder / "etc/systemd/system/lab-boot.service").write_text("[Unit]\n")
    (folder / "etc/link").symlink_to("../lab-boot.service")
    return folder


def disk(kernel: core.Kernel, overlay: Path, *packages: str) -> core.Disk:
    return core.Disk("trixie", packages or ("cron", "acl"), MIRROR, overlay, kernel)


def test_the_first_kernel_that_can_be_had_is_fetched_once(archive: Path, tmp_path: Path) -> None:
    gone = core.Source("sid", "7.1", MIRROR)
    assert core.find([gone, ANY]) is None
    source, failures = core.fetch([gone, NEW, OLD])
    assert source == NEW
    assert failures == ["there is no user-mode-linux 7.1 from sid: Version '7.1' for 'user-mode-linux' was not found"]
    found = core.find([gone, NEW, OLD])
    assert found == core.Kernel(NEW.tree, "7.2.7", True)
    assert {path.name for path in NEW.tree.iterdir()} >= set(core.MOUNT_POINTS)
    assert core.fetch([NEW, OLD]) == (NEW, [])
    assert len(archive.read_text().splitlines()) == 2
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [NEW.tree.name]


def test_a_better_source_wins_when_both_are_there(archive: Path) -> None:
    core.fetch([OLD])
    assert core.find([NEW, OLD]) == core.Kernel(OLD.tree, "7.2.7", True)
    core.fetch([NEW])
    assert core.find([NEW, OLD]) == core.Kernel(NEW.tree, "7.2.7", True)


def test_no_kernel_at_all_is_said_in_the_fixed_words(archive: Path, docker: Any) -> None:
    docker.program("mmdebstrap", "echo 'E: no network' >&2; exit 100")
    with pytest.raises(LyceumError) as caught:
        core.fetch([NEW, OLD])
    assert str(caught.value) == (
        "This machine cannot boot a host with a kernel of its own: there is no user-mode-linux of any version from"
        " trixie: no network."
    )


def test_an_error_of_another_program_is_told_whole() -> None:
    assert core.complaint(CommandError("`mke2fs x` ended with status 1: no space")) == (
        "`mke2fs x` ended with status 1: no space"
    )


def test_a_kernel_without_seccomp_is_said_to_be_slow(archive: Path, docker: Any) -> None:
    docker.program("mmdebstrap", ARCHIVE.format(log=shlex.quote(str(archive)), options="mem=<Amount"))
    core.fetch([OLD])
    found = core.find([OLD])
    assert found is not None
    assert not found.quick
    (text,) = core.warnings(found, [])
    assert "three to four times slower" in text
    assert str(OLD.tree) in text
    assert core.warnings(core.Kernel(OLD.tree, "7", True), ["there is no x"]) == ["there is no x"]


def test_the_name_of_a_disk_changes_with_every_input(archive: Path, overlay: Path) -> None:
    kernel = core.Kernel(NEW.tree, "7.2.7", True)
    names = [
        disk(kernel, overlay).path,
        disk(kernel, overlay, "cron").path,
        core.Disk("bookworm", ("cron", "acl"), MIRROR, overlay, kernel).path,
        core.Disk("trixie", ("cron", "acl"), None, overlay, kernel).path,
        disk(core.Kernel(OLD.tree, "7.2.7", True), overlay).path,
        disk(core.Kernel(NEW.tree, "7.2.8", True), overlay).path,
    ]
    assert disk(kernel, overlay, "acl", "cron").path == names[0]
    (overlay / "etc/systemd/system/lab-boot.service").write_text("[Unit]\nAfter=x\n")
    names.append(disk(kernel, overlay).path)
    (overlay / "etc/systemd/system/lab-boot.service").chmod(0o755)
    names.append(disk(kernel, overlay).path)
    (overlay / "etc/link").unlink()
    (overlay / "etc/link").symlink_to("elsewhere")
    names.append(disk(kernel, overlay).path)
    assert len(set(names)) == len(names)


def test_a_disk_is_made_once_and_leaves_nothing(archive: Path, overlay: Path, tmp_path: Path) -> None:
    core.fetch([NEW])
    wanted = disk(core.inspect(NEW.tree), overlay)
    left = tmp_path / "cache" / f"build-{wanted.path.name}"
    left.mkdir()
    (left / "half-a-tree").touch()
    assert core.build(wanted)
    assert not core.build(wanted)
    assert wanted.path.read_text() == "made\n"
    assert len(archive.read_text().splitlines()) == 2
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {NEW.tree.name, wanted.path.name}


def test_a_disk_that_cannot_be_made_never_gets_the_name(archive: Path, overlay: Path, docker: Any) -> None:
    core.fetch([NEW])
    wanted = disk(core.inspect(NEW.tree), overlay)
    docker.program("mke2fs", "echo no space >&2; exit 1")
    with pytest.raises(CommandError, match="no space"):
        core.build(wanted)
    assert not wanted.path.exists()


def test_a_tree_becomes_one_that_this_kernel_boots(archive: Path, overlay: Path, tmp_path: Path) -> None:
    core.fetch([NEW])
    tree = tmp_path / "tree"
    units = tree / "etc/systemd/system"
    units.mkdir(parents=True)
    (units / "apt-daily.timer").symlink_to("/usr/lib/systemd/system/apt-daily.timer")
    (tree / "etc/hostname").write_text("builder\n")
    (tree / "usr/lib/modules").mkdir(parents=True)
    core.furnish(tree, disk(core.inspect(NEW.tree), overlay))
    assert (tree / "usr/lib/modules/7.2.7/kernel/quota_v2.ko").exists()
    assert (units / "lab-boot.service").read_text() == "[Unit]\n"
    assert {path.name for path in units.iterdir() if path.is_symlink()} == set(core.MASKED)
    assert str((units / "apt-daily.timer").readlink()) == "/dev/null"
    assert len((tree / "etc/machine-id").read_text().strip()) == 32
    assert not (tree / "etc/hostname").exists()


def test_quotas_are_enforced_from_the_mount_on() -> None:
    lines = [line.split() for line in core.fstab().splitlines()]
    assert [words[1] for words in lines] == ["/", "/home", "/srv", "/srv/scratch", "none"]
    assert [words[0] for words in lines] == ["/dev/ubda", "/dev/ubdb", "/dev/ubdc", "/dev/ubdd", "/dev/ubde"]
    assert lines[-1][2:4] == ["swap", "sw"]
    for _device, path, kind, options, _dump, check in lines[1:-1]:
        assert {"ext4": "usrquota,grpquota,prjquota", "xfs": "uquota,gquota,pquota"}[kind] == options
        assert check == ("2" if kind == "ext4" else "0")
        assert f"quotaon@{path[1:].replace('/', '-')}.service" in core.MASKED


def test_who_waits_for_the_same_thing_finds_it_made(archive: Path, tmp_path: Path) -> None:
    target = tmp_path / "cache" / "thing"
    began, go_on = threading.Event(), threading.Event()
    runs = []

    def recipe(folder: Path, lock: int) -> Path:
        began.set()
        go_on.wait(10)
        runs.append(lock)
        (folder / "made").touch()
        return folder / "made"

    results: list[bool] = []
    threads = [threading.Thread(target=lambda: results.append(core.make_once(target, recipe))) for _ in range(2)]
    threads[0].start()
    began.wait(10)
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False, True]
    assert len(runs) == 1
    assert target.exists()


def test_what_a_killed_run_had_started_still_holds_the_lock(archive: Path, docker: Any, tmp_path: Path) -> None:
    """The program inherits the descriptor: it is one of its open files."""
    docker.program("mmdebstrap", f"ls -l /proc/self/fd > {shlex.quote(str(tmp_path / 'open'))}; exit 1")
    docker.program("ls", 'exec /usr/bin/ls "$@"')
    with pytest.raises(LyceumError):
        core.fetch([NEW])
    assert f"lyceum-lab-{NEW.tree.name}.lock" in (tmp_path / "open").read_text()


def test_a_machine_that_can_has_no_obstacle(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tun = tmp_path / "tun"
    tun.touch()
    monkeypatch.setattr(core, "TUN", tun)
    monkeypatch.setattr(core.platform, "machine", lambda: "x86_64")
    assert core.obstacle() is None
    tun.unlink()
    assert core.obstacle() == f"{tun} cannot be opened: No such file or directory"
    monkeypatch.setattr(core.platform, "machine", lambda: "aarch64")
    assert core.obstacle() == "user-mode Linux is for x86_64, this is aarch64"
    monkeypatch.setattr(core, "is_root", lambda: False)
    assert (core.obstacle() or "").startswith("only root may make network devices and mounts")


def test_free_memory_is_what_the_machine_says(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       24684092 kB\nMemFree:  1024 kB\nMemAvailable:    2097152 kB\n")
    assert core.free_memory_mib(meminfo) == 2048


def test_missing_programs_are_named_by_their_packages(archive: Path, docker: Any, tmp_path: Path) -> None:
    assert core.missing_packages() == []
    (docker.path / "mke2fs").unlink()
    (docker.path / "mmdebstrap").unlink()
    engine.KEYRING.unlink()
    assert core.missing_packages() == ["mmdebstrap", "e2fsprogs", "debian-archive-keyring"]


def test_a_kernel_is_handed_on_as_json_can_hold_it() -> None:
    assert core.as_dict(None) == {}
    assert core.as_dict(core.Kernel(Path("/x"), "7", True)) == {"tree": "/x", "version": "7", "quick": True}
    assert core.describe(None, []) == "kernel: none\ndisks: none\n"
    assert core.describe(core.Kernel(Path("/x"), "7", True), ["trixie"]) == "kernel: 7\ndisks: trixie\n"
