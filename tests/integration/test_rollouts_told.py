"""What a rollout tells: its plan beforehand, for any number of users, and its events as it goes."""

import json
import uuid

import psycopg

from harness import events
from harness.sip_leg import wait
from test_rollouts import (OWNER, api, ask, begin, counts, held, look, others, over, people, rate, responder,  # noqa: F401 - fixtures
                           stack, until)

# ------------------------------------------------------------------ the plan


class Many:
    """So many users of all kinds, made by the server in a moment: no trigger runs, and nobody hears of them."""

    def __init__(self, stack, n: int):  # noqa: F811
        self.stack, self.n, self.mark = stack, n, f"many{uuid.uuid4().hex[:8]}"

    def __enter__(self):
        with self.stack.pg.admin("patchbay") as c:
            c.execute("set session_replication_role = replica")
            c.execute("create temp table made as select i, gen_random_uuid() as u from generate_series(0, %s) i", (self.n - 1,))
            c.execute("insert into auth.users (id, email) select u, u || '@example.com' from made")
            c.execute("insert into public.users (id, email, name) select u, u || '@example.com', %s || lpad(i::text, 8, '0') from made", (self.mark,))
            # By the number: on LiveKit, at Retell, without an agent; and settings that are exact, lossy or parked on the way.
            c.execute("""
                insert into public.agent_configs (user_id, active_voice_stack, voice_id, stack_config, retell_agent_id, max_tokens,
                                                  ambient_sound, noise_suppression, avatar_url)
                select u, case when i % 10 = 1 then 'retell' else 'livekit' end::public.voice_ai_stack,
                       case i % 3 when 0 then '11labs-Kate' when 1 then 'own' || i else 'own' || i % 7 end,
                       case i % 4 when 0 then '{"parked": {"retell": {"voice_id": "11labs-Adrian"}}}'
                                  when 1 then '{"livekit": {"model": "gpt-4o"}}' else '{}' end::jsonb,
                       case when i % 5 = 0 then 'agent_' || i end, case when i % 2 = 0 then 150 end,
                       case i % 3 when 0 then 'coffee-shop' when 1 then 'high-school-hallway' else 'off' end,
                       case when i % 7 = 0 then 'low' else 'medium' end, case when i % 6 = 0 then 'x' end
                from made where i % 10 <> 2""")
            c.execute("insert into public.service_numbers (user_id, phone_number, phone_sid) select u, '+1700' || lpad(i::text, 7, '0'), 'x' || i "
                      "from made where i % 8 <> 0")
            c.execute("insert into patchbay.calls (id, user_id, agent_config_id, state, stack) select gen_random_uuid(), m.u, c.id, 'answered', "
                      "'livekit' from made m join public.agent_configs c on c.user_id = m.u where i % 100 = 3")
            c.execute("analyze public.users, public.agent_configs, public.service_numbers")
            self.ids = [str(u) for u, in c.execute("select u from made order by i").fetchall()]
        return self

    def __exit__(self, *_):
        with self.stack.pg.admin("patchbay") as c:
            c.execute("set session_replication_role = replica")
            for table, column in (("patchbay.switches", "user_id"), ("patchbay.calls", "user_id"), ("public.service_numbers", "user_id"), ("public.agent_configs", "user_id"),
                                  ("public.users", "id"), ("auth.users", "id")):
                c.execute(f"delete from {table} where {column} = any(%s::uuid[])", (self.ids,))

    def numbers(self, which) -> list[int]:
        return [i for i in range(self.n) if which(i)]


def plan(stack, body: dict) -> dict:  # noqa: F811
    status, p = api(stack, "POST", "/v1/rollouts?dry_run=1", body, timeout_s=60)
    assert status == 200, p
    return p


