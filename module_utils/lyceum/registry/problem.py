# SPDX-License-Identifier: GPL-3.0-or-later
"""One thing that is wrong with a registry, as one line an admin can act on."""

from __future__ import annotations

from dataclasses import dataclass

ERROR = "error"
WARNING = "warning"


@dataclass(frozen=True)
class Problem:
    """severity: error | warning.
    file: "people.yml:12", or "" when the data did not come from a file.
    path: "lyceum_people[amartin].uid", or "" when it concerns a whole file.
    value: what stands there, shortened for display; "" when there is none or it must not be shown.
    message: what is wrong. remedy: what to do, as a whole sentence.
    """

    severity: str
    file: str
    path: str
    value: str
    message: str
    remedy: str

    def __str__(self) -> str:
        where = [f"{self.file}:"] if self.file else []
        if self.severity == WARNING:
            where.append("warning:")
        if self.path:
            where.append(f"{self.path} = {self.value}:" if self.value else f"{self.path}:")
        end = "" if self.message.endswith((".", "?")) else "."
        line = " ".join([*where, f"{self.message}{end}", self.remedy]).rstrip()
        # Names of keys and files come from outside: no line break and no control sequence may reach a terminal or log.
        return line if line.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def shorten(value: object) -> str:
    """A value as shown in a message: one line, printable, at most about 60 characters."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    plain = text.isprintable() and bool(text) and text == text.strip()
    short = text if len(text) <= 60 else f"{text[:57]}..."
    return short if plain and not isinstance(value, (dict, list)) else ascii(short)


def errors(problems: list[Problem]) -> list[Problem]:
    return [problem for problem in problems if problem.severity == ERROR]
