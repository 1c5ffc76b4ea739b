"""The Retell and SignalWire doubles, proven by the vendors' own packages: what those accept and produce is the standard.

`retell-sdk` runs unchanged against the Retell double, and checks every answer against its own types. What the
SignalWire double signs is accepted by the validators of `signalwire` and `twilio`; what those sign is accepted by the
router. Nothing of ours computes a signature in this file.
"""

import hashlib
import http.client
import json
import os
import re
import threading
import typing
import urllib.parse
import uuid
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import jwt
import retell
import signalwire.request_validator
import twilio.base.exceptions
import twilio.request_validator
import twilio.rest
from pydantic import TypeAdapter
from retell.lib.webhook_auth import symmetric
from retell.types import (AgentListResponse, AgentListVersionsResponse, AgentResponse, CallListResponse, CallResponse, LlmResponse,
                          VoiceListResponse, WebCallResponse)

from harness.sip_leg import wait
from harness.stack import LEO, RITA, Stack, http_json

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")
KEY = "PSK_of_the_project"


@pytest.fixture(scope="module")
def stack():
    s = Stack(BUILD, with_livekit=False)
    s.signing_key = KEY
    with s:
        yield s


@pytest.fixture
def client(stack) -> retell.Retell:
    return retell.Retell(api_key=stack.retell_key, base_url=stack.double("retell"), max_retries=0, timeout=5)


def right(kind, value) -> None:
    """The SDK builds objects without checking; this checks against the type it promises."""
    TypeAdapter(kind).validate_python(value.to_dict() if hasattr(value, "to_dict") else [v.to_dict() for v in value])


class Customer:
    """Somebody's webhook endpoint: keeps what comes, answers 200 and, where asked, a document."""

    def __init__(self, document: str | None = None):
        self.requests: list[tuple[str, dict[str, str], str]] = []
        self.document = document
        customer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                customer.requests.append((customer.base + self.path, dict(self.headers), body))
                self.send_response(200)
                self.send_header("Content-Type", "text/xml")
                self.end_headers()
                self.wfile.write((customer.document or "").encode())

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"


# ---------------------------------------------------------------------- retell-sdk against the double


def test_agents_and_models_live_as_the_sdk_expects(client):
    llm = client.llm.create(general_prompt="Be brief.", model="gpt-4.1")
    right(LlmResponse, llm)
    right(LlmResponse, client.llm.retrieve(llm.llm_id))
    right(LlmResponse, client.llm.update(llm.llm_id, general_prompt="Be kind."))
    assert client.llm.retrieve(llm.llm_id).general_prompt == "Be kind."
    agent = client.agent.create(response_engine={"type": "retell-llm", "llm_id": llm.llm_id}, voice_id="11labs-Kate",
                                agent_name="Kate")
    right(AgentResponse, agent)
    assert client.agent.retrieve(agent.agent_id).agent_name == "Kate" and agent.version == 0
    right(AgentResponse, client.agent.update(agent.agent_id, agent_name="Katherine"))
    assert client.agent.create_version(agent.agent_id, base_version=0).version == 1
    client.agent.publish(agent.agent_id, version=1)
    assert client.agent.retrieve(agent.agent_id).is_published
    listed = client.agent.list()
    right(AgentListResponse, listed)
    assert agent.agent_id in [a.agent_id for a in listed.items]
    client.agent.delete(agent.agent_id)
    client.llm.delete(llm.llm_id)
    with pytest.raises(retell.NotFoundError):
        client.agent.retrieve(agent.agent_id)
    with pytest.raises(retell.NotFoundError):
        client.llm.retrieve(llm.llm_id)


