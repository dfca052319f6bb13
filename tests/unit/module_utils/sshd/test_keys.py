# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory of keys: exactly what is listed, readable by sshd, and never a way to lock the admin out."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import LyceumError, RefusedError
from ansible.module_utils.lyceum.sshd import keys
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="the directory belongs to root")
needs_ssh_keygen = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")


def public(key: Any) -> str:
    encoded: bytes = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return encoded.decode()


LAPTOP = f"{public(ed25519.Ed25519PrivateKey.generate())} laptop"
DESKTOP = f"{public(ed25519.Ed25519PrivateKey.generate())} desktop of A. Martin"
ECDSA = f"{public(ec.generate_private_key(ec.SECP256R1()))} token"
RSA = public(rsa.generate_private_key(public_exponent=65537, key_size=2048))


def spec(directory: Path, people: dict[str, list[str]], **params: Any) -> keys.KeysSpec:
    entries = [{"name": name, "ssh_keys": own} for name, own in people.items()]
    defaults = {"complete": True, "keep": [], "adopt": []}
    return keys.KeysSpec.from_params({"directory": str(directory), "people": entries, **defaults, **params})


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "authorized_keys.d"


def file(content: str, uid: int = 0, gid: int = 0, mode: int = 0o644) -> keys.KeyFile:
    return keys.KeyFile(content, uid, gid, mode)


GOOD = (0, 0, 0o755)


def planned(
    one: keys.KeysSpec,
    files: dict[str, keys.KeyFile] | None = None,
    homes: dict[str, str] | None = None,
    strangers: tuple[str, ...] = (),
) -> keys.KeysPlan:
    return keys.plan(one, keys.ObservedKeys(GOOD, files or {}, strangers, homes or {}))


# --- keys by fingerprint


@needs_ssh_keygen
@pytest.mark.parametrize("line", [LAPTOP, DESKTOP, ECDSA, RSA])
@pytest.mark.parametrize(
    "options",
    ["", "restrict ", 'from="10.0.0.0/8,*.example.org",no-pty ', 'command="echo a b \\" c" ', "cert-authority "],
)
def test_fingerprints_are_those_of_ssh_keygen(line: str, options: str, tmp_path: Path) -> None:
    (tmp_path / "key.pub").write_text(f"{line}\n")
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", str(tmp_path / "key.pub")], capture_output=True, text=True, check=True
    ).stdout.split()
    algorithm, _blob, *comment = line.split()
    assert keys.fingerprint(f"{options}{line}") == " ".join([shown[1], algorithm, *comment])
    assert keys.is_key(f"{options}{line}")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "#",
        "junk",
        "ssh-ed25519",
        "ssh-ed25519 AAAA",
        "ssh-ed25519 not-base64! laptop",
        "ssh-rsa " + LAPTOP.split()[1],
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        "\udcff AAAAAAAAAAAA",
        "# " + LAPTOP,
        "SHA256:" + "a" * 43,
    ],
)
def test_what_lets_nobody_in_is_no_key(line: str) -> None:
    assert not keys.is_key(line)


@given(st.text())
def test_any_line_can_be_shown(line: str) -> None:
    keys.fingerprint(line.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")).encode("utf-8")


# --- parameters


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "/etc/passwd"])
def test_names_that_are_no_file_names_are_refused(directory: Path, name: str) -> None:
    with pytest.raises(LyceumError, match="cannot be the name of a file of keys"):
        spec(directory, {name: []})


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (f"{LAPTOP}\n{DESKTOP}", "amartin: one ssh_keys entry holds several lines"),
        (f"{LAPTOP}\r{DESKTOP}", "several lines"),
        ("# laptop", "ssh_keys entry '# laptop' is not a key"),
        (f"{LAPTOP}\0", "is not a key"),
    ],
)
def test_entries_that_are_no_single_key_are_refused(directory: Path, key: str, message: str) -> None:
    with pytest.raises(LyceumError, match=message):
        spec(directory, {"amartin": [key]})


def test_a_name_given_twice_is_refused(directory: Path) -> None:
    entry = {"name": "amartin", "ssh_keys": []}
    with pytest.raises(LyceumError, match="people: amartin is given twice"):
        keys.KeysSpec.from_params(
            {"directory": str(directory), "people": [entry, entry], "complete": True, "keep": [], "adopt": []}
        )


