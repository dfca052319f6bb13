# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules from the registry's limits to properties, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.slices import limits
from ansible.module_utils.lyceum.slices.limits import Person, Rules, checked, shared_cpus, unlimited, values_of
from ansible.module_utils.lyceum.slices.properties import PROPERTIES
from hypothesis import given
from hypothesis import strategies as st

RULES = Rules(95, 10)
TOO_LITTLE = (
    "{} is {}, which is too little to log in with; it must be at least {}, or null for unlimited. To keep somebody out:"
    " access: none, or state: suspended"
)
MIB = 2**20


@pytest.mark.parametrize(
    ("given_limits", "values"),
    [
        ({}, {}),
        ({"cpu_cores": 1.5}, {"CPUQuota": 15_000}),
        ({"cpu_cores": None}, {"CPUQuota": None}),
        ({"cpu_weight": 200, "io_weight": None}, {"CPUWeight": 200, "IOWeight": None}),
        ({"tasks": 256.0}, {"TasksMax": 256}),
        ({"tasks": None}, {"TasksMax": None}),
        # A little under MemoryMax the kernel slows down; a tenth of the memory is swap.
        ({"memory_gib": 1}, {"MemoryHigh": 1019215872, "MemoryMax": 2**30, "MemorySwapMax": 106954752}),
        ({"memory_gib": None}, {"MemoryHigh": None, "MemoryMax": None, "MemorySwapMax": None}),
        ({"memory_gib": 1, "memory_swap_gib": 0}, {"MemoryHigh": 1019215872, "MemoryMax": 2**30, "MemorySwapMax": 0}),
        (
            {"memory_gib": 1, "memory_swap_gib": None},
            {"MemoryHigh": 1019215872, "MemoryMax": 2**30, "MemorySwapMax": None},
        ),
        ({"memory_swap_gib": 0.5}, {"MemorySwapMax": 512 * MIB}),
    ],
    ids=str,
)
def test_rules(given_limits: dict[str, Any], values: dict[str, Any]) -> None:
    assert values_of(checked(given_limits, "x"), RULES) == values


def test_rules_can_be_changed() -> None:
    assert values_of({"memory_gib": 1}, Rules(100, 0)) == {"MemoryHigh": None, "MemoryMax": 2**30, "MemorySwapMax": 0}
    assert values_of({"memory_gib": 1}, Rules(50, 200)) == {
        "MemoryHigh": 2**29,
        "MemoryMax": 2**30,
        "MemorySwapMax": 2**31,
    }


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "cpu_cores": st.none() | st.floats(0.05, 512),
            "cpu_weight": st.none() | st.integers(1, 10_000),
            "memory_gib": st.none() | st.floats(0.0625, 4096),
            "memory_swap_gib": st.none() | st.floats(0, 4096),
            "tasks": st.none() | st.integers(16, 2**22),
            "io_weight": st.none() | st.integers(1, 10_000),
        },
    )
)
def test_whatever_is_accepted_gives_values_a_kernel_takes(given_limits: dict[str, Any]) -> None:
    values = values_of(checked(given_limits, "x"), RULES)
    assert values.keys() <= PROPERTIES.keys()
    memory, high = values.get("MemoryMax"), values.get("MemoryHigh")
    if isinstance(memory, int):
        assert isinstance(high, int)
        assert 0 < high < memory
        assert memory % 4096 == high % 4096 == 0
    assert values.get("CPUQuota") is None or values["CPUQuota"] > 0  # type: ignore[operator]


