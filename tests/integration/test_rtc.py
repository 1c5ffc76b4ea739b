"""The native participant (services/livekit-agent/rtc) in real rooms, with LiveKit's own SDK beside it."""

import asyncio
import os
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from livekit import api, rtc

from harness.livekit import LiveKit
from harness.probe import Probe
from harness.tcp_gate import TcpGate

BUILD = Path(os.environ.get("PAT_BUILD_DIR", Path(__file__).resolve().parents[2] / "build/dev"))
RATE = 48000
FRAME = RATE // 50


@contextmanager
def quick(server):
    """Ends it at once: asked politely, livekit-server waits for its rooms to empty."""
    with server:
        yield server
        server.process.kill()


@pytest.fixture(scope="module")
def lk(tmp_path_factory):
    with quick(LiveKit(tmp_path_factory.mktemp("livekit"))) as server:
        yield server


@pytest.fixture
def room_name(request):
    return "".join(c if c.isalnum() else "_" for c in request.node.name)


def token(lk, room, identity, **grants):
    return (api.AccessToken(lk.key, lk.secret).with_identity(identity)
            .with_grants(api.VideoGrants(room_join=True, room=room, can_update_own_metadata=True, **grants)).to_jwt())


class Caller:
    """LiveKit's SDK as a participant that says a tone and listens."""

    def __init__(self, lk, room, identity="caller"):
        self.lk, self.room_name, self.identity = lk, room, identity
        self.room = rtc.Room()
        self.tracks: asyncio.Queue = asyncio.Queue()
        self.texts: asyncio.Queue = asyncio.Queue()
        self.digits: asyncio.Queue = asyncio.Queue()
        self.attributes: asyncio.Queue = asyncio.Queue()
        self.gone: asyncio.Queue = asyncio.Queue()
        self._tasks: list[asyncio.Task] = []
        self.room.on("track_subscribed", lambda track, pub, who: self.tracks.put_nowait((track, who.identity)))
        self.room.on("sip_dtmf_received", lambda d: self.digits.put_nowait((d.participant.identity, d.digit)))
        self.room.on("participant_attributes_changed", lambda changed, who: self.attributes.put_nowait((who.identity, changed)))
        self.room.on("participant_disconnected", lambda who: self.gone.put_nowait(who.identity))

    async def __aenter__(self):
        self.room.register_text_stream_handler("topic.test", self._on_text)
        await self.room.connect(self.lk.url, token(self.lk, self.room_name, self.identity))
        return self

    async def __aexit__(self, *_):
        for t in self._tasks:
            t.cancel()
        await self.room.disconnect()

    def _on_text(self, reader, identity):
        self._tasks.append(asyncio.create_task(self._read_text(reader, identity)))

    async def _read_text(self, reader, identity):
        text = await reader.read_all()
        self.texts.put_nowait((identity, text, dict(reader.info.attributes)))

    async def say(self, hz, **options):
        source = rtc.AudioSource(RATE, 1, queue_size_ms=200)
        track = rtc.LocalAudioTrack.create_audio_track("voice", source)
        await self.room.local_participant.publish_track(
            track, rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, **options))
        self._tasks.append(asyncio.create_task(self._tone(source, hz)))

    async def _tone(self, source, hz):
        n = 0
        while True:
            t = (np.arange(FRAME) + n) / RATE
            n += FRAME
            pcm = (8000 * np.sin(2 * np.pi * hz * t)).astype(np.int16)
            frame = rtc.AudioFrame(pcm.tobytes(), RATE, 1, FRAME)
            await source.capture_frame(frame)

    async def track_of(self, identity, timeout_s=10):
        while True:
            track, who = await asyncio.wait_for(self.tracks.get(), timeout_s)
            if who == identity:
                return track


class Ear:
    """Listens to a track: what it hears in a moment, and its longest silence."""

    def __init__(self, track):
        self.stream = rtc.AudioStream(track, sample_rate=RATE, num_channels=1)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.stream.aclose()

    async def pcm(self, seconds):
        got = []
        async for e in self.stream:
            got.append(np.frombuffer(e.frame.data, dtype=np.int16))
            if sum(map(len, got)) >= seconds * RATE:
                return np.concatenate(got).astype(float)
        raise AssertionError("the track ended")

    async def wait_for_hz(self, hz, timeout_s=10):
        async def hear():
            while abs(peak_hz(await self.pcm(0.2)) - hz) > 15:
                pass
        await asyncio.wait_for(hear(), timeout_s)


