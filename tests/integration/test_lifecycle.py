"""Every leg of a call, whatever the carrier says about it and in whatever order; what nobody said; messages left behind.

Two real routers on one Postgres, the carrier's double beside them; all of it once as SignalWire, once as Twilio (the same
routers by configuration: other ids, signature header and addresses). The callbacks are signed by Twilio's own package.
"""

import asyncio
import itertools
import json
import os
import secrets
import threading
import time
import urllib.parse
import urllib.request
import uuid
from email.utils import format_datetime
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg
import pytest
import twilio.request_validator
import twilio.rest

from harness import events
from harness.carrier import Carrier, Reply
from harness.sip_leg import wait
from harness.stack import CALLER, LEO, RETELL_SIP_HOST, RITA, Daemon, Stack, http_json
from harness.watch import Watch

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")
VOICE, STATUS = "/v1/signalwire/voice", "/v1/signalwire/status"
# The rounds are seconds apart in life.
FAST = {"PAT_ROUTER_RECONCILE_MS": "200ms", "PAT_ROUTER_CHORES_EVERY": "500ms"}
STATIC = """<?xml version="1.0"?><Response><Say>Please leave a message.</Say><Record action="{0}/done" maxLength="120"/></Response>"""


class Dialect(Stack):
    """A carrier by its settings alone."""

    def __init__(self, carrier: str):
        self.carrier = carrier
        store = {"PAT_RECORDING_ACCESS_KEY": "AKIDOUBLE", "PAT_RECORDING_SECRET_KEY": "the-secret-of-the-double"}
        super().__init__(BUILD, with_livekit=False, daemons={"router": FAST | store | {"PAT_CARRIER": carrier}})
        if carrier == "twilio":
            self.project, self.carrier_token = "AC" + secrets.token_hex(16), secrets.token_hex(16)
            self.signing_key = self.carrier_token

    def _daemon(self, name, listen, env):
        if name == "router":
            env |= {"PAT_RECORDING_URL": self.double("storage")}
        return super()._daemon(name, listen, env)

    def _script_doubles(self) -> None:
        super()._script_doubles()
        self.control("signalwire", twilio=self.carrier == "twilio")
        self.control("retell", call_ms=60000)
        self.control("storage", access_key="AKIDOUBLE", secret_key="the-secret-of-the-double")

    def new_sid(self) -> str:
        return "CA" + secrets.token_hex(16) if self.carrier == "twilio" else str(uuid.uuid4())

    def second(self) -> Daemon:
        first = self.daemons["router"]
        d = Daemon(self, "router", first.env | {"PAT_ROUTER_SPOOL_FILE": str(self.folder / "router-2.spool"),
                                                "PAT_ROUTER_SNAPSHOT_FILE": str(self.folder / "routes-2.snapshot")},
                   "PAT_ROUTER_LISTEN", replica="router-2")
        self.daemons["router-2"] = self._push(d)
        return d.start()


@pytest.fixture(scope="module", params=["signalwire", "twilio"])
def stack(request):
    with Dialect(request.param) as s:
        s.second()
        yield s


@pytest.fixture(scope="module")
def watch(stack):
    with Watch(stack.nats.url) as w:
        yield w
        for e in w.events:
            events.validate({k: v for k, v in e.items() if k != "_subject"}, e["_subject"])


class Callbacks(Carrier):
    """The carrier's callbacks to either router, signed for the one address both are known by."""

    def __init__(self, stack: Dialect):
        super().__init__(stack.daemons["router"].url, stack.signing_key)
        self.stack = stack
        self.validator = twilio.request_validator.RequestValidator(stack.signing_key)

    def form(self, to: str, caller: str = CALLER, **more: str) -> dict[str, str]:
        return super().form(to, caller, CallSid=self.stack.new_sid(), AccountSid=self.stack.project) | more

    def post_to(self, router: str, url: str, params: dict, timeout_s: float = 15) -> Reply:
        url = url if "://" in url else self.base + url
        header = "X_Twilio_Signature" if self.stack.carrier == "twilio" else "X_SignalWire_Signature"
        at = self.stack.daemons[router].url + url.removeprefix(self.base)
        return self.send("POST", at, urllib.parse.urlencode(params).encode(), timeout_s,
                         Content_Type="application/x-www-form-urlencoded",
                         **{header: self.validator.compute_signature(url, params)})

    def post(self, url, params, key=None, signature=None, timeout_s=15) -> Reply:
        return self.post_to("router", url, dict(params), timeout_s)

    def status(self, form: dict, status: str, sequence: int, at_s: float = 0, router: str = "router", **more) -> Reply:
        stamp = format_datetime(datetime.now(UTC) + timedelta(seconds=at_s))
        return self.post_to(router, STATUS, form | {"CallStatus": status, "SequenceNumber": str(sequence), "Timestamp": stamp} | more)


