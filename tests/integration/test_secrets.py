"""Secrets stay where they were put: not in a log, an answer, a metric, an event, nor a file a daemon leaves behind.

And the command line every daemon has: --help, --version, --check-config.
"""

import json
import os
import re
import secrets
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.carrier import Carrier
from harness.nats import Nats
from harness.process import free_port, http_status
from harness.sip_leg import wait
from harness.stack import LEO, RITA, Daemon, Stack
from harness.watch import Watch

BUILD = Path(os.environ.get("PAT_BUILD_DIR", "build/dev"))
PROMTOOL = Path(os.environ.get("PAT_CACHE", Path.home() / ".cache/patchbay")) / "deploy-tools/promtool"
DAEMONS = ["livekit-agent", "retell-provider", "router", "stack-switcher", "webhook-relay"]


def unlike(prefix: str) -> str:
    """A value that is found nowhere by chance."""
    return f"{prefix}{secrets.token_hex(16)}"


class WatchedStack(Stack):
    """Every daemon talkative, every secret unlike anything else."""

    def __init__(self):
        self.agent_keys = {"PAT_DEEPGRAM_API_KEY": unlike("dg"), "PAT_OPENAI_API_KEY": unlike("sk-"),
                           "PAT_ELEVENLABS_API_KEY": unlike("xi")}
        self.sip_password = unlike("sip")
        self.jwt_secret = unlike("supabase-jwt-")
        super().__init__(BUILD, daemons={"livekit-agent": self.agent_keys,
                                         "router": {"PAT_LIVEKIT_SIP_USERNAME": "trunk", "PAT_LIVEKIT_SIP_PASSWORD": self.sip_password}})

    def common_env(self) -> dict[str, str]:
        return super().common_env() | {"PAT_LOG_LEVEL": "debug"}

    def secrets(self) -> dict[str, str]:
        return {"signing key": self.signing_key, "call secret": self.call_secret, "Retell's key": self.retell_key,
                "inside token": self.inside_token, "carrier token": self.carrier_token,
                "Supabase's secret": self.jwt_secret, "LiveKit's secret": self.livekit.secret,
                "database password": self.pg.password, "SIP password": self.sip_password} | self.agent_keys


@pytest.fixture(scope="module")
def stack():
    with WatchedStack() as s:
        yield s


@pytest.fixture(scope="module")
def watch(stack):
    with Watch(stack.nats.url, ">") as w:
        yield w


@pytest.fixture(scope="module")
def whole_run(stack, watch):
    """A call on each stack, refusals at every edge, and each server away for a while."""
    leg_sid = stack.place_call(LEO.number)
    leg = stack.leg(leg_sid)
    leg.wait_active(20)
    watch.wait_for("call.answered", leg.call)
    stack.hang_up(leg_sid)
    sid = stack.place_call(RITA.number)
    for s in (leg_sid, sid):
        stack.wait_story(s, "ended")
        stack.wait_row(s, "ended")
    stack.control("retell", fail={"status": 401, "times": 1, "message": "bad key"})
    Carrier(stack.daemons["router"].url, stack.signing_key).voice(RITA.number)
    stack.control("deepgram", fail=None)
    stack.nats.stop()
    stack.pg.stop(keep=True)
    for d in stack.daemons.values():
        wait(lambda d=d: d.logged("db.down") and (d.name == "stack-switcher" or d.logged("bus.down")), 20, f"{d.name} misses them")
    stack.pg.start()
    stack.nats.start()
    for d in stack.daemons.values():
        wait(lambda d=d: http_status(f"{d.admin_url}/readyz") == 200, 30, f"{d.name} is well again")
    return refusals(stack)


