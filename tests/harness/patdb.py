"""Databases in the states our migrations can meet, and sessions in the roles that use them.

    states = States(postgres)
    with states.copy("later") as db:
        db.owner.execute(...)
        with db.session("authenticated", user) as c: ...

States: fresh (nothing there), at_055 (the product's schema before the stack switch, without our ledger), at_062 (its
own 056 to 062 applied), later (months further). Each is built once per cluster, before and after our migrations, and
handed out as copies. All but fresh hold the two users of USERS from before.
"""

import contextlib
import json
import os
import subprocess
import time
import uuid
from pathlib import Path

import psycopg

from harness.postgres import AUTHENTICATOR, DAEMON, OWNER, Postgres

ROOT = Path(__file__).resolve().parents[2]
MIGRATIONS = ROOT / "migrations"
FIXTURES = ROOT / "tests/integration/fixtures"
NAMES = ("fresh", "at_055", "at_062", "later")

ADA = uuid.UUID("00000000-0000-4000-8000-00000000000a")
BOB = uuid.UUID("00000000-0000-4000-8000-00000000000b")
USERS = {ADA: ("ada@example.com", "Ada", "+15550100001"), BOB: ("bob@example.com", "Bob", "+15550100002")}


def migrate(url: str, *args: str, check: bool = True, **env: str) -> subprocess.CompletedProcess:
    done = subprocess.run([ROOT / "scripts/migrate", *args], capture_output=True, text=True, timeout=120,
                          env=os.environ | {"PAT_DATABASE_URL": url} | env)
    if check and done.returncode:
        raise AssertionError(f"scripts/migrate ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done


def run_sql(db: psycopg.Connection, path: Path) -> None:
    with db.transaction():
        db.execute(path.read_text())


def add_user(db: psycopg.Connection, user: uuid.UUID, email: str, name: str, number: str | None = None,
             agent: bool = True) -> None:
    """As a sign-up does it: the auth row, whose trigger makes the profile; then the agent and a number."""
    db.execute("insert into auth.users (id, email, raw_user_meta_data) values (%s, %s, %s)",
               (user, email, json.dumps({"name": name})))
    if agent:
        db.execute("insert into public.agent_configs (user_id, retell_agent_id, retell_llm_id) values (%s, %s, %s)",
                   (user, f"agent_{name.lower()}", f"llm_{name.lower()}"))
    if number:
        db.execute("insert into public.service_numbers (user_id, phone_number, phone_sid) values (%s, %s, %s)",
                   (user, number, "PN" + number[1:]))


class Db:
    """One database. owner: an autocommit connection of its owner, who is no superuser."""

    def __init__(self, pg: Postgres, name: str):
        self.pg = pg
        self.name = name
        self.owner = psycopg.connect(pg.url(OWNER, name), autocommit=True)
        self.daemon_connection: psycopg.Connection | None = None

    @property
    def daemon(self) -> psycopg.Connection:
        """As our daemons log in. Autocommit."""
        if not self.daemon_connection:
            self.daemon_connection = psycopg.connect(self.pg.url(DAEMON, self.name), autocommit=True)
        return self.daemon_connection

    def close(self) -> None:
        self.owner.close()
        if self.daemon_connection:
            self.daemon_connection.close()

    @contextlib.contextmanager
    def session(self, role: str, user: uuid.UUID | None = None, login: str = AUTHENTICATOR, **claims):
        """One request as PostgREST makes it: a transaction with the role and the token's claims set locally."""
        token = {"role": role} | ({"sub": str(user), "aud": "authenticated"} if user else {}) | claims
        with psycopg.connect(self.pg.url(login, self.name)) as c:
            c.execute("select set_config('role', %s, true), set_config('request.jwt.claims', %s, true)",
                      (role, json.dumps(token)))
            yield c

    def wait_for_lock(self, timeout_s: float = 20) -> None:
        """Until somebody in this database waits for a lock."""
        deadline = time.monotonic() + timeout_s
        with self.pg.admin() as c:  # others' activity is shown to a superuser only
            while not c.execute("select count(*) from pg_stat_activity where datname = %s and wait_event_type = 'Lock'",
                                (self.name,)).fetchone()[0]:
                assert time.monotonic() < deadline, "nobody waits for a lock"

    def one(self, sql: str, *params):
        """The only column of the only row, read by the owner."""
        row = self.owner.execute(sql, params).fetchone()
        return row[0] if row else None

    def config(self, user: uuid.UUID = ADA):
        return self.one("select id from public.agent_configs where user_id = %s order by created_at limit 1", user)


class States:
    def __init__(self, pg: Postgres):
        self.pg = pg
        self.built: set[str] = set()
        self.copies = 0

    def _build(self, name: str, migrated: bool) -> str:
        template = f"{name}_{'after' if migrated else 'before'}"
        if template in self.built:
            return template
        if migrated:
            self.pg.create_database(template, self._build(name, False))
            migrate(self.pg.url(OWNER, template))
        else:
            self.pg.create_database(template)
        with psycopg.connect(self.pg.url(OWNER, template), autocommit=True) as c:
            if not migrated and name != "fresh":
                run_sql(c, MIGRATIONS / "001_baseline.sql")
                self._users(c)
                if name != "at_055":
                    run_sql(c, FIXTURES / "pat_056_062.sql")
                if name == "later":
                    run_sql(c, FIXTURES / "pat_later.sql")
            elif migrated and name == "fresh":
                self._users(c)
        self.built.add(template)
        return template

    def _users(self, c: psycopg.Connection) -> None:
        for user, (email, name, number) in USERS.items():
            add_user(c, user, email, name, number)

    @contextlib.contextmanager
    def copy(self, name: str, migrated: bool = True):
        template = self._build(name, migrated)
        self.copies += 1
        copy = f"copy_{self.copies}"
        self.pg.create_database(copy, template)
        db = Db(self.pg, copy)
        try:
            yield db
        finally:
            db.close()
            self.pg.drop_database(copy)
