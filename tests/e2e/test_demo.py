"""scripts/demo as a person meets it: the console it prints, who one may be there, calls that go on, a talk, a switch, Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from harness import voice
from harness.browser import Browser
from harness.sip_leg import wait
from harness.stack import ROOT

SENTENCE = "do you have a free room on friday"
BEFORE_S = 8  # the greeting is over by then, or interrupted


@pytest.fixture(autouse=True)
def nobody_on_the_line():
    """Of this folder's other tests: there is no stack of ours here."""


@pytest.fixture
def demo(tmp_path):
    """(process, what it has printed so far)"""
    log = tmp_path / "demo.log"
    with open(log, "w") as out:
        p = subprocess.Popen([sys.executable, "-u", "-m", "harness.demo", os.environ.get("PAT_BUILD_DIR", ROOT / "build/dev"),
                              "--say", SENTENCE, "--calls-every", "20"], stdout=out, stderr=subprocess.STDOUT,
                             env=os.environ | {"PYTHONPATH": str(ROOT / "tests")}, start_new_session=True)
    try:
        yield p, log
    finally:
        if p.poll() is None:
            p.send_signal(signal.SIGINT)
            p.wait(60)


@pytest.fixture
def microphone(tmp_path) -> Path:
    path = tmp_path / "said.wav"
    with wave.open(str(path), "wb") as w:
        w.setnchannels(1)
        w.setsampwidth(2)
        w.setframerate(voice.RATE)
        w.writeframes(np.concatenate([np.zeros(BEFORE_S * voice.RATE, np.int16), voice.trim(voice.speak(SENTENCE)),
                                      np.zeros(60 * voice.RATE, np.int16)]).tobytes())
    return path


def test_the_console_shows_both_users_calls_a_talk_and_a_switch(demo, microphone):
    process, log = demo
    found = wait(lambda: re.search(r"the console +(\S+)", log.read_text()) or process.poll() is not None, 90, "the demo is up")
    assert process.poll() is None, log.read_text()
    url = found[1]
    with Browser(microphone) as browser, browser.page(url) as page:
        page.get_by_role("button", name="An admin").click()
        page.get_by_role("link", name="Rita").wait_for()
        page.get_by_role("link", name="Leo").wait_for()

        page.get_by_role("button", name="Log out").click()
        page.get_by_role("button", name="Leo").click()
        page.get_by_role("button", name="Talk to your agent").click()
        said = page.locator("pb-talk .bubbles li.caller:not(.growing) .words")
        wait(lambda: said.count() and voice.same_words(said.first.inner_text(), SENTENCE), 45, "what the microphone said")
        wait(lambda: page.locator("pb-talk .bubbles li.agent .words").count() > 1, 30, "the answer")
        page.get_by_role("button", name="Hang up").click()
        page.get_by_role("link", name="Look at this call").wait_for()
        # Somebody has phoned him, and what was said is there.
        page.get_by_role("link", name="Calls").click()
        page.get_by_text("+15550109999").first.wait_for()

        page.get_by_role("button", name="Log out").click()
        page.get_by_role("button", name="An admin").click()
        page.get_by_role("link", name="Users").click()
        page.get_by_role("link", name="Rita").click()
        page.get_by_role("button", name="Switch to LiveKit…").click()
        page.get_by_role("dialog").get_by_role("button", name="Switch to LiveKit").click()
        page.locator("header").get_by_text("Using LiveKit (Custom voices enabled)").wait_for()
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    assert "Traceback" not in log.read_text()
