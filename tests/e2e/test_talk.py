"""Talk to your agent: a call from a real browser, with a microphone that says a sentence, to our agent and to Retell's."""

import json
import os
import urllib.error
import uuid
import wave
from pathlib import Path

import jwt
import numpy as np
import pytest

from harness import voice
from harness.browser import DESKTOP, PHONE, TABLET, Browser, violations
from harness.retell_web import RetellWeb
from harness.sip_leg import wait
from harness.stack import ADMIN, LEO, RITA, ROOT, Stack, http_json

SENTENCE = "good morning please tell me your opening hours thank you"  # one of those the recogniser knows
PER_MIN = 20
BEFORE_S = 8  # the greeting is over by then, on a machine that is not too busy: else it is interrupted


@pytest.fixture(scope="module")
def stack():
    with Stack(Path(os.environ.get("PAT_BUILD_DIR", ROOT / "build/dev")),
               daemons={"stack-switcher": {"PAT_TALK_PER_MIN": str(PER_MIN)}}) as s:
        yield s
        ended_badly = [d.name for d in s.daemons.values() if not d.process.alive()]
        assert not ended_badly, "\n".join(s.daemons[n].process.tail() for n in ended_badly)


@pytest.fixture(scope="module")
def microphone(tmp_path_factory) -> Path:
    """Silence, the sentence, silence."""
    path = tmp_path_factory.mktemp("talk") / "said.wav"
    said = voice.trim(voice.speak(SENTENCE))
    with wave.open(str(path), "wb") as w:
        w.setnchannels(1)
        w.setsampwidth(2)
        w.setframerate(voice.RATE)
        w.writeframes(np.concatenate([np.zeros(BEFORE_S * voice.RATE, np.int16), said,
                                      np.zeros(60 * voice.RATE, np.int16)]).tobytes())
    return path


@pytest.fixture(scope="module")
def browser(microphone):
    with Browser(microphone) as b:
        yield b


def post_talk(stack: Stack, user, token: str, status: int = 201) -> dict:
    url = f"{stack.daemons['stack-switcher'].url}/v1/users/{user.id}/talk"
    try:
        answer = http_json("POST", url, {}, {"Authorization": f"Bearer {token}"})
        assert status == 201, answer
        return answer
    except urllib.error.HTTPError as e:
        body = json.loads(e.read())
        assert e.code == status, body
        return body | {"headers": dict(e.headers)}


def call_row(stack: Stack, call: str) -> dict:
    return stack.row("select * from patchbay.calls where id = %s", call)


def ended(stack: Stack, call: str) -> dict:
    return wait(lambda: (r := call_row(stack, call))["state"] == "ended" and r, 30, "the call has ended")


# What comes out of the loudspeaker, as WebAudio has it: the loudest moment so far.
LISTEN = """() => {
  const context = new AudioContext(), analyser = context.createAnalyser(), samples = new Float32Array(2048);
  const sound = document.querySelector("pb-talk audio");
  analyser.fftSize = 2048;
  context.createMediaStreamSource(sound.srcObject).connect(analyser);
  window.loudest = 0;
  setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    window.loudest = Math.max(window.loudest, Math.sqrt(samples.reduce((s, v) => s + v * v, 0) / samples.length));
  }, 50);
}"""


def shot(page, name: str) -> None:
    """On three widths, for whoever wants to look (PAT_SCREENSHOTS)."""
    for size in (PHONE, TABLET, DESKTOP) if os.environ.get("PAT_SCREENSHOTS") else ():
        page.set_viewport_size({"width": size[0], "height": size[1]})
        page.screenshot(path=Path(os.environ["PAT_SCREENSHOTS"]) / f"{name}-{size[0]}.png")


def begin(page) -> dict:
    with page.expect_response("**/talk") as answered:
        page.get_by_role("button", name="Talk to your agent").click()
    page.get_by_role("button", name="Hang up").wait_for()
    page.locator("pb-talk audio").wait_for(state="attached")
    page.evaluate(LISTEN)
    return answered.value.json()


@pytest.fixture(scope="module")
def retell(stack):
    with RetellWeb(stack, voice.sentences()) as web:
        yield web
    assert not web.failed


