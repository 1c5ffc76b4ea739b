"""The admins' pages in Chromium: calls and their sound, webhooks, the audit."""

import io
import json
import os
import re
import uuid

import av
import numpy as np
import pytest

from harness.browser import DESKTOP, PHONE, TABLET, Browser, violations
from harness.responder import Responder
from harness.sip_leg import wait
from harness.stack import ADMIN, LEO, RITA
from test_calls_api import BUILD, Switcher, put, s3, wav  # noqa: F401 - fixtures
from test_stack_switcher import call_id, seed_calls, token

SCREENS = os.environ.get("PAT_SCREENSHOTS")
ENDPOINT = "0199a7d2-0000-7000-8000-0000000000e1"
DELIVERY = "0199a7d2-0000-7000-8000-0000000000d1"


def endpoint(**fields) -> dict:
    return {"id": ENDPOINT, "user_id": str(LEO.id), "url": "https://example.com/hooks", "description": "CRM", "kind": "standard",
            "events": ["call.*"], "signing": ["v1"], "payload": "full", "ordering": "none", "timeout_ms": 15000, "max_concurrency": 10,
            "state": "enabled", "state_reason": None, "failing_since": None, "failures": 0, "last_success_at": None,
            "created_at": "2026-11-23T00:00:00Z", "keys": [], "pending": 1, "dead": 1} | fields


def delivery(**fields) -> dict:
    return {"id": DELIVERY, "endpoint_id": ENDPOINT, "event_id": DELIVERY, "type": "call.ended", "state": "dead", "attempts": 2,
            "occurred_at": "2026-11-23T00:00:00Z", "created_at": "2026-11-23T00:00:00Z", "next_attempt_at": None,
            "last_attempt_at": "2026-11-23T00:05:00Z", "last_status": 500, "last_ms": 31, "last_fault": "receiver", "last_error": None} | fields


class Relay(Responder):
    """A webhook-relay with one endpoint and one delivery."""

    def __enter__(self):
        super().__enter__()
        self.endpoints = [endpoint()]
        self.on("relay", "endpoint_list", lambda p: {"endpoints": [e for e in self.endpoints if p["user_id"] == e["user_id"]]})
        self.on("relay", "endpoint_create", self.create)
        self.on("relay", "endpoint_rotate", lambda p: {"secrets": [{"scheme": "v1", "secret": "whsec_rotated"}],
                                                       "previous_until": "2026-11-24T00:00:00Z"})
        self.on("relay", "endpoint_test", lambda p: {"delivery_id": DELIVERY, "event_id": DELIVERY})
        self.on("relay", "endpoint_update", self.update)
        self.on("relay", "endpoint_delete", self.delete)
        self.on("relay", "deliveries", lambda p: {"deliveries": [delivery()] if p["user_id"] == str(LEO.id) and
                                                  p.get("state") in (None, "dead") else [], "next": None})
        self.on("relay", "delivery", lambda p: delivery(log=[{"at": "2026-11-23T00:00:00Z", "status": 500, "ms": 31, "fault": "receiver"}],
                                                        last_response="teapot", payload='{"type":"call.ended"}'))
        self.on("relay", "delivery_replay", lambda p: {"replayed": 1, "more": False})
        return self

    def create(self, p: dict) -> dict:
        made = endpoint(id=ENDPOINT[:-1] + "2", url=p["url"], events=p["events"])
        self.endpoints.append(made)
        return {"endpoint": made, "secrets": [{"scheme": "v1", "secret": "whsec_shown_once"}]}

    def update(self, p: dict) -> dict:
        self.endpoints = [e | {"state": p["state"]} if e["id"] == p["endpoint_id"] else e for e in self.endpoints]
        return {"endpoint": self.endpoints[0], "secrets": []}

    def delete(self, p: dict) -> dict:
        self.endpoints = [e for e in self.endpoints if e["id"] != p["endpoint_id"]]
        return {"deleted": True}


