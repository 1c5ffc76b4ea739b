"""Rules for calls in Chromium: they are saved as they are typed, taken back, refused with a reason, and explained."""

import os

import pytest

from harness.browser import DESKTOP, PHONE, TABLET, Browser, violations
from harness.sip_leg import wait
from harness.stack import ADMIN, LEO, RITA
from test_calls_api import BUILD, Switcher
from test_stack_switcher import token

SCREENS = os.environ.get("PAT_SCREENSHOTS")


@pytest.fixture(scope="module")
def stack():
    with Switcher(BUILD, with_livekit=False) as s:
        yield s


@pytest.fixture(scope="module")
def browser():
    with Browser() as b:
        yield b


@pytest.fixture
def page(stack, browser):
    stack.sql("delete from patchbay.user_policies")
    with browser.page(f"{stack.url}/agent", token(stack, LEO.id), faults_ok=True) as p:
        p.get_by_role("heading", name="Call rules").wait_for()
        yield p


def stored(stack, field: str, user=LEO):
    row = stack.row(f"select {field} from patchbay.user_policies where user_id = %s", user.id)
    return row and row[field]


def test_a_number_is_blocked_and_taken_back(stack, page):
    blocked = page.get_by_label("Blocked numbers")
    blocked.fill("+1 (202) 555-0177\n+1900*")
    blocked.blur()
    wait(lambda: stored(stack, "block_list") == ["+12025550177", "+1900*"], 30, "both are stored")
    page.get_by_role("button", name="Undo").click()
    wait(lambda: stored(stack, "block_list") == [], 30, "and taken back")
    blocked.fill("555-0177")
    blocked.blur()
    page.get_by_text("No phone number: 5550177.").wait_for()
    assert stored(stack, "block_list") == []


def test_hours_are_set_by_the_day(stack, page):
    page.get_by_text("Hours (always open)").click()
    page.get_by_label("Calls are taken at certain hours only").check()
    wait(lambda: (stored(stack, "business_hours") or {}).get("fri") == [["09:00", "17:00"]], 30, "the usual week")
    page.get_by_role("button", name="Add hours on Saturday").click()
    page.get_by_label("Saturday, to").fill("12:30")
    page.get_by_role("button", name="Remove Monday, 09:00 to 17:00").click()
    page.get_by_label("Outside those hours").select_option("forward")
    page.get_by_label("The phone that rings then").first.fill("+12025550123")
    page.get_by_label("The phone that rings then").first.blur()
    wait(lambda: (stored(stack, "business_hours").get("sat"), stored(stack, "business_hours").get("mon"), stored(stack, "after_hours"),
                  stored(stack, "after_hours_number")) == ([["09:00", "12:30"]], [], "forward", "+12025550123"), 30, "all of it")
    page.get_by_label("Time zone").fill("Mars/Olympus")
    page.get_by_label("Time zone").blur()
    page.get_by_text("must be a time zone's name").wait_for()
    page.get_by_label("A holiday").fill("2026-12-25")
    page.get_by_role("button", name="Add the day").click()
    wait(lambda: stored(stack, "holidays") == [{"date": "2026-12-25"}], 30, "a holiday")


def test_limits_and_the_way_down(stack, page):
    page.get_by_text("Limits", exact=True).click()
    page.get_by_label("Calls at once").fill("3")
    page.get_by_label("Forwards and transfers may cost a day").fill("2.50")
    page.get_by_label("Countries that may be dialled").fill("us, ca")
    page.get_by_label("Countries that may be dialled").blur()
    wait(lambda: (stored(stack, "max_concurrent"), stored(stack, "daily_forward_cents"), stored(stack, "allowed_countries")) ==
         (3, 250, ["US", "CA"]), 30, "the limits")
    page.get_by_text("When the agent cannot answer").click()
    page.get_by_role("button", name="A message is taken: earlier").click()
    page.get_by_role("button", name="A phone of yours rings: never").click()
    wait(lambda: stored(stack, "fallback") == ["voicemail", "other_stack", "apology"], 30, "another order")


def test_two_people_do_not_undo_each_other(stack, page):
    page.get_by_label("Callers who hide their number").select_option("busy")
    wait(lambda: stored(stack, "withheld") == "busy", 30, "the first")
    stack.sql("update patchbay.user_policies set withheld = 'reject' where user_id = %s", LEO.id)
    page.get_by_label("Callers who are no contact").select_option("voicemail")
    page.get_by_text("Somebody else has changed these rules").wait_for()
    wait(lambda: page.get_by_label("Callers who hide their number").input_value() == "reject", 30, "what the other set")
    assert stored(stack, "unknown") != "voicemail"


def test_an_admin_changes_anothers_rules(stack, browser):
    admin = token(stack, ADMIN, app_metadata={"role": "admin"})
    with browser.page(f"{stack.url}/admin/users/{RITA.id}", admin) as p:
        p.get_by_label("Contacts on the whitelist").select_option("serve")
        wait(lambda: stored(stack, "whitelist", RITA) == "serve", 30, "Rita's")
    assert stack.sql("select actor, user_id from patchbay.audit where action = 'policies.change' order by at desc limit 1") == [
        (str(ADMIN), RITA.id)]


@pytest.mark.parametrize("size, dark", [(PHONE, False), (TABLET, True), (DESKTOP, False)], ids=["phone", "tablet-dark", "desktop"])
def test_the_rules_are_accessible_on_every_width(stack, browser, size, dark):
    stack.sql("delete from patchbay.user_policies")
    with browser.page(f"{stack.url}/agent", token(stack, LEO.id), size, dark) as p:
        p.get_by_text("Hours (always open)").click()
        p.get_by_label("Calls are taken at certain hours only").check()
        for part in ("Limits", "When the agent cannot answer"):
            p.get_by_text(part, exact=True).click()
        p.get_by_role("button", name="Add hours on Sunday").wait_for()
        wait(lambda: stored(stack, "business_hours"), 30, "saved")
        assert not violations(p)
        if SCREENS:
            p.screenshot(path=f"{SCREENS}/policies-{size[0]}.png", full_page=True)
        assert p.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
