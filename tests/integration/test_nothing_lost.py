"""kill -9 at random under load: what was acknowledged is told, in the order of its call, and in exactly one record.

The sender and the receiver are processes of their own (harness/outside.py); they count, the suite is what is killed.
"""

import json
import os
import random
import sys
import time
from pathlib import Path

import pytest

from harness import outside
from harness.postgres import Postgres
from harness.process import Process
from harness.sip_leg import wait
from harness.stack import RITA, Stack

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")


class Relay(Stack):
    """The relay alone; a commit of its database survives the death of the server."""

    def _postgres(self) -> Postgres:
        return Postgres({"synchronous_commit": "on"})

    def _start_daemons(self, relay_port: int) -> None:
        self._daemon("webhook-relay", "PAT_RELAY_LISTEN", self._livekit_env() | {
            "PAT_RETELL_WEBHOOK_KEY": self.retell_key, "PAT_LOG_LEVEL": "warn"}).start()

    def _script_doubles(self) -> None:
        pass


def kill_relay(stack) -> None:
    relay = stack.daemons["webhook-relay"]
    relay.kill()
    relay.start(ready=False)


def kill_nats(stack) -> None:
    stack.nats.kill()
    stack.nats.start()


def kill_postgres(stack) -> None:
    stack.pg.kill()
    stack.pg.start()


def lines(path: Path) -> list[dict]:
    """Whole ones: the last may be half written."""
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def by_call(entries: list[dict], key: str) -> dict[str, list]:
    out: dict[str, list] = {}
    for e in entries:
        out.setdefault(e["call"], []).append(e[key])
    return out


def told_in_order(heard: list[dict]) -> dict[str, list[str]]:
    """Webhooks of each call in the order the stream has them; one that is there twice counts where it came first."""
    calls: dict[str, dict[str, int]] = {}
    for e in heard:
        first = calls.setdefault(e["call"], {})
        first[e["webhook"]] = min(e["seq"], first.get(e["webhook"], e["seq"]))
    return {call: sorted(seqs, key=seqs.get) for call, seqs in calls.items()}


def under_fire(stack, folder: Path, rate: float, seconds: float, seed: int) -> tuple[list[dict], list[dict], dict[str, int]]:
    """What was acknowledged, what was heard, and who was killed how often."""
    rng, kills = random.Random(seed), {"relay": 0, "nats": 0, "postgres": 0}
    victims = {"relay": kill_relay, "nats": kill_nats, "postgres": kill_postgres}
    python = [sys.executable, "-P", outside.__file__]  # -P: the folder of the script has a nats.py of its own
    sent, heard = folder / "sent", folder / "heard"
    receiver = Process("receiver", [*python, "receive", stack.nats.url, heard], folder / "receiver.log", {}).start()
    sender = Process("sender", [*python, "send", stack.daemons["webhook-relay"].url, str(RITA.id), rate, seconds, sent],
                     folder / "sender.log", {"PAT_RETELL_WEBHOOK_KEY": stack.retell_key}).start()
    try:
        until, bag = time.monotonic() + seconds - 5, []
        while time.monotonic() < until:
            bag = bag or rng.sample(sorted(victims), 3)  # each as often as the others
            name = bag.pop()
            time.sleep(rng.uniform(0.5, 3.5))
            victims[name](stack)
            kills[name] += 1
        assert sender.wait(seconds + outside.GIVE_UP_S + 30) == 0, sender.tail()
        n = len(lines(sent))
        wait(lambda: len({e["webhook"] for e in lines(heard)}) >= n, 90, f"all {n} are heard of")
    finally:
        receiver.stop()
        sender.stop()
    return lines(sent), lines(heard), kills


def check(stack, sent: list[dict], heard: list[dict]) -> None:
    accepted = by_call(sent, "n")
    wait(lambda: stack.sql("select count(*) from patchbay.webhook_inbox where state = 'received'") == [(0,)], 90, "all are used")
    stored: dict[str, list[str]] = {}
    for call, webhook in stack.sql("select convert_from(body, 'UTF8')::jsonb #>> '{call,metadata,call_id}', id::text "
                                   "from patchbay.webhook_inbox order by received_at, id"):
        stored.setdefault(call, []).append(webhook)
    # Acknowledged: stored once, however often it was sent, and told in that order.
    assert {c: len(v) for c, v in stored.items()} == {c: len(v) for c, v in accepted.items()}
    assert {c: v for c, v in told_in_order(heard).items() if v != stored.get(c)} == {}
    assert {c for c in accepted if c not in told_in_order(heard)} == set()
    # One record each, and it says what came last.
    records = stack.sql("select id::text, retell_call_id, call_summary, transcript, status from public.call_records")
    assert sorted(r[0] for r in records) == sorted(accepted)
    assert len({r[1] for r in records}) == len(records)
    for call, _, summary, transcript, status in records:
        last = accepted[call][-1]
        assert f"This is number {last}." in transcript, (call, last)
        assert (summary, status) == ((f"Summary of {call}." if last == 4 else None), "completed" if last >= 3 else "in-progress")
    assert stack.sql("select different from patchbay.rebuild_calls(null, null, null, null, 1000000, false)") == [(0,)]
    assert stack.sql("select count(*) from patchbay.outbox where published_at is null") == [(0,)]


def fire(tmp_path: Path, rate: float, seconds: float, seed: int) -> None:
    with Relay(BUILD, with_livekit=False) as stack:
        sent, heard, kills = under_fire(stack, tmp_path, rate, seconds, seed)
        check(stack, sent, heard)
        print(f"{len(sent)} acknowledged ({len(sent) / seconds:.0f}/s), {len(heard)} heard, killed: {kills}")
        assert len(sent) > 200 and min(kills.values()) >= 1


@pytest.mark.timeout(300)
def test_nothing_that_was_acknowledged_is_lost(tmp_path):
    """As long as a part of CI may take, and slower than the machine could: it is shared, and the relay is instrumented."""
    fire(tmp_path, 120, 30, int(os.environ.get("PAT_SEED", "0")) or random.randrange(1, 1000000))


@pytest.mark.soak
@pytest.mark.timeout(1500)
def test_nothing_that_was_acknowledged_is_lost_in_ten_minutes(tmp_path):
    fire(tmp_path, 500, 600, int(os.environ.get("PAT_SEED", "0")) or random.randrange(1, 1000000))
