"""Webhooks to customers: what leaves the relay is verified by the receivers' own libraries, and nothing is lost."""

import base64
import json
import os
import socket
import uuid

import psycopg
import pytest
import svix.webhooks
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from harness import events
from harness.authority import Authority
from harness.postgres import OWNER
from harness.sink import BABBLE, CLOSE, HANG, Sink
from harness.sip_leg import wait
from harness.watch import Watch
from harness.webhooks_out import SETTINGS, Endpoint, Relay, a_user, an_event, good, refused, rpc, tell, verified

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")


@pytest.fixture(scope="module")
def stack():
    with Relay(BUILD, with_livekit=False) as s:
        yield s


@pytest.fixture(scope="module")
def watch(stack):
    with Watch(stack.nats.url) as w:
        yield w


@pytest.fixture
def sink():
    with Sink() as s:
        yield s


@pytest.fixture
def settings(stack):
    """The relay with other settings, until the end of the test."""
    changed = {}

    def change(**new):
        changed.update({k: stack.relay.env.get(k) for k in new})
        stack.relay.env.update(new)
        stack.relay.restart()

    yield change
    if changed:
        for k, v in changed.items():
            stack.relay.env.pop(k) if v is None else stack.relay.env.update({k: v})
        stack.relay.restart()


# ---------------------------------------------------------------------- what is sent


def test_what_arrives_is_verified_by_the_receivers_libraries(stack, watch, sink):
    e = Endpoint(watch, sink.plan("/a", 200))
    event = an_event(e.user, duration_ms=61000, reason="completed")
    tell(watch, event)
    got, = wait(lambda: sink.of("/a"), 30, "it arrives")
    assert verified(got, e.keys["v1"]) == {"type": "call.ended", "timestamp": event["time"], "data": event["data"]}
    assert got.id == event["id"] and got.headers["content-type"] == "application/json"
    assert got.headers["user-agent"].startswith("Patchbay-Webhooks/")
    assert abs(int(got.headers["webhook-timestamp"]) - got.unix) < 60
    with pytest.raises(svix.webhooks.WebhookVerificationError):
        svix.webhooks.Webhook(e.keys["v1"]).verify(got.body.replace(b"61000", b"61001"), got.headers)

    told = wait(lambda: [x for x in watch.of("webhook.delivered") if x["data"]["event_id"] == event["id"]], 30, "it is told")
    events.validate({k: v for k, v in told[0].items() if k != "_subject"}, told[0]["_subject"])
    assert told[0]["data"] | {"duration_ms": 0, "delivery_id": ""} == {
        "user_id": e.user, "endpoint_id": e.id, "event_id": event["id"], "event_type": "call.ended", "attempts": 1,
        "status": 200, "duration_ms": 0, "delivery_id": ""}
    d = e.delivery(event["id"])
    assert d["state"] == "delivered" and d["last_status"] == 200 and d["attempts"] == 1 and not d["last_fault"]
    assert [a["status"] for a in d["log"]] == [200] and json.loads(d["payload"])["type"] == "call.ended"


def test_ed25519_is_verified_with_the_public_key_alone(watch, sink):
    e = Endpoint(watch, sink.plan("/a", 200), signing=["v1a", "v1"])
    event, = tell(watch, an_event(e.user))
    got, = wait(lambda: sink.of("/a"), 30, "it arrives")
    signatures = dict(s.split(",", 1) for s in got.headers["webhook-signature"].split(" "))
    assert set(signatures) == {"v1", "v1a"}
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(e.keys["v1a"].removeprefix("whpk_"), validate=True))
    text = f"{event}.{got.headers['webhook-timestamp']}.".encode() + got.body
    key.verify(base64.b64decode(signatures["v1a"], validate=True), text)
    with pytest.raises(InvalidSignature):
        key.verify(base64.b64decode(signatures["v1a"]), text + b" ")
    verified(got, e.keys["v1"])  # whose library knows only v1 is served as well

    only = Endpoint(watch, sink.plan("/b", 200), signing=["v1a"])
    tell(watch, an_event(only.user))
    got, = wait(lambda: sink.of("/b"), 30, "it arrives")
    assert got.headers["webhook-signature"].startswith("v1a,") and " " not in got.headers["webhook-signature"]


