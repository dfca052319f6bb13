# SPDX-License-Identifier: GPL-3.0-or-later
"""When a container is warned about and when it is stopped. Pure: what runs and what is remembered in, decisions out.

Each rule is a clock with a limit and levels. A level is announced once, each at least one period after the one before,
and the container is stopped one period after the last at the earliest: whatever was missed while the tool did not run,
nobody is stopped without having been told in time. All times are seconds after boot.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from .processes import Container
from .settings import Policy, Settings

RUNTIME, IDLE, COUNT = "runtime", "idle", "count"
LEVELS = (0.8, 0.95)


@dataclass
class Memory:
    """What is remembered of a container while it runs.

    started: of the run that this is about. mark and mark_cpu: when it last had done work, and the CPU seconds it had
    used then. over: since when it is one too many. warned: level (such as `idle80`) -> when it was announced.
    promised: level -> the time of the clock on the wall that was told with it. attempts: to stop it, so far. rule: the
    one that asked for it.
    """

    name: str
    started: int
    mark: float
    mark_cpu: float
    over: float | None = None
    warned: dict[str, float] = field(default_factory=dict)
    promised: dict[str, float] = field(default_factory=dict)
    attempts: int = 0
    rule: str = ""


@dataclass(frozen=True)
class Clock:
    """One rule at work on one container. deadline: when the limit is reached."""

    kind: str
    elapsed: float
    limit: float
    levels: Sequence[float]
    deadline: float


@dataclass(frozen=True)
class Alert:
    """To be told, or told and still true. level: the last one announced, or to be announced now if `new`."""

    container: Container
    kind: str
    level: float
    deadline: float
    new: bool

    @property
    def key(self) -> str:
        return level_key(self.kind, self.level)


@dataclass(frozen=True)
class Stop:
    """To be stopped now. kind: the rule that says so."""

    container: Container
    kind: str


@dataclass
class Decisions:
    """About one person. memory: by container id, to be kept."""

    memory: dict[str, Memory]
    alerts: list[Alert] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)


def level_key(kind: str, level: float) -> str:
    return f"{kind}{round(level * 100)}"


def judge(
    policy: Policy, containers: Sequence[Container], known: dict[str, Memory], now: float, settings: Settings
) -> Decisions:
    """Decide about the containers of one person that run. known: by container id."""
    excess = {item.identity for item in _excess(policy, containers)}
    decisions = Decisions({})
    for container in containers:
        memory = _remember(container, known.get(container.identity), now, policy, settings)
        memory.over = (memory.over if memory.over is not None else now) if container.identity in excess else None
        decisions.memory[container.identity] = memory
        for clock in _clocks(policy, container, memory, now, settings):
            step = _step(clock, memory, now, settings.period_seconds)
            if step is STOP:
                decisions.stops.append(Stop(container, clock.kind))
                break
            if step is not None:
                # Not before the remaining levels could be told.
                periods = sum(other >= step.level for other in clock.levels)
                deadline = max(clock.deadline, now + periods * settings.period_seconds)
                decisions.alerts.append(Alert(container, clock.kind, step.level, deadline, step.new))
    return decisions


def _excess(policy: Policy, containers: Sequence[Container]) -> Sequence[Container]:
    """The newest of those beyond the number allowed."""
    if policy.containers is None:
        return ()
    return sorted(containers, key=lambda item: (item.started, item.identity))[policy.containers :]


def _remember(container: Container, memory: Memory | None, now: float, policy: Policy, settings: Settings) -> Memory:
    """Work means: since the mark, more CPU time than the threshold allows for a whole idle window.

    Measured by difference, for this run of this container. Time that vanished with a process is work as well.
    """
    if memory is None or memory.started != container.started:
        return Memory(container.name, container.started, now, container.cpu)
    used = container.cpu - memory.mark_cpu
    allowance = settings.idle_cpu_percent / 100 * (policy.idle_seconds or 0)
    if used > allowance or used < 0:
        memory.mark, memory.mark_cpu = now, container.cpu
    return memory


def _clocks(policy: Policy, container: Container, memory: Memory, now: float, settings: Settings) -> Iterator[Clock]:
    if policy.runtime_seconds is not None:
        limit = policy.runtime_seconds
        yield Clock(RUNTIME, now - container.since, limit, LEVELS, container.since + limit)
    if policy.idle_seconds is not None:
        limit = policy.idle_seconds
        yield Clock(IDLE, now - memory.mark, limit, LEVELS, memory.mark + limit)
    if memory.over is not None:
        limit = settings.grace_seconds
        yield Clock(COUNT, now - memory.over, limit, (0.0,), memory.over + limit)
    else:
        memory.warned.pop(level_key(COUNT, 0.0), None)


@dataclass(frozen=True)
class Step:
    """A level that is to be announced now (`new`) or has been."""

    level: float
    new: bool


STOP = Step(1.0, False)


def _step(clock: Clock, memory: Memory, now: float, period: float) -> Step | None:
    """What is due: STOP, a level, or None while there is nothing to say."""
    told: float | None = None
    since = -period
    for level in clock.levels:
        key = level_key(clock.kind, level)
        if clock.elapsed < level * clock.limit:
            # Not reached, or no longer: work was done, the limit was raised.
            memory.warned.pop(key, None)
        elif key in memory.warned:
            told, since = level, now - memory.warned[key]
        elif told is None or since >= period:
            return Step(level, new=True)
        else:
            return Step(told, new=False)
    if told is None:
        return None
    late = clock.elapsed >= clock.limit and told == clock.levels[-1]
    return STOP if late and since >= period else Step(told, new=False)
