# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx's files made to match a list of sites, so that one broken site never takes the others down.

Every change is first tested as a whole, in a copy. What breaks it is found site by site: such a site stays as it was, a
new one is left out, and one that is broken as it was too is taken out; all others are changed all the same.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import CommandError, LyceumError, RefusedError
from ..files import write_all_atomically, write_atomically
from . import render
from .model import Settings, Wish
from .nginx import Nginx, Runner, run

MODE = 0o644
WAITS = "waits for its certificate"


@dataclass(frozen=True)
class Places:
    """Where things are."""

    etc: Path = Path("/etc/nginx")
    certificates: Path = Path("/etc/lyceum/certificates")
    loaded: Path = Path("/var/lib/lyceum/nginx/loaded")

    @property
    def main(self) -> Path:
        return self.etc / "nginx.conf"

    @property
    def sites(self) -> Path:
        return self.etc / "lyceum-sites"

    def site(self, name: str) -> Path:
        return self.sites / f"{name}.conf"

    def pair(self, certificate: str) -> tuple[Path, Path]:
        folder = self.certificates / certificate
        return folder / "fullchain.pem", folder / "key.pem"


@dataclass(frozen=True)
class Observed:
    """version None: nginx is not installed. sites: name -> text. foreign: what another hand made nginx serve."""

    version: tuple[int, ...] | None
    active: bool
    ipv6: bool
    main: str | None
    sites: dict[str, str]
    loaded: str
    pairs: dict[str, render.Pair]
    foreign: tuple[str, ...]


@dataclass(frozen=True)
class Candidate:
    """A site's texts in order of preference; after the last one the site is left out."""

    name: str
    texts: tuple[str, ...]
    changed: bool


@dataclass(frozen=True)
class Action:
    """One file. after None: it goes."""

    path: Path
    sentence: str
    before: str | None
    after: str | None


@dataclass
class Outcome:
    """actions: the files. reload: they have to be loaded. failures: site -> why it is not as it should be."""

    actions: list[Action]
    reload: bool
    failures: dict[str, str] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)
    unmanaged: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def observe(wish: Wish, places: Places, nginx: Nginx, runner: Runner) -> Observed:
    """Everything that decides about the plan. Raises LyceumError when it cannot be read."""
    try:
        texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(places.sites.glob("*.conf"))}
        main = places.main.read_text(encoding="utf-8") if places.main.exists() else None
        loaded = places.loaded.read_text(encoding="ascii") if places.loaded.exists() else ""
    except (OSError, UnicodeDecodeError) as exc:
        raise LyceumError(f"cannot read the files of nginx: {exc}") from exc
    pairs = {}
    for certificate in {site.certificate for site in wish.sites.values()}:
        chain, key = places.pair(certificate)
        if chain.exists() and key.exists():
            # A responder that the certificate names; most have none any more, and nginx complains if told to ask it.
            asked = runner(["openssl", "x509", "-in", str(chain), "-noout", "-ocsp_uri"])
            pairs[certificate] = render.Pair(str(chain), str(key), stapling=asked.words.startswith("http"))
    enabled = places.etc / "sites-enabled"
    foreign = [path.name for path in sorted(enabled.glob("*")) if path.name != "default"] if enabled.is_dir() else []
    return Observed(
        version=nginx.version(),
        active=nginx.is_active(),
        ipv6=Path("/proc/net/if_inet6").exists(),
        main=main,
        sites=texts,
        loaded=loaded.strip(),
        pairs=pairs,
        foreign=tuple(foreign),
    )


def refuse_foreign(observed: Observed, *, replace: bool) -> None:
    """Raises RefusedError before sites that another hand made would stop being served."""
    ours = observed.main is None or observed.main.startswith(render.MARK)
    if observed.foreign and not ours and not replace:
        raise RefusedError(
            f"nginx serves sites that nobody wrote down: {', '.join(observed.foreign)} in /etc/nginx/sites-enabled."
            " Write them into nginx_sites, or say nginx_replace_foreign_sites: true to stop serving them; nothing was"
            " changed"
        )


