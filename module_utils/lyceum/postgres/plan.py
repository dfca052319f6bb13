# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare what is wanted with what a server has. Pure: the statements that follow are run by `apply`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ..errors import LyceumError, RefusedError
from . import scram, sql
from .model import ABSENT, PERSON, PRESENT, PROJECT, SERVICE, SUSPENDED, UNLIMITED, Database, Desired, Role
from .observe import POWERS, PUBLIC, Observed, SeenDatabase, SeenRole

OWNER_GRANTS = ("CREATE", "CONNECT", "TEMPORARY")


@dataclass
class NewDatabase:
    """create: outside of any transaction. after: opens it, in the same transaction as what closes it to strangers."""

    name: str
    create: str
    after: list[str] = field(default_factory=list)


@dataclass
class Change:
    """All that happens to one role and what it owns.

    first: creates and changes the role. second: memberships, and databases that exist. third: (database, statement)
    for databases that are new. inside: database -> statements to run in it. leave: the databases in which the role,
    which goes, may own something. end: (role, database) whose sessions have to go; without a database, all of the role.
    """

    name: str
    person: bool
    result: str = "changed"
    actions: list[str] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    first: list[str] = field(default_factory=list)
    second: list[str] = field(default_factory=list)
    new: list[NewDatabase] = field(default_factory=list)
    third: list[tuple[str, str]] = field(default_factory=list)
    inside: dict[str, list[str]] = field(default_factory=dict)
    end: list[tuple[str, str | None]] = field(default_factory=list)
    leave: list[str] | None = None
    drop: list[str] = field(default_factory=list)

    def note(self, action: str, before: str | None = None, after: str | None = None) -> None:
        self.actions.append(action)
        self.before += [] if before is None else [before]
        self.after += [] if after is None else [after]


@dataclass
class Plan:
    """changes: by role, in the order of the list. failures: role -> what stands in the way, of all of it or a part."""

    changes: dict[str, Change] = field(default_factory=dict)
    people: list[str] = field(default_factory=list)
    unmanaged: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        return bool(self.changes)

    def actions(self) -> list[str]:
        return [f"{change.name}: {action}" for change in self.changes.values() for action in change.actions]


def plan(desired: Desired, observed: Observed) -> Plan:
    """Raises RefusedError when more would go than is allowed."""
    return _Planner(desired, observed).plan()


