"""A private PostgreSQL cluster for tests and the demo.

    with Postgres() as pg:
        pg.create_database("patchbay")
        psycopg.connect(pg.url("patchbay_owner", "patchbay"))

Its own data folder below the temporary folder, a free port on loopback, no fsync, stopped by pid. Roles: postgres (the
superuser), patchbay_owner (owns the databases and runs the migrations: CREATEROLE, no superuser, as on Supabase),
authenticator (what PostgREST logs in as), patchbay_daemon (what our daemons log in as; a member of patchbay_service).
All have the same random password. Supabase's own roles exist from the start unless supabase_roles is false.
"""

import atexit
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

from harness.process import free_port

OWNER = "patchbay_owner"
DAEMON = "patchbay_daemon"
AUTHENTICATOR = "authenticator"


def bin_dir() -> Path:
    """Where initdb and postgres are: Debian keeps them out of PATH."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
    if debian:
        return debian[-1]
    found = shutil.which("postgres")
    if not found:
        raise RuntimeError("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    return Path(found).parent


class Postgres:
    def __init__(self, settings: dict[str, str] | None = None, supabase_roles: bool = True):
        self.bin = bin_dir()
        self.port = 0
        self.password = secrets.token_hex(16)
        self.settings = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off",
                         "wal_level": "logical", "max_connections": "100"} | (settings or {})
        self.supabase_roles = supabase_roles
        self.folder: Path | None = None
        self.process: subprocess.Popen | None = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def url(self, user: str = OWNER, db: str = "patchbay") -> str:
        return f"postgres://{user}:{self.password}@127.0.0.1:{self.port}/{db}"

    def start(self) -> None:
        """Makes the cluster on the first call; after stop(keep=True) starts it again on the same port."""
        first = self.folder is None
        if first:
            self.folder = Path(tempfile.mkdtemp(prefix="patchbay-pg-"))
            atexit.register(self.stop)
            if os.geteuid() == 0:
                user = self.os_user()
                os.chown(self.folder, user.pw_uid, user.pw_gid)
            self._initdb()
        for attempt in range(5):
            port = free_port() if first else self.port
            if self._launch(port):
                self.port = port
                break
            if attempt == 4:
                raise RuntimeError("PostgreSQL did not start:\n" + self.log())
        if first:
            self._make_roles()

    def stop(self, keep: bool = False, timeout_s: float = 20) -> None:
        """keep: the data stays, for another start."""
        p, self.process = self.process, None
        if p and p.poll() is None:
            p.send_signal(signal.SIGINT)  # fast: disconnects clients, then shuts down cleanly
            try:
                p.wait(timeout_s)
            except subprocess.TimeoutExpired:
                p.send_signal(signal.SIGQUIT)
                p.wait(timeout_s)
        if not keep and self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None

    def kill(self) -> None:
        """kill -9 of the server and each of its processes, as when the machine's memory runs out. The data stays for start."""
        p, self.process = self.process, None
        children = [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and self._parent(pid) == p.pid]
        for pid in (p.pid, *children):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        p.wait()
        deadline = time.monotonic() + 20  # they hold the shared memory until they are gone
        while any(self._parent(str(pid)) is not None for pid in children) and time.monotonic() < deadline:
            time.sleep(0.01)

    @staticmethod
    def _parent(pid: str) -> int | None:
        """None: no such process, or only its remains."""
        try:
            state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
        except (OSError, ValueError):
            return None
        return None if state == "Z" else int(parent)

    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def admin(self, db: str = "postgres") -> psycopg.Connection:
        """A superuser's connection in autocommit mode. The caller closes it."""
        return psycopg.connect(self.url("postgres", db), autocommit=True)

    def create_database(self, name: str, template: str | None = None) -> None:
        with self.admin() as c:
            c.execute(f'create database "{name}" owner {OWNER}' + (f' template "{template}"' if template else ""))

    def drop_database(self, name: str) -> None:
        with self.admin() as c:
            c.execute(f'drop database if exists "{name}" with (force)')

    def create_login(self, name: str, *member_of: str, inherit: bool = True) -> None:
        with self.admin() as c:
            if not c.execute("select 1 from pg_roles where rolname = %s", (name,)).fetchone():
                c.execute(f'create role "{name}" login {"inherit" if inherit else "noinherit"} '
                          f"password '{self.password}'")
            for role in member_of:
                c.execute(f'grant "{role}" to "{name}"')

    def os_user(self):
        """PostgreSQL refuses to run as root."""
        for name in ("postgres", "nobody"):
            try:
                return pwd.getpwnam(name)
            except KeyError:
                continue
        raise RuntimeError("no unprivileged user to run PostgreSQL as")

    def unprivileged(self, *command: str) -> list[str]:
        if os.geteuid() != 0:
            return list(command)
        user = self.os_user()
        return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", *command]

    def _command(self, program: str, *args: str) -> list[str]:
        return self.unprivileged(str(self.bin / program), *args)

    def _initdb(self) -> None:
        pwfile = self.folder / "password"
        pwfile.write_text(self.password)
        os.chmod(pwfile, 0o600)
        if os.geteuid() == 0:
            os.chown(pwfile, self.os_user().pw_uid, -1)
        done = subprocess.run(
            self._command("initdb", "-D", str(self.folder / "data"), "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8",
                          "--auth=scram-sha-256", f"--pwfile={pwfile}", "--no-sync"),
            capture_output=True, text=True, timeout=120, cwd="/")
        pwfile.unlink()
        if done.returncode:
            raise RuntimeError("initdb failed:\n" + done.stdout + done.stderr)

    def _launch(self, port: int) -> bool:
        options = [f"-c{k}={v}" for k, v in self.settings.items()]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                self._command("postgres", "-D", str(self.folder / "data"), "-p", str(port), "-c",
                              "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.folder}", *options),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True)
        deadline = time.monotonic() + 60
        url = f"postgres://postgres:{self.password}@127.0.0.1:{port}/postgres"
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                psycopg.connect(url, connect_timeout=5).close()
                return True
            except psycopg.OperationalError:
                time.sleep(0.02)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        return False

    def _make_roles(self) -> None:
        with self.admin() as c:
            c.execute(f"create role {OWNER} login createrole password '{self.password}'")
            if not self.supabase_roles:
                return
            for role, extra in (("anon", ""), ("authenticated", ""), ("service_role", "bypassrls")):
                c.execute(f"create role {role} nologin noinherit {extra}")
            c.execute(f"create role {AUTHENTICATOR} login noinherit password '{self.password}'")
            c.execute(f"grant anon, authenticated, service_role to {AUTHENTICATOR}")
            c.execute("create role patchbay_service nologin")
            c.execute(f"create role {DAEMON} login password '{self.password}' in role patchbay_service")
