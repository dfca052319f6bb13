# SPDX-License-Identifier: GPL-3.0-or-later
"""Access profiles in sshd's words, and what each confined person may see. Pure; used on the controller.

One table serves the configuration and the questions asked about it afterwards (`sshd -T -C user=...`), so that the two
cannot differ.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..errors import LyceumError

JAIL = "/usr/local/lib/lyceum/sshd_jail/jail"
VIEW = "/run/lyceum/sftp"
GROUP = "lyceum-{}"
NO_LOGIN = "/usr/sbin/nologin"
SHELLS: Mapping[str, str] = {"none": NO_LOGIN, "git": NO_LOGIN, "sftp": NO_LOGIN, "rsync": JAIL, "jail": JAIL}
"""Login shells of the confined; the last word where sshd does not come into it (su, a console)."""

# Empty, whatever a login brings along: the dynamic linker and the C library load code that these name, and the program
# that confines the login is started with them. (Debian 12 reads them from ~/.pam_environment.)
HARMLESS_ENVIRONMENT = (
    "LD_PRELOAD= LD_AUDIT= LD_LIBRARY_PATH= GLIBC_TUNABLES= GCONV_PATH=/nonexistent LOCPATH=/usr/lib/locale"
)

HOST_CERTIFICATES = {
    "ssh-ed25519-cert-v01@openssh.com": "ed25519",
    "ssh-rsa-cert-v01@openssh.com": "rsa",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com": "ecdsa",
}

Options = dict[str, str]
"""Options of sshd_config as they are written -> value."""


def blocks(*, forwarding: bool) -> dict[str, Options]:
    """Options of each profile but `shell`. forwarding: people in a jail may reach what listens on the host itself.

    Never sockets of the file system (the user manager's would run programs outside), never listening on the host.
    """
    nowhere = {"DisableForwarding": "yes", "PermitTTY": "no", "PermitUserRC": "no"}
    closed = {**nowhere, "AuthorizedKeysFile": "none", "TrustedUserCAKeys": "none", "ForceCommand": NO_LOGIN}
    jail = {
        "ForceCommand": JAIL,
        "AllowTcpForwarding": "local" if forwarding else "no",
        "PermitOpen": "127.0.0.1:* [::1]:* localhost:*" if forwarding else "none",
        "PermitListen": "none",
        "AllowStreamLocalForwarding": "no",
        "AllowAgentForwarding": "no",
        "X11Forwarding": "no",
        "PermitTunnel": "no",
        "GatewayPorts": "no",
        "PermitUserRC": "no",
        "SetEnv": HARMLESS_ENVIRONMENT,
    }
    return {
        "none": closed,
        "git": closed,
        "sftp": {**nowhere, "ChrootDirectory": VIEW, "ForceCommand": "internal-sftp -l INFO"},
        "rsync": {**nowhere, "ForceCommand": JAIL, "SetEnv": HARMLESS_ENVIRONMENT},
        "jail": jail,
    }


def expectations(people: Iterable[tuple[str, str]], *, forwarding: bool) -> list[dict[str, Any]]:
    """The `expect` parameter of sshd_dropin for (name, profile): nothing is asked about a profile that is not here."""
    known = blocks(forwarding=forwarding)
    free = {"forcecommand": "none", "chrootdirectory": "none", "disableforwarding": "no"}
    found = []
    for name, profile in people:
        if profile == "shell":
            found.append({"user": name, "options": free})
        elif profile in known:
            options = {key.lower(): value for key, value in known[profile].items()}
            # sshd prints one line for each variable; the first is the one that matters most.
            if "setenv" in options:
                options["setenv"] = options["setenv"].split()[0]
            found.append({"user": name, "options": options})
    return found


def policies(
    people: Iterable[Mapping[str, Any]],
    *,
    projects: str,
    scratch: str,
    write: Sequence[str],
    read: Sequence[str],
) -> dict[str, dict[str, Any]]:
    """What jail/policy.py reads about each person, by name; whoever is not let in has none.

    projects, scratch: directories. write, read: shared directories that jails show.
    """
    found = {}
    for person in people:
        profile = person["access"]
        if person["state"] != "present" or profile not in ("sftp", "rsync", "jail"):
            continue
        own = {mode: [f"{projects}/{name}" for name in person["projects"][mode]] for mode in ("write", "read")}
        if profile == "jail":
            own = {"write": [*own["write"], f"{scratch}/{person['name']}", *write], "read": [*own["read"], *read]}
        found[person["name"]] = {"uid": person["uid"], "profile": profile, "home": person["home"], **own}
    return found


def certificate_file(certificate: str) -> str:
    """Where a certificate of a host key belongs. Raises LyceumError for what is none."""
    kind = certificate.split(None, 1)[0] if certificate.strip() else ""
    name = HOST_CERTIFICATES.get(kind)
    if name is None:
        raise LyceumError(
            f"sshd_jail_host_certificates: {certificate[:40]!r} is not a certificate of a host key; paste the one line"
            " of ssh_host_ed25519_key-cert.pub"
        )
    return f"/etc/ssh/ssh_host_{name}_key-cert.pub"


def principals(people: Iterable[Mapping[str, Any]], others: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Names in a certificate that let somebody in, by login name: the own one, for those who may log in at all.

    others: the same for accounts outside the registry.
    """
    found = {
        person["name"]: [person["name"]]
        for person in people
        if person["state"] == "present" and person["access"] not in ("none", "git")
    }
    return {**found, **{name: list(names) for name, names in others.items()}}


def exempt(listed: Iterable[str], controller: str) -> list[str]:
    """Addresses and networks that are never shut out: those listed, and the controller unless it is among them.

    controller: an address, or "" where there is none. Raises LyceumError for what is neither.
    """
    networks = []
    for entry in listed:
        try:
            networks.append(ipaddress.ip_network(entry))
        except ValueError as exc:
            raise LyceumError(f"sshd_jail_exempt: {exc}. Write an address or a network, such as 192.0.2.0/24") from exc
    found = [str(network) if network.num_addresses > 1 else str(network.network_address) for network in networks]
    if controller:
        address = ipaddress.ip_address(controller.split("%")[0])
        if not any(address in network for network in networks):
            found.append(str(address))
    return found


def misplaced(
    people: Iterable[Mapping[str, Any]], shells: Mapping[str, str], groups: Mapping[str, Iterable[str]]
) -> list[str]:
    """Sentences about people whose account does not confine them as the registry says.

    shells: login shell by name. groups: members by name of the group. An account that does not exist is no problem.
    """
    found = []
    for person in people:
        name, profile = person["name"], person["access"]
        if name not in shells or person["state"] != "present":
            continue
        inside = [one for one in SHELLS if name in groups.get(GROUP.format(one), ())]
        wanted = [profile] if profile in SHELLS else []
        if inside != wanted:
            have, want = (", ".join(GROUP.format(one) for one in some) or "none" for some in (inside, wanted))
            found.append(f"{name} has access {profile}, which is group {want}, but is in {have}")
        if profile in SHELLS and shells[name] != SHELLS[profile]:
            found.append(
                f"{name} has access {profile}, but the login shell {shells[name]} instead of {SHELLS[profile]}"
            )
    return found