@pytest.fixture
def carrier(stack):
    return Callbacks(stack)


@pytest.fixture(autouse=True)
def quiet(stack):
    """Each test begins with a carrier that loses nothing."""
    yield
    stack.control("signalwire", mute="", media_fails=0, voice_url=f"{stack.daemons['router'].url}{VOICE}",
                  sip_hosts={RETELL_SIP_HOST: stack.double("retell")})


def leg(stack, sid: str) -> dict | None:
    return stack.row("select * from patchbay.call_legs where leg = %s", sid)


def call_of(stack, sid: str) -> str:
    return str(stack.wait_row(sid)["id"])


def hurry(stack, call: str, **more) -> None:
    """Somebody should look at it now. more: columns of the past, as SQL."""
    sets = ", ".join(["look_at = now()"] + [f"{k} = {v}" for k, v in more.items()])
    stack.sql(f"update patchbay.calls set {sets} where id = %s", call)


def metric(stack, text: str) -> float:
    return sum(float(line.rsplit(" ", 1)[1]) for d in ("router", "router-2") for line in stack.daemons[d].metrics().splitlines()
               if line.startswith(text))


# ---------------------------------------------------------------------- callbacks


def test_callbacks_in_any_order_from_both_routers_make_the_same_leg(stack, watch, carrier):
    seen = []
    told = [("ringing", 0, -30), ("in-progress", 1, -25), ("completed", 2, -5)]
    for n, order in enumerate(itertools.permutations(told)):
        form = carrier.form(LEO.number)
        d = carrier.post_to("router", VOICE, form).dial()
        stack.wait_row(form["CallSid"])
        stamps = {s: format_datetime(datetime.now(UTC) + timedelta(seconds=at)) for s, _, at in told}
        routers = itertools.cycle(["router", "router-2"] if n % 2 else ["router-2", "router"])
        for status, sequence, _ in (*order, *order[:2]):
            params = form | {"CallStatus": status, "SequenceNumber": str(sequence), "Timestamp": stamps[status]}
            params |= {"CallDuration": "20"} if status == "completed" else {}
            assert carrier.post_to(next(routers), STATUS, params).status == 204
        row = leg(stack, form["CallSid"])
        stack.wait_row(form["CallSid"], "ended")
        assert len(wait(lambda: watch.of("call.ended", d.call), 20, "it has ended")) == 1
        assert (row["kind"], row["state"], row["sequence"], row["seconds"], row["sip_code"]) == ("caller", "ended", 2, 20, None)
        seen.append((row["ended_at"] - row["answered_at"]).total_seconds())
    assert set(seen) == {20.0}


def test_a_status_before_its_call_is_parked_and_taken_up(stack, watch, carrier):
    form = carrier.form(LEO.number)
    sid = form["CallSid"]
    for router in ("router", "router-2"):
        assert carrier.status(form, "completed", 3, router=router, CallDuration="4").status == 204
    assert stack.row("select count(*) as n from patchbay.carrier_parked where leg = %s", sid)["n"] == 1
    d = carrier.post(VOICE, form).dial()
    assert stack.wait_row(sid, "ended")["ended_reason"] == "completed"
    wait(lambda: not stack.sql("select 1 from patchbay.carrier_parked where leg = %s", sid), 20, "it is not parked any more")
    assert leg(stack, sid)["seconds"] == 4 and len(watch.of("call.ended", d.call)) == 1


def test_a_status_about_somebody_elses_number_is_taken_and_forgotten(stack, carrier):
    form = carrier.form("+15559990000", caller="+15559990001")
    assert carrier.status(form, "completed", 1).status == 204
    assert not stack.sql("select 1 from patchbay.carrier_parked where leg = %s", form["CallSid"])


def test_what_cannot_be_is_logged_and_changes_no_end(stack, carrier):
    form = carrier.form(LEO.number)
    carrier.post(VOICE, form)
    stack.wait_row(form["CallSid"])
    assert carrier.status(form, "busy", 1).status == 204
    stack.wait_row(form["CallSid"], "ended")
    assert carrier.status(form, "in-progress", 2).status == 204
    row = leg(stack, form["CallSid"])
    assert (row["state"], row["end_reason"]) == ("ended", "busy")
    assert wait(lambda: stack.daemons["router"].logged("leg.impossible"), 10, "it is logged")