@pytest.fixture(scope="module")
def stack():
    with Switcher(BUILD, with_livekit=False) as s:
        seed_calls(s)
        tell(s)
        yield s


def tell(s) -> None:
    """Call 1 was talked in, and has gone from LiveKit to Retell."""
    events = [("call", "offered", 0, {"from": "+15550109999", "to": LEO.number}),
              ("call", "routed", 1, {"stack": "livekit", "action": "stack", "reasons": ["unknown_caller", "own_stack"], "is_fallback": False}),
              ("call", "answered", 3, {"stack": "livekit", "greeting_ms": 420}),
              ("turn", "agent", 6, {"turn": 0, "text": "Hello, this is Leo's assistant.", "heard": "Hello, this is Leo's assistant.",
                                    "interrupted": False, "started_ms": 0, "ended_ms": 2000}),
              ("turn", "user", 10, {"turn": 1, "text": "I want to order a cake.", "started_ms": 4000, "ended_ms": 6000}),
              ("turn", "tool", 11, {"tool": "take_message", "outcome": "ok", "arguments": {}, "error": None}),
              ("call", "ended", 12, {"stack": "livekit", "reason": "stack_lost", "owner": "provider"})]
    s.sql("delete from patchbay.call_events where call_id = %s and type <> 'pat.call.v1.failed_over'", call_id(1))
    for area, name, at, data in events:
        s.sql("insert into patchbay.call_events (id, call_id, user_id, type, subject, occurred_at, data) values (gen_random_uuid(), %s, %s, "
              "%s, 'x', '2026-11-23T10:00:00Z'::timestamptz + %s * interval '1 second', %s)",
              call_id(1), LEO.id, f"pat.{area}.v1.{name}", at, json.dumps(data))
    s.sql("update patchbay.call_events set occurred_at = '2026-11-23T10:00:02Z' where type = 'pat.call.v1.failed_over'")


@pytest.fixture(scope="module")
def recorded(stack, s3):  # noqa: F811
    """Ten seconds: the agent speaks in the fifth and sixth, the caller in the ninth and tenth."""
    put(stack, s3, 1, wav([(8, 20000), (9, 20000)], [(4, 12000), (5, 12000)], seconds=12))
    stack.sql("update patchbay.recordings set began_at = '2026-11-23T10:00:00Z', duration_ms = 12000 where call_id = %s", call_id(1))


@pytest.fixture(scope="module")
def relay(stack):
    with Relay(stack.nats.url) as r:
        yield r


@pytest.fixture(scope="module")
def browser():
    with Browser() as b:
        yield b


@pytest.fixture(scope="module")
def tokens(stack):
    return {"leo": token(stack, LEO.id), "rita": token(stack, RITA.id), "admin": token(stack, ADMIN, app_metadata={"role": "admin"})}


# ---------------------------------------------------------------------- calls


def test_calls_are_filtered_and_the_address_remembers(stack, browser, tokens):
    with browser.page(f"{stack.url}/admin/calls", tokens["admin"]) as page:
        every = page.get_by_role("region", name="Calls", exact=True).locator("tbody tr")
        wait(lambda: every.count() == 6, 30, "everybody's calls")
        page.get_by_role("region", name="Calls under way").get_by_role("link", name="Leo").wait_for()
        page.get_by_label("Stack").select_option("retell")
        wait(lambda: every.count() == 1, 30, "Rita's")
        page.get_by_label("Stack").select_option("")
        page.get_by_label("Number").fill(LEO.number[-5:])
        wait(lambda: every.count() == 5, 30, "Leo's")
        page.reload()
        wait(lambda: every.count() == 5, 30, "Leo's, still")
        page.get_by_label("Number").fill("12")
        page.get_by_text("At least the last four digits.").wait_for()


