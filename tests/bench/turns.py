"""How well an agent knows when a caller has finished: spoken dialogues with pauses, fillers and corrections.

    . scripts/env && python tests/bench/turns.py [--detection flux] [--peer] [--build build/release] [--json out.json]

Each line of the set is spoken by espeak-ng (flite where there is none) in pieces, with silence between them. Printed per contender:

false_cut_offs  times the agent was heard before the caller's last piece was over
dead_air_ms     from the caller's last voiced frame to the first voiced frame of the answer, where nobody was cut off

A contender is any class of contenders.py (start, prepare, stop): a second agent needs nothing else.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bench import agent_bench  # noqa: E402
from bench.contenders import LiveKitAgents, Ours  # noqa: E402
from harness import voice  # noqa: E402

# Pieces, with the silence in ms before the next.
SET = [
    ["please tell me your opening hours"],
    ["i would like to", 900, "book a table for two"],
    ["my number is five five five", 700, "one two three four"],
    ["i want to speak about", 1100, "my last order"],
    ["um", 600, "can you help me with a new appointment"],
    ["please call me back tomorrow", 500, "no wait on friday"],
    ["i have a question", 400, "about my invoice"],
    ["yes"],
]


def speak(text: str) -> np.ndarray:
    """By espeak-ng where it is installed, else by flite."""
    if not shutil.which("espeak-ng"):
        return voice.speak(text)
    with tempfile.NamedTemporaryFile(suffix=".wav") as f:
        subprocess.run(["espeak-ng", "-s", "150", "-w", f.name, text], check=True)
        samples, rate = voice._read_wav(Path(f.name))
    return voice.resample(samples, rate, voice.RATE)


def spoken(pieces: list) -> np.ndarray:
    parts = []
    for piece in pieces:
        if isinstance(piece, int):
            parts.append(np.zeros(voice.RATE * piece // 1000, np.int16))
            continue
        samples = speak(piece)
        parts.append(voice.trim(samples))
    return np.concatenate(parts)


def sentences() -> list[str]:
    """All that may be heard: every run of pieces that stand together."""
    out = []
    for pieces in SET:
        words = [p for p in pieces if isinstance(p, str)]
        out += [" ".join(words[i:j]) for i in range(len(words)) for j in range(i + 1, len(words) + 1)]
    return list(dict.fromkeys(out))


def dialogue(bench, pieces: list) -> dict:
    call = agent_bench.uuid7()
    bench.agent.prepare(call)
    time.sleep(bench.args.ahead)
    leg = agent_bench.ring(bench, call)
    leg.wait_active()
    leg.wait_speech(max(leg.active_at, leg.subscribed_at))
    leg.wait_quiet()
    samples = spoken(pieces)
    began = time.monotonic()
    leg.say(samples)
    ended = leg.last_voiced_sent_at
    answered = leg.wait_speech(began)
    leg.hang_up()
    cut = answered < ended
    return {"said": " ... ".join(p for p in pieces if isinstance(p, str)), "cut_off": cut,
            "dead_air_ms": None if cut else round((answered - ended) * 1000)}


def run(args, contender) -> dict:
    bench = agent_bench.Bench(args, contender)
    try:
        bench.control("deepgram", grammar=sentences())
        dialogues = [dialogue(bench, pieces) for _ in range(args.runs) for pieces in SET]
    finally:
        bench.close()
    air = sorted(d["dead_air_ms"] for d in dialogues if d["dead_air_ms"] is not None)
    return {"agent": contender.name, "dialogues": dialogues, "false_cut_offs": sum(d["cut_off"] for d in dialogues),
            "dead_air_ms": {"p50": statistics.median(air), "max": air[-1]} if air else None}


def main() -> None:
    p = agent_bench.arguments()
    p.description = __doc__
    args = p.parse_args()
    results = [run(args, c) for c in ([Ours, LiveKitAgents] if args.peer else [Ours])]
    for r in results:
        print(f"{r['agent']}: {r['false_cut_offs']} false cut-offs in {len(r['dialogues'])} dialogues, dead air {r['dead_air_ms']}")
        for d in r["dialogues"]:
            print(f"  {'CUT OFF' if d['cut_off'] else str(d['dead_air_ms']) + ' ms':>8}  {d['said']}")
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
