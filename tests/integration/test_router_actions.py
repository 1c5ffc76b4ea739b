"""What the router does with a carrier's leg when it is asked: transfers, voicemail, hang-up, and who may ask.

The carrier is the SignalWire double: its REST API, its legs, the phones of other people. The agent's side is played by
this file: it asks by RPC, as docs/rpc.md says, and holds the lease in KV. Every event is checked against docs/events.
"""

import asyncio
import base64
import json
import os
import time
import uuid

import pytest

from harness import events
from harness.carrier import Carrier, Phone
from harness.process import http_status
from harness.sip_leg import wait
from harness.stack import CALLER, LEO, LIVEKIT_SIP_HOST, RITA, Stack, http_json
from harness.watch import Watch

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")
SALES = "+15550142000"


def uuid7() -> str:
    n = int(time.time() * 1000) << 80 | 7 << 76 | int.from_bytes(os.urandom(9), "big") & ((1 << 76) - 1)
    n = n & ~(3 << 62) | 2 << 62
    return str(uuid.UUID(int=n))


@pytest.fixture(scope="module")
def stack():
    with Stack(BUILD, with_livekit=False, daemons={"router": {"PAT_ROUTER_TRANSFERS_PER_MIN": "60"}}) as s:
        yield s
        assert all(d.process.alive() for d in s.daemons.values())


@pytest.fixture(scope="module")
def watch(stack):
    with Watch(stack.nats.url) as w:
        yield w
        for e in w.events:
            events.validate({k: v for k, v in e.items() if k != "_subject"}, e["_subject"])


@pytest.fixture(scope="module")
def agents(stack, watch):
    """Agents that prepare whatever they are told to."""
    async def prepare(m):
        await m.respond(b'{"result": {"room": "r"}}')

    asyncio.run_coroutine_threadsafe(watch.connection.subscribe("pat.rpc.v1.agent.prepare", cb=prepare), watch.loop).result(10)


class Line:
    """A call on the carrier's double, from the caller's and from the agent's side."""

    def __init__(self, stack: Stack, watch: Watch, user, sid: str):
        self.stack, self.watch, self.user, self.sid = stack, watch, user, sid
        stack.wait_story(sid, "bridged")
        self.call = str(stack.wait_row(sid)["id"])

    def ask(self, method: str, **more) -> dict:
        params = {"call_id": self.call, "user_id": str(self.user.id), "epoch": 1} | more
        return rpc(self.watch, method, params)

    def transfer(self, to: str = SALES, mode: str = "cold", **more) -> dict:
        return self.ask("transfer", **({"transfer_id": uuid7(), "mode": mode, "to": to, "label": "sales", "timeout_s": 10,
                                        "briefing": None} | more))

    def outcomes(self) -> list[str]:
        return [e["data"]["outcome"] for e in self.watch.of("call.transfer", self.call)]

    def wait_outcome(self, outcome: str) -> dict:
        return wait(lambda: [e["data"] for e in self.watch.of("call.transfer", self.call) if e["data"]["outcome"] == outcome],
                    20, f"the transfer is {outcome}; it is {self.outcomes()}")[0]

    def phone(self, to: str = SALES) -> dict:
        """The last leg of the other phone."""
        return wait(lambda: [c for c in legs(self.stack) if c["to"] == to and c["direction"] != "inbound"], 20,
                    "the other phone rings")[0]

    def count(self, what: str) -> int:
        return len(self.stack.story(self.sid, what))

    def wait_dials(self, n: int) -> dict:
        return wait(lambda: len(s := self.stack.story(self.sid, "dial")) >= n and s[n - 1], 20, f"dial {n}")

    def ended(self) -> dict:
        """Retell's webhook may be the first to say that it has; the outcome is the router's word."""
        return wait(lambda: (r := self.stack.wait_row(self.sid, "ended"))["outcome"] and r, 20, "the outcome is known")


def rpc(watch: Watch, method: str, params: dict) -> dict:
    async def ask():
        return json.loads((await watch.connection.request(f"pat.rpc.v1.router.{method}", json.dumps(params).encode(), timeout=5)).data)

    return asyncio.run_coroutine_threadsafe(ask(), watch.loop).result(10)


def legs(stack) -> list[dict]:
    """Newest first."""
    return http_json("GET", stack.double("signalwire") + "/calls")["calls"]


