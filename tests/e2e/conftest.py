import os
from pathlib import Path

import pytest

from harness.fresh import pytest_runtest_teardown  # noqa: F401
from harness.stack import ROOT, Stack
from harness.watch import Watch


@pytest.fixture(scope="module")
def stack():
    """Everything, up. A module shares one; what it breaks it mends."""
    with Stack(Path(os.environ.get("PAT_BUILD_DIR", ROOT / "build/dev")),
               daemons={"router": {"PAT_ROUTER_DIAL_TIMEOUT_S": "5"}}) as s:
        yield s
        ended_badly = [d.name for d in s.daemons.values() if not d.process.alive()]
        assert not ended_badly, "\n".join(s.daemons[n].process.tail() for n in ended_badly)


@pytest.fixture(autouse=True)
def nobody_on_the_line(stack):
    """A test that failed in the middle of its call does not leave it to the next one."""
    yield
    for leg in list(stack.gate.legs.values()):
        if leg.reason is None:
            stack.hang_up(leg.invite["call_id"])
            leg.wait_end()


@pytest.fixture
def watch(stack):
    with Watch(stack.nats.url) as w:
        yield w


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """A failure shows what the daemons logged."""
    report = (yield).get_result()
    item.call_failed = report.when == "call" and report.failed
    stack = item.funcargs.get("stack") if hasattr(item, "funcargs") else None
    if item.call_failed and stack:
        for d in stack.daemons.values():
            if d.process:
                report.sections.append((f"log of {d.name}", d.process.tail(60)))
