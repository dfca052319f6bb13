# SPDX-License-Identifier: GPL-3.0-or-later
"""A list of sites becomes nginx's files; a broken one never takes the others down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import CommandError, LyceumError, RefusedError
from ansible.module_utils.lyceum.web import model, nginx, sites
from ansible.module_utils.lyceum.web.sites import Candidate
from hypothesis import given
from hypothesis import strategies as st

from .conftest import Host, site


def run(host: Host, *entries: dict[str, Any], check: bool = False, **settings: Any) -> dict[str, Any]:
    configured = model.Settings(**settings)
    wish = model.read_sites(entries, configured)
    outcome = sites.carry_out(wish, configured, check=check, places=host.places, nginx=host.nginx, runner=host.run)
    return sites.result(outcome, wish, with_diff=True)


def served(host: Host) -> set[str]:
    return {path.stem for path in host.places.sites.glob("*.conf")}


def reloads(host: Host) -> int:
    return sum(call[:2] == ["systemctl", "reload"] for call in host.calls)


@pytest.fixture
def two(host: Host) -> Host:
    """A host that serves a and b."""
    for name in ("a", "b"):
        host.certificate(name)
    run(host, site("a"), site("b"))
    return host


def test_check_apply_check_apply_and_absent(host: Host) -> None:
    host.certificate("a")
    checked = run(host, site("a"), check=True)
    assert not host.places.sites.exists()
    applied = run(host, site("a"))
    assert checked == applied
    assert applied["actions"] == [
        f"change {host.places.main}", f"create {host.places.site('a')}", "load the configuration",
    ]  # fmt: skip
    assert applied["sites"] == ["a"]
    for check in (True, False):
        again = run(host, site("a"), check=check)
        assert (again["changed"], again["actions"], again["diff"]) == (False, [], [])
    assert reloads(host) == 1
    left = run(host)
    assert (left["changed"], left["unmanaged"]) == (False, ["a"])
    removed = run(host, site("a", state="absent"))
    assert removed["actions"] == [f"remove {host.places.site('a')}", "load the configuration"]
    assert served(host) == set()


def test_a_broken_site_stays_as_it_was_and_the_others_change(two: Host) -> None:
    before = two.places.site("b").read_text()
    two.certificate("c")
    result = run(two, site("a", max_body_mib=99), site("b", directives="nonsense;"), site("c"))
    assert "client_max_body_size 99m" in two.places.site("a").read_text()
    assert two.places.site("b").read_text() == before
    assert served(two) == {"a", "b", "c"}
    assert result["sites"] == ["a", "c"]
    assert result["msg"] == (
        f'site b: nginx refuses it, so that it stays as it was: unknown directive "nonsense" in'
        f" {two.places.site('b')}:3"
    )
    again = run(two, site("a", max_body_mib=99), site("b", directives="nonsense;"), site("c"))
    assert (again["changed"], again["msg"]) == (False, result["msg"])


def test_a_broken_new_site_is_left_out(two: Host) -> None:
    two.certificate("c")
    result = run(two, site("a"), site("b"), site("c", directives="nonsense;"))
    assert served(two) == {"a", "b"}
    assert "so that it is left out" in result["failures"]["c"]


def test_a_site_that_was_broken_before_is_taken_out(two: Host) -> None:
    two.places.site("b").write_text("nonsense")
    result = run(two, site("a", max_body_mib=5), site("b", directives="nonsense;"))
    assert served(two) == {"a"}
    assert "so that it is left out" in result["failures"]["b"]


def test_what_is_served_beside_the_list_keeps_its_names(two: Host) -> None:
    two.certificate("new")
    result = run(two, site("a"), site("new", server_names=["b.example.org"]))
    assert served(two) == {"a", "b"}
    assert "conflicting server name" in result["failures"]["new"]


def test_without_a_certificate(two: Host) -> None:
    result = run(two, site("a"), site("b", certificate="none"), site("c"))
    assert result["failures"] == {
        "b": "its certificate none is not on this host; the role certificates makes it",
        "c": "its certificate c is not on this host; the role certificates makes it",
    }
    assert served(two) == {"a", "b"}
    checked = run(two, site("a"), site("b"), site("c"), check=True)
    assert checked["failures"] == {}
    assert f"create {two.places.site('c')}" in checked["actions"]
    assert checked["notes"] == ["c waits for its certificate: its certificate c is not on this host"]


def test_stapling_only_where_there_is_a_responder(host: Host) -> None:
    host.certificate("a")
    host.ocsp = "http://ocsp.example.org"
    run(host, site("a"))
    assert "ssl_stapling on;" in host.places.site("a").read_text()


def test_what_belongs_to_no_site_refuses_everything(two: Host) -> None:
    before = two.places.main.read_text()
    with pytest.raises(
        RefusedError, match=r"belongs to no site, so nothing was changed: unknown directive \"hopeless\""
    ):
        run(two, site("a"), site("b"), directives="hopeless on;")
    assert two.places.main.read_text() == before


def test_a_reload_that_fails_brings_the_old_files_back(two: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nginx, "RELOAD_SECONDS", 0.1)
    before = {path: path.read_text() for path in [two.places.main, two.places.site("a"), two.places.loaded]}
    two.taken = True
    two.certificate("c")
    with pytest.raises(CommandError, match=r"the old one is back: bind\(\) to 0.0.0.0:9443 failed\Z"):
        run(two, site("a"), site("b"), site("c"), https_port=9443)
    assert {path: path.read_text() for path in before} == before
    assert served(two) == {"a", "b"}
    two.taken = False
    assert run(two, site("a"), site("b"), site("c"), https_port=9443)["changed"]


def test_a_run_that_was_killed_before_the_reload_is_completed(two: Host) -> None:
    two.places.loaded.unlink()
    before = reloads(two)
    assert run(two, site("a"), site("b"), check=True)["actions"] == ["load the configuration"]
    assert run(two, site("a"), site("b"))["actions"] == ["load the configuration"]
    assert reloads(two) == before + 1


def test_what_others_have_changed_and_loaded_is_put_back_and_loaded(two: Host) -> None:
    """As certbot's hook and the role certificates do: they reload nginx with whatever its files say."""
    two.places.site("a").unlink()
    before = reloads(two)
    wanted = [f"create {two.places.site('a')}", "load the configuration"]
    assert run(two, site("a"), site("b"), check=True)["actions"] == wanted
    assert run(two, site("a"), site("b"))["actions"] == wanted
    assert reloads(two) == before + 1
    assert not run(two, site("a"), site("b"))["changed"]


