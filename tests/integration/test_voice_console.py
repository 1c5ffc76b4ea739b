"""Voices in Chromium: heard, set, recorded and named on the console, two tenants side by side, and on other people's pages."""

import http.server
import io
import json
import os
import re
import threading
import wave
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest

from harness import voice
from harness.browser import DESKTOP, PHONE, TABLET, Browser, violations
from harness.process import free_port
from harness.sip_leg import wait
from harness.stack import LEO, RITA
from test_voice_care import Care
from test_voices import FALLBACK, Switcher, call, clone, path_of
from test_voices import clean as clean  # noqa: F401 - a fixture

SARAH, BRIAN = "EXAVITQu4vr4xnSDxMaL", "nPczCjzI2devNBz1zQrb"
ALLOWED, OTHER = free_port(), free_port()


class Console(Switcher):
    """One stack-switcher, which one other page's origin may embed."""

    settings = {"stack-switcher": {"PAT_CONSOLE_EMBED_ORIGINS": f"http://127.0.0.1:{ALLOWED}",
                                   "PAT_CONSOLE_HELP_URL": "https://help.example/stacks"}}

    def __init__(self, *args, **kwargs):
        super().__init__(*args, daemons=self.settings, **kwargs)


@pytest.fixture(scope="module")
def stack():
    with Console(os.environ.get("PAT_BUILD_DIR", "build/dev"), with_livekit=False) as s:
        yield s


@pytest.fixture(scope="module")
def browser():
    with Browser() as b:
        yield b


def speech(seconds: float = 33) -> bytes:
    """Somebody who talks."""
    said = voice.speak("good morning this is my own voice and i am talking for a while so that it can be learnt", rate=16000)
    samples = np.tile(said, int(seconds * 16000 / len(said)) + 1)[:int(seconds * 16000)]
    out = io.BytesIO()
    with wave.open(out, "wb") as w:
        w.setnchannels(1), w.setsampwidth(2), w.setframerate(16000)
        w.writeframes(samples.astype("<i2").tobytes())
    return out.getvalue()


def spoken(stack) -> list[dict]:
    return stack.double_log("elevenlabs", "http_request")


def setting(stack, user, column: str):
    rows = stack.sql(f"select {column} from public.voices where user_id = %s order by updated_at desc limit 1", user.id)
    return rows and float(rows[0][0])


def hears(page, name: str, to_the_end: bool = True) -> None:
    """The button plays, and stops by itself at the end, or when it is pressed again."""
    page.get_by_role("button", name=f"Hear {name}").click()
    page.locator("#hear-voice button[data-state=playing]").wait_for()
    if not to_the_end:
        page.get_by_role("button", name="Stop", exact=True).click()
    page.locator("#hear-voice button[data-state=quiet]").wait_for()


# ---------------------------------------------------------------------- heard and set


def test_a_voice_is_heard_before_it_is_chosen_with_own_words_and_settings(clean, browser):
    with browser.page(f"{clean.url}/agent", clean.token(LEO.id)) as page:
        page.get_by_label("Voice", exact=True).select_option(BRIAN)
        wait(lambda: clean.speaks_with(LEO) == BRIAN, 30, "the chosen voice")
        n = len(spoken(clean))
        hears(page, "Brian", to_the_end=False)
        page.get_by_label("Words for the preview").fill("I say so.")
        hears(page, "Brian")
        page.get_by_text("How Brian speaks").click()
        page.get_by_label("Speed").fill("1.1")
        page.get_by_label("Stability").fill("0.3")
        hears(page, "Brian", to_the_end=False)
        first, second, third = spoken(clean)[n:]
        assert first["voice_id"] == BRIAN and first["text"] != second["text"] == third["text"] == "I say so."
        assert (third["voice_settings"]["speed"], third["voice_settings"]["stability"]) == (1.1, 0.3)
        wait(lambda: (setting(clean, LEO, "voice_speed"), setting(clean, LEO, "stability")) ==
             (pytest.approx(1.1), pytest.approx(0.3)), 30, "saved as typed")
        # And what is typed in the form goes on being saved: nobody took its version away.
        page.get_by_label("Greeting").fill("Hello from the same page.")
        wait(lambda: clean.sql("select greeting_template from public.agent_configs where user_id = %s", LEO.id) ==
             [("Hello from the same page.",)], 30, "the greeting")
        assert page.get_by_text("Somebody else has changed").count() == 0


