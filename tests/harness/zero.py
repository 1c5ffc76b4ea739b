"""What tests/e2e/test_zero_downtime.py stands on: a suite with two of what callers depend on, switches without end, a killer,
and the account of it all.

    with ZeroStack(build_dir) as stack, Crowd(stack, seed) as crowd: ...

A daemon that is killed is started again RESTART_S later; the next one dies when that one is ready and some seconds are over.
"""

import asyncio
import json
import random
import statistics
import threading
import time
import urllib.error
import uuid
from collections import Counter
from pathlib import Path

import nats
import nats.js.api
import psycopg

from harness.livekit import LiveKit
from harness.patdb import add_user
from harness.postgres import OWNER, Postgres
from harness.process import http_status
from harness.sip_leg import wait
from harness.stack import LIVEKIT_SIP_HOST, RETELL_SIP_HOST, Daemon, Stack, User, http_json

RESTART_S = 1.0
VOICELESS_S = 6.0
CUT_WINDOW_S = 2.0  # of two clocks and of news on its way
# What a switch may take until all routers know: by itself (a test call to either stack is in it), and more for each that was
# killed meanwhile or just before: it is started again, what was asked of it is missed after 6 s, and tried again.
SWITCH_S, SWITCH_KILL_S, SWITCH_BEFORE_S = 10.0, 10.0, 5.0
# The same for all, and longer than a caller stays.
GREETING = ("Hello, this is the assistant. We are open from nine to five on every working day. On Saturday we open at "
            "ten in the morning. How can I help you?")


