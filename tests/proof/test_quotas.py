# SPDX-License-Identifier: GPL-3.0-or-later
"""Disk quotas: whether they are those of the registry, and whether anybody gets past them.

Where a file system does not enforce quotas, nothing is tried and nothing held: the verdict says why.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest
from ansible.module_utils.lyceum.quota.model import KIB, Limits, Quota, add_up
from ansible.module_utils.lyceum.quota.model import Target as Wanted
from plugin import Proof
from target import Target
from test_storage import MARK, with_a_shell

pytestmark = pytest.mark.role("groups_and_acls")

# What an attack may fill on a host that is in use. A limit beyond that is compared, but not driven to its end.
MOST_BYTES = 2 * 1024**3
MOST_SHARE = 0.9
MOST_FILES = 5000
MIB = 1024**2

# Run as a person. Everything it makes is in one folder, which it removes again.
ATTACK = """
import ctypes, errno, fcntl, hashlib, json, os, shutil, struct, sys
folder, what, most = sys.argv[1], sys.argv[2], int(sys.argv[3])
CONTENT = b"what was there before" * 5000

def fill(path, most):
    # Reserves space in ever smaller pieces; what cannot be had any more is asked for in single blocks, as a write.
    written, step, error = 0, 8 << 20, None
    with open(path, "wb") as handle:
        while written < most:
            try:
                os.posix_fallocate(handle.fileno(), written, step)
                written += step
            except OSError as failed:
                error = errno.errorcode[failed.errno]
                if step <= 4096:
                    break
                step //= 8 if step > 32768 else 1
                step = max(step // 2, 4096)
    return written, error

def create(folder, most):
    for number in range(most):
        try:
            os.close(os.open(f"{folder}/f{number}", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except OSError as failed:
            return number, errno.errorcode[failed.errno]
    return most, None

def leave(path):
    # chattr -p 0: out of the project that counts here.
    descriptor = os.open(path, os.O_RDONLY)
    attributes = list(struct.unpack("=IIIII8x", fcntl.ioctl(descriptor, 0x801C581F, bytes(28))))
    attributes[0], attributes[3] = attributes[0] & ~0x200, 0
    try:
        fcntl.ioctl(descriptor, 0x401C5820, struct.pack("=IIIII8x", *attributes))
    except OSError as failed:
        return errno.errorcode[failed.errno]
    finally:
        os.close(descriptor)

def digest():
    with open(f"{folder}/kept", "rb") as handle:
        return hashlib.sha256(handle.read()).hexdigest()

shutil.rmtree(folder, ignore_errors=True)
os.mkdir(folder)
answer = {}
try:
    with open(f"{folder}/kept", "wb") as handle:
        handle.write(CONTENT)
    before = digest()
    os.mkdir(f"{folder}/in")
    if what == "leave":
        answer["left"] = leave(f"{folder}/in")
    if what == "files":
        answer["done"], answer["error"] = create(f"{folder}/in", most)
    else:
        answer["done"], answer["error"] = fill(f"{folder}/in/big", most)
    space = os.statvfs(sys.argv[4])
    answer["free"] = space.f_bavail * space.f_frsize
    answer["kept"] = digest() == before
    shutil.rmtree(f"{folder}/in")
    with open(f"{folder}/after", "wb") as handle:
        handle.write(CONTENT)
    answer["after"] = True
finally:
    shutil.rmtree(folder, ignore_errors=True)
print(json.dumps(answer))
"""


@dataclass
class Claims:
    """What the registry wants on this host, and what the host has. people: who can be tried as."""

    target: Target
    wanted: list[Wanted]
    directories: dict[tuple[str, str, int], str]
    found: dict[str, Any]
    people: list[str]

    def kind(self, one: Wanted) -> dict[str, Any]:
        state: dict[str, Any] = self.found["systems"][one.mount]["kinds"][one.kind]
        return state

    def limits(self, one: Wanted) -> Limits:
        return one.wanted(Limits(), 4 * KIB)

    def used(self, one: Wanted) -> tuple[int, int]:
        record = self.kind(one)["records"].get(str(one.id), [0] * 6)
        return record[0] * KIB, record[3]

    def why_not(self, one: Wanted) -> str:
        system = self.found["systems"][one.mount]
        state = "counts them, but stops nobody" if self.kind(one)["counted"] else "has none"
        kernel = "" if self.found["quota"] else "; this kernel has no quotas at all"
        return f"not enforced: {one.mount} ({system['type']} on {system['source']}) {state}{kernel}"


@pytest.fixture(scope="session")
def claims(target: Target) -> Claims:
    plan = target.plan["groups_and_acls"]
    made = [Quota.from_params(entry, plan["quota_soft_percent"]) for entry in plan["quotas"]]
    if not any(limit and limit.hard is not None for one in made for limit in (one.space, one.files)):
        pytest.skip("the registry limits no storage here")
    found = target.probe("quotas", role="groups_and_acls", paths=sorted({one.path for one in made}))
    wanted = add_up(made, lambda path: str(found["mounts"][path]))
    directories = {one.key: one.directories[0] for one in wanted if one.directories}
    return Claims(target, wanted, directories, found, with_a_shell(target))


def judge_enforcement(claims: Claims, proof: Proof, some: Iterable[Wanted]) -> list[Wanted]:
    """Those whose limits the host enforces; the others are said not to be."""
    enforced = []
    for one in some:
        if claims.kind(one)["enforced"]:
            enforced.append(one)
        else:
            proof.not_tested(claims.why_not(one))
    return enforced


@pytest.mark.control("quotas", "a limit of the host is not that of the registry")
def test_limits_are_those_of_the_registry(claims: Claims, proof: Proof) -> None:
    for one in judge_enforcement(claims, proof, claims.wanted):
        record = claims.kind(one)["records"].get(str(one.id), [0] * 6)
        current = Limits(record[1], record[2], record[4], record[5])
        if one.wanted(current, 4 * KIB) == current:
            proof.held(str(one))
        else:
            proof.broken(f"{one}: {current}, wanted {one.wanted(current, 4 * KIB)}")


def smallest(
    claims: Claims, proof: Proof, fits: Callable[[Wanted], bool], need: Callable[[Wanted], int | None], most: int
) -> Wanted | None:
    """The limit that is driven to its end with least effort; None with the reason told."""
    candidates = [one for one in claims.wanted if one.present and fits(one) and (need(one) or 0) > 0]
    if not candidates:
        proof.not_tested("nobody with a shell and a key at hand has such a limit")
        return None
    one = min(candidates, key=lambda candidate: need(candidate) or 0)
    if not judge_enforcement(claims, proof, [one]):
        return None
    effort = need(one) or 0
    if effort > most:
        proof.not_tested(f"the smallest such limit leaves {effort} more to use up, on a host in use")
        return None
    return one


def left(claims: Claims, one: Wanted) -> int | None:
    """Bytes up to the hard limit; None without one."""
    hard = claims.limits(one).space_hard
    return hard * KIB - claims.used(one)[0] if hard else None


def left_files(claims: Claims, one: Wanted) -> int | None:
    hard = claims.limits(one).files_hard
    return hard - claims.used(one)[1] if hard else None


def attack(claims: Claims, name: str, folder: str, what: str, most: int, where: str) -> dict[str, Any]:
    done = claims.target.run_as(
        name, f"python3 - '{folder}/{MARK}-quota' {what} {most} '{where}'", stdin=ATTACK, timeout=120
    )
    if done.returncode:
        pytest.fail(f"{name} could not try it: {done.stderr.strip()[-400:]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def judge(claims: Claims, proof: Proof, one: Wanted, answer: dict[str, Any], limit: int, slack: int) -> None:
    """Stopped by the quota, in time, and everything that was there before is there."""
    # XFS says of projects what it says of a full disk; that it is not full, the system tells.
    xfs = claims.found["systems"][one.mount]["type"] == "xfs" and one.kind == "project"
    by_quota = answer["error"] == "EDQUOT" or (xfs and answer["error"] == "ENOSPC" and answer["free"] > 8 * MIB)
    if answer["error"] is None or answer["done"] > limit + slack:
        proof.broken(f"{one}: {answer['done']} were written past a limit of {limit}")
    elif not by_quota:
        proof.not_tested(f"{one}: stopped by {answer['error']}, not by the quota")
    elif not answer["kept"] or not answer.get("after"):
        proof.broken(f"{one}: what was there before is damaged, or nothing can be written any more")
    else:
        proof.held(f"{one}: {answer['error']} after {answer['done']}")


def room(claims: Claims, one: Wanted) -> int:
    """How much of a file system an attack may fill."""
    return min(MOST_BYTES, int(claims.found["systems"][one.mount]["free"] * MOST_SHARE))


@pytest.mark.control("quotas", "a person writes more into the home than allowed")
def test_home_limit(claims: Claims, proof: Proof) -> None:
    one = smallest(
        claims,
        proof,
        lambda one: one.kind == "user" and "home" in one.names and one.person in claims.people,
        lambda one: left(claims, one),
        MOST_BYTES,
    )
    if one is not None and one.person is not None:
        limit = left(claims, one) or 0
        home = claims.target.people[one.person]["home"]
        judge(claims, proof, one, attack(claims, one.person, home, "space", limit + 64 * MIB, one.mount), limit, MIB)


@pytest.mark.control("quotas", "a person makes more files in the home than allowed")
def test_files_limit(claims: Claims, proof: Proof) -> None:
    one = smallest(
        claims,
        proof,
        lambda one: one.kind == "user" and "home" in one.names and one.person in claims.people,
        lambda one: left_files(claims, one),
        MOST_FILES,
    )
    if one is not None and one.person is not None:
        limit = left_files(claims, one) or 0
        home = claims.target.people[one.person]["home"]
        judge(claims, proof, one, attack(claims, one.person, home, "files", limit + 100, one.mount), limit, 0)


@pytest.mark.control("quotas", "a person writes more into scratch than allowed")
def test_scratch_limit(claims: Claims, proof: Proof) -> None:
    one = smallest(
        claims,
        proof,
        lambda one: one.kind == "project" and one.person in claims.people and scratch_of(claims, one),
        lambda one: left(claims, one),
        MOST_BYTES,
    )
    if one is not None and one.person is not None:
        limit = left(claims, one) or 0
        path = claims.directories[one.key]
        judge(claims, proof, one, attack(claims, one.person, path, "space", limit + 64 * MIB, one.mount), limit, MIB)


@pytest.mark.control("quotas", "members of a project write more into it than allowed")
def test_project_limit(claims: Claims, proof: Proof) -> None:
    writers = {
        project["gid"]: [name for name in project["write"] if name in claims.people]
        for project in claims.target.plan["groups_and_acls"]["projects"]
        if project["state"] == "present"
    }
    one = smallest(
        claims,
        proof,
        lambda one: one.kind == "project" and one.person is None and bool(writers.get(one.id)),
        lambda one: left(claims, one),
        MOST_BYTES,
    )
    if one is not None:
        limit = left(claims, one) or 0
        name, path = writers[one.id][0], claims.directories[one.key]
        judge(claims, proof, one, attack(claims, name, path, "space", limit + 64 * MIB, one.mount), limit, MIB)


@pytest.mark.control("quotas", "a person takes own files out of the project that counts them (chattr -p)")
def test_leaving_a_project(claims: Claims, proof: Proof) -> None:
    """The owner of a file may do that. What then stops them is the user quota over all of theirs."""
    totals = {
        (one.mount, one.person): one
        for one in claims.wanted
        if one.kind == "user" and one.person in claims.people and claims.limits(one).space_hard
    }

    def total_of(one: Wanted) -> Wanted | None:
        return totals.get((one.mount, one.person))

    def effort(one: Wanted) -> int | None:
        total = total_of(one)
        return left(claims, total) if total else None

    one = smallest(
        claims,
        proof,
        lambda one: one.kind == "project" and one.person in claims.people and scratch_of(claims, one),
        effort,
        MOST_BYTES,
    )
    if one is None or one.person is None:
        return
    total = total_of(one)
    assert total is not None
    if not judge_enforcement(claims, proof, [total]):
        return
    limit = left(claims, total) or 0
    if limit > room(claims, one):
        proof.not_tested(f"{total}: the file system has not as much room as the limit")
        return
    answer = attack(claims, one.person, claims.directories[one.key], "leave", limit + 64 * MIB, one.mount)
    if answer["left"]:
        proof.held(f"{one}: the kernel refuses with {answer['left']}")
    elif answer["done"] <= (left(claims, one) or 0):
        pytest.fail(f"the attack does not work: only {answer['done']} bytes beyond the project")
    else:
        judge(claims, proof, total, answer, limit, MIB)


def scratch_of(claims: Claims, one: Wanted) -> bool:
    top = claims.target.plan["groups_and_acls"]["places"]["scratch"]
    return bool(top) and claims.directories.get(one.key, "") == f"{top}/{one.person}"
