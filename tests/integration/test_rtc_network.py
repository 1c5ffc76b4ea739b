"""The native participant on a bad network: packets lost, late, out of order, nothing at all for a while."""

import asyncio

from integration.test_rtc import BUILD, Caller, Ear, LiveKit, Probe, arun, off_loop, quick, token
import pytest

from harness.lossy import LossyNet


@pytest.fixture(scope="module")
def lk(tmp_path_factory):
    with quick(LiveKit(tmp_path_factory.mktemp("livekit"))) as server:
        yield server


@pytest.fixture
def room_name(request):
    return "".join(c if c.isalnum() else "_" for c in request.node.name)


class Talk:
    """Our participant behind the bad network, the SDK on a good one; both say a tone and hear the other's."""

    def __init__(self, lk, room):
        self.lk, self.room = lk, room

    async def __aenter__(self):
        self.net = await LossyNet(self.lk).start()
        self.caller = await Caller(self.lk, self.room).__aenter__()
        self.probe = await off_loop(Probe.join, BUILD, self.net.url, token(self.lk, self.room, "probe"), 20000)
        await off_loop(self.probe.wait, "joined", 20)
        self.probe.send("tone 440")
        await self.caller.say(660, red=False)  # as a telephone; with RED the server keeps no packets for asking
        self.ear = Ear(await self.caller.track_of("probe"))
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


async def said(probe, line):
    while not any(line in e for e in probe.errors):
        await asyncio.sleep(0.1)


def test_what_is_lost_on_the_way_up_is_sent_again(lk, room_name):
    async def run():
        async with Talk(lk, room_name) as talk:
            talk.net.loss, talk.net.delay_ms, talk.net.jitter_ms = 0.08, 10, 10
            before, voice = await talk.stats(), talk.net.stats["up_voice"]
            await talk.received(300)
            after = await talk.stats()
            again = talk.net.stats["up_voice"] - voice - (after["sent"] - before["sent"])
            assert again >= 10, (before, after, talk.net.stats)
            await talk.ear.wait_for_hz(440)
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