def test_a_run_that_is_killed_while_it_puts_back_is_completed(two: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    two.places.site("a").unlink()
    with monkeypatch.context() as context:
        context.setattr(Host, "_systemctl", _killed)
        with pytest.raises(KeyboardInterrupt):
            run(two, site("a"), site("b"))
    assert run(two, site("a"), site("b"))["actions"] == ["load the configuration"]


def _killed(host: Host, verb: str) -> nginx.Done:
    if verb == "reload":
        raise KeyboardInterrupt
    return nginx.Done(0, "")


def test_nginx_that_does_not_run_is_not_reloaded(host: Host) -> None:
    host.active = False
    host.certificate("a")
    run(host, site("a"))
    assert reloads(host) == 0
    assert not run(host, site("a"))["changed"]


def test_without_nginx(host: Host) -> None:
    host.installed = False
    host.certificate("a")
    checked = run(host, site("a"), check=True)
    assert checked["notes"] == ["nginx is not installed yet, so that its opinion of the sites is not known"]
    with pytest.raises(LyceumError, match="the role nginx installs it"):
        run(host, site("a"))


def test_sites_of_another_hand_go_on_unless_somebody_says_so(host: Host) -> None:
    enabled = host.places.etc / "sites-enabled"
    enabled.mkdir()
    (enabled / "default").touch()
    run(host)
    (enabled / "wiki").touch()
    assert not run(host)["changed"]  # it was not served before either
    host.places.main.write_text("by hand")
    with pytest.raises(RefusedError, match="nobody wrote down: wiki in /etc/nginx/sites-enabled"):
        run(host)
    assert host.places.main.read_text() == "by hand"


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), max_size=6))
def test_the_choice_is_always_one_that_nginx_takes(kinds: list[tuple[bool, bool, bool]]) -> None:
    """Each site: whether its new text is good, whether its old one is, whether it has an old one."""
    found = []
    for number, (good, was_good, old) in enumerate(kinds):
        texts = [f"new {'good' if good else 'bad'}", *([f"old {'good' if was_good else 'bad'}"] if old else [])]
        found.append(Candidate(str(number), tuple(texts), changed=True))

    def test(texts: Mapping[str, str]) -> str:
        return "bad" if any(text.endswith("bad") for text in texts.values()) else ""

    chosen, failures = sites.choose(found, test)
    assert test(chosen) == ""
    for number, (good, was_good, old) in enumerate(kinds):
        best = "new good" if good else "old good" if old and was_good else None
        assert chosen.get(str(number)) == best
        assert (str(number) in failures) == (not good)