def candidates(
    wish: Wish, settings: Settings, observed: Observed, *, check: bool
) -> tuple[list[Candidate], dict[str, str], dict[str, str]]:
    """The texts to choose from, why some sites have no new one, and which wait for a certificate (in check mode)."""
    found, failures, waiting = [], dict(wish.refused), {}
    host = render.Host(observed.version or (), observed.ipv6)
    gone = set(wish.absent)
    for name in sorted({*wish.sites, *wish.refused, *observed.sites} - gone):
        old = observed.sites.get(name)
        kept = () if old is None else (old,)
        site = wish.sites.get(name)
        if site is None:
            found.append(Candidate(name, kept, changed=False))
        elif site.certificate not in observed.pairs:
            where = f"its certificate {site.certificate} is not on this host"
            if check:
                waiting[name] = where
            else:
                failures[name] = f"{where}; the role certificates makes it"
            found.append(Candidate(name, kept, changed=False))
        else:
            new = render.site(site, settings, host, observed.pairs[site.certificate])
            found.append(Candidate(name, (new,) if new == old else (new, *kept), changed=new != old))
    return found, failures, waiting


def choose(
    found: Sequence[Candidate], test: Callable[[Mapping[str, str]], str]
) -> tuple[dict[str, str], dict[str, str]]:
    """The best text for each site such that `test` of all together says nothing; and what it said about the others.

    Sites that do not change come first: a new one that does not go together with them is the one that is left out.
    Raises RefusedError when even no site at all is too much.
    """
    best = {candidate.name: candidate.texts[0] for candidate in found if candidate.texts}
    if not test(best):
        return best, {}
    words = test({})
    if words:
        raise RefusedError(f"nginx refuses what belongs to no site, so nothing was changed: {words}")
    chosen: dict[str, str] = {}
    failures: dict[str, str] = {}
    steady = {candidate.name: candidate.texts[0] for candidate in found if candidate.texts and not candidate.changed}
    if not test(steady):
        chosen = steady
    for candidate in sorted(found, key=lambda one: one.changed):
        if candidate.name in chosen:
            continue
        for text in candidate.texts:
            words = test({**chosen, candidate.name: text})
            if not words:
                chosen[candidate.name] = text
                break
            failures.setdefault(candidate.name, words)
    return chosen, failures


def outcome_of(
    wish: Wish, settings: Settings, observed: Observed, places: Places, nginx: Nginx, *, check: bool
) -> Outcome:
    """The plan: which files change, and why some do not. Tests candidates in a copy; changes nothing."""
    found, failures, waiting = candidates(wish, settings, observed, check=check)
    host = render.Host(observed.version or (), observed.ipv6)
    notes = []
    if observed.version is None:
        chosen = {candidate.name: candidate.texts[0] for candidate in found if candidate.texts}
        notes.append("nginx is not installed yet, so that its opinion of the sites is not known")
    else:
        with tempfile.TemporaryDirectory(prefix="lyceum-nginx-") as folder:
            copy = Path(folder)
            chosen, refused = choose(found, lambda texts: _test_copy(texts, copy, settings, host, places, nginx))
        for name, words in refused.items():
            fate = "it stays as it was" if name in chosen else "it is left out"
            failures[name] = f"nginx refuses it, so that {fate}: {words}"
    for name in waiting:
        chain, key = places.pair(wish.sites[name].certificate)
        chosen[name] = render.site(wish.sites[name], settings, host, render.Pair(str(chain), str(key)))
    text = render.main(settings, host, str(places.etc), str(places.sites))
    actions = [*_action(places.main, observed.main, text)]
    for name in sorted({*chosen, *observed.sites}):
        actions += _action(places.site(name), observed.sites.get(name), chosen.get(name))
    # Also when an earlier run was killed between the files and the reload; and whenever a file is not as it was, since
    # others reload, too: nginx may serve what somebody else wrote there.
    fingerprint = digest({str(places.main): text, **{str(places.site(name)): new for name, new in chosen.items()}})
    return Outcome(
        actions=actions,
        reload=bool(actions) or fingerprint != observed.loaded,
        failures=failures,
        waiting=waiting,
        unmanaged=sorted(set(observed.sites) - set(wish.sites) - set(wish.refused) - set(wish.absent)),
        notes=notes,
    )


def _test_copy(
    texts: Mapping[str, str], copy: Path, settings: Settings, host: render.Host, places: Places, nginx: Nginx
) -> str:
    """nginx's opinion of these sites, in a copy; with the names of the real files."""
    folder = copy / "sites"
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for name, text in texts.items():
        (folder / f"{name}.conf").write_text(text, encoding="utf-8")
    main = copy / "nginx.conf"
    main.write_text(render.main(settings, host, str(places.etc), str(folder)), encoding="utf-8")
    return nginx.test(main).replace(str(folder), str(places.sites)).replace(str(main), str(places.main))


