"""Tools of an agent at Retell: signed, bound to the live call, done once; what they do and what they refuse."""

import base64
import hashlib
import hmac
import http.client
import json
import os
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg
import pytest
from retell.lib.webhook_auth import symmetric

from harness import events
from harness.patdb import add_user
from harness.process import free_port
from harness.sip_leg import wait
from harness.stack import OWNER, Stack, http_json
from harness.watch import Watch
from test_retell_provider import rpc_to

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")
PORT = free_port()
CODE = "four two one one"
SECRET = "whsec_" + base64.b64encode(b"a key of the user's, 24+").decode()


@pytest.fixture(scope="module")
def stack():
    settings = {"PAT_RETELL_SETTLE": "100ms", "PAT_RETELL_REQUESTS_PER_S": "200", "PAT_RETELL_TOOLS_LISTEN": f"127.0.0.1:{PORT}",
                "PAT_RETELL_TOOL_PRIVATE_NETS": "true",
                "PAT_RETELL_TOOLS_URL": f"http://127.0.0.1:{PORT}/v1/retell/tools"}
    with Stack(BUILD, with_livekit=False, daemons={"retell-provider": settings}) as s:
        s.control("retell", call_ms=0)
        yield s


@pytest.fixture(scope="module")
def watch(stack):
    with Watch(stack.nats.url) as w:
        yield w


