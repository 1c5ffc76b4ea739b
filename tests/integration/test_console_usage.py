"""Usage and cost in the console: charts, the same as tables, the saving as it is, and a file; one's own, and everybody's."""

import csv
import os
from pathlib import Path

import pytest

from harness.browser import DESKTOP, PHONE, TABLET, Browser, violations
from harness.sip_leg import wait
from harness.stack import ADMIN, LEO, RITA
from test_stack_switcher import call_id, token
from test_usage_api import BUILD, LIVEKIT, RETELL, Switcher, spend


@pytest.fixture(scope="module")
def stack():
    with Switcher(BUILD, with_livekit=False) as s:
        for n in range(1, 13):
            user, name = (LEO, "livekit") if n % 3 else (RITA, "retell")
            spend(s, n, user, name, 900 + 10 * n)
            s.sql("update patchbay.calls set offered_at = offered_at - %s * interval '1 day', answered_at = answered_at - %s * interval '1 day', "
                  "ended_at = ended_at - %s * interval '1 day' where id = %s", n, n, n, call_id(n))
        s.sql("insert into patchbay.calls (id, user_id, stack, state, from_number, to_number) values (%s, %s, 'livekit', 'answered', '+15550109999', %s)",
              call_id(99), LEO.id, LEO.number)
        wait(lambda: s.sql("select count(*) from patchbay.call_costs")[0][0] == 12 and not s.sql("select 1 from patchbay.usage_dirty"), 30, "counted")
        yield s


@pytest.fixture(scope="module")
def browser():
    with Browser() as b:
        yield b


@pytest.fixture
def admin(stack):
    return token(stack, ADMIN, app_metadata={"role": "admin"})


def drawn(page) -> bool:
    """Something is painted in every chart."""
    return page.evaluate("""() => { const all = [...document.querySelectorAll('.chart canvas')]; return all.length === 3 && all.every(c => {
        const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; return d.some((v, i) => i % 4 === 3 && v > 0); }); }""")


def dollars(microusd: int) -> str:
    return f"${microusd / 1e6:,.2f}" if microusd >= 1e6 else f"${microusd / 1e6:.4f}".rstrip("0")


def test_a_user_sees_his_own_and_what_the_saving_rests_on(stack, browser):
    with browser.page(f"{stack.url}/usage", token(stack, LEO.id)) as page:
        page.get_by_role("heading", name="Usage and cost").wait_for()
        page.get_by_role("heading", name="Cost per day").wait_for()
        wait(lambda: drawn(page), 30, "the charts")
        assert page.get_by_text(dollars(8 * LIVEKIT), exact=True).count() >= 1
        saving = page.locator(".card", has=page.get_by_role("heading", name="The two stacks compared"))
        assert f"LiveKit costs {100 * (1 - LIVEKIT / RETELL):.1f}% less than Retell" in saving.inner_text()
        assert "8 on LiveKit: those figures are measured" in saving.inner_text()
        saving.get_by_text("What this rests on").click()
        saving.get_by_text("The agent talks half of the time").wait_for()
        assert page.get_by_role("heading", name="By user").count() == 0
        # The chart's figures are there without eyes, too.
        cost = page.locator(".card", has=page.get_by_role("heading", name="Cost per day"))
        cost.get_by_text("As a table").click()
        assert cost.locator("tbody tr").count() == 8 and dollars(LIVEKIT) in cost.locator("tbody").inner_text()
        cost.get_by_label("by component").check()
        wait(lambda: "Tts chars" in cost.locator("thead").inner_text(), 30, "the components")


def test_an_admin_sees_everybody_and_one_user_at_a_time(stack, browser, admin):
    with browser.page(f"{stack.url}/admin/usage", admin) as page:
        people = page.get_by_role("region", name="By user")
        people.get_by_role("link", name="Rita").click()
        page.get_by_text("one user").wait_for()
        wait(lambda: page.get_by_text(dollars(4 * RETELL), exact=True).count() >= 1, 30, "hers alone")
        assert str(RITA.id) in page.url
        page.get_by_role("button", name="All users").click()
        people.get_by_role("link", name="Leo").wait_for()
        assert "user_id" not in page.url


def test_users_come_fifty_at_a_time(stack, browser, admin):
    day = "2026-01-05"  # nobody else's
    with stack.pg.admin("patchbay") as c:
        c.execute("insert into patchbay.usage_stack_days select gen_random_uuid(), %s, 'livekit', 1, 1, 60000, 1000000 * i, 0, 0, 0, 0, 0, 0, 0, 0 "
                  "from generate_series(1, 120) i", [day])
    with browser.page(f"{stack.url}/admin/usage?from={day}&to={day}", admin) as page:
        people = page.locator(".card", has=page.get_by_role("heading", name="By user"))
        people.get_by_text("The dearest 50 of 120.").wait_for()
        assert people.locator("tbody tr").count() == 50
        people.get_by_role("button", name="More").click()
        people.get_by_text("The dearest 100 of 120.").wait_for()
        people.get_by_role("button", name="More").click()
        wait(lambda: people.locator("tbody tr").count() == 120, 30, "all of them")
        assert people.get_by_role("button", name="More").count() == 0
        assert [r.split("\t")[3] for r in people.locator("tbody").inner_text().splitlines()[:2]] == ["$120.00", "$119.00"]
        assert violations(page) == []


