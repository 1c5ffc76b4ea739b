"""The whole of Patchbay on loopback: real PostgreSQL, NATS and LiveKit, the vendors' doubles, our daemons, two users.

    with Stack(build_dir) as s:
        sid = s.place_call(LEO.number)
        call = s.call_of(sid)

Every port is free, every file lies in a folder of its own, everything started is ended. Several may run side by side.
"""

import asyncio
import json
import os
import re
import secrets
import shutil
import tempfile
import time
import urllib.request
import uuid
from dataclasses import dataclass
from pathlib import Path

import nats
import jwt
import psycopg

from harness import voice
from harness.livekit import LiveKit
from harness.nats import Nats
from harness.patdb import add_user, migrate
from harness.postgres import DAEMON, OWNER, Postgres
from harness.process import Process, free_port, http_status
from harness.sip_leg import Leg, SipGate, wait
from harness.turns import replay

ROOT = Path(__file__).resolve().parents[2]
CALLER = "+15550109999"
LIVEKIT_SIP_HOST = "pat.sip.livekit.example"
RETELL_SIP_HOST = "sip.retellai.example"
AGENT_NAME = "pat"


@dataclass(frozen=True)
class User:
    id: uuid.UUID
    name: str
    number: str
    stack: str


RITA = User(uuid.UUID("00000000-0000-4000-8000-0000000000a1"), "Rita", "+15550100001", "retell")
ADMIN = uuid.UUID("00000000-0000-4000-8000-0000000000cc")  # by token only: Pat has no row of him
LEO = User(uuid.UUID("00000000-0000-4000-8000-0000000000b2"), "Leo", "+15550100002", "livekit")


def http_json(method: str, url: str, body: dict | None = None, headers: dict | None = None, timeout_s: float = 10):
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"} | (headers or {}), method=method)
    with urllib.request.urlopen(request, timeout=timeout_s) as r:
        text = r.read()
        return json.loads(text) if text else None


class Daemon:
    """One of our programs, with its settings and its two ports."""

    def __init__(self, stack: "Stack", name: str, env: dict[str, str], listen: str | None = None,
                 replica: str | None = None):
        self.stack, self.name, self.program = stack, replica or name, name
        self.port = free_port() if listen else 0
        self.admin = free_port()
        self.env = stack.common_env() | env | {"PAT_ADMIN_LISTEN": f"127.0.0.1:{self.admin}"}
        if listen:
            self.env[listen] = f"127.0.0.1:{self.port}"
        self.process: Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def admin_url(self) -> str:
        return f"http://127.0.0.1:{self.admin}"

    def start(self, ready: bool = True) -> "Daemon":
        program = self.stack.build_dir / "bin" / f"patchbay-{self.program}"
        self.process = Process(self.name, [program], self.stack.folder / f"{self.name}.log", self.env).start()
        if ready:
            self.process.wait_until(lambda: http_status(f"{self.admin_url}/readyz") == 200, 30)
        return self

    def stop(self) -> int | None:
        return self.process.stop() if self.process else None

    def kill(self) -> None:
        self.process.kill()

    def restart(self) -> None:
        self.stop()
        self.start()

    def logs(self) -> list[dict]:
        out = []
        for line in self.process.log.read_text(errors="replace").splitlines():
            try:
                out.append(json.loads(line))
            except ValueError:
                out.append({"_text": line})
        return out

    def logged(self, event: str, **fields) -> list[dict]:
        return [e for e in self.logs() if e.get("event") == event and all(e.get(k) == v for k, v in fields.items())]

    def metrics(self) -> str:
        with urllib.request.urlopen(f"{self.admin_url}/metrics", timeout=5) as r:
            return r.read().decode()


