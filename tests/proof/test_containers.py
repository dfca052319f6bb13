# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers of people: inside the own slice, out of reach for everybody else, and no way to more than one has.

Everything is tried by people of the registry over logins of their own. What is denied to a stranger is first shown to
work for the owner, so that a mistake in an attack is never read as a control that holds. The rules over time are kept
by the real tool on real containers, with limits of seconds and a state, a log and a notice of the proof's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from container_scene import IMAGE, LABEL, NAME, ROLE, RUN, SHARED, Scene, tree
from plugin import Proof, active
from target import Target

pytestmark = pytest.mark.role(ROLE)

NO_SUCH = ("no such", "not found", "no container", "does not exist")
HOG = "kept = []\nfor n in range(1, {most}):\n    kept.append(bytearray(16 << 20))\n    print(n * 16, flush=True)"

# What a container with the whole host mounted on /host tries, and the harmless half of it that must work.
BEYOND = {
    "read /etc/shadow": ("head -c 1 /host/etc/shadow", "head -c 1 /host/etc/passwd"),
    "write into /etc": (
        ": > /host/etc/lyceum-proof && rm /host/etc/lyceum-proof",
        ": > /host/tmp/lyceum-proof && rm /host/tmp/lyceum-proof",
    ),
    "list {home}": ("ls /host{home}", "ls -d /host{home}"),
    "reach process 1 of the host": ("kill -0 1", "kill -0 $$"),
    "make a device": ("mknod /tmp/disk b 8 0", "mknod /tmp/pipe p"),
    # Opened for writing, never written.
    "write the kernel's settings": (": >> /proc/sys/kernel/core_pattern", ": < /proc/sys/kernel/core_pattern"),
}
WAYS = ["-v /:/host --network=none", "-v /:/host --network=host --privileged"]
WAYS.append(f"{WAYS[1]} --pid=host")

# Seconds between two looks of the tool under test, which is given limits of seconds.
PERIOD = 1.0
CASES = {
    # 3.6 s; a container that has run for longer is told late, but told all the same.
    "runtime": ({"runtime_hours": 0.001}, [80, 95]),
    "idle": ({"idle_minutes": 0.05}, [80, 95]),
    "count": ({"containers": 1}, [0]),
}


@pytest.fixture(scope="session")
def scene(target: Target) -> Iterator[Scene]:
    """Two people who may have containers here, each with one that runs."""
    accounts = target.result("observe")["accounts"]
    claimed = target.plan[ROLE]["people"]
    people = [name for name in claimed if active(target.people[name]) and accounts[name] and name in target.identities]
    if len(people) < 2:
        pytest.skip("there are not two people with a shell, a policy and a key at hand")
    limits = target.plan[ROLE]["limits"]
    people = [name for name in people if limits[name].get("containers") is None or limits[name]["containers"] > 1]
    if len(people) < 2:
        pytest.skip("there are not two people who may have two containers")
    scene = Scene(target, people[0], people[1], {})
    scene.probe("tidy", uids=[scene.uid(name) for name in people[:2]])
    try:
        why = scene.begin(scene.victim) or scene.begin(scene.attacker)
        if why:
            pytest.skip(why)
        yield scene
    finally:
        for name in people[:2]:
            scene.end(name)
        scene.probe("tidy", uids=[scene.uid(name) for name in people[:2]])


