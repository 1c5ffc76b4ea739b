"""Agents at Retell, made from stored settings: created, changed by version, checked, taken away, whatever happens between."""

import json
import os
import time
import uuid

import psycopg
import pytest
import retell

from harness import events
from harness.patdb import add_user
from harness.sip_leg import wait
from harness.stack import LEO, OWNER, Stack
from harness.watch import Watch
from test_retell_provider import rpc_to

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")
SETTINGS = {"PAT_RETELL_SETTLE": "200ms", "PAT_RETELL_SWEEP_EVERY": "500ms", "PAT_RETELL_CHECK_EVERY": "1h",
            "PAT_RETELL_REQUESTS_PER_S": "200", "PAT_RETELL_TOOLS_URL": "https://edge.example/v1/retell/tools",
            "PAT_RETELL_WEBHOOK_URL": "https://edge.example/v1/hooks/retell"}


@pytest.fixture(scope="module")
def stack():
    with Stack(BUILD, with_livekit=False, daemons={"retell-provider": SETTINGS}) as s:
        yield s


@pytest.fixture(scope="module")
def watch(stack):
    with Watch(stack.nats.url) as w:
        yield w


@pytest.fixture(scope="module")
def client(stack) -> retell.Retell:
    return retell.Retell(api_key=stack.retell_key, base_url=stack.double("retell"), max_retries=0, timeout=5)


numbers = iter(range(15550300001, 15550399999))


class Customer:
    """A user with an agent of his own, who has nothing at Retell."""

    def __init__(self, stack, **settings):
        self.stack, self.id, self.number = stack, uuid.uuid4(), f"+{next(numbers)}"
        with psycopg.connect(stack.pg.url(OWNER, "patchbay"), autocommit=True) as c:
            add_user(c, self.id, f"{self.id}@example.com", "Ada", self.number)
        self.config = str(stack.sql("select id from public.agent_configs where user_id = %s", self.id)[0][0])
        self.change(active_voice_stack="livekit", retell_agent_id=None, retell_llm_id=None, voice_id="11labs-Kate",
                    greeting_template="Hello, {name} here.", system_prompt="Be kind.", **settings)

    def change(self, **columns):
        sets = ", ".join(f"{k} = %s" for k in columns)
        values = [json.dumps(v) if isinstance(v, dict) else v for v in columns.values()]
        self.stack.sql(f"update public.agent_configs set {sets} where id = %s", *values, self.config)

    def ask(self, method: str, timeout_s: float = 30) -> dict:
        return rpc_to(self.stack, f"pat.rpc.v1.retell.{method}", {"agent_config_id": self.config}, timeout_s=timeout_s)

    def provision(self) -> dict:
        answer = self.ask("provision")
        assert "result" in answer, answer
        return answer["result"]

    def row(self) -> dict:
        return self.stack.row("select * from patchbay.retell_agents where agent_config_id = %s", self.config)

    def settled(self, version: int) -> dict:
        def there():
            r = self.row()
            return r and r["state"] == "ready" and r["version"] == version and not r["claimed_by"] and r
        return wait(lambda: there() or time.sleep(0.1), 30, f"version {version} is published: {self.row()}")


@pytest.fixture
def ada(stack):
    return Customer(stack)


def wrote(stack, id_: str) -> list[dict]:
    return [e for e in stack.double_log("retell", "wrote") if e["id"] == id_]


def test_an_agent_is_made_and_published(stack, client, watch, ada):
    made = ada.provision()
    agent = client.agent.retrieve(made["agent_id"], version=str(made["version"]))
    llm = client.llm.retrieve(made["llm_id"], version=str(made["version"]))
    assert agent.is_published and llm.is_published and agent.response_engine.llm_id == made["llm_id"]
    assert agent.voice_id == "11labs-Kate" and agent.webhook_url == "https://edge.example/v1/hooks/retell"
    assert llm.begin_message == "Hello, Ada here." and llm.start_speaker == "agent" and llm.model == "gpt-4.1-mini"
    assert llm.general_prompt.startswith("Be kind.") and "phone call" in llm.general_prompt
    assert {t.name for t in llm.general_tools} >= {"take_message", "end_call"}
    assert all(t.url.startswith("https://edge.example/v1/retell/tools/") for t in llm.general_tools if t.type == "custom")
    ids = stack.row("select retell_agent_id, retell_llm_id from public.agent_configs where id = %s", ada.config)
    assert ids == {"retell_agent_id": made["agent_id"], "retell_llm_id": made["llm_id"]}
    event = watch.wait_for("config.agent", ada.config)
    events.validate(event, event["_subject"])
    assert event["data"]["state"] == "ready" and event["data"]["version"] == made["version"]