def test_a_call_that_begins_appears_by_itself(stack, browser, tokens):
    with browser.page(f"{stack.url}/admin/calls", tokens["admin"]) as page:
        live = page.get_by_role("region", name="Calls under way").locator("tbody tr")
        wait(lambda: live.count() == 1, 30, "one is under way")
        stack.sql("insert into patchbay.calls (id, user_id, from_number, to_number, stack, state) values (%s, %s, '+15550107777', %s, 'retell', 'answered')",
                  call_id(77), RITA.id, RITA.number)
        try:
            live.filter(has_text="+15550107777").wait_for()
        finally:
            stack.sql("delete from patchbay.calls where id = %s", call_id(77))
        wait(lambda: live.count() == 1, 30, "and goes")


def test_a_call_says_what_happened_and_why(stack, browser, tokens, recorded):
    with browser.page(f"{stack.url}/calls/{call_id(1)}", tokens["leo"]) as page:
        page.get_by_text("Goes to LiveKit", exact=True).wait_for()
        for sentence in ("The caller is no contact.", "It goes to the user's own stack.", "Leaves LiveKit, goes to Retell", "It was busy.",
                         "The greeting was heard after 420 ms.",
                         "The stack had lost the call while the caller was still on the line (the provider's fault).",
                         "The agent uses take message: ok"):
            page.get_by_text(sentence, exact=True).wait_for()
        assert page.get_by_role("button", name="End the call").count() == 0


def test_a_recording_is_played_and_the_transcript_follows(stack, browser, tokens, recorded):
    with browser.page(f"{stack.url}/calls/{call_id(1)}", tokens["leo"]) as page:
        slider = page.get_by_role("slider", name="Position")
        wait(lambda: slider.get_attribute("aria-valuemax") == "12", 30, "its length is known")
        page.get_by_role("button", name="Play from 0:08").click()
        wait(lambda: slider.get_attribute("aria-valuenow") == "8", 30, "it is there")
        page.locator(".bubbles li.now", has_text="I want to order a cake.").wait_for()
        slider.focus()
        page.keyboard.press("ArrowLeft")
        wait(lambda: slider.get_attribute("aria-valuenow") == "3", 30, "five seconds back")
        page.keyboard.press("End")
        page.keyboard.press("Home")
        wait(lambda: slider.get_attribute("aria-valuenow") == "0", 30, "the begin")
        box = slider.bounding_box()
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 10)
        wait(lambda: slider.get_attribute("aria-valuenow") == "6", 30, "where it was clicked")
        page.locator(".bubbles li.now", has_text="Hello, this is Leo").wait_for()
        page.get_by_label("Hear").select_option("agent")
        page.get_by_role("button", name="Play", exact=True).click()
        page.get_by_role("button", name="Pause", exact=True).wait_for()
        wait(lambda: page.evaluate("document.querySelector('audio').currentTime") > 6.2, 30, "it plays")
        painted = page.evaluate("""() => { const c = document.querySelector('pb-recording canvas'), d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
            return d.some((v, i) => i % 4 === 3 && v > 0); }""")
        assert painted


