# SPDX-License-Identifier: GPL-3.0-or-later
"""Gitea, attacked as strangers, as people who have left, and as people of its own host.

One person gets a private repository, a token and a key for the time of the proof, which first has to show that these
let the person in. Every verdict names the program: the real one, or the stand-in of this project's tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from plugin import Proof, active
from target import Target

ROLE = "gitea"
pytestmark = pytest.mark.role(ROLE)

MOST_EXPOSED = 3.0
SAMPLE = 5
REPOSITORY = "lyceum-proof"


@dataclass
class Scene:
    """person: whose repository it is. token: of that person. stranger: a token of somebody who is in no registry."""

    target: Target
    person: str
    token: str
    stranger: str
    password: str

    @property
    def plan(self) -> dict[str, Any]:
        return dict(self.target.plan[ROLE])

    @property
    def which(self) -> str:
        return which(self.plan)

    def probe(self, action: str, **parameters: Any) -> Any:
        return probe(self.target, action, **parameters)

    def api(self, path: str, token: str = "") -> dict[str, Any]:
        return dict(self.probe("api", method="GET", path=path, token=token))


def which(plan: dict[str, Any]) -> str:
    return "the stand-in for Gitea" if "stand-in" in plan["version"] else " ".join(plan["version"].split()[:3])


def probe(target: Target, action: str, **parameters: Any) -> Any:
    return target.probe(f"gitea_{action}", role=ROLE, plan=target.plan[ROLE], timeout=180, **parameters)


def names(plan: dict[str, Any], *states: str) -> list[str]:
    return [person["name"] for person in plan["people"] if person["state"] in states]


@pytest.fixture(scope="session")
def scene(target: Target) -> Iterator[Scene]:
    plan = target.plan[ROLE]
    if not plan["version"]:
        pytest.skip("there is no Gitea: its program could not be had")
    people = names(plan, "present")
    if not people:
        pytest.skip("nobody has an account in Gitea")
    concerned = [people[0], *names(plan, "suspended", "absent")[:SAMPLE]]
    probe(target, "clear", names=concerned)
    try:
        made = probe(target, "scene", name=people[0])
        yield Scene(target, people[0], made["token"], made["stranger"], made["password"])
    finally:
        probe(target, "clear", names=concerned)


def judge(scene: Scene, proof: Proof, entered: bool, how: str) -> None:
    """An attack that should have failed."""
    (proof.broken if entered else proof.held)(f"{how} ({scene.which})")


def need(scene: Scene, entered: bool, how: str, words: str = "") -> None:
    """What has to work before its refusal means anything."""
    if not entered:
        raise RuntimeError(f"{scene.person} is not let in {how} either ({scene.which}): {words}")


@pytest.mark.control("work", "a person signs in, pushes and pulls")
def test_a_person_works(scene: Scene, proof: Proof) -> None:
    ways = ["https", *(["ssh"] if scene.plan["ssh"] != "none" else [])]
    me = scene.api("/user", scene.token)
    results = {"the API": (me["status"] == 200 and (me["body"] or {}).get("login") == scene.person, str(me["status"]))}
    for how in ways:
        done = scene.probe("git", how=how, owner=scene.person, name=scene.person, token=scene.token, push=True)
        results[f"git over {how}"] = (done["entered"], done["words"])
    signed = scene.probe("sign_in", name=REPOSITORY, password=scene.password, path="")
    results["the web"] = (signed["entered"], "the password is not taken")
    for how, (entered, words) in results.items():
        if entered:
            proof.held(f"{how} ({scene.which})")
        else:
            proof.broken(f"{how} ({scene.which}): {words}")


@pytest.mark.control("private", "somebody who has an account looks at a private repository of somebody else")
def test_a_stranger(scene: Scene, proof: Proof) -> None:
    path = f"/repos/{scene.person}/{REPOSITORY}"
    need(scene, scene.api(path, scene.token)["status"] == 200, "over the API")
    judge(scene, proof, scene.api(path, scene.stranger)["status"] == 200, "the API")
    own = scene.probe("git", how="https", owner=scene.person, name=scene.person, token=scene.token)
    need(scene, own["entered"], "over HTTPS", own["words"])
    git = scene.probe("git", how="https", owner=scene.person, name=REPOSITORY, token=scene.stranger)
    judge(scene, proof, git["entered"], "git over HTTPS")
    web = scene.probe("sign_in", name=REPOSITORY, password=scene.password, path=f"/{scene.person}/{REPOSITORY}")
    if web["entered"]:
        judge(scene, proof, web["status"] == 200, "the web")
    else:
        proof.not_tested("the web: the stranger could not sign in")


@pytest.mark.control("private", "somebody who has not signed in looks around")
def test_nobody(scene: Scene, proof: Proof) -> None:
    git = scene.probe("git", how="https", owner=scene.person)
    judge(scene, proof, git["entered"], "git over HTTPS")
    judge(scene, proof, scene.api(f"/repos/{scene.person}/{REPOSITORY}")["status"] == 200, "the API")
    if scene.plan["signin_required"]:
        judge(scene, proof, scene.api("/users/search")["status"] == 200, "the list of people")


@pytest.mark.control("offboarding", "somebody suspended or gone comes with a token of their own")
def test_suspended_people(scene: Scene, proof: Proof) -> None:
    left = names(scene.plan, "suspended", "absent")[:SAMPLE]
    if not left:
        pytest.skip("nobody is suspended or gone")
    need(scene, scene.api("/user", scene.token)["status"] == 200, "over the API")
    for name in left:
        found = scene.probe("account", name=name)
        if not found:
            proof.held(f"{name} has no account ({scene.which})")
            continue
        token = scene.probe("token", name=name)
        me = scene.api("/user", token)
        judge(scene, proof, me["status"] == 200, f"{name} over the API")
        git = scene.probe("git", how="https", owner=scene.person, name=name, token=token)
        judge(scene, proof, git["entered"], f"{name} over HTTPS")
        judge(scene, proof, bool(found["keys"]), f"{name} by SSH keys")
        judge(scene, proof, not found["prohibit_login"] and found["active"], f"{name} on the web")


@pytest.mark.control("ssh", "the key of a person asks for a shell")
def test_no_shell(scene: Scene, proof: Proof) -> None:
    if scene.plan["ssh"] == "none":
        pytest.skip("git is not served over SSH")
    git = scene.probe("git", how="ssh", owner=scene.person)
    need(scene, git["entered"], "over SSH", git["words"])
    judge(scene, proof, scene.probe("shell")["entered"], f"as {scene.plan['user']}")


@pytest.mark.control("secrets", "a person of the host reads what Gitea keeps, and speaks to its socket")
def test_people_of_the_host(scene: Scene, proof: Proof) -> None:
    present = scene.target.result("observe")["accounts"]
    people = [person["name"] for person in scene.target.people.values() if active(person) and present[person["name"]]]
    if not people:
        pytest.skip("nobody has a shell here")
    entered = scene.probe("reach", person=people[0])["entered"]
    for path in entered:
        proof.broken(f"{people[0]} reaches {path}")
    if not entered:
        proof.held(f"{people[0]} ({scene.which})")


@pytest.mark.control("secrets", "a file with a secret is open to others")
def test_modes(scene: Scene, proof: Proof) -> None:
    for path, mode in scene.probe("paths").items():
        judge(scene, proof, int(mode, 8) & 0o027 != 0, f"{path} {mode}")


@pytest.mark.control("access", "somebody asks nginx for what is for the host itself")
def test_inner_paths(scene: Scene, proof: Proof) -> None:
    for path in ("/metrics", "/api/internal/manager/processes"):
        found = scene.probe("page", path=path)["status"]
        judge(scene, proof, found not in (403, 404), f"{path} answers {found}")


@pytest.mark.control("registration", "a stranger makes an account")
def test_registration(scene: Scene, proof: Proof) -> None:
    word = "Intruder-0123456789"
    form = {"user_name": REPOSITORY + "-new", "email": "intruder@example.org", "password": word, "retype": word}
    found = scene.probe("page", path="/user/sign_up", method="POST", body=form)["status"]
    made = scene.probe("account", name=form["user_name"])
    judge(scene, proof, bool(made), f"/user/sign_up answers {found}")


@pytest.mark.control("sandbox", "systemd judges what the server may do")
def test_exposure(scene: Scene, proof: Proof) -> None:
    found = scene.target.probe("gitea_exposure", role=ROLE)
    if found["level"] is None:
        proof.not_tested(f"systemd-analyze says nothing: {found['words']}")
    else:
        judge(scene, proof, found["level"] > MOST_EXPOSED, f"exposure {found['level']}")


@pytest.mark.control("health", "gitea doctor looks for every mistake it knows")
def test_doctor(scene: Scene, proof: Proof) -> None:
    found = scene.probe("doctor")
    judge(scene, proof, found["status"] != 0, "gitea doctor check")