def test_asked_twice_it_is_made_once(stack, client, ada):
    first, second = ada.provision(), ada.provision()
    assert first["agent_id"] == second["agent_id"] and first["version"] == second["version"]
    named = [a for a in client.agent.list().items if ada.config in (a.agent_name or "")]
    assert len(named) == 1


def test_a_change_of_settings_is_a_version_with_just_the_change(stack, client, ada):
    made = ada.provision()
    ada.change(system_prompt="Be brief.")
    ada.settled(1)
    assert client.llm.retrieve(made["llm_id"], version="1").general_prompt.startswith("Be brief.")
    assert client.llm.retrieve(made["llm_id"], version="0").general_prompt.startswith("Be kind.")
    patches = [e for e in wrote(stack, made["llm_id"]) if "update" in e["path"]]
    assert [(set(e["body"]), e["version"]) for e in patches] == [({"general_prompt"}, 1)]
    assert not [e for e in wrote(stack, made["agent_id"]) if "update" in e["path"]]


def test_changes_in_a_row_are_one_version(stack, ada):
    ada.provision()
    changes = "".join(f"update public.agent_configs set agent_volume = {0.5 + i / 10} where id = '{ada.config}'; " for i in range(8))
    stack.sql(f"do $$ begin {changes} end $$")
    assert ada.settled(1)["pushed"]["agent"]["volume"] == 1.2


def test_calls_are_registered_with_the_published_version(stack, ada):
    made = ada.provision()
    ada.change(active_voice_stack="retell", agent_volume=1.5)
    ada.settled(1)

    def dialled():
        sid = stack.place_call(ada.number)
        call = str(stack.wait_row(sid, "ended")["id"])
        entry = [e for e in stack.double_log("retell", "registered") if e["request"]["metadata"]["call_id"] == call]
        return entry and entry[0]["request"].get("agent_version") == 1 and entry[0]["request"]
    request = wait(lambda: dialled() or time.sleep(0.2), 30, "a call goes to version 1")
    assert request["agent_id"] == made["agent_id"]
    assert request["retell_llm_dynamic_variables"]["caller_number"].startswith("+")


def test_an_agent_the_product_made_is_taken_over(stack, client, ada):
    llm = client.llm.create(general_prompt="Old.", model="gpt-4.1", begin_message="Old greeting")
    agent = client.agent.create(response_engine={"type": "retell-llm", "llm_id": llm.llm_id}, voice_id="11labs-Brian")
    ada.change(retell_agent_id=agent.agent_id, retell_llm_id=llm.llm_id)
    made = ada.provision()
    assert (made["agent_id"], made["llm_id"], made["version"]) == (agent.agent_id, llm.llm_id, 1)
    assert client.agent.retrieve(agent.agent_id, version="1").voice_id == "11labs-Kate"
    assert client.llm.retrieve(llm.llm_id, version="0").general_prompt == "Old."


def test_settings_retell_does_not_have_are_told(stack, ada):
    ada.change(max_tokens=80, ambient_sound="high-school-hallway", voice_id="EXAVITQu4vr4xnSDxMaL", language="gsw-CH",
               stack_config={"livekit": {"model": "gpt-4o-mini"}})
    notes = {n["field"]: n for n in ada.provision()["settings"]}
    assert notes["max_tokens"]["grade"] == "lossy" and notes["ambient_sound"]["grade"] == "parked"
    assert notes["voice_id"]["grade"] == "near" and notes["model"]["grade"] == "near"
    assert notes["language"]["grade"] == "lossy" and notes["greeting_template"]["grade"] == "exact"


