"""Who may change a user's stack and vendor ids: service and admins, nobody else, by whatever statement."""

import json
import uuid

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from harness import patdb
from harness.patdb import ADA, BOB, NAMES
from harness.postgres import Postgres

GUARDED = {"active_voice_stack": "livekit", "stack_config": '{"a": 1}', "livekit_room_id": "room",
           "retell_agent_id": "agent_bob", "retell_llm_id": "llm_bob"}
ADMIN = {"app_metadata": {"role": "admin"}}


@pytest.fixture(scope="module")
def states():
    with Postgres() as pg:
        yield patdb.States(pg)


@pytest.fixture(params=NAMES)
def db(request, states):
    with states.copy(request.param) as db:
        db.state = request.param
        yield db


@pytest.fixture
def fresh(states):
    with states.copy("fresh") as db:
        yield db


def row(db, user=ADA):
    return db.one("select to_jsonb(c) - 'updated_at' from agent_configs c where user_id = %s", user)


def refused(db, column, sql, *params, role="authenticated", user=ADA, login=None, **claims):
    """The statement fails with 42501, names the column and leaves the rows as they were."""
    everything = "select jsonb_agg(to_jsonb(c) order by id) from agent_configs c"
    before = db.one(everything)
    with pytest.raises(InsufficientPrivilege) as e:
        with db.session(role, user, **({"login": login} if login else {}), **claims) as c:
            c.execute(sql, params)
    assert e.value.sqlstate == "42501"
    if column:
        assert e.value.diag.column_name == column
        assert f"agent_configs.{column} " in e.value.diag.message_primary
    assert db.one(everything) == before


def allowed(db, sql, *params, role="authenticated", user=ADA, rows=1, **claims):
    with db.session(role, user, **claims) as c:
        assert c.execute(sql, params).rowcount == rows


def make_blank(db, user=ADA):
    """As after retirement: nothing provisioned, the default stack."""
    db.owner.execute("update agent_configs set retell_agent_id = null, retell_llm_id = null where user_id = %s", (user,))


# ---------------------------------------------------------------- ordinary users

def test_user_may_change_his_prompt(db):
    allowed(db, "update agent_configs set system_prompt = 'Be brief.' where user_id = %s", ADA)
    assert row(db)["system_prompt"] == "Be brief."


@pytest.mark.parametrize("column", GUARDED)
def test_user_may_not_update(db, column):
    refused(db, column, f"update agent_configs set system_prompt = 'x', {column} = %s where user_id = %s",
            GUARDED[column], ADA)


@pytest.mark.parametrize("column", ["stack_config", "retell_agent_id", "retell_llm_id"])
def test_user_may_not_clear(db, column):
    db.owner.execute("update agent_configs set stack_config = '{\"x\": 1}' where user_id = %s", (ADA,))
    refused(db, column, f"update agent_configs set {column} = null where user_id = %s", ADA)


def test_unchanged_values_pass(db):
    db.owner.execute("update agent_configs set active_voice_stack = 'livekit', livekit_room_id = 'r', "
                     "stack_config = '{\"a\": 1}' where user_id = %s", (ADA,))
    allowed(db, """update agent_configs set active_voice_stack = 'livekit', livekit_room_id = 'r',
                   stack_config = '{"a": 1}', retell_agent_id = 'agent_ada', retell_llm_id = 'llm_ada',
                   system_prompt = 'same' where user_id = %s""", ADA)


def test_signup_may_insert_defaults(db):
    new = uuid.uuid4()
    patdb.add_user(db.owner, new, "eve@example.com", "Eve", agent=False)
    allowed(db, "insert into agent_configs (user_id, system_prompt) values (%s, 'Hi')", new, user=new)
    assert row(db, new)["active_voice_stack"] == "retell"


def test_signup_follows_the_operators_default(fresh):
    fresh.owner.execute("alter table agent_configs alter column active_voice_stack set default 'livekit'")
    new = uuid.uuid4()
    patdb.add_user(fresh.owner, new, "eve@example.com", "Eve", agent=False)
    refused(fresh, "active_voice_stack",
            "insert into agent_configs (user_id, active_voice_stack) values (%s, 'retell')", new, user=new)
    allowed(fresh, "insert into agent_configs (user_id) values (%s)", new, user=new)
    assert row(fresh, new)["active_voice_stack"] == "livekit"


@pytest.mark.parametrize("column", GUARDED)
def test_user_may_not_insert(db, column):
    new = uuid.uuid4()
    patdb.add_user(db.owner, new, "eve@example.com", "Eve", agent=False)
    refused(db, column, f"insert into agent_configs (user_id, {column}) values (%s, %s)", new, GUARDED[column],
            user=new)


