# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and texts as SQL has them. Statements are composed of nothing else."""

from __future__ import annotations

from ..errors import LyceumError

NAME_BYTES = 63  # PostgreSQL cuts what is longer, and two names could become one


def name(text: str) -> str:
    """An identifier in quotes. Raises LyceumError for what cannot be one."""
    if problem := name_problem(text):
        raise LyceumError(f"{text!r} {problem}")
    return '"' + text.replace('"', '""') + '"'


def names(texts: list[str]) -> str:
    return ", ".join(map(name, texts))


def name_problem(text: str) -> str:
    """Why this cannot be the name of a role or a database; empty when it can."""
    if not text:
        return "is no name for a role or a database: it is empty"
    if "$" in text or not text.isprintable():
        return "is no name for a role or a database here: it has a $ or a control character in it"
    if len(text.encode()) > NAME_BYTES:
        return f"is too long for a role or a database: at most {NAME_BYTES} bytes"
    return ""


def text(value: str) -> str:
    """A string literal, whatever standard_conforming_strings says. Raises LyceumError for a zero byte."""
    if "\0" in value:
        raise LyceumError("a text for the database has a zero byte in it")
    quoted = "'" + value.replace("'", "''") + "'"
    return " E" + quoted.replace("\\", "\\\\") if "\\" in value else quoted
