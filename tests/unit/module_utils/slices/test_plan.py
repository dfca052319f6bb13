# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans: what is written and removed, what is said, and what is left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.slices.dropin import DropIn, parse, render, slice_of
from ansible.module_utils.lyceum.slices.observe import Foreign, Live, Observed
from ansible.module_utils.lyceum.slices.plan import Desired, Plan, mismatches, parsed, plan, same
from hypothesis import given
from hypothesis import strategies as st

from .conftest import PARAMS

GIB = 2**30
ROOT_FILE = render(
    DropIn(
        "root, whom nothing limits",
        dict.fromkeys(["CPUQuota", "AllowedCPUs", "MemoryHigh", "MemoryMax", "MemorySwapMax", "TasksMax"]),
    )
)


def desired(*people: dict[str, Any], **params: Any) -> Desired:
    entries = [{"affiliation": "", "state": "present", "limits": {}, **person} for person in people]
    return Desired.from_params({**PARAMS, **params, "people": entries})


def observed(files: dict[str, str] | None = None, live: dict[int, Live] | None = None, **keys: Any) -> Observed:
    given_files = {"user-0.slice": ROOT_FILE, **(files or {})}
    keys = {"accounts": {0: "root"}, "foreign": {}, "hierarchy": None, "cpus": (0, 1, 2, 3), **keys}
    return Observed(files=given_files, live=live or {}, **keys)


def after(before: Observed, todo: Plan) -> Observed:
    """What would be observed once the plan is carried out."""
    files = dict(before.files)
    for change in todo.changes.values():
        if change.content is None:
            files.pop(change.slice_name, None)
        else:
            files[change.slice_name] = change.content
    return Observed(
        files=files, foreign=before.foreign, live={}, accounts=before.accounts, hierarchy=None, cpus=before.cpus
    )


BCHEN = {"name": "bchen", "uid": 2002, "limits": {"memory_gib": 0.5, "memory_swap_gib": 0, "tasks": 256}}
BCHEN_FILE = render(DropIn("bchen", {"MemoryHigh": 509607936, "MemoryMax": 2**29, "MemorySwapMax": 0, "TasksMax": 256}))


def test_a_first_run() -> None:
    todo = plan(desired(BCHEN), Observed({}, {}, {}, {0: "root"}, None))
    assert {name: change.content for name, change in todo.changes.items()} == {
        "user-0.slice": ROOT_FILE,
        "user-2002.slice": BCHEN_FILE,
    }
    assert todo.changes["user-2002.slice"].result == "created"
    assert todo.actions() == [
        "user-0.slice: CPUQuota unlimited",
        "user-0.slice: AllowedCPUs unlimited",
        "user-0.slice: MemoryHigh unlimited",
        "user-0.slice: MemoryMax unlimited",
        "user-0.slice: MemorySwapMax unlimited",
        "user-0.slice: TasksMax unlimited",
        "bchen: MemoryHigh 486M",
        "bchen: MemoryMax 512M",
        "bchen: MemorySwapMax 0",
        "bchen: TasksMax 256",
    ]


def test_a_second_run() -> None:
    todo = plan(desired(BCHEN), observed({"user-2002.slice": BCHEN_FILE}))
    assert todo.changed is False
    assert todo.unchanged == ["bchen"]


def test_a_changed_limit_is_said() -> None:
    before = {"user-2002.slice": render(DropIn("bchen", {"CPUWeight": 50, "TasksMax": None}))}
    person = {"name": "bchen", "uid": 2002, "limits": {"tasks": 256, "cpu_cores": 1.5}}
    todo = plan(desired(person), observed(before))
    assert todo.changes["user-2002.slice"].actions == [
        "CPUWeight no longer set",
        "CPUQuota 150%",
        "TasksMax unlimited -> 256",
    ]
    assert todo.changes["user-2002.slice"].result == "changed"


def test_a_file_changed_by_hand_is_put_right() -> None:
    todo = plan(desired(BCHEN), observed({"user-2002.slice": BCHEN_FILE + "# mine\n"}))
    assert todo.changes["user-2002.slice"].actions == ["rewrite the file: order or comments differ"]
    todo = plan(desired(BCHEN), observed({"user-2002.slice": "[Slice]\nMemoryMax=half\n"}))
    assert todo.changes["user-2002.slice"].content == BCHEN_FILE


@pytest.mark.parametrize(("state", "result"), [("suspended", "suspended"), ("absent", "removed")])
def test_who_leaves_leaves_no_limits(state: str, result: str) -> None:
    todo = plan(desired({**BCHEN, "state": state}), observed({"user-2002.slice": BCHEN_FILE}))
    (change,) = todo.changes.values()
    assert (change.content, change.result, change.person) == (None, result, "bchen")
    assert todo.actions() == [f"bchen: remove the limits: {state}"]
    assert plan(desired({**BCHEN, "state": state}), observed()).changed is False


