# SPDX-License-Identifier: GPL-3.0-or-later
"""Draft a registry from what exists: the accounts of a host and members files.

Numbers are kept. What cannot be taken over, or not without a decision, is left out or taken over unchanged, and listed
for a human; nothing is guessed.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import LyceumError
from . import names, sshkeys
from .classify import Classifier, Verdict, derive_login
from .document import entry_lines, flow_text
from .edit import KEY_ORDER
from .identities import SYSTEM_IDS
from .model import DEFAULT_AFFILIATIONS, DEFAULT_ID_RANGES, IdRange
from .survey import Account, HostGroup, Survey

_NO_LOGIN_SHELLS = ("nologin", "false", "true", "sync", "halt", "shutdown")
# Groups that make their members root or let them read everybody's data, with or without a password.
_POWERS = frozenset(
    ("root", "sudo", "wheel", "admin", "adm", "disk", "shadow", "docker", "lxd", "incus", "libvirt", "systemd-journal")
)
# Above the people of any usual host: nobody, systemd's dynamic users and the like. Directory services begin far above.
_SKIPPED = IdRange(60001, 65535)
_EMAIL = re.compile(r"[^@\s:,<>]+@[^@\s:,<>]+\.[^@\s:,<>]+")
_HOME = re.compile(r"(/[A-Za-z0-9_+-][A-Za-z0-9._+-]*){2,}")
_ALIAS = re.compile(r"[^\s:,\x00-\x1f\x7f]{1,254}")


@dataclass(frozen=True)
class Entry:
    """An entry of the new registry and the comments above it."""

    data: dict[str, Any]
    comments: tuple[str, ...]


@dataclass
class Draft:
    """A registry to be written, and what a human has to look at: heading -> sentences."""

    people: list[Entry] = field(default_factory=list)
    groups: list[Entry] = field(default_factory=list)
    id_ranges: dict[str, IdRange] = field(default_factory=dict)
    affiliations: dict[str, dict[str, str]] = field(default_factory=dict)
    review: dict[str, list[str]] = field(default_factory=dict)

    def note(self, heading: str, sentence: str) -> None:
        self.review.setdefault(heading, []).append(_one_line(sentence))


@dataclass(frozen=True)
class _Candidate:
    """One person: the account that counts, and its other names."""

    account: Account
    spellings: tuple[str, ...]  # all names of the account, the main one first
    second_of: str | None = None  # login of the person whose second account this is
    on_host: bool = True


def draft(survey: Survey, classifier: Classifier, *, host: str, renumber: bool = False) -> Draft:
    """Make a registry from a survey and a classifier (which carries the members files).

    host: how comments call the source. renumber: give ids that the registry cannot hold a new number, with
    `migrate_uid: true` for people, instead of leaving them for a human. LyceumError when there is no number left.
    """
    result = Draft()
    for sentence in (*survey.notes, *classifier.members.conflicts):
        result.note("Look at", sentence)
    candidates = _candidates(survey, classifier, result)
    logins = _logins(candidates, classifier, result)
    shared, primary_of = _shared_groups(survey, logins)
    groups = _groups(shared, survey, logins, result, host)
    own_gid = {group.name: group.gid for group in survey.groups}
    people = _people(candidates, logins, classifier, own_gid, result, host)
    _memberships(people, groups, survey, logins, primary_of, result)
    result.groups = [Entry(entry, (f"{host}: group {_one_line(name)}",)) for name, entry in groups.items()]
    result.people = list(people.values())
    _declare_affiliations(result)
    on_host = {account.uid for account in survey.accounts} | {group.gid for group in survey.groups}
    _number(result, on_host, renumber)
    return result


# -- who -----------------------------------------------------------------------------------------------------------


def _candidates(survey: Survey, classifier: Classifier, result: Draft) -> list[_Candidate]:
    """Accounts of people, those with one uid merged where that is certain, and names that only members files have."""
    main_of = {other: main for main, others in classifier.same_person.items() for other in others}
    by_uid: dict[int, list[Account]] = {}
    for account in survey.accounts:
        if account.uid >= survey.uid_min and account.uid not in _SKIPPED and account.uid < 2**32 - 2:
            by_uid.setdefault(account.uid, []).append(account)
    found = []
    for uid, accounts in by_uid.items():
        first = min(
            accounts, key=lambda one: (one.name.lower() in main_of, not names.NAME.fullmatch(one.name), one.name)
        )
        same = [first]
        for account in accounts:
            person = {main_of.get(one.name.lower(), one.name.lower()) for one in (first, account)}
            if account is not first and (account.home == first.home or len(person) == 1):
                same.append(account)
                result.note(
                    "Two names of one account",
                    f"{account.name} is the same account as {first.name} (uid {uid}): now an alias",
                )
            elif account is not first:
                result.note(
                    "Left out",
                    f"{account.name} has the uid {uid} of {first.name}. Give one of them another uid on the host, "
                    "or say that they are one person with same_person",
                )
        keys = tuple(dict.fromkeys(key for account in same for key in account.keys))
        found.append(_Candidate(replace(first, keys=keys), tuple(account.name for account in same)))
    known = {spelling.lower() for candidate in found for spelling in candidate.spellings}
    for name in classifier.members.names:
        if name in known or name in main_of:
            continue
        if name in classifier.members.archived or name in classifier.archived:
            result.note("Look at", f"{name} is archived and has no account: nothing to keep")
            continue
        result.note("Not on the host", f"{name} stands in a members file but has no account: gets the next free uid")
        found.append(_Candidate(Account(name, -1, -1, "", "", "/bin/bash"), (name,), on_host=False))
    return found


def _logins(candidates: list[_Candidate], classifier: Classifier, result: Draft) -> dict[str, str]:
    """account name (every spelling) -> login. Accounts without a usable login of their own are left out and noted."""
    wanted: dict[str, list[_Candidate]] = {}
    for candidate in candidates:
        name = candidate.account.name
        login = classifier.logins.get(name.lower()) or derive_login(name)
        wrong = ("gives no usable login", "") if login is None else names.problem(login)
        if wrong:
            result.note(
                "Left out",
                f"{name} (uid {candidate.account.uid}): {login or 'the name'} {wrong[0]}. If this is a person, "
                f"choose a login: logins: {{{flow_text(name)}: ...}}",
            )
        else:
            wanted.setdefault(str(login), []).append(candidate)
    found: dict[str, str] = {}
    for login, rivals in wanted.items():
        holders = [rival for rival in rivals if rival.account.name == login] if len(rivals) > 1 else rivals
        for rival in rivals:
            name = rival.account.name
            if rival not in holders:
                others = ", ".join(other.account.name for other in rivals if other is not rival)
                result.note(
                    "Left out",
                    f"{name} (uid {rival.account.uid}) would be called {login}, and so would {others}. Choose a login: "
                    f"logins: {{{flow_text(name)}: ...}}, or say that they are one person with same_person",
                )
                continue
            if name != login:
                hosts = " On every host: usermod -l {0} {1}; groupmod -n {0} {1}" if rival.on_host else ""
                changed = f"{name} is now {login}; the old name is an alias.{hosts.format(login, shlex.quote(name))}"
                result.note("Names changed", changed)
            for spelling in rival.spellings:
                found[spelling] = login
    return found


# -- groups --------------------------------------------------------------------------------------------------------


def _shared_groups(survey: Survey, logins: Mapping[str, str]) -> tuple[list[HostGroup], dict[str, HostGroup]]:
    """(groups that people share, account -> its primary group). A group named like an account is that account's own."""
    own = {account.name.lower() for account in survey.accounts}
    by_gid = {group.gid: group for group in reversed(survey.groups)}
    primary_of = {account.name: by_gid[account.gid] for account in survey.accounts if account.gid in by_gid}
    shared = [
        group
        for group in survey.groups
        if group.gid >= survey.uid_min and group.gid not in _SKIPPED and group.name.lower() not in own
    ]
    return shared, primary_of


