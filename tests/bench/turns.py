"""How well an agent knows when to speak: spoken dialogues with pauses, fillers, corrections, numbers, noises.

    . scripts/env && python tests/bench/turns.py [--peer] [--build build/release] [--json out.json] [--kinds pause,number]

The set is in dialogues.py. The caller's sound is real for whoever listens to it (voice activity, pauses); its words are told to
the recogniser's double, which lets them be heard as their time comes: a recogniser without mistakes, --stt ms late. With flux
the double judges ends of turns, so those rows show the double's judgement as much as the agent's. Printed per contender:

cut off     turns of the caller's into which the agent spoke before their last word was over
dead air    from the caller's last voiced frame to the first of the answer, ms, where nobody was cut off
unanswered  turns the agent had said nothing to after 10 s
missed      interruptions after which the agent was still heard 2 s later
false       sounds that were none ("mhm", a cough) after which the agent did not go on where it was
stop        from the caller's first voiced frame into the agent's answer to the last voiced frame of it, ms
"""

import argparse
import contextlib
import copy
import json
import os
import statistics
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bench import agent_bench, contenders, dialogues  # noqa: E402
from harness import voice  # noqa: E402
from harness.sip_leg import wait  # noqa: E402

ANSWER = ("Thank you for asking. Our shop is open from nine in the morning to six in the evening. You will find us next to the old "
          "station with parking behind the house. Bring your papers along when you come to see us. If something is missing my "
          "colleague at the counter will gladly help you. Filling in all the forms takes around twenty minutes as a rule. "
          "On Saturdays the line is usually much shorter than during the week.")
SHORT = "Thank you for asking."  # the doubles' speech costs the machine more than the agent
WARM_UP = dialogues.turn("plain", "Please tell me your opening hours.")
TOO_LATE_S, STOPPED_S = 10.0, 2.0
LATE_S = 0.2
RETRIES = 3
QUIET_S = 0.5  # longer than between two sentences of the answer


def say(bench, leg, call: str, t: dialogues.Turn) -> float:
    """Speaks a turn; when its first sample left."""
    samples = dialogues.sound(t)
    bench.control("deepgram", told={"keyterm": call, "words": t.words})
    began = time.monotonic() + leg.source.queued_duration
    leg.say(samples)
    late = time.monotonic() - began - len(samples) / voice.RATE
    if late > LATE_S:  # pauses that nobody made
        raise AssertionError(f"the caller's process stood still for {late:.1f} s")
    return began


def spoke(leg, since: float, until: float) -> list[float]:
    return [at for at, loud in leg.heard.loud_since(since) if loud and at < until]


def goes_on(leg, answered: float, since: float) -> bool:
    """Is the agent heard after `since`, and not with its answer from the beginning?"""
    first = leg.heard.since(answered)[:voice.RATE].astype(np.float64)[::8]
    later = leg.heard.since(since).astype(np.float64)[::8]
    if not spoke(leg, since, time.monotonic()) or len(later) < len(first):
        return False
    size = 1 << (len(later) + len(first)).bit_length()
    product = np.fft.irfft(np.fft.rfft(later, size) * np.conj(np.fft.rfft(first, size)), size)[:len(later) - len(first) + 1]
    power = np.convolve(later ** 2, np.ones(len(first)), "valid")
    return bool((product / np.sqrt(power * (first ** 2).sum() + 1)).max() < 0.6)


def answer_to(leg, began: float, ended: float) -> dict:
    try:
        answered = leg.wait_speech(began, TOO_LATE_S)
    except TimeoutError:
        return {"unanswered": True}
    cut = answered < ended
    return {"cut_off": cut, "dead_air_ms": None if cut else round((answered - ended) * 1000)}


def over(bench, leg, call: str, t: dialogues.Turn) -> dict:
    """Into the middle of an answer."""
    ask = dialogues.turn("plain", "Please tell me your opening hours.")
    say(bench, leg, call, ask)
    answered = leg.wait_speech(leg.last_voiced_sent_at, TOO_LATE_S)
    time.sleep(max(0.0, answered + 3.0 - time.monotonic()))
    wait(lambda: spoke(leg, time.monotonic() - 0.06, time.monotonic()), 5, "the agent is in the middle of a sentence")
    began = say(bench, leg, call, t)
    ended = leg.last_voiced_sent_at
    if t.stops:
        last = leg.heard.silent_from(began, QUIET_S)
        return {"missed": last > max(began + STOPPED_S, ended), "stop_ms": round((last - began) * 1000)}
    time.sleep(max(0.0, ended + 4.5 - time.monotonic()))
    return {"false": not goes_on(leg, answered, ended + 0.5)}


def dialogue(bench, t: dialogues.Turn, responsiveness: float) -> dict:
    call = agent_bench.uuid7()
    out = {"kind": t.kind, "said": t.text or t.pieces[0]}
    leg = None
    try:
        bench.control("deepgram", told={"keyterm": call, "words": []})
        bench.agent.prepare(call, language=t.language, responsiveness=responsiveness, told=True)
        time.sleep(bench.args.ahead)
        leg = agent_bench.ring(bench, call)
        leg.wait_active()
        leg.wait_speech(max(leg.active_at, leg.subscribed_at))
        leg.wait_quiet()
        if t.stops is None:
            began = say(bench, leg, call, t)
            return out | answer_to(leg, began, leg.last_voiced_sent_at)
        return out | over(bench, leg, call, t)
    except (AssertionError, TimeoutError, OSError) as e:
        return out | {"failed": str(e)}
    finally:
        if leg and not leg.reason:
            with contextlib.suppress(TimeoutError, OSError):  # it was measured
                leg.hang_up()


