# SPDX-License-Identifier: GPL-3.0-or-later
"""What is planned, in which words, and that a plan once carried out leaves nothing to plan."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.quota.kernel import Tag
from ansible.module_utils.lyceum.quota.model import Limits, Target, add_up
from ansible.module_utils.lyceum.quota.plan import Observed, QuotaPlan, Spec, days, plan, size
from ansible.module_utils.lyceum.quota.tools import Record
from hypothesis import given
from hypothesis import strategies as st

from .test_model import entry

HOME, SRV = ("/home", "user"), ("/", "project")


def spec(*entries: dict[str, Any], **params: Any) -> Spec:
    return Spec.from_params(
        {
            "quotas": list(entries),
            "soft_percent": 90,
            "grace_days": None,
            "complete": True,
            "id_ranges": [],
            "recurse": False,
            "when_unsupported": "fail",
            "projid": "/etc/projid",
            **params,
        }
    )


def targets_of(one: Spec) -> list[Target]:
    return add_up(one.quotas, lambda path: "/home" if path.startswith("/home") else "/")


def observed(**values: Any) -> Observed:
    return Observed(records={HOME: {}, SRV: {}}, blocks={"/home": 4096, "/": 4096}, **values)


def planned(one: Spec, host: Observed) -> QuotaPlan:
    return plan(one, targets_of(one), host)


def project(**values: Any) -> dict[str, Any]:
    return entry(
        **{"kind": "project", "id": 11001, "name": "retina", "path": "/srv/r", "person": None, "hard_gib": 1, **values}
    )


def sentences(result: QuotaPlan) -> list[str]:
    return [f"{change.target}: {action}" for change in result.changes.values() for action in change.actions]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"soft_percent": 0}, "soft_percent is 0; it must be between 1 and 100"),
        ({"soft_percent": 101}, "soft_percent is 101; it must be between 1 and 100"),
        ({"grace_days": 0}, "grace_days is 0; it must be more than 0 and at most 3650"),
        ({"grace_days": 1e9}, "grace_days is 1000000000.0; it must be more than 0 and at most 3650"),
    ],
)
def test_parameters_that_cannot_be_meant(params: dict[str, Any], message: str) -> None:
    with pytest.raises(LyceumError) as caught:
        spec(**params)
    assert str(caught.value) == message


def test_limits_in_words() -> None:
    result = planned(spec(entry(hard_gib=200, hard_files=1000)), observed())
    assert sentences(result) == [
        "amartin on /home (home): space unlimited -> 200 GiB (soft 180 GiB)",
        "amartin on /home (home): files unlimited -> 1000 (soft 900)",
    ]
    (change,) = result.changes.values()
    assert change.before == ["space: unlimited", "files: unlimited"]
    assert change.after == ["space: 200 GiB (soft 180 GiB)", "files: 1000 (soft 900)"]


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (
            Record(Limits(), 5 * 1024 * 1024, 1),
            [
                (
                    "amartin on /home (home): space unlimited -> 1 GiB (soft 921.6 MiB);"
                    " 5 GiB are used already, so that nothing more can be written"
                ),
                "amartin on /home (home): files unlimited -> 10 (soft 9)",
            ],
        ),
        (
            Record(Limits(943720, 1048576, 0, 0), 0, 11),
            [
                (
                    "amartin on /home (home): files unlimited -> 10 (soft 9);"
                    " there are 11 files already, so that none can be added"
                )
            ],
        ),
    ],
)
def test_a_limit_below_what_is_used_is_said(record: Record, said: list[str]) -> None:
    host = observed()
    host.records[HOME][2001] = record
    assert sentences(planned(spec(entry(hard_gib=1, hard_files=10)), host)) == said


def test_a_project_gets_its_directory_its_limits_and_its_name() -> None:
    host = observed(tags={"/srv/r": Tag(0, False)}, projid="backup:7\n")
    result = planned(spec(project()), host)
    assert sentences(result) == [
        "project retina (11001) on /: space unlimited -> 1 GiB (soft 921.6 MiB)",
        "project retina (11001) on /: /srv/r: no project -> project retina (11001)",
    ]
    assert result.projid == "backup:7\nretina:11001\n"


def test_what_a_directory_holds_already_is_told_or_counted() -> None:
    host = observed(tags={"/srv/r": Tag(0, False)}, filled={"/srv/r"})
    host.records[SRV][11001] = Record(Limits(943720, 1048576, 0, 0), 0, 0)
    assert sentences(planned(spec(project()), host)) == [
        (
            "project retina (11001) on /: /srv/r: no project -> project retina (11001);"
            " what is in it already does not count until a run with recurse"
        )
    ]
    host.untagged = {"/srv/r": 3}
    assert sentences(planned(spec(project(), recurse=True), host)) == [
        "project retina (11001) on /: /srv/r: no project -> project retina (11001)",
        "project retina (11001) on /: /srv/r: count 3 files and folders below it",
    ]


@pytest.mark.parametrize(
    ("tag", "failures", "waiting", "changes"),
    [
        (None, {}, ["/srv/r does not exist; once it does, the next run makes it count for retina"], 0),
        ("cannot read it", {("/", "project", 11001): "cannot read it"}, [], 0),
        (Tag(11001, True), {}, [], 0),
        (Tag(11001, False), {}, [], 1),
    ],
)
def test_directories_as_they_may_be(
    tag: Tag | str | None, failures: dict[Any, str], waiting: list[str], changes: int
) -> None:
    host = observed(tags={"/srv/r": tag}, projid="retina:11001\n")
    host.records[SRV][11001] = Record(Limits(943720, 1048576, 0, 0), 0, 0)
    result = planned(spec(project()), host)
    assert (result.failures, result.waiting, len(result.changes)) == (failures, waiting, changes)


def test_what_is_gone_loses_limits_and_name() -> None:
    host = observed(projid="retina:11001\n")
    host.records[HOME][2001] = Record(Limits(1, 2, 3, 4), 5, 6)
    host.records[SRV][11001] = Record(Limits(1, 2, 3, 4), 5, 6)
    result = planned(spec(entry(state="absent"), project(state="absent")), host)
    assert {key: change.limits for key, change in result.changes.items()} == {
        ("/home", "user", 2001): Limits(),
        ("/", "project", 11001): Limits(),
    }
    assert result.projid == ""


def test_grace_times() -> None:
    host = observed(graces={HOME: (604800, 604800), SRV: (259200, 86400)})
    assert planned(spec(grace_days=7), host).graces == {
        SRV: "project quotas on /: grace time 3 days (space) and 1 days (files) -> 7 days"
    }
    assert planned(spec(), host).graces == {}


def test_ids_the_registry_owns_and_does_not_know_are_reported() -> None:
    host = observed()
    host.records[HOME].update({number: Record(Limits(0, 1024, 0, 0), 0, 0) for number in (1000, 2001, 2002)})
    host.records[HOME][2003] = Record(Limits(), 100, 1)
    ranges = [{"kind": "user", "first": 2001, "last": 9999}]
    result = planned(spec(entry(), id_ranges=ranges), host)
    assert result.unmanaged == ["user quota of id 2002 on /home (1 MiB)"]
    assert planned(spec(entry(), id_ranges=ranges, complete=False), host).unmanaged == []
    assert not result.changed


def test_limits_that_stop_nobody() -> None:
    host = observed(shortcomings={HOME: "/home is deaf", SRV: "/ is deaf"})
    del host.records[HOME]
    found = planned(
        spec(entry(hard_gib=1), entry(id=2002, person="bchen", hard_gib="unlimited"), project(state="absent")), host
    )
    assert found.not_enforced == [
        {
            "filesystem": "/home",
            "kinds": ["user"],
            "reason": "/home is deaf",
            "quotas": ["amartin on /home (home)"],
            "people": ["amartin"],
        }
    ]
    assert found.changes == {}


def test_a_limit_lost_in_an_unlimited_sum_stops_nobody() -> None:
    entries = entry(hard_gib=1), entry(path="/home/scratch", name="scratch", hard_gib="unlimited")
    (short,) = planned(spec(*entries), observed()).not_enforced
    assert short["reason"] == (
        "/home: a user quota counts all files of somebody there, and some of them are unlimited, so that the limit of"
        " home stops nobody. Remedy: limit them all, or give homes project quotas, too."
    )


def test_a_limit_that_holds_only_for_a_sum_is_said() -> None:
    entries = entry(hard_gib=1), entry(path="/home/scratch", name="scratch", hard_gib=2, secondary=True)
    (short,) = planned(spec(*entries), observed()).not_enforced
    assert short["reason"] == (
        "/home: a user quota counts all files of somebody there, so that home may use what is left of home + scratch"
        " together. Remedy: give homes project quotas, too."
    )
    assert short["people"] == ["amartin"]


@pytest.mark.parametrize(
    ("kib", "text"),
    [
        (0, "unlimited"),
        (4, "4 KiB"),
        (1023, "1023 KiB"),
        (102400, "100 MiB"),
        (104860, "102.4 MiB"),
        (1048576, "1 GiB"),
        (500 * 1048576, "500 GiB"),
        (1536 * 1048576, "1.5 TiB"),
        (5000 * 1024 * 1048576, "5000 TiB"),
    ],
)
def test_sizes(kib: int, text: str) -> None:
    assert size(kib) == text


def test_times() -> None:
    assert (days(604800), days(43200)) == ("7 days", "0.5 days")


LIMIT = st.one_of(st.none(), st.just("unlimited"), st.floats(0, 1000, allow_nan=False), st.integers(0, 100))
ENTRY = st.builds(
    lambda number, kind, path, gib, files, state: entry(
        id=number,
        kind=kind,
        path=f"{path}/{number}" if kind == "project" else path,
        name=f"n{number}",
        hard_gib=gib,
        hard_files=files,
        state=state,
    ),
    st.integers(1, 5),
    st.sampled_from(["user", "project"]),
    st.sampled_from(["/home", "/srv"]),
    LIMIT,
    LIMIT,
    st.sampled_from(["present", "present", "absent"]),
)
RECORD = st.builds(
    lambda *values: Record(Limits(*values), 10, 10), *[st.integers(0, 10**6).map(lambda kib: kib - kib % 4)] * 4
)


@given(st.lists(ENTRY, max_size=12), st.dictionaries(st.integers(1, 8), RECORD, max_size=8))
def test_a_plan_carried_out_leaves_nothing_to_plan(entries: list[dict[str, Any]], start: dict[int, Record]) -> None:
    one = spec(*entries, grace_days=2)
    places = [(mount, kind) for mount in ("/home", "/") for kind in ("user", "project")]
    host = Observed(
        records={place: dict(start) for place in places},
        blocks={"/home": 4096, "/": 4096},
        graces=dict.fromkeys(places, (604800, 604800)),
        tags={directory: Tag(0, False) for target in targets_of(one) for directory in target.directories},
    )
    first = planned(one, host)
    touched = {(key[:2], key[2]) for key in first.changes}
    for change in first.changes.values():
        if change.limits is not None:
            host.records[change.target.mount, change.target.kind][change.target.id] = Record(change.limits, 10, 10)
        for directory in change.tag:
            host.tags[directory] = Tag(change.target.id, True)
    host.graces = dict.fromkeys(places, (172800, 172800))
    host.projid = host.projid if first.projid is None else first.projid
    second = planned(one, host)
    assert (second.changed, second.failures) == (False, {})
    # Nobody else's limits moved.
    for place, records in host.records.items():
        assert {number: one for number, one in records.items() if (place, number) not in touched} == {
            number: one for number, one in start.items() if (place, number) not in touched
        }