@pytest.fixture
def phones(stack):
    """Who answers how; and nobody is left on the line."""
    def script(**people):
        stack.control("signalwire", phones=people)

    yield lambda **person: script(**{SALES: person})
    stack.control("signalwire", phones={}, fail=None)


@pytest.fixture
def long_calls(stack):
    stack.control("retell", call_ms=60000)
    yield
    stack.control("retell", call_ms=1500)


@pytest.fixture
def rita(stack, watch, agents, long_calls, phones):
    """Rita's caller speaks with her agent at Retell."""
    line = Line(stack, watch, RITA, stack.place_call(RITA.number))
    yield line
    stack.hang_up(line.sid)
    line.ended()


@pytest.fixture
def leo(stack, watch, agents, phones):
    """Leo's caller is in the room with his agent."""
    with Phone() as room:
        hosts = {"sip.retellai.example": stack.double("retell")}
        stack.control("signalwire", sip_hosts=hosts | {LIVEKIT_SIP_HOST: room.base})
        line = Line(stack, watch, LEO, stack.place_call(LEO.number))
        line.room = room
        yield line
        stack.hang_up(line.sid)
        line.ended()
    stack.control("signalwire", sip_hosts=hosts)


def set_lease(watch, call: str, value: str) -> None:
    async def put():
        js = watch.connection.jetstream()
        await (await js.key_value("pat_calls")).put(f"{call}.served", value.encode())

    asyncio.run_coroutine_threadsafe(put(), watch.loop).result(10)


# ---------------------------------------------------------------------- cold


def test_a_cold_transfer_is_the_callers_leg_sent_elsewhere(stack, rita, phones):
    phones(status=200)
    id_ = uuid7()
    begun = time.monotonic()
    assert rita.transfer(transfer_id=id_)["result"] == {"transfer_id": id_, "state": "started"}
    assert time.monotonic() - begun < 5
    rita.wait_outcome("bridged")
    assert rita.outcomes() == ["started", "ringing", "answered", "bridged"]
    told = rita.wait_outcome("started")
    assert (told["transfer_id"], told["attempt"], told["label"], told["mode"]) == (id_, 1, "sales", "cold")
    assert told["to"] == "+*******2000"
    phone = rita.phone()
    assert phone["from"] == RITA.number  # a number of ours, whatever the caller's
    assert rita.wait_outcome("answered")["carrier_leg_id"] == phone["sid"]
    # The Dial that was left told its end; neither the call nor the stack has ended or failed.
    wait(lambda: stack.daemons["router"].logged("call.leg_moved", call=rita.call), 20, "the left leg is known as moved")
    row = wait(lambda: (r := stack.wait_row(rita.sid))["metadata"].get("moves") and r, 20, "the move is in the call's row")
    assert row["state"] != "ended" and row["metadata"]["moves"] == 1
    assert not rita.watch.of("call.failed_over", rita.call) and not rita.watch.of("call.ended", rita.call)
    stack.hang_up(phone["sid"])
    row = rita.ended()
    assert (row["outcome"], row["ended_reason"]) == ("transferred", "transferred")
    assert rita.watch.wait_for("call.ended", rita.call)["data"]["reason"] == "transferred"


def test_the_caller_hangs_up_after_a_transfer(stack, rita, phones):
    phones(status=200)
    rita.transfer()
    rita.wait_outcome("bridged")
    wait(lambda: rita.phone()["state"] == "bridged", 20, "they speak")
    stack.hang_up(rita.sid)
    row = rita.ended()
    assert (row["outcome"], row["ended_owner"]) == ("transferred", "caller")
    assert rita.phone()["state"] == "ended"


@pytest.mark.parametrize("status,outcome", [(486, "busy"), (408, "no_answer"), (603, "failed")])
def test_nobody_takes_it_and_retell_goes_on_with_the_same_call(stack, rita, phones, status, outcome):
    phones(status=status)
    first = stack.dialled(rita.sid)
    rita.transfer(timeout_s=5)
    rita.wait_outcome("returned")
    assert [o for o in rita.outcomes() if o != "ringing"] == ["started", outcome, "returned"]
    assert rita.wait_outcome("returned")["reason"] == outcome
    again = rita.wait_dials(3)["uri"].partition(":")[2].partition("@")[0]
    registered = {e["call_id"]: e["request"] for e in stack.double_log("retell", "registered")}
    assert again != first and registered[again]["metadata"]["call_id"] == rita.call
    wait(lambda: stack.row("select retell_call_id from patchbay.calls where id = %s", rita.call)["retell_call_id"] == again,
         20, "the row names the new one")
    wait(lambda: stack.look(rita.sid)["state"] == "bridged", 20, "the caller is back")
    assert stack.wait_row(rita.sid)["state"] != "ended"
    # And what the agent says at the end is the end.
    stack.hang_up(rita.sid)
    assert rita.ended()["outcome"] != "transferred"