class ZeroStack(Stack):
    """Two routers, two agents; a commit survives the death of Postgres."""

    def __init__(self, build_dir, **router_env: str):
        super().__init__(build_dir, daemons={
            "router": {"PAT_ROUTER_NO_AGENT_MS": "2s", "PAT_ROUTER_DIAL_TIMEOUT_S": "8", "PAT_ROUTER_STANDBY": "true"} | router_env,
            "livekit-agent": {"PAT_EVENT_LOG_DIR": ""},
            "retell-provider": {"PAT_RETELL_RESULTS_AFTER": "20s"},
            "stack-switcher": {"PAT_SWITCHER_WRITES_PER_MIN": "100000", "PAT_SWITCH_LEASE": "3s"}})

    def _postgres(self) -> Postgres:
        return Postgres({"synchronous_commit": "on"})

    def _start_livekit(self, webhook_url: str) -> None:
        self.livekit = self._push(LiveKit(self.folder / "livekit", webhook_url)).start()

    def _start_daemons(self, relay_port: int) -> None:
        self.settings["livekit-agent"] |= {"PAT_AGENT_PHRASE_DIR": str(self.folder / "phrases"),
                                           "PAT_AGENT_SPOOL_FILE": str(self.folder / "agent.spool")}
        (self.folder / "phrases").mkdir()
        super()._start_daemons(relay_port)
        for name, listen in (("router", "PAT_ROUTER_LISTEN"), ("livekit-agent", None)):
            env = {k: v.replace("routes.snapshot", "routes-2.snapshot").replace(".spool", "-2.spool")
                   for k, v in self.daemons[name].env.items() if k not in ("PAT_ADMIN_LISTEN", "PAT_ROUTER_PUBLIC_URL", listen)}
            d = self.daemons[f"{name}-2"] = Daemon(self, name, env, listen, replica=f"{name}-2")
            if listen:
                d.env["PAT_ROUTER_PUBLIC_URL"] = d.url
            self._push(d).start()

    def _script_doubles(self) -> None:
        super()._script_doubles()
        self.control("retell", call_ms=0)
        self.control("deepgram", grammar=["hello"])

    def point_carrier(self, gate_port: int) -> None:
        self.control("signalwire", sip_hosts={RETELL_SIP_HOST: self.double("retell"),
                                              LIVEKIT_SIP_HOST: f"http://127.0.0.1:{gate_port}"})
        self.ask_first("router", "router-2")

    def ask_first(self, first: str, second: str) -> None:
        """Which router the carrier asks, and which when that one does not answer."""
        one, two = self.daemons[first], self.daemons[second]
        self.control("signalwire", voice_url=f"{one.url}/v1/signalwire/voice", status_url=f"{one.url}/v1/signalwire/status",
                     fallback_url=f"{two.url}/v1/signalwire/fallback")

    # ------------------------------------------------------------------ users

    def make_users(self, each: int) -> dict[str, list[User]]:
        """So many on Retell, on LiveKit, and to be moved (they begin on LiveKit)."""
        users: dict[str, list[User]] = {"retell": [], "livekit": [], "moved": []}
        auth = {"Authorization": f"Bearer {self.retell_key}"}
        with psycopg.connect(self.pg.url(OWNER, "patchbay"), autocommit=True) as c:
            for kind, have in users.items():
                for i in range(each):
                    stack = "livekit" if kind == "moved" else kind
                    user = User(uuid.uuid4(), f"{kind.title()}{i}", f"+1555011{len(users['retell']) + 10 * len(have) + 100 * len(kind):04d}", stack)
                    llm = http_json("POST", self.double("retell") + "/create-retell-llm", {"general_prompt": "Be brief."}, auth)
                    agent = http_json("POST", self.double("retell") + "/create-agent", {
                        "agent_name": user.name, "voice_id": "11labs-Kate",
                        "response_engine": {"type": "retell-llm", "llm_id": llm["llm_id"]}}, auth)
                    add_user(c, user.id, f"{user.id}@example.com", user.name, user.number)
                    c.execute("update public.agent_configs set active_voice_stack = %s, retell_agent_id = %s, retell_llm_id = %s, "
                              "greeting_template = %s, voice_id = %s where user_id = %s",
                              (stack, agent["agent_id"] if stack == "retell" else None, llm["llm_id"] if stack == "retell" else None,
                               GREETING, "11labs-Kate" if stack == "retell" else "EXAVITQu4vr4xnSDxMaL", user.id))
                    have.append(user)
        for user in (u for have in users.values() for u in have):
            wait(lambda u=user: self.sql("select 1 from patchbay.routes where number = %s", u.number), 20, "a user has a number")
        return users

    def warm_up(self, crowd, users: dict[str, list[User]]) -> None:
        """Every user has been called once. On LiveKit the greeting is heard out, so that it is kept (each user's for him alone)
        and need not be spoken again: the doubles' voices take their time, and one is spoken with at a time."""
        calls = crowd.some([u.number for u in users["livekit"] + users["moved"]], 6) + crowd.some([u.number for u in users["retell"]], 0.5)
        for call in calls:
            assert call.heard(), f"{call.number}: nothing was heard: {self.look(call.sid)}"
        crowd.calls.clear()

    def all_up(self) -> None:
        for d in self.daemons.values():
            wait(lambda d=d: d.process.alive() and http_status(f"{d.admin_url}/readyz") == 200, 60, f"{d.name} is ready")


class Worker:
    """Something that goes on in a thread of its own until the block is left; what it raises is raised there."""

    def __enter__(self):
        self.over, self.failure = threading.Event(), None
        self.thread = threading.Thread(target=self._guarded, name=type(self).__name__, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, kind, *_):
        self.over.set()
        self.thread.join(120)
        if kind is None and self.failure:
            raise self.failure

    def _guarded(self) -> None:
        try:
            self.work()
        except Exception as e:  # noqa: BLE001 - raised where the block is left
            self.failure = e