def test_who_has_no_limits_has_no_file() -> None:
    todo = plan(desired({"name": "bchen", "uid": 2002}), observed({"user-2002.slice": BCHEN_FILE}))
    assert todo.actions() == ["bchen: remove the limits: no limits in the registry"]
    assert plan(desired({"name": "bchen", "uid": 2002}), observed()).changed is False


def test_files_of_nobody_are_removed() -> None:
    files = {
        "user-2002.slice": BCHEN_FILE,
        "user-2950.slice": render(DropIn("old", {"TasksMax": 5})),
        "user-105.slice": render(DropIn("postgres, whom nothing limits", {"TasksMax": None})),
        "user-.slice": render(DropIn("people without a file of their own", {"TasksMax": 5})),
    }
    todo = plan(desired(BCHEN), observed(files))
    assert {name: (change.content, change.person) for name, change in todo.changes.items()} == {
        "user-2950.slice": (None, "old"),
        "user-105.slice": (None, ""),
        "user-.slice": (None, ""),
    }
    assert "old: remove the limits of user-2950.slice: not in the registry" in todo.actions()


def test_one_person_is_touched_alone() -> None:
    other = {"name": "amartin", "uid": 2001, "limits": {"tasks": 100}}
    todo = plan(desired(other, BCHEN, only="bchen"), Observed({"user-2950.slice": "x"}, {}, {}, {0: "root"}, None))
    assert list(todo.changes) == ["user-2002.slice"]
    assert todo.unchanged == []


def test_defaults_are_for_everybody_without_an_entry() -> None:
    todo = plan(desired(BCHEN, defaults={"tasks": 64}), observed({"user-2002.slice": BCHEN_FILE}))
    (change,) = todo.changes.values()
    assert change.slice_name == "user-.slice"
    assert parse(change.content or "").values == {"TasksMax": 64}
    assert todo.actions() == ["defaults: TasksMax 64"]


def test_who_is_never_limited() -> None:
    accounts = {0: "root", 105: "postgres", 2002: "bchen", 2900: "backup-admin"}
    todo = plan(desired(BCHEN, exempt=["backup-admin", "bchen", "nobody-here"]), observed(accounts=accounts))
    assert set(todo.changes) == {"user-105.slice", "user-2002.slice", "user-2900.slice"}
    for change in todo.changes.values():
        assert set(parse(change.content or "").values.values()) == {None}
    assert {change.person for change in todo.changes.values()} == {"", "bchen"}
    alone = plan(desired(BCHEN, exempt=["bchen"], only="bchen"), observed(accounts=accounts))
    assert (alone.changed, alone.unchanged) == (False, ["bchen"])
    without = plan(desired(BCHEN, exempt_below=0), observed({"user-2002.slice": BCHEN_FILE}, accounts=accounts))
    assert without.changed is False


def test_people_of_an_affiliation_share_cpus() -> None:
    student = {"name": "bchen", "uid": 2002, "affiliation": "student", "affiliation_cpu_cores": 1.0}
    faculty = {"name": "gnovak", "uid": 2004, "affiliation": "faculty", "affiliation_cpu_cores": 2.0}
    free = {"name": "amartin", "uid": 2001, "affiliation": "admin"}
    todo = plan(desired(student, faculty, free), observed())
    found = {change.person: parse(change.content or "").values for change in todo.changes.values()}
    assert found == {"bchen": {"AllowedCPUs": (2,)}, "gnovak": {"AllowedCPUs": (0, 1)}}
    # The same CPUs when only one person is touched, and no line that binds nothing.
    one = plan(desired(student, faculty, only="bchen"), observed())
    assert parse(one.changes["user-2002.slice"].content or "").values == {"AllowedCPUs": (2,)}
    wide = plan(desired({**student, "affiliation_cpu_cores": 64.0}), observed())
    assert parse(wide.changes["user-2002.slice"].content or "").values == {"AllowedCPUs": None}


# --- live slices -----------------------------------------------------------------------------------------------------


def live(unreclaimable: int = 0, **values: Any) -> Live:
    held = {"MemoryHigh": None, "MemoryMax": None, "MemorySwapMax": 0, "TasksMax": 256, **values}
    return Live(held, held, unreclaimable)


