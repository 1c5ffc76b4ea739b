"""What tests of webhooks to customers share: the relay with its API, endpoints, events, and the libraries that verify.

    e = Endpoint(watch, sink.url("/a"), events=["call.*"])
    tell(watch, an_event(e.user))
    verified(sink.of("/a")[0], e.keys["v1"])
"""

import asyncio
import json
import time
import uuid
from datetime import datetime, timezone

import standardwebhooks
import svix.webhooks

from harness.stack import Stack

SETTINGS = {"PAT_RELAY_OUT_SCHEDULE": "200ms,300ms,400ms", "PAT_RELAY_OUT_LEASE": "1s",
            "PAT_RELAY_OUT_PRIVATE_NETS": "true", "PAT_RELAY_OUT_PAYLOAD_MAX": "4000", "PAT_RETELL_WEBHOOK_KEY": "key"}


class Relay(Stack):
    """The relay, its database and NATS; the API in front of it."""

    def _start_doubles(self) -> None:
        pass

    def _script_doubles(self) -> None:
        pass

    def _seed(self) -> None:
        pass

    def _start_daemons(self, relay_port: int) -> None:
        self._daemon("webhook-relay", "PAT_RELAY_LISTEN", self._livekit_env() | SETTINGS).start()
        self._daemon("stack-switcher", "PAT_SWITCHER_LISTEN", {"PAT_SUPABASE_JWT_SECRET": self.jwt_secret}).start()

    @property
    def relay(self):
        return self.daemons["webhook-relay"]

    def metric(self, name: str) -> float:
        return next((float(line.rpartition(" ")[2]) for line in self.relay.metrics().splitlines()
                     if line.startswith(name + " ")), 0.0)


def on_nats(watch, work):
    return asyncio.run_coroutine_threadsafe(work, watch.loop).result(60)


def ask(watch, method: str, **params) -> dict:
    async def asked():
        answer = await watch.connection.request(f"pat.rpc.v1.relay.{method}", json.dumps(params).encode(), timeout=20)
        return json.loads(answer.data)
    return on_nats(watch, asked())


def rpc(watch, method: str, **params) -> dict:
    answer = ask(watch, method, **params)
    assert "result" in answer, answer
    return answer["result"]


def refused(watch, method: str, **params) -> tuple[str, str | None]:
    error = ask(watch, method, **params)["error"]
    return error["code"], error.get("field")


def a_user() -> str:
    return str(uuid.uuid4())


class Endpoint:
    def __init__(self, watch, url: str, user: str | None = None, **settings):
        self.watch, self.user = watch, user or a_user()
        made = rpc(watch, "endpoint_create", user_id=self.user, url=url, **settings)
        self.id, self.made = made["endpoint"]["id"], made
        self.keys = {s["scheme"]: s.get("secret") or s.get("public_key") for s in made["secrets"]}

    def now(self) -> dict:
        return rpc(self.watch, "endpoint_list", user_id=self.user, endpoint_id=self.id)["endpoints"][0]

    def deliveries(self, **only) -> list[dict]:
        return rpc(self.watch, "deliveries", user_id=self.user, endpoint_id=self.id, limit=200, **only)["deliveries"]

    def delivery(self, event: str) -> dict | None:
        found = [d for d in self.deliveries() if d["event_id"] == event]
        return rpc(self.watch, "delivery", user_id=self.user, delivery_id=found[0]["id"]) if found else None

    def update(self, **changes) -> dict:
        return rpc(self.watch, "endpoint_update", user_id=self.user, endpoint_id=self.id, **changes)


_last_ms = 0


def an_event(user: str, kind: str = "call.ended", key: str | None = None, **data) -> dict:
    """Each a millisecond after the one before, so that their order is known."""
    global _last_ms
    _last_ms = max(_last_ms + 1, int(time.time() * 1000))
    area, _, name = kind.partition(".")
    key = key or str(uuid.uuid4())
    at = datetime.fromtimestamp(_last_ms / 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.") + f"{_last_ms % 1000:03d}Z"
    return {"specversion": "1.0", "id": str(uuid.uuid4()), "source": "/patchbay/test", "type": f"pat.{area}.v1.{name}",
            "subject": key, "time": at, "datacontenttype": "application/json", "userid": user,
            "data": {"call_id": key, "user_id": user} | data}


def tell(watch, *told: dict, ids: list[str] | None = None) -> list[str]:
    """Into the streams, in this order; the events' ids."""
    async def publish():
        js = watch.connection.jetstream()
        for i, e in enumerate(told):
            subject = f"{e['type']}.{e['userid']}.{e['subject']}"
            await js.publish(subject, json.dumps(e).encode(), headers={"Nats-Msg-Id": ids[i] if ids else e["id"]})
    on_nats(watch, publish())
    return [e["id"] for e in told]


def verified(request, secret: str) -> dict:
    """By both libraries, as they are."""
    svix.webhooks.Webhook(secret).verify(request.body, request.headers)
    return standardwebhooks.Webhook(secret).verify(request.body, request.headers)


def good(request, secret: str) -> bool:
    try:
        verified(request, secret)
        return True
    except standardwebhooks.webhooks.WebhookVerificationError:
        return False
