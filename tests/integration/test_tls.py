"""All of Patchbay where NATS and PostgreSQL demand TLS, and NATS our certificate too; and who is refused, with which words."""

import json
import os
import shutil
import signal
import ssl
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from harness.authority import Authority
from harness.nats import Nats
from harness.nkeys import nkey_pair
from harness.patdb import migrate
from harness.postgres import DAEMON, OWNER, Postgres
from harness.process import Process, free_port, http_status
from harness.sip_leg import wait
from harness.stack import LEO, RITA, Stack
from harness.watch import Watch

BUILD = Path(os.environ.get("PAT_BUILD_DIR", "build/dev"))
PASSWORD = "never-to-be-seen-in-a-log"


class TlsNats(Nats):
    @property
    def url(self) -> str:
        return f"tls://127.0.0.1:{self.port}"


def tls_nats(folder: Path, ca: Authority, *flags: object, names: str = "DNS:localhost,IP:127.0.0.1") -> TlsNats:
    server = ca.issue("nats", names)
    return TlsNats(folder, "--tls", "--tlscert", server.cert, "--tlskey", server.key, "--tlscacert", ca.cert, *flags)


def tls_postgres(folder: Path, ca: Authority) -> Postgres:
    """Takes nobody without TLS."""
    pg = Postgres()
    server = ca.issue("postgres")
    shutil.chown(server.key, pg.os_user().pw_name if os.geteuid() == 0 else None)
    server.key.chmod(0o600)
    hba = folder / "pg_hba.conf"
    hba.write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")
    hba.chmod(0o644)
    pg.settings |= {"ssl": "on", "ssl_cert_file": str(server.cert), "ssl_key_file": str(server.key), "hba_file": str(hba)}
    return pg


# ---------------------------------------------------------------------- everything, over TLS


class TlsStack(Stack):
    def _postgres(self) -> Postgres:
        self.ca = Authority(self.folder / "ca")
        return tls_postgres(self.folder, self.ca)

    def _nats(self) -> Nats:
        self.client = self.ca.issue("patchbay", client=True)
        return tls_nats(self.folder / "nats", self.ca, "--tlsverify", "--user", "patchbay", "--pass", PASSWORD)

    def common_env(self) -> dict[str, str]:
        return super().common_env() | {
            "PAT_DATABASE_URL": self.pg.url(DAEMON) + "?sslmode=verify-full", "PAT_DATABASE_CA_FILE": str(self.ca.cert),
            "PAT_NATS_URL": self.nats.url, "PAT_NATS_CA_FILE": str(self.ca.cert), "PAT_NATS_USER": "patchbay",
            "PAT_NATS_PASSWORD": PASSWORD, "PAT_NATS_CERT_FILE": str(self.client.cert),
            "PAT_NATS_KEY_FILE": str(self.client.key)}

    def watch(self) -> Watch:
        context = ssl.create_default_context(cafile=self.ca.cert)
        context.load_cert_chain(self.client.cert, self.client.key)
        return Watch(self.nats.url, tls=context, user="patchbay", password=PASSWORD)


@pytest.fixture(scope="module")
def stack():
    with TlsStack(BUILD) as s:
        yield s


def test_calls_go_over_encrypted_connections(stack):
    with stack.watch() as watch:
        sid = stack.place_call(RITA.number)
        stack.wait_story(sid, "ended")
        call = str(stack.wait_row(sid, "ended")["id"])
        watch.wait_for("call.ended", call)
        watch.wait_for("usage.recorded", call, n=2)
        wait(lambda: stack.row("select 1 from public.call_records where id = %s and call_successful", call), 20, "its record is whole")
        # The agent hears of LiveKit's call over NATS, before anybody has answered it.
        sid = stack.place_call(LEO.number)
        call = stack.dialled(sid)
        wait(lambda: stack.daemons["livekit-agent"].logged("call.prepared", call=call), 20, "the agent has prepared it")
        stack.hang_up(sid)
        watch.wait_for("call.ended", call, 30)
    with stack.pg.admin() as c:
        ours = c.execute("select distinct a.application_name, s.ssl from pg_stat_activity a join pg_stat_ssl s using (pid) "
                         "where a.application_name like 'patchbay-%'").fetchall()
    assert sorted(ours) == sorted((f"patchbay-{name}", True) for name in stack.daemons)
    with urllib.request.urlopen(f"http://127.0.0.1:{stack.nats.monitor}/connz", timeout=5) as r:
        ours = [c for c in json.load(r)["connections"] if c.get("name") in stack.daemons]
    assert len(ours) == len(stack.daemons) and all(c.get("tls_version") for c in ours)