def peak_hz(pcm):
    if np.sqrt(np.mean(pcm ** 2)) < 500:
        return 0.0
    spectrum = np.abs(np.fft.rfft(pcm * np.hanning(len(pcm))))
    return float(np.argmax(spectrum) * RATE / len(pcm))


async def off_loop(fn, *args, **kw):
    return await asyncio.get_running_loop().run_in_executor(None, lambda: fn(*args, **kw))


def arun(coro, timeout_s=60):
    return asyncio.run(asyncio.wait_for(coro, timeout_s))


def test_the_sdk_hears_our_tone(lk, room_name):
    async def go():
        async with Caller(lk, room_name) as caller:
            with Probe.join(BUILD, lk.url, token(lk, room_name, "probe")) as probe:
                await off_loop(probe.wait, "joined")
                probe.send("tone 440")
                await off_loop(probe.wait, "subscribed")
                async with Ear(await caller.track_of("probe")) as ear:
                    await ear.wait_for_hz(440)
                    pcm = await ear.pcm(1.0)
                    assert abs(peak_hz(pcm) - 440) < 5
                    assert 3000 < np.sqrt(np.mean(pcm ** 2)) < 9000
    arun(go())


@pytest.mark.parametrize("order", ["track_before_us", "track_after_us"])
def test_we_hear_the_sdk_and_it_hears_the_echo(lk, room_name, order):
    async def go():
        async with Caller(lk, room_name) as caller:
            if order == "track_before_us":
                await caller.say(600)
            with Probe.join(BUILD, lk.url, token(lk, room_name, "probe")) as probe:
                probe.send("echo")
                await off_loop(probe.wait, "joined")
                if order == "track_after_us":
                    await caller.say(600)
                first = await off_loop(probe.wait, "first_packet")
                assert first["identity"] == "caller"
                assert first["track"].startswith("TR_")
                async with Ear(await caller.track_of("probe")) as ear:
                    await ear.wait_for_hz(600)
                await until_received(probe, 25)
                stats = await off_loop(probe.stats)
                assert stats["received"] >= stats["sent"] > 10

    arun(go())


def test_several_voices_are_told_apart(lk, room_name):
    async def go():
        async with Caller(lk, room_name, "a") as a, Caller(lk, room_name, "b") as b, Caller(lk, room_name, "c") as c:
            with Probe.join(BUILD, lk.url, token(lk, room_name, "probe")) as probe:
                await off_loop(probe.wait, "joined")
                for who in (a, b, c):
                    await who.say(500)
                    await off_loop(probe.wait, "voice", identity=who.identity)
    arun(go())


def test_a_track_that_goes_and_comes_is_heard_again(lk, room_name):
    async def go():
        with Probe.join(BUILD, lk.url, token(lk, room_name, "probe")) as probe:
            await off_loop(probe.wait, "joined")
            for name in ("first", "second", "third"):
                async with Caller(lk, room_name, name) as caller:
                    await caller.say(500)
                    await off_loop(probe.wait, "voice", identity=name)
                await off_loop(probe.wait, "participant", identity=name, gone=1)
    arun(go())


def test_attributes_go_both_ways(lk, room_name):
    async def go():
        async with Caller(lk, room_name) as caller:
            await caller.room.local_participant.set_attributes({"sip.callStatus": "ringing"})
            with Probe.join(BUILD, lk.url, token(lk, room_name, "probe")) as probe:
                await off_loop(probe.wait, "attribute", identity="caller", name="sip.callStatus", value="ringing")
                await caller.room.local_participant.set_attributes({"sip.callStatus": "active"})
                await off_loop(probe.wait, "attribute", identity="caller", name="sip.callStatus", value="active")
                names = [e["event"] for e in probe.events]
                assert names.index("joined") < names.index("participant") < names.index("attribute")
                probe.send("attr lk.agent.state listening")
                who, changed = await asyncio.wait_for(caller.attributes.get(), 5)
                while who != "probe":
                    who, changed = await asyncio.wait_for(caller.attributes.get(), 5)
                assert changed == {"lk.agent.state": "listening"}
    arun(go())


