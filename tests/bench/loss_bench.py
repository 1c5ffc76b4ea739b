"""Words understood when packets are lost between the agent and LiveKit, both ways.

    python tests/bench/loss_bench.py --loss 0 5 20 --sentences 12

A caller (bare Opus, as a telephone) says sentences to the whole stack; the agent's media passes a relay that loses packets at
random. Told per loss: the share of the caller's words that the recogniser understood (pocketsphinx, which has to tell one of 120
sentences from the others: a forgiving ear), and of the agent's words that the caller's ear understood (the reply against twenty
others). One run; --loss-seed changes which packets.
"""

import argparse
import asyncio
import os
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness import voice  # noqa: E402
from harness.lossy import LossyNet  # noqa: E402
from harness.sip_leg import wait  # noqa: E402
from harness.stack import LEO, ROOT, Stack  # noqa: E402
from harness.watch import Watch  # noqa: E402

DELAY_MS, JITTER_MS = 20, 10  # one way


class LossyStack(Stack):
    """The agent alone reaches LiveKit through the relay; the caller's way is good."""

    def __init__(self, build_dir: Path, seed: int):
        self.seed, self.net = seed, None
        super().__init__(build_dir)

    def _daemon(self, name, listen, env):
        if name == "livekit-agent" and not self.net:  # LiveKit is up, the agent is not
            self.loop = asyncio.new_event_loop()
            threading.Thread(target=self.loop.run_forever, daemon=True).start()
            self.net = LossyNet(self.livekit, self.seed)
            asyncio.run_coroutine_threadsafe(self.net.start(), self.loop).result(10)
            env = env | {"PAT_LIVEKIT_URL": self.net.url}
        return super()._daemon(name, listen, env)


def told(watch: Watch, kind: str, call: str, key: str) -> list[str]:
    return [e["data"][key] for e in sorted(watch.of(kind, call), key=lambda e: e["time"])]


def say(stack, watch, leg, sentence: str) -> tuple[float, float]:
    """Shares understood: by the agent of the sentence, by the caller of the reply."""
    users, agents = len(watch.of("turn.user", leg.call)), len(watch.of("turn.agent", leg.call))
    leg.say(voice.trim(voice.speak(sentence)))
    said_at = leg.last_voiced_sent_at
    leg.wait_speech(said_at, 30)
    leg.wait_quiet()
    wait(lambda: len(watch.of("turn.agent", leg.call)) > agents, 20, "the agent's turn is told")
    reply = " ".join(told(watch, "turn.agent", leg.call, "heard")[agents:])
    understood = voice.overlap(sentence, " ".join(told(watch, "turn.user", leg.call, "text")[users:]))
    heard = voice.hear(voice.trim(leg.heard.since(said_at)), [reply, *voice.sentences()[:20]])
    return understood, voice.overlap(reply, heard)


def run(stack, watch, loss: float, sentences: list[str]) -> dict:
    net = stack.net
    sid = stack.place_call(LEO.number)
    leg = stack.leg(sid)
    leg.wait_active()
    leg.wait_speech(leg.active_at)
    leg.wait_quiet()
    before = dict(net.stats)
    net.loss, net.delay_ms, net.jitter_ms = loss / 100, DELAY_MS, JITTER_MS
    shares = [say(stack, watch, leg, s) for s in sentences]
    net.loss = net.delay_ms = net.jitter_ms = 0
    stack.hang_up(sid)
    stack.wait_row(sid, "ended", 30)
    lost = {way: (net.stats[f"{way}_voice_lost"] - before[f"{way}_voice_lost"]) / (net.stats[f"{way}_voice"] - before[f"{way}_voice"])
            for way in ("up", "down")}
    n = len(shares)
    return {"understood": sum(u for u, _ in shares) / n, "whole": sum(u == 1 for u, _ in shares), "heard": sum(h for _, h in shares) / n,
            "lost": lost}


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--loss", type=float, nargs="+", default=[0, 5, 20], help="per cent, each way")
    args.add_argument("--sentences", type=int, default=12)
    args.add_argument("--loss-seed", type=int, default=1)
    o = args.parse_args()
    every = voice.sentences()
    sentences = [every[i * len(every) // o.sentences] for i in range(o.sentences)]
    with LossyStack(Path(os.environ.get("PAT_BUILD_DIR", ROOT / "build/release")), o.loss_seed) as stack, Watch(stack.nats.url) as watch:
        stack.control("deepgram", grammar=every)
        load = os.getloadavg()[0]
        print(f"{o.sentences} sentences each, delay {DELAY_MS} to {DELAY_MS + JITTER_MS} ms each way, load {load:.1f}")
        for loss in o.loss:
            began = time.monotonic()
            r = run(stack, watch, loss, sentences)
            print(f"loss {loss:4.1f} % (voice lost: {100 * r['lost']['down']:.1f} % to the agent, {100 * r['lost']['up']:.1f} % from it): "
                  f"understood {100 * r['understood']:.1f} % of the caller's words ({r['whole']} sentences whole), "
                  f"{100 * r['heard']:.1f} % of the agent's; {time.monotonic() - began:.0f} s, load {os.getloadavg()[0]:.1f}", flush=True)


if __name__ == "__main__":
    main()
