"""Callers keep coming while users are switched back and forth and every daemon is killed -9 in turn: does anybody notice?

Judged from outside: by the sound each caller gets (harness/crowd.py) and by the carrier's own account of each call. Calls
go to users on Retell, to users on LiveKit and to users who are being switched all the time. A daemon that was killed is
started again RESTART_S later, as a supervisor does. build/test/zero-downtime.json has the figures, the table is printed.

PAT_SEED repeats a run's order of kills, PAT_ZERO_RATE and PAT_ZERO_SECONDS change the load.
"""

import os
import random
import time
from pathlib import Path

import pytest

from harness import zero
from harness.crowd import Crowd
from harness.stack import ROOT

BUILD = Path(os.environ.get("PAT_BUILD_DIR", ROOT / "build/dev"))


@pytest.fixture(autouse=True)
def nobody_on_the_line():
    """The suite that other tests here share is not started."""


def fire(rate: float, seconds: float, kill_every_s: tuple[float, float], strict: bool = False) -> None:
    seed = int(os.environ.get("PAT_SEED", "0")) or random.randrange(1, 1000000)
    rate = float(os.environ.get("PAT_ZERO_RATE", rate))
    seconds = float(os.environ.get("PAT_ZERO_SECONDS", seconds))
    print(f"\nPAT_SEED={seed}, {rate:.0f} calls a minute for {seconds:.0f} s")
    with zero.ZeroStack(BUILD) as stack, Crowd(stack, seed) as crowd:
        stack.point_carrier(crowd.gate.port)
        users = stack.make_users(each=4)
        stack.warm_up(crowd, users)
        switches, killer = zero.Switches(stack, users["moved"]), zero.Killer(stack, seed, kill_every_s)
        crowd.begin([u.number for trio in zip(*users.values()) for u in trio], rate)
        began = time.time()
        with switches, killer:
            killer.run_until(began + seconds)
        stack.all_up()
        crowd.end()
        report = zero.Report(stack, crowd, users, switches, killer, began, strict)
        report.settle()
        report.write(ROOT / "build/test/zero-downtime.json", {"seed": seed, "rate_per_min": rate, "seconds": seconds})
        print(report.table())
        report.check()


@pytest.mark.timeout(300)
def test_nobody_is_left_without_a_voice():
    fire(80, 45, (2.0, 4.0))


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_nobody_is_left_without_a_voice_for_ten_minutes():
    fire(200, 600, (4.0, 10.0), strict=True)