def test_settings_of_a_voice_are_taken_back(clean, browser):
    with browser.page(f"{clean.url}/agent", clean.token(LEO.id)) as page:
        page.get_by_label("Voice", exact=True).select_option(SARAH)
        wait(lambda: clean.speaks_with(LEO) == SARAH, 30, "the chosen voice")
        page.get_by_text("How Sarah speaks").click()
        page.get_by_label("Likeness").fill("0.2")
        wait(lambda: setting(clean, LEO, "similarity_boost") == pytest.approx(0.2), 30, "saved")
        page.get_by_role("button", name="Undo").click()
        wait(lambda: setting(clean, LEO, "similarity_boost") == pytest.approx(0.75), 30, "as before")
        wait(lambda: page.get_by_label("Likeness").input_value() == "0.75", 30, "and shown")


def test_on_retell_there_are_presets_and_their_own_samples(clean, browser):
    with browser.page(f"{clean.url}/agent", clean.token(RITA.id), PHONE) as page:
        page.get_by_label("Voice", exact=True).select_option("11labs-Kate")
        for what in ("#voice-cloning-section", "#clone-voice-btn", "#voice-preview-section", "pb-voice-clone"):
            assert page.locator(what).count() == 0, what
        page.get_by_text("The vendor has no sample of this voice.").wait_for()
        page.get_by_text("How Kate speaks").click()
        assert page.get_by_label("Stability").is_disabled() and page.get_by_label("Speed").is_enabled()
        assert page.get_by_text("Kept; calls on this stack do nothing with it.").count() == 4
        assert not violations(page)


# ---------------------------------------------------------------------- one's own


def test_a_clone_is_made_heard_renamed_and_kept_through_a_reload(clean, browser, tmp_path):
    (tmp_path / "me.wav").write_bytes(speech())
    with browser.page(f"{clean.url}/agent", clean.token(LEO.id)) as page:
        with page.expect_file_chooser() as chooser:
            page.locator("#clone-voice-btn").click()
        chooser.value.set_files(tmp_path / "me.wav")
        page.get_by_role("button", name="Listen to your recording").click()
        page.get_by_role("progressbar", name="Played").wait_for()
        page.get_by_role("button", name="Stop", exact=True).click()
        assert page.get_by_role("button", name="Make my voice").is_enabled()
        page.get_by_label("This is my own voice, or I have the consent").check()
        page.get_by_role("button", name="Make my voice").click()
        page.get_by_text("Your voice is ready").wait_for()
        made = wait(lambda: next(iter(clean.clones()), None), 30, "the clone")
        wait(lambda: clean.speaks_with(LEO) == made, 30, "it speaks")
        page.get_by_role("button", name="Hear Leo's Voice").wait_for()
        hears(page, "Leo's Voice", to_the_end=False)
        assert spoken(clean)[-1]["voice_id"] == made
        page.get_by_role("button", name="Rename Leo's Voice").click()
        page.get_by_label("New name of Leo's Voice").fill("Leo on Sundays")
        page.get_by_role("button", name="Save", exact=True).click()
        page.get_by_role("button", name="Delete Leo on Sundays").wait_for()
        wait(lambda: clean.clones() == {made: "Leo on Sundays"}, 60, "its name at the vendor")
        assert not violations(page)
        page.reload()
        page.get_by_text("speaks as Leo on Sundays (cloned)").wait_for()


def test_a_recording_stops_by_itself_and_can_be_made_again(clean, browser):
    with browser.page("about:blank", faults_ok=True) as page:
        page.clock.install()
        page.goto(f"{clean.url}/favicon.svg")
        page.evaluate("t => sessionStorage.setItem('patchbay.token', t)", clean.token(LEO.id))
        page.goto(f"{clean.url}/agent")
        page.get_by_role("button", name="Record", exact=True).click()
        page.get_by_role("meter", name="Level").wait_for()
        wait(lambda: page.locator(".timer").inner_text() >= "0:01", 30, "a second")
        page.clock.fast_forward(113_000)
        page.get_by_text("It stops by itself in").wait_for()
        page.clock.fast_forward(8_000)
        judged(page)
        page.get_by_role("button", name="Record again").click()
        wait(lambda: page.locator(".timer").inner_text() >= "0:02", 30, "two seconds")
        page.get_by_role("button", name="Stop", exact=True).click()
        judged(page)


