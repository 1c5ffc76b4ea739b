"""Vendors' bills beside ours: the doubles answer the vendors' own SDKs, each day is asked for, and what differs is told."""

import datetime
import json
import os
import urllib.error
import urllib.request
import uuid

import pytest
from deepgram import DeepgramClient
from deepgram.environment import DeepgramClientEnvironment
from elevenlabs.client import ElevenLabs
from openai import OpenAI
from retell import Retell

from harness import events
from harness.sip_leg import wait
from harness.stack import ADMIN, LEO, Stack
from harness.watch import Watch

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")
UTC = datetime.timezone.utc
NOON = datetime.datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - datetime.timedelta(days=1)
DAY = NOON.date().isoformat()
VENDORS = {"deepgram", "elevenlabs", "openai", "retell"}


@pytest.fixture(scope="module")
def stack():
    with Stack(BUILD, with_livekit=False) as s:
        seed(s)
        bill(s, deepgram=1.2, openai=4.0, elevenlabs=2000)
        d = s.daemons["stack-switcher"]
        d.env |= {"PAT_INVOICE_LOOK": "50ms", "PAT_INVOICE_MARGIN": "5", "PAT_DEEPGRAM_API_KEY": "k", "PAT_DEEPGRAM_PROJECT": "p 1",
                  "PAT_DEEPGRAM_API_URL": s.double("deepgram"), "PAT_OPENAI_ADMIN_KEY": "k", "PAT_OPENAI_URL": s.double("openai") + "/v1",
                  "PAT_ELEVENLABS_API_KEY": "k", "PAT_ELEVENLABS_API_URL": s.double("elevenlabs"), "PAT_RETELL_API_KEY": retell_key(s),
                  "PAT_RETELL_API_URL": s.double("retell")}
        yield s


def retell_key(stack) -> str:
    return stack.daemons["retell-provider"].env["PAT_RETELL_API_KEY"]


def bill(stack, **amounts: float) -> None:
    for vendor, amount in amounts.items():
        stack.control(vendor, bills=[{"day": DAY, "amount": amount}])


def seed(stack) -> None:
    """Yesterday: a dollar and twenty at Deepgram, 3.80 at OpenAI, 1000 characters, and nothing at Retell."""
    call = uuid.uuid4()
    stack.sql("insert into patchbay.calls (id, user_id, direction, state, stack, offered_at, from_number, to_number) values "
              "(%s, %s, 'inbound', 'routed', 'livekit', %s, '+15550109999', %s)", call, LEO.id, NOON, LEO.number)
    for component, provider, model, unit, quantity in (
            ("stt", "deepgram", "nova-3", "second", 15_000), ("llm_in", "openai", "gpt-4.1", "token", 1_900_000),
            ("tts_chars", "elevenlabs", "eleven_flash_v2_5", "character", 1000), ("tts_cached_chars", "patchbay", None, "character", 9000)):
        stack.sql("insert into patchbay.usage (id, call_id, user_id, leg, component, provider, account, model, unit, quantity_milli, used_at) "
                  "values (gen_random_uuid(), %s, %s, 'livekit', %s, %s, %s, %s, %s, %s, %s)",
                  call, LEO.id, component, provider, provider, model, unit, quantity * 1000, NOON)
    stack.sql("select patchbay.project_call(%s)", call)


def invoices(stack, bearer=None, question: str = "") -> tuple[int, dict]:
    request = urllib.request.Request(stack.daemons["stack-switcher"].url + "/v1/invoices" + question, headers={
        "Authorization": f"Bearer {bearer or stack.token(ADMIN, app_metadata={'role': 'admin'})}"})
    try:
        with urllib.request.urlopen(request, timeout=10) as r:
            return r.status, json.loads(r.read())
    except urllib.error.HTTPError as e:
        return e.code, json.loads(e.read())


def of_day(stack) -> dict[str, dict]:
    return {i["vendor"]: i for i in invoices(stack)[1]["invoices"] if i["day"] == DAY}