def _action(path: Path, before: str | None, after: str | None) -> list[Action]:
    if before == after:
        return []
    verb = "remove" if after is None else "create" if before is None else "change"
    return [Action(path, f"{verb} {path}", before, after)]


def digest(texts: Mapping[str, str]) -> str:
    """One fingerprint of all files, by path."""
    return hashlib.sha256("\0".join(f"{path}\0{texts[path]}" for path in sorted(texts)).encode()).hexdigest()


def apply(outcome: Outcome, observed: Observed, places: Places, nginx: Nginx) -> None:
    """Write the files, test them where they are, load them. Raises CommandError; the old ones are back and loaded."""
    loading, again = False, ""
    places.loaded.unlink(missing_ok=True)
    try:
        _write([(action.path, action.after) for action in outcome.actions])
        words = nginx.test()
    except LyceumError as exc:
        words = str(exc)
    if not words and observed.active and outcome.reload:
        loading = True
        words = nginx.reload()
    if words:
        _write([(action.path, action.before) for action in reversed(outcome.actions)])
        if loading:
            again = nginx.reload()
            words += f"; and the old configuration could not be loaded again: {again}" if again else ""
        _remember(places, "" if again else observed.loaded)
        raise CommandError(f"nginx does not take the new configuration, so that the old one is back: {words}")
    texts = {str(path): path.read_text(encoding="utf-8") for path in [places.main, *places.sites.glob("*.conf")]}
    _remember(places, digest(texts))


def _remember(places: Places, loaded: str) -> None:
    places.loaded.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(places.loaded, f"{loaded}\n".encode(), MODE)


def _write(contents: Sequence[tuple[Path, str | None]]) -> None:
    texts = {path: text.encode() for path, text in contents if text is not None}
    for path in texts:
        path.parent.mkdir(parents=True, exist_ok=True)
    failures = write_all_atomically(texts, MODE)
    if failures:
        raise LyceumError("; ".join(failures[path] for path in sorted(failures)))
    for path, text in contents:
        if text is None:
            path.unlink(missing_ok=True)


def carry_out(
    wish: Wish, settings: Settings, *, check: bool, replace_foreign: bool = False, places: Places | None = None,
    nginx: Nginx | None = None, runner: Runner = run,
) -> Outcome:  # fmt: skip
    """Observe, plan and, unless `check`, apply and read back. Raises LyceumError when nothing could be done."""
    places, nginx = places or Places(), nginx or Nginx(runner)
    observed = observe(wish, places, nginx, runner)
    if observed.version is None and not check:
        raise LyceumError("nginx is not installed; the role nginx installs it")
    refuse_foreign(observed, replace=replace_foreign)
    outcome = outcome_of(wish, settings, observed, places, nginx, check=check)
    if not check and (outcome.actions or outcome.reload):
        apply(outcome, observed, places, nginx)
        for action in outcome.actions:
            found = action.path.read_text(encoding="utf-8") if action.path.exists() else None
            if found != action.after:
                raise LyceumError(f"{action.path} was written, yet reads differently")
    return outcome


def result(outcome: Outcome, wish: Wish, *, with_diff: bool) -> dict[str, Any]:
    """The module's return value, the same in check mode."""
    sentences = [action.sentence for action in outcome.actions]
    sentences += ["load the configuration"] if outcome.reload else []
    found: dict[str, Any] = {
        "changed": bool(sentences),
        "actions": sentences,
        "sites": sorted(set(wish.sites) - set(outcome.failures) - set(outcome.waiting)),
        "failures": outcome.failures,
        "unmanaged": outcome.unmanaged,
        "notes": [*outcome.notes, *(f"{name} {WAITS}: {why}" for name, why in sorted(outcome.waiting.items()))],
    }
    if outcome.failures:
        found["msg"] = "; ".join(f"site {name}: {outcome.failures[name]}" for name in sorted(outcome.failures))
    if with_diff:
        found["diff"] = [
            {
                "before_header": str(action.path),
                "after_header": str(action.path),
                "before": action.before or "",
                "after": action.after or "",
            }
            for action in outcome.actions
        ]
    return found
