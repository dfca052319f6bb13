# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan for lab hosts, carrying it out on a stand-in engine, and the files that reach them."""

from __future__ import annotations

import io
import json
import socket
import stat
import subprocess
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import CommandError, LyceumError
from ansible.module_utils.lyceum.lab import hosts as core
from ansible.module_utils.lyceum.lab.containers import PORTS, Containers
from ansible.module_utils.lyceum.lab.engine import Engine, instance_id

greets = core.greets  # before a fixture replaces it
ONE, TWO = core.Host("one", "image:1", "spec"), core.Host("two", "image:1", "spec")


def seen(identity: str = "c1", spec: str = "spec", running: bool = True) -> core.Observed:
    return core.Observed(identity, spec, running)


def record(identity: str = "c1") -> core.Record:
    return core.Record(identity, "127.0.0.1", 20000, "ssh-ed25519 AAAA")


@pytest.mark.parametrize(
    ("observed", "records", "kinds"),
    [
        ({}, {}, ["create", "create"]),
        ({"one": seen(), "two": seen("c2")}, {"one": record(), "two": record("c2")}, []),
        ({"one": seen()}, {"one": record()}, ["create"]),
        ({"one": seen(), "two": seen("c2")}, {"one": record()}, ["replace"]),
        ({"one": seen(), "two": seen("c2")}, {"one": record(), "two": record("old")}, ["replace"]),
        ({"one": seen(spec="other"), "two": seen("c2")}, {"one": record(), "two": record("c2")}, ["replace"]),
        ({"one": seen(running=False), "two": seen("c2")}, {"one": record(), "two": record("c2")}, ["start"]),
        ({"gone": seen("c3")}, {"gone": record("c3")}, ["remove", "create", "create"]),
    ],
)
def test_plan(observed: dict[str, core.Observed], records: dict[str, core.Record], kinds: list[str]) -> None:
    assert [action.kind for action in core.plan([ONE, TWO], observed, records)] == kinds


def test_plan_gives_the_reason() -> None:
    sentences = [
        core.plan([ONE], {"one": seen(spec="x")}, {"one": record()})[0].sentence,
        core.plan([ONE], {"one": seen()}, {})[0].sentence,
    ]
    assert sentences == ["replace one: its definition changed", "replace one: it was left half-made"]


def test_plan_remembers_whose_kernel_a_host_has_now() -> None:
    own = core.Observed("m1", "old", True, core.OWN)
    actions = core.plan([ONE], {"one": own, "gone": own}, {"one": record("m1")})
    assert [(action.kind, action.host, action.kernel) for action in actions] == [
        ("remove", "gone", core.OWN), ("replace", "one", core.OWN)
    ]  # fmt: skip


def test_plan_says_what_a_host_is_made_from() -> None:
    machine = core.Host("two", "/cache/disk", "spec", core.OWN)
    assert [action.sentence for action in core.plan([ONE, machine], {}, {})] == [
        "create one from image:1", "create two with a kernel of its own"
    ]  # fmt: skip


@pytest.fixture
def lab(docker: Any, tmp_path: Path) -> core.Lab:
    """A lab in a folder whose name needs quoting."""
    folder = tmp_path / "my lab 100%" / "lab"
    made = core.Lab(folder, {})
    engine = Engine("docker", ("docker",))
    made.backends = {core.SHARED: Containers(engine, instance_id(folder), made.key, b"#!/bin/sh\n", "touch /seeded\n")}
    made.make_keys(made.missing_keys([]))
    return made


def containers(lab: core.Lab) -> Containers:
    found = lab.backends[core.SHARED]
    assert isinstance(found, Containers)
    return found


def converge(lab: core.Lab, *names: str) -> list[str]:
    """One run over all hosts; the kinds of its actions."""
    wanted = [containers(lab).wanted(name, "image:1") for name in names]
    actions = core.plan(wanted, lab.observe(), lab.records())
    lab.apply(actions, wanted)
    return [action.kind for action in actions]


def test_hosts_are_made_once(docker: Any, lab: core.Lab) -> None:
    assert converge(lab, "one", "two") == ["create", "create"]
    assert converge(lab, "one", "two") == []
    assert {item["running"] for item in docker.containers().values()} == {True}
    ports = {lab.records()[name].port for name in ("one", "two")}
    assert len(ports) == 2
    assert ports <= set(PORTS)


def test_a_host_whose_making_was_interrupted_is_made_anew(docker: Any, lab: core.Lab) -> None:
    docker.write(fail=["exec"])
    with pytest.raises(LyceumError, match="no exec today"):
        converge(lab, "one")
    assert lab.records() == {}
    docker.write(fail=[])
    assert converge(lab, "one") == ["replace"]
    assert converge(lab, "one") == []


