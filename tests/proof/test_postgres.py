# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases of people and projects: out of reach for everybody else, over the socket and over the network.

People try on the socket what they could try in a shell, with their own ids; over the network they have a password for
the time of the proof. What is denied is first shown to work where it is allowed, so that a mistake in an attack is
never read as a control that holds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from plugin import Proof, active
from target import ProbeError, Target

ROLE = "postgres"
pytestmark = pytest.mark.role(ROLE)

SAMPLE = 4
MOST_SESSIONS = 40
PROBE_ROLE = "lyceum_proof"
NO_RIGHT = "permission denied for database"
GONE = ("is not permitted to log in", "does not exist")

COPY = "CREATE TEMP TABLE t (x text); COPY t FROM"
NO_COPY = ("permission denied to COPY", "must be superuser or have privileges")

# What only a superuser may do, and the words of the refusal.
BEYOND = {
    "make a role": ("CREATE ROLE lyceum_proof_made SUPERUSER", ("denied to create role", "must be superuser")),
    "make a database": ("CREATE DATABASE lyceum_proof", ("permission denied to create database",)),
    "take a power": ("ALTER ROLE CURRENT_USER CREATEROLE SUPERUSER", ("permission denied", "must be superuser")),
    "change the server's settings": (
        "ALTER SYSTEM SET log_statement = 'all'",
        ("permission denied", "must be superuser"),
    ),
    "read the passwords of all": ("SELECT rolpassword FROM pg_authid", ("permission denied for table pg_authid",)),
    "run a program (COPY FROM PROGRAM)": (f"{COPY} PROGRAM 'id'", NO_COPY),
    "read a file of the server (COPY FROM)": (f"{COPY} '/etc/passwd'", NO_COPY),
    "read a file of the server (pg_read_file)": (
        "SELECT pg_read_file('postgresql.auto.conf')",
        ("permission denied for function pg_read_file",),
    ),
    "write a file of the server (lo_export)": (
        "SELECT lo_export(0, '/tmp/x')",
        ("permission denied for function lo_export",),
    ),
    "become the superuser (SET ROLE)": ("SET ROLE postgres", ("permission denied to set role",)),
    "become the superuser (SET SESSION AUTHORIZATION)": (
        "SET SESSION AUTHORIZATION postgres",
        ("permission denied to set session authorization",),
    ),
}


@dataclass
class Scene:
    """people: who may log in, has a database and an account here. secret: their password for the network."""

    target: Target
    people: list[str]
    facts: dict[str, Any]
    secret: str

    @property
    def claims(self) -> dict[str, Any]:
        return claims_of(self.target)

    def probe(self, action: str, **parameters: Any) -> Any:
        return self.target.probe(f"postgres_{action}", role=ROLE, port=self.claims["port"], **parameters)

    def own(self, name: str) -> set[str]:
        """Databases that somebody may connect to."""
        groups = {role["name"] for role in self.claims["roles"] if name in role["members"]}
        return {
            one["name"]
            for one in self.claims["databases"]
            if one["state"] == "present" and {one["owner"], one["readers"], *one["connect"]} & {*groups, name}
        }

    def others(self, name: str) -> list[str]:
        """All databases that are there, that somebody looks after, and that are none of this person's business."""
        claimed = {*self.claims["closed"], *(one["name"] for one in self.claims["databases"])}
        return sorted(claimed & set(self.facts["owners"]) - self.own(name))

    def as_person(self, name: str, *databases: str, user: str = "", statement: str = "SELECT 1") -> list[list[str]]:
        attempts = [{"user": user or name, "database": one, "statements": [statement]} for one in databases]
        found: list[list[str]] = self.probe("as", person=name, attempts=attempts)
        return found

    def pairs(self) -> list[tuple[str, str]]:
        """Attackers and whom they attack."""
        return [(self.people[number - 1], name) for number, name in enumerate(self.people[:SAMPLE])]


def claims_of(target: Target) -> dict[str, Any]:
    """What the role says, with what it leaves out filled in."""
    claims: dict[str, Any] = target.plan[ROLE]
    role = {"kind": "person", "state": "present", "connection_limit": -1, "members": []}
    database = {"state": "present", "readers": None, "connect": []}
    return {
        **claims,
        "roles": [{**role, **one} for one in claims["roles"]],
        "databases": [{**database, **one} for one in claims["databases"]],
    }


