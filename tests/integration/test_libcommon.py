"""libcommon's bus, db and journal against real servers: their C tests, with servers that come, go and freeze."""

import os
import signal
import subprocess
from pathlib import Path

import psycopg
import pytest

from harness.authority import Authority
from harness.control import Control
from harness.h2server import H2Server
from harness.nats import Nats
from harness.patdb import migrate
from harness.pgbouncer import PgBouncer
from harness.postgres import DAEMON, OWNER, Postgres

BUILD = Path(os.environ.get("PAT_BUILD_DIR", Path(__file__).resolve().parents[2] / "build/dev"))


def run(program: str, pattern: str, servers: dict, folder: Path, timeout_s: float, **env: str) -> None:
    """The tests whose names match the pattern; their output is shown when one fails."""
    with Control(servers) as control:
        done = subprocess.run([BUILD / "test" / program, pattern], env=os.environ | control.env | env, timeout=timeout_s,
                              cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    print(done.stdout)
    assert done.returncode == 0, f"{program} {pattern} ended with {done.returncode}"
    assert "[       OK ]" in done.stdout, f"no test of {program} matches {pattern}"


class Stoppable:
    """What a C test may do to PostgreSQL."""

    def __init__(self, pg: Postgres):
        self.pg = pg

    def halt(self):
        self.pg.stop(keep=True)

    def start(self):
        self.pg.start()

    def pause(self):
        """Every process of it: the sessions' ones are children in sessions of their own."""
        self._signal(signal.SIGSTOP)

    def resume(self):
        self._signal(signal.SIGCONT)

    def _signal(self, number: int):
        pid = self.pg.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for p in [pid, *map(int, children)]:
            os.kill(p, number)


@pytest.fixture
def nats(tmp_path):
    with Nats(tmp_path / "nats") as server:
        yield server


@pytest.fixture(scope="module")
def pg():
    with Postgres() as server:
        server.create_database("patchbay")
        yield server


@pytest.fixture
def stoppable(pg):
    """Runs again after the test, whatever that left behind."""
    server = Stoppable(pg)
    yield server
    if pg.process is None or pg.process.poll() is not None:
        server.start()
    server.resume()


@pytest.fixture(scope="module")
def schema(pg):
    pg.create_database("journal")
    migrate(pg.url(OWNER, "journal"))
    with psycopg.connect(pg.url(OWNER, "journal"), autocommit=True) as c:
        c.execute("create table public.journal_it (call uuid primary key, s text not null)")
        c.execute(f"grant select, insert, update on public.journal_it to {DAEMON}")
    return pg.url(DAEMON, "journal")


@pytest.mark.parametrize("program, pattern", [
    ("bus_it", "*"), ("bus_js_it", "*"), ("bus_away_it", "test_restart*"), ("bus_away_it", "test_absent*"),
    ("bus_away_it", "test_frozen*")])
def test_bus(nats, tmp_path, program, pattern):
    run(program, pattern, {"nats": nats}, tmp_path, 110, PAT_TEST_NATS_URL=nats.url)


def test_http2(tmp_path):
    ca = Authority(tmp_path)
    made = ca.issue("web")
    with H2Server(made.cert, made.key) as h2, H2Server(made.cert, made.key, ("http/1.1",)) as h1:
        run("http2_it", "*", {}, tmp_path, 110, PAT_TEST_H2_URL=h2.url, PAT_TEST_H1_URL=h1.url, PAT_TEST_CA=str(ca.cert))
    assert h2.seen["/refused"] == h2.seen["/away"] == 2


@pytest.mark.parametrize("program, pattern", [("bus_it", "*"), ("bus_js_it", "*"), ("bus_away_it", "test_restart*"),
                                              ("bus_away_it", "test_frozen*")])
def test_bus_over_tls(tmp_path, program, pattern):
    ca = Authority(tmp_path / "ca")
    server = ca.issue("nats")
    with Nats(tmp_path / "nats", "--tls", "--tlscert", server.cert, "--tlskey", server.key) as nats:
        run(program, pattern, {"nats": nats}, tmp_path, 110, PAT_TEST_NATS_URL=nats.url.replace("nats:", "tls:"),
            PAT_TEST_NATS_CA=str(ca.cert))


@pytest.mark.parametrize("pattern", ["test_db*", "test_deadline*", "test_cancel*", "test_close*", "test_listen*",
                                     "test_restart*", "test_stale*", "test_frozen*"])
def test_db(pg, stoppable, tmp_path, pattern):
    url = pg.url(OWNER)
    run("db_it", pattern, {"postgres": stoppable}, tmp_path, 110, PAT_TEST_DB_URL=url, PAT_TEST_LISTEN_URL=url)


@pytest.mark.parametrize("pattern", ["test_db*", "test_deadline*", "test_cancel*", "test_close*", "test_listen*"])
def test_db_through_a_transaction_pooler(pg, tmp_path, pattern):
    with PgBouncer(pg) as bouncer:
        run("db_it", pattern, {}, tmp_path, 110, PAT_TEST_DB_URL=bouncer.url(OWNER),
            PAT_TEST_LISTEN_URL=pg.url(OWNER), PAT_TEST_POOLER="1")


@pytest.mark.parametrize("pattern", ["test_journal*", "test_outage__of_postgres*", "test_outage__of_nats*",
                                     "test_spool*"])
def test_journal(stoppable, schema, nats, tmp_path, pattern):
    run("journal_it", pattern, {"nats": nats, "postgres": stoppable}, tmp_path, 110, PAT_TEST_NATS_URL=nats.url,
        PAT_TEST_DB_URL=schema)
