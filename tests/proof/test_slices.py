# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of people, attacked by the people themselves: memory, processes, CPU time, jobs, and ways out of the slice.

Every attack is also made where it must succeed, so that one that fails for another reason is never read as a limit that
holds. They are as small as the registry's smallest limits allow; others work on the host.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from plugin import Proof
from slices_scene import (
    BURN,
    GIB,
    HOG,
    JOBS,
    MOST_MEMORY,
    MOST_TASKS,
    NEIGHBOUR,
    STORM,
    TAG,
    Person,
    Scene,
    storm_result,
)
from target import Target

pytestmark = pytest.mark.role("cgroups")

KILLED = 137
# Some pages the kernel charges whatever the limit is: those without which it could not go on, such as what an interrupt
# or the end of a killed process needs. A peak has been seen one page above the limit; without a limit it would be far
# above, because half as much again is asked for.
CHARGED_ANYHOW = 1 << 20
# Of the limit: less was in use when the attack was killed, so that something else than the limit did it.
REACHED = 0.9
DENIED = ("denied", "authentication required", "not permitted", "read-only", "permission")
SAMPLE = 5
JOB_SECONDS = 20
# What is measured over a few seconds on a machine that others use.
TOLERANCE = 0.25
LEAST_CPU_SECONDS = 0.8
# Longer than anything is watched; ended as soon as enough is seen.
BURN_SECONDS = 120


@pytest.fixture(scope="session")
def scene(target: Target) -> Iterator[Scene]:
    """The people who can be tried as."""
    scene = Scene(target)
    if not scene.people:
        pytest.skip("nobody with a shell and limits has a key at hand here")
    scene.probe("slices_folders", people=scene.uids(SAMPLE))
    yield scene
    scene.close()


@pytest.fixture(autouse=True)
def tidy(request: pytest.FixtureRequest) -> Iterator[None]:
    """Nothing of one attack is at work during the next."""
    yield
    if "scene" in request.fixturenames:
        request.getfixturevalue("scene").settle()


def smallest(scene: Scene, key: str) -> Person:
    person = scene.least(key)
    if person is None:
        pytest.skip(f"nobody who can be tried as has a limit of {key}")
    return person


def neighbour(scene: Scene, person: Person, key: str) -> Person:
    other = scene.neighbour_of(person, key)
    if other is None:
        pytest.skip("there is only one person here who can be tried as")
    return other


@pytest.mark.control("limits", "a login has other limits than the registry gives")
def test_limits_in_force(scene: Scene, proof: Proof) -> None:
    for person in scene.people[:SAMPLE]:
        done = scene.target.run_as(person.name, "cat /proc/self/cgroup")
        if f"/user.slice/user-{person.uid}.slice/" not in done.stdout:
            proof.broken(f"{person.name} is not in the own slice: {done.stdout.split() or done.stderr.strip()}")
            continue
        # The slice stays for a while after the logout.
        found = scene.slice_of(person)["limits"]
        wrong = differences(person, found)
        for what in wrong:
            proof.broken(f"{person.name}: {what}")
        if not wrong:
            proof.held(person.name)


def differences(person: Person, found: dict[str, Any]) -> list[str]:
    """Where the kernel holds something else than the registry says. Small quotas lose their last digit."""
    wanted = {"memory": person.memory, "tasks": person.tasks}
    wrong = [
        f"{key} is {found[key]}, not {value}"
        for key, value in wanted.items()
        if value is not None and found[key] != value
    ]
    if person.cores is not None and (found["cores"] is None or abs(found["cores"] - person.cores) > 0.001):
        wrong.append(f"CPU time is limited to {found['cores']} cores, not {person.cores:g}")
    if person.swap is not None and found["swap"] not in ("unknown", person.swap):  # cgroup v1 has none
        wrong.append(f"swap is {found['swap']}, not {person.swap}")
    if "cpu_weight" in person.limits and found["weight"] != person.limits["cpu_weight"]:
        wrong.append(f"the weight is {found['weight']}, not {person.limits['cpu_weight']}")
    return wrong