def test_on_livekit_the_caller_comes_back_into_the_same_room(stack, leo, phones):
    phones(status=486)
    leo.transfer()
    leo.wait_outcome("returned")
    wait(lambda: len(leo.room.invites) == 2, 20, "the room is dialled again")
    first, second = leo.room.invites
    assert second["uri"].partition("@")[0] == first["uri"].partition("@")[0] == f"sip:{leo.call}"
    assert second["headers"]["X-Pat-Returned"] == "busy" and second["headers"]["X-Pat-Sig"] == first["headers"]["X-Pat-Sig"]


def test_a_stack_that_is_gone_meanwhile_is_not_the_end(stack, leo, phones):
    """Back from a transfer, and the agents' side does not answer: the ladder of any call."""
    phones(status=486)
    leo.room.status = 503
    leo.transfer()
    leo.wait_outcome("busy")
    stack.wait_story(leo.sid, "recorded")
    assert leo.ended()["outcome"] == "voicemail"


def test_the_caller_gives_up_while_the_other_phone_rings(stack, rita, phones):
    phones(status=200, after_ms=9000)
    rita.transfer()
    rita.wait_outcome("ringing")
    stack.hang_up(rita.sid)
    row = rita.ended()
    assert row["ended_owner"] == "caller" and row["outcome"] != "transferred"
    assert rita.wait_outcome("failed")["reason"] == "caller_gave_up"
    assert rita.phone()["state"] == "ended"


# ---------------------------------------------------------------------- warm


def test_a_warm_transfer_on_retell_is_whispered_and_taken_by_a_key(stack, rita, phones):
    phones(status=200, presses="1")
    rita.transfer(mode="warm", briefing="Erika asks about her invoice, she is <angry> & waits.")
    rita.wait_outcome("bridged")
    assert rita.outcomes() == ["started", "ringing", "answered", "accepted", "bridged"]
    asked = wait(lambda: [e for e in rita.phone()["story"] if e["what"] == "asked"], 20, "the briefing was said")[0]
    assert asked["text"].startswith("Erika asks about her invoice, she is <angry> & waits.")
    stack.hang_up(rita.phone()["sid"])
    assert rita.ended()["outcome"] == "transferred"


@pytest.mark.parametrize("presses", ["", "2"])
def test_who_does_not_press_1_does_not_get_the_caller(stack, rita, phones, presses):
    phones(status=200, presses=presses)
    rita.transfer(mode="warm", briefing="Erika asks about her invoice.")
    rita.wait_outcome("returned")
    assert rita.outcomes() == ["started", "ringing", "answered", "refused", "returned"]
    rita.wait_dials(3)


def consulted(leo, phones) -> str:
    """Somebody has taken the other phone, and is in the transfer's own room."""
    phones(status=200)
    id_ = uuid7()
    assert "result" in leo.transfer(mode="warm", transfer_id=id_, briefing="not for the carrier")
    leo.wait_outcome("answered")
    wait(lambda: len(leo.room.invites) == 2, 20, "the other phone is dialled into a room")
    return id_


def joined(leo, phones) -> str:
    """And wants the caller: both are in the call's room, as its agent says."""
    id_ = consulted(leo, phones)
    assert leo.ask("transfer_update", transfer_id=id_, action="accept")["result"]["state"] == "accepted"
    leo.room.hang_up("d2")  # the agent closes the transfer's room
    wait(lambda: len(leo.room.invites) == 3, 20, "he is dialled into the call's room")
    assert leo.ask("transfer_update", transfer_id=id_, action="joined")["result"]["state"] == "bridged"
    leo.wait_outcome("bridged")
    return id_