@pytest.fixture(scope="session")
def scene(target: Target) -> Iterator[Scene]:
    """At least two people with a database each and an account on the host, and a password while this lasts."""
    claims = claims_of(target)
    databases = [one["name"] for one in claims["databases"]]
    port = claims["port"]
    target.probe("postgres_clean", role=ROLE, databases=databases, port=port)
    facts = target.probe("postgres_facts", role=ROLE, port=port)
    accounts = target.result("observe")["accounts"]
    present = [role["name"] for role in claims["roles"] if role["kind"] == "person" and role["state"] == "present"]
    people = [name for name in present if accounts.get(name) and facts["owners"].get(name) == name]
    if len(people) < 2:
        pytest.skip("there are not two people with a database and an account here")
    secret = os.urandom(16).hex()
    target.probe("postgres_scene", role=ROLE, people=people[:SAMPLE], secret=secret, port=port)
    yield Scene(target, people, facts, secret)
    target.probe("postgres_clean", role=ROLE, databases=databases, port=port)


def judge(proof: Proof, what: str, words: list[str], *refusals: str) -> None:
    """words: of the server, [] if it let the attack through."""
    if not words:
        proof.broken(what)
    elif any(refusal in words[0] for refusal in refusals):
        proof.held(what)
    else:
        proof.not_tested(f"{what}: failed otherwise: {words[0]}")


@pytest.mark.control("databases", "somebody else's database over the socket")
def test_others_over_the_socket(scene: Scene, proof: Proof) -> None:
    for name in scene.people[:SAMPLE]:
        others = scene.others(name)
        own, *found = scene.as_person(name, name, *others)
        if own:
            proof.not_tested(f"{name} does not get into the own database either: {own[0]}")
            continue
        for database, words in zip(others, found):
            judge(proof, f"{name} -> {database}", words, NO_RIGHT)


@pytest.mark.control("databases", "somebody else's database over the network, with TLS and a password")
def test_others_over_the_network(scene: Scene, proof: Proof) -> None:
    needs_network(scene)
    for name in scene.people[:SAMPLE]:
        others = scene.others(name)
        attempts = [{"user": name, "database": database} for database in (name, *others)]
        own, *found = scene.probe("network", attempts=attempts, secret=scene.secret)
        if own:
            proof.not_tested(f"{name} does not get into the own database either: {own[0]}")
            continue
        for database, words in zip(others, found):
            judge(proof, f"{name} -> {database}", words, NO_RIGHT)


@pytest.mark.control("databases", "a login over the socket under somebody else's name, or the superuser's")
def test_names_of_others(scene: Scene, proof: Proof) -> None:
    for name, victim in scene.pairs():
        if scene.as_person(name, name)[0]:
            proof.not_tested(f"{name} does not get in under the own name either")
            continue
        for user, database in ((victim, victim), ("postgres", "postgres")):
            words = scene.as_person(name, database, user=user)[0]
            judge(proof, f"{name} as {user}", words, "Peer authentication failed", "peer authentication failed")


@pytest.mark.control("databases", "a person with a shell does not get in with psql")
def test_psql_in_a_shell(scene: Scene, proof: Proof) -> None:
    """Not an attack: what the others are compared with, over a real login."""
    people = [one for one in scene.people if active(scene.target.people[one]) and one in scene.target.identities]
    for name in people[:SAMPLE]:
        done = scene.target.run_as(name, f"psql -X -p {int(scene.claims['port'])} -Atc 'SELECT current_user'")
        if done.stdout.strip() == name:
            proof.held(name)
        else:
            proof.broken(f"{name}: {(done.stderr or done.stdout).strip()[-200:]}")
    if not people:
        proof.not_tested("nobody with a database has a shell and a key at hand")


def needs_network(scene: Scene) -> None:
    if not scene.claims["tls"]:
        pytest.skip("nobody comes over the network here (postgres_tls is false)")
    try:
        scene.probe("greeting", user=scene.people[0], database=scene.people[0], tls=True)
    except ProbeError as exc:
        pytest.skip(f"the server does not answer on the host's own loopback address: {exc}")