def mp3(seconds: int) -> bytes:
    """One side: the second half is loud."""
    rate, out = 16000, io.BytesIO()
    t = np.arange(seconds * rate) / rate
    sound = (0.6 * np.sin(2 * np.pi * 300 * t) * (t >= seconds / 2) * 32767).astype("<i2")
    with av.open(out, "w", format="mp3") as file:
        stream = file.add_stream("libmp3lame", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(sound[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = rate, 0
        for f in av.AudioResampler(stream.codec_context.format.name, "mono", rate, 1152).resample(frame):
            file.mux(stream.encode(f))
        file.mux(stream.encode(None))
    return out.getvalue()


def test_a_recording_the_server_does_not_decode_is_drawn_all_the_same(stack, s3, browser, tokens):  # noqa: F811
    """The carrier's files are MP3."""
    put(stack, s3, 2, mp3(8), "mp3")
    with browser.page(f"{stack.url}/calls/{call_id(2)}", tokens["leo"]) as page:
        slider = page.get_by_role("slider", name="Position")
        wait(lambda: slider.get_attribute("aria-valuemax") == "8", 30, "its length is known")
        # How high the bars are at a quarter and at three quarters of it.
        heights = """() => { const c = document.querySelector('pb-recording canvas:not(.flat)'); if (!c || !c.width) return null;
            const d = c.getContext('2d').getImageData(0, 0, c.width, c.height), high = (from) => { let n = 0;
                for (let y = 0; y < d.height; y++) { let on = false;
                    for (let x = from; x < from + 12; x++) on ||= d.data[(y * d.width + x) * 4 + 3] > 0;
                    n += on; }
                return n; };
            return [high(Math.floor(c.width / 4)), high(Math.floor(c.width * 3 / 4))]; }"""
        quiet, loud = wait(lambda: page.evaluate(heights), 30, "it is drawn")
        assert quiet < 6 and loud > 25
        page.get_by_role("button", name="Play", exact=True).click()
        wait(lambda: page.evaluate("document.querySelector('audio').currentTime") > 0.2, 30, "it plays")


def test_a_recording_of_somebody_else_is_not_heard(stack, browser, tokens, recorded):
    with browser.page(f"{stack.url}/calls/{call_id(1)}", tokens["rita"], faults_ok=True) as page:
        page.get_by_text("no such thing").wait_for()
        assert page.locator("audio").count() == 0


def test_an_admin_ends_a_call_from_its_page(stack, browser, tokens):
    with Responder(stack.nats.url) as router:
        router.on("router", "hangup", lambda p: {"state": "ended"})
        with browser.page(f"{stack.url}/calls/{call_id(5)}", tokens["admin"]) as page:
            page.get_by_role("button", name="End the call").click()
            page.get_by_role("dialog").get_by_role("button", name="End the call").click()
            wait(lambda: router.asked("router", "hangup"), 30, "a router is asked")
            page.get_by_text("The call is being ended.").wait_for()


# ---------------------------------------------------------------------- webhooks


def test_an_endpoint_is_made_and_its_secret_shown_once(stack, browser, tokens, relay):
    with browser.page(f"{stack.url}/webhooks", tokens["leo"]) as page:
        page.get_by_text("https://example.com/hooks").first.wait_for()
        page.get_by_role("button", name="Add an endpoint").click()
        page.get_by_label("Address").fill("https://example.org/mine")
        page.get_by_role("button", name="Create").click()
        page.get_by_text("whsec_shown_once").wait_for()
        asked = relay.asked("relay", "endpoint_create")[-1]
        assert (asked["url"], asked["user_id"], asked["events"]) == ("https://example.org/mine", str(LEO.id), ["call.*", "usage.recorded"])
        page.get_by_role("button", name="I have it").click()
        page.reload()
        page.get_by_text("https://example.org/mine").first.wait_for()
        assert page.get_by_text("whsec_shown_once").count() == 0
        page.get_by_role("button", name="New secret for https://example.org/mine").click()
        page.get_by_role("dialog").get_by_role("button", name="New secret").click()
        page.get_by_text("whsec_rotated").wait_for()
        page.get_by_role("button", name="Switch off https://example.com/hooks").click()
        page.get_by_role("button", name="Switch on https://example.com/hooks").wait_for()
        page.get_by_role("button", name="Send a test to https://example.com/hooks").click()
        wait(lambda: relay.asked("relay", "endpoint_test"), 30, "a test is asked for")
        page.get_by_role("button", name="Delete https://example.org/mine").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        wait(lambda: page.get_by_text("https://example.org/mine").count() == 0, 30, "it is gone")


def test_a_delivery_is_looked_at_and_sent_again(stack, browser, tokens, relay):
    with browser.page(f"{stack.url}/webhooks", tokens["leo"]) as page:
        page.get_by_role("button", name="call.ended").click()
        page.get_by_text("answered 500 · fault: the receiver's · 31 ms").wait_for()
        page.get_by_text("teapot").wait_for()
        page.get_by_role("button", name="Send again").first.click()
        page.get_by_text("1 on the way again.").wait_for()
        assert relay.asked("relay", "delivery_replay")[-1]["delivery_id"] == DELIVERY
        page.get_by_text("Send a range again").click()
        page.get_by_label("Since").fill("2026-11-22T00:00")
        page.get_by_role("button", name="Send again").last.click()
        wait(lambda: relay.asked("relay", "delivery_replay")[-1].get("since") == "2026-11-22T00:00:00.000Z", 30, "a range is asked for")
        page.locator("pb-webhook-deliveries").get_by_label("State").select_option("pending")
        page.get_by_text("Nothing was sent.").wait_for()


def test_an_admin_looks_after_somebodys_webhooks(stack, browser, tokens, relay):
    with browser.page(f"{stack.url}/admin/webhooks", tokens["admin"]) as page:
        page.get_by_label("Whose webhooks").fill("leo")
        page.get_by_role("button", name="Leo").click()
        page.get_by_text("https://example.com/hooks").first.wait_for()
        page.get_by_role("link", name="Leo").wait_for()


def test_voices_of_nobody_are_where_the_stacks_health_is(stack, browser, tokens):
    label = f"patchbay {uuid.uuid4()}"
    stack.sql("insert into patchbay.voice_strays (voice_id, name, label) values ('strayVoice0123456789', 'Whose is it', %s)", label)
    stack.sql("insert into patchbay.voice_checks (voice_id, why, state) values ('a', 'round', 'there'), ('b', 'round', 'doubted')")
    stack.sql("insert into patchbay.voice_orphans (clone_id, voice_id, due_at) values (gen_random_uuid(), 'c', now() + interval '1 day')")
    try:
        with browser.page(f"{stack.url}/admin/health", tokens["admin"]) as page:
            care = page.locator("pb-voice-care")
            care.get_by_text("strayVoice0123456789").wait_for()
            care.get_by_text(label).wait_for()
            care.get_by_text("more than can be true").wait_for()
            assert care.locator(".facts div", has_text="To be deleted there").inner_text().split() == ["To", "be", "deleted", "there", "1"]
            if os.environ.get("PAT_SCREENSHOTS"):
                page.screenshot(path=f"{os.environ['PAT_SCREENSHOTS']}/care.png", full_page=True)
            assert not violations(page)
    finally:
        stack.sql("truncate patchbay.voice_strays, patchbay.voice_checks, patchbay.voice_orphans")


# ---------------------------------------------------------------------- the audit


def test_a_change_is_in_the_audit_with_before_and_after(stack, browser, tokens):
    with browser.page(f"{stack.url}/agent", tokens["leo"]) as page:
        page.get_by_label("Name", exact=True).fill("Audited")
        page.get_by_text("Saved", exact=True).first.wait_for()
    with browser.page(f"{stack.url}/admin/audit", tokens["admin"]) as page:
        page.get_by_label("What").select_option("agent")
        page.get_by_text("What changed").first.click()
        row = page.locator(".diff tr", has_text="Agent name").first
        row.get_by_text("Audited").wait_for()
        page.get_by_role("button", name="Leo").first.click()
        page.wait_for_url(re.compile(f"actor={LEO.id}"))


# ---------------------------------------------------------------------- quality

PAGES = [("/admin/calls", "admin"), (f"/calls/{call_id(1)}", "leo"), ("/webhooks", "leo"), (f"/admin/webhooks?user_id={LEO.id}", "admin"),
         ("/admin/audit", "admin"), ("/admin", "admin"), ("/admin/health", "admin"), ("/admin/switches", "admin")]


@pytest.mark.parametrize("size, dark", [(PHONE, False), (TABLET, True), (DESKTOP, False)], ids=["phone", "tablet-dark", "desktop"])
@pytest.mark.parametrize("path, who", PAGES)
def test_every_page_is_accessible_on_every_width(stack, browser, tokens, relay, recorded, path, who, size, dark):
    with browser.page(stack.url + path, tokens[who], size, dark) as page:
        page.locator("h1").first.wait_for()
        wait(lambda: page.locator("[aria-busy=true]").count() == 0, 30, "all is there")
        assert not violations(page)
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if SCREENS:
            page.screenshot(path=f"{SCREENS}/{path.split('?')[0].strip('/').replace('/', '-')}-{size[0]}.png", full_page=True)
        assert wide <= 0, f"{wide} pixels wider than the window"


# ---------------------------------------------------------------------- overview, health


def test_the_overview_says_what_is_going_on(stack, browser, tokens):
    with browser.page(f"{stack.url}/", tokens["admin"]) as page:
        page.get_by_role("heading", name="Overview").wait_for()
        page.get_by_role("link", name="+15550109999 → Leo").wait_for()
        page.get_by_text("Nobody is being moved.").wait_for()


def test_health_shows_a_week_and_what_went_wrong(stack, browser, tokens):
    stack.sql("insert into patchbay.stack_hours values (date_trunc('hour', now()) - interval '2 days', 'livekit', 1000, 333) "
              "on conflict (hour, stack) do update set attempts = 1000, failed = 333")
    stack.sql("insert into patchbay.calls (id, user_id, from_number, to_number, stack, state, outcome, ended_owner, ended_reason, ended_at) values "
              "(%s, %s, '+15550107777', %s, 'retell', 'ended', 'failed', 'provider', 'no_answer', now()) on conflict do nothing",
              call_id(78), RITA.id, RITA.number)
    stack.sql("insert into patchbay.stack_states values ('livekit', 'degraded', '[\"slow_answers\"]', now()) on conflict do nothing")
    with browser.page(f"{stack.url}/admin/health", tokens["admin"]) as page:
        page.get_by_role("img", name=re.compile("Seven days: 1,0.. calls, 33. not served")).wait_for()
        page.get_by_text("Slow answers").wait_for()
        page.get_by_role("region", name="Calls that went wrong").get_by_text("Nobody answered.").wait_for()
    stack.sql("delete from patchbay.stack_states")
    stack.sql("delete from patchbay.calls where id = %s", call_id(78))


ADMIN_PAGES = ["/admin", "/admin/calls", "/admin/switches", "/admin/webhooks", "/admin/audit", "/admin/health", "/admin/users"]


def test_other_roles_are_refused_everywhere(stack, browser, tokens):
    """Two tenants side by side: Leo sees his own, nothing of Rita's, and no admin's page."""
    with browser.page(f"{stack.url}/agent", tokens["leo"]) as page:
        page.get_by_label("Greeting").wait_for()
        for path in ADMIN_PAGES + [f"/admin/users/{RITA.id}"]:
            page.evaluate("p => { history.pushState(null, '', p); dispatchEvent(new PopStateEvent('popstate')); }", path)
            wait(lambda: page.evaluate("location.pathname") == "/agent", 30, f"back home from {path}")
        assert page.get_by_text("Rita").count() == 0
    with browser.page(f"{stack.url}/calls", tokens["rita"]) as page:
        wait(lambda: page.locator("tbody tr").count() == 1, 30, "her one call")
        assert page.get_by_text("Leo").count() == 0


@pytest.mark.parametrize("path, who", [("/admin/calls", "admin"), (f"/calls/{call_id(1)}", "leo"), ("/admin/audit", "admin"), ("/admin", "admin"),
                                       ("/admin/health", "admin"), ("/admin/rates", "admin"), ("/agent", "leo")])
def test_nothing_jumps_while_a_page_loads(stack, browser, tokens, recorded, path, who):
    with browser.page(stack.url + path, tokens[who]) as page:
        page.locator("h1").first.wait_for()
        wait(lambda: page.locator("[aria-busy=true]").count() == 0, 30, "all is there")
        shift = page.evaluate("""() => new Promise(done => { let n = 0;
            new PerformanceObserver(list => { n += list.getEntries().filter(e => !e.hadRecentInput).reduce((a, e) => a + e.value, 0); })
                .observe({type: 'layout-shift', buffered: true});
            requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => done(n), 100))); })""")
        assert shift < 0.1, f"{path} jumps by {shift:.3f}"