def test_an_endpoint_gets_what_it_asked_for_once(watch, sink):
    user = a_user()
    wants = {"/all": ["*"], "/calls": ["call.*"], "/two": ["call.ended", "turn.user"], "/failed": ["*.failed_over"],
             "/other": ["usage.*"]}
    made = {path: Endpoint(watch, sink.plan(path, 200), user, events=w) for path, w in wants.items()}
    stranger = Endpoint(watch, sink.plan("/stranger", 200))
    told = {kind: an_event(user, kind) for kind in ("call.ended", "call.failed_over", "turn.user", "config.changed",
                                                    "usage.recorded", "switch.planned", "voice.cloned")}
    last = an_event(user, "call.ended")
    tell(watch, *told.values())
    # Said again by somebody who did not hear the answer, past what the stream remembers.
    tell(watch, *told.values(), ids=[str(uuid.uuid4()) for _ in told])
    tell(watch, last)
    expected = {"/all": {*told, "last"}, "/calls": {"call.ended", "call.failed_over", "last"},
                "/two": {"call.ended", "turn.user", "last"}, "/failed": {"call.failed_over"}, "/other": {"usage.recorded"}}
    names = {e["id"]: kind for kind, e in told.items()} | {last["id"]: "last"}
    for path, kinds in expected.items():
        wait(lambda: len(set(sink.ids(path))) >= len(kinds), 30, f"{path} has got all")
        assert sorted(names[i] for i in sink.ids(path)) == sorted(kinds), path
        assert len(made[path].deliveries()) == len(kinds)
    assert not sink.of("/stranger") and not stranger.deliveries()


def test_nobody_hears_of_a_test_call(stack, watch, sink):
    e = Endpoint(watch, sink.plan("/a", 200), events=["call.*"])
    rehearsed, real = an_event(e.user, "call.answered"), an_event(e.user, "call.answered")
    stack.sql("insert into patchbay.calls (id, user_id, rehearsal) values (%s, %s, true)", rehearsed["data"]["call_id"], e.user)
    tell(watch, rehearsed, real)
    wait(lambda: sink.of("/a"), 30, "the real one arrives")
    assert sink.ids("/a") == [real["id"]] and len(e.deliveries()) == 1


def test_a_large_or_a_thin_one_has_ids_only(watch, sink):
    thin = Endpoint(watch, sink.plan("/thin", 200), payload="thin")
    full = Endpoint(watch, sink.plan("/full", 200), thin.user)
    call = str(uuid.uuid4())
    small, large = an_event(thin.user, "turn.user", call, text="hello"), an_event(thin.user, "turn.user", call, text="x" * 5000)
    tell(watch, small, large)
    for path, e in (("/thin", thin), ("/full", full)):
        wait(lambda: len(sink.of(path)) == 2, 30, "both arrive")
        by_id = {r.id: verified(r, e.keys["v1"]) for r in sink.of(path)}
        assert by_id[large["id"]]["data"] == {"event_id": large["id"], "call_id": call, "user_id": thin.user, "thin": True}
        want = {"event_id": small["id"], "call_id": call, "user_id": thin.user, "thin": True} if e is thin else small["data"]
        assert by_id[small["id"]]["data"] == want


def test_an_edge_function_gets_the_headers_it_needs(watch, sink):
    url = sink.plan("/functions/v1/calls", 200)
    e = Endpoint(watch, url, kind="edge_function", api_key="sb_publishable_abc", region="eu-central-1")
    assert e.now()["has_api_key"] is True and "sb_publishable" not in json.dumps([e.made, e.now()])
    tell(watch, an_event(e.user))
    got, = wait(lambda: sink.of("/functions/v1/calls"), 30, "it arrives")
    verified(got, e.keys["v1"])
    assert got.headers["apikey"] == "sb_publishable_abc" and got.headers["authorization"] == "Bearer sb_publishable_abc"
    assert got.headers["x-region"] == "eu-central-1"
    assert refused(watch, "endpoint_create", user_id=e.user, url=sink.url("/x"), kind="edge_function") == ("invalid", "url")
    assert refused(watch, "endpoint_update", user_id=e.user, endpoint_id=e.id, url=sink.url("/x")) == ("invalid", "url")


