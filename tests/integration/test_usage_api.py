"""GET /v1/usage, /v1/usage/summary, /v1/calls/{id}/cost: whose figures one may see, and in what form."""

import csv
import io
import json
import os
import subprocess
import urllib.request
import uuid

import pytest

from harness.sip_leg import wait
from harness.stack import ADMIN, LEO, RITA, Daemon, Stack
from test_stack_switcher import NOBODY, call_id, get, token

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")


class Switcher(Stack):
    """The stack-switcher alone and its database."""

    def _start_daemons(self, relay_port: int) -> None:
        self._daemon("stack-switcher", "PAT_SWITCHER_LISTEN", {
            "PAT_SUPABASE_JWT_SECRET": self.jwt_secret, "PAT_LATENCY_LOOK": "300ms", "PAT_LATENCY_SLOWER_CALLS": "2"}).start()

    def _script_doubles(self) -> None:
        pass

    @property
    def url(self) -> str:
        return self.daemons["stack-switcher"].url


def spend(s: Stack, n: int, user, stack: str, ms: int = 900) -> str:
    """A call of two minutes, an hour ago."""
    id_ = call_id(n)
    s.sql("insert into patchbay.calls (id, user_id, from_number, to_number, stack, state, carrier_call_id, offered_at, answered_at, "
          "ended_at, ended_reason, ended_owner, duration_ms, outcome) values (%s, %s, '+15550109999', %s, %s, 'ended', %s, "
          "now() - interval '1 hour', now() - interval '1 hour', now() - interval '58 minutes', 'caller_hangup', 'caller', 120000, 'answered')",
          id_, user.id, user.number, stack, f"CA{n}")
    parts = [("agent", "livekit", "", 120), ("sip", "livekit", "", 120), ("tts_chars", "elevenlabs", "eleven_flash_v2_5", 800)]
    if stack == "retell":
        parts = [("elevenlabs_tts", "retell", "", 8.0), ("gpt_4_1_mini", "retell", "", 2.56), ("retell_voice", "retell", "", 11)]
    for component, provider, model, quantity in parts:
        s.sql("select patchbay.put_usage(%s)", json.dumps({
            "id": str(uuid.uuid4()), "call_id": id_, "user_id": str(user.id), "leg": stack, "component": component, "provider": provider,
            "account": provider, "model": model or None, "unit": "usd_cent" if stack == "retell" else "second",
            "quantity_milli": round(quantity * 1000)}))
    s.sql("select patchbay.put_result(%s, %s, 'call_analyzed', %s)", id_, stack,
          json.dumps({"latency": {"e2e": {"p50": ms, "p95": ms, "num": 2, "values": [ms, ms]}}}))
    return id_


@pytest.fixture(scope="module")
def stack():
    with Switcher(BUILD, with_livekit=False) as s:
        for n in range(1, 4):
            spend(s, n, LEO, "livekit", 2000)
        for n in range(4, 6):
            spend(s, n, RITA, "retell")
        wait(lambda: s.sql("select count(*) from patchbay.call_costs")[0][0] == 5 and not s.sql("select 1 from patchbay.usage_dirty"),
             30, "all calls counted")
        yield s


@pytest.fixture
def tokens(stack):
    return {"leo": token(stack, LEO.id), "rita": token(stack, RITA.id), "admin": token(stack, ADMIN, app_metadata={"role": "admin"})}


LIVEKIT = 20000 + 8000 + 32000 + 13200 + 6000
RETELL = 215600 + 13200 + 6000


def test_everybody_sees_his_own_and_admins_all(stack, tokens):
    for who, user, total in [("leo", None, 3 * LIVEKIT), ("leo", LEO, 3 * LIVEKIT), ("rita", None, 2 * RETELL), ("admin", LEO, 3 * LIVEKIT),
                             ("admin", None, 3 * LIVEKIT + 2 * RETELL)]:
        for path in ["/v1/usage", "/v1/usage/summary"]:
            status, body = get(stack, path + (f"?user_id={user.id}" if user else ""), tokens[who])
            assert (status, body["total"]["cost_microusd"], body["total"]["complete"]) == (200, total, True)
    for path in ["/v1/usage", "/v1/usage/summary", "/v1/usage?format=csv"]:
        for user in (LEO.id, NOBODY):
            assert get(stack, f"{path}{'&' if '?' in path else '?'}user_id={user}", tokens["rita"])[0] == 404
        assert get(stack, f"{path}{'&' if '?' in path else '?'}user_id={NOBODY}", tokens["admin"])[0] == 404
    assert get(stack, "/v1/usage")[0] == 401
    assert get(stack, f"/v1/calls/{call_id(1)}/cost", tokens["rita"])[0] == 404
    assert get(stack, f"/v1/calls/{NOBODY}/cost", tokens["admin"])[0] == 404


