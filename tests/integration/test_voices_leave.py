"""Voices of users who leave: deleted at the vendor, whatever fails meanwhile; and who did what to a voice, in the audit."""

import io
import os
import uuid

import psycopg
import pytest

from harness.patdb import add_user
from harness.postgres import OWNER
from harness.sip_leg import wait
from harness.stack import ADMIN, User
from test_erasure import ask as relay
from test_erasure import erase
from test_retell_provider import rpc_to
from test_voice_care import send
from test_voices import FALLBACK, Switcher, clone, path_of, wav

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")


class Leaving(Switcher):
    def _start_daemons(self, relay_port: int) -> None:
        super()._start_daemons(relay_port)
        self._daemon("webhook-relay", "PAT_RELAY_LISTEN", self._livekit_env() | {"PAT_RETELL_WEBHOOK_KEY": self.retell_key}).start()


@pytest.fixture(scope="module")
def stack():
    with Leaving(BUILD, with_livekit=False) as s:
        yield s


@pytest.fixture
def people(stack):
    """Makes users on LiveKit; afterwards the vendor does as it is told, and has no clone."""
    made = []

    def one(name: str) -> User:
        user = User(uuid.uuid4(), name, f"+1555{len(made):03d}{uuid.uuid4().int % 10000:04d}", "livekit")
        with psycopg.connect(stack.pg.url(OWNER, "patchbay"), autocommit=True) as c:
            add_user(c, user.id, f"{name.lower()}-{user.id}@example.com", name, user.number)
        stack.sql("update public.agent_configs set active_voice_stack = 'livekit', voice_id = %s, "
                  "retell_agent_id = null, retell_llm_id = null where user_id = %s", FALLBACK, user.id)
        made.append(user)
        return user

    yield one
    stack.control("elevenlabs", reset=True)
    for user in made:
        stack.sql("update patchbay.voice_clones set state = 'gone' where user_id = %s", user.id)
        stack.sql("delete from auth.users where id = %s", user.id)
    stack.sql("delete from patchbay.voice_orphans")
    for voice in stack.clones():
        stack.vendor().voices.delete(voice)


def done(stack, erasure: str) -> dict:
    def look():
        result = (relay(stack, "erasure", {"erasure_id": erasure}) or {}).get("result", {})
        return result if result.get("state") == "done" else None
    return wait(look, 90, "the user is erased")


# ---------------------------------------------------------------------- erasure


def test_erasing_a_user_deletes_his_voices_at_the_vendor_and_nobody_elses(stack, people):
    him, other = people("Him"), people("Other")
    clone(stack, him, name="His First")
    clone(stack, him, name="His Second")
    _, theirs = clone(stack, other, name="Hers")
    # One that was made before anybody kept consent, and one of which nobody knows whether it was made.
    old = stack.vendor().voices.ivc.create(name="Old", files=[io.BytesIO(wav())]).voice_id
    stack.sql("insert into public.voices (user_id, voice_id, voice_name, is_cloned) values (%s, %s, 'Old', true)", him.id, old)
    stack.sql("update public.agent_configs set cloned_voice_id = %s where user_id = %s", old, him.id)
    # And one of the vendor's library, taken into the account: everybody's, though the product's row calls it cloned.
    library = stack.vendor().voices.ivc.create(name="Library", files=[io.BytesIO(wav())]).voice_id
    stack.sql("insert into public.voices (user_id, voice_id, voice_name) values (%s, %s, 'Library')", him.id, library)
    assert stack.sql("select is_cloned from public.voices where voice_id = %s", library) == [(True,)]
    lost = uuid.uuid4()
    stack.sql("insert into patchbay.voice_clones (id, user_id, name, sample_type, sample_bytes, sample_sha256, consent_text, consent_by, "
              "created_at) values (%s, %s, 'Lost', 'audio/wav', 1, 'x', 'yes', 'x', now() - interval '3 minutes')", lost, him.id)
    stack.vendor().voices.ivc.create(name="Lost", files=[io.BytesIO(wav())], description=f"patchbay {lost}")
    stack.sql("insert into patchbay.voice_strays (voice_id, name, label) values ('whatever', 'Lost', %s)", f"patchbay {lost}")
    assert stack.sql("select patchbay.at_vendors(%s) -> 'voices'", him.id) == [(4,)] and len(stack.clones()) == 6
    result = done(stack, erase(stack, him.id)["erasure_id"])
    assert stack.clones() == {theirs["voice_id"]: "Hers", library: "Library"}
    assert result["counts"]["vendor_copies"] == 4
    assert stack.speaks_with(other) == theirs["voice_id"] and stack.speaks_with(him) == FALLBACK
    for table in ("voice_clones", "voice_notices", "voice_previews", "audit"):
        assert stack.sql(f"select count(*) from patchbay.{table} where user_id = %s", him.id) == [(0,)], table
    # Nothing of him waits to be done once more, and no list has a name of his.
    assert stack.sql("select count(*) from patchbay.voice_orphans") == [(0,)]
    assert stack.sql("select count(*) from patchbay.voice_strays where name = 'Lost'") == [(0,)]


