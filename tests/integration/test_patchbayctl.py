"""patchbayctl: the real program against a real stack, as people and scripts use it."""

import csv
import io
import json
import os
import pty
import re
import select
import signal
import ssl
import subprocess
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from harness.responder import Responder
from harness.sip_leg import wait
from harness.stack import LEO, Stack
from test_retell_agents import SETTINGS as PROVIDER
from test_rollouts import FAST, people
from test_switching import ADMIN, READY, api

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")
PROGRAM = Path(BUILD).resolve() / "bin/patchbayctl"
SHARE = Path(BUILD).resolve() / "share"


@pytest.fixture(scope="module")
def stack():
    with Stack(BUILD, with_livekit=False, daemons={"retell-provider": PROVIDER, "stack-switcher": FAST}) as s:
        yield s


@pytest.fixture(scope="module", autouse=True)
def others(stack):
    with Responder(stack.nats.url) as r:
        r.on("agent", "verify", lambda p: READY)
        r.on("agent", "prepare", lambda p: {})
        yield r


@pytest.fixture
def ada(stack):
    """On LiveKit, with nothing at Retell."""
    return people(stack, 1, "livekit", f"Ada {uuid.uuid4().hex[:8]}")[0]


def env(stack, **more) -> dict:
    token = stack.token(ADMIN, app_metadata={"role": "admin"})
    out = {"PATH": os.environ["PATH"], "PAT_SWITCHER_URL": stack.daemons["stack-switcher"].url, "PAT_TOKEN": token} | more
    # A sanitizer's settings are the test run's.
    return {k: v for k, v in out.items() if v is not None} | {k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}


def run(stack, *args: str, status: int = 0, stdin: str | None = None, **more) -> subprocess.CompletedProcess:
    p = subprocess.run([PROGRAM, *args], env=env(stack, **more), capture_output=True, text=True, timeout=60, input=stdin)
    assert p.returncode == status, (p.returncode, p.stdout, p.stderr)
    return p


def asked(stack, *args: str, status: int = 0, **more) -> dict:
    return json.loads(run(stack, *args, "--json", status=status, **more).stdout)


# ------------------------------------------------------------------ one user

def test_a_plan_then_the_switch_watched_to_its_end(stack, ada):
    plan = run(stack, "plan", f"{ada.id}@example.com", "--to", "retell").stdout
    assert "livekit to retell" in plan and re.search(r"\d+ exact", plan) and ada.on() == "livekit"
    assert asked(stack, "switch", ada.id, "--to=retell", "--dry-run")["to"] == "retell" and ada.on() == "livekit"
    lines = run(stack, "switch", ada.id, "--to", "retell", "--no-verify", "--retire", "delete", "--why", "the test", "--watch").stdout
    assert ada.on() == "retell" and "\033" not in lines and re.search(r"^[78]/8  (drained|retired)", lines, re.M)
    id_ = re.search(r"^switch +(\S+)", lines, re.M)[1]
    told = asked(stack, "status", id_)
    assert (told["id"], told["why"]) == (id_, "the test")
    assert "cutover" in run(stack, "status", id_).stdout
    assert id_ in run(stack, "status", ada.id).stdout and id_ in run(stack, "status", "--limit", "5").stdout


def test_there_and_back(stack, ada):
    w = asked(stack, "switch", ada.id, "--to", "retell", "--no-verify")
    assert w["to_stack"] == "retell"
    assert "may go back" in run(stack, "status", ada.id, "--watch").stdout and ada.on() == "retell"
    back = [json.loads(line) for line in run(stack, "rollback", w["id"], "--watch", "--json").stdout.splitlines()]
    assert back[-1]["outcome"] == "rolled_back" and ada.on() == "livekit"
    assert run(stack, "promote", w["id"], status=1).stderr.rstrip().endswith("[409]")


def test_held_it_waits_for_promote_and_a_restart_of_the_server_is_lived_through(stack, ada):
    w = asked(stack, "switch", ada.id, "--to", "retell", "--no-verify", "--hold", "--retire", "delete")
    watching = subprocess.Popen([PROGRAM, "status", w["id"], "--watch"], env=env(stack), stdout=subprocess.PIPE, text=True)
    try:
        seen = until(watching.stdout, "held: promote or abort")
        stack.daemons["stack-switcher"].restart()
        run(stack, "promote", w["id"])
        rest, _ = watching.communicate(timeout=60)
        assert watching.returncode == 0 and "retired" in rest, (seen, rest)
    finally:
        watching.kill()
        watching.wait()
    assert ada.on() == "retell"