# ---------------------------------------------------------------------- attempts


def test_failures_are_tried_again_and_kept_apart(stack, watch, sink):
    def faults():
        return {w: stack.metric(f'pat_relay_delivery_faults_total{{fault="{w}"}}') for w in ("receiver", "network", "ours")}

    before = faults()
    e = Endpoint(watch, sink.plan("/a", CLOSE, (500, {}, b"no \xc3\xa4pples today"), (302, {"Location": sink.url("/moved")}), 200))
    event, = tell(watch, an_event(e.user))
    wait(lambda: len(sink.of("/a")) == 4, 30, "it is tried four times")
    d = wait(lambda: (d := e.delivery(event))["state"] == "delivered" and d, 30, "and taken")
    assert [(a.get("status"), a.get("fault"), a.get("error")) for a in d["log"]] == [
        (None, "network", "connection_broken"), (500, "receiver", "server_error"), (302, "receiver", "redirect"), (200, None, None)]
    assert {r.id for r in sink.of("/a")} == {event} and not sink.of("/moved")
    assert len({r.body for r in sink.of("/a")}) == 1
    for r in sink.of("/a"):
        verified(r, e.keys["v1"])
    wait(lambda: faults() == {"receiver": before["receiver"] + 2, "network": before["network"] + 1, "ours": before["ours"]},
         20, "the metrics say so")
    assert e.now()["failures"] == 0 and e.now()["last_success_at"]


def test_what_answers_no_http_is_the_receivers_fault(watch, sink):
    e = Endpoint(watch, sink.plan("/a", BABBLE, 200))
    event, = tell(watch, an_event(e.user))
    d = wait(lambda: (d := e.delivery(event)) and d["state"] == "delivered" and d, 30, "the next try is taken")
    assert [(a.get("fault"), a.get("error")) for a in d["log"]] == [("receiver", "no_http"), (None, None)]


def test_retry_after_is_respected_by_the_whole_endpoint(watch, sink):
    e = Endpoint(watch, sink.plan("/a", (429, {"Retry-After": "3"}), 200))
    first, = tell(watch, an_event(e.user))
    d = wait(lambda: (d := e.delivery(first)) and d["last_status"] == 429 and d, 30, "the refusal is noted")
    assert d["state"] == "pending" and e.now()["hold_until"]
    second, = tell(watch, an_event(e.user))
    wait(lambda: len(sink.of("/a")) == 3, 40, "both arrive")
    refused_at = sink.of("/a")[0].at
    assert {r.id for r in sink.of("/a")[1:]} == {first, second}
    assert all(r.at - refused_at >= 2.9 for r in sink.of("/a")[1:])


def test_gone_disables_the_endpoint_and_it_is_told(stack, watch, sink):
    user = a_user()
    gone = Endpoint(watch, sink.plan("/gone", 410, 200), user, events=["call.*"])
    other = Endpoint(watch, sink.plan("/other", 200), user, events=["webhook.*", "call.failed_over"])
    first, = tell(watch, an_event(user))
    notice = wait(lambda: sink.of("/other"), 30, "the user's other endpoint is told")[0]
    body = verified(notice, other.keys["v1"])
    assert body["type"] == "webhook.endpoint_disabled" and body["data"]["endpoint_id"] == gone.id
    assert body["data"]["reason"] == "gone" and body["data"]["url"] == sink.url("/gone")
    told = watch.wait_for("webhook.endpoint_disabled", gone.id, 30)
    events.validate({k: v for k, v in told.items() if k != "_subject"}, told["_subject"])
    assert (gone.now()["state"], gone.now()["state_reason"]) == ("disabled", "gone")
    assert gone.delivery(first)["state"] == "dead" and gone.delivery(first)["last_error"] == "gone"
    failed = wait(lambda: [x for x in watch.of("webhook.failed") if x["data"]["event_id"] == first], 30, "the dead letter is told")
    events.validate({k: v for k, v in failed[0].items() if k != "_subject"}, failed[0]["_subject"])

    _, marker = tell(watch, an_event(user), an_event(user, "call.failed_over"))  # the first is for nobody now
    wait(lambda: marker in sink.ids("/other"), 30, "that has been seen to")
    assert gone.update(state="enabled")["endpoint"]["state"] == "enabled"
    third, = tell(watch, an_event(user))
    wait(lambda: third in sink.ids("/gone"), 30, "enabled again, it gets what comes")
    assert len(sink.of("/gone")) == 2


