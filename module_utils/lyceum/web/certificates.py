# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys and certificates of a host made to match one list. Keys are made here and never leave the host.

Where a certificate comes from: `internal`, signed by the site's own authority on the controller, which gets only the
request; `files`, given with its key; `acme`, fetched by certbot, from whose directory it is copied.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import stat
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import CommandError, LyceumError
from ..files import write_all_atomically
from . import openssl
from .openssl import Description

DAY = 86400
PLACEHOLDER_DAYS = 7
KEY_MODE, CHAIN_MODE, FOLDER_MODE = 0o640, 0o644, 0o755
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


@dataclass(frozen=True)
class Places:
    """Where certificates are kept, and where certbot puts those it fetched."""

    directory: Path = Path("/etc/lyceum/certificates")
    live: Path = Path("/etc/letsencrypt/live")

    def key(self, name: str) -> Path:
        return self.directory / name / "key.pem"

    def chain(self, name: str) -> Path:
        return self.directory / name / "fullchain.pem"

    def waits(self, name: str) -> Path:
        """There from before a certificate is written until those who use it have read it."""
        return self.directory / name / ".reload"


@dataclass(frozen=True)
class Wanted:
    """One certificate as it should be. names as certificates write them; key and chain only where they are given."""

    name: str
    names: tuple[str, ...]
    source: str
    owner: str = "root"
    group: str = "root"
    reload: tuple[str, ...] = ()
    key: str = field(default="", repr=False)
    chain: str = ""
    absent: bool = False

    @classmethod
    def from_params(cls, entry: Mapping[str, Any]) -> Wanted:
        """Build from one entry of the module's list. Raises LyceumError."""
        name = str(entry["name"])
        if not NAME.fullmatch(name):
            raise LyceumError(f"the name {name!r} must be lower case letters, digits, - and _")
        absent = entry.get("state") == "absent"
        names = tuple(dict.fromkeys(openssl.alternative_name(text) for text in entry["subject_alt_names"]))
        if not names and not absent:
            raise LyceumError("subject_alt_names is empty; say for which names it is")
        given = bool(entry.get("key_content")), bool(entry.get("chain_content"))
        if entry["source"] == "files" and not absent and not all(given):
            raise LyceumError("with source files, give both the key and the chain")
        return cls(
            name=name,
            names=names,
            source=entry["source"],
            owner=entry["owner"],
            group=entry["group"],
            reload=tuple(entry["reload"]),
            key=_lines(entry.get("key_content")),
            chain=_lines(entry.get("chain_content")),
            absent=absent,
        )


@dataclass(frozen=True)
class Seen:
    """What is on the host. description None: there is no certificate, or not one that can be read."""

    key: str = field(default="", repr=False)
    chain: str = ""
    description: Description | None = None
    key_is_its: bool = False
    trusted: bool = False
    rights: bool = True
    waits: bool = False
    lineage: tuple[str, str] = field(default=("", ""), repr=False)
    lineage_description: Description | None = None


@dataclass(frozen=True)
class Rules:
    """now: seconds since 1970. authority: certificate of the site's own, empty where there is none yet."""

    now: float
    renew_before_days: int = 60
    authority: str = ""
    signed: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Decision:
    """What is to be done about one certificate, in this order. why: of a request or of what is installed."""

    wanted: Wanted
    remove: bool = False
    make_key: bool = False
    placeholder: bool = False
    install: tuple[str, str] | None = field(default=None, repr=False)
    rights: bool = False
    request: str = ""
    acme: str = ""
    reload: bool = False
    note: str = ""

    @property
    def writes(self) -> bool:
        return self.placeholder or self.install is not None

    def sentences(self) -> list[str]:
        """What the user is told."""
        name, kind = self.wanted.name, self.wanted.source
        steps = [
            (self.remove, f"remove certificate {name} with its key"),
            (self.make_key, f"make the private key of {name}"),
            (self.placeholder, f"put a placeholder where the certificate {name} will be"),
            (self.install is not None, f"install certificate {name} ({kind})"),
            (self.rights, f"give the key of {name} to {self.wanted.owner}:{self.wanted.group}"),
            (self.reload and bool(self.wanted.reload), f"have {', '.join(self.wanted.reload)} read {name}"),
        ]
        return [sentence for needed, sentence in steps if needed]


