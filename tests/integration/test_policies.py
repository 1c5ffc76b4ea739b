"""What users want done with calls before any agent hears them: real routers, Postgres and NATS, cXML and SWML.

Every policy is changed while the routers run, as the API or the product's pages do it, and the next call obeys it.
"""

import asyncio
import json
import os
import subprocess
import uuid
from datetime import datetime, timedelta, timezone

import nats
import pytest

from harness import events
from harness.carrier import CALLER, Carrier
from harness.sip_leg import wait
from harness.stack import LEO, LIVEKIT_SIP_HOST, RETELL_SIP_HOST, RITA, Daemon, Stack
from harness.watch import Watch

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")
VOICE = "/v1/signalwire/voice"
PHONE, OTHER_PHONE = "+12025550177", "+12025550188"
NEVER = "{}"
ALWAYS = json.dumps({d: [["00:00", "24:00"]] for d in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")})


@pytest.fixture(scope="module")
def stack():
    # One caller is forwarded more often here than he would be.
    with Stack(BUILD, with_livekit=False, daemons={"router": {"PAT_ROUTER_FORWARDS_PER_CALLER": "0"}}) as s:
        yield s


@pytest.fixture(scope="module")
def watch(stack):
    with Watch(stack.nats.url) as w:
        yield w


@pytest.fixture
def carrier(stack, watch):
    return Carrier(stack.daemons["router"].url, stack.signing_key)


def replica(stack, name: str, **env: str) -> Daemon:
    first = stack.daemons["router"]
    more = first.env | {"PAT_ROUTER_PUBLIC_URL": "", "PAT_ROUTER_SNAPSHOT_FILE": "", "PAT_ROUTER_SPOOL_FILE": ""} | env
    d = Daemon(stack, "router", more, "PAT_ROUTER_LISTEN", replica=name)
    d.env["PAT_ROUTER_PUBLIC_URL"] = d.url
    return d.start()


@pytest.fixture
def nobody_calls(stack):
    """Calls of other tests are over, for the router too."""
    router = stack.daemons["router"]
    router.stop()  # what it was told is stored then
    stack.sql("update patchbay.calls set state = 'ended', ended_at = now() where state <> 'ended'")
    stack.sql("delete from patchbay.forwards")
    router.start()


@pytest.fixture
def second(stack, nobody_calls):
    """Another router beside the first, as stern as routers are by default, or sterner."""
    d = replica(stack, "router-2", PAT_ROUTER_CALLER_PER_MIN="3", PAT_ROUTER_FORWARDS_PER_CALLER="3")
    yield d
    d.stop()


def live(router: Daemon) -> int:
    """Calls under way, as this router knows."""
    return int(float(next(line for line in router.metrics().splitlines() if line.startswith("pat_router_calls_live ")).split()[1]))


def rpc(stack, method: str, params: dict) -> dict:
    async def ask():
        nc = await nats.connect(stack.nats.url)
        m = await nc.request(f"pat.rpc.v1.router.{method}", json.dumps(params).encode(), timeout=10)
        await nc.close()
        return json.loads(m.data)

    return asyncio.run(ask())


def explain(stack, number: str = LEO.number, **params) -> dict:
    return rpc(stack, "explain", {"number": number} | params)["result"]


def settle(stack, user=LEO) -> None:
    """Until the router knows what Postgres knows."""
    version = stack.sql("select max(version) from patchbay.config_versions where user_id = %s", user.id)[0][0]
    wait(lambda: explain(stack, user.number)["config_version"] == version, 30, "the config has arrived")


@pytest.fixture
def wish(stack):
    """Sets columns of a user's policies; all is as before afterwards."""
    def set_to(user=LEO, **columns):
        names = ", ".join(columns)
        stack.sql(f"insert into patchbay.user_policies (user_id, {names}) values (%s, {', '.join(['%s'] * len(columns))}) "
                  f"on conflict (user_id) do update set ({names}) = row ({', '.join('excluded.' + c for c in columns)})",
                  user.id, *columns.values())
        settle(stack, user)

    yield set_to
    stack.sql("delete from patchbay.user_policies")
    stack.sql("delete from patchbay.user_budgets")
    stack.sql("delete from public.contacts")
    stack.sql("delete from public.transfer_numbers")
    stack.sql("update public.agent_configs set transfer_unknown_callers = false, vetting_strategy = 'name-and-purpose'")
    settle(stack, LEO)
    settle(stack, RITA)


def contact(stack, number: str = CALLER, user=LEO) -> None:
    stack.sql("insert into public.contacts (user_id, name, phone_number) values (%s, 'Mum', %s)", user.id, number)
    settle(stack, user)


def transfer_number(stack, number: str = PHONE, secret: str | None = None) -> None:
    stack.sql("insert into public.transfer_numbers (user_id, label, phone_number, is_default, transfer_secret) "
              "values (%s, 'office', %s, true, %s)", LEO.id, number, secret)
    settle(stack)


class Answer:
    """What a voice request was answered with, whichever form it came in."""

    def __init__(self, watch, sid: str, what: str, text: str, stack):
        self.what, self.text = what, text
        self.row = wait(lambda: stack.row("select * from patchbay.calls where carrier_call_id = %s and state <> 'offered'", sid),
                        30, "the call is stored")
        self.call = str(self.row["id"])
        self.routed = watch.wait_for("call.routed", self.call)["data"]

    @property
    def reasons(self) -> list[str]:
        return self.routed["reasons"]


def cxml_what(r) -> str:
    verbs = r.verbs()
    if verbs == ["Reject"]:
        return r.xml()[0].attrib["reason"]
    if verbs == ["Dial"]:
        noun, = r.xml()[0]
        return f"dial {noun.text}" if noun.tag == "Number" else "stack"
    return {("Say", "Record", "Redirect"): "voicemail", ("Say", "Hangup"): "say"}[tuple(verbs)]


def swml_what(doc: dict) -> str:
    steps = doc["sections"]["main"]
    names = [next(iter(s)) for s in steps]
    if names == ["hangup"]:
        return {"busy": "busy", "decline": "rejected"}[steps[0]["hangup"]["reason"]]
    if names[0] == "connect":
        to = steps[0]["connect"]["to"]
        return "stack" if to.startswith("sip:") else f"dial {to}"
    return "voicemail" if "record" in names else "say"


def swml_body(to: str, caller: str, passed_on_from: str | None) -> dict:
    headers = [{"name": "Diversion", "value": f"<sip:{passed_on_from}@pbx.example>;reason=unconditional"}] if passed_on_from else []
    return {"call": {"call_id": str(uuid.uuid4()), "node_id": "n", "call_state": "created", "direction": "inbound",
                     "type": "phone", "from": caller, "to": to, "headers": headers}, "vars": {}, "envs": {}, "params": {}}


@pytest.fixture(params=["cxml", "swml"])
def call(request, stack, watch, carrier):
    """Places a call by hand, as either kind of request."""
    def place(to: str = LEO.number, caller: str = CALLER, passed_on_from: str | None = None, at: Carrier = carrier) -> Answer:
        if request.param == "swml":
            body = swml_body(to, caller, passed_on_from)
            r = at.swml(body)
            return Answer(watch, body["call"]["call_id"], swml_what(r.json()), r.text, stack)
        form = at.form(to, caller, **({"ForwardedFrom": passed_on_from} if passed_on_from else {}))
        r = at.post(VOICE, form)
        return Answer(watch, form["CallSid"], cxml_what(r), r.text, stack)

    return place


# ---------------------------------------------------------------------- one policy after the other

TODAY = datetime.now(timezone.utc)
HOLIDAYS = json.dumps([{"date": str((TODAY + timedelta(days=d)).date())} for d in (-1, 0, 1)])  # the day may end meanwhile

TABLE = {
    "nothing": ({}, {}, "stack", None, ["own_stack"]),
    "block list": (dict(block_list=[CALLER]), {}, "busy", "block_list", ["blocked"]),
    "block list, rejected": (dict(block_list=[CALLER], block_action="reject"), {}, "rejected", "block_list", ["blocked"]),
    "block list, a beginning": (dict(block_list=["+1555010*"], block_action="voicemail"), {}, "voicemail", "block_list",
                                ["blocked"]),
    "somebody else is blocked": (dict(block_list=["+15550109998"]), {}, "stack", None, ["own_stack"]),
    "anonymous is served": ({}, dict(caller="anonymous"), "stack", None, ["caller_anonymous", "own_stack"]),
    "anonymous is refused": (dict(withheld="reject"), dict(caller="sip:anonymous@anonymous.invalid"), "rejected", "withheld",
                             ["caller_anonymous"]),
    "restricted leaves a message": (dict(withheld="voicemail"), dict(caller="Restricted"), "voicemail", "withheld",
                                    ["caller_restricted"]),
    "unavailable is forwarded": (dict(withheld="forward", forward_number=PHONE), dict(caller="unavailable"), f"dial {PHONE}",
                                 "withheld", ["caller_unavailable"]),
    "a number is not withheld": (dict(withheld="reject"), {}, "stack", None, ["own_stack"]),
    "unknown callers leave a message": (dict(unknown="voicemail"), {}, "voicemail", "unknown_callers", ["unknown_caller"]),
    "unknown callers are forwarded": (dict(unknown="forward", forward_number=PHONE), {}, f"dial {PHONE}", "unknown_callers",
                                      ["unknown_caller"]),
    "forward without a number": (dict(unknown="forward"), {}, "stack", None,
                                 ["unknown_caller", "no_forward_number", "own_stack"]),
    "open": (dict(business_hours=ALWAYS), {}, "stack", None, ["own_stack"]),
    "closed": (dict(business_hours=NEVER), {}, "voicemail", "business_hours", ["after_hours"]),
    "closed, forwarded": (dict(business_hours=NEVER, after_hours="forward", forward_number=PHONE), {}, f"dial {PHONE}",
                          "business_hours", ["after_hours"]),
    "closed, a number of its own": (dict(business_hours=NEVER, after_hours="forward", forward_number=PHONE,
                                         after_hours_number=OTHER_PHONE), {}, f"dial {OTHER_PHONE}", "business_hours",
                                    ["after_hours"]),
    "closed, nowhere to forward": (dict(business_hours=NEVER, after_hours="forward"), {}, "voicemail", "business_hours",
                                   ["after_hours", "no_forward_number"]),
    "closed, and served all the same": (dict(business_hours=NEVER, after_hours="serve"), {}, "stack", None,
                                        ["after_hours", "own_stack"]),
    "closed, busy": (dict(business_hours=NEVER, after_hours="busy"), {}, "busy", "business_hours", ["after_hours"]),
    "a holiday": (dict(business_hours=ALWAYS, holidays=HOLIDAYS), {}, "voicemail", "business_hours", ["holiday"]),
    "not to that country": (dict(unknown="forward", forward_number=PHONE, allowed_countries=["DE"]), {}, "stack", None,
                            ["unknown_caller", "country_not_allowed", "own_stack"]),
    "not beyond the operator's": (dict(unknown="forward", forward_number="+442071838750"), {}, "stack", None,
                                  ["unknown_caller", "forward_not_allowed", "own_stack"]),
    "not to an island of +1": (dict(unknown="forward", forward_number="+18765550100"), {}, "stack", None,
                               ["unknown_caller", "forward_not_allowed", "own_stack"]),
    "no money left today": (dict(unknown="forward", forward_number=PHONE, daily_forward_cents=0), {}, "stack", None,
                            ["unknown_caller", "spend_cap", "own_stack"]),
    "quiet hours": (dict(unknown="forward", forward_number=PHONE, quiet_hours='{"start": "00:00", "end": "23:59"}'), {},
                    "stack", None, ["unknown_caller", "quiet_hours", "own_stack"]),
    "to a number of ours": (dict(unknown="forward", forward_number=RITA.number), {}, "stack", None,
                            ["unknown_caller", "forward_own_number", "own_stack"]),
    "from where it would go": (dict(unknown="forward", forward_number=PHONE), dict(caller=PHONE), "stack", None,
                               ["unknown_caller", "forward_loop", "own_stack"]),
    "passed on from where it would go": (dict(unknown="forward", forward_number=PHONE), dict(passed_on_from=PHONE), "stack",
                                         None, ["unknown_caller", "forward_loop", "own_stack"]),
    "a forward of ours comes back": (dict(unknown="forward", forward_number=PHONE), dict(caller=RITA.number), "stack", None,
                                     ["unknown_caller", "forward_loop", "own_stack"]),
    "the number calls itself": ({}, dict(caller=LEO.number), "rejected", "self_call", ["calls_itself"]),
}


@pytest.mark.parametrize("case", TABLE)
def test_the_next_call_obeys(stack, wish, call, case):
    columns, how, what, policy, reasons = TABLE[case]
    if columns:
        wish(**columns)
    a = call(**how)
    if "quiet_hours" in reasons and datetime.now(timezone.utc).strftime("%H:%M") == "23:59":
        return  # that minute is not quiet
    assert (a.what, a.routed["policy"], a.reasons) == (what, policy, reasons)
    action = {"busy": "refuse", "rejected": "refuse"}.get(what, "forward" if what.startswith("dial") else what)
    assert a.routed["action"] == action
    assert a.routed["forwarded_to"] == ("+*******" + what[-4:] if action == "forward" else None)


def test_the_products_columns_count(stack, wish, call):
    contact(stack)
    assert call().reasons == ["known_caller", "no_forward_number", "own_stack"]
    transfer_number(stack, secret="open sesame")
    assert call().reasons == ["known_caller", "no_forward_number", "own_stack"]
    transfer_number(stack, OTHER_PHONE)
    a = call()
    assert (a.what, a.routed["policy"]) == (f"dial {OTHER_PHONE}", "whitelist")
    assert call(caller="+15550109998").reasons == ["own_stack"]
    stack.sql("update public.agent_configs set transfer_unknown_callers = true where user_id = %s", LEO.id)
    settle(stack)
    assert call(caller="+15550109998").routed["policy"] == "unknown_callers"
    stack.sql("update public.agent_configs set transfer_preferences = transfer_preferences || "
              "'{\"always_transfer_whitelist\": false}' where user_id = %s", LEO.id)
    settle(stack)
    try:
        assert call().what == "stack"
        wish(whitelist="forward")
        assert call().what == f"dial {OTHER_PHONE}"
        wish(whitelist="serve")
        assert call().what == "stack"
    finally:
        stack.sql("update public.agent_configs set transfer_preferences = transfer_preferences || "
                  "'{\"always_transfer_whitelist\": true}' where user_id = %s", LEO.id)


def test_a_strict_user_has_strangers_screened(stack, wish, call):
    stack.sql("update public.agent_configs set vetting_strategy = 'strict' where user_id = %s", LEO.id)
    settle(stack)
    a = call()
    assert (a.what, a.reasons) == ("stack", ["vetting_strict", "own_stack"])
    wish(unknown="serve", whitelist="forward")
    contact(stack)
    assert call().reasons == ["known_caller", "no_forward_number", "own_stack"]


def test_a_spent_budget_stops_calls_until_it_is_raised(stack, wish, call):
    stack.sql("insert into patchbay.user_budgets (user_id, cap_cents, spent_cents) values (%s, 500, 499)", LEO.id)
    assert call().what == "stack"
    stack.sql("update patchbay.user_budgets set spent_cents = 500 where user_id = %s", LEO.id)
    settle(stack)
    a = call()
    assert (a.what, a.routed["policy"], a.reasons) == ("voicemail", "budget", ["budget_spent"])
    wish(over_budget="busy")
    assert call().what == "busy"
    stack.sql("update patchbay.user_budgets set cap_cents = 1000 where user_id = %s", LEO.id)
    settle(stack)
    assert call().what == "stack"


def test_both_stacks_obey_alike(wish, carrier):
    assert carrier.voice(RITA.number).dial().host == RETELL_SIP_HOST
    wish(user=RITA, block_list=[CALLER])
    assert carrier.voice(RITA.number).verbs() == ["Reject"]
    assert carrier.voice(LEO.number).dial().host == LIVEKIT_SIP_HOST
    assert not carrier.voice(RITA.number, "+15550109998").verbs() == ["Reject"]


def test_a_refused_call_is_over(stack, wish, call, watch):
    wish(block_list=[CALLER])
    a = call()
    row = wait(lambda: stack.row("select * from patchbay.calls where id = %s and state = 'ended'", a.call), 30, "it has ended")
    assert (row["ended_reason"], row["ended_owner"], row["outcome"], row["stack"]) == ("refused", "us", "screened", None)
    assert watch.wait_for("call.ended", a.call)["data"]["reason"] == "refused"


# ---------------------------------------------------------------------- a forwarded call goes on


def forwarded(carrier, wish, **columns) -> tuple[dict, str, dict]:
    wish(**dict(unknown="forward", forward_number=PHONE) | columns)
    form = carrier.form(LEO.number)
    node = carrier.post(VOICE, form).xml()[0]
    assert (node.tag, node[0].tag, node[0].text) == ("Dial", "Number", PHONE)
    return form, node.attrib["action"], dict(node.attrib)


def test_a_forward_shows_a_number_of_ours(carrier, wish):
    _, _, dial = forwarded(carrier, wish)
    assert (dial["callerId"], dial["answerOnBridge"]) == (LEO.number, "true")


def test_a_forward_nobody_takes_comes_to_the_agent(stack, carrier, wish):
    form, action, _ = forwarded(carrier, wish)
    r = carrier.post(action, form | {"CallStatus": "in-progress", "DialCallStatus": "no-answer", "DialCallSid": str(uuid.uuid4())})
    assert r.dial().host == LIVEKIT_SIP_HOST


def test_a_forward_costs_and_reaches_the_cap(stack, carrier, wish, nobody_calls):
    """Five minutes are reserved at 0.8 cents each."""
    form, action, _ = forwarded(carrier, wish, daily_forward_cents=7)
    kept = wait(lambda: stack.row("select f.* from patchbay.forwards f join patchbay.calls c on c.id = f.call_id "
                                  "where c.carrier_call_id = %s", form["CallSid"]), 30, "what it may cost is stored")
    assert (kept["kind"], kept["country"], kept["microusd_per_min"], kept["reserved_microusd"]) == ("forward", "US", 8000, 40000)
    asked = explain(stack, **{"from": CALLER})
    assert (asked["serves"], asked["facts"]["forward_refused"]) == ("livekit", "spend_cap")


# ---------------------------------------------------------------------- counts


@pytest.fixture
def fresh_caller():
    """Nobody has counted him."""
    return "+1202555" + f"{uuid.uuid4().int % 10000:04d}"


def end(carrier, form: dict) -> None:
    assert carrier.post("/v1/signalwire/status", form | {"CallStatus": "completed", "CallDuration": "3"}).status == 204


def test_a_caller_is_forwarded_three_times_and_then_not_for_long(stack, wish, fresh_caller, second):
    wish(unknown="forward", forward_number=PHONE, daily_forward_cents=1000)
    there = Carrier(second.url, stack.signing_key)
    wait(lambda: there.voice(LEO.number, f"+1202556{uuid.uuid4().int % 10000:04d}").xml()[0][0].tag == "Number", 30,
         "the second router has heard of the policy")
    assert [there.voice(LEO.number, fresh_caller).xml()[0][0].tag for _ in range(3)] == ["Number"] * 3
    stack.daemons["router"].stop()
    try:
        assert explain(stack, **{"from": fresh_caller})["facts"]["forward_refused"] == "forward_burst"
        assert explain(stack, **{"from": CALLER})["facts"]["forward_refused"] is None
    finally:
        stack.daemons["router"].start()


def test_no_more_calls_at_once_than_the_user_allows(stack, wish, carrier, nobody_calls):
    wish(max_concurrent=2)
    forms = [carrier.form(LEO.number) for _ in range(3)]
    assert [carrier.post(VOICE, f).verbs() for f in forms] == [["Dial"], ["Dial"], ["Reject"]]
    asked = explain(stack)
    assert (asked["facts"]["calls_now"], asked["policy"], asked["refusal"]) == (2, "concurrency", "busy")
    end(carrier, forms[0])
    wait(lambda: explain(stack)["facts"]["calls_now"] == 1, 30, "one has ended")
    assert carrier.voice(LEO.number).verbs() == ["Dial"]
    wish(over_limit="voicemail")
    assert carrier.voice(LEO.number).verbs() == ["Say", "Record", "Redirect"]
    # A restarted router finds them in Postgres.
    stack.daemons["router"].restart()
    wait(lambda: explain(stack)["facts"]["calls_now"] == 3, 30, "the calls under way are known again")


def test_no_more_calls_a_minute_than_the_user_allows(stack, wish, carrier, nobody_calls):
    wish(max_per_minute=2)
    assert [carrier.voice(LEO.number).verbs() for _ in range(3)] == [["Dial"], ["Dial"], ["Reject"]]
    assert explain(stack)["reasons"] == ["too_many_per_minute"]


def test_routers_count_together(stack, wish, carrier, second):
    wish(max_concurrent=1)
    here, there = carrier, Carrier(second.url, stack.signing_key)
    first, other = stack.daemons["router"], "+15550109998"
    form = here.form(LEO.number)
    assert here.post(VOICE, form).verbs() == ["Dial"]
    wait(lambda: live(first) == live(second) == 1, 30, "both know of it")
    wait(lambda: there.voice(LEO.number, f"+1202556{uuid.uuid4().int % 10000:04d}").verbs() == ["Reject"], 30,
         "the second router has heard of the policy")
    assert here.voice(LEO.number, other).verbs() == ["Reject"]
    end(there, form)
    stack.sql("update patchbay.calls set state = 'ended', ended_at = now() where state <> 'ended'")
    wait(lambda: live(first) == live(second) == 0, 75, "both know that all are over, at their next look into Postgres (every 30 s)")
    assert there.voice(LEO.number, other).verbs() == ["Dial"]
    wait(lambda: live(first) == 1, 30, "the first one knows")
    assert here.voice(LEO.number).verbs() == ["Reject"]


def test_a_callers_burst_is_busy_and_others_are_served(stack, second, fresh_caller):
    there = Carrier(second.url, stack.signing_key)
    assert [there.voice(LEO.number, fresh_caller).verbs() for _ in range(4)] == [["Dial"]] * 3 + [["Reject"]]
    assert there.voice(RITA.number, fresh_caller).verbs() == ["Dial"]
    assert there.voice(LEO.number, "+15550109997").verbs() == ["Dial"]


# ---------------------------------------------------------------------- why


def cli(stack, *args: str) -> subprocess.CompletedProcess:
    return subprocess.run([stack.build_dir / "bin/patchbay-router", "--explain", *args], capture_output=True, text=True,
                          timeout=30, env=os.environ | {"PAT_NATS_URL": stack.nats.url})


def test_explain_says_what_every_rule_said(stack, wish):
    wish(business_hours='{"mon": [["09:00", "17:00"]]}', time_zone="America/New_York", withheld="reject",
         after_hours="forward", forward_number=PHONE)
    at = explain(stack, **{"from": CALLER, "at": "2026-11-23T16:59"})  # a Monday there
    assert (at["serves"], at["local_time"], at["at"][:16]) == ("livekit", "Mon 2026-11-23 16:59", "2026-11-23T21:59")
    later = explain(stack, **{"from": CALLER, "at": "2026-11-23T22:00Z"})
    assert (later["action"], later["forward"], later["policy"]) == ("forward", PHONE, "business_hours")
    hidden = explain(stack, **{"from": "anonymous", "at": "2026-11-23T22:00Z"})
    rules = {r["rule"]: r for r in hidden["rules"]}
    assert (hidden["refusal"], hidden["policy"]) == ("rejected", "withheld")
    assert (rules["withheld"]["verdict"], rules["withheld"]["asked"]) == ("decides", True)
    assert (rules["business_hours"]["verdict"], rules["business_hours"]["asked"]) == ("decides", False)
    assert all(r["because"] for r in hidden["rules"])


def test_explain_changes_nothing(stack, wish, carrier, nobody_calls):
    wish(max_concurrent=1, max_per_minute=1)
    for _ in range(5):
        assert explain(stack)["serves"] == "livekit"
    assert carrier.voice(LEO.number).verbs() == ["Dial"]


@pytest.mark.parametrize("params,field", [({"number": "5"}, "number"), ({"number": LEO.number, "at": "soon"}, "at"), ({}, "number")])
def test_explain_names_what_is_wrong(stack, params, field):
    assert rpc(stack, "explain", params)["error"]["field"] == field


def test_the_command_prints_it_for_people(stack, wish):
    wish(block_list=["+1900*"])
    r = cli(stack, LEO.number, "--from", "+19005550100")
    assert r.returncode == 0, r.stderr
    assert "refused: busy" in r.stdout and "the caller is on the user's block list" in r.stdout
    assert str(LEO.id) in r.stdout and "not asked" in r.stdout
    told = json.loads(cli(stack, LEO.number, "--json").stdout)
    assert (told["serves"], told["user_id"], len(told["rules"])) == ("livekit", str(LEO.id), 12)
    assert "nobody's number" in cli(stack, "+12025550000").stdout
    assert cli(stack, LEO.number, "--from").returncode == 2
    wrong = cli(stack, LEO.number, "--at", "noon")
    assert wrong.returncode == 1 and "must be a time" in wrong.stderr


# ---------------------------------------------------------------------- last: what was said


def test_every_event_keeps_to_its_schema(watch):
    assert watch.of("call.routed")
    for event in watch.events:
        events.validate({k: v for k, v in event.items() if k != "_subject"}, event["_subject"])
