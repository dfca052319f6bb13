# SPDX-License-Identifier: GPL-3.0-or-later
"""What the report says of sites and certificates."""

from __future__ import annotations

from ansible.module_utils.lyceum.web import sections

from .conftest import site


def test_sites() -> None:
    wanted = [{"name": "a", "server_names": ["a.org"], "upstream": "unix:/a"}, site("b", certificate="c"), site("w")]
    result = {
        "sites": ["a"], "failures": {"b": "broken"}, "unmanaged": ["x"], "actions": ["create y"], "notes": ["w waits"],
    }  # fmt: skip
    (section,) = sections.sites([*wanted, site("gone", state="absent")], result)
    assert section["rows"] == [
        ["a", "a.org", "unix:/a", "a", "served"],
        ["b", "b.example.org", "http://127.0.0.1:3000", "c", "broken"],
        ["w", "w.example.org", "http://127.0.0.1:3000", "w", "waits"],
    ]
    assert section["notes"] == ["a run would create y", "served without being in the list: x", "w waits"]


def test_certificates() -> None:
    one = {"name": "a", "source": "acme", "names": ["a.org", "b.org"], "issuer": "CN=x", "not_after": "2027-01-01",
           "days_left": 40}  # fmt: skip
    result = {
        "certificates": [one],
        "acme": [{"name": "b", "why": "there is none"}],
        "unmanaged": ["u"],
        "actions": ["x"],
    }
    (section,) = sections.certificates(result)
    assert section["rows"] == [["a", "acme", "a.org, b.org", "CN=x", "2027-01-01", "40"]]
    assert section["notes"] == ["a run would x", "a run would fetch b, because there is none", "in no list: u"]
    assert sections.certificates({})[0]["rows"] == []
    assert sections.certificates({"msg": "certificate c: no"})[0]["notes"] == ["certificate c: no"]
