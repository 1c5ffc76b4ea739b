"""A private livekit-server, media and signalling on loopback.

    with LiveKit(folder, webhook_url="http://127.0.0.1:8082/v1/hooks/livekit") as lk: connect(lk.url, lk.key, lk.secret)
"""

import json
import secrets
from pathlib import Path

from harness.process import Process, free_port, http_status


class LiveKit:
    def __init__(self, folder: Path, webhook_url: str | None = None, redis: str | None = None):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port, self.tcp_port, self.udp_port = free_port(), free_port(), free_port()
        self.key, self.secret = "devkey", secrets.token_hex(24)
        self.webhook_url, self.redis = webhook_url, redis
        self.process: Process | None = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def config(self) -> dict:
        conf = {"port": self.port, "bind_addresses": ["127.0.0.1"], "keys": {self.key: self.secret},
                "logging": {"level": "info", "json": True},
                "rtc": {"tcp_port": self.tcp_port, "udp_port": self.udp_port, "use_external_ip": False,
                        "node_ip": "127.0.0.1", "enable_loopback_candidate": True, "interfaces": {"includes": ["lo"]}}}
        if self.webhook_url:
            conf["webhook"] = {"api_key": self.key, "urls": [self.webhook_url]}
        if self.redis:
            conf["redis"] = {"address": self.redis}
        return conf

    def start(self) -> "LiveKit":
        # JSON is YAML.
        path = self.folder / "livekit.yaml"
        path.write_text(json.dumps(self.config()))
        self.process = Process("livekit-server", ["livekit-server", "--config", path],
                               self.folder / "livekit.log").start()
        self.process.wait_until(lambda: http_status(self.http_url) == 200, 20)
        return self

    def stop(self) -> None:
        if self.process:
            self.process.stop()