# field of ours, its value, part and field at Retell, value there
FIELDS = [
    ({"temperature": 0.3}, "llm", "model_temperature", 0.3),
    ({"greeting_template": "Good day, {name}!"}, "llm", "begin_message", "Good day, Ada!"),
    ({"agent_volume": 1.7}, "agent", "volume", 1.7),
    ({"ambient_sound": "coffee-shop"}, "agent", "ambient_sound", "coffee-shop"),
    ({"ambient_sound": "coffee-shop", "ambient_sound_volume": 0.4}, "agent", "ambient_sound_volume", 0.4),
    ({"noise_suppression": "off"}, "agent", "denoising_mode", "no-denoise"),
    ({"noise_suppression": "high"}, "agent", "denoising_mode", "noise-and-background-speech-cancellation"),
    ({"language": "de"}, "agent", "language", "de-DE"),
    ({"language": "multi"}, "agent", "language", "multi"),
    ({"voice_id": "openai-nova"}, "agent", "voice_id", "openai-Nova"),
    ({"voice_id": "kate"}, "agent", "voice_id", "11labs-Kate"),
    ({"voice_id": "11labs-abcdefghij0123456789"}, "agent", "voice_id", "11labs-Kate"),
]


@pytest.mark.parametrize("columns,part,field,value", FIELDS)
def test_a_stored_field_reaches_retell(stack, client, ada, columns, part, field, value):
    ada.change(**columns)
    made = ada.provision()
    at_retell = client.agent.retrieve(made["agent_id"]) if part == "agent" else client.llm.retrieve(made["llm_id"])
    assert at_retell.to_dict()[field] == value


VOICE_FIELDS = [({"voice_speed": 1.2}, "voice_speed", 1.2), ({"voice_temperature": 0.5}, "voice_temperature", 0.5),
                ({"responsiveness": 0.4}, "responsiveness", 0.4), ({"enable_backchannel": True}, "enable_backchannel", True),
                ({"interruption_sensitivity": 0.3}, "interruption_sensitivity", 0.3),
                ({"boosted_keywords": ["Patchbay", "Ada"]}, "boosted_keywords", ["Patchbay", "Ada"])]


@pytest.mark.parametrize("columns,field,value", VOICE_FIELDS)
def test_a_field_of_the_voice_reaches_retell(stack, client, ada, columns, field, value):
    name, wish = next(iter(columns.items()))
    stack.sql(f"insert into public.voices (user_id, voice_id, voice_name, {name}) values (%s, 'Kate', 'Kate', %s)", ada.id, wish)
    made = ada.provision()
    assert getattr(client.agent.retrieve(made["agent_id"]), field) == value


def test_one_that_was_deleted_there_is_made_again(stack, client, ada):
    made = ada.provision()
    client.agent.delete(made["agent_id"])
    again = ada.ask("verify")["result"]
    assert again["agent_id"] != made["agent_id"] and client.agent.retrieve(again["agent_id"]).is_published
    with pytest.raises(retell.NotFoundError):
        client.llm.retrieve(made["llm_id"])
    assert stack.row("select retell_agent_id as id from public.agent_configs where id = %s", ada.config)["id"] == again["agent_id"]


def test_somebody_elses_version_is_told_and_not_used(stack, client, watch, ada):
    made = ada.provision()
    client.agent.create_version(made["agent_id"], base_version=0)
    client.agent.update(made["agent_id"], voice_id="11labs-Brian", version="1")
    client.agent.publish(made["agent_id"], version=1)
    assert ada.ask("verify")["result"]["version"] == 0
    assert ada.row()["drift"] == {"version": 1, "is_published": True}
    event = wait(lambda: [e for e in watch.of("config.agent", ada.config) if e["data"]["state"] == "drifted"], 15, "it is told")[0]
    events.validate(event, event["_subject"])
    ada.change(agent_volume=0.6)  # written on top of ours, not of theirs
    row = ada.settled(2)
    assert client.agent.retrieve(made["agent_id"], version="2").voice_id == "11labs-Kate" and row["drift"] is None


