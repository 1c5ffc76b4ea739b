"""Voices looked after: heard before they are chosen, renamed and set, guarded against other tenants, and found when the vendor
has them no more."""

import asyncio
import io
import json
import os
import threading
import urllib.error
import urllib.request
import uuid

import nats
import psycopg
import pytest

from harness import events
from harness.postgres import OWNER
from harness.sip_leg import wait
from harness.stack import ADMIN, LEO, RITA, Daemon
from test_voices import FALLBACK, Switcher, clone, path_of, wav
from test_voices import call as ask

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")
SARAH, BRIAN = "EXAVITQu4vr4xnSDxMaL", "nPczCjzI2devNBz1zQrb"
APP = "https://app.example"


class Care(Switcher):
    """Two replicas of the stack-switcher; Retell's list of voices as it would come."""

    def _start_daemons(self, relay_port: int) -> None:
        for name in ("stack-switcher", "other"):
            d = self.daemons[name] = self._push(Daemon(self, "stack-switcher", {
                "PAT_SUPABASE_JWT_SECRET": self.jwt_secret, "PAT_ELEVENLABS_API_URL": self.double("elevenlabs"),
                "PAT_ELEVENLABS_API_KEY": "xi-key", "PAT_SWITCHER_VOICES_PER_USER": "9",
                "PAT_OPENAI_URL": f"{self.double('openai')}/v1", "PAT_OPENAI_API_KEY": "sk-key",
                "PAT_SWITCHER_SAMPLES_PRIVATE": "true", "PAT_SWITCHER_PREVIEWS_PER_MIN": "40",
                "PAT_SWITCHER_PREVIEW_CACHE": "150000", "PAT_CONSOLE_EMBED_ORIGINS": APP}, "PAT_SWITCHER_LISTEN", name))
            d.start()

    def round(self) -> None:
        """All voices are looked for now."""
        before = self.sql("select coalesce(finished_at, '-infinity') from patchbay.voice_rounds")[0][0]
        self.sql("update patchbay.voice_rounds set next_at = now()")
        self.nudge()
        wait(lambda: self.sql("select 1 from patchbay.voice_rounds where finished_at > %s", before), 30, "a round")
        wait(lambda: not self.sql("select 1 from patchbay.voice_checks where due_at <= now()"), 30, "its checks")

    def nudge(self) -> None:
        """Every replica looks about every ten seconds by itself; after a call's trouble at once."""
        self.trouble(uuid.uuid4())

    def trouble(self, user) -> None:
        call = str(uuid.uuid4())
        event = {"specversion": "1.0", "id": str(uuid.uuid4()), "source": "/patchbay/livekit-agent", "userid": str(user), "subject": call,
                 "type": "pat.call.v1.provider_failed", "time": "2026-11-22T10:00:00.000Z", "datacontenttype": "application/json",
                 "data": {"call_id": call, "user_id": str(user), "part": "tts",
                          "provider": "elevenlabs", "model": "eleven_flash_v2_5", "fault": "voice",
                          "detail": "close 1008 voice_not_found", "next": "openai"}}
        subject = f"{event['type']}.{user}.{call}"
        events.validate(event, subject)

        async def publish():
            nc = await nats.connect(self.nats.url)
            await nc.publish(subject, json.dumps(event).encode())
            await nc.drain()
        other = threading.Thread(target=lambda: asyncio.run(publish()))  # Playwright has a loop of its own here
        other.start(), other.join()


@pytest.fixture(scope="module")
def stack():
    with Care(BUILD, with_livekit=False) as s:
        yield s


@pytest.fixture
def clean(stack):
    before = {u: stack.speaks_with(u) for u in (RITA, LEO)}
    yield stack
    stack.control("elevenlabs", reset=True)
    stack.sql("update patchbay.voice_clones set state = 'gone'")  # else they are deleted at the vendor behind our back
    for table in ("voice_clones", "voice_previews", "voice_checks", "voice_notices", "voice_strays"):
        stack.sql(f"delete from patchbay.{table}")
    stack.sql("delete from public.voices")
    stack.sql("update patchbay.voice_presets set offered = true")
    for user, voice in before.items():
        stack.sql("update public.agent_configs set voice_id = %s, cloned_voice_id = null, active_voice_stack = %s where user_id = %s",
                  voice, "retell" if user is RITA else "livekit", user.id)
    for voice in stack.clones():
        stack.vendor().voices.delete(voice)