@dataclass
class Outcome:
    """requests: name -> signing request. failures: name -> why."""

    decisions: list[Decision]
    requests: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    unmanaged: list[str] = field(default_factory=list)
    seen: dict[str, Seen] = field(default_factory=dict)
    missing_units: frozenset[str] = frozenset()


def read_wanted(entries: Iterable[Mapping[str, Any]]) -> tuple[list[Wanted], dict[str, str]]:
    """The module's `certificates`, and why some cannot be made: a senseless entry never stops the others."""
    wanted: list[Wanted] = []
    refused: dict[str, str] = {}
    for entry in entries:
        name = str(entry["name"])
        try:
            if name in {one.name for one in wanted}:
                raise LyceumError("it is listed twice")
            wanted.append(Wanted.from_params(entry))
        except LyceumError as exc:
            refused[name] = str(exc)
    return wanted, refused


def observe(wanted: Wanted, places: Places, rules: Rules) -> Seen:
    """What is on the host about one certificate. Raises LyceumError when it cannot be read."""
    key, chain = _read(places.key(wanted.name)), _read(places.chain(wanted.name))
    lineage = "", ""
    if wanted.source == "acme":
        folder = places.live / wanted.name
        lineage = _read(folder / "privkey.pem"), _read(folder / "fullchain.pem")
    description = _described(chain)
    return Seen(
        key=key,
        chain=chain,
        description=description,
        key_is_its=bool(key and description) and _is_key_of(key, description),
        trusted=bool(description and rules.authority) and not openssl.why_untrusted(chain, rules.authority),
        rights=not key or _rights(places.key(wanted.name)) == (KEY_MODE, *_owner(wanted, strict=False)),
        waits=places.waits(wanted.name).exists(),
        lineage=lineage,
        lineage_description=_described(lineage[1]),
    )


def decide(wanted: Wanted, seen: Seen, rules: Rules) -> Decision:
    """What is to be done about one certificate. Raises LyceumError for one that was given and cannot be used."""
    decision = Decision(wanted)
    if wanted.absent:
        decision.remove = bool(seen.key or seen.chain)
        return decision
    if wanted.source == "internal":
        _decide_internal(decision, seen, rules)
    elif wanted.source == "files":
        _decide_files(decision, seen, rules)
    else:
        _decide_acme(decision, seen, rules)
    writes_key = decision.make_key or (decision.install is not None and decision.install[0] != seen.key)
    decision.rights = bool(seen.key) and not seen.rights and not writes_key
    decision.reload = decision.writes or seen.waits
    return decision


def _decide_internal(decision: Decision, seen: Seen, rules: Rules) -> None:
    wanted = decision.wanted
    decision.make_key = not seen.key
    old = seen.description
    if old is None:
        why = "there is none"
    elif not seen.key_is_its:
        why = "it belongs to another key"
    elif set(old.names) != set(wanted.names):
        why = f"it is for {', '.join(old.names)}"
    elif not seen.trusted:
        why = "it is not from the site's authority"
    elif old.not_after - rules.now < rules.renew_before_days * DAY:
        why = f"it ends on {_date(old.not_after)}"
    else:
        return
    signed = rules.signed.get(wanted.name, "")
    if not signed:
        decision.request = why
        return
    untrusted = openssl.why_untrusted(signed, rules.authority)
    if untrusted:
        raise LyceumError(f"the new certificate cannot be used: {untrusted}")
    new = openssl.describe(signed)
    if not _is_key_of(seen.key, new) or set(new.names) != set(wanted.names):
        raise LyceumError("the new certificate is for another key or for other names")
    decision.install = seen.key, signed


def _decide_files(decision: Decision, seen: Seen, rules: Rules) -> None:
    wanted = decision.wanted
    given = openssl.describe(wanted.chain)
    if not _is_key_of(wanted.key, given):
        raise LyceumError("the key that was given is not that of the certificate")
    missing = [name for name in wanted.names if not covers(given.names, name)]
    if missing:
        raise LyceumError(f"the certificate that was given is not for {', '.join(missing)}")
    if given.not_after <= rules.now:
        raise LyceumError(f"the certificate that was given ended on {_date(given.not_after)}")
    if given.not_after - rules.now < rules.renew_before_days * DAY:
        decision.note = f"ends on {_date(given.not_after)}; give a new one"
    if (seen.key, seen.chain) != (wanted.key, wanted.chain):
        decision.install = wanted.key, wanted.chain