@pytest.mark.control("containers", "a container, its monitor or a command in it runs outside its person's slice")
def test_slice(scene: Scene, proof: Proof) -> None:
    scene.sh(scene.victim, f"podman exec --detach {NAME} sleep 3600")
    # The way of VS Code and compose: through the socket, by a service that systemd started.
    through_socket = scene.sh(scene.attacker, f"docker exec --detach {NAME} sleep 3600")
    if through_socket.returncode:
        proof.broken(f"docker does not reach {scene.attacker}'s own Podman: {through_socket.stderr.strip()[-160:]}")
    for name in (scene.victim, scene.attacker):
        found = scene.family(name)
        pids = found["monitors"] + found["below"]
        if len(found["monitors"]) < 2 or len(found["below"]) < 2:
            proof.not_tested(
                f"{name}: {len(found['below'])} processes and {len(found['monitors'])} monitors were found"
            )
            continue
        own = f"/user.slice/user-{scene.uid(name)}.slice"
        strays = []
        for pid, paths in scene.probe("cgroups", pids=pids).items():
            wrong = [f"{what}:{path}" for what, path in (paths or {}).items() if counts(what) and not below(path, own)]
            strays += [f"{name}: process {pid} is in {', '.join(wrong)}"] if wrong else []
        for stray in strays:
            proof.broken(stray)
        if not strays:
            proof.held(f"{name}: {len(pids)} processes")


def counts(controllers: str) -> bool:
    """Hierarchies that carry limits of a person, or say who belongs where. The others of v1 have no one's slices."""
    return bool({"v2", "name=systemd", "memory", "pids"} & set(controllers.split(",")))


def below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


@pytest.mark.control("containers", "a memory hog in a container takes more than its person may have")
def test_memory_hog(scene: Scene, proof: Proof) -> None:
    people = sorted(
        (scene.victim, scene.attacker), key=lambda one: scene.probe("caps", uid=scene.uid(one))["bytes"] or 1 << 62
    )
    name, neighbour = people
    cap = scene.probe("caps", uid=scene.uid(name))
    if cap["bytes"] is None or cap["bytes"] > 1 << 50:
        pytest.skip(f"the slices of {name} and {neighbour} have no memory limit")
    if cap["bytes"] > 4 << 30:
        pytest.skip(f"{name} may have {cap['bytes'] >> 20} MiB: filling that would be felt by everybody")
    most = (cap["bytes"] >> 20) // 16 * 2 + 8
    hog = scene.inside(name, "", f"exec python3 -c '{HOG.format(most=most)}'", timeout=120)
    taken = int((hog.stdout.split() or ["0"])[-1])
    kills = scene.probe("caps", uid=scene.uid(name))["kills"] - cap["kills"]
    what = f"{name}: {taken} MiB of {cap['bytes'] >> 20}, {kills} killed in the own slice"
    if taken >= cap["bytes"] >> 20:
        proof.broken(what)
    elif kills and hog.returncode in (137, 255):
        proof.held(what)
    else:
        proof.not_tested(f"{what}; it ended with {hog.returncode}: {hog.stderr.strip()[-120:]}")
    if scene.runs(neighbour):
        proof.held(f"{neighbour}'s container went on")
    else:
        proof.broken(f"{neighbour}'s container was ended as well")
    # The hog's own session or container may have been the one to be killed.
    if not scene.runs(name):
        scene.begin(name)


@pytest.mark.control("containers", "a container takes more memory than a single one of its person may")
def test_memory_of_one(scene: Scene, proof: Proof) -> None:
    name, narrow = scene.victim, f"{NAME}-narrow"
    if not scene.probe("unified")["unified"]:
        pytest.skip("with cgroup v1 only the person's slice is capped")
    scene.sh(name, f"podman run --detach --name {narrow} {RUN} {IMAGE} sleep 600")
    try:
        # 64 MiB, of which programs take a part.
        found = scene.probe("police", person=name, limits={"container_memory_gib": 0.0625}, until="limited", seconds=30)
        before = scene.sh(name, f"podman exec {narrow} python3 -c 'kept = bytearray(16 << 20); print(16)'")
        hog = scene.sh(name, f"podman exec {narrow} python3 -c '{HOG.format(most=17)}'")
    finally:
        scene.sh(name, f"podman rm --force --time 0 {narrow}")
    taken = int((hog.stdout.split() or ["0"])[-1])
    if before.stdout.strip() != "16":
        proof.not_tested(f"not even a little can be taken: {before.stderr.strip()[-120:]}, {found['words']}")
    elif taken >= 64:
        proof.broken(f"{taken} MiB in a container of 64")
    else:
        proof.held(f"{taken} MiB of 64")


