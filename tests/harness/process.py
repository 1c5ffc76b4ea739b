"""A server of a test: started on loopback, its output kept, waited for, and ended by its pid.

    p = Process("nats-server", [...], log=folder / "nats.log")
    p.wait_until(lambda: port_answers(port), 10)
    p.stop()
"""

import atexit
import os
import random
import signal as signals
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

PATIENCE_S = 45  # no wait ends sooner: how long a thing takes is for a benchmark to say, and a test's machine may be busy

_given: set[int] = set()


def free_port() -> int:
    """Free for TCP and UDP, and below the range that outgoing connections take theirs from: a port out of that range
    may be gone again before the server that is told of it has started."""
    while True:
        port = random.randint(10240, 32000)
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            try:
                tcp.bind(("0.0.0.0", port))
                udp.bind(("0.0.0.0", port))
            except OSError:
                continue
        if port not in _given:
            _given.add(port)
            return port


def http_status(url: str, timeout_s: float = 2) -> int:
    """0: nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as r:
            return r.status
    except urllib.error.HTTPError as e:
        return e.code
    except OSError:
        return 0


class Process:
    def __init__(self, name: str, argv: list, log: Path, env: dict[str, str] | None = None):
        self.name, self.argv, self.log, self.env = name, [str(a) for a in argv], Path(log), env or {}
        self.child: subprocess.Popen | None = None
        atexit.register(self.stop)

    def start(self) -> "Process":
        # Its settings are those it was given: the tools' own PAT_ variables are not for our daemons.
        outside = {k: v for k, v in os.environ.items() if not k.startswith("PAT_")}
        with self.log.open("ab") as out:
            # A group of its own: Ctrl-C at the terminal reaches us, and we end it in order.
            self.child = subprocess.Popen(self.argv, env=outside | self.env, stdin=subprocess.DEVNULL, stdout=out,
                                          stderr=out, start_new_session=True)
        return self

    @property
    def pid(self) -> int:
        return self.child.pid

    def alive(self) -> bool:
        return self.child is not None and self.child.poll() is None

    def wait_until(self, condition, timeout_s: float, what: str = "ready") -> None:
        timeout_s = max(timeout_s, PATIENCE_S)
        deadline = time.monotonic() + timeout_s
        while not condition():
            if not self.alive():
                raise RuntimeError(f"{self.name} ended with {self.child.poll()} before it was {what}:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} was not {what} within {timeout_s} s:\n{self.tail()}")
            time.sleep(0.02)

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, timeout_s: float) -> int:
        return self.child.wait(timeout_s)

    def stop(self, timeout_s: float = 20, number: int = signals.SIGTERM) -> int | None:
        """Asks, waits, then kills. Returns the exit status; None when it never ran."""
        if self.child is None:
            return None
        if self.child.poll() is None:
            self.child.send_signal(number)
            self.child.send_signal(signals.SIGCONT)
            try:
                self.child.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait(5)
        return self.child.returncode

    def kill(self) -> None:
        self.child.kill()
        self.child.wait(5)

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""
