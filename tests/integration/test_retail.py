"""What customers are charged: prices by tier over HTTP, who is on which, what calls come to; and that changes are audited."""

import json
import os
import re
import urllib.parse
import uuid
from pathlib import Path

import pytest

from harness.sip_leg import wait
from harness.stack import LEO, RITA
from test_rates import later
from test_stack_switcher import NOBODY, call_id
from test_switching import ADMIN
from test_switching import api as plain
from test_usage_api import Switcher, spend

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def stack():
    with Switcher(BUILD, with_livekit=False) as s:
        spend(s, 1, LEO, "livekit")
        spend(s, 2, RITA, "retell")
        yield s


@pytest.fixture
def api(stack):
    """As an admin if not said otherwise; every answer is as /openapi.json says."""
    stack.sql("truncate patchbay.retail_prices, patchbay.user_tiers, patchbay.audit")

    def ask(method: str, path: str, body=None, user=None) -> tuple[int, dict]:
        return plain(stack, method, path, body, bearer=user and stack.token(user))

    return ask


def counted(stack) -> None:
    wait(lambda: not stack.sql("select 1 from patchbay.usage_dirty"), 30, "all is counted")


def charged(api) -> int:
    return api("GET", "/v1/usage/summary")[1]["retail"]["microusd"]


def test_a_price_is_set_holds_and_is_followed_by_another(api):
    assert api("GET", "/v1/retail")[1] == {"prices": [], "tiers": [{"tier": "standard", "users": 2, "microusd_per_minute": None}]}
    status, first = api("POST", "/v1/retail", {"tier": "standard", "microusd_per_minute": 120000.0, "note": "list"})
    assert (status, first["state"], first["valid_to"], first["microusd_per_minute"]) == (201, "in_force", None, 120000)
    status, second = api("POST", "/v1/retail", {"tier": "standard", "microusd_per_minute": 130000, "valid_from": later(days=3)})
    assert (status, second["state"]) == (201, "future")
    api("POST", "/v1/retail", {"tier": "premium", "microusd_per_minute": 0})
    listed = api("GET", "/v1/retail")[1]
    assert [(p["tier"], p["state"], p["valid_to"]) for p in listed["prices"]] == [
        ("standard", "future", None), ("standard", "in_force", second["valid_from"]), ("premium", "in_force", None)]
    assert listed["tiers"] == [{"tier": "standard", "users": 2, "microusd_per_minute": 120000},
                               {"tier": "premium", "users": 0, "microusd_per_minute": 0}]
    status, wrong = api("POST", "/v1/retail", {"tier": "standard", "microusd_per_minute": 1, "valid_from": second["valid_from"]})
    assert (status, wrong["field"]) == (409, "valid_from")
    assert api("DELETE", f"/v1/retail/{first['id']}")[0] == 409
    assert api("DELETE", f"/v1/retail/{second['id']}")[1]["id"] == second["id"]
    assert api("DELETE", f"/v1/retail/{second['id']}")[0] == 404
    assert [p["valid_to"] for p in api("GET", "/v1/retail")[1]["prices"]] == [None, None]


@pytest.mark.parametrize("body, field", [({"tier": "standard"}, "microusd_per_minute"), ({"microusd_per_minute": 1}, "tier"),
                                         ({"tier": "Gold", "microusd_per_minute": 1}, "tier"), ({"tier": "gold", "microusd_per_minute": 0.5}, "microusd_per_minute"),
                                         ({"tier": "gold", "microusd_per_minute": 1, "valid_from": "tomorrow"}, "valid_from"),
                                         ({"tier": "gold", "microusd_per_minute": 1, "colour": 1}, "colour")])
def test_what_is_no_price_is_named(api, body, field):
    status, wrong = api("POST", "/v1/retail", body)
    assert (status, wrong["field"]) == (400, field)


def test_a_price_put_in_late_counts_and_a_tier_from_the_next_call_on(api, stack):
    counted(stack)
    assert charged(api) == 0
    api("POST", "/v1/retail", {"tier": "standard", "microusd_per_minute": 100000, "valid_from": later(days=-1)})
    counted(stack)
    assert charged(api) == 400000, "two calls of two minutes, an hour ago"
    assert api("PUT", f"/v1/users/{LEO.id}/tier", {"tier": "premium"})[0] == 400
    api("POST", "/v1/retail", {"tier": "premium", "microusd_per_minute": 300000, "valid_from": later(days=-1)})
    status, tier = api("PUT", f"/v1/users/{LEO.id}/tier?why=asked+for", {"tier": "premium"})
    assert (status, tier) == (200, {"user_id": str(LEO.id), "tier": "premium", "microusd_per_minute": 300000})
    counted(stack)
    assert charged(api) == 400000, "what he was charged stands"
    spend(stack, 10 + uuid.uuid4().int % 10**6, LEO, "livekit")
    counted(stack)
    assert charged(api) == 1000000
    assert {t["tier"]: t["users"] for t in api("GET", "/v1/retail")[1]["tiers"]} == {"standard": 1, "premium": 1}
    assert api("GET", f"/v1/users/{LEO.id}/tier", user=LEO.id)[1]["tier"] == "premium"
    assert api("PUT", f"/v1/users/{LEO.id}/tier", {"tier": "standard"})[1]["microusd_per_minute"] == 100000
    assert stack.sql("select count(*) from patchbay.user_tiers") == [(0,)]


