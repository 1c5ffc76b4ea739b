"""The console in Chromium: what people see and do, on three widths, and who is let in."""

import gzip
import json
import os
import re
import urllib.error
import urllib.request
import uuid

import psycopg
import pytest

from harness.browser import DESKTOP, PHONE, TABLET, Browser, violations
from harness.postgres import OWNER
from harness.sip_leg import wait
from harness.stack import ADMIN, LEO, RITA, Stack
from test_stack_switcher import call_id, seed_calls, token

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")
MANY = 10_000


class Switcher(Stack):
    """The stack-switcher alone and its database."""

    settings: dict[str, str] = {}

    def _start_daemons(self, relay_port: int) -> None:
        logins = json.dumps([{"label": "Rita", "token": token(self, RITA.id)}])
        self._daemon("stack-switcher", "PAT_SWITCHER_LISTEN", {
            "PAT_SUPABASE_JWT_SECRET": self.jwt_secret, "PAT_CONSOLE_DEMO_LOGINS": logins,
            "PAT_CONSOLE_HELP_URL": "https://help.example/stacks"} | self.settings).start()

    def _script_doubles(self) -> None:
        pass

    @property
    def url(self) -> str:
        return self.daemons["stack-switcher"].url

    def setting(self, user, column: str):
        return self.sql(f"select {column} from public.agent_configs where user_id = %s", user.id)[0][0]


@pytest.fixture(scope="module")
def stack():
    with Switcher(BUILD, with_livekit=False) as s:
        seed_calls(s)
        yield s


@pytest.fixture(scope="module")
def browser():
    with Browser() as b:
        yield b


@pytest.fixture
def tokens(stack):
    return {"leo": token(stack, LEO.id), "rita": token(stack, RITA.id),
            "admin": token(stack, ADMIN, app_metadata={"role": "admin"})}


# ---------------------------------------------------------------------- logging in


def test_a_demo_lets_you_choose_who_to_be(stack, browser):
    with browser.page(stack.url) as page:
        page.get_by_role("button", name="Rita").click()
        page.get_by_text("Using Retell (Preset voices only)").wait_for()
        page.get_by_role("button", name="Log out").click()
        page.get_by_role("button", name="Rita").wait_for()


def test_a_login_page_elsewhere_comes_back_with_a_token(stack, browser, tokens):
    with browser.page(f"{stack.url}/calls#access_token={tokens['leo']}&token_type=bearer") as page:
        page.get_by_role("heading", name="Calls").wait_for()
        assert "access_token" not in page.url


def test_a_token_that_is_no_longer_good_asks_to_log_in_again(stack, browser):
    with browser.page(f"{stack.url}/agent", token(stack, LEO.id, secret="another secret of enough bytes, thirty two"), faults_ok=True) as page:
        page.get_by_role("button", name="Rita").wait_for()


# ---------------------------------------------------------------------- the agent


@pytest.mark.parametrize("user, badge", [(RITA, "Using Retell (Preset voices only)"), (LEO, "Using LiveKit (Custom voices enabled)")])
def test_the_badge_says_which_stack_and_leads_to_help(stack, browser, user, badge):
    with browser.page(f"{stack.url}/agent", token(stack, user.id)) as page:
        link = page.get_by_role("link", name=badge)
        assert link.get_attribute("href") == "https://help.example/stacks"


def test_what_is_typed_is_saved_and_can_be_taken_back(stack, browser, tokens):
    before = stack.setting(LEO, "greeting_template")
    with browser.page(f"{stack.url}/agent", tokens["leo"]) as page:
        page.get_by_label("Greeting").fill("Good day, this is {name}'s line.")
        page.get_by_role("button", name="Undo").wait_for()
        assert stack.setting(LEO, "greeting_template") == "Good day, this is {name}'s line."
        page.get_by_role("button", name="Undo").click()
        wait(lambda: stack.setting(LEO, "greeting_template") == before, 20, "the old greeting")
        wait(lambda: page.get_by_label("Greeting").input_value() == before, 20, "the old greeting, shown")