def test_a_plan_is_exact_for_thousands(stack):  # noqa: F811
    with Many(stack, 5000) as m:
        moved = m.numbers(lambda i: i % 10 not in (1, 2))
        body = {"to_stack": "retell", "cohort": {"user_ids": m.ids}, "verify": {"first": 3, "every": 50}, "steps": [{"percent": 5}]}
        p = plan(stack, body)
        assert (p["total"], p["movable"], p["already_there"]) == (5000, 4000, 500) and p["blockers"] == []
        assert p["blocked_by"] == {"no such user, or no agent of his": 500}
        assert [b["user_id"] for b in p["blocked"]] == [m.ids[i] for i in m.numbers(lambda i: i % 10 == 2)][:100]
        assert p["creates_agents"] == len([i for i in moved if i % 5])
        assert p["without_number"] == len([i for i in moved if not i % 8]) and p["live_calls"] == len([i for i in moved if i % 100 == 3])
        assert p["verified_by_call"] == len([i for i in moved if i < 3 or not (i + 1) % 50])
        assert [s["users"] for s in p["steps"]] == [250, 5000]
        f = p["fields"]
        assert f["max_tokens"] == {"lossy": len([i for i in moved if not i % 2])}
        assert f["ambient_sound"] == {"parked": len([i for i in moved if i % 3 == 1])}
        assert f["noise_suppression"] == {"near": len([i for i in moved if not i % 7])}
        assert f["model"] == {"near": len([i for i in moved if i % 4 == 1])}
        assert f["live_transcript"] == {"lossy": 4000}
        lossy_voice = [i for i in moved if i % 4 and i % 3]  # unknown at Retell, and none put aside
        assert f["voice_id"] == {"lossy": len(lossy_voice)}
        assert p["lossy_users"] == len([i for i in moved if not i % 2 or i in set(lossy_voice)])
        # By a filter the same, but for those who are there or have nothing.
        by_filter = plan(stack, body | {"cohort": {"filter": {"search": m.mark}}})
        assert (by_filter["total"], by_filter["movable"], by_filter["fields"]) == (4000, 4000, f)
        some = plan(stack, body | {"cohort": {"filter": {"search": m.mark, "limit": 10}}})
        assert some["total"] == 10


def test_a_plan_sees_more_than_one_rollout_takes(stack):  # noqa: F811
    with Many(stack, 12500) as m:
        with stack.pg.admin("patchbay") as c:  # a switch of each is under way: nothing to plan, and so quick
            c.execute("set session_replication_role = replica")
            c.execute("insert into patchbay.switches (id, user_id, agent_config_id, from_stack, to_stack, keep_ms, asked_by, finished_at) "
                      "select gen_random_uuid(), user_id, id, 'livekit', 'retell', 0, 'x', now() from public.agent_configs "
                      "where user_id = any(%s::uuid[])", (m.ids,))
        body = {"to_stack": "retell", "cohort": {"filter": {"search": m.mark}}}
        p = plan(stack, body)
        assert (p["total"], p["movable"]) == (10000, 0) and p["blockers"] == [] and p["blocked_by"] == {"another switch of this user is under way": 10000}
        stack.sql("update public.users set name = %s where id = %s", m.mark, people(stack, 1, "livekit")[0].id)
        p = plan(stack, body)
        assert (p["total"], p["movable"]) == (10001, 1) and p["blockers"] == ["more users than one rollout takes (10000)"]
        status, answer = api(stack, "POST", "/v1/rollouts", body, timeout_s=60)
        assert (status, answer["error"]["message"]) == (409, p["blockers"][0])


def test_a_plan_of_many_is_the_sum_of_the_plans_of_each(stack):  # noqa: F811
    with Many(stack, 84) as m:
        for to in ("retell", "livekit"):
            grades: dict[str, dict[str, int]] = {}
            creates = 0
            p = plan(stack, {"to_stack": to, "cohort": {"user_ids": m.ids}})
            for user, in stack.sql("select user_id from public.agent_configs where user_id = any(%s::uuid[]) and active_voice_stack <> %s",
                                   m.ids, to):
                status, one = api(stack, "POST", f"/v1/users/{user}/switch?dry_run=1", {"stack": to})
                assert status == 200
                creates += one["creates_agent"]
                for f in one["fields"]:
                    if f["grade"] != "exact":
                        of = grades.setdefault(f["field"], {})
                        of[f["grade"]] = of.get(f["grade"], 0) + 1
            assert p["movable"] and (p["fields"], p["creates_agents"]) == (grades, creates)


# ------------------------------------------------------------------ the events

def told(stack, r: dict) -> list[dict]:  # noqa: F811
    """The events of a rollout in the order of its log, each as docs/events says."""
    rows = stack.sql("select subject, payload from patchbay.outbox where payload ->> 'type' like 'pat.rollout.v1.%%' and payload ->> 'subject' = %s "
                     "order by payload ->> 'time', id", r["id"])
    for subject, payload in rows:
        events.validate(json.loads(json.dumps(payload)), subject)
        assert subject.endswith(f".-.{r['id']}") and payload["data"]["rollout_id"] == r["id"] and "userid" not in payload
    assert len(rows) == len(look(stack, r, "/report")["log"])
    return [payload["data"] | {"event": payload["type"].rpartition(".")[2]} for _, payload in rows]


