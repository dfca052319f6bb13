# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benchmark of Gitea says about its figures, and which program it takes; the figures are not made here."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

import _gitea_server as server
import gitea as bench
from ansible.module_utils.lyceum.registry.sshkeys import parse


def test_goals_are_judged_one_by_one() -> None:
    met = bench.judged(1000, 50, ours=[20.0, 5.0], few=[2.0, 1.0], loops=[40.0, 40.0], limit=16.0)
    assert [row[1:] for row in met] == [
        ["40x (20x with 50 people in both)", "met"],
        ["80 % (50 of 62 people a second)", "met"],
        ["5.00 s", "met"],
    ]
    missed = bench.judged(1000, 50, ours=[20.1, 5.01], few=[2.0, 1.0], loops=[20.0, 20.0], limit=16.0)
    assert [row[2] for row in missed] == ["MISSED", "MISSED", "MISSED"]


def test_a_row_without_a_second_step_is_as_long() -> None:
    assert bench.row(1000, [20.0]) == ["1,000", "20.00 s", "20.0 ms", "", ""]
    assert len(bench.row(50, [1.0, 2.0])) == 5


def test_everybody_has_a_key_of_their_own_and_both_sides_send_the_same() -> None:
    people = bench.people(3)
    keys = [parse(person["ssh_keys"][0]) for person in people["bench_people"]]
    assert len({key.fingerprint for key in keys}) == 3
    for person, post in zip(people["bench_people"], people["bench_posts"], strict=True):
        assert post["account"]["username"] == person["name"]
        assert person["ssh_keys"] == [f"{post['key']['key']} {post['key']['title']}"]


def test_the_newest_release_of_a_mirror_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    (tmp_path / "gitea").mkdir()
    names = ("gitea-1.9.6-linux-amd64", "gitea-1.26.2-linux-amd64", "gitea-1.27.0-linux-arm64", "gitea-1.28.0.tar.gz")
    for name in names:
        (tmp_path / "gitea" / name).touch()
    assert server.in_mirror(tmp_path) == tmp_path / "gitea" / "gitea-1.26.2-linux-amd64"
    assert server.in_mirror(tmp_path / "nothing") is None


def test_a_server_is_there_for_the_block_and_nothing_of_it_afterwards(tmp_path: Path) -> None:
    with server.giteas(None, server.SQLITE) as empty, empty() as gitea:
        assert "stand-in" in gitea.admin("GET", "/version").body["version"]
        folder, process = gitea.work.parent, gitea.process
        assert process is not None
    assert process.poll() is not None
    assert not folder.exists()


def test_the_limit_is_reached_with_the_same_posts() -> None:
    posts = bench.people(2)["bench_posts"]
    with server.giteas(None, server.SQLITE) as empty, empty() as gitea:
        assert bench.load(gitea.url, gitea.token("root1", server.SCOPES), posts, 2) > 0
        assert gitea.admin("GET", "/users/bench00001/keys").body[0]["title"] == "bench00001"
        with pytest.raises(bench.httpx.HTTPStatusError):
            bench.load(gitea.url, gitea.token("root1", server.SCOPES), posts, 2)
