# SPDX-License-Identifier: GPL-3.0-or-later
"""From what is there to what should be, without a file being touched."""

from __future__ import annotations

from pathlib import Path

from ansible.module_utils.lyceum.managed_files import Desired, DirectorySpec, FileSpec, Found, plan
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.sampled_from([Path(f"/etc/lyceum/{name}") for name in "abcd"])
SPECS = st.builds(
    FileSpec, NAMES, st.none() | st.sampled_from([b"", b"x", b"y"]), st.sampled_from([0o600, 0o644]), st.integers(0, 1)
)
FOUND = st.builds(
    Found,
    st.sampled_from(["file", "file", "other", "directory"]),
    st.sampled_from([0o600, 0o644]),
    st.integers(0, 1),
    st.just(0),
    st.sampled_from([b"", b"x"]),
)


@given(st.lists(SPECS, unique_by=lambda spec: spec.path), st.dictionaries(NAMES, FOUND))
def test_what_the_plan_makes_needs_no_further_plan(specs: list[FileSpec], found: dict[Path, Found]) -> None:
    desired = Desired(tuple(specs), exclusive=((Path("/etc/lyceum"), "*"),))
    actions, refused = plan(desired, found)
    after = dict(found)
    for action in actions:
        if isinstance(action.spec, FileSpec) and action.spec.content is not None:
            spec = action.spec
            after[action.path] = Found("file", spec.mode, spec.uid, spec.gid, action.spec.content)
        else:
            del after[action.path]
    again, still = plan(desired, after)
    assert (again, still) == ([], refused)
    wanted = {spec.path for spec in specs if spec.content is not None} - set(refused)
    assert {path for path, one in after.items() if one.kind == "file"} == wanted


def test_directories_come_before_the_files_in_them() -> None:
    desired = Desired((FileSpec(Path("/a/f"), b""),), (DirectorySpec(Path("/a"), 0o700),))
    assert [action.sentence for action in plan(desired, {})[0]] == ["create directory /a", "create /a/f"]
    blocked = plan(desired, {Path("/a"): Found("file", 0o644, 0, 0)})[1]
    assert blocked == {Path("/a"): "/a is not a directory; look at it and move it away"}


def test_nothing_is_removed_outside_the_pattern() -> None:
    desired = Desired((), exclusive=((Path("/a"), "*.json"),))
    found = {Path("/a/x.json"): Found("file", 0, 0, 0), Path("/a/d.json"): Found("directory", 0, 0, 0)}
    assert [action.sentence for action in plan(desired, found)[0]] == ["remove /a/x.json"]