def test_versions_live_as_the_vendors_pages_say(client):
    """Published is frozen; an agent and its model share the number; drafts are made from any version."""
    llm = client.llm.create(general_prompt="One.", model="gpt-4.1-mini")
    agent = client.agent.create(response_engine={"type": "retell-llm", "llm_id": llm.llm_id}, voice_id="11labs-Kate")
    client.agent.publish(agent.agent_id, version=0)
    with pytest.raises(retell.BadRequestError):
        client.agent.update(agent.agent_id, agent_name="x", version="0")
    with pytest.raises(retell.BadRequestError):
        client.llm.update(llm.llm_id, general_prompt="x", version="0")
    draft = client.agent.create_version(agent.agent_id, base_version=0)
    assert (draft.version, draft.is_published, draft.base_version) == (1, False, 0)
    client.llm.update(llm.llm_id, general_prompt="Two.", version="1")
    client.agent.update(agent.agent_id, voice_id="openai-Nova", version="1")
    assert client.llm.retrieve(llm.llm_id, version="0").general_prompt == "One."
    assert client.llm.retrieve(llm.llm_id, version="1").general_prompt == "Two."
    client.agent.publish(agent.agent_id, version=1)
    versions = client.agent.list_versions(agent.agent_id)
    right(AgentListVersionsResponse, versions)
    assert [(v.version, v.is_published, v.base_version) for v in versions.items] == [(1, True, 0), (0, True, None)]
    assert client.agent.retrieve(agent.agent_id, version="0").voice_id == "11labs-Kate"
    for version, error in (("5", retell.NotFoundError), ("1", retell.BadRequestError)):
        with pytest.raises(error):
            client.agent.update(agent.agent_id, agent_name="x", version=version)
    with pytest.raises(retell.NotFoundError):
        client.agent.publish(agent.agent_id, version=9)


BAD_FIELDS = [({"voice_speed": 3}, "voice_speed"), ({"ambient_sound": "high-school-hallway"}, "ambient_sound"),
              ({"responsiveness": -1}, "responsiveness"), ({"denoising_mode": "medium"}, "denoising_mode"),
              ({"max_call_duration_ms": 1000}, "max_call_duration_ms")]


@pytest.mark.parametrize("field,name", BAD_FIELDS)
def test_a_field_out_of_its_range_is_refused(client, field, name):
    llm = client.llm.create(general_prompt="One.")
    with pytest.raises(retell.BadRequestError) as e:
        client.agent.create(response_engine={"type": "retell-llm", "llm_id": llm.llm_id}, voice_id="11labs-Kate", **field)
    assert name in e.value.body["message"]


def test_the_models_are_those_the_sdk_offers(client):
    offered = set(re.findall(r"'([a-z0-9.-]+)'", str(typing.get_type_hints(retell.types.LlmCreateParams)["model"])))
    assert len(offered) > 10
    for model in offered:
        client.llm.create(general_prompt="One.", model=model)


def test_what_a_model_cannot_be(client):
    for wrong in ({"model": "gpt-4o-mini"}, {"model_temperature": 2},
                  {"general_tools": [{"type": "custom", "name": "with blanks", "url": "https://x.example"}]},
                  {"general_tools": [{"type": "custom", "name": "no_address"}]}):
        with pytest.raises(retell.BadRequestError):
            client.llm.create(general_prompt="One.", **wrong)
    with pytest.raises(retell.NotFoundError):
        llm = client.llm.create(general_prompt="One.")
        client.agent.create(response_engine={"type": "retell-llm", "llm_id": llm.llm_id}, voice_id="11labs-Nobody")


def test_voices(client):
    voices = client.voice.list()
    right(VoiceListResponse, voices)
    assert client.voice.retrieve(voices[0].voice_id).voice_name == voices[0].voice_name
    with pytest.raises(retell.NotFoundError):
        client.voice.retrieve("11labs-Nobody")


def test_a_call_is_registered_found_and_listed(stack, client):
    agent = stack.sql("select retell_agent_id from public.agent_configs where user_id = %s", RITA.id)[0][0]
    call = client.call.register_phone_call(agent_id=agent, from_number="+15550109999", to_number=RITA.number,
                                           direction="inbound", metadata={"call_id": "ours"})
    right(CallResponse, call)
    assert call.call_status == "registered" and call.call_type == "phone_call" and call.metadata == {"call_id": "ours"}
    right(CallResponse, client.call.retrieve(call.call_id))
    listed = client.call.list()
    right(CallListResponse, listed)
    assert call.call_id in [c.call_id for c in listed.items]
    with pytest.raises(retell.NotFoundError):
        client.call.retrieve("call_nobody")