def test_you_talk_to_your_agent_on_livekit_and_see_what_is_said(stack, browser):
    with browser.page(f"{stack.daemons['stack-switcher'].url}/agent", stack.token(LEO.id)) as page:
        talk = begin(page)
        call = talk["call_id"]
        claims = jwt.decode(talk["token"], options={"verify_signature": False})
        assert claims["video"] == {"room": f"call_{call}", "roomJoin": True, "canSubscribe": True, "canPublish": True,
                                   "canPublishSources": ["microphone"], "canPublishData": False,
                                   "canUpdateOwnMetadata": False}
        assert set(claims) == {"iss", "sub", "nbf", "exp", "video"} and claims["exp"] - claims["nbf"] <= 120

        greeting = page.locator(".bubbles li.agent .words").first
        wait(lambda: greeting.inner_text().startswith("Hello"), 30, "the greeting")
        said = page.locator(".bubbles li.caller:not(.growing) .words")
        wait(lambda: said.count() and voice.same_words(said.first.inner_text(), SENTENCE), 30, "what the microphone said")
        answer = page.locator(".bubbles li.agent .words").nth(1)
        wait(lambda: answer.is_visible() and answer.inner_text(), 30, "the answer")
        wait(lambda: page.evaluate("window.loudest") > 0.02, 30, "the answer is audible")
        latency = page.locator(".bubbles li.agent .latency").first
        wait(lambda: latency.is_visible() and "heard after" in latency.inner_text(), 30, "how long it took, heard")
        wait(lambda: "agent" in latency.inner_text() and "thought" in latency.inner_text(), 30, "and as the agent has it")
        assert violations(page) == []
        shot(page, "talk")

        page.get_by_role("button", name="Mute").click()
        page.get_by_role("button", name="Unmute").wait_for()
        row = call_row(stack, call)
        assert (row["carrier"], row["state"], row["livekit_room"], row["from_number"]) == ("web", "answered", f"call_{call}", None)
        page.get_by_role("button", name="Hang up").click()
        page.get_by_role("link", name="Look at this call").wait_for()
        row = ended(stack, call)
        assert (row["outcome"], row["ended_reason"], row["ended_owner"]) == ("answered", "caller_hangup", "caller")
        kinds = wait(lambda: (k := [t for (t,) in stack.sql("select type from patchbay.call_events where call_id = %s", call)])
                     and "pat.call.v1.ended" in k and k, 30, "its events")
        assert kinds.count("pat.call.v1.ended") == 1
        assert kinds.count("pat.call.v1.offered") == kinds.count("pat.call.v1.answered") == 1
        assert {c for (c,) in stack.sql("select component from patchbay.usage where call_id = %s", call)} >= {"stt", "participant"}
        assert stack.sql("select allowed from patchbay.audit where action = 'talk' and subject = %s", call) == [(True,)]


def test_you_talk_to_your_agent_on_retell_with_its_own_token(stack, browser, retell):
    with browser.page(f"{stack.daemons['stack-switcher'].url}/agent", stack.token(RITA.id)) as page:
        talk = begin(page)
        call = talk["call_id"]
        assert talk["stack"] == "retell"
        request = stack.double_log("retell", "web_call")[-1]["request"]
        assert request["metadata"] == {"call_id": call, "user_id": str(RITA.id)}
        assert request["agent_override"] == {"agent": {"max_call_duration_ms": talk["max_s"] * 1000}}

        said = page.locator(".bubbles li.caller .words")
        wait(lambda: said.count() and voice.same_words(said.first.inner_text(), SENTENCE), 30, "what the microphone said")
        answer = page.locator(".bubbles li.agent .words").nth(1)
        wait(lambda: answer.is_visible() and answer.inner_text(), 30, "the answer")
        wait(lambda: page.evaluate("window.loudest") > 0.02, 30, "it is audible")
        latency = page.locator(".bubbles li.agent .latency").first
        wait(lambda: latency.is_visible() and "heard after" in latency.inner_text(), 30, "how long it took, heard")
        page.get_by_role("button", name="Hang up").click()
        page.get_by_role("link", name="Look at this call").wait_for()
        row = ended(stack, call)
        assert (row["carrier"], row["outcome"], row["ended_reason"]) == ("web", "answered", "caller_hangup")
        assert row["retell_call_id"] == stack.double_log("retell", "web_call")[-1]["call_id"]
        record = wait(lambda: stack.row("select * from public.call_records where id = %s and transcript is not null", call), 30,
                      "the call's record has what Retell told")
        assert record["call_type"] == "web_call" and SENTENCE in record["transcript"]
        cost = wait(lambda: (r := stack.row("select patchbay.call_cost(c) as cost from patchbay.calls c where id = %s", call)["cost"])
                    and r["microusd"]["total"] and r, 30, "what it cost")
        assert cost["microusd"]["telephony"] == 0 and cost["missing"] == []
        ends = wait(lambda: stack.sql("select data from patchbay.call_events where call_id = %s and type = 'pat.call.v1.ended'", call),
                    30, "call.ended")
        assert len(ends) == 1 and ends[0][0]["reason"] == "caller_hangup"


# ---------------------------------------------------------------------- who may, and how much


def test_an_agent_of_somebody_elses_is_refused_and_written_down(stack):
    answer = post_talk(stack, LEO, stack.token(RITA.id), 403)
    assert "own agent" in json.dumps(answer)
    assert stack.sql("select allowed, user_id from patchbay.audit where action = 'talk' and actor_id = %s and not allowed",
                     RITA.id) == [(False, LEO.id)]
    assert post_talk(stack, LEO, stack.token(ADMIN, app_metadata={"role": "admin"}))["stack"] == "livekit"


