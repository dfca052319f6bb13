# SPDX-License-Identifier: GPL-3.0-or-later
"""House rules that no linter checks. Each rule is a function from files to offences, and is shown an offence below."""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
IGNORED = {".git", ".venv", ".lyceum", ".cache", ".ansible", ".hypothesis", "__pycache__"}

TASK_FILE_LINES = 100
MAIN_TASK_LINES = 20
PYTHON_LINES = 550
MODULE_CODE_LINES = 130  # of a module, without its documentation: a module only translates


def walk(folder: Path = ROOT) -> Iterator[Path]:
    """All files of the project that are not generated; links are not followed."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in IGNORED and not name.endswith("_cache"))
        for name in sorted(names):
            path = Path(parent) / name
            if not path.is_symlink():
                yield path


FILES = list(walk())
PYTHON = [path for path in FILES if path.suffix == ".py" and path.stat().st_size]
TASK_FILES = [path for path in FILES if path.suffix == ".yml" and path.parent.name in {"tasks", "handlers"}]
PLAYBOOKS = [
    path
    for path in FILES
    if path.suffix == ".yml" and (path.parent == ROOT / "playbooks" or path.parent.parent == ROOT / "molecule")
    if path.name != "molecule.yml"
]
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())
MODULES = sorted((ROOT / "library").glob("*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tasks_in(content: Any) -> Iterator[dict[str, Any]]:
    """Every task of a task file or a playbook, also inside blocks."""
    for entry in content or []:
        if "hosts" in entry:
            for section in ("pre_tasks", "tasks", "post_tasks", "handlers"):
                yield from tasks_in(entry.get(section))
        elif not any(key.endswith("import_playbook") for key in entry):
            yield entry
            for section in ("block", "rescue", "always"):
                yield from tasks_in(entry.get(section))


def offences_of_task(task: dict[str, Any]) -> Iterator[str]:
    """What is wrong with one task."""
    title = task.get("name") or f"unnamed task {sorted(task)}"
    if not task.get("name"):
        yield f"{title}: every task says what it ensures"
    modules = {key.rsplit(".", 1)[-1] for key in task}
    reads = task.get("check_mode") is False and task.get("changed_when") is False
    if modules & {"shell", "raw", "script"}:
        yield f"{title}: no shell; write a module"
    if "command" in modules:
        arguments = next(value for key, value in task.items() if key.rsplit(".", 1)[-1] == "command")
        arguments = {**(arguments if isinstance(arguments, dict) else {}), **task.get("args", {})}
        if not {"creates", "removes"} & set(arguments) and "changed_when" not in task:
            yield f"{title}: a command says what it creates or removes, or when it changed something"
    if task.get("failed_when") is False or task.get("ignore_errors"):
        yield f"{title}: a failure is swallowed"
    notes = task.get("delegate_to") == "localhost"  # the controller's own papers, not the state of a host
    if task.get("changed_when") is False and not notes and not (reads and modules & {"command", "uri"}):
        yield f"{title}: only a command that reads, also in check mode, never changes anything"
    if "loop" in task and "posix_accounts" in modules | {"authorized_keys_dir"}:
        yield f"{title}: a task that loops over people is a bug; modules take lists"


@pytest.mark.parametrize("path", [*TASK_FILES, *PLAYBOOKS], ids=name_of)
def test_tasks_are_named_honest_and_never_shell(path: Path) -> None:
    assert [text for task in tasks_in(yaml.safe_load(path.read_text())) for text in offences_of_task(task)] == []


@pytest.mark.parametrize("path", PLAYBOOKS, ids=name_of)
def test_plays_are_named(path: Path) -> None:
    assert [entry for entry in yaml.safe_load(path.read_text()) if not entry.get("name")] == []


@pytest.mark.parametrize(
    "task",
    [
        {"ansible.builtin.debug": {"msg": "x"}},
        {"name": "x", "ansible.builtin.shell": "ls | wc"},
        {"name": "x", "ansible.builtin.command": "make"},
        {"name": "x", "ansible.builtin.command": {"cmd": "make"}, "changed_when": False},
        {"name": "x", "ansible.builtin.copy": {"dest": "/x"}, "changed_when": False},
        {"name": "x", "ansible.builtin.apt": {"name": "x"}, "failed_when": False},
        {"name": "x", "ansible.builtin.apt": {"name": "x"}, "ignore_errors": True},
        {"name": "x", "posix_accounts": {}, "loop": [1]},
    ],
    ids=str,
)
def test_the_task_rules_find_offences(task: dict[str, Any]) -> None:
    assert list(offences_of_task(task)) != []


def test_tasks_are_found_in_blocks_and_plays() -> None:
    inner = {"name": "inner"}
    play = {"hosts": "all", "tasks": [{"name": "outer", "block": [{"name": "x", "block": [inner]}], "rescue": [inner]}]}
    assert [task["name"] for task in tasks_in([play])] == ["outer", "x", "inner", "inner"]


@pytest.mark.parametrize("path", TASK_FILES, ids=name_of)
def test_task_files_are_one_screen_of_ideas(path: Path) -> None:
    limit = MAIN_TASK_LINES if path.name == "main.yml" and path.parent.name == "tasks" else TASK_FILE_LINES
    assert len(path.read_text().splitlines()) <= limit


@pytest.mark.parametrize("path", PYTHON, ids=name_of)
def test_python_files_are_not_too_long(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= PYTHON_LINES


@pytest.mark.parametrize("path", PYTHON, ids=name_of)
def test_python_files_have_licence_and_future_annotations(path: Path) -> None:
    text = path.read_text()
    assert "# SPDX-License-Identifier: GPL-3.0-or-later" in text.splitlines()[:2]
    only_a_docstring = len(ast.parse(text).body) == 1
    assert only_a_docstring or "\nfrom __future__ import annotations\n" in text


def options_of(role: Path) -> dict[str, dict[str, Any]]:
    return yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]


@pytest.mark.parametrize("role", ROLES, ids=name_of)
def test_defaults_and_argument_specs_have_the_same_keys(role: Path) -> None:
    text = (role / "defaults/main.yml").read_text()
    optional = set(yaml.safe_load(text) or {})
    required = set(re.findall(rf"^# ({role.name}_\w+):", text, re.MULTILINE))
    options = options_of(role)
    assert optional | required == set(options)
    assert required == {name for name, option in options.items() if option.get("required")}
    assert [name for name in options if not name.startswith(f"{role.name}_")] == []
    assert [name for name, option in options.items() if "default" in option] == []  # Ansible ignores them


@pytest.mark.parametrize("role", ROLES, ids=name_of)
def test_every_entry_point_of_a_role_is_specified_and_the_role_explained(role: Path) -> None:
    specs = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]
    included = {
        match
        for path in [*TASK_FILES, *PLAYBOOKS]
        for task in tasks_in(yaml.safe_load(path.read_text()))
        for key, value in task.items()
        if key.endswith(("include_role", "import_role")) and value.get("name") == role.name
        for match in [value.get("tasks_from", "main").removesuffix(".yml")]
    }
    assert included <= set(specs)
    assert (role / "README.md").exists()
    assert [task_file for task_file in specs if not (role / "tasks" / f"{task_file}.yml").exists()] == []


def mirror(path: Path) -> Path:
    """Where the unit test of a source file has to be."""
    folder = path.parent.relative_to(ROOT)
    parts = ["modules"] if folder.parts[0] == "library" else list(folder.parts)
    if parts[:2] == ["module_utils", "lyceum"]:
        parts = ["module_utils", *parts[2:]]
    return ROOT.joinpath("tests/unit", *parts, f"test_{path.name}")


SOURCES = [
    path
    for path in PYTHON
    if path.relative_to(ROOT).parts[0]
    in {"library", "module_utils", "filter_plugins", "lookup_plugins", "callback_plugins"}
    if path.name not in {"__init__.py", "__main__.py"}
]


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_every_source_file_has_a_mirror_with_tests(path: Path) -> None:
    test = mirror(path)
    assert test.exists(), f"no {name_of(test)}"
    assert re.search(r"^\s*def test_", test.read_text(), re.MULTILINE)


def documentation(path: Path) -> dict[str, Any]:
    """DOCUMENTATION, EXAMPLES and RETURN of a module, parsed."""
    values = {}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id.isupper():
            values[node.targets[0].id] = ast.literal_eval(node.value) if isinstance(node.value, ast.Constant) else None
    return {name: yaml.safe_load(values[name]) for name in ("DOCUMENTATION", "EXAMPLES", "RETURN")}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_are_documented(path: Path) -> None:
    parts = documentation(path)
    assert parts["DOCUMENTATION"]["module"] == path.stem
    assert {"check_mode", "diff_mode", "idempotent"} <= set(parts["DOCUMENTATION"]["attributes"])
    assert [name for name, option in parts["DOCUMENTATION"]["options"].items() if not option["description"]] == []
    assert [task for task in parts["EXAMPLES"] if path.stem not in task or not task.get("name")] == []
    assert path.stem.endswith("_info") or "actions" in parts["RETURN"]
    assert [name for name, value in parts["RETURN"].items() if "sample" not in value] == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_only_translate(path: Path) -> None:
    tree = ast.parse(path.read_text())
    texts = [node for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)]
    prose = sum((node.end_lineno or 0) - node.lineno + 1 for node in texts)
    assert len(path.read_text().splitlines()) - prose <= MODULE_CODE_LINES


def test_no_ansible_module_below_library() -> None:
    core = [path for path in PYTHON if path.is_relative_to(ROOT / "module_utils")]
    assert [name_of(path) for path in core if "ansible.module_utils.basic" in path.read_text()] == []


INVENTORIES = sorted(path.parent for path in ROOT.glob("inventories/*/hosts.yml"))


def test_the_inventories_are_those_of_the_readme() -> None:
    assert [path.name for path in INVENTORIES] == ["cluster", "institution", "lab", "lab_kernel", "team"]


@pytest.mark.parametrize("inventory", INVENTORIES, ids=name_of)
def test_inventories_share_groups_and_variables_through_links(inventory: Path) -> None:
    links = {"00_common": "../common", "group_vars/all/00_common": "../../../common/group_vars/all"}
    assert {name: str((inventory / name).readlink()) for name in links} == links
    assert (ROOT / "inventories/common/group_vars").resolve() == ROOT / "group_vars"


def test_collections_have_the_versions_that_are_installed() -> None:
    spec = find_spec("ansible_collections")
    assert spec is not None
    assert spec.submodule_search_locations
    installed = Path(next(iter(spec.submodule_search_locations)))
    wanted = yaml.safe_load((ROOT / "requirements.yml").read_text())["collections"]
    assert wanted
    for collection in wanted:
        manifest = installed.joinpath(*collection["name"].split("."), "MANIFEST.json")
        assert collection["version"] == json.loads(manifest.read_text())["collection_info"]["version"]


def test_collections_in_use_are_required() -> None:
    wanted = {item["name"] for item in yaml.safe_load((ROOT / "requirements.yml").read_text())["collections"]}
    used = set()
    for path in [*TASK_FILES, *PLAYBOOKS]:
        for task in tasks_in(yaml.safe_load(path.read_text())):
            used |= {".".join(key.split(".")[:2]) for key in task if key.count(".") >= 2}
    assert used - {"ansible.builtin", "ansible.legacy"} <= wanted


def private_words() -> set[str]:
    """Names of this machine that must not be in the project: its archive mirrors, indexes and the checkout itself."""
    words = {str(ROOT)}
    texts = [
        path.read_text(errors="replace")
        for folder in ("/etc/apt", "/etc/apt/sources.list.d", "/etc", str(Path.home() / ".config/pip"))
        for name in ("*.list", "*.sources", "pip.conf", ".npmrc")
        for path in Path(folder).glob(name)
    ]
    texts += [value for name, value in os.environ.items() if name.lower().endswith(("index_url", "proxy", "registry"))]
    for text in texts:
        words |= set(re.findall(r"https?://(?:[^@/\s]*@)?([^/:\s]+)", text))
    return {word for word in words if len(word) > len("localhost")}


def test_no_name_of_this_machine_is_in_the_project() -> None:
    words = private_words()
    found = []
    for path in FILES:
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        found += [f"{name_of(path)}: {word}" for word in words if word in text]
    assert found == []
