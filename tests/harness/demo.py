"""scripts/demo: Patchbay on loopback, with the vendors played, for a person to look at.

    demo.py BUILD_DIR                      the console with people calling; runs until Ctrl-C; prints what happens
    demo.py BUILD_DIR --once [--say TEXT]  one call per stack, a table, build/demo/report.json; exit 0 only if both were served
"""

import argparse
import contextlib
import json
import os
import random
import signal
import sys
import threading
import time
import traceback
import webbrowser
from pathlib import Path

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the imports take a second, and have nothing to undo

from harness import voice
from harness.retell_web import RetellWeb
from harness.sip_leg import Leg, wait
from harness.stack import CALLER, LEO, RITA, ROOT, Stack
from harness.watch import Watch, about

CALLS_EVERY_S = 30  # somebody phones
RETELL_CALL_MS = 12_000  # of those who phone Rita
REPORT = ROOT / "build/demo/report.json"  # of --once
DISTRACTORS = 30  # other sentences the recogniser must tell the said one from


# ---------------------------------------------------------------------- Ctrl-C

class Stop(BaseException):
    """Somebody wants us to end."""


class Ending:
    """Ctrl-C, a kill and a closed terminal are ordinary ends: everything begun is undone, and that is not interrupted.

    While the stack starts, the end waits for the next step, so that nothing is left half made; asked twice it comes at
    once. Later it comes at once.
    """

    def __init__(self):
        self.number = 0
        self.starting, self.leaving = True, False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._ask)

    def _ask(self, number: int, _frame) -> None:
        if self.leaving:
            return
        again, self.number = self.number, number
        if not again:
            with contextlib.suppress(OSError):  # the terminal may be gone
                os.write(1, b"\ndemo: stopping\n")  # print() may be what was interrupted
        if again or not self.starting:
            self._leave()

    def _leave(self) -> None:
        self.leaving = True
        raise Stop

    def before_step(self) -> None:
        if self.number:
            self._leave()

    def started(self) -> None:
        self.starting = False
        self.before_step()


# ---------------------------------------------------------------------- the person at the phone

class Conversation:
    """One call as its caller lives it: hear the greeting, say a sentence, hear the answer."""

    def __init__(self, leg: Leg, sentence: str):
        self.leg, self.sentence = leg, sentence
        self.greeting_ms = self.response_ms = None
        self.reply_audio = None

    def hold(self) -> None:
        leg = self.leg
        leg.wait_active()
        since = max(leg.active_at, leg.subscribed_at)
        self.greeting_ms = round((leg.wait_speech(since) - since) * 1000, 1)
        leg.wait_quiet()
        leg.say(voice.trim(voice.speak(self.sentence)))
        said_at = leg.last_voiced_sent_at
        self.response_ms = round((leg.wait_speech(said_at) - said_at) * 1000, 1)
        leg.wait_quiet()
        self.reply_audio = leg.heard.since(said_at)


def candidates(sentence: str) -> list[str]:
    others = [s for s in voice.sentences() if not voice.same_words(s, sentence)]
    chosen = random.sample(others, DISTRACTORS) + [sentence]
    random.shuffle(chosen)
    return chosen


def audible(reply: str, audio) -> bool:
    """Is it this reply that came over the line? Against replies it might have been, and against silence."""
    heard = voice.hear(audio, [reply, *random.sample(voice.sentences(), 10)])
    return bool(reply) and voice.overlap(reply, heard) >= 0.8


# ---------------------------------------------------------------------- once

def first_answer(stack: Stack, sid: str) -> dict:
    return stack.wait_story(sid, "answer")


def common(stack: Stack, watch: Watch, sid: str) -> dict:
    row = stack.wait_row(sid, "ended", 20)
    call = str(row["id"])
    watch.wait_for("call.ended", call)
    return {"call_id": call, "dial": (stack.story(sid, "dial") or [{}])[0].get("uri"),
            "answer_ms": round(first_answer(stack, sid)["answer_ms"], 1), "row": row}


def once_retell(stack: Stack, watch: Watch) -> dict:
    sid = stack.place_call(RITA.number)
    stack.wait_story(sid, "ended")
    report = common(stack, watch, sid)
    call = report["call_id"]
    wait(lambda: len([e for e in watch.of("webhook.received", call)]) >= 3, 20, "Retell's three webhooks are in")
    record = wait(lambda: stack.row("select * from public.call_records where id = %s and transcript is not null", call), 20,
                  "the call's record has Retell's report")
    records = stack.row("select count(*) as n from public.call_records where call_sid = %s or retell_call_id = %s or id = %s",
                        sid, report["row"]["retell_call_id"], call)["n"]
    registered = [e["call_id"] for e in stack.double_log("retell", "registered")
                  if e["request"]["metadata"]["call_id"] == call]
    dialled = [e["uri"] for e in stack.double_log("retell", "invite") if e["call_id"] == sid]
    delivered = all(e["status"] == 200 for e in stack.double_log("retell", "webhook_answered"))
    report["ok"] = bool(registered and dialled and dialled[0].startswith(f"sip:{registered[0]}@") and delivered
                        and records == 1 and record["retell_call_id"] == registered[0])
    report["events"] = watch.counts(call)
    report["records"] = records
    return report