class Shop(ThreadingHTTPServer):
    """The user's own endpoint; keeps what it was sent."""

    def __init__(self):
        self.got: list[tuple[dict, bytes]] = []
        self.status = 200
        super().__init__(("127.0.0.1", 0), Shop.Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(self.server.status)
            self.end_headers()
            self.wfile.write(b"It is in stock.")

        def log_message(self, *_):
            pass


class Call:
    """A caller of a user of his own, in conversation with the user's agent at Retell."""

    numbers = iter(range(15550400001, 15550499999))

    def __init__(self, stack, tool_url: str | None = None):
        self.stack, self.user, self.number = stack, uuid.uuid4(), f"+{next(self.numbers)}"
        with psycopg.connect(stack.pg.url(OWNER, "patchbay"), autocommit=True) as c:
            add_user(c, self.user, f"{self.user}@example.com", "Ada", self.number)
            self.config = str(c.execute("select id from public.agent_configs where user_id = %s", (self.user,)).fetchone()[0])
            c.execute("update public.agent_configs set active_voice_stack = 'retell', retell_agent_id = null, "
                      "retell_llm_id = null, transfer_preferences = '{}' where id = %s", (self.config,))
            for label, number, default, secret in (("Sales", "+15550177701", True, None), ("Boss", "+15550177702", False, CODE)):
                c.execute("insert into public.transfer_numbers (user_id, label, phone_number, is_default, transfer_secret) "
                          "values (%s, %s, %s, %s, %s)", (self.user, label, number, default, secret))
            if tool_url:
                c.execute("insert into patchbay.user_tools (user_id, name, description, url, secret, parameters) values "
                          "(%s, 'look_up_stock', 'What is in stock.', %s, %s, %s)", (self.user, tool_url, SECRET, json.dumps(
                              {"type": "object", "properties": {"item": {"type": "string"}}, "required": ["item"]})))
        answer = rpc_to(stack, "pat.rpc.v1.retell.provision", {"agent_config_id": self.config}, timeout_s=30)
        assert "result" in answer, answer
        self.agent = answer["result"]["agent_id"]

        def dialled():
            sid = stack.place_call(self.number)
            ended = lambda: stack.story(sid, "ended") and {"retell_call_id": None}  # noqa: E731 - a number the router has not heard of yet
            row = wait(lambda: stack.row("select * from patchbay.calls where carrier_call_id = %s", sid) or ended(), 30, "there is a row")
            if row["retell_call_id"]:
                return sid, row
            stack.hang_up(sid)
        self.sid, row = wait(lambda: dialled() or time.sleep(0.2), 40, "the call goes to Retell")
        self.id, self.retell = str(row["id"]), row["retell_call_id"]
        stack.wait_row(self.sid, "answered")

    def use(self, name: str, again: bool = False, **args) -> dict:
        played = http_json("POST", f"{self.stack.double('retell')}/play/{self.retell}/tool",
                           {"name": name, "args": args, "again": again})
        assert played["status"] == 200, played
        return json.loads(played["answer"])

    def say(self, role: str, content: str) -> None:
        http_json("POST", f"{self.stack.double('retell')}/play/{self.retell}/say", {"role": role, "content": content})

    def rows(self, table: str) -> list[dict]:
        def count():
            return self.stack.row(f"select coalesce(jsonb_agg(to_jsonb(t)), '[]') as all from patchbay.{table} t where call_id = %s",
                                  self.id)["all"]
        return count()


@pytest.fixture
def call(stack):
    c = Call(stack)
    yield c
    stack.hang_up(c.sid)


def test_a_message_is_stored_once(stack, watch, call):
    said = {"message": "Please send the papers.", "caller_name": "Grace", "callback_number": "+1 555 010 4444"}
    assert call.use("take_message", **said)["status"] == "stored"
    assert call.use("take_message", again=True, **said)["status"] == "stored"
    event = watch.wait_for("call.voicemail", call.id)
    events.validate(event, event["_subject"])
    assert event["data"]["transcript"] == "Please send the papers." and event["data"]["callback_number"] == "+15550104444"
    rows = wait(lambda: call.rows("voicemails"), 15, "the row is there")
    assert [(r["transcript"], r["caller_name"], r["callback_number"]) for r in rows] \
        == [("Please send the papers.", "Grace", "+15550104444")]
    assert len(watch.of("call.voicemail", call.id)) == 1
    tool = watch.wait_for("turn.tool", call.id)
    events.validate(tool, tool["_subject"])
    assert tool["data"]["outcome"] == "ok" and "papers" not in tool["data"]["arguments"].get("callback_number", "")


def test_a_message_without_words_is_asked_for(stack, call):
    answer = call.use("take_message")
    assert answer["status"] == "refused" and "Ask the caller" in answer["message"] and not call.rows("voicemails")


def test_a_callback_is_noted_in_the_users_time(stack, watch, call):
    stack.sql("update public.agent_configs set transfer_preferences = '{}' where id = %s", call.config)
    when = time.strftime("%Y-%m-%dT15:00", time.gmtime(time.time() + 3 * 86400))
    assert call.use("request_callback", when=when, reason="the papers")["status"] == "noted"
    event = watch.wait_for("call.callback", call.id)
    events.validate(event, event["_subject"])
    row, = wait(lambda: call.rows("callbacks"), 15, "the row is there")
    assert row["local_time"] == when and row["reason"] == "the papers" and row["state"] == "open"
    assert row["number"] == event["data"]["number"]


@pytest.mark.parametrize("when", ["yesterday", "2020-01-01T10:00", ""])
def test_a_time_that_is_none_is_asked_for_again(stack, call, when):
    answer = call.use("request_callback", when=when)
    assert answer["status"] == "refused" and not call.rows("callbacks")


def test_the_caller_is_put_through_once(stack, watch, call):
    assert call.use("transfer_call", briefing="Grace, about papers")["status"] == "connecting"
    call.use("transfer_call", again=True, briefing="Grace, about papers")
    event = watch.wait_for("call.transfer", call.id)
    assert event["data"]["label"] == "Sales" and event["data"]["outcome"] == "started"
    assert {e["data"]["transfer_id"] for e in watch.of("call.transfer", call.id)} == {event["data"]["transfer_id"]}


def test_a_passcode_is_said_or_nobody_is_reached(stack, watch, call):
    assert call.use("transfer_call", to="Boss")["ask"] == "passcode"
    for _ in range(2):
        call.say("user", "one two three")
        assert "once more" in call.use("transfer_call", to="Boss")["message"]
        wait(lambda n=_: len([r for r in call.rows("tool_calls") if r["error"] == "passcode"]) > n, 15, "it is counted")
    call.say("user", "it's 42 11")
    assert call.use("transfer_call", to="Boss")["status"] == "connecting"
    assert watch.wait_for("call.transfer", call.id)["data"]["label"] == "Boss"
    everything = json.dumps(watch.of("turn.tool", call.id)) + json.dumps(call.rows("tool_calls"))
    assert "42 11" not in everything and "one two three" not in everything


def test_three_wrong_passcodes_are_enough(stack, call):
    call.use("transfer_call", to="Boss")
    for n in range(3):
        call.say("user", f"wrong {n}")
        call.use("transfer_call", to="Boss")
        wait(lambda n=n: len([r for r in call.rows("tool_calls") if r["error"] == "passcode"]) > n, 15, "it is counted")
    call.say("user", CODE)
    assert "too many" in call.use("transfer_call", to="Boss")["message"]


@pytest.mark.parametrize("args", [{"to": "Nobody"}, {"to": "+19005550100"}, {"to": 5}, {"number": "+19005550100"}])
def test_nobody_else_is_reached(stack, watch, call, args):
    answer = call.use("transfer_call", **args)
    assert answer["status"] == "refused" and not watch.of("call.transfer", call.id)


def test_a_tool_of_the_users_own_is_asked_and_signed(stack, watch):
    with Shop() as shop:
        c = Call(stack, f"http://127.0.0.1:{shop.server_address[1]}/stock")
        try:
            answer = c.use("look_up_stock", item="chair")
            assert answer == {"status": "ok", "http_status": 200, "result": "It is in stock."}
            c.use("look_up_stock", again=True, item="chair")
            (headers, body), (again, _) = shop.got
            assert headers["webhook-id"] == again["webhook-id"]
            text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
            key = base64.b64decode(SECRET.removeprefix("whsec_"))
            assert headers["webhook-signature"] == "v1," + base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
            data = json.loads(body)["data"]
            assert data["arguments"] == {"item": "chair"} and data["call_id"] == c.id and data["to"] == c.number
            assert c.use("look_up_stock")["status"] == "refused" and len(shop.got) == 2  # an argument is missing
            shop.status = 500
            assert c.use("look_up_stock", item="table")["status"] == "failed"
        finally:
            stack.hang_up(c.sid)
            shop.shutdown()


def body_of(of, **change) -> bytes:
    inner = {"call_id": of.retell, "metadata": {"call_id": of.id, "user_id": str(of.user)}} | change.pop("call", {})
    return json.dumps({"name": "take_message", "call": inner, "args": {"message": "hello"}} | change).encode()


def post(stack, body: bytes, signature: str | None = None, tool: str = "take_message") -> tuple[int, dict]:
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=15)
    headers = {} if signature == "" else {"X-Retell-Signature": signature or symmetric["sign"](body.decode(), stack.retell_key)}
    connection.request("POST", f"/v1/retell/tools/{tool}", body, headers)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def test_only_retell_is_heard(stack, call):
    body = body_of(call)
    for signature in ("", "v=1,d=00", symmetric["sign"](body.decode(), "key_other"), symmetric["sign"](body.decode(), stack.retell_key, 1)):
        assert post(stack, body, signature)[0] == 401
    assert not call.rows("voicemails")
    assert post(stack, body)[0] == 200


