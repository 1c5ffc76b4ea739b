"""The zero-downtime test's judge: which stack a caller may meet while his user is moved (harness/zero.py)."""

import pytest

from harness.zero import may_serve

BOTH = {"retell", "livekit"}
MOVES = [(100.0, 100.1, "livekit"), (200.0, 207.0, "retell"), (300.0, 300.1, "livekit"), (303.0, 303.1, "retell")]


@pytest.mark.parametrize("at, who", [
    (50, {"retell"}), (99, BOTH), (101, BOTH),
    (102.2, {"livekit"}),  # all knew it for 2.1 s
    (206.9, BOTH),  # not all knew it: a router had just lost Postgres
    (207.1, {"retell"}),
    (302.5, BOTH), (306, {"retell"}),
])
def test_both_stacks_until_all_routers_know_and_then_one(at, who):
    assert may_serve("retell", MOVES, at) == who