class _Planner:
    def __init__(self, desired: Desired, observed: Observed) -> None:
        self.desired, self.observed = desired, observed
        self.edges = desired.edges()
        self.changes: dict[str, Change] = {}
        self.blocked: set[str] = set()
        self.result = Plan()

    def plan(self) -> Plan:
        for role in self.desired.roles.values():
            if self.concerned(role):
                self.role(role)
        for database in self.desired.databases.values():
            owner = self.desired.roles[database.owner]
            if self.concerned(owner) and owner.name not in self.blocked:
                self.database(database, owner)
        self.memberships()
        self.acting()
        if not self.desired.only:
            self.closed()
            self.strangers()
        self.estate()
        order = [self.desired.estate, *self.desired.roles]
        named = {name: self.changes[name] for name in order if name in self.changes}
        self.result.changes = {
            name: change
            for name, change in {**named, **self.changes}.items()
            if change.actions and name not in self.blocked
        }
        self.result.people = [
            role.name for role in self.desired.roles.values() if role.kind == PERSON and self.concerned(role)
        ]
        self.guard()
        return self.result

    def concerned(self, role: Role) -> bool:
        """Whether this run may touch the role; one for a person looks after projects and services in the lists, too."""
        return not self.desired.only or role.kind != PERSON or role.name == self.desired.only

    def change(self, name: str) -> Change:
        if name not in self.changes:
            role = self.desired.roles.get(name)
            self.changes[name] = Change(name, role is not None and role.kind == PERSON)
        return self.changes[name]

    def there(self, role: str) -> bool:
        """Whether the role exists once the first statements have run."""
        entry = self.desired.roles.get(role)
        if entry is None or not self.concerned(entry):
            return role in self.observed.roles
        return entry.state == PRESENT or (entry.state == SUSPENDED and role in self.observed.roles)

    # --- roles ---

    def role(self, role: Role) -> None:
        seen = self.observed.roles.get(role.name)
        if seen is not None and seen.system:
            self.blocked.add(role.name)
            self.result.failures[role.name] = f"{role.name} is a role of the server itself; choose another name"
        elif role.state == ABSENT:
            if seen is not None:
                self.leaver(role, seen)
        elif seen is None:
            if role.state == PRESENT:
                self.newcomer(role)
        else:
            self.compare(role, seen)

    def newcomer(self, role: Role) -> None:
        change = self.change(role.name)
        change.result = "created"
        words = ["LOGIN" if role.login else "NOLOGIN"]
        if role.connection_limit != UNLIMITED:
            words.append(f"CONNECTION LIMIT {role.connection_limit}")
        verifier = _verifier(role, None)
        if verifier is not None:
            words.append(f"PASSWORD {sql.text(verifier)}")
        change.first.append(f"CREATE ROLE {sql.name(role.name)} WITH {' '.join(words)}")
        about = ", ".join([_login(role.login), *_limit(role.connection_limit), *(["password"] if verifier else [])])
        change.note(f"create the role ({about})", after=f"role: {about}")

    def compare(self, role: Role, seen: SeenRole) -> None:
        change = self.change(role.name)
        words = []
        if seen.login != role.login:
            words.append("LOGIN" if role.login else "NOLOGIN")
            why = f": {role.reason}" if role.reason and role.state == SUSPENDED else ""
            sentence = "may log in again" if role.login else f"may not log in any more{why}"
            change.note(sentence, _login(seen.login), _login(role.login))
        if not seen.inherit:
            words.append("INHERIT")
            change.note("has the rights of what it is a member of", "noinherit", "inherit")
        for power in seen.powers:
            words.append(f"NO{power.upper()}")
            change.note(f"is no {power} any more", power)
        if seen.connection_limit != role.connection_limit:
            words.append(f"CONNECTION LIMIT {role.connection_limit}")
            old, new = (_limit(limit)[0] for limit in (seen.connection_limit, role.connection_limit))
            change.note(f"{old} -> {new}", old, new)
        words += self.password(role, seen, change)
        if words:
            change.first.append(f"ALTER ROLE {sql.name(role.name)} WITH {' '.join(words)}")
        if role.state == SUSPENDED:
            self.sessions(change, role.name, always=seen.login)
            if change.actions:
                change.result = "suspended"

    def password(self, role: Role, seen: SeenRole, change: Change) -> list[str]:
        verifier = _verifier(role, seen.verifier)
        if verifier is not None:
            change.note("set the password", "password: another" if seen.verifier else None, "password: as wanted")
            return [f"PASSWORD {sql.text(verifier)}"]
        if seen.verifier is not None and (role.kind == PROJECT or scram.parse(seen.verifier) is None):
            change.note("remove a password that is not for SCRAM-SHA-256", "password: md5")
            return ["PASSWORD NULL"]
        return []

    def leaver(self, role: Role, seen: SeenRole) -> None:
        change = self.change(role.name)
        change.result = "removed"
        if seen.login:
            change.first.append(f"ALTER ROLE {sql.name(role.name)} WITH NOLOGIN")
        self.sessions(change, role.name, always=True)
        owning = self.observed.owning.get(role.name, set())
        change.leave = sorted(name for name in owning if name and name not in self.desired.drop)
        others = [name for name in change.leave if name != role.name]
        where = f"; what it has in {', '.join(others)} passes on" if others else ""
        why = f" ({role.reason})" if role.reason else ""
        change.note(f"remove the role{why}{where}", f"role: {_login(seen.login)}")

    def sessions(self, change: Change, role: str, *, always: bool, database: str | None = None) -> None:
        """End sessions; `always`: also those that begin while this runs."""
        count = sum(
            len(pids)
            for (who, where), pids in self.observed.sessions.items()
            if who == role and database in (None, where)
        )
        if count:
            at = f" in {database}" if database else ""
            change.note(f"end {count} session{'s' if count > 1 else ''}{at}")
        if count or always:
            change.end.append((role, database))

    # --- databases ---

    def database(self, database: Database, owner: Role) -> None:
        seen = self.observed.databases.get(database.name)
        if database.state == ABSENT:
            if seen is not None:
                self.left_behind(database, seen)
        elif seen is not None:
            self.compare_database(database, owner, seen)
        elif self.there(owner.name):
            self.new_database(database, owner)

    def new_database(self, database: Database, owner: Role) -> None:
        change = self.change(owner.name)
        quoted = sql.name(database.name)
        new = NewDatabase(
            database.name,
            f"CREATE DATABASE {quoted} OWNER {sql.name(owner.name)} TEMPLATE template0 ENCODING 'UTF8'"
            f" LOCALE {sql.text(database.locale)} CONNECTION LIMIT {database.connection_limit}"
            # Nobody gets in before the door is locked behind them, not even if this run is killed.
            " ALLOW_CONNECTIONS false",
        )
        new.after += _grants(database.name, {PUBLIC}, self.wanted_grants(database))
        new.after.append(f"ALTER DATABASE {quoted} ALLOW_CONNECTIONS true")
        change.new.append(new)
        change.note(f"create the database {database.name}", after=f"database {database.name}")
        if 0 < self.observed.version < 150000:
            # From 15 on it is so by itself: the schema `public` is the owner's, and nobody else makes anything in it.
            change.inside[database.name] = [
                f"ALTER SCHEMA public OWNER TO {sql.name(owner.name)}",
                "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
            ]
        if database.readers and self.there(database.readers):
            change.inside.setdefault(database.name, []).extend(_open_to(owner.name, database.readers))

    def compare_database(self, database: Database, owner: Role, seen: SeenDatabase) -> None:
        ours = (owner.name, self.observed.superuser, self.desired.estate)
        if seen.owner not in ours:
            quoted = sql.name(database.name)
            self.result.failures[owner.name] = (
                f"the database {database.name} belongs to {seen.owner or 'nobody'}, not to {owner.name}."
                " See whose it is, then rename it, or give it away:"
                f" ALTER DATABASE {quoted} OWNER TO {sql.name(owner.name)}"
            )
            return
        change = self.change(owner.name)
        self.owner(change, database.name, seen, owner.name)
        if seen.owner == self.desired.estate and seen.allow_connections:
            others = [
                name
                for name, one in self.observed.databases.items()
                if one.owner == self.desired.estate and name != database.name
            ]
            change.inside[database.name] = _take_back(self.desired.estate, owner.name, others)
        self.limit(change, database.name, seen, database.connection_limit)
        self.grants(change, database.name, seen, self.wanted_grants(database))
        if not seen.allow_connections:
            change.second.append(f"ALTER DATABASE {sql.name(database.name)} ALLOW_CONNECTIONS true")
            change.note(f"open the database {database.name}")
        if database.readers and self.there(database.readers) and not seen.readable:
            change.inside.setdefault(database.name, []).extend(_open_to(owner.name, database.readers))
            change.note(
                f"let {database.readers} read what {owner.name} has and makes in {database.name}",
                after=f"default privileges in {database.name} for {database.readers}",
            )

    def left_behind(self, database: Database, seen: SeenDatabase) -> None:
        """The database of somebody who left: kept, closed, and dropped only if that is asked for by name."""
        if seen.owner not in (database.owner, self.observed.superuser, self.desired.estate):
            return  # a namesake that was never theirs; reported as unmanaged
        change = self.change(database.owner)
        if database.name in self.desired.drop:
            change.result = "removed"
            change.drop.append(database.name)
            change.note(f"drop the database {database.name} with everything in it", f"database {database.name}")
            return
        self.owner(change, database.name, seen, self.desired.estate)
        self.limit(change, database.name, seen, 0)
        self.grants(change, database.name, seen, {self.desired.estate: OWNER_GRANTS})
        if change.actions:
            change.result = "removed"

    def owner(self, change: Change, name: str, seen: SeenDatabase, owner: str) -> None:
        if seen.owner != owner:
            change.second.append(f"ALTER DATABASE {sql.name(name)} OWNER TO {sql.name(owner)}")
            change.note(f"database {name}: owner {seen.owner} -> {owner}", f"{name}: {seen.owner}", f"{name}: {owner}")

    def limit(self, change: Change, name: str, seen: SeenDatabase, limit: int) -> None:
        if seen.connection_limit != limit:
            change.second.append(f"ALTER DATABASE {sql.name(name)} CONNECTION LIMIT {limit}")
            old, new = (_limit(value)[0] for value in (seen.connection_limit, limit))
            change.note(f"database {name}: {old} -> {new}", f"{name}: {old}", f"{name}: {new}")

    def wanted_grants(self, database: Database) -> dict[str, tuple[str, ...]]:
        further = [role for role in (database.readers, *database.connect) if role and self.there(role)]
        return {**dict.fromkeys(further, ("CONNECT",)), database.owner: OWNER_GRANTS}

    def grants(self, change: Change, name: str, seen: SeenDatabase, wanted: dict[str, tuple[str, ...]]) -> None:
        """Who may connect. With a new owner, the entries of the old one become the new one's by themselves."""
        owner = next(role for role, privileges in wanted.items() if privileges == OWNER_GRANTS)
        has = {(owner if who == seen.owner else who, privilege) for who, privilege in seen.grants}
        wants = {(who, privilege) for who, privileges in wanted.items() for privilege in privileges}
        if has == wants:
            return
        change.second += _grants(name, {who for who, _privilege in has - wants}, wanted)
        for who, privileges in _by_role(has - wants).items():
            change.note(f"database {name}: take {privileges} from {who}", f"{name}: {who} {privileges}")
        for who, privileges in _by_role(wants - has).items():
            change.note(f"database {name}: give {privileges} to {who}", None, f"{name}: {who} {privileges}")

    def closed(self) -> None:
        for name in self.desired.closed:
            seen = self.observed.databases.get(name)
            open_ = sorted(what for who, what in seen.grants if who == PUBLIC) if seen is not None else []
            if open_:
                change = self.change(f"database {name}")
                change.second.append(f"REVOKE ALL ON DATABASE {sql.name(name)} FROM PUBLIC")
                change.note(f"take {', '.join(open_)} from everybody", f"PUBLIC {', '.join(open_)}")

    # --- memberships ---

    def memberships(self) -> None:
        for group in {**self.desired.roles, **dict.fromkeys(self.edges), **dict.fromkeys(self.observed.members)}:
            seen, wanted = self.observed.members.get(group, {}), self.edges.get(group, {})
            for member in {**wanted, **seen}:
                if member in wanted and self.mine(group, member):
                    self.member(group, member)
                elif member in seen and self.mine(group, member):
                    self.no_member(group, member)

    def mine(self, group: str, member: str) -> bool:
        """Whether it is the list's business if one is a member of the other."""
        if self.desired.only:
            known = self.desired.roles.get(member)
            return member == self.desired.only or (known is not None and known.kind == SERVICE)
        return group in self.desired.roles or member in self.desired.roles

    def member(self, group: str, member: str) -> None:
        seen = self.observed.members.get(group, {}).get(member)
        if seen is not None and not seen.admin:
            return
        missing = next((role for role in (group, member) if not self.there(role)), None)
        if missing is not None:
            known = self.desired.roles.get(missing)
            # Somebody suspended who never had a role here is no member of anything.
            if known is None or known.state == PRESENT:
                self.result.conflicts.append(f"{member} cannot become a member of {group}: there is no role {missing}")
            return
        change = self.change(member)
        if seen is not None:
            change.second += self.revoke(group, member)
            change.note(f"may not add others to {group} any more", f"member of {group} with admin option")
        else:
            change.note(f"becomes a member of {group}", None, f"member of {group}")
        change.second.append(f"GRANT {sql.name(group)} TO {sql.name(member)}")

    def no_member(self, group: str, member: str) -> None:
        change = self.change(member)
        change.second += self.revoke(group, member)
        change.note(f"is no member of {group} any more", f"member of {group}")
        # A session keeps acting as the group until it ends.
        for database in self.desired.databases.values():
            if group in (database.owner, database.readers) and database.name in self.observed.databases:
                self.sessions(change, member, always=True, database=database.name)

    def revoke(self, group: str, member: str) -> Iterator[str]:
        statement = f"REVOKE {sql.name(group)} FROM {sql.name(member)}"
        if self.observed.version < 160000:
            yield f"{statement} CASCADE"
            return
        for grantor in self.observed.members[group][member].grantors:
            yield f"{statement} GRANTED BY {sql.name(grantor)} CASCADE"

    def acting(self) -> None:
        """Writers of a project act as its role in its database, so that what one makes is everybody's."""
        wanted = {
            (member, database.name): database.owner
            for database in self.desired.databases.values()
            if database.state == PRESENT and self.desired.roles[database.owner].kind == PROJECT
            for member in self.edges.get(database.owner, {})
            if self.mine(database.owner, member) and self.there(member)
        }
        for (member, name), acts in wanted.items():
            if self.observed.acting.get((member, name)) == acts or self.desired.databases[name].owner in self.blocked:
                continue
            statement = f"ALTER ROLE {sql.name(member)} IN DATABASE {sql.name(name)} SET role = {sql.text(acts)}"
            if name in self.observed.databases:
                self.change(member).second.append(statement)
            else:
                self.change(member).third.append((name, statement))
            self.change(member).note(f"acts as {acts} in {name}", None, f"in {name}: role {acts}")
        for (member, name), acts in self.observed.acting.items():
            ours = name in self.desired.databases and member in self.desired.roles
            if ours and (member, name) not in wanted and self.mine(name, member) and self.there(member):
                self.change(member).second.append(
                    f"ALTER ROLE {sql.name(member)} IN DATABASE {sql.name(name)} RESET role"
                )
                self.change(member).note(f"acts as itself in {name}", f"in {name}: role {acts}")

    # --- the rest ---

    def estate(self) -> None:
        """The role that what is left behind passes to, once somebody leaves."""
        needed = any(change.leave is not None or change.result == "removed" for change in self.changes.values())
        seen = self.observed.roles.get(self.desired.estate)
        if needed and seen is None:
            change = self.change(self.desired.estate)
            change.first.append(f"CREATE ROLE {sql.name(self.desired.estate)} WITH NOLOGIN")
            change.note("create the role that owns what people leave behind", after="role: no login")
        elif seen is not None and (seen.login or seen.powers):
            change = self.change(self.desired.estate)
            words = ["NOLOGIN", *(f"NO{power.upper()}" for power in POWERS if power in seen.powers)]
            change.first.append(f"ALTER ROLE {sql.name(self.desired.estate)} WITH {' '.join(words)}")
            change.note("may not log in, and is nothing but an owner", _login(seen.login))

    def strangers(self) -> None:
        for name, role in self.observed.roles.items():
            if name in self.desired.roles or role.system or name == self.desired.estate:
                continue
            powers = f" ({', '.join(role.powers)})" if role.powers else ""
            self.result.unmanaged.append(f"role {name}{powers}")
            if role.verifier is not None and scram.parse(role.verifier) is None:
                self.result.conflicts.append(
                    f"role {name} has an md5 password, which pg_hba.conf lets nobody use: set it again with \\password"
                )
        for name, database in self.observed.databases.items():
            entry = self.desired.databases.get(name)
            namesake = entry is not None and entry.state == ABSENT and database.owner not in (
                entry.owner, self.observed.superuser, self.desired.estate
            )  # fmt: skip
            if (entry is None or namesake) and name not in self.desired.closed and not database.template:
                everybody = (PUBLIC, "CONNECT") in database.grants
                self.result.unmanaged.append(f"database {name}{' (open to everybody)' if everybody else ''}")

    def guard(self) -> None:
        going = [
            change.name
            for change in self.result.changes.values()
            if (change.leave is not None or _locks(change)) and change.name not in self.desired.allow
        ]
        if len(going) > self.desired.max_removals:
            some = ", ".join(going[:5])
            raise RefusedError(
                f"{len(going)} roles would be removed or suspended at once ({some} ...), more than max_removals"
                f" ({self.desired.max_removals}). If that is meant, name them in allow_removals."
            )