def test_sums_by_whatever_is_asked_for(stack, tokens):
    _, body = get(stack, "/v1/usage?group_by=stack", tokens["admin"])
    assert {r["stack"]: (r["cost_microusd"], r["calls"], r["minutes"]) for r in body["rows"]} == {
        "livekit": (3 * LIVEKIT, 3, 6), "retell": (2 * RETELL, 2, 4)}
    _, body = get(stack, "/v1/usage?group_by=user", tokens["admin"])
    assert [(r["user_id"], r["user_name"]) for r in body["rows"]] == [(str(RITA.id), "Rita"), (str(LEO.id), "Leo")], "the dearest first"
    _, body = get(stack, "/v1/usage?group_by=component,model,day,account", tokens["leo"])
    assert {r["component"]: r["quantity"] for r in body["rows"]} == {"agent": 360, "sip": 360, "tts_chars": 2400, "phone": 360, "phone_sip": 360}
    assert body["group_by"] == ["day", "component", "account", "model"]
    _, body = get(stack, "/v1/usage?group_by=&from=2026-01-01&to=2026-01-31", tokens["leo"])
    assert body["rows"] == [] and body["total"]["calls"] == 0


def test_rows_come_a_page_at_a_time(stack, tokens):
    for by in ("user,component", "day,stack", "user", ""):
        for zone in ("UTC", "Pacific/Kiritimati"):
            path = f"/v1/usage?group_by={by}&tz={zone}"
            _, whole = get(stack, path, tokens["admin"])
            assert whole["count"] == len(whole["rows"]) and whole["next"] is None
            rows, after = [], ""
            while after is not None:
                status, page = get(stack, f"{path}&limit=2" + (f"&after={after}" if after else ""), tokens["admin"])
                assert status == 200 and 1 <= len(page["rows"]) <= 2 and {k: page[k] for k in ("count", "total", "missing")} == {
                    k: whole[k] for k in ("count", "total", "missing")}
                rows += page["rows"]
                after = page["next"]
            assert rows == whole["rows"]
    _, behind = get(stack, "/v1/usage?group_by=user&limit=2&after=500", tokens["admin"])
    assert (behind["rows"], behind["next"], behind["count"]) == ([], None, 2)


@pytest.mark.parametrize("question, field", [("from=2026-02-30", "from"), ("to=x", "to"), ("group_by=hour", "group_by"), ("format=xml", "format"),
                                             ("from=2020-01-01", "from"), ("user_id=me", "user_id"), ("tz=Mars", "tz"), ("tz=", "tz"),
                                             ("tz=../UTC", "tz"), ("tz=%2B01:00", "tz"), ("limit=0", "limit"),
                                             ("limit=1001", "limit"), ("after=x", "after")])
def test_what_is_asked_wrongly_names_the_field(stack, tokens, question, field):
    for path in ["/v1/usage"] + (["/v1/usage/summary"] if field not in ("group_by", "format", "limit", "after") else []):
        status, body = get(stack, f"{path}?{question}", tokens["admin"])
        assert status == 400 and body["field"] == field


def test_days_are_those_of_whatever_zone_is_asked_for(stack, tokens):
    day = stack.sql("select (offered_at at time zone 'Pacific/Kiritimati')::date::text, (offered_at at time zone 'Pacific/Pago_Pago')::date::text, "
                    "(offered_at at time zone 'UTC')::date::text from patchbay.calls where id = %s", call_id(1))[0]
    assert day[0] > day[1], "they are 25 hours apart"
    for zone, d in zip(("Pacific/Kiritimati", "Pacific/Pago_Pago", "UTC"), day):
        for who, total in (("leo", 3 * LIVEKIT), ("admin", 3 * LIVEKIT + 2 * RETELL)):
            _, body = get(stack, f"/v1/usage?group_by=day&tz={zone}", tokens[who])
            assert (body["timezone"], [(r["day"], r["cost_microusd"]) for r in body["rows"]]) == (zone, [(d, total)])
            _, body = get(stack, f"/v1/usage/summary?tz={zone}&from={d}&to={d}", tokens[who])
            assert (body["timezone"], body["total"]["cost_microusd"], body["stacks"]["livekit"]["latency"]["answers"]) == (zone, total, 6)
    request = urllib.request.Request(stack.url + f"/v1/usage?group_by=day,stack&tz=Pacific/Kiritimati&format=csv&from={day[0]}&to={day[0]}",
                                     headers={"Authorization": f"Bearer {tokens['leo']}"})
    with urllib.request.urlopen(request, timeout=10) as r:
        assert [(x["day"], x["calls"]) for x in csv.DictReader(io.StringIO(r.read().decode(), newline=""))] == [(day[0], "3")]
    _, body = get(stack, f"/v1/usage?group_by=user&tz=Pacific/Kiritimati&from={day[0]}&to={day[0]}", tokens["admin"])
    assert [(r["user_name"], r["calls"]) for r in body["rows"]] == [("Rita", 2), ("Leo", 3)]