def test_a_voice_two_users_have_stays_at_the_vendor(stack, people):
    him, other = people("Him"), people("Other")
    shared = stack.vendor().voices.ivc.create(name="Shared", files=[io.BytesIO(wav())]).voice_id
    stack.sql("alter table public.voices disable trigger zz_patchbay_guard_own_voice")
    try:
        for user in (him, other):
            stack.sql("insert into public.voices (user_id, voice_id, voice_name, is_cloned) values (%s, %s, 'Shared', true)", user.id, shared)
            stack.sql("update public.agent_configs set cloned_voice_id = %s where user_id = %s", shared, user.id)
    finally:
        stack.sql("alter table public.voices enable trigger zz_patchbay_guard_own_voice")
    done(stack, erase(stack, him.id)["erasure_id"])
    assert stack.clones() == {shared: "Shared"}


def test_the_vendor_is_away_and_both_daemons_die_it_is_deleted_all_the_same(stack, people):
    him = people("Him")
    _, made = clone(stack, him)
    stack.control("elevenlabs", fail={"status": 503, "times": -1, "path": "/v1/voices/"})
    erasure = erase(stack, him.id)["erasure_id"]
    wait(lambda: stack.sql("select 1 from patchbay.erasures where id = %s and step = 0 and attempts > 0", erasure), 60, "the vendor refuses")
    assert stack.clones() == {made["voice_id"]: "Leo's Voice"} and stack.speaks_with(him) == FALLBACK
    stack.daemons["stack-switcher"].kill()
    stack.daemons["webhook-relay"].kill()
    stack.sql("update patchbay.erasures set claimed_until = now(), next_at = now() where id = %s", erasure)
    stack.daemons["webhook-relay"].start()
    # Nobody there to ask: it is tried until somebody is.
    wait(lambda: stack.sql("select 1 from patchbay.erasures where id = %s and error like 'voices: %%'", erasure), 60, "nobody serves it")
    stack.control("elevenlabs", fail=None)
    stack.daemons["stack-switcher"].start()
    stack.sql("update patchbay.erasures set next_at = now() where id = %s and state = 'open'", erasure)
    done(stack, erasure)
    assert stack.clones() == {}


def test_a_voice_of_the_library_that_is_named_as_his_clone_stays_at_the_vendor(stack, people):
    him, voice = people("Him"), "Lib" + uuid.uuid4().hex[:17]
    clone(stack, him, name="His")
    stack.vendor().voices.share("somebody", voice, new_name="Everybody's")
    stack.sql("insert into public.voices (user_id, voice_id, voice_name) values (%s, %s, 'Everybody''s')", him.id, voice)
    stack.sql("update public.agent_configs set cloned_voice_id = %s where user_id = %s", voice, him.id)
    assert done(stack, erase(stack, him.id)["erasure_id"])["counts"]["vendor_copies"] == 1
    assert stack.clones() == {} and voice in {v.voice_id for v in stack.vendor().voices.get_all().voices}
    assert stack.sql("select count(*) from patchbay.voice_orphans") == [(0,)]


def test_it_is_not_done_while_the_vendor_may_still_make_one(stack, people):
    him = people("Him")
    lost = uuid.uuid4()
    stack.sql("insert into patchbay.voice_clones (id, user_id, name, sample_type, sample_bytes, sample_sha256, consent_text, consent_by) "
              "values (%s, %s, 'Late', 'audio/wav', 1, 'x', 'yes', 'x')", lost, him.id)
    erasure = erase(stack, him.id)["erasure_id"]
    wait(lambda: stack.sql("select 1 from patchbay.erasures where id = %s and step = 0 and attempts > 0", erasure), 60, "it waits")
    stack.vendor().voices.ivc.create(name="Late", files=[io.BytesIO(wav())], description=f"patchbay {lost}")
    stack.sql("update patchbay.erasures set next_at = now() where id = %s and state = 'open'", erasure)
    done(stack, erasure)
    assert stack.clones() == {}


