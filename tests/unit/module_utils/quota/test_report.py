# SPDX-License-Identifier: GPL-3.0-or-later
"""A run in the shape every module returns."""

from __future__ import annotations

from ansible.module_utils.lyceum.quota.report import module_result

from .conftest import FakeHost
from .test_apply import home, run, scratch


def test_people_projects_and_failures_in_one_result(host: FakeHost) -> None:
    (host.folder / "srv/p2001").mkdir()
    host.write({**host.read(), "deaf": [2002]})
    outcome = run(
        host,
        home(host),
        home(host, 2002),
        home(host, 2003, hard_gib="unlimited"),
        home(host, path=str(host.folder / "plain")),
        scratch(host),
        scratch(host, 11001, name="retina", person=None, path=str(host.folder / "srv/p2001"), id=11001, state="absent"),
    )
    result = module_result(outcome, with_diff=True, with_usage=True)
    mount = f"{host.folder}/home"
    assert result["changed"]
    assert result["failed"]
    assert result["actions"] == [
        f"{host.projid}: names of projects",
        f"p2001 on {mount} (home): space unlimited -> 1 GiB (soft 921.6 MiB)",
        f"p2002 on {mount} (home): space unlimited -> 1 GiB (soft 921.6 MiB)",
        f"project scratch-p2001 (1002001) on {host.folder}/srv: space unlimited -> 2 GiB (soft 1.8 GiB)",
        (
            f"project scratch-p2001 (1002001) on {host.folder}/srv: {host.folder}/srv/p2001:"
            " no project -> project scratch-p2001 (1002001)"
        ),
    ]
    failure = "set, yet still different: setquota: Cannot write quota for 2002 on /dev/sdb1: No space left on device"
    assert result["lyceum"]["results"] == {
        "p2001": {
            "result": "changed",
            "actions": [
                f"home on {mount}: space unlimited -> 1 GiB (soft 921.6 MiB)",
                f"scratch-p2001 on {host.folder}/srv: space unlimited -> 2 GiB (soft 1.8 GiB)",
                (
                    f"scratch-p2001 on {host.folder}/srv: {host.folder}/srv/p2001:"
                    " no project -> project scratch-p2001 (1002001)"
                ),
            ],
            "error": None,
        },
        "p2002": {
            "result": "failed",
            "actions": [f"home on {mount}: space unlimited -> 1 GiB (soft 921.6 MiB)"],
            "error": failure,
        },
    }
    assert result["lyceum"]["unchanged"] == ["p2003"]
    assert [text.split(" (ext4")[0] for text in result["lyceum"]["not_enforced"]] == [
        f"1 user quota(s) not enforced: {host.folder}/plain"
    ]
    assert result["msg"].endswith(f"mount it.; p2002 on {mount} (home): {failure}")
    assert result["diff"][0] == {
        "before_header": f"p2001 on {mount} (home)",
        "after_header": f"p2001 on {mount} (home)",
        "before": "space: unlimited\nfiles: unlimited\n",
        "after": "space: 1 GiB (soft 921.6 MiB)\nfiles: unlimited\n",
    }
    assert result["diff"][-1]["after"] == "scratch-p2001:1002001\n"
    assert [row["id"] for row in result["quotas"]] == [2001, 2002, 2003, 1002001, 11001]


def test_without_diff_and_usage(host: FakeHost) -> None:
    result = module_result(run(host, home(host)), with_diff=False, with_usage=False)
    assert "diff" not in result
    assert "failed" not in result
    assert result["quotas"] == []