@pytest.mark.parametrize("program", ["podman", "docker"])
@pytest.mark.control(
    "containers", "a stranger lists, enters, inspects, stops or removes a container by its id ({program})"
)
def test_by_id(scene: Scene, proof: Proof, program: str) -> None:
    identity = scene.containers[scene.victim]
    verbs = {
        "list": f"ps --all --no-trunc --quiet --filter id={identity} | grep -x {identity}",
        "inspect": f"container inspect {identity}",
        "read the log of": f"logs {identity}",
        "enter": f"exec {identity} true",
        "copy from": f"cp {identity}:/etc/passwd -",
        "copy into": f"cp /etc/hostname {identity}:/tmp/",
        # What cannot be shown to work without doing it.
        "stop": f"stop {identity}",
        "kill": f"kill {identity}",
        "remove": f"rm {identity}",
    }
    lines = [f"echo '--- {what}'; {program} {words} 2>&1; echo \"=== $?\"" for what, words in verbs.items()]
    stranger = answers(scene.sh(scene.attacker, "\n".join(lines), timeout=120).stdout)
    owner = answers(scene.sh(scene.victim, "\n".join(lines[: list(verbs).index("stop")]), timeout=120).stdout)
    for what in verbs:
        status, words = stranger.get(what, (None, "no answer"))
        if status == 0:
            proof.broken(f"{scene.attacker} could {what} it")
        elif what in owner and owner[what][0] != 0:
            proof.not_tested(f"{what}: not even its owner can: {owner[what][1][-120:]}")
        elif what == "list" or any(no in words.lower() for no in NO_SUCH):
            proof.held(what)
        else:
            proof.not_tested(f"{what}: {words[-120:]}")
    # `rm --force` says nothing of what is not there: what counts is what is left.
    scene.sh(scene.attacker, f"{program} rm --force {identity}")
    if scene.runs(scene.victim):
        proof.held("remove by force")
    else:
        proof.broken(f"the container of {scene.victim} does not run any more")


def answers(text: str) -> dict[str, tuple[int, str]]:
    """Status and words of each attempt, by name."""
    found = {}
    for block in text.split("--- ")[1:]:
        what, _, rest = block.partition("\n")
        words, _, status = rest.rpartition("=== ")
        found[what] = (int(status.split()[0]), words.strip())
    return found


@pytest.mark.control(
    "containers", "a stranger reaches a container from outside it: /proc, namespaces, signal, socket, files"
)
def test_from_outside(scene: Scene, proof: Proof) -> None:
    pid = scene.family(scene.victim)["first"]
    stranger = scene.probe("reach", person=scene.attacker, victim=scene.victim, pid=pid)
    owner = scene.probe("reach", person=scene.victim, victim=scene.victim, pid=pid)
    for what, ended in stranger.items():
        if ended == "done":
            proof.broken(f"{scene.attacker} could {what}")
        elif owner[what] != "done":
            proof.not_tested(f"{what}: its owner cannot do it either ({owner[what]})")
        elif ended in ("denied", "hidden"):
            proof.held(what)
        else:
            proof.not_tested(f"{what}: {ended}")
    other = f"unix:///run/user/{scene.uid(scene.victim)}/podman/podman.sock"
    for words in (f"podman --remote --url {other} ps", f"DOCKER_HOST={other} docker ps"):
        mine, theirs = (scene.sh(name, words).stdout for name in (scene.attacker, scene.victim))
        if scene.containers[scene.victim][:12] in mine:
            proof.broken(f"{scene.attacker} lists {scene.victim}'s containers with {words}")
        elif scene.containers[scene.victim][:12] in theirs:
            proof.held(words.replace(other, "..."))
        else:
            proof.not_tested(f"{words}: its owner is not shown it either")


