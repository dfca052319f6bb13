# SPDX-License-Identifier: GPL-3.0-or-later
"""Who reaches which files of whom: homes, projects, scratch, and what people see of each other's processes.

Everything here is tried by people of the registry over logins of their own. What is denied to one is first shown to
work for another, so that a mistake in an attack is never read as a control that holds.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from plugin import Proof, active
from target import Target

pytestmark = pytest.mark.role("groups_and_acls")

MARK = "lyceum-proof"
DENIED = "Permission denied"

# Ways by which files come into a project, each with one file that the others must be able to write afterwards. What is
# brought along lies in the home and the scratch directory, for its owner alone.
WAYS = {
    "umask 077": ("echo x > plain", "plain"),
    "mkdir": ("mkdir -m 700 folder && echo x > folder/file", "folder/file"),
    "mktemp": ('t=$(mktemp -p .) && mv "$t" temporary', "temporary"),
    "cp -p": ("cp -p ~/lyceum-proof/private copied", "copied"),
    "mv from home": ("mv ~/lyceum-proof/moved moved", "moved"),
    "mv of a folder": ("mv ~/lyceum-proof/folder brought", "brought/inner/file"),
    "mv from scratch": ('mv "$SCRATCH/lyceum-proof/moved" renamed', "renamed"),
    "tar -x": ("tar -cf - -C ~/lyceum-proof packed | tar -xf -", "packed/file"),
    "rsync -a": ("rsync -a ~/lyceum-proof/private synced", "synced"),
    "git clone": ("git clone -q ~/lyceum-proof/repository cloned", "cloned/file"),
}
NEEDS = {"rsync -a": "rsync", "git clone": "git"}

PREPARE = """
umask 077
rm -rf ~/lyceum-proof && mkdir -p ~/lyceum-proof/folder/inner ~/lyceum-proof/packed && cd ~/lyceum-proof || exit 3
for name in private moved folder/inner/file packed/file; do echo mine > "$name"; done
if [ -n "$SCRATCH" ]; then mkdir -p "$SCRATCH/lyceum-proof" && echo mine > "$SCRATCH/lyceum-proof/moved"; fi
if command -v git > /dev/null; then
  git init -q repository && cd repository && echo mine > file && git add file &&
  git -c user.name=proof -c user.email=proof@example.org commit -q -m proof
