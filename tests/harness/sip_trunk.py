"""The carrier's SIP side between a phone and LiveKit's SIP service: a proxy that adds a call's headers to its INVITE.

    trunk = SipTrunk(("127.0.0.1", 5060), {"X-Pat-Call": "..."}); trunk.address
    trunk.seen("INVITE"), trunk.seen("SIP/2.0 200")     # when which message passed

Everything else passes as it is, except for the Route that names the proxy itself: so does a carrier's.
"""

import re
import select
import socket
import threading
import time


class SipTrunk:
    def __init__(self, service: tuple[str, int], headers: dict[str, str] | None = None):
        self.service, self.headers = service, headers or {}
        self.inside, self.outside = (socket.socket(type=socket.SOCK_DGRAM) for _ in range(2))
        for s in (self.inside, self.outside):
            s.bind(("127.0.0.1", 0))
        self.phone: tuple[str, int] | None = None
        self.log: list[tuple[float, str, str]] = []  # time, who sent it, message
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sip-trunk", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return "127.0.0.1:%d" % self.inside.getsockname()[1]

    def close(self) -> None:
        self._over.set()
        self._thread.join(5)
        self.inside.close()
        self.outside.close()

    def seen(self, begins: str, sender: str | None = None) -> list[tuple[float, str]]:
        return [(at, text) for at, who, text in list(self.log) if text.startswith(begins) and sender in (None, who)]

    def _run(self) -> None:
        while not self._over.is_set():
            for s in select.select([self.inside, self.outside], [], [], 0.05)[0]:
                data, sender = s.recvfrom(65536)
                text = data.decode(errors="surrogateescape")
                if s is self.inside:
                    self.phone = sender
                    text, to = self._out(text)
                    self.outside.sendto(text.encode(errors="surrogateescape"), to)
                elif self.phone:
                    self.inside.sendto(data, self.phone)
                self.log.append((time.monotonic(), "phone" if s is self.inside else "service", text))

    def _out(self, text: str) -> tuple[str, tuple[str, int]]:
        """As it goes on, and where to: a request to the address it names."""
        head, empty, body = text.partition("\r\n\r\n")
        lines = [line for line in head.split("\r\n") if not (line.startswith("Route:") and self.address in line)]
        named = re.match(r"[A-Z]+ sip:(?:[^@ ]*@)?([0-9.]+):(\d+)", head)
        to = (named[1], int(named[2])) if named else self.service
        if to == self.service and head.startswith("INVITE ") and not re.search(r"(?im)^(to|t):.*;tag=", head):
            lines[1:1] = [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join(lines) + empty + body, to