def test_the_doubles_answer_as_the_vendors_sdks_expect(stack):
    begin = datetime.datetime.combine(NOON.date(), datetime.time(), UTC)
    from_s, to_s = int(begin.timestamp()), int(begin.timestamp()) + 86400

    costs = OpenAI(api_key="k", admin_api_key="k", base_url=stack.double("openai") + "/v1").admin.organization.usage.costs(
        start_time=from_s - 86400, end_time=to_s, limit=1)
    assert costs.has_more and costs.next_page and costs.data[0].results == []
    costs = OpenAI(api_key="k", admin_api_key="k", base_url=stack.double("openai") + "/v1").admin.organization.usage.costs(
        start_time=from_s, end_time=to_s)
    assert (costs.has_more, sum(r.amount.value for r in costs.data[0].results)) == (False, 4.0)

    url = stack.double("deepgram")
    told = DeepgramClient(api_key="k", environment=DeepgramClientEnvironment(
        base=url, production=url, agent=url, agent_rest=url)).manage.v1.projects.billing.breakdown.list("p 1", start=DAY, end=DAY)
    assert [(r.dollars, r.grouping.start) for r in told.results] == [(1.2, DAY)] and told.resolution.units == "day"

    usage = ElevenLabs(api_key="k", base_url=stack.double("elevenlabs")).usage.get(
        start_unix=from_s * 1000, end_unix=to_s * 1000 - 1, breakdown_type="none", aggregation_interval="day")
    assert (usage.time, usage.usage) == ([from_s * 1000], {"All": [2000.0]})

    listed = Retell(api_key=retell_key(stack), base_url=stack.double("retell")).call.list(
        filter_criteria={"start_timestamp": {"type": "range", "op": "bt", "value": [from_s * 1000, to_s * 1000 - 1]}}, limit=10)
    assert listed.items == [] and listed.has_more is False


def test_each_vendor_is_asked_and_what_differs_is_told_once(stack):
    with Watch(stack.nats.url) as watch:
        stack.control("openai", fail={"status": 500, "times": 1, "path": "/v1/organization/costs"})
        stack.daemons["stack-switcher"].restart()
        wait(lambda: stack.sql("select count(*) from patchbay.invoices where asked_at is not null")[0][0] >= 15, 60, "all but one are asked")
        failed = wait(lambda: stack.sql("select day::text, error from patchbay.invoices where error is not null"), 30, "one was not told")
        assert [e for _, e in failed] == ["status 500"]
        stack.sql("update patchbay.invoices set next_at = now() where error is not null")
        wait(lambda: stack.sql("select count(*) from patchbay.invoices where asked_at is not null and error is null")[0][0] == 16, 30, "asked again")

        day = of_day(stack)
        assert set(day) == VENDORS
        assert {v: (i["ours"], i["theirs"], i["percent"], i["differs"]) for v, i in day.items()} == {
            "deepgram": (1_200_000, 1_200_000, 0, False), "openai": (3_800_000, 4_000_000, -5, False),
            "elevenlabs": (1000, 2000, -50, False), "retell": (0, 0, 0, False)}
        # Five per cent are allowed, and a cent's worth of anything; from there on somebody is told.
        bill(stack, openai=5.0)
        for _ in range(2):
            stack.sql("update patchbay.invoices set next_at = now(), asked_at = null where vendor = 'openai' and day = %s", DAY)
            wait(lambda: stack.sql("select asked_at from patchbay.invoices where vendor = 'openai' and day = %s", DAY)[0][0], 30, "asked")
        told = watch.wait_for("usage.invoice_differs", "openai")
        events.validate(json.dumps({k: v for k, v in told.items() if k != "_subject"}), told["_subject"])
        assert told["data"] == {"vendor": "openai", "day": DAY, "unit": "microusd", "ours": 3_800_000, "theirs": 5_000_000, "percent": -24.0}
        assert len(watch.of("usage.invoice_differs")) == 1
    assert of_day(stack)["openai"]["differs"] is True
    line = 'pat_invoice_difference_ratio{vendor="openai"} -0.24'
    assert line in stack.daemons["stack-switcher"].metrics()


def test_retells_own_calls_are_summed_page_by_page(stack):
    """A call at Retell's double: what it says it cost is what the day costs there."""
    retell = Retell(api_key=retell_key(stack), base_url=stack.double("retell"))
    agent = retell.agent.create(response_engine={"type": "retell-llm", "llm_id": retell.llm.create().llm_id}, voice_id="11labs-Adrian")
    for _ in range(3):
        retell.call.register_phone_call(agent_id=agent.agent_id, from_number="+15550109999", to_number="+15550100001")
    seen, key = [], None
    while True:
        page = retell.call.list(limit=2, **({"pagination_key": key} if key else {}))
        seen += [c.call_id for c in page.items]
        if not page.has_more:
            break
        key = page.pagination_key
    assert len(seen) == len(set(seen)) >= 3


def test_only_admins_look_and_wrong_questions_are_named(stack):
    assert invoices(stack, stack.token(LEO.id))[0] == 403
    assert invoices(stack, "nonsense")[0] == 401
    for question, field in (("?vendor=nobody", "vendor"), ("?days=0", "days"), ("?days=x", "days")):
        status, told = invoices(stack, question=question)
        assert (status, told["error"]["field"]) == (400, field)
    assert {i["vendor"] for i in invoices(stack, question="?vendor=retell&days=9")[1]["invoices"]} == {"retell"}