def judged(page):
    """The browser's clock was moved, the microphone's cannot be: what it took is as long as the machine was slow."""
    shown = page.locator(".recording .help").filter(has_text=re.compile(r"^\d+:\d\d long$"))
    shown.wait_for()
    minutes, seconds = shown.inner_text().split()[0].split(":")
    short = int(minutes) * 60 + int(seconds) < 10
    assert page.get_by_text("at least 10 are needed").is_visible() == short
    assert not short or page.get_by_role("button", name="Make my voice").is_disabled()


def test_a_user_is_told_that_his_voice_is_gone(clean, browser):
    _, made = clone(clean)
    clean.vendor().voices.delete(made["voice_id"])
    Care.trouble(clean, LEO.id)  # a call could not speak with it
    wait(lambda: clean.speaks_with(LEO) == FALLBACK, 60, "another voice speaks")
    with browser.page(f"{clean.url}/agent", clean.token(LEO.id)) as page:
        page.get_by_text("“Leo's Voice” cannot be used any more").wait_for()
        page.get_by_text("Sarah speaks instead.").wait_for()
        assert not violations(page)
        page.get_by_role("button", name="OK").click()
        wait(lambda: clean.sql("select 1 from patchbay.voice_notices where seen_at is not null"), 30, "read")
        page.reload()
        page.get_by_label("Voice", exact=True).wait_for()
        assert page.get_by_text("cannot be used any more").count() == 0


def test_two_tenants_side_by_side_see_their_own_clones_only(clean, browser):
    clean.sql("update public.agent_configs set active_voice_stack = 'livekit' where user_id = %s", RITA.id)
    try:
        clone(clean, LEO, name="Leo's alone")
        clone(clean, RITA, name="Rita's alone")
        with browser.page(f"{clean.url}/agent", clean.token(LEO.id)) as leo, browser.page(f"{clean.url}/agent", clean.token(RITA.id)) as rita:
            for page, own, others in ((leo, "Leo's alone", "Rita's alone"), (rita, "Rita's alone", "Leo's alone")):
                page.get_by_role("button", name=f"Delete {own}").wait_for()
                assert others not in page.locator("body").inner_text() and others not in page.locator("#voice").inner_html()
        theirs = clean.speaks_with(RITA)
        assert call(clean, "GET", path_of(RITA), LEO)[0] == 404
        with browser.page(f"{clean.url}/agent", clean.token(LEO.id), faults_ok=True) as page:
            page.get_by_label("Voice", exact=True).wait_for()
            status = page.evaluate("""async ([user, voice]) => (await fetch(`/v1/users/${user}/agent`, {method: "PATCH",
                headers: {Authorization: `Bearer ${sessionStorage.getItem("patchbay.token")}`, "Content-Type": "application/json"},
                body: JSON.stringify({voice_id: voice})})).status""", [str(LEO.id), theirs])
            assert status == 400
    finally:
        clean.sql("update public.agent_configs set active_voice_stack = 'retell', voice_id = '11labs-Kate' where user_id = %s", RITA.id)


def test_the_voice_section_fits_every_width(clean, browser):
    clone(clean)
    with browser.page(f"{clean.url}/agent", clean.token(LEO.id), PHONE, dark=True) as page:
        page.get_by_text("How Leo's Voice speaks").click()
        page.get_by_role("button", name="Rename Leo's Voice").click()
        for width, height in (PHONE, TABLET, DESKTOP):
            page.set_viewport_size({"width": width, "height": height})
            assert not violations(page)
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


