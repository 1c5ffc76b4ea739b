"""Lets a test program written in C stop, freeze and start the servers it talks to.

    with Control({"nats": nats, "postgres": pg}) as control:
        subprocess.run([program], env=os.environ | control.env)

Listens on a Unix socket named in PAT_TEST_CTL. A line is "<server> <method> [argument]" and calls that method; the
answer is "ok" or the error. See libcommon/test/ctl.h for the other side.
"""

import socketserver
import tempfile
import threading
from pathlib import Path


class Control:
    def __init__(self, servers: dict[str, object]):
        self.servers = servers
        self.folder = tempfile.TemporaryDirectory(prefix="patchbay-ctl-")
        self.path = Path(self.folder.name) / "ctl"
        self.env = {"PAT_TEST_CTL": str(self.path)}
        self.server = None

    def __enter__(self):
        control = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                for line in self.rfile:
                    self.wfile.write((control.run(line.decode().split()) + "\n").encode())

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True

        self.server = Server(str(self.path), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.folder.cleanup()

    def run(self, words: list[str]) -> str:
        try:
            name, method, *args = words
            getattr(self.servers[name], method)(*args)
            return "ok"
        except Exception as e:  # the program on the other side must hear of anything
            return f"{type(e).__name__}: {e}".replace("\n", " ")