def in_lanes(bench, args, part: list, responsiveness: float, lanes: int) -> list[dict]:
    lock, started = threading.Lock(), [0.0]

    def one(t):
        with lock:  # not all at the same instant
            time.sleep(max(0.0, started[0] + 0.4 - time.monotonic()))
            started[0] = time.monotonic()
        found = dialogue(bench, t, responsiveness)
        for _ in range(RETRIES):
            found = dialogue(bench, t, responsiveness) if "failed" in found else found
        return found
    with ThreadPoolExecutor(lanes) as pool:
        return list(pool.map(one, part))


def run(args, contender, name: str, levels: list[float], lanes: int, **changed) -> list[dict]:
    mine = copy.copy(args)
    vars(mine).update(changed)
    bench = agent_bench.Bench(mine, contender)
    try:
        dialogue(bench, WARM_UP, levels[0])
        out = []
        for r in levels:
            found = []
            for part in ([t for t in args.set if t.stops is None], [t for t in args.set if t.stops is not None]):
                bench.control("openai", reply=SHORT if part and part[0].stops is None else ANSWER)
                found += in_lanes(bench, mine, part * args.runs, r, lanes)
            out.append(summary(f"{name}{f', {r:g}' if len(levels) > 1 else ''}", found))
        return out
    finally:
        bench.close()
        if args.keep:
            print(bench.folder)


def summary(name: str, found: list[dict]) -> dict:
    air = sorted(d["dead_air_ms"] for d in found if d.get("dead_air_ms") is not None)
    stop = sorted(d["stop_ms"] for d in found if "stop_ms" in d and not d["missed"])

    def of(key):
        return [sum(bool(d[key]) for d in found if key in d), sum(key in d for d in found)]
    turns = [d for d in found if "cut_off" in d or "unanswered" in d]
    return {"agent": name, "dialogues": found, "cut_off": [of("cut_off")[0], len(turns)], "dead_air_ms": agent_bench.spread(air),
            "unanswered": [of("unanswered")[0], len(turns)], "missed": of("missed"), "false": of("false"),
            "stop_ms": agent_bench.spread(stop), "failed": of("failed")[0]}


def show(results: list[dict]) -> None:
    def pair(s):
        return f"{s['p50']:.0f} / {s['p95']:.0f}" if s else "-"
    print("| | cut off | dead air p50 / p95, ms | unanswered | interruptions missed | false interruptions | stop p50 / p95, ms | failed calls |")
    print("|---|---|---|---|---|---|---|---|")
    for r in results:
        print(f"| {r['agent']} | {r['cut_off'][0]} of {r['cut_off'][1]} | {pair(r['dead_air_ms'])} | {r['unanswered'][0]} | "
              f"{r['missed'][0]} of {r['missed'][1]} | {r['false'][0]} of {r['false'][1]} | {pair(r['stop_ms'])} | {r['failed']} |")
    kinds = list(dict.fromkeys(d["kind"] for d in results[0]["dialogues"]))
    print("\n| cut off, median dead air by kind | " + " | ".join(kinds) + " |\n|---" * 1 + "|---" * len(kinds) + "|")
    for r in results:
        cells = []
        for kind in kinds:
            these = [d for d in r["dialogues"] if d["kind"] == kind]
            air = [d["dead_air_ms"] for d in these if d.get("dead_air_ms") is not None]
            wrong = sum(bool(d.get("cut_off") or d.get("missed") or d.get("false")) for d in these)
            cells.append(f"{wrong} of {len(these)}" + (f", {statistics.median(air):.0f}" if air else ""))
        print(f"| {r['agent']} | " + " | ".join(cells) + " |")


def details(results: list[dict]) -> None:
    for r in results:
        print(f"\n{r['agent']}")
        for d in r["dialogues"]:
            what = [k for k in ("cut_off", "unanswered", "missed", "false", "failed") if d.get(k)] or [
                f"{d[k]} ms" for k in ("dead_air_ms", "stop_ms") if d.get(k) is not None]
            print(f"  {d['kind']:13}{' '.join(what) or 'fine':>12}  {d['said']}")


def main() -> None:
    p = agent_bench.arguments()
    p.description, p.formatter_class = __doc__, argparse.RawDescriptionHelpFormatter
    p.set_defaults(sensitivity=0.8, ahead=1.5)
    p.add_argument("--levels", default="0,0.5,1", help="responsiveness of ours")
    p.add_argument("--strategies", default="endpointing,flux")
    p.add_argument("--lanes", type=int, default=6, help="calls at once (the peer: two thirds of them)")
    p.add_argument("--peer-first", action="store_true")
    p.add_argument("--kinds", help="only these")
    p.add_argument("--no-recordings", action="store_true")
    p.add_argument("--details", action="store_true", help="each dialogue")
    args = p.parse_args()
    args.set = [t for t in dialogues.everything(not args.no_recordings) if not args.kinds or t.kind in args.kinds.split(",")]
    contenders.GREETING = "Hello."
    for t in args.set:
        dialogues.sound(t)
    print(f"{len(args.set)} dialogues, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    levels = [float(x) for x in args.levels.split(",")]
    results = []
    todo = [(contenders.Ours, f"Patchbay, {s}", levels, args.lanes, {"detection": s}) for s in args.strategies.split(",")]
    if args.peer:
        todo.insert(0 if args.peer_first else len(todo), (contenders.LiveKitAgents, f"livekit-agents, {args.peer_turns}", [1.0],
                                                         max(1, args.lanes * 2 // 3), {}))
    for contender, name, steps, lanes, changed in todo:
        results += run(args, contender, name, steps, lanes, **changed)
        if args.json:  # what there is, should the rest not come
            args.json.write_text(json.dumps(results, indent=1))
    show(results)
    if args.details:
        details(results)
    print(f"load of the machine: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
