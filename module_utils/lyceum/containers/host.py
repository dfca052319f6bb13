# SPDX-License-Identifier: GPL-3.0-or-later
"""The tool lyceum-containers: once a minute it looks at everybody's containers, warns, stops, and writes down why.

People are told before the state remembers that they were, and the state is kept before anything is stopped. What is
done for one person never waits for another: podman runs for several people at once, each with a limit of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import pwd
import signal
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import notices
from ..errors import LyceumError
from ..files import write_atomically
from . import limits, lingering, messages, metrics, podman, processes, rules, state, subids, tidy
from .processes import Container
from .rules import Alert, Decisions, Stop
from .settings import SETTINGS, Policy, Settings, load_policies, load_settings

AT_ONCE = 8
# How often a container is brought down by podman before its processes are ended by us, first kindly.
PODMAN_ATTEMPTS = 1
TERM_ATTEMPTS = 2
LEAVE_SECONDS = 5


@dataclass
class Look:
    """One look at everybody. events: for the log. failures: sentences."""

    settings: Settings
    policies: dict[int, Policy]
    running: list[Container]
    memory: state.State
    now: float
    clock: float
    decisions: dict[int, Decisions] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def of(self, uid: int) -> list[Container]:
        return [container for container in self.running if container.uid == uid]

    def event(self, what: str, policy: Policy, container: Container | None, **more: Any) -> None:
        about = {} if container is None else {"container": container.identity, "name": container.name}
        self.events.append({"event": what, "person": policy.name, "uid": policy.uid, **about, **more})

    def fail(self, policy: Policy, container: Container | None, text: str) -> None:
        self.failures.append(text)
        self.event("failed", policy, container, text=text)


def look(settings: Settings, *, only: str | None, dry_run: bool) -> Look:
    """One look. only: at one person. dry_run: decide and do nothing. Raises LyceumError if nothing can be done."""
    policies, problems = load_policies(settings.policies, only)
    with state.locked(settings.state):
        memory, anew = state.load(settings.state, processes.boot_id())
        seen = Look(settings, policies, processes.running(), memory, processes.now(), time.time())
        seen.failures += [*problems, *([anew] if anew else [])]
        if only is None:
            forget_the_gone(seen)
        decide(seen)
        if not dry_run:
            if only is None:
                seen.failures += lingering.care(settings, policies, seen.running)
            announce(seen)
            intend(seen)
            state.save(settings.state, memory)
            stop_all(seen)
            hold_limits(seen)
            tell(seen)
            state.save(settings.state, memory)
            write_down(seen, everybody=only is None)
    return seen


def forget_the_gone(seen: Look) -> None:
    """Of people without an account nothing is remembered; those who are suspended may come back."""
    known = {policy.name for policy in seen.policies.values()}
    for name in set(seen.memory.people) - known:
        try:
            pwd.getpwnam(name)
        except KeyError:
            del seen.memory.people[name]


def decide(seen: Look) -> None:
    for uid, policy in seen.policies.items():
        person = seen.memory.person(policy.name)
        running = {(container.identity, container.started) for container in seen.of(uid)}
        for identity, memory in person.containers.items():
            # The last look was killed while it stopped this one, or podman took its time.
            if memory.attempts and (identity, memory.started) not in running:
                stopped(seen, policy, identity, memory.name, memory.rule)
        decisions = rules.judge(policy, seen.of(uid), person.containers, seen.now, seen.settings)
        person.containers = decisions.memory
        person.forget_old(seen.clock)
        seen.decisions[uid] = decisions


def announce(seen: Look) -> None:
    """Tell what is new to be told. Only what has arrived counts as announced."""
    for uid, decisions in seen.decisions.items():
        fresh = [alert for alert in decisions.alerts if alert.new]
        policy = seen.policies[uid]
        for alert in fresh:
            at = seen.clock + alert.deadline - seen.now
            decisions.memory[alert.container.identity].promised[alert.key] = at
        if fresh and post(seen, policy):
            for alert in fresh:
                decisions.memory[alert.container.identity].warned[alert.key] = seen.now
                percent = round(alert.level * 100)
                seen.event("warned", policy, alert.container, rule=alert.kind, percent=percent)


def tell(seen: Look) -> None:
    """Bring the notices of all others up to date: what is over is withdrawn, what was done is said."""
    for uid, policy in seen.policies.items():
        person = seen.memory.person(policy.name)
        if person.told or person.events or seen.decisions[uid].alerts:
            post(seen, policy)


def post(seen: Look, policy: Policy) -> bool:
    """Make a person's notice what is to be said now. Returns whether it lies there."""
    person = seen.memory.person(policy.name)
    alerts = []
    for alert in seen.decisions[policy.uid].alerts:
        memory = seen.decisions[policy.uid].memory.get(alert.container.identity)
        if memory is not None and alert.key in memory.promised:
            alerts.append((alert, memory.promised[alert.key]))
    text = messages.notice(policy, seen.settings, alerts, person.events)
    try:
        notices.post(policy.recipient, seen.settings.source, text or None, mail=seen.settings.mail)
    except LyceumError as exc:
        # Mail that does not go out is no reason to let a container run for ever: the notice itself is what counts.
        seen.fail(policy, None, str(exc))
    arrived = notices.pending(policy.uid).get(seen.settings.source)
    person.told = arrived is not None
    return bool(text) and arrived == notices.sanitise(text)


