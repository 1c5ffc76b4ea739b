"""A receiver of webhooks: keeps every request as it came, and answers as it was told to, path by path.

    with Sink() as sink:
        sink.plan("/a", 500, (429, {"Retry-After": "2"}), 200)   # the last one for ever
        sink.of("/a")[0].headers["webhook-id"]
        sink.plan("/b", HANG)                                    # until sink.release()

An answer: a status; (status, headers) or (status, headers, body); HANG; CLOSE (the connection breaks);
BABBLE (what answers is no HTTP).
"""

import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from harness.process import free_port

HANG, CLOSE, BABBLE = "hang", "close", "babble"


@dataclass(frozen=True)
class Request:
    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes
    at: float = field(default_factory=time.monotonic)
    unix: float = field(default_factory=time.time)

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


class Sink:
    def __init__(self, cert=None, key=None):
        self.requests: list[Request] = []
        self.answered: list[tuple[str, int]] = []  # path and status, when it was sent
        self._plans: dict[str, list] = {}
        self._lock = threading.Lock()
        self._released = threading.Event()
        self.waiting = 0
        self.most_waiting = 0
        self.port = free_port()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                sink._take(self)

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, *_):  # a client that went away is part of some tests
                pass

        self._server = Server(("127.0.0.1", self.port), Handler)
        if cert:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(cert, key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.scheme = "https" if cert else "http"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.release()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"

    def plan(self, path: str, *answers) -> str:
        with self._lock:
            self._plans[path] = list(answers)
        return self.url(path)

    def of(self, path: str) -> list[Request]:
        return [r for r in list(self.requests) if r.path == path]

    def ids(self, path: str) -> list[str]:
        return [r.id for r in self.of(path)]

    def release(self) -> None:
        """All that hang are answered 200, now and from now on."""
        self._released.set()

    def _next(self, path: str):
        with self._lock:
            plan = self._plans.get(path, [200])
            return plan.pop(0) if len(plan) > 1 else plan[0]

    def _hang(self) -> None:
        with self._lock:
            self.waiting += 1
            self.most_waiting = max(self.most_waiting, self.waiting)
        self._released.wait(120)
        with self._lock:
            self.waiting -= 1

    def _take(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        path = handler.path.partition("?")[0]
        self.requests.append(Request(path, {k.lower(): v for k, v in handler.headers.items()}, body))
        answer = self._next(path)
        if answer in (CLOSE, BABBLE):
            handler.close_connection = True
            if answer == BABBLE:
                handler.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n")
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        if answer == HANG:
            self._hang()
            answer = 200
        status, headers, text = (answer if isinstance(answer, tuple) else (answer,)) + (({}, b"") if not isinstance(
            answer, tuple) else (b"",) if len(answer) == 2 else ())
        self.answered.append((path, status))
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)
