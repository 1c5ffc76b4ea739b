"""Erasing a user: nothing of him is left in any table, stream, key or object of ours, nor at Retell; others are not touched."""

import asyncio
import hashlib
import json
import os
import subprocess
import time
import urllib.error

import nats
import nats.errors
import nats.js.errors
import pytest

from harness.process import free_port
from harness.sip_leg import wait
from harness.stack import Stack, http_json
from harness.watch import Watch
from test_retell_events import projected, record, say
from test_retell_provider import rpc_to
from test_retell_recordings import STORE, leg
from test_retell_tools import Call

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")
PORT = free_port()
KEYS = {"PAT_RECORDING_ACCESS_KEY": "AKIDOUBLE", "PAT_RECORDING_SECRET_KEY": "the-secret-of-the-double", "PAT_RECORDING_BUCKET": STORE}


@pytest.fixture(scope="module")
def stack():
    provider = KEYS | {"PAT_RETELL_SETTLE": "100ms", "PAT_RETELL_REQUESTS_PER_S": "200", "PAT_RETELL_TOOLS_LISTEN": f"127.0.0.1:{PORT}",
                       "PAT_RETELL_TOOLS_URL": f"http://127.0.0.1:{PORT}/v1/retell/tools"}

    class Recorded(Stack):
        def _start_daemons(self, relay_port):
            for settings in self.settings.values():
                settings["PAT_RECORDING_URL"] = self.double("storage")
            super()._start_daemons(relay_port)

    with Recorded(BUILD, with_livekit=False, daemons={"retell-provider": provider, "webhook-relay": dict(KEYS)}) as s:
        s.sql("alter table public.users add column if not exists record_calls boolean default true")
        s.control("retell", call_ms=0)
        yield s


@pytest.fixture(scope="module")
def watch(stack):
    with Watch(stack.nats.url) as w:
        yield w


AUTH = {"apikey": "sb_secret_1", "Authorization": "Bearer sb_secret_1"}


def put_object(stack, key: str) -> None:
    http_json("POST", f"{stack.double('storage')}/storage/v1/object/{STORE}/{key}", {"sound": 1}, AUTH | {"x-upsert": "true"})


def objects(stack, user) -> list:
    return http_json("POST", f"{stack.double('storage')}/storage/v1/object/list/{STORE}", {"prefix": str(user), "limit": 100}, AUTH)


def lived(stack, watch) -> Call:
    """A user with a past: a call with a message, its recording, pieces of another, keys of the agents."""
    call = Call(stack)
    say(call, "agent: Hello.", "user: Take a message.")
    assert call.use("take_message", message="Call me.")["status"] == "stored"
    stack.hang_up(call.sid)
    projected(call, 3)
    watch.wait_for("call.stack_ended", call.id, 30)
    watch.wait_for("call.ended", call.id, 30)
    leg(stack, call, "stored")
    put_object(stack, f"{call.user}/{call.id}/m-1.ogg")
    put_object(stack, f"{call.user}/{call.id}/recording.parts/1-0-0-1.ogg")
    wait(lambda: (record(call) or {}).get("recording_url"), 30, "the record has the recording")

    async def keys():
        nc = await nats.connect(stack.nats.url)
        try:
            js = nc.jetstream()
            try:
                kv = await js.key_value("pat_calls")
            except nats.js.errors.NotFoundError:
                kv = await js.create_key_value(bucket="pat_calls", storage="memory")
            for key in (call.id, f"{call.id}.served", f"{call.id}.state.1"):
                await kv.put(key, json.dumps({"user_id": str(call.user)}).encode())
        finally:
            await nc.close()

    asyncio.run(keys())
    return call


def traces(stack, needles: list[str]) -> list[str]:
    """Where any of these is still to be found."""
    found = []
    for (table,) in stack.sql("select c.oid::regclass::text from pg_class c where c.relnamespace = 'patchbay'::regnamespace and "
                              "c.relkind = 'r' union all select 'public.call_records'"):
        text = "t::text || encode(body, 'escape')" if table == "patchbay.webhook_inbox" else "t::text"
        n = stack.sql(f"select count(*) from {table} t where {text} ~ %s", "|".join(n.replace("+", "\\+") for n in needles))[0][0]
        found += [f"{table}: {n}"] if n else []

    async def streams():
        nc = await nats.connect(stack.nats.url)
        try:
            js = nc.jetstream()
            for info in await js.streams_info():
                for seq in range(max(1, info.state.first_seq), info.state.last_seq + 1):
                    try:
                        m = await js.get_msg(info.config.name, seq)
                    except nats.js.errors.NotFoundError:
                        continue
                    text = m.subject + (m.data or b"").decode(errors="replace")
                    if any(n in text for n in needles):
                        found.append(f"{info.config.name}: {m.subject}")
        finally:
            await nc.close()

    asyncio.run(streams())
    return found


def ask(stack, method: str, params: dict) -> dict | None:
    """None: nobody there, or too busy; asking again changes nothing."""
    try:
        return rpc_to(stack, f"pat.rpc.v1.relay.{method}", params, patience_ms=9000, timeout_s=10)
    except (nats.errors.TimeoutError, nats.errors.NoRespondersError):
        return None


def erase(stack, user) -> dict:
    answer = wait(lambda: ask(stack, "erase_user", {"user_id": str(user)}), 60, "the relay answers")
    assert "result" in answer, answer
    return answer["result"]


def erased(stack, id_: str, timeout_s: float = 90) -> dict:
    def look():
        answer = ask(stack, "erasure", {"erasure_id": id_}) or {}
        return answer.get("result") if answer.get("result", {}).get("state") == "done" else time.sleep(0.1)
    return wait(look, timeout_s, "he is erased")


