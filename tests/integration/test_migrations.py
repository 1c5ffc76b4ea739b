"""scripts/migrate on every database it can meet: what it applies, what it records, what it refuses."""

import shutil
import subprocess
import threading
import urllib.parse

import psycopg
import pytest

from harness import patdb
from harness.patdb import ADA, BOB, MIGRATIONS, NAMES, migrate
from harness.pgbouncer import PgBouncer
from harness.postgres import OWNER, Postgres, bin_dir

FILES = sorted(p.stem for p in MIGRATIONS.glob("[0-9]*.sql"))


@pytest.fixture(scope="module")
def states():
    with Postgres() as pg:
        yield patdb.States(pg)


def ledger(db):
    return dict(db.owner.execute("select name, how from patchbay.migrations").fetchall())


def dump(db, *args):
    done = subprocess.run([bin_dir() / "pg_dump", "-s", *args, "-d", db.pg.url(OWNER, db.name)],
                          capture_output=True, text=True, timeout=60, check=True)
    # \restrict lines carry a random token
    return [line for line in done.stdout.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]


@pytest.fixture
def own_dir(tmp_path):
    """A copy of the migrations that a test may spoil."""
    target = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, target)
    return target


def test_owner_is_no_superuser(states):
    with states.copy("fresh") as db:
        assert db.one("select rolsuper or rolbypassrls from pg_roles where rolname = current_user") is False


@pytest.mark.parametrize("state", NAMES)
def test_every_state_ends_with_every_file_in_the_ledger(states, state):
    with states.copy(state) as db:
        want = dict.fromkeys(FILES, "applied")
        if state != "fresh":
            want["001_baseline"] = "present"
        assert ledger(db) == want


@pytest.mark.parametrize("state", NAMES)
def test_second_run_changes_nothing(states, state):
    with states.copy(state) as db:
        before = dump(db)
        assert migrate(db.pg.url(OWNER, db.name)).stdout == ""
        assert dump(db) == before


@pytest.mark.parametrize("state", NAMES)
def test_every_file_may_run_twice_without_a_ledger(states, state):
    """As the Supabase CLI would, which keeps a ledger of its own."""
    with states.copy(state) as db:
        before = dump(db)
        for name in FILES:
            patdb.run_sql(db.owner, MIGRATIONS / f"{name}.sql")
        assert dump(db) == before


def test_fresh_and_migrated_055_are_the_same_schema(states):
    with states.copy("fresh") as fresh, states.copy("at_055") as old:
        assert dump(fresh) == dump(old)


@pytest.mark.parametrize("state", NAMES)
def test_stack_columns_are_as_specified(states, state):
    with states.copy(state) as db:
        columns = {r[0]: r[1:] for r in db.owner.execute(
            """select column_name::text, udt_name::text, is_nullable::text, column_default,
                      col_description('public.agent_configs'::regclass, ordinal_position)
               from information_schema.columns where table_schema = 'public' and table_name = 'agent_configs'
                 and column_name in ('active_voice_stack', 'livekit_room_id', 'stack_config', 'retell_agent_id')""")}
        assert columns == {
            "active_voice_stack": ("voice_ai_stack", "NO", "'retell'::voice_ai_stack",
                                   "Active Voice AI provider (retell or livekit)"),
            "livekit_room_id": ("text", "YES", None, "LiveKit room ID (only used when stack is livekit)"),
            "stack_config": ("jsonb", "YES", "'{}'::jsonb", "Stack-specific configuration (JSON)"),
            "retell_agent_id": ("text", "YES", None, None)}
        assert db.one("select enum_range(null::public.voice_ai_stack)::text") == "{retell,livekit}"
        assert db.one("select to_regclass('public.idx_agent_configs_voice_stack') is not null")


def test_null_stacks_are_filled_with_retell(states):
    with states.copy("at_062", migrated=False) as db:
        db.owner.execute("update agent_configs set active_voice_stack = null where user_id = %s", (ADA,))
        db.owner.execute("update agent_configs set active_voice_stack = 'livekit' where user_id = %s", (BOB,))
        migrate(db.pg.url(OWNER, db.name))
        assert db.one("select active_voice_stack::text from agent_configs where user_id = %s", ADA) == "retell"
        assert db.one("select active_voice_stack::text from agent_configs where user_id = %s", BOB) == "livekit"


def test_rows_from_before_survive(states):
    with states.copy("later", migrated=False) as db:
        query = "select jsonb_agg(to_jsonb(x) order by x.id) from {} x"
        before = {t: db.one(query.format(t)) for t in ("users", "service_numbers", "agent_configs")}
        migrate(db.pg.url(OWNER, db.name))
        assert {t: db.one(query.format(t)) for t in before} == before


def test_every_table_of_ours_has_row_level_security(states):
    with states.copy("fresh") as db:
        bare = db.owner.execute("""select relname from pg_class where relnamespace = 'patchbay'::regnamespace
                                   and relkind = 'r' and not relrowsecurity""").fetchall()
        assert bare == []


def test_only_what_the_guard_asks_is_open_to_everybody(states):
    """And no function of ours can be led astray by the caller's search_path."""
    with states.copy("fresh") as db:
        assert {r[0] for r in db.owner.execute(
            """select proname from pg_proc where pronamespace = 'patchbay'::regnamespace
               and prorettype <> 'trigger'::regtype and has_function_privilege('public', oid, 'execute')""")} == {
            "is_admin", "may_set_stack", "upsert_target"}
        assert db.owner.execute("""select proname from pg_proc where pronamespace = 'patchbay'::regnamespace
                                   and not coalesce(proconfig @> '{"search_path=pg_catalog, pg_temp"}', false)"""
                                ).fetchall() == []