@pytest.mark.control("limits", "somebody who left, or whom the registry does not know, still has limits here")
def test_nobody_inherits(scene: Scene, proof: Proof) -> None:
    allowed = {entry["uid"] for entry in scene.registry if entry["state"] == "present"}
    limited = {int(uid): caps for uid, caps in scene.host["limited"].items() if caps}
    strangers = {uid: caps for uid, caps in limited.items() if uid not in allowed}
    for uid, caps in strangers.items():
        proof.broken(f"uid {uid}: {', '.join(caps)}")
    if not strangers:
        proof.held(f"{len(limited)} people have limits here, all of them in the registry")


@pytest.mark.control("limits", "the admin is limited and cannot help")
def test_admin_is_free(scene: Scene, proof: Proof) -> None:
    uid, found = scene.host["admin"], scene.host["admin_limits"]
    if found is None:
        pytest.skip("the admin's connection is in no slice of a user")
    caps = {key: found[key] for key in ("memory", "memory_high", "swap", "cores")}
    caps["cpus"] = found["cpus"] if found["cpus"] not in ("", "unknown") else None
    caps["tasks"] = found["tasks"]
    binding = [f"{key} {value}" for key, value in caps.items() if value not in (None, "unknown")]
    for what in binding:
        proof.broken(f"user-{uid}.slice: {what}")
    if not binding:
        proof.held(f"user-{uid}.slice")


# --- memory ----------------------------------------------------------------------------------------------------------


def beyond(scene: Scene, limit: int) -> int:
    """How much an attack on a limit tries to take. Skips if the host could not spare it, were the limit not there."""
    size = limit * 3 // 2
    if limit > MOST_MEMORY or size > scene.host["available"] * 3 // 4:
        pytest.skip(f"the smallest limit is {limit / GIB:g} GiB: too much to take on a host that others use")
    return size


def outcome(status: int | None) -> str:
    return "no end" if status is None else f"exit status {status}"


@pytest.mark.control("memory", "a person takes more than allowed while a neighbour works")
def test_memory_hog(scene: Scene, proof: Proof) -> None:
    person = smallest(scene, "memory_gib")
    other = neighbour(scene, person, "memory_gib")
    limit = person.memory or 0
    size = beyond(scene, limit)
    more = limit + limit // 4
    if other.memory is not None and other.memory < more + limit // 4:
        pytest.skip(f"nobody may take {more / GIB:g} GiB, so that nothing shows that the host has them")
    control = scene.start(other, HOG, more, 0)
    if control.end(60) != 0 or control.said[-1:] != [f"{-(-more // (4 << 20)) * (4 << 20)}"]:
        pytest.skip(f"{other.name} cannot take {more / GIB:g} GiB either: {control.said}")
    working = scene.start(other, NEIGHBOUR, 120)
    started = working.line()
    hog = scene.start(person, HOG, size, 1)
    status = hog.end(90)
    peak = scene.slice_of(person)["use"].get("peak")
    if status == 0 and "refused" not in hog.said:
        proof.broken(f"{person.name} took {hog.said[-1:]} bytes of {limit} allowed")
    elif status not in (0, KILLED):
        proof.not_tested(f"the attack of {person.name} came to {outcome(status)}: {hog.said}")
    elif peak is not None and peak > limit + CHARGED_ANYHOW:
        proof.broken(f"{person.name} reached {peak} bytes of {limit} allowed")
    elif peak is not None and peak < limit * REACHED:
        proof.not_tested(f"something else ended the attack of {person.name}, at {peak} bytes of {limit}")
    else:
        proof.held(f"{person.name} is stopped at {limit / GIB:g} GiB, {other.name} takes more")
    if not started:
        proof.not_tested(f"{other.name} could not begin to work")
    elif working.process.poll() is None:
        proof.held(f"{other.name} works on")
    else:
        proof.broken(f"the work of {other.name} ended with {working.process.returncode}")


