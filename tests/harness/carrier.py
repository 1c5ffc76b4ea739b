"""The carrier's side of the router's HTTP surface, by hand: signs requests itself, reads the documents it gets.

    c = Carrier(router_url, key)
    r = c.voice(LEO.number)                 # r.status, r.text, r.ms
    d = r.dial()                            # what the document says to dial
    c.post(d.action, c.form(DialCallStatus="failed"))
"""

import base64
import hashlib
import hmac
import http.client
import json
import time
import urllib.parse
import uuid
import xml.etree.ElementTree as tree
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

CALLER = "+15550109999"


@dataclass(frozen=True)
class Dial:
    uri: str
    action: str
    attributes: dict[str, str]

    @property
    def user(self) -> str:
        return self.uri.removeprefix("sip:").partition("@")[0]

    @property
    def host(self) -> str:
        return self.uri.partition("@")[2].partition(";")[0]

    @property
    def headers(self) -> dict[str, str]:
        return dict(urllib.parse.parse_qsl(self.uri.partition("?")[2]))

    @property
    def call(self) -> str:
        """Our call id, as the action URL names it."""
        return urllib.parse.urlsplit(self.action).path.rpartition("/")[2]


@dataclass(frozen=True)
class Reply:
    status: int
    type: str
    text: str
    ms: float

    def xml(self) -> tree.Element:
        assert self.status == 200 and self.type.startswith("text/xml"), (self.status, self.type, self.text)
        root = tree.fromstring(self.text)
        assert root.tag == "Response"
        return root

    def verbs(self) -> list[str]:
        return [e.tag for e in self.xml()]

    def dial(self) -> Dial:
        assert self.verbs() == ["Dial"], self.text
        node = self.xml()[0]
        sip, = node
        return Dial(sip.text, node.attrib["action"], dict(node.attrib))

    def record(self) -> dict[str, str]:
        assert self.verbs() == ["Say", "Record", "Redirect"], self.text
        return dict(self.xml()[1].attrib)

    def unrecorded(self) -> str:
        """Asked when nothing came of the recording."""
        assert self.verbs() == ["Say", "Record", "Redirect"], self.text
        return self.xml()[2].text

    def json(self) -> dict:
        return json.loads(self.text)

    def field(self) -> str | None:
        return self.json()["error"].get("field")


def sign_form(key: str, url: str, params: list[tuple[str, str]]) -> str:
    """Scheme B: url, then names and values sorted by name."""
    text = url + "".join(k + v for k, v in sorted(params, key=lambda p: p[0]))
    return base64.b64encode(hmac.new(key.encode(), text.encode(), hashlib.sha1).digest()).decode()


def sign_json(key: str, url: str, body: bytes, digest: str = "sha1") -> str:
    """Scheme A."""
    return hmac.new(key.encode(), url.encode() + body, digest).hexdigest()


class Carrier:
    def __init__(self, base: str, key: str):
        self.base, self.key = base, key

    def form(self, to: str, caller: str = CALLER, **more: str) -> dict[str, str]:
        return {"CallSid": str(uuid.uuid4()), "AccountSid": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "From": caller, "To": to,
                "ApiVersion": "2010-04-01", "CallStatus": "ringing", "Direction": "inbound"} | more

    def send(self, method: str, url: str, body: bytes | None = None, timeout_s: float = 10, **headers: str) -> Reply:
        at = urllib.parse.urlsplit(url if "://" in url else self.base + url)
        connection = http.client.HTTPConnection(at.hostname, at.port, timeout=timeout_s)
        begun = time.perf_counter()
        try:
            connection.request(method, at.path + ("?" + at.query if at.query else ""), body,
                               {k.replace("_", "-"): v for k, v in headers.items()})
            r = connection.getresponse()
            text = r.read().decode(errors="replace")
        finally:
            connection.close()
        return Reply(r.status, r.getheader("Content-Type", ""), text, (time.perf_counter() - begun) * 1000)

    def post(self, url: str, params: dict | list, key: str | None = None, signature: str | None = None,
             timeout_s: float = 10) -> Reply:
        """A signed form, as SignalWire's compatibility requests are."""
        url = url if "://" in url else self.base + url
        pairs = list(params.items()) if isinstance(params, dict) else params
        return self.send("POST", url, urllib.parse.urlencode(pairs).encode(), timeout_s,
                         Content_Type="application/x-www-form-urlencoded",
                         X_SignalWire_Signature=signature or sign_form(key or self.key, url, pairs))

    def voice(self, to: str, caller: str = CALLER, **more: str) -> Reply:
        return self.post("/v1/signalwire/voice", self.form(to, caller, **more))

    def swml(self, body: dict, url: str = "/v1/signalwire/voice", **headers: str) -> Reply:
        data = json.dumps(body).encode()
        url = url if "://" in url else self.base + url
        return self.send("POST", url, data, Content_Type="application/json",
                         **(headers or {"X_SignalWire_Signature": sign_json(self.key, url, data)}))

    def dial_result(self, dial: Dial, form: dict, status: str, **more: str) -> Reply:
        return self.post(dial.action, form | {"CallStatus": "in-progress", "DialCallStatus": status,
                                              "DialCallSid": str(uuid.uuid4())} | more)


class Phone:
    """A SIP host of the doubles' kind (tests/doubles/sip.h) that answers, refuses or rings out as told."""

    def __init__(self, status: int = 200):
        self.status, self.invites, self.over = status, [], Event()
        self.rings: Event | None = None  # until then it only rings
        self.dialogs: dict[str, Event] = {}
        phone = self

        class Handler(BaseHTTPRequestHandler):
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
                    dialog = f"d{len(phone.dialogs) + 1}"
                    phone.dialogs[dialog] = Event()
                    phone.invites.append(json.loads(body))
                    if phone.rings:
                        phone.rings.wait(30)
                    self.reply({"status": phone.status} | ({"dialog": dialog} if phone.status == 200 else {}))
                else:
                    phone.hang_up(self.path.split("/")[-2])
                    self.reply({})

            def do_GET(self):
                phone.dialogs[self.path.split("/")[-1]].wait(60)
                self.reply({"reason": "hangup"})

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.hang_up()
        self.server.shutdown()
        self.server.server_close()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def hang_up(self, dialog: str | None = None) -> None:
        """One of its calls (d1 is the first), or all."""
        for name, ended in list(self.dialogs.items()):
            if dialog in (None, name):
                ended.set()
        self.over.set()
