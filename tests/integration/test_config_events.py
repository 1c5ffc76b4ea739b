"""What the product's own pages write reaches the outbox exactly once, and what the daemons load from it."""

import datetime
import json
import re
import threading
import time
import uuid

import psycopg
import pytest

from harness import patdb
from harness.patdb import ADA, BOB, NAMES
from harness.postgres import OWNER, Postgres


@pytest.fixture(scope="module")
def states():
    with Postgres() as pg:
        yield patdb.States(pg)


@pytest.fixture(params=NAMES)
def db(request, states):
    with states.copy(request.param) as db:
        db.owner.execute("delete from patchbay.outbox")
        yield db


@pytest.fixture
def fresh(states):
    with states.copy("fresh") as db:
        db.owner.execute("delete from patchbay.outbox")
        yield db


@pytest.fixture
def later(states):
    with states.copy("later") as db:
        db.owner.execute("delete from patchbay.outbox")
        yield db


def take(db):
    """The events since the last take, as (subject, envelope)."""
    rows = db.owner.execute("select subject, payload from patchbay.outbox order by id").fetchall()
    db.owner.execute("delete from patchbay.outbox")
    return rows


def only(db):
    events = take(db)
    assert len(events) == 1, events
    return events[0][1]["data"]


def by_page(db, sql, *params, user=ADA):
    with db.session("authenticated", user) as c:
        c.execute(sql, params)


# ---------------------------------------------------------------- the envelope

def test_uuidv7_is_one_and_sorts_by_time(fresh):
    made = [r[0] for r in fresh.daemon.execute(
        "select patchbay.uuidv7() from generate_series(1, 2000)").fetchall()]
    now = time.time() * 1000
    assert len(set(made)) == 2000
    for u in made:
        assert u.version == 7 and u.variant == uuid.RFC_4122
        assert abs((u.int >> 80) - now) < 60_000
    assert [u.int >> 80 for u in made] == sorted(u.int >> 80 for u in made)


def test_event_is_a_cloudevent_on_the_subject_of_user_and_config(db):
    by_page(db, "update agent_configs set system_prompt = 'x', voice_id = 'openai-nova' where user_id = %s", ADA)
    [(subject, event)] = take(db)
    config = str(db.config())
    assert subject == f"pat.config.v1.changed.{ADA}.{config}"
    assert uuid.UUID(event["id"]).version == 7
    at = datetime.datetime.strptime(event.pop("time"), "%Y-%m-%dT%H:%M:%S.%f%z")
    assert abs(at.timestamp() - time.time()) < 60
    assert event == {"specversion": "1.0", "id": event["id"], "source": "/patchbay/db", "type": "pat.config.v1.changed",
                     "subject": config, "datacontenttype": "application/json", "userid": str(ADA),
                     "data": {"user_id": str(ADA), "agent_config_id": config, "version": event["data"]["version"],
                              "table": "agent_configs", "op": "update", "fields": ["system_prompt", "voice_id"]}}


def test_row_and_event_share_the_id(fresh):
    by_page(fresh, "update agent_configs set system_prompt = 'x' where user_id = %s", ADA)
    assert fresh.one("select id::text = payload ->> 'id' and published_at is null from patchbay.outbox")


# ---------------------------------------------------------------- when there is one

def test_update_that_changes_nothing_writes_nothing(db):
    by_page(db, "update agent_configs set system_prompt = system_prompt where user_id = %s", ADA)
    by_page(db, "update agent_configs set updated_at = now() where user_id = %s", ADA)
    by_page(db, "update service_numbers set is_active = is_active where user_id = %s", ADA)
    by_page(db, "update users set name = 'Ada' where id = %s", ADA)
    assert take(db) == []