@pytest.mark.parametrize("column", GUARDED)
def test_user_may_not_upsert_by_id(db, column):
    refused(db, column, f"""insert into agent_configs (id, user_id, {column}) values (%s, %s, %s)
                            on conflict (id) do update set {column} = excluded.{column}""",
            db.config(), ADA, GUARDED[column])


@pytest.mark.parametrize("column", GUARDED)
def test_user_may_not_upsert_by_user(fresh, column):
    refused(fresh, column, f"""insert into agent_configs (user_id, {column}) values (%s, %s)
                               on conflict (user_id) do update set {column} = excluded.{column}""", ADA, GUARDED[column])


def test_upsert_that_sets_the_stack_only_in_its_update_is_refused(db):
    refused(db, "active_voice_stack", """insert into agent_configs (id, user_id) values (%s, %s)
                on conflict (id) do update set active_voice_stack = 'livekit'""", db.config(), ADA)


@pytest.mark.parametrize("key", ["id", "user_id"])
def test_upsert_of_the_whole_row_unchanged_passes(fresh, key):
    """A page that read its row and writes it back with a new prompt."""
    fresh.owner.execute("update agent_configs set active_voice_stack = 'livekit', livekit_room_id = 'r', "
                        "stack_config = '{\"a\": 1}' where user_id = %s", (ADA,))
    whole = row(fresh) | {"system_prompt": "written back"}
    if key == "user_id":
        whole["id"] = str(uuid.uuid4())
    columns = ", ".join(c for c in whole if c not in ("id", "created_at"))
    updates = ", ".join(f"{c} = excluded.{c}" for c in whole if c not in ("id", "created_at"))
    allowed(fresh, f"""insert into agent_configs (id, {columns})
                       select id, {columns} from jsonb_populate_record(null::agent_configs, %s)
                       on conflict ({key}) do update set {updates}""", json.dumps(whole))
    after = row(fresh)
    assert after["system_prompt"] == "written back"
    assert after["active_voice_stack"] == "livekit" and after["retell_agent_id"] == "agent_ada"


def test_second_agent_cannot_copy_the_first_ones_ids(states):
    with states.copy("later") as db:
        db.owner.execute("update agent_configs set active_voice_stack = 'livekit' where user_id = %s", (ADA,))
        refused(db, "active_voice_stack",
                "insert into agent_configs (user_id, active_voice_stack) values (%s, 'livekit')", ADA)
        refused(db, "retell_agent_id",
                "insert into agent_configs (user_id, retell_agent_id) values (%s, 'agent_ada')", ADA)
        allowed(db, "insert into agent_configs (user_id, name) values (%s, 'second')", ADA)


def test_user_may_not_delete_while_ids_are_set(db):
    refused(db, "retell_agent_id", "delete from agent_configs where user_id = %s", ADA)


def test_user_may_not_delete_his_way_to_another_stack(db):
    make_blank(db)
    db.owner.execute("update agent_configs set active_voice_stack = 'livekit' where user_id = %s", (ADA,))
    refused(db, "active_voice_stack", "delete from agent_configs where user_id = %s", ADA)
    refused(db, "active_voice_stack", """with gone as (delete from agent_configs where user_id = %s returning user_id)
                                         insert into agent_configs (user_id) select user_id from gone""", ADA)


def test_user_may_delete_a_blank_agent_and_start_again(db):
    make_blank(db)
    with db.session("authenticated", ADA) as c:
        assert c.execute("delete from agent_configs where user_id = %s", (ADA,)).rowcount == 1
        assert c.execute("insert into agent_configs (user_id) values (%s)", (ADA,)).rowcount == 1
    refused(db, "retell_agent_id", "update agent_configs set retell_agent_id = 'agent_bob' where user_id = %s", ADA)


def test_user_may_not_truncate(db):
    refused(db, None, "truncate agent_configs cascade")


def test_other_triggers_of_the_table_cannot_slip_a_change_in(fresh):
    """Theirs run first: what they put into the row is judged, too."""
    fresh.owner.execute("""create function public.slip() returns trigger language plpgsql as
                           $$ begin new.active_voice_stack := 'livekit'; return new; end $$""")
    fresh.owner.execute("""create trigger handle_slip before update on agent_configs
                           for each row execute function public.slip()""")
    refused(fresh, "active_voice_stack", "update agent_configs set system_prompt = 'x' where user_id = %s", ADA)


def test_search_path_and_temporary_objects_do_not_help(fresh):
    with pytest.raises(InsufficientPrivilege):
        with fresh.session("authenticated", ADA) as c:
            c.execute("set local role none")
            c.execute("create temp table pg_class as select 1 as relowner, 1 as oid")
            c.execute("grant all on pg_temp.pg_class to public")
            c.execute("set local role authenticated")
            c.execute("set local search_path = pg_temp, public, pg_catalog")
            c.execute("update public.agent_configs set active_voice_stack = 'livekit' where user_id = %s", (ADA,))


