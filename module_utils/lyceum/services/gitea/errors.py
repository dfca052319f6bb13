# SPDX-License-Identifier: GPL-3.0-or-later
"""What an answer of Gitea means: one status code has many meanings there, which only the words tell apart."""

from __future__ import annotations

from ..errors import Ambiguous, AuthRefused, Exists, NotFound, NotReady, Permanent, ServiceError, Transient
from ..http import IDEMPOTENT, Reply

# 422 is also "address in use", "name reserved", "bad characters" and "last owner"; 403 is also "rule is there already".
THERE_ALREADY = (
    "user already exists",
    "repository already exists",
    "repository with the same name already exists",
    "team already exists",
    "branch protection already exist",
    "key content has been used as non-deploy key",
)
# A 403 that no other call would escape either: the token lacks a scope, or the account behind it is shut out.
CREDENTIALS = ("required scope", "must change your password", "user is not allowed", "prohibited", "sign in")
# Gitea answers 500 to these, yet they are no hiccup: the same call will fail for ever.
FOR_EVER = ("last member of owner team", "units permission should not be empty")


def classify(method: str, path: str, reply: Reply) -> ServiceError | None:
    """None for a success, else the error to raise. `path` is shown in the message; it never holds a secret."""
    if 200 <= reply.status < 300:
        return None
    words = message_of(reply)
    text = f"{method} {path}: {reply.status} {words}".rstrip()
    low = words.lower()
    if reply.status == 401:
        return AuthRefused(f"{text}; look at the token of the bot account")
    if reply.status == 403 and any(mark in low for mark in CREDENTIALS):
        return AuthRefused(f"{text}; the bot account must be an administrator and its token have the scopes")
    if reply.status == 404:
        return NotFound(text)
    if reply.status == 409 or (reply.status in (403, 422) and any(mark in low for mark in THERE_ALREADY)):
        return Exists(text)
    if reply.status == 429:
        return Transient(text, reply.retry_after)
    if reply.status == 503:
        return NotReady(text, reply.retry_after)
    if reply.status in (502, 504):
        # The proxy does not say whether Gitea had begun.
        return Transient(text, reply.retry_after) if method in IDEMPOTENT else Ambiguous(text)
    if reply.status >= 500 and not any(mark in low for mark in FOR_EVER):
        return Transient(text, reply.retry_after)  # "database is locked" is a 500
    return Permanent(text)


def message_of(reply: Reply) -> str:
    """What Gitea says in its error, or the beginning of whatever else answered."""
    try:
        found = reply.json()
    except Permanent:
        return reply.words()
    if isinstance(found, dict) and isinstance(found.get("message"), str):
        return " ".join(found["message"].split())
    return reply.words()
