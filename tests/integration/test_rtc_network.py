"""The native participant on a bad network: packets lost, late, out of order, nothing at all for a while."""

import asyncio
import re
import time

from integration.test_rtc import BUILD, Caller, Ear, LiveKit, Probe, arun, off_loop, quick, token
from livekit.protocol import models, rtc as proto
import pytest

from harness.lossy import LossyNet
from harness.process import free_port


@pytest.fixture(scope="module")
def lk(tmp_path_factory):
    with quick(LiveKit(tmp_path_factory.mktemp("livekit"))) as server:
        yield server


@pytest.fixture
def room_name(request):
    return "".join(c if c.isalnum() else "_" for c in request.node.name)


class RelayOnly(LossyNet):
    """Signalling that orders every participant to go through the server's TURN; media is not touched."""

    def _rewrite(self, data):
        m = proto.SignalResponse.FromString(data)
        if m.HasField("join"):
            self.servers = [url for s in m.join.ice_servers for url in s.urls]
            m.join.client_configuration.force_relay = models.ClientConfigSetting.ENABLED
        return m.SerializeToString()


class Talk:
    """Our participant behind the bad network, the SDK on a good one; both say a tone and hear the other's."""

    def __init__(self, lk, room, red=False, net=LossyNet):
        self.lk, self.room, self.red, self.make_net = lk, room, red, net

    async def __aenter__(self):
        self.net = await self.make_net(self.lk).start()
        self.caller = await Caller(self.lk, self.room).__aenter__()
        self.probe = await off_loop(Probe.join, BUILD, self.net.url, token(self.lk, self.room, "probe"), 20000)
        await off_loop(self.probe.wait, "joined", 20)
        self.probe.send("tone 440")
        await self.caller.say(660, red=self.red)  # False: as a telephone
        self.track = await self.caller.track_of("probe")
        self.ear = Ear(self.track)
        await self.ear.wait_for_hz(440, 20)
        await self.received(20)
        return self

    async def __aexit__(self, *_):
        await self.ear.__aexit__()
        await off_loop(self.probe.__exit__, None, None, None)
        await self.caller.__aexit__()
        await self.net.stop()

    async def stats(self):
        return await off_loop(self.probe.stats)

    async def received(self, n, timeout_s=30):
        """Until so many more packets have come."""
        had = (await self.stats())["received"]

        async def more():
            while (await self.stats())["received"] < had + n:
                await asyncio.sleep(0.05)
        await asyncio.wait_for(more(), timeout_s)


async def said(probe, line, times=1):
    while sum(line in e for e in probe.errors) < times:
        await asyncio.sleep(0.1)


async def concealed(track):
    """How much of what the SDK has played it had to invent."""
    for s in await track.get_stats():
        if s.WhichOneof("stats") == "inbound_rtp":
            return s.inbound_rtp.inbound.concealed_samples, s.inbound_rtp.inbound.total_samples_received
    return 0, 0


def test_what_is_lost_on_the_way_up_is_in_the_next_packet(lk, room_name):
    async def run():
        async with Talk(lk, room_name) as talk:
            talk.net.loss, talk.net.delay_ms, talk.net.jitter_ms = 0.1, 10, 10
            invented, heard = await concealed(talk.track)
            await talk.received(300)
            after = await concealed(talk.track)
            share = (after[0] - invented) / (after[1] - heard)
            assert share < 0.05, (share, talk.net.stats)  # a tenth without
            await talk.ear.wait_for_hz(440)
    arun(run(), 100)


@pytest.mark.parametrize("red, rtt_ms", [(True, 20), (False, 20), (False, 80)], ids=["red", "again_near", "again_far"])
def test_what_is_lost_on_the_way_down_comes_after_all(lk, room_name, red, rtt_ms):
    """A browser sends RED; what a telephone says is asked for again."""
    async def run():
        async with Talk(lk, room_name, red) as talk:
            talk.net.loss, talk.net.delay_ms = 0.08, rtt_ms / 2
            before, lost = await talk.stats(), talk.net.stats["down_voice_lost"]
            await talk.received(400, 60)
            talk.net.loss = 0
            await talk.received(20)
            after = await talk.stats()
            lost = talk.net.stats["down_voice_lost"] - lost
            assert lost >= 15
            assert after["missing"] - before["missing"] <= 0.35 * lost, (before, after, talk.net.stats)
    arun(run(), 100)


