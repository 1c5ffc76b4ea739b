"""A user's voices: what each stack offers, and making one of one's own, through the API and in Chromium."""

import io
import json
import os
import urllib.error
import urllib.request
import uuid
import wave

import numpy as np
import pytest
from elevenlabs.client import ElevenLabs

from harness.browser import PHONE, Browser, violations
from harness.sip_leg import wait
from harness.stack import ADMIN, LEO, RITA, Stack

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")
FALLBACK = "EXAVITQu4vr4xnSDxMaL"


class Switcher(Stack):
    """The stack-switcher, its database, and the vendor of voices played."""

    def _start_daemons(self, relay_port: int) -> None:
        self._daemon("stack-switcher", "PAT_SWITCHER_LISTEN", {
            "PAT_SUPABASE_JWT_SECRET": self.jwt_secret, "PAT_ELEVENLABS_API_URL": self.double("elevenlabs"),
            "PAT_ELEVENLABS_API_KEY": "xi-key", "PAT_SWITCHER_VOICES_PER_USER": "2"}).start()

    def _script_doubles(self) -> None:
        pass

    @property
    def url(self) -> str:
        return self.daemons["stack-switcher"].url

    def vendor(self) -> ElevenLabs:
        return ElevenLabs(api_key="xi-key", base_url=self.double("elevenlabs"))

    def clones(self) -> dict[str, str]:
        return {v.voice_id: v.name for v in self.vendor().voices.get_all().voices if v.category == "cloned"}

    def speaks_with(self, user) -> str:
        return self.sql("select voice_id from public.agent_configs where user_id = %s", user.id)[0][0]


@pytest.fixture(scope="module")
def stack():
    with Switcher(BUILD, with_livekit=False) as s:
        yield s


@pytest.fixture
def clean(stack):
    """As it was before, here and at the vendor."""
    before = {u: stack.speaks_with(u) for u in (RITA, LEO)}
    yield stack
    stack.sql("update patchbay.voice_clones set state = 'gone'")  # else they are deleted at the vendor behind our back
    stack.sql("delete from patchbay.voice_clones")
    stack.sql("delete from public.voices where is_cloned")
    for user, voice in before.items():
        stack.sql("update public.agent_configs set voice_id = %s, cloned_voice_id = null where user_id = %s", voice, user.id)
    stack.control("elevenlabs", reset=True)
    for voice in stack.clones():
        stack.vendor().voices.delete(voice)


def wav(seconds: float = 12, loudness: float = 0.3, rate: int = 16000) -> bytes:
    t = np.arange(int(seconds * rate)) / rate
    sound = (loudness * 32767 * np.sin(2 * np.pi * 180 * t) * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * t))).astype("<i2")
    out = io.BytesIO()
    with wave.open(out, "wb") as w:
        w.setnchannels(1), w.setsampwidth(2), w.setframerate(rate)
        w.writeframes(sound.tobytes())
    return out.getvalue()


def call(stack, method: str, path: str, user=None, form: dict | None = None, **claims) -> tuple[int, dict]:
    headers, data = {"Authorization": f"Bearer {stack.token(user.id if user else ADMIN, **claims)}"}, None
    if form is not None:
        mark = uuid.uuid4().hex
        headers["Content-Type"] = f"multipart/form-data; boundary={mark}"
        data = b"".join(
            f'--{mark}\r\nContent-Disposition: form-data; name="{k}"'.encode() +
            (b'; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n' + v if isinstance(v, bytes) else f"\r\n\r\n{v}".encode()) + b"\r\n"
            for k, v in form.items()) + f"--{mark}--\r\n".encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(stack.url + path, data, headers, method=method), timeout=60) as r:
            return r.status, json.loads(r.read())
    except urllib.error.HTTPError as e:
        return e.code, json.loads(e.read())


def path_of(user) -> str:
    return f"/v1/users/{user.id}/voices"


FORM = {"name": "Leo's Voice", "consent": "It is mine.", "use": "true"}


def clone(stack, user=LEO, **form) -> tuple[int, dict]:
    return call(stack, "POST", path_of(user), user, FORM | {"audio": wav()} | form)


# ---------------------------------------------------------------------- what there is


def test_retell_offers_its_presets_and_nothing_else(clean):
    status, answer = call(clean, "GET", path_of(RITA), RITA)
    assert status == 200 and answer["stack"] == "retell" and not answer["can_clone"] and answer["why_not"]
    names = {v["voice_id"] for v in answer["voices"] if v["provider"] == "elevenlabs"}
    assert len(names) == 29 and "11labs-Kate" in names
    assert {v["name"].lower() for v in answer["voices"] if v["provider"] == "openai"} >= {
        "alloy", "echo", "fable", "nova", "onyx", "shimmer"}
    assert {v["kind"] for v in answer["voices"]} == {"preset"}


