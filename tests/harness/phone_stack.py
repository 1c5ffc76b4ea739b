"""Everything of Stack, but with real telephones: the carrier's double has baresip dial LiveKit's own SIP service.

    with PhoneStack(build_dir) as s:
        sid = s.place_call(LEO.number)
        phone = s.phone(sid)
        phone.wait_active(); phone.say(...); phone.trunk.seen("SIP/2.0 200")
"""

import asyncio
import base64
import hashlib
import hmac
import json
import re
import secrets
import select
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from livekit import api

from harness.baresip import Phone
from harness.livekit import LiveKit
from harness.sip_leg import wait
from harness.sip_service import Redis, SipService
from harness.sip_trunk import SipTrunk
from harness.stack import LEO, Daemon, Stack
from harness.team import Serving

USER, PASSWORD = "patchbay", secrets.token_hex(12)


def signed(stack, call: str, secret: str | None = None) -> dict[str, str]:
    """The context as headers, as docs/rpc.md has them."""
    row = stack.row("select agent_config_id as id, version from patchbay.agent_settings where user_id = %s", LEO.id)
    text = f"{call}|{LEO.id}|{row['id']}|{row['version']}"
    mac = hmac.new((secret or stack.call_secret).encode(), b"sip\0" + text.encode(), hashlib.sha256).digest()[:16]
    return {"X-Pat-Call": call, "X-Pat-User": str(LEO.id), "X-Pat-Agent": str(row["id"]), "X-Pat-Version": str(row["version"]),
            "X-Pat-Sig": base64.urlsafe_b64encode(mac).decode().rstrip("=")}


class PhoneGate:
    """What the carrier's double takes for a SIP host (tests/doubles/sip.h): each INVITE is a telephone that dials."""

    def __init__(self, folder, sip: SipService):
        self.folder, self.sip = folder, sip
        self.codec = "PCMU/8000/1"  # of the phones to come
        self.legs: dict[str, Phone] = {}  # by call id, the newest
        self.dialogs: dict[str, Phone] = {}
        gate = self

        class Door(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def reply(self, body: dict) -> None:
                data = json.dumps(body).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.path == "/sip/invite":
                    self.reply(gate.invite(json.loads(body), self.connection))
                else:
                    gate.dialogs[self.path.split("/")[3]].hang_up()
                    self.reply({})

            def do_GET(self):
                phone = gate.dialogs[self.path.split("/")[3]]
                wait(lambda: phone.reason, 600, "the phone is down")
                self.reply({"reason": "hangup"})

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self.server.daemon_threads = True
        Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def stop(self) -> None:
        for phone in self.dialogs.values():
            phone.stop()
            phone.trunk.close()
        self.server.shutdown()
        self.server.server_close()

    def invite(self, invite: dict, carrier: socket.socket) -> dict:
        """Dials what the document says, and waits until somebody answers, refuses, or the carrier cancels."""
        uri, call = invite["uri"].partition("?")[0], re.match(r"sips?:([^@;?]+)@", invite["uri"])[1]
        host, _, port = re.search(r"@([^;?]+)", uri)[1].partition(":")
        trunk = SipTrunk((host, int(port)), invite.get("headers"))
        dialog = f"{call}-{len(self.dialogs)}"
        phone = Phone(self.folder / dialog, invite["from"], trunk.address, invite.get("username", ""),
                      invite.get("password", ""), self.codec)
        phone.trunk, phone.invite, phone.call = trunk, invite, call
        self.legs[call] = self.dialogs[dialog] = phone
        phone.dial(uri)
        while not phone.active_at and not phone.reason:
            if select.select([carrier], [], [], 0.02)[0] and not carrier.recv(1, socket.MSG_PEEK):
                phone.hang_up()
                return {"status": 487}
        if phone.active_at:
            return {"status": 200, "dialog": dialog}
        refused = re.match(r"(\d{3}) ", phone.reason)
        return {"status": int(refused[1]) if refused else 480}


class PhoneStack(Serving, Stack):
    n_agents = 2

    def __init__(self, build_dir, daemons: dict[str, dict[str, str]] | None = None):
        login = {"PAT_LIVEKIT_SIP_USERNAME": USER, "PAT_LIVEKIT_SIP_PASSWORD": PASSWORD,
                 "PAT_LIVEKIT_SIP_TRANSPORT": "udp", "PAT_ROUTER_DIAL_TIMEOUT_S": "20"}
        daemons = daemons or {}
        super().__init__(build_dir, daemons=daemons | {"router": login | daemons.get("router", {})})

    def _start_livekit(self, webhook_url: str) -> None:
        redis = self._push(Redis(self.folder / "redis")).start()
        self.livekit = self._push(LiveKit(self.folder / "livekit", webhook_url, redis.address)).start()
        self.sip = self._push(SipService(self.folder / "sip", self.livekit, redis)).start()
        self.sip.admit(USER, PASSWORD)
        self.livekit_sip_host = self.sip.address
        self.gate = self._push(PhoneGate(self.folder / "phones", self.sip))

    def _start_daemons(self, relay_port: int) -> None:
        super()._start_daemons(relay_port)
        first = self.daemons["livekit-agent"]
        for i in range(1, self.n_agents):
            name = f"livekit-agent-{i + 1}"
            env = {k: v for k, v in first.env.items() if k != "PAT_ADMIN_LISTEN"}
            self.daemons[name] = self._push(Daemon(self, "livekit-agent", env, replica=name)).start()

    def _script_doubles(self) -> None:
        super()._script_doubles()
        self.control("deepgram", telephone=True)

    def change_leo(self, **columns: dict) -> None:
        """Columns of his agent's row that the product added later, and everybody knows."""
        for name, value in columns.items():
            self.sql(f"alter table public.agent_configs add column if not exists {name} jsonb")
            self.sql(f"update public.agent_configs set {name} = %s where user_id = %s", json.dumps(value), LEO.id)
        self.wait_routed()

    def close_room(self, call: str) -> None:
        """Whoever is in it is sent away: a telephone is hung up on."""
        async def close():
            async with api.LiveKitAPI(self.livekit.http_url, self.livekit.key, self.livekit.secret) as lk:
                await lk.room.delete_room(api.DeleteRoomRequest(room=f"call_{call}"))
        asyncio.run(close())

    def phone(self, sid: str, timeout_s: float = 20) -> Phone:
        """Of a call the carrier was told to give to LiveKit."""
        call = self.dialled(sid, timeout_s)
        return wait(lambda: self.gate.legs.get(call), timeout_s, "the carrier dials")