@pytest.mark.control("network", "a connection without TLS")
def test_without_tls(scene: Scene, proof: Proof) -> None:
    needs_network(scene)
    for user in (scene.people[0], "postgres", "nobody-of-this-name"):
        told = scene.probe("greeting", user=user, database=user, tls=False)
        if "no encryption" in told.get("refused", "") or "rejects connection" in told.get("refused", ""):
            proof.held(user)
        elif "wants" in told:
            proof.broken(f"{user}: the server goes on without TLS and wants {told['wants']}")
        else:
            proof.not_tested(f"{user}: {told['refused']}")


@pytest.mark.control("network", "a password in clear or as md5, or none at all")
def test_only_scram(scene: Scene, proof: Proof) -> None:
    needs_network(scene)
    for user in (scene.people[0], PROBE_ROLE, "nobody-of-this-name"):
        told = scene.probe("greeting", user=user, database=scene.people[0], tls=True)
        if told.get("wants") == "SCRAM":
            proof.held(user)
        elif "wants" in told:
            proof.broken(f"of {user} the server wants {told['wants']}")
        else:
            proof.not_tested(f"{user}: {told['refused']}")


@pytest.mark.control("network", "the right password, which the server keeps as md5")
def test_md5_hash(scene: Scene, proof: Proof) -> None:
    needs_network(scene)
    attempts = [{"user": who, "database": scene.people[0]} for who in (scene.people[0], PROBE_ROLE)]
    control, attacked = scene.probe("network", attempts=attempts, secret=scene.secret)
    if control:
        proof.not_tested(f"with a SCRAM verifier nobody gets in either: {control[0]}")
    elif attacked and NO_RIGHT in attacked[0]:
        proof.broken(f"{PROBE_ROLE} was let in, and only then stopped at the database")
    else:
        judge(proof, PROBE_ROLE, attacked, "password authentication failed")


@pytest.mark.control("network", "a wrong password")
def test_wrong_password(scene: Scene, proof: Proof) -> None:
    needs_network(scene)
    attempts = [{"user": name, "database": name} for name in scene.people[:2]]
    for name, words in zip(scene.people, scene.probe("network", attempts=attempts, secret="x" + scene.secret)):
        judge(proof, name, words, "password authentication failed")


@pytest.mark.control("network", "the superuser")
def test_superuser_over_the_network(scene: Scene, proof: Proof) -> None:
    needs_network(scene)
    told = scene.probe("greeting", user="postgres", database="postgres", tls=True)
    if "rejects connection" in told.get("refused", ""):
        proof.held("postgres")
    else:
        proof.broken(f"the server answers: {told}")


@pytest.mark.control("network", "a server that cannot show whose it is")
def test_certificate(scene: Scene, proof: Proof) -> None:
    needs_network(scene)
    right, wrong = (scene.probe("certificate", hostname=one) for one in ("localhost", "other.example.org"))
    if right["trusted"] and not wrong["trusted"]:
        proof.held("localhost, and nothing else")
    elif right["trusted"]:
        proof.broken("the certificate is good for other.example.org, too")
    else:
        proof.broken(f"clients that check do not trust it: {right['words']}")


@pytest.mark.parametrize("what", BEYOND)
@pytest.mark.control("powers", "{what}")
def test_beyond_ones_own(scene: Scene, proof: Proof, what: str) -> None:
    statement, refusals = BEYOND[what]
    for name in scene.people[:2]:
        harmless = scene.as_person(name, name, statement="CREATE TEMP TABLE t (x text); INSERT INTO t VALUES ('x')")[0]
        if harmless:
            proof.not_tested(f"{name} cannot do what is harmless either: {harmless[0]}")
        else:
            judge(proof, name, scene.as_person(name, name, statement=statement)[0], *refusals)


@pytest.mark.control("connection limit", "one session more than allowed")
def test_connection_limit(scene: Scene, proof: Proof) -> None:
    limits = {role["name"]: role["connection_limit"] for role in scene.claims["roles"]}
    limited = [name for name in scene.people if 0 < limits[name] <= MOST_SESSIONS]
    for name in limited[:SAMPLE]:
        told = scene.probe("many", person=name, count=limits[name] + 1)
        if told["opened"] > limits[name]:
            proof.broken(f"{name} has {told['opened']} sessions of {limits[name]}")
        elif told["opened"] == limits[name] and "too many connections for role" in told["words"]:
            proof.held(f"{name}: {limits[name]}")
        else:
            proof.not_tested(f"{name} was stopped after {told['opened']} sessions: {told['words']}")
    if not limited:
        proof.not_tested(f"nobody has a limit of 1 to {MOST_SESSIONS}")


