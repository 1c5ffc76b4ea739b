"""What every daemon does alike: settings, ports, health, and how it ends."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from harness.nats import Nats
from harness.postgres import OWNER, Postgres
from harness.process import http_status

BUILD = Path(os.environ.get("PAT_BUILD_DIR", Path(__file__).resolve().parents[2] / "build/dev"))
PROGRAM = BUILD / "test" / "daemon_it"
NOWHERE = {"PAT_DATABASE_URL": "postgres://ada:hidden-pw@127.0.0.1:1/x", "PAT_NATS_URL": "nats://127.0.0.1:1"}


def clean_env(**env: str) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("PAT_")} | env


def once(*args: str, **env: str) -> subprocess.CompletedProcess:
    return subprocess.run([PROGRAM, *args], env=clean_env(**env), capture_output=True, text=True, timeout=30)


class Running:
    """daemon_it with its log read as JSON."""

    def __init__(self, folder: Path, **env: str):
        self.ports_file = folder / "ports.json"
        self.log_path = folder / "log"
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen([PROGRAM], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=clean_env(**NOWHERE | {"PAT_PORT_FILE": str(self.ports_file)} | env))
        self.wait(lambda: self.ports_file.exists() or self.process.poll() is not None)
        assert self.process.poll() is None, self.log_path.read_text()
        self.ports = json.loads(self.ports_file.read_text())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def log(self) -> list[dict]:
        return [json.loads(line) for line in self.log_path.read_text().splitlines() if line.startswith("{")]

    def has(self, event: str, **fields) -> bool:
        return any(line.get("event") == event and fields.items() <= line.items() for line in self.log())

    def wait(self, condition, timeout_s: float = 20):
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, self.log_path.read_text()
            time.sleep(0.02)

    def get(self, port: str, path: str):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[port]}{path}", timeout=5) as r:
                return r.status, r.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()

    def send(self, number: int):
        self.process.send_signal(number)


def test_help_lists_every_setting_in_order():
    done = once("--help")
    assert done.returncode == 0
    names = [line.split("=")[0].strip() for line in done.stdout.splitlines() if line.startswith("  PAT_")]
    assert names == sorted(names)
    assert {"PAT_ADMIN_LISTEN", "PAT_DATABASE_URL", "PAT_NATS_URL", "PAT_IT_GREETING", "PAT_DRAIN_MS"} <= set(names)
    assert "shows that the skeleton stands" in done.stdout


def test_version_and_unknown_arguments():
    done = once("--version")
    assert done.returncode == 0 and done.stdout.startswith("patchbay-it 0.")
    assert once("--nonsense").returncode == 2


def test_check_config_says_all_that_is_wrong():
    assert once("--check-config", **NOWHERE).returncode == 0
    done = once("--check-config", PAT_DRAIN_MS="soon", PAT_IT_DRAIN_FOR="x")
    assert done.returncode == 1
    assert all(name in done.stderr for name in ("PAT_DRAIN_MS", "PAT_IT_DRAIN_FOR", "PAT_DATABASE_URL"))
    done = once("--check-config", PAT_IT_GREETING="x" * 21, **NOWHERE)
    assert done.returncode == 1 and "must be short" in done.stderr
    done = once("--check-config", **NOWHERE | {"PAT_NATS_URL": "nats://ada:hidden-pw@127.0.0.1:1"})
    assert done.returncode == 1 and "PAT_NATS_USER" in done.stderr and "hidden" not in done.stderr


def test_runs_without_servers_and_says_so(tmp_path):
    with Running(tmp_path, PAT_IT_SECRET="hidden-secret", PAT_TYPO="x") as d:
        assert d.get("http", "/hello") == (200, "hello")
        assert d.get("admin", "/healthz")[0] == 200
        status, body = d.get("admin", "/readyz")
        checks = json.loads(body)["checks"]
        assert status == 200 and checks["nats"]["up"] is False and checks["postgres"]["up"] is False
        assert "pat_loop_lag_seconds" in d.get("admin", "/metrics")[1]
        assert json.loads(d.get("admin", "/version")[1])["service"] == "it"
        assert d.has("daemon.ready", admin_port=d.ports["admin"], http_port=d.ports["http"])
        assert "PAT_TYPO" in json.dumps([line for line in d.log() if line["event"] == "config.unknown"])
        assert "hidden" not in d.log_path.read_text()
        d.send(signal.SIGTERM)
        assert d.process.wait(15) == 0, d.log_path.read_text()


def test_knows_when_servers_come_and_go(tmp_path):
    with Postgres() as pg, Nats(tmp_path / "nats") as nats:
        pg.create_database("patchbay")
        with Running(tmp_path, PAT_DATABASE_URL=pg.url(OWNER), PAT_NATS_URL=nats.url) as d:
            d.wait(lambda: d.has("it.bus", up=True) and d.has("it.db", up=True))
            assert all(c["up"] for c in json.loads(d.get("admin", "/readyz")[1])["checks"].values())
            nats.stop()
            d.wait(lambda: d.has("it.bus", up=False))
            pg.stop(keep=True)
            d.wait(lambda: d.has("it.db", up=False))
            pg.start()
            nats.start()
            d.wait(lambda: all(c["up"] for c in json.loads(d.get("admin", "/readyz")[1])["checks"].values()))
            assert d.get("http", "/hello")[0] == 200
            d.send(signal.SIGINT)
            assert d.process.wait(15) == 0, d.log_path.read_text()


def test_drains_before_it_ends(tmp_path):
    with Running(tmp_path, PAT_IT_DRAIN_FOR="800") as d:
        d.send(signal.SIGTERM)
        d.wait(lambda: d.has("daemon.signal"))
        assert d.get("admin", "/readyz")[0] == 503
        assert d.get("http", "/hello")[0] == 200
        assert d.process.wait(15) == 0, d.log_path.read_text()


def test_ends_although_draining_never_does(tmp_path):
    with Running(tmp_path, PAT_IT_DRAIN_FOR="-1", PAT_DRAIN_MS="300") as d:
        d.send(signal.SIGTERM)
        assert d.process.wait(15) == 0, d.log_path.read_text()
        assert d.has("daemon.drain")


def test_a_second_signal_ends_it_at_once(tmp_path):
    with Running(tmp_path, PAT_IT_DRAIN_FOR="-1", PAT_DRAIN_MS="60s") as d:
        d.send(signal.SIGTERM)
        d.wait(lambda: d.has("daemon.signal"))
        d.send(signal.SIGTERM)
        assert d.process.wait(5) == 1


def test_tells_systemd(tmp_path):
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(str(path))
        s.settimeout(20)
        with Running(tmp_path, NOTIFY_SOCKET=str(path)) as d:
            assert s.recv(100) == b"READY=1"
            d.send(signal.SIGTERM)
            assert s.recv(100) == b"STOPPING=1"
            assert d.process.wait(15) == 0


def test_a_port_in_use_ends_it_with_a_reason(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as s:
        done = once(PAT_ADMIN_LISTEN=f"127.0.0.1:{s.getsockname()[1]}", **NOWHERE)
    assert done.returncode == 1 and "daemon.start" in done.stderr


@pytest.mark.parametrize("path", ["/nope", "/healthz/x"])
def test_admin_serves_nothing_else(tmp_path, path):
    with Running(tmp_path) as d:
        assert http_status(f"http://127.0.0.1:{d.ports['admin']}{path}") == 404