@pytest.mark.control("containers", "one person's prune takes images or containers of another")
def test_prune(scene: Scene, proof: Proof) -> None:
    # Only what carries the proof's label: an attack must not cost anybody their own images.
    for name in (scene.victim, scene.attacker):
        scene.sh(name, f"podman create --name {NAME}-idle {RUN} {IMAGE} true && podman tag {IMAGE} {IMAGE}-unused")
    options = f"--force --filter label={LABEL}"
    done = scene.sh(scene.attacker, f"podman container prune {options} && podman image prune --all {options}")
    own = scene.sh(scene.attacker, f"podman container exists {NAME}-idle").returncode
    if done.returncode or own == 0:
        pytest.skip(f"the prune of {scene.attacker} took nothing of the own either: {done.stderr.strip()[-120:]}")
    left = scene.sh(scene.victim, f"podman container exists {NAME}-idle && podman image exists {IMAGE}-unused")
    if left.returncode == 0 and scene.runs(scene.victim):
        proof.held(f"{scene.victim}'s are all there")
    else:
        proof.broken(f"something of {scene.victim} is gone")
    scene.sh(scene.victim, f"podman rm {NAME}-idle && podman untag {IMAGE} {IMAGE}-unused")


@pytest.mark.control("containers", "Docker's command shows, starts or reaches anything but the own containers")
def test_docker_command(scene: Scene, proof: Proof) -> None:
    for name, other in ((scene.victim, scene.attacker), (scene.attacker, scene.victim)):
        # Neither a login shell nor a terminal: what `docker context` and VS Code do over ssh.
        done = scene.target.run_as(name, "docker ps --all --no-trunc --format '{{.ID}}'")
        listed = done.stdout.split()
        if scene.containers[name] not in listed:
            proof.not_tested(f"docker does not list {name}'s own container: {done.stderr.strip()[-120:]}")
        elif scene.containers[other] in listed:
            proof.broken(f"docker lists {other}'s container to {name}")
        else:
            proof.held(f"{name} sees the own")
        host = scene.target.run_as(name, "bash -lc 'echo $DOCKER_HOST'").stdout.strip()
        wanted = f"unix:///run/user/{scene.uid(name)}/podman/podman.sock"
        if host == wanted:
            proof.held("a login shell names the own socket")
        else:
            proof.broken(f"DOCKER_HOST of {name} is {host!r}, not {wanted}")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.control("containers", "a container gets at what its person cannot: {way}")
def test_more_than_the_person(scene: Scene, proof: Proof, way: str) -> None:
    home = scene.target.people[scene.victim]["home"]
    # Elsewhere, process 1 is the container's own.
    attempts = {what: pair for what, pair in BEYOND.items() if "process 1" not in what or "--pid=host" in way}
    script = ""
    for number, (attack, control) in enumerate(attempts.values()):
        script += f"if ({attack.format(home=home)}) > /dev/null 2>&1; then echo done {number}; fi\n"
        script += f"if ({control.format(home=home)}) > /dev/null 2>&1; then echo can {number}; fi\n"
    run = f"podman run --rm --interactive --label {LABEL} -v /usr:/usr:ro {way} {IMAGE} sh -s"
    done = scene.sh(scene.attacker, f"exec {run} <<'EOF'\n{script}EOF")
    lines = done.stdout.splitlines()
    if not lines:
        pytest.skip(f"{scene.attacker} cannot run a container like that: {done.stderr.strip()[-160:]}")
    for number, what in enumerate(attempts):
        if f"done {number}" in lines:
            proof.broken(f"{scene.attacker} could {what.format(home=home)}")
        elif f"can {number}" in lines:
            proof.held(what.format(home=home))
        else:
            proof.not_tested(f"{what.format(home=home)}: not even the harmless half of it works")