def test_a_slow_receiver_costs_the_fast_one_nothing(stack, watch, sink):
    user = a_user()
    slow = Endpoint(watch, sink.plan("/slow", HANG), user, timeout_ms=30000, max_concurrency=3)
    fast = Endpoint(watch, sink.plan("/fast", 200), user)
    told = tell(watch, *[an_event(user, n=n) for n in range(150)])
    wait(lambda: len(set(sink.ids("/fast"))) == 150, 60, "the fast one has all")
    assert set(sink.ids("/fast")) == set(told)
    # All that time the slow one has answered nothing, and never held more than its places.
    assert not [p for p, _ in sink.answered if p == "/slow"]
    assert 1 <= sink.most_waiting <= 3
    assert slow.now()["pending"] == 150
    sink.release()
    wait(lambda: len(set(sink.ids("/slow"))) == 150, 60, "then it gets all as well")
    wait(lambda: not slow.now()["pending"], 30, "and has taken them")


def test_a_time_out_is_the_receivers_fault(watch, sink):
    e = Endpoint(watch, sink.plan("/a", HANG, 200), timeout_ms=1000)
    event, = tell(watch, an_event(e.user))
    d = wait(lambda: (d := e.delivery(event)) and d["state"] == "delivered" and d, 30, "the second attempt is taken")
    assert d["log"][0]["error"] == "timed_out" and d["log"][0]["fault"] == "receiver"
    assert d["log"][0]["ms"] >= 1000


def test_an_endpoint_that_fails_for_days_is_disabled_with_notice(stack, watch, sink, settings):
    settings(PAT_RELAY_OUT_DISABLE_AFTER="1s")
    e = Endpoint(watch, sink.plan("/a", 500))
    fine = Endpoint(watch, sink.plan("/b", 500, 500, 500, 200), e.user)
    tell(watch, an_event(e.user), an_event(e.user))
    wait(lambda: e.now()["state"] == "disabled", 60, "it is disabled")
    assert e.now()["state_reason"] == "failing" and e.now()["failures"] >= 5
    told = watch.wait_for("webhook.endpoint_disabled", e.id, 30)
    assert told["data"]["reason"] == "failing" and told["data"]["failing_since"]
    assert stack.relay.logged("webhook.endpoint_disabled", endpoint=e.id)
    wait(lambda: len([d for d in fine.deliveries() if d["state"] == "delivered"]) == 2, 60, "who recovers stays")
    assert fine.now()["state"] == "enabled" and fine.now()["failing_since"] is None


# ---------------------------------------------------------------------- dead letters


