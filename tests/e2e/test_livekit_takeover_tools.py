"""An agent dies while a tool of the user's own runs: the next one finishes it, under the same key, and tells the caller."""

import base64
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from harness.team import Team

from harness import voice
from harness.sip_leg import wait
from harness.stack import LEO, ROOT

QUESTION = "hello please tell me your opening hours"


class SlowShop(ThreadingHTTPServer):
    """Knows who has asked for what, and answers when it is told to."""

    daemon_threads = True

    def __init__(self):
        self.asked: list[tuple[str, dict]] = []  # webhook-id, data
        self.open = threading.Event()
        shop = self

        class Door(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                shop.asked.append((self.headers["webhook-id"], body["data"]))
                shop.open.wait(60)
                try:
                    self.send_response(200)
                    self.end_headers()
                    self.wfile.write(b'{"booked": "friday"}')
                except OSError:
                    pass  # who asked is dead

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Door)
        threading.Thread(target=self.serve_forever, daemon=True).start()


@pytest.fixture
def shop():
    with SlowShop() as s:
        yield s
        s.open.set()
        s.shutdown()


@pytest.fixture
def stack(shop):
    with Team(Path(os.environ.get("PAT_BUILD_DIR", ROOT / "build/dev")), PAT_AGENT_TOOL_PRIVATE_NETS="true") as s:
        s.sql("insert into patchbay.user_tools (user_id, name, description, url, secret, parameters, timeout_ms) "
              "values (%s, 'book_table', 'Books a table.', %s, %s, %s, 30000)", LEO.id,
              f"http://127.0.0.1:{shop.server_port}/book", "whsec_" + base64.b64encode(os.urandom(24)).decode(),
              json.dumps({"type": "object", "required": ["day"], "properties": {"day": {"type": "string"}}}))
        s.wait_routed()
        s.settle()
        yield s


@pytest.mark.timeout(300)
def test_killed_while_a_tool_runs_it_is_done_once_and_told(stack, shop, watch):
    sid = stack.place_call(LEO.number)
    leg = stack.leg(sid)
    leg.wait_active()
    leg.wait_speech(leg.active_at)
    leg.wait_quiet()
    stack.control("openai", tool_calls=[{"name": "book_table", "arguments": {"day": "friday"}}])
    leg.say(voice.trim(voice.speak(QUESTION)))
    wait(lambda: shop.asked, 30, "the tool was called")
    agent = stack.serving(leg.call)
    agent.kill()
    assert stack.resumed(leg.call, 2)["how"] == "tools"
    wait(lambda: len(shop.asked) == 2, 30, "it is called again")
    (first, data), (second, again) = shop.asked
    assert first == second, "under the same id"
    assert data == again
    shop.open.set()
    told = watch.wait_for("turn.tool", leg.call, timeout_s=30)["data"]
    assert (told["outcome"], told["tool_call_id"]) == ("ok", first)
    # The model hears the result, and the caller the model.
    wait(lambda: any(m["role"] == "tool" and "booked" in m["content"]
                     for m in stack.double_log("openai", "chat")[-1]["body"]["messages"]), 30, "the model knows")
    wait(lambda: len(watch.of("turn.agent", leg.call)) >= 2, 30, "the caller is answered")
    assert len(watch.of("turn.tool", leg.call)) == 1 and len(watch.of("turn.user", leg.call)) == 1
    assert len(shop.asked) == 2 and leg.reason is None
    row = wait(lambda: stack.row("select * from patchbay.tool_calls where call_id = %s", leg.call), 20, "it is on record")
    assert str(row["id"]) == first
    stack.settle()
    stack.hang_up(sid)
    stack.wait_row(sid, "ended")
