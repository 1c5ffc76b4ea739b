"""A caller put through by SIP REFER: what LiveKit is asked, and what its answers do to the call.

LiveKit's SIP service needs redis and is played: a door before the real server answers TransferSIPParticipant and passes
everything else on. Requests and tokens are read with LiveKit's own types.
"""

import asyncio
import json
import threading

import pytest
from aiohttp import ClientSession, WSMsgType, web
from google.protobuf import json_format
from livekit import api

from harness import events, voice
from harness.sip_leg import wait
from test_agent_tools import ASK, NUMBERS, SALES, control
from test_livekit_agent import World, params, uuid7

REFER = "/twirp/livekit.SIP/TransferSIPParticipant"


class Door:
    """Before LiveKit. answer: (status, JSON); None: the real server is asked."""

    def __init__(self, livekit):
        self.livekit, self.asked, self.answer = livekit, [], None
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        asyncio.run_coroutine_threadsafe(self.open(), self.loop).result(10)

    async def open(self):
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.on_request)
        self.session = ClientSession()
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"ws://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"

    async def on_request(self, request):
        at = self.livekit.http_url + request.path_qs
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self.socket(request, at)
        body = await request.read()
        if request.path == REFER:
            self.asked.append((request.headers["Authorization"].split()[1], body))
            if self.answer:
                return web.json_response(self.answer[1], status=self.answer[0])
        keep = {k: v for k, v in request.headers.items() if k in ("Authorization", "Content-Type")}
        async with self.session.request(request.method, at, data=body, headers=keep) as r:
            return web.Response(status=r.status, body=await r.read(), content_type=r.content_type)

    async def socket(self, request, at):
        near = web.WebSocketResponse(max_msg_size=0)
        keep = {k: v for k, v in request.headers.items() if k == "Authorization"}
        async with self.session.ws_connect(at, headers=keep, max_msg_size=0) as far:
            await near.prepare(request)

            async def pump(a, b):
                async for m in a:
                    await (b.send_bytes(m.data) if m.type == WSMsgType.BINARY else b.send_str(m.data))
                await b.close()
            await asyncio.gather(pump(near, far), pump(far, near))
        return near

    def close(self):
        async def stop():
            await self.session.close()
            await self.runner.cleanup()
        asyncio.run_coroutine_threadsafe(stop(), self.loop).result(30)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    w = World(tmp_path_factory.mktemp("refer"))
    w.door = Door(w.livekit)
    w.start_agent(PAT_LIVEKIT_URL=w.door.url, PAT_AGENT_TRANSFER_BY="refer")
    control(w, "deepgram", grammar=[ASK, *voice.sentences()])
    yield w
    w.close()
    w.door.close()


def ask(world):
    call = uuid7()
    mine = {"greeting_template": "Hello, this is {name}.", "user_name": "Leo", "voice_id": "EXAVITQu4vr4xnSDxMaL",
            "transfer_numbers": NUMBERS}
    world.door.asked.clear()
    world.rpc("prepare", params(call, settings=mine))
    leg = world.ring(call)
    leg.wait_active()
    leg.wait_speech(leg.active_at)
    leg.wait_quiet()
    leg.say(voice.trim(voice.speak(ASK)))
    wait(lambda: world.door.asked, 20, "LiveKit is asked")
    return call, leg


def told(world, call: str) -> list:
    for e in (found := world.watch.of("call.transfer", call)):
        events.validate({k: v for k, v in e.items() if k != "_subject"}, e["_subject"])
    return [(e["data"]["outcome"], e["data"]["reason"]) for e in found]


def test_the_phone_is_sent_to_the_number(world):
    world.door.answer = (200, {})
    call, leg = ask(world)
    token, body = world.door.asked[0]
    request = json_format.Parse(body, api.TransferSIPParticipantRequest())
    assert request.room_name == f"call_{call}" and request.participant_identity == "sip_+15550109999"
    assert request.transfer_to == f"tel:{SALES}" and request.ringing_timeout.seconds == 25
    claims = api.TokenVerifier(world.livekit.key, world.livekit.secret).verify(token)
    assert claims.sip.call and claims.video.room_admin and claims.video.room == f"call_{call}"
    wait(lambda: world.logged("call.refer", call=call, outcome="bridged"), 20, "LiveKit has said yes")
    leg.hang_up()
    wait(lambda: world.logged("call.ended", call=call, reason="transferred"), 20, "the agent lets the caller go")
    world.watch.wait_for("call.transfer", call, n=2)
    assert told(world, call) == [("started", None), ("bridged", None)]
    assert world.watch.wait_for("turn.tool", call)["data"]["outcome"] == "ok"


BUSY = (429, {"code": "resource_exhausted", "msg": "busy", "meta": {"sip_status_code": "486", "sip_status": "Busy Here"}})


@pytest.mark.parametrize("answer,outcome", [(BUSY, "busy"), (None, "failed")])
def test_who_is_not_taken_is_told(world, answer, outcome):
    """None: what a server without a SIP service says."""
    world.door.answer = answer
    call, leg = ask(world)
    tool = world.watch.wait_for("turn.tool", call)
    assert (tool["data"]["outcome"], tool["data"]["error"]) == ("failed", outcome)
    assert "could not be reached" in world.watch.wait_for("turn.agent", call, n=2)["data"]["text"]
    assert [o for o, _ in told(world, call)] == ["started", outcome]
    assert "0100077" not in json.dumps(world.watch.of("call.transfer", call))
    leg.hang_up()
    wait(lambda: world.logged("call.ended", call=call, reason="caller_hangup"), 20, "the agent has let go")
