# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates and sites as the roles `certificates` and `nginx` see them, and what these say in the report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import ansible.module_utils

_CORE = str(Path(__file__).resolve().parent.parent / "module_utils")
if _CORE not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(_CORE)

from ansible.errors import AnsibleFilterError  # noqa: E402
from ansible.module_utils.lyceum.errors import LyceumError  # noqa: E402
from ansible.module_utils.lyceum.web import requests, sections  # noqa: E402


def certificates_of_sites(sites: Iterable[Mapping[str, Any]], source: str = "internal") -> list[dict[str, Any]]:
    """A certificate for each site, for its server names; sites that share one have it once, for all their names."""
    found: dict[str, dict[str, Any]] = {}
    for site in sites:
        if site.get("state", "present") != "present":
            continue
        name = site.get("certificate") or site["name"]
        entry = {"name": name, "subject_alt_names": [], "source": source, "reload": ["nginx"]}
        names = found.setdefault(name, entry)["subject_alt_names"]
        names += [server_name for server_name in site.get("server_names", []) if server_name not in names]
    return list(found.values())


def overridden(automatic: Iterable[Mapping[str, Any]], own: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Two lists as one; an entry of the second replaces that of the same name in the first."""
    merged = {entry["name"]: entry for entry in automatic}
    own = list(own)
    names = {entry["name"] for entry in own}
    return [entry for name, entry in merged.items() if name not in names] + own


def certificates_by_acme(certificates: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Those that certbot fetches, whole, as the tool on the host reads them."""
    usual = {"owner": "root", "group": "root", "reload": []}
    return [
        {**usual, **entry}
        for entry in certificates
        if entry.get("source") == "acme" and entry.get("state", "present") == "present"
    ]


def without_keys(certificates: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The list without the contents of keys and certificates."""
    return [{key: value for key, value in entry.items() if not key.endswith("_content")} for entry in certificates]


def certificate_problems(
    certificates: Iterable[Mapping[str, Any]], authority: bool, agreed: bool, only_for: Iterable[str]
) -> list[str]:
    """One sentence for each certificate that cannot be had as it is written down."""
    return requests.problems(certificates, authority=authority, agreed=agreed, only_for=only_for)


def name_constraints(only_for: Iterable[str]) -> list[str]:
    """Domains and networks as a certificate writes what its holder may sign for. AnsibleFilterError."""
    try:
        return requests.constraints(only_for)
    except LyceumError as exc:
        raise AnsibleFilterError(str(exc)) from exc


def refused_requests(asked: Iterable[Mapping[str, Any]], certificates: Iterable[Mapping[str, Any]]) -> list[str]:
    """Why requests of a host are not signed. asked: results of openssl_csr_info, each with its `item`."""
    return requests.refusals(asked, certificates)


def trusted_files(authorities: Iterable[Mapping[str, str]], folder: str) -> list[dict[str, str]]:
    """The parameter `files` of managed_files: authorities for the trust store of a host."""
    return [
        {"path": f"{folder}/{entry['name']}.crt", "content": entry["content"].strip() + "\n"} for entry in authorities
    ]


def nginx_report(sites: Iterable[Mapping[str, Any]], result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Sections of the report. result: of nginx_sites in check mode."""
    return sections.sites(sites, result)


def certificates_report(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Sections of the report. result: of tls_certificates in check mode."""
    return sections.certificates(result)


class FilterModule:
    """Jinja filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "certificate_problems": certificate_problems,
            "certificates_by_acme": certificates_by_acme,
            "certificates_of_sites": certificates_of_sites,
            "certificates_report": certificates_report,
            "name_constraints": name_constraints,
            "nginx_report": nginx_report,
            "overridden": overridden,
            "refused_requests": refused_requests,
            "trusted_files": trusted_files,
            "without_keys": without_keys,
        }