def test_a_web_call_is_made_joined_and_stopped(stack, client):
    agent = stack.sql("select retell_agent_id from public.agent_configs where user_id = %s", RITA.id)[0][0]

    def create(**body):
        """v2, whose token is LiveKit's: the SDK's own method asks v3 for one of a gateway, which retell-client-js-sdk 2.0
        does not speak."""
        return client.post("/v2/create-web-call", cast_to=WebCallResponse, body=body)

    call = create(agent_id=agent, metadata={"call_id": "ours"}, agent_override={"agent": {"max_call_duration_ms": 60_000}})
    right(WebCallResponse, call)
    grants = jwt.decode(call.access_token, options={"verify_signature": False})["video"]
    assert call.call_type == "web_call" and call.call_status == "registered" and grants["roomJoin"] and grants["room"]
    client.call.stop(call.call_id)
    assert client.call.retrieve(call.call_id).disconnection_reason == "manual_stopped"
    with pytest.raises(retell.BadRequestError):
        create(agent_id=agent, agent_override={"agent": {"max_call_duration_ms": 59_999}})
    with pytest.raises(retell.UnprocessableEntityError):
        create(agent_id="agent_nobody_made")


def test_a_finished_call_is_what_the_sdk_expects(stack, client):
    sid = stack.place_call(RITA.number)
    stack.wait_story(sid, "ended")
    id_ = stack.wait_row(sid, "ended")["retell_call_id"]
    call = wait(lambda: (c := client.call.retrieve(id_)).call_status == "ended" and c, 10, "the call is over")
    right(CallResponse, call)
    assert call.disconnection_reason == "agent_hangup" and call.transcript and call.call_cost.combined_cost > 0
    assert call.call_analysis.call_summary and call.end_timestamp > call.start_timestamp


ERRORS = [(400, retell.BadRequestError), (401, retell.AuthenticationError), (403, retell.PermissionDeniedError),
          (404, retell.NotFoundError), (422, retell.UnprocessableEntityError), (429, retell.RateLimitError),
          (500, retell.InternalServerError)]


@pytest.mark.parametrize("status,error", ERRORS)
def test_scripted_errors_are_the_sdks_errors(stack, client, status, error):
    stack.control("retell", fail={"status": status, "times": 1, "message": "so it is"})
    with pytest.raises(error) as e:
        client.voice.list()
    assert e.value.body["message"] == "so it is"


def test_a_wrong_key_and_an_unknown_agent(stack, client):
    with pytest.raises(retell.AuthenticationError):
        client.with_options(api_key="key_other").voice.list()
    with pytest.raises(retell.UnprocessableEntityError):
        client.call.register_phone_call(agent_id="agent_nobody_made")


def test_retells_verifier_accepts_the_doubles_webhooks(stack, client):
    relay = stack.daemons["webhook-relay"].url + "/v1/hooks/retell"
    with Customer() as customer:
        stack.control("retell", webhook_url=customer.base + "/hook")
        try:
            sid = stack.place_call(RITA.number)
            stack.wait_story(sid, "ended")
            wait(lambda: len(customer.requests) == 3, 10, "three webhooks came")
        finally:
            stack.control("retell", webhook_url=relay)
    for _, headers, body in customer.requests:
        signature = {k.lower(): v for k, v in headers.items()}["x-retell-signature"]
        assert client.verify(body, api_key=stack.retell_key, signature=signature)
        assert not client.verify(body + " ", api_key=stack.retell_key, signature=signature)
        assert not client.verify(body, api_key="key_other", signature=signature)
    assert {json.loads(b)["event"] for _, _, b in customer.requests} == {"call_started", "call_ended", "call_analyzed"}


def test_the_relay_accepts_what_retells_signer_signs(stack):
    relay = stack.daemons["webhook-relay"]
    body = json.dumps({"event": "call_ended", "call": {"call_id": "call_" + uuid.uuid4().hex, "note": "äöü ✓"}}, ensure_ascii=False)
    good = symmetric["sign"](body, stack.retell_key)
    for signature, status in ((good, 200), (good[:-1] + ("0" if good[-1] != "0" else "1"), 401),
                              (symmetric["sign"](body, "key_other"), 401), (symmetric["sign"](body, stack.retell_key, 1), 401)):
        connection = http.client.HTTPConnection("127.0.0.1", relay.port, timeout=10)
        connection.request("POST", "/v1/hooks/retell", body.encode(), {"X-Retell-Signature": signature})
        assert connection.getresponse().status == status
        connection.close()