def test_a_file_for_a_spreadsheet(stack, tokens):
    request = urllib.request.Request(stack.daemons["stack-switcher"].url + "/v1/usage?group_by=user,component&format=csv",
                                     headers={"Authorization": f"Bearer {tokens['admin']}"})
    with urllib.request.urlopen(request, timeout=10) as r:
        assert r.headers["Content-Type"].startswith("text/csv") and 'filename="usage.csv"' in r.headers["Content-Disposition"]
        rows = list(csv.DictReader(io.StringIO(r.read().decode(), newline="")))
    assert sum(float(r["cost_usd"]) for r in rows) == pytest.approx((3 * LIVEKIT + 2 * RETELL) / 1e6)


def test_both_stacks_side_by_side(stack, tokens):
    _, body = get(stack, "/v1/usage/summary", tokens["admin"])
    lk, rt = body["stacks"]["livekit"], body["stacks"]["retell"]
    assert lk["cost_per_minute_microusd"] == LIVEKIT / 2 and rt["cost_per_minute_microusd"] == RETELL / 2
    assert lk["other"]["stack"] == "retell" and lk["other"]["cost_microusd"] == 3 * RETELL
    assert abs(lk["latency"]["p50_ms"] - 2000) < 60 and abs(rt["latency"]["p50_ms"] - 900) < 27
    k = body["comparison"]
    assert k["saving_share"] == round(1 - k["all_on_livekit_microusd"] / k["all_on_retell_microusd"], 4)
    assert k["plan_microusd"] == 50_000_000 and k["saving_share_with_plan"] < 0 < k["saving_share"]
    assert all(a["words"] for a in body["assumptions"])


def test_one_call_line_by_line(stack, tokens):
    status, body = get(stack, f"/v1/calls/{call_id(4)}/cost", tokens["rita"])
    assert status == 200 and body["cost_microusd"] == RETELL and body["parts"] == {"llm": 25600, "tts": 80000, "telephony": 19200, "platform": 110000}
    assert body["other"]["stack"] == "livekit" and body["other"]["assumed"] and body["saving_share"] > 0
    by_name = {a["name"] for a in body["assumptions"]}
    assert set(body["other"]["assumed"]) <= by_name


def test_a_late_price_is_counted_by_itself_and_the_backlog_is_shown(stack, tokens):
    stack.sql("select patchbay.put_usage(%s)", json.dumps({
        "id": str(uuid.uuid4()), "call_id": call_id(1), "user_id": str(LEO.id), "leg": "livekit", "component": "llm_out", "provider": "odd",
        "account": "odd", "model": "m", "unit": "token", "quantity_milli": 5000}))
    wait(lambda: get(stack, "/v1/usage", tokens["leo"])[1]["missing"] != [], 30, "the line without a price")
    _, body = get(stack, "/v1/usage/summary", tokens["leo"])
    assert not body["total"]["complete"] and body["missing"][0]["provider"] == "odd"
    assert get(stack, f"/v1/calls/{call_id(1)}/cost", tokens["leo"])[1]["cost_microusd"] is None
    stack.sql("delete from patchbay.usage where provider = 'odd'")
    stack.sql("select patchbay.usage_touch(array[%s::uuid])", call_id(1))
    wait(lambda: get(stack, "/v1/usage", tokens["leo"])[1]["total"]["complete"], 30, "it is gone")
    assert "pat_usage_waiting_seconds" in stack.daemons["stack-switcher"].metrics()


def test_a_slower_livekit_is_told(stack):
    def metric():
        return next(line.split()[-1] for line in stack.daemons["stack-switcher"].metrics().splitlines()
                    if line.startswith("pat_latency_livekit_slower "))
    wait(lambda: float(metric()) == 1, 30, "the gauge")
    wait(lambda: stack.sql("select 1 from patchbay.outbox where subject = 'pat.health.v1.latency.livekit.-'"), 30, "the event")


def rebuild(stack, *args) -> subprocess.CompletedProcess:
    relay = Daemon(stack, "webhook-relay", {"PAT_RETELL_WEBHOOK_KEY": "key_x", "PAT_LIVEKIT_API_KEY": "x", "PAT_LIVEKIT_API_SECRET": "x" * 32},
                   "PAT_RELAY_LISTEN")
    return subprocess.run([stack.build_dir / "bin/patchbay-webhook-relay", "--rebuild", *args], capture_output=True, text=True,
                          timeout=60, env=os.environ | relay.env)


def test_the_relays_rebuild_mends_sums_that_are_wrong(stack, tokens):
    before = get(stack, "/v1/usage?group_by=user,component", tokens["admin"])[1]
    rebuild(stack)
    assert (done := rebuild(stack, "--check")).returncode == 0, done.stdout + done.stderr
    stack.sql("update patchbay.usage_days set microusd = microusd + 5 where component = 'agent'")
    stack.sql("delete from patchbay.usage_stack_days where stack = 'retell'")
    assert (done := rebuild(stack, "--check")).returncode == 1 and "0 of their costs" not in done.stdout
    assert (done := rebuild(stack)).returncode == 0, done.stderr
    assert (done := rebuild(stack, "--check")).returncode == 0 and done.stdout.endswith(" 0 of their costs\n")
    assert get(stack, "/v1/usage?group_by=user,component", tokens["admin"])[1] == before