def test_voices_are_forgotten_of_nobody_who_is_not_being_erased(stack, people):
    him = people("Him")
    _, made = clone(stack, him)
    answer = rpc_to(stack, "pat.rpc.v1.voices.forget", {"user_id": str(him.id)}, patience_ms=20000, timeout_s=25)
    assert answer["result"] == {"deleted": 0, "left": 0} and made["voice_id"] in stack.clones()
    assert stack.speaks_with(him) == made["voice_id"]
    assert rpc_to(stack, "pat.rpc.v1.voices.forget", {"user_id": "x"}, patience_ms=5000, timeout_s=10)["error"]["code"] == "invalid"


def test_whoever_deletes_a_user_deletes_his_voices_there_too(stack, people):
    him = people("Him")
    clone(stack, him, name="One")
    lost = uuid.uuid4()
    stack.sql("insert into patchbay.voice_clones (id, user_id, name, sample_type, sample_bytes, sample_sha256, consent_text, consent_by, "
              "created_at) values (%s, %s, 'Lost', 'audio/wav', 1, 'x', 'yes', 'x', now() - interval '1 hour')", lost, him.id)
    stack.vendor().voices.ivc.create(name="Lost", files=[io.BytesIO(wav())], description=f"patchbay {lost}")
    stack.control("elevenlabs", fail={"status": 503, "times": -1, "path": "/v"})
    stack.sql("delete from auth.users where id = %s", him.id)
    assert stack.sql("select count(*) from patchbay.voice_orphans") == [(2,)]
    # What is about to go is no stray.
    stack.sql("insert into patchbay.voice_strays (voice_id, name, label) values ('whatever', 'Lost', %s)", f"patchbay {lost}")
    assert stack.sql("select count(*) from patchbay.voice_strays") == [(0,)]
    stack.daemons["stack-switcher"].restart()
    wait(lambda: stack.sql("select 1 from patchbay.voice_orphans where attempts > 0"), 60, "the vendor refuses")
    stack.control("elevenlabs", fail=None)
    stack.sql("update patchbay.voice_orphans set due_at = now()")
    stack.daemons["stack-switcher"].kill()
    stack.daemons["stack-switcher"].start()
    wait(lambda: not stack.sql("select 1 from patchbay.voice_orphans"), 60, "all are gone")
    assert stack.clones() == {}


# ---------------------------------------------------------------------- the audit


def audit(stack, user) -> list[tuple]:
    return stack.sql("select action, actor, allowed, before, after, why from patchbay.audit where user_id = %s order by at, id", user.id)


def test_what_is_done_to_a_voice_is_written_down_once_with_before_and_after(stack, people):
    him = people("Him")
    made = clone(stack, him)[1]["voice_id"]
    path = f"{path_of(him)}/{made}"
    assert send(stack, "PATCH", path, him, {"name": "New Name", "settings": {"stability": 0.25}})[0] == 200
    assert send(stack, "PATCH", path, him, {"name": "New Name"})[0] == 200  # nothing changes
    assert send(stack, "PATCH", path, him, {"settings": {"stability": 7}})[0] == 400
    assert send(stack, "PATCH", f"{path_of(him)}/{FALLBACK}?why=too%20fast", None, {"settings": {"speed": 0.9}}, app_metadata={"role": "admin"})[0] == 200
    assert send(stack, "DELETE", path, him)[0] == 200
    assert send(stack, "DELETE", path, him)[0] == 404
    mine = str(him.id)
    assert audit(stack, him) == [
        ("voice.clone", mine, True, {"speaks_with": FALLBACK},
         {"voice_id": made, "name": "Leo's Voice", "sample_type": "audio/wav", "sample_ms": 12000, "speaks_with": made}, None),
        ("voice.change", mine, True, {"voice_id": made, "name": "Leo's Voice", "stability": 0.5},
         {"voice_id": made, "name": "New Name", "stability": 0.25}, None),
        ("voice.change", str(ADMIN), True, {"voice_id": FALLBACK, "speed": 1}, {"voice_id": FALLBACK, "speed": 0.9}, "too fast"),
        ("voice.delete", mine, True, {"voice_id": made, "name": "New Name"}, {"agents_moved": 1, "speaks_with": FALLBACK}, None)]
    subjects = {s for (s,) in stack.sql("select subject from patchbay.audit where user_id = %s and subject is not null", him.id)}
    assert subjects == {stack.sql("select id from patchbay.voice_clones where user_id = %s", him.id)[0][0]}