def _groups(
    shared: Sequence[HostGroup], survey: Survey, logins: Mapping[str, str], result: Draft, host: str
) -> dict[str, dict[str, Any]]:
    """name on the host -> entry."""
    found: dict[str, dict[str, Any]] = {}
    taken = set(logins.values())
    for group in shared:
        name = derive_login(group.name)
        wrong = ("gives no usable name", "") if name is None else names.problem(name)
        if wrong or name in taken or name is None:
            reason = wrong[0] if wrong else "is a name that is taken already"
            result.note(
                "Left out",
                f"the group {group.name} (gid {group.gid}): {name or 'its name'} {reason}; rename it on the host",
            )
            continue
        if name != group.name:
            result.note("Names changed", f"the group {group.name} is now {name}")
        taken.add(name)
        found[group.name] = {"name": name, "gid": group.gid, "description": f"Imported from {host}"}
    names_of_groups = {group.name for group in shared}
    for group in survey.groups:
        members = sorted({logins[member] for member in group.members if member in logins})
        if group.name not in names_of_groups and members:
            own = logins.get(group.name)
            others = [member for member in members if member != own]
            heading = "Powers not taken over" if group.name in _POWERS else "Groups not taken over"
            if others:
                result.note(heading, f"{', '.join(others)}: in the group {group.name} (gid {group.gid})")
    return found


