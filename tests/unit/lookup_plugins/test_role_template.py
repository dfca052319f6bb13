# SPDX-License-Identifier: GPL-3.0-or-later
"""The same text as the stock lookup, without copying what the template does not need."""

from __future__ import annotations

import json
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

from role_template import Variables

PLUGINS = Path(__file__).resolve().parents[3] / "lookup_plugins"
TEMPLATE = "{% for name in names %}\n{{ name }} of {{ place }} in {{ template_path | basename }}\n{% endfor %}\n"


def rendered(folder: Path, lookup: str) -> str:
    """What a playbook gets from the lookup."""
    content = f"{{{{ lookup('{lookup}', 'list.j2', template_vars={{'names': ['dlopez']}}) }}}}"
    (folder / "templates").mkdir(exist_ok=True)
    (folder / "templates" / "list.j2").write_text(TEMPLATE)
    (folder / "play.yml").write_text(
        json.dumps(
            [
                {
                    "hosts": "localhost",
                    "gather_facts": False,
                    "vars": {"place": "{{ 'Ly' ~ 'on' }}", "names": ["amartin", "bchen"]},
                    "tasks": [
                        {
                            "ansible.builtin.copy": {
                                "content": content,
                                "dest": str(folder / lookup),
                                "mode": "0600",
                            }
                        }
                    ],
                }
            ]
        )
    )
    subprocess.run(
        [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", "-c", "local", "play.yml"],
        cwd=folder,
        env={"ANSIBLE_LOOKUP_PLUGINS": str(PLUGINS), "HOME": str(folder), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        check=True,
        capture_output=True,
    )
    return (folder / lookup).read_text()


def test_the_same_text_as_the_stock_lookup(tmp_path: Path) -> None:
    text = rendered(tmp_path, "role_template")
    assert text == "dlopez of Lyon in list.j2\n"
    assert text == rendered(tmp_path, "ansible.builtin.template")


def test_what_a_template_is_given_is_its_own_dict_of_the_same_values() -> None:
    people = [{"name": "amartin"}]
    variables = Variables({"people": people})
    copied = deepcopy(variables)
    copied["more"] = 1
    assert "more" not in variables
    assert copied["people"] is people
