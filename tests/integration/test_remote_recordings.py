"""Recordings that are at Retell alone: heard through the stack-switcher, seen and heard on the console's page of the call."""

import os
import socket
import struct
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.browser import Browser, violations
from harness.sip_leg import wait
from harness.stack import ADMIN, LEO, RITA, Stack, http_json
from test_calls_api import fetch, memory
from test_retell_events import projected, say
from test_retell_provider import rpc_to
from test_retell_recordings import sound
from test_retell_tools import Call

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")
SIZE = 12 * 16000 * 4 + 44  # twelve seconds of two sides
SCREENS = os.environ.get("PAT_SCREENSHOTS")


class Remote(Stack):
    """No object store anywhere."""

    def _start_daemons(self, relay_port: int) -> None:
        self.settings["stack-switcher"]["PAT_RETELL_RECORDING_FROM"] = f"https://recordings.example,{self.double('retell')}"
        super()._start_daemons(relay_port)

    @property
    def url(self) -> str:
        return self.daemons["stack-switcher"].url


@pytest.fixture(scope="module")
def stack():
    settings = {"retell-provider": {"PAT_RETELL_SETTLE": "100ms", "PAT_RETELL_REQUESTS_PER_S": "200"}, "stack-switcher": {
        "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=16"}}
    with Remote(BUILD, with_livekit=False, daemons=settings) as s:
        s.sql("alter table public.users add column if not exists record_calls boolean default true")
        s.control("retell", call_ms=0)
        yield s


@pytest.fixture
def retell(stack):
    yield lambda **keys: stack.control("retell", **keys)
    stack.control("retell", fail=None, recording_bytes=100000, recording_ms=600000, recording_wav=False, no_ranges=False,
                  scrubbed=False)


def judged(stack, call, *states: str) -> dict:
    return wait(lambda: stack.row("select * from patchbay.retell_legs where call_id = %s and recording = any(%s)", call.id, list(states)),
                60, f"the recording is {states}")


def over(stack, *states: str) -> Call:
    """A call that was recorded at Retell."""
    call = Call(stack)
    stack.hang_up(call.sid)
    judged(stack, call, *(states or ["remote"]))
    return call


def hear(stack, call, user=None, what: str = "recording", **headers):
    return fetch(stack, f"/v1/calls/{call.id}/{what}", stack.token(user or call.user), **headers)


def listed(stack, call) -> tuple[dict | None, bool]:
    bearer = {"Authorization": f"Bearer {stack.token(call.user)}"}
    one = http_json("GET", f"{stack.url}/v1/calls/{call.id}", None, bearer)
    page = http_json("GET", f"{stack.url}/v1/calls", None, bearer)
    return one["recording"], next(c["recorded"] for c in page["calls"] if c["id"] == call.id)


def asked(stack) -> int:
    return len(stack.double_log("retell", "recording"))


def point_to(stack, call, url: str) -> None:
    stack.sql("update patchbay.retell_legs set urls = jsonb_build_object(listen, %s::text) where call_id = %s", url, call.id)


# ---------------------------------------------------------------------- by HTTP


def test_it_is_heard_through_us_whole_and_in_parts(stack, retell):
    retell(recording_bytes=900_000)
    call, whole = over(stack), sound(900_000)
    status, headers, body = hear(stack, call)
    assert (status, headers["content-type"], headers["accept-ranges"]) == (200, "audio/wav", "bytes") and body == whole
    assert "location" not in headers
    for asked_for, part in (("bytes=0-9", whole[:10]), ("bytes=300000-600000", whole[300000:600001]), ("bytes=-5", whole[-5:])):
        status, headers, body = hear(stack, call, Range=asked_for)
        assert status == 206 and body == part and headers["content-range"].endswith("/900000")
    assert hear(stack, call, Range="bytes=900000-")[0] == 416
    status, headers, _ = fetch(stack, f"/v1/calls/{call.id}/recording?download=1", stack.token(call.user), "HEAD")
    assert status == 200 and headers["content-disposition"] == 'attachment; filename="call.wav"'
    recording, recorded = listed(stack, call)
    assert recorded and recording["state"] == "remote" and recording["began_at"]
    assert "/recordings/" not in str(http_json("GET", f"{stack.url}/v1/calls/{call.id}", None,
                                               {"Authorization": f"Bearer {stack.token(call.user)}"})), "its address stays with us"
    assert stack.double_log("retell", "recording")[-1]["name"] == "stereo.wav"