# ---------------------------------------------------------------------- SignalWire's signatures, both directions


ODD = {"Caller Name": "", "Äpfel": "b=1&c=2", "Plus": "+ %", "a": "1", "A": "2"}


def test_the_vendors_validators_accept_what_the_double_signs(stack):
    router = stack.daemons["router"]
    with Customer("<?xml version=\"1.0\"?><Response><Hangup/></Response>") as customer:
        stack.control("signalwire", voice_url=customer.base + "/voice?tenant=7#rt=9000", status_url=customer.base + "/status")
        try:
            sid = http_json("POST", stack.double("signalwire") + "/calls", {"from": "+15550109999", "to": "sip:ä b@x"})["sid"]
            stack.wait_story(sid, "ended")
            wait(lambda: len(customer.requests) == 2, 10, "document and status were asked")
        finally:
            stack.control("signalwire", voice_url=f"{router.url}/v1/signalwire/voice", status_url=f"{router.url}/v1/signalwire/status")
    for url, headers, body in customer.requests:
        signature = {k.lower(): v for k, v in headers.items()}["x-signalwire-signature"]
        params = dict(urllib.parse.parse_qsl(body, keep_blank_values=True))
        assert params["CallSid"] == sid
        assert twilio.request_validator.RequestValidator(KEY).validate(url, params, signature)
        assert signalwire.request_validator.RequestValidator(KEY).validate(url, params, signature)
        assert not twilio.request_validator.RequestValidator("PSK_other").validate(url, params, signature)
        assert not twilio.request_validator.RequestValidator(KEY).validate(url, params | {"To": "+1"}, signature)


