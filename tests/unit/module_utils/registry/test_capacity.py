# SPDX-License-Identifier: GPL-3.0-or-later
"""Warnings about limits that the hardware cannot hold."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.lyceum.registry import capacity
from ansible.module_utils.lyceum.registry.findings import Findings
from ansible.module_utils.lyceum.registry.model import Registry
from ansible.module_utils.lyceum.registry.problem import WARNING

from .samples import TODAY, registry

WEIGHTS = {"cpu_weight": 100, "io_weight": 100}


def check(**sections: Any) -> list[str]:
    raw = registry(**sections)
    findings = Findings(raw, None)
    capacity.check(Registry.from_raw(raw, today=TODAY), findings)
    assert all(problem.severity == WARNING for problem in findings.sorted())
    return [f"{problem.path} {problem.value} {problem.message}" for problem in findings.sorted()]


def test_no_hardware_no_warning() -> None:
    assert check() == []


def test_everything_fits() -> None:
    assert check(hardware={"cpu_cores": 64, "memory_gib": 256, "gpu_slices": 8, "storage_gib": 1000}) == []


def test_caps_above_the_hardware_in_every_layer() -> None:
    assert check(hardware={"gpu_slices": 1, "memory_gib": 4, "cpu_cores": 4}) == [
        "lyceum_projects[retina].limits.gpu_slices 2 can never bind: lyceum_hardware.gpu_slices is 1",
        "lyceum_limits.defaults.memory_gib 8 can never bind: lyceum_hardware.memory_gib is 4",
        "lyceum_limits.exceptions[0].limits.gpu_slices 4 can never bind: lyceum_hardware.gpu_slices is 1",
    ]


def test_own_limits_of_a_person_and_of_an_affiliation() -> None:
    people = [{"name": "x", "uid": 2001, "affiliation": "student", "limits": {"cpu_cores": 9}}]
    limits = {"defaults": WEIGHTS, "affiliations": {"student": {"memory_gib": 99, "cpu_cores": None}}}
    hardware = {"cpu_cores": 8, "memory_gib": 64}
    assert check(people=people, projects=None, limits=limits, hardware=hardware) == [
        "lyceum_people[x].limits.cpu_cores 9 can never bind: lyceum_hardware.cpu_cores is 8",
        "lyceum_limits.affiliations.student.memory_gib 99 can never bind: lyceum_hardware.memory_gib is 64",
    ]


TOTALS = "lyceum_limits.affiliation_totals"


def totals(cores: int, **affiliations: int | None) -> list[str]:
    """What is said of the CPUs of whole affiliations on hosts of so many cores."""
    limits = {"affiliation_totals": {name: {"cpu_cores": value} for name, value in affiliations.items()}}
    return check(projects=None, limits=limits, hardware={"cpu_cores": cores})


def test_totals_of_affiliations_that_bind() -> None:
    assert totals(8, student=4, researcher=4, guest=None) == []
    assert check(limits={"affiliation_totals": {"student": {"cpu_cores": 99}}}, hardware={"memory_gib": 64}) == []


def test_totals_of_affiliations_that_never_bind() -> None:
    never = "can never bind: no host has more than 8 (lyceum_hardware.cpu_cores)"
    assert totals(8, student=8, researcher=9, staff=7) == [
        f"{TOTALS}.student.cpu_cores 8 {never}",
        f"{TOTALS}.researcher.cpu_cores 9 {never}",
    ]


def test_totals_of_affiliations_beyond_the_hardware() -> None:
    """Whoever is not capped at all takes no CPUs away from the others."""
    assert totals(8, student=4, researcher=5)[0] == (
        f"{TOTALS}  gives student, researcher 9 CPUs in all, and lyceum_hardware.cpu_cores is 8"
    )
    assert [line for line in totals(8, student=4, researcher=8) if "in all" in line] == []


def test_promised_space_counts_present_people_and_live_projects() -> None:
    """amartin 200 and retina 500; who is suspended or removed, and what has ended, does not count."""
    assert check(hardware={"storage_gib": 700}) == []
    assert check(hardware={"storage_gib": 699}) == [
        (
            "lyceum_hardware.storage_gib 699 is less than the 700 GiB promised by home_gib, scratch_gib, storage_gib "
            "to 3 people and 1 projects"
        )
    ]


def test_unlimited_promises_nothing() -> None:
    limits = {"defaults": {"home_gib": None, "scratch_gib": 1}}
    people = [{"name": "x", "uid": 2001, "affiliation": "student"}]
    assert check(people=people, projects=None, limits=limits, hardware={"storage_gib": 1}) == []


def test_caps_without_weights() -> None:
    people = [{"name": "x", "uid": 2001, "affiliation": "student"}]

    def found(**defaults: Any) -> list[str]:
        return check(people=people, projects=None, limits={"defaults": defaults})

    assert found(memory_gib=4) == [
        "lyceum_limits.defaults  caps 1 people but gives them no cpu_weight and no io_weight"
    ]
    assert found(cpu_cores=4, cpu_weight=100) == ["lyceum_limits.defaults  caps 1 people but gives them no io_weight"]
    assert found(cpu_cores=4, **WEIGHTS) == found(cpu_cores=None) == found(home_gib=5) == []