# ---------------------------------------------------------------- who may

@pytest.mark.parametrize("column", GUARDED)
def test_service_role_may(db, column):
    allowed(db, f"update agent_configs set {column} = %s where user_id = %s", GUARDED[column], ADA,
            role="service_role", user=None)


def test_service_role_may_delete_and_insert(db):
    with db.session("service_role") as c:
        c.execute("delete from agent_configs where user_id = %s", (ADA,))
        c.execute("insert into agent_configs (user_id, active_voice_stack, retell_agent_id) "
                  "values (%s, 'livekit', 'agent_x')", (ADA,))
    assert row(db)["retell_agent_id"] == "agent_x"


def test_our_daemons_may(db):
    assert db.daemon.execute("update agent_configs set active_voice_stack = 'livekit', retell_agent_id = 'agent_y' "
                             "where user_id = %s", (ADA,)).rowcount == 1


def test_owner_may_and_a_deleted_account_takes_its_agent_along(db):
    db.owner.execute("update agent_configs set active_voice_stack = 'livekit' where user_id = %s", (ADA,))
    db.owner.execute("delete from auth.users where id = %s", (ADA,))
    assert row(db) is None


@pytest.mark.parametrize("column", GUARDED)
def test_admin_by_token_may(db, column):
    allowed(db, f"update agent_configs set {column} = %s where user_id = %s", GUARDED[column], ADA, **ADMIN)


def test_admin_by_our_table_may(db):
    with db.session("service_role") as c:
        c.execute("insert into patchbay.admins (user_id) values (%s)", (ADA,))
    allowed(db, "update agent_configs set active_voice_stack = 'livekit' where user_id = %s", ADA)
    refused(db, "active_voice_stack", "update agent_configs set active_voice_stack = 'livekit' where user_id = %s", BOB,
            user=BOB)


def test_nobody_makes_himself_admin(db):
    for role, user in (("authenticated", ADA), ("anon", None)):
        with pytest.raises(InsufficientPrivilege), db.session(role, user) as c:
            c.execute("insert into patchbay.admins (user_id) values (%s)", (ADA,))
    with pytest.raises(InsufficientPrivilege):
        db.daemon.execute("insert into patchbay.admins (user_id) values (%s)", (ADA,))


@pytest.mark.parametrize("claims", [
    {"user_metadata": {"role": "admin"}},
    {"app_metadata": {"role": "Admin"}},
    {"app_metadata": {"roles": {"role": "admin"}}},
    {"app_metadata": "admin"},
    {"app_metadata": None},
    {"role": "service_role"},
])
def test_what_is_no_admin(fresh, claims):
    with pytest.raises(InsufficientPrivilege), fresh.session("authenticated", ADA) as c:
        token = {"role": "authenticated", "sub": str(ADA)} | claims
        c.execute("select set_config('request.jwt.claims', %s, true)", (json.dumps(token),))
        c.execute("update agent_configs set active_voice_stack = 'livekit' where user_id = %s", (ADA,))


def test_anon_reaches_no_row_and_inserts_none(db):
    allowed(db, "update agent_configs set active_voice_stack = 'livekit'", role="anon", user=None, rows=0)
    allowed(db, "delete from agent_configs", role="anon", user=None, rows=0)
    refused(db, None, "insert into agent_configs (user_id) values (%s)", ADA, role="anon", user=None)
    refused(db, "active_voice_stack", "insert into agent_configs (user_id, active_voice_stack) values (%s, 'livekit')",
            ADA, role="anon", user=None)
    refused(db, "active_voice_stack", "insert into agent_configs (user_id, active_voice_stack) values (%s, 'livekit')",
            ADA, role="anon", user=None, **ADMIN)


# ---------------------------------------------------------------- sessions that lie

def test_claims_set_over_plain_sql_do_not_count(db):
    """A login that may only be an ordinary user writes himself an admin's token."""
    db.pg.create_login("plain", "authenticated")
    refused(db, "active_voice_stack", "update agent_configs set active_voice_stack = 'livekit' where user_id = %s", ADA,
            login="plain", **ADMIN)


def test_set_role_needs_membership(db):
    db.pg.create_login("plain", "authenticated")
    for role in ("service_role", "patchbay_service", "patchbay_owner"):
        with pytest.raises(InsufficientPrivilege), psycopg.connect(db.pg.url("plain", db.name)) as c:
            c.execute(f"set role {role}")


def test_role_that_merely_may_write_the_table_is_refused(db):
    db.pg.create_login("webapp")
    db.owner.execute("grant select, update on agent_configs to webapp")
    db.owner.execute("create policy webapp on agent_configs to webapp using (true) with check (true)")
    with pytest.raises(InsufficientPrivilege, match="active_voice_stack"):
        with psycopg.connect(db.pg.url("webapp", db.name)) as c:
            c.execute("update agent_configs set active_voice_stack = 'livekit'")