def test_a_draft_published_under_our_hands(stack, client, ada):
    """What somebody publishes while we write it is written again, whole."""
    made = ada.provision()
    draft = client.agent.create_version(made["agent_id"], base_version=0).version
    client.agent.publish(made["agent_id"], version=draft)
    stack.sql("update patchbay.retell_agents set draft = %s, drafted = pushed where agent_config_id = %s", draft, ada.config)
    ada.change(agent_volume=0.4)
    ada.settled(2)
    assert client.agent.retrieve(made["agent_id"], version="2").volume == 0.4


def test_a_voice_that_is_gone_is_replaced(stack, client, ada):
    stack.control("retell", gone_voice="11labs-Zuri")
    try:
        ada.change(voice_id="11labs-Zuri")
        made = ada.provision()
        voice = client.agent.retrieve(made["agent_id"]).voice_id
        assert voice != "11labs-Zuri" and voice.startswith("11labs-")
        note = {n["field"]: n for n in made["settings"]}["voice_id"]
        assert note["grade"] != "exact" and "no longer offered" in note["note"]
    finally:
        stack.control("retell", gone_voice="")
        stack.sql("update patchbay.voice_presets set offered = true")


@pytest.mark.parametrize("fail", [{"status": 500, "times": 2}, {"status": 429, "times": 1}, {"status": -1, "times": 1}])
def test_a_bad_moment_of_retells_is_got_over(stack, client, ada, fail):
    ada.stack.control("retell", fail=fail | {"message": "not now"})
    first = ada.ask("provision")
    row = wait(lambda: (r := ada.row())["state"] == "ready" and r or time.sleep(0.1), 60, f"provisioned: {first} {ada.row()}")
    assert [a.agent_id for a in client.agent.list().items if ada.config in (a.agent_name or "")] == [row["agent_id"]]
    ours = [m.llm_id for m in client.llm.list().items if (m.default_dynamic_variables or {}).get("patchbay_agent") == ada.config]
    assert ours == [row["llm_id"]]


def test_what_was_made_and_not_noted_is_found(stack, client, ada):
    """Killed between Retell's answer and our note: nothing is made twice."""
    made = ada.provision()
    stack.sql("update patchbay.retell_agents set agent_id = null, llm_id = null, version = null, pushed = null, draft = null, "
              "drafted = null, state = 'failed', attempts = 1, next_attempt_at = null where agent_config_id = %s", ada.config)
    again = ada.provision()
    assert (again["agent_id"], again["llm_id"]) == (made["agent_id"], made["llm_id"])


@pytest.mark.parametrize("after", range(5))
def test_killed_at_any_step_it_goes_on(stack, client, after):
    ada = Customer(stack)
    provider = stack.daemons["retell-provider"]
    stack.control("retell", latency_ms=0, fail=None)
    before = len(stack.double_log("retell", "wrote"))
    stack.sql("insert into patchbay.retell_agents (agent_config_id, user_id) values (%s, %s)", ada.config, ada.id)
    wait(lambda: len(stack.double_log("retell", "wrote")) > before + after or (ada.row()["state"] == "ready") or time.sleep(0.002),
         30, "it has begun")
    provider.kill()
    stack.sql("update patchbay.retell_agents set claimed_until = null, attempts = greatest(attempts, 1)")
    provider.start()
    row = wait(lambda: (r := ada.row())["state"] == "ready" and r or time.sleep(0.1), 60, f"ready: {ada.row()}")
    agents = [a.agent_id for a in client.agent.list().items if ada.config in (a.agent_name or "")]
    assert agents == [row["agent_id"]] and client.agent.retrieve(row["agent_id"], version=str(row["version"])).is_published