def test_only_admins_may_and_each_change_is_written_down_once(api, stack):
    _, price = api("POST", "/v1/retail?why=new+year", {"tier": "gold", "microusd_per_minute": 5, "valid_from": later(days=1)})
    for method, path, body in (("GET", "/v1/retail", None), ("POST", "/v1/retail", {"tier": "gold", "microusd_per_minute": 1}),
                               ("DELETE", f"/v1/retail/{price['id']}", None), ("PUT", f"/v1/users/{LEO.id}/tier", {"tier": "gold"})):
        assert api(method, path, body, user=LEO.id)[0] == 403, (method, path)
    assert api("GET", f"/v1/users/{LEO.id}/tier", user=RITA.id)[0] == 404
    assert api("PUT", f"/v1/users/{NOBODY}/tier", {"tier": "gold"})[0] == 404
    api("PUT", f"/v1/users/{LEO.id}/tier", {"tier": "gold"})
    api("PUT", f"/v1/users/{LEO.id}/tier", {"tier": "gold"})  # nothing changes
    api("DELETE", f"/v1/retail/{price['id']}")
    rows = stack.sql("select action, allowed, actor, why, before, after from patchbay.audit order by at, id")
    by, no = str(ADMIN), str(LEO.id)
    assert [r[:4] for r in rows] == [
        ("retail.add", True, by, "new year"), ("retail.add", False, no, None), ("retail.drop", False, no, None), ("retail.tier", False, no, None),
        ("retail.tier", True, by, None), ("retail.drop", True, by, None)]
    assert rows[0][4] is None and rows[0][5]["microusd_per_minute"] == 5
    assert rows[4][4:] == ({"tier": "standard"}, {"tier": "gold"})
    assert rows[5][4]["tier"] == "gold" and rows[5][5] is None


@pytest.mark.parametrize("method, path, body", [("PUT", f"/v1/users/{LEO.id}/tier?why={{}}", {"tier": "silver"}),
                                                ("POST", f"/v1/users/{RITA.id}/switch", {"stack": "livekit", "why": "{}"}),
                                                ("POST", f"/v1/calls/{call_id(3)}/hangup", {"why": "{}"})])
def test_of_a_reason_the_first_500_characters_are_kept(api, stack, method, path, body):
    """By the query, by the body, of who is refused too; a character is kept whole or not at all, however many bytes it has."""
    stack.sql("insert into patchbay.calls (id, user_id, stack, state) values (%s, %s, 'livekit', 'answered') on conflict do nothing", call_id(3), LEO.id)
    api("POST", "/v1/retail", {"tier": "silver", "microusd_per_minute": 1})
    for said in ("a" + "é" * 498 + "z", "a" + "é" * 600, "ab" + "\N{TELEPHONE RECEIVER}" * 499, "x" * 501, ""):
        stack.sql("truncate patchbay.audit")
        stack.sql("delete from patchbay.user_tiers")
        status, answer = api(method, path.format(urllib.parse.quote(said)), {k: said if v == "{}" else v for k, v in body.items()},
                             user=LEO.id if "switch" in path else None)
        assert stack.sql("select why from patchbay.audit") == [(said[:500] or None,)], (status, answer)


# ---------------------------------------------------------------------- the audit as a whole

ACTIONS = {
    "POST /v1/calls/{id}/hangup": "call.hangup", "POST /v1/rates": "rate.add", "POST /v1/rates/rerate": "rates.rerate",
    "PATCH /v1/rates/{id}": "rate.change", "DELETE /v1/rates/{id}": "rate.drop", "POST /v1/retail": "retail.add",
    "DELETE /v1/retail/{id}": "retail.drop", "PUT /v1/users/{id}/tier": "retail.tier", "POST /v1/rollouts": "rollout.request",
    "POST /v1/switch-voice-stack": "switch.request", "POST /v1/users/{id}/switch": "switch.request", "PATCH /v1/users/{id}/agent": "agent.change",
    "PUT /v1/users/{id}/budget": "budget.set", "PUT /v1/users/{id}/policies": "policies.change", "PATCH /v1/users/{id}/policies": "policies.change",
    "POST /v1/users/{id}/talk": "talk", "POST /v1/users/{id}/voices": "voice.clone", "PATCH /v1/users/{id}/voices/{voice}": "voice.change",
    "DELETE /v1/users/{id}/voices/{voice}": "voice.delete", "POST /v1/webhooks/endpoints": "webhook.create",
    "PATCH /v1/webhooks/endpoints/{id}": "webhook.change", "DELETE /v1/webhooks/endpoints/{id}": "webhook.delete",
    "POST /v1/webhooks/endpoints/{id}/rotate": "webhook.rotate", "POST /v1/webhooks/endpoints/{id}/test": "webhook.test",
    "POST /v1/webhooks/endpoints/{id}/replay": "webhook.replay", "POST /v1/webhooks/deliveries/{id}/replay": "webhook.replay",
} | {f"POST /v1/switches/{{id}}/{wish}": "switch." for wish in ("abort", "promote", "rollback")} | {
    f"POST /v1/rollouts/{{id}}/{wish}": "rollout." for wish in ("abort", "pause", "promote", "resume", "rollback")}
# Nothing is another afterwards, but that somebody has read a note to him.
ONLY_LOOKS = {"POST /v1/explain", "POST /v1/users/{id}/voices/{voice}/preview", "DELETE /v1/users/{id}/voice-notices/{notice}"}


def test_each_operation_that_changes_something_has_its_action():
    """Whoever adds one says here what the audit calls it; that the row is right is tested where the operation is."""
    paths = json.loads((ROOT / "services/stack-switcher/openapi.json").read_text())["paths"]
    changing = {f"{m.upper()} {p}" for p, ops in paths.items() for m in ops if m in ("post", "put", "patch", "delete")}
    assert changing == ACTIONS.keys() | ONLY_LOOKS
    sources = "".join(p.read_text() for folder in ("migrations/*.sql", "services/stack-switcher/*.c") for p in ROOT.glob(folder))
    assert [a for a in set(ACTIONS.values()) if not re.search(rf"""['"]{re.escape(a)}""", sources)] == []