def until(stream, text: str) -> str:
    """Lines up to one that has the text."""
    seen = ""
    while text not in seen:
        assert select.select([stream], [], [], 30)[0], seen
        line = stream.readline()
        assert line, seen
        seen += line
    return seen


def test_abort_takes_it_back(stack, ada):
    w = asked(stack, "switch", ada.id, "--to", "retell", "--no-verify", "--hold")
    run(stack, "abort", w["id"], "--why", "changed my mind", "--watch")
    assert ada.on() == "livekit"
    assert api(stack, "GET", f"/v1/switches/{w['id']}")[1]["outcome"] == "aborted"


# ------------------------------------------------------------------ a terminal

class Terminal:
    """The program on a pty, as a person has it."""

    def __init__(self, stack, *args: str, **more):
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.execve(PROGRAM, [str(PROGRAM), *args], env(stack, TERM="xterm", **more))
        self.seen = ""

    def until(self, text: str) -> str:
        while text not in self.seen:
            assert select.select([self.fd], [], [], 30)[0], self.seen
            self.seen += os.read(self.fd, 4096).decode()
        return self.seen

    def end(self) -> int:
        try:
            while select.select([self.fd], [], [], 30)[0] and (data := os.read(self.fd, 4096)):
                self.seen += data.decode()
        except OSError:  # the other side has closed
            pass
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_on_a_terminal_there_is_a_bar(stack, ada):
    t = Terminal(stack, "switch", ada.id, "--to", "retell", "--no-verify", "--retire", "delete", "--watch")
    assert t.end() == 0
    assert "\r\033[K[########################] 8/8  retired" in t.seen


def test_colours_are_left_out_where_nobody_wants_them(stack, ada):
    w = asked(stack, "switch", ada.id, "--to", "retell", "--no-verify", "--retire", "delete")
    for more, colour in (({}, True), ({"NO_COLOR": "1"}, False)):
        t = Terminal(stack, "status", w["id"], **more)
        assert t.end() == 0 and ("\033[1m" in t.seen) == colour


def test_interrupted_the_switch_goes_on_and_that_is_said(stack, ada):
    w = asked(stack, "switch", ada.id, "--to", "retell", "--no-verify", "--hold")
    t = Terminal(stack, "status", w["id"], "--watch")
    t.until("held: promote or abort")
    os.write(t.fd, b"\x03")
    assert t.end() == 130
    assert "goes on" in t.seen and f"patchbayctl abort {w['id']}" in t.seen.replace("\r\n", "\n")
    assert api(stack, "GET", f"/v1/switches/{w['id']}")[1]["outcome"] is None
    run(stack, "abort", w["id"], "--watch")


# ------------------------------------------------------------------ many

def test_a_rollout_from_a_file_watched_to_its_end(stack, tmp_path):
    three = people(stack, 3)
    ids = tmp_path / "ids"
    ids.write_text("# those three\n" + "\n".join(p.id for p in three) + "\n\n")
    plan = run(stack, "bulk", "start", "--to", "livekit", "--file", str(ids), "--no-gates", "--no-verify", "--dry-run").stdout
    assert "3 users to livekit" in plan
    lines = run(stack, "bulk", "start", "--to", "livekit", "--file", str(ids), "--no-gates", "--no-verify", "--name", "three", "--watch").stdout
    assert "3/3  completed" in lines and {p.on() for p in three} == {"livekit"}
    id_ = re.search(r"^rollout +(\S+)", lines, re.M)[1]
    assert id_ in run(stack, "bulk", "list").stdout
    report = asked(stack, "bulk", "report", id_)
    assert {u["user_id"] for u in report["users"]} == {p.id for p in three}
    assert three[0].id in run(stack, "bulk", "report", id_).stdout
    run(stack, "bulk", "rollback", id_)
    assert run(stack, "bulk", "status", id_, "--watch", status=1).stdout.rstrip().endswith("rolled_back")
    assert {p.on() for p in three} == {"retell"}


