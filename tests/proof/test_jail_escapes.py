# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways out of a jail, tried. The same attempt by somebody with a full shell shows that it would lead somewhere."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jail_scene
import pytest
from jail_scene import WORK, Scene, attempts, free_port, talk, tunnel
from plugin import Proof
from terminal import converse

pytestmark = pytest.mark.role("sshd_jail")
scene = jail_scene.scene  # where pytest looks for it, also from a scenario that takes over all of this module

Facts = Mapping[str, Any]
MANAGER_SECONDS = 3  # systemd starts a person's manager at login, and that its units


@dataclass(frozen=True)
class Escape:
    """One way out. inside: what it brought in the jail, as a sentence, "" for nothing. outside: whether it works there.

    needs: what must have been tried, so that a broken attempt is not taken for a refusal.
    """

    needs: tuple[str, ...]
    inside: Callable[[Facts, Scene, str], str]
    outside: Callable[[Facts, Scene, str], bool]


def value(facts: Facts, what: str) -> Any:
    return facts[what].get("result")


def claim(scene: Scene, name: str) -> Any:
    return next(person for person in scene.target.plan["sshd_jail"]["people"] if person["name"] == name)


def strange_homes(facts: Facts, scene: Scene, name: str) -> list[str]:
    return sorted(set(value(facts, "homes") or ()) - {Path(claim(scene, name)["home"]).name})


def strange_projects(facts: Facts, scene: Scene, name: str) -> list[str]:
    projects = claim(scene, name)["projects"]
    return sorted(set(value(facts, "projects") or ()) - {*projects["write"], *projects["read"], ".gid"})


def found(what: str, things: Any) -> str:
    return f"{what} {things}" if things else ""


def is_outside(facts: Facts, scene: Scene, _name: str) -> bool:
    return bool(value(facts, "namespace") == scene.host["namespace"])


def failing(facts: Facts, what: str) -> bool:
    """Whether a program could not be started, or said no."""
    return value(facts, what) is None or value(facts, what)["status"] != 0


ESCAPES = {
    "looks for the homes of others": Escape(
        ("homes",), lambda f, s, n: found("sees", strange_homes(f, s, n)), is_outside
    ),
    "looks for the projects of others": Escape(
        ("projects",), lambda f, s, n: found("sees", strange_projects(f, s, n)), is_outside
    ),
    "looks for the names of others": Escape(
        ("accounts", "etc"),
        lambda f, s, n: found("knows", value(f, "accounts")) + found("finds", value(f, "etc")),
        lambda f, s, n: s.jail in value(f, "accounts"),
    ),
    "reads secrets of the system and homes of others": Escape(
        ("read",), lambda f, s, n: found("reads", sorted(value(f, "read"))), is_outside
    ),
    "writes to the system": Escape(("written",), lambda f, s, n: found("writes to", value(f, "written")), is_outside),
    "goes through /proc/PID/root": Escape(("roots",), lambda f, s, n: found("sees", value(f, "roots")), is_outside),
    "looks for processes outside": Escape(
        ("processes", "alive"),
        lambda f, s, n: "" if value(f, "alive") and not value(f, "processes") else "sees an own one",
        lambda f, s, n: bool(value(f, "processes")),
    ),
    "signals an own process outside": Escape(
        ("alive",),
        lambda f, s, n: "" if "refused" in f["signal"] and value(f, "alive") else "reached it",
        lambda f, s, n: "result" in f["signal"],
    ),
    "traces an own process outside, reads its memory": Escape(
        ("alive",),
        lambda f, s, n: "" if "refused" in f["trace"] and "refused" in f["memory"] else "reached it",
        lambda f, s, n: "result" in f["trace"] or "result" in f["memory"],
    ),
    "makes namespaces, mounts, changes the root": Escape(
        (),
        lambda f, s, n: ", ".join(what for what in ("namespaces", "mount", "chroot") if "refused" not in f[what]),
        lambda f, s, n: "result" in f["namespaces"],
    ),
    "reaches the keyring of other sessions": Escape(
        (),
        lambda f, s, n: "" if "refused" in f["keyring"] else "reached it",
        lambda f, s, n: "result" in f["keyring"],
    ),
    "gains rights by a setuid program": Escape(
        ("setuid", "privileges"),
        lambda f, s, n: "" if harmless(f) else f"{f['setuid']} {f['privileges']}",
        lambda f, s, n: value(f, "outside") == "0",
    ),
    "runs sudo, su, crontab": Escape(
        (),
        lambda f, s, n: ", ".join(what for what in ("sudo", "su", "crontab") if not failing(f, what)),
        lambda f, s, n: "no crontab" in str(f["crontab"]) or not failing(f, "crontab"),
    ),
    "asks systemd for a unit (systemctl, systemd-run --user)": Escape(
        (),
        lambda f, s, n: ", ".join(w for w in ("manager", "transient") if not failing(f, w) or "running" in str(f[w])),
        lambda f, s, n: not failing(f, "transient"),
    ),
    "connects to sockets of the host": Escape(
        ("sockets",),
        lambda f, s, n: found("reaches", value(f, "sockets")),
        lambda f, s, n: any("bus" in one for one in value(f, "sockets")),
    ),
    "opens disks": Escape(("devices",), lambda f, s, n: found("sees", value(f, "devices")), is_outside),
}


