"""The sound of a telephone whose signalling SIPp plays: PCMU on a port of its own, what comes is kept.

    with Rtp() as rtp: sipp ... rtp.port; rtp.heard; rtp.say(samples)
"""

import socket
import struct
import threading
import time

import numpy as np

from harness import voice
from harness.sip_leg import Heard, wait

# ITU-T G.711, section 3: the 256 values of mu-law.
_CODE = ~np.arange(256, dtype=np.uint8)
_MAGNITUDE = ((((_CODE & 0x0F).astype(np.int32) << 3) + 0x84) << ((_CODE & 0x70) >> 4)) - 0x84
MU_LAW = np.where(_CODE & 0x80, -_MAGNITUDE, _MAGNITUDE).astype(np.int16)
_BY_VALUE = np.argsort(MU_LAW, kind="stable")
FRAME = 160


class Rtp:
    def __init__(self):
        self.socket = socket.socket(type=socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.005)
        self.port = self.socket.getsockname()[1]
        self.heard = Heard(8000)
        self._queue: list[bytes] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rtp", daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join(5)
        self.socket.close()

    def say(self, samples: np.ndarray) -> None:
        """48 kHz. Returns when the last of it was sent."""
        x = voice.resample(samples, voice.RATE, 8000)
        x = np.pad(x, (0, -len(x) % FRAME))
        at = np.clip(np.searchsorted(MU_LAW[_BY_VALUE], x), 0, 255)
        data = _BY_VALUE[at].astype(np.uint8).tobytes()
        self._queue = [data[i:i + FRAME] for i in range(0, len(data), FRAME)]
        wait(lambda: not self._queue, 60, "all was said")

    def _run(self) -> None:
        """Answers where the first packet came from, as a telephone behind a NAT is answered."""
        far, n, due = None, 0, 0.0
        while not self._over.is_set():
            try:
                data, far = self.socket.recvfrom(2048)
                if len(data) == 12 + FRAME and data[1] & 0x7F == 0:
                    self.heard.add(MU_LAW[np.frombuffer(data[12:], np.uint8)])
            except TimeoutError:
                pass
            now = time.monotonic()
            if far and now >= due:
                self.socket.sendto(struct.pack("!BBHII", 0x80, 0, n & 0xFFFF, n * FRAME, 7)
                                   + (self._queue.pop(0) if self._queue else b"\xff" * FRAME), far)
                n, due = n + 1, max(due + 0.02, now)