def test_a_rollout_waits_for_a_person_between_its_steps(stack):
    word = f"Zoe{uuid.uuid4().hex[:8]}"
    two = people(stack, 2, name=word)
    lines = run(stack, "bulk", "start", "--to", "livekit", "--from", "retell", "--search", word, "--no-gates", "--no-verify",
                "--hold", "--steps", "1,2", "--watch").stdout
    id_ = re.search(r"^rollout +(\S+)", lines, re.M)[1]
    assert "1/2  held" in lines and sorted(p.on() for p in two) == ["livekit", "retell"]
    assert "[409]" in run(stack, "bulk", "pause", id_, status=1).stderr  # it is held already
    assert run(stack, "bulk", "promote", id_, "--watch").stdout.rstrip().endswith("2/2  completed")
    assert {p.on() for p in two} == {"livekit"}


# ------------------------------------------------------------------ looking

def test_looking(stack, ada):
    assert ada.id in run(stack, "users", "--search", ada.id).stdout
    assert asked(stack, "users", "--limit", "1")["next"]
    assert "retell" in run(stack, "health").stdout and asked(stack, "health")["scope"] == "all"
    ada.calls(2, "livekit")
    assert len(asked(stack, "calls", "--user", ada.id)["calls"]) == 2
    assert run(stack, "calls", "--user", ada.id).stdout.count("livekit") == 2
    live, = ada.calls(1, "livekit", state="answered")
    stack.sql("update patchbay.calls set ended_at = null where id = %s", live)
    for whose in (["--user", ada.id], ["--all"]):
        assert [c["id"] for c in asked(stack, "calls", "--live", *whose)["calls"]] == [str(live)]
    assert asked(stack, "version")["version"] in run(stack, "version").stdout
    why = run(stack, "explain", ada.number, "--from", "anonymous").stdout
    assert "livekit" in why and "withheld" in why and "VERDICT" in why
    assert asked(stack, "explain", ada.number)["own_stack"] == "livekit"
    assert "at: " in run(stack, "explain", ada.number, "--at", "noon", status=1).stderr


def test_usage(stack, ada):
    told = asked(stack, "usage", ada.id, "--by", "stack")
    assert told["user_id"] == ada.id and told["group_by"] == ["stack"]
    assert "calls" in run(stack, "usage", "--from", "2026-01-01", "--to", "2026-01-31", "--by", "day,component").stdout
    assert "cost_usd" in next(csv.reader(io.StringIO(run(stack, "usage", ada.id, "--csv").stdout)))
    assert "group_by: " in run(stack, "usage", "--by", "colour", status=1).stderr


def test_usage_a_page_at_a_time(stack, ada):
    ada.calls(1, "livekit")
    for limit, after in (("1", None), ("1000", "0")):
        told = asked(stack, "usage", "--by", "user", "--limit", limit, *(["--after", after] if after else []))
        assert len(told["rows"]) <= int(limit) and told["count"] >= len(told["rows"])
    assert "limit: " in run(stack, "usage", "--limit", "1001", status=1).stderr
    assert "after: " in run(stack, "usage", "--after", "x", status=1).stderr


def test_usage_is_whole_where_no_limit_is_said(stack):
    day, n = "2026-01-05", 1500  # nobody else's, and more than a page
    asked_for = ("usage", "--by", "user", "--from", day, "--to", day)
    with stack.pg.admin("patchbay") as c:
        c.execute("insert into patchbay.usage_stack_days select gen_random_uuid(), %s, 'livekit', 1, 1, 60000, 1000 * i, 0, 0, 0, 0, 0, 0, 0, 0 "
                  "from generate_series(1, %s) i", [day, n])
    told = asked(stack, *asked_for)
    assert [r["cost_microusd"] for r in told["rows"]] == [1000 * i for i in range(n, 0, -1)]
    assert (told["count"], told["next"]) == (n, None)
    assert [r["cost_microusd"] for r in asked(stack, *asked_for, "--after", "1490")["rows"]] == [1000 * i for i in range(10, 0, -1)]
    page = asked(stack, *asked_for, "--limit", "60")
    assert (len(page["rows"]), page["next"]) == (60, "60")
    assert len(run(stack, *asked_for).stdout.splitlines()) == 1 + n + 1
    assert len(run(stack, *asked_for, "--csv").stdout.splitlines()) == 1 + n


def test_usage_by_the_days_of_a_zone(stack, ada):
    assert asked(stack, "usage", ada.id, "--tz", "Asia/Tokyo")["timezone"] == "Asia/Tokyo"
    assert "(Asia/Tokyo)" in run(stack, "usage", ada.id, "--tz", "Asia/Tokyo").stdout
    assert "tz: " in run(stack, "usage", "--tz", "Mars", status=1).stderr