def test_a_router_killed_while_it_stores_a_callback_loses_nothing(stack, watch, carrier):
    form = carrier.form(LEO.number)
    d = carrier.post_to("router-2", VOICE, form).dial()
    stack.wait_row(form["CallSid"])
    answers = []

    def tell():
        try:
            answers.append(carrier.status(form, "completed", 2, CallDuration="7").status)
        except OSError as e:
            answers.append(e)

    with psycopg.connect(stack.pg.url("postgres", "patchbay")) as c:
        c.execute("lock table patchbay.call_legs in access exclusive mode")
        t = threading.Thread(target=tell)
        t.start()
        waits = "select 1 from pg_stat_activity where query like '%take_status%' and wait_event_type = 'Lock'"
        with psycopg.connect(stack.pg.url("postgres", "patchbay"), autocommit=True) as looks_on:
            wait(lambda: looks_on.execute(waits).fetchall(), 20, "the router waits for the row")
        stack.daemons["router"].kill()
        t.join(20)
        c.rollback()
    try:
        assert isinstance(answers[0], OSError)  # never a 204 for what is not stored
        assert carrier.status(form, "completed", 2, router="router-2", CallDuration="7").status == 204
        assert stack.wait_row(form["CallSid"], "ended")["ended_reason"] == "completed"
        assert len(wait(lambda: watch.of("call.ended", d.call), 20, "it is told")) == 1
    finally:
        stack.daemons["router"].start()


# ---------------------------------------------------------------------- legs of real calls


def test_each_leg_of_a_call_has_a_row(stack, watch):
    sid = stack.place_call(RITA.number)
    stack.wait_story(sid, "bridged")
    call = call_of(stack, sid)
    stack.hang_up(sid)
    stack.wait_row(sid, "ended")
    rows = wait(lambda: (r := stack.sql("select kind, state, end_reason, sip_code, stack::text from patchbay.call_legs "
                                        "where call_id = %s order by kind", call)) and len(r) == 2 and r, 20, "both legs are there")
    assert [r[:2] for r in rows] == [("caller", "ended"), ("stack", "ended")]
    assert rows[1][3:] == (200, "retell") and rows[0][2] in ("completed", "caller_hangup")
    if stack.carrier == "signalwire":  # Twilio does not say who hung up
        assert rows[1][2] == "caller_hangup"


# ---------------------------------------------------------------------- what nobody told


def bridged(stack, number=RITA.number) -> tuple[str, str]:
    sid = stack.place_call(number)
    stack.wait_story(sid, "bridged")
    return sid, call_of(stack, sid)


def test_a_call_whose_end_nobody_told_is_closed_with_the_carriers_time(stack, watch):
    sid, call = bridged(stack)
    stack.control("signalwire", mute="status")
    stack.control("retell", webhook_url="")
    for d in ("router", "router-2"):
        stack.daemons[d].kill()
    try:
        stack.hang_up(sid)
        wait(lambda: stack.look(sid)["state"] == "ended", 30, "the carrier has given up")
    finally:
        for d in ("router", "router-2"):
            stack.daemons[d].start()
        stack.control("retell", webhook_url=f"{stack.daemons['webhook-relay'].url}/v1/hooks/retell")
    assert stack.wait_row(sid)["state"] != "ended"
    hurry(stack, call)
    row = stack.wait_row(sid, "ended")
    theirs = twilio_client(stack).calls(sid).fetch()
    assert abs((row["ended_at"] - theirs.end_time).total_seconds()) < 1.5
    assert row["ended_reason"] in ("completed", "caller_hangup", "unheard") and row["ended_owner"] == "caller"
    wait(lambda: len(watch.of("call.ended", call)) == 1, 20, "it is told once")


def test_what_an_agent_has_used_makes_an_open_call_be_looked_at(stack):
    sid, call = bridged(stack)
    soon = "select look_at < now() + interval '11 seconds' as soon from patchbay.calls where id = %s"
    assert not stack.row(soon, call)["soon"]
    for component in ("stt", "agent"):
        assert not stack.row(soon, call)["soon"]
        stack.sql("select patchbay.put_usage(jsonb_build_object('id', gen_random_uuid(), 'call_id', id, 'user_id', user_id, 'leg', "
                  "'livekit', 'component', %s::text, 'provider', 'livekit', 'account', 'livekit', 'unit', 'second', 'quantity_milli', "
                  "1)) from patchbay.calls where id = %s", component, call)
    assert stack.row(soon, call)["soon"]
    stack.hang_up(sid)
    stack.wait_row(sid, "ended")