# --- the plan


@pytest.mark.parametrize(
    ("wanted", "have", "content", "actions"),
    [
        ([LAPTOP], None, f"{LAPTOP}\n", ["add laptop"]),
        ([LAPTOP], f"{LAPTOP}\n", "unchanged", []),
        ([f" {LAPTOP}\n", ""], f"{LAPTOP}\n", "unchanged", []),
        ([LAPTOP, DESKTOP], f"{LAPTOP}\n", f"{LAPTOP}\n{DESKTOP}\n", ["add desktop"]),
        ([LAPTOP], f"{DESKTOP}\n", f"{LAPTOP}\n", ["remove desktop", "add laptop"]),
        ([DESKTOP, LAPTOP], f"{LAPTOP}\n{DESKTOP}\n", f"{DESKTOP}\n{LAPTOP}\n", ["rewrite"]),
        ([LAPTOP], f"# by hand\n{LAPTOP}\n", f"{LAPTOP}\n", ["rewrite"]),
        ([LAPTOP], f"{LAPTOP}\r\n", f"{LAPTOP}\n", ["rewrite"]),
        ([LAPTOP], LAPTOP, f"{LAPTOP}\n", ["rewrite"]),
        ([LAPTOP], "", f"{LAPTOP}\n", ["add laptop"]),
        ([f"{LAPTOP}\u2028\x0cx"], f"{LAPTOP}\u2028\x0cx\n", "unchanged", []),
        ([LAPTOP, LAPTOP], f"{LAPTOP}\n{LAPTOP}\n", "unchanged", []),
        ([], f"{LAPTOP}\n{DESKTOP}\n", None, ["remove laptop", "remove desktop"]),
        ([], "", None, ["remove the empty file"]),
        ([], None, "unchanged", []),
    ],
)
def test_one_file(
    directory: Path, wanted: list[str], have: str | None, content: str | None, actions: list[str]
) -> None:
    files = {} if have is None else {"amartin": file(have)}
    plan = planned(spec(directory, {"amartin": wanted}), files)
    if content == "unchanged":
        assert (plan.changes, plan.unchanged, plan.changed) == ({}, ["amartin"], False)
        return
    change = plan.changes["amartin"]
    assert change.content == content
    assert len(change.actions) == len(actions)
    for action, expected in zip(change.actions, actions):
        verb, *words = expected.split()
        assert action.startswith(verb)
        assert all(word in action for word in words)
    assert not any("AAAA" in action for action in change.actions)


@pytest.mark.parametrize("owner", [(2001, 0, 0o644), (0, 2001, 0o644), (0, 0, 0o666), (0, 0, 0o600)])
def test_owner_and_mode_are_repaired(directory: Path, owner: tuple[int, int, int]) -> None:
    uid, gid, mode = owner
    expected = [f"owner {uid}:{gid} mode {mode:04o} -> 0:0 0644"]
    one = {"amartin": file(f"{LAPTOP}\n", *owner)}
    assert planned(spec(directory, {"amartin": [LAPTOP]}), one).changes["amartin"].actions == expected
    kept = planned(spec(directory, {}, keep=["root"]), {"root": file(f"# mine\n{LAPTOP}\n", *owner)}).changes["root"]
    assert (kept.actions, kept.content) == (expected, f"# mine\n{LAPTOP}\n")


@pytest.mark.parametrize(
    ("complete", "keep", "removed"),
    [(True, [], True), (True, ["old"], False), (False, [], False), (False, ["old"], False)],
)
def test_files_of_people_who_are_not_listed(directory: Path, complete: bool, keep: list[str], removed: bool) -> None:
    plan = planned(
        spec(directory, {"amartin": [LAPTOP]}, complete=complete, keep=keep),
        {"amartin": file(f"{LAPTOP}\n"), "old": file(f"# a comment\n{DESKTOP}\n")},
    )
    assert list(plan.changes) == (["old"] if removed else [])
    if removed:
        assert plan.changes["old"].content is None
        assert plan.changes["old"].actions[-1] == "remove the file: not in the registry"
        assert "desktop" in plan.changes["old"].actions[0]