def test_dry_run_and_status_change_nothing(states):
    with states.copy("at_055", migrated=False) as db:
        url = db.pg.url(OWNER, db.name)
        before = dump(db)
        said = migrate(url, "--dry-run").stdout.splitlines()
        assert said == ["would record as present: 001_baseline"] + [f"would apply: {n}" for n in FILES[1:]]
        assert [line.split() for line in migrate(url, "--status").stdout.splitlines()] == [
            ["pending", "-", n] for n in FILES]
        assert dump(db) == before
        migrate(url)
        assert migrate(url, "--dry-run").stdout == ""
        assert [line.split()[0] for line in migrate(url, "--status").stdout.splitlines()] == (
            ["present"] + ["applied"] * (len(FILES) - 1))


def test_changed_file_stops_everything(states, own_dir):
    with states.copy("fresh") as db:
        url = db.pg.url(OWNER, db.name)
        with (own_dir / "056_voice_ai_stack.sql").open("a") as f:
            f.write("-- one more thought\n")
        (own_dir / "99990101000000_new.sql").write_text("create table public.never (id int);\n")
        done = migrate(url, "--dir", str(own_dir), check=False)
        assert done.returncode == 3
        assert "056_voice_ai_stack was applied at" in done.stderr
        assert db.one("select to_regclass('public.never')") is None
        assert migrate(url, "--dir", str(own_dir), "--dry-run", check=False).returncode == 3
        assert "changed " in migrate(url, "--dir", str(own_dir), "--status").stdout


def test_failing_file_leaves_nothing_and_the_ones_before_it_stay(states, own_dir):
    with states.copy("fresh") as db:
        url = db.pg.url(OWNER, db.name)
        (own_dir / "99990101000000_good.sql").write_text("create table public.good (id int);\n")
        (own_dir / "99990101000001_bad.sql").write_text("create table public.half (id int);\nselect 1 / 0;\n")
        (own_dir / "99990101000002_after.sql").write_text("create table public.after (id int);\n")
        done = migrate(url, "--dir", str(own_dir), check=False)
        assert done.returncode == 1
        assert "99990101000001_bad.sql failed" in done.stderr and "division by zero" in done.stderr
        assert db.one("select to_regclass('public.good') is not null")
        assert db.one("select to_regclass('public.half')") is None
        assert db.one("select to_regclass('public.after')") is None
        assert set(ledger(db)) == {*FILES, "99990101000000_good"}
        (own_dir / "99990101000001_bad.sql").write_text("create table public.half (id int);\n")
        assert migrate(url, "--dir", str(own_dir)).stdout.split() == [
            "applied", "99990101000001_bad", "applied", "99990101000002_after"]


@pytest.mark.parametrize("state", ["fresh", "at_062"])
def test_racing_runners_apply_each_file_once(states, state):
    with states.copy(state, migrated=False) as db:
        done = []
        runners = [threading.Thread(target=lambda: done.append(migrate(db.pg.url(OWNER, db.name), check=False)))
                   for _ in range(4)]
        for r in runners:
            r.start()
        for r in runners:
            r.join(100)
        assert [(d.returncode, d.stderr) for d in done] == [(0, "")] * 4
        told = sorted(line.split()[1] for d in done for line in d.stdout.splitlines())
        assert told == FILES
        assert set(ledger(db)) == set(FILES)


def test_racing_runners_through_a_transaction_pooler(states):
    with PgBouncer(states.pg) as bouncer, states.copy("at_055", migrated=False) as db:
        done = []
        runners = [threading.Thread(target=lambda: done.append(migrate(bouncer.url(OWNER, db.name), check=False)))
                   for _ in range(3)]
        for r in runners:
            r.start()
        for r in runners:
            r.join(100)
        assert [(d.returncode, d.stderr) for d in done] == [(0, "")] * 3
        assert set(ledger(db)) == set(FILES)


def test_url_comes_from_a_file_and_its_password_may_hold_anything(states, tmp_path):
    with states.copy("fresh") as db:
        password = "p@ss:w/o%r d?#"
        with db.pg.admin() as c:
            c.execute(f"create role odd login password '{password}' in role {OWNER}")
        url = db.pg.url("odd", db.name).replace(db.pg.password, urllib.parse.quote(password, safe=""))
        psycopg.connect(url).close()
        (tmp_path / "url").write_text(url + "\n")
        done = migrate("", "--status", PAT_DATABASE_URL_FILE=str(tmp_path / "url"))
        assert len(done.stdout.splitlines()) == len(FILES)


@pytest.mark.parametrize("env", [{"PAT_DATABASE_URL": "", "DATABASE_URL": ""}, {"PAT_DATABASE_URL_FILE": "/nowhere"}])
def test_without_a_database_it_says_so(env):
    done = migrate("", check=False, **env)
    assert done.returncode != 0
    assert done.stderr.strip()


def test_cluster_without_supabase_gets_its_roles_from_the_owner():
    with Postgres(supabase_roles=False) as pg:
        states = patdb.States(pg)
        with states.copy("fresh") as db:
            roles = dict(db.owner.execute("select rolname, rolbypassrls from pg_roles where rolname in "
                                          "('anon', 'authenticated', 'service_role', 'patchbay_service')").fetchall())
            assert roles == dict.fromkeys(["anon", "authenticated", "service_role", "patchbay_service"], False)
            # service_role cannot bypass row level security here: policies stand in for it
            pg.create_login("authenticator", "anon", "authenticated", "service_role", inherit=False)
            with db.session("service_role") as c:
                assert c.execute("select count(*) from agent_configs").fetchone()[0] == 2
                c.execute("update agent_configs set active_voice_stack = 'livekit' where user_id = %s", (ADA,))
                assert c.execute("select count(*) from patchbay.outbox").fetchone()[0] > 0