def _decide_acme(decision: Decision, seen: Seen, rules: Rules) -> None:
    wanted, fetched = decision.wanted, seen.lineage_description
    if fetched is None:
        decision.acme = "there is none"
    elif set(fetched.names) != set(wanted.names):
        decision.acme = f"it is for {', '.join(fetched.names)}"
    elif fetched.not_after - rules.now < fetched_margin(fetched):
        decision.acme = f"it ends on {_date(fetched.not_after)}"
    if fetched is not None and _is_key_of(seen.lineage[0], fetched):
        if seen.lineage != (seen.key, seen.chain):
            decision.install = seen.lineage
    elif seen.description is None or not seen.key_is_its:
        decision.make_key = not seen.key
        decision.placeholder = True


def fetched_margin(description: Description) -> float:
    """How long before its end certbot's timer should have replaced it, and has had a day to do so."""
    return min((description.not_after - description.not_before) / 3, 30 * DAY) - DAY


def covers(names: Iterable[str], wanted: str) -> bool:
    """Whether a certificate for `names` is good for `wanted`, also by an asterisk in the place of one label."""
    return wanted in names or f"DNS:*.{wanted.partition('.')[2]}" in names


def apply(outcome: Outcome, places: Places) -> None:
    """Carry out all decisions; one failure never stops the others."""
    units: dict[str, list[str]] = {}
    for decision in outcome.decisions:
        name = decision.wanted.name
        try:
            if decision.remove:
                for path in (places.key(name), places.chain(name), places.waits(name)):
                    path.unlink(missing_ok=True)
                places.key(name).parent.rmdir()
                continue
            _write(decision, places)
        except (LyceumError, OSError) as exc:
            outcome.failures[name] = str(exc)
            continue
        if decision.reload:
            for unit in decision.wanted.reload:
                units.setdefault(unit, []).append(name)
    for unit, names in units.items():
        words = "" if unit in outcome.missing_units else _reload(unit)
        if words:
            outcome.failures.update(dict.fromkeys(names, f"{unit} does not read it: {words}"))
    for decision in outcome.decisions:
        if decision.reload and decision.wanted.name not in outcome.failures:
            places.waits(decision.wanted.name).unlink(missing_ok=True)


def _write(decision: Decision, places: Places) -> None:
    wanted = decision.wanted
    key, chain = places.key(wanted.name), places.chain(wanted.name)
    ids = _owner(wanted, strict=True)
    for folder in (places.directory, key.parent):
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    if decision.writes:
        _put(places.waits(wanted.name), "", KEY_MODE, (0, 0))
    if decision.make_key:
        _put(key, openssl.new_key(), KEY_MODE, ids)
    if decision.placeholder:
        _put(chain, openssl.self_signed(key, wanted.names, PLACEHOLDER_DAYS), CHAIN_MODE, (0, 0))
    if decision.install is not None:
        if _read(key) != decision.install[0]:
            _put(key, decision.install[0], KEY_MODE, ids)
        _put(chain, decision.install[1], CHAIN_MODE, (0, 0))
    if decision.rights:
        os.chown(key, *ids)
        key.chmod(KEY_MODE)


def _put(path: Path, text: str, mode: int, owner: tuple[int, int]) -> None:
    ids = owner if os.geteuid() == 0 else (-1, -1)
    failures = write_all_atomically({path: text.encode()}, mode, ids)
    if failures:
        raise LyceumError(failures[path])


def _missing_units(units: Sequence[str]) -> frozenset[str]:
    """Those that are not installed, as on a host whose services come after its certificates."""
    if not units:
        return frozenset()
    try:
        done = _systemctl("show", "--property=LoadState", "--value", "--", *units)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return frozenset()  # the reload says what is wrong
    states = done.stdout.split()
    return frozenset(unit for unit, state in zip(units, states) if state == "not-found")


def _reload(unit: str) -> str:
    """Units that do not run read it when they start."""
    try:
        done = _systemctl("try-reload-or-restart", unit)
    except FileNotFoundError:
        return "systemctl is not installed"
    except subprocess.TimeoutExpired:
        return "it did not answer within two minutes"
    return "" if done.returncode == 0 else done.stderr.strip() or f"exit status {done.returncode}"


def _systemctl(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False, timeout=120)


