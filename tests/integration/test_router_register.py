"""The router has a call registered at Retell while retell-providers die: what they had taken is asked for again.

The providers are played here: over NATS as they come and go, on the inside port as one that drops whoever connects.
"""

import asyncio
import json
import os
import socket
import threading
from contextlib import contextmanager

import pytest

from harness.carrier import Carrier
from harness.sip_leg import wait
from harness.stack import LIVEKIT_SIP_HOST, RETELL_SIP_HOST, RITA, Daemon, Stack
from harness.watch import Watch

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")
SUBJECT = "pat.rpc.v1.retell.register_call"
SECOND_WAY_S, DEADLINE_S = 1.0, 3.0


class Provider:
    """Answers what comes by RPC with its own name as the call's id; with last_words it takes one request, and is gone with it."""

    def __init__(self, watch: Watch, name: str):
        self.watch, self.name, self.taken, self.sub, self.gone = watch, name, [], None, False

    def _do(self, what):
        return asyncio.run_coroutine_threadsafe(what, self.watch.loop).result(10)

    def start(self, last_words: bool = False) -> "Provider":
        self.last_words = last_words
        self._do(self._listen())
        return self

    async def _listen(self) -> None:
        self.sub = await self.watch.connection.subscribe(SUBJECT, queue="retell", cb=self._take)
        await self.watch.connection.flush()

    async def _take(self, m) -> None:
        self.taken.append(m)
        if self.last_words:
            self.gone = True
            await self.sub.unsubscribe()
        else:
            await self._answer(m)

    async def _answer(self, m) -> None:
        await m.respond(json.dumps({"result": {"retell_call_id": f"call_{self.name}"}}).encode())

    def answer_late(self) -> None:
        self._do(self._answer(self.taken[0]))

    def stop(self) -> None:
        if self.sub and not self.gone:
            self._do(self.sub.unsubscribe())


class DeafPort:
    """An inside port whose process is being killed: connections are made, and end."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.asked = 0
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                c, _ = self.socket.accept()
            except OSError:
                return
            c.close()
            self.asked += 1

    def stop(self) -> None:
        self.socket.close()


@pytest.fixture(scope="module")
def stack():
    with Stack(BUILD, with_livekit=False) as s:
        s.daemons["retell-provider"].stop()
        yield s


@pytest.fixture(scope="module")
def watch(stack):
    with Watch(stack.nats.url, "pat.call.>") as w:  # who listens to all hears requests too, and NATS takes it for somebody who answers
        yield w


@pytest.fixture(scope="module")
def port():
    p = DeafPort()
    yield p
    p.stop()


@pytest.fixture(scope="module", params=["inside port", "RPC alone"])
def router(request, stack, port):
    """With an inside port that answers nobody, and without one."""
    first = stack.daemons["router"].env
    env = first | {"PAT_ROUTER_SPOOL_FILE": "", "PAT_ROUTER_SNAPSHOT_FILE": "",
                   "PAT_RETELL_PROVIDER_URL": port.url if request.param == "inside port" else ""}
    d = Daemon(stack, "router", {k: v for k, v in env.items() if k != "PAT_ROUTER_PUBLIC_URL"}, "PAT_ROUTER_LISTEN", replica="router-2")
    d.env["PAT_ROUTER_PUBLIC_URL"] = d.url
    d.has_port = request.param == "inside port"
    stack.daemons["router-2"] = d.start()
    yield d
    d.stop()


@pytest.fixture
def carrier(stack, router):
    yield Carrier(router.url, stack.signing_key)
    if set(stack.stack_states("router-2").values()) != {"up"}:
        stack.forget_health()


@pytest.fixture
def provider(watch):
    made = []

    def make(name: str) -> Provider:
        made.append(Provider(watch, name))
        return made[-1]

    yield make
    for p in made:
        p.stop()


@pytest.fixture
def also_on_livekit(stack, carrier):
    def kept(config: str) -> None:
        stack.sql("update public.agent_configs set stack_config = %s where user_id = %s", config, RITA.id)
        version = stack.sql("select max(version) from patchbay.config_versions where user_id = %s", RITA.id)[0][0]
        wait(lambda: stack.daemons["router-2"].logged("routes.changed", version=version), 10, "the router knows of it")
    kept('{"livekit": {}}')
    yield
    kept("{}")


@contextmanager
def once(condition, then):
    """then() as soon as it holds, while the block runs."""
    def run():
        wait(condition, 10, "its time comes")
        then()
    t = threading.Thread(target=run)
    t.start()
    yield
    t.join()


def tried_the_second_way(router, port):
    """A condition: from now on."""
    told, asked = len(router.logged("retell.second_way")), port.asked
    return lambda: len(router.logged("retell.second_way")) > told and (port.asked > asked or not router.has_port)


def test_a_request_that_died_with_its_provider_is_made_again_when_that_is_back(router, carrier, provider, port):
    dying, back = provider("dying").start(last_words=True), provider("back")
    with once(tried_the_second_way(router, port), back.start):
        reply = carrier.voice(RITA.number)
    assert reply.dial().user == "call_back" and reply.dial().host == RETELL_SIP_HOST
    assert reply.ms < 1000 * DEADLINE_S and len(dying.taken) == len(back.taken) == 1


def test_another_provider_is_asked_after_a_second_of_silence(carrier, provider):
    dying, living = provider("dying").start(last_words=True), provider("living")
    with once(lambda: dying.taken, living.start):
        reply = carrier.voice(RITA.number)
    assert reply.dial().user == "call_living"
    assert 1000 * SECOND_WAY_S <= reply.ms < 1000 * (SECOND_WAY_S + 1)


def test_a_late_answer_to_the_first_request_counts(router, carrier, provider, port):
    slow = provider("slow").start(last_words=True)
    with once(tried_the_second_way(router, port), slow.answer_late):
        reply = carrier.voice(RITA.number)
    assert reply.dial().user == "call_slow"


def test_where_another_stack_can_serve_nobody_is_waited_for_who_is_not_there(carrier, provider, also_on_livekit):
    dying = provider("dying").start(last_words=True)
    reply = carrier.voice(RITA.number)
    assert dying.taken and reply.dial().host == LIVEKIT_SIP_HOST
    assert reply.ms < 1000 * (SECOND_WAY_S + 1)


def test_a_message_is_taken_when_nobody_comes_back(carrier, provider):
    dying = provider("dying").start(last_words=True)
    reply = carrier.voice(RITA.number)
    assert dying.taken and reply.record() and 1000 * (DEADLINE_S - 0.5) < reply.ms < 4500