def test_both_keys_count_while_one_replaces_the_other(stack, call):
    provider = stack.daemons["retell-provider"]
    provider.env["PAT_RETELL_WEBHOOK_KEY"] = f"key_of_tomorrow, {stack.retell_key}"
    provider.restart()
    try:
        body = body_of(call)
        assert post(stack, body)[0] == 200
        assert post(stack, body, symmetric["sign"](body.decode(), "key_of_tomorrow"))[0] == 200
        assert post(stack, body, symmetric["sign"](body.decode(), provider.env["PAT_RETELL_WEBHOOK_KEY"]))[0] == 401
    finally:
        del provider.env["PAT_RETELL_WEBHOOK_KEY"]
        provider.restart()


def test_a_transcript_cut_in_the_middle_of_a_character_stops_no_tool(stack, call):
    """Half a surrogate pair is how JavaScript writes it."""
    body = body_of(call, call={"transcript_with_tool_calls": [{"role": "user", "content": "Thanks CUT"}]}).replace(b"CUT", b"\\ud83d")
    status, answer = post(stack, body)
    assert (status, answer.get("status")) == (200, "stored"), answer


@pytest.mark.parametrize("change,status,field", [
    ({"call": {"call_id": "call_other"}}, 404, "call.call_id"), ({"call": {"call_id": None}}, 400, "call.call_id"),
    ({"call": {"metadata": {}}}, 400, "call.metadata.call_id"), ({"args": []}, 400, "args"), ({"name": "end_call"}, 400, "name"),
    ({"name": None}, 400, "name")])
def test_what_names_no_live_call_is_refused(stack, call, change, status, field):
    got, answer = post(stack, body_of(call, **change))
    assert (got, answer["error"]["field"]) == (status, field) and not call.rows("voicemails")


def test_another_users_call_is_none(stack, call):
    body = body_of(call, call={"metadata": {"call_id": call.id, "user_id": str(uuid.uuid4())}})
    assert post(stack, body)[0] == 404


def test_a_call_that_is_over_does_nothing_more(stack, call):
    stack.hang_up(call.sid)
    stack.wait_row(call.sid, "ended")
    assert post(stack, body_of(call))[0] == 404 and not call.rows("voicemails")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"name":"take_message"}'])
def test_nonsense_is_refused(stack, body):
    signature = None if b"\xff" not in body else "v=1,d=" + "0" * 64
    assert post(stack, body, signature)[0] in (400, 401)


def test_a_tool_nobody_has(stack, call):
    status, answer = post(stack, body_of(call, name="launch"), tool="launch")
    assert (status, answer["status"]) == (200, "refused")
