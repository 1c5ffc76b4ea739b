"""The menu: at the side, and on a phone a bar of five with a sheet above it; with the keyboard, in both colours."""

import pytest

from harness.browser import DESKTOP, PHONE, TABLET, Browser, violations
from harness.stack import ADMIN, LEO, RITA, Stack
from test_rollouts import BUILD

ADMINS = {"Overview", "Users", "Calls", "Health", "Switches", "Rollouts", "Usage", "Prices", "Invoices", "Webhooks", "Audit"}


@pytest.fixture(scope="module")
def stack():
    with Stack(BUILD, with_livekit=False) as s:
        yield s


@pytest.fixture(scope="module")
def browser():
    with Browser() as b:
        yield b


def opened(stack, browser, path, who=ADMIN, size=DESKTOP, dark=False, admin=True):
    token = stack.token(who, **({"app_metadata": {"role": "admin"}} if admin else {}))
    return browser.page(f"{stack.daemons['stack-switcher'].url}{path}", token, size, dark)


def main_menu(page):
    return page.get_by_role("navigation", name="Main")


@pytest.mark.parametrize("size,dark", [(DESKTOP, False), (TABLET, True)])
def test_at_the_side_everything_is_there_in_groups(stack, browser, size, dark):
    with opened(stack, browser, "/admin/rates", RITA.id, size, dark) as page:
        menu = main_menu(page)
        menu.wait_for()
        assert menu.get_by_role("group").count() == 5 and menu.get_by_role("link").count() == 1 + 4 + len(ADMINS)  # the brand too
        assert menu.get_by_role("group", name="Money").get_by_role("link").all_inner_texts() == ["$\nUsage", "¤\nPrices", "≟\nInvoices"]
        assert menu.locator("[aria-current=page]").inner_text().endswith("Prices")
        assert not page.get_by_role("button", name="Menu").is_visible() and not violations(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("dark", [False, True])
def test_on_a_phone_five_are_at_hand_and_the_rest_is_one_touch_away(stack, browser, dark):
    with opened(stack, browser, "/admin/rollouts", size=PHONE, dark=dark) as page:
        bar = page.get_by_role("navigation", name="Quick")
        button = bar.get_by_role("button", name="Menu")
        button.wait_for()
        assert [t.split("\n")[-1] for t in bar.get_by_role("link").all_inner_texts()] == ["Overview", "Users", "Calls", "Health"]
        assert button.get_attribute("aria-expanded") == "false" and not main_menu(page).is_visible()
        button.click()
        main_menu(page).wait_for()
        assert {t.split("\n")[-1] for t in main_menu(page).get_by_role("link").all_inner_texts()} == ADMINS
        # All of it is seen at once, nothing scrolls, and nothing under it can be reached.
        assert page.evaluate("(e => e.scrollHeight <= e.clientHeight && document.documentElement.scrollWidth <= innerWidth)(document.querySelector('.places'))")
        assert page.evaluate("document.querySelector('main').inert") and not violations(page)
        main_menu(page).get_by_role("link", name="Audit").click()
        page.get_by_role("heading", name="Audit").wait_for()
        assert not main_menu(page).is_visible() and not page.evaluate("document.querySelector('main').inert")


def test_by_keyboard(stack, browser):
    with opened(stack, browser, "/admin/rollouts", size=PHONE) as page:
        button = page.get_by_role("button", name="Menu")
        button.focus()
        page.keyboard.press("Enter")
        main_menu(page).wait_for()
        page.wait_for_selector(".places [aria-current]:focus")  # where one is
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent").strip().endswith("Usage")
        page.keyboard.press("Escape")
        main_menu(page).wait_for(state="hidden")
        assert button.evaluate("e => e === document.activeElement") and button.get_attribute("aria-expanded") == "false"
        page.keyboard.press("Enter")
        page.wait_for_selector(".places [aria-current]:focus")
        page.keyboard.press("Enter")
        main_menu(page).wait_for(state="hidden")


def test_a_window_that_grows_has_no_sheet(stack, browser):
    with opened(stack, browser, "/admin/users", size=PHONE) as page:
        page.get_by_role("button", name="Menu").click()
        main_menu(page).wait_for()
        page.set_viewport_size({"width": DESKTOP[0], "height": DESKTOP[1]})
        page.wait_for_selector("main:not([inert])")
        assert main_menu(page).is_visible() and not page.get_by_role("button", name="Menu").is_visible()


def test_a_user_has_his_own_and_leaves_from_there(stack, browser):
    with opened(stack, browser, "/calls", LEO.id, PHONE, admin=False) as page:
        bar = page.get_by_role("navigation", name="Quick")
        bar.wait_for()
        assert [t.split("\n")[-1] for t in bar.get_by_role("link").all_inner_texts()] == ["Agent", "Calls", "Usage", "Webhooks"]
        assert bar.locator("[aria-current=page]").inner_text().endswith("Calls")
        bar.get_by_role("button", name="Menu").click()
        page.locator(".veil").click(position={"x": 5, "y": 5})
        main_menu(page).wait_for(state="hidden")
        bar.get_by_role("button", name="Menu").click()
        main_menu(page).get_by_role("button", name="Log out").click()
        main_menu(page).wait_for(state="detached")
