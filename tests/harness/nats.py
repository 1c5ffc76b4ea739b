"""A private nats-server with JetStream.

    with Nats(folder) as nats: connect(nats.url)

Stopped and started again it keeps its port and its store; pause() is SIGSTOP: connected, and silent.
"""

import signal
from pathlib import Path

from harness.process import Process, free_port, http_status


class Nats:
    def __init__(self, folder: Path, *flags: str):
        self.folder, self.flags = Path(folder), flags
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port, self.monitor = free_port(), free_port()
        self.process: Process | None = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> "Nats":
        first = self.process is None
        for attempt in range(5):
            try:
                return self._launch()
            except RuntimeError as e:  # somebody took a port between our asking and the server's
                if not first or attempt == 4 or "address already in use" not in str(e):
                    raise
                self.port, self.monitor = free_port(), free_port()

    def _launch(self) -> "Nats":
        self.process = Process("nats-server", ["nats-server", "-js", "-sd", self.folder / "jetstream", "-a", "127.0.0.1",
                                               "-p", self.port, "-m", self.monitor, *self.flags], self.folder / "nats.log").start()
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
