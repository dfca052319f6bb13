# SPDX-License-Identifier: GPL-3.0-or-later
"""The grade of a TLS server from what testssl.sh found.

testssl.sh grades by itself from 3.2 on. Where an older one does not, the caps of SSL Labs' rating guide are applied to
what it found; beyond them, protocols and ciphers that are left give an A.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..errors import LyceumError

GRADES = ["A+", "A", "A-", "B", "C", "D", "E", "F", "T", "M"]
SERIOUS = {"MEDIUM", "HIGH", "CRITICAL"}

# What must not be offered, and the grade of a server that does.
OFFERED = {
    "SSLv2": "F", "SSLv3": "F", "TLS1": "B", "TLS1_1": "B", "cipherlist_NULL": "F", "cipherlist_aNULL": "F",
    "cipherlist_EXPORT": "F", "cipherlist_LOW": "F", "cipherlist_3DES_IDEA": "C",
}  # fmt: skip
# What must not be found wanting at all, and what may be as long as it is not serious.
WANTING = {"cert_trust": "T", "cert_chain_of_trust": "T", "PFS": "B"}
SERIOUSLY = {
    "cert_expirationStatus": "T", "cert_signatureAlgorithm": "F", "cert_keySize": "B", "heartbleed": "F", "CCS": "F",
    "ticketbleed": "F", "ROBOT": "F", "secure_client_renego": "F", "CRIME_TLS": "F", "POODLE_SSL": "F", "DROWN": "F",
    "FREAK": "F", "LOGJAM": "F", "SWEET32": "C", "RC4": "C",
}  # fmt: skip
STRICT = "HSTS_time"


def worst(grades: Iterable[str]) -> str:
    """The lowest of some grades."""
    return max(grades, key=GRADES.index)


def is_at_least(grade: str, wanted: str) -> bool:
    """Whether a grade is as good as another one, or better."""
    return GRADES.index(grade) <= GRADES.index(wanted)


def grade(findings: Iterable[Mapping[str, str]]) -> tuple[str, list[str]]:
    """Grade and reasons, from the file of `testssl --jsonfile`. Raises LyceumError when it did not come to an end."""
    found = {entry["id"]: entry for entry in findings}
    if "overall_grade" in found:
        reasons = [found[name]["finding"] for name in sorted(found) if name.startswith("grade_cap_reason")]
        own = found["overall_grade"]["finding"]
        if own not in GRADES:
            raise LyceumError(f"testssl.sh could not grade: {own}")
        return own, reasons
    missing = [name for name in (*OFFERED, *WANTING, *SERIOUSLY, STRICT, "TLS1_2", "TLS1_3") if name not in found]
    if missing:
        raise LyceumError(f"testssl.sh did not say anything about {', '.join(missing)}")
    caps = {name: cap for name, cap in OFFERED.items() if not found[name]["finding"].startswith("not offered")}
    caps.update({name: cap for name, cap in WANTING.items() if found[name]["severity"] not in ("OK", "INFO")})
    caps.update({name: cap for name, cap in SERIOUSLY.items() if found[name]["severity"] in SERIOUS})
    if not any(found[name]["finding"].startswith("offered") for name in ("TLS1_2", "TLS1_3")):
        caps["TLS1_2"] = "C"
    reasons = [f"{name}: {found[name]['finding']}" for name in caps]
    best = "A+" if found[STRICT]["severity"] == "OK" else "A"
    return worst([best, *caps.values()]), reasons