def test_only_its_owner_and_admins_hear_it(stack):
    call = over(stack)
    before = asked(stack)
    for user in (LEO.id, RITA.id, uuid.uuid4()):
        assert hear(stack, call, user)[0] == 404 and hear(stack, call, user, "waveform")[0] == 404
    assert fetch(stack, f"/v1/calls/{call.id}/recording")[0] == 401
    assert asked(stack) == before, "nobody went there for them"
    assert fetch(stack, f"/v1/calls/{call.id}/recording", stack.token(ADMIN, app_metadata={"role": "admin"}))[2] == sound(100_000)
    assert fetch(stack, f"/v1/calls/{call.id}/recording", Cookie=f"pb_listen={stack.token(call.user)}")[0] == 200


def configure(stack, call, **settings) -> None:
    for name, value in settings.items():
        stack.sql(f"alter table public.agent_configs add column if not exists {name} {'boolean' if value is False else 'text'}")
        stack.sql(f"update public.agent_configs set {name} = %s where user_id = %s", value, call.user)


def test_one_who_keeps_no_personal_data_hears_the_scrubbed_one_or_none(stack, retell):
    call = Call(stack)
    configure(stack, call, pii_storage="redacted")
    before = asked(stack)
    stack.hang_up(call.sid)
    wait(lambda: stack.row("select * from patchbay.retell_legs where call_id = %s and error is not null", call.id), 30, "it is looked for")
    assert judged(stack, call, "offered")["error"] == "there is none without personal data"
    assert hear(stack, call)[0] == 404 and hear(stack, call, what="waveform")[0] == 404
    assert listed(stack, call) == (None, False) and asked(stack) == before
    retell(scrubbed=True)
    stack.sql("update patchbay.retell_legs set attempts = 6, next_at = now() where call_id = %s", call.id)
    judged(stack, call, "remote")
    wait(lambda: stack.sql("select 1 from patchbay.remote_recordings where call_id = %s", call.id), 10, "what Retell gave is kept")
    assert hear(stack, call)[0] == 200 and stack.double_log("retell", "recording")[-1]["name"] == "scrubbed-stereo.wav"


@pytest.mark.parametrize("column,settings", [("record_calls", None), (None, {"recording_enabled": False}), (None, {"pii_storage": "disabled"})])
def test_what_nobody_wanted_recorded_is_not_heard(stack, column, settings):
    """The same rule as for copies."""
    call = Call(stack)
    if column:
        stack.sql("update public.users set record_calls = false where id = %s", call.user)
    else:
        configure(stack, call, **settings)
    before = asked(stack)
    stack.hang_up(call.sid)
    projected(call, 3)
    judged(stack, call, "none", "unwanted")
    assert hear(stack, call)[0] == 404 and hear(stack, call, what="waveform")[0] == 404
    assert listed(stack, call) == (None, False) and asked(stack) == before


def test_one_that_was_deleted_here_does_not_come_back(stack):
    call = over(stack)
    stack.sql("insert into patchbay.recordings (call_id, name, user_id, state, began_at) values (%s, 'recording', %s, 'deleted', now())",
              call.id, call.user)
    assert hear(stack, call)[0] == 404 and listed(stack, call) == (None, False)