def test_memory_is_stepped_down() -> None:
    todo = plan(desired(BCHEN), observed(live={2002: live(GIB)}))
    dropin = parsed(todo.changes["user-2002.slice"].content)
    assert dropin.values["MemoryMax"] is None
    assert dropin.values["MemoryHigh"] == 509607936
    assert dropin.pending == {"MemoryMax": 2**29}
    sentence = "MemoryMax stays unlimited until less than 512M is in use (now 1G); MemoryHigh 486M presses it down"
    assert todo.pending == {"bchen": sentence}
    assert todo.changes["user-2002.slice"].actions[-1] == sentence


def test_a_step_down_without_memory_high_in_the_kernel() -> None:
    todo = plan(desired(BCHEN), observed(live={2002: live(GIB)}, obstacles={"MemoryHigh": "cgroup v1"}))
    assert todo.pending["bchen"].endswith("(now 1G); nothing presses it down here")


def test_a_step_down_is_the_same_the_second_time() -> None:
    first = plan(desired(BCHEN), observed(live={2002: live(GIB)}))
    text = first.changes["user-2002.slice"].content or ""
    now = live(GIB, MemoryHigh=509607936)
    again = plan(desired(BCHEN), observed({"user-2002.slice": text}, live={2002: now}))
    assert again.changed is False
    assert set(again.pending) == {"bchen"}
    done = plan(desired(BCHEN), observed({"user-2002.slice": text}, live={2002: live(0, MemoryHigh=509607936)}))
    assert done.changes["user-2002.slice"].content == BCHEN_FILE
    assert done.pending == {}


def test_without_memory_high_the_step_down_has_one_for_the_time_being() -> None:
    todo = plan(desired(BCHEN, memory_high_percent=100.0), observed(live={2002: live(GIB)}))
    dropin = parsed(todo.changes["user-2002.slice"].content)
    assert (dropin.values["MemoryHigh"], dropin.pending["MemoryHigh"]) == (2**29, None)


def test_memory_is_taken_at_once_if_asked() -> None:
    todo = plan(desired(BCHEN, when_over="apply"), observed(live={2002: live(GIB)}))
    assert todo.changes["user-2002.slice"].content == BCHEN_FILE
    assert todo.pending == {"bchen": "MemoryMax 512M is below the 1G in use: the kernel ends processes of bchen"}


@pytest.mark.parametrize(
    "now",
    [live(2**29 - 1), live(GIB, MemoryMax=2**28), live(GIB, MemoryMax=2**29), Live({}, {}, None)],
    ids=["enough room", "raised", "equal", "the kernel tells nothing"],
)
def test_nothing_waits_when_nothing_would_be_killed(now: Live) -> None:
    todo = plan(desired(BCHEN), observed({"user-2002.slice": "[Slice]\n"}, live={2002: now}))
    assert todo.changes["user-2002.slice"].content == BCHEN_FILE
    assert todo.pending == {}


def test_limits_that_have_drifted_are_applied_again() -> None:
    right = {"MemoryHigh": 509607936, "MemoryMax": 2**29, "MemorySwapMax": 0, "TasksMax": 256}
    files = {"user-2002.slice": BCHEN_FILE}
    assert plan(desired(BCHEN), observed(files, live={2002: Live(right, right)})).changed is False
    todo = plan(desired(BCHEN), observed(files, live={2002: Live(right, {**right, "MemoryMax": GIB})}))
    assert todo.actions() == ["bchen: apply again: MemoryMax of the kernel is 1G, not 512M"]
    todo = plan(desired(BCHEN), observed(files, live={2002: Live({**right, "TasksMax": None}, right)}))
    assert todo.actions() == ["bchen: apply again: TasksMax of systemd is unlimited, not 256"]


def test_who_has_the_defaults_is_looked_at_too() -> None:
    files = {
        "user-2002.slice": BCHEN_FILE,
        "user-.slice": render(DropIn("people without a file of their own", {"TasksMax": 64})),
    }
    one = Live({"TasksMax": 64}, {"TasksMax": 65})
    todo = plan(desired(BCHEN, defaults={"tasks": 64}), observed(files, live={3000: one}))
    assert todo.actions() == ["uid 3000: apply again: TasksMax of the kernel is 65, not 64"]


def test_root_is_looked_at_too() -> None:
    todo = plan(desired(BCHEN), observed({"user-2002.slice": BCHEN_FILE}, live={0: live(MemoryMax=5, TasksMax=None)}))
    assert "root: apply again: MemoryMax of systemd is 5, not unlimited" in todo.actions()


def test_a_reload_that_is_due() -> None:
    todo = plan(desired(BCHEN), observed({"user-2002.slice": BCHEN_FILE}, reload_waits=True))
    assert todo.changed is True
    assert todo.actions() == ["reload systemd: an earlier run was interrupted before that"]


# --- others' files ---------------------------------------------------------------------------------------------------