def test_a_claim_is_short_and_renewed_while_the_work_lasts(stack, ada):
    """Who was killed holds it no longer than a switch can wait."""
    stack.doubles.send(19)  # SIGSTOP: Retell takes its time
    try:
        stack.sql("insert into patchbay.retell_agents (agent_config_id, user_id) values (%s, %s)", ada.config, ada.id)
        first = wait(lambda: ada.row()["claimed_until"] or time.sleep(0.02), 30, "it is claimed")
        later = wait(lambda: (u := ada.row()["claimed_until"]) and u > first and u or time.sleep(0.05), 30, "it is renewed")
        assert stack.sql("select %s <= now() + interval '15 s'", later) == [(True,)]
    finally:
        stack.doubles.send(18)  # SIGCONT
    wait(lambda: ada.row()["state"] == "ready" or time.sleep(0.1), 60, f"ready: {ada.row()}")


def test_it_is_taken_away(stack, client, watch, ada):
    made = ada.provision()
    assert "result" in ada.ask("retire")
    with pytest.raises(retell.NotFoundError):
        client.agent.retrieve(made["agent_id"])
    with pytest.raises(retell.NotFoundError):
        client.llm.retrieve(made["llm_id"])
    assert ada.row()["state"] == "retired"
    # Text messages are answered only while there is an id; the router knows that nobody is behind it.
    assert stack.row("select retell_agent_id as id from public.agent_configs where id = %s", ada.config)["id"] == made["agent_id"]
    ada.change(active_voice_stack="retell")
    explain = lambda: rpc_to(stack, "pat.rpc.v1.router.explain", {"number": ada.number})["result"]
    wait(lambda: "no_retell_agent" in json.dumps(explain()) or time.sleep(0.1), 30, f"the router knows: {explain()}")
    ada.change(active_voice_stack="livekit")
    assert "result" in ada.ask("retire")
    again = ada.provision()
    assert again["agent_id"] != made["agent_id"] and client.agent.retrieve(again["agent_id"]).is_published


def test_who_serves_calls_is_not_taken_away(stack, client, ada):
    made = ada.provision()
    ada.change(active_voice_stack="retell")
    error = ada.ask("retire")["error"]
    assert error["code"] == "conflict" and client.agent.retrieve(made["agent_id"]).is_published
    wait(lambda: ada.row()["claimed_by"] is None or time.sleep(0.1), 10, "given back")


def test_whose_agent_is_gone_loses_it_at_retell(stack, client, ada):
    made = ada.provision()
    stack.sql("delete from public.agent_configs where id = %s", ada.config)
    wait(lambda: ada.row()["state"] == "retired" or time.sleep(0.1), 30, "taken away")
    with pytest.raises(retell.NotFoundError):
        client.agent.retrieve(made["agent_id"])


def test_voices_are_retells_presets_and_what_speaks_for_them_on_livekit(stack):
    result = rpc_to(stack, "pat.rpc.v1.retell.voices", {})["result"]
    voices = {v["voice_id"]: v for v in result["voices"]}
    assert len([v for v in voices if v.startswith("11labs-")]) == 29 and len([v for v in voices if v.startswith("openai-")]) == 6
    assert voices["11labs-Brian"]["grade"] == "exact" and voices["11labs-Kate"]["livekit_voice"] == "EXAVITQu4vr4xnSDxMaL"
    assert result["checked_at"]
    assert stack.row("select supported from patchbay.stack_capabilities where stack = 'retell' and capability = 'voice_cloning'") \
        == {"supported": False}


@pytest.mark.parametrize("params", [{}, {"agent_config_id": "x"}, {"agent_config_id": None}, {"agent_config_id": 5}])
@pytest.mark.parametrize("method", ["provision", "verify", "retire"])
def test_a_wrong_field_is_named(stack, method, params):
    error = rpc_to(stack, f"pat.rpc.v1.retell.{method}", params)["error"]
    assert error["code"] == "invalid" and error["field"] == "agent_config_id"


def test_an_agent_nobody_has(stack):
    error = rpc_to(stack, "pat.rpc.v1.retell.provision", {"agent_config_id": str(uuid.uuid4())})["error"]
    assert error["retryable"]


def test_livekits_users_are_left_alone(stack):
    assert stack.row("select count(*) as n from patchbay.retell_agents where user_id = %s", LEO.id) == {"n": 0}
