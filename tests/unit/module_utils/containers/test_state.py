# SPDX-License-Identifier: GPL-3.0-or-later
"""What is remembered survives, and what cannot be read is begun anew without stopping anybody."""

from __future__ import annotations

import json
import multiprocessing
import stat
import time
from pathlib import Path

import pytest
from ansible.module_utils.lyceum.containers.rules import Memory
from ansible.module_utils.lyceum.containers.state import MOST_EVENTS, State, load, locked, save
from ansible.module_utils.lyceum.errors import LyceumError


def sample() -> State:
    state = State("boot-1")
    person = state.person("amartin")
    person.containers["a" * 64] = Memory(
        "web", 100, 1.5, 2.5, None, {"runtime80": 3.0}, {"runtime80": 1e9}, 1, "runtime"
    )
    person.note(1e9, "Stopped web.")
    person.told = True
    person.stops = {"idle": 2}
    state.person("bchen")
    return state


def test_all_of_it_comes_back(tmp_path: Path) -> None:
    save(tmp_path, sample())
    state, problem = load(tmp_path, "boot-1")
    assert problem is None
    # Who has nothing worth remembering costs nothing.
    assert list(state.people) == ["amartin"]
    assert state.people["amartin"] == sample().people["amartin"]
    assert stat.S_IMODE((tmp_path / "state.json").stat().st_mode) == 0o600


def test_after_a_boot_containers_are_forgotten_and_the_rest_is_not(tmp_path: Path) -> None:
    save(tmp_path, sample())
    state, problem = load(tmp_path, "boot-2")
    assert problem is None
    assert state.people["amartin"].containers == {}
    assert state.people["amartin"].stops == {"idle": 2}


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"version": 2}', '{"version": 1, "boot": "x", "people": []}',
     '{"version": 1, "boot": "x", "people": {"amartin": {"containers": {"a": {"no": 1}}}}}'],
)  # fmt: skip
def test_a_damaged_state_is_begun_anew_and_said_so(tmp_path: Path, content: str) -> None:
    (tmp_path / "state.json").write_text(content)
    state, problem = load(tmp_path, "boot-1")
    assert state == State("boot-1")
    assert problem is not None
    assert problem.startswith(f"{tmp_path}/state.json is begun anew: ")


def test_the_first_time_there_is_none(tmp_path: Path) -> None:
    assert load(tmp_path, "boot-1") == (State("boot-1"), None)


def test_events_grow_old() -> None:
    person = State("x").person("amartin")
    for number in range(MOST_EVENTS + 5):
        person.note(number * 1000.0, str(number))
    assert [event.text for event in person.events] == [str(number) for number in range(5, MOST_EVENTS + 5)]
    person.forget_old(7 * 86400 + 20_500.0)
    assert [event.text for event in person.events] == ["21", "22", "23", "24"]
    person.forget_old(0)  # a clock that was set back
    assert person.events == []


def test_only_plain_data_is_written(tmp_path: Path) -> None:
    save(tmp_path, sample())
    assert json.loads((tmp_path / "state.json").read_text())["boot"] == "boot-1"


def hold(directory: Path) -> None:
    with locked(directory):
        (directory / "held").touch()
        time.sleep(0.3)
        (directory / "held").unlink()


def test_two_never_hold_it_at_once(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    other = multiprocessing.get_context("fork").Process(target=hold, args=(directory,))
    other.start()
    while not (directory / "held").exists():
        time.sleep(0.01)
    with locked(directory):
        assert not (directory / "held").exists()
    other.join()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_a_place_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LyceumError, match=f"cannot use {tmp_path}/file/state"), locked(tmp_path / "file/state"):
        pass