# ---------------------------------------------------------------------- on other people's pages

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Another product</title>
<script type="module" src="/page.js"></script></head>
<body><h1>My agent</h1><patchbay-badge></patchbay-badge><patchbay-voice></patchbay-voice></body></html>"""
SCRIPT = """import %s;
const tokens = [];
window.asked = tokens;
const token = async () => { tokens.push(1); return %s; };
for (const e of document.querySelectorAll("patchbay-badge, patchbay-voice")) {
  e.addEventListener("patchbay-changed", (c) => (window.changed = c.detail.voice.id));
  e.addEventListener("patchbay-login", () => (window.login = true));
  e.token = token;
}
"""


@contextmanager
def other_page(port: int, api: str, token: str):
    """A page of somebody else's, as strict as can be."""
    files = {"/": ("text/html", PAGE), "/page.js": ("text/javascript", SCRIPT % (json.dumps(f"{api}/embed/v1/patchbay.js"), json.dumps(token)))}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            kind, body = files.get(self.path, (None, ""))
            self.send_response(200 if kind else 204)
            if kind:
                self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Security-Policy", f"default-src 'none'; script-src 'self' {api}; connect-src {api}; "
                             "base-uri 'none'; require-trusted-types-for 'script'; trusted-types lit-html")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), partial(Handler))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.shutdown()
        server.server_close()


def test_another_page_embeds_them_under_its_own_strict_policy(clean, browser, tmp_path):
    (tmp_path / "me.wav").write_bytes(speech())
    with other_page(ALLOWED, clean.url, clean.token(LEO.id)) as url, browser.page(url) as page:
        page.get_by_role("link", name="Using LiveKit (Custom voices enabled)").wait_for()
        page.get_by_label("Voice", exact=True).select_option(BRIAN)
        wait(lambda: clean.speaks_with(LEO) == BRIAN, 30, "the chosen voice")
        wait(lambda: page.evaluate("window.changed") == BRIAN, 30, "the page is told")
        page.get_by_role("button", name="Hear Brian").click()
        page.locator("#hear-voice button[data-state=playing]").wait_for()
        with page.expect_file_chooser() as chooser:
            page.locator("#clone-voice-btn").click()
        chooser.value.set_files(tmp_path / "me.wav")
        page.get_by_label("This is my own voice, or I have the consent").check()
        page.get_by_role("button", name="Make my voice").click()
        page.get_by_text("Your voice is ready").wait_for()
        wait(lambda: clean.speaks_with(LEO) in clean.clones(), 30, "it speaks")
        page.get_by_role("button", name="Delete Leo's Voice").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        wait(lambda: clean.speaks_with(LEO) == FALLBACK, 30, "the fallback speaks")
        assert page.evaluate("window.asked.length") > 2 and page.evaluate("document.querySelector('patchbay-voice').getAttributeNames()") == []
        assert page.evaluate("[document.cookie, Object.keys(sessionStorage).length, Object.keys(localStorage).length]") == ["", 0, 0]
        assert not violations(page)


def test_a_page_nobody_named_gets_nothing(clean, browser):
    with other_page(OTHER, clean.url, clean.token(LEO.id)) as url, browser.page(url, faults_ok=True) as page:
        refused = page.evaluate("""async ([api, user, token]) => {
            const tries = [fetch(`${api}/v1/users/${user}/voices`, {headers: {Authorization: `Bearer ${token}`}}),
                           fetch(`${api}/v1/console`), import(`${api}/embed/v1/patchbay.js`)];
            return (await Promise.allSettled(tries)).map(t => t.status);
        }""", [clean.url, str(LEO.id), clean.token(LEO.id)])
        assert refused == ["rejected"] * 3
        assert page.evaluate("customElements.get('patchbay-voice') === undefined")


def test_on_retell_the_embedded_section_has_no_cloning_either(clean, browser):
    with other_page(ALLOWED, clean.url, clean.token(RITA.id)) as url, browser.page(url) as page:
        page.get_by_text("Using Retell (Preset voices only)").wait_for()
        page.get_by_label("Voice", exact=True).wait_for()
        assert page.locator("#voice-cloning-section").count() == 0 and page.locator("#clone-voice-btn").count() == 0


def test_a_token_that_is_no_longer_good_asks_the_page_to_log_in(clean, browser):
    with other_page(ALLOWED, clean.url, clean.token(LEO.id, ttl_s=-3600)) as url, browser.page(url, faults_ok=True) as page:
        wait(lambda: page.evaluate("window.login") is True, 30, "the page is told")
