"""An admin moves a user between the stacks in the console: the plan, the steps as they come, the way back."""

import pytest

from harness.browser import DESKTOP, PHONE, Browser, violations
from harness.sip_leg import wait
from test_switching import ADMIN, Person, others, responder, stack  # noqa: F401 - fixtures


@pytest.fixture(scope="module")
def browser():
    with Browser() as b:
        yield b


@pytest.fixture
def ada(stack):  # noqa: F811
    return Person(stack)


def opened(stack, browser, person, size=DESKTOP):  # noqa: F811
    url = stack.daemons["stack-switcher"].url
    return browser.page(f"{url}/admin/users/{person.id}", stack.token(ADMIN, app_metadata={"role": "admin"}), size)


def stack_of(person) -> str:
    return person.stack.sql("select active_voice_stack::text from public.agent_configs where user_id = %s", person.id)[0][0]


def test_the_plan_is_shown_and_changes_nothing(stack, others, ada, browser):  # noqa: F811
    with opened(stack, browser, ada) as page:
        page.get_by_role("button", name="Switch to Retell…").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_role("heading", name="Switching stacks will recreate agent. Continue?").wait_for()
        dialog.get_by_text("Max tokens").wait_for()
        dialog.get_by_text("Retell has no such limit").wait_for()
        assert "a minute" in dialog.inner_text()
        assert not violations(page)
        dialog.get_by_role("button", name="Cancel").click()
    assert stack_of(ada) == "livekit" and not stack.sql("select 1 from patchbay.switches where user_id = %s", ada.id)


@pytest.fixture
def window(stack):  # noqa: F811
    switcher = stack.daemons["stack-switcher"]

    def set_to(value: str) -> None:
        switcher.env["PAT_SWITCH_WINDOW"] = value
        switcher.restart()
    yield set_to
    set_to("24h")


@pytest.mark.parametrize("value,shown", [("24h", "24 hours"), ("72h", "3 days"), ("90m", "90 minutes"), ("0", None)])
def test_how_long_the_old_agent_is_kept_is_as_it_is_set(stack, others, ada, browser, window, value, shown):  # noqa: F811
    window(value)
    with opened(stack, browser, ada) as page:
        page.get_by_role("button", name="Switch to Retell…").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Delete once its calls are over").wait_for()
        keep = dialog.get_by_label("to be able to go back")
        assert (keep.locator("xpath=..").inner_text().strip() == f"Keep for {shown}, to be able to go back") if shown else keep.count() == 0
        assert dialog.locator("input[name=retire]:checked").get_attribute("value") == ("keep" if shown else "delete")


def test_an_admin_switches_watches_and_goes_back(stack, others, ada, browser):  # noqa: F811
    with opened(stack, browser, ada) as page:
        page.get_by_text("Using LiveKit").first.wait_for()
        page.get_by_role("button", name="Switch to Retell…").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Why (for the audit)").fill("wants to be there")
        dialog.get_by_role("button", name="Switch to Retell").click()
        page.locator(".course li.done", has_text="Calls in flight have ended").wait_for()
        page.get_by_text("You can go back until").wait_for()
        wait(lambda: page.get_by_text("Using Retell").count() > 0, 20, "the badge")
        assert stack_of(ada) == "retell"
        assert not violations(page)
        page.get_by_role("button", name="Roll back").click()
        page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
        page.locator(".switching").get_by_text("Rolled back").wait_for()
        wait(lambda: page.get_by_text("Using LiveKit").count() > 0, 20, "the badge, back")
    assert stack_of(ada) == "livekit"
    told = "select outcome, why from patchbay.switches where user_id = %s"
    wait(lambda: stack.sql(told, ada.id) == [("rolled_back", "wants to be there")], 30, "the outcome, once what it made is put away")


def test_a_held_switch_waits_for_promotion_on_a_phone_too(stack, others, ada, browser):  # noqa: F811
    with opened(stack, browser, ada, PHONE) as page:
        page.get_by_role("button", name="Switch to Retell…").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Stop before the cut-over").check()
        dialog.get_by_label("Delete once its calls are over").check()
        dialog.get_by_role("button", name="Switch to Retell").click()
        page.get_by_text("Held: nothing happens until you promote it.").wait_for()
        assert stack_of(ada) == "livekit"
        page.get_by_role("button", name="Promote").click()
        page.get_by_role("dialog").get_by_role("button", name="Promote").click()
        wait(lambda: stack_of(ada) == "retell", 30, "cut over")
        page.locator(".switching").get_by_text("Retired").wait_for()
        page.get_by_role("button", name="Menu").click()
        page.get_by_role("link", name="Switches").click()
        page.get_by_role("heading", name="Switches").wait_for()
        assert not violations(page)


def test_back_at_another_user_nothing_of_this_ones_switch_is_there(stack, others, ada, browser):  # noqa: F811
    bob = Person(stack)
    with opened(stack, browser, ada) as page:
        page.get_by_text("Using LiveKit").first.wait_for()
        page.evaluate("path => { history.pushState(null, '', path); dispatchEvent(new PopStateEvent('popstate')); }", f"/admin/users/{bob.id}")
        page.get_by_role("button", name="Switch to Retell…").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Stop before the cut-over").check()
        dialog.get_by_role("button", name="Switch to Retell").click()
        page.get_by_text("Held: nothing happens until you promote it.").wait_for()
        with page.expect_response(lambda r: f"/v1/switches?user_id={ada.id}" in r.url):
            page.go_back()
        page.get_by_role("button", name="Switch to Retell…").wait_for()
        wait(lambda: page.get_by_role("button", name="Switch to Retell…").is_enabled(), 20, "ada has no switch")
        assert page.get_by_role("button", name="Promote").count() == 0
        page.go_forward()
        page.get_by_role("button", name="Abort").click()
        page.get_by_role("dialog").get_by_role("button", name="Abort").click()
        page.locator(".switching").get_by_text("Aborted").wait_for()


def test_a_login_that_ends_while_a_switch_is_watched_asks_for_another(stack, others, ada, browser):  # noqa: F811
    daemon = stack.daemons["stack-switcher"]
    with browser.page("about:blank", stack.token(ADMIN, app_metadata={"role": "admin"}), faults_ok=True) as page:
        page.goto(f"{daemon.url}/admin/users/{ada.id}")
        page.get_by_role("button", name="Switch to Retell…").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Stop before the cut-over").check()
        dialog.get_by_role("button", name="Switch to Retell").click()
        page.get_by_text("Held: nothing happens until you promote it.").wait_for()
        # A server that comes back and is too busy is asked again; one that no longer knows the token has us log in.
        refusals = iter([429, 503])
        page.route("**/v1/switches/*/events", lambda r: r.fulfill(status=next(refusals, 401), body="{}"))
        daemon.restart()
        page.get_by_text("Nobody can log in yet").wait_for()
        assert next(refusals, None) is None