@pytest.mark.control("containers", "root of a container leaves a setuid program on the host that makes anybody root")
def test_setuid(scene: Scene, proof: Proof) -> None:
    path = "/tmp/lyceum-proof-setuid"  # noqa: S108  (on the host under test)
    make = f"cp /usr/bin/id /host{path} && chown 0:0 /host{path} && chmod 4755 /host{path}"
    made = scene.inside(scene.attacker, "-v /:/host", make)
    try:
        owner = scene.sh(scene.attacker, f"stat -c %u {path}").stdout.strip()
        runs_as = scene.sh(scene.victim, f"{path} -u").stdout.strip()
    finally:
        scene.sh(scene.attacker, f"rm -f {path}")
    if made.returncode or not owner:
        proof.not_tested(f"it cannot be made: {made.stderr.strip()[-120:]}")
    elif "0" in (owner, runs_as):
        proof.broken(f"it belongs to uid {owner} and runs as uid {runs_as or 'nobody'}")
    else:
        proof.held(f"it belongs to {scene.attacker} alone")


@pytest.mark.control("containers", "a container of a person opens a port that is root's alone")
def test_ports(scene: Scene, proof: Proof) -> None:
    bind = 'import socket; s = socket.socket(); s.bind(("0.0.0.0", {})); print("bound")'
    inside = f"podman run --rm --label {LABEL} -v /usr:/usr:ro --network=host --privileged {IMAGE} python3 -c"
    attack = scene.sh(scene.attacker, f"{inside} '{bind.format(871)}'")
    control = scene.sh(scene.attacker, f"{inside} '{bind.format(0)}'")
    outside = scene.sh(scene.attacker, f"python3 -c '{bind.format(871)}'")
    if control.stdout.strip() != "bound":
        proof.not_tested(f"not even any other port: {control.stderr.strip()[-120:]}")
    elif attack.stdout.strip() == outside.stdout.strip():
        proof.held("as little as outside a container")
    else:
        proof.broken(f"{scene.attacker} bound port 871 in a container of the host's network")


@pytest.mark.control("shared images", "a person changes, removes or forges an image that all share")
def test_shared_images(scene: Scene, proof: Proof) -> None:
    made = scene.probe("share", tree=tree().hex())
    if made["status"]:
        pytest.skip(f"the shared store takes no image: {made['words']}")
    name, uid = scene.attacker, scene.uid(scene.attacker)
    view, store = f"/run/lyceum/containers/{uid}/images", scene.target.plan[ROLE]["images_dir"]
    run = f"podman run --rm {RUN}"
    work = "touch /etc/own && echo x >> /etc/passwd && stat -c %u /etc/passwd"
    used = scene.sh(name, f"{run} {SHARED} sh -c '{work}'")
    if used.stdout.strip() != "0":
        proof.not_tested(f"{name} cannot work with a shared image: {used.stderr.strip()[-160:]}")
        return
    proof.held(f"{name} can work with it")
    attacks = {
        "remove it": f"podman image rm --force {SHARED}",
        "write into the view of it": f"touch {view}/x || touch {view}/overlay/x",
        "write from a container": f"{run} -v {view}:/host {IMAGE} touch /host/x",
        "make the view writable": f"podman unshare mount -o remount,rw {view}",
        "enter the store": f"ls {store}",
        "enter another's view": f"ls /run/lyceum/containers/{scene.uid(scene.victim)}/images",
    }
    for what, attack in attacks.items():
        if scene.sh(name, attack).returncode == 0:
            proof.broken(f"{name} could {what}")
        else:
            proof.held(what)
    options = scene.probe("mounts", uid=uid)["options"] or []
    for option in {"ro", "nosuid", "nodev"} - set(options):
        proof.broken(f"{view} is mounted without {option}")
    if scene.sh(scene.victim, f"podman image exists {SHARED}").returncode:
        proof.broken(f"the image is gone for {scene.victim}")


@pytest.mark.control("docker group", "somebody who is no admin can reach a root daemon")
def test_docker_group(scene: Scene, proof: Proof) -> None:
    claims = scene.target.plan[ROLE]
    found = scene.probe("members", groups=claims["groups"])
    for group, names in found.items():
        strangers = sorted(set(names) - {"root", *claims["admins"]})
        for name in strangers:
            proof.broken(f"{name} is in group {group}")
        if not strangers:
            proof.held(f"nobody else in {group}")
    for name, paths in scene.probe("doors", people=[scene.victim, scene.attacker]).items():
        for path in paths:
            proof.broken(f"{name} can talk to {path}")
        if not paths:
            proof.held(f"no socket of root answers {name}")


