"""What answers of the API cost: rows the database reads for them, and bytes on the wire."""

import json

import pytest

from harness.sip_leg import wait
from harness.stack import ADMIN, LEO
from test_stack_switcher import get, token
from test_usage_api import BUILD, Switcher

OTHERS = 400


@pytest.fixture(scope="module")
def stack():
    with Switcher(BUILD, with_livekit=False) as s, s.pg.admin("patchbay") as c:
        c.execute("set session_replication_role = replica")
        c.execute("create temp table who as select i, gen_random_uuid() as u from generate_series(1, %s) i", [OTHERS])
        c.execute("insert into auth.users (id, email) select u, 'user' || i || '@example.com' from who")
        c.execute("insert into public.users (id, email, name) select u, 'user' || i || '@example.com', 'User ' || i from who")
        c.execute("insert into public.agent_configs (user_id, active_voice_stack, agent_name) select u, 'livekit', 'Agent ' || i from who")
        c.execute("insert into public.service_numbers (user_id, phone_number, phone_sid) select u, '+1557' || lpad(i::text, 7, '0'), 'PN9' || i from who")
        c.execute("analyze")
        yield s


@pytest.fixture
def admin(stack):
    return token(stack, ADMIN, app_metadata={"role": "admin"})


def read(stack) -> int:
    """How often agents were looked for, as those who looked have told: a moment later."""
    return stack.sql("select idx_scan + seq_scan * %s from pg_stat_user_tables where relid = 'public.agent_configs'::regclass", OTHERS)[0][0]


@pytest.mark.parametrize("question", ["agent", "stack", "plan"])
def test_a_users_agent_is_found_without_looking_at_everybodys(stack, admin, question):
    before = read(stack)
    if question == "plan":
        facts, = stack.sql("select patchbay.switch_facts(%s, null, 'retell')", LEO.id)[0]
        assert facts["numbers"] == [LEO.number]
    else:
        assert LEO.number in json.dumps(get(stack, f"/v1/users/{LEO.id}/{question}", admin))
    wait(lambda: read(stack) > before, 30, "it is told")
    assert read(stack) - before < 50