def test_dead_letters_are_kept_and_replayed(watch, sink):
    e = Endpoint(watch, sink.plan("/a", 500))
    first, = tell(watch, an_event(e.user))
    dead = wait(lambda: (d := e.delivery(first)) and d["state"] == "dead" and d, 60, "it is given up")
    assert dead["attempts"] == 4 and len(dead["log"]) == 4 and dead["next_attempt_at"] is None
    failed = wait(lambda: [x for x in watch.of("webhook.failed") if x["data"]["event_id"] == first], 30, "it is told")
    assert failed[0]["data"]["attempts"] == 4 and failed[0]["data"]["fault"] == "receiver"
    assert failed[0]["data"]["error"] == "server_error" and failed[0]["data"]["status"] == 500

    sink.plan("/a", 200)
    assert rpc(watch, "delivery_replay", user_id=e.user, delivery_id=dead["id"]) == {"replayed": 1, "more": False}
    wait(lambda: e.delivery(first)["state"] == "delivered", 30, "the one is delivered")
    verified(sink.of("/a")[-1], e.keys["v1"])
    assert len({r.id for r in sink.of("/a")}) == 1

    sink.plan("/a", 410)
    more = []
    for _ in range(3):
        more += tell(watch, an_event(e.user))
        wait(lambda: e.now()["state"] == "disabled", 30, "it is gone")
        e.update(state="enabled")
    sink.plan("/a", 200)
    assert {d["event_id"] for d in e.deliveries(state="dead")} == set(more) and e.now()["dead"] == 3
    assert refused(watch, "delivery_replay", user_id=a_user(), delivery_id=dead["id"]) == ("not_found", "delivery_id")
    assert rpc(watch, "delivery_replay", user_id=e.user, endpoint_id=e.id, since="2100-01-01T00:00:00Z")["replayed"] == 0
    assert rpc(watch, "delivery_replay", user_id=e.user, endpoint_id=e.id, since="2020-01-01T00:00:00Z") == {"replayed": 3, "more": False}
    wait(lambda: all(e.delivery(i)["state"] == "delivered" for i in more), 30, "all are delivered")
    assert rpc(watch, "delivery_replay", user_id=e.user, endpoint_id=e.id, states=["delivered"], limit=2) == {"replayed": 2, "more": True}


# ---------------------------------------------------------------------- order


def test_in_the_order_of_a_call(watch, sink):
    e = Endpoint(watch, sink.plan("/a", 200), ordering="key")
    calls = [str(uuid.uuid4()) for _ in range(5)]
    told = {c: [] for c in calls}
    batch = []
    for n in range(8):
        for c in calls:
            batch.append(an_event(e.user, ("call.offered", "turn.user", "turn.agent", "call.ended")[n % 4], c, n=n))
            told[c].append(batch[-1]["id"])
    tell(watch, *sorted(batch, key=lambda x: x["type"]))  # stream by stream: not as they happened
    wait(lambda: len(set(sink.ids("/a"))) == 40, 60, "all arrive")
    by_call = {c: [r.id for r in sink.of("/a") if json.loads(r.body)["data"]["call_id"] == c] for c in calls}
    assert by_call == told


def test_a_failing_one_holds_up_its_own_call_only(watch, sink):
    e = Endpoint(watch, sink.plan("/a", 500, 500, 200), ordering="key")
    bad = str(uuid.uuid4())
    first = tell(watch, *[an_event(e.user, key=bad) for _ in range(3)])
    wait(lambda: sink.ids("/a"), 30, "the first is tried")
    others = tell(watch, *[an_event(e.user) for _ in range(3)])
    wait(lambda: set(sink.ids("/a")) >= {*first, *others}, 60, "all arrive")
    once = list(dict.fromkeys(i for i in sink.ids("/a") if i in first))
    assert once == first
    assert sink.ids("/a").index(first[1]) > max(n for n, i in enumerate(sink.ids("/a")) if i == first[0])


def test_in_strict_order_one_after_the_other(watch, sink):
    e = Endpoint(watch, sink.plan("/a", 200, 500, 500, 200), ordering="strict", max_concurrency=10)
    told = tell(watch, *[an_event(e.user) for _ in range(20)])
    wait(lambda: set(sink.ids("/a")) == set(told), 60, "all arrive")
    assert list(dict.fromkeys(sink.ids("/a"))) == told
    assert sink.ids("/a")[:4] == [told[0], told[1], told[1], told[1]]


# ---------------------------------------------------------------------- secrets