def test_one_call_at_a_time_and_what_nobody_came_to_gives_way(stack):
    first = post_talk(stack, LEO, stack.token(LEO.id))["call_id"]
    second = post_talk(stack, LEO, stack.token(LEO.id))["call_id"]
    row = ended(stack, first)
    assert (row["outcome"], row["ended_reason"]) == ("failed", "caller_gave_up")
    stack.sql("update patchbay.calls set state = 'answered', answered_at = now() where id = %s returning id", second)
    post_talk(stack, LEO, stack.token(LEO.id), 409)
    # Its browser never came back: past its longest it is closed by whoever looks.
    stack.sql("update patchbay.calls set answered_at = now() - interval '1 hour' where id = %s returning id", second)
    assert ended(stack, second)["ended_reason"] == "max_duration"


def test_the_days_minutes_run_out_and_the_page_says_so(stack, browser):
    call = post_talk(stack, RITA, stack.token(RITA.id))["call_id"]
    stack.sql("update patchbay.calls set state = 'ended', ended_at = now(), duration_ms = 3600000, offered_at = now() - interval '2 h' "
              "where id = %s returning id", call)
    with browser.page(f"{stack.daemons['stack-switcher'].url}/agent", stack.token(RITA.id), faults_ok=True) as page:
        page.get_by_role("button", name="Talk to your agent").click()
        page.get_by_text("no minutes for talking are left").wait_for()
    refused = post_talk(stack, RITA, stack.token(RITA.id), 429)
    assert 70_000 < int(refused["headers"]["Retry-After"]) <= 24 * 3600
    stack.sql("update patchbay.calls set duration_ms = 0 where id = %s returning id", call)


def test_what_may_be_spent_is_used_up(stack):
    stack.sql("insert into patchbay.user_budgets (user_id, cap_cents, spent_cents) values (%s, 1, 1)", RITA.id)
    try:
        assert "may spend" in json.dumps(post_talk(stack, RITA, stack.token(RITA.id), 429))
    finally:
        stack.sql("delete from patchbay.user_budgets where user_id = %s", RITA.id)


def test_nobody_begins_too_many_in_a_minute(stack):
    stranger = stack.token(uuid.uuid4())
    for _ in range(PER_MIN):
        post_talk(stack, LEO, stranger, 403)
    refused = post_talk(stack, LEO, stranger, 429)
    assert 1 <= int(refused["headers"]["Retry-After"]) <= 60


def test_without_an_agent_there_is_no_call(stack):
    stack.daemons["livekit-agent"].stop()
    try:
        assert "no agent is there" in json.dumps(post_talk(stack, LEO, stack.token(LEO.id, jti="other"), 503))
        row = stack.row("select * from patchbay.calls where user_id = %s and carrier = 'web' order by offered_at desc limit 1", LEO.id)
        assert (row["state"], row["ended_reason"], row["ended_owner"]) == ("ended", "not_served", "provider")
    finally:
        stack.daemons["livekit-agent"].start()


# ---------------------------------------------------------------------- what goes wrong in the browser


@pytest.mark.parametrize("fault, words", [("NotAllowedError", "The browser may not use the microphone"),
                                          ("NotFoundError", "There is no microphone"),
                                          ("NotReadableError", "Another program is using the microphone")])
def test_without_a_microphone_nobody_is_called(stack, browser, fault, words):
    before = stack.sql("select count(*) from patchbay.calls")
    with browser.page(f"{stack.daemons['stack-switcher'].url}/agent", stack.token(LEO.id)) as page:
        button = page.get_by_role("button", name="Talk to your agent")
        button.wait_for()
        page.evaluate("f => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', f)); }", fault)
        button.click()
        page.get_by_role("alert").get_by_text(words).wait_for()
        assert button.is_enabled()
    assert stack.sql("select count(*) from patchbay.calls") == before


def test_a_connection_that_breaks_is_made_again(stack, browser):
    with browser.page(f"{stack.daemons['stack-switcher'].url}/agent", stack.token(LEO.id), faults_ok=True) as page:
        sockets = []

        def pass_on(ws):
            server = ws.connect_to_server()
            sockets.append((ws, server))

        page.route_web_socket("**/rtc**", pass_on)
        begin(page)
        page.locator(".bubbles li.agent .words").first.wait_for()
        ws, server = sockets[-1]
        ws.close(code=1001)
        server.close(code=1001)
        page.get_by_text("Trying again").wait_for()
        page.get_by_text("Trying again").wait_for(state="detached")
        assert page.get_by_role("button", name="Hang up").is_visible()
        page.get_by_role("button", name="Hang up").click()
        page.get_by_role("link", name="Look at this call").wait_for()