def test_text_streams_go_both_ways(lk, room_name):
    long = "Grüße, 世界! " * 3000  # several chunks
    async def go():
        async with Caller(lk, room_name) as caller:
            with Probe.join(BUILD, lk.url, token(lk, room_name, "probe")) as probe:
                await off_loop(probe.wait, "joined")
                await caller.track_of("probe")
                await off_loop(wait_for_channel, probe)
                probe.send("text topic.test hello from the probe")
                identity, text, _ = await asyncio.wait_for(caller.texts.get(), 5)
                assert (identity, text) == ("probe", "hello from the probe")
                await caller.room.local_participant.send_text("typed", topic="lk.chat")
                e = await off_loop(probe.wait, "text", text="typed")
                assert (e["identity"], e["topic"]) == ("caller", "lk.chat")
                await caller.room.local_participant.send_text(long, topic="lk.chat")
                e = await off_loop(probe.wait, "text", text=long)
                assert e["len"] == len(long.encode())
    arun(go())


def wait_for_channel(probe):
    deadline = time.monotonic() + 5
    while True:
        at = probe.mark()
        probe.send("text topic.ready x")
        if probe.wait("text_sent", since=at)["result"] == "ok":
            return
        assert time.monotonic() < deadline


def test_digits_go_both_ways(lk, room_name):
    async def go():
        async with Caller(lk, room_name) as caller:
            with Probe.join(BUILD, lk.url, token(lk, room_name, "probe")) as probe:
                await off_loop(probe.wait, "joined")
                await caller.track_of("probe")
                await off_loop(wait_for_channel, probe)
                probe.send("dtmf #")
                assert await asyncio.wait_for(caller.digits.get(), 5) == ("probe", "#")
                await caller.room.local_participant.publish_dtmf(code=7, digit="7")
                await off_loop(probe.wait, "dtmf", identity="caller", digit="7")
    arun(go())


def test_others_see_us_leave_at_once(lk, room_name):
    async def go():
        async with Caller(lk, room_name) as caller:
            with Probe.join(BUILD, lk.url, token(lk, room_name, "probe")) as probe:
                await off_loop(probe.wait, "joined")
                await caller.track_of("probe")
                probe.send("leave")
                await off_loop(probe.wait, "left", 3, reason="by_us")
                assert await asyncio.wait_for(caller.gone.get(), 3) == "probe"
    arun(go())


def test_others_see_an_aborted_end_at_once_too(lk, room_name):
    async def go():
        async with Caller(lk, room_name) as caller:
            with Probe.join(BUILD, lk.url, token(lk, room_name, "probe")) as probe:
                await off_loop(probe.wait, "joined")
                await caller.track_of("probe")
                probe.send("abort")
                assert await asyncio.wait_for(caller.gone.get(), 3) == "probe"
    arun(go())


def test_a_wrong_token_is_refused(lk, room_name):
    bad = api.AccessToken(lk.key, "x" * 40).with_identity("p").with_grants(
        api.VideoGrants(room_join=True, room=room_name)).to_jwt()
    with Probe.join(BUILD, lk.url, bad) as probe:
        probe.wait("left", 5, reason="refused")
    with Probe.join(BUILD, lk.url, "not.a.token") as probe:
        probe.wait("left", 5, reason="refused")


def test_nobody_there_ends_at_the_deadline(room_name):
    begin = time.monotonic()
    with Probe.join(BUILD, "ws://127.0.0.1:9", "t", timeout_ms=1500) as probe:
        probe.wait("left", 5, reason="unreachable")
    assert 1.0 < time.monotonic() - begin < 4


@pytest.mark.parametrize("how,reason", [("delete", "room_gone"), ("remove", "removed"), ("twin", "duplicate")])
def test_why_we_left_is_told(lk, room_name, how, reason):
    with Probe.join(BUILD, lk.url, token(lk, room_name, "probe")) as probe:
        probe.wait("joined")
        if how == "twin":
            with Probe.join(BUILD, lk.url, token(lk, room_name, "probe")) as twin:
                twin.wait("joined")
                probe.wait("left", 5, reason=reason)
        else:
            call_api(lk, how, room_name, "probe")
            probe.wait("left", 5, reason=reason)