@pytest.mark.control("containers", "who has no shell, is suspended or gone still has containers, lingers or a policy")
def test_who_must_have_none(target: Target, proof: Proof) -> None:
    claims = target.plan[ROLE]
    people = {name: person["uid"] for name, person in target.people.items() if name not in claims["people"]}
    if not people:
        pytest.skip("everybody here has a shell")
    found = target.probe("remains", role=ROLE, people=people, policies=claims["settings"]["policies"])
    for name, left in found.items():
        for what in left:
            proof.broken(f"{name}: {what}")
        if not left:
            proof.held(name)


@pytest.mark.parametrize("rule", list(CASES))
@pytest.mark.control(
    "container rules", "{rule}: a container is stopped untold or too soon, goes on for ever, or loses its files"
)
def test_rule(scene: Scene, proof: Proof, rule: str) -> None:
    name = scene.victim
    limits, percents = CASES[rule]
    marked = scene.sh(name, f"podman exec {NAME} sh -c 'echo precious > /precious'")
    if marked.returncode:
        pytest.skip(f"the container of {name} does not run: {marked.stderr.strip()[-120:]}")
    # Busy for all the time that it takes: it must survive the idle one, and be the newest of two.
    other = f"{NAME}-busy"
    work = "while :; do :; done" if rule == "idle" else "sleep 60"
    if rule != "runtime":
        scene.sh(name, f"podman run --rm --detach --name {other} {RUN} {IMAGE} timeout 60 sh -c '{work}'")
    try:
        found = scene.probe("police", person=name, limits=limits, until="stopped", seconds=45)
        judge(proof, found, rule, percents)
        stopped = other if rule == "count" else NAME
        spared = {"idle": other, "count": NAME}.get(rule)
        shown = "podman container inspect --format '{{.Name}} {{.State.Status}}'"
        states = scene.sh(name, f"{shown} {NAME} {other}").stdout
        if f"{stopped} running" in states:
            proof.broken(f"{stopped} goes on")
        if spared and f"{spared} running" not in states:
            proof.broken(f"{spared} was stopped as well")
        if rule != "count":
            kept = scene.sh(name, f"podman start {NAME} > /dev/null && podman exec {NAME} cat /precious")
            if kept.stdout == "precious\n":
                proof.held("its files are there, and it starts again")
            else:
                proof.broken(f"its files are gone: {kept.stderr.strip()[-120:]}")
    finally:
        scene.sh(name, f"podman rm --force --time 0 {other}; podman start {NAME}")


def judge(proof: Proof, found: dict[str, Any], rule: str, percents: list[int]) -> None:
    """Whether the events of one container are the warnings in order and then the stop, each with a period between."""
    stopped = next((event for event in found["events"] if event["event"] == "stopped"), None)
    if stopped is None:
        proof.not_tested(f"nothing was stopped: {found['words'] or found['events']}")
        return
    about = [
        event for event in found["events"] if event.get("container") == stopped["container"] and event["rule"] == rule
    ]
    warnings = [event for event in about if event["event"] == "warned"]
    if [event["percent"] for event in warnings] != percents:
        proof.broken(f"it was warned at {[event['percent'] for event in warnings]}, not at {percents} %")
    for earlier, later in zip(about, about[1:]):
        # The tool itself keeps to a whole period; what is measured here lags behind by a look.
        if later["after"] - earlier["after"] < PERIOD / 2:
            proof.broken(
                f"only {later['after'] - earlier['after']:.1f} s between {earlier['event']} and {later['event']}"
            )
    if not all(stopped["name"] in event["notice"] for event in warnings):
        proof.broken("a warning was not there to be read")
    else:
        proof.held(f"told {len(warnings)} times, then stopped")