@pytest.mark.control("offboarding", "suspended: a login to the database, a session that goes on")
def test_suspended(scene: Scene, proof: Proof) -> None:
    accounts = scene.target.result("observe")["accounts"]
    away = [role for role in scene.claims["roles"] if role["kind"] == "person" and role["state"] == "suspended"]
    for role in away[:20]:
        name = role["name"]
        if scene.facts["sessions"].get(name):
            proof.broken(f"{name} has {scene.facts['sessions'][name]} sessions")
        elif accounts.get(name):
            judge(proof, name, scene.as_person(name, name)[0], *GONE)
        elif scene.facts["roles"].get(name):
            proof.broken(f"{name} may log in")
        else:
            proof.held(name)
    if not away:
        proof.not_tested("nobody with a database is suspended")


@pytest.mark.control("offboarding", "absent: a role, a database that others get into")
def test_absent(scene: Scene, proof: Proof) -> None:
    away = [role["name"] for role in scene.claims["roles"] if role["state"] == "absent"]
    for name in away:
        owner = scene.facts["owners"].get(name)
        if name in scene.facts["roles"]:
            proof.broken(f"{name}: the role is there")
        elif owner not in (None, scene.claims["estate"]):
            proof.broken(f"the database {name} belongs to {owner}")
        else:
            proof.held(name)
    if not away:
        proof.not_tested("nobody with a database is absent")


@pytest.mark.control("projects", "a reader writes")
def test_readers(scene: Scene, proof: Proof) -> None:
    for database, writers, readers in projects(scene):
        if not writers or not readers:
            continue
        told = scene.probe("share", writer=writers[0], reader=readers[0], other=None, database=database)
        if told["made"] or told["read"]:
            proof.not_tested(f"{database}: {writers[0]}: {told['made']}, {readers[0]}: {told['read']}")
            continue
        judge(proof, f"{readers[0]} inserts into {database}", told["wrote"], "permission denied for table")
        judge(proof, f"{readers[0]} makes a table in {database}", told["created"], "permission denied for schema")
    if not any(proof.seen.values()):
        proof.not_tested("no project has both a writer and a reader with an account here")


@pytest.mark.control("projects", "what one writer makes is out of reach for the others of the project")
def test_writers_share(scene: Scene, proof: Proof) -> None:
    for database, writers, _readers in projects(scene):
        if len(writers) < 2:
            continue
        told = scene.probe("share", writer=writers[0], reader=None, other=writers[1], database=database)
        if told["made"]:
            proof.not_tested(f"{database}: {writers[0]}: {told['made'][0]}")
        elif told["shared"]:
            proof.broken(f"{writers[1]} cannot change what {writers[0]} made in {database}: {told['shared'][0]}")
        else:
            proof.held(f"{database}: {writers[0]}, {writers[1]}")
    if not any(proof.seen.values()):
        proof.not_tested("no project has two writers with an account here")


def projects(scene: Scene) -> Iterator[tuple[str, list[str], list[str]]]:
    """Database, writers and readers who have accounts here."""
    members = {role["name"]: role["members"] for role in scene.claims["roles"] if role["kind"] == "project"}
    for one in scene.claims["databases"]:
        if one["owner"] in members and one["name"] in scene.facts["owners"] and one["state"] == "present":
            writers, readers = (members.get(key) or [] for key in (one["owner"], one["readers"]))
            yield (
                one["name"],
                [name for name in writers if name in scene.people],
                [name for name in readers if name in scene.people],
            )


@pytest.mark.control("storage", "the server does not notice pages that a disk spoils")
def test_checksums(scene: Scene, proof: Proof) -> None:
    settings = scene.facts["settings"]
    if settings["data_checksums"] == "on":
        proof.held("data checksums are on")
    else:
        proof.broken("data checksums are off; see postgres_enable_checksums")