def harmless(facts: Facts) -> bool:
    """root's file with the setuid bit made nobody root; no_new_privs is set, no capability is there or can be had."""
    new, effective, bounding = value(facts, "privileges")
    return value(facts, "setuid") not in ("", "0") and new == "1" and int(effective, 16) == int(bounding, 16) == 0


@pytest.mark.control("jail", "a person in a jail {escape}")
@pytest.mark.parametrize("escape", ESCAPES)
def test_ways_out(scene: Scene, proof: Proof, escape: str) -> None:
    name, free = scene.need("jail", "shell")
    inside, outside, one = attempts(scene, name), attempts(scene, free), ESCAPES[escape]
    wrong = [what for what in one.needs if "failed" in inside[what]]
    if wrong:
        proof.not_tested(f"{name}: {inside[wrong[0]]['failed']}")
    elif value(inside, "namespace") == scene.host["namespace"]:
        proof.broken(f"{name} is not in a jail at all")
    elif one.inside(inside, scene, name):
        proof.broken(f"{name}: {one.inside(inside, scene, name)}")
    elif not one.outside(outside, scene, free):
        proof.not_tested(f"{free} has a full shell and gets no further, so that it shows nothing: {outside}"[:300])
    else:
        proof.held(name)


TYPED = "lyceum-typed"
TYPE = f"""python3 -c 'import fcntl
for request in (0x5412, 0x5412 | 1 << 32):
    for letter in "{TYPED}\\n":
        fcntl.ioctl(0, request, letter.encode())'; echo status $?
"""


@pytest.mark.control("jail", "a person in a jail types into the terminal it was started from (TIOCSTI)")
def test_terminal_injection(scene: Scene, proof: Proof) -> None:
    name, free = scene.need("jail", "shell")
    script = [("$ ", "stty -echo\n"), ("$ ", TYPE), ("status", "exit\n")]
    heard = {one: converse(scene.target.ssh_words(one, "-tt"), script, seconds=6) for one in (name, free)}
    if "not permitted" not in heard[name] or "not found" in heard[name]:
        proof.broken(f"{name}: {heard[name][-200:]!r}")
    elif f"{TYPED}: command not found" in heard[free]:
        proof.held(name)
    else:
        proof.held(f"{name} (the kernel of this host refuses it to {free}, too)")


@functools.cache
def planted(scene: Scene) -> dict[str, dict[str, Any]]:
    """What became of files that are read at login, by name of the person: where something ran, what ssh said."""
    people = [name for name in (scene.jail, scene.rsync, scene.sftp, scene.shell) if name]
    found: dict[str, dict[str, Any]] = {}
    for name in people:
        scene.ask("jail_plant", person=name)
        words = [scene.target.ssh_words(name), [*scene.target.ssh_words(name), "true"]]
        said = [scene.client(*one, typed="exit\n").stderr for one in words]
        said.append(converse(scene.target.ssh_words(name, "-tt"), [("$ ", "exit\n")], seconds=5))
        scene.client(*scene.target.transfer_words("sftp", name), "-b", "-", scene.target.address, typed="pwd\n")
        found[name] = {"said": "".join(said)}
    time.sleep(MANAGER_SECONDS)
    for name in people:
        found[name] |= scene.ask("jail_evidence", person=name) | scene.ask("jail_manager", person=name)
    scene.ask("jail_clean", people=people)
    return found