def _locks(change: Change) -> bool:
    return any(statement.startswith("ALTER ROLE ") and " NOLOGIN" in statement for statement in change.first)


def _verifier(role: Role, seen: str | None) -> str | None:
    """What to set; None to leave the password alone."""
    old = scram.parse(seen)
    if role.password is not None:
        return None if scram.fits(role.password, old) else str(scram.derive(role.password))
    if role.verifier is None:
        return None
    new = scram.parse(role.verifier)
    if new is None:
        raise LyceumError(f"{role.name}: the verifier is not one of SCRAM-SHA-256")
    return None if new == old else str(new)


def _login(login: bool) -> str:
    return "login" if login else "no login"


def _limit(limit: int) -> list[str]:
    return ["no connection limit" if limit == UNLIMITED else f"connection limit {limit}"]


def _grants(database: str, revoke: Iterable[str], wanted: dict[str, tuple[str, ...]]) -> list[str]:
    target = f"ON DATABASE {sql.name(database)}"
    taken = [f"REVOKE ALL {target} FROM {_grantee(who)} CASCADE" for who in sorted(revoke)]
    return taken + [f"GRANT {', '.join(what)} {target} TO {_grantee(who)}" for who, what in wanted.items()]


def _grantee(who: str) -> str:
    return PUBLIC if who == PUBLIC else sql.name(who)