def test_a_warm_transfer_on_livekit_asks_the_other_phone_apart_and_then_joins_it(stack, leo, phones):
    id_ = joined(leo, phones)
    caller, human, with_caller = leo.room.invites
    assert human["uri"].partition("@")[0] == f"sip:{id_}"  # a room the caller is not in
    assert with_caller["uri"].partition("@")[0] == caller["uri"].partition("@")[0] == f"sip:{leo.call}"
    for leg, role in (human, "consult"), (with_caller, "joined"):
        assert leg["headers"]["X-Pat-Role"] == role and leg["headers"]["X-Pat-Transfer"] == id_
        assert leg["headers"]["X-Pat-Sig"] == caller["headers"]["X-Pat-Sig"]
        assert leg["from"] == SALES != caller["from"]  # never the caller's twin in the room
    assert human["headers"]["X-Pat-Role-Sig"] != with_caller["headers"]["X-Pat-Role-Sig"]
    assert "X-Pat-Role" not in caller["headers"]
    assert leo.count("redirected") == 0  # the caller stays where he is
    assert leo.outcomes() == ["started", "ringing", "answered", "accepted", "bridged"]
    # The one who took the caller hangs up: nobody is left to speak with.
    stack.hang_up(leo.phone()["sid"])
    leo.room.hang_up()
    assert leo.ended()["outcome"] == "transferred"


def test_when_the_caller_hangs_up_the_colleague_is_let_go(stack, leo, phones):
    joined(leo, phones)
    stack.hang_up(leo.sid)
    wait(lambda: leo.phone()["state"] == "ended", 20, "the other phone is let go")
    assert leo.ended()["outcome"] == "transferred"


def test_a_caller_who_hangs_up_during_the_briefing_leaves_no_phone_behind(stack, leo, phones):
    consulted(leo, phones)
    stack.hang_up(leo.sid)
    wait(lambda: leo.phone()["state"] == "ended", 20, "the other phone is let go")
    leo.wait_outcome("failed")
    assert leo.outcomes() == ["started", "ringing", "answered", "failed"]


def test_nobody_joins_who_has_not_accepted(stack, leo, phones):
    id_ = consulted(leo, phones)
    assert leo.ask("transfer_update", transfer_id=id_, action="joined")["error"]["message"] == "no_leg"
    leo.room.hang_up("d2")  # out of the transfer's room
    wait(lambda: leo.phone()["state"] == "ended", 20, "that is the end")
    leo.wait_outcome("refused")
    assert len(leo.room.invites) == 2 and stack.look(leo.sid)["state"] == "bridged"


def test_who_is_lost_on_the_way_to_the_caller_does_not_end_the_call(stack, leo, phones):
    id_ = consulted(leo, phones)
    assert leo.ask("transfer_update", transfer_id=id_, action="accept")["result"]["state"] == "accepted"
    leo.room.status = 503
    leo.room.hang_up("d2")
    leo.wait_outcome("failed")
    assert leo.outcomes() == ["started", "ringing", "answered", "accepted", "failed"]
    assert stack.look(leo.sid)["state"] == "bridged"


@pytest.mark.parametrize("action,outcome", [("refuse", "refused"), ("cancel", "failed")])
def test_the_agent_lets_the_other_phone_go(stack, leo, phones, action, outcome):
    phones(status=200)
    id_ = uuid7()
    leo.transfer(mode="warm", transfer_id=id_)
    leo.wait_outcome("answered")
    assert leo.ask("transfer_update", transfer_id=id_, action=action)["result"]["state"] == "ended"
    leo.wait_outcome(outcome)
    wait(lambda: leo.phone()["state"] == "ended", 20, "the other phone is let go")
    assert leo.outcomes() == ["started", "ringing", "answered", outcome]
    assert leo.ask("transfer_update", transfer_id=id_, action="accept")["error"]["message"] == "no_leg"
    assert stack.look(leo.sid)["state"] == "bridged"  # the caller has noticed nothing


@pytest.mark.parametrize("status,outcome", [(486, "busy"), (408, "no_answer"), (404, "failed")])
def test_the_other_phone_of_a_warm_transfer_is_not_taken(stack, leo, phones, status, outcome):
    phones(status=status)
    leo.transfer(mode="warm", timeout_s=5)
    leo.wait_outcome(outcome)
    assert stack.look(leo.sid)["state"] == "bridged"
    phones(status=200)
    assert leo.transfer(mode="warm")["result"]["state"] == "started"  # and another may be tried
    leo.wait_outcome("answered")
    assert leo.wait_outcome("answered")["attempt"] == 2