def texts(watch: Watch, kind: str, call: str) -> list[str]:
    return [e["data"]["text"] for e in sorted(watch.of(kind, call), key=lambda e: e["time"])]


def once_livekit(stack: Stack, watch: Watch, sentence: str) -> dict:
    stack.control("deepgram", grammar=candidates(sentence))
    sid = stack.place_call(LEO.number)
    leg = stack.leg(sid)
    talk = Conversation(leg, sentence)
    talk.hold()
    user = watch.wait_for("turn.user", leg.call)
    reply = wait(lambda: [e for e in watch.of("turn.agent", leg.call) if e["time"] >= user["time"]], 20,
                 "the agent's turn is told")[-1]["data"]["text"]
    stack.hang_up(sid)
    stack.wait_story(sid, "ended")
    report = common(stack, watch, sid)
    watch.wait_for("usage.recorded", leg.call)
    heard = " ".join(texts(watch, "turn.user", leg.call))
    report |= {"said": sentence, "heard": heard, "reply": reply, "greeting_ms": talk.greeting_ms,
               "response_ms": talk.response_ms, "events": watch.counts(leg.call)}
    report["ok"] = voice.same_words(sentence, heard) and audible(reply, talk.reply_audio) and report["call_id"] == leg.call
    return report


def attempt(name: str, serve) -> dict:
    try:
        return serve()
    except Exception as e:  # the report says what went wrong; the other stack still gets its call
        traceback.print_exc()
        return {"ok": False, "error": f"{type(e).__name__}: {e}"}


def print_table(report: dict) -> None:
    rows = [("", "retell", "livekit")]
    for key in ("ok", "call_id", "dial", "answer_ms", "greeting_ms", "said", "heard", "reply", "response_ms", "error"):
        cells = [str(report[s].get(key, "")) for s in ("retell", "livekit")]
        if any(cells):
            rows.append((key, *(c if len(c) <= 58 else c[:55] + "..." for c in cells)))
    widths = [max(len(r[i]) for r in rows) for i in range(3)]
    print()
    for r in rows:
        print("  ".join(c.ljust(w) for c, w in zip(r, widths)).rstrip())
    print()


def once(stack: Stack, sentence: str, to: Path = REPORT) -> int:
    with Watch(stack.nats.url, on_event=print_event) as watch:
        print(f"demo: a call to {RITA.name}, who is on Retell; what happens is told by these events:", flush=True)
        report = {"retell": attempt("retell", lambda: once_retell(stack, watch))}
        print(f'demo: a call to {LEO.name}, who is on LiveKit; the caller will say: "{sentence}"', flush=True)
        report["livekit"] = attempt("livekit", lambda: once_livekit(stack, watch, sentence))
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(json.dumps(report, indent=2, default=str) + "\n")
    print_table(report)
    print(f"report: {to.relative_to(ROOT)}")
    ok = report["retell"]["ok"] and report["livekit"]["ok"]
    if not ok:
        for d in stack.daemons.values():
            print(f"---- {d.name}\n{d.process.tail(25) if d.process else ''}", file=sys.stderr)
    return 0 if ok else 1


# ---------------------------------------------------------------------- until Ctrl-C

_DIM, _OFF = ("\x1b[2m", "\x1b[0m") if sys.stdout.isatty() else ("", "")


def print_event(event: dict) -> None:
    kind = (event.get("type") or "").replace("pat.", "").replace(".v1.", ".")
    if not kind or kind == "turn.partial":
        return
    data = {k: v for k, v in (event.get("data") or {}).items() if k not in ("call_id", "user_id", "agent_config_id")}
    call = about(event)
    print(f"{_DIM}{event.get('time', '')[11:23]}{_OFF} {kind:<18} {_DIM}{call[-6:] if call else '-':<6}{_OFF} "
          f"{json.dumps(data, ensure_ascii=False, default=str)[:150]}", flush=True)


