"""deploy/supabase/functions: what a Supabase project of the product runs, played with Node in Deno's place."""

import json
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from xml.etree import ElementTree

import pytest

FUNCTIONS = Path(__file__).resolve().parents[2] / "deploy/supabase/functions"
NODE = shutil.which("node")
PLAYED = """
const env = %s;
let handler;
globalThis.Deno = { env: { get: (name) => env[name] }, serve: (f) => { handler = f; } };
%s
const request = %s;
const reply = await handler(new Request("https://ref.supabase.co/functions/v1/x", request));
console.log(JSON.stringify({ status: reply.status, body: await reply.text(), headers: Object.fromEntries(reply.headers) }));
"""


def play(name: str, env: dict, request: dict) -> dict:
    if not NODE:
        pytest.skip("Node is not installed")
    source = (FUNCTIONS / name / "index.ts").read_text()
    done = subprocess.run([NODE, "--input-type=module", "-"], input=PLAYED % (json.dumps(env), source, json.dumps(request)),
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Switcher(BaseHTTPRequestHandler):
    """Takes what the function sends on, and answers as the stack-switcher does."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.asked.append((self.path, body, dict(self.headers)))
        answer = b'{"success":true}'
        self.send_response(202)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


@pytest.fixture
def switcher():
    server = HTTPServer(("127.0.0.1", 0), Switcher)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(10)


@pytest.mark.parametrize("name", ["switch-voice-stack", "webhook-inbound-call"])
def test_a_shim_is_short(name):
    assert len((FUNCTIONS / name / "index.ts").read_text().splitlines()) <= 30


def test_a_switch_is_passed_on_with_its_token_and_key(switcher):
    reply = play("switch-voice-stack", {"PAT_SWITCHER_URL": f"http://127.0.0.1:{switcher.server_port}", "PAT_ALLOWED_ORIGIN": "https://pat.example"}, {
        "method": "POST", "body": '{"userId":"u","newStack":"livekit"}',
        "headers": {"Authorization": "Bearer t", "Idempotency-Key": "k", "Cookie": "c"}})
    assert (reply["status"], reply["body"]) == (202, '{"success":true}')
    assert reply["headers"]["access-control-allow-origin"] == "https://pat.example"
    (path, body, headers), = switcher.asked
    headers = {k.lower(): v for k, v in headers.items()}
    assert path == "/v1/switch-voice-stack" and body == '{"userId":"u","newStack":"livekit"}'
    assert headers["authorization"] == "Bearer t" and headers["idempotency-key"] == "k" and "cookie" not in headers


def test_a_browser_asks_first(switcher):
    reply = play("switch-voice-stack", {}, {"method": "OPTIONS"})
    assert reply["status"] == 204 and "authorization" in reply["headers"]["access-control-allow-headers"] and not switcher.asked


def test_a_switcher_that_is_away_is_said():
    reply = play("switch-voice-stack", {"PAT_SWITCHER_URL": "http://127.0.0.1:9"}, {"method": "POST", "body": "{}"})
    assert reply["status"] == 503 and json.loads(reply["body"])["error"]["code"] == "unavailable"


def test_the_carrier_is_sent_to_the_router():
    reply = play("webhook-inbound-call", {"PAT_ROUTER_PUBLIC_URL": "https://edge.example/a&b/"}, {"method": "POST", "body": "CallSid=1"})
    redirect, = ElementTree.fromstring(reply["body"])
    assert reply["status"] == 200 and reply["headers"]["content-type"].startswith("text/xml")
    assert (redirect.tag, redirect.text, redirect.get("method")) == ("Redirect", "https://edge.example/a&b/v1/signalwire/voice", "POST")


def test_without_a_router_the_caller_hears_so():
    reply = play("webhook-inbound-call", {}, {"method": "POST", "body": ""})
    assert [e.tag for e in ElementTree.fromstring(reply["body"])] == ["Say", "Hangup"]
