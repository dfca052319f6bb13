# SPDX-License-Identifier: GPL-3.0-or-later
"""The stock lookup `template`, whose cost does not grow with the registry."""

from __future__ import annotations

from typing import Any

from ansible.plugins.lookup.template import LookupModule as Template

DOCUMENTATION = r"""
name: role_template
author: Lyceum (@lyceum)
short_description: Text of a template, whatever the number of people
description:
  - The same as P(ansible.builtin.template#lookup), which copies every variable for every template, down to the last key
    of the last person. With 1,000 people this is half a second for each file.
options:
  _terms:
    description: Templates, looked for where the stock lookup looks.
    required: true
  template_vars:
    description: Further variables for the template.
    type: dict
    default: {}
  variable_start_string:
    description: What begins a variable.
    type: str
    default: '{{'
  variable_end_string:
    description: What ends a variable.
    type: str
    default: '}}'
  comment_start_string:
    description: What begins a comment.
    type: str
    default: '{#'
  comment_end_string:
    description: What ends a comment.
    type: str
    default: '#}'
  trim_blocks:
    description: Whether the line break after a block goes with it.
    type: bool
    default: true
"""

EXAMPLES = r"""
- managed_files:
    files:
      - path: /etc/example.conf
        content: "{{ lookup('role_template', 'example.conf.j2') }}"
"""

RETURN = r"""
_raw:
  description: The text of each template.
  type: list
  elements: raw
"""


class Variables(dict[str, Any]):
    """Variables of a task. A template gets a dict of its own, with the same values in it: it cannot change those."""

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return dict(self)


class LookupModule(Template):
    """See DOCUMENTATION."""

    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[Any]:
        return super().run(terms, variables=Variables(variables or {}), **kwargs)