def test_somebody_who_hangs_up_during_the_briefing_has_refused(stack, leo, phones):
    phones(status=200)
    leo.transfer(mode="warm")
    leo.wait_outcome("answered")
    wait(lambda: leo.phone()["state"] == "bridged", 20, "he is in the room")
    stack.hang_up(leo.phone()["sid"])
    leo.wait_outcome("refused")
    assert stack.look(leo.sid)["state"] == "bridged"


# ---------------------------------------------------------------------- voicemail, hang-up, keys


def test_the_agent_sends_the_caller_to_voicemail(stack, rita):
    assert rita.ask("voicemail")["result"] == {"state": "recording"}
    stack.wait_story(rita.sid, "recorded")
    row = rita.ended()
    assert row["outcome"] == "voicemail"
    said = wait(lambda: [e["data"] for e in rita.watch.of("call.voicemail", rita.call) if e["data"].get("transcript")], 20,
                "the message was written down")[0]
    assert "garden fence" in said["transcript"] and said["recording_url"].endswith(".wav")
    assert len(rita.watch.of("call.voicemail", rita.call)) == 2
    assert not rita.watch.of("call.failed_over", rita.call)


def test_the_agent_hangs_up(stack, rita):
    assert rita.ask("hangup", reason="idle")["result"] == {"state": "ended"}
    stack.wait_story(rita.sid, "ended_by_api")
    row = rita.ended()
    assert row["ended_owner"] == "us" and row["outcome"] == "answered"
    assert rita.watch.wait_for("call.ended", rita.call)["data"]["reason"] == "idle"
    for method in ("hangup", "voicemail"):
        assert rita.ask(method)["error"]["message"] == "no_leg"
    assert rita.transfer()["error"]["message"] == "no_leg"


def test_keys_cannot_be_sent_on_a_live_leg(rita):
    assert rita.ask("dtmf", digits="12#")["error"]["message"] == "not_supported"
    for digits in ("", "12x3", "1" * 33):
        error = rita.ask("dtmf", digits=digits)["error"]
        assert (error["code"], error["field"]) == ("invalid", "digits")


# ---------------------------------------------------------------------- who may ask what


def test_a_stale_epoch_is_refused(stack, watch, rita, phones):
    phones(status=200)
    set_lease(watch, rita.call, json.dumps({"agent": "a2", "epoch": 3}))
    for method, more in (("transfer", {"transfer_id": uuid7(), "mode": "cold", "to": SALES}), ("voicemail", {}), ("hangup", {})):
        error = rita.ask(method, epoch=2, **more)["error"]
        assert (error["code"], error["message"], error["field"]) == ("stale", "stale_epoch", "epoch")
    assert rita.count("redirected") == 0
    assert "result" in rita.transfer(epoch=3)
    rita.wait_outcome("bridged")


def test_without_nats_kv_the_highest_epoch_seen_counts(stack, watch, rita, phones):
    phones(status=200)
    assert rita.ask("dtmf", digits="1", epoch=5)["error"]["message"] == "not_supported"
    assert rita.ask("voicemail", epoch=4)["error"]["message"] == "stale_epoch"


@pytest.mark.parametrize("to,reason", [(CALLER, "loop"), (RITA.number, "loop"), (LEO.number, "own_number"),
                                       ("+445550142000", "not_allowed"), ("+19005550142", "not_allowed")])
def test_where_a_call_may_not_go(stack, rita, to, reason):
    error = rita.transfer(to=to)["error"]
    assert (error["message"], error["field"], error["retryable"]) == (reason, "to", False)
    assert rita.count("redirected") == 0 and not rita.outcomes()
    assert to not in stack.daemons["router"].process.log.read_text()


@pytest.mark.parametrize("field,value", [("call_id", "x"), ("user_id", None), ("epoch", None), ("epoch", -1), ("to", "sales"),
                                         ("transfer_id", "7"), ("mode", "hot"), ("timeout_s", 1), ("label", "x" * 65)])
def test_what_is_wrong_is_named(rita, field, value):
    error = rita.transfer(**{field: value})["error"]
    assert (error["code"], error["field"]) == ("invalid", field)


def test_somebody_elses_call_is_none(rita):
    assert rita.ask("hangup", user_id=str(LEO.id))["error"]["message"] == "no_leg"
    assert rita.ask("hangup", call_id=uuid7())["error"]["message"] == "no_leg"


