# SPDX-License-Identifier: GPL-3.0-or-later
"""Pinned files: from the cache, a mirror and upstream, and never another file than the one wanted."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum import artifacts
from ansible.module_utils.lyceum.errors import LyceumError

CONTENT = b"a program\n"
SUM = hashlib.sha256(CONTENT).hexdigest()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    folder = tmp_path / "mirror"
    folder.mkdir()
    (folder / "tool-1.0").write_bytes(CONTENT)
    return folder


@pytest.fixture
def upstream(mirror: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(mirror))) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def silent() -> Iterator[str]:
    """An address that takes connections and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def tool(**values: Any) -> artifacts.Artifact:
    return artifacts.Artifact.from_params(
        {"name": "tool", "version": "1.0", "file": "tool-1.0", "sha256": SUM, **values}
    )


def test_it_comes_from_the_mirror_once_and_then_from_the_cache(tmp_path: Path, mirror: Path) -> None:
    cache = artifacts.Cache(tmp_path / "cache", str(mirror))
    assert cache.obtain(tool()).source == f"{mirror}/tool-1.0"
    (mirror / "tool-1.0").unlink()
    got = cache.obtain(tool())
    assert (got.source, got.path.read_bytes(), got.path.name) == ("cache", CONTENT, SUM)


def test_it_comes_from_a_mirror_that_is_an_address(tmp_path: Path, upstream: str) -> None:
    assert artifacts.Cache(tmp_path / "cache", f"{upstream}/").obtain(tool()).source == f"{upstream}/tool-1.0"


def test_it_comes_from_its_makers_when_the_mirror_lacks_it(tmp_path: Path, mirror: Path, upstream: str) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    got = artifacts.Cache(tmp_path / "cache", str(empty)).obtain(tool(url=f"{upstream}/tool-1.0"))
    assert got.source == f"{upstream}/tool-1.0"


def test_another_file_is_never_kept(tmp_path: Path, mirror: Path) -> None:
    (mirror / "tool-1.0").write_bytes(b"a trap\n")
    cache = artifacts.Cache(tmp_path / "cache", str(mirror))
    with pytest.raises(LyceumError, match="is not the file that is wanted: its sha256 is"):
        cache.obtain(tool())
    assert [path.name for path in cache.folder.iterdir()] == [".lock"]


def test_a_spoilt_cache_is_not_believed(tmp_path: Path, mirror: Path) -> None:
    cache = artifacts.Cache(tmp_path / "cache", str(mirror))
    cache.obtain(tool()).path.write_bytes(b"spoilt")
    assert cache.obtain(tool()).path.read_bytes() == CONTENT


def test_who_does_not_answer_is_given_up_in_time(tmp_path: Path, silent: str) -> None:
    began = time.monotonic()
    with pytest.raises(LyceumError) as refused:
        artifacts.Cache(tmp_path / "cache", seconds=0.3).obtain(tool(url=f"{silent}/tool-1.0"))
    assert time.monotonic() - began < 3
    assert str(refused.value) == (
        f"tool 1.0 cannot be had ({silent}/tool-1.0: no answer within 0.3 s): put tool-1.0 into a directory, and"
        " name that directory in lyceum_artifact_mirror"
    )


def test_what_is_not_there_is_said(tmp_path: Path, upstream: str) -> None:
    with pytest.raises(LyceumError, match=r"other: the answer is 404\): put other into a directory"):
        artifacts.Cache(tmp_path / "cache", upstream).obtain(tool(file="other"))
    with pytest.raises(LyceumError, match="there is neither a mirror nor an address"):
        artifacts.Cache(tmp_path / "cache").obtain(tool())


def test_without_a_sum_nothing_is_fetched(tmp_path: Path, mirror: Path) -> None:
    with pytest.raises(LyceumError, match="nobody has said its sha256"):
        artifacts.Cache(tmp_path / "cache", str(mirror)).obtain(tool(sha256=""))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sha256": "abc"}, "tool: 'abc' is not a sha256"),
        ({"url": "ftp://example.org/x"}, "tool: ftp://example.org/x must begin with https:// or http://"),
        ({"file": "../../etc/passwd"}, "is not the name of a file"),
        ({"file": "", "url": ""}, "tool: '' is not the name of a file"),
    ],
    ids=str,
)
def test_invalid_input(values: dict[str, str], message: str) -> None:
    with pytest.raises(LyceumError, match=message.replace(".", r"\.")):
        tool(**values)


def test_what_is_not_required_is_said_and_the_run_goes_on(tmp_path: Path, mirror: Path) -> None:
    entry = {"name": "tool", "version": "1.0", "sha256": SUM}
    wanted = [
        {**entry, "file": "tool-1.0"},
        {**entry, "name": "lost", "file": "lost-1.0", "required": False, "sha256": "0" * 64},
    ]
    result = artifacts.run({"artifacts": wanted, "mirror": str(mirror), "directory": str(tmp_path / "cache")})
    assert {name: found["available"] for name, found in result["artifacts"].items()} == {"tool": True, "lost": False}
    assert "msg" not in result
    assert result["lyceum"]["not_enforced"] == [result["artifacts"]["lost"]["reason"]]
    assert "lost 1.0 cannot be had" in result["lyceum"]["not_enforced"][0]
