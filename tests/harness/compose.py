"""One call per stack through the containers of docker-compose.yml and its demo profile, judged as scripts/demo does.

    python -m harness.compose          # the stack is up; Docker is asked where the containers are

The carrier, the vendors and our daemons are containers; the phone behind LiveKit's SIP address is played here, beside
them: its INVITE comes from the carrier's container, and it joins the room at LiveKit's. Exit 0 only if both calls were
served, with their events and rows; the report is build/demo/compose.json.
"""

import json
import socket
import subprocess
import sys
from pathlib import Path

from harness import voice
from harness.demo import once
from harness.sip_leg import SipGate
from harness.stack import AGENT_NAME, RETELL_SIP_HOST, ROOT, Stack

SECRETS = ROOT / "deploy/secrets"
LIVEKIT_SIP_HOST = "livekit-sip.invalid"  # docker-compose.yml's own
CONTROL, FIRST = 9000, ("control", "signalwire", "retell", "deepgram", "openai", "elevenlabs")


def address(service: str) -> str:
    """Of the service's container on the suite's network."""
    name = f"patchbay-{service}-1"
    told = subprocess.run(["/usr/bin/docker", "inspect", name], capture_output=True, text=True, timeout=30, check=True)
    networks = json.loads(told.stdout)[0]["NetworkSettings"]["Networks"]
    return next(iter(networks.values()))["IPAddress"]


def our_address(peer: str) -> str:
    """As that container sees us."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect((peer, 9))
        return s.getsockname()[0]


def secret(name: str) -> str:
    return (SECRETS / name).read_text().strip()


class Server:
    """A container that is asked by address."""

    def __init__(self, url: str):
        self._url = url

    @property
    def url(self):
        return self._url


class Database:
    def __init__(self, host: str):
        self.host = host

    def url(self, *_) -> str:
        return f"postgres://postgres:{secret('postgres_password')}@{self.host}:5432/patchbay"


class Containers(Stack):
    """What the demo asks of a stack, of one that is up already."""

    def __init__(self):
        super().__init__(Path("none"), folder=ROOT / "build/demo/compose")
        doubles = address("doubles")
        self.base = f"http://{doubles}"
        self.ports = {name: CONTROL + i for i, name in enumerate(FIRST)}
        self.pg = Database(address("postgres"))
        self.nats = Server(f"nats://patchbay:{secret('nats_password')}@{address('nats')}:4222")
        livekit = f"ws://{address('livekit')}:7880"
        self.gate = SipGate(livekit, "patchbay", secret("livekit_api_secret"), AGENT_NAME, our_address(doubles))

    def __enter__(self) -> "Containers":
        self.gate.__enter__()
        self.control("signalwire", sip_hosts={RETELL_SIP_HOST: "http://127.0.0.1:9002", LIVEKIT_SIP_HOST: self.gate.base})
        return self

    def __exit__(self, *_) -> None:
        self.gate.__exit__(None, None, None)

    def double(self, vendor: str) -> str:
        return f"{self.base}:{self.ports[vendor]}"


def main() -> int:
    with Containers() as stack:
        return once(stack, voice.any_sentence(), ROOT / "build/demo/compose.json")


if __name__ == "__main__":
    sys.exit(main())
