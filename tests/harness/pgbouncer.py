"""Debian's pgbouncer in transaction mode in front of a harness.postgres.Postgres.

    with PgBouncer(pg) as bouncer:
        psycopg.connect(bouncer.url("patchbay_owner", "patchbay"))
"""

import os
import shutil
import signal
import subprocess
import time

import psycopg

from harness.postgres import AUTHENTICATOR, DAEMON, OWNER, Postgres, free_port

CONFIG = """[databases]
* = host=127.0.0.1 port={port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = 4
max_client_conn = 200
ignore_startup_parameters = extra_float_digits
"""


class PgBouncer:
    def __init__(self, pg: Postgres):
        self.pg = pg
        self.port = 0
        self.process: subprocess.Popen | None = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def url(self, user: str = OWNER, db: str = "patchbay") -> str:
        return f"postgres://{user}:{self.pg.password}@127.0.0.1:{self.port}/{db}"

    def start(self) -> None:
        """Again: on the same port."""
        program = shutil.which("pgbouncer", path=os.environ["PATH"] + ":/usr/sbin")
        if not program:
            raise RuntimeError("pgbouncer is not installed (Debian: apt-get install pgbouncer)")
        self.port = self.port or free_port()
        files = {"users": "".join(f'"{u}" "{self.pg.password}"\n' for u in (OWNER, DAEMON, AUTHENTICATOR)),
                 "pgbouncer.ini": CONFIG.format(port=self.pg.port, listen=self.port, folder=self.pg.folder)}
        for name, text in files.items():
            path = self.pg.folder / name
            path.write_text(text)
            path.chmod(0o600)
            if os.geteuid() == 0:
                os.chown(path, self.pg.os_user().pw_uid, -1)
        with open(self.pg.folder / "pgbouncer.log", "ab") as log:
            self.process = subprocess.Popen(self.pg.unprivileged(program, str(self.pg.folder / "pgbouncer.ini")),
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
        deadline = time.monotonic() + 20
        while True:
            try:
                psycopg.connect(self.url(OWNER, "postgres"), connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    self.stop()
                    raise
                time.sleep(0.02)

    def stop(self) -> None:
        p, self.process = self.process, None
        if p and p.poll() is None:
            p.send_signal(signal.SIGTERM)  # at once, without waiting for clients
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
