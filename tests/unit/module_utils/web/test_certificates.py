# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys and certificates of a host: made, signed, given, fetched, replaced in time, and read by those who use them."""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.web import certificates, openssl
from ansible.module_utils.lyceum.web.certificates import Places, Rules
from ansible.module_utils.lyceum.web.openssl import Description

from .conftest import DAY, Authority

ME = pwd.getpwuid(os.geteuid()).pw_name
OURS = grp.getgrgid(os.getegid()).gr_name
REAL_MISSING_UNITS = certificates._missing_units


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "certificates", tmp_path / "live")


RELOAD = certificates._reload


@pytest.fixture(autouse=True)
def units(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Units that were reloaded. One called `broken` does not."""
    called: list[str] = []

    def reload(unit: str) -> str:
        called.append(unit)
        return "it is broken" if unit == "broken" else ""

    monkeypatch.setattr(certificates, "_reload", reload)
    monkeypatch.setattr(certificates, "_missing_units", lambda units: frozenset(units) & {"later"})
    return called


def entry(name: str = "a", **changes: Any) -> dict[str, Any]:
    return {
        "name": name, "state": "present", "subject_alt_names": [f"{name}.example.org"], "source": "internal",
        "owner": ME, "group": OURS, "reload": ["nginx"], "key_content": None, "chain_content": None, **changes,
    }  # fmt: skip


class Run:
    """Calls as the role makes them: once, and again with what the authority has signed."""

    def __init__(self, places: Places, authority: Authority) -> None:
        self.places, self.authority = places, authority
        self.now = time.time()

    def once(self, *entries: dict[str, Any], check: bool = False, **rules: Any) -> dict[str, Any]:
        wanted = Rules(self.now, authority=self.authority.certificate, **rules)
        outcome = certificates.carry_out(entries, wanted, check=check, places=self.places)
        return certificates.result(outcome, wanted, check=check)

    def whole(self, *entries: dict[str, Any], days: int = 397) -> dict[str, Any]:
        first = self.once(*entries)
        signed = {one["name"]: self.authority.sign(one["csr"], days) for one in first["requests"]}
        second = self.once(*entries, signed=signed) if signed else {"actions": []}
        return {**first, "actions": first["actions"] + second["actions"], "msg": second.get("msg", first.get("msg"))}


@pytest.fixture
def run(places: Places, authority: Authority) -> Run:
    return Run(places, authority)


def fetched(places: Places, name: str = "a", days: int = 90) -> None:
    """What certbot leaves."""
    folder = places.live / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "privkey.pem").write_text(openssl.new_key())
    chain = openssl.self_signed(folder / "privkey.pem", [f"DNS:{name}.example.org"], days)
    (folder / "fullchain.pem").write_text(chain)


def test_check_apply_check_apply_and_absent(run: Run, places: Places, units: list[str]) -> None:
    checked = run.once(entry(), check=True)
    assert checked["actions"] == [
        "make the private key of a", "have certificate a signed, because there is none",
    ]  # fmt: skip
    assert not places.directory.exists()
    applied = run.whole(entry())
    assert applied["actions"] == [
        "make the private key of a", "install certificate a (internal)", "have nginx read a",
    ]  # fmt: skip
    assert units == ["nginx"]
    assert places.key("a").stat().st_mode & 0o777 == 0o640
    assert openssl.describe(places.chain("a").read_text()).names == ("DNS:a.example.org",)
    for check in (True, False):
        again = run.once(entry(), check=check)
        assert (again["changed"], again["requests"], again["certificates"][0]["days_left"]) == (False, [], 396)
    assert run.once()["unmanaged"] == ["a"]
    removed = run.once(entry(state="absent"))
    assert removed["actions"] == ["remove certificate a with its key"]
    assert not places.key("a").exists()
    assert not run.once(entry(state="absent"))["changed"]


def test_the_key_stays_when_the_certificate_is_renewed(run: Run, places: Places) -> None:
    run.whole(entry())
    key, chain = places.key("a").read_text(), places.chain("a").read_text()
    run.now += 340 * DAY
    assert run.once(entry())["requests"][0]["why"].startswith("it ends on ")
    run.whole(entry(), days=900)
    assert places.key("a").read_text() == key
    assert places.chain("a").read_text() != chain


def test_other_names_another_authority_another_key(run: Run, places: Places, tmp_path: Path) -> None:
    run.whole(entry())
    more = entry(subject_alt_names=["a.example.org", "10.0.0.1"])
    assert run.once(more)["requests"][0]["why"] == "it is for DNS:a.example.org"
    run.authority, old = Authority(tmp_path / "other"), run.authority
    assert run.once(entry())["requests"][0]["why"] == "it is not from the site's authority"
    run.authority = old
    places.key("a").write_text(openssl.new_key())
    assert run.once(entry())["requests"][0]["why"] == "it belongs to another key"
    places.chain("a").write_text("damaged")
    assert run.once(entry())["requests"][0]["why"] == "there is none"


def test_answers_that_are_not_what_was_asked_for(run: Run, places: Places, tmp_path: Path) -> None:
    asked = run.once(entry())["requests"][0]["csr"]
    foreign = Authority(tmp_path / "other").sign(asked)
    assert "cannot be used: it is not from this authority" in run.once(entry(), signed={"a": foreign})["msg"]
    others = run.once(entry(), entry("b"))["requests"][1]["csr"]
    wrong = run.once(entry(), signed={"a": run.authority.sign(others)})
    assert wrong["msg"] == "certificate a: the new certificate is for another key or for other names"
    assert not places.chain("a").exists()


def test_given_ones(run: Run, places: Places, units: list[str], tmp_path: Path) -> None:
    fetched(Places(live=tmp_path / "given"), "a", 397)
    key = (tmp_path / "given/a/privkey.pem").read_text()
    chain = (tmp_path / "given/a/fullchain.pem").read_text()
    given = entry(source="files", key_content=f"\n{key}\n\n", chain_content=chain)
    applied = run.once(given)
    assert applied["actions"] == ["install certificate a (files)", "have nginx read a"]
    assert places.key("a").read_text() == key
    assert not run.once(given)["changed"]
    assert "PRIVATE" not in str(applied)
    assert "PRIVATE" not in repr(certificates.Wanted.from_params(given))
    run.now += 360 * DAY
    assert run.once(given)["notes"][0].startswith("a ends on ")
    run.now += 360 * DAY
    assert "certificate that was given ended on" in run.once(given)["msg"]
    assert units == ["nginx"]


def test_given_ones_that_cannot_be_used_never_stop_the_others(run: Run, tmp_path: Path) -> None:
    fetched(Places(live=tmp_path / "given"))
    key = (tmp_path / "given/a/privkey.pem").read_text()
    chain = (tmp_path / "given/a/fullchain.pem").read_text()
    result = run.once(
        entry("a", source="files", key_content=openssl.new_key(), chain_content=chain),
        entry("b", source="files", key_content=key, chain_content=chain),
        entry("c", source="files", key_content=key),
        entry("d", subject_alt_names=[]),
        entry("e", owner="nobody-here"),
        entry("f", subject_alt_names=["a b"]),
        entry("g"),
        entry("g"),
        entry("H"),
        entry("i"),
    )
    assert result["msg"].split("; certificate ") == [
        "certificate H: the name 'H' must be lower case letters, digits, - and _",
        "a: the key that was given is not that of the certificate",
        "b: the certificate that was given is not for DNS:b.example.org",
        "c: with source files, give both the key and the chain",
        "d: subject_alt_names is empty; say for which names it is",
        f"e: there is no account nobody-here or no group {OURS} here; install the package that makes it",
        "f: 'a b' is neither a host name nor an address",
        "g: it is listed twice",
    ]
    assert [one["name"] for one in result["requests"]] == ["i"]


def test_fetched_ones_and_the_placeholder_before(run: Run, places: Places, units: list[str]) -> None:
    acme = entry(source="acme")
    first = run.once(acme)
    assert first["acme"] == [{"name": "a", "why": "there is none"}]
    assert first["actions"] == [
        "make the private key of a", "put a placeholder where the certificate a will be", "have nginx read a",
    ]  # fmt: skip
    again = run.once(acme)
    assert (again["changed"], again["acme"]) == (False, first["acme"])
    fetched(places)
    assert run.once(acme)["actions"] == ["install certificate a (acme)", "have nginx read a"]
    assert places.key("a").read_text() == (places.live / "a/privkey.pem").read_text()
    assert places.chain("a").read_text() == (places.live / "a/fullchain.pem").read_text()
    done = run.once(acme)
    assert (done["changed"], done["acme"]) == (False, [])
    more = run.once(entry(source="acme", subject_alt_names=["a.example.org", "b.example.org"]))
    assert more["acme"][0]["why"] == "it is for DNS:a.example.org"
    run.now += 62 * DAY
    assert run.once(acme)["acme"][0]["why"].startswith("it ends on ")
    assert len(units) == 2


@pytest.mark.parametrize(("days", "margin"), [(90, 29), (6, 1), (1826, 29)])
def test_certbots_timer_has_its_chance_first(days: int, margin: int) -> None:
    description = Description((), "", 0, days * DAY, "", "")
    assert certificates.fetched_margin(description) == margin * DAY


def test_a_run_that_was_killed_before_the_reload_is_completed(run: Run, places: Places, units: list[str]) -> None:
    run.whole(entry())
    places.waits("a").touch()
    assert run.once(entry(), check=True)["actions"] == ["have nginx read a"]
    assert run.once(entry())["actions"] == ["have nginx read a"]
    assert units == ["nginx", "nginx"]
    assert not run.once(entry())["changed"]


def test_a_unit_that_does_not_take_it(run: Run, places: Places) -> None:
    result = run.whole(entry(reload=["broken"]), entry("b"))
    assert result["msg"] == "certificate a: broken does not read it: it is broken"
    assert places.waits("a").exists()
    assert not places.waits("b").exists()


@pytest.mark.parametrize(
    ("unit", "asked", "words"),
    [
        ("not-there.service", [], ""),
        ("runs.service", ["runs.service"], ""),
        ("broken.service", ["broken.service"], "no"),
    ],
)
def test_a_unit_that_is_not_installed_yet_has_nothing_to_read(
    monkeypatch: pytest.MonkeyPatch, unit: str, asked: list[str], words: str
) -> None:
    called = []

    def systemctl(verb: str, *rest: str) -> subprocess.CompletedProcess[str]:
        if verb == "show":
            return subprocess.CompletedProcess([], 0, "not-found\n" if unit == "not-there.service" else "loaded\n", "")
        assert verb == "try-reload-or-restart"
        called.extend(rest)
        return subprocess.CompletedProcess([], unit == "broken.service", "", "no\n")

    monkeypatch.setattr(certificates, "_systemctl", systemctl)
    missing = unit in REAL_MISSING_UNITS([unit])
    assert missing == (unit == "not-there.service")
    assert ("" if missing else RELOAD(unit)) == words
    assert called == asked


def test_a_unit_that_is_installed_later(run: Run, units: list[str], places: Places) -> None:
    result = run.whole(entry(reload=["later", "nginx"]))
    assert "msg" not in result or result["msg"] is None
    assert (units, places.waits("a").exists()) == (["nginx"], False)
    again = run.once(entry(reload=["later", "nginx"]), check=True)
    assert (again["changed"], again["notes"]) == (False, ["a is for later, a unit this host does not have"])


@pytest.mark.parametrize(
    ("said", "missing"),
    [("not-found\n\nloaded\n", {"a"}), ("masked\n\nloaded\n", set()), ("loaded\n\nnot-found\n", {"b"}), ("", set())],
)
def test_units_that_are_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, missing: set[str]) -> None:
    program = tmp_path / "systemctl"
    program.write_text(f"#!/bin/sh\nprintf '{said}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert REAL_MISSING_UNITS(["a", "b"]) == missing


def test_a_key_that_everybody_may_read_is_closed(run: Run, places: Places) -> None:
    run.whole(entry())
    places.key("a").chmod(0o644)
    assert run.once(entry())["actions"] == [f"give the key of a to {ME}:{OURS}"]
    assert places.key("a").stat().st_mode & 0o777 == 0o640


def test_a_damaged_key_is_not_overwritten(run: Run, places: Places) -> None:
    run.whole(entry())
    places.key("a").write_text("damaged")
    assert "cannot read the private key" in run.once(entry())["msg"]
    assert places.key("a").read_text() == "damaged"


@pytest.mark.parametrize(
    ("names", "wanted", "good"),
    [
        (["DNS:a.b"], "DNS:a.b", True),
        (["DNS:*.b"], "DNS:a.b", True),
        (["DNS:*.b"], "DNS:x.a.b", False),
        (["DNS:*.b"], "DNS:b", False),
        (["IP:10.0.0.1"], "IP:10.0.0.1", True),
    ],
)
def test_asterisks_stand_for_one_label(names: list[str], wanted: str, good: bool) -> None:
    assert certificates.covers(names, wanted) == good