def test_packets_out_of_order_are_all_taken(lk, room_name):
    async def run():
        async with Talk(lk, room_name) as talk:
            talk.net.delay_ms, talk.net.jitter_ms = 20, 60
            before = await talk.stats()
            await talk.received(200)
            after = await talk.stats()
            assert after["missing"] - before["missing"] <= 5, (before, after)  # those still on their way
            await talk.ear.wait_for_hz(440)
    arun(run(), 100)


def test_nothing_for_three_seconds_then_it_goes_on(lk, room_name):
    async def run():
        async with Talk(lk, room_name) as talk:
            talk.net.down = True
            await asyncio.sleep(3)
            talk.net.down = False
            await talk.received(50)
            await talk.ear.wait_for_hz(440, 20)
            assert not [e for e in talk.probe.events if e["event"] == "left"]
    arun(run(), 100)


def test_a_path_that_is_gone_is_made_anew_in_the_same_connection(lk, room_name):
    """Signalling is fine: ICE is restarted before the server gives us up, and nobody joins again."""
    async def run():
        async with Talk(lk, room_name) as talk:
            track = (await off_loop(talk.probe.wait, "joined"))["track"]
            for _ in range(2):
                before = len([e for e in talk.probe.errors if "rtc.ice_restarted" in e])
                talk.net.move()
                started = time.monotonic()
                await asyncio.wait_for(said(talk.probe, "rtc.ice_restarted", before + 1), 15)
                assert time.monotonic() - started < 10
                await talk.received(50)
                await talk.ear.wait_for_hz(440, 20)
            assert not [e for e in talk.probe.errors if "rtc.reconnect" in e]
            talk.probe.mark()
            assert [e["track"] for e in talk.probe.events if e["event"] == "joined"] == [track]
            assert not [e for e in talk.probe.events if e["event"] == "left"]
    arun(run(), 100)


def test_a_path_that_is_gone_with_the_signalling_is_made_anew_after_the_resume(lk, room_name):
    async def run():
        async with Talk(lk, room_name) as talk:
            talk.net.move()
            await asyncio.sleep(3)
            await talk.net.cut_signalling()
            await asyncio.wait_for(said(talk.probe, "rtc.resumed"), 15)
            await asyncio.wait_for(said(talk.probe, "rtc.ice_restarted"), 15)
            await talk.received(50)
            await talk.ear.wait_for_hz(440, 20)
            assert not [e for e in talk.probe.errors if "rtc.reconnect" in e]
    arun(run(), 100)


def test_nothing_for_long_is_a_new_connection_in_the_same_call(lk, room_name):
    async def run():
        async with Talk(lk, room_name) as talk:
            talk.net.down = True
            await asyncio.wait_for(said(talk.probe, "rtc.reconnect"), 60)
            talk.net.down = False
            await talk.received(50, 60)
            await talk.ear.wait_for_hz(440, 30)
            assert not [e for e in talk.probe.events if e["event"] == "left"]
    arun(run(), 110)


def test_the_servers_turn_carries_a_call_where_nothing_else_may_pass(tmp_path, room_name):
    class Turn(LiveKit):
        def config(self):
            conf = super().config()
            conf["turn"] = {"enabled": True, "udp_port": free_port(), "relay_range_start": 21000, "relay_range_end": 22000,
                            "allow_restricted_peer_cidrs": ["127.0.0.0/8"]}
            return conf

    async def run(server):
        async with Talk(server, room_name, net=RelayOnly) as talk:
            assert any(url.startswith("turn:") for url in talk.net.servers)
            await talk.received(100)
            await talk.ear.wait_for_hz(440)
            active = next(line for line in server.process.log.read_text().splitlines()
                          if "participant active" in line and '"participant":"probe"' in line)
            port = int(re.search(r'selected:\d+\] udp \S+ [^" ]+:(\d+)"', active)[1])
            assert 21000 <= port <= 22000, active  # none of ours: below the ephemeral ports

    with quick(Turn(tmp_path)) as server:
        arun(run(server), 60)