def call_api(lk, verb, room, *more, result="ok", secret=None):
    with Probe(BUILD, "api", lk.url, lk.key, secret or lk.secret, verb, room, *more) as p:
        assert p.wait("api", 5)["result"] == result


def test_server_api_says_what_went_wrong(lk, room_name):
    call_api(lk, "create", room_name, "nobody")
    call_api(lk, "delete", room_name)
    call_api(lk, "delete", room_name, result="not_found")
    call_api(lk, "remove", room_name, "nobody", result="not_found")
    call_api(lk, "create", room_name, result="unauthenticated", secret="y" * 40)


def test_a_lost_websocket_is_not_heard(lk, room_name):
    async def go():
        gate = await TcpGate(lk.port).start()
        async with Caller(lk, room_name) as caller:
            await caller.say(500)
            with Probe.join(BUILD, f"ws://127.0.0.1:{gate.port}", token(lk, room_name, "probe")) as probe:
                probe.send("tone 440")
                await off_loop(probe.wait, "joined")
                await off_loop(probe.wait, "voice", identity="caller")
                async with Ear(await caller.track_of("probe")) as ear:
                    await ear.wait_for_hz(440)
                    await off_loop(probe.stats)
                    for round_ in range(3):
                        gate.cut()
                        pcm = await ear.pcm(1.5)
                        quiet = [peak_hz(part) for part in np.array_split(pcm, 15)].count(0.0)
                        assert quiet <= 1, f"{quiet} of 15 parts were silent in round {round_}"
                        await caller.room.local_participant.set_attributes({"round": str(round_)})
                        await off_loop(probe.wait, "attribute", name="round", value=str(round_))
                    stats = await off_loop(probe.stats)
                    assert stats["gap_ms"] < 500
                    probe.send("attr state resumed")
                    while await asyncio.wait_for(caller.attributes.get(), 5) != ("probe", {"state": "resumed"}):
                        pass
                assert gate.accepted == 4
                assert [e["event"] for e in probe.events].count("joined") == 1
        await gate.stop()
    arun(go())


def test_a_silent_server_is_noticed(lk, room_name):
    async def go():
        gate = await TcpGate(lk.port).start()
        async with Caller(lk, room_name) as caller:
            await caller.say(500)
            with Probe.join(BUILD, f"ws://127.0.0.1:{gate.port}", token(lk, room_name, "probe")) as probe:
                await off_loop(probe.wait, "voice", identity="caller")
                gate.mute = True
                async with asyncio.timeout(30):
                    while gate.accepted < 2:
                        await asyncio.sleep(0.05)
                gate.mute = False
                await caller.room.local_participant.set_attributes({"are": "you there"})
                await off_loop(probe.wait, "attribute", 15, name="are", value="you there")
                assert (await off_loop(probe.stats))["gap_ms"] < 500
        await gate.stop()
    arun(go())


def test_tracks_that_come_while_the_socket_is_away_are_heard(lk, room_name):
    async def go():
        gate = await TcpGate(lk.port).start()
        async with Caller(lk, room_name) as caller:
            with Probe.join(BUILD, f"ws://127.0.0.1:{gate.port}", token(lk, room_name, "probe")) as probe:
                await off_loop(probe.wait, "joined")
                await caller.track_of("probe")
                gate.refuse = True
                gate.cut()
                await caller.say(500)
                gate.refuse = False
                await off_loop(probe.wait, "voice", 15, identity="caller")
                assert [e["event"] for e in probe.events].count("joined") == 1
        await gate.stop()
    arun(go())


@pytest.mark.parametrize("scenario", ["server_leave", "node_failure"])
def test_simulated_faults_end_with_both_hearing_each_other(lk, room_name, scenario):
    async def go():
        async with Caller(lk, room_name) as caller:
            await caller.say(500)
            with Probe.join(BUILD, lk.url, token(lk, room_name, "probe")) as probe:
                probe.send("tone 440")
                await off_loop(probe.wait, "voice", identity="caller")
                await caller.track_of("probe")
                at = probe.mark()
                probe.send(f"simulate {scenario}")
                await off_loop(probe.wait, "simulated", since=at)
                await off_loop(probe.wait, "joined", 10, since=at)
                async with Ear(await caller.track_of("probe")) as ear:
                    await ear.wait_for_hz(440)
                before = (await off_loop(probe.stats))["received"]
                await until_received(probe, before + 25)
    arun(go())


