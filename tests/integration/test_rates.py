"""The book of prices over HTTP, and costs counted again: who may, what is refused and named, what holds is never changed,
and that a counting goes on where a killed replica left it."""

import datetime
import json
import os
import urllib.error
import urllib.request
import uuid

import psycopg
import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from harness.sip_leg import wait
from harness.stack import ADMIN, LEO, RITA, Daemon, Stack

BUILD = os.environ.get("PAT_BUILD_DIR", "build/dev")
UTC = datetime.timezone.utc
RATE = {"provider": "openai", "component": "llm_in", "model": "homemade", "unit": "token", "price_microusd": 1000, "per": 1000,
        "source": "our contract"}


@pytest.fixture(scope="module")
def stack():
    with Stack(BUILD, with_livekit=False, daemons={"stack-switcher": {"PAT_SWITCHER_WRITES_PER_MIN": "10000"}}) as s:
        yield s


@pytest.fixture(autouse=True)
def blank(stack):
    with psycopg.connect(stack.pg.url(), autocommit=True) as db:
        db.execute("truncate patchbay.rates, patchbay.reratings, patchbay.usage, patchbay.audit")


@pytest.fixture(scope="module")
def api(stack):
    """Every answer is held against /openapi.json."""
    with urllib.request.urlopen(stack.daemons["stack-switcher"].url + "/openapi.json", timeout=10) as r:
        described = json.loads(r.read())
    registry = Registry().with_resource("urn:api", Resource(contents=described, specification=DRAFT202012))

    def ask(method: str, path: str, body=None, bearer: str | None = None, match: str | None = None, at: str | None = None):
        headers = {"Content-Type": "application/json",
                   "Authorization": f"Bearer {bearer or stack.token(ADMIN, app_metadata={'role': 'admin'})}"}
        if match is not None:
            headers["If-Match"] = match
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        url = (at or stack.daemons["stack-switcher"].url) + path
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=30) as r:
                status, etag, answer = r.status, r.headers["ETag"], json.loads(r.read())
        except urllib.error.HTTPError as e:
            status, etag, answer = e.code, None, json.loads(e.read())
        bare = path.partition("?")[0]
        known = described["paths"].get(bare) or described["paths"][bare.rpartition("/")[0] + "/{id}"]
        promised = known[method.lower()]["responses"][str(status)]
        if "$ref" in promised:
            promised = described["components"]["responses"][promised["$ref"].rpartition("/")[2]]
        content = promised["content"]
        schema = json.loads(json.dumps(next(iter(content.values()))["schema"]).replace("#/", "urn:api#/"))
        faults = list(Draft202012Validator(schema, registry=registry).iter_errors(answer))
        assert not faults, f"{faults[0].json_path}: {faults[0].message}"
        return status, etag, answer

    return ask


