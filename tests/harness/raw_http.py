"""HTTP as no decent client speaks it: bytes out, bytes in.

    answers = exchange(port, b"GET / HTTP/1.1\r\n\r\n")   # [Answer(status=400, ...)], and whether it was closed
"""

import contextlib
import re
import socket
import time
from dataclasses import dataclass


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class Raw:
    """A connection that does as it is told."""

    def __init__(self, port: int, timeout_s: float = 5):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self.text, self.closed = b"", False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data: bytes) -> bool:
        """False: the server has closed it."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            self.closed = True
        return not self.closed

    def read(self, seconds: float, until=lambda text: False) -> bytes:
        """Until the condition holds, the server closes or the time is up."""
        deadline = time.monotonic() + seconds
        while not self.closed and not until(self.text) and (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                piece = self.socket.recv(65536)
            except TimeoutError:
                break
            except ConnectionResetError:
                piece = b""
            self.closed = not piece
            self.text += piece
        return self.text

    def answers(self, seconds: float = 5, n: int | None = None) -> list[Answer]:
        """n answers, or all until it is closed."""
        self.read(seconds, lambda text: n is not None and len(parse(text)) >= n)
        return parse(self.text)

    def reset(self) -> None:
        """Leaves with a RST instead of a FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self.socket.close()


def parse(text: bytes) -> list[Answer]:
    """Whole answers; chunked ones are not among what our daemons send here."""
    out = []
    while (end := text.find(b"\r\n\r\n")) >= 0:
        first, *lines = text[:end].decode("latin-1").split("\r\n")
        status = int(re.fullmatch(r"HTTP/1\.1 (\d{3}) .*", first)[1])
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", 0))
        if len(text) < end + 4 + length:
            break
        out.append(Answer(status, headers, text[end + 4:end + 4 + length]))
        text = text[end + 4 + length:]
    return out


def exchange(port: int, data: bytes, seconds: float = 5, n: int | None = None, half_close: bool = False) -> tuple[list[Answer], bool]:
    with Raw(port) as raw:
        raw.send(data)
        if half_close:
            with contextlib.suppress(OSError):
                raw.socket.shutdown(socket.SHUT_WR)
        return raw.answers(seconds, n), raw.closed