def test_change_and_event_live_and_die_together(fresh):
    with fresh.session("authenticated", ADA) as c:
        c.execute("update agent_configs set system_prompt = 'x' where user_id = %s", (ADA,))
        c.rollback()
    assert take(fresh) == []
    version = fresh.one("select max(version) from patchbay.config_versions")
    by_page(fresh, "update agent_configs set system_prompt = 'x' where user_id = %s", ADA)
    assert only(fresh)["version"] > version


def test_each_change_has_a_higher_version(db):
    seen = []
    for n in range(5):
        by_page(db, "update agent_configs set system_prompt = %s where user_id = %s", f"v{n}", ADA)
        seen.append(only(db)["version"])
        assert db.one("select version from patchbay.config_versions where agent_config_id = %s", db.config()) == seen[-1]
    assert seen == sorted(set(seen))


@pytest.mark.parametrize("sql, table, op, fields", [
    ("insert into service_numbers (user_id, phone_number, phone_sid) values (%(u)s, '+15550100009', 'PN9')",
     "service_numbers", "insert", {"phone_number", "phone_sid", "is_active", "user_id", "id"}),
    ("update service_numbers set is_active = false where user_id = %(u)s", "service_numbers", "update", {"is_active"}),
    ("delete from service_numbers where user_id = %(u)s", "service_numbers", "delete", {"phone_number"}),
    ("update users set phone_number = '+15550100077' where id = %(u)s", "users", "update", {"phone_number"}),
    ("update users set service_number = '+15550100078' where id = %(u)s", "users", "update", {"service_number"}),
    ("insert into voices (user_id, voice_id, voice_name) values (%(u)s, 'EXAVITQu4vr4xnSDxMaL', 'mine')",
     "voices", "insert", {"voice_id", "stability"}),
    ("insert into transfer_numbers (user_id, label, phone_number) values (%(u)s, 'office', '+15550100079')",
     "transfer_numbers", "insert", {"label", "phone_number"}),
    ("insert into contacts (user_id, name, phone_number) values (%(u)s, 'Mum', '+15550100080')",
     "contacts", "insert", {"is_whitelisted", "phone_number"}),
])
def test_every_table_that_calls_depend_on_is_watched(db, sql, table, op, fields):
    with db.session("authenticated", ADA) as c:
        c.execute(sql, {"u": ADA})
    data = only(db)
    assert (data["table"], data["op"], data["agent_config_id"]) == (table, op, str(db.config()))
    assert data["user_id"] == str(ADA)
    assert fields <= set(data["fields"])


def test_contacts_matter_while_they_are_whitelisted(db):
    by_page(db, "insert into contacts (user_id, name, phone_number, is_whitelisted) values "
                "(%s, 'Unknown', '+15550100081', false)", ADA)
    by_page(db, "update contacts set notes = 'called twice', phone_number = '+15550100082' where user_id = %s", ADA)
    assert take(db) == []
    by_page(db, "update contacts set is_whitelisted = true where user_id = %s", ADA)
    assert "is_whitelisted" in only(db)["fields"]
    by_page(db, "update contacts set notes = 'nice' where user_id = %s", ADA)
    assert take(db) == []
    by_page(db, "update contacts set phone_number = '+15550100083' where user_id = %s", ADA)
    assert only(db)["fields"] == ["phone_number"]
    by_page(db, "delete from contacts where user_id = %s", ADA)
    assert only(db)["op"] == "delete"


def test_columns_of_users_that_calls_do_not_need_are_silent(later):
    with later.session("service_role") as c:
        c.execute("update users set email = 'new.' || email, calls_this_month = 7, credits_balance = 3")
    assert take(later) == []
    with later.session("service_role") as c:
        c.execute("update users set account_status = 'suspended' where id = %s", (ADA,))
    assert only(later)["fields"] == ["account_status"]