def later(**delta) -> str:
    return (datetime.datetime.now(UTC) + datetime.timedelta(**delta)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def field(answer: dict) -> str | None:
    return answer["error"].get("field")


# ---------------------------------------------------------------------- the book


def test_the_houses_own_are_told_from_the_shipped_ones_and_go_before_them(stack, api):
    status, _, book = api("GET", "/v1/rates?limit=200")
    assert status == 200 and book["total"] == len(book["rates"]) > 30 and {r["origin"] for r in book["rates"]} == {"shipped"}
    flash = [r for r in book["rates"] if r["model"] == "eleven_flash_v2_5"]
    assert [(r["state"], r["valid_to"]) for r in flash] == [("in_force", None), ("past", flash[0]["valid_from"])]

    status, etag, made = api("POST", "/v1/rates", RATE | {"provider": "elevenlabs", "component": "tts_chars", "unit": "character",
                                                         "model": "eleven_flash_v2_5", "price_microusd": 30000})
    assert (status, etag, made["origin"], made["state"]) == (201, '"1"', "house", "in_force")
    assert api("GET", f"/v1/rates/{made['id']}")[2] == made
    assert api("GET", f"/v1/rates/{flash[0]['id']}")[2]["overruled"] is True
    only = api("GET", "/v1/rates?origin=house&state=in_force&provider=elevenlabs")[2]
    assert [r["id"] for r in only["rates"]] == [made["id"]]
    assert stack.sql("select (patchbay.price_at('elevenlabs', 'elevenlabs', 'tts_chars', 'eleven_flash_v2_5', now())).id::text"
                     )[0][0] == made["id"]
    assert api("PATCH", f"/v1/rates/{flash[0]['id']}", {"price_microusd": 1}, match="*")[0] == 409
    assert api("DELETE", f"/v1/rates/{flash[0]['id']}", match="*")[0] == 409


def test_a_rate_that_holds_is_only_ended_and_followed(stack, api):
    _, _, old = api("POST", "/v1/rates", RATE | {"valid_from": later(days=-10)})
    path = f"/v1/rates/{old['id']}"
    for change in ({"price_microusd": 5}, {"per": 5}, {"valid_from": later(days=1)}, {"model": "other"}, {"source": "x"}):
        status, _, told = api("PATCH", path, change, match='"1"')
        assert (status, field(told)) == (409, next(iter(change)))
    assert api("DELETE", path, match='"1"')[0] == 409
    with pytest.raises(psycopg.errors.CheckViolation):  # nor by anybody who writes the table
        stack.sql("update patchbay.rates set price_microusd = 5")
    with pytest.raises(psycopg.errors.CheckViolation):
        stack.sql("delete from patchbay.rates")

    status, _, told = api("POST", "/v1/rates", RATE | {"price_microusd": 900})
    assert (status, field(told), told["error"]["rate_id"]) == (409, "valid_from", old["id"])
    status, _, new = api("POST", "/v1/rates", RATE | {"price_microusd": 900, "valid_from": later(days=5), "end_previous": True})
    assert (status, new["state"]) == (201, "future")
    _, etag, ended = api("GET", path)
    assert (etag, ended["state"], ended["valid_to"]) == ('"2"', "in_force", new["valid_from"])
    assert api("PATCH", path, {"note": "told by mail"}, match=etag)[2]["note"] == "told by mail"
    # It may end earlier, not later: somebody else's begins then.
    status, _, told = api("PATCH", path, {"valid_to": later(days=9)}, match="*")
    assert (status, field(told)) == (409, "valid_from")
    assert api("PATCH", path, {"valid_to": later(seconds=-1)}, match="*")[2]["state"] == "past"
    assert api("PATCH", path, {"valid_to": None}, match="*")[0] == 409


def test_one_that_comes_may_be_changed_and_taken_away(api):
    _, etag, rate = api("POST", "/v1/rates", RATE | {"valid_from": later(days=1)})
    path = f"/v1/rates/{rate['id']}"
    status, etag, told = api("PATCH", path, {"price_microusd": 7, "valid_from": later(days=2), "step": 60, "minimum": None}, match=etag)
    assert (status, etag, told["price_microusd"], told["step"], told["minimum"]) == (200, '"2"', 7, 60, 0)
    assert api("PATCH", path, {"price_microusd": 8}, match='"1"')[0] == 412
    assert api("PATCH", path, {"price_microusd": 8})[0] == 428
    assert api("DELETE", path, match='"1"')[0] == 412
    assert api("DELETE", path, match='"2"')[0] == 200
    assert api("GET", path)[0] == 404 and api("DELETE", path, match="*")[0] == 404


def test_of_one_kind_there_is_one_at_a_time(api, stack):
    assert api("POST", "/v1/rates", RATE | {"valid_from": later(days=1), "valid_to": later(days=2)})[0] == 201
    for span, status in (((3, 4), 201), ((1.5, 1.6), 409), ((0, 9), 409), ((2.5, None), 409), ((-3, 0.5), 201)):
        body = RATE | {"valid_from": later(days=span[0])} | ({"valid_to": later(days=span[1])} if span[1] is not None else {})
        assert api("POST", "/v1/rates", body)[0] == status, span
    # What is refused has not ended another on the way.
    status, _, _ = api("POST", "/v1/rates", RATE | {"valid_from": later(days=1.5), "end_previous": True})
    assert status == 409
    assert stack.sql("select count(*) from patchbay.audit where action = 'rate.end'")[0][0] == 0
    for other in ({"account": "openai-2"}, {"model": ""}, {"component": "llm_out"}, {"provider": "azure"}):
        assert api("POST", "/v1/rates", RATE | other | {"valid_from": later(days=-1)})[0] == 201


def test_of_many_at_once_one_is_taken(api):
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(8) as pool:
        got = sorted(pool.map(lambda n: api("POST", "/v1/rates", RATE | {"price_microusd": n})[0], range(8)))
    assert got == [201] + [409] * 7


@pytest.mark.parametrize("body,named", [
    ({"price_microusd": -1}, "price_microusd"), ({"price_microusd": "1"}, "price_microusd"), ({"per": 0}, "per"),
    ({"valid_from": "tomorrow"}, "valid_from"), ({"valid_to": "2020-01-01T00:00:00Z"}, "valid_to"), ({"provider": "Open AI"}, "provider"),
    ({"source": ""}, "source"), ({"source_url": "ftp://x"}, "source_url"), ({"colour": 1}, "colour"), ({"read_on": "2026-02-30"}, "read_on")])
def test_what_is_wrong_is_named(api, stack, body, named):
    status, _, told = api("POST", "/v1/rates", RATE | body)
    assert (status, field(told)) == (400, named) and told["error"]["message"]
    assert stack.sql("select count(*) from patchbay.rates")[0][0] == 0


def test_a_whole_number_may_be_written_with_a_point(api):
    status, _, told = api("POST", "/v1/rates", json.dumps(RATE | {"price_microusd": 0}).replace('_microusd": 0', '_microusd": 5.0').encode())
    assert (status, told["price_microusd"]) == (201, 5)


def test_a_list_goes_page_by_page(api):
    seen, after = [], ""
    while True:
        page = api("GET", f"/v1/rates?limit=7{after}")[2]
        seen += [r["id"] for r in page["rates"]]
        if not page["next"]:
            break
        after = f"&after={page['next']}"
    assert len(seen) == len(set(seen)) == page["total"]
    assert api("GET", "/v1/rates?state=soon")[0] == 400


def test_only_admins_may_and_all_of_it_is_written_down(api, stack):
    _, _, rate = api("POST", "/v1/rates", RATE | {"valid_from": later(days=1)})
    one = f"/v1/rates/{rate['id']}"
    leo = stack.token(LEO.id)
    span = {"from": later(days=-1), "to": later(days=1)}
    for method, path, body in (("GET", "/v1/rates", None), ("POST", "/v1/rates", RATE), ("GET", one, None), ("PATCH", one, {"per": 7}),
                               ("DELETE", one, None), ("POST", "/v1/rates/rerate", span), ("GET", "/v1/rates/rerate", None)):
        assert api(method, path, body, bearer=leo, match="*")[0] == 403, (method, path)
        assert api(method, path, body, bearer="nonsense", match="*")[0] == 401
    api("PATCH", one + "?why=new+contract", {"price_microusd": 2000}, match="*")
    api("DELETE", one, match="*")
    rows = stack.sql("select action, allowed, actor, subject::text, why, before ->> 'price_microusd', after ->> 'price_microusd' "
                     "from patchbay.audit where action like 'rate%%' order by at")
    by, no = str(ADMIN), str(LEO.id)
    assert [r for r in rows if r[1]] == [("rate.add", True, by, rate["id"], None, None, "1000"),
                                         ("rate.change", True, by, rate["id"], "new contract", "1000", "2000"),
                                         ("rate.drop", True, by, rate["id"], None, "2000", None)]
    assert [(r[0], r[2]) for r in rows if not r[1]] == [(a, no) for a in ("rate.add", "rate.change", "rate.drop", "rates.rerate")]


def test_an_accounts_own_and_a_models_own_go_first_for_agents_too(api, stack):
    def costs(account, model):
        row, = stack.sql("select price_microusd from patchbay.price_at(%s, 'openai', 'llm_in', %s, now())", account, model)
        return row[0]

    for price, more in ((1, {"model": ""}), (2, {}), (3, {"account": "openai-2", "model": ""}), (4, {"account": "openai-2"})):
        assert api("POST", "/v1/rates", RATE | more | {"price_microusd": price, "valid_from": later(hours=-1)})[0] == 201
    assert [costs("openai", "other"), costs("openai", "homemade"), costs("openai-2", "other"), costs("openai-2", "homemade"),
            costs("openai-3", "homemade")] == [1, 2, 3, 4, 2]
    book = stack.sql("select patchbay.price_book()")[0][0]
    ours = {(b["provider"], b["model"]): b["price_microusd"] for b in book if b.get("house")}
    assert ours == {("openai", ""): 1, ("openai", "homemade"): 2, ("openai-2", ""): 3, ("openai-2", "homemade"): 4}


# ---------------------------------------------------------------------- counting again

MARCH = datetime.datetime(2026, 3, 10, tzinfo=UTC)
SPAN = {"from": "2026-03-01T00:00:00Z", "to": "2026-04-01T00:00:00Z"}


def used(stack, n: int, user=LEO, tokens: int = 1000) -> list[uuid.UUID]:
    """So many calls in March, counted when there was no price."""
    calls = [uuid.UUID(int=(int(MARCH.timestamp() * 1000) + i << 80) | (7 << 76) | (2 << 62) | uuid.uuid4().int >> 68) for i in range(n)]
    with psycopg.connect(stack.pg.url(), autocommit=True) as db, db.cursor() as cur:
        cur.executemany("insert into patchbay.calls (id, user_id, direction, state, stack, offered_at, from_number, to_number, carrier) "
                        "values (%s, %s, 'inbound', 'routed', 'livekit', %s, '+15550109999', %s, 'signalwire')",
                        [(c, user.id, MARCH, user.number) for c in calls])
        cur.executemany("insert into patchbay.usage (id, call_id, user_id, leg, component, provider, account, model, unit, "
                        "quantity_milli, used_at) values (gen_random_uuid(), %s, %s, 'livekit', 'llm_in', 'openai', 'openai', "
                        "'homemade', 'token', %s, %s)", [(c, user.id, tokens * 1000, MARCH) for c in calls])
        cur.executemany("select patchbay.project_call(%s)", [(c,) for c in calls])
    return calls


def totals(stack, calls) -> list:
    return [r[0] for r in stack.sql("select (metadata #>> '{patchbay,cost,microusd,total}')::bigint from public.call_records "
                                    "where id = any (%s) order by id", calls)]


def rerate(api, body=SPAN, at=None, **more) -> dict:
    status, _, told = api("POST", "/v1/rates/rerate", body | more, at=at)
    assert status == 202
    return wait(lambda: (lambda r: r if r["finished_at"] else None)(api("GET", f"/v1/rates/rerate/{told['id']}")[2]), 60, "it is counted")


def test_costs_are_counted_again_by_the_price_of_their_day(api, stack):
    calls = used(stack, 5)
    bobs = used(stack, 2, user=RITA)
    assert totals(stack, calls) == [None] * 5
    api("POST", "/v1/rates", RATE | {"valid_from": "2026-03-01T00:00:00Z", "valid_to": "2026-03-15T00:00:00Z"})
    api("POST", "/v1/rates", RATE | {"valid_from": "2026-03-15T00:00:00Z", "price_microusd": 9})

    looked = rerate(api, dry_run=True, user_id=str(LEO.id))
    assert (looked["calls"], looked["looked"], looked["changed"], looked["unpriced_before"], looked["unpriced_after"]) == (5, 5, 5, 5, 0)
    assert (looked["before_microusd"], looked["after_microusd"], looked["parts"]) == (
        0, 5000, {"openai llm_in": {"before": 0, "after": 5000}})
    assert totals(stack, calls) == [None] * 5, "only looked"

    done = rerate(api, user_id=str(LEO.id))
    assert (done["changed"], done["after_microusd"]) == (5, 5000) and totals(stack, calls) == [1000] * 5
    assert totals(stack, bobs) == [None] * 2, "somebody else's"
    once_more = rerate(api, user_id=str(LEO.id))
    assert (once_more["changed"], once_more["before_microusd"], once_more["after_microusd"]) == (0, 5000, 5000)
    assert rerate(api)["changed"] == 2 and totals(stack, bobs) == [1000] * 2
    assert [r["id"] for r in api("GET", "/v1/rates/rerate?limit=2")[2]["reratings"]][1] == once_more["id"]
    after = stack.sql("select after from patchbay.audit where action = 'rates.rerated' order by at")
    assert [a["changed"] for a, in after] == [5, 5, 0, 2]


def test_a_span_that_is_none_is_refused(api):
    assert field(api("POST", "/v1/rates/rerate", {"from": SPAN["to"], "to": SPAN["from"]})[2]) == "to"
    assert field(api("POST", "/v1/rates/rerate", {"from": SPAN["from"]})[2]) == "to"
    assert field(api("POST", "/v1/rates/rerate", SPAN | {"user_id": str(uuid.uuid4())})[2]) == "user_id"
    reason = "\N{TELEPHONE RECEIVER}" * 1000
    assert field(api("POST", "/v1/rates/rerate", SPAN | {"why": reason + "!"})[2]) == "why"
    assert rerate(api, dry_run=True, why=reason)["dry_run"]


def test_a_killed_replica_is_followed_by_another(api, stack):
    """Stopped in the middle of a batch and killed: what it had not committed is done by the other, and nothing twice."""
    calls = used(stack, 230)
    api("POST", "/v1/rates", RATE | {"valid_from": "2026-03-01T00:00:00Z"})
    first = stack.daemons["stack-switcher"]
    second = Daemon(stack, "stack-switcher", first.env, "PAT_SWITCHER_LISTEN", replica="stack-switcher-2")
    with psycopg.connect(stack.pg.url()) as db:
        # A later batch waits for this row.
        db.execute("select from patchbay.calls where id = %s for update", [calls[120]])
        _, _, told = api("POST", "/v1/rates/rerate", SPAN)
        wait(lambda: stack.sql("select looked from patchbay.reratings")[0][0] == 100
             and stack.sql("select count(*) from pg_locks where not granted")[0][0], 30, "half way")
        first.kill()
        second.start()
        db.execute("update patchbay.reratings set lease_until = now()")
        db.commit()
    try:
        done = wait(lambda: (lambda r: r if r["finished_at"] else None)(api("GET", f"/v1/rates/rerate/{told['id']}", at=second.url)[2]),
                    60, "the other has finished it")
        assert (done["state"], done["looked"], done["changed"], done["after_microusd"]) == ("done", 230, 230, 230_000)
        assert totals(stack, calls) == [1000] * 230
    finally:
        second.stop()
        first.start()