async def until_received(probe, n, timeout_s=10):
    deadline = time.monotonic() + timeout_s
    while (await off_loop(probe.stats))["received"] < n:
        assert time.monotonic() < deadline, "nothing is heard"
        await asyncio.sleep(0.05)


def test_a_resume_that_is_cut_again_succeeds_later(lk, room_name):
    async def go():
        gate = await TcpGate(lk.port).start()
        async with Caller(lk, room_name) as caller:
            await caller.say(500)
            with Probe.join(BUILD, f"ws://127.0.0.1:{gate.port}", token(lk, room_name, "probe")) as probe:
                await off_loop(probe.wait, "voice", identity="caller")
                probe.send("simulate disconnect_on_resume")
                probe.send("attr the_order arrived")
                assert (await asyncio.wait_for(caller.attributes.get(), 5))[0] == "probe"
                gate.cut()
                await caller.room.local_participant.set_attributes({"after": "cut"})
                async with asyncio.timeout(15):
                    while gate.accepted < 3:
                        await asyncio.sleep(0.02)
                await caller.room.local_participant.set_attributes({"after": "all"})
                await off_loop(probe.wait, "attribute", 15, name="after", value="all")
                assert [e["event"] for e in probe.events].count("joined") == 1
                assert (await off_loop(probe.stats))["gap_ms"] < 500
        await gate.stop()
    arun(go())


def test_a_restarted_server_is_joined_again(tmp_path, room_name):
    with quick(LiveKit(tmp_path)) as lk:
        with Probe.join(BUILD, lk.url, token(lk, room_name, "probe")) as probe:
            probe.send("tone 440")
            probe.wait("joined")
            probe.send("attr state before")
            lk.process.kill()
            at = probe.mark()
            lk.start()
            probe.wait("joined", 20, since=at)

            async def listen():
                async with Caller(lk, room_name) as caller:
                    async with Ear(await caller.track_of("probe")) as ear:
                        await ear.wait_for_hz(440)
                    assert caller.room.remote_participants["probe"].attributes["state"] == "before"
            arun(listen())


def test_a_server_that_stays_away_ends_the_call(tmp_path, room_name):
    with quick(LiveKit(tmp_path)) as lk:
        with Probe.join(BUILD, lk.url, token(lk, room_name, "probe")) as probe:
            probe.wait("joined")
            lk.process.kill()
            probe.wait("left", 60, reason="unreachable")


def test_ice_lite_servers_and_blocked_udp_work(tmp_path, room_name):
    class Lite(LiveKit):
        def config(self):
            conf = super().config()
            conf["rtc"]["use_ice_lite"] = True
            return conf

    with quick(Lite(tmp_path)) as lk:
        with Probe.join(BUILD, lk.url, token(lk, room_name, "probe")) as probe:
            probe.wait("joined", 5)


def test_tcp_is_tried_when_udp_does_not_pass(tmp_path, room_name):
    class NoUdp(LiveKit):
        def config(self):
            conf = super().config()
            conf["rtc"].pop("udp_port")
            conf["rtc"]["port_range_start"] = conf["rtc"]["port_range_end"] = 0
            conf["rtc"]["force_tcp"] = True
            return conf

    with quick(NoUdp(tmp_path)) as lk:
        with Probe.join(BUILD, lk.url, token(lk, room_name, "probe"), timeout_ms=20000) as probe:
            probe.wait("joined", 20)
            assert probe.stats()["media_up"] == 1


