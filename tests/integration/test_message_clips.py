"""The clip of a message is in its row once the object is there, in whatever order the two are told."""

import itertools
import json
import uuid

import pytest
from test_call_records import ADA, BOB

from harness import patdb
from harness.postgres import Postgres


@pytest.fixture(scope="module")
def db():
    with Postgres() as pg:
        with patdb.States(pg).copy("fresh") as db:
            yield db


def clip(call, message, state, user=ADA, url=None):
    return "put_recording", {"call_id": call, "name": f"m-{message}", "user_id": str(user), "state": state, "url": url,
                             "began_at": "2026-03-01T12:00:00Z"}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_whichever_comes_first(db, order):
    call, message = str(uuid.uuid4()), str(uuid.uuid4())
    told = [clip(call, message, "recording"), clip(call, message, "stored", url="https://files/x.ogg"),
            ("put_voicemail", {"id": message, "call_id": call, "user_id": str(ADA), "transcript": "call me"})]
    for i in order:
        function, facts = told[i]
        for _ in range(2):
            db.daemon.execute(f"select patchbay.{function}(%s)", [json.dumps(facts)])
    assert db.one("select recording_url from patchbay.voicemails where id = %s", message) == "https://files/x.ogg"


def test_none_is_named_that_is_not_there(db):
    call, message = str(uuid.uuid4()), str(uuid.uuid4())
    voicemail = {"id": message, "call_id": call, "user_id": str(ADA), "transcript": "call me"}
    for function, facts in [clip(call, message, "recording"), clip(call, message, "failed"),
                            clip(str(uuid.uuid4()), message, "stored", user=BOB, url="https://files/other.ogg"),
                            ("put_voicemail", voicemail)]:
        db.daemon.execute(f"select patchbay.{function}(%s)", [json.dumps(facts)])
    assert db.one("select recording_url from patchbay.voicemails where id = %s", message) is None