def intend(seen: Look) -> None:
    """Remember what is about to be stopped, so that it is told even if we are killed over it."""
    for decisions in seen.decisions.values():
        for stop in decisions.stops:
            known = decisions.memory[stop.container.identity]
            known.attempts, known.rule = known.attempts + 1, stop.kind


def stop_all(seen: Look) -> None:
    stops = [(seen.policies[uid], stop) for uid, decisions in seen.decisions.items() for stop in decisions.stops]
    for (policy, stop), trouble in zip(stops, at_once(lambda item: stop_one(seen, *item), stops)):
        container = stop.container
        if trouble:
            seen.fail(policy, container, trouble)
        else:
            del seen.memory.person(policy.name).containers[container.identity]
            stopped(seen, policy, container.identity, container.name, stop.kind)


def stopped(seen: Look, policy: Policy, identity: str, name: str, rule: str) -> None:
    """Count and tell that a container was stopped."""
    person = seen.memory.person(policy.name)
    person.stops[rule] = person.stops.get(rule, 0) + 1
    person.note(seen.clock, messages.stop_line(policy, name, rule, seen.clock))
    about = {"container": identity, "name": name, "rule": rule}
    seen.events.append({"event": "stopped", "person": policy.name, "uid": policy.uid, **about})


def stop_one(seen: Look, policy: Policy, stop: Stop) -> str:
    """Stop a container and look whether it is gone; return what went wrong."""
    container = stop.container
    attempts = seen.decisions[policy.uid].memory[container.identity].attempts
    trouble = ""
    if attempts <= PODMAN_ATTEMPTS:
        try:
            podman.stop(policy, container.identity, seen.settings.stop_seconds)
        except LyceumError as exc:
            trouble = str(exc)
    else:
        number = signal.SIGTERM if attempts <= TERM_ATTEMPTS else signal.SIGKILL
        spans = subids.spans_of(policy.name, policy.uid, subids.SUBUID)
        processes.end(container, number, lambda uid: subids.belongs(uid, policy.uid, spans))
        trouble = f"podman did not stop {container.name} of {policy.name}; its processes got {number.name}"
    # What counts is whether it runs, not what the person's podman says. Its monitor needs a moment to put things away.
    for _ in range(LEAVE_SECONDS * 5):
        if not any(
            (one.identity, one.started) == (container.identity, container.started) for one in processes.running()
        ):
            return ""
        time.sleep(0.2)
    return trouble or f"{container.name} of {policy.name} still runs after podman stop"


def hold_limits(seen: Look) -> None:
    """Where the kernel can: no container of a person wider than one may be."""
    if not limits.enforceable():
        return
    wide = []
    for uid, policy in seen.policies.items():
        stopped = {stop.container.identity for stop in seen.decisions[uid].stops}
        for container in seen.of(uid):
            cgroup = limits.cgroup_of(container)
            found = list(limits.too_wide(policy, cgroup)) if cgroup and container.identity not in stopped else []
            if found:
                wide.append((policy, container, "; ".join(found)))
    for (policy, container, what), trouble in zip(wide, at_once(lambda item: _narrow(item[0], item[1]), wide)):
        if trouble:
            seen.fail(policy, container, trouble)
        else:
            seen.event("limited", policy, container, found=what)


