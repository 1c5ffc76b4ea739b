"""A call that is recorded: both voices are in the file, where they were spoken, whatever happened meanwhile."""

import boto3
import pytest
from botocore.config import Config
from test_livekit_call import ask, greeted

from harness import events, recording, voice
from harness.sip_leg import wait
from harness.stack import LEO

NOTICE = "This call is recorded."
GREETING = "hello this is the assistant of leo how can i help you"
BUCKET = "recordings"


@pytest.fixture(scope="module", autouse=True)
def recorded(stack):
    """Leo wants his calls recorded, and callers are told."""
    agent = stack.daemons["livekit-agent"]
    agent.env |= {"PAT_RECORDING_NOTICE": NOTICE, "PAT_RECORDING_QUIET_MS": "3s", "PAT_RECORDING_PIECE_MS": "1s",
                  "PAT_RECORDING_PUBLIC_URL": "https://files.example/rec"}
    agent.restart()
    stack.sql("update public.agent_configs set stack_config = stack_config || '{\"livekit\": {\"record\": true}}' "
              "where user_id = %s", LEO.id)
    router_knows(stack, True)


def router_knows(stack, wanted: bool) -> None:
    """Its snapshot of the numbers is written a moment after each change."""
    file = stack.folder / "routes.snapshot"
    wait(lambda: file.exists() and ('"record": true' in file.read_text() or '"record":true' in file.read_text()) == wanted,
         30, f"the router knows that Leo is {'' if wanted else 'not '}to be recorded")


@pytest.fixture(scope="module")
def s3(stack):
    return boto3.client("s3", endpoint_url=stack.double("storage"), aws_access_key_id="AKIDOUBLE",
                        aws_secret_access_key="the-secret-of-the-double", region_name="us-east-1",
                        config=Config(retries={"max_attempts": 0}))


def keys(s3, prefix):
    return [k["Key"] for k in s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])]


def stored(stack, call, timeout_s=40) -> dict:
    return wait(lambda: stack.row("select * from patchbay.recordings where call_id = %s and state = 'stored'", call),
                timeout_s, "the recording is stored")


def end(stack, sid):
    stack.hang_up(sid)
    stack.wait_story(sid, "ended")
    stack.wait_row(sid, "ended")


