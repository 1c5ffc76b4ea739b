import os
from pathlib import Path

import pytest

from harness import sip_service
from harness.fresh import pytest_runtest_teardown  # noqa: F401
from harness.phone_stack import PhoneStack
from harness.rtp import Rtp
from harness.sip_leg import wait
from harness.sipp import Sipp
from harness.stack import ROOT
from harness.watch import Watch


def pytest_collection_modifyitems(items):
    why = sip_service.missing()
    for item in items:
        if why and item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="module")
def stack():
    with PhoneStack(Path(os.environ.get("PAT_BUILD_DIR", ROOT / "build/dev"))) as s:
        s.change_leo(functions={"send_dtmf": True})
        yield s
        ended_badly = [d.name for d in s.daemons.values() if not d.process.alive()]
        assert not ended_badly, "\n".join(s.daemons[n].process.tail() for n in ended_badly)


@pytest.fixture(autouse=True)
def nobody_on_the_line(stack):
    """A test that failed in the middle of its call does not leave it to the next one."""
    yield
    for phone in list(stack.gate.dialogs.values()):
        if phone.reason is None:
            phone.hang_up()
    wait(stack.all_idle, 60, "the agents have let their calls go")


@pytest.fixture
def watch(stack):
    with Watch(stack.nats.url) as w:
        yield w


@pytest.fixture
def rtp():
    with Rtp() as r:
        yield r


@pytest.fixture
def dial(stack, rtp, tmp_path):
    phones = []

    def go(steps, call, **more):
        phones.append(Sipp(tmp_path / f"sipp{len(phones)}", steps, stack.sip.address, call, rtp, **more))
        return phones[-1]
    yield go
    for p in phones:
        p.stop()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """A failure shows what the daemons logged, and the SIP service."""
    report = (yield).get_result()
    item.call_failed = report.when == "call" and report.failed
    stack = item.funcargs.get("stack") if hasattr(item, "funcargs") else None
    if item.call_failed and stack:
        for d in stack.daemons.values():
            if d.process:
                report.sections.append((f"log of {d.name}", d.process.tail(15)))
        report.sections.append(("log of livekit-sip", stack.sip.said(40)))