def test_dropins_of_others() -> None:
    by_hand = Path("/etc/systemd/system.control/user-2002.slice.d/50-MemoryMax.conf")
    foreign = {
        "user-.slice": (
            Foreign(Path("/usr/lib/systemd/system/user-.slice.d/10-defaults.conf"), ("TasksMax",), False),
            Foreign(Path("/etc/systemd/system/user-.slice.d/99-site.conf"), ("CPUQuota",), False),
        ),
        "user-2002.slice": (Foreign(by_hand, ("MemoryMax",), True),),
        "user-2003.slice": (Foreign(Path("/etc/systemd/system/user-2003.slice.d/z.conf"), ("TasksMax",), False),),
    }
    files = {"user-2002.slice": BCHEN_FILE}
    assert plan(desired(BCHEN), observed(files, foreign=foreign)).conflicts == [
        "/etc/systemd/system/user-.slice.d/99-site.conf overrides CPUQuota of everybody: remove the file",
        f"{by_hand} (systemctl set-property) sets MemoryMax of bchen until systemd is reloaded: remove the file",
        "/etc/systemd/system/user-2003.slice.d/z.conf overrides TasksMax of uid 2003: remove the file",
    ]
    assert len(plan(desired(BCHEN, only="bchen"), observed(files, foreign=foreign)).conflicts) == 1


def test_what_somebody_overrides_is_not_drift() -> None:
    foreign = {"user-2002.slice": (Foreign(Path("/etc/z.conf"), ("TasksMax",), False),)}
    right = {"MemoryHigh": 509607936, "MemoryMax": 2**29, "MemorySwapMax": 0, "TasksMax": 7}
    todo = plan(desired(BCHEN), observed({"user-2002.slice": BCHEN_FILE}, {2002: Live(right, right)}, foreign=foreign))
    assert todo.changed is False


# --- properties ------------------------------------------------------------------------------------------------------

PEOPLE = st.lists(
    st.fixed_dictionaries(
        {
            "uid": st.integers(2001, 2030),
            "state": st.sampled_from(["present", "suspended", "absent"]),
            "limits": st.fixed_dictionaries(
                {},
                optional={
                    "cpu_cores": st.none() | st.floats(0.05, 64),
                    "memory_gib": st.none() | st.floats(0.0625, 64),
                    "tasks": st.none() | st.integers(16, 4096),
                    "cpu_weight": st.none() | st.integers(1, 10_000),
                },
            ),
        }
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda person: person["uid"],
)


@given(PEOPLE, PEOPLE)
def test_what_is_carried_out_is_done(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> None:
    """From any state, one run leads to where a second has nothing to do, and to no limits of anybody else."""
    named = [[{**person, "name": f"p{person['uid']}"} for person in people] for people in (first, second)]
    start = observed()
    middle = after(start, plan(desired(*named[0]), start))
    end = after(middle, plan(desired(*named[1]), middle))
    assert plan(desired(*named[1]), end).changed is False
    allowed = {slice_of(person["uid"]) for person in second if person["state"] == "present" and person["limits"]}
    assert end.files.keys() - {"user-0.slice"} == allowed


@pytest.mark.parametrize(
    ("name", "one", "other", "equal"),
    [
        ("CPUQuota", 3333, 3334, True),
        ("CPUQuota", 3333, 3335, False),
        ("CPUQuota", None, 1, False),
        ("CPUWeight", None, 100, True),
        ("CPUWeight", None, 101, False),
        ("MemoryMax", None, None, True),
        ("MemoryMax", 4096, 8192, False),
    ],
)
def test_equal_values(name: str, one: Any, other: Any, equal: bool) -> None:
    assert same(name, one, other) is equal
    assert mismatches(Live({name: one}, {}), {name: other}) == [] or not equal


# --- input -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("people", "params", "message"),
    [
        ([], {}, "people is empty although it is said to be everybody; refusing to go on"),
        ([BCHEN, {**BCHEN, "uid": 2003}], {}, "people: name given twice: bchen"),
        ([BCHEN, {**BCHEN, "name": "b"}], {}, "people: uid given twice: 2002"),
        ([BCHEN], {"only": "gnovak"}, "only: there is nobody called gnovak in people"),
        (
            [BCHEN],
            {"defaults": {"task": 5}},
            "defaults: limits.task is not a limit of a slice. Did you mean tasks?",
        ),
    ],
    ids=lambda value: str(value)[:20],
)
def test_input_that_is_refused(people: list[dict[str, Any]], params: dict[str, Any], message: str) -> None:
    with pytest.raises(LyceumError) as raised:
        desired(*people, **params)
    assert str(raised.value) == message