def test_a_clone_is_made_used_and_only_its_owners(clean):
    status, made = clone(clean)
    assert status == 201 and made["state"] == "ready"
    assert clean.clones() == {made["voice_id"]: "Leo's Voice"}
    assert clean.speaks_with(LEO) == made["voice_id"]
    own = [v for v in call(clean, "GET", path_of(LEO), LEO)[1]["voices"] if v["kind"] == "own"]
    assert [(v["voice_id"], v["name"]) for v in own] == [(made["voice_id"], "Leo's Voice")]
    # One account at the vendor for all: nobody else sees it, takes it or deletes it.
    clean.sql("update public.agent_configs set active_voice_stack = 'livekit' where user_id = %s", RITA.id)
    try:
        assert not [v for v in call(clean, "GET", path_of(RITA), RITA)[1]["voices"] if v["kind"] == "own"]
        assert call(clean, "DELETE", f"{path_of(RITA)}/{made['voice_id']}", RITA)[0] == 404
        assert call(clean, "DELETE", f"{path_of(LEO)}/{made['voice_id']}", RITA)[0] == 404
        assert call(clean, "GET", path_of(LEO), RITA)[0] == 404
    finally:
        clean.sql("update public.agent_configs set active_voice_stack = 'retell' where user_id = %s", RITA.id)
    consent = clean.sql("select consent_text, consent_by, sample_sha256 from patchbay.voice_clones")[0]
    assert consent[:2] == ("It is mine.", str(LEO.id)) and len(consent[2]) == 64


def test_events_tell_of_it(clean):
    _, made = clone(clean)
    call(clean, "DELETE", f"{path_of(LEO)}/{made['voice_id']}", LEO)
    told = [r[0] for r in clean.sql("select payload from patchbay.outbox where subject like 'pat.voice.v1.%%' and payload ->> 'subject' = %s "
                                    "order by id", made["voice_id"])]
    assert [e["type"] for e in told] == ["pat.voice.v1.cloned", "pat.voice.v1.deleted"]


def library_voice(stack, user) -> str:
    """One of the vendor's library, taken into the account, which the product's row of it calls cloned."""
    voice = "Lib" + uuid.uuid4().hex[:17]
    stack.vendor().voices.share("somebody", voice, new_name="Everybody's")
    stack.sql("insert into public.voices (user_id, voice_id, voice_name) values (%s, %s, 'Everybody''s')", user.id, voice)
    stack.sql("update public.agent_configs set voice_id = %s where user_id = %s", voice, user.id)
    assert stack.sql("select is_cloned from public.voices where voice_id = %s", voice) == [(True,)]
    return voice


def at_vendor(stack) -> set[str]:
    return {v.voice_id for v in stack.vendor().voices.get_all().voices}


def settled(stack) -> None:
    stack.daemons["stack-switcher"].restart()  # it looks at once, not in its next round
    wait(lambda: not stack.sql("select 1 from patchbay.voice_clones where state = 'leaving'"), 60, "nothing is left to tell the vendor")


def test_a_voice_of_the_library_leaves_the_list_and_not_the_vendor(clean):
    voice = library_voice(clean, LEO)
    status, answer = call(clean, "DELETE", f"{path_of(LEO)}/{voice}", LEO)
    assert (status, answer) == (200, {"voice_id": voice, "agents_moved": 1}) and clean.speaks_with(LEO) == FALLBACK
    assert clean.sql("select 1 from public.voices where voice_id = %s", voice) == []
    settled(clean)
    assert voice in at_vendor(clean)
    # Nor is it his own by having been in his list: anybody may take it.
    assert clean.sql("select patchbay.voice_is_foreign(%s, %s)", RITA.id, voice) == [(False,)]


def test_a_clone_of_before_anybody_kept_consent_is_deleted_there(clean):
    old = clean.vendor().voices.ivc.create(name="Old", files=[io.BytesIO(wav())]).voice_id
    clean.sql("insert into public.voices (user_id, voice_id, voice_name) values (%s, %s, 'Old')", LEO.id, old)
    assert call(clean, "DELETE", f"{path_of(LEO)}/{old}", LEO)[0] == 200
    settled(clean)
    assert old not in at_vendor(clean)