def test_values_never_travel(fresh):
    by_page(fresh, "insert into transfer_numbers (user_id, label, phone_number, transfer_secret) "
                   "values (%s, 'safe', '+15550100084', 'open sesame')", ADA)
    by_page(fresh, "update agent_configs set transfer_secret = 'mellon', system_prompt = 'private' where user_id = %s", ADA)
    text = json.dumps([p for _, p in take(fresh)])
    for secret in ("sesame", "+15550100084", "mellon", "private"):
        assert secret not in text
    assert "transfer_secret" in text


def test_user_without_an_agent(fresh):
    new = uuid.uuid4()
    patdb.add_user(fresh.owner, new, "eve@example.com", "Eve", "+15550100085", agent=False)
    events = take(fresh)
    assert [s for s, _ in events] == [f"pat.config.v1.changed.{new}.-"] * 2
    assert [e["data"]["agent_config_id"] for _, e in events] == [None, None]
    assert events[0][1]["subject"] == "-"


def test_number_that_moves_tells_both_users(fresh):
    fresh.owner.execute("update service_numbers set user_id = %s where user_id = %s", (BOB, ADA))
    events = [e["data"] for _, e in take(fresh)]
    assert {e["user_id"] for e in events} == {str(ADA), str(BOB)}
    versions = {e["user_id"]: e["version"] for e in events}
    routes = {n: (u, v) for n, u, v in fresh.daemon.execute("select number, user_id, version from patchbay.routes")}
    assert routes["+15550100001"] == (BOB, versions[str(BOB)])


def test_several_agents_hear_of_what_they_share(later):
    later.owner.execute("insert into agent_configs (user_id, name) values (%s, 'second')", (ADA,))
    take(later)
    by_page(later, "update users set name = 'Countess' where id = %s", ADA)
    events = [e["data"] for _, e in take(later)]
    assert len(events) == 2
    assert {e["agent_config_id"] for e in events} == {str(r[0]) for r in later.owner.execute(
        "select id from agent_configs where user_id = %s", (ADA,))}
    assert len({e["version"] for e in events}) == 1


def test_deleted_account_is_told(fresh):
    fresh.owner.execute("delete from auth.users where id = %s", (ADA,))
    events = [e["data"] for _, e in take(fresh)]
    assert {(e["table"], e["op"]) for e in events} >= {("users", "delete"), ("agent_configs", "delete"),
                                                       ("service_numbers", "delete")}
    assert {e["user_id"] for e in events} == {str(ADA)}


def test_hint_is_notified_on_commit(fresh):
    with psycopg.connect(fresh.pg.url(OWNER, fresh.name), autocommit=True) as listener:
        listener.execute("listen patchbay_outbox")
        by_page(fresh, "update agent_configs set system_prompt = 'x' where user_id = %s", ADA)
        [hint] = listener.notifies(timeout=10, stop_after=1)
        assert hint.payload == f"pat.config.v1.changed.{ADA}.{fresh.config()}"


def test_later_commit_has_the_higher_version(fresh):
    """Of two writers for one user the second waits for the first: a reader never meets version n without n - 1."""
    first = psycopg.connect(fresh.pg.url(OWNER, fresh.name))
    first.execute("update agent_configs set system_prompt = 'x' where user_id = %s", (ADA,))
    second = threading.Thread(target=by_page, args=(
        fresh, "insert into voices (user_id, voice_id, voice_name) values (%s, 'v', 'v')", ADA))
    second.start()
    fresh.wait_for_lock()
    assert take(fresh) == []
    # one more change of the first, after the second has begun its own
    first.execute("update agent_configs set system_prompt = 'y' where user_id = %s", (ADA,))
    first.commit()
    second.join(20)
    first.close()
    versions = sorted((e["data"]["version"], e["data"]["table"]) for _, e in take(fresh))
    assert [table for _, table in versions] == ["agent_configs", "agent_configs", "voices"]


# ---------------------------------------------------------------- routes

def routes(db):
    columns = ("number", "user_id", "agent_config_id", "stack", "retell_agent_id", "is_active", "user_name",
               "agent_is_active", "account_status")
    return {r[0]: dict(zip(columns, r)) for r in db.daemon.execute(
        f"select {', '.join(columns)} from patchbay.routes").fetchall()}


