# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role writes is what the tools read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.quota.model import GIB, Limit
from ansible.module_utils.lyceum.storage.settings import load

from .conftest import Site


def test_everything_is_read(site: Site) -> None:
    policy = load(site.etc)
    assert policy.settings.warn_percent == (80, 90, 100)
    assert list(policy.people) == ["amartin", "bchen"]
    person = policy.people["amartin"]
    assert (person.recipient.uid, person.recipient.email) == (2001, "amartin@example.org")
    assert [(quota.kind, quota.name) for quota in person.quotas] == [
        ("user", "home"),
        ("project", "scratch-amartin"),
        ("user", "scratch"),
        ("user", "projects"),
        ("user", "other"),
        ("user", "other"),
    ]
    assert person.quotas[0].space == Limit(GIB * 9 // 10, GIB)
    assert policy.projects["retina"].write == ("amartin",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"warn_percent": "x"}, "invalid literal for int() with base 10: 'x'"),
        (
            {"purge": {"after_days": 1, "notice_days": 1, "age_by": ["birth"], "exclude": [], "exempt": []}},
            "age_by must be some of read, changed, arrived, not ['birth']",
        ),
        (
            {"purge": {"after_days": 1, "notice_days": 1, "age_by": [], "exclude": [], "exempt": []}},
            "age_by must be some of read, changed, arrived, not []",
        ),
    ],
)
def test_settings_that_are_not_understood(site: Site, change: dict[str, Any], message: str) -> None:
    site.settings.update(change)
    with pytest.raises(LyceumError) as caught:
        site.write()
    path = site.etc / "groups_and_acls.json"
    assert str(caught.value) == f"{path} is not understood: {message}. The role groups_and_acls writes it anew."


def test_a_missing_file_is_named(site: Site) -> None:
    path = site.etc / "groups_and_acls.json"
    path.unlink()
    with pytest.raises(LyceumError) as caught:
        load(site.etc)
    assert str(caught.value) == f"cannot read {path}: No such file or directory. The role groups_and_acls writes it."


def test_half_a_file_is_named(site: Site) -> None:
    path = site.etc / "groups_and_acls.d/amartin.json"
    path.write_text(json.dumps({"name": "amartin"}))
    with pytest.raises(LyceumError, match=r"amartin\.json is not understood: 'uid'"):
        load(site.etc)