def test_every_kind_of_setting_is_saved(stack, browser, tokens):
    with browser.page(f"{stack.url}/agent", tokens["leo"]) as page:
        page.get_by_label("Style").select_option("casual")
        page.get_by_label("Put unknown callers through").check()
        page.get_by_text("Advanced").click()
        page.get_by_label("Creativity").fill("0.3")
        page.get_by_label("Background sound").select_option("coffee-shop")
        wait(lambda: (stack.setting(LEO, "response_style"), stack.setting(LEO, "transfer_unknown_callers"),
                      float(stack.setting(LEO, "temperature")), stack.setting(LEO, "ambient_sound")) ==
             ("casual", True, 0.3, "coffee-shop"), 20, "all four saved")


def test_a_refused_setting_says_so_at_its_field(stack, browser, tokens):
    before = stack.setting(LEO, "greeting_template")
    with browser.page(f"{stack.url}/agent", tokens["leo"], faults_ok=True) as page:
        page.get_by_label("Greeting").fill("x" * 1001)
        page.locator("#set-greeting_template-help", has_text="at most 1000 bytes").wait_for()
    assert stack.setting(LEO, "greeting_template") == before


def test_two_people_on_one_page_do_not_undo_each_other(stack, browser, tokens):
    with browser.page(f"{stack.url}/agent", tokens["leo"], faults_ok=True) as page:
        page.get_by_label("Name", exact=True).wait_for()
        stack.sql("update public.agent_configs set agent_name = 'Set elsewhere' where user_id = %s", LEO.id)
        page.get_by_label("Name", exact=True).fill("Typed here")
        page.get_by_text("Somebody else has changed this agent").wait_for()
        wait(lambda: page.get_by_label("Name", exact=True).input_value() == "Set elsewhere", 20, "what the other set")
    assert stack.setting(LEO, "agent_name") == "Set elsewhere"


# ---------------------------------------------------------------------- admins


def test_an_admins_pages_are_not_for_others(stack, browser, tokens):
    with browser.page(f"{stack.url}/admin/users", tokens["leo"]) as page:
        page.get_by_label("Greeting").wait_for()  # his own page instead
        assert page.get_by_text("Admin", exact=True).count() == 0
        assert page.get_by_text("rita@example.com").count() == 0


def test_users_are_found_and_opened(stack, browser, tokens):
    with browser.page(f"{stack.url}/admin/users", tokens["admin"]) as page:
        page.get_by_text("rita@example.com").wait_for()
        page.get_by_label("Search").fill(LEO.number)
        page.get_by_text("1 user", exact=True).wait_for()
        assert page.get_by_text("rita@example.com").count() == 0
        page.get_by_role("link", name="Leo").click()
        page.get_by_role("heading", name="Leo").wait_for()
        page.get_by_text("Answers " + LEO.number).wait_for()
        page.get_by_text("Talking").wait_for()
        page.go_back()
        page.get_by_label("Search").wait_for()
        assert page.get_by_label("Search").input_value() == LEO.number


def test_ten_thousand_users_stay_findable(stack, browser, tokens):
    with psycopg.connect(stack.pg.url(OWNER, "patchbay"), autocommit=True) as db:
        db.execute("insert into auth.users (id, email) select md5('u' || n)::uuid, 'u' || n || '@many.example' "
                   "from generate_series(1, %s) n on conflict do nothing", (MANY,))
        try:
            with browser.page(f"{stack.url}/admin/users", tokens["admin"]) as page:
                page.get_by_text("10,002 users").wait_for()
                assert page.locator("tbody tr").count() == 50
                page.get_by_role("button", name="More").click()
                wait(lambda: page.locator("tbody tr").count() == 100, 20, "a second page")
                names = page.locator("tbody tr td:first-child").all_inner_texts()
                assert names == sorted(names, key=str.lower) and len(set(names)) == 100
                page.get_by_label("Search").fill("u9999@")
                page.get_by_role("link", name="u9999", exact=True).wait_for()
                page.get_by_label("Search").fill("")
                page.get_by_label("Stack").select_option("retell")
                page.get_by_text("1 user", exact=True).wait_for()
        finally:
            db.execute("delete from auth.users where email like '%%@many.example'")


