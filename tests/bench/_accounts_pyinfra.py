# SPDX-License-Identifier: GPL-3.0-or-later
"""The same people through pyinfra. It runs in pyinfra's own environment: `pyinfra inventory _accounts_pyinfra.py`."""

from __future__ import annotations

import json
import os
from pathlib import Path

from pyinfra.operations import files, server

people = json.loads(Path(os.environ["BENCH_PEOPLE"]).read_text(encoding="utf-8"))
keys = {entry["name"]: entry["ssh_keys"][0] for entry in people["bench_keys"]}
for group in people["bench_groups"]:
    server.group(group=group["name"], gid=group["gid"])
for person in people["bench_people"]:
    server.group(group=person["name"], gid=person["uid"])
    server.user(
        user=person["name"],
        uid=person["uid"],
        group=person["name"],
        groups=person["groups"],
        comment=person["gecos"],
        shell="/bin/bash",
        home=f"/home/{person['name']}",
        create_home=True,
    )
    files.directory(path=f"/home/{person['name']}", user=person["name"], group=person["name"], mode="700")
    files.block(
        path=f"/etc/ssh/authorized_keys.d/{person['name']}",
        content=keys[person["name"]],
        try_prevent_shell_expansion=True,
    )
