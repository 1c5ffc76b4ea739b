"""SIPp: a telephone that says exactly the messages a scenario lists, and fails when others come.

    s = Sipp(folder, INVITE + RINGING + ANSWERED + hang_up(), target="127.0.0.1:5060", user=call_id, rtp=rtp, headers={...})
    s.wait(); s.messages("REFER")

A scenario is steps put together; each step is a few lines of SIPp's XML.
"""

import re
import subprocess
from pathlib import Path

from harness.process import Process, free_port
from harness.rtp import Rtp
from harness.sip_leg import wait

_HEAD = """Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:+15550109999@[local_ip]:[local_port]>;tag=[call_number]x[pid]
"""
_INVITE = """<send{attributes}><![CDATA[
INVITE sip:[service]@[remote_ip]:[remote_port];transport=udp SIP/2.0
""" + _HEAD + """To: <sip:[service]@[remote_ip]:[remote_port]>
Call-ID: [call_id]
CSeq: [cseq] INVITE
Contact: <sip:+15550109999@[local_ip]:[local_port]>
Max-Forwards: 70
Allow: INVITE, ACK, CANCEL, BYE, NOTIFY, REFER
{headers}Content-Type: application/sdp
Content-Length: [len]

v=0
o=- 1 1 IN IP4 127.0.0.1
s=-
c=IN IP4 127.0.0.1
t=0 0
m=audio {rtp} RTP/AVP 0 101
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=ptime:20
]]></send>
"""


def _request(method: str, cseq: str, extra: str = "", body: str = "", to: str = "[peer_tag_param]") -> str:
    return f"""<send><![CDATA[
{method} [next_url] SIP/2.0
{_HEAD}To: <sip:[service]@[remote_ip]:[remote_port]>{to}
Call-ID: [call_id]
CSeq: {cseq}
Contact: <sip:+15550109999@[local_ip]:[local_port]>
Max-Forwards: 70
{extra}Content-Length: [len]

{body}]]></send>
"""


def _reply(status: str) -> str:
    return f"""<send><![CDATA[
SIP/2.0 {status}
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:+15550109999@[local_ip]:[local_port]>
Content-Length: 0

]]></send>
"""


def _recv(what: str) -> str:
    return f"<recv {what}/>\n"


def pause(ms: int) -> str:
    return f'<pause milliseconds="{ms}"/>\n'


INVITE = "<<INVITE>>"
RINGING = _recv('response="100" optional="true"') + _recv('response="180"')
# A 180 each second until then.
ANSWERED = (_recv('response="100" optional="true"') + _recv('response="180" optional="true"')
            + '<recv response="200" rrs="true"/>\n' + _request("ACK", "[cseq] ACK"))
_UNACKED = f"""<send><![CDATA[
ACK sip:[service]@[remote_ip]:[remote_port];transport=udp SIP/2.0
[last_Via:]
{_HEAD.splitlines()[1]}
To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: [cseq] ACK
Max-Forwards: 70
Content-Length: 0

]]></send>
"""


def refused(status: int) -> str:
    return _recv('response="100" optional="true"') + _recv(f'response="{status}"') + _UNACKED


CHALLENGED = _recv('response="100" optional="true"') + '<recv response="407" auth="true"/>\n' + _UNACKED + "<<INVITE again>>"
CANCEL = f"""<send><![CDATA[
CANCEL sip:[service]@[remote_ip]:[remote_port];transport=udp SIP/2.0
[last_Via:]
{_HEAD.splitlines()[1]}
To: <sip:[service]@[remote_ip]:[remote_port]>
Call-ID: [call_id]
CSeq: [cseq] CANCEL
Max-Forwards: 70
Content-Length: 0

]]></send>
""" + _recv('response="180" optional="true"') + _recv('response="200"') + _recv('response="487"') + _UNACKED
HUNG_UP = _recv('request="BYE"') + _reply("200 OK")
HANG_UP = _request("BYE", "[cseq] BYE") + _recv('response="200"')


def referred(answer: str = "202 Accepted", *notify: str) -> str:
    """A REFER comes and is answered; then each of these lines is told by NOTIFY, a NOTIFY each."""
    told = "".join(_request("NOTIFY", "[cseq] NOTIFY", "Event: refer\nSubscription-State: active\n"
                            "Content-Type: message/sipfrag\n", f"SIP/2.0 {line}\n") + _recv('response="200"') for line in notify)
    return _recv('request="REFER"') + _reply(answer) + told


class Sipp:
    def __init__(self, folder: Path, steps: str, target: str, user: str, rtp: Rtp, headers: dict[str, str] | None = None,
                 login: tuple[str, str] = ("", ""), timeout_s: int = 100):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = "".join(f"{k}: {v}\n" for k, v in (headers or {}).items())
        first = _INVITE.format(attributes="", headers=lines, rtp=rtp.port)
        again = _INVITE.format(attributes="", rtp=rtp.port,
                               headers=lines + f"[authentication username={login[0]} password={login[1]}]\n")
        steps = steps.replace(INVITE, first).replace("<<INVITE again>>", again)
        (self.folder / "scenario.xml").write_text(
            f'<?xml version="1.0" encoding="ISO-8859-1"?>\n<scenario name="ours">\n{steps}</scenario>\n')
        self.log = self.folder / "messages.log"
        self.process = Process("sipp", [
            "sipp", target, "-sf", self.folder / "scenario.xml", "-s", user, "-i", "127.0.0.1", "-p", free_port(), "-m", "1",
            "-nostdin", "-trace_msg", "-message_file", self.log, "-trace_err", "-error_file", self.folder / "errors.log",
            "-timeout", f"{timeout_s}s", "-timeout_error", "-recv_timeout", "60000"], self.folder / "sipp.log").start()

    def wait(self, timeout_s: float = 100) -> None:
        """All was said as listed."""
        try:
            status = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.stop()
            status = "no end"
        errors = self.folder / "errors.log"
        assert status == 0, f"sipp ended with {status}:\n{errors.read_text()[-3000:] if errors.exists() else self.process.tail()}"

    def messages(self, begins: str) -> list[str]:
        """Sent and received, in order."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return [m for m in re.split(r"-{10,}.*\n.*\n\n", text) if m.startswith(begins)]

    def wait_message(self, begins: str, timeout_s: float = 60) -> str:
        return wait(lambda: self.messages(begins) or not self.process.alive() and ["ended"], timeout_s, f"{begins} passes")[0]

    def stop(self) -> None:
        self.process.stop()