def test_a_call_is_told_from_its_events(stack, browser, tokens):
    with browser.page(f"{stack.url}/calls", tokens["leo"]) as page:
        page.locator(f"a[href='/calls/{call_id(1)}']").click()
        page.get_by_role("heading", name="Call from +15550109999").wait_for()
        page.get_by_text("All of it about: Leaves LiveKit, goes to Retell").click()
        page.get_by_text('"to": "retell"').wait_for()


# ---------------------------------------------------------------------- quality

PAGES = [("/", None), ("/agent", "leo"), ("/calls", "leo"), (f"/calls/{call_id(1)}", "leo"), ("/admin/users", "admin"),
         (f"/admin/users/{LEO.id}", "admin"), ("/admin/health", "admin")]


@pytest.mark.parametrize("size, dark", [(PHONE, False), (TABLET, True), (DESKTOP, False)], ids=["phone", "tablet-dark", "desktop"])
@pytest.mark.parametrize("path, who", PAGES)
def test_every_page_is_accessible_on_every_width(stack, browser, tokens, path, who, size, dark):
    with browser.page(stack.url + path, who and tokens[who], size, dark) as page:
        page.wait_for_load_state("networkidle")
        page.locator("h1").first.wait_for()
        assert not violations(page)
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{wide} pixels wider than the window"


def test_nothing_jumps_while_a_page_loads(stack, browser, tokens):
    with browser.page(f"{stack.url}/agent", tokens["leo"]) as page:
        page.get_by_label("Greeting").wait_for()
        shift = page.evaluate("""() => new Promise(done => new PerformanceObserver(list =>
            done(list.getEntries().reduce((n, e) => n + e.value, 0))).observe({type: 'layout-shift', buffered: true})
            || setTimeout(() => done(0), 500))""")
        assert shift < 0.1


