"""A web server that speaks HTTP/2 over TLS (by ALPN), and misbehaves on request.

    with H2Server(cert, key) as s: get(f"{s.url}/hello")

/hello       200, and says on which connection and stream
/hold/<n>    answered when n of these are open at once on one connection
/stream      three pieces; each but the first when /next was asked for
/length      how many bytes the request's body had
/reset       an answer that is broken off in the middle (RST_STREAM)
/refused     not taken the first time (RST_STREAM REFUSED_STREAM), then answered
/away        not taken: GOAWAY for it and the connection's end, the first time; then answered
/break       an answer that is broken off by GOAWAY and the connection's end
/silent      never answered
"""

import asyncio
import contextlib
import ssl
import threading
from pathlib import Path

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions


class H2Server:
    def __init__(self, cert: Path, key: Path, protocols: tuple[str, ...] = ("h2",)):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(cert, key)
        self.context.set_alpn_protocols(list(protocols))
        self.connections = 0
        self.seen: dict[str, int] = {}
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def __enter__(self) -> "H2Server":
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(self, *_) -> None:
        self._server.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        speaks = writer.get_extra_info("ssl_object").selected_alpn_protocol()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            if speaks == "h2":
                await Connection(self, self.connections, reader, writer).run()
            else:
                await self._http1(reader, writer)
        writer.close()

    async def _http1(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\nhttp/1.1")
        await writer.drain()


class Connection:
    """One client's, and its streams."""

    def __init__(self, server: H2Server, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.server, self.number, self.reader, self.writer = server, number, reader, writer
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self.paths: dict[int, str] = {}
        self.lengths: dict[int, int] = {}
        self.held: list[int] = []
        self.streaming: list[int] = []
        self.over = False

    async def run(self) -> None:
        self.h2.initiate_connection()
        self._flush()
        while not self.over:
            data = await self.reader.read(65536)
            if not data:
                return
            try:
                for event in self.h2.receive_data(data):
                    self._on(event)
            except h2.exceptions.ProtocolError:
                self.over = True
            self._flush()
            await self.writer.drain()

    def _flush(self) -> None:
        self.writer.write(self.h2.data_to_send())

    def _on(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            headers = {k.decode() if isinstance(k, bytes) else k: v.decode() if isinstance(v, bytes) else v for k, v in event.headers}
            self.paths[event.stream_id] = headers[":path"]
        elif isinstance(event, h2.events.DataReceived):
            self.lengths[event.stream_id] = self.lengths.get(event.stream_id, 0) + len(event.data)
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            self.held = [s for s in self.held if s != event.stream_id]
        elif isinstance(event, h2.events.StreamEnded):
            self._asked(event.stream_id, self.paths[event.stream_id])

    def _asked(self, stream: int, path: str) -> None:
        self.server.seen[path] = times = self.server.seen.get(path, 0) + 1
        name, _, n = path.strip("/").partition("/")
        if name == "hold":
            self.held.append(stream)
            if len(self.held) >= int(n):
                for s in self.held:
                    self._answer(s, self._who(s))
                self.held = []
        elif name == "stream":
            self.streaming.append(stream)
            self._begin(stream, b"piece 0;")
        elif name == "next":
            for s in self.streaming:
                self.h2.send_data(s, b"piece %s;" % n.encode(), end_stream=n == "2")
            self._answer(stream, b"next")
        elif name == "length":
            self._answer(stream, str(self.lengths.get(stream, 0)).encode())
        elif name == "reset":
            self._begin(stream, b"half of it")
            self.h2.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
        elif name == "refused" and times == 1:
            self.h2.reset_stream(stream, h2.errors.ErrorCodes.REFUSED_STREAM)
        elif name == "away" and times == 1:
            self.h2.close_connection(h2.errors.ErrorCodes.NO_ERROR, last_stream_id=stream - 2 if stream > 1 else 0)
            self.over = True
        elif name == "break":
            self._begin(stream, b"half of it")
            self.h2.close_connection(h2.errors.ErrorCodes.INTERNAL_ERROR, last_stream_id=stream)
            self.over = True
        elif name != "silent":
            self._answer(stream, self._who(stream))

    def _who(self, stream: int) -> bytes:
        return f"h2 connection {self.number} stream {stream}".encode()

    def _begin(self, stream: int, data: bytes) -> None:
        self.h2.send_headers(stream, [(":status", "200"), ("content-type", "text/plain")])
        self.h2.send_data(stream, data)

    def _answer(self, stream: int, body: bytes) -> None:
        self.h2.send_headers(stream, [(":status", "200"), ("content-length", str(len(body)))])
        self.h2.send_data(stream, body, end_stream=True)