def answer_phones(stack: Stack, sentence: str | None) -> None:
    """Each caller on LiveKit is a person of ours: says something, listens, hangs up."""
    served = set()

    def person(leg: Leg) -> None:
        try:
            Conversation(leg, sentence or voice.any_sentence()).hold()
            stack.hang_up(leg.invite["call_id"])
        except Exception as e:
            print(f"the caller gave up: {e}", flush=True)

    while True:
        time.sleep(0.05)
        for call, leg in list(stack.gate.legs.items()):
            if call not in served:
                served.add(call)
                threading.Thread(target=person, args=(leg,), daemon=True).start()


def phone(stack: Stack, every_s: float) -> None:
    """Somebody always calls, so that there is something to see."""
    numbers = [LEO.number, RITA.number]

    while True:
        with contextlib.suppress(OSError):  # the stack is going
            stack.place_call(numbers[0])
        numbers.reverse()
        time.sleep(every_s)


def open_console(url: str) -> None:
    """Where there is a screen, and somebody before it."""
    if sys.stdout.isatty() and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()


class Shown(Stack):
    demo = True


def explain(stack: Stack) -> None:
    d = stack.daemons
    print(f"""
Patchbay is up. Two users: {RITA.name} on Retell ({RITA.number}), {LEO.name} on LiveKit ({LEO.number}).

  the console     {d['stack-switcher'].url}  (as {RITA.name}, as {LEO.name}, or as an admin)
     talk         as {LEO.name} or {RITA.name}: "Talk to your agent", in English, slowly; all of it stays on this machine
     switch       as an admin: Users, {RITA.name}, "Switch to LiveKit"; and back
     calls        somebody phones {LEO.name} or {RITA.name} every now and then: see Calls
  place a call    curl -d '{{"from":"{CALLER}","to":"{LEO.number}"}}' {stack.double('signalwire')}/calls
                  curl -d '{{"from":"{CALLER}","to":"{RITA.number}"}}' {stack.double('signalwire')}/calls
  look at it      curl {stack.double('signalwire')}/calls/SID
  Postgres        psql '{stack.pg.url("patchbay_owner", "patchbay")}'  (table patchbay.calls, public.call_records)
  NATS            {stack.nats.url}  (subjects pat.>)
  LiveKit         {stack.livekit.url}  (key {stack.livekit.key})
  router          {d['router'].url}   health and metrics: {d['router'].admin_url}/readyz /metrics
  vendors played  {stack.double('control')}/control  (POST /control/openai {{"latency_ms":400}} and the like)
  logs            {stack.folder}

Events follow; Ctrl-C ends everything.
""", flush=True)


def until_stopped(stack: Stack, sentence: str | None, every_s: float) -> None:
    # Whoever talks into the browser says what he likes: without a sentence everything is heard, nearly right.
    chosen = candidates(sentence) if sentence else None
    stack.control("deepgram", grammar=chosen)
    stack.control("retell", call_ms=RETELL_CALL_MS)
    with RetellWeb(stack, chosen), Watch(stack.nats.url, on_event=print_event):
        explain(stack)
        open_console(stack.daemons["stack-switcher"].url)
        if every_s:
            threading.Thread(target=phone, args=(stack, every_s), daemon=True).start()
        answer_phones(stack, sentence)


def main() -> int:
    p = argparse.ArgumentParser(prog="scripts/demo", description=__doc__.splitlines()[0])
    p.add_argument("build_dir", help=argparse.SUPPRESS)
    p.add_argument("--once", action="store_true", help="one call per stack, then a report and the end")
    p.add_argument("--say", metavar="TEXT", help="what the caller says; otherwise a sentence of its own each time")
    p.add_argument("--calls-every", metavar="SECONDS", type=float, default=CALLS_EVERY_S,
                   help=f"somebody phones, again and again; 0: only you ({CALLS_EVERY_S})")
    args = p.parse_args()
    if args.say is not None and not voice.words(args.say):
        p.error("--say: there is no word in it")
    print("demo: starting PostgreSQL, NATS, LiveKit, the vendors' doubles and the daemons", flush=True)
    begun = time.monotonic()
    ending = Ending()
    status = None  # what an end asked for means
    try:
        with Shown(Path(args.build_dir), before_step=ending.before_step) as stack:
            try:
                ending.started()
                print(f"demo: up after {time.monotonic() - begun:.1f} s", flush=True)
                if args.once:
                    return once(stack, args.say or voice.any_sentence())
                status = 0
                until_stopped(stack, args.say, args.calls_every)
            finally:
                ending.leaving = True
    except Stop:
        pass
    except Exception:
        if not ending.number:  # else it is what the same Ctrl-C did to a child
            raise
    return 128 + ending.number if status is None else status


if __name__ == "__main__":
    sys.exit(main())