class Switches(Worker):
    """Moves its users to the other stack and back, one after the other, for as long as it lasts."""

    def __init__(self, stack: ZeroStack, users: list[User]):
        self.stack, self.users = stack, users
        self.on = {u.id: u.stack for u in users}
        self.asked: list[dict] = []
        self.slow: list[dict] = []  # not over after two minutes, as their rows stood then

    def work(self) -> None:
        while not self.over.is_set():
            for user in self.users:
                if self.over.is_set():
                    return
                to = "livekit" if self.on[user.id] == "retell" else "retell"
                switch = self._ask(user, to)
                self.asked.append({"user": str(user.id), "to": to, "id": switch["id"], "at": time.time()})
                if self._observed(switch["id"]):
                    self.on[user.id] = to

    def _ask(self, user: User, to: str) -> dict:
        """Whoever answers: a replica that was killed is asked again, under the same key."""
        key, deadline = str(uuid.uuid4()), time.monotonic() + 90
        headers = {"Authorization": f"Bearer {self.stack.token(role='service_role')}", "Idempotency-Key": key}
        while True:
            try:
                return http_json("POST", f"{self.stack.daemons['stack-switcher'].url}/v1/users/{user.id}/switch", {"stack": to}, headers)
            except (OSError, urllib.error.HTTPError) as e:
                said = e.read().decode() if isinstance(e, urllib.error.HTTPError) else ""
                if time.monotonic() > deadline or (isinstance(e, urllib.error.HTTPError) and e.code in (400, 401, 403)):
                    raise RuntimeError(f"no switch of {user.name} to {to}: {e} {said}") from e
                time.sleep(0.3)

    def _observed(self, switch: str) -> bool:
        """False: it was taken back, or is slow: that is told, and the next user is moved."""
        def there():
            try:
                row = self.stack.row("select done, finished_at, outcome, error from patchbay.switches where id = %s", switch)
            except psycopg.Error:
                return time.sleep(0.2)
            return row if row and ("observe" in row["done"] or row["finished_at"]) else time.sleep(0.05)
        try:
            return "observe" in wait(there, 120, f"switch {switch} is over")["done"]
        except TimeoutError:
            self.slow.append(self.stack.row("select id, state, step, done, attempts, error, lease_by, lease_until from "
                                            "patchbay.switches where id = %s", switch))
            return False


class Killer(Worker):
    def __init__(self, stack: ZeroStack, seed: int, every_s: tuple[float, float]):
        self.stack, self.rng, self.every_s = stack, random.Random(seed), every_s
        self.kills: list[dict] = []
        self.victims = {name: self._daemon for name in stack.daemons} | {"nats": self._nats, "postgres": self._postgres}

    def run_until(self, at: float) -> None:
        self.over.wait(max(0, at - time.time()))

    def work(self) -> None:
        bag: list[str] = []
        first = "router"
        while True:
            if self.over.wait(self.rng.uniform(*self.every_s)):
                return
            bag = bag or self.rng.sample(sorted(self.victims), len(self.victims))  # each as often as the others
            name = bag.pop()
            began = {"who": name, "at": time.time()}
            self.kills.append(began)
            self.victims[name](name)
            began["ready_at"] = time.time()
            # The carrier's numbers are spread over the routers in life; here it asks them in turn.
            first, second = ("router-2", "router") if first == "router" else ("router", "router-2")
            self.stack.ask_first(first, second)

    def _daemon(self, name: str) -> None:
        daemon = self.stack.daemons[name]
        daemon.kill()
        time.sleep(RESTART_S)
        daemon.start(ready=False)
        daemon.process.wait_until(lambda: http_status(f"{daemon.admin_url}/readyz") == 200, 60)

    def _nats(self, _name: str) -> None:
        self.stack.nats.kill()
        time.sleep(RESTART_S)
        self.stack.nats.start()

    def _postgres(self, _name: str) -> None:
        self.stack.pg.kill()
        time.sleep(RESTART_S)
        self.stack.pg.start()


def stack_of(uri: str) -> str:
    return "retell" if RETELL_SIP_HOST in uri else "livekit" if LIVEKIT_SIP_HOST in uri else "phone"


def may_serve(first: str, moves: list[tuple[float, float, str]], at: float) -> set[str]:
    """Who was active then; both while a cut-over was on its way to the routers: until all had confirmed it, as the switch
    itself waits for them."""
    active, allowed = first, set()
    for cut, known, to in moves:
        if cut - CUT_WINDOW_S <= at <= max(known, cut + CUT_WINDOW_S):
            allowed |= {active, to}
        if cut <= at:
            active = to
    return allowed | {active}