def test_a_preset_and_what_somebody_else_has_too_are_never_told_to_the_vendor(clean):
    shared = clean.vendor().voices.ivc.create(name="Shared", files=[io.BytesIO(wav())]).voice_id
    clean.sql("alter table public.voices disable trigger zz_patchbay_guard_own_voice")
    try:
        for user in (RITA, LEO):
            clean.sql("insert into public.voices (user_id, voice_id, voice_name) values (%s, %s, 'Shared')", user.id, shared)
    finally:
        clean.sql("alter table public.voices enable trigger zz_patchbay_guard_own_voice")
    clean.sql("insert into public.voices (user_id, voice_id, voice_name) values (%s, %s, 'Sarah'), (%s, '11labs-Kate', 'Kate')",
              LEO.id, FALLBACK, LEO.id)
    for voice in (shared, FALLBACK, "11labs-Kate"):
        assert call(clean, "DELETE", f"{path_of(LEO)}/{voice}", LEO)[0] == 200
        assert clean.sql("select 1 from public.voices where user_id = %s and voice_id = %s", LEO.id, voice) == []
    assert clean.sql("select 1 from patchbay.voice_clones") == [] and shared in at_vendor(clean)
    # The last who has it: now it goes.
    assert call(clean, "DELETE", f"{path_of(RITA)}/{shared}", RITA)[0] == 200
    settled(clean)
    assert shared not in at_vendor(clean)


def test_deleted_the_agent_moves_first_and_the_vendor_forgets(clean):
    _, made = clone(clean)
    clean.control("elevenlabs", fail={"status": 503, "times": 1})
    status, answer = call(clean, "DELETE", f"{path_of(LEO)}/11labs-{made['voice_id']}", LEO)
    assert (status, answer["agents_moved"]) == (200, 1)
    assert clean.speaks_with(LEO) == FALLBACK
    wait(lambda: not clean.clones(), 60, "the vendor has forgotten it")
    wait(lambda: clean.sql("select state from patchbay.voice_clones") == [("gone",)], 30, "and we know")


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("form, field, why", [
    ({"audio": wav(4)}, "audio", "at least 10 seconds"), ({"audio": wav(301, rate=8000)}, "audio", "at most 5 minutes"),
    ({"audio": wav(12, 0.001)}, "audio", "nearly nothing"), ({"audio": b"%PDF-1.7 " + b"x" * 5000}, "audio", "must be WAV"),
    ({"audio": b""}, "audio", "at most 10 MiB"), ({"audio": wav(164.2, rate=32000)}, "audio", "at most 10 MiB"),
    ({"name": ""}, "name", "1 to 80"), ({"name": "a\r\nb"}, "name", "1 to 80"), ({"name": "x" * 81}, "name", "1 to 80"),
    ({"name": "  "}, "name", "1 to 80"), ({"consent": ""}, "consent", "agreed"), ({"consent": " \t"}, "consent", "agreed"),
    # A box nobody ticked.
    ({"consent": "false"}, "consent", "agreed"), ({"consent": "No"}, "consent", "agreed")])
def test_a_bad_request_says_which_field_and_asks_nobody(clean, form, field, why):
    status, answer = clone(clean, **form)
    assert (status, answer["error"]["field"]) == (400, field) and why in answer["error"]["message"]
    assert not clean.clones() and not clean.sql("select 1 from patchbay.voice_clones")


def test_on_retell_the_answer_is_why_not(clean):
    status, answer = clone(clean, RITA)
    assert status == 409 and "Preset voices only" in answer["error"]["message"]
    assert not clean.clones()


def test_nobody_makes_a_voice_for_somebody_else(clean):
    assert call(clean, "POST", path_of(LEO), RITA, FORM | {"audio": wav()})[0] == 404
    assert call(clean, "POST", path_of(LEO), None, FORM | {"audio": wav()}, app_metadata={"role": "admin"})[0] == 201


def test_the_quota_holds(clean):
    assert [clone(clean, name=f"Voice {n}")[0] for n in range(3)] == [201, 201, 409]
    assert len(clean.clones()) == 2


def test_what_the_vendor_does_not_take_is_told_and_noted(clean):
    clean.control("elevenlabs", voice_limit=0)
    status, answer = clone(clean)
    assert status == 503 and "no place" in answer["error"]["message"]
    assert clean.sql("select state from patchbay.voice_clones") == [("failed",)]
    assert clean.speaks_with(LEO) != FALLBACK or not clean.clones()


