"""An admin moves many users in the console: the plan, the start, live counts and gates, stop and way back."""

import pytest

from harness.browser import DESKTOP, PHONE, TABLET, Browser, violations
from harness.sip_leg import wait
from test_rollouts import ADMIN, NO_GATES, begin, held, others, people, responder, stack, until  # noqa: F401 - fixtures


@pytest.fixture(scope="module")
def browser():
    with Browser() as b:
        yield b


def opened(stack, browser, path, size=DESKTOP, dark=False):  # noqa: F811
    url = stack.daemons["stack-switcher"].url
    return browser.page(f"{url}{path}", stack.token(ADMIN, app_metadata={"role": "admin"}), size, dark)


def outcome(stack, name):  # noqa: F811
    return stack.sql("select outcome from patchbay.rollouts where name = %s", name)


def test_a_rollout_is_planned_started_approved_and_taken_back(stack, browser):  # noqa: F811
    people(stack, 3, name="Console")
    with opened(stack, browser, "/admin/rollouts") as page:
        page.get_by_label("Name", exact=True).fill("From the console")
        page.get_by_label("Search").fill("console")
        page.get_by_label("Steps, in percent").fill("34, 100")
        for gate in ("Failed calls, percentage points", "Response time, percent", "Cost per minute, percent"):
            page.get_by_label(gate).fill("")
        page.get_by_label("A step takes, minutes").fill("0")
        page.get_by_label("Test calls to the first").fill("0")  # nobody is there who could place one
        page.get_by_label("And to one in").fill("0")
        page.get_by_label("Ask me before each further step").check()
        page.get_by_role("button", name="Show the plan").click()
        page.get_by_role("heading", name="The plan").wait_for()
        assert page.locator(".plan").get_by_text("of 3").count() == 1
        assert stack.sql("select 1 from patchbay.rollouts where name = 'From the console'") == []
        assert not violations(page)
        page.get_by_role("button", name="Start").click()
        page.get_by_role("heading", name="From the console").wait_for()
        page.locator(".alert", has_text="The next step waits for approval").wait_for()
        page.get_by_text("2 of 3 moved").wait_for()
        assert not violations(page)
        page.get_by_role("button", name="Go on").click()
        page.get_by_role("dialog").get_by_role("button", name="Go on").click()
        page.get_by_role("heading", name="Completed").wait_for()
        page.get_by_text("3 of 3 moved").wait_for()
        page.get_by_role("button", name="Everybody back").click()
        page.get_by_role("dialog").get_by_role("button", name="Everybody back").click()
        page.get_by_role("heading", name="Rolled back").wait_for()
    wait(lambda: outcome(stack, "From the console") == [("rolled_back",)], 30, "all are back")


def test_gates_are_shown_as_they_stand(stack, browser):  # noqa: F811
    cohort = people(stack, 2, name="Gated")
    for p in cohort:
        p.calls(40, "retell", failed=1)
    r = begin(stack, cohort, steps=[{"count": 1}], name="Gated", gates={"failure_rate": {"margin": 0.05, "min_calls": 30}, "bake_s": 600})
    cohort[0].calls(2, "livekit")
    until(stack, r, lambda x: x["gates"] and x["settled_at"], "it is measured")
    for size, dark in ((DESKTOP, False), (TABLET, True), (PHONE, False)):
        with opened(stack, browser, f"/admin/rollouts/{r['id']}", size, dark) as page:
            page.get_by_text("Inconclusive", exact=True).first.wait_for()
            page.get_by_text("too few calls on the").first.wait_for()
            page.get_by_role("link", name="Gated").first.wait_for()
            assert not violations(page)
            # Nothing but a table of its own may be wider than the window.
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            if size == PHONE:
                page.get_by_role("button", name="Stop here").click()
                page.get_by_role("dialog").get_by_role("button", name="Stop here").click()
                page.get_by_role("heading", name="Aborted").wait_for()
    wait(lambda: outcome(stack, "Gated") == [("aborted",)], 30, "it is stopped")


def test_a_bad_list_is_named_and_a_plan_that_changed_is_made_again(stack, browser):  # noqa: F811
    p, = people(stack, 1, name="Listed")
    with opened(stack, browser, "/admin/rollouts", PHONE) as page:
        page.get_by_label("A list of user ids").check()
        page.get_by_label("User ids", exact=True).fill(p.id)
        page.get_by_role("button", name="Show the plan").click()
        page.get_by_role("heading", name="The plan").wait_for()
        page.get_by_label("User ids", exact=True).fill("nobody")
        page.get_by_role("button", name="Show the plan").wait_for()
        assert not violations(page)
    assert p.on() == "retell"