def _memberships(
    people: dict[str, Entry],
    groups: Mapping[str, Mapping[str, Any]],
    survey: Survey,
    logins: Mapping[str, str],
    primary_of: Mapping[str, HostGroup],
    result: Draft,
) -> None:
    """Put people into the shared groups: those listed, and those whose primary group it is."""
    member_of: dict[str, set[str]] = {}
    for group in survey.groups:
        if group.name not in groups:
            continue
        listed = set(group.members) | {name for name, primary in primary_of.items() if primary.name == group.name}
        for member in listed & set(logins):
            member_of.setdefault(logins[member], set()).add(str(groups[group.name]["name"]))
    for account, group in primary_of.items():
        if group.name in groups and account in logins:
            result.note(
                "Numbers",
                f"{logins[account]}: the primary group was the shared group {group.name}; it becomes a group of their "
                f"own, and {group.name} one of their further groups",
            )
    for login, entry in people.items():
        if entry.data.get("state") is None and login in member_of:
            entry.data["groups"] = sorted(member_of[login])


# -- people --------------------------------------------------------------------------------------------------------


def _people(
    candidates: Sequence[_Candidate],
    logins: Mapping[str, str],
    classifier: Classifier,
    own_gid: Mapping[str, int],
    result: Draft,
    host: str,
) -> dict[str, Entry]:
    """login -> entry. own_gid: account -> gid of the group that has its name."""
    main_of = {other: main for main, others in classifier.same_person.items() for other in others}
    login_of = {spelling.lower(): login for spelling, login in logins.items()}
    owner_of_key: dict[str, str] = {}
    found: dict[str, Entry] = {}
    for candidate in candidates:
        account = candidate.account
        if account.name not in logins:
            continue
        login = logins[account.name]
        verdict = classifier.classify(candidate.spellings)
        second = login_of.get(main_of.get(account.name.lower(), ""))
        second = None if second == login else second
        data: dict[str, Any] = {"name": login, "uid": account.uid}
        if own_gid.get(account.name, account.uid) != account.uid:
            data["gid"] = own_gid[account.name]
        data |= _identity(account, login, verdict, result)
        data["aliases"] = None if second else _aliases(candidate, login, classifier, login_of) or None
        if second is not None:
            data |= {"state": "suspended", "reason": f"second account of {second}"}
            result.note(
                "Two accounts of one person",
                f"{login} (uid {account.uid}) is a second account of {second}: suspended, so that the uid stays "
                f"reserved. Move its files, then: ./lyceum person remove {login}",
            )
        elif verdict.archived:
            data |= {"state": "absent", "reason": "archived"}
            if candidate.on_host:
                result.note(
                    "Will be removed", f"{login} (uid {account.uid}): the first run archives and removes the home"
                )
        else:
            data["ssh_keys"] = _keys(account, login, owner_of_key, result) or None
        if account.locked and data.get("state") is None:
            result.note(
                "Look at", f"{login}: the password is locked, but keys still log in. ./lyceum person suspend {login}?"
            )
        origin = f"account {account.name}" if candidate.on_host else f"no account; {account.name} in a members file"
        comments = [f"{host}: {origin}", f"affiliation: {verdict.why}"]
        found[login] = Entry(data, tuple(_one_line(comment) for comment in comments))
    return found