def _by_role(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for who, privilege in sorted(pairs):
        found.setdefault("everybody" if who == PUBLIC else who, []).append(privilege)
    return {who: ", ".join(privileges) for who, privileges in found.items()}


def _open_to(owner: str, readers: str) -> list[str]:
    """What the owner makes from now on, and what it has: readable. A later REVOKE of a single table is kept."""
    default = f"ALTER DEFAULT PRIVILEGES FOR ROLE {sql.name(owner)}"
    grantee = sql.name(readers)
    quoted = grantee.replace("'", "''")  # names have no $, which would end the block
    return [
        f"""DO $do$
DECLARE one record;
BEGIN
  FOR one IN SELECT oid::regnamespace::text AS name FROM pg_namespace
              WHERE pg_get_userbyid(nspowner) = {sql.text(owner)} LOOP
    EXECUTE 'GRANT USAGE ON SCHEMA ' || one.name || ' TO {quoted}';
  END LOOP;
  FOR one IN SELECT oid::regclass::text AS name, relkind FROM pg_class
              WHERE pg_get_userbyid(relowner) = {sql.text(owner)} AND relkind IN ('r', 'v', 'm', 'f', 'p', 'S') LOOP
    EXECUTE 'GRANT SELECT ON ' || CASE one.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || one.name
            || ' TO {quoted}';
  END LOOP;
END $do$""",
        f"{default} GRANT USAGE ON SCHEMAS TO {grantee}",
        f"{default} GRANT SELECT ON SEQUENCES TO {grantee}",
        f"{default} GRANT SELECT ON TABLES TO {grantee}",
    ]


def _take_back(estate: str, owner: str, others: list[str]) -> list[str]:
    """Give what is in a database back to somebody who returns.

    REASSIGN OWNED takes all databases along, also those that others left behind; they go back in the same transaction.
    """
    return [
        f"REASSIGN OWNED BY {sql.name(estate)} TO {sql.name(owner)}",
        *(f"ALTER DATABASE {sql.name(name)} OWNER TO {sql.name(estate)}" for name in others),
    ]
