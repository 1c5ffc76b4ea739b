"""rtc_probe of the build, driven by lines: the tests' own native participant.

    with Probe.join(build, url, token) as p: p.wait("joined"); p.send("tone 440")
"""

import json
import queue
import subprocess
import threading
import time
from pathlib import Path

from harness.process import PATIENCE_S


class Probe:
    def __init__(self, build: Path, *argv: str):
        self.events: list[dict] = []
        self._new: queue.Queue = queue.Queue()
        self.errors: list[str] = []
        self.child = subprocess.Popen([build / "test/rtc_probe", *map(str, argv)], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=self._read_errors, daemon=True).start()

    @classmethod
    def join(cls, build: Path, url: str, token: str, timeout_ms: int = 10000) -> "Probe":
        return cls(build, "join", url, token, timeout_ms)

    def _read(self):
        for line in self.child.stdout:
            self._new.put(json.loads(line))

    def _read_errors(self):
        for line in self.child.stderr:
            self.errors.append(line)

    def send(self, line: str) -> None:
        self.child.stdin.write(line + "\n")
        self.child.stdin.flush()

    def wait(self, event: str, timeout_s: float = 10, since: int = 0, **fields) -> dict:
        """The first event from position `since` on with these fields."""
        timeout_s = max(timeout_s, PATIENCE_S)
        deadline = time.monotonic() + timeout_s
        at = since
        while True:
            while at < len(self.events):
                e = self.events[at]
                at += 1
                if e["event"] == event and all(e.get(k) == v for k, v in fields.items()):
                    return e
            try:
                self.events.append(self._new.get(timeout=max(0.0, deadline - time.monotonic())))
            except queue.Empty:
                log = "".join(self.errors[-40:])
                raise TimeoutError(f"no {event} {fields} within {timeout_s} s, got {self.events}\n{log}") from None

    def mark(self) -> int:
        """A position for `since`: everything that has come until now lies before it."""
        while not self._new.empty():
            self.events.append(self._new.get_nowait())
        return len(self.events)

    def stats(self) -> dict:
        at = self.mark()
        self.send("stats")
        return self.wait("stats", since=at)

    def end(self, timeout_s: float = 10) -> int:
        """Exit status: 0 says that its loop ended empty."""
        if self.child.poll() is None:
            try:
                self.send("quit")
            except BrokenPipeError:
                pass
        return self.child.wait(timeout_s)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            code = self.end()
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait(5)
            code = -9
        if kind is None:
            assert code == 0, f"rtc_probe ended with {code}:\n" + "".join(self.errors[-60:])