def test_a_call_that_is_too_long_is_ended_at_the_carrier(stack, watch):
    sid, call = bridged(stack)
    stack.sql("update patchbay.call_legs set began_at = began_at - interval '5 hours' where call_id = %s", call)
    hurry(stack, call, offered_at="offered_at - interval '5 hours'", routed_at="routed_at - interval '5 hours'")
    stack.wait_story(sid, "ended_by_api")
    row = stack.wait_row(sid, "ended")
    assert (row["ended_reason"], row["ended_owner"]) == ("max_duration", "us")
    assert len(watch.of("call.ended", call)) == 1


def test_a_call_that_goes_on_is_left(stack):
    sid, call = bridged(stack)
    before = metric(stack, 'pat_router_reconciled_total{what="call",outcome="left"}')
    hurry(stack, call)
    wait(lambda: metric(stack, 'pat_router_reconciled_total{what="call",outcome="left"}') > before, 20, "it was looked at")
    assert stack.wait_row(sid)["state"] != "ended" and stack.look(sid)["state"] == "bridged"
    stack.hang_up(sid)
    stack.wait_row(sid, "ended")


def test_a_caller_the_stack_has_lost_is_let_go_at_the_second_look(stack, watch):
    """The router believes LiveKit only when it says so twice: its lists lag."""
    form_of = {"phones": 0, "agents": 0}

    async def state(m):
        await m.respond(json.dumps({"result": form_of}).encode())

    sub = asyncio.run_coroutine_threadsafe(watch.connection.subscribe("pat.rpc.v1.agent.call_state", cb=state), watch.loop).result(10)
    with Static(STATIC.format("http://127.0.0.1:1").replace("Record", "Pause")) as hold:
        hold.document = '<?xml version="1.0"?><Response><Pause length="60"/></Response>'
        stack.control("signalwire", voice_url=hold.base + "/hold")
        sid = stack.place_call(LEO.number)
        wait(lambda: stack.look(sid)["state"] == "playing", 20, "the carrier has the call")
        made = Callbacks(stack)
        d = made.post(VOICE, made.form(LEO.number) | {"CallSid": sid}).dial()
        stack.wait_row(sid)
        hurry(stack, d.call)
        wait(lambda: stack.row("select metadata ->> 'stack_gone' as n from patchbay.calls where id = %s", d.call)["n"] == "1",
             20, "one look found nobody")
        assert stack.look(sid)["state"] == "playing"
        hurry(stack, d.call)
        row = stack.wait_row(sid, "ended")
        assert (row["ended_reason"], row["ended_owner"]) == ("stack_lost", "provider")
        stack.wait_story(sid, "ended_by_api")
    asyncio.run_coroutine_threadsafe(sub.unsubscribe(), watch.loop).result(10)


def test_a_leg_of_a_call_that_is_over_is_hung_up(stack):
    sid, call = bridged(stack)
    past = (datetime.now(UTC) - timedelta(minutes=9)).isoformat()
    stack.sql("select patchbay.put_call(%s)", json.dumps({"id": call, "state": "ended", "ended_at": past,
                                                         "ended_reason": "idle", "ended_owner": "us"}))
    stack.wait_story(sid, "ended_by_api")
    assert leg(stack, sid)["state"] == "ended"


def test_a_leg_nobody_knows_is_left_alone(stack):
    """Another program's in the same account, or a caller the static document serves."""
    with Static('<?xml version="1.0"?><Response><Pause length="60"/></Response>') as hold:
        stack.control("signalwire", voice_url=hold.base + "/other")
        sid = stack.place_call(LEO.number)
        wait(lambda: stack.look(sid)["state"] == "playing", 20, "it plays")
        due = lambda: stack.row("select next_at from patchbay.chores where name = 'router.legs'")["next_at"]  # noqa: E731
        for _ in range(2):  # two whole rounds
            was = due()
            wait(lambda was=was: due() > was, 20, "the legs were gone through")
        assert stack.look(sid)["state"] == "playing"
        stack.hang_up(sid)


# ---------------------------------------------------------------------- messages


class Static:
    """What stands in for the document hosted at the carrier."""

    def __init__(self, document: str):
        outer = self
        self.document = document

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                data = outer.document.format(outer.base).encode()
                if self.path.endswith("/done"):
                    data = b'<?xml version="1.0"?><Response><Hangup/></Response>'
                self.send_response(200)
                self.send_header("Content-Type", "text/xml")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def stored(stack, call: str) -> dict:
    return wait(lambda: stack.row("select * from patchbay.recordings where call_id = %s and state = 'stored'", call), 60,
                "the file is ours")


