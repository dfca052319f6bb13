# SPDX-License-Identifier: GPL-3.0-or-later
"""pytest as a prover: one host per plan file, one verdict per attack and host, a table and a JSON file at the end.

A test states what it saw through the fixture `proof`. It ends as held, BROKEN or not tested; an error in the proof
itself counts as not tested and makes the run fail, so that a defect is never read as a control that holds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ansible.module_utils
import pytest

PROJECT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(Path(__file__).parent))
if str(PROJECT / "module_utils") not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(str(PROJECT / "module_utils"))

from ansible.module_utils.lyceum import proof as core  # noqa: E402
from target import Target, UnreachableError  # noqa: E402

VERDICTS: list[core.Verdict] = []


class BrokenError(AssertionError):
    """An attack got through."""


class Proof:
    """What one test saw on one host."""

    def __init__(self, control: str, attack: str, host: str) -> None:
        self.control, self.attack, self.host = control, attack, host
        self.seen: dict[str, list[str]] = {result: [] for result in core.RESULTS}

    def held(self, detail: str) -> None:
        self.seen[core.HELD].append(detail)

    def broken(self, detail: str) -> None:
        self.seen[core.BROKEN].append(detail)

    def not_tested(self, why: str) -> None:
        self.seen[core.NOT_TESTED].append(why)

    def settle(self) -> None:
        """Turn what was seen into verdicts. BrokenError if an attack got through, ValueError if nothing was said."""
        if not any(self.seen.values()):
            raise ValueError("the test ended without a statement")
        for result, details in self.seen.items():
            if details:
                unique = list(dict.fromkeys(details))
                more = f" and {len(unique) - 6} more" if len(unique) > 6 else ""
                VERDICTS.append(
                    core.Verdict(self.control, self.attack, self.host, result, ", ".join(unique[:6]) + more)
                )
        if self.seen[core.BROKEN]:
            raise BrokenError(f"{self.attack}: {'; '.join(self.seen[core.BROKEN])}")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("proof")
    group.addoption("--proof-plan", action="append", default=[], metavar="DIR", help="plan of one host (repeatable)")
    group.addoption("--proof-role", action="append", default=[], metavar="ROLE", help="only this role's (repeatable)")
    group.addoption("--proof-inventory", metavar="DIR", help="make the plans from this inventory")
    group.addoption("--proof-result", metavar="FILE", help="write the verdicts as JSON")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "control(name, attack): the control a proof attacks, and how")
    config.addinivalue_line("markers", "role(name): the role that claims the control; accounts without it")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "plan" in metafunc.fixturenames:
        plans = load_plans(metafunc.config)
        metafunc.parametrize("plan", plans, ids=[plan["host"] for plan in plans], scope="session")


def host_of(item: pytest.Item) -> str:
    """The host that the test is about; "" for those about none or all of them."""
    callspec = getattr(item, "callspec", None)
    return str(callspec.params["plan"]["host"]) if callspec and "plan" in callspec.params else ""


# -- pytest-xdist: the hosts side by side, one process each ---------------------------------------------------------


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["proof_plans"] = json.dumps(load_plans(node.config))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    # Here, because a proof without pytest-xdist is a proof as well.
    from xdist.scheduler import LoadScopeScheduling

    hosts = [plan["host"] for plan in load_plans(config)]

    class HostScheduling(LoadScopeScheduling):  # type: ignore[misc]
        """All tests of a host in their order to one process; --dist=loadgroup reads no marks with pytest 9.2."""

        def _split_scope(self, nodeid: str) -> str:
            parameters = nodeid.partition("[")[2]
            return max((host for host in hosts if host in parameters), key=len, default="")

    return HostScheduling(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    # A process that died has no output; pytest-xdist itself calls that a failure.
    output = getattr(node, "workeroutput", {})
    VERDICTS.extend(core.Verdict.from_dict(verdict) for verdict in output.get("proof_verdicts", ()))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["proof_verdicts"] = [verdict.as_dict() for verdict in VERDICTS]


def load_plans(config: pytest.Config) -> list[dict[str, Any]]:
    """The plans named on the command line, or made from an inventory (Molecule names its own in the environment)."""
    if hasattr(config, "workerinput"):
        return json.loads(config.workerinput["proof_plans"])  # type: ignore[no-any-return]
    if not hasattr(config, "proof_plans"):
        folders = [Path(name) for name in config.getoption("proof_plan")]
        inventory = config.getoption("proof_inventory") or os.environ.get("MOLECULE_INVENTORY_FILE")
        if not folders and not inventory:
            raise pytest.UsageError("say --proof-plan DIR or --proof-inventory DIR")
        with tempfile.TemporaryDirectory() as folder:
            if not folders:
                folders = make_plans(str(inventory), Path(folder))
            config.proof_plans = [load_plan(folder) for folder in folders]  # type: ignore[attr-defined]
    return config.proof_plans  # type: ignore[attr-defined, no-any-return]


def load_plan(folder: Path) -> dict[str, Any]:
    """The plan of one host: what accounts says, and what each further role says under the role's name."""
    plan: dict[str, Any] = json.loads((folder / "accounts.json").read_text())
    others = {file.stem: json.loads(file.read_text()) for file in folder.glob("*.json") if file.stem != "accounts"}
    return {**plan, **others, "roles": ["accounts", *sorted(others)]}


