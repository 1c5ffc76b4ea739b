"""Several agents, each with a way of its own to NATS that can be cut, and calls that outlive one of them.

    with Team(build_dir) as s:
        call = new_call()
        ...
        first = s.serving(call)      # the daemon whose name is in the call's mark
        first.kill()
        s.wait_taken(call, first)
"""

import asyncio
import json
import signal

import nats
import nats.js.errors

from harness.rough import RoughStack
from harness.sip_leg import wait
from harness.stack import Daemon
from harness.tcp_gate import TcpGate


class Serving:
    """Of a stack with more than one agent: who serves which call."""

    def stop(self) -> None:
        """Who was killed has not written its logs of turns to the end."""
        for log in self.turns.glob("*.jsonl"):
            whole = log.read_bytes().rpartition(b"\n")[0]
            if whole:
                log.write_bytes(whole + b"\n")
            else:
                log.unlink()
        super().stop()

    @property
    def agents(self) -> list[Daemon]:
        return [d for d in self.daemons.values() if d.program == "livekit-agent"]

    def agent_id(self, agent: Daemon) -> str | None:
        told = agent.logged("agent.id")
        return told[-1]["agent"] if told else None

    def mark(self, call: str) -> dict | None:
        async def look():
            nc = await nats.connect(self.nats.url)
            try:
                kv = await nc.jetstream().key_value("pat_calls")
                return json.loads((await kv.get(f"{call}.served")).value)
            except (nats.js.errors.NotFoundError, nats.js.errors.KeyNotFoundError):
                return None
            finally:
                await nc.close()
        return asyncio.run(look())

    def serving(self, call: str, timeout_s: float = 30) -> Daemon:
        def who():
            mark = self.mark(call)
            return mark and mark["epoch"] > 0 and next((a for a in self.agents if self.agent_id(a) == mark["agent"]), None)
        return wait(who, timeout_s, "an agent's name is in the call's mark")

    def resumed(self, call: str, epoch: int, timeout_s: float = 30) -> dict:
        """What the agent of this epoch, or of a later one, logged when it went on with the call."""
        def told():
            return next((e for a in self.agents for e in a.logged("call.resumed", call=call) if e["epoch"] >= epoch), None)
        return wait(told, timeout_s, f"epoch {epoch} of the call goes on")

    def all_idle(self) -> bool:
        return all("\npat_agent_calls 0" in a.metrics() for a in self.agents if a.process.alive())


class Team(Serving, RoughStack):
    def __init__(self, build_dir, agents: int = 2, **agent_env: str):
        self.n_agents = agents
        self.gates: dict[str, TcpGate] = {}
        super().__init__(build_dir, **agent_env)

    def _start_daemons(self, relay_port: int) -> None:
        super()._start_daemons(relay_port)
        for i in range(1, self.n_agents):
            name = f"livekit-agent-{i + 1}"
            env = {k: v for k, v in self.agent.env.items() if k not in ("PAT_ADMIN_LISTEN", "PAT_NATS_URL")}
            self.daemons[name] = self._push(Daemon(self, "livekit-agent", env | self._through_gate(name), replica=name)).start()

    def _daemon(self, name, listen, env):
        if name == "livekit-agent":
            env = env | self._through_gate(name)
        return super()._daemon(name, listen, env)

    def _through_gate(self, name: str) -> dict[str, str]:
        gate = self.gates[name] = TcpGate(self.nats.port)
        self.between.run(gate.start())
        return {"PAT_NATS_URL": f"nats://127.0.0.1:{gate.port}"}

    def cut_off(self, agent: Daemon) -> None:
        """From NATS, and from nothing else."""
        gate = self.gates[agent.name]
        gate.refuse = True
        self.between.loop.call_soon_threadsafe(gate.cut)

    def reach_again(self, agent: Daemon) -> None:
        self.gates[agent.name].refuse = False

    # ------------------------------------------------------------------ between tests

    def settle(self) -> None:
        """Every agent runs, is reachable, and knows of the others."""
        for gate in self.gates.values():
            gate.refuse = False
        for a in self.agents:
            if not a.process.alive():
                a.start()
            a.process.send(signal.SIGCONT)
        for a in self.agents:
            wait(lambda a=a: self.steady(a), 30, f"{a.name} holds its lease")

    @staticmethod
    def steady(agent: Daemon) -> bool:
        lease = [e["event"] for e in agent.logs() if e.get("event") in ("agent.id", "agent.lease_held", "agent.lease_unsure")]
        return bool(lease) and lease[-1] == "agent.lease_held"
