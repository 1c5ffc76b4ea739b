"""The agent for longer, fuller, and with death on every side. Figures go to docs/performance.md.

    scripts/test soak -- tests/e2e/test_livekit_soak.py -s
"""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from harness.rough import RoughStack, new_call

from harness import voice
from harness.sip_leg import wait
from harness.stack import ROOT

pytestmark = [pytest.mark.soak, pytest.mark.timeout(560)]
QUESTION = "hello please tell me your opening hours"
# Each caller is LiveKit's SDK in this process, and the doubles really listen and speak: about four callers a free core.
CALLS = int(os.environ.get("PAT_SOAK_CALLS", 2 * (os.cpu_count() or 2)))


@pytest.fixture
def stack():
    with RoughStack(Path(os.environ.get("PAT_BUILD_DIR", ROOT / "build/release"))) as s:
        yield s


def status(pid: int) -> dict:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {"rss_mib": int(next(v for v in lines if v.startswith("VmRSS:")).split()[1]) / 1024,
            "threads": int(next(v for v in lines if v.startswith("Threads:")).split()[1]),
            "fds": len(list(Path(f"/proc/{pid}/fd").iterdir()))}


def cpu_s(pid: int) -> float:
    stat = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def metric(stack, name: str) -> float:
    return sum(float(line.rsplit(" ", 1)[1]) for line in stack.agent.metrics().splitlines() if line.startswith(name + " "))


def answered_call(stack, question, turns=1):
    call = new_call()
    assert "result" in stack.prepare(call)
    leg = stack.invite(call)
    leg.wait_active()
    leg.wait_speech(leg.active_at)
    leg.wait_quiet()
    for _ in range(turns):
        leg.say(question)
        leg.wait_speech(leg.last_voiced_sent_at)
        leg.wait_quiet()
    return leg


def test_many_calls_for_a_minute(stack):
    """No thread per call, little memory, few late packets; everything is given back."""
    pid = stack.agent.process.pid
    question = voice.trim(voice.speak(QUESTION))
    answered_call(stack, question).hang_up()
    wait(stack.idle, 30, "the first call is over")
    idle, late = status(pid), metric(stack, "pat_agent_late_frames_total")
    legs, failed, stop = [], [], threading.Event()

    def caller():
        try:
            leg = answered_call(stack, question)
            legs.append(leg)
            while not stop.is_set():
                leg.say(question)
                leg.wait_speech(leg.last_voiced_sent_at, 30)
                leg.wait_quiet(timeout_s=60)
        except Exception as e:  # noqa: BLE001 - told below
            if not stop.is_set():
                failed.append(repr(e))
    callers = [threading.Thread(target=caller, daemon=True) for _ in range(CALLS)]
    for c in callers:
        c.start()
        time.sleep(0.25)
    wait(lambda: len(legs) == CALLS or failed, 90, "every caller was answered")
    began, cpu = time.monotonic(), cpu_s(pid)
    wait(lambda: time.monotonic() - began > 60, 70, "a minute is over")
    took, used, full = time.monotonic() - began, cpu_s(pid) - cpu, status(pid)
    stop.set()
    for leg in list(legs):
        leg.hang_up()
    wait(stack.idle, 40, "every call was let go")
    late = metric(stack, "pat_agent_late_frames_total") - late
    after = wait(lambda: (s := status(pid))["fds"] <= idle["fds"] + 2 and s, 30, "descriptors are given back")
    per_call = (full["rss_mib"] - idle["rss_mib"]) / CALLS
    print(f"\n{CALLS} calls: {per_call:.2f} MiB resident per call, {used / took / CALLS * 1000:.1f} ms CPU per call and second, "
          f"{late:.0f} late of about {CALLS * 50 * took:.0f} packets, idle {idle}, full {full}, after {after}")
    assert not failed
    assert per_call < 2 and full["threads"] == idle["threads"]
    assert late < 0.02 * CALLS * 50 * took


def test_fifty_calls_leave_nothing(stack):
    pid = stack.agent.process.pid
    question = voice.trim(voice.speak("good morning please call me back tomorrow morning"))

    def batch(n):
        done = []
        callers = [threading.Thread(target=lambda: done.append(answered_call(stack, question).hang_up()), daemon=True)
                   for _ in range(n)]
        for c in callers:
            c.start()
        for c in callers:
            c.join(90)
        assert len(done) == n
        wait(stack.idle, 30, "every call was let go")
    batch(2)
    batch(2)
    before = wait(lambda: status(pid), 1, "")
    for _ in range(25):
        batch(2)
    after = wait(lambda: (s := status(pid))["fds"] <= before["fds"] + 2 and s, 30, "descriptors are given back")
    print(f"\n50 calls in a row: before {before}, after {after}")
    assert after["threads"] == before["threads"]
    assert after["rss_mib"] < before["rss_mib"] + 3, "under 64 KiB a call"


CALLER = """
import asyncio, sys
from livekit import api, rtc
async def main(url, key, secret, room, call):
    r = rtc.Room()
    token = (api.AccessToken(key, secret).with_identity("sip_x").with_kind("sip").with_attributes({"sip.callStatus": "active"})
             .with_grants(api.VideoGrants(room_join=True, room=room))).to_jwt()
    await r.connect(url, token)
    source = rtc.AudioSource(48000, 1)
    await r.local_participant.publish_track(rtc.LocalAudioTrack.create_audio_track("phone", source))
    frame = rtc.AudioFrame(bytes(1920), 48000, 1, 960)
    print("in", flush=True)
    while True:
        await source.capture_frame(frame)
asyncio.run(main(*sys.argv[1:]))
"""


def test_a_caller_whose_machine_dies_is_let_go(stack):
    call = new_call()
    stack.prepare(call)
    child = subprocess.Popen([sys.executable, "-c", CALLER, stack.livekit.url, stack.livekit.key, stack.livekit.secret,
                              f"call_{call}", call], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout.readline().strip() == "in"
        wait(lambda: stack.agent.logged("call.answered", call=call), 20, "the caller is greeted")
    finally:
        child.kill()
        child.wait(5)
    died = time.monotonic()
    wait(stack.idle, 40, "the agent has let the call go")
    print(f"\na caller who died was let go after {time.monotonic() - died:.1f} s")
    assert time.monotonic() - died < 30
    answered_call(stack, voice.trim(voice.speak(QUESTION))).hang_up()


@pytest.mark.parametrize("signals", [1, 2])
def test_told_to_stop_during_calls(stack, signals):
    """The calls end by the drain's limit, the program with 0; a second signal changes nothing or hurries it."""
    question = voice.trim(voice.speak(QUESTION))
    legs = [answered_call(stack, question) for _ in range(2)]
    process, began = stack.agent.process, time.monotonic()
    process.send(signal.SIGTERM)
    if signals == 2:
        time.sleep(0.5)
        process.send(signal.SIGTERM)
    code = process.wait(20)
    print(f"\nended with {code} after {time.monotonic() - began:.1f} s")
    assert code == 0 or (signals == 2 and code in (1, 143, -signal.SIGTERM))
    assert time.monotonic() - began < 8
    for leg in legs:
        assert leg.wait_end(10) == "callee_hangup"
    stack.agent.start()
    answered_call(stack, question).hang_up()