def test_one_transfer_at_a_time_and_the_same_one_only_once(stack, rita, phones):
    phones(status=200, after_ms=3000)
    id_ = uuid7()
    assert rita.transfer(transfer_id=id_)["result"]["state"] == "started"
    rita.wait_outcome("ringing")
    assert rita.transfer(transfer_id=id_)["result"]["state"] == "started"
    assert rita.transfer()["error"]["message"] == "in_progress"
    rita.wait_outcome("bridged")
    assert rita.count("redirected") == 1
    assert rita.transfer(transfer_id=id_)["result"]["state"] == "started"
    assert rita.count("redirected") == 1


def test_two_at_once_are_one(stack, watch, rita, phones):
    phones(status=200)
    base = {"call_id": rita.call, "user_id": str(RITA.id), "epoch": 1, "mode": "cold", "to": SALES}

    async def both():
        return await asyncio.gather(*(watch.connection.request(
            "pat.rpc.v1.router.transfer", json.dumps(base | {"transfer_id": uuid7()}).encode(), timeout=5) for _ in range(6)))

    answers = [json.loads(m.data) for m in asyncio.run_coroutine_threadsafe(both(), watch.loop).result(15)]
    assert sum("result" in a for a in answers) == 1, answers
    assert {a["error"]["message"] for a in answers if "error" in a} == {"in_progress"}
    rita.wait_outcome("bridged")
    assert rita.count("redirected") == 1


def test_a_call_is_not_transferred_for_ever(stack, rita, phones):
    phones(status=486)
    for n in range(5):
        assert "result" in rita.transfer(), n
        wait(lambda n=n: rita.outcomes().count("returned") == n + 1, 20, "the caller is back")
        wait(lambda: stack.look(rita.sid)["state"] == "bridged", 20, "and connected")
    assert rita.transfer()["error"]["message"] == "loop"


# ---------------------------------------------------------------------- the carrier misbehaves


def test_a_busy_carrier_is_asked_once_more(stack, rita, phones):
    phones(status=200)
    stack.control("signalwire", fail={"status": 503, "times": 1, "path": "/Calls"})
    assert rita.transfer()["result"]["state"] == "started"
    rita.wait_outcome("bridged")


def test_a_carrier_that_refuses(stack, rita, phones):
    phones(status=200)
    id_ = uuid7()
    stack.control("signalwire", fail={"status": 500, "times": 1, "path": "/Calls"})
    assert rita.transfer(transfer_id=id_)["error"]["message"] == "carrier"
    assert rita.wait_outcome("failed")["reason"] == "upstream"
    assert rita.transfer(transfer_id=id_)["error"]["message"] == "over"
    assert stack.look(rita.sid)["state"] == "bridged"
    assert rita.transfer()["result"]["state"] == "started"
    rita.wait_outcome("bridged")


def test_wrong_credentials_are_not_the_callers_trouble(stack, rita):
    stack.control("signalwire", token="PT_rotated")
    try:
        assert rita.ask("voicemail")["error"]["message"] == "not_configured"
    finally:
        stack.control("signalwire", token=stack.carrier_token)
    assert rita.ask("voicemail")["result"]["state"] == "recording"
    stack.wait_story(rita.sid, "recorded")  # a call that ends before Retell has told its beginning has no outcome


def test_addresses_of_a_transfer_are_of_that_call_only(stack, rita, phones):
    phones(status=200)
    rita.transfer()
    url = wait(lambda: stack.story(rita.sid, "redirected"), 20, "it is redirected")[0]["url"]
    assert SALES not in url and base64.urlsafe_b64encode(SALES.encode()).decode()[:8] not in url.partition("?")[0]
    carrier = Carrier(stack.daemons["router"].url, stack.signing_key)
    form = carrier.form(RITA.number)
    good = carrier.post(url, form)
    assert good.verbs() == ["Dial"]
    assert carrier.post(url + "A", form).status == 403
    assert carrier.post(url.partition("&x=")[0], form).field() == "x"
    assert carrier.post(url, form, key="PSK_other").status == 403
    rita.wait_outcome("bridged")


# ---------------------------------------------------------------------- replicas, restarts, absences


def test_any_router_acts_on_any_call_and_goes_on_after_a_restart(stack, watch, rita, phones):
    """The one that took the call is killed; the next one has only KV, Postgres and the addresses."""
    phones(status=408)
    router = stack.daemons["router"]
    assert rita.transfer(timeout_s=6)["result"]["state"] == "started"
    rita.wait_outcome("ringing")
    router.kill()
    router.start()
    rita.wait_outcome("returned")
    wait(lambda: stack.look(rita.sid)["state"] == "bridged", 20, "the caller is back")
    phones(status=200)
    assert rita.transfer()["result"]["state"] == "started"
    rita.wait_outcome("bridged")
    assert rita.wait_outcome("bridged")["attempt"] == 2