def send(stack, method: str, path: str, user=None, body=None, url=None, headers=(), **claims) -> tuple[int, dict, bytes]:
    request = urllib.request.Request((url or stack.url) + path, None if body is None else json.dumps(body).encode(), {
        "Authorization": f"Bearer {stack.token(user.id if user else ADMIN, **claims)}", "Content-Type": "application/json"} | dict(headers),
        method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as r:
            return r.status, {k.lower(): ", ".join(r.headers.get_all(k)) for k in r.headers}, r.read()
    except urllib.error.HTTPError as e:
        return e.code, {k.lower(): v for k, v in e.headers.items()}, e.read()


def hear(stack, voice: str, user=LEO, body=None, **more) -> tuple[int, dict, bytes]:
    return send(stack, "POST", f"{path_of(user)}/{voice}/preview", more.pop("by", user), body, **more)


def is_mp3(data: bytes) -> bool:
    return len(data) > 1000 and data[0] == 0xFF and data[1] & 0xE6 == 0xE2


def spoken(stack) -> list[dict]:
    return stack.double_log("elevenlabs", "http_request")


def voice_in(stack, user, voice: str) -> dict:
    return next(v for v in ask(stack, "GET", path_of(user), user)[1]["voices"] if v["voice_id"] == voice)


def told(stack, kind: str) -> list[dict]:
    rows = stack.sql("select subject, payload from patchbay.outbox where subject like %s order by id", f"pat.voice.v1.{kind}.%%")
    for subject, payload in rows:
        events.validate(payload, subject)
    return [payload["data"] for _, payload in rows]


# ---------------------------------------------------------------------- chosen


THEIRS = "9BWtsMINqrJLrRacOk9x"  # as the vendor writes ids


def choose(stack, voice: str) -> tuple[int, dict]:
    status, _, answer = send(stack, "PATCH", f"/v1/users/{LEO.id}/agent", LEO, {"voice_id": voice})
    return status, json.loads(answer)


def test_a_voice_nobody_has_is_refused_and_one_of_the_vendors_account_is_taken(clean):
    before = clean.speaks_with(LEO)
    for spelling in (THEIRS, f"11labs-{THEIRS}"):
        status, answer = choose(clean, spelling)
        assert (status, answer.get("field")) == (400, "voice_id"), answer
        assert clean.speaks_with(LEO) == before
    clean.control("elevenlabs", voices=[THEIRS])
    for spelling in (THEIRS, f"11labs-{THEIRS}"):
        assert choose(clean, spelling)[0] == 200 and clean.speaks_with(LEO) == spelling
    assert not clean.sql("select 1 from patchbay.voice_checks where why = 'chosen'")
    clean.control("elevenlabs", gone=[THEIRS])
    assert choose(clean, THEIRS)[0] == 400
    assert choose(clean, f"11labs-{THEIRS}")[0] == 200, "the one he has may stay: the rounds take it away"


def test_what_is_known_here_is_chosen_without_asking_the_vendor(clean):
    _, made = clone(clean)
    clean.control("elevenlabs", fail={"status": 503, "times": 9})
    for voice in (SARAH, "11labs-Kate", "openai-nova", made["voice_id"]):
        assert choose(clean, voice)[0] == 200, voice
    assert choose(clean, "nobody at all")[0] == 400
    assert not clean.sql("select 1 from patchbay.voice_checks where why = 'chosen'")


def test_while_the_vendor_does_not_say_a_voice_is_taken_and_looked_for_again(clean):
    clean.control("elevenlabs", fail={"status": 503, "times": 1, "path": f"/v1/voices/{THEIRS}"})
    assert choose(clean, THEIRS)[0] == 200
    clean.nudge()
    wait(lambda: clean.speaks_with(LEO) == FALLBACK, 60, "found missing, and moved")
    assert [n["voice_name"] for n in ask(clean, "GET", path_of(LEO), LEO)[1]["notices"]] == [THEIRS]
    # Known to be gone, it is not taken again while the vendor does not say.
    clean.control("elevenlabs", fail={"status": 503, "times": 1, "path": f"/v1/voices/{THEIRS}"})
    assert choose(clean, THEIRS)[0] == 400


# ---------------------------------------------------------------------- previews


def test_a_preview_is_spoken_once_and_then_kept(clean):
    n = len(spoken(clean))
    status, headers, sound = hear(clean, SARAH, body={"text": "Good morning, this is me."})
    assert (status, headers["content-type"]) == (200, "audio/mpeg") and is_mp3(sound)
    assert headers["cache-control"] == "no-store"
    (asked,) = spoken(clean)[n:]
    assert asked["voice_id"] == SARAH and asked["text"] == "Good morning, this is me."
    assert asked["output_format"].startswith("mp3_") and asked["model_id"] == "eleven_flash_v2_5"
    wait(lambda: clean.sql("select 1 from patchbay.voice_previews"), 30, "it is kept")
    other = clean.daemons["other"].url
    assert hear(clean, SARAH, body={"text": "Good morning, this is me."}, url=other)[2] == sound
    assert len(spoken(clean)) == n + 1
    # Another text, another setting: another sample.
    assert hear(clean, SARAH, body={"text": "Good evening."})[2] != sound
    assert hear(clean, SARAH, body={"text": "Good morning, this is me.", "settings": {"speed": 0.8}})[2] != sound
    assert spoken(clean)[-1]["voice_settings"]["speed"] == 0.8 and len(spoken(clean)) == n + 3


def test_the_usual_sentence_of_a_preset_is_everybodys_and_own_words_are_not(clean):
    clean.sql("update public.agent_configs set active_voice_stack = 'livekit' where user_id = %s", RITA.id)
    n = len(spoken(clean))
    first = hear(clean, BRIAN, LEO)[2]
    wait(lambda: clean.sql("select 1 from patchbay.voice_previews where user_id is null"), 30, "it is kept")
    assert hear(clean, BRIAN, RITA)[2] == first and len(spoken(clean)) == n + 1
    for user in (LEO, RITA):
        hear(clean, BRIAN, user, {"text": "Mine."})
    assert len(spoken(clean)) == n + 3
    wait(lambda: {r[0] for r in clean.sql("select user_id from patchbay.voice_previews")} == {None, LEO.id, RITA.id}, 30, "each his own")


def test_an_openai_voice_is_heard_too(clean):
    status, headers, sound = hear(clean, "openai-nova")
    assert (status, headers["content-type"]) == (200, "audio/mpeg") and is_mp3(sound)


def test_on_retell_the_vendors_own_sample_is_heard(clean):
    key = {"Authorization": "Bearer any"}
    with urllib.request.urlopen(urllib.request.Request(clean.double("retell") + "/list-voices", headers=key)) as r:
        listed = json.loads(r.read())
    kate = next(v for v in listed if v["voice_id"] == "11labs-Kate")
    assert not voice_in(clean, RITA, "11labs-Kate")["preview"]
    assert hear(clean, "11labs-Kate", RITA)[0] == 404
    clean.sql("select patchbay.put_retell_previews(%s::jsonb)", json.dumps(listed))
    assert voice_in(clean, RITA, "11labs-Kate")["preview"]
    status, headers, sound = hear(clean, "11labs-Kate", RITA)
    assert (status, headers["content-type"]) == (200, "audio/mpeg")
    with urllib.request.urlopen(kate["preview_audio_url"]) as r:
        assert is_mp3(sound) and abs(len(r.read()) - len(sound)) < 1000
    assert not spoken(clean)
    status, _, body = hear(clean, "11labs-Kate", RITA, {"text": "My own words."})
    assert status == 409 and b"own sample" in body


@pytest.mark.parametrize("body, field", [({"text": "x" * 301}, "text"), ({"text": " \n"}, "text"), ({"text": 3}, "text"),
                                         ({"settings": {"speed": 2}}, "speed"), ({"settings": []}, "settings")])
def test_what_cannot_be_spoken_is_refused_before_it_costs(clean, body, field):
    n = len(spoken(clean))
    status, _, answer = hear(clean, SARAH, body=body)
    assert status == 400 and f'"{field}"'.encode() in answer and len(spoken(clean)) == n


def test_what_is_said_and_named_is_counted_in_characters(clean):
    assert hear(clean, "EXAVITQu4vr4xnSDxMaL", body={"text": "ü" * 300})[0] == 200
    assert hear(clean, "EXAVITQu4vr4xnSDxMaL", body={"text": "ü" * 301})[0] == 400
    status, made = clone(clean, name="声" * 33)  # more bytes than 80; the double takes 99
    assert status == 201, made
    path = f"{path_of(LEO)}/{made['voice_id']}"
    assert send(clean, "PATCH", path, LEO, {"name": "é" * 81})[0] == 400
    assert send(clean, "PATCH", path, LEO, {"name": "é" * 45})[0] == 200
    wait(lambda: clean.clones() == {made["voice_id"]: "é" * 45}, 60, "the vendor has the whole name")


def test_a_body_of_another_type_is_refused(clean):
    for method, path in (("PATCH", "EXAVITQu4vr4xnSDxMaL"), ("POST", "EXAVITQu4vr4xnSDxMaL/preview")):
        status, _, answer = send(clean, method, f"{path_of(LEO)}/{path}", LEO, {"text": "x"}, headers={"Content-Type": "text/plain"})
        assert (status, json.loads(answer)["field"]) == (415, "Content-Type")


def test_only_ones_own_and_presets_are_heard(clean):
    _, made = clone(clean)
    assert hear(clean, made["voice_id"])[0] == 200
    clean.sql("update public.agent_configs set active_voice_stack = 'livekit' where user_id = %s", RITA.id)
    assert hear(clean, made["voice_id"], RITA)[0] == 404
    assert hear(clean, made["voice_id"], LEO, by=RITA)[0] == 404
    assert hear(clean, made["voice_id"], LEO, by=None, app_metadata={"role": "admin"})[0] == 200
    clean.sql("update public.agent_configs set active_voice_stack = 'retell' where user_id = %s", LEO.id)
    assert hear(clean, made["voice_id"])[0] == 404  # on that stack it cannot be used


def test_a_vendor_that_fails_is_an_answer_and_nothing_is_kept(clean):
    clean.control("elevenlabs", fail={"status": 503, "times": 1})
    assert hear(clean, SARAH, body={"text": "Not now."})[0] == 502
    assert not clean.sql("select 1 from patchbay.voice_previews")
    assert hear(clean, SARAH, body={"text": "Not now."})[0] == 200


def test_what_is_kept_has_an_end(clean):
    for n in range(8):
        assert hear(clean, SARAH, body={"text": f"This is the sentence with the number {n}, and it is not a short one."})[0] == 200
        wait(lambda n=n: clean.sql("select 1 from patchbay.voice_previews where used_at > now() - interval '1 minute'"), 30, "kept")
    assert 0 < clean.sql("select sum(octet_length(audio)) from patchbay.voice_previews")[0][0] <= 150_000


# ---------------------------------------------------------------------- a name, and settings


def edit(stack, voice: str, body, user=LEO, by=None) -> tuple[int, dict]:
    status, _, answer = send(stack, "PATCH", f"{path_of(user)}/{voice}", by or user, body)
    return status, json.loads(answer)


def test_a_clone_gets_a_new_name_here_and_at_the_vendor(clean):
    _, made = clone(clean)
    voice = made["voice_id"]
    clean.control("elevenlabs", fail={"status": 503, "times": 1, "path": f"/v1/voices/{voice}/edit"})
    status, answer = edit(clean, voice, {"name": "Leo on Sundays"})
    assert (status, answer["name"]) == (200, "Leo on Sundays")
    assert clean.sql("select cloned_voice_name from public.agent_configs where user_id = %s", LEO.id) == [("Leo on Sundays",)]
    assert told(clean, "renamed")[-1] == {"user_id": str(LEO.id), "voice_id": voice, "name": "Leo on Sundays", "before": "Leo's Voice"}
    wait(lambda: any(d.logged("voice.not_renamed") for d in clean.daemons.values()), 30, "the vendor did not take it")
    edit(clean, voice, {"settings": {"speed": 1}})  # the next occasion to tell it
    wait(lambda: clean.clones() == {voice: "Leo on Sundays"}, 60, "the vendor knows it by that name")
    wait(lambda: clean.sql("select rename_at, vendor_name from patchbay.voice_clones") == [(None, "Leo on Sundays")], 30, "and we know")


def test_settings_of_a_voice_are_kept_for_its_user(clean):
    _, made = clone(clean)
    mine = {"stability": 0.2, "similarity_boost": 0.9, "style": 0.4, "use_speaker_boost": False, "speed": 1.1}
    status, answer = edit(clean, made["voice_id"], {"settings": mine})
    assert status == 200 and answer["settings"] == mine and set(answer["takes"]) == set(mine)
    assert edit(clean, made["voice_id"], {"settings": {"style": 0}})[1]["settings"] == mine | {"style": 0}
    # A preset has settings of this user alone.
    assert edit(clean, BRIAN, {"settings": {"stability": 0.3}})[1]["settings"]["stability"] == 0.3
    clean.sql("update public.agent_configs set active_voice_stack = 'livekit' where user_id = %s", RITA.id)
    assert voice_in(clean, RITA, BRIAN)["settings"]["stability"] == 0.5
    assert voice_in(clean, LEO, "openai-nova")["takes"] == ["speed"]
    # The agent gets them with its settings.
    clean.sql("update public.agent_configs set voice_id = %s where user_id = %s", made["voice_id"], LEO.id)
    row = clean.sql("select voice from patchbay.agent_settings where user_id = %s", LEO.id)[0][0]
    assert (row["stability"], row["use_speaker_boost"], row["voice_speed"]) == (0.2, False, 1.1)


def test_on_retell_only_the_speed_of_a_voice_does_something(clean):
    assert edit(clean, "11labs-Kate", {"settings": {"speed": 1.1, "stability": 0.1}}, RITA)[1]["takes"] == ["speed"]
    row = clean.sql("select voice from patchbay.agent_settings where user_id = %s", RITA.id)[0][0]
    assert row is None or row["voice_speed"] == 1.1


@pytest.mark.parametrize("body, field", [({}, None), ({"name": ""}, "name"), ({"name": "a\nb"}, "name"), ({"name": "x" * 81}, "name"),
                                         ({"settings": {"speed": 0.5}}, "speed"), ({"settings": {"volume": 1}}, "volume"),
                                         ({"settings": {"stability": "0.5"}}, "stability")])
def test_what_cannot_be_set_is_named(clean, body, field):
    _, made = clone(clean)
    status, answer = edit(clean, made["voice_id"], body)
    assert status == 400 and answer["error"].get("field") == field


def test_a_preset_keeps_its_name_and_others_voices_are_not_there(clean):
    assert edit(clean, BRIAN, {"name": "Mine"})[1]["error"]["field"] == "name"
    _, made = clone(clean)
    assert edit(clean, made["voice_id"], {"name": "Mine"}, LEO, RITA)[0] == 404
    assert edit(clean, made["voice_id"], {"name": "Mine"}, RITA)[0] == 404
    assert clean.clones() == {made["voice_id"]: "Leo's Voice"}


# ---------------------------------------------------------------------- whose it is


def test_the_database_refuses_another_tenants_clone(clean):
    _, made = clone(clean)
    for spelling in (made["voice_id"], f"11labs-{made['voice_id']}", f" '{made['voice_id']}'"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="another user"):
            clean.sql("update public.agent_configs set voice_id = %s where user_id = %s", spelling, RITA.id)
    # Nor by writing it down as his own first, nor once its row is away.
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        clean.sql("insert into public.voices (user_id, voice_id, voice_name, is_cloned) values (%s, %s, 'mine', true)", RITA.id, made["voice_id"])
    clean.sql("insert into public.voices (user_id, voice_id, voice_name, is_cloned) values (%s, %s, 'mine', false)", RITA.id, made["voice_id"])
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        clean.sql("update public.voices set is_cloned = true where user_id = %s", RITA.id)
    clean.sql("delete from public.voices where user_id = %s", LEO.id)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        clean.sql("update public.agent_configs set voice_id = %s where user_id = %s", made["voice_id"], RITA.id)
    clean.sql("update public.agent_configs set voice_id = %s where user_id = %s", made["voice_id"], LEO.id)
    # Everybody's stay everybody's, whoever has a row of them.
    for user in (LEO, RITA):
        clean.sql("insert into public.voices (user_id, voice_id, voice_name) values (%s, %s, 'Brian')", user.id, BRIAN)
        clean.sql("update public.agent_configs set voice_id = %s where user_id = %s", BRIAN, user.id)


def test_what_got_past_the_trigger_is_refused_at_use(clean):
    _, made = clone(clean)
    with psycopg.connect(clean.pg.url(OWNER, "patchbay"), autocommit=True) as db:
        db.execute("alter table public.agent_configs disable trigger zz_patchbay_guard_voice")
        try:
            db.execute("update public.agent_configs set voice_id = %s where user_id = %s", (made["voice_id"], RITA.id))
        finally:
            db.execute("alter table public.agent_configs enable trigger zz_patchbay_guard_voice")
    (voice,) = clean.sql("select voice from patchbay.agent_settings where user_id = %s", RITA.id)[0]
    assert voice == {"refused": True}
    (voice,) = clean.sql("select voice from patchbay.agent_settings where user_id = %s", LEO.id)[0]
    assert "refused" not in voice


# ---------------------------------------------------------------------- gone at the vendor


def test_a_clone_that_is_gone_is_found_in_the_round_and_its_user_told(clean):
    _, made = clone(clean)
    clean.vendor().voices.delete(made["voice_id"])
    clean.round()
    assert clean.speaks_with(LEO) == FALLBACK
    assert clean.sql("select state from patchbay.voice_clones") == [("gone",)]
    (notice,) = ask(clean, "GET", path_of(LEO), LEO)[1]["notices"]
    assert notice["voice_name"] == "Leo's Voice" and notice["moved_to"] == "Sarah" and "no more" in notice["reason"]
    assert told(clean, "unavailable")[-1] | {"agent_config_id": None} == {
        "user_id": str(LEO.id), "voice_id": made["voice_id"], "stack": "livekit", "name": "Leo's Voice", "moved_to": FALLBACK,
        "reason": notice["reason"], "agent_config_id": None}
    path = f"/v1/users/{LEO.id}/voice-notices/{notice['id']}"
    assert ask(clean, "DELETE", path, RITA)[0] == 404 and ask(clean, "DELETE", path, LEO)[0] == 200
    assert ask(clean, "GET", path_of(LEO), LEO)[1]["notices"] == []
    assert not [v for v in ask(clean, "GET", path_of(LEO), LEO)[1]["voices"] if v["kind"] == "own"]


def test_a_call_that_could_not_speak_with_its_voice_has_it_looked_for(clean):
    clean.sql("update public.agent_configs set voice_id = %s where user_id = %s", BRIAN, LEO.id)
    clean.control("elevenlabs", gone=[BRIAN])
    clean.trouble(LEO.id)
    wait(lambda: clean.speaks_with(LEO) != BRIAN, 30, "another voice speaks")
    moved = clean.sql("select gender, accent, age from patchbay.voice_presets where stack = 'livekit' and voice_id = %s", clean.speaks_with(LEO))
    assert moved == [("male", "American", "middle aged")]  # the nearest
    assert not clean.sql("select 1 from patchbay.voice_presets where voice_id = %s and stack = 'livekit' and offered", BRIAN)
    (notice,) = ask(clean, "GET", path_of(LEO), LEO)[1]["notices"]
    assert notice["voice_name"] == "Brian" and "a call" in notice["reason"]


def test_a_vendor_out_of_order_moves_nobody(clean):
    _, made = clone(clean)
    clean.control("elevenlabs", fail={"status": 401, "times": 50, "path": "/v1/voices"})
    clean.sql("insert into patchbay.voice_checks (voice_id, due_at, why) values (%s, now(), 'call')", made["voice_id"])
    clean.nudge()
    wait(lambda: clean.sql("select 1 from patchbay.voice_checks where attempts >= 1 and lease_until is null"), 30, "it was asked for")
    assert clean.speaks_with(LEO) == made["voice_id"] and not clean.sql("select 1 from patchbay.voice_notices")


def test_another_accounts_key_does_not_move_everybody(clean):
    voices = [clone(clean, name=f"Voice {n}")[1]["voice_id"] for n in range(5)]
    for voice in voices:
        clean.vendor().voices.delete(voice)
    clean.round()
    states = [r[0] for r in clean.sql("select state from patchbay.voice_checks where voice_id = any(%s)", voices)]
    assert sorted(set(states)) == ["doubted", "gone"] and states.count("gone") == 3


def test_voices_with_our_label_that_nobody_knows_are_reported(clean):
    _, made = clone(clean)
    stray = clean.vendor().voices.ivc.create(name="Whose", files=[io.BytesIO(wav())], description=f"patchbay {uuid.uuid4()}").voice_id
    clean.vendor().voices.ivc.create(name="Not ours", files=[io.BytesIO(wav())])
    clean.round()
    status, _, body = send(clean, "GET", "/v1/voices/care", None, app_metadata={"role": "admin"})
    care = json.loads(body)
    assert status == 200 and [(s["voice_id"], s["name"]) for s in care["strays"]] == [(stray, "Whose")] and care["seen"] == 3
    assert send(clean, "GET", "/v1/voices/care", LEO)[0] == 403
    assert clean.speaks_with(LEO) == made["voice_id"] and stray in clean.clones()
    wait(lambda: any("pat_switcher_voice_strays 1" in d.metrics() for d in clean.daemons.values()), 30, "the gauge")


def test_one_replica_at_a_time_makes_the_round(clean):
    clone(clean)
    clean.sql("update patchbay.voice_rounds set next_at = now(), lease_by = 'another', lease_until = now() + interval '1 hour'")
    assert clean.sql("select patchbay.voice_round_claim('me', 60)") == [(False,)]
    clean.sql("update patchbay.voice_rounds set lease_until = now() - interval '1 second', next_at = now() + interval '1 hour'")
    assert clean.sql("select patchbay.voice_round_claim('me', 60)") == [(False,)]
    clean.sql("update patchbay.voice_rounds set next_at = now(), lease_until = now() - interval '1 second'")
    with psycopg.connect(clean.pg.url(OWNER, "patchbay")) as a, psycopg.connect(clean.pg.url(OWNER, "patchbay"), autocommit=True) as b:
        b.execute("set lock_timeout = '100ms'")
        if a.execute("select patchbay.voice_round_claim('a', 60)").fetchone()[0]:
            with pytest.raises(psycopg.errors.LockNotAvailable):
                b.execute("select patchbay.voice_round_claim('b', 60)")
            a.commit()
            assert b.execute("select patchbay.voice_round_claim('b', 60)").fetchone() == (False,)
            assert b.execute("select patchbay.voice_round_page('b', 60, '[]')").fetchone() == (False,)
            clean.sql("update patchbay.voice_rounds set lease_until = null")
    clean.round()


# ---------------------------------------------------------------------- other people's pages


def test_only_named_origins_may_call_from_a_page(clean):
    def preflight(origin):
        return send(clean, "OPTIONS", path_of(LEO), LEO, headers={"Origin": origin, "Access-Control-Request-Method": "GET"})[1]

    allowed = preflight(APP)
    assert allowed["access-control-allow-origin"] == APP and "Authorization" in allowed["access-control-allow-headers"]
    assert "access-control-allow-origin" not in preflight("https://app.example.evil")
    for origin, ok in ((APP, True), ("https://evil.example", False)):
        for path in (path_of(LEO), "/v1/console", "/embed/v1/patchbay.js"):
            status, headers, _ = send(clean, "GET", path, LEO, headers={"Origin": origin})
            assert status == 200 and ("access-control-allow-origin" in headers) == ok and "Origin" in headers["vary"]
            assert "access-control-allow-credentials" not in headers
    assert send(clean, "GET", path_of(LEO), LEO)[1].get("access-control-allow-origin") is None
