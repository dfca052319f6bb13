# SPDX-License-Identifier: GPL-3.0-or-later
"""The search for secrets finds them in every place and spelling, and does not say what they are."""

from __future__ import annotations

import base64
import gzip
import io
import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "proof"))

from secret_watch import SEARCH, Secrets

TEXT = 'pass+word/"of"=nobody?é'
PYTHON = sys.executable


@pytest.fixture
def known() -> Secrets:
    return Secrets({"token": TEXT})


@pytest.mark.parametrize(
    "spelling",
    [
        TEXT,
        f"https://bot:{quote(TEXT, safe='')}@localhost/",
        json.dumps({"password": TEXT}),
        *(base64.b64encode(f"{user}:{TEXT}".encode()).decode() for user in ("b", "bo", "bot", "robot")),
        base64.urlsafe_b64encode(f"bot:{TEXT} and more".encode()).decode(),
    ],
)
def test_every_spelling_is_found(known: Secrets, spelling: str) -> None:
    assert known.found_in(f"before {spelling} after".encode(), "the log") == ["token in the log"]


def test_nothing_is_found_where_nothing_is(known: Secrets) -> None:
    assert known.found_in(b"pass word of nobody", "the log") == []


def test_a_secret_across_two_blocks_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SEARCH["secrets_stream"].__globals__, "BLOCK", 7)
    needles = SEARCH["secrets_needles"]({"token": TEXT})
    data = f"0123456789{TEXT}0123456789".encode()
    assert SEARCH["secrets_stream"](io.BytesIO(data), needles) == ({"token"}, len(data))


def test_what_is_short_is_not_looked_for() -> None:
    with pytest.raises(RuntimeError, match="pin is too short"):
        Secrets({"pin": "1234"}).found_in(b"", "nothing")


def test_files_are_read_also_compressed_and_own_places_left_out(tmp_path: Path) -> None:
    own = {"name": "token", "path": str(tmp_path / "own")}
    (tmp_path / "own").write_text(f"{TEXT}\n")
    (tmp_path / "log").write_text(f"x {TEXT}")
    (tmp_path / "old.gz").write_bytes(gzip.compress(TEXT.encode()))
    (tmp_path / "broken.gz").write_bytes(b"no gzip")
    (tmp_path / "link").symlink_to(tmp_path / "log")
    found, count, large = Secrets.here([own]).found_below(tmp_path, [own])
    assert sorted(found) == [f"token in {tmp_path}/log", f"token in {tmp_path}/old.gz"]
    assert (count, large) == (3, [])


def test_a_file_may_have_more_than_one_secret(tmp_path: Path) -> None:
    file = tmp_path / "app.ini"
    file.write_text(f"SECRET_KEY = {'k' * 20}\nNAME = gitea\nINTERNAL_TOKEN = {'t' * 20}\nJWT_SECRET =\n")
    pattern = r"^(?:SECRET_KEY|INTERNAL_TOKEN|JWT_SECRET) *=[ \t]*(.*)$"
    known = SEARCH["secrets_sources"]([{"name": "app.ini", "path": str(file), "pattern": pattern}])
    assert known == {"app.ini 1": "k" * 20, "app.ini 2": "t" * 20}


def test_a_host_is_searched_except_where_secrets_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = tmp_path / "journalctl"
    journal.write_text(f"#!/bin/sh\necho 'MESSAGE={TEXT}'\n")
    journal.chmod(0o755)
    search = SEARCH["secrets_search"]
    monkeypatch.setitem(search.__globals__, "ENVIRONMENT", {"PATH": f"{tmp_path}:/usr/bin:/bin"})
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "own").write_text(TEXT)
    (etc / "app.ini").write_text(f"PASSWD = {TEXT}")
    (etc / "other").write_text(TEXT)
    sources = [
        {"name": "password", "path": f"{etc}/own"},
        {"name": "app.ini", "path": f"{etc}/app.ini", "pattern": "PASSWD = (.*)"},
    ]
    seen = search(sources, {}, [str(etc)])
    assert {(name, place) for name, place in seen["found"]} == {
        (name, place) for name in ("password", "app.ini 1") for place in (f"{etc}/other", "the journal")
    }
    assert (seen["files"], seen["large"]) == (3, [])


def test_processes_are_seen_by_argument_and_environment() -> None:
    bait = Secrets({"one": "a" * 30, "two": "b" * 30})
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(1)', 'a' * 30],"
    program += " env={'X': 'b' * 30})"
    seen = bait.watch([PYTHON, "-c", program])
    assert (seen.status, seen.output) == (0, b"")
    assert {place.partition(" in ")[0] for place in seen.found} == {"one", "two"}
    assert any("the command line of python" in place for place in seen.found)
    assert any("the environment of python" in place for place in seen.found)
    assert seen.lines > 1


def test_the_output_of_a_command_is_read(known: Secrets) -> None:
    program = f"import sys; print({TEXT!r}, file=sys.stderr); sys.exit(3)"
    seen = known.watch([PYTHON, "-c", program])
    assert seen.status == 3
    assert "token in the output" in seen.found


def test_nobody_is_shown_a_secret(known: Secrets, tmp_path: Path) -> None:
    shown = f"{known} {known!r} {known | known!r} {known.watch([PYTHON, '-c', 'print(1)'])!r} {vars(known)}"
    assert TEXT not in shown
    assert "token" in shown


FAILING = """
import sys
from pathlib import Path
sys.path.insert(0, {proof!r})
import plugin
from secret_scene import Scene
from secret_watch import Secrets

TEXT = Path({file!r}).read_text()

class Broken:
    def probe(self, *words, **parameters):
        raise ValueError("no connection")

def test_search():
    Secrets({{"pin": TEXT}}).found_in(b"", "nothing")

def test_probe():
    Scene(Broken(), {{"secrets": []}}, Secrets({{"bait": TEXT}})).probe("search", known={{"pin": TEXT}})
"""


def test_no_failure_shows_a_secret(tmp_path: Path) -> None:
    file, test = tmp_path / "pin", tmp_path / "test_failing.py"
    file.write_text("pin-9876")
    test.write_text(FAILING.format(proof=str(Path(__file__).parents[1] / "proof"), file=str(file)))
    words = ["-m", "pytest", "-p", "no:cacheprovider", f"--rootdir={tmp_path}", "--tb=long", str(test)]
    done = subprocess.run([PYTHON, *words], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "2 failed" in done.stdout, done.stdout
    assert "pin is too short to be looked for" in done.stdout
    assert "ValueError: no connection" in done.stdout
    assert "pin-9876" not in done.stdout + done.stderr