def test_postgres_is_away(stack, rita, phones):
    phones(status=200)
    stack.pg.stop(keep=True)
    try:
        assert rita.transfer()["result"]["state"] == "started"
        rita.wait_outcome("bridged")
    finally:
        stack.pg.start()
    wait(lambda: stack.wait_row(rita.sid)["outcome"] == "transferred", 30, "it is stored when Postgres is back")


def test_nats_goes_away_in_the_middle(stack, leo, phones):
    """The carrier's requests find all they need in their addresses and in the router's memory."""
    phones(status=486, after_ms=2500)
    assert leo.transfer()["result"]["state"] == "started"
    leo.wait_outcome("ringing")
    stack.nats.stop()
    try:
        wait(lambda: len(leo.room.invites) == 2, 30, "the caller is back in the room")
        assert leo.room.invites[1]["headers"]["X-Pat-Returned"] == "busy"
        stack.hang_up(leo.sid)
        leo.room.hang_up()
        assert leo.ended()["ended_reason"] == "caller_hangup"
    finally:
        stack.nats.start()
    router = stack.daemons["router"]
    wait(lambda: http_status(f"{router.admin_url}/readyz") == 200, 30, "the router has NATS again")


def test_a_router_without_a_token_says_so(stack, watch):
    with Stack(BUILD, with_livekit=False, daemons={"router": {"PAT_CARRIER_TOKEN": ""}}) as s, Watch(s.nats.url) as w:
        params = {"call_id": uuid7(), "user_id": str(RITA.id), "epoch": 1}
        error = rpc(w, "hangup", params)["error"]
        assert (error["code"], error["message"]) == ("unavailable", "not_configured")
        sid = s.place_call(RITA.number)
        assert Line(s, w, RITA, sid).ended()["outcome"] == "answered"


# ---------------------------------------------------------------------- another carrier


def test_twilio_is_a_matter_of_settings(agents):
    """The same forms under Twilio's address, signed with the account's token."""
    with Stack(BUILD, with_livekit=False, daemons={"router": {"PAT_CARRIER": "twilio"}}) as s, Watch(s.nats.url) as w:
        s.control("retell", call_ms=60000)
        s.control("signalwire", phones={SALES: {"status": 200}})
        line = Line(s, w, RITA, s.place_call(RITA.number))
        assert line.transfer()["result"]["state"] == "started"
        line.wait_outcome("bridged")
        assert w.wait_for("call.offered", line.call)["data"]["carrier"] == "twilio"
        s.hang_up(line.phone()["sid"])
        assert line.ended()["carrier"] == "twilio"


# ---------------------------------------------------------------------- SWML


@pytest.fixture
def swml(stack, watch, agents, phones):
    """The same, on a number whose handler speaks SWML."""
    stack.control("signalwire", swml=True)
    yield
    stack.control("signalwire", swml=False)


def steps(stack, sid: str, n: int) -> list[str]:
    """Of the n-th document."""
    document = wait(lambda: len(s := stack.story(sid, "answer")) > n and s[n], 20, f"document {n}")["document"]
    return [next(iter(step)) for step in json.loads(document)["sections"]["main"]]


def test_a_swml_call_is_served_to_its_end(stack, watch, swml):
    stack.control("retell", call_ms=300)
    sid = stack.place_call(RITA.number)
    stack.wait_story(sid, "ended")
    stack.control("retell", call_ms=1500)
    row = wait(lambda: (r := stack.wait_row(sid, "ended"))["outcome"] and r, 20, "the outcome is known")
    assert row["outcome"] == "answered"
    assert steps(stack, sid, 0) == ["connect", "transfer"] and steps(stack, sid, 1) == ["hangup"]
    assert len(watch.of("call.ended", str(row["id"]))) == 1


def test_a_swml_callers_hang_up_is_told_by_the_leg(stack, swml, leo):
    """Nothing asks for a next document then: without the state of the dialled leg the call would never end."""
    stack.control("signalwire", status_url="")
    try:
        stack.hang_up(leo.sid)
        assert leo.ended()["ended_reason"] == "completed"
        assert len(stack.story(leo.sid, "answer")) == 1
    finally:
        stack.control("signalwire", status_url=f"{stack.daemons['router'].url}/v1/signalwire/status")