def test_a_dispatch_becomes_a_job_and_a_voice_in_the_room(lk, room_name):
    async def go():
        with Probe(BUILD, "worker", lk.url, lk.key, lk.secret, "agent-" + room_name) as worker:
            await off_loop(worker.wait, "registered", up=1)
            worker.send("tone 440")
            async with Caller(lk, room_name) as caller:
                begin = time.monotonic()
                await off_loop(call_api, lk, "dispatch", room_name, "agent-" + room_name)
                offered = await off_loop(worker.wait, "offered", room=room_name, metadata="probe")
                await off_loop(worker.wait, "assigned", job=offered["job"])
                joined = await off_loop(worker.wait, "joined")
                assert joined["identity"] == "probe-" + offered["job"]
                async with Ear(await caller.track_of(joined["identity"])) as ear:
                    await ear.wait_for_hz(440)
                assert time.monotonic() - begin < 5
                worker.send("done")
                worker.send("leave")
                await off_loop(worker.wait, "left", reason="by_us")
                assert not [e for e in worker.events if e["event"] == "terminated"]
    arun(go())


def test_a_worker_comes_back_after_a_restart_and_takes_jobs(tmp_path, room_name):
    with quick(LiveKit(tmp_path)) as lk, Probe(BUILD, "worker", lk.url, lk.key, lk.secret, "agent") as worker:
        worker.wait("registered", up=1)
        lk.process.kill()
        worker.wait("registered", up=0)
        at = worker.mark()
        lk.start()
        worker.wait("registered", 20, since=at, up=1)
        call_api(lk, "create", room_name, "agent")
        worker.wait("joined", since=at)


def test_a_draining_worker_takes_nothing(lk, room_name):
    with Probe(BUILD, "worker", lk.url, lk.key, lk.secret, "agent-" + room_name) as worker:
        worker.wait("registered", up=1)
        worker.send("drain")
        with Probe(BUILD, "worker", lk.url, lk.key, lk.secret, "agent-" + room_name) as other:
            other.wait("registered", up=1)
            for i in range(2):
                call_api(lk, "dispatch", f"{room_name}{i}", "agent-" + room_name)
                other.wait("offered", room=f"{room_name}{i}")
            worker.mark()
            assert not [e for e in worker.events if e["event"] == "offered"]


def test_a_deleted_dispatch_terminates_the_job(lk, room_name):
    async def go():
        name = "agent-" + room_name
        with Probe(BUILD, "worker", lk.url, lk.key, lk.secret, name) as worker:
            await off_loop(worker.wait, "registered", up=1)
            async with api.LiveKitAPI(lk.http_url, lk.key, lk.secret) as client:
                d = await client.agent_dispatch.create_dispatch(
                    api.CreateAgentDispatchRequest(agent_name=name, room=room_name, metadata="m"))
                await off_loop(worker.wait, "joined")
                await client.agent_dispatch.delete_dispatch(d.id, room_name)
                await off_loop(worker.wait, "terminated", 20, room=room_name)
    arun(go())


def test_a_deleted_room_ends_the_call_of_the_job(lk, room_name):
    with Probe(BUILD, "worker", lk.url, lk.key, lk.secret, "agent-" + room_name) as worker:
        worker.wait("registered", up=1)
        call_api(lk, "create", room_name, "agent-" + room_name)
        worker.wait("joined")
        call_api(lk, "delete", room_name)
        worker.wait("left", reason="room_gone")


def rss_kb(pid):
    return next(int(line.split()[1]) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
                if line.startswith("VmRSS"))


def threads(pid):
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


@pytest.mark.soak
def test_job_after_job_leaves_nothing_behind(lk, room_name):
    """Sanitizers keep freed memory for a while: run it on a release build, as `scripts/test soak` does."""
    with Probe(BUILD, "worker", lk.url, lk.key, lk.secret, "agent-" + room_name) as worker:
        worker.wait("registered", up=1)
        for i in range(120):
            at = worker.mark()
            call_api(lk, "create", f"{room_name}{i}", "agent-" + room_name)
            worker.wait("joined", since=at)
            worker.send("tone 440")
            worker.send("done")
            worker.send("leave")
            worker.wait("left", since=at, reason="by_us")
            if i == 20:
                before_kb, before_threads = rss_kb(worker.child.pid), threads(worker.child.pid)
        grown_kb = rss_kb(worker.child.pid) - before_kb
        assert grown_kb < 2000, f"{grown_kb} kB more after 100 jobs"
        assert threads(worker.child.pid) <= before_threads