def ask_router(stack, body: str, kind: str, query: str = "", **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", stack.daemons["router"].port, timeout=10)
    connection.request("POST", "/v1/signalwire/voice" + query, body.encode(), {"Content-Type": kind} | headers)
    r = connection.getresponse()
    text = r.read().decode()
    connection.close()
    return r.status, text


def voice_params() -> dict[str, str]:
    return {"CallSid": str(uuid.uuid4()), "From": "+15550109999", "To": LEO.number, "CallStatus": "ringing"}


@pytest.mark.parametrize("params", [{}, ODD])
def test_the_router_accepts_what_twilios_package_signs(stack, params):
    url, params = stack.daemons["router"].url + "/v1/signalwire/voice", voice_params() | params
    body = urllib.parse.urlencode(params)
    for key, status in ((KEY, 200), ("PSK_other", 403)):
        signature = twilio.request_validator.RequestValidator(key).compute_signature(url, params)
        assert ask_router(stack, body, "application/x-www-form-urlencoded", **{"X-SignalWire-Signature": signature})[0] == status


def test_the_router_accepts_a_json_body_as_twilios_package_signs_it(stack):
    body = json.dumps(voice_params())
    query = "?bodySHA256=" + hashlib.sha256(body.encode()).hexdigest()
    url = stack.daemons["router"].url + "/v1/signalwire/voice" + query
    validator = twilio.request_validator.RequestValidator(KEY)
    signature = validator.compute_signature(url, {})
    assert validator.validate(url, body, signature)
    assert ask_router(stack, body, "application/json", query, **{"X-SignalWire-Signature": signature})[0] == 200
    assert ask_router(stack, body + " ", "application/json", query, **{"X-SignalWire-Signature": signature})[0] == 403


def test_the_router_accepts_swml_as_signalwires_package_signs_it(stack):
    body = json.dumps({"call": {"call_id": str(uuid.uuid4()), "from": "+15550109999", "to": LEO.number}, "vars": {}})
    url = stack.daemons["router"].url + "/v1/signalwire/voice"
    for key, status in ((KEY, 200), ("PSK_other", 403)):
        signature = signalwire.request_validator.RequestValidator(key).build_signature(url, body)
        assert ask_router(stack, body, "application/json", **{"X-SignalWire-Signature": signature})[0] == status


def test_the_sdk_is_served_many_times_at_once(client):
    with ThreadPoolExecutor(8) as pool:
        assert len({len(v) for v in pool.map(lambda _: client.voice.list(), range(40))}) == 1


# ---------------------------------------------------------------------- the REST API, by the vendors' package


@pytest.fixture
def rest(stack) -> twilio.rest.Client:
    """Twilio's client, as SignalWire's own package uses it: the same forms under another address."""
    c = twilio.rest.Client(stack.project, stack.carrier_token)
    c.api.base_url = stack.double("signalwire") + "/api/laml"
    stack.control("signalwire", phones={"+15550142000": {"status": 200}, "+15550142001": {"status": 486}})
    yield c
    stack.control("signalwire", phones={})


HOLD = '<?xml version="1.0"?><Response><Pause length="60"/></Response>'


def test_twilios_client_makes_looks_at_and_ends_calls(stack, rest):
    with Customer(HOLD) as customer:
        made = rest.calls.create(to="+15550142000", from_="+15550100001", url=customer.base + "/hold", timeout=20,
                                 status_callback=customer.base + "/status",
                                 status_callback_event=["initiated", "ringing", "answered", "completed"])
        wait(lambda: rest.calls(made.sid).fetch().status == "in-progress", 20, "somebody answers")
        assert made.direction == "outbound-api" and made.sid in [c.sid for c in rest.calls.list()]
        assert rest.calls(made.sid).update(status="completed").status == "completed"
        wait(lambda: len([r for r in customer.requests if r[0].endswith("/status")]) == 4, 20, "four callbacks came")
    told = [dict(urllib.parse.parse_qsl(body)) for url, _, body in customer.requests if url.endswith("/status")]
    assert sorted(t["CallStatus"] for t in told) == ["completed", "in-progress", "initiated", "ringing"]
    assert sorted(int(t["SequenceNumber"]) for t in told) == [0, 1, 2, 3] and {t["CallSid"] for t in told} == {made.sid}


def test_a_live_call_is_redirected_and_its_dial_tells_its_end(stack, rest):
    dial = ('<?xml version="1.0"?><Response><Dial action="{0}/after"><Number>+15550142000</Number></Dial></Response>')
    with Customer() as customer, Customer(HOLD) as elsewhere:
        router = stack.daemons["router"]
        stack.control("signalwire", voice_url=customer.base + "/voice")
        customer.document = dial.format(customer.base)
        try:
            sid = http_json("POST", stack.double("signalwire") + "/calls", {"from": "+15550109999", "to": LEO.number})["sid"]
            wait(lambda: stack.look(sid)["state"] == "bridged", 20, "they speak")
            rest.calls(sid).update(url=elsewhere.base + "/elsewhere", method="POST")
            wait(lambda: elsewhere.requests and [r for r in customer.requests if r[0].endswith("/after")], 20, "both are asked")
            after = dict(urllib.parse.parse_qsl([r for r in customer.requests if r[0].endswith("/after")][0][2]))
            assert after["DialCallStatus"] == "completed" and after["CallStatus"] == "in-progress"
            assert stack.look(sid)["state"] == "playing"
            rest.calls(sid).update(status="completed")
        finally:
            stack.control("signalwire", voice_url=f"{router.url}/v1/signalwire/voice")


def test_errors_have_the_vendors_body(stack, rest):
    with pytest.raises(twilio.base.exceptions.TwilioRestException) as e:
        rest.calls(str(uuid.uuid4())).update(status="completed")
    assert (e.value.status, str(e.value.code)) == (404, "20404")
    with pytest.raises(twilio.base.exceptions.TwilioRestException) as e:
        rest.calls.create(to="sales", from_="+15550100001", url="http://127.0.0.1:1/")
    assert (e.value.status, str(e.value.code)) == (422, "21201")
    busy = rest.calls.create(to="+15550142001", from_="+15550100001", url="http://127.0.0.1:1/")
    wait(lambda: stack.look(busy.sid)["state"] == "ended", 20, "it is busy")
    with pytest.raises(twilio.base.exceptions.TwilioRestException) as e:
        rest.calls(busy.sid).update(url="http://127.0.0.1:1/")
    assert (e.value.status, str(e.value.code)) == (400, "21220")
    wrong = twilio.rest.Client(stack.project, "PT_other")
    wrong.api.base_url = rest.api.base_url
    with pytest.raises(twilio.base.exceptions.TwilioRestException) as e:
        wrong.calls(busy.sid).fetch()
    assert (e.value.status, str(e.value.code)) == (401, "20003")
