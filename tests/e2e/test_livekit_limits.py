"""Calls that do not go on for ever, and words nobody may cut: silence, machines, the longest call, money, notices."""

import os
from pathlib import Path

import numpy as np
import pytest
from test_livekit_call import ask, greeted

from harness import events, voice
from harness.sip_leg import wait
from harness.stack import LEO, ROOT, Stack

GREETING = "hello this is the assistant of leo how can i help you"
NOTICE = "This call is recorded."
QUESTION = "hello please tell me your opening hours"
MACHINE = ("you have reached the voice mailbox of leo i can not take your call right now please leave a message after the tone "
           "and i will call you back")
OURS = {"still": "Are you still there?", "nobody": "I can't hear anybody any more, so I'll hang up now. Goodbye.",
        "bye": "Thank you for calling. Goodbye.", "limit": "I'm sorry, this call has reached its limit. Goodbye."}
SPANISH = {"still": "¿Sigue ahí?", "nobody": "Ya no oigo a nadie, así que voy a colgar. Adiós.",
           "sorry": "Lo siento, no le he entendido. ¿Puede repetirlo, por favor?"}


@pytest.fixture(scope="module")
def stack():
    with Stack(Path(os.environ.get("PAT_BUILD_DIR", ROOT / "build/dev"))) as s:
        s.control("deepgram", grammar=[MACHINE, *voice.sentences()])
        yield s
        ended_badly = [d.name for d in s.daemons.values() if not d.process.alive()]
        assert not ended_badly, "\n".join(s.daemons[n].process.tail() for n in ended_badly)


@pytest.fixture
def agent(stack):
    """To be started anew with other settings; what it had comes back after."""
    daemon = stack.daemons["livekit-agent"]
    before = dict(daemon.env)

    def settings(**env):
        daemon.env |= env
        daemon.restart()
        return daemon
    yield settings
    if daemon.env != before:
        daemon.env = before
        daemon.restart()


@pytest.fixture
def language(stack):
    """Of Leo's agent; what it was comes back after."""
    before = stack.sql("select language from public.agent_configs where user_id = %s", LEO.id)[0][0]

    def speak(code):
        stack.sql("update public.agent_configs set language = %s where user_id = %s", code, LEO.id)
        stack.wait_routed()
    yield speak
    speak(before)


def begin(stack):
    sid = stack.place_call(LEO.number)
    return sid, stack.leg(sid)


def ended(stack, sid, leg, reason: str, timeout_s=60) -> dict:
    leg.wait_end(timeout_s)
    wait(lambda: stack.daemons["livekit-agent"].logged("call.ended", call=leg.call, reason=reason), 20, f"it ended: {reason}")
    return stack.wait_row(sid, "ended", 30)


def heard(watch, call: str) -> list[str]:
    return [e["data"]["heard"] for e in sorted(watch.of("turn.agent", call), key=lambda e: e["time"])]


def sounds_like(leg, since: float, text: str) -> bool:
    said = [text, *(t for t in OURS.values() if t != text), GREETING, *voice.sentences()[:20]]
    return voice.overlap(text, voice.hear(voice.trim(leg.heard.since(since)), said)) >= 0.8


def test_a_silent_caller_is_asked_and_let_go(stack, watch, agent):
    agent(PAT_AGENT_IDLE_MS="3s", PAT_AGENT_IDLE_PROMPTS="1")
    sid, leg = begin(stack)
    greeted(leg)
    row = ended(stack, sid, leg, "idle")
    said = wait(lambda: (h := heard(watch, leg.call)) and len(h) >= 3 and h, 20, "what was said is told")
    assert voice.same_words(said[0], GREETING), "{name} is the user's"
    assert [OURS["still"], OURS["nobody"]] == said[1:3]
    assert row["outcome"] == "answered"
    assert not watch.of("turn.user", leg.call)


def test_an_agent_says_in_its_language_what_it_says_by_itself(stack, watch, agent, language):
    agent(PAT_AGENT_IDLE_MS="3s", PAT_AGENT_IDLE_PROMPTS="1")
    language("es-ES")
    sid, leg = begin(stack)
    ended(stack, sid, leg, "idle")
    said = wait(lambda: (h := heard(watch, leg.call)) and len(h) >= 3 and h, 20, "what was said is told")
    assert [SPANISH["still"], SPANISH["nobody"]] == said[1:3]
    asked = [e["text"].strip() for e in stack.double_log("elevenlabs", "speech")]
    assert SPANISH["still"] in asked and SPANISH["nobody"] in asked


def test_and_what_is_kept_for_when_no_voice_is_left(stack, watch, agent, language):
    agent()
    language("es-ES")
    sid, leg = begin(stack)
    greeted(leg)
    made = lambda: [e["body"]["input"] for e in stack.double_log("openai", "speech")][:-1]  # noqa: E731  (one after the other)
    wait(lambda: SPANISH["sorry"] in made(), 30, "it is made beside the call, by the fallback voice")
    stack.control("elevenlabs", fail={"status": 500, "times": -1})
    stack.control("elevenlabs", cut={"times": -1, "after": 0, "code": 1011})
    stack.control("openai", fail={"status": 500, "times": -1, "path": "/audio/speech"})
    try:
        leg.say(voice.trim(voice.speak(QUESTION)))
        wait(lambda: SPANISH["sorry"] in heard(watch, leg.call), 40, "the apology is told")
    finally:
        stack.control("elevenlabs", reset=True)
        stack.control("openai", reset=True)
    stack.hang_up(sid)
    stack.wait_row(sid, "ended", 30)