fi
"""


@dataclass
class Stage:
    """One project and people around it, all with a shell and a key at hand. made: the ways that brought a file in."""

    target: Target
    claims: dict[str, Any]
    path: str
    writer: str
    other: str
    reader: str
    stranger: str
    made: list[str] = field(default_factory=list)

    @property
    def folder(self) -> str:
        return f"{self.path}/{MARK}"

    def scratch(self, name: str) -> str:
        top = self.claims["places"]["scratch"]
        return f"{top}/{name}" if top else ""

    def sh(self, name: str, script: str, timeout: int = 30) -> subprocess.CompletedProcess[str]:
        """Run a script as somebody; SCRATCH is their scratch directory."""
        return self.target.run_as(
            name, "sh", stdin=f"export LC_ALL=C SCRATCH='{self.scratch(name)}'\n{script}\n", timeout=timeout
        )


def with_a_shell(target: Target) -> list[str]:
    """People who can be tried as on this host."""
    accounts = target.result("observe")["accounts"]
    return [name for name, one in target.people.items() if active(one) and accounts[name] and name in target.identities]


def cast(target: Target) -> tuple[dict[str, Any], tuple[str, str, str, str]] | None:
    """A project with two who write, one who reads and one who does neither."""
    claims = target.plan["groups_and_acls"]
    people = with_a_shell(target)
    for project in claims["projects"]:
        write, read = ([name for name in people if name in project[mode]] for mode in ("write", "read"))
        strangers = [name for name in people if name not in (*project["write"], *project["read"], *claims["admins"])]
        if project["state"] == "present" and len(write) > 1 and read and strangers:
            return project, (write[0], write[1], read[0], strangers[0])
    return None


@pytest.fixture(scope="session")
def stage(target: Target) -> Iterator[Stage]:
    claims = target.plan["groups_and_acls"]
    if not claims["places"]["projects"]:
        pytest.skip("this host has no projects")
    found = cast(target)
    if found is None:
        pytest.skip(
            "no project has two people who write, one who reads and one stranger, with a shell and keys at hand"
        )
    project, (writer, other, reader, stranger) = found
    scene = Stage(target, claims, f"{claims['places']['projects']}/{project['name']}", writer, other, reader, stranger)
    rubbish = [scene.folder, *(f"{target.people[name]['home']}/{MARK}" for name in (writer, stranger))]
    rubbish += [f"{scene.scratch(name)}/{MARK}" for name in (writer, stranger) if scene.scratch(name)]
    rubbish += [
        f"{claims['places'][place]}/{MARK}" for place in ("collaborative", "readonly") if claims["places"][place]
    ]
    target.probe("wipe", role="groups_and_acls", paths=rubbish)
    prepared = scene.sh(writer, f"{PREPARE}\nmkdir '{scene.folder}' && echo ready")
    if "ready" not in prepared.stdout:
        pytest.fail(f"{writer} cannot prepare anything in {scene.path}: {prepared.stderr.strip()}")
    yield scene
    target.probe("wipe", role="groups_and_acls", paths=rubbish)


def attempts(stage: Stage, name: str, commands: dict[str, str]) -> dict[str, str]:
    """What each command ended with when somebody ran it: "" for success, else its last words."""
    script = "\n".join(f"words=$( ( {text} ) 2>&1 >/dev/null ) && echo ok || echo \"no: $words\" | tail -n 1"
                       for text in commands.values())  # fmt: skip
    lines = stage.sh(name, script).stdout.splitlines()
    if len(lines) != len(commands):
        pytest.fail(f"{name} answered {len(lines)} of {len(commands)} attempts")
    return {what: "" if line == "ok" else line for what, line in zip(commands, lines)}


def judge(proof: Proof, name: str, results: dict[str, str]) -> None:
    """Every one of these must have been denied, and for that reason."""
    for what, words in results.items():
        if not words:
            proof.broken(f"{name} could {what}")
        elif DENIED in words:
            proof.held(what)
        else:
            proof.not_tested(f"{what}: {words}")


def expect(results: dict[str, str]) -> None:
    """The same attempts by somebody who may: they show that the attack works."""
    failed = {what: words for what, words in results.items() if words}
    if failed:
        pytest.fail(f"the attack does not even work for those who may: {failed}")


@pytest.mark.control("homes", "a stranger lists, enters or reads a home over SSH")
def test_home(stage: Stage, proof: Proof) -> None:
    home = stage.target.people[stage.writer]["home"]
    commands = {
        "list a home": f"ls '{home}'",
        "enter a home": f"ls -d '{home}/.'",
        "read a file of a home": f"cat '{home}/{MARK}/private'",
        "write into a home": f"touch '{home}/{MARK}/intruder'",
    }
    expect(attempts(stage, stage.writer, commands))
    judge(proof, stage.stranger, attempts(stage, stage.stranger, commands))


@pytest.mark.control("projects", "a stranger lists, enters, reads or writes a project")
def test_stranger(stage: Stage, proof: Proof) -> None:
    commands = {
        "list a project": f"ls '{stage.path}/'",
        "enter a project": f"ls -d '{stage.path}/.'",
        "read in a project": f"ls '{stage.folder}'",
        "write into a project": f"touch '{stage.folder}/stranger'",
    }
    expect(attempts(stage, stage.other, commands))
    judge(proof, stage.stranger, attempts(stage, stage.stranger, commands))


@pytest.mark.control("projects", "a member who may only read writes, deletes or changes permissions")
def test_reader(stage: Stage, proof: Proof) -> None:
    made = stage.sh(stage.writer, f"cd '{stage.folder}' && echo x > target && echo x > other && mkdir -p empty")
    assert made.returncode == 0, made.stderr
    reads = {"list": f"ls '{stage.folder}'", "read": f"cat '{stage.folder}/target'"}
    expect(attempts(stage, stage.reader, reads))
    writes = {
        "append to a file": f"echo y >> '{stage.folder}/target'",
        "create a file": f"touch '{stage.folder}/new'",
        "rename a file": f"mv '{stage.folder}/target' '{stage.folder}/target2'",
        "delete a file": f"rm -f '{stage.folder}/target2' '{stage.folder}/other'",
        "delete a folder": f"rmdir '{stage.folder}/empty'",
    }
    judge(proof, stage.reader, attempts(stage, stage.reader, writes))
    change = {"change permissions": f"chmod 777 '{stage.folder}/empty'"}
    if "Operation not permitted" in attempts(stage, stage.reader, change)["change permissions"]:
        proof.held("change permissions")
    else:
        proof.broken(f"{stage.reader} could change permissions")
    expect(attempts(stage, stage.other, writes))


@pytest.mark.control("projects", "a new file of one member cannot be written by the others")
def test_new_files(stage: Stage, proof: Proof) -> None:
    bring_in(stage, proof)
    writes = {way: f"echo y >> '{stage.folder}/{WAYS[way][1]}'" for way in stage.made}
    first = attempts(stage, stage.other, writes)
    for way in [way for way, words in first.items() if not words]:
        proof.held(f"{way} (at once)")
    later = {way: writes[way] for way, words in first.items() if words}
    if later and look(stage, proof, ", ".join(later)):
        minutes = stage.claims["share_minutes"]
        for way, words in attempts(stage, stage.other, later).items():
            if words:
                proof.broken(f"{way}: {stage.other} cannot write it: {words}")
            else:
                proof.held(f"{way} (within {minutes} min)")


def bring_in(stage: Stage, proof: Proof) -> None:
    """Let the writer bring files in by every way that there is here."""
    have = stage.sh(
        stage.writer, "for p in rsync git; do command -v $p > /dev/null && echo $p; done; true"
    ).stdout.split()
    for way, program in NEEDS.items():
        if program not in have:
            proof.not_tested(f"{way}: {program} is not installed")
    ways = {way: script for way, (script, _) in WAYS.items() if NEEDS.get(way, "tar") in [*have, "tar"]}
    if not stage.scratch(stage.writer):
        del ways["mv from scratch"]
    results = attempts(stage, stage.writer, {way: f"umask 077; cd '{stage.folder}' && {{ {script}; }}"
                                             for way, script in ways.items()})  # fmt: skip
    expect(results)
    stage.made = list(results)


def look(stage: Stage, proof: Proof, what: str) -> bool:
    """Start lyceum-share now instead of waiting for its timer; whether it looked at all."""
    if not stage.claims["share_minutes"]:
        proof.not_tested(f"{what}: lyceum-share is switched off here")
        return False
    answer = stage.target.probe("share", role="groups_and_acls", timeout=120)
    if answer["status"]:
        proof.broken(f"lyceum-share.service fails: {answer['words']}")
    elif not answer["looked"]:
        proof.not_tested(f"{what}: lyceum-share rests after a long look")
    return answer["status"] == 0 and bool(answer["looked"])


@pytest.mark.control(
    "projects", "members who may only read cannot read new files, or can write them; strangers reach them"
)
def test_new_files_and_the_rest(stage: Stage, proof: Proof) -> None:
    if not stage.made:
        bring_in(stage, proof)
    if not look(stage, proof, "files from elsewhere"):
        return
    reads = {f"read {way}": f"cat '{stage.folder}/{WAYS[way][1]}'" for way in stage.made}
    writes = {f"write {way}": f"echo z >> '{stage.folder}/{WAYS[way][1]}'" for way in stage.made}
    for what, words in attempts(stage, stage.reader, reads).items():
        if words:
            proof.broken(f"{stage.reader} cannot {what}: {words}")
        else:
            proof.held(f"{what} (reader)")
    judge(proof, stage.reader, attempts(stage, stage.reader, writes))
    judge(proof, stage.stranger, attempts(stage, stage.stranger, {**reads, **writes}))


@pytest.mark.control("projects", "the names of other projects can be listed")
def test_names(stage: Stage, proof: Proof) -> None:
    top = stage.claims["places"]["projects"]
    expect(attempts(stage, stage.writer, {"go through": f"cd '{stage.path}'", "list its own": f"ls '{stage.path}/'"}))
    folders = [top, f"{top}/.gid", stage.claims["places"]["scratch"], *stage.claims["places"]["passable"]]
    judge(
        proof,
        stage.writer,
        attempts(stage, stage.writer, {f"list {folder}": f"ls '{folder}'" for folder in folders if folder}),
    )


@pytest.mark.control("scratch", "a stranger lists, reads or writes somebody's scratch directory")
def test_scratch(stage: Stage, proof: Proof) -> None:
    own = stage.scratch(stage.writer)
    if not own:
        pytest.skip("this host has no scratch directories")
    prepared = stage.sh(stage.writer, f"mkdir -p '{own}/{MARK}' && echo mine > '{own}/{MARK}/file'")
    assert prepared.returncode == 0, prepared.stderr
    commands = {
        "list": f"ls '{own}'",
        "read": f"cat '{own}/{MARK}/file'",
        "write": f"touch '{own}/{MARK}/intruder'",
    }
    expect(attempts(stage, stage.writer, commands))
    judge(proof, stage.stranger, attempts(stage, stage.stranger, commands))


@pytest.mark.control("shared", "people cannot use what is for all of them, or write what is only to be read")
def test_for_all(stage: Stage, proof: Proof) -> None:
    places = stage.claims["places"]
    if places["collaborative"]:
        folder = f"{places['collaborative']}/{MARK}"
        expect(attempts(stage, stage.writer, {"make": f"umask 077; mkdir '{folder}' && echo x > '{folder}/file'"}))
        words = attempts(stage, stage.stranger, {"write": f"echo y >> '{folder}/file'"})["write"]
        if words:
            proof.broken(
                f"{stage.stranger} cannot write what {stage.writer} made in {places['collaborative']}: {words}"
            )
        else:
            proof.held(f"all write in {places['collaborative']}")
    if places["readonly"] and stage.writer not in stage.claims["admins"]:
        expect(attempts(stage, stage.writer, {"read": f"ls '{places['readonly']}'"}))
        judge(
            proof,
            stage.writer,
            attempts(stage, stage.writer, {"write where all read": f"mkdir '{places['readonly']}/{MARK}'"}),
        )
    if not proof.seen["held"] and not proof.seen["BROKEN"]:
        pytest.skip("this host has neither place")


@pytest.mark.control("sealed", "somebody enters the directory of a project that ended, or of a person who left")
def test_sealed(stage: Stage, proof: Proof) -> None:
    sealed = [one["path"] for one in stage.claims["entries"] if one.get("state") == "sealed" and "target" not in one]
    there = stage.target.probe("spots", role="groups_and_acls", paths=sealed)
    paths = [path for path, found in there.items() if found]
    if not paths:
        pytest.skip("nothing is sealed here")
    for name in (stage.writer, stage.stranger):
        commands = {f"list {path}": f"ls '{path}'" for path in paths[:20]}
        commands.update({f"enter {path}": f"ls -d '{path}/.'" for path in paths[:20]})
        judge(proof, name, attempts(stage, name, commands))


@pytest.mark.control("projects", "links and swaps in a project make lyceum-share open somebody else's files")
def test_share_is_not_misled(stage: Stage, proof: Proof) -> None:
    """The attacker is a member of the project, who may do there what they like while root walks through it."""
    if not stage.claims["share_minutes"]:
        pytest.skip("lyceum-share is switched off here")
    victim = stage.target.people[stage.stranger]["home"]
    made = stage.sh(
        stage.stranger, f"mkdir -p ~/{MARK}/secret && echo s > ~/{MARK}/secret/file && chmod -R go= ~/{MARK}"
    )
    assert made.returncode == 0, made.stderr
    goals = [f"{victim}/{MARK}/secret/file", f"{victim}/{MARK}/secret", "/etc/shadow", "/etc/passwd", "/root"]
    before = stage.target.probe("spots", role="groups_and_acls", paths=goals)
    swap = f"""