@pytest.mark.parametrize(
    ("given_limits", "message"),
    [
        (
            {"cpu_cores": 0},
            TOO_LITTLE.format("people: bchen: limits.cpu_cores", 0, 0.05),
        ),
        (
            {"memory_gib": 0},
            TOO_LITTLE.format("people: bchen: limits.memory_gib", 0, 0.0625),
        ),
        (
            {"tasks": 3},
            TOO_LITTLE.format("people: bchen: limits.tasks", 3, 16),
        ),
        (
            {"memory_swap_gib": -1},
            "people: bchen: limits.memory_swap_gib is -1; it must be 0 or more, or null for unlimited",
        ),
        (
            {"cpu_weight": 0},
            "people: bchen: limits.cpu_weight is 0; a weight is a whole number from 1 to 10000, usually 100",
        ),
        (
            {"io_weight": 1.5},
            "people: bchen: limits.io_weight is 1.5; a weight is a whole number from 1 to 10000, usually 100",
        ),
        ({"tasks": 99.5}, "people: bchen: limits.tasks is 99.5; tasks are counted in whole numbers"),
        (
            {"cpu_cores": "two"},
            "people: bchen: limits.cpu_cores is 'two'; it must be a number, or null for unlimited",
        ),
        (
            {"memory_gib": True},
            "people: bchen: limits.memory_gib is True; it must be a number, or null for unlimited",
        ),
        (
            {"memory_gb": 4},
            "people: bchen: limits.memory_gb is not a limit of a slice. Did you mean memory_gib?",
        ),
        (
            {"zzz": 4},
            "people: bchen: limits.zzz is not a limit of a slice. It knows " + ", ".join(limits.KEYS) + ".",
        ),
    ],
    ids=lambda value: str(value)[:30],
)
def test_limits_that_are_refused(given_limits: dict[str, Any], message: str) -> None:
    with pytest.raises(LyceumError) as raised:
        Person.from_params({"name": "bchen", "uid": 2002, "limits": given_limits})
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"name": "root", "uid": 0}, "people: root: uid 0 is root, who is never limited"),
        ({"name": "x", "uid": -1}, "people: x: uid -1 is not allowed; it must be 1-4294967294"),
        ({"name": "x\n[Slice]", "uid": 2001}, r"people: name 'x\n[Slice]' is not a login name"),
        (
            {"name": "x", "uid": 2001, "affiliation_cpu_cores": 0},
            TOO_LITTLE.format("people: x: affiliation_cpu_cores", 0, 0.05),
        ),
    ],
)
def test_people_who_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(LyceumError) as raised:
        Person.from_params(params)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"memory_high_percent": 30.0, "memory_swap_percent": 10.0},
            "memory_high_percent 30 must be 50 to 100 (100: no MemoryHigh below MemoryMax)",
        ),
        (
            {"memory_high_percent": 95.0, "memory_swap_percent": -1.0},
            "memory_swap_percent -1 must be 0 (no swap) or more",
        ),
    ],
)
def test_rules_that_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(LyceumError) as raised:
        Rules.from_params(params)
    assert str(raised.value) == message


def test_nothing_is_left_of_a_limit_that_is_taken_back() -> None:
    assert unlimited().keys() == PROPERTIES.keys() - {"CPUWeight", "IOWeight"}
    assert set(unlimited().values()) == {None}


def people(**cores: float | None) -> list[Person]:
    return [
        Person(name=f"{name}{number}", uid=2001 + number, state="present", limits={}, affiliation=name,
               affiliation_cores=cap)
        for number, (name, cap) in enumerate(cores.items())
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("caps", "cpus", "shared"),
    [
        ({}, 4, {}),
        ({"student": None}, 4, {}),
        ({"student": 2}, 4, {"student": (0, 1)}),
        # Not in one another's way as long as there are CPUs left.
        ({"student": 1, "researcher": 2}, 4, {"researcher": (0, 1), "student": (2,)}),
        ({"student": 3, "researcher": 3}, 4, {"researcher": (0, 1, 2), "student": (0, 1, 3)}),
        ({"student": 0.5}, 2, {"student": (0,)}),
        ({"student": 1.5}, 4, {"student": (0, 1)}),
        # A cap that is no cap takes nobody's place.
        ({"faculty": 8, "student": 2}, 4, {"student": (0, 1)}),
        ({"student": 1}, 1, {}),
    ],
    ids=str,
)
def test_cpus_of_affiliations(caps: dict[str, float], cpus: int, shared: dict[str, tuple[int, ...]]) -> None:
    assert shared_cpus(people(**caps), range(cpus)) == shared


def test_cpus_are_those_that_are_online() -> None:
    assert shared_cpus(people(student=2), (0, 2, 4, 6)) == {"student": (0, 2)}


@given(st.dictionaries(st.sampled_from("abcdef"), st.floats(0.05, 20), max_size=6), st.integers(1, 16))
def test_every_affiliation_gets_what_it_may_have(caps: dict[str, float], cpus: int) -> None:
    shared = shared_cpus(people(**caps), range(cpus))
    for name, cap in caps.items():
        if name in shared:
            assert cap <= len(shared[name]) < cap + 1
        else:
            assert cap > cpus - 1
    if sum(map(len, shared.values())) <= cpus:
        used = [cpu for own in shared.values() for cpu in own]
        assert len(used) == len(set(used))


def test_people_of_one_affiliation_have_one_cap() -> None:
    one, two = people(student=2)[0], people(student=3)[0]
    with pytest.raises(LyceumError) as raised:
        shared_cpus([one, two], range(8))
    assert str(raised.value) == (
        "people: student0: affiliation_cpu_cores is 3, but 2 for others of the affiliation student; it is one cap for"
        " all of them"
    )


def test_the_keys_are_those_of_the_registry() -> None:
    from ansible.module_utils.lyceum.registry.limits import KEYS

    assert set(limits.KEYS) <= set(KEYS)