def names(call) -> list[str]:
    return [str(call.user), call.number, call.id, call.retell, call.config]


def at_retell(stack, path: str) -> bool:
    try:
        http_json("GET", stack.double("retell") + path, None, {"Authorization": f"Bearer {stack.retell_key}"})
        return True
    except urllib.error.HTTPError as e:
        assert e.code in (404, 422)
        return False


def test_nothing_is_left_of_him_and_all_of_the_others(stack, watch):
    him, other = lived(stack, watch), lived(stack, watch)
    assert traces(stack, names(him)) and objects(stack, him.user) and at_retell(stack, f"/v2/get-call/{him.retell}")
    llm = stack.row("select llm_id from patchbay.retell_agents where user_id = %s", him.user)["llm_id"]
    before = {t: stack.sql(f"select count(*) from patchbay.{t} where user_id = %s", other.user)[0][0]
              for t in ("calls", "call_events", "recordings", "usage", "tool_calls", "voicemails", "retell_agents", "retell_legs")}
    done = erased(stack, erase(stack, him.user)["erasure_id"])
    assert traces(stack, names(him)) == []
    assert objects(stack, him.user) == []
    assert not at_retell(stack, f"/v2/get-call/{him.retell}")
    assert not at_retell(stack, f"/get-agent/{him.agent}") and not at_retell(stack, f"/get-retell-llm/{llm}")
    assert all(done["counts"][k] > 0 for k in ("vendor_copies", "objects", "messages", "rows"))
    assert done["user_sha256"] == hashlib.sha256(str(him.user).encode()).hexdigest()
    row = stack.row("select e::text as all, user_id from patchbay.erasures e where id = %s", done["erasure_id"])
    assert row["user_id"] is None and not any(n in row["all"] for n in names(him))
    # the product's own rows about him are the product's to delete, and name no agent any more
    assert stack.row("select retell_agent_id, retell_llm_id from public.agent_configs where id = %s", him.config) \
        == {"retell_agent_id": None, "retell_llm_id": None}
    after = {t: stack.sql(f"select count(*) from patchbay.{t} where user_id = %s", other.user)[0][0] for t in before}
    assert after == before and all(before.values())
    assert objects(stack, other.user) and at_retell(stack, f"/v2/get-call/{other.retell}") and at_retell(stack, f"/get-agent/{other.agent}")
    assert record(other)["recording_url"] and len(traces(stack, [str(other.user)])) > 5
    log = stack.daemons["webhook-relay"].process.log.read_text()
    assert not [line for line in log.splitlines() if "erase." in line and any(n in line for n in names(him))]


def test_it_goes_on_after_a_kill(stack, watch):
    him = lived(stack, watch)
    stack.control("storage", fail={"status": 503, "times": -1, "path": str(him.user)})
    try:
        id_ = erase(stack, him.user)["erasure_id"]
        wait(lambda: stack.row("select error from patchbay.erasures where id = %s and step = 1 and attempts > 0", id_), 60, "the store refuses")
        relay = stack.daemons["webhook-relay"]
        relay.kill()
    finally:
        stack.control("storage", fail=None)
    stack.sql("update patchbay.erasures set claimed_by = 'dead', claimed_until = now() + interval '1 second', next_at = now() where id = %s", id_)
    relay.start()
    again = erase(stack, him.user)
    assert again["erasure_id"] == id_
    assert erased(stack, id_)["attempts"] == 0
    assert traces(stack, names(him)) == [] and objects(stack, him.user) == []


def test_nobody_is_erased_while_somebody_talks_to_him(stack, watch):
    call = Call(stack)
    answer = rpc_to(stack, "pat.rpc.v1.relay.erase_user", {"user_id": str(call.user)}, timeout_s=15)
    assert answer["error"]["code"] == "conflict"
    stack.hang_up(call.sid)


@pytest.mark.parametrize("params", [{}, {"user_id": "x"}, {"user_id": None}])
def test_what_names_nobody_is_refused(stack, params):
    assert rpc_to(stack, "pat.rpc.v1.relay.erase_user", params)["error"]["code"] == "invalid"


def test_retell_forgets_nobody_who_is_not_being_erased(stack, watch):
    call = Call(stack)
    stack.hang_up(call.sid)
    answer = rpc_to(stack, "pat.rpc.v1.retell.forget", {"user_id": str(call.user)}, patience_ms=20000, timeout_s=25)
    assert answer["result"] == {"deleted": 0, "left": 0} and at_retell(stack, f"/get-agent/{call.agent}")
    with pytest.raises(Exception, match="not being erased"):
        stack.sql("select patchbay.erase_rows(%s)", call.user)


def test_the_command_line_says_the_same(stack, watch):
    call = Call(stack)
    stack.hang_up(call.sid)
    stack.wait_row(call.sid, "ended")
    relay = stack.daemons["webhook-relay"]

    def run(*args):
        return subprocess.run([f"{BUILD}/bin/patchbay-webhook-relay", *args], env=os.environ | relay.env, capture_output=True, text=True,
                              timeout=30)
    assert run("--erase-user", "nobody").returncode == 2
    begun = run("--erase-user", str(call.user))
    assert begun.returncode == 0, begun.stderr
    id_ = json.loads(begun.stdout.splitlines()[-1])["erasure_id"]
    erased(stack, id_)
    said = run("--erasure", id_)
    assert said.returncode == 0 and json.loads(said.stdout.splitlines()[-1])["state"] == "done"
    assert traces(stack, names(call)) == []
