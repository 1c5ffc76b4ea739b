"""A step of a switch nobody gets on with is seen in the stack-switcher's metrics; one that only waits is not."""

import os
import re
import urllib.request
import uuid

import pytest

from harness.sip_leg import wait
from harness.stack import LEO, RITA
from test_voices import Switcher

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")


@pytest.fixture(scope="module")
def stack():
    with Switcher(BUILD, with_livekit=False) as s:
        yield s


def ages(stack) -> dict[str, float]:
    with urllib.request.urlopen(stack.daemons["stack-switcher"].admin_url + "/metrics", timeout=10) as r:
        return {k: float(v) for k, v in re.findall(r'^pat_switcher_step_oldest_seconds\{step="(\w+)"\} (\S+)$', r.read().decode(), re.M)}


def switch(stack, user, step: str | None, minutes: int) -> uuid.UUID:
    """One in the hands of a replica that neither dies nor gets on."""
    id_ = uuid.uuid4()
    stack.sql("insert into patchbay.switches (id, user_id, agent_config_id, from_stack, to_stack, step, keep_ms, asked_by, lease_by, lease_until) "
              "select %s, user_id, id, 'retell', 'livekit', %s, 0, 'x', 'somebody', now() + interval '1 hour' "
              "from public.agent_configs where user_id = %s limit 1", id_, step, user.id)
    stack.sql("insert into patchbay.switch_steps (switch_id, seq, step, state, started_at, ended_at) values "
              "(%s, 1, 'validate', 'done', now() - interval '3 days', now() - interval '2 days')", id_)
    if step:
        stack.sql("insert into patchbay.switch_steps (switch_id, seq, step, state, attempts, started_at) values "
                  "(%s, 2, %s, 'waiting', 40, now() - %s * interval '1 minute')", id_, step, minutes)
    return id_


def test_the_oldest_unfinished_step_of_each_kind_is_shown(stack):
    wait(lambda: ages(stack).get("provision") == 0, 30, "nothing is under way")
    assert len(ages(stack)) == 11 and not any(ages(stack).values())
    mine, _ = switch(stack, LEO, "provision", 20), switch(stack, RITA, None, 0)
    wait(lambda: ages(stack)["provision"] > 1199, 30, "it is seen")
    assert [k for k, v in ages(stack).items() if v] == ["provision"]
    stack.sql("update patchbay.switches set step = null where id = %s", mine)
    stack.sql("update patchbay.switch_steps set state = 'done', ended_at = now() where switch_id = %s", mine)
    wait(lambda: not any(ages(stack).values()), 30, "it is done")
