"""The same phone agent in LiveKit's Python framework, as its documentation builds one: the measure beside ours.

Started by tests/bench/contenders.py with `start` (production settings: one process per job, as many warm ones as CPUs).
Vendors' addresses come from BENCH_DEEPGRAM, BENCH_OPENAI, BENCH_ELEVENLABS. BENCH_TURNS: who ends a turn (stt, vad; model: the
framework's own default). BENCH_TUNED: it waits and listens as shortly as ours with both sliders at 1; else its defaults.
"""

import json
import os

from livekit.agents import Agent, AgentServer, AgentSession, JobContext, TurnHandlingOptions, cli
from livekit.plugins import deepgram, elevenlabs, openai

# A constant load: with the real one, of a machine that callers and doubles share, the server finds no worker for a new job.
server = AgentServer(port=int(os.environ["BENCH_PORT"]), host="127.0.0.1", load_threshold=float("inf"), load_fnc=lambda: 0.1)


@server.rtc_session(agent_name="pat")
async def answer(job: JobContext) -> None:
    about = json.loads(job.job.metadata or "{}")
    heard = {"keyterm": [about["keyterm"]]} if about.get("keyterm") else {}
    turns: TurnHandlingOptions = {}
    if os.environ["BENCH_TURNS"] != "model":
        turns["turn_detection"] = os.environ["BENCH_TURNS"]
    if os.environ.get("BENCH_TUNED"):
        turns |= {"endpointing": {"min_delay": 0.1, "max_delay": 1.0}, "interruption": {"min_duration": 0.1}}
    session = AgentSession(
        stt=deepgram.STT(model="nova-3", language=about.get("language", "en-US"), base_url=os.environ["BENCH_DEEPGRAM"], api_key="k",
                         **heard),
        llm=openai.LLM(model="gpt-4o-mini", base_url=os.environ["BENCH_OPENAI"], api_key="k"),
        tts=elevenlabs.TTS(model="eleven_flash_v2_5", voice_id="EXAVITQu4vr4xnSDxMaL",
                           encoding="pcm_24000", base_url=os.environ["BENCH_ELEVENLABS"],
                           api_key="k"),
        turn_handling=turns)
    await session.start(agent=Agent(instructions="You answer the phone of Leo."), room=job.room)
    await session.say(os.environ["BENCH_GREETING"])


if __name__ == "__main__":
    cli.run_app(server)
