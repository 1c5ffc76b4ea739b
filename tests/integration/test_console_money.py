"""Prices, costs counted again, and budgets in Chromium: an admin's pages, on three widths."""

import os
import re
import uuid

import pytest

from harness.browser import DESKTOP, PHONE, TABLET, Browser, violations
from harness.sip_leg import wait
from harness.stack import ADMIN, LEO
from test_console import Switcher
from test_stack_switcher import token

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")


@pytest.fixture(scope="module")
def stack():
    with Switcher(BUILD, with_livekit=False) as s:
        call = uuid.uuid4()
        s.sql("insert into patchbay.calls (id, user_id, direction, state, stack, offered_at, ended_at, duration_ms, from_number, to_number) "
              "values (%s, %s, 'inbound', 'ended', 'livekit', now() - interval '2 hours', now() - interval '1 hour', 60000, "
              "'+15550109999', %s)", call, LEO.id, LEO.number)
        s.sql("insert into patchbay.usage (id, call_id, user_id, leg, component, provider, account, model, unit, quantity_milli, used_at) "
              "values (gen_random_uuid(), %s, %s, 'livekit', 'stt', 'deepgram', 'deepgram', 'nova-3', 'second', 60000000, "
              "now() - interval '2 hours')", call, LEO.id)
        s.sql("select patchbay.project_call(%s)", call)
        s.sql("insert into patchbay.invoices (vendor, day, theirs, asked_at, error) values ('deepgram', current_date - 1, 1200000, now(), "
              "null), ('openai', current_date - 1, 4000000, now() - interval '3 hours', null), ('openai', current_date - 2, null, null, "
              "'status 500')")
        s.call = call
        yield s


@pytest.fixture(scope="module")
def browser():
    with Browser() as b:
        yield b


@pytest.fixture
def admin(stack):
    return token(stack, ADMIN, app_metadata={"role": "admin"})


def shoot(page, name: str) -> None:
    if os.environ.get("PAT_SCREENSHOTS"):
        page.screenshot(path=f"{os.environ['PAT_SCREENSHOTS']}/{name}.png", full_page=True)


def total(stack):
    return stack.sql("select (metadata #>> '{patchbay,cost,microusd,total}')::bigint from public.call_records where id = %s", stack.call)[0][0]


def test_a_price_is_added_and_calls_are_counted_again(stack, browser, admin):
    before = total(stack)
    with browser.page(f"{stack.url}/admin/rates", admin, faults_ok=True) as page:  # the API refuses once, and the browser logs it
        page.get_by_role("button", name="New price for deepgram stt nova-3", exact=True).click()
        page.get_by_label("Price in dollars").fill("a lot")
        page.get_by_role("button", name="Put it in the book").click()
        page.get_by_text("Must be an amount in dollars").wait_for()
        page.get_by_label("Price in dollars").fill("0.0042")
        page.get_by_label("From", exact=False).last.fill("2026-01-01T00:00")
        page.get_by_role("button", name="Put it in the book").click()
        page.get_by_text("1 to 300").wait_for()  # where it was read is missing
        page.get_by_label("Where the figure was read").fill("contract of January")
        shoot(page, "rates-dialog")
        assert not violations(page)
        page.get_by_role("button", name="Put it in the book").click()
        page.get_by_text("contract of January").wait_for()
        page.get_by_text("ours holds").wait_for()

        page.get_by_role("button", name="See what would change").click()
        page.get_by_text("1 of 1 calls would come out otherwise").wait_for()
        shoot(page, "rates-rerate")
        assert total(stack) == before
        page.get_by_role("button", name="Count them again").click()
        page.get_by_role("button", name="Count again", exact=True).click()
        page.get_by_text("came out otherwise").wait_for()
        wait(lambda: total(stack) == before - 600_000, 30, "counted again")

        page.get_by_role("button", name="End deepgram stt nova-3").click()
        page.get_by_role("button", name="End it").click()
        wait(lambda: stack.sql("select count(*) from patchbay.rates where valid_to is not null")[0][0] == 1, 30, "ended")
        page.get_by_label("Which").select_option("past")
        page.get_by_text("contract of January").wait_for()