class Report:
    """What came of every call, by what its caller heard, what the carrier did, and what was written down."""

    def __init__(self, stack: ZeroStack, crowd, users, switches: Switches, killer: Killer, began: float, strict: bool = False):
        """strict: a switch that took longer than its faults explain is a fault itself."""
        self.stack, self.crowd, self.killer, self.switches = stack, crowd, killer, switches
        self.began, self.ended, self.strict = began, time.time(), strict
        self.own = {u.number: u for have in users.values() for u in have}
        self.faults: dict[str, list[str]] = {}

    # ------------------------------------------------------------------ everything is written down

    def settle(self) -> None:
        """The last call's record is there, its end was told (later, where the router was dead that the carrier told), and nothing
        waits to be told."""
        sids = [c.sid for c in self.crowd.calls if c.sid]

        def open_calls():
            return self.stack.sql("select carrier_call_id from patchbay.calls where carrier_call_id = any(%s) and state <> 'ended'", sids)

        deadline = time.monotonic() + 90
        while (open_calls() or self._missing_records(sids) or self._untold_ends(sids) or self._untold() or self.strict and self._undrained()) \
                and time.monotonic() < deadline:
            time.sleep(0.5)

    def _missing_records(self, sids: list[str]) -> int:
        return self.stack.sql("select count(*) from unnest(%s::text[]) s where not exists (select 1 from patchbay.calls c "
                              "join public.call_records r on r.id = c.id where c.carrier_call_id = s and r.status = 'completed')", sids)[0][0]

    def _untold_ends(self, sids: list[str]) -> int:
        return self.stack.sql("select count(*) from patchbay.calls c where c.carrier_call_id = any(%s) and not exists (select from "
                              "patchbay.call_events e where e.call_id = c.id and e.type = 'pat.call.v1.ended')", sids)[0][0]

    def _untold(self) -> int:
        return self.stack.sql("select count(*) from patchbay.outbox where published_at is null")[0][0]

    def _undrained(self) -> list[str]:
        """Switches that still wait for calls on the old stack."""
        return [r for r, in self.stack.sql("select id::text from patchbay.switches where 'observe' = any(done) and not "
                                           "'drain' = any(done) and finished_at is null")]

    def _events(self) -> dict[str, Counter]:
        """By call: kind -> how many different ones the stream has."""
        async def read():
            nc = await nats.connect(self.stack.nats.url)
            js, out, seen = nc.jetstream(), {}, set()
            last = (await js.stream_info("CALL")).state.last_seq
            sub = await js.subscribe("pat.call.v1.>", stream="CALL", ordered_consumer=True)
            seq = 0
            while seq < last:
                m = await sub.next_msg(timeout=20)
                seq, event = m.metadata.sequence.stream, json.loads(m.data)
                if event["id"] not in seen:
                    seen.add(event["id"])
                    out.setdefault(event["data"].get("call_id"), []).append(event)
            await nc.close()
            return out
        return asyncio.run(read())

    def _timeline(self) -> dict[str, list[tuple[float, float, str]]]:
        """By user: (from, until all routers knew, stack), in order."""
        rows = self.stack.sql(
            "select w.user_id::text, extract(epoch from w.cut_at)::float8, extract(epoch from o.ended_at)::float8, w.to_stack::text, "
            "extract(epoch from w.uncut_at)::float8, extract(epoch from b.ended_at)::float8, w.from_stack::text from patchbay.switches w "
            "left join patchbay.switch_steps o on o.switch_id = w.id and o.step = 'observe' and o.state = 'done' "
            "left join patchbay.switch_steps b on b.switch_id = w.id and b.step = 'observe_back' and b.state = 'done' "
            "where w.cut_at is not null order by w.cut_at")
        out: dict[str, list[tuple[float, float, str]]] = {}
        for user, cut, known, to, uncut, known_back, back in rows:
            out.setdefault(user, []).append((cut, known or uncut or self.ended, to))
            if uncut:
                out[user].append((uncut, known_back or self.ended, back))
        return {user: sorted(moves) for user, moves in out.items()}

    def _switches(self) -> list[dict]:
        """Each with what it took from the request until all routers knew (or it was taken back), and what it may have taken."""
        out = []
        for w, in self.stack.sql("select patchbay.switch_json(x) from patchbay.switches x order by x.created_at"):
            began = time_of(w["created_at"])
            ends = [time_of(x["ended_at"]) for x in w["steps"] if x["step"] == "observe" and x["ended_at"]]
            end = min(ends or [time_of(w["finished_at"]) if w["finished_at"] else self.ended])
            kills = [k for k in self.killer.kills if began - SWITCH_BEFORE_S < k["at"] < end]
            out.append({"id": w["id"], "to": w["to_stack"], "at_s": round(began - self.began, 1), "took_s": round(end - began, 2),
                        "may_take_s": SWITCH_S + SWITCH_KILL_S * len(kills), "observed": "observe" in w["done"],
                        "outcome": w["outcome"], "error": w["error"],
                        "killed": [(k["who"], round(k["at"] - began, 1)) for k in kills],
                        "steps": [(x["step"], x["attempts"], round(time_of(x["started_at"]) - began, 2),
                                   round(time_of(x["ended_at"]) - began, 2) if x["ended_at"] else None, x["error"]) for x in w["steps"]]})
        return out

    # ------------------------------------------------------------------ judged

    def _may_serve(self, user: User, at: float) -> set[str]:
        return may_serve(user.stack, self.timeline.get(str(user.id), []), at)

    def _fault(self, kind: str, call: dict) -> None:
        self.faults.setdefault(kind, []).append(call["sid"])

    def _judge(self, c) -> dict:
        story = self.stories.get(c.sid, {}).get("story", [])
        rows = self.rows.get(c.sid, [])
        one = {"sid": c.sid, "number": c.number, "from": c.caller, "placed_at": c.placed_at, "why": c.why,
               "silent_s": [round(b - a, 2) for a, b in c.silences()[:1]], "doubled_s": round(c.doubled_s(), 2),
               "first_voice_s": round(c.heard()[0] - c.placed_at, 2) if c.heard() else None, "heard_s": round(0.02 * len(c.heard()), 1),
               "dials": [(stack_of(e["uri"]), round(e["at_ms"] / 1000, 3)) for e in story if e["what"] == "dial"],
               "calls": [str(r["id"]) for r in rows]}
        silence = c.silences()[0]
        if silence[1] - silence[0] >= VOICELESS_S:
            self._fault("left without a voice", one)
        if one["doubled_s"] > 0.4 or self._bridged_twice(story):
            self._fault("heard two", one)
        self._judge_route(one, rows)
        self._judge_record(one, rows)
        return one

    @staticmethod
    def _bridged_twice(story: list[dict]) -> bool:
        open_legs = 0
        for e in story:
            open_legs += {"bridged": 1, "leg_ended": -1 if open_legs else 0, "redirected": -open_legs}.get(e["what"], 0)
            if open_legs > 1:
                return True
        return False

    def _judge_route(self, one: dict, rows: list[dict]) -> None:
        user = self.own[one["number"]]
        told = [e for r in rows for e in self.events.get(str(r["id"]), [])]
        over = [e for e in told if e["type"] == "pat.call.v1.failed_over"]
        fallback = any(e["data"].get("is_fallback") for e in told if e["type"] == "pat.call.v1.routed")
        one["failed_over"] = [f"{e['data'].get('from')}>{e['data'].get('to') or e['data'].get('action')}:{e['data'].get('reason')}" for e in over]
        one["fallback"] = bool(over or fallback)
        strange = [d for d in one["dials"] if d[0] not in self._may_serve(user, d[1])]
        if (strange and not one["fallback"]) or not one["dials"]:
            self._fault("misrouted", one)

    def _judge_record(self, one: dict, rows: list[dict]) -> None:
        if len(rows) != 1:
            self._fault("not one call row", one)
            return
        r = rows[0]
        one["ended"] = f"{r['state']}/{r['outcome']}/{r['ended_reason']}"
        whole = r["state"] == "ended" and r["answered_at"] and r["outcome"] == "answered" and r["ended_reason"] and r["stack"] and r["records"] == 1 \
            and r["status"] == "completed"
        if not whole:
            self._fault("record not complete", one)
        kinds = Counter(e["type"].rsplit(".", 1)[1] for e in self.events.get(str(r["id"]), []))
        one["events"] = dict(kinds)
        if kinds["offered"] != 1 or kinds["routed"] < 1 or kinds["ended"] != 1:
            self._fault("events lost or doubled", one)

    # ------------------------------------------------------------------ told

    def write(self, path: Path, head: dict) -> None:
        stories = http_json("GET", f"{self.stack.double('signalwire')}/calls", timeout_s=60)["calls"]
        self.stories = {s["sid"]: s for s in stories}
        self.events, self.timeline, self.rows = self._events(), self._timeline(), {}
        with psycopg.connect(self.stack.pg.url(OWNER, "patchbay"), row_factory=psycopg.rows.dict_row) as c:
            for r in c.execute("select c.id, c.carrier_call_id, c.state, c.outcome, c.ended_reason, c.stack::text, c.answered_at, c.duration_ms, "
                               "r.status, (select count(*) from public.call_records x where x.id = c.id) as records "
                               "from patchbay.calls c left join public.call_records r on r.id = c.id where c.carrier_call_id is not null"):
                self.rows.setdefault(r["carrier_call_id"], []).append(r)
        self.judged = [self._judge(c) for c in self.crowd.calls]
        self.moves = self._switches()
        slow = [w for w in self.moves if w["took_s"] > w["may_take_s"]]
        if self.strict and slow:
            self.faults["switch slow for no reason"] = [w["id"] for w in slow]
        if self.strict and (undrained := self._undrained()):
            self.faults["switch not drained"] = undrained
        self.figures = head | self._figures()
        worst = max(self.crowd.calls, key=lambda c: c.silences()[0][1] - c.silences()[0][0])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.figures | {
            "faults": self.faults, "slow_switches": slow, "slowest_switches": sorted(self.moves, key=lambda w: -w["took_s"])[:10],
            "kills": self.killer.kills, "seconds_without_a_voice": self._per_second(),
            "worst": self._timeline_of(worst), "failed_over": [j for j in self.judged if j["fallback"]],
            "faulty": [self._timeline_of(c) for c in self.crowd.calls if any(c.sid in v for v in self.faults.values())]}, indent=1, default=str))
        self.worst = worst

    def _figures(self) -> dict:
        first = sorted(j["first_voice_s"] for j in self.judged if j["first_voice_s"] is not None)
        gaps = sorted(j["silent_s"][0] for j in self.judged)
        took = sorted(w["took_s"] for w in self.moves)
        pick = lambda values, p: values[min(len(values) - 1, int(len(values) * p))] if values else None  # noqa: E731
        return {"calls": len(self.judged), "per_minute": round(60 * len(self.judged) / (self.ended - self.began)),
                "served_by": dict(Counter(self.stack_of_call(j) for j in self.judged)),
                "kills": dict(Counter(k["who"] for k in self.killer.kills)), "switches": len(self.switches.asked),
                "switches_cut": sum(len(v) for v in self.timeline.values()), "switches_slow": len(self.switches.slow),
                "switches_taken_back": sum(not w["observed"] for w in self.moves),
                "switch_s": {"p50": pick(took, 0.5), "p95": pick(took, 0.95), "max": took[-1] if took else None},
                "first_voice_s": {"p50": pick(first, 0.5), "p95": pick(first, 0.95), "p99": pick(first, 0.99), "max": first[-1] if first else None},
                "longest_silence_s": {"p50": pick(gaps, 0.5), "p95": pick(gaps, 0.95), "p99": pick(gaps, 0.99), "max": gaps[-1] if gaps else None},
                "failed_over": sum(j["fallback"] for j in self.judged), "faults_n": {k: len(v) for k, v in self.faults.items()}}

    @staticmethod
    def stack_of_call(j: dict) -> str:
        return j["dials"][-1][0] if j["dials"] else "none"

    def _per_second(self) -> list[dict]:
        """Second by second: calls under way, and those of them that heard nobody in it."""
        out: dict[int, list[int]] = {}
        for c in self.crowd.calls:
            voiced = {int(t) for t in c.heard()}
            for second in range(int(c.placed_at) + 1, int(c.until())):
                n = out.setdefault(second, [0, 0])
                n[0] += 1
                n[1] += second not in voiced
        return [{"at_s": s - int(self.began), "calls": n[0], "silent": n[1]} for s, n in sorted(out.items())]

    def _timeline_of(self, c) -> dict:
        """Everything that is known of one call, in seconds from its first ring."""
        at = lambda t: round(t - c.placed_at, 2)  # noqa: E731
        lines = [(at(e["at_ms"] / 1000), "carrier: " + e["what"] + " " + str({k: (v[:80] if isinstance(v, str) else v) for k, v in e.items()
                                                                             if k not in ("what", "at_ms", "call", "document")}))
                 for e in self.stories.get(c.sid, {}).get("story", [])]
        for j in (j for j in self.judged if j["sid"] == c.sid):
            for call in j["calls"]:
                for e in self.events.get(call, []):
                    lines.append((at(time_of(e["time"])), f"event: {e['type']} {short(e['data'])}"))
        lines += [(at(a), f"silence of {b - a:.2f} s begins") for a, b in c.silences() if b - a > 1]
        lines += [(at(k["at"]), f"killed: {k['who']}, ready again after {k.get('ready_at', k['at']) - k['at']:.1f} s")
                  for k in self.killer.kills if c.placed_at - 10 < k["at"] < c.until()]
        lines += [(at(cut), f"switched to {to}, known everywhere {known - cut:.2f} s later")
                  for cut, known, to in self.timeline.get(str(self.own[c.number].id), []) if c.placed_at - 5 < cut < c.until()]
        judged = next((j for j in self.judged if j["sid"] == c.sid), {})
        return {"call": judged, "faults": [k for k, v in self.faults.items() if c.sid in v],
                "timeline": [f"{t:8.2f}  {text}" for t, text in sorted(lines)]}

    def table(self) -> str:
        f = self.figures
        rows = [f"{f['calls']} calls ({f['per_minute']} a minute), served by {f['served_by']}, {f['failed_over']} by the ladder",
                f"{sum(f['kills'].values())} kills: {f['kills']}",
                f"{f['switches']} switches asked for, {f['switches_cut']} cut-overs, {f['switches_slow']} not over after two minutes, "
                f"{f['switches_taken_back']} taken back",
                f"a switch took {f['switch_s']} s until every router knew",
                f"first voice after {f['first_voice_s']} s",
                f"longest silence of a call {f['longest_silence_s']} s",
                f"faults: {f['faults_n'] or 'none'}", "the call with the longest silence:",
                *self._timeline_of(self.worst)["timeline"]]
        return "\n".join(rows)

    def check(self) -> None:
        assert len(self.judged) > 20 and self.figures["switches_cut"] >= 2, self.figures
        shown = {kind: [self._timeline_of(c) for c in self.crowd.calls if c.sid in sids][:3] for kind, sids in self.faults.items()}
        slow = [w for w in self.moves if w["took_s"] > w["may_take_s"]][:5]
        assert not self.faults, json.dumps(shown | {"switches": slow if self.strict else []}, indent=1, default=str)
        assert self._untold() == 0


def time_of(text: str) -> float:
    from datetime import datetime
    return datetime.fromisoformat(text).timestamp()


def short(data: dict) -> dict:
    drop = ("call_id", "user_id", "agent_config_id", "transcript")
    return {k: v for k, v in data.items() if k not in drop and not isinstance(v, (dict, list)) and v is not None}
