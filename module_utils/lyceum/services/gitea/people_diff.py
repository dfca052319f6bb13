# SPDX-License-Identifier: GPL-3.0-or-later
"""What the plan for one person reads like as a diff. Pure; neither passwords nor tokens are known here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .people import label
from .people_plan import PersonPlan, limit_words, show
from .state import Account


def diff(one: PersonPlan) -> dict[str, str]:
    """As Ansible shows it: before and after."""
    before, after = _lines(one.account, one.limit), _lines(*_account_after(one))
    keys = {key.fingerprint: key.title for key in one.keys}
    before += _key_lines(keys)
    gone = any(op.kind == "delete" for op in one.ops)
    for op in one.ops:
        if op.kind == "add_key":
            keys[op.data["fingerprint"]] = op.data["title"]
        elif op.kind == "remove_key":
            keys.pop(op.data["fingerprint"])
        elif op.kind == "remove_token":
            before.append(op.sentence.removeprefix("remove "))
        elif op.kind == "leave":
            before.append(f"member of {op.data['organization']}")
        elif op.kind == "transfer":
            before.append(f"repository {op.data['owner']}/{op.data['name']}")
            after.append(f"repository {op.data['heir']}/{op.data['name']}")
    after += [] if gone else _key_lines(keys)
    return {
        "before_header": one.person.name,
        "after_header": one.person.name,
        "before": "".join(f"{line}\n" for line in before),
        "after": "".join(f"{line}\n" for line in after),
    }


def _account_after(one: PersonPlan) -> tuple[Account | None, int | None]:
    account, limit = one.account, one.limit
    for op in one.ops:
        if op.kind == "create":
            account = Account(0, one.person.name, **one.person.account)
        elif op.kind == "delete":
            account, limit = None, None
        elif op.kind == "rename" and account is not None:
            account = replace(account, name=one.person.name)
        elif op.kind == "edit" and account is not None:
            account = replace(account, **op.data)
        elif op.kind == "limit":
            limit = op.data["max_repo_creation"]
    return account, limit


def _lines(account: Account | None, limit: int | None) -> list[str]:
    if account is None:
        return []
    values: dict[str, Any] = {
        "account": account.name,
        "full name": account.full_name,
        "email": account.email,
        "visibility": account.visibility,
        "administrator": account.admin,
        "restricted": account.restricted,
        "let in": account.active and not account.prohibit_login,
    }
    limits = [] if limit is None else [f"own repositories: {limit_words(limit)}"]
    return [f"{name}: {show(value)}" for name, value in values.items()] + limits


def _key_lines(keys: Mapping[str, str]) -> list[str]:
    return [f"key: {label(fingerprint, title)}" for fingerprint, title in sorted(keys.items())]