def test_a_budget_is_set_and_seen(stack, browser, admin):
    with browser.page(f"{stack.url}/admin/users/{LEO.id}", admin) as page:
        budget = page.locator("pb-budget")
        budget.get_by_label("A month, in dollars").fill("4 dollars")
        budget.get_by_role("button", name="Set the budget").click()
        budget.get_by_text("Must be an amount in dollars").wait_for()
        budget.get_by_label("A month, in dollars").fill("4.50")
        budget.get_by_role("button", name="Set the budget").click()
        budget.get_by_text("of $4.50").wait_for()
        wait(lambda: stack.sql("select monthly_microusd from patchbay.user_budgets where user_id = %s", LEO.id) == [(4_500_000,)], 30, "stored")
        budget.get_by_text("Calls are not served now").wait_for()


def test_a_price_for_customers_is_set_a_user_put_on_it_and_both_are_in_the_audit(stack, browser, admin):
    with browser.page(f"{stack.url}/admin/rates", admin) as page:
        retail = page.locator("pb-retail")
        retail.get_by_text("No price is set.").wait_for()
        for tier, dollars in (("standard", "0.12"), ("gold", "0.15")):
            if retail.get_by_label("Tier").is_hidden():
                retail.get_by_text("Set a price", exact=True).click()
            retail.get_by_label("Tier").fill(tier)
            retail.get_by_label("Dollars a minute").fill("a lot")
            retail.get_by_role("button", name="Set the price").click()
            retail.get_by_text("Must be an amount in dollars").wait_for()
            retail.get_by_label("Dollars a minute").fill(dollars)
            retail.get_by_role("button", name="Set the price").click()
            retail.get_by_role("row", name=re.compile(f"^{tier} .*In force")).wait_for()
        retail.get_by_label("Tier").fill("gold")
        retail.get_by_label("Dollars a minute").fill("0.2")
        retail.get_by_label("From").fill("2099-01-01T00:00")
        retail.get_by_role("button", name="Set the price").click()
        retail.get_by_role("row", name=re.compile("^gold .*To come")).wait_for()
        shoot(page, "retail")
        assert not violations(page)
        retail.get_by_role("button", name="Remove the price of gold").click()
        page.get_by_role("button", name="Take it away").click()
        retail.get_by_role("row", name=re.compile("^gold .*To come")).wait_for(state="detached")
        wait(lambda: stack.sql("select tier, microusd_per_minute from patchbay.retail_prices order by 1") == [("gold", 150_000), ("standard", 120_000)], 30, "stored")
    with browser.page(f"{stack.url}/admin/users/{LEO.id}", admin) as page:
        charged = page.locator("pb-tier")
        charged.get_by_text("$0.12 a minute now").wait_for()
        charged.get_by_label("Tier").select_option("gold")
        charged.get_by_text("$0.15 a minute now").wait_for()
        wait(lambda: stack.sql("select tier from patchbay.user_tiers where user_id = %s", LEO.id) == [("gold",)], 30, "stored")
    with browser.page(f"{stack.url}/admin/audit", admin) as page:
        page.get_by_label("What").select_option("retail")
        page.get_by_text("Retail: tier").wait_for()
        assert page.locator(".timeline li").count() == 5
        page.get_by_text("What changed").first.click()
        row = page.locator(".diff tr", has_text="Tier").first
        row.get_by_text("standard").wait_for()
        row.get_by_text("gold").wait_for()


@pytest.mark.parametrize("size", [PHONE, TABLET, DESKTOP])
def test_everybody_can_use_the_pages(stack, browser, admin, size):
    for path, ready in (("/admin/rates", "Deepgram"), ("/admin/invoices", "OpenAI"), (f"/admin/users/{LEO.id}", "This month")):
        with browser.page(stack.url + path, admin, size, dark=size == TABLET) as page:
            page.get_by_text(ready, exact=True).first.wait_for()
            shoot(page, f"{path.split('/')[2]}-{size[0]}")
            assert not violations(page)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out"