def test_routes_say_who_serves_a_number(db):
    db.owner.execute("update agent_configs set active_voice_stack = 'livekit' where user_id = %s", (BOB,))
    assert routes(db) == {
        "+15550100001": {"number": "+15550100001", "user_id": ADA, "agent_config_id": db.config(ADA), "stack": "retell",
                         "retell_agent_id": "agent_ada", "is_active": True, "user_name": "Ada",
                         "agent_is_active": True, "account_status": "active"},
        "+15550100002": {"number": "+15550100002", "user_id": BOB, "agent_config_id": db.config(BOB),
                         "stack": "livekit", "retell_agent_id": "agent_bob", "is_active": True, "user_name": "Bob",
                         "agent_is_active": True, "account_status": "active"}}


def test_routes_of_a_user_are_read_by_index(fresh):
    fresh.owner.execute("set enable_seqscan = off")
    plan = "\n".join(r[0] for r in fresh.owner.execute(
        "explain select * from patchbay.routes where user_id = %s" % fresh.owner.execute(
            "select quote_literal(%s::text)", (ADA,)).fetchone()[0]))
    assert "Index Cond" in plan and not re.search(r"Seq Scan on (agent_configs|service_numbers)", plan)


def test_route_version_is_the_users_latest_change(fresh):
    by_page(fresh, "update agent_configs set system_prompt = 'x' where user_id = %s", ADA)
    version = only(fresh)["version"]
    assert fresh.one("select version from patchbay.routes where user_id = %s", ADA) == version
    assert fresh.one("select version from patchbay.agent_settings where user_id = %s", ADA) == version


def test_inactive_number_is_listed_as_such(db):
    db.owner.execute("update service_numbers set is_active = false where user_id = %s", (ADA,))
    assert routes(db)["+15550100001"]["is_active"] is False


def test_number_kept_only_in_users_rings_too(db):
    db.owner.execute("update users set service_number = '+15550100086' where id = %s", (ADA,))
    assert routes(db)["+15550100086"]["is_active"] is True
    # the table of numbers has the last word on a number it knows
    db.owner.execute("update users set service_number = '+15550100002' where id = %s", (ADA,))
    assert routes(db)["+15550100002"]["user_id"] == BOB


def test_user_without_agent_has_a_route_without_one(fresh):
    fresh.owner.execute("delete from agent_configs where user_id = %s", (ADA,))
    route = routes(fresh)["+15550100001"]
    assert (route["agent_config_id"], route["stack"], route["agent_is_active"]) == (None, "retell", False)


def test_number_chooses_its_agent_where_numbers_are_bound_to_agents(later):
    second = later.one("insert into agent_configs (user_id, name, active_voice_stack) values (%s, '2', 'livekit') returning id",
                       ADA)
    assert routes(later)["+15550100001"]["agent_config_id"] == later.config()
    later.owner.execute("update agent_configs set is_default = true where id = %s", (second,))
    assert routes(later)["+15550100001"]["agent_config_id"] == second
    first = later.config()
    later.owner.execute("update service_numbers set agent_id = %s where user_id = %s", (first, ADA))
    assert routes(later)["+15550100001"]["agent_config_id"] == first
    # an agent of somebody else is not chosen
    later.owner.execute("update service_numbers set agent_id = %s where user_id = %s", (later.config(BOB), ADA))
    assert routes(later)["+15550100001"]["agent_config_id"] == second
    later.owner.execute("update agent_configs set is_active = false where id = %s", (second,))
    later.owner.execute("update users set account_status = 'banned' where id = %s", (ADA,))
    route = routes(later)["+15550100001"]
    assert (route["agent_is_active"], route["account_status"]) == (False, "banned")


# ---------------------------------------------------------------- agent settings

