# SPDX-License-Identifier: GPL-3.0-or-later
"""Root's side of the attacks on Gitea: questions through nginx as anybody asks them, and git over HTTPS and SSH.

Sent to the host after probe.py, whose helpers it uses. What it makes has fixed names and is removed by `gitea_clear`,
with which every proof begins and ends: an account that is in no registry, and of one person a repository, a key and
tokens.
"""

# ruff: noqa: PTH101, PTH103, PTH112, PTH116, PTH123, PTH208

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import re
import secrets
import shutil
import socket
import ssl
import subprocess
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from probe import ACTIONS, ENVIRONMENT, account, as_person, run

NAME = "lyceum-proof"
FOLDER = "/run/lyceum-proof-gitea"
SECONDS = 20


def gitea_request(plan, method, path, body=None, token="", basic=None, cookie="", form=False):
    """One request to nginx under Gitea's name: (status, headers, content)."""
    headers = {"Host": plan["domain"], "User-Agent": NAME, "Connection": "close"}
    if token:
        headers["Authorization"] = f"token {token}"
    if basic:
        headers["Authorization"] = "Basic " + base64.b64encode(":".join(basic).encode()).decode()
    if cookie:
        headers["Cookie"] = cookie
    if body is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded" if form else "application/json"
        body = urllib.parse.urlencode(body) if form else json.dumps(body)
    with socket.create_connection(("127.0.0.1", plan["https_port"]), SECONDS) as plain:
        stream = ssl.create_default_context().wrap_socket(plain, server_hostname=plan["domain"])
        connection = http.client.HTTPConnection(plan["domain"], timeout=SECONDS)
        connection.sock = stream
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.getheaders(), answer.read()


def gitea_api(plan, method, path, body=None, **options):
    """{status, body}; the body is None when it is no JSON: a page says nothing, whatever its status."""
    status, headers, content = gitea_request(plan, method, f"/api/v1{path}", body, **options)
    is_json = any(key.lower() == "content-type" and "json" in value for key, value in headers)
    return {"status": status, "body": json.loads(content) if is_json and content else None}


def bot_token(plan):
    with open(plan["token_file"]) as handle:
        return handle.read().strip()


def as_bot(plan, method, path, body=None):
    return gitea_api(plan, method, path, body, token=bot_token(plan))