def to_voicemail(stack) -> str:
    """Nobody is at any stack: the carrier takes a message."""
    stack.control("signalwire", sip_hosts={})
    return stack.place_call(RITA.number)


def test_a_message_is_brought_into_our_store(stack, watch):
    stack.control("signalwire", media_fails=1)
    sid = to_voicemail(stack)
    call = call_of(stack, sid)
    row = stored(stack, call)
    assert row["attempts"] >= 2 and row["bytes"] > 40000 and row["object"] == f"{RITA.id}/{call}/{row['name']}.wav"
    put = [e for e in stack.double_log("storage", "put") if row["object"] in json.dumps(e)]
    assert len(put) == 1
    told = wait(lambda: [e["data"] for e in watch.of("call.voicemail", call) if e["data"].get("object")], 20, "it is told")
    assert len(told) == 1 and told[0]["object"] == row["object"] and told[0]["recording_url"] == row["url"]
    assert f"m-{told[0]['message_id']}" == row["name"]
    message = wait(lambda: (m := stack.row("select * from patchbay.voicemails where call_id = %s", call))
                   and m["transcript"] and m["recording_url"] and m, 20, "sound and words are in one row")
    assert message["recording_url"] == row["url"] and "garden fence" in message["transcript"] and message["user_id"] == RITA.id
    record = wait(lambda: (r := stack.row("select * from public.call_records where id = %s", call))
                  and r["recording_url"] and r["transcript"] and r, 30, "the inbox has them")
    assert record["recording_url"] == row["url"] and record["disposition"] == "voicemail"


def test_a_message_whose_callback_was_lost_is_found(stack, watch):
    stack.control("signalwire", mute="recording,status")
    sid = to_voicemail(stack)
    call = call_of(stack, sid)
    stack.wait_story(sid, "recorded")
    assert stored(stack, call)["object"]
    row = stack.wait_row(sid, "ended")
    assert (row["outcome"], row["ended_reason"]) == ("voicemail", "voicemail")
    assert len(watch.of("call.ended", call)) == 1


def test_a_message_taken_while_we_were_down_becomes_a_call(stack, watch):
    for d in ("router", "router-2"):
        stack.daemons[d].kill()
    with Static(STATIC) as hosted:
        stack.control("signalwire", voice_url=hosted.base + "/static", mute="status")
        sid = stack.place_call(LEO.number)
        stack.wait_story(sid, "ended")
    for d in ("router", "router-2"):
        stack.daemons[d].start()
    row = stack.wait_row(sid, "ended", 60)
    assert (row["outcome"], row["from_number"], row["to_number"]) == ("voicemail", CALLER, LEO.number)
    call = str(row["id"])
    assert row["user_id"] == LEO.id and stored(stack, call)["object"].startswith(f"{LEO.id}/{call}/")
    for n, name in ((1, "call.offered"), (1, "call.ended"), (2, "call.voicemail")):
        wait(lambda name=name, n=n: len(watch.of(name, call)) >= n, 20, name)
    due = lambda: stack.row("select next_at from patchbay.chores where name = 'router.messages'")["next_at"]  # noqa: E731
    was = due()
    wait(lambda: due() > was, 20, "the list was gone through again")
    assert len(stack.sql("select 1 from patchbay.calls where carrier_call_id = %s", sid)) == 1
    ids = {}
    for e in watch.events:
        if e["subject"] == call:
            ids.setdefault(e["type"], set()).add(e["id"])
    assert {k: len(v) for k, v in ids.items() if ".call." in k} == {
        "pat.call.v1.offered": 1, "pat.call.v1.voicemail": 2, "pat.call.v1.ended": 1}


# ---------------------------------------------------------------------- the carrier's API, by its vendor's package


def twilio_client(stack) -> twilio.rest.Client:
    c = twilio.rest.Client(stack.project, stack.carrier_token)
    c.api.base_url = stack.double("signalwire") + ("" if stack.carrier == "twilio" else "/api/laml")
    return c


def test_twilios_client_reads_the_double_as_the_router_does(stack):
    sid, call = bridged(stack)
    client = twilio_client(stack)
    assert sid in [c.sid for c in client.calls.list(status="in-progress")]
    assert client.calls(sid).fetch().status == "in-progress"
    stack.hang_up(sid)
    stack.wait_row(sid, "ended")
    assert sid not in [c.sid for c in client.calls.list(status="in-progress")]
    theirs = client.calls(sid).fetch()
    assert theirs.status == "completed" and theirs.end_time >= theirs.start_time
    assert all(r.duration == "3" and r.call_sid for r in client.recordings.list(limit=2))
