<<<<<<< HEAD
"""A private nats-server with JetStream.

    with Nats(folder) as nats: connect(nats.url)

Stopped and started again it keeps its port and its store; pause() is SIGSTOP: connected, and silent.
"""

import signal
from pathlib import Path

from harness.process import Process, free_port, http_status


class Nats:
    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port, self.monitor = free_port(), free_port()
        self.process: Process | None = None

    def __enter__(self):
        return self.start()
=======
"""A private nats-server with JetStream for tests and the demo.

    with Nats() as nats:
        subprocess.run([daemon], env={"PAT_NATS_URL": nats.url})

A free port on loopback, its store in a folder below the temporary folder, stopped by pid. It can be stopped and started
on the same port with what it has stored, and frozen (SIGSTOP) as a server under a stuck disk or hypervisor is.
"""

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from harness.postgres import free_port


class Nats:
    def __init__(self, *args: str, user: str = "", password: str = ""):
        """args: more options of nats-server."""
        self.args = [*args, *(["--user", user, "--pass", password] if user else [])]
        self.port = 0
        self.folder: Path | None = None
        self.process: subprocess.Popen | None = None

    def __enter__(self):
        self.start()
        return self
>>>>>>> bac5ebd (bus: wait longer for a frozen server, and test it all against real ones)

    def __exit__(self, *_):
        self.stop()

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

<<<<<<< HEAD
    def start(self) -> "Nats":
        self.process = Process("nats-server", ["nats-server", "-js", "-sd", self.folder / "jetstream", "-a", "127.0.0.1",
                                               "-p", self.port, "-m", self.monitor], self.folder / "nats.log").start()
        self.process.wait_until(lambda: http_status(f"http://127.0.0.1:{self.monitor}/healthz") == 200, 20)
        return self

    def stop(self) -> None:
        if self.process:
            self.process.stop()

    def kill(self) -> None:
        self.process.kill()

    def pause(self) -> None:
        self.process.send(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send(signal.SIGCONT)
=======
    def reserve(self) -> str:
        """The URL it will have, before it has started: for who must come first."""
        self.port = self.port or free_port()
        return self.url

    def start(self, timeout_s: float = 20) -> None:
        """After stop(keep=True): the same port and the same store."""
        program = shutil.which("nats-server")
        if not program:
            raise RuntimeError("nats-server is not installed: run scripts/setup")
        if not self.folder:
            self.folder = Path(tempfile.mkdtemp(prefix="patchbay-nats-"))
            atexit.register(self.stop)
        self.reserve()
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [program, "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self.folder / "store"), *self.args],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True)
        deadline = time.monotonic() + timeout_s
        while not self._answers():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError("nats-server did not start:\n" + self.log())
            time.sleep(0.01)

    def stop(self, keep: bool = False, timeout_s: float = 10) -> None:
        """keep: the store stays, for another start."""
        p, self.process = self.process, None
        if p and p.poll() is None:
            p.send_signal(signal.SIGCONT)
            p.send_signal(signal.SIGTERM)
            try:
                p.wait(timeout_s)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        if not keep and self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None

    def kill(self) -> None:
        """As a crash: SIGKILL, the store stays."""
        p, self.process = self.process, None
        if p and p.poll() is None:
            p.kill()
            p.wait()

    def restart(self) -> None:
        self.stop(keep=True)
        self.start()

    def sigstop(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)

    def sigcont(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def log(self) -> str:
        path = self.folder / "log" if self.folder else None
        return path.read_text(errors="replace") if path and path.exists() else ""

    def _answers(self) -> bool:
        """The server speaks first: INFO {...}."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as s:
                return s.recv(5) == b"INFO "
        except OSError:
            return False
>>>>>>> bac5ebd (bus: wait longer for a frozen server, and test it all against real ones)
