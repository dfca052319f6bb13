# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role writes is what the tools understand, and nothing senseless is taken for a limit."""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.containers.settings import (
    Policy,
    Settings,
    load_policies,
    load_settings,
    policy_of,
)
from ansible.module_utils.lyceum.errors import LyceumError

PERSON = {"name": "amartin", "uid": 2001, "gid": 2001, "home": "/home/amartin"}


def test_a_policy_has_one_unit_for_each_limit() -> None:
    limits = {
        "containers": 2,
        "container_memory_gib": 0.5,
        "container_cpu_cores": 1.5,
        "idle_minutes": 90,
        "runtime_hours": 72,
    }
    policy = Policy.from_dict({**PERSON, "email": "a@example.org", "limits": limits})
    assert (policy.containers, policy.memory_bytes, policy.cpu_cores) == (2, 512 * 1024**2, 1.5)
    assert (policy.idle_seconds, policy.runtime_seconds) == (5400, 259200)
    assert policy.recipient.email == "a@example.org"


@pytest.mark.parametrize("limits", [{}, {"containers": None, "idle_minutes": None}])
def test_a_limit_that_is_missing_or_null_is_none(limits: dict[str, Any]) -> None:
    policy = Policy.from_dict({**PERSON, "limits": limits})
    assert (policy.containers, policy.idle_seconds, policy.runtime_seconds, policy.memory_bytes) == (None,) * 4


def test_none_at_all_is_not_unlimited() -> None:
    policy = Policy.from_dict({**PERSON, "limits": {"containers": 0, "runtime_hours": 0}})
    assert (policy.containers, policy.runtime_seconds) == (0, 0)


@pytest.mark.parametrize("value", ["2h", "72", True, -1, [], {}])
def test_text_is_no_limit(value: Any) -> None:
    with pytest.raises(LyceumError, match=r"runtime_hours is .*, not a number from 0 on"):
        Policy.from_dict({**PERSON, "limits": {"runtime_hours": value}})


@pytest.mark.parametrize("data", [{}, {**PERSON, "uid": "x"}, {**PERSON, "limits": []}, []])
def test_what_is_no_policy_says_so(data: Any) -> None:
    with pytest.raises(LyceumError, match="not a policy"):
        Policy.from_dict(data)


def test_one_bad_file_does_not_hold_up_the_others(tmp_path: Path) -> None:
    (tmp_path / "amartin.json").write_text(json.dumps({**PERSON, "limits": {}}))
    (tmp_path / "bchen.json").write_text("{")
    (tmp_path / "dlopez.json").write_text(json.dumps({**PERSON, "limits": {}}))
    policies, problems = load_policies(tmp_path)
    assert list(policies) == [2001]
    assert [problem.partition(":")[0] for problem in problems] == [f"{tmp_path}/bchen.json", f"{tmp_path}/dlopez.json"]
    assert problems[1].endswith("is about amartin")
    assert load_policies(tmp_path, only="gnovak") == ({}, [])


def test_settings_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"state": "/x", "linger": ["amartin"], "keep_days": None, "storage": None}))
    assert load_settings(path) == Settings(state=Path("/x"), linger=("amartin",))
    path.write_text(json.dumps({"period": 60}))
    with pytest.raises(LyceumError, match=f"cannot use {path}: unknown setting 'period'"):
        load_settings(path)
    with pytest.raises(LyceumError, match="cannot use /does/not/exist"):
        load_settings(Path("/does/not/exist"))


def test_storage_is_in_the_home_or_where_the_site_has_it() -> None:
    policy = Policy.from_dict({**PERSON, "limits": {}})
    assert Settings().storage_of(policy) == Path("/home/amartin/.local/share/containers/storage")
    assert Settings(storage=Path("/srv/containers")).storage_of(policy) == Path("/srv/containers/amartin")


def test_the_policy_of_a_uid(tmp_path: Path) -> None:
    own = pwd.getpwuid(os.getuid())
    content = {"name": own.pw_name, "uid": own.pw_uid, "gid": own.pw_gid, "home": own.pw_dir, "limits": {}}
    (tmp_path / f"{own.pw_name}.json").write_text(json.dumps(content))
    found = policy_of(tmp_path, own.pw_uid)
    assert found is not None
    assert found.name == own.pw_name
    assert policy_of(tmp_path, 4000000000) is None
    (tmp_path / f"{own.pw_name}.json").write_text("[")
    with pytest.raises(LyceumError, match=f"{own.pw_name}.json"):
        policy_of(tmp_path, own.pw_uid)
