"""Answers our daemons' RPC in the place of a daemon that a test has not started.

    with Responder(nats.url) as r:
        r.on("agent", "verify", lambda params: {"registered": True})
        r.asked("agent", "verify")  # the params of each request so far

What the function returns is the result; RpcError is the error reply.
"""

import asyncio
import json
import threading

import nats


class RpcError(Exception):
    def __init__(self, code: str, message: str = "", retryable: bool = False):
        super().__init__(code)
        self.reply = {"code": code, "message": message or code, "retryable": retryable}


class Responder:
    def __init__(self, url: str):
        self.url, self.requests = url, []
        self.answers: dict[str, object] = {}
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="responder", daemon=True)

    def __enter__(self) -> "Responder":
        self._thread.start()
        self._run(self._open())
        return self

    def __exit__(self, *_):
        self._run(self.connection.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)

    def _run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    async def _open(self) -> None:
        self.connection = await nats.connect(self.url)

    def on(self, service: str, method: str, answer) -> None:
        """answer(params) runs on a thread of its own, so it may take its time."""
        name = f"{service}.{method}"
        if name not in self.answers:
            self._run(self._subscribe(service, name))
        self.answers[name] = answer

    async def _subscribe(self, service: str, name: str) -> None:
        async def take(m):
            asyncio.get_running_loop().create_task(self._answer(name, m))
        await self.connection.subscribe(f"pat.rpc.v1.{name}", queue=service, cb=take)
        await self.connection.flush()

    async def _answer(self, name: str, m) -> None:
        params = json.loads(m.data or b"{}")
        self.requests.append((name, params))
        try:
            reply = {"result": await asyncio.to_thread(self.answers[name], params)}
        except RpcError as e:
            reply = {"error": e.reply}
        await self.connection.publish(m.reply, json.dumps(reply).encode())

    def asked(self, service: str, method: str) -> list[dict]:
        return [params for name, params in self.requests if name == f"{service}.{method}"]