@pytest.mark.control("access profiles", "what somebody with {profile} plants at home runs outside at the next login")
@pytest.mark.parametrize("profile", ["jail", "rsync", "sftp"])
def test_planted_files(scene: Scene, proof: Proof, profile: str) -> None:
    name, free = scene.need(profile, "shell")
    seen = planted(scene)[name]
    if scene.host["namespace"] in seen["namespaces"]:
        proof.broken(f"{name}: something ran outside")
    elif "ld.so" in seen["said"]:
        proof.broken(f"{name}: ~/.pam_environment reaches programs outside: {seen['said'][-200:]}")
    elif seen["state"] in ("active", "activating", "failed"):
        proof.broken(f"{name}: systemd runs a manager for them ({seen['state']})")
    elif scene.host["namespace"] not in planted(scene)[free]["namespaces"]:
        proof.not_tested(f"nothing of it ran for {free} either, who has a full shell")
    else:
        proof.held(f"{name}: {len(seen['namespaces'])} ran, none outside")


@pytest.mark.control("jobs", "a crontab from before somebody was confined goes on")
def test_crontabs(scene: Scene, proof: Proof) -> None:
    name, free = scene.need("jail", "shell")
    confined = [one for one in (name, scene.sftp, scene.rsync, scene.git) if one]
    people = {one: scene.target.people[one]["uid"] for one in confined}
    control = {free: scene.target.people[free]["uid"]}
    fired = scene.target.probe("schedule", isolated=True, control=control, suspects=people)["fired"]
    if free not in fired:
        pytest.skip(f"the job of {free}, who has a full shell, did not run either")
    for one in people:
        if one in fired:
            proof.broken(f"the job of {one} ran")
        else:
            proof.held(one)


# --- through ssh itself ---

LOOPBACK = "-W to the host's loopback"
REMOTE_SOCKET = f"/tmp/{WORK}"  # noqa: S108  (removed by jail_clean)


@pytest.mark.control("access profiles", "somebody with {profile} forwards: ssh -L, -D, -W, -R, sockets")
@pytest.mark.parametrize("profile", ["sftp", "rsync", "jail"])
def test_forwarding(scene: Scene, proof: Proof, profile: str) -> None:
    name, free = scene.need(profile, "shell")
    if not scene.host["addresses"]:
        pytest.skip("the host has no address of its own besides loopback")
    own, others = forwards(scene, name), forwards(scene, free)
    if profile == "jail" and scene.target.plan["sshd_jail"]["forwarding"]:
        own = {what: worked for what, worked in own.items() if what != LOOPBACK}
    for what, worked in own.items():
        if worked:
            proof.broken(f"{name}: {what}")
        elif not others[what]:
            proof.not_tested(f"{what}: refused to {free}, too, who has a full shell")
        else:
            proof.held(what)


@functools.cache
def forwards(scene: Scene, name: str) -> dict[str, bool]:
    """Which kinds of forwarding work for this person. The destination is the host's sshd, which greets."""
    address, port = scene.host["addresses"][0], int(scene.target.sshd_address[1])
    bus, socks = f"{scene.target.folder.name}/bus-{name}", free_port()
    with tunnel(scene, name, socks, f"-D127.0.0.1:{socks}", f"-L{bus}:/run/dbus/system_bus_socket"):
        found = {
            "-D to another address": "SSH-2.0" in talk(("127.0.0.1", socks), b"", socks=(address, port)),
            "-L to a socket": "REJECTED" in talk(bus, b"\0AUTH\r\n"),
        }
    for what, host in (("-W to another address", address), (LOOPBACK, "127.0.0.1")):
        words = scene.target.ssh_words(name, f"-W{host}:{port}")
        found[what] = "SSH-2.0" in scene.client(*words, typed="\n", seconds=5).stdout
    for what, listen in (("-R", "0"), ("-R of a socket", f"{REMOTE_SOCKET}-{name}")):
        words = scene.target.ssh_words(name, "-N", "-oExitOnForwardFailure=yes", f"-R{listen}:127.0.0.1:9")
        found[what] = scene.client(*words, seconds=3).returncode == 124
    return found