def carry_out(
    entries: Iterable[Mapping[str, Any]], rules: Rules, *, check: bool, places: Places | None = None
) -> Outcome:
    """Observe, decide and, unless `check`, apply and look again. Signing requests are made in any case but `check`."""
    places = places or Places()
    listed, refused = read_wanted(entries)
    outcome = Outcome([], failures=refused)
    for one in listed:
        try:
            outcome.seen[one.name] = seen = observe(one, places, rules)
            outcome.decisions.append(decide(one, seen, rules))
        except LyceumError as exc:
            outcome.failures[one.name] = str(exc)
    outcome.missing_units = _missing_units(sorted({unit for one in listed if not one.absent for unit in one.reload}))
    if places.directory.is_dir():
        known = {one.name for one in listed} | set(refused)
        outcome.unmanaged = sorted(path.name for path in places.directory.iterdir() if path.name not in known)
    if check:
        outcome.requests = {one.wanted.name: "" for one in outcome.decisions if one.request}
        return outcome
    apply(outcome, places)
    for decision in outcome.decisions:
        name = decision.wanted.name
        if name in outcome.failures:
            continue
        try:
            outcome.seen[name] = observe(decision.wanted, places, rules)
            left = decide(decision.wanted, outcome.seen[name], rules).sentences()
            if left:
                raise LyceumError(f"it was done, but still: {'; '.join(left)}")
            if decision.request:
                outcome.requests[name] = openssl.request(places.key(name), decision.wanted.names)
        except (LyceumError, CommandError) as exc:
            outcome.failures[name] = str(exc)
    return outcome


def result(outcome: Outcome, rules: Rules, *, check: bool) -> dict[str, Any]:
    """The module's return value, the same in check mode, where what the controller would sign counts as a change."""
    sentences = [sentence for decision in outcome.decisions for sentence in decision.sentences()]
    asked = {one.wanted.name: one.request for one in outcome.decisions if one.request}
    if check:
        sentences += [f"have certificate {name} signed, because {why}" for name, why in asked.items()]
    listed = []
    for decision in outcome.decisions:
        one = outcome.seen[decision.wanted.name].description
        if one is not None and not decision.remove:
            left = int((one.not_after - rules.now) // DAY)
            names = [name.partition(":")[2] for name in one.names]
            listed.append(
                {"name": decision.wanted.name, "source": decision.wanted.source, "issuer": one.issuer, "names": names,
                 "not_after": _date(one.not_after), "days_left": left}
            )  # fmt: skip
    found: dict[str, Any] = {
        "changed": bool(sentences),
        "actions": sentences,
        "requests": [{"name": name, "csr": csr, "why": asked[name]} for name, csr in outcome.requests.items()],
        "acme": [{"name": one.wanted.name, "why": one.acme} for one in outcome.decisions if one.acme],
        "certificates": listed,
        "unmanaged": outcome.unmanaged,
        "notes": _notes(outcome),
    }
    if outcome.failures:
        failures = outcome.failures
        found["msg"] = "; ".join(f"certificate {name}: {failures[name]}" for name in sorted(failures))
    return found


def _notes(outcome: Outcome) -> list[str]:
    found = [f"{one.wanted.name} {one.note}" for one in outcome.decisions if one.note]
    for one in outcome.decisions:
        units = [unit for unit in one.wanted.reload if unit in outcome.missing_units and not one.wanted.absent]
        found += [f"{one.wanted.name} is for {unit}, a unit this host does not have" for unit in units]
    return found


def _is_key_of(key: str, description: Description | None) -> bool:
    return description is not None and openssl.public_key(key) == description.public_key


def _described(chain: str) -> Description | None:
    """None also for a file that is damaged: it is replaced like one that is missing."""
    try:
        return openssl.describe(chain) if chain else None
    except CommandError:
        return None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as exc:
        raise LyceumError(f"cannot read {path}: {exc}") from exc


def _rights(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid


def _owner(wanted: Wanted, *, strict: bool) -> tuple[int, int]:
    """uid and gid. Raises LyceumError for names the host does not know; -1 each unless `strict`."""
    try:
        return pwd.getpwnam(wanted.owner).pw_uid, grp.getgrnam(wanted.group).gr_gid
    except KeyError:
        if not strict:
            return -1, -1
        raise LyceumError(
            f"there is no account {wanted.owner} or no group {wanted.group} here; install the package that makes it"
        ) from None


def _lines(text: str | None) -> str:
    return f"{text.strip()}\n" if text and text.strip() else ""


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))
