"""Everything said on NATS, collected as it comes.

    with Watch(nats.url) as w:
        w.wait_for("call.ended", call_id)
        w.counts(call_id)  # {"pat.call.v1.routed.<user>.<call>": 1, ...}
"""

import asyncio
import json
import threading
from collections import Counter

import nats
import nats.js.errors

from harness.sip_leg import wait


class Watch:
    def __init__(self, url: str, subject: str = "pat.>", on_event=None, **options):
        """options: for nats.connect."""
        self.url, self.subject, self.on_event, self.options = url, subject, on_event, options
        self.events: list[dict] = []  # the envelopes, with "_subject"
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="watch", daemon=True)

    def __enter__(self):
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self.loop).result(10)
        return self

    def __exit__(self, *_):
        asyncio.run_coroutine_threadsafe(self.connection.close(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)

    async def _open(self) -> None:
        async def quiet(_error):  # a server that goes away is part of some tests
            pass
        self.connection = await nats.connect(self.url, max_reconnect_attempts=-1, reconnect_time_wait=0.1, error_cb=quiet,
                                             **self.options)
        await self.connection.subscribe(self.subject, cb=self._take)
        await self.connection.flush()

    async def _take(self, m) -> None:
        if m.subject.startswith("pat.rpc."):
            return
        try:
            event = json.loads(m.data)
        except ValueError:
            event = {"_broken": m.data.decode(errors="replace")}
        event["_subject"] = m.subject
        self.events.append(event)
        if self.on_event:
            self.on_event(event)

    def of(self, kind: str, key: str | None = None) -> list[dict]:
        """kind: "call.ended"; key: the call's, config's ... id. Each event once, however often it was sent."""
        seen, out = set(), []
        for e in list(self.events):
            area, _, name = kind.partition(".")
            if e.get("type") != f"pat.{area}.v1.{name}" or (key and key not in (e.get("subject"), about(e))):
                continue
            if e["id"] not in seen:
                seen.add(e["id"])
                out.append(e)
        return out

    def repeated(self, call: str | None = None) -> list[str]:
        """Subjects of events that came more than once (to a plain subscriber: no stream has sorted them out)."""
        ids = Counter((e["id"], e["_subject"]) for e in list(self.events) if e.get("id") and call in (None, about(e)))
        return [subject for (_, subject), n in ids.items() if n > 1]

    def wait_for(self, kind: str, key: str | None = None, timeout_s: float = 20, n: int = 1) -> dict:
        wait(lambda: len(self.of(kind, key)) >= n, timeout_s, f"{kind} is told of {key}")
        return self.of(kind, key)[n - 1]

    def counts(self, call: str) -> dict[str, int]:
        """Subject -> how many different events about this call."""
        ids = {e["id"]: e["_subject"] for e in list(self.events) if e.get("id") and about(e) == call}
        return {s: list(ids.values()).count(s) for s in sorted(set(ids.values()))}


def about(event: dict) -> str | None:
    data = event.get("data")
    return data.get("call_id") if isinstance(data, dict) else None


def in_stream(url: str, stream: str, subject: str) -> dict | None:
    """The last event a JetStream stream keeps under this subject. What was published while a Watch was not yet
    connected again is missing from the Watch, not from here."""
    async def look():
        nc = await nats.connect(url)
        try:
            return json.loads((await nc.jetstream().get_last_msg(stream, subject)).data)
        except nats.js.errors.NotFoundError:
            return None
        finally:
            await nc.close()

    return asyncio.run(look())