def test_the_longest_call_ends_with_a_goodbye(stack, watch, agent):
    agent(PAT_AGENT_MAX_CALL_MS="8s")
    sid, leg = begin(stack)
    greeted(leg)
    since = leg.wait_speech(leg.active_at + 6, 60)
    ended(stack, sid, leg, "max_duration")
    assert wait(lambda: OURS["bye"] in heard(watch, leg.call), 20, "the goodbye is told")
    assert sounds_like(leg, since - 0.2, OURS["bye"])


def test_an_answering_machine_is_hung_up_on(stack, watch, agent):
    agent(PAT_AGENT_MACHINE="hang_up")
    sid, leg = begin(stack)
    leg.wait_active()
    tone = (8000 * np.sin(2 * np.pi * 1000 * np.arange(voice.RATE) / voice.RATE)).astype(np.int16)
    leg.say(np.concatenate([voice.trim(voice.speak(MACHINE)), np.zeros(voice.RATE // 4, np.int16), tone]))
    told = watch.wait_for("call.machine", leg.call, timeout_s=40)
    events.validate({k: v for k, v in told.items() if k != "_subject"}, told["_subject"])
    assert told["data"]["action"] == "hang_up" and (told["data"]["phrases"] >= 2 or told["data"]["beep"])
    leg.wait_end(40)
    stack.wait_row(sid, "ended", 30)


def test_a_call_may_cost_only_so_much(stack, watch, agent):
    stack.sql("insert into patchbay.prices (provider, component, model, valid_from, price_microusd, per, unit, source, read_on) "
              "select p, 'tts_chars', '', now() - interval '1 day', 1000, 1, 'character', 'this test', current_date "
              "from unnest(array['elevenlabs', 'openai']) p on conflict do nothing")
    stack.sql("update patchbay.prices set price_microusd = 1000, per = 1 where component = 'tts_chars'")
    daemon = agent(PAT_AGENT_MAX_CALL_CENTS="2")
    sid, leg = begin(stack)
    greeted(leg)
    if not watch.of("call.limit", leg.call):  # a greeting out of the cache costs nothing, an answer does
        leg.say(voice.trim(voice.speak(QUESTION)))
    told = watch.wait_for("call.limit", leg.call, timeout_s=60)
    events.validate({k: v for k, v in told.items() if k != "_subject"}, told["_subject"])
    assert told["data"]["limit"] == "cost" and told["data"]["used"] >= told["data"]["max"] == 20000
    ended(stack, sid, leg, "cost_limit")
    assert wait(lambda: OURS["limit"] in heard(watch, leg.call), 20, "the caller is told")
    assert daemon.logged("call.limit", call=leg.call)

    # And the inbox shows what it was, by the same prices.
    usage = wait(lambda: (u := watch.of("usage.recorded", leg.call)) and {e["data"]["component"] for e in u} >=
                 {"stt", "stt_audio", "agent", "sip", "tts_chars"} and u, 20, "usage is told")
    for e in usage:
        events.validate({k: v for k, v in e.items() if k != "_subject"}, e["_subject"])
    keys = [(e["data"]["segment"], e["data"]["component"], e["data"]["account"], e["data"]["model"]) for e in usage]
    assert len(set(keys)) == len(keys), "one event of each"
    chars = sum(e["data"]["quantity"] for e in usage if e["data"]["component"] == "tts_chars")
    record = wait(lambda: (r := stack.row("select * from public.call_records where id = %s and call_cost_tts is not null", leg.call))
                  and round(float(r["call_cost_tts"]) * 1000) == round(chars) and r, 30, "the record has the costs")
    lines = record["metadata"]["patchbay"]["cost"]["lines"]
    assert {line["component"] for line in lines} >= {"stt", "agent", "sip", "tts_chars"}


def test_a_notice_is_heard_whole_whoever_speaks_into_it(stack, watch, agent):
    agent(PAT_RECORDING="all", PAT_RECORDING_NOTICE=NOTICE)
    sid, leg = begin(stack)
    leg.wait_active()
    leg.wait_speech(leg.active_at)
    leg.say(voice.trim(voice.speak(QUESTION)))  # into the notice
    first = wait(lambda: watch.of("turn.agent", leg.call), 40, "the notice is told")[0]["data"]
    assert voice.same_words(first["heard"], NOTICE + " " + GREETING) and not first["interrupted"]
    stack.hang_up(sid)
    stack.wait_row(sid, "ended", 30)


def test_flux_thinks_ahead_of_the_end_of_a_turn(stack, watch, agent):
    agent(PAT_TURN_DETECTION="flux")
    sid, leg = begin(stack)
    greeted(leg)
    reply, audio = ask(stack, watch, leg, QUESTION)
    assert voice.voiced(audio).any() and voice.same_words(reply, heard(watch, leg.call)[-1])
    stack.hang_up(sid)
    stack.wait_row(sid, "ended", 30)
    log = stack.turns / f"{leg.call}.jsonl"
    assert wait(lambda: log.exists() and '"eager"' in log.read_text(), 20, "the eager end is in the turn's log")
    used = wait(lambda: [e["data"] for e in watch.of("usage.recorded", leg.call) if e["data"]["component"] == "stt"], 20, "usage")
    assert [u["model"] for u in used] == ["flux-general-en"] and used[0]["provider"] == "deepgram"
