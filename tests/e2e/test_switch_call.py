"""A switch as callers meet it: before, during and after, each is served by the right stack, and nobody is cut off."""

import json
import time
import urllib.request
import uuid

import jwt
import psycopg
import pytest

from harness import voice
from harness.patdb import add_user
from harness.sip_leg import wait
from harness.stack import OWNER
from test_livekit_call import ask, greeted

NUMBER = "+15550100077"


@pytest.fixture
def mia(stack) -> str:
    """On LiveKit; she has nothing at Retell."""
    user = str(uuid.uuid4())
    with psycopg.connect(stack.pg.url(OWNER, "patchbay"), autocommit=True) as c:
        c.execute("delete from public.service_numbers where phone_number = %s", (NUMBER,))  # of the run this one repeats
        add_user(c, user, f"{user}@example.com", "Mia", NUMBER)
        c.execute("update public.agent_configs set active_voice_stack = 'livekit', retell_agent_id = null, retell_llm_id = null, "
                  "greeting_template = 'Hello, this is the assistant of {name}. How can I help you?', "
                  "voice_id = 'EXAVITQu4vr4xnSDxMaL' where user_id = %s", (user,))
    wait(lambda: stack.sql("select 1 from patchbay.routes where number = %s", NUMBER), 20, "she has a number")
    return user


def post(stack, path: str, body: dict) -> dict:
    bearer = jwt.encode({"exp": int(time.time()) + 600, "role": "service_role"}, stack.jwt_secret, algorithm="HS256")
    request = urllib.request.Request(stack.daemons["stack-switcher"].url + path, json.dumps(body).encode(),
                                     {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}, method="POST")
    with urllib.request.urlopen(request, timeout=20) as r:
        return json.loads(r.read())


def until(stack, w: dict, step: str) -> dict:
    def there():
        now = stack.sql("select patchbay.switch_json(x) from patchbay.switches x where id = %s", w["id"])[0][0]
        assert now["outcome"] != "failed", now
        return now if step in now["done"] else time.sleep(0.1)
    return wait(there, 60, f"{step} is done")


def answered(stack, sid: str) -> str:
    """The stack that spoke to this caller, once his call is over."""
    stack.wait_story(sid, "ended", 60)
    row = stack.wait_row(sid, "ended", 60)
    assert row["answered_at"] or row["outcome"] == "answered", row
    return row["stack"]


def test_calls_before_during_and_after_a_switch(stack, watch, mia):
    before = stack.place_call(NUMBER)
    leg = stack.leg(before)
    greeted(leg)
    w = post(stack, f"/v1/users/{mia}/switch", {"stack": "retell"})
    during = stack.place_call(NUMBER)
    w = until(stack, w, "observe")
    verified = next(s for s in w["steps"] if s["step"] == "verify")["result"]
    assert verified["by"] == "router.rehearse" and verified["ok"]
    after = stack.place_call(NUMBER)
    assert answered(stack, after) == "retell"
    # Who was there before is still talking to the agent he began with.
    reply, audio = ask(stack, watch, leg, voice.any_sentence())
    assert reply and len(audio)
    if stack.sql("select stack::text from patchbay.calls where carrier_call_id = %s", during) == [("livekit",)]:
        stack.hang_up(during)
    assert answered(stack, during) in ("livekit", "retell")
    assert "drain" not in until(stack, w, "observe")["done"]
    stack.hang_up(before)
    assert answered(stack, before) == "livekit"
    until(stack, w, "drain")

    post(stack, f"/v1/switches/{w['id']}/rollback", {})
    until(stack, w, "observe_back")
    back = stack.place_call(NUMBER)
    greeted(stack.leg(back))
    stack.hang_up(back)
    assert answered(stack, back) == "livekit"
    until(stack, w, "clean_up")
