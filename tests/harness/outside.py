"""A sender of webhooks and a receiver of their news, each a process of its own that knows nothing of the suite but its addresses.

    outside.py send URL USER_ID RATE SECONDS OUT       PAT_RETELL_WEBHOOK_KEY is the key; as Retell, five webhooks to a call
    outside.py receive NATS_URL OUT                    a durable consumer of stream WEBHOOK, until SIGTERM

Each writes a line of JSON per webhook that was acknowledged (2xx), or news that came, as it happens. The sender sends the next
webhook of a call when the one before was acknowledged, and one that was not again until it is; so what it wrote is what it may
expect to arrive, in that order.
"""

import asyncio
import hashlib
import hmac
import http.client
import json
import os
import signal
import sys
import threading
import time
import urllib.parse
import uuid

KINDS = ("call_started", "transcript_updated", "transcript_updated", "call_ended", "call_analyzed")
WORKERS = 16
GIVE_UP_S = 60


class Sender:
    def __init__(self, url: str, user: str, rate: float, seconds: float, out):
        at = urllib.parse.urlsplit(url)
        self.where, self.user, self.key = (at.hostname, at.port), user, os.environ["PAT_RETELL_WEBHOOK_KEY"].encode()
        self.every, self.until = WORKERS / rate, time.monotonic() + seconds
        self.out, self.lock, self.failed = out, threading.Lock(), 0

    def body(self, call: str, n: int) -> bytes:
        now = int(time.time() * 1000)
        told = {"call_id": "call_" + call.replace("-", ""), "agent_id": "agent_x", "call_type": "phone_call", "direction": "inbound",
                "from_number": "+15550109999", "to_number": "+15550100001", "start_timestamp": now, "call_status": "ongoing",
                "metadata": {"call_id": call, "user_id": self.user}, "transcript": f"Agent: Hello.\nUser: This is number {n}.\n"}
        if n >= 3:
            told |= {"call_status": "ended", "end_timestamp": now + 1000, "duration_ms": 1000, "disconnection_reason": "user_hangup"}
        if n == 4:
            told |= {"call_analysis": {"call_summary": f"Summary of {call}.", "call_successful": True}}
        return json.dumps({"event": KINDS[n], "call": told}).encode()

    def post(self, connection, body: bytes) -> int:
        at = int(time.time() * 1000)
        digest = hmac.new(self.key, body + str(at).encode(), hashlib.sha256).hexdigest()
        connection.request("POST", "/v1/hooks/retell", body, {"Content-Type": "application/json",
                                                              "X-Retell-Signature": f"v={at},d={digest}"})
        answer = connection.getresponse()
        answer.read()
        return answer.status

    def until_taken(self, connection, body: bytes):
        """The connection to go on with, None when it was never taken."""
        deadline = time.monotonic() + GIVE_UP_S
        while time.monotonic() < deadline:
            try:
                if 200 <= self.post(connection, body) < 300:
                    return connection
            except (OSError, http.client.HTTPException):
                connection.close()
                connection = http.client.HTTPConnection(*self.where, timeout=15)
            time.sleep(0.1)
        return None

    def work(self, nth: int) -> None:
        connection = http.client.HTTPConnection(*self.where, timeout=15)
        due = time.monotonic() + self.every * nth / WORKERS
        while time.monotonic() < self.until:
            call = str(uuid.uuid4())
            for n in range(len(KINDS)):
                time.sleep(max(0.0, due - time.monotonic()))
                due = max(due + self.every, time.monotonic() - 5)  # what an outage held up is made good, but not all of it
                connection = self.until_taken(connection, self.body(call, n))
                with self.lock:
                    if not connection:
                        self.failed += 1
                        return
                    self.out.write(json.dumps({"call": call, "n": n}) + "\n")

    def run(self) -> int:
        workers = [threading.Thread(target=self.work, args=(n,)) for n in range(WORKERS)]
        for w in workers:
            w.start()
        for w in workers:
            w.join()
        return 1 if self.failed else 0


async def receive(url: str, out) -> None:
    import nats
    import nats.errors
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def quiet(_error):
        pass

    nc = await nats.connect(url, max_reconnect_attempts=-1, reconnect_time_wait=0.1, error_cb=quiet)
    sub = None
    while not stop.is_set():
        try:
            sub = sub or await nc.jetstream().pull_subscribe("pat.webhook.v1.received.>", durable="outside", stream="WEBHOOK")
            for m in await sub.fetch(200, timeout=1):
                event = json.loads(m.data)
                out.write(json.dumps({"seq": m.metadata.sequence.stream, "id": event["id"], "call": event["data"]["call_id"],
                                      "webhook": event["data"]["webhook_id"]}) + "\n")
                out.flush()
                await m.ack()
        except nats.errors.TimeoutError:
            pass
        except Exception:  # the server is away, or just back: again
            sub = None
            await asyncio.sleep(0.1)
    await nc.close()


def main() -> int:
    if sys.argv[1] == "send":
        url, user, rate, seconds, path = sys.argv[2:]
        with open(path, "w", buffering=1) as out:
            return Sender(url, user, float(rate), float(seconds), out).run()
    with open(sys.argv[3], "w") as out:
        asyncio.run(receive(sys.argv[2], out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