def test_what_customers_are_charged(stack, ada):
    tier = f"gold-{uuid.uuid4().hex[:8]}"
    assert "no tier of this name" in run(stack, "tier", ada.id, "--set", tier, status=1).stderr
    for wrong in ("much", "-1", "0.00000001", ""):
        assert "--price" in run(stack, "retail", "add", tier, "--price", wrong, status=2).stderr
    assert "--price" in run(stack, "retail", "add", tier, status=2).stderr
    assert "$0.15 a minute" in run(stack, "retail", "add", tier, "--price", "$0.15", "--note", "for friends", "--why", "new contract").stdout
    later = asked(stack, "retail", "add", tier, "--price", "0.2", "--from", "2099-01-01T00:00:00Z")
    assert (later["state"], later["microusd_per_minute"]) == ("future", 200000)
    listed = run(stack, "retail", "list").stdout
    assert re.search(rf"^{tier} .*in_force.*for friends$", listed, re.M) and re.search(rf"^{tier} .*future", listed, re.M) and f"{tier}: 0 users" in listed
    assert "$0.15 a minute" in run(stack, "tier", ada.id, "--set", tier).stdout and asked(stack, "tier", ada.id)["tier"] == tier
    assert "taken away" in run(stack, "retail", "drop", later["id"]).stdout
    held = next(p["id"] for p in asked(stack, "retail", "list")["prices"] if p["tier"] == tier)
    assert "[409]" in run(stack, "retail", "drop", held, status=1).stderr
    run(stack, "tier", ada.id, "--set", "standard")
    assert stack.sql("select action, why from patchbay.audit where action like 'retail.%%' and (user_id = %s or subject = any(%s::uuid[])) order by at, id",
                     ada.id, [held, later["id"]]) == [("retail.add", "new contract"), ("retail.add", None), ("retail.tier", None),
                                                      ("retail.drop", None), ("retail.tier", None)]


def test_webhooks_again(stack):
    mine = {"PAT_TOKEN": stack.token(LEO.id)}
    assert "[404]" in run(stack, "replay", "delivery", str(uuid.uuid4()), status=1, **mine).stderr
    status, made = api(stack, "POST", f"/v1/webhooks/endpoints?user_id={LEO.id}", {"url": "https://example.com/hook", "events": ["call.*"]})
    assert status == 201, made
    id_ = made["endpoint"]["id"]
    assert run(stack, "replay", "endpoint", id_, "--since", "2026-01-01T00:00:00Z", "--delivered", **mine).stdout == "0 sent again\n"
    assert asked(stack, "replay", "endpoint", id_, "--user", str(LEO.id)) == {"replayed": 0, "more": False}


# ------------------------------------------------------------------ refusals

def test_a_user_is_found_by_his_whole_address_though_others_have_it_in_theirs(stack):
    name = uuid.uuid4().hex[:8]
    ann, joann = people(stack, 2, "livekit", name)
    stack.sql("update public.users set email = %s where id = %s", f"{name}@example.com", ann.id)
    stack.sql("update public.users set email = %s where id = %s", f"jo{name}@example.com", joann.id)
    assert asked(stack, "plan", f"{name}@Example.com", "--to", "retell")["user_id"] == ann.id
    assert asked(stack, "plan", joann.number, "--to", "retell")["user_id"] == joann.id
    assert "2 users fit" in run(stack, "plan", name, "--to", "retell", status=1).stderr
    # Nor is a variable nobody set somebody.
    assert "which user" in run(stack, "switch", "", "--to", "retell", status=2).stderr


def test_refused_is_1_and_says_why(stack, ada):
    mine = {"PAT_TOKEN": stack.token(LEO.id)}
    assert "[403]" in run(stack, "switch", ada.id, "--to", "retell", status=1, **mine).stderr
    assert "[401]" in run(stack, "health", status=1, PAT_TOKEN="x.y.z").stderr
    assert "[401]" in run(stack, "health", status=1, PAT_TOKEN=None).stderr
    assert "users fit" in run(stack, "plan", "nobody at all", "--to", "retell", status=1).stderr
    assert run(stack, "status", "nobody at all", status=1, stdin="").stdout == ""


@pytest.mark.parametrize("args", [(), ("dance",), ("switch",), ("switch", "a", "b"), ("health", "--loud"), ("bulk",),
                                  ("switch", "a", "--to", "mars"), ("switch", "a", "--to"), ("health", "--json=1"),
                                  ("switch", "a"), ("bulk", "start", "--to", "retell"), ("completion", "fish")])