@pytest.mark.parametrize(
    ("people", "files", "homes", "refused"),
    [
        ({}, {}, {}, True),
        ({"root": []}, {"root": f"{LAPTOP}\n"}, {}, True),
        ({}, {"root": "# nothing\n"}, {}, True),
        ({}, {"root": "ssh-ed25519 broken\n"}, {}, True),
        ({"root": ["ssh-ed25519 broken"]}, {"root": f"{LAPTOP}\n"}, {}, True),
        ({}, {}, {"root": "# nothing\n\n"}, True),
        ({}, {"root": f"{LAPTOP}\n"}, {}, False),
        ({"root": [LAPTOP]}, {}, {}, False),
        ({}, {}, {"root": f"{LAPTOP}\n"}, False),
        ({"root": [DESKTOP]}, {"root": f"{LAPTOP}\n"}, {}, False),
    ],
)
def test_the_admin_never_loses_the_last_key(
    directory: Path, people: dict[str, list[str]], files: dict[str, str], homes: dict[str, str], refused: bool
) -> None:
    one = spec(directory, people, keep=["root"])
    there = {name: file(content) for name, content in files.items()}
    if not refused:
        assert "root" not in planned(one, there, homes).changes or planned(one, there, homes).changes["root"].content
        return
    with pytest.raises(RefusedError, match=r"^root would be left without a key in .*; nothing was changed"):
        planned(one, there, homes)


def test_what_is_adopted_are_keys_and_nothing_else(directory: Path) -> None:
    """The admin's file may be a link to anything, and what is made of it can be read by everybody."""
    home = f"# mine\nroot:$y$j9T$secret:1::::::\n  {LAPTOP}  \nrestrict {DESKTOP}\r\n"
    plan = planned(spec(directory, {}, adopt=["root"]), homes={"root": home})
    assert plan.changes["root"].content == f"{LAPTOP}\nrestrict {DESKTOP}\n"


def test_listed_keys_win_over_adopted_ones(directory: Path) -> None:
    plan = planned(spec(directory, {"root": [LAPTOP]}, adopt=["root"]), homes={"root": f"{DESKTOP}\n"})
    assert plan.changes["root"].content == f"{LAPTOP}\n"


# --- a real directory


