# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines between marks in files of others: put, moved along, taken out, and nothing else touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.lyceum.errors import LyceumError
from ansible.module_utils.lyceum.sshd import blocks, dropin
from hypothesis import given
from hypothesis import strategies as st

from .conftest import Sshd

PAM = """# PAM configuration for the Secure Shell service
@include common-account
@include common-session
session    required     pam_env.so user_readenv=1 envfile=/etc/default/locale
"""
PARAMS: dict[str, Any] = {
    "path": "/etc/pam.d/sshd",
    "text": "session required pam_example.so",
    "anchor": "^@include common-session$",
    "before": False,
    "strip": None,
    "optional": False,
}


def block(**changes: Any) -> blocks.Block:
    return blocks.Block.from_params({**PARAMS, **changes})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, PAM.replace("common-session\n", "common-session\n# BEGIN x\nsession required pam_example.so\n# END x\n")),
        (
            {"before": True, "text": "a\nb\n", "anchor": "^@include common-account$"},
            PAM.replace("@include common-account", "# BEGIN x\na\nb\n# END x\n@include common-account"),
        ),
        (
            {"strip": r"\s+user_readenv=1\b"},
            PAM.replace(
                "common-session\n", "common-session\n# BEGIN x\nsession required pam_example.so\n# END x\n"
            ).replace(" user_readenv=1", ""),
        ),
    ],
)
def test_the_block_stands_at_its_anchor(changes: dict[str, Any], expected: str) -> None:
    once = blocks.apply(block(**changes), PAM, "x", present=True)
    assert once == expected
    assert blocks.apply(block(**changes), once, "x", present=True) == expected


def test_an_older_block_is_replaced_and_the_owner_of_another_left_alone() -> None:
    theirs = blocks.apply(block(text="theirs"), PAM, "y", present=True)
    old = blocks.apply(block(text="old\nlines"), theirs, "x", present=True)
    new = blocks.apply(block(text="new"), old, "x", present=True)
    assert new is not None
    assert ("old" in new, "new\n" in new, "theirs\n" in new) == (False, True, True)
    assert blocks.apply(block(), new, "x", present=False) == theirs


def test_a_last_line_without_an_end_gets_one() -> None:
    assert blocks.apply(block(anchor="b"), "a\nb", "x", present=True) == (
        "a\nb\n# BEGIN x\nsession required pam_example.so\n# END x\n"
    )


def test_an_unfinished_block_takes_nothing_of_the_rest_with_it() -> None:
    torn = PAM.replace("@include common-session\n", "# BEGIN x\n@include common-session\n")
    assert blocks.apply(block(), torn, "x", present=False) == PAM


def test_a_missing_file_is_an_error_only_where_it_is_needed() -> None:
    assert blocks.apply(block(optional=True), None, "x", present=True) is None
    assert blocks.apply(block(), None, "x", present=False) is None
    with pytest.raises(LyceumError, match=r"^/etc/pam.d/sshd does not exist$"):
        blocks.apply(block(), None, "x", present=True)


def test_without_the_anchor_nothing_is_guessed() -> None:
    message = r"^/etc/pam.d/sshd has no line 'nowhere', so there is no place for what belongs there$"
    with pytest.raises(LyceumError, match=message):
        blocks.apply(block(anchor="nowhere"), PAM, "x", present=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"path": "/etc/passwd"}, "blocks: /etc/passwd is not in /etc/pam.d"),
        ({"anchor": "("}, r"blocks: /etc/pam.d/sshd: '\(' is not a pattern: "),
        ({"strip": "["}, r"blocks: /etc/pam.d/sshd: '\[' is not a pattern: "),
    ],
)
def test_bad_parameters(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(LyceumError, match=message):
        block(**changes)


@given(st.lists(st.text(st.characters(blacklist_categories=["Cs"]), max_size=12), max_size=8), st.booleans())
def test_what_was_put_can_be_taken_out_again(lines: list[str], end: bool) -> None:
    text = "\n".join(["anchor", *lines]) + ("\n" if end or not lines else "")
    put = blocks.apply(block(anchor="^anchor$"), text, "x", present=True)
    assert put is not None
    if "# BEGIN x" not in text and "# END x" not in text:
        assert blocks.apply(block(), put, "x", present=False) == text


# --- with the drop-in they belong to


@pytest.fixture
def pam(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(blocks, "DIRECTORY", sshd.root / "pam.d")
    path = sshd.root / "pam.d/sshd"
    path.parent.mkdir()
    path.write_text(PAM)
    return path


def spec(sshd: Sshd, pam: Path, content: str | None, **changes: Any) -> dropin.DropinSpec:
    return sshd.spec(content, blocks=[{**PARAMS, "path": str(pam), **changes}])


def install(wanted: dropin.DropinSpec) -> None:
    dropin.install(wanted, dropin.wanted(wanted))


def test_blocks_come_and_go_with_the_dropin(sshd: Sshd, pam: Path) -> None:
    install(spec(sshd, pam, "# ours\n", confirm_seconds=0))
    assert "# BEGIN lyceum 00-lyceum\n" in pam.read_text()
    assert dropin.wanted(spec(sshd, pam, "# ours\n"))[pam] == (pam.read_text(), pam.read_text())
    install(spec(sshd, pam, None, confirm_seconds=0))
    assert (pam.read_text(), sshd.path.exists()) == (PAM, False)


def test_blocks_are_taken_back_with_the_dropin(sshd: Sshd, pam: Path) -> None:
    install(spec(sshd, pam, "# first\n"))
    install(spec(sshd, pam, "# second\n", text="session required pam_other.so"))
    assert "pam_other" in pam.read_text()
    sshd.time_passes()
    assert (pam.read_text(), sshd.path.exists()) == (PAM, False)


@pytest.mark.parametrize("trouble", ["reload-fails", "run-fails"])
def test_a_failure_leaves_the_files_of_others_as_they_were(sshd: Sshd, pam: Path, trouble: str) -> None:
    (sshd.root / trouble).touch()
    with pytest.raises(LyceumError):
        install(spec(sshd, pam, "# ours\n"))
    assert (pam.read_text(), sshd.path.exists()) == (PAM, False)


def test_an_optional_file_that_is_missing_stays_missing(sshd: Sshd, pam: Path) -> None:
    missing = {**PARAMS, "path": str(pam.with_name("atd")), "optional": True}
    both = sshd.spec("# ours\n", blocks=[{**PARAMS, "path": str(pam)}, missing])
    assert dropin.wanted(both)[pam.with_name("atd")] == (None, None)
    install(both)
    assert not pam.with_name("atd").exists()


def test_a_file_has_one_block(sshd: Sshd, pam: Path) -> None:
    with pytest.raises(LyceumError, match="blocks: a file can have one block only"):
        sshd.spec("# ours\n", blocks=[{**PARAMS, "path": str(pam)}] * 2)