def test_both_sides_are_in_the_file_where_they_were_spoken(stack, watch, s3):
    sentence = voice.any_sentence()
    sid = stack.place_call(LEO.number)
    leg = stack.leg(sid)
    greeted(leg)
    reply, _ = ask(stack, watch, leg, sentence)
    said_to_answer_ms = (leg.wait_speech(leg.last_voiced_sent_at) - leg.last_voiced_sent_at) * 1000
    end(stack, sid)

    row = stored(stack, leg.call)
    assert row["object"] == f"{LEO.id}/{leg.call}/recording.ogg"
    assert row["url"] == f"https://files.example/rec/{row['object']}" and row["filled_ms"] == 0
    data = s3.get_object(Bucket=BUCKET, Key=row["object"])
    assert data["ContentType"] == "audio/ogg" and data["ContentLength"] == row["bytes"]

    caller, agent = recording.decode(data["Body"].read())

    # Each side is heard again, alone in its channel.
    candidates = [sentence, reply, *voice.sentences()[:20]]
    assert voice.hear(voice.trim(caller), candidates) == sentence
    notice_words = "this call is recorded " + GREETING
    first_word_of_caller = recording.voiced_ms(caller)
    before = agent[:int(first_word_of_caller * voice.RATE // 1000)]
    assert voice.overlap(notice_words, voice.hear(voice.trim(before), [notice_words, *candidates])) == 1
    after = agent[int(first_word_of_caller * voice.RATE // 1000):]
    assert voice.overlap(reply, voice.hear(voice.trim(after), candidates)) >= 0.8

    # The pause between question and answer is the one the caller lived through.
    loud = voice.voiced(caller)
    last_of_caller = (len(loud) - 1 - loud[::-1].argmax()) * 20
    pause = recording.voiced_ms(agent, last_of_caller) - last_of_caller
    assert abs(pause - said_to_answer_ms) < 400, (pause, said_to_answer_ms)

    told = watch.wait_for("call.recording", leg.call)
    states = [e["data"]["state"] for e in sorted(watch.of("call.recording", leg.call), key=lambda e: e["time"])]
    assert states == ["started", "stored"], told
    for e in watch.of("call.recording", leg.call):
        events.validate({k: v for k, v in e.items() if k != "_subject"}, e["_subject"])
    record = wait(lambda: stack.row("select * from public.call_records where id = %s and recording_url is not null",
                                    leg.call), 20, "the call's record names the recording")
    assert record["recording_url"] == record["recording_url_multichannel"] == row["url"]
    wait(lambda: keys(s3, f"{LEO.id}/{leg.call}/") == [row["object"]], 20, "the pieces are gone")


def test_the_record_has_the_transcript_as_the_inbox_reads_it(stack, watch):
    sentence = voice.any_sentence()
    sid = stack.place_call(LEO.number)
    leg = stack.leg(sid)
    greeted(leg)
    reply, _ = ask(stack, watch, leg, sentence)
    end(stack, sid)
    record = wait(lambda: stack.row("select * from public.call_records where id = %s and status = 'completed' and "
                                    "e2e_latency_p50 is not null", leg.call), 20, "the record is complete")
    speakers = [line.split(": ", 1)[0] for line in record["transcript"].splitlines()]
    assert speakers[:3] == ["Agent", "User", "Agent"] and set(speakers) <= {"Agent", "User"}
    assert reply.split()[0] in record["transcript"]
    times = [(t["start_ms"], t["end_ms"]) for t in record["transcript_object"]]
    assert all(a <= b for a, b in times) and times == sorted(times)
    assert 0 < record["e2e_latency_p50"] <= record["e2e_latency_p99"] < 20000 and record["llm_latency_p50"] is not None


def test_a_store_that_is_away_loses_nothing(stack, watch, s3):
    sid = stack.place_call(LEO.number)
    leg = stack.leg(sid)
    stack.control("storage", fail={"status": 503, "times": -1, "path": leg.call})
    try:
        greeted(leg)
        wait(lambda: stack.daemons["livekit-agent"].logged("record.not_stored", call=leg.call), 20, "a piece was refused")
        leg.say(voice.trim(voice.speak("hello please tell me your opening hours")))
        leg.wait_speech(leg.last_voiced_sent_at)
        leg.wait_quiet()
        end(stack, sid)
        assert not keys_of(stack, leg.call)
    finally:
        stack.control("storage", fail=None)
    row = stored(stack, leg.call)
    assert row["filled_ms"] == 0
    caller, _ = recording.decode(s3.get_object(Bucket=BUCKET, Key=row["object"])["Body"].read())
    assert voice.hear(voice.trim(caller), voice.sentences()) == "hello please tell me your opening hours"


def keys_of(stack, call):
    return [e for e in stack.double_log("storage", "put") if call in e["key"]]


def test_a_killed_agents_recording_is_finished_by_another(stack, watch, s3):
    agent = stack.daemons["livekit-agent"]
    sid = stack.place_call(LEO.number)
    leg = stack.leg(sid)
    greeted(leg)
    leg.say(voice.trim(voice.speak("hello please tell me your opening hours")))
    spoken = leg.last_voiced_sent_at
    wait(lambda: len(keys_of(stack, leg.call)) >= 2, 20, "pieces have left the process")
    leg.wait_speech(spoken)
    leg.wait_quiet()
    seconds = wait(lambda: stack.row("select extract(epoch from now() - began_at) as s from patchbay.recordings "
                                     "where call_id = %s", leg.call), 10, "it is being recorded")["s"]
    agent.kill()
    (stack.turns / f"{leg.call}.jsonl").unlink(missing_ok=True)  # cut off in the middle
    try:
        stack.hang_up(sid)
        stack.wait_row(sid, "ended", 30)
    finally:
        agent.start()
    row = stored(stack, leg.call, 60)
    caller, agents = recording.decode(s3.get_object(Bucket=BUCKET, Key=row["object"])["Body"].read())
    assert len(caller) / voice.RATE > float(seconds) - 5
    assert voice.hear(voice.trim(caller), voice.sentences()) == "hello please tell me your opening hours"
    assert voice.voiced(agents).any()


def test_nobody_who_did_not_ask_for_it_is_recorded(stack, watch):
    stack.sql("update public.agent_configs set stack_config = stack_config - 'livekit' where user_id = %s", LEO.id)
    router_knows(stack, False)
    sid = stack.place_call(LEO.number)
    leg = stack.leg(sid)
    greeted(leg)
    end(stack, sid)
    watch.wait_for("call.ended", leg.call)
    assert not watch.of("call.recording", leg.call) and not keys_of(stack, leg.call)
    assert voice.hear(leg.heard.since(0), [GREETING, *voice.sentences()[:20]]) == GREETING