@pytest.fixture
def admin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The authorized_keys of the only account that pwd knows."""
    home = tmp_path / "home/admin"
    (home / ".ssh").mkdir(parents=True)

    def known(name: str) -> SimpleNamespace:
        if name != "admin":
            raise KeyError(name)
        return SimpleNamespace(pw_dir=str(home))

    monkeypatch.setattr(pwd, "getpwnam", known)
    monkeypatch.setattr(pwd, "getpwall", lambda: [SimpleNamespace(pw_name="admin", pw_dir=str(home))])
    return home / ".ssh/authorized_keys"


def test_adopting_looks_into_homes_only_where_there_is_nothing_yet(directory: Path, admin: Path) -> None:
    one = spec(directory, {}, adopt=["admin", "unknown"])
    assert keys.observe(one).homes == {}
    admin.write_bytes(LAPTOP.encode() + b" \xff\n")
    (text,) = keys.observe(one).homes.values()
    assert text.encode("utf-8", "surrogateescape") == LAPTOP.encode() + b" \xff\n"
    assert keys.observe(spec(directory, {"admin": [LAPTOP]}, adopt=["admin"])).homes == {}
    directory.mkdir()
    (directory / "admin").write_text("")
    assert keys.observe(one).homes == {}


def test_accounts_of_others_whose_keys_are_no_longer_read_are_named(directory: Path, admin: Path) -> None:
    everybody = spec(directory, {})
    assert keys.observe(everybody).shut_out == ()
    admin.write_text("")
    assert keys.observe(everybody).shut_out == ()
    admin.write_text(LAPTOP)
    assert keys.observe(everybody).shut_out == ("admin",)
    assert keys.plan(everybody, keys.observe(everybody)).shut_out == ("admin",)
    # Not those who are listed or kept, and not in a run for one person, which says nothing about others.
    for one in (
        spec(directory, {"admin": []}),
        spec(directory, {}, adopt=["admin"]),
        spec(directory, {}, complete=False),
    ):
        assert keys.observe(one).shut_out == ()
    directory.mkdir()
    (directory / "admin").write_text(LAPTOP)
    assert keys.observe(everybody).shut_out == ()


def test_an_unreadable_home_is_named(directory: Path, admin: Path) -> None:
    admin.mkdir()
    with pytest.raises(LyceumError, match=r"cannot read .*/\.ssh/authorized_keys: Is a directory"):
        keys.observe(spec(directory, {}, adopt=["admin"]))


def test_only_what_may_change_is_read(directory: Path) -> None:
    directory.mkdir()
    for name in ("amartin", "bchen", "root"):
        (directory / name).write_text(f"{LAPTOP}\n")
    (directory / ".amartin.lyceum").write_text("half")
    partial = keys.observe(spec(directory, {"amartin": []}, complete=False, keep=["root"]))
    assert sorted(partial.files) == ["amartin", "root"]
    assert sorted(keys.observe(spec(directory, {"amartin": []})).files) == ["amartin", "bchen", "root"]
    assert partial.strangers == (".amartin.lyceum",)


@pytest.mark.parametrize("kind", ["directory", "link", "fifo"])
def test_anything_but_plain_files_is_refused(directory: Path, kind: str) -> None:
    directory.mkdir()
    path = directory / "amartin"
    {"directory": path.mkdir, "link": lambda: path.symlink_to("/etc/shadow"), "fifo": lambda: os.mkfifo(path)}[kind]()
    with pytest.raises(LyceumError, match=r"/amartin is not a plain file; remove it"):
        keys.observe(spec(directory, {"bchen": []}))


def test_a_file_in_the_place_of_the_directory_is_refused(directory: Path) -> None:
    directory.write_text("")
    with pytest.raises(LyceumError, match=r"authorized_keys\.d is not a directory; move it away"):
        keys.observe(spec(directory, {}))


@needs_root
def test_applying_converges_and_clears_what_a_killed_run_left(directory: Path) -> None:
    one = spec(directory, {"amartin": [LAPTOP, RSA], "bchen": []}, keep=["root"])
    directory.mkdir(mode=0o777)
    directory.chmod(0o777)
    (directory / "root").write_text(f"{DESKTOP}\n")
    (directory / "root").chmod(0o666)
    for name, content in {"bchen": f"{ECDSA}\n", "gone": f"{ECDSA}\n", ".bchen.lyceum": "half"}.items():
        (directory / name).write_text(content)
    todo = keys.plan(one, keys.observe(one))
    assert keys.apply(one, todo) == {}
    assert {path.name: path.read_text() for path in directory.iterdir()} == {
        "amartin": f"{LAPTOP}\n{RSA}\n",
        "root": f"{DESKTOP}\n",
    }
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o644}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o755
    assert not keys.plan(one, keys.observe(one)).changed


@needs_root
def test_one_file_that_cannot_be_written_stops_no_other(directory: Path) -> None:
    one = spec(directory, {"amartin": [LAPTOP], "bchen": [LAPTOP]})
    todo = keys.plan(one, keys.observe(one))
    directory.mkdir()
    (directory / "amartin/inside").mkdir(parents=True)
    assert keys.apply(one, todo) == {"amartin": f"cannot write {directory}/amartin: Is a directory"}
    assert (directory / "bchen").read_text() == f"{LAPTOP}\n"


@needs_root
def test_a_file_that_cannot_be_removed_is_one_failure(directory: Path) -> None:
    directory.mkdir()
    (directory / "gone").write_text("")
    one = spec(directory, {"amartin": [LAPTOP]})
    todo = keys.plan(one, keys.observe(one))
    (directory / "gone").unlink()
    (directory / "gone").mkdir()
    assert keys.apply(one, todo) == {"gone": f"cannot remove {directory}/gone: Is a directory"}
    assert (directory / "amartin").exists()


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    one = spec(tmp_path / "file/keys", {"amartin": [LAPTOP]})
    plan = keys.plan(one, keys.ObservedKeys(None, {}, (), {}))
    assert plan.make_directory
    with pytest.raises(LyceumError, match=r"cannot make .*file/keys: Not a directory"):
        keys.apply(one, plan)
