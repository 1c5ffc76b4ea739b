"""A telephone: baresip, with a person who speaks and listens.

    phone = Phone(folder, "+15550109999", proxy=trunk.address, user="u", password="p")
    phone.dial("sip:...@...")
    phone.wait_active(); phone.wait_quiet(); phone.say(samples); phone.press("12#"); phone.hang_up()
    phone.heard                 # what came out of it, as it comes (8 kHz, after the telephone's own codec)

What it hears is what baresip's sndfile filter writes down: each packet decoded, nothing in the place of a lost one.
"""

import json
import re
import socket
import threading
import time
import wave
from pathlib import Path

import numpy as np

from harness import voice
from harness.process import Process, free_port
from harness.sip_leg import Heard, Person, wait

CONFIG = """\
poll_method epoll
sip_listen 127.0.0.1:{sip}
call_local_timeout 120
call_max_calls 4
audio_player aubridge,ear
audio_source aufile,{silence}
audio_alert aubridge,bell
audio_level no
net_interface 127.0.0.1
rtp_ports {rtp}-{rtp_last}
jitter_buffer_delay 1-5
module_path /usr/lib/baresip/modules
module g711.so
module g722.so
module aufile.so
module aubridge.so
module sndfile.so
module_tmp uuid.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:{control}
snd_path {folder}
"""
QUIET_S = 90  # follows whatever is said: a file that ends would end the packets


class Phone(Person):
    def __init__(self, folder: Path, number: str, proxy: str, user: str = "", password: str = "",
                 codec: str = "PCMU/8000/1"):
        self.folder, self.proxy = Path(folder), proxy
        self.folder.mkdir(parents=True, exist_ok=True)
        self.rate = 16000 if codec.startswith("G722") else 8000
        self.heard = Heard(self.rate)
        self.events: list[tuple[float, dict]] = []
        self.id: str | None = None  # of the call it was made for
        self.pressed_by_them = ""
        self.said_until: float | None = None
        self._control = free_port()
        self._over = threading.Event()
        silence, rtp = self._wav(np.zeros(0, np.int16)), free_port() & ~1
        sip = free_port()
        self.sip_port = sip
        (self.folder / "config").write_text(CONFIG.format(sip=sip, silence=silence, rtp=rtp, rtp_last=rtp + 20,
                                                          control=self._control, folder=self.folder))
        login = f";auth_user={user};auth_pass={password}" if user else ""
        (self.folder / "accounts").write_text(
            f'<sip:{number}@127.0.0.1>;regint=0;outbound="sip:{proxy};transport=udp";audio_codecs={codec};ptime=20{login}\n')
        (self.folder / "contacts").write_text("")
        self.process = Process("baresip", ["baresip", "-f", self.folder], self.folder / "baresip.log").start()
        self.process.wait_until(lambda: "baresip is ready" in self.process.log.read_text(errors="replace"), 20)
        self._socket = socket.create_connection(("127.0.0.1", self._control), timeout=10)
        self._socket.settimeout(0.1)
        for work in (self._watch, self._listen):
            threading.Thread(target=work, name=f"phone-{work.__name__}", daemon=True).start()

    # ------------------------------------------------------------------ the person

    def dial(self, uri: str) -> None:
        self._command("dial", uri)

    def hang_up(self) -> None:
        self._command("hangup")
        wait(lambda: self.reason, 20, "the phone is down")

    def press(self, digits: str) -> None:
        """As a finger does: the next key once the last one is up."""
        for d in digits:
            n = len(self._log(f"send DTMF digit end: '{d}'"))
            self._command("sndcode", d)
            wait(lambda d=d, n=n: len(self._log(f"send DTMF digit end: '{d}'")) > n, 10, f"key {d} is up")

    def say(self, samples: np.ndarray) -> None:
        """Speaks (48 kHz), and returns when the last of it was sent."""
        self.start_saying(samples)
        wait(lambda: time.monotonic() > self.said_until, 60, "all was said")

    def start_saying(self, samples: np.ndarray) -> float:
        path = self._wav(voice.resample(samples, voice.RATE, self.rate))
        self._command("ausrc", f"aufile,{path}")
        began = time.monotonic()
        self.said_until = began + len(samples) / voice.RATE
        return began

    def stop(self) -> None:
        self._over.set()
        self.process.stop()

    # ------------------------------------------------------------------ inside

    def _wav(self, samples: np.ndarray) -> Path:
        path = self.folder / f"said-{time.monotonic_ns()}.wav"
        with wave.open(str(path), "wb") as w:
            w.setnchannels(1)
            w.setsampwidth(2)
            w.setframerate(self.rate)
            w.writeframes(samples.tobytes() + bytes(2 * QUIET_S * self.rate))
        return path

    def _command(self, command: str, params: str = "") -> None:
        text = json.dumps({"command": command, "params": params})
        self._socket.sendall(f"{len(text)}:{text},".encode())

    def _log(self, text: str) -> list[str]:
        return [line for line in self.process.log.read_text(errors="replace").splitlines() if text in line]

    def _watch(self) -> None:
        """Events, as netstrings."""
        data = b""
        while not self._over.is_set():
            try:
                more = self._socket.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                break
            if not more:
                break
            data += more
            while (m := re.match(rb"(\d+):", data)) and len(data) > m.end() + int(m[1]):
                self._take(json.loads(data[m.end():m.end() + int(m[1])]))
                data = data[m.end() + int(m[1]) + 1:]
        self.reason = self.reason or "phone_gone"

    def _take(self, event: dict) -> None:
        now = time.monotonic()
        self.events.append((now, event))
        kind = event.get("type")
        # A phone that is referred dials by itself, a second call.
        self.id = self.id or event.get("id")
        if event.get("id") not in (None, self.id):
            return
        if kind == "CALL_ESTABLISHED":
            self.active_at = self.active_at or now
        elif kind == "CALL_DTMF_START":
            self.pressed_by_them += event.get("param", "")
        elif kind == "CALL_CLOSED":
            self.closed = event.get("param", "")
            self.reason = self.reason or self.closed or "closed"

    def _listen(self) -> None:
        """What is written down, 20 ms at a time, with the time it was there."""
        size, at = 2 * self.rate // 50, 44
        while not self._over.wait(0.005):
            for path in sorted(self.folder.glob("dump-*-dec.wav"))[:1]:
                with path.open("rb") as f:
                    f.seek(at)
                    data = f.read()
                now = time.monotonic()
                for i in range(len(data) // size):
                    self.heard.add(np.frombuffer(data[i * size:(i + 1) * size], dtype=np.int16), now)
                at += len(data) // size * size