def gitea_command(plan, *words):
    """Gitea's command line, as its user."""
    entry = account(plan["user"])
    return subprocess.run(
        [plan["program"], *words, "--config", plan["config"]],
        user=entry.pw_uid, group=entry.pw_gid, extra_groups=[], cwd=plan["home"], capture_output=True, text=True,
        env={**ENVIRONMENT, "HOME": plan["home"], "USER": plan["user"]},
        timeout=120, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def gitea_token(plan, name):
    """A token of anybody, as only root can make it."""
    title = f"{NAME}-{secrets.token_hex(4)}"
    scopes = "write:repository,write:user"
    done = gitea_command(
        plan,
        "admin",
        "user",
        "generate-access-token",
        "--username",
        name,
        "--token-name",
        title,
        "--scopes",
        scopes,
        "--raw",
    )
    if done.returncode:
        raise RuntimeError(f"no token for {name}: {done.stderr.strip()[-200:]}")
    return done.stdout.split()[-1]


def listed(answer):
    """The entries of a list; none where there is no such person."""
    if answer["status"] == 404:
        return []
    if answer["status"] != 200:
        raise RuntimeError(f"Gitea answers {answer['status']} instead of a list: {answer['body']}")
    return answer["body"]


def gitea_clear(plan, names):
    """Remove what a proof made, also one that was killed."""
    bot = (plan["bot"], bot_token(plan))
    for name in names:
        as_bot(plan, "DELETE", f"/repos/{name}/{NAME}")
        for key in listed(as_bot(plan, "GET", f"/users/{name}/keys?limit=50")):
            if key["title"] == NAME:
                as_bot(plan, "DELETE", f"/admin/users/{name}/keys/{key['id']}")
        for token in listed(gitea_api(plan, "GET", f"/users/{name}/tokens?limit=50", basic=bot)):
            if token["name"].startswith(NAME):
                gitea_api(plan, "DELETE", f"/users/{name}/tokens/{token['id']}", basic=bot)
    as_bot(plan, "DELETE", f"/admin/users/{NAME}?purge=true")
    shutil.rmtree(FOLDER, ignore_errors=True)
    return {}


def gitea_scene(plan, name):
    """A stranger with a password, and of one person a private repository, a token and a key."""
    os.makedirs(FOLDER, mode=0o700, exist_ok=True)
    word = secrets.token_urlsafe(24)
    values = {"username": NAME, "email": f"{NAME}@example.org", "password": word, "must_change_password": False}
    made = as_bot(plan, "POST", "/admin/users", values)
    token = gitea_token(plan, name)
    repository = gitea_api(plan, "POST", "/user/repos", {"name": NAME, "private": True}, token=token)
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", NAME, "-f", f"{FOLDER}/key")
    with open(f"{FOLDER}/key.pub") as handle:
        key = as_bot(plan, "POST", f"/admin/users/{name}/keys", {"title": NAME, "key": handle.read().strip()})
    failed = {what: one["status"] for what, one in (("stranger", made), ("repository", repository), ("key", key))
              if one["status"] != 201}  # fmt: skip
    if failed:
        raise RuntimeError(f"the scene could not be set: {failed}")
    return {"token": token, "stranger": gitea_token(plan, NAME), "password": word}


def gitea_password(plan, name):
    """A new password of somebody, as an administrator can give it."""
    word = secrets.token_urlsafe(24)
    values = {"login_name": name, "source_id": 0, "password": word, "must_change_password": False}
    answer = as_bot(plan, "PATCH", f"/admin/users/{name}", values)
    if answer["status"] != 200:
        raise RuntimeError(f"{name} gets no password: Gitea answers {answer['status']}")
    return word


def gitea_sign_in(plan, name, password, path=""):
    """Sign in as a browser does, and ask for a page: {entered, status, session}. entered: see gitea_settings."""
    jar = {}

    def ask(method, where, body=None):
        cookie = "; ".join(f"{key}={value}" for key, value in jar.items())
        status, headers, content = gitea_request(plan, method, where, body, cookie=cookie, form=True)
        for key, value in headers:
            if key.lower() == "set-cookie":
                pair = value.split(";")[0].partition("=")
                jar[pair[0]] = pair[2]
        return status, content.decode(errors="replace")

    _status, page = ask("GET", "/user/login")
    mark = re.search(r'name="_csrf" value="([^"]*)"', page)
    form = {"user_name": name, "password": password, **({"_csrf": mark.group(1)} if mark else {})}
    ask("POST", "/user/login", form)
    session = "; ".join(f"{key}={value}" for key, value in jar.items())
    status = ask("GET", path)[0] if path else 0
    return {"entered": gitea_settings(plan, session)["entered"], "status": status, "session": session}


def gitea_settings(plan, session):
    """Whether a session is shown its own settings: {entered}. That one may not sign in is said with status 200, too."""
    status, _headers, content = gitea_request(plan, "GET", "/user/settings", cookie=session)
    return {"entered": status == 200 and b'name="full_name"' in content}


def gitea_page(plan, path, method="GET", body=None):
    """What somebody who has not signed in gets: {status}."""
    return {"status": gitea_request(plan, method, path, body, form=True)[0]}


def gitea_git(plan, how, owner, name="", token="", push=False):
    """git on the repository of the scene: {entered, words}. how: https or ssh. push: write before reading."""
    environment = {**ENVIRONMENT, "HOME": FOLDER, "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1"}
    environment.update(GIT_AUTHOR_NAME=NAME, GIT_AUTHOR_EMAIL="x@example.org", GIT_COMMITTER_NAME=NAME)
    environment.update(GIT_COMMITTER_EMAIL="x@example.org")
    port = plan["https_port"]
    if how == "https":
        Path(f"{FOLDER}/ask").write_text('#!/bin/sh\ncase "$1" in User*) echo "$WHO";; *) echo "$WORD";; esac\n')
        os.chmod(f"{FOLDER}/ask", 0o700)
        environment.update(GIT_ASKPASS=f"{FOLDER}/ask", WHO=name or "nobody", WORD=token or "x")
        address = f"https://{plan['domain']}{'' if port == 443 else f':{port}'}/{owner}/{NAME}.git"
    else:
        options = (
            f"-oIdentitiesOnly=yes -oIdentityAgent=none -oIdentityFile={FOLDER}/key -oBatchMode=yes -oConnectTimeout=10"
        )
        hosts = "-oUserKnownHostsFile=/dev/null -oStrictHostKeyChecking=no -oLogLevel=ERROR"
        environment["GIT_SSH_COMMAND"] = f"ssh -F none {options} {hosts}"
        address = f"ssh://{plan['user']}@127.0.0.1:{plan['ssh_port']}/{owner}/{NAME}.git"
    words = ["git", "-c", f"http.curloptResolve={plan['domain']}:{port}:127.0.0.1"]

    def git(*more):
        return subprocess.run(
            [*words, *more], env=environment, capture_output=True, text=True, timeout=60, check=False, cwd=FOLDER,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    if push:
        git("init", "-q", f"--initial-branch={how}", how)
        git("-C", how, "commit", "-q", "--allow-empty", "-m", NAME)
        done = git("-C", how, "push", "-q", address, how)
        if done.returncode:
            return {"entered": False, "words": f"push: {done.stderr.strip()[-200:]}"}
        shutil.rmtree(f"{FOLDER}/copy", ignore_errors=True)
        done = git("clone", "-q", "--branch", how, address, "copy")
    else:
        done = git("ls-remote", address)
    return {"entered": done.returncode == 0, "words": done.stderr.strip()[-200:]}


def gitea_shell(plan):
    """Whether the key of somebody opens more than git: {entered, words}."""
    words = ["ssh", "-F", "none", "-oIdentitiesOnly=yes", "-oIdentityAgent=none", f"-oIdentityFile={FOLDER}/key"]
    words += ["-oBatchMode=yes", "-oUserKnownHostsFile=/dev/null", "-oStrictHostKeyChecking=no", "-oLogLevel=ERROR"]
    done = run(*words, "-p", str(plan["ssh_port"]), f"{plan['user']}@127.0.0.1", "id")
    return {"entered": "uid=" in done.stdout, "words": (done.stdout + done.stderr).strip()[-200:]}


def gitea_account(plan, name):
    """What Gitea says of somebody: {} when there is no such account."""
    answer = as_bot(plan, "GET", f"/users/{name}")
    if answer["status"] == 404:
        return {}
    keys = listed(as_bot(plan, "GET", f"/users/{name}/keys?limit=50"))
    return {key: answer["body"].get(key) for key in ("active", "prohibit_login")} | {"keys": len(keys)}


def gitea_paths(plan):
    """Everything with a secret in it, by path: (owner, mode). And whom the socket lets come."""
    listed = [plan["config"], plan["token_file"], *(str(path) for path in Path(plan["secrets"]).iterdir())]
    return {path: oct(os.stat(path).st_mode & 0o777) for path in listed}


def gitea_reach(plan, person):
    """What a person of the host gets at: files with secrets, repositories, the socket."""

    def attempts():
        entered = []
        for path in [*paths, f"{plan['home']}/repositories", f"{plan['home']}/data"]:
            with contextlib.suppress(OSError):
                os.listdir(path) if os.path.isdir(path) else open(path).close()
                entered.append(path)
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as one:
            one.connect(plan["socket"])
            entered.append(plan["socket"])
        return entered

    paths = list(gitea_paths(plan))
    return {"entered": as_person(account(person), attempts)}


def gitea_doctor(plan):
    done = gitea_command(plan, "doctor", "check", "--default")
    return {"status": done.returncode, "words": (done.stdout + done.stderr).strip()[-300:]}


def gitea_exposure():
    done = run("systemd-analyze", "security", "--no-pager", "gitea.service")
    found = re.search(r"exposure level for gitea\.service: ([0-9.]+)", done.stdout)
    return {"level": float(found.group(1)) if found else None, "words": done.stderr.strip()[-200:]}


ACTIONS.update(
    {
        f.__name__: f
        for f in (
            gitea_api,
            gitea_page,
            gitea_token,
            gitea_clear,
            gitea_scene,
            gitea_password,
            gitea_sign_in,
            gitea_settings,
            gitea_git,
            gitea_shell,
            gitea_account,
            gitea_paths,
            gitea_reach,
            gitea_doctor,
            gitea_exposure,
        )
    }
)
