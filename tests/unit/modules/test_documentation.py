# SPDX-License-Identifier: GPL-3.0-or-later
"""Every module says what it takes: DOCUMENTATION and ARGUMENT_SPEC are one, and examples are runnable."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

LIBRARY = Path(__file__).resolve().parents[3] / "library"
NAMES = sorted(path.stem for path in LIBRARY.glob("*.py"))


def specification(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The argument_spec that main() really passes on."""

    seen: list[dict[str, Any]] = []

    def construct(argument_spec: dict[str, Any], **_keys: Any) -> None:
        seen.append(argument_spec)
        raise SystemExit

    monkeypatch.setattr(module, "AnsibleModule", construct)
    with pytest.raises(SystemExit):
        module.main()
    return seen[0]


def options_of_documentation(options: dict[str, Any]) -> dict[str, Any]:
    """What both sides have, in one shape."""
    return {
        name: {
            "type": option.get("type", "str"),
            "elements": option.get("elements"),
            "required": option.get("required", False),
            "default": option.get("default"),
            "choices": option.get("choices"),
            "options": options_of_documentation(option.get("suboptions", {})),
        }
        for name, option in options.items()
    }


def options_of_specification(options: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {
            "type": option.get("type", "str"),
            "elements": option.get("elements"),
            "required": option.get("required", False),
            "default": option.get("default"),
            "choices": option.get("choices"),
            "options": options_of_specification(option.get("options", {})),
        }
        for name, option in options.items()
    }


def descriptions(options: dict[str, Any]) -> list[Any]:
    own = [option.get("description") for option in options.values()]
    return own + [one for option in options.values() for one in descriptions(option.get("suboptions", {}))]


def test_there_are_modules() -> None:
    assert {"posix_accounts", "posix_accounts_info", "authorized_keys_dir", "sshd_dropin"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_documentation_is_the_argument_spec(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(name)
    documented = yaml.safe_load(module.DOCUMENTATION)
    assert documented["module"] == name
    assert options_of_documentation(documented.get("options", {})) == options_of_specification(
        specification(module, monkeypatch)
    )
    assert all(descriptions(documented.get("options", {})))
    assert {"check_mode", "diff_mode", "idempotent"} <= documented["attributes"].keys()


@pytest.mark.parametrize("name", NAMES)
def test_examples_are_tasks_the_module_takes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(name)
    options = specification(module, monkeypatch)
    tasks = [task for task in yaml.safe_load(module.EXAMPLES) if name in task]
    assert tasks
    for task in tasks:
        assert task["name"]
        # What an example takes from variables cannot be judged here.
        if "{{" not in yaml.safe_dump(task[name]):
            result = ArgumentSpecValidator(options).validate(task[name] or {})
            assert result.error_messages == []


@pytest.mark.parametrize("name", NAMES)
def test_return_values_say_when_and_what(name: str) -> None:
    returned = yaml.safe_load(importlib.import_module(name).RETURN)
    assert returned
    for entry in returned.values():
        assert {"description", "returned", "type"} <= entry.keys()