def test_they_are_found_again_after_a_restart(stack):
    with stack.watch() as watch:
        stack.nats.stop()
        stack.pg.stop(keep=True)
        for d in stack.daemons.values():
            wait(lambda d=d: d.logged("db.down") and (d.name == "stack-switcher" or d.logged("bus.down")), 30, f"{d.name} misses them")
        stack.pg.start()
        stack.nats.start()
        for d in stack.daemons.values():
            wait(lambda d=d: all(c["up"] for c in checks(d.admin_url).values()), 40, f"{d.name} has them again")
        sid = stack.place_call(RITA.number)
        stack.wait_story(sid, "ended")
        watch.wait_for("call.ended", str(stack.wait_row(sid, "ended")["id"]), 40)


def test_no_secret_is_logged(stack):
    for d in stack.daemons.values():
        text = d.process.log.read_text()
        assert PASSWORD not in text and stack.pg.password not in text and "PRIVATE KEY" not in text


# ---------------------------------------------------------------------- who is refused


def checks(admin_url: str) -> dict:
    try:
        with urllib.request.urlopen(f"{admin_url}/readyz", timeout=5) as r:
            return json.load(r)["checks"]
    except urllib.error.HTTPError as e:
        return json.load(e)["checks"]


class Servers:
    """One NATS, one PostgreSQL, both with certificates of the right authority; and a wrong authority."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.chmod(0o755)
        self.ca, self.wrong = Authority(folder / "ca"), Authority(folder / "wrong", "Another CA")
        self.pg = tls_postgres(folder, self.ca)
        self.pg.start()
        self.pg.create_database("patchbay")
        migrate(self.pg.url(OWNER))

    def relay(self, nats_url: str, **settings: object) -> "Relay":
        env = {"PAT_DATABASE_URL": self.pg.url(DAEMON) + "?sslmode=verify-full", "PAT_DATABASE_CA_FILE": self.ca.cert,
               "PAT_NATS_URL": nats_url, "PAT_NATS_CA_FILE": self.ca.cert, "PAT_LIVEKIT_API_KEY": "k",
               "PAT_LIVEKIT_API_SECRET": "s", "PAT_RETELL_WEBHOOK_KEY": "r"} | settings
        return Relay(self.folder, {k: str(v) for k, v in env.items() if v is not None})


class Relay:
    def __init__(self, folder: Path, env: dict[str, str]):
        admin = free_port()
        self.admin_url = f"http://127.0.0.1:{admin}"
        self.process = Process("relay", [BUILD / "bin/patchbay-webhook-relay"], Path(tempfile.mkstemp(dir=folder, suffix=".log")[1]),
                               env | {"PAT_ADMIN_LISTEN": f"127.0.0.1:{admin}", "PAT_RELAY_LISTEN": "127.0.0.1:0"})

    def __enter__(self) -> "Relay":
        self.process.start()
        self.process.wait_until(lambda: http_status(f"{self.admin_url}/healthz") == 200, 30)
        return self

    def __exit__(self, *_) -> None:
        assert self.process.stop() == 0

    def logged(self, event: str) -> list[dict]:
        lines = [json.loads(x) for x in self.process.log.read_text().splitlines() if x.startswith("{")]
        return [x for x in lines if x["event"] == event]

    def detail(self, check: str, *words: str) -> str:
        """Of the check, once it says all these words."""
        def look():
            c = checks(self.admin_url)[check]
            return c.get("detail") if not c["up"] and all(w in c.get("detail", "") for w in words) else None
        return wait(look, 30, f"/readyz says of {check}: {words}")

    def is_up(self) -> None:
        wait(lambda: all(c["up"] for c in checks(self.admin_url).values()), 30, "it has both")


@pytest.fixture(scope="module")
def servers():
    folder = Path(tempfile.mkdtemp(prefix="patchbay-tls-"))
    s = Servers(folder)
    yield s
    s.pg.stop()
    shutil.rmtree(folder, ignore_errors=True)


def test_with_another_authority_it_does_not_talk_to_them(servers, tmp_path):
    with tls_nats(tmp_path, servers.ca) as nats:
        with servers.relay(nats.url, PAT_NATS_CA_FILE=servers.wrong.cert, PAT_DATABASE_CA_FILE=servers.wrong.cert) as relay:
            relay.detail("nats", "not connected", "unable to get local issuer certificate")
            relay.detail("postgres", "not connected", "certificate verify failed")
            told = wait(lambda: relay.logged("bus.connect"), 20, "the log says so")
            assert told[0]["level"] == "error" and "local issuer certificate" in told[0]["reason"]
            assert "certificate verify failed" in relay.logged("db.connect")[0]["reason"]
            assert len(relay.logged("bus.connect")) <= 2  # once per reason, however often it tries
        # One file for both is enough.
        with servers.relay(nats.url, PAT_NATS_CA_FILE=None, PAT_DATABASE_CA_FILE=None, PAT_CA_FILE=servers.ca.cert) as relay:
            relay.is_up()


def test_a_server_of_another_name_is_refused(servers, tmp_path):
    with tls_nats(tmp_path, servers.ca, names="DNS:nats.example") as nats:
        with servers.relay(nats.url) as relay:
            relay.detail("nats", "mismatch")


def test_without_our_certificate_nats_takes_nobody(servers, tmp_path):
    client = servers.ca.issue("client", client=True)
    with tls_nats(tmp_path, servers.ca, "--tlsverify") as nats:
        with servers.relay(nats.url) as relay:
            relay.detail("nats", "not connected", "certificate of ours")
            assert wait(lambda: relay.logged("bus.connect"), 20, "the log says so")
        with servers.relay(nats.url, PAT_NATS_CERT_FILE=client.cert, PAT_NATS_KEY_FILE=client.key) as relay:
            relay.is_up()


def test_who_wants_tls_does_not_talk_plainly(servers, tmp_path):
    """Also to a server that has none, or one that somebody stands in front of."""
    with Nats(tmp_path) as nats:
        with servers.relay(nats.url) as relay:
            relay.detail("nats", "Secure Connection not available")
    with servers.relay("tls://127.0.0.1:9") as relay:
        relay.detail("nats", "No server available")


def test_an_nkey_lets_us_in(servers, tmp_path):
    public, seed = nkey_pair()
    other, _ = nkey_pair()
    (tmp_path / "seed").write_text(seed + "\n")
    config = tmp_path / "nats.conf"
    config.write_text(f'authorization {{ users: [ {{ nkey: "{public}" }} ] }}\n')
    with tls_nats(tmp_path / "nats", servers.ca, "-c", config) as nats:
        with servers.relay(nats.url, PAT_NATS_NKEY=public, PAT_NATS_NKEY_SEED_FILE=tmp_path / "seed") as relay:
            relay.is_up()
        with servers.relay(nats.url, PAT_NATS_NKEY=other, PAT_NATS_NKEY_SEED_FILE=tmp_path / "seed") as relay:
            relay.detail("nats", "not connected: ")
            assert seed not in relay.process.log.read_text()


@pytest.mark.parametrize("half", ["PAT_NATS_CERT_FILE", "PAT_NATS_KEY_FILE", "PAT_NATS_NKEY", "PAT_NATS_NKEY_SEED_FILE"])
def test_half_a_pair_is_no_setting(servers, half):
    relay = servers.relay("nats://127.0.0.1:4222", **{half: "/x"})
    relay.process.argv.append("--check-config")
    relay.process.start()
    assert relay.process.wait(20) == 1
    assert "one needs the other" in relay.process.tail()


def test_a_file_that_is_not_there_ends_the_start(servers):
    relay = servers.relay("tls://127.0.0.1:4222", PAT_NATS_CA_FILE="/nowhere/ca.pem")
    relay.process.start()
    assert relay.process.wait(20) == 1
    told, = relay.logged("bus.options")
    assert "/nowhere/ca.pem" in told["reason"] or "No such file" in told["reason"]


def test_a_clean_stop_is_no_fault(servers, tmp_path):
    """Nothing is said to be down because we went."""
    with tls_nats(tmp_path, servers.ca) as nats, servers.relay(nats.url) as relay:
        relay.is_up()
        relay.process.send(signal.SIGTERM)
        assert relay.process.wait(20) == 0
        assert relay.logged("daemon.stopping")
        assert not [e for name in ("health.down", "bus.down", "db.down", "db.lost") for e in relay.logged(name)]