def test_what_a_crash_left_at_the_vendor_is_taken_away(clean):
    lost = uuid.uuid4()
    clean.sql("insert into patchbay.voice_clones (id, user_id, name, sample_type, sample_bytes, sample_sha256, consent_text, "
              "consent_by, changed_at) values (%s, %s, 'Lost', 'audio/wav', 1, 'x', 'yes', 'x', now() - interval '16 minutes')",
              lost, LEO.id)
    clean.vendor().voices.ivc.create(name="Lost", files=[io.BytesIO(wav())], description=f"patchbay {lost}")
    clean.vendor().voices.ivc.create(name="Not ours", files=[io.BytesIO(wav())])
    clean.daemons["stack-switcher"].restart()
    wait(lambda: list(clean.clones().values()) == ["Not ours"], 60, "ours is gone")
    wait(lambda: clean.sql("select state from patchbay.voice_clones where id = %s", lost) == [("failed",)], 30, "and noted")


# ---------------------------------------------------------------------- in the browser


@pytest.fixture(scope="module")
def browser():
    with Browser() as b:
        yield b


def test_a_user_on_retell_cannot_see_cloning(clean, browser):
    with browser.page(f"{clean.url}/agent", clean.token(RITA.id)) as page:
        page.get_by_text("Using Retell (Preset voices only)").wait_for()
        page.get_by_label("Voice", exact=True).wait_for()
        assert page.locator("#voice-cloning-section").count() == 0 and page.locator("#clone-voice-btn").count() == 0
        assert page.get_by_text("Clone Your Voice").count() == 0
        assert page.locator("#voice option").count() == 35
        page.get_by_label("Voice", exact=True).select_option("11labs-Adrian")
        wait(lambda: clean.speaks_with(RITA) == "11labs-Adrian", 20, "the chosen voice")


def test_a_user_on_livekit_clones_his_voice_and_deletes_it(clean, browser, tmp_path):
    (tmp_path / "me.wav").write_bytes(wav(32))
    with browser.page(f"{clean.url}/agent", clean.token(LEO.id)) as page:
        page.get_by_role("heading", name="Clone Your Voice").wait_for()
        with page.expect_file_chooser() as chooser:
            page.locator("#clone-voice-btn").click()
        chooser.value.set_files(tmp_path / "me.wav")
        page.get_by_text("0:32 long").wait_for()
        assert not violations(page)
        page.get_by_label("Name", exact=True).first.fill("Leo himself")
        page.get_by_label("This is my own voice").check()
        page.get_by_role("button", name="Make my voice").click()
        page.get_by_text("Your voice is ready").wait_for()
        assert clean.clones() == {clean.speaks_with(LEO): "Leo himself"}
        page.get_by_text("speaks as Leo himself (cloned)").wait_for()
        page.get_by_role("button", name="Delete Leo himself").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        wait(lambda: clean.speaks_with(LEO) == FALLBACK, 20, "the fallback speaks")
        page.get_by_text("speaks as Sarah").wait_for()


def test_a_file_as_long_as_is_allowed_is_sent_and_a_longer_one_is_not(clean, browser, tmp_path):
    (tmp_path / "five.wav").write_bytes(wav(298, rate=8000))
    (tmp_path / "six.wav").write_bytes(wav(306, rate=8000))
    with browser.page(f"{clean.url}/agent", clean.token(LEO.id)) as page:
        page.get_by_role("heading", name="Clone Your Voice").wait_for()
        page.locator("#voice-file").set_input_files(tmp_path / "six.wav")
        page.get_by_text("It is longer than 5 minutes").wait_for()
        assert page.get_by_role("button", name="Make my voice").is_disabled()
        page.locator("#voice-file").set_input_files(tmp_path / "five.wav")
        page.get_by_text("4:58 long").wait_for()
        page.get_by_label("This is my own voice").check()
        page.get_by_role("button", name="Make my voice").click()
        page.get_by_text("Your voice is ready").wait_for()
        assert clean.sql("select sample_ms / 1000 from patchbay.voice_clones")[0][0] == 298


def test_a_recording_is_metered_timed_and_refused_when_too_short(clean, browser):
    with browser.page(f"{clean.url}/agent", clean.token(LEO.id), PHONE) as page:
        page.get_by_role("button", name="Record").click()
        page.get_by_label("Level").wait_for()
        wait(lambda: page.locator(".timer").inner_text().startswith("0:02"), 30, "two seconds")
        page.get_by_role("button", name="Stop").click()
        page.get_by_text("at least 10 are needed").wait_for()
        assert not violations(page)
        assert page.get_by_role("button", name="Make my voice").is_disabled()