def test_a_chart_has_all_of_its_days(stack, browser):
    """400 days of both stacks, and of none: more than a page."""
    with stack.pg.admin("patchbay") as c:
        c.execute("insert into patchbay.usage_stack_days select %s, date '2024-01-01' + d, s, 1, 1, 60000, 2000000, 0, 0, 0, 0, 0, 0, 0, 0 "
                  "from generate_series(0, 399) d, unnest(array['livekit', 'retell', '']) s", [LEO.id])
    with browser.page(f"{stack.url}/usage?from=2024-01-01&to=2025-02-03", token(stack, LEO.id)) as page:
        cost = page.locator(".card", has=page.get_by_role("heading", name="Cost per day"))
        cost.get_by_text("As a table").click()
        assert cost.locator("tbody tr").count() == 400
        assert [row.split("\t")[1:] for row in cost.locator("tbody").inner_text().splitlines()] == [["$2.00"] * 3] * 400


def test_a_range_of_days_and_a_file(stack, browser, admin, tmp_path):
    with browser.page(f"{stack.url}/admin/usage", admin, faults_ok=True) as page:
        page.get_by_role("heading", name="Cost per day").wait_for()
        page.get_by_role("button", name="7 days").click()
        wait(lambda: "from=" in page.url, 30, "the range is in the address")
        with page.expect_download() as got:
            page.get_by_role("button", name="Download CSV").click()
        got.value.save_as(tmp_path / "usage.csv")
        rows = list(csv.DictReader((tmp_path / "usage.csv").open(newline="")))
        assert 5 <= len(rows) <= 7 and {r["user_name"] for r in rows} == {"Leo", "Rita"}
        page.get_by_label("From").fill("2020-01-01")  # too long ago
        page.get_by_role("alert").wait_for()
        page.get_by_role("button", name="90 days").click()
        wait(lambda: page.get_by_role("alert").count() == 0, 30, "all is well again")


def test_days_of_a_zone(stack, browser):
    zone = "Pacific/Kiritimati"
    today, = stack.sql("select (now() at time zone %s)::date::text", zone)[0]
    with browser.page(f"{stack.url}/usage?tz={zone}", token(stack, LEO.id)) as page:
        page.get_by_text(f"Days are those of {zone}.").wait_for()
        assert page.get_by_label("To", exact=True).input_value() == today and page.get_by_label("Days of").input_value() == zone
        wait(lambda: drawn(page), 30, "the charts")
        page.get_by_label("Days of").select_option("UTC")
        page.get_by_text("Days are those of UTC.").wait_for()
        assert "tz=" not in page.url


def test_a_call_says_what_it_cost_and_would_have_cost(stack, browser):
    with browser.page(f"{stack.url}/calls/{call_id(3)}", token(stack, RITA.id)) as page:
        section = page.locator("pb-call-cost")
        section.get_by_text(dollars(RETELL), exact=True).wait_for()
        assert "On LiveKit it would have cost about" in section.inner_text() and "An estimate" in section.inner_text()
        assert section.locator("tbody tr").count() == 5
        assert violations(page) == []
    with browser.page(f"{stack.url}/calls/{call_id(99)}", token(stack, LEO.id)) as page:
        page.locator("pb-call-cost").get_by_text("Nothing was used").wait_for()


def test_what_has_no_price_is_said(stack, browser):
    stack.sql("update patchbay.usage set model = 'unpriced' where component = 'tts_chars' and call_id = %s", call_id(1))
    wait(lambda: stack.sql("select unpriced from patchbay.call_costs where call_id = %s", call_id(1)) == [(1,)], 30, "counted")
    with browser.page(f"{stack.url}/usage", token(stack, LEO.id)) as page:
        page.get_by_text("Sums are without what has no price: elevenlabs tts chars (unpriced)").wait_for()
    stack.sql("update patchbay.usage set model = 'eleven_flash_v2_5' where component = 'tts_chars' and call_id = %s", call_id(1))
    wait(lambda: stack.sql("select unpriced from patchbay.call_costs where call_id = %s", call_id(1)) == [(0,)], 30, "counted")


@pytest.mark.parametrize("size", [PHONE, TABLET, DESKTOP], ids=["phone", "tablet", "desktop"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_reads_well_for_everybody(stack, browser, admin, size, dark):
    with browser.page(f"{stack.url}/admin/usage", admin, size=size, dark=dark) as page:
        page.get_by_role("heading", name="Cost per day").wait_for()
        wait(lambda: drawn(page), 30, "the charts")
        page.get_by_text("What this rests on").click()
        page.get_by_text("As a table").first.click()
        assert violations(page) == []
        if shots := os.environ.get("PAT_SCREENSHOTS"):
            page.screenshot(path=Path(shots) / f"usage-{size[0]}-{'dark' if dark else 'light'}.png", full_page=True)
        assert page.evaluate("""() => [...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1
            && !e.closest('.scroll')).map(e => e.outerHTML.slice(0, 80))""") == [], "nothing sticks out"
