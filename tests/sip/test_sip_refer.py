"""A caller put through by SIP REFER: where the telephone goes, and what happens when it does not."""

import os
from pathlib import Path

import pytest

from harness import events, voice
from harness.phone_stack import PASSWORD, USER, PhoneStack, signed
from harness.process import Process, free_port
from harness.rough import new_call
from harness.sip_leg import wait
from harness.sipp import ANSWERED, CHALLENGED, HUNG_UP, INVITE, RINGING, referred
from harness.stack import LEO, ROOT

SALES = "+15550142000"
QUESTION = "hello please tell me your opening hours"
ASK = [{"name": "transfer_call", "arguments": {"to": "sales"}}]
REFUSED_BY = {"486": "busy", "603": "refused"}


class Colleague:
    """Who is at the other end of what the telephone is referred to."""

    def __init__(self, folder: Path):
        self.folder, self.port, self.n, self.process = folder, free_port(), 0, None

    def answers(self, status: str | None) -> None:
        """With this status; None: takes the call."""
        self.stop()
        self.n += 1
        scenario = self.folder / f"colleague{self.n}.xml"
        steps = "\n".join(f"<send><![CDATA[\nSIP/2.0 {status}\n[last_Via:]\n[last_From:]\n[last_To:];tag=c[call_number]\n"
                          "[last_Call-ID:]\n[last_CSeq:]\nContent-Length: 0\n\n]]></send>\n" for status in [status] if status)
        scenario.write_text(f'<?xml version="1.0"?>\n<scenario name="busy">\n<recv request="INVITE"/>\n{steps}'
                            '<recv request="ACK"/>\n</scenario>\n')
        how = ["-sf", scenario] if status else ["-sn", "uas"]
        self.process = Process("colleague", ["sipp", "-i", "127.0.0.1", "-p", self.port, "-nostdin", "-mp", free_port() & ~1,
                                             *how], self.folder / f"colleague{self.n}.log").start()

    def stop(self) -> None:
        if self.process:
            self.process.stop()


@pytest.fixture(scope="module")
def colleague(tmp_path_factory):
    c = Colleague(tmp_path_factory.mktemp("colleague"))
    yield c
    c.stop()


@pytest.fixture(scope="module")
def stack(colleague):
    by_refer = {"PAT_AGENT_TRANSFER_BY": "refer", "PAT_AGENT_REFER_URI": f"sip:{{number}}@127.0.0.1:{colleague.port}"}
    with PhoneStack(Path(os.environ.get("PAT_BUILD_DIR", ROOT / "build/dev")), daemons={"livekit-agent": by_refer}) as s:
        s.sql("insert into public.transfer_numbers (user_id, label, phone_number, is_default) values (%s, 'sales', %s, true)",
              LEO.id, SALES)
        s.wait_routed()
        yield s
        ended_badly = [d.name for d in s.daemons.values() if not d.process.alive()]
        assert not ended_badly, "\n".join(s.daemons[n].process.tail() for n in ended_badly)


@pytest.fixture
def told(watch):
    def outcomes(call, n, timeout_s=90):
        watch.wait_for("call.transfer", call, timeout_s, n)
        for e in watch.of("call.transfer", call):
            events.validate({k: v for k, v in e.items() if k != "_subject"}, e["_subject"])
        return [(e["data"]["outcome"], e["data"]["reason"]) for e in watch.of("call.transfer", call)]
    return outcomes


def comes_back(watch, call):
    """The agent speaks to the caller again, of the one who was not reached."""
    def spoken():
        return [e for e in watch.of("turn.agent", call) if "sales" in e["data"]["text"].lower() and e["data"]["heard"]]
    return wait(spoken, 60, "the agent is back")[-1]


@pytest.mark.parametrize(("says", "outcome"), [
    (("202 Accepted", "100 Trying", "200 OK"), ("bridged", None)),
    (("202 Accepted", "100 Trying", "486 Busy Here"), ("busy", None)),
    (("603 Decline",), ("refused", None)),
    (("202 Accepted",), ("failed", "unknown")),
], ids=["accepted", "busy", "declined", "silent"])
def test_what_a_telephone_says_to_a_refer(stack, watch, dial, rtp, told, says, outcome):
    call = new_call()
    phone = dial(INVITE + CHALLENGED + RINGING + ANSWERED + referred(*says) + HUNG_UP, call, headers=signed(stack, call),
                 login=(USER, PASSWORD))
    watch.wait_for("turn.agent", call, timeout_s=60)
    stack.control("openai", tool_calls=ASK)
    rtp.say(voice.trim(voice.speak(QUESTION)))
    refer = phone.wait_message("REFER")
    stack.control("openai", tool_calls=None)
    assert f"sip:{SALES}@127.0.0.1:" in refer, refer
    assert told(call, 2) == [("started", None), outcome]
    if outcome[0] == "bridged":
        phone.wait()  # LiveKit's SIP service hangs up
        reason = wait(lambda: [e for a in stack.agents for e in a.logged("call.ended", call=call)], 40, "it has let go")[0]["reason"]
        assert reason == "transferred"
        return
    back = comes_back(watch, call)
    print(f"\n{says}: the agent said: {back['data']['heard']}")
    stack.close_room(call)
    phone.wait()


def test_a_telephone_that_is_referred_comes_back_from_a_busy_line_and_stays_with_one_that_answers(stack, watch, told, colleague):
    """baresip does what it is told: it dials the other address itself, and reports how that went."""
    sid = stack.place_call(LEO.number)
    phone = stack.phone(sid)
    phone.wait_active()
    watch.wait_for("turn.agent", phone.call, timeout_s=40)
    phone.wait_quiet()
    stack.control("openai", tool_calls=ASK)
    colleague.answers("486 Busy Here")
    phone.say(voice.trim(voice.speak(QUESTION)))
    assert told(phone.call, 2) == [("started", None), ("busy", None)]
    stack.control("openai", tool_calls=None)
    said = comes_back(watch, phone.call)["data"]["heard"]
    phone.wait_quiet()
    assert voice.words(said), "the phone heard it"
    colleague.answers(None)
    stack.control("openai", tool_calls=ASK)
    phone.say(voice.trim(voice.speak(QUESTION)))
    assert told(phone.call, 4)[2:] == [("started", None), ("bridged", None)]
    stack.control("openai", tool_calls=None)
    phone.wait_end(40)
    assert stack.wait_row(sid, "ended", 40)
    agent = wait(lambda: [e for a in stack.agents for e in a.logged("call.ended", call=phone.call)], 40, "it has let go")
    assert agent[0]["reason"] == "transferred"