# ---------------------------------------------------------------- users.role, where the product has it

def test_user_may_not_promote_himself(states):
    with states.copy("later") as db:
        with pytest.raises(InsufficientPrivilege, match="users.role"), db.session("authenticated", ADA) as c:
            c.execute("update users set role = 'admin' where id = %s", (ADA,))
        allowed(db, "update users set name = 'Ada L.', role = 'user' where id = %s", ADA)


def test_users_role_counts_because_it_is_guarded(states):
    with states.copy("later") as db:
        with db.session("service_role") as c:
            c.execute("update users set role = 'admin' where id = %s", (ADA,))
        allowed(db, "update agent_configs set active_voice_stack = 'livekit' where user_id = %s", ADA)
        db.owner.execute("update agent_configs set active_voice_stack = 'retell' where user_id = %s", (ADA,))
        db.owner.execute("alter table users disable trigger zz_patchbay_guard_role")
        refused(db, "active_voice_stack", "update agent_configs set active_voice_stack = 'livekit' where user_id = %s",
                ADA)


# ---------------------------------------------------------------- two tenants

def test_tenants_do_not_see_or_touch_each_other(db):
    for user, other in ((ADA, BOB), (BOB, ADA)):
        with db.session("authenticated", user) as c:
            for table, column in (("users", "id"), ("agent_configs", "user_id"), ("service_numbers", "user_id")):
                assert {r[0] for r in c.execute(f"select {column} from {table}")} == {user}, table
            assert c.execute("update agent_configs set system_prompt = 'x' where user_id = %s", (other,)).rowcount == 0
            assert c.execute("delete from agent_configs where user_id = %s", (other,)).rowcount == 0
        with pytest.raises(InsufficientPrivilege), db.session("authenticated", user) as c:
            c.execute("update service_numbers set user_id = %s where user_id = %s", (other, user))
        with pytest.raises(InsufficientPrivilege), db.session("authenticated", user) as c:
            c.execute("insert into transfer_numbers (user_id, label, phone_number) values (%s, 'x', '+1555')", (other,))


def test_tenants_read_their_own_calls_and_nothing_else_of_ours(db):
    calls = {}
    for user in (ADA, BOB):
        calls[user] = db.daemon.execute("select patchbay.uuidv7()").fetchone()[0]
        db.daemon.execute("select patchbay.put_call(%s)", (json.dumps({"id": str(calls[user]), "user_id": str(user)}),))
        db.daemon.execute("select patchbay.put_result(%s, 'retell', 'call_ended', '{}')", (calls[user],))
        db.daemon.execute("""insert into patchbay.call_events (id, call_id, user_id, type, subject, occurred_at)
                             values (patchbay.uuidv7(), %s, %s, 'pat.call.v1.offered', 's', now())""",
                          (calls[user], user))
    for user in (ADA, BOB):
        with db.session("authenticated", user) as c:
            assert c.execute("select id from patchbay.calls").fetchall() == [(calls[user],)]
            assert c.execute("select call_id from patchbay.call_results").fetchall() == [(calls[user],)]
            assert c.execute("select call_id from patchbay.call_events").fetchall() == [(calls[user],)]
    closed = ["patchbay.outbox", "patchbay.webhook_inbox", "patchbay.admins", "patchbay.config_versions",
              "patchbay.migrations", "patchbay.routes", "patchbay.agent_settings"]
    for role, user in (("authenticated", ADA), ("anon", None)):
        for table in closed + (["patchbay.calls", "patchbay.call_results", "patchbay.call_events"] if not user else []):
            with pytest.raises(InsufficientPrivilege), db.session(role, user) as c:
                c.execute(f"select * from {table}")
        for statement in ("update patchbay.calls set state = 'ended'", "delete from patchbay.calls",
                          "insert into patchbay.calls (id, user_id) values (gen_random_uuid(), gen_random_uuid())",
                          "select patchbay.put_call('{}')", "select patchbay.project_call(gen_random_uuid())",
                          "select patchbay.config_changed(gen_random_uuid(), null, 't', 'update', null)"):
            with pytest.raises(InsufficientPrivilege), db.session(role, user) as c:
                c.execute(statement)


def test_events_of_calls_are_never_rewritten(fresh):
    for statement in ("update patchbay.call_events set type = 'x'", "delete from patchbay.call_events"):
        with pytest.raises(InsufficientPrivilege):
            fresh.daemon.execute(statement)
    with pytest.raises(InsufficientPrivilege), fresh.session("service_role") as c:
        c.execute("delete from patchbay.call_events")