def test_a_wrong_command_line_is_2(stack, args):
    p = run(stack, *args, status=2)
    assert p.stderr.startswith("patchbayctl: ") and not p.stdout


def test_a_wrong_setting_is_2(stack):
    assert "PAT_SWITCHER_URL" in run(stack, "health", status=2, PAT_SWITCHER_URL="ftp://x").stderr


def test_a_server_that_is_not_there_is_3(stack):
    assert "cannot be reached" in run(stack, "health", "--server", "http://127.0.0.1:9", status=3).stderr


def test_the_token_may_be_in_a_file(stack, tmp_path):
    file = tmp_path / "token"
    file.write_text(stack.token(ADMIN, app_metadata={"role": "admin"}) + "\n")
    run(stack, "health", PAT_TOKEN=None, PAT_TOKEN_FILE=str(file))


def test_a_certificate_nobody_vouches_for_is_refused(stack, tmp_path):
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b'{"version": "1", "build_id": "x"}')

        def log_message(self, *_):
            pass

    key, cert = tmp_path / "key", tmp_path / "cert"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj",
                    "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert], check=True, capture_output=True)
    server = HTTPServer(("127.0.0.1", 0), Answer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"https://localhost:{server.server_port}"
        assert "tls" in run(stack, "version", PAT_SWITCHER_URL=url, status=3).stderr
        assert "server" in run(stack, "version", PAT_SWITCHER_URL=url, PAT_CA_FILE=str(cert)).stdout
    finally:
        server.shutdown()
        server.server_close()


# ------------------------------------------------------------------ what the table says

def table(stack) -> dict[str, list[str]]:
    """Commands and their own options, as --help tells them."""
    whole = run(stack, "--help").stdout
    names = re.findall(r"^  ((?:bulk |replay |retail )?[a-z]+) ", whole.partition("Options of all")[0], re.M)
    return {n: re.findall(r"^  --([a-z-]+)", run(stack, *n.split(), "--help").stdout.partition("Options of all")[0], re.M) for n in names}


def test_the_manual_has_every_command_and_option(stack):
    manual = (SHARE / "man/man1/patchbayctl.1").read_text().replace("\\-", "-")
    commands = table(stack)
    assert len(commands) > 20 and commands["switch"]
    for command, options in commands.items():
        section = re.search(rf'^\.SS "{re.escape(command)} .*?(?=^\.S[SH])', manual, re.M | re.S)
        assert section, command
        assert all(f"--{o}\\fR" in section[0] for o in options), command
    for name in ("PAT_SWITCHER_URL", "PAT_TOKEN", "PAT_CA_FILE", "EXIT STATUS", "--json", "--server"):
        assert name in manual
    subprocess.run(["groff", "-man", "-Tutf8", "-ww", SHARE / "man/man1/patchbayctl.1"], check=True, capture_output=True) \
        if Path("/usr/bin/groff").exists() else None


def complete(words: list[str]) -> list[str]:
    """What a real bash offers for the last of the words."""
    script = f"source '{SHARE}/bash-completion/completions/patchbayctl'\nCOMP_WORDS=(\"$@\")\nCOMP_CWORD=$(($# - 1))\n" \
             "_patchbayctl\nprintf '%s\\n' \"${COMPREPLY[@]}\""
    p = subprocess.run(["bash", "-euc", script, "bash", *words], capture_output=True, text=True, timeout=20)
    assert p.returncode == 0 and not p.stderr, p.stderr
    return p.stdout.split()


def test_bash_completes_commands_options_and_their_words(stack):
    commands = table(stack)
    assert set(complete(["patchbayctl", ""])) >= {c.split()[0] for c in commands}
    assert complete(["patchbayctl", "swi"]) == ["switch"]
    assert sorted(complete(["patchbayctl", "bulk", ""])) == sorted(c.split()[1] for c in commands if c.startswith("bulk "))
    for command, options in commands.items():
        assert set(complete(["patchbayctl", *command.split(), "--"])) >= {f"--{o}" for o in options} | {"--json"}, command
    assert sorted(complete(["patchbayctl", "switch", "ada", "--to", ""])) == ["livekit", "retell"]
    assert complete(["patchbayctl", "switch", "ada", "--retire", "k"]) == ["keep"]
    assert sorted(complete(["patchbayctl", "completion", ""]))[-2:] == ["bash", "zsh"]