def test_rotation_signs_with_both_for_a_while(stack, watch, sink):
    e = Endpoint(watch, sink.plan("/a", 200))
    old = e.keys["v1"]

    def next_one():
        event, = tell(watch, an_event(e.user))
        return wait(lambda: [r for r in sink.of("/a") if r.id == event], 30, "it arrives")[0]

    new = rpc(watch, "endpoint_rotate", user_id=e.user, endpoint_id=e.id, overlap_s=3600)
    assert new["previous_until"]
    new = new["secrets"][0]["secret"]
    got = next_one()
    assert new != old and good(got, new) and good(got, old) and got.headers["webhook-signature"].count("v1,") == 2
    assert [bool(k["expires_at"]) for k in e.now()["keys"]] == [False, True]

    third = rpc(watch, "endpoint_rotate", user_id=e.user, endpoint_id=e.id, overlap_s=0)["secrets"][0]["secret"]
    got = next_one()
    assert good(got, third) and not good(got, new)
    mine = "whsec_" + base64.b64encode(os.urandom(24)).decode()
    assert rpc(watch, "endpoint_rotate", user_id=e.user, endpoint_id=e.id, secret=mine, overlap_s=60)["secrets"][0]["secret"] == mine
    got = next_one()
    assert good(got, mine) and good(got, third)

    # Nobody is shown one a second time, and no log line has one.
    shown = json.dumps([e.now(), e.deliveries(), e.delivery(got.id)]) + stack.relay.process.log.read_text()
    for secret in (old, new, third, mine):
        assert secret not in shown and secret.removeprefix("whsec_") not in shown
    assert refused(watch, "endpoint_rotate", user_id=e.user, endpoint_id=e.id, scheme="v1a") == ("not_found", "endpoint_id")


# ---------------------------------------------------------------------- whom we talk to


def insert(stack, url: str, user: str) -> str:
    """Past the check of the API: what matters is what the connection does."""
    id_, = stack.sql("insert into patchbay.webhook_endpoints (user_id, url) values (%s, %s) returning id", user, url)[0]
    stack.sql("insert into patchbay.webhook_secrets (endpoint_id, scheme, secret) values (%s, 'v1', %s)", id_,
              "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX")
    return str(id_)


def test_private_addresses_are_not_connected_to(stack, watch, sink, settings):
    settings(PAT_RELAY_OUT_PRIVATE_NETS="false")
    user = a_user()
    for url in ("http://example.com/", "https://127.0.0.1/", "https://10.0.0.1/x", "https://[::1]/", "https://2130706433/",
                "https://169.254.169.254/latest/meta-data", "https://localhost/", "https://example.com:22/"):
        assert refused(watch, "endpoint_create", user_id=user, url=url) == ("invalid", "url"), url
    urls = [sink.url("/x"), sink.url("/x", "localhost"), sink.url("/x", "[::ffff:127.0.0.1]"), sink.url("/x", socket.gethostname())]
    made = [insert(stack, url, user) for url in urls]
    tell(watch, an_event(user))

    def noted():
        return stack.sql("select endpoint_id::text, last_fault, last_error from patchbay.webhook_deliveries "
                         "where user_id = %s and last_error is not null", user)
    wait(lambda: len(noted()) == len(urls), 30, "all were tried")
    for id_, fault, error in noted():
        assert (fault, error) in {("receiver", "not_public"), ("network", "name_not_found")}, urls[made.index(id_)]
    assert sum(e == "not_public" for _, _, e in noted()) >= 3
    assert not sink.requests


def test_certificates_are_checked(stack, watch, settings, tmp_path):
    ca = Authority(tmp_path / "ca")
    ours = ca.issue("sink")
    with Sink(ours.cert, ours.key) as trusted:
        user = a_user()
        e = Endpoint(watch, trusted.url("/a"), user)
        event, = tell(watch, an_event(user))
        d = wait(lambda: (d := e.delivery(event)) and d["last_error"] and d, 30, "it is refused")
        assert (d["last_fault"], d["last_error"]) == ("receiver", "certificate") and not trusted.requests
        settings(PAT_CA_FILE=str(ca.cert))
        second, = tell(watch, an_event(user))
        wait(lambda: second in trusted.ids("/a"), 30, "who trusts the authority gets through")
        verified(trusted.of("/a")[-1], e.keys["v1"])


