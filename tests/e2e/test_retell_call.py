"""A call of a user on Retell: registered, dialled by that very id, and told by Retell's own signed webhooks."""

from harness import events
from harness.sip_leg import wait
from harness.stack import RITA


def test_a_call_is_served_by_retell(stack, watch):
    sid = stack.place_call(RITA.number)
    stack.wait_story(sid, "ended")
    row = stack.wait_row(sid, "ended")
    call = str(row["id"])

    registered = [e for e in stack.double_log("retell", "registered") if e["request"]["metadata"]["call_id"] == call]
    assert len(registered) == 1
    assert registered[0]["request"]["metadata"]["user_id"] == str(RITA.id)
    assert stack.dialled(sid) == registered[0]["call_id"] == row["retell_call_id"]
    assert row["stack"] == "retell" and not row["fallback"]

    watch.wait_for("call.ended", call)
    wait(lambda: len(watch.of("webhook.received", call)) == 3, 20, "three webhooks are in")
    record = wait(lambda: stack.row("select * from public.call_records where id = %s and call_successful", call), 20,
                  "the call's record has Retell's analysis")
    assert record["retell_call_id"] == row["retell_call_id"] and record["call_sid"] == sid
    assert record["user_id"] == RITA.id and record["status"] == "completed" and record["transcript"]
    assert stack.row("select count(*) as n from public.call_records where user_id = %s and call_sid = %s", RITA.id, sid)["n"] == 1

    counts = watch.counts(call)
    for kind in ("offered", "routed", "answered", "ended"):
        assert counts[f"pat.call.v1.{kind}.{RITA.id}.{call}"] == 1, counts
    assert not watch.repeated(call)
    for e in watch.events:
        events.validate({k: v for k, v in e.items() if k != "_subject"}, e["_subject"])


def test_the_carrier_is_answered_within_its_limits(stack):
    answers = []
    for _ in range(5):
        sid = stack.place_call(RITA.number)
        answers.append(stack.wait_story(sid, "answer")["answer_ms"])
        stack.wait_story(sid, "ended")
    assert max(answers) < 2000  # the carrier gives up after 5 s; Retell's double takes no time
