"""SIP to the letter (SIPp): who is let in, a caller who does not wait, calls nobody prepared, and who says BYE."""

import uuid

from harness import voice
from harness.phone_stack import PASSWORD, USER, signed
from harness.rough import new_call
from harness.sip_leg import wait
from harness.sipp import ANSWERED, CANCEL, CHALLENGED, HANG_UP, HUNG_UP, INVITE, RINGING, pause, refused
from harness.stack import LEO

GREETING = "hello this is the assistant of leo how can i help you"


def ended(stack, call: str) -> dict:
    return wait(lambda: [e for a in stack.agents for e in a.logged("call.ended", call=call)], 60, "the agent lets go")[0]


def nobody_served(stack, call: str) -> bool:
    return not any(a.logged("call.joining", call=call) for a in stack.agents)


def test_who_has_no_login_or_another_one_is_not_let_in(stack, dial):
    call = new_call()
    dial(INVITE + CHALLENGED + refused(401), call, headers=signed(stack, call), login=(USER, "not the password")).wait()
    dial(INVITE + CHALLENGED + refused(401), call, headers=signed(stack, call), login=("somebody", PASSWORD)).wait()
    dial(INVITE + refused(407), call, headers=signed(stack, call)).wait()
    assert nobody_served(stack, call)


def test_a_call_nobody_prepared_is_served_from_its_headers(stack, watch, dial, rtp):
    """The room is made by the SIP leg, the agent is named by the dispatch rule, what it knows comes with the INVITE."""
    call = new_call()
    phone = dial(INVITE + CHALLENGED + RINGING + ANSWERED + HUNG_UP, call, headers=signed(stack, call), login=(USER, PASSWORD))
    watch.wait_for("turn.agent", call, timeout_s=60)
    stack.close_room(call)
    phone.wait()
    ended(stack, call)
    assert voice.hear(rtp.heard.since(0), [GREETING, *voice.sentences()[:20]], 8000) == GREETING
    context = sorted((e["time"], e["from"]) for a in stack.agents for e in a.logged("call.context", call=call))
    assert context[0][1] == "headers"


def test_forged_headers_are_not_believed(stack, dial):
    call = new_call()
    phone = dial(INVITE + CHALLENGED + RINGING + ANSWERED + pause(100) + HANG_UP, call,
                 headers=signed(stack, call, "another secret of thirty-two characters"), login=(USER, PASSWORD))
    wait(lambda: any(a.logged("call.headers_forged", call=call) for a in stack.agents), 40, "it is seen")
    phone.wait()
    assert ended(stack, call)["reason"] == "caller_hangup"
    assert not any(a.logged("call.context", call=call, **{"from": "headers"}) for a in stack.agents)


def test_a_caller_who_does_not_wait_is_let_go(stack, dial):
    """CANCEL while it rings: no agent is registered under that name, so nobody answers."""
    for a in stack.agents:
        a.stop()
    try:
        call = new_call()
        dial(INVITE + CHALLENGED + RINGING + pause(1500) + CANCEL, call, login=(USER, PASSWORD)).wait()
    finally:
        for a in stack.agents:
            a.start()
    assert nobody_served(stack, call)


def test_the_carriers_caller_gives_up_while_it_rings(stack, watch):
    """The same through the carrier: its row ends as not answered, and the agents hold nothing."""
    for a in stack.agents:
        a.stop()
    try:
        sid = stack.place_call(LEO.number, f"+1555{uuid.uuid4().int % 10**7:07d}")
        phone = stack.phone(sid)
        wait(lambda: phone.trunk.seen("SIP/2.0 180", "service"), 20, "it rings")
        stack.hang_up(sid)
        wait(lambda: phone.trunk.seen("CANCEL", "phone"), 20, "the invitation is taken back")
        wait(lambda: phone.trunk.seen("SIP/2.0 487", "service"), 20, "and that is acknowledged")
    finally:
        for a in stack.agents:
            a.start()
    row = stack.wait_row(sid, "ended")
    assert row["answered_at"] is None and row["outcome"] != "answered", row
    assert watch.wait_for("call.ended", phone.call)["data"]["owner"] == "caller"