class Stack:
    livekit_sip_host = LIVEKIT_SIP_HOST

    def __init__(self, build_dir: Path | str, folder: Path | None = None, with_livekit: bool = True,
                 daemons: dict[str, dict[str, str]] | None = None, before_step=lambda: None):
        """daemons: name -> settings that differ, e.g. {"router": {"PAT_ROUTER_DIAL_TIMEOUT_S": "5"}}.

        before_step is called before each part is started; what it raises ends the start, and all that was started."""
        self.build_dir = Path(build_dir)
        self.own_folder = folder is None
        self.folder = Path(folder or tempfile.mkdtemp(prefix="patchbay-"))
        self.turns = self.folder / "turns"
        self.turns.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        self.with_livekit = with_livekit
        self.settings = daemons or {}
        self.before_step = before_step
        self.signing_key = "PSK_" + secrets.token_hex(12)
        self.call_secret = secrets.token_hex(24)
        self.retell_key = "key_" + secrets.token_hex(12)
        self.inside_token = secrets.token_hex(16)
        self.project, self.carrier_token = str(uuid.uuid4()), "PT_" + secrets.token_hex(12)
        self.ports: dict[str, int] = {}
        self.daemons: dict[str, Daemon] = {}
        self.gate: SipGate | None = None
        self._undo: list = []

    # ------------------------------------------------------------------ life

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_):
        self.stop()

    def _push(self, thing):
        """Ended in reverse order."""
        self._undo.append(thing.stop if hasattr(thing, "stop") else lambda: thing.__exit__(None, None, None))
        self.before_step()
        return thing

    def start(self) -> "Stack":
        self.pg = self._push(self._postgres())
        self.pg.start()
        self.pg.create_database("patchbay")
        migrate(self.pg.url(OWNER, "patchbay"))
        self.nats = self._push(self._nats()).start()
        self._start_doubles()
        relay_port = free_port()
        if self.with_livekit:
            self._start_livekit(f"http://127.0.0.1:{relay_port}/v1/hooks/livekit")
        self._seed()
        self._start_daemons(relay_port)
        self._script_doubles()
        return self

    def stop(self) -> None:
        failure = None
        while self._undo:
            try:
                self._undo.pop()()
            except Exception as e:  # the rest is ended all the same
                failure = failure or e
        try:
            replay(self.build_dir, self.turns)
        except Exception as e:
            failure = failure or e
        if self.own_folder and not os.environ.get("PAT_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)
        if failure:
            raise failure

    # ------------------------------------------------------------------ parts

    def _postgres(self) -> Postgres:
        return Postgres()

    def _nats(self) -> Nats:
        return Nats(self.folder / "nats")

    def _start_doubles(self) -> None:
        port_file = self.folder / "doubles.json"
        doubles = Process("doubles", [self.build_dir / "bin/patchbay-doubles"], self.folder / "doubles.log",
                          {"PAT_PORT_FILE": str(port_file)}).start()
        self._push(doubles)
        doubles.wait_until(port_file.exists, 30)
        self.ports = json.loads(port_file.read_text())
        self.doubles = doubles

    def _start_livekit(self, webhook_url: str) -> None:
        self.livekit = self._push(LiveKit(self.folder / "livekit", webhook_url)).start()
        gate = SipGate(self.livekit.url, self.livekit.key, self.livekit.secret, AGENT_NAME)
        gate.__enter__()
        self.gate = self._push(gate)

    def double(self, vendor: str) -> str:
        return f"http://127.0.0.1:{self.ports[vendor]}"

    def control(self, vendor: str, **keys) -> None:
        http_json("POST", f"{self.double('control')}/control/{vendor}", keys)

    def double_log(self, vendor: str, kind: str | None = None) -> list[dict]:
        entries = http_json("GET", f"{self.double('control')}/control/{vendor}/log")["entries"]
        return [e for e in entries if not kind or e["kind"] == kind]

    def common_env(self) -> dict[str, str]:
        return {"PAT_NATS_URL": self.nats.url, "PAT_DATABASE_URL": self.pg.url(DAEMON, "patchbay"),
                "PAT_LOG_FORMAT": "json", "PAT_DRAIN_MS": "5000"}

    def _livekit_env(self) -> dict[str, str]:
        if not self.with_livekit:
            return {"PAT_LIVEKIT_URL": "ws://127.0.0.1:9", "PAT_LIVEKIT_API_KEY": "none", "PAT_LIVEKIT_API_SECRET": "none"}
        return {"PAT_LIVEKIT_URL": self.livekit.url, "PAT_LIVEKIT_API_KEY": self.livekit.key,
                "PAT_LIVEKIT_API_SECRET": self.livekit.secret}

    def _talk_env(self) -> dict[str, str]:
        """Calls from a browser; Retell's double has its web calls on the same LiveKit."""
        return self._livekit_env() | {"PAT_RETELL_WEB_URL": self.livekit.url} if self.with_livekit else {}

    def _start_daemons(self, relay_port: int) -> None:
        provider = self._daemon("retell-provider", "PAT_RETELL_PROVIDER_LISTEN", {
            "PAT_RETELL_API_URL": self.double("retell"), "PAT_RETELL_API_KEY": self.retell_key,
            "PAT_INSIDE_TOKEN": self.inside_token, "PAT_RETELL_TOOLS_LISTEN": "127.0.0.1:0",
            "PAT_RETELL_STANDBY": "demand", "PAT_HEALTH_PROBE_EVERY": "0"})
        router = self._daemon("router", "PAT_ROUTER_LISTEN", {
            "PAT_SIGNALWIRE_SIGNING_KEY": self.signing_key, "PAT_CALL_SECRET": self.call_secret,
            "PAT_LIVEKIT_SIP_HOST": self.livekit_sip_host, "PAT_RETELL_SIP_HOST": RETELL_SIP_HOST,
            "PAT_RETELL_PROVIDER_URL": provider.url, "PAT_INSIDE_TOKEN": self.inside_token,
            "PAT_ROUTER_SNAPSHOT_FILE": str(self.folder / "routes.snapshot"),
            "PAT_ROUTER_SPOOL_FILE": str(self.folder / "router.spool"),
            "PAT_CARRIER_URL": self.double("signalwire"), "PAT_CARRIER_PROJECT": self.project,
            # Tests call the same number more often than any person.
            "PAT_ROUTER_CALLER_PER_MIN": "0", "PAT_ROUTER_NUMBER_PER_MIN": "0",
            "PAT_CARRIER_TOKEN": self.carrier_token, "PAT_ROUTER_STANDBY": "false",
            # Where this file plays LiveKit nobody puts an agent's mark; a busy machine's agents take their time.
            "PAT_ROUTER_NO_AGENT_MS": "20s" if self.with_livekit else "0", "PAT_ROUTER_DIAL_TIMEOUT_S": "20"})
        router.env.setdefault("PAT_ROUTER_PUBLIC_URL", router.url)
        relay = self._daemon("webhook-relay", "PAT_RELAY_LISTEN", self._livekit_env() | {
            "PAT_RETELL_WEBHOOK_KEY": self.retell_key})
        relay.port, relay.env["PAT_RELAY_LISTEN"] = relay_port, f"127.0.0.1:{relay_port}"
        self._daemon("stack-switcher", "PAT_SWITCHER_LISTEN", {
            "PAT_SUPABASE_JWT_SECRET": self.jwt_secret,
            # Tests ask more often than any person.
            "PAT_SWITCHER_READS_PER_MIN": "1000000", "PAT_SWITCHER_WRITES_PER_MIN": "1000000"} | self._talk_env() |
                     ({"PAT_CONSOLE_DEMO_LOGINS": self._demo_logins()} if self.demo else {}))
        if self.with_livekit:
            self._daemon("livekit-agent", None, self._livekit_env() | {
                "PAT_LIVEKIT_AGENT_NAME": AGENT_NAME, "PAT_CALL_SECRET": self.call_secret,
                "PAT_EVENT_LOG_DIR": str(self.turns), "PAT_HEALTH_PROBE_EVERY": "0",
                # What is said is compared word by word, and a busy machine is slower than any vendor.
                "PAT_AGENT_WAIT_MS": "4s" if self.demo else "0",
                "PAT_DEEPGRAM_URL": f"ws://127.0.0.1:{self.ports['deepgram']}", "PAT_DEEPGRAM_API_KEY": "dg-key",
                "PAT_OPENAI_URL": f"{self.double('openai')}/v1", "PAT_OPENAI_API_KEY": "sk-key",
                "PAT_ELEVENLABS_URL": f"ws://127.0.0.1:{self.ports['elevenlabs']}", "PAT_ELEVENLABS_API_KEY": "xi-key",
                "PAT_RECORDING_URL": self.double("storage"), "PAT_RECORDING_ACCESS_KEY": "AKIDOUBLE",
                "PAT_RECORDING_SECRET_KEY": "the-secret-of-the-double"})
        for d in self.daemons.values():
            d.start(ready=False)
        for d in self.daemons.values():
            d.process.wait_until(lambda d=d: http_status(f"{d.admin_url}/readyz") == 200, 60)

    jwt_secret = "a-secret-of-supabase-with-at-least-32-characters"
    demo = False  # the console lets anybody in

    def token(self, user: uuid.UUID | None = None, ttl_s: int = 600, **claims) -> str:
        """As Supabase signs it."""
        body = {"exp": int(time.time()) + ttl_s, "role": "authenticated", "aud": "authenticated"}
        return jwt.encode(body | ({"sub": str(user)} if user else {}) | claims, self.jwt_secret, algorithm="HS256")

    def _demo_logins(self) -> str:
        day = 24 * 3600
        return json.dumps([{"label": f"{u.name}, who is on {name}", "token": self.token(u.id, day)}
                           for u, name in ((RITA, "Retell"), (LEO, "LiveKit"))] +
                          [{"label": "An admin", "token": self.token(ADMIN, day, app_metadata={"role": "admin"})}])

    def _daemon(self, name: str, listen: str | None, env: dict[str, str]) -> Daemon:
        d = self.daemons[name] = Daemon(self, name, env | self.settings.get(name, {}), listen)
        return self._push(d)

    def _script_doubles(self) -> None:
        router, relay = self.daemons["router"], self.daemons["webhook-relay"]
        hosts = {RETELL_SIP_HOST: self.double("retell")}
        if self.gate:
            hosts[self.livekit_sip_host] = self.gate.base
            self.control("deepgram", grammar=voice.sentences())
        self.control("signalwire", voice_url=f"{router.url}/v1/signalwire/voice", signing_key=self.signing_key,
                     fallback_url=f"{router.url}/v1/signalwire/fallback", status_url=f"{router.url}/v1/signalwire/status",
                     sip_hosts=hosts, project=self.project, token=self.carrier_token)
        self.control("retell", key=self.retell_key, webhook_url=f"{relay.url}/v1/hooks/retell",
                     webhook_key=self.retell_key, call_ms=1500)

    # ------------------------------------------------------------------ users

    def _seed(self) -> None:
        auth = {"Authorization": f"Bearer {self.retell_key}"}
        llm = http_json("POST", self.double("retell") + "/create-retell-llm", {"general_prompt": "Be brief."}, auth)
        agent = http_json("POST", self.double("retell") + "/create-agent", {
            "agent_name": "Rita", "voice_id": "11labs-Kate",
            "response_engine": {"type": "retell-llm", "llm_id": llm["llm_id"]}}, auth)
        with psycopg.connect(self.pg.url(OWNER, "patchbay"), autocommit=True) as c:
            for user in (RITA, LEO):
                add_user(c, user.id, f"{user.name.lower()}@example.com", user.name, user.number)
                c.execute("update public.agent_configs set active_voice_stack = %s, retell_agent_id = %s, "
                          "retell_llm_id = %s, greeting_template = %s, voice_id = %s where user_id = %s",
                          (user.stack, agent["agent_id"] if user is RITA else None, llm["llm_id"] if user is RITA else None,
                           "Hello, this is the assistant of {name}. How can I help you?",
                           "11labs-Kate" if user is RITA else "EXAVITQu4vr4xnSDxMaL", user.id))

    def sql(self, query: str, *params) -> list[tuple]:
        """As the owner of the database."""
        with psycopg.connect(self.pg.url(OWNER, "patchbay"), autocommit=True) as c:
            cur = c.execute(query, params)
            assert cur.description or not cur.statusmessage.startswith("SELECT"), "rows without a column would seem to be none"
            return cur.fetchall() if cur.description else []

    def row(self, query: str, *params) -> dict | None:
        with psycopg.connect(self.pg.url(OWNER, "patchbay"), autocommit=True,
                             row_factory=psycopg.rows.dict_row) as c:
            return c.execute(query, params).fetchone()

    # ------------------------------------------------------------------ health of the stacks

    def stack_states(self, router: str = "router") -> dict[str, str]:
        """What a router thinks of the stacks."""
        words = {"0": "up", "1": "degraded", "2": "down"}
        found = re.findall(r'^pat_router_stack_state\{stack="(\w+)"\} (\d)', self.daemons[router].metrics(), re.M)
        return {name: words[value] for name, value in found}

    def forget_health(self) -> None:
        """Both stacks are up again, at every router: as an operator would say it."""
        async def forget():
            nc = await nats.connect(self.nats.url)
            js = nc.jetstream()
            for name in ("retell", "livekit"):
                await js.publish(f"$KV.pat_health.stack.{name}", b"", headers={"KV-Operation": "DEL"})
            await nc.close()

        asyncio.run(forget())
        routers = [name for name, d in self.daemons.items() if d.program == "router"]
        wait(lambda: all(set(self.stack_states(name).values()) == {"up"} for name in routers), 30, "all stacks are up again")

    # ------------------------------------------------------------------ calls

    def place_call(self, to: str, caller: str = CALLER) -> str:
        """The carrier's call id."""
        return http_json("POST", f"{self.double('signalwire')}/calls", {"from": caller, "to": to})["sid"]

    def look(self, sid: str) -> dict:
        return http_json("GET", f"{self.double('signalwire')}/calls/{sid}")

    def hang_up(self, sid: str) -> None:
        http_json("POST", f"{self.double('signalwire')}/calls/{sid}/hangup", {})

    def story(self, sid: str, what: str) -> list[dict]:
        return [e for e in self.look(sid)["story"] if e["what"] == what]

    def wait_routed(self, user=LEO.id) -> None:
        """Every router has the user's settings as they are in the database now."""
        version = self.sql("select max(version) from patchbay.routes where user_id = %s", user)[0][0]
        for router in (d for d in self.daemons.values() if d.program == "router"):
            wait(lambda r=router: any(e["version"] >= version for e in r.logged("routes.changed", user=str(user))), 30,
                 f"{router.name} knows the settings")

    def wait_story(self, sid: str, what: str, timeout_s: float = 20) -> dict:
        return wait(lambda: self.story(sid, what), timeout_s, f"the carrier's call has come to: {what}")[0]

    def wait_row(self, sid: str, state: str | None = None, timeout_s: float = 20) -> dict:
        """patchbay.calls as stored."""
        query = "select * from patchbay.calls where carrier_call_id = %s" + (" and state = %s" if state else "")
        params = (sid, state) if state else (sid,)
        return wait(lambda: self.row(query, *params), timeout_s, f"the call's row is {state or 'there'}")

    def dialled(self, sid: str, timeout_s: float = 20) -> str:
        """The user part of the SIP address the carrier was told to dial: LiveKit's is our call id."""
        uri = self.wait_story(sid, "dial", timeout_s)["uri"]
        return uri.partition(":")[2].partition("@")[0]

    def leg(self, sid: str, timeout_s: float = 20) -> Leg:
        """The phone of a call that was sent to LiveKit."""
        return self.gate.wait_for_leg(self.dialled(sid, timeout_s), timeout_s)
