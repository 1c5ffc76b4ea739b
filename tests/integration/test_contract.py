"""The API against its own description: schemathesis asks every operation what /openapi.json lets one ask, and more."""

import json
import os
import re
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from harness.responder import Responder
from harness.stack import LEO, RITA, Stack, http_json
from test_switching import READY

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")
# These never end by themselves; what they say is tested where switches and rollouts are.
STREAMS = "^/v1/(switches|rollouts)/[^/]+/events$"
CHECKS = ("not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
          "response_schema_conformance,ignored_auth,unsupported_method,allow_header_conformance")
# There is none here, so this one is not available.
NO_LIVEKIT = """[[operations]]
include-path = "/v1/users/{id}/talk"
checks.not_a_server_error.expected-statuses = ["2xx", "4xx", "503"]
"""


class Whole(Stack):
    """With a vendor of voices."""

    def _daemon(self, name, listen, env):
        more = {"PAT_ELEVENLABS_API_URL": self.double("elevenlabs"), "PAT_ELEVENLABS_API_KEY": "xi-key"}
        return super()._daemon(name, listen, env | (more if name == "stack-switcher" else {}))


@pytest.fixture(scope="module")
def stack():
    with Whole(BUILD, with_livekit=False) as s, Responder(s.nats.url) as agent:
        agent.on("agent", "verify", lambda p: READY)
        agent.on("agent", "prepare", lambda p: {"accepted": True})
        yield s


def token(stack) -> str:
    return stack.token(LEO.id, app_metadata={"role": "admin"}, ttl_s=3600)


@pytest.fixture(scope="module")
def things(stack) -> dict[str, str]:
    """One of each, so that what is asked by an id meets something: path -> id."""
    def make(path: str, body: dict) -> dict:
        return http_json("POST", stack.daemons["stack-switcher"].url + path, body, {"Authorization": f"Bearer {token(stack)}"})

    call = str(uuid.uuid4())
    stack.sql("insert into patchbay.calls (id, user_id, from_number, to_number, stack, state, outcome, carrier_call_id, offered_at, "
              "ended_at) values (%s, %s, '+15550109999', %s, 'livekit', 'ended', 'answered', 'CA1', now(), now())", call, LEO.id, LEO.number)
    rollout = make("/v1/rollouts", {"to_stack": "livekit", "cohort": {"user_ids": [str(RITA.id)]}, "hold": True})
    return {"/v1/users/{id}": str(LEO.id), "/v1/calls/{id}": call, "/v1/rollouts/{id}": rollout["id"],
            "/v1/switches/{id}": make(f"/v1/users/{LEO.id}/switch", {"stack": "retell", "verify": False, "hold": True})["id"],
            "/v1/webhooks/endpoints/{id}": make("/v1/webhooks/endpoints", {"url": "https://example.com/", "events": ["call.*"]})["endpoint"]["id"]}


def hold_to_description(stack, things: dict, folder: Path, *options: str, timeout_s: int) -> None:
    switcher = stack.daemons["stack-switcher"]
    (folder / "schemathesis.toml").write_text(NO_LIVEKIT + "".join(
        f"[[operations]]\ninclude-path-regex = '^{re.escape(path)}'\nparameters = {{ 'path.id' = '{id_}' }}\n"
        for path, id_ in things.items()))
    p = subprocess.run([Path(sys.executable).parent / "schemathesis", "run", f"{switcher.url}/openapi.json", "--checks", CHECKS,
                        "--exclude-path-regex", STREAMS, "--header", f"Authorization: Bearer {token(stack)}",
                        "--request-timeout", "20", "--continue-on-failure", "--warnings", "off",
                        "--suppress-health-check", "all", "--no-color", *options],
                       cwd=folder, env=os.environ | {"HOME": str(folder)}, capture_output=True, text=True, timeout=timeout_s)
    assert p.returncode == 0, p.stdout[-20000:] + p.stderr[-2000:]
    assert switcher.process.alive()
    errors = [e for e in switcher.logs() if e.get("level") == "error"]
    assert not errors, json.dumps(errors[:5])


def test_every_operation_is_as_described(stack, things, tmp_path):
    """The same requests each time: nothing here is left to chance."""
    hold_to_description(stack, things, tmp_path, "--phases", "examples,coverage", "--generation-deterministic", timeout_s=110)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_every_operation_is_as_described_at_length(stack, things, tmp_path):
    hold_to_description(stack, things, tmp_path, "--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "50",
                        "--workers", "2", "--seed", "1", "--generation-database", "none", timeout_s=1700)