def names(all_told: list[dict]) -> list[str]:
    return [e["event"] for e in all_told if e["event"] != "judged"]


def test_each_step_of_a_rollout_is_told(stack):  # noqa: F811
    r = begin(stack, people(stack, 4), steps=[{"count": 1}, {"percent": 50}], hold=True, name="Told", why="cheaper")
    held(stack, r, "approval")
    ask(stack, r, "promote", why="fine so far")
    held(stack, until(stack, r, lambda x: x["step"] == 1, "the second step"), "approval")
    ask(stack, r, "promote")
    over(stack, r, "completed")
    said = told(stack, r)
    assert names(said) == ["started", "settled", "held", "promoted", "advanced", "settled", "held", "promoted", "advanced", "settled", "completed"]
    first, last = said[0], said[-1]
    assert (first["name"], first["why"], first["counts"]["waiting"], first["to"], first["steps"]) == ("Told", "cheaper", 4, "livekit", 3)
    assert said[3]["why"] == "fine so far" and said[3]["who"] == first["who"] and said[2]["who"] == "stack-switcher"
    assert [e["target"] for e in said if e["event"] == "advanced"] == [{"percent": 50}, {"percent": 100}]
    assert [e["counts"].get("moved") for e in said if e["event"] == "settled"] == [1, 2, 4]
    assert [e["held_for"] for e in said if e["event"] == "held"] == ["approval"] * 2
    assert last["outcome"] == "completed" and last["state"] == "finished" and last["counts"] == over(stack, r, "completed")["counts"]
    # And they reach whoever listens: the relay has published them, and stream ROLLOUT keeps them.
    wait(lambda: stack.sql("select count(*) = 0 from patchbay.outbox where subject like 'pat.rollout.%%' and published_at is null")[0][0], 30,
         "they are published")


def test_calls_shared_stopped_and_taken_back_are_told(stack):  # noqa: F811
    r = begin(stack, people(stack, 1), mode="calls", steps=[{"percent": 40}], gates={"bake_s": 600})
    until(stack, r, lambda x: x["settled_at"], "calls are shared")
    ask(stack, r, "pause")
    ask(stack, r, "resume")
    ask(stack, r, "abort", why="enough")
    over(stack, r, "aborted")
    said = told(stack, r)
    assert names(said) == ["started", "advanced", "settled", "paused", "resumed", "recalled", "aborted"]
    assert (said[1]["phase"], said[1]["target"]) == ("sharing", {"percent": 40})
    recalled = next(e for e in said if e["event"] == "recalled")
    assert (recalled["back"], recalled["why"], recalled["state"]) == ("abort", "enough", "returning")


def test_a_halt_is_told_with_the_figures(stack):  # noqa: F811
    cohort = people(stack, 2)
    for p in cohort:
        p.calls(40, "retell")
    r = begin(stack, cohort, steps=[{"count": 1}], gates=rate(bake_s=600))
    until(stack, r, lambda x: x["settled_at"], "one is moved")
    cohort[0].calls(40, "livekit", failed=15)
    over(stack, r, "halted")
    said = told(stack, r)
    assert names(said) == ["started", "settled", "halted", "rolled_back"]
    halted, end = said[-2], said[-1]
    assert halted["gates"][0]["verdict"] == "fail" and halted["gates"][0]["new"]["n"] == 40 and halted["who"] == "stack-switcher"
    assert [e["verdict"] for e in said if e["event"] == "judged"][-1] == "fail"
    assert end["outcome"] == "halted" and counts(end) == {"total": 2, "returned": 1, "left": 1}


def test_what_is_not_kept_is_not_told(stack):  # noqa: F811
    p, = people(stack, 1)
    with psycopg.connect(stack.pg.url(OWNER, "patchbay")) as c:
        c.execute("insert into patchbay.rollouts (id, to_stack, mode, steps, at_a_time, keep_ms, max_failures, asked_by, request_digest, finished_at) "
                  "values (%s, 'livekit', 'users', '[{}]', 1, 1, 1, 'x', 'x', now())", (p.id,))
        c.execute("insert into patchbay.rollout_log (rollout_id, event, who, step) values (%s, 'paused', 'x', 0)", (p.id,))
        assert c.execute("select count(*) from patchbay.outbox where subject like %s", (f"pat.rollout.v1.paused.-.{p.id}",)).fetchone() == (1,)
        c.rollback()
    assert stack.sql("select count(*) from patchbay.outbox where subject like %s", f"%{p.id}") == [(0,)]