def _identity(account: Account, login: str, verdict: Verdict, result: Draft) -> dict[str, Any]:
    """Everything of an account that is neither a number, a name nor a key."""
    fields = [_one_line(part).strip() for part in account.gecos.split(",")]
    emails = [part for part in fields[1:] if _EMAIL.fullmatch(part)]
    shell = account.shell.rsplit("/", 1)[-1]
    access = "none" if shell in _NO_LOGIN_SHELLS else "git" if shell == "git-shell" else None
    home = account.home if account.home not in ("", f"/home/{login}") else None
    if home is not None and not _HOME.fullmatch(home):
        result.note("Homes", f"{login}: {home} cannot stand in the registry; move it to /home/{login} on the host")
        home = None
    if verdict.affiliation is None and not verdict.archived:
        result.note("No affiliation", f"{login}: ./lyceum person modify {login} --affiliation ...")
    return {
        "full_name": fields[0][:100] or None,
        "email": emails[0] if emails else None,
        "affiliation": verdict.affiliation,
        "access": access,
        "shell": account.shell if access is None and account.shell not in ("", "/bin/bash") else None,
        "home": home,
        "ends": account.expires,
    }


def _aliases(candidate: _Candidate, login: str, classifier: Classifier, login_of: Mapping[str, str]) -> list[str]:
    """Other names of the person that are nobody's login: spellings, and further accounts of the same person."""
    further = classifier.same_person.get(candidate.account.name.lower(), ())
    wanted = dict.fromkeys((*candidate.spellings, *further))
    return [name for name in wanted if name not in login_of.values() and name != login and _ALIAS.fullmatch(name)]


def _keys(account: Account, login: str, owner_of_key: dict[str, str], result: Draft) -> list[str]:
    found = []
    for line in account.keys:
        try:
            key = sshkeys.parse(line)
        except sshkeys.SshKeyError as error:
            result.note("Keys left out", f"{login}: {error}. {error.remedy}")
            continue
        owner = owner_of_key.setdefault(key.fingerprint, login)
        if owner != login:
            result.note(
                "Keys left out", f"{login}: {key.fingerprint} is also a key of {owner}; each needs one of their own"
            )
        elif key.line not in found:
            found.append(key.line)
    return found


# -- numbers and affiliations --------------------------------------------------------------------------------------


def _declare_affiliations(result: Draft) -> None:
    """Affiliations the site has of its own. They give no access by themselves; whoever has a shell keeps it."""
    own = {str(entry.data["affiliation"]) for entry in result.people if entry.data.get("affiliation")}
    for name in sorted(own - set(DEFAULT_AFFILIATIONS)):
        if not names.NAME.fullmatch(name):
            continue  # the validator says what is wrong with it
        result.affiliations[name] = {"access": "none", "description": "Imported"}
        result.note(
            "Look at", f"the affiliation {name} is new: say in groups.yml what access its people have by default"
        )
        for entry in result.people:
            if (
                entry.data.get("affiliation") == name
                and entry.data.get("access") is None
                and not entry.data.get("state")
            ):
                entry.data["access"] = "shell"


def _number(result: Draft, on_host: set[int], renumber: bool) -> None:
    """Choose ranges that hold the numbers found, and give numbers to those who have none (or none that can stay).

    on_host: every number of the host; those of accounts that were left out must not be given to others either.
    """
    uids = [entry.data["uid"] for entry in result.people if entry.data["uid"] >= 0]
    gids = [entry.data["gid"] for entry in result.groups]
    ranges = _ranges([uid for uid in uids if not _system(uid)], gids)
    if ranges != dict(DEFAULT_ID_RANGES):
        result.id_ranges = ranges
    used = {*on_host, *uids, *gids}

    def free(kind: str) -> int:
        span = ranges[kind]
        number = max((one for one in used if one in span), default=span.first - 1) + 1
        if number not in span:
            gaps = (one for one in range(span.first, span.last + 1) if one not in used)
            number = next(gaps, -1)
        if number < 0:
            raise LyceumError(f"The import needs new numbers for {kind}, and all of {span} are in use on the host.")
        used.add(number)
        return number

    clash = [gid for gid in gids if gid in uids]
    for entry in result.groups:
        gid = entry.data["gid"]
        if gid in ranges["groups"] and gid not in clash:
            continue
        new = free("groups") if renumber else gid
        entry.data["gid"] = new
        advice = (
            f"is now {new}; on every host: find / -xdev -gid {gid} -exec chgrp -h {new} {{}} +" if renumber else _STAYS
        )
        result.note("Numbers", f"the group {entry.data['name']}: gid {gid} {advice}")
    for entry in result.people:
        uid = entry.data["uid"]
        if uid < 0:
            entry.data["uid"] = free("people")
        elif uid not in ranges["people"] or _system(uid):
            if renumber:
                entry.data["uid"] = free("people")
                entry.data["migrate_uid"] = True
                entry.data.pop("gid", None)
            advice = f"is now {entry.data['uid']}; the first run moves the files" if renumber else _STAYS
            result.note("Numbers", f"{entry.data['name']}: uid {uid} {advice}")