def role_of(item: pytest.Item) -> str:
    marker = item.get_closest_marker("role")
    return str(marker.args[0]) if marker else "accounts"


@pytest.hookimpl(trylast=True)  # after pytest's own order, which changes hosts again and again
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the attacks on what no role of the host claims, and finish with one host before the next."""
    wanted = config.getoption("proof_role")
    left_out, hosts = [], []
    for item in items:
        host, role = host_of(item), role_of(item)
        plan = item.callspec.params["plan"] if host else {}  # type: ignore[attr-defined]
        if host and (role not in plan["roles"] or (wanted and role not in wanted)):
            left_out.append(item)
        hosts.append(host)
    config.hook.pytest_deselected(items=left_out)
    order = {host: number for number, host in enumerate(dict.fromkeys(hosts))}
    ranked = sorted(zip(hosts, range(len(items)), items), key=lambda entry: (order[entry[0]], entry[1]))
    items[:] = [item for _host, _number, item in ranked if item not in left_out]


def make_plans(inventory: str, folder: Path) -> list[Path]:
    subprocess.run(
        [str(Path(sys.executable).with_name("ansible-playbook")), "-i", inventory, str(PROJECT / "playbooks/prove.yml"),
         "--tags", "prove_plan", "-e", f"prove_dir={folder}"],
        cwd=PROJECT, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return sorted(path.parent for path in folder.glob("*/accounts.json"))


@pytest.fixture(scope="session")
def target(plan: dict[str, Any], request: pytest.FixtureRequest) -> Iterator[Target]:
    """The host, connected and cleaned of what a killed proof left, with the slow probes already under way."""
    target = Target(plan)
    try:
        target.admins = [target.connect(), *plan["admins"]]
        target.lock()
    except (UnreachableError, subprocess.TimeoutExpired) as exc:
        target.close()
        pytest.fail(f"the admin's connection fails: {exc}", pytrace=False)
    target.probe("clean", people=list(target.people))
    target.start("observe", "observe", **observed(target))
    if any(role_of(item) == "accounts" for item in request.session.items):
        begin(target)
    yield target
    target.close()


def observed(target: Target) -> dict[str, Any]:
    """What the first probe is to look at."""
    people = target.people.values()
    users = [*target.admins, *[person["name"] for person in people if person["state"] != "absent"][:20]]
    groups = [group["name"] for group in target.plan["groups"]]
    folders = {key: target.plan[key] for key in ("keys_dir", "archive_dir")}
    return {"people": target.people, "groups": groups, "users": users, **folders}


def begin(target: Target) -> None:
    """Start the slow attacks on what suspended people might have left behind."""
    people = target.people.values()
    present = target.result("observe")["accounts"]
    control = {p["name"]: p["uid"] for p in people if active(p) and present[p["name"]]}
    control = dict(list(control.items())[:1])
    suspects = {p["name"]: p["uid"] for p in people if p["state"] != "present"}
    suspects = dict(list(suspects.items())[:20])
    target.control = next(iter(control), None)
    for name in ("schedule", "spool"):
        target.start(name, name, isolated=True, control=control, suspects=suspects)
    secret = os.urandom(16).hex()
    target.start("password", "password", isolated=True, control=control, suspects=suspects, secret=secret)


def active(person: dict[str, Any]) -> bool:
    """Whether the registry lets this person log in with a shell on this host."""
    return person["state"] == "present" and person["access"] == "shell" and not person["shell"].endswith("nologin")


@pytest.fixture
def proof(request: pytest.FixtureRequest, plan: dict[str, Any]) -> Proof:
    return Proof(*control_and_attack(request.node), plan["host"])


def control_and_attack(item: Any) -> tuple[str, str]:
    """The marker of a test, with the test's parameters filled in."""
    control, attack = item.get_closest_marker("control").args
    return control, attack.format(**item.callspec.params)


@pytest.fixture(scope="session")
def foreign_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new private key that no registry knows; its public half lies beside it."""
    path = tmp_path_factory.mktemp("keys") / "foreign"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "foreign", "-f", str(path)], check=True)
    return path


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    result = yield
    if "proof" in pyfuncitem.funcargs:
        pyfuncitem.funcargs["proof"].settle()
    return result  # type: ignore[return-value]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[Any]:
    report = yield
    marker = item.get_closest_marker("control")
    if marker and call.excinfo and not isinstance(call.excinfo.value, BrokenError):
        skipped = call.excinfo.errisinstance(pytest.skip.Exception)
        why = str(call.excinfo.value) if skipped else f"error: {call.excinfo.exconly()}"
        host = item.callspec.params["plan"]["host"]  # type: ignore[attr-defined]
        VERDICTS.append(core.Verdict(*control_and_attack(item), host, core.NOT_TESTED, why))
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    result = config.getoption("proof_result")
    if result:
        Path(result).write_text(json.dumps([verdict.as_dict() for verdict in VERDICTS], indent=1))
    for line in core.lines(VERDICTS):
        terminalreporter.write_line(line)