# ---------------------------------------------------------------------- nothing is lost


def test_kill_9_loses_nothing(stack, watch, sink):
    user = a_user()
    plain = Endpoint(watch, sink.plan("/a", 200), user, timeout_ms=1000)
    strict = Endpoint(watch, sink.plan("/b", 200), user, timeout_ms=1000, ordering="key")
    told = []
    for round_ in range(4):
        told += tell(watch, *[an_event(user, n=n) for n in range(100)])
        # In the middle: some are delivered, some are under way, some not even queued.
        wait(lambda: len(set(sink.ids("/a"))) > len(told) - 90, 60, "some of them arrive")
        stack.relay.kill()
        told += tell(watch, *[an_event(user, n=n) for n in range(20)])
        stack.relay.start()
    for path, e in (("/a", plain), ("/b", strict)):
        wait(lambda: set(sink.ids(path)) == set(told), 90, "every one arrives at least once")
        wait(lambda: not e.now()["pending"], 60, "and is noted as delivered")
    counted = stack.sql("select state, count(*)::integer from patchbay.webhook_deliveries where user_id = %s group by 1", user)
    assert counted == [("delivered", 2 * len(told))]


def test_leaving_in_order_puts_back_what_is_under_way(stack, watch, sink):
    e = Endpoint(watch, sink.plan("/a", HANG), timeout_ms=30000)
    event, = tell(watch, an_event(e.user))
    wait(lambda: sink.of("/a"), 30, "it is under way")
    assert stack.relay.stop() == 0
    row = stack.row("select state, tries, attempts, last_fault, next_attempt_at <= now() as due from patchbay.webhook_deliveries "
                    "where event_id = %s", event)
    assert row == {"state": "pending", "tries": 0, "attempts": 1, "last_fault": "ours", "due": True}
    sink.plan("/a", 200)
    stack.relay.start()
    wait(lambda: e.delivery(event)["state"] == "delivered", 30, "the next one goes on with it")


def test_a_backlog_delays_no_configuration(stack, watch, sink):
    from harness.patdb import add_user
    user, number = uuid.uuid4(), "+15550107777"
    with psycopg.connect(stack.pg.url(OWNER, "patchbay"), autocommit=True) as c:
        add_user(c, user, "busy@example.com", "Busy", number)
        stack_of = "update public.agent_configs set greeting_template = %s where user_id = %s"
        e = Endpoint(watch, sink.plan("/a", HANG), str(user), timeout_ms=30000, events=["call.*"])
        flood = [an_event(str(user), n=n) for n in range(3000)]
        tell(watch, *flood[:1500])
        before = len(watch.of("config.changed"))
        for n in range(10):
            c.execute(stack_of, (f"Hello {n}", user))
            tell(watch, *flood[1500 + n * 150:1650 + n * 150])
        wait(lambda: len(watch.of("config.changed")) - before >= 10, 30, "every change is told")
    assert e.now()["pending"] > 0 and not sink.answered  # and the backlog is all there yet
    rpc(watch, "endpoint_delete", user_id=str(user), endpoint_id=e.id)


def test_two_relays_share_the_work(stack, watch, sink):
    from harness.stack import Daemon
    other = Daemon(stack, "webhook-relay", stack._livekit_env() | SETTINGS, "PAT_RELAY_LISTEN", replica="relay-2").start()
    try:
        made = [Endpoint(watch, sink.plan(f"/{n}", 200), ordering="key" if n % 2 else "none") for n in range(4)]
        told = {e.user: tell(watch, *[an_event(e.user, key="one", n=n) for n in range(50)]) for e in made}
        for n, e in enumerate(made):
            wait(lambda: len(sink.of(f"/{n}")) >= 50, 60, "all arrive")
            assert sorted(sink.ids(f"/{n}")) == sorted(told[e.user])  # by one of them each
            if n % 2:
                assert sink.ids(f"/{n}") == told[e.user]
    finally:
        assert other.stop() == 0


# ---------------------------------------------------------------------- endpoints