@pytest.mark.control("memory", "swap takes up what the limit refuses")
def test_swap_does_not_absorb(scene: Scene, proof: Proof) -> None:
    person = smallest(scene, "memory_gib")
    limit = person.memory or 0
    scene.target.run_as(person.name, "true")  # the slice lives for a while afterwards
    swap = scene.slice_of(person)["limits"]["swap"]
    if swap == "unknown":
        pytest.skip("the kernel does not limit swap by control group (cgroup v1, or it was built without)")
    if swap is None:
        proof.broken(f"swap of {person.name} is unlimited")
        return
    if scene.host["swap"] <= swap:
        pytest.skip(
            f"the host has {scene.host['swap'] >> 20} MiB of swap, and {swap >> 20} are allowed: it never binds"
        )
    size = beyond(scene, limit)
    hog = scene.start(person, HOG, swap + size, 1)
    status = hog.end(120)
    if status == KILLED:
        proof.held(f"{person.name} with {swap} bytes of swap")
    elif status == 0 and "refused" not in hog.said:
        proof.broken(f"{person.name} took {hog.said} with {limit} bytes of memory and {swap} of swap allowed")
    else:
        proof.not_tested(f"the attack of {person.name} came to {outcome(status)}: {hog.said}")


@pytest.mark.control("memory", "systemd-run --user without a limit")
def test_memory_of_own_unit(scene: Scene, proof: Proof) -> None:
    person = smallest(scene, "memory_gib")
    limit = person.memory or 0
    size = beyond(scene, limit)
    unit = "systemd-run --user --scope --quiet -p MemoryMax=infinity -p TasksMax=infinity"
    control = scene.start(person, HOG, limit // 4, 0, prefix=unit)
    if control.end(30) != 0:
        pytest.skip(f"{person.name} cannot start a unit of the own at all")
    hog = scene.start(person, HOG, size, 1, prefix=unit)
    status = hog.end(90)
    if status == KILLED or "refused" in hog.said:
        proof.held(person.name)
    elif status == 0:
        proof.broken(f"{person.name} took {hog.said[-1:]} bytes of {limit} allowed")
    else:
        proof.not_tested(f"the attack of {person.name} came to {outcome(status)}: {hog.said}")


# --- processes -------------------------------------------------------------------------------------------------------


@pytest.mark.control("tasks", "a fork storm")
def test_fork_storm(scene: Scene, proof: Proof) -> None:
    person = smallest(scene, "tasks")
    other = neighbour(scene, person, "tasks")
    limit = person.tasks or 0
    if limit > MOST_TASKS:
        pytest.skip(f"the smallest limit is {limit} tasks: too many to start on a host that others use")
    storm = scene.start(person, STORM, limit + 50, 4)
    made, why = storm_result(storm.line())
    tasks = scene.slice_of(person)["use"].get("tasks", 0)
    beside = storm_result(scene.start(other, STORM, 20, 0).line())
    storm.end(30)
    if not why:
        proof.broken(f"{person.name} started {made} processes of {limit} allowed")
    elif why != "EAGAIN" or tasks < limit - 1:
        proof.not_tested(f"{person.name} was stopped by something else ({why}) at {tasks} of {limit} tasks")
    elif tasks > limit:
        proof.broken(f"{person.name} has {tasks} tasks of {limit} allowed")
    else:
        proof.held(f"{person.name} is stopped at {tasks} tasks")
    if beside == (20, ""):
        proof.held(f"{other.name} starts processes meanwhile")
    else:
        proof.broken(f"{other.name} could start only {beside[0]} processes meanwhile ({beside[1]})")


# --- CPU time --------------------------------------------------------------------------------------------------------


@pytest.mark.control("cpu", "two people want the same CPU")
def test_weights(scene: Scene, proof: Proof) -> None:
    # Whose quota is below one core would be held back by that instead.
    able = sorted((p for p in scene.people if p.cores is None or p.cores >= 1), key=lambda p: p.weight)
    if len(able) < 2:
        pytest.skip("fewer than two people who can be tried as may use a whole core")
    light, heavy = able[0], able[-1]
    shared = shared_cpu(scene, light, heavy)
    at_work = [scene.start(person, BURN, BURN_SECONDS, 1, shared) for person in (light, heavy)]
    wait_until_all_burn(scene, [light, heavy])
    detail = ""
    for _ in range(3):  # others may need the machine at first
        _seconds, grown = scene.watch([light, heavy], 5)
        low, high = (grown[person.name]["cpu"] / 1e6 for person in (light, heavy))
        if any(running.process.poll() is not None for running in at_work) or low + high < LEAST_CPU_SECONDS:
            continue
        detail = f"{heavy.name} {high:.1f} s, {light.name} {low:.1f} s at weights {heavy.weight:g} and {light.weight:g}"
        if low and abs(high / low / (heavy.weight / light.weight) - 1) <= TOLERANCE:
            proof.held(detail)
            return
    if detail:
        proof.broken(detail)
    else:
        proof.not_tested("the machine has hardly any CPU time to give")


def shared_cpu(scene: Scene, *people: Person) -> int:
    """A CPU that all of them may use."""
    ask = "python3 -c 'import os; print(*os.sched_getaffinity(0))'"
    allowed = [set(map(int, scene.target.run_as(person.name, ask).stdout.split())) for person in people]
    common = set.intersection(*allowed)
    if not common:
        pytest.skip("the two people share no CPU, so that they cannot be in each other's way")
    return max(common)


def wait_until_all_burn(scene: Scene, people: list[Person]) -> None:
    for _ in range(10):
        _seconds, grown = scene.watch(people, 0.5)
        if all(grown[person.name]["cpu"] > 20_000 for person in people):
            return
    pytest.skip("the attack did not start")


@pytest.mark.control("cpu", "a person uses every CPU")
def test_quota(scene: Scene, proof: Proof) -> None:
    person = smallest(scene, "cpu_cores")
    cores = person.cores or 0
    if cores >= scene.cpus:
        pytest.skip(f"the smallest limit is {cores:g} cores, and the host has {scene.cpus}: it never binds")
    scene.start(person, BURN, BURN_SECONDS, int(cores) + 2, "all")
    wait_until_all_burn(scene, [person])
    used, held_back = 0.0, 0
    # Others may need the machine at first, and where it is short of time its clock runs behind. What no quota holds
    # back uses too much each time.
    for _ in range(3):
        seconds, grown = scene.watch([person], 3)
        used, held_back = grown[person.name]["cpu"] / 1e6 / seconds, grown[person.name].get("throttled", 0)
        if held_back and used <= with_tolerance(cores):
            break
    detail = f"{person.name} uses {used:.2f} of {cores:g} cores"
    if used > with_tolerance(cores):
        proof.broken(detail)
    elif held_back == 0:
        proof.not_tested(f"{detail}, without being held back: the machine has no more to give")
    else:
        proof.held(f"{detail} and is held back")


def with_tolerance(cores: float) -> float:
    """The kernel deals CPU time out in periods of 0.1 s; one more than the share of a few seconds may be in them."""
    return cores * 1.05 + 0.02


@pytest.mark.control("cpu", "people of an affiliation together use more CPUs than it has")
def test_affiliation_cap(scene: Scene, proof: Proof) -> None:
    capped: dict[str, list[Person]] = {}
    for person in scene.people:
        if person.affiliation_cores is not None:
            capped.setdefault(person.affiliation, []).append(person)
    if not capped:
        pytest.skip("no affiliation of anybody who can be tried as has a cap")
    for affiliation, people in capped.items():
        together = people[:SAMPLE]
        cap, able = together[0].affiliation_cores or 0, sum(person.most_cores(scene.cpus) for person in together)
        names = " and ".join(person.name for person in together)
        if cap >= scene.cpus:
            proof.not_tested(f"{affiliation}: {cap:g} CPUs, and the host has {scene.cpus}: it never binds")
        elif scene.slice_of(together[0])["limits"]["cpus"] == "unknown":
            proof.not_tested(
                f"{affiliation}: not enforced, the kernel has no cpusets under systemd (as with cgroup v1)"
            )
        elif able <= cap:
            proof.not_tested(f"{affiliation}: {names} alone cannot use more than {able:g} of its {cap:g} CPUs")
        else:
            judge_together(scene, proof, together, f"{names} together", cap)


def judge_together(scene: Scene, proof: Proof, people: list[Person], names: str, cap: float) -> None:
    """All of them want every CPU at the same time, and first try to be let onto every CPU."""
    escape = "python3 -c 'import os; os.sched_setaffinity(0, range(os.cpu_count())); print(*os.sched_getaffinity(0))'"
    allowed = {cpu for person in people for cpu in scene.target.run_as(person.name, escape).stdout.split()}
    for person in people:
        scene.start(person, BURN, BURN_SECONDS, scene.cpus, "all")
    wait_until_all_burn(scene, people)
    seconds, grown = scene.watch(people, 3)
    used = sum(one["cpu"] for one in grown.values()) / 1e6 / seconds
    detail = f"{names} use {used:.2f} of {cap:g} CPUs, on {', '.join(sorted(allowed)) or 'none'}"
    if not allowed:
        proof.not_tested(f"{detail}: nobody could say on which CPUs")
    elif len(allowed) > cap or used > with_tolerance(cap):
        proof.broken(detail)
    else:
        proof.held(detail)


# --- ways out --------------------------------------------------------------------------------------------------------

# Each prints what went through, if anything, as "through: ..."; the rest are refusals. $own: the groups of the slice.
OWN = 'own=$(find /sys/fs/cgroup -maxdepth 3 -type d -path "*/user.slice/user-{uid}.slice")'
WAYS_OUT = {
    "systemctl set-property": """
        systemctl --no-ask-password set-property user-{uid}.slice MemoryMax=infinity && echo through: set-property
    """,
    "systemd-run outside the own manager": """
        systemd-run --no-ask-password --slice=system.slice true && echo through: systemd-run
    """,
    "a drop-in of the own": """
        for place in /etc/systemd/system /run/systemd/system /etc/systemd/system.control; do
          mkdir -p $place/user-{uid}.slice.d && touch $place/user-{uid}.slice.d/99-own.conf && echo through: $place
        done
    """,
    "write the files of the slice": """
        for group in $own; do
          for file in $group/memory.* $group/cpu.* $group/cpuset.* $group/pids.* $group/cgroup.*; do
            if [ -w $file ]; then echo through: $file; fi
          done
          if [ -e $group/pids.max ]; then echo max > $group/pids.max && echo through: $group/pids.max; fi
        done
    """,
    "move to another group": """
        others=$(find /sys/fs/cgroup -maxdepth 4 -name cgroup.procs -not -path "*/user-{uid}.slice/*" 2>/dev/null)
        for file in $others; do
          (echo $$ > $file) && echo through: $file
        done
    """,
    "a group of the own beside the slice": """
        for group in $own; do mkdir $group/../own && echo through: $group/../own; done
    """,
}


@pytest.mark.parametrize("way", WAYS_OUT)
@pytest.mark.control("own limits", "{way}")
def test_ways_out(scene: Scene, proof: Proof, way: str) -> None:
    person = smallest(scene, "memory_gib")
    scene.target.run_as(person.name, "true")  # the slice lives for a while afterwards
    before = scene.slice_of(person)["limits"]
    done = scene.target.run_as(person.name, f"{OWN}\n{WAYS_OUT[way]}".format(uid=person.uid))
    through = [line for line in done.stdout.splitlines() if line.startswith("through: ")]
    after = scene.slice_of(person)["limits"]
    words = (done.stderr + done.stdout).lower()
    for line in through:
        proof.broken(f"{person.name}: {line}")
    changed = {key: after[key] for key, value in before.items() if value not in ("unknown", after[key])}
    if changed:
        proof.broken(f"{person.name} has other limits now: {changed}")
    elif not through and any(word in words for word in DENIED):
        proof.held(person.name)
    elif not through:
        proof.not_tested(f"{person.name} was not refused, it failed otherwise: {words.strip()[-200:]}")


@pytest.mark.control("own limits", "a process that goes on after the logout")
def test_left_behind(scene: Scene, proof: Proof) -> None:
    person = smallest(scene, "memory_gib")
    command = (
        f"setsid nohup python3 -c 'import time; time.sleep(15)' {TAG} >/dev/null 2>&1 & sleep 0.5; cat /proc/$!/cgroup"
    )
    done = scene.target.run_as(person.name, command)
    judge_group(proof, person, done.stdout, "what is left behind")


@pytest.mark.control("jobs", "a job of cron runs outside the slice")
def test_cron(scene: Scene, proof: Proof) -> None:
    needs(scene, "cron")
    judge_jobs(scene, proof, "cron", scene.probe("slices_cron", people=scene.uids(SAMPLE), seconds=JOB_SECONDS))


@pytest.mark.control("jobs", "a job of at runs outside the slice")
def test_at(scene: Scene, proof: Proof) -> None:
    needs(scene, "at", "atd")
    people = scene.people[:SAMPLE]
    for person in people:
        scene.target.run_as(person.name, "at -M now", stdin=f"cat /proc/self/cgroup > {JOBS}/{person.name}/at\n")
    names = [person.name for person in people]
    judge_jobs(scene, proof, "at", scene.probe("slices_harvest", people=names, kind="at", seconds=JOB_SECONDS))


def needs(scene: Scene, *programs: str) -> None:
    if not scene.claims["jobs"]:
        pytest.skip("the site leaves jobs where they are (cgroups_jobs)")
    missing = [name for name in programs if not scene.host["programs"][name]]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed")


def judge_jobs(scene: Scene, proof: Proof, kind: str, found: dict[str, str]) -> None:
    for person in scene.people[:SAMPLE]:
        if person.name in found:
            judge_group(proof, person, found[person.name], f"the job of {kind}")
        else:
            proof.not_tested(f"the job of {person.name} did not run within {JOB_SECONDS} s")


def judge_group(proof: Proof, person: Person, lines: str, what: str) -> None:
    """lines: /proc/PID/cgroup; every controller that limits has to be in the slice, and the tree of systemd itself."""
    groups = dict(line.split(":", 2)[1:] for line in lines.split() if line.count(":") >= 2)
    limiting = {name: groups[name] for name in ("", "name=systemd", "memory", "pids", "cpu") if name in groups}
    outside = {name: group for name, group in limiting.items() if f"/user-{person.uid}.slice" not in group}
    if not limiting:
        proof.not_tested(f"{what} of {person.name} did not start")
    elif outside:
        proof.broken(f"{what} of {person.name} is in {', '.join(sorted(set(outside.values())))}")
    else:
        proof.held(person.name)


@pytest.mark.control("jobs", "something of a person runs outside the slice and nobody is told")
def test_strays_are_told(scene: Scene, proof: Proof) -> None:
    person = scene.people[0]
    told = scene.probe("slices_stray", name=person.name, uid=person.uid)
    if not told["before"] and sum(one["processes"] for one in told["while"]) == 1:
        proof.held(f"runuser as {person.name}")
    else:
        proof.broken(f"before {told['before']}, with one process of {person.name} outside {told['while']}")