def ask(url: str, body: bytes | None = None, **headers: str) -> str:
    """All of the answer, good or bad."""
    request = urllib.request.Request(url, body, {k.replace("_", "-"): v for k, v in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=10) as r:
            return f"{r.status} {r.headers} {r.read().decode(errors='replace')}"
    except urllib.error.HTTPError as e:
        return f"{e.code} {e.headers} {e.read().decode(errors='replace')}"


def refusals(stack) -> list[str]:
    router, relay = stack.daemons["router"].url, stack.daemons["webhook-relay"].url
    provider, switcher = stack.daemons["retell-provider"].url, stack.daemons["stack-switcher"].url
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    return [ask(f"{router}/v1/signalwire/voice", b"To=1", X_SignalWire_Signature="AAAA", **form),
            ask(f"{router}/v1/signalwire/dial/x?t=y", b"To=1", X_SignalWire_Signature="AAAA", **form),
            ask(f"{router}/v1/signalwire/voice", b"{", Content_Type="application/json"),
            ask(f"{relay}/v1/hooks/retell", b"{}", X_Retell_Signature="v=1,d=00"),
            ask(f"{relay}/v1/hooks/livekit", b"{}", Authorization="a.b.c"),
            ask(f"{provider}/v1/inside/register-call", b"{}", Authorization="Bearer wrong"),
            ask(f"{provider}/v1/inside/register-call", b"{", Authorization=f"Bearer {stack.inside_token}"),
            ask(f"{switcher}/v1/me/stack", Authorization="Bearer a.b.c"), ask(f"{switcher}/v1/calls"),
            ask(f"{switcher}/openapi.json")]


def test_refusals_say_no_secret(stack, whole_run):
    assert [int(r[:3]) for r in whole_run] == [403, 403, 400, 401, 401, 401, 400, 401, 401, 200]
    for name, value in stack.secrets().items():
        assert value not in "\n".join(whole_run), name


@pytest.mark.parametrize("daemon", DAEMONS)
def test_logs_and_admin_ports_say_no_secret(stack, whole_run, daemon):
    d = stack.daemons[daemon]
    log = d.process.log.read_text()
    assert d.logged("config") and '"PAT_LOG_LEVEL":"debug"' in log and len(log.splitlines()) > 10
    said = log + "".join(ask(d.admin_url + path) for path in ("/metrics", "/version", "/healthz", "/readyz", "/config", "/"))
    for name, value in stack.secrets().items():
        assert value not in said, f"{name} is said by {daemon}"
    for token in re.findall(r"eyJ[\w-]{10,}\.[\w-]+\.[\w-]+", said):
        pytest.fail(f"{daemon} says a token: {token[:20]}...")


def test_events_and_rows_hold_no_secret(stack, watch, whole_run):
    """What is for others to read. Nothing there is more than ids, text and figures."""
    said = json.dumps(watch.events)
    assert "pat.call.v1.ended" in said
    for table in ("calls", "call_events", "outbox", "webhook_inbox", "config_versions"):
        said += str(stack.sql(f"select t::text from patchbay.{table} t"))
    for name, value in stack.secrets().items():
        assert value not in said, name


def test_files_left_behind_hold_no_secret(stack, whole_run):
    files = [p for p in stack.folder.iterdir() if p.is_file() and ("spool" in p.name or "snapshot" in p.name)]
    assert files
    for path in files:
        text = path.read_text(errors="replace")
        assert path.stat().st_mode & 0o077 == 0, f"{path.name} can be read by others"
        for name, value in stack.secrets().items():
            assert value not in text, f"{name} is in {path.name}"


@pytest.mark.parametrize("daemon", DAEMONS)
def test_secrets_are_not_on_the_command_line(stack, daemon):
    line = Path(f"/proc/{stack.daemons[daemon].process.pid}/cmdline").read_text()
    assert not [n for n, v in stack.secrets().items() if v in line]


# ---------------------------------------------------------------------- the command line


def run(daemon: str, *args: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    outside = {k: v for k, v in os.environ.items() if not k.startswith("PAT_")}
    return subprocess.run([BUILD / "bin" / f"patchbay-{daemon}", *args], env=outside | (env or {}), capture_output=True,
                          text=True, timeout=30)


@pytest.mark.parametrize("daemon", DAEMONS)
def test_help_names_every_setting_and_no_value(stack, daemon):
    env = stack.daemons[daemon].env
    done = run(daemon, "--help", env=env)
    assert done.returncode == 0 and not done.stderr
    names = re.findall(r"^  (PAT_[A-Z0-9_]+)", done.stdout, re.M)
    assert names == sorted(set(names)) and set(env) - set(names) <= {"PAT_NATS_URL", "PAT_LIVEKIT_URL"}  # of the harness, for all
    assert not [n for n, v in stack.secrets().items() if v in done.stdout]


@pytest.mark.parametrize("daemon", DAEMONS)
def test_version_and_odd_arguments(daemon):
    done = run(daemon, "--version")
    assert done.returncode == 0 and re.match(rf"patchbay-{daemon} \d+\.\d+\.\d+", done.stdout)
    for args in (["--nonsense"], ["--version", "x"], ["router"], ["--help", "--version"]):
        done = run(daemon, *args)
        assert done.returncode == 2 and "--help" in done.stderr, args


@pytest.mark.parametrize("daemon", DAEMONS)
def test_the_metrics_are_as_prometheus_wants_them(stack, daemon):
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=stack.daemons[daemon].metrics(), capture_output=True, text=True,
                          timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


@pytest.mark.parametrize("daemon", DAEMONS)
def test_check_config_accepts_what_works(stack, daemon):
    done = run(daemon, "--check-config", env=stack.daemons[daemon].env)
    assert (done.returncode, done.stdout, done.stderr) == (0, "settings are fine\n", "")


def test_check_config_says_what_is_left_out(stack):
    env = stack.daemons["webhook-relay"].env
    done = run("webhook-relay", "--check-config", env={k: v for k, v in env.items() if k != "PAT_RETELL_WEBHOOK_KEY"})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "settings are fine\nPAT_RETELL_WEBHOOK_KEY: is not set, Retell's webhooks are refused\n"


def required(daemon: str) -> list[str]:
    return re.findall(r"^(PAT_\w+): is required", run(daemon, "--check-config").stderr, re.M)


@pytest.mark.parametrize("daemon", DAEMONS)
def test_check_config_names_all_that_is_missing_or_wrong(daemon):
    assert "PAT_DATABASE_URL" in required(daemon)
    done = run(daemon, "--check-config", env={"PAT_LOG_LEVEL": "loud", "PAT_DRAIN_MS": "soon", "PAT_ADMIN_LISTEN": "nowhere",
                                              "PAT_DATABASE_POOL": "-1", "PAT_DATABASE_PREPARED": "perhaps"})
    assert done.returncode == 1 and not done.stdout
    wrong = set(re.findall(r"^(PAT_\w+): ", done.stderr, re.M))
    assert wrong == set(required(daemon)) | {"PAT_LOG_LEVEL", "PAT_DRAIN_MS", "PAT_ADMIN_LISTEN", "PAT_DATABASE_POOL",
                                             "PAT_DATABASE_PREPARED"}
    assert run(daemon, env={"PAT_LOG_LEVEL": "loud"}).returncode == 1  # and it does not start either


# Each would have started, and failed with the first call, or not have started at all.
WRONG = {"PAT_LIVEKIT_SIP_HOST": ["sip:abc.sip.livekit.cloud", "abc.sip.livekit.cloud;transport=tls", "a b", "h:", ":5060", "[::1"],
         "PAT_RETELL_SIP_HOST": ["sip.retellai.com;transport=tcp", "x@sip.retellai.com"],
         "PAT_ROUTER_PUBLIC_URL": ["https://router.example#rt=15000", "https://router.example/?x=1", "router.example"],
         "PAT_ROUTER_LISTEN": ["router.example:8080", "8080", "127.0.0.1:99999"],
         "PAT_NATS_URL": ["http://127.0.0.1:4222", "nats://", "nats://127.0.0.1:4222/x", "nats://a:4222,wss://b", "a b"]}
RIGHT = {"PAT_LIVEKIT_SIP_HOST": ["abc.sip.livekit.cloud", "10.0.0.1:5060", "[::1]:5060", "[::1]"],
         "PAT_ROUTER_PUBLIC_URL": ["https://router.example/patchbay/", "http://127.0.0.1:8080"],
         "PAT_ROUTER_LISTEN": ["[::]:8080", "localhost:0"],
         "PAT_NATS_URL": ["nats://a:4222,tls://b:4222", "127.0.0.1:4222", "nats://[::1]:4222"]}


@pytest.mark.parametrize("name", WRONG)
def test_check_config_finds_what_no_call_would_survive(stack, name):
    env = stack.daemons["router"].env
    for value in WRONG[name]:
        done = run("router", "--check-config", env=env | {name: value})
        assert done.returncode == 1 and re.findall(r"^(PAT_\w+): ", done.stderr, re.M) == [name], (value, done.stderr)
    for value in RIGHT.get(name, []):
        assert run("router", "--check-config", env=env | {name: value}).returncode == 0, value


SECRET_OF = {"livekit-agent": "PAT_LIVEKIT_API_SECRET", "retell-provider": "PAT_RETELL_API_KEY",
             "router": "PAT_SIGNALWIRE_SIGNING_KEY", "stack-switcher": "PAT_SUPABASE_JWT_SECRET",
             "webhook-relay": "PAT_LIVEKIT_API_SECRET"}


@pytest.mark.parametrize("daemon", DAEMONS)
def test_a_secret_may_come_from_a_file(stack, daemon, tmp_path):
    name, env = SECRET_OF[daemon], dict(stack.daemons[daemon].env)
    path = tmp_path / "secret"
    path.write_text(env.pop(name) + "\n")
    env[name + "_FILE"] = str(path)
    assert run(daemon, "--check-config", env=env).returncode == 0
    both = run(daemon, "--check-config", env=env | {name: "another-value-of-it"})
    assert both.returncode == 1 and f"{name}_FILE" in both.stderr and "another-value" not in both.stderr
    for path, why in ((tmp_path / "none", "No such file"), (tmp_path, ""), ("/dev/null", "")):
        done = run(daemon, "--check-config", env=env | {name + "_FILE": str(path)})
        assert done.returncode == 1 and name in done.stderr and why in done.stderr, path


BAD_DATABASES = ["host=x user=u password=hidden-pw", "postgres://u:hidden-pw%zz@h/x", "postgres://u:hidden-pw@[::1/x",
                 "postgres://u@h/x?nonsense=1&password=hidden-pw", "mysql://u:hidden-pw@h/x", "hidden-pw"]


@pytest.mark.parametrize("url", BAD_DATABASES)
def test_a_wrong_database_url_is_refused_without_its_password(stack, url):
    done = run("router", "--check-config", env=stack.daemons["router"].env | {"PAT_DATABASE_URL": url})
    assert done.returncode == 1 and "PAT_DATABASE_URL" in done.stderr and "hidden" not in done.stderr, done.stderr


@pytest.mark.parametrize("daemon", DAEMONS)
def test_a_misspelled_setting_is_told(stack, daemon, tmp_path):
    """Nothing is connected to: it stops when asked."""
    d = apart(stack, daemon, tmp_path, {"PAT_LOG_LEVLE": "debug", "PAT_DATABSE_URL": "postgres://u:hidden-pw@h/x",
                                        "PAT_NATS_URL": f"nats://127.0.0.1:{free_port()}"})
    try:
        told, = wait(lambda: d.logged("config.unknown"), 20, "it warns")
        assert {"PAT_LOG_LEVLE", "PAT_DATABSE_URL"} <= set(told["names"].split()) and told["level"] == "warn"
        assert "hidden-pw" not in d.process.log.read_text()
    finally:
        assert d.stop() == 0


def apart(stack, daemon: str, folder: Path, settings: dict[str, str]) -> Daemon:
    """One more of a daemon, up, with a log of its own and none of the stack's files."""
    model = stack.daemons[daemon].env
    env = {k: v for k, v in model.items() if not k.endswith("_FILE")} | settings
    listen = next((n for n in model if n.endswith("_LISTEN") and n not in ("PAT_ADMIN_LISTEN", "PAT_RETELL_TOOLS_LISTEN")), None)
    place = SimpleNamespace(build_dir=stack.build_dir, folder=folder, common_env=stack.common_env)
    d = Daemon(place, daemon, env, listen).start(ready=False)
    d.process.wait_until(lambda: http_status(f"{d.admin_url}/healthz") == 200, 20)
    return d


# ---------------------------------------------------------------------- NATS that asks who comes


@pytest.mark.parametrize("how", ["user and password", "token"])
def test_nats_with_credentials(stack, tmp_path, how):
    """The right ones let a daemon in, wrong ones do not, and neither is in its log."""
    value = unlike("nats")
    flags = ["--user", "ada", "--pass", value] if how.startswith("user") else ["--auth", value]
    good = {"PAT_NATS_USER": "ada", "PAT_NATS_PASSWORD": value} if how.startswith("user") else {"PAT_NATS_TOKEN": value}
    with Nats(tmp_path / "nats", *flags) as nats:
        for n, (settings, up) in enumerate([(good, True), ({k: "wrong-" + v for k, v in good.items()}, False), ({}, False)]):
            folder = tmp_path / str(n)
            folder.mkdir()
            d = apart(stack, "webhook-relay", folder, settings | {"PAT_NATS_URL": nats.url})
            try:
                wait(lambda: d.logged("bus.up" if up else "bus.connect"), 20, f"{how}: it is {'in' if up else 'refused'}")
                assert up or ("Authorization" in d.logged("bus.connect")[0]["reason"] and not d.logged("bus.up"))
                assert value not in d.process.log.read_text()
            finally:
                assert d.stop() == 0