def fetch(url: str, **headers) -> tuple[int, dict, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as r:
            return r.status, {k.lower(): v for k, v in r.headers.items()}, r.read()
    except urllib.error.HTTPError as e:
        return e.code, {k.lower(): v for k, v in e.headers.items()}, e.read()


def test_the_policy_lets_nothing_foreign_run(stack):
    for path in ("/", "/agent", "/admin/users"):
        _, headers, body = fetch(stack.url + path)
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'" and policy["script-src"] == policy["style-src"] == "'self'"
        assert policy["frame-ancestors"] == "'none'" and "unsafe" not in headers["content-security-policy"]
        assert not re.search(rb"<script(?![^>]*src=)|style=|onload=", body)


def test_files_are_small_kept_and_asked_for_only_when_changed(stack):
    total, (_, headers, page) = 0, fetch(stack.url + "/")
    assert headers["cache-control"] == "no-cache"
    for path in re.findall(rb'(?:src|href)="(/assets/[^"]+)"', page):
        _, plain, text = fetch(stack.url + path.decode())
        _, packed, small = fetch(stack.url + path.decode(), **{"Accept-Encoding": "gzip, br"})
        assert "content-encoding" not in plain and packed["content-encoding"] == "gzip" and gzip.decompress(small) == text
        assert "immutable" in packed["cache-control"]
        assert fetch(stack.url + path.decode(), **{"If-None-Match": packed["etag"]})[0] == 304
        total += len(small)
    assert 0 < total < 150_000
    assert fetch(stack.url + "/assets/main-AAAAAAAA.js")[0] == 404


# ---------------------------------------------------------------------- the API behind it


def call(stack, method: str, path: str, bearer: str, body=None, **headers) -> tuple[int, dict]:
    request = urllib.request.Request(stack.url + path, None if body is None else json.dumps(body).encode(),
                                     {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"} | headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as r:
            return r.status, json.loads(r.read())
    except urllib.error.HTTPError as e:
        return e.code, json.loads(e.read())


def test_another_users_agent_is_not_there(stack, tokens):
    path, before = f"/v1/users/{RITA.id}/agent", stack.setting(RITA, "temperature")
    assert call(stack, "GET", path, tokens["leo"])[0] == 404
    assert call(stack, "PATCH", path, tokens["leo"], {"temperature": 0.9})[0] == 404
    assert stack.setting(RITA, "temperature") == before
    assert call(stack, "GET", "/v1/users", tokens["leo"])[0] == 403
    assert call(stack, "PATCH", path, tokens["admin"], {"temperature": 0.9})[0] == 200


@pytest.mark.parametrize("body, field", [({"temperature": 2}, "temperature"), ({"active_voice_stack": "livekit"}, "active_voice_stack"),
                                         ({"user_id": str(LEO.id)}, "user_id"), ({}, None), ({"prompt": "x"}, "prompt")])
def test_what_may_not_be_written_is_named(stack, tokens, body, field):
    before = stack.sql("select to_jsonb(c) from public.agent_configs c where user_id = %s", LEO.id)
    status, answer = call(stack, "PATCH", f"/v1/users/{LEO.id}/agent", tokens["leo"], body)
    assert status == 400 and answer["error"].get("field") == field
    assert stack.sql("select to_jsonb(c) from public.agent_configs c where user_id = %s", LEO.id) == before


def test_a_change_needs_the_version_it_was_made_on(stack, tokens):
    path = f"/v1/users/{LEO.id}/agent"
    version = call(stack, "GET", path, tokens["leo"])[1]["version"]
    status, answer = call(stack, "PATCH", path, tokens["leo"], {"temperature": 0.5}, **{"If-Match": f'"{version}"'})
    assert status == 200 and answer["version"] > version and answer["settings"]["temperature"] == 0.5
    status, answer = call(stack, "PATCH", path, tokens["leo"], {"temperature": 0.6}, **{"If-Match": f'"{version}"'})
    assert (status, answer["error"]["field"]) == (412, "If-Match")
    assert float(stack.setting(LEO, "temperature")) == 0.5


@pytest.mark.parametrize("user,token_of,known,unknown", [
    (LEO, "leo", ["openai-Nova", "alloy", "'alloy'", "Sarah", "EXAVITQu4vr4xnSDxMaL", "11labs-Kate", "kate", "9BWtsMINqrJLrRacOk9x"],
     ["nobody at all", "11labs-Nobody", "openai-Kate", "11labs-", "../../v1/user?x=", "abcdefghij1234", "openai-abcdefghij12345678"]),
    (RITA, "rita", ["11labs-Adrian", "adrian", "openai-nova", "EXAVITQu4vr4xnSDxMaL"],
     ["nobody at all", "11labs-Nobody", "openai-Kate", "9BWtsMINqrJLrRacOk9x"])])
def test_a_voice_the_stack_does_not_know_is_refused(stack, tokens, user, token_of, known, unknown):
    path, mine = f"/v1/users/{user.id}/agent", tokens[token_of]
    before = stack.setting(user, "voice_id")
    try:
        for voice in known:
            assert call(stack, "PATCH", path, mine, {"voice_id": voice})[0] == 200, voice
        for voice in unknown:
            status, answer = call(stack, "PATCH", path, mine, {"voice_id": voice, "temperature": 0.9})
            assert (status, answer["error"]["field"]) == (400, "voice_id"), voice
            assert user.stack in answer["error"]["message"]
        assert stack.setting(user, "voice_id") == known[-1]
        # One he has, and nobody knows any more, is in nobody's way.
        stack.sql("update public.agent_configs set voice_id = 'Bygone' where user_id = %s", user.id)
        assert call(stack, "PATCH", path, mine, {"voice_id": "Bygone", "agent_name": "Pat"})[0] == 200
    finally:
        stack.sql("update public.agent_configs set voice_id = %s where user_id = %s", before, user.id)


def test_nobody_speaks_with_somebody_elses_clone(stack, tokens):
    clone = "Zz" + uuid.uuid4().hex[:18]
    stack.sql("insert into public.voices (user_id, voice_id, voice_name, is_cloned) values (%s, %s, 'Rita''s', true)", RITA.id, clone)
    for spelling in (clone, f"11labs-{clone}"):
        status, answer = call(stack, "PATCH", f"/v1/users/{LEO.id}/agent", tokens["leo"], {"voice_id": spelling})
        assert (status, answer["error"]["field"]) == (400, "voice_id")
    assert call(stack, "PATCH", f"/v1/users/{RITA.id}/agent", tokens["rita"], {"voice_id": clone})[0] == 200
