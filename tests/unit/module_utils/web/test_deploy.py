# SPDX-License-Identifier: GPL-3.0-or-later
"""certbot's hook."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.web import certificates, deploy
from ansible.module_utils.lyceum.web.certificates import Places

from .test_certificates import entry, fetched


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    monkeypatch.setattr(certificates, "_reload", lambda unit: "no" if unit == "broken" else "")
    return Places(tmp_path / "certificates", tmp_path / "live")


def settings(tmp_path: Path, *entries: dict[str, Any]) -> Path:
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"certificates": entries}))
    return path


def test_only_what_was_renewed_is_replaced(tmp_path: Path, places: Places) -> None:
    path = settings(tmp_path, entry("a", source="acme"), entry("b", source="acme"))
    for name in ("a", "b"):
        fetched(places, name)
    outcome = deploy.deploy(path, {"RENEWED_LINEAGE": str(places.live / "a")}, places)
    assert outcome.failures == {}
    assert places.chain("a").exists()
    assert not places.chain("b").exists()
    deploy.deploy(path, {}, places)
    assert places.chain("b").exists()


def test_what_goes_wrong_is_said_and_is_an_exit_status(
    tmp_path: Path, places: Places, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(deploy, "SETTINGS", tmp_path / "none.json")
    assert deploy.main() == 1
    assert "run Ansible again" in capsys.readouterr().err
    with pytest.raises(LyceumError, match="cannot read"):
        deploy.deploy(tmp_path / "none.json", {}, places)
    monkeypatch.setattr(deploy, "SETTINGS", settings(tmp_path, entry("a", source="acme", reload=["broken"])))
    monkeypatch.setattr(deploy, "deploy", lambda path, _env: _deploy(path, {}, places))
    assert deploy.main() == 1
    assert "certificate a: broken does not read it: no" in capsys.readouterr().err
    fetched(places)
    monkeypatch.setattr(deploy, "SETTINGS", settings(tmp_path, entry("a", source="acme")))
    assert deploy.main() == 0
    assert "install certificate a (acme)" in capsys.readouterr().out


_deploy = deploy.deploy