cd '{stage.folder}' && mkdir -p trap/real && echo mine > trap/real/file || exit 3
ln -s /etc/shadow trap/shadow; ln -s '{victim}/{MARK}/secret' trap/home; ln -s / trap/root
ln /etc/passwd trap/passwd 2> /dev/null && echo linked
end=$(( $(date +%s) + 6 )); swaps=0
while [ "$(date +%s)" -lt $end ]; do
  rm -rf trap/swap; mkdir trap/swap; echo x > trap/swap/file; chmod 700 trap/swap; chmod 600 trap/swap/file
  rm -rf trap/swap; ln -s '{victim}/{MARK}/secret' trap/swap; rm -f trap/swap; ln -s /etc/shadow trap/swap
  swaps=$(( swaps + 1 ))
done
echo "swaps $swaps"
"""
    attacker = subprocess.Popen(
        [*stage.target.ssh_words(stage.writer), "sh"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert attacker.stdin is not None
    attacker.stdin.write(swap)
    attacker.stdin.close()
    looks = 0
    while attacker.poll() is None:
        looks += stage.target.probe("share", role="groups_and_acls", timeout=120)["looked"]
    assert attacker.stdout is not None
    swaps = [line for line in attacker.stdout.read().splitlines() if line.startswith("swaps ")]
    if not looks or not swaps:
        pytest.fail(f"the attack did not take place: {looks} looks, {swaps}")
    after = stage.target.probe("spots", role="groups_and_acls", paths=goals)
    for path in [path for path in goals if before[path] != after[path]]:
        proof.broken(f"{path} was changed from {before[path]} to {after[path]}")
    if before == after:
        proof.held(f"{swaps[0]} during {looks} looks")


@pytest.mark.control("processes", "somebody sees what others run")
def test_processes(stage: Stage, proof: Proof) -> None:
    if not stage.claims["hide_processes"]:
        pytest.skip("not claimed on this host: processes are not hidden (polkit is installed, or it is switched off)")
    word = f"31{time.time_ns() % 10**7}.5"
    uid = stage.target.people[stage.writer]["uid"]
    runner = subprocess.Popen(
        [*stage.target.ssh_words(stage.writer), f"sleep {word}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        end = time.monotonic() + 15
        seen: dict[str, Any] = {"pids": []}
        while not seen["pids"] and time.monotonic() < end:
            seen = stage.target.probe("running", role="groups_and_acls", uid=uid, word=word)
        pids = seen["pids"]
        assert pids, "the process that should be seen did not start"
        assert seen["bus"], "not even root sees it by D-Bus"
        looks = {
            "ps": f"ps -eo args | grep -q '[s]leep {word}'",
            "/proc": f"ls /proc | grep -qx {pids[0]}",
            "its command line": f"tr '\\0' ' ' < /proc/{pids[0]}/cmdline | grep -qF {word}",
            "systemctl status": f"systemctl status user-{uid}.slice --no-pager --full | grep -qF {word}",
            "D-Bus": "busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager"
            f" GetUnitProcesses s user-{uid}.slice | grep -qF {word}",
        }
        mine = attempts(stage, stage.writer, {what: looks[what] for what in ("ps", "/proc", "its command line")})
        expect(mine)
        for what, words in attempts(stage, stage.stranger, looks).items():
            if words:
                proof.held(what)
            else:
                proof.broken(f"{stage.stranger} sees a process of {stage.writer} by {what}")
    finally:
        stage.sh(stage.writer, f"pkill -u {uid} -xf 'sleep {word}'")
        runner.wait(timeout=10)


@pytest.mark.control("processes", "hiding processes breaks the slice or the services of a login")
def test_slice(stage: Stage, proof: Proof) -> None:
    uid = stage.target.people[stage.writer]["uid"]
    seen = stage.sh(
        stage.writer,
        "cat /proc/self/cgroup; echo; echo runtime=$XDG_RUNTIME_DIR; systemctl --user is-system-running --wait;"
        " loginctl show-user $(id -un) --property=Slice",
    )
    for what, there in {
        f"user-{uid}.slice": f"/user.slice/user-{uid}.slice/session-" in seen.stdout,
        "runtime directory": f"runtime=/run/user/{uid}" in seen.stdout,
        "systemd --user": "\nrunning" in seen.stdout or "\ndegraded" in seen.stdout,
        "logind": f"Slice=user-{uid}.slice" in seen.stdout,
    }.items():
        if there:
            proof.held(what)
        else:
            proof.broken(f"a login of {stage.writer} has no {what}")