def test_one_that_could_not_be_copied_is_heard_there(stack):
    call = over(stack)
    stack.sql("update patchbay.retell_legs set recording = 'failed' where call_id = %s", call.id)
    stack.sql("insert into patchbay.recordings (call_id, name, user_id, state, began_at) values (%s, 'recording', %s, 'failed', now())",
              call.id, call.user)
    assert hear(stack, call)[0] == 200 and listed(stack, call)[0]["state"] == "remote"
    stack.sql("update patchbay.retell_legs set forgotten_at = now() where call_id = %s", call.id)
    assert hear(stack, call)[0] == 404 and listed(stack, call)[0]["state"] == "failed"


def test_an_address_elsewhere_is_not_followed(stack):
    """Whoever could write a webhook would have us ask anything of anybody."""
    call, mine = over(stack), stack.double("retell")
    port = mine.rsplit(":", 1)[1]
    before = asked(stack)
    for url in (f"http://localhost:{port}/recordings/x/stereo.wav?until=9999999999999", f"{mine}@127.0.0.1:{port}/recordings/x/stereo.wav",
                f"{stack.double('storage')}/x.wav", "http://169.254.169.254/latest/meta-data", "file:///etc/passwd",
                f"https://127.0.0.1:{port}/recordings/x/stereo.wav"):
        point_to(stack, call, url)
        for what in ("recording", "waveform"):
            status, headers, body = hear(stack, call, what=what)
            assert status == 404 and "location" not in headers and url.encode() not in body, (url, what)
    assert asked(stack) == before
    assert "meta-data" not in stack.daemons["stack-switcher"].process.log.read_text()


def expired(stack, retell, size: int = 900_000, **keys) -> Call:
    """A call whose recording's address was good, and is not any more."""
    retell(recording_bytes=size, **keys)
    call = over(stack)
    retell(expire_recordings=True)
    return call


def looks(stack, call) -> int:
    """How often Retell was asked for this call."""
    return sum(e["call_id"] == call.retell for e in stack.double_log("retell", "got_call"))


def address(stack, call) -> str:
    return stack.row("select url from patchbay.remote_recordings where call_id = %s", call.id)["url"]


def renewal(stack, call, user=None, refused: str | None = None) -> dict:
    return rpc_to(stack, "pat.rpc.v1.retell.renew_urls", {"call_id": call.id, "user_id": str(user or call.user),
                                                          "refused": refused or address(stack, call)})


def test_one_whose_address_has_expired_plays_all_the_same(stack, retell):
    call = expired(stack, retell)
    old = address(stack, call)
    status, headers, body = hear(stack, call, Range="bytes=300000-600000")
    assert status == 206 and body == sound(900_000)[300000:600001] and "location" not in headers
    wait(lambda: address(stack, call) != old, 10, "the new one is kept")
    assert hear(stack, call)[2] == sound(900_000)
    assert looks(stack, call) == 1, "the next listener is given the new one"


def test_how_loud_it_is_is_reckoned_from_the_new_address(stack, retell):
    call = expired(stack, retell, SIZE, recording_wav=True)
    status, _, body = hear(stack, call, what="waveform")
    assert status == 200 and b'"duration_ms":12000' in body and looks(stack, call) == 1


def test_a_long_calls_address_is_renewed_too(stack, retell):
    """Every word of it is in what Retell answers, twice, with its times."""
    call = expired(stack, retell)
    say(call, "user: " + "word " * 15000)
    assert hear(stack, call)[0] == 200 and looks(stack, call) == 1