def test_endpoints_are_their_owners(watch, sink):
    e = Endpoint(watch, sink.plan("/a", 200), description="mine")
    stranger = a_user()
    assert rpc(watch, "endpoint_list", user_id=stranger) == {"endpoints": []}
    for method in ("endpoint_update", "endpoint_delete", "endpoint_rotate", "endpoint_test"):
        assert refused(watch, method, user_id=stranger, endpoint_id=e.id)[0] == "not_found", method
    assert refused(watch, "endpoint_list", user_id=stranger, endpoint_id=e.id)[0] == "not_found"
    assert e.now()["description"] == "mine" and e.now()["state"] == "enabled"
    for params, field in (({}, "user_id"), ({"user_id": "x"}, "user_id"), ({"user_id": e.user}, "url"),
                          ({"user_id": e.user, "url": sink.url("/b"), "events": ["nothing.*"]}, "events"),
                          ({"user_id": e.user, "url": sink.url("/b"), "timeout_ms": 1}, "timeout_ms"),
                          ({"user_id": e.user, "url": sink.url("/b"), "color": 1}, "color")):
        assert refused(watch, "endpoint_create", **params) == ("invalid", field)
    assert refused(watch, "deliveries", user_id=e.user, state="lost") == ("invalid", "state")
    assert refused(watch, "delivery_replay", user_id=e.user) == ("invalid", "endpoint_id")
    assert refused(watch, "delivery_replay", user_id=e.user, endpoint_id=e.id, since="yesterday, more or less") == ("invalid", "since")

    changed = e.update(events=["call.ended"], ordering="key", timeout_ms=2000, signing=["v1", "v1a"], description=None)
    assert changed["endpoint"]["events"] == ["call.ended"] and changed["endpoint"]["timeout_ms"] == 2000
    assert [s["scheme"] for s in changed["secrets"]] == ["v1a"]  # only what is new is shown
    assert e.update(ordering="none")["secrets"] == []
    assert e.update(state="disabled")["endpoint"]["state_reason"] == "user"
    assert refused(watch, "endpoint_test", user_id=e.user, endpoint_id=e.id)[0] == "not_found"
    assert rpc(watch, "endpoint_delete", user_id=e.user, endpoint_id=e.id)["deleted"] is True
    assert refused(watch, "endpoint_list", user_id=e.user, endpoint_id=e.id)[0] == "not_found"


def test_a_user_has_so_many_endpoints_and_no_more(watch, sink):
    user = a_user()
    for n in range(50):
        Endpoint(watch, sink.url(f"/{n}"), user)
    assert refused(watch, "endpoint_create", user_id=user, url=sink.url("/x")) == ("conflict", "url")


def test_a_test_is_sent_once(watch, sink):
    e = Endpoint(watch, sink.plan("/a", 500), events=["call.ended"])
    made = rpc(watch, "endpoint_test", user_id=e.user, endpoint_id=e.id)
    d = wait(lambda: (d := rpc(watch, "delivery", user_id=e.user, delivery_id=made["delivery_id"]))["state"] == "dead" and d,
             30, "it is sent and refused")
    assert d["attempts"] == 1 and d["type"] == "webhook.test" and len(sink.of("/a")) == 1
    assert verified(sink.of("/a")[0], e.keys["v1"])["type"] == "webhook.test"


def test_what_is_old_goes(stack, watch, sink, settings):
    e = Endpoint(watch, sink.plan("/a", 200))
    old, young = tell(watch, an_event(e.user), an_event(e.user))
    wait(lambda: len(e.deliveries(state="delivered")) == 2, 30, "both are delivered")
    stack.sql("update patchbay.webhook_deliveries set created_at = now() - interval '31 days' where event_id = %s", old)
    stack.sql("update patchbay.webhook_messages set stored_at = now() - interval '31 days' where id = %s", old)
    settings(PAT_RELAY_KEEP_EVERY="300ms")
    wait(lambda: [d["event_id"] for d in e.deliveries()] == [young], 30, "the old one is gone")
    wait(lambda: not stack.sql("select 1 from patchbay.webhook_messages where id = %s", old), 30, "and what it was made of")
