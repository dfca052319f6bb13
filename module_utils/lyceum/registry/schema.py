# SPDX-License-Identifier: GPL-3.0-or-later
"""The shape of the registry: the JSON Schema that editors use, applied to a raw registry and put into plain words."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from . import names
from .findings import Findings
from .limits import KEYS
from .model import VARIABLES
from .positions import DataPath
from .suggest import did_you_mean

FILE = Path(__file__).resolve().parent.parent / "schema" / "registry.schema.json"

_TYPE_WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "array": "a list",
    "object": "a mapping",
    "boolean": "true or false",
    "null": "nothing",
}


@lru_cache(maxsize=1)
def document() -> dict[str, Any]:
    """The schema file, with every reference written out: resolving them for each person is what makes checks slow."""
    schema = json.loads(FILE.read_text(encoding="utf-8"))
    return dict(_inline(schema, schema["$defs"]))


def keys_of(kind: str) -> list[str]:
    """The keys an entry of `kind` (person, group, project, exception) may have, in the order of the schema."""
    return list(document()["$defs"][kind]["properties"])


def check(raw: Mapping[str, Any], findings: Findings) -> None:
    """Add a finding for everything that does not have the shape the schema wants."""
    for section, variable in VARIABLES.items():
        if section not in raw:
            continue
        value = raw[section]
        if isinstance(value, list) and section in ("people", "groups", "projects", "trees"):
            entry = _validator(variable, entries=True)
            for index, item in enumerate(value):
                if not entry.is_valid(item):
                    _report(entry, item, (section, index), findings)
        else:
            _report(_validator(variable, entries=False), value, (section,), findings)


def _inline(node: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(node, list):
        return [_inline(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    own = {key: _inline(value, definitions) for key, value in node.items() if key != "$ref"}
    if "$ref" in node:
        return {**_inline(definitions[node["$ref"].rpartition("/")[2]], definitions), **own}
    return own


@lru_cache(maxsize=32)
def _validator(variable: str, *, entries: bool) -> Any:
    part = document()["properties"][variable]
    return _Strict(part["items"] if entries else part)


def _report(validator: Any, value: Any, path: DataPath, findings: Findings) -> None:
    for error in validator.iter_errors(value):
        at = (*path, *error.absolute_path)
        message, remedy, show = _words(error)
        if error.validator in ("required", "additionalProperties"):
            findings.error((*at, error.message), message, remedy, show=False)
        else:
            # Somebody may have written a password where no password belongs.
            secret = isinstance(error.schema, dict) and "x-secret" in error.schema
            findings.error(at, message, remedy, value=error.instance, show=show and not secret)


def _words(error: ValidationError) -> tuple[str, str, bool]:
    """(message, remedy, whether to show the value)."""
    schema = error.schema if isinstance(error.schema, dict) else {}
    remedy = schema.get("x-remedy", "")
    value: Any = error.instance
    rule: Any = error.validator_value
    if error.validator == "required":
        about = schema["properties"][error.message].get("description", "")
        return "is missing", f"Add `{error.message}:` ({about})." if about else f"Add `{error.message}:`.", False
    if error.validator == "additionalProperties":
        return *_unknown_key(error.message, schema), False
    if error.validator == "type":
        return *_wrong_type(value, rule, remedy), not isinstance(value, (dict, list))
    if error.validator == "pattern" and schema.get("pattern") == document()["$defs"]["name"]["pattern"]:
        message, advice = names.problem(value) or (schema["x-problem"], remedy)
        return message, advice, True
    if error.validator == "enum":
        allowed = [str(choice) for choice in rule if choice is not None]
        hint = did_you_mean(value, allowed)
        return f"is not one of {', '.join(allowed)}.{hint}".rstrip("."), "" if hint else remedy, True
    if error.validator == "uniqueItems":
        twice = next((item for index, item in enumerate(value) if item in value[:index]), "")
        return f"lists {twice!r} twice", remedy, False
    message = {
        "minimum": f"is below {rule}",
        "maximum": f"is above {rule}",
        "minLength": "is empty",
        "maxLength": f"is longer than {rule} characters",
        "pattern": schema.get("x-problem", "is not written as it should be"),
    }[str(error.validator)]
    return message, remedy, True


def _unknown_key(key: str, schema: Mapping[str, Any]) -> tuple[str, str]:
    known = list(schema["properties"])
    if key in KEYS and set(known) <= set(KEYS):
        return (
            f"is a limit of a {KEYS[key].scope}, not of a person",
            "Set it under `limits` of a project, or in lyceum_limits.defaults for every project.",
        )
    hint = did_you_mean(key, known)
    return f"is not a key Lyceum knows.{hint}", "Correct the spelling." if hint else f"Known here: {', '.join(known)}."


def _wrong_type(value: Any, wanted: Any, remedy: str) -> tuple[str, str]:
    types = [wanted] if isinstance(wanted, str) else [kind for kind in wanted if kind != "null"]
    message = f"must be {' or '.join(_TYPE_WORDS[kind] for kind in types)}, not {_kind(value)}"
    if "string" in types and isinstance(value, bool):
        return message, "Put it in quotes: YAML reads a bare yes, no, on and off as true or false."
    if "string" in types and isinstance(value, (int, float)):
        return message, "Put it in quotes."
    if {"integer", "number"} & set(types) and isinstance(value, str):
        return message, f"Remove the quotes, or the unit. {remedy}" if value.strip()[:1].isdigit() else remedy
    return message, remedy


def _kind(value: Any) -> str:
    if isinstance(value, float):
        return "a number with a decimal point" if math.isfinite(value) else "infinity or no number"
    for kind, words in _TYPE_WORDS.items():
        if _Strict.TYPE_CHECKER.is_type(value, kind):
            return words
    return "something YAML made of a tag"


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    # In JSON Schema `$` is the very end of the text. In Python it also matches before a final newline, which would let
    # "name\n" into the password database.
    if isinstance(instance, str) and not _compiled(pattern).search(instance):
        yield ValidationError("pattern")


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern[:-1] + r"\Z" if pattern.endswith("$") else pattern)


def _required(validator: Any, required: list[str], instance: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, dict):
        for key in required:
            if key not in instance:
                yield ValidationError(key)


def _additional(validator: Any, rule: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    for key in instance:
        if key in schema.get("properties", {}):
            continue
        if rule is False:
            yield ValidationError(str(key))
        else:
            yield from validator.descend(instance[key], rule, path=key)


def _is_integer(checker: Any, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(checker: Any, value: Any) -> bool:
    return _is_integer(checker, value) or (isinstance(value, float) and math.isfinite(value))


# JSON Schema counts 2001.0 as an integer and lets .nan pass; neither can become a uid or a limit. One error for each
# missing or unknown key, with that key as its message, is what the translation above needs.
_Strict: Any = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    validators={"pattern": _pattern, "required": _required, "additionalProperties": _additional},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer).redefine("number", _is_number),
)