def test_an_address_that_expires_while_it_plays_is_renewed_where_it_stopped(stack, retell):
    retell(recording_bytes=16 << 20)
    call = over(stack)
    request = urllib.request.Request(f"{stack.url}/v1/calls/{call.id}/recording", headers={"Authorization": f"Bearer {stack.token(call.user)}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        begun = answer.read(1)
        retell(expire_recordings=True)
        assert begun + answer.read() == sound(16 << 20)
    assert looks(stack, call) == 1


def test_many_who_listen_ask_for_it_once(stack, retell):
    """At one replica they wait for the same answer; several replicas do, because the row of the leg is claimed."""
    call = expired(stack, retell)
    refused = address(stack, call)
    with ThreadPoolExecutor(12) as pool:
        ears = [pool.submit(hear, stack, call, **h) for h in ({}, {"what": "waveform"}, *({"Range": f"bytes={n}-"} for n in range(6)))]
        answers = [a for a in pool.map(lambda _: renewal(stack, call, refused=refused), range(4))]
        assert [e.result()[0] for e in ears] == [200, 200] + 6 * [206]
    assert looks(stack, call) == 1
    for a in answers:
        assert a.get("result", {}).get("url", refused) != refused or a["error"]["code"] == "busy", a
    assert renewal(stack, call, refused=refused)["result"]["url"] == address(stack, call)


def test_another_replicas_claim_is_waited_for(stack, retell):
    call = expired(stack, retell)
    stack.sql("update patchbay.retell_legs set renewing_until = now() + interval '1 second' where call_id = %s", call.id)
    assert hear(stack, call)[0] == 200 and looks(stack, call) == 1
    stack.control("retell", expire_recordings=True)
    stack.sql("update patchbay.retell_legs set renewing_until = now() + interval '1 minute', renewed_at = null where call_id = %s", call.id)
    status, _, body = hear(stack, call)
    assert status == 503 and b"could not be had now" in body and looks(stack, call) == 1


def test_one_that_is_refused_under_its_new_address_too_says_so(stack, retell):
    retell(recording_ms=-1000)
    call = over(stack)
    for what in ("recording", "waveform", "recording"):
        status, _, body = hear(stack, call, what=what)
        assert status == 404 and b"another one is not to be had" in body
    assert looks(stack, call) == 1, "Retell is not asked for each listener"


@pytest.mark.parametrize("gone", ["call", "address"])
def test_one_that_retell_does_not_have_any_more_says_so(stack, retell, gone):
    call = expired(stack, retell)
    if gone == "call":
        urllib.request.urlopen(urllib.request.Request(f"{stack.double('retell')}/v2/delete-call/{call.retell}", method="DELETE",
                                                      headers={"Authorization": f"Bearer {stack.retell_key}"}))
    else:
        stack.sql("update patchbay.retell_legs set listen = 'kept', urls = jsonb_build_object('kept', urls ->> listen) where call_id = %s",
                  call.id)
    status, _, body = hear(stack, call)
    assert status == 404 and b"another one is not to be had" in body


@pytest.mark.parametrize("away", ["provider", "retell", "busy"])
def test_while_nobody_can_renew_it_one_may_try_again(stack, retell, away):
    call = expired(stack, retell)
    provider = stack.daemons["retell-provider"]
    if away == "provider":
        provider.kill()
    else:
        retell(fail={"status": 503 if away == "retell" else 429, "times": -1, "path": "/v2/get-call/"})
    for what in ("recording", "waveform"):
        status, _, body = hear(stack, call, what=what)
        assert status == 503 and b"has expired" in body and b"could not be had now" in body
    if away == "provider":
        provider.start()
    retell(fail=None)
    assert wait(lambda: hear(stack, call)[0] == 200, 30, "it plays")


def test_only_the_users_own_call_is_asked_for(stack, retell):
    call, of_leo = expired(stack, retell), stack.row("select * from public.users where id = %s", LEO.id)
    assert renewal(stack, call, of_leo["id"])["error"]["code"] == "not_found"
    assert hear(stack, call, LEO.id)[0] == 404
    stack.sql("update patchbay.retell_legs set recording = 'unwanted' where call_id = %s", call.id)
    assert renewal(stack, call, refused="x")["error"]["code"] == "not_found"
    assert rpc_to(stack, "pat.rpc.v1.retell.renew_urls", {"call_id": call.id, "user_id": "x", "refused": "x"})["error"]["field"] == "user_id"
    assert looks(stack, call) == 0


@pytest.mark.parametrize("fault", [{"fail": {"status": 503, "times": 1, "path": "/recordings/"}}, {"no_ranges": True}])
def test_faults_at_the_vendors_are_ours_to_explain(stack, retell, fault):
    call = over(stack)
    retell(**fault)
    assert hear(stack, call)[0] == 503
    retell(no_ranges=False)
    assert hear(stack, call)[0] == 200


def test_who_does_not_read_does_not_fill_our_memory(stack, retell):
    retell(recording_bytes=64 << 20)
    call, before, readers = over(stack), memory(stack), []
    for _ in range(8):
        c = socket.create_connection(("127.0.0.1", stack.daemons["stack-switcher"].port))
        c.sendall(f"GET /v1/calls/{call.id}/recording HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {stack.token(call.user)}\r\n\r\n".encode())
        readers.append(c)
    wait(lambda: all(c.recv(1, socket.MSG_PEEK) for c in readers), 30, "all are answered")
    assert hear(stack, call, Range="bytes=67108863-")[2] == sound(64 << 20)[-1:]
    assert memory(stack) - before < 60_000_000, "not 512 MB of recordings in memory"
    for c in readers:
        c.close()


def test_how_loud_it_is_is_reckoned_once(stack, retell):
    retell(recording_bytes=SIZE, recording_wav=True)
    call = over(stack)
    status, _, body = hear(stack, call, what="waveform")
    assert status == 200 and b'"duration_ms":12000' in body
    wait(lambda: stack.row("select peaks from patchbay.retell_legs where call_id = %s and peaks is not null", call.id), 10, "it is kept")
    before = asked(stack)
    assert hear(stack, call, what="waveform")[2] and asked(stack) == before


# ---------------------------------------------------------------------- on the console


def test_it_is_played_on_the_page_of_the_call(stack, retell):
    retell(recording_bytes=SIZE, recording_wav=True)
    call = Call(stack)
    say(call, "agent: Hello, this is Ada's assistant.", "user: I want to order a cake.")
    stack.hang_up(call.sid)
    judged(stack, call, "remote")
    with Browser() as browser, browser.page(f"{stack.url}/calls/{call.id}", stack.token(call.user)) as page:
        slider = page.get_by_role("slider", name="Position")
        wait(lambda: slider.get_attribute("aria-valuemax") == "12", 30, "its length is known")
        # How loud caller and agent are drawn at a quarter and at three quarters of it.
        heights = """() => { const c = document.querySelector('pb-recording canvas:not(.flat)'); if (!c || !c.width) return null;
            const d = c.getContext('2d').getImageData(0, 0, c.width, c.height), half = c.height / 2, high = (from, top) => { let n = 0;
                for (let y = top; y < top + half; y++) { let on = false;
                    for (let x = from; x < from + 12; x++) on ||= d.data[(y * d.width + x) * 4 + 3] > 0;
                    n += on; }
                return n; };
            return [0, half].map((top) => [1, 3].map((q) => high(Math.floor(c.width * q / 4), top))); }"""
        (caller_early, caller_late), (agent_early, agent_late) = wait(lambda: page.evaluate(heights), 30, "it is drawn")
        assert caller_early < 6 < 15 < caller_late and agent_late < 6 < 15 < agent_early
        page.get_by_role("button", name="Play", exact=True).click()
        wait(lambda: page.evaluate("document.querySelector('audio').currentTime") > 0.5, 30, "it plays")
        slider.focus()
        page.keyboard.press("PageUp")
        wait(lambda: float(slider.get_attribute("aria-valuenow")) > 9, 30, "it goes on elsewhere")
        page.get_by_role("link", name="Download").wait_for()
        assert page.get_by_role("alert").count() == 0 and not violations(page)
        if SCREENS:
            page.screenshot(path=f"{SCREENS}/remote.png", full_page=True)