def test_one_failure_does_not_stop_the_others(docker: Any, lab: core.Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    create = containers(lab).create

    def refuse(host: core.Host) -> core.Record:
        if host.name == "one":
            raise CommandError("no disk")
        return create(host)

    monkeypatch.setattr(containers(lab), "create", refuse)
    with pytest.raises(LyceumError, match=r"^one: no disk$") as caught:
        converge(lab, "one", "two")
    assert caught.value.details == {"failed": {"one": "no disk"}}
    assert list(lab.records()) == ["two"]


def test_a_stopped_host_is_started_and_keeps_its_place(docker: Any, lab: core.Lab) -> None:
    converge(lab, "one")
    before = lab.records()
    state = docker.read()["containers"]
    next(iter(state.values()))["running"] = False
    docker.write(containers=state)
    assert converge(lab, "one") == ["start"]
    assert lab.records() == before


def test_a_host_that_cannot_start_again_is_made_anew(
    docker: Any, lab: core.Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    converge(lab, "one")
    before = lab.records()["one"].identity
    state = docker.read()["containers"]
    next(iter(state.values()))["running"] = False
    docker.write(containers=state)

    def refuse(name: str, record: core.Record) -> None:
        raise CommandError("port is already allocated")

    monkeypatch.setattr(containers(lab), "start", refuse)
    assert converge(lab, "one") == ["start"]
    assert lab.records()["one"].identity != before


def test_a_host_that_left_the_list_is_removed(docker: Any, lab: core.Lab) -> None:
    converge(lab, "one", "two")
    assert converge(lab, "two") == ["remove"]
    assert list(docker.containers()) == ["two"]
    assert "Host one" not in lab.ssh_config.read_text()


def test_a_changed_definition_replaces_the_host(lab: core.Lab) -> None:
    converge(lab, "one")
    containers(lab).init = b"#!/bin/sh\n# changed\n"
    assert converge(lab, "one") == ["replace"]


def test_ssh_understands_the_configuration(lab: core.Lab) -> None:
    converge(lab, "one")

    def asked(*words: str) -> list[str]:
        argv = ["/usr/bin/ssh", "-G", "-F", str(lab.ssh_config), *words, "one"]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()

    as_root = asked()
    assert f"port {lab.records()['one'].port}" in as_root
    assert "hostname 127.0.0.1" in as_root
    assert not [line for line in as_root if line.startswith("bindaddress")]
    assert "user root" in as_root
    assert "stricthostkeychecking true" in as_root
    key = str(lab.key).replace("%", "%%")  # -G shows it before ssh expands it
    assert f"identityfile {key}" in as_root
    known = next(line for line in as_root if line.startswith("userknownhostsfile ")).split(" ", 1)[1]
    assert Path(known).read_text() == f"one {lab.records()['one'].host_key}\n"
    # A person must not get in with the controller's key.
    assert f"identityfile {key}" not in asked("-l", "amartin")


def test_a_host_with_a_network_of_its_own_is_asked_from_there_only(tmp_path: Path) -> None:
    behind = core.Record("m1", "198.18.0.3", 22, "ssh-ed25519 AAAA", "198.18.0.2")
    config = tmp_path / "ssh_config"
    config.write_text(core.ssh_block("one", behind, tmp_path / "known", tmp_path / "key"))
    argv = ["/usr/bin/ssh", "-G", "-F", str(config), "one"]
    lines = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    assert {"hostname 198.18.0.3", "bindaddress 198.18.0.2", "port 22"} <= set(lines)


def test_records_of_another_version_count_as_unfinished(lab: core.Lab) -> None:
    converge(lab, "one")
    content = json.loads((lab.state_dir / "hosts.json").read_text())
    content["old"] = {"container": "c1", "port": 20000, "host_key": "ssh-ed25519 AAAA"}
    (lab.state_dir / "hosts.json").write_text(json.dumps(content))
    assert list(lab.records()) == ["one"]


def test_verify_uses_these_files(docker: Any, lab: core.Lab) -> None:
    converge(lab, "one")
    docker.program("ssh", 'echo "$*" >&2; exit 255')
    with pytest.raises(CommandError, match="ssh_config"):
        lab.verify([containers(lab).wanted("one", "image:1")])


def test_lost_client_files_are_noticed(lab: core.Lab) -> None:
    converge(lab, "one")
    assert lab.stale_files() == []
    lab.ssh_config.unlink()
    assert lab.stale_files() == [lab.ssh_config]


def test_keys_are_made_once_and_private(lab: core.Lab) -> None:
    wanted = lab.missing_keys(["amartin", "bchen"])
    assert [path.name for path in wanted] == ["amartin", "bchen"]
    lab.make_keys(wanted)
    assert lab.missing_keys(["amartin", "bchen"]) == []
    key = lab.state_dir / "keys" / "amartin"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    assert core.public_half(key).startswith("ssh-ed25519 ")
    key.with_name("amartin.pub").unlink()
    assert lab.missing_keys(["amartin", "bchen"]) == [key]


def test_all_files_go_with_the_lab(lab: core.Lab) -> None:
    converge(lab, "one")
    lab.destroy_files()
    assert not lab.state_dir.exists()
    lab.destroy_files()


@pytest.mark.parametrize(("greeting", "expected"), [(b"SSH-2.0-OpenSSH_9.2\r\n", True), (b"HTTP/1.1 400", False)])
def test_only_an_ssh_server_counts(greeting: bytes, expected: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            link, _ = server.accept()
            link.sendall(greeting)
            link.close()

        thread = threading.Thread(target=answer)
        thread.start()
        assert greets("127.0.0.1", server.getsockname()[1]) is expected
        thread.join()
    assert greets("127.0.0.1", 1) is False


def test_from_an_address_that_is_gone_nothing_is_asked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert greets("127.0.0.1", server.getsockname()[1], "198.51.100.1") is False
        server.settimeout(0.2)
        with pytest.raises(TimeoutError):
            server.accept()


def test_the_tar_has_modes_and_belongs_to_root() -> None:
    data = core.tar({"root/.ssh": (0o700, None), "root/.ssh/key": (0o600, b"secret")})
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        folder, file = archive.getmembers()
        assert (folder.isdir(), folder.mode, folder.uid) == (True, 0o700, 0)
        content = archive.extractfile(file)
        assert content is not None
        assert (file.mode, file.uid, content.read()) == (0o600, 0, b"secret")


def test_replace_file_keeps_the_old_content_until_the_new_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "hosts.json"
    core.replace_file(path, "old")
    core.replace_file(path, json.dumps({"new": 1}))
    assert json.loads(path.read_text()) == {"new": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["hosts.json"]
