# SPDX-License-Identifier: GPL-3.0-or-later
"""A messy host becomes the registry of the golden files; whatever a host holds becomes readable YAML."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.lyceum.registry import importer, survey, validate
from ansible.module_utils.lyceum.registry.classify import Classifier, parse_members
from ansible.module_utils.lyceum.registry.model import DEFAULT_ID_RANGES, IdRange
from ansible.module_utils.lyceum.registry.survey import Account, HostGroup, Survey
from hypothesis import given, settings
from hypothesis import strategies as st

FIXTURES = Path(__file__).resolve().parents[3] / "fixtures" / "import"
SOURCE = "Drafted from web1; see REVIEW.md."
TODAY = date(2026, 11, 21)


def messy(**changes: Any) -> importer.Draft:
    members = parse_members(
        (f"{name}.members", (FIXTURES / f"{name}.members").read_text())
        for name in ("student", "researcher", "archived")
    )
    raw = yaml.safe_load((FIXTURES / "classify.yml").read_text())["lyceum_classify"]
    found = survey.parse((FIXTURES / "survey.txt").read_text())
    return importer.draft(
        found, Classifier.from_raw({**raw, **changes.pop("classify", {})}, members), host="web1", **changes
    )


def errors_of(draft: importer.Draft) -> list[str]:
    texts = importer.files(draft, source=SOURCE)
    raw: dict[str, Any] = {}
    for name, text in texts.items():
        if name.endswith(".yml"):
            raw |= {key.removeprefix("lyceum_"): value for key, value in yaml.load(text, yaml.BaseLoader).items()}
            raw |= {key.removeprefix("lyceum_"): value for key, value in _dates_as_text(yaml.safe_load(text)).items()}
    return [f"{problem.path}: {problem.message}" for problem in validate.problems(raw, today=TODAY)]


def _dates_as_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _dates_as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_dates_as_text(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value


def test_the_messy_host_gives_the_golden_files() -> None:
    made = importer.files(messy(), source=SOURCE)
    for name in ("people.yml", "groups.yml", "REVIEW.md"):
        assert made[name] == (FIXTURES / "expected" / name).read_text(), name


def test_exactly_what_was_listed_remains() -> None:
    remaining = errors_of(messy())
    assert len([line for line in remaining if "affiliation: is missing" in line]) == 4
    assert [line for line in remaining if "affiliation" not in line] == [
        "lyceum_people[biguser].uid: lies in 524288-1879048191, the ids of subordinate ids and containers",
        "lyceum_groups[mixed].gid: is also the gid of the person ivolkov",
        "lyceum_groups[students].gid: is outside the range of groups, 20001-21003",
    ]


def test_renumbered_and_classified_it_is_valid() -> None:
    draft = messy(renumber=True, classify={"default": "student"})
    assert errors_of(draft) == []
    people = {entry.data["name"]: entry.data for entry in draft.people}
    assert people["biguser"]["migrate_uid"] is True
    assert people["bchen"]["uid"] == 1002
    assert "migrate_uid" not in people["bchen"]


def test_logins_chosen_by_hand_and_same_person_settle_what_was_left_out() -> None:
    by_hand = {"logins": {"j.doe@ad.example.org": "jandoe", "git": "gituser"}, "same_person": {"gnovak": ["toor"]}}
    draft = messy(renumber=True, classify={"default": "student", **by_hand})
    people = {entry.data["name"]: entry.data for entry in draft.people}
    assert people["jandoe"]["uid"] == 1013
    assert people["jdoe"]["uid"] == 1014
    assert people["gituser"]["access"] == "git"
    assert people["gnovak"]["aliases"] == ["toor"]
    assert draft.review["Left out"] == [
        "the group staff (gid 20003): staff is a name of the operating system; rename it on the host"
    ]
    assert errors_of(draft) == []


def test_numbers_of_accounts_that_were_left_out_are_not_given_to_others() -> None:
    accounts = (Account("a.b@x", 3000, 3000, "", "", ""), Account("ab@y", 3001, 3001, "", "", ""))
    members = parse_members([("student.members", "new\n")])
    draft = importer.draft(Survey(accounts), Classifier.from_raw(None, members), host="web1")
    assert [(entry.data["name"], entry.data["uid"]) for entry in draft.people] == [("new", 3002)]
    assert len(draft.review["Left out"]) == 2


def test_a_range_full_to_its_end_is_filled_from_its_gaps() -> None:
    accounts = (Account("last", 9999, 9999, "", "", ""), Account("far", 524288, 524288, "", "", ""))
    draft = importer.draft(Survey(accounts), Classifier.from_raw(None), host="web1", renumber=True)
    assert [entry.data["uid"] for entry in draft.people] == [9999, 2001]


@pytest.mark.parametrize(
    ("uids", "gids", "ranges"),
    [
        ([], [], {}),
        ([2001, 9999], [10001, 10999], {}),
        ([1000, 2500], [], {"people": IdRange(1000, 9999)}),
        ([2001], [9000, 20000], {"groups": IdRange(20000, 20999)}),
        ([2001, 30000], [40000], {"people": IdRange(2001, 30000), "groups": IdRange(40000, 40999),
                                  "projects": IdRange(110001, 199999)}),
        ([2001, 1720000000], [], {}),
    ],
)  # fmt: skip
def test_ranges_hold_what_is_in_use_where_they_can(
    uids: list[int], gids: list[int], ranges: dict[str, IdRange]
) -> None:
    accounts = tuple(Account(f"p{uid}", uid, uid, "", f"/home/p{uid}", "/bin/bash") for uid in uids)
    groups = tuple(HostGroup(f"g{gid}", gid, ()) for gid in gids)
    draft = importer.draft(Survey(accounts, groups), Classifier.from_raw({"default": "staff"}), host="web1")
    assert draft.id_ranges == ({**DEFAULT_ID_RANGES, **ranges} if ranges else {})


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=":\n"), max_size=20)
ACCOUNTS = st.builds(
    Account,
    name=TEXT,
    uid=st.one_of(st.integers(995, 1010), st.integers(0, 2**32)),
    gid=st.integers(995, 1010),
    gecos=TEXT,
    home=TEXT,
    shell=TEXT,
    expires=st.one_of(st.none(), st.dates()),
    locked=st.booleans(),
    keys=st.lists(TEXT, max_size=2).map(tuple),
)


@settings(deadline=None, max_examples=60)
@given(
    accounts=st.lists(ACCOUNTS, max_size=6),
    groups=st.lists(st.tuples(TEXT, st.integers(995, 1010), st.lists(TEXT, max_size=3)), max_size=4),
    members=TEXT,
    renumber=st.booleans(),
)
def test_any_host_becomes_yaml_that_holds_the_draft(
    accounts: list[Account], groups: list[Any], members: str, renumber: bool
) -> None:
    found = Survey(tuple(accounts), tuple(HostGroup(name, gid, tuple(names)) for name, gid, names in groups))
    classifier = Classifier.from_raw(None, parse_members([("student.members", members)]))
    draft = importer.draft(found, classifier, host="web1", renumber=renumber)
    texts = importer.files(draft, source=SOURCE)
    people = yaml.safe_load(texts["people.yml"])["lyceum_people"]
    assert people == [{k: v for k, v in entry.data.items() if v is not None} for entry in draft.people]
    assert len({person["name"] for person in people}) == len(people)
    assert len({person["uid"] for person in people}) == len(people)
    errors_of(draft)