def test_a_swml_caller_who_gives_up_is_told_too(stack, watch, swml):
    stack.control("retell", answer_ms=10000)
    stack.control("signalwire", status_url="")
    try:
        sid = stack.place_call(RITA.number)
        stack.wait_story(sid, "dial")
        stack.hang_up(sid)
        assert stack.wait_row(sid, "ended")["ended_reason"] == "caller_gave_up"
    finally:
        stack.control("retell", answer_ms=0)
        stack.control("signalwire", status_url=f"{stack.daemons['router'].url}/v1/signalwire/status")


def test_a_swml_leg_that_fails_takes_a_message(stack, watch, swml, phones):
    stack.control("signalwire", sip_hosts={})
    sid = stack.place_call(RITA.number)
    stack.wait_story(sid, "recorded")
    assert stack.wait_row(sid, "ended")["outcome"] == "voicemail"
    assert steps(stack, sid, 1) == ["answer", "play", "record", "transfer"]
    stack.control("signalwire", sip_hosts={"sip.retellai.example": stack.double("retell")})


def test_a_swml_call_is_transferred_and_ended(stack, swml, rita, phones):
    phones(status=200)
    assert rita.transfer()["result"]["state"] == "started"
    rita.wait_outcome("bridged")
    assert rita.outcomes() == ["started", "ringing", "answered", "bridged"]
    stack.hang_up(rita.phone()["sid"])
    assert rita.ended()["outcome"] == "transferred"


def test_a_swml_call_comes_back(stack, swml, rita, phones):
    phones(status=486)
    rita.transfer()
    rita.wait_outcome("returned")
    assert [o for o in rita.outcomes() if o != "ringing"] == ["started", "busy", "returned"]
    rita.wait_dials(3)
    wait(lambda: stack.look(rita.sid)["state"] == "bridged", 20, "the caller is back")
    assert rita.ask("voicemail")["result"]["state"] == "recording"
    stack.wait_story(rita.sid, "recorded")
    assert rita.ended()["outcome"] == "voicemail"


@pytest.mark.parametrize("presses,end", [("1", "bridged"), ("", "returned")])
def test_a_swml_whisper(stack, swml, rita, phones, presses, end):
    phones(status=200, presses=presses)
    rita.transfer(mode="warm", briefing="Erika asks about her invoice.")
    rita.wait_outcome(end)
    assert ("accepted" in rita.outcomes()) == (presses == "1")


def test_the_agent_hangs_a_swml_call_up(stack, swml, rita):
    assert rita.ask("hangup")["result"]["state"] == "ended"
    assert rita.ended()["ended_owner"] == "us"


# ---------------------------------------------------------------------- the rows, in any order


@pytest.mark.parametrize("order", [("moved", "retell"), ("retell", "moved")])
def test_retells_end_of_a_moved_call_is_none_in_any_order(stack, order):
    """Retell's webhook and the router's note of the move race; the call goes on whoever is first."""
    call, theirs = uuid7(), "call_" + uuid.uuid4().hex
    now = int(time.time() * 1000)
    put = lambda facts: stack.sql("select patchbay.put_call(%s::jsonb)", json.dumps({"id": call, "user_id": str(RITA.id)} | facts))
    told = {"event": "call_ended", "call": {"call_id": theirs, "disconnection_reason": "user_hangup", "start_timestamp": now - 5000,
                                            "end_timestamp": now, "metadata": {"call_id": call, "user_id": str(RITA.id)}}}
    put({"state": "routed", "stack": "retell", "retell_call_id": theirs})
    put({"answered_at": "2026-01-01T00:00:00Z"})
    for what in order:
        if what == "moved":
            put({"metadata": {"moves": 1, "moved_from": theirs}})
        else:
            stack.sql("select patchbay.put_retell(%s::jsonb)", json.dumps(told))
    row = stack.row("select * from patchbay.calls where id = %s", call)
    assert (row["state"], row["ended_at"], row["ended_reason"], row["duration_ms"]) == ("answered", None, None, None)
    put({"state": "ended", "ended_reason": "transferred", "ended_owner": "us", "outcome": "transferred"})
    put({"outcome": "answered"})
    row = stack.row("select * from patchbay.calls where id = %s", call)
    assert (row["state"], row["ended_reason"], row["outcome"]) == ("ended", "transferred", "transferred")