_STAYS = "cannot stay in the registry: run the import again with --renumber, or decide by hand"


def _system(number: int) -> bool:
    return any(number in span for span, _ in SYSTEM_IDS)


def _ranges(uids: Sequence[int], gids: Sequence[int]) -> dict[str, IdRange]:
    """The default ranges, widened to what is in use where they can be without overlapping, with room for more."""
    ranges = dict(DEFAULT_ID_RANGES)
    if uids:
        people = ranges["people"]
        ranges["people"] = IdRange(min(people.first, *uids), max(people.last, *uids))
    inside = ranges["people"]
    if inside.last >= ranges["groups"].first:
        ranges["groups"], ranges["projects"] = IdRange(100001, 109999), IdRange(110001, 199999)
    outside = [gid for gid in gids if gid not in inside and not _system(gid) and gid not in ranges["projects"]]
    groups, others = ranges["groups"], (inside, ranges["projects"], *(span for span, _ in SYSTEM_IDS))
    if outside:
        low, high = min(outside), max(outside)
        wider = (IdRange(min(groups.first, low), max(groups.last, high)), IdRange(low, high + 999))
        fitting = [
            one for one in wider if not any(one.first <= span.last and span.first <= one.last for span in others)
        ]
        ranges["groups"] = fitting[0] if fitting else groups
    return ranges


# -- text ----------------------------------------------------------------------------------------------------------


def files(result: Draft, *, source: str) -> dict[str, str]:
    """file name -> text of the registry files, and REVIEW.md. source: one line saying where all this comes from."""
    ranges = {kind: {"first": span.first, "last": span.last} for kind, span in result.id_ranges.items()}
    head = f"---\n# {_one_line(source)}\n"
    return {
        "people.yml": head
        + (f"lyceum_id_ranges:\n{_indented(ranges)}\n" if ranges else "")
        + _section("lyceum_people", result.people, flow=False),
        "groups.yml": head
        + (f"lyceum_affiliations:\n{_indented(result.affiliations)}\n" if result.affiliations else "")
        + _section("lyceum_groups", result.groups, flow=True),
        "projects.yml": f"{head}lyceum_projects: []\n",
        "limits.yml": f"{head}lyceum_limits:\n  defaults: {{}}\n",
        "REVIEW.md": review(result, source=source),
    }


def review(result: Draft, *, source: str) -> str:
    """What needs a human, as Markdown."""
    lines = ["# To be looked at after the import", "", _one_line(source), ""]
    for heading, sentences in result.review.items():
        lines += [f"## {heading} ({len(sentences)})", "", *(f"- {sentence}" for sentence in sentences), ""]
    if not result.review:
        lines += ["Nothing.", ""]
    return "\n".join(lines)


def _section(variable: str, entries: Iterable[Entry], *, flow: bool) -> str:
    blocks = []
    for entry in entries:
        order = KEY_ORDER["groups" if flow else "people"]
        data = {key: entry.data[key] for key in order if entry.data.get(key) is not None}
        lines = [*(f"# {comment}" for comment in entry.comments), *entry_lines(data, flow=flow)]
        blocks.append("\n".join(f"  {line}" for line in lines))
    return f"{variable}:\n" + ("\n" if flow else "\n\n").join(blocks) + "\n" if blocks else f"{variable}: []\n"


def _indented(values: Mapping[str, Any]) -> str:
    return "".join(f"  {key}: {flow_text(value)}\n" for key, value in values.items())


def _one_line(text: str) -> str:
    """Printable characters only: names come from hosts where anybody may have chosen them."""
    return "".join(char if char.isprintable() else " " for char in text)