def settings(db, user=ADA):
    return db.daemon.execute("select to_jsonb(s) from patchbay.agent_settings s where agent_config_id = %s",
                             (db.config(user),)).fetchone()[0]


def test_settings_hold_what_a_call_needs(db):
    db.owner.execute("""update agent_configs set system_prompt = 'Be kind.', greeting_template = 'Hi, {name} here.',
        agent_name = 'Pat', voice_id = '11labs-EXAVITQu4vr4xnSDxMaL', temperature = 0.4, max_tokens = 200,
        ambient_sound = 'off', agent_volume = 1.5 where user_id = %s""", (ADA,))
    db.owner.execute("""insert into voices (user_id, voice_id, voice_name, stability, updated_at) values
        (%s, 'EXAVITQu4vr4xnSDxMaL', 'old copy', 0.1, now() - interval '1 day'),
        (%s, 'EXAVITQu4vr4xnSDxMaL', 'mine', 0.9, now()), (%s, 'EXAVITQu4vr4xnSDxMaL', 'not mine', 0.3, now())""",
                     (ADA, ADA, BOB))
    s = settings(db)
    assert s["user_id"] == str(ADA) and s["user_name"] == "Ada"
    assert (s["system_prompt"], s["greeting_template"], s["greeting"]) == ("Be kind.", "Hi, {name} here.", "Hi, Ada here.")
    assert (s["agent_name"], s["language"], s["temperature"], s["max_tokens"]) == ("Pat", "en-US", 0.4, 200)
    assert (s["ambient_sound"], s["agent_volume"], s["noise_suppression"]) == (None, 1.5, "medium")
    assert (s["voice_id"], s["voice"]["voice_name"], s["voice"]["stability"]) == (
        "11labs-EXAVITQu4vr4xnSDxMaL", "mine", 0.9)
    assert settings(db, BOB)["voice"] is None


def test_settings_name_transfer_numbers_without_passcodes(db):
    db.owner.execute("""insert into transfer_numbers (user_id, label, phone_number, is_default, transfer_secret) values
        (%s, 'office', '+15550100087', false, 'open sesame'), (%s, 'mobile', '+15550100088', true, ''),
        (%s, 'other', '+15550100089', true, null)""", (ADA, ADA, BOB))
    s = settings(db)
    assert [(n["label"], n["is_default"], n["has_passcode"]) for n in s["transfer_numbers"]] == [
        ("mobile", True, False), ("office", False, True)]
    assert "sesame" not in json.dumps(s)


def test_settings_keep_the_single_number_of_old_configs(db):
    db.owner.execute("update agent_configs set transfer_phone_number = '+15550100090', transfer_secret = 'mellon' "
                     "where user_id = %s", (ADA,))
    s = settings(db)
    assert [(n["phone_number"], n["is_default"], n["has_passcode"]) for n in s["transfer_numbers"]] == [
        ("+15550100090", True, True)]
    assert "mellon" not in json.dumps(s)


def test_settings_pass_on_columns_the_product_added(later, fresh):
    assert fresh.one("select extra from patchbay.agent_settings where user_id = %s", ADA) == {}
    later.owner.execute("""update agent_configs set llm_model = 'gpt-4.1', responsiveness = 0.9 where user_id = %s""", (ADA,))
    extra = settings(later)["extra"]
    assert (extra["llm_model"], extra["responsiveness"]) == ("gpt-4.1", 0.9)
    assert settings(later)["is_active"] is True


def test_product_may_change_the_columns_our_views_read(later):
    """Its next migration must not fail because of a view of ours."""
    for statement in ("alter table agent_configs alter column temperature type double precision",
                      "alter table agent_configs drop column ambient_sound",
                      "alter table transfer_numbers drop column transfer_secret",
                      "alter table users drop column phone_number",
                      "alter table users add column timezone text default 'UTC'"):
        later.owner.execute(statement)
    assert settings(later)["temperature"] == 0.7
    assert len(routes(later)) == 2