def _narrow(policy: Policy, container: Container) -> str:
    try:
        podman.update(policy, container.identity)
    except LyceumError as exc:
        return str(exc)
    return ""


def at_once(work: Callable[[Any], str], items: Sequence[Any]) -> list[str]:
    """Several at a time: one who is slow holds up nobody else."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(work, items))


def write_down(seen: Look, *, everybody: bool) -> None:
    """The log, the journal (by way of standard output) and the metrics, which are of everybody or not written."""
    settings = seen.settings
    metrics.log(settings.log, seen.events)
    if everybody and settings.textfile is not None and settings.textfile.parent.is_dir():
        text = metrics.exposition(seen.policies, seen.running, seen.memory, len(seen.failures), time.time())
        write_atomically(settings.textfile, text.encode(), 0o644)


def summary(seen: Look) -> dict[str, Any]:
    """What was seen and decided, as data."""
    people = {}
    for uid, policy in sorted(seen.policies.items()):
        decisions, person = seen.decisions[uid], seen.memory.person(policy.name)
        people[policy.name] = {
            "uid": uid,
            "allowed": policy.containers,
            "running": [_container(seen, container) for container in seen.of(uid)],
            "warned": [_alert(alert) for alert in decisions.alerts],
            "stopped": [{"name": stop.container.name, "rule": stop.kind} for stop in decisions.stops],
            "stops": person.stops,
            "lingers": (lingering.LINGER / policy.name).exists(),
        }
    return {
        "people": people,
        "without_policy": sorted({c.uid for c in seen.running if c.uid not in seen.policies}),
        "limits_enforced": limits.enforceable(),
        "failures": seen.failures,
    }


def _container(seen: Look, container: Container) -> dict[str, Any]:
    memory = seen.decisions[container.uid].memory.get(container.identity)
    idle = None if memory is None else round(seen.now - memory.mark)
    age = round(seen.now - container.since)
    return {"id": container.identity, "name": container.name, "age_seconds": age, "idle_seconds": idle}


def _alert(alert: Alert) -> dict[str, Any]:
    return {"name": alert.container.name, "rule": alert.kind, "percent": round(alert.level * 100), "new": alert.new}


def lines(found: dict[str, Any], events: Sequence[dict[str, Any]]) -> list[str]:
    """The same for people: what was done, or what is."""
    result = [" ".join(str(event[key]) for key in sorted(event) if key != "uid") for event in events]
    return result + [f"FAILED {text}" for text in found["failures"]]


def main(argv: list[str] | None = None) -> int:
    """The command line. Exit status 1 if something went wrong for somebody."""
    parser = argparse.ArgumentParser(prog="lyceum-containers", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("what", nargs="?", default="look", choices=["look", "show", "tidy"], help="look (default): "
                        "warn and stop what is due; show: say what runs, change nothing; tidy: save and remove "
                        "containers that have not run for long")  # fmt: skip
    parser.add_argument("--settings", type=Path, default=SETTINGS, help=f"settings file (default {SETTINGS})")
    parser.add_argument("--person", metavar="NAME", help="only this person")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done and do nothing")
    parser.add_argument("--json", action="store_true", help="print what was seen and decided as JSON")
    options = parser.parse_args(argv)
    if os.geteuid() != 0:
        parser.error("only root can look after everybody's containers")
    try:
        settings = load_settings(options.settings)
        if options.what == "tidy":
            return tidy.main(settings, only=options.person, dry_run=options.dry_run, as_json=options.json)
        seen = look(settings, only=options.person, dry_run=options.dry_run or options.what == "show")
    except LyceumError as exc:
        print(exc, file=sys.stderr)
        return 1
    found = summary(seen)
    print(
        json.dumps(found, indent=1) if options.json or options.what == "show" else "\n".join(lines(found, seen.events))
    )
    return 1 if seen.failures and options.what == "look" else 0
