"""The product's tables as a fresh install gets them: policies as each role meets them, triggers, realtime."""

import uuid

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from harness import patdb
from harness.patdb import ADA, BOB
from harness.postgres import Postgres

# A row of each table that a user owns, and a column to change in it.
OWNED = {
    "contacts": ("(user_id, name, phone_number) values (%s, 'Mum', '+15550100010')", "notes"),
    "sms_messages": ("(user_id, sender_number, recipient_number, direction, content) "
                     "values (%s, '+15550100010', '+15550100001', 'inbound', 'hi')", "content"),
    "call_records": ("(user_id, caller_number, disposition, started_at) "
                     "values (%s, '+15550100010', 'failed', now())", "transcript"),
    "transfer_numbers": ("(user_id, label, phone_number) values (%s, 'office', '+15550100010')", "label"),
    "voices": ("(user_id, voice_id, voice_name) values (%s, 'v', 'mine')", "voice_name"),
    "service_numbers": ("(user_id, phone_number, phone_sid) values (%s, '+15550100010', 'PN10')", "friendly_name"),
}


@pytest.fixture(scope="module")
def states():
    with Postgres() as pg:
        yield patdb.States(pg)


@pytest.fixture
def db(states):
    with states.copy("fresh") as db:
        yield db


@pytest.mark.parametrize("table", OWNED)
def test_owner_has_his_rows_and_nobody_else(db, table):
    values, column = OWNED[table]
    with db.session("authenticated", ADA) as c:
        row = c.execute(f"insert into {table} {values} returning id", (ADA,)).fetchone()[0]
        assert c.execute(f"update {table} set {column} = 'changed' where id = %s", (row,)).rowcount == 1
    for role, user in (("authenticated", BOB), ("anon", None)):
        with db.session(role, user) as c:
            assert c.execute(f"select from {table} where id = %s", (row,)).rowcount == 0
            assert c.execute(f"update {table} set {column} = 'stolen' where id = %s", (row,)).rowcount == 0
            assert c.execute(f"delete from {table} where id = %s", (row,)).rowcount == 0
        with pytest.raises(InsufficientPrivilege), db.session(role, user) as c:
            c.execute(f"insert into {table} {values.replace('010', '011').replace('PN10', 'PN11')}", (ADA,))
    with db.session("authenticated", ADA) as c:
        assert c.execute(f"select {column} from {table} where id = %s", (row,)).fetchone()[0] == "changed"
        assert c.execute(f"delete from {table} where id = %s", (row,)).rowcount == 1


def test_own_profile_is_read_and_changed_but_not_deleted(db):
    with db.session("authenticated", ADA) as c:
        assert c.execute("select id from users").fetchall() == [(ADA,)]
        assert c.execute("update users set name = 'x'").rowcount == 1
        assert c.execute("delete from users").rowcount == 0
    with db.session("anon") as c:
        assert c.execute("select from users").rowcount == 0


def test_preferences_verifications_and_contexts(db):
    db.owner.execute("insert into phone_verifications (user_id, phone_number, code) values (%s, '+15550100010', '123456')",
                     (ADA,))
    with db.session("authenticated", ADA) as c:
        c.execute("insert into notification_preferences (user_id) values (%s)", (ADA,))
        assert c.execute("update notification_preferences set sms_enabled = true").rowcount == 1
        assert c.execute("delete from notification_preferences").rowcount == 0
        assert c.execute("select from phone_verifications").rowcount == 1
        assert c.execute("update phone_verifications set verified = true").rowcount == 0
        contact = c.execute("insert into contacts (user_id, name, phone_number) values (%s, 'M', '+15550100010') "
                            "returning id", (ADA,)).fetchone()[0]
        c.execute("insert into conversation_contexts (contact_id, summary) values (%s, 'likes tea')", (contact,))
    with db.session("authenticated", BOB) as c:
        for table in ("notification_preferences", "phone_verifications", "conversation_contexts"):
            assert c.execute(f"select from {table}").rowcount == 0


def test_contexts_can_be_updated(db):
    contact = db.one("insert into contacts (user_id, name, phone_number) values (%s, 'M', '+15550100010') returning id", ADA)
    db.owner.execute("insert into conversation_contexts (contact_id, summary, last_updated) "
                     "values (%s, 'likes tea', now() - interval '1 day')", (contact,))
    db.owner.execute("update conversation_contexts set summary = 'likes coffee'")
    assert db.one("select last_updated > now() - interval '1 hour' from conversation_contexts")


@pytest.mark.parametrize("table", ["users", "contacts", "agent_configs", "service_numbers", "voices", "transfer_numbers"])
def test_updated_at_follows(db, table):
    if table in OWNED and table != "service_numbers":
        db.owner.execute(f"insert into {table} {OWNED[table][0]}", (ADA,))
    before = db.one(f"select max(updated_at) from {table}")
    db.owner.execute(f"update {table} set created_at = created_at")
    assert db.one(f"select min(updated_at) from {table}") > before


def test_signup_makes_a_profile_with_a_name(db):
    a, b = uuid.uuid4(), uuid.uuid4()
    patdb.add_user(db.owner, a, "eve@example.com", "Eve", agent=False)
    patdb.add_user(db.owner, b, "mallory@example.com", "", agent=False)
    assert db.one("select array_agg(name order by name) from users where id in (%s, %s)", a, b) == ["Eve", "mallory"]


@pytest.mark.parametrize("sql", [
    "insert into call_records (user_id, caller_number, disposition, started_at) values (%s, 'anonymous', 'failed', now())",
    "insert into call_records (user_id, caller_number, disposition, started_at) values (%s, '+1555', 'forwarding', now())",
    "insert into call_records (user_id, caller_number, disposition, started_at, ended_at) "
    "values (%s, '+1555', 'failed', now(), now() - interval '1 s')",
    "update agent_configs set response_style = 'formal' where user_id = %s",
    "update agent_configs set max_tokens = 501 where user_id = %s",
    "update users set service_number = '0555' where id = %s",
])
def test_checks_are_as_strict_as_the_products(db, sql):
    with pytest.raises(psycopg.errors.CheckViolation):
        db.owner.execute(sql, (ADA,))


def test_inbox_is_told_in_realtime(db):
    assert [r[0] for r in db.owner.execute("select tablename from pg_publication_tables "
                                           "where pubname = 'supabase_realtime' order by 1")] == [
        "call_records", "sms_messages"]


def test_service_role_sees_everything(db):
    with db.session("service_role") as c:
        assert c.execute("select from users").rowcount == 2
        assert c.execute("select from phone_number_pool").rowcount == 0


def test_user_of_the_token_in_both_forms(db):
    """PostgREST has set claims as one JSON setting and, before, one setting each."""
    with db.session("authenticated", ADA) as c:
        assert c.execute("select auth.uid(), auth.role(), auth.jwt() ->> 'aud'").fetchone() == (
            ADA, "authenticated", "authenticated")
        c.execute("select set_config('request.jwt.claims', '', true), set_config('request.jwt.claim.sub', %s, true)",
                  (str(BOB),))
        assert c.execute("select auth.uid(), auth.jwt()").fetchone() == (BOB, None)
