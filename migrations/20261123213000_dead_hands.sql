-- What a daemon that was killed leaves in its hands, given back sooner: a router's lease, an agent at Retell that was
-- being worked on; two switches of one agent that waited for each other; test calls, whose end was told two minutes later; and
-- answers at Retell, which waited for everything else Retell had told.

-- ------------------------------------------------------------------ routers

-- These routers are dead: who says so holds what only one living process can hold (decisions/0021). Nobody waits for
-- them any more; switches that waited for them alone are looked at. Their number.
create or replace function patchbay.routers_dead(p_routers text[]) returns integer
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    s patchbay.switches;
    n integer;
begin
    -- Ended, not deleted: an observation that ends without them names them as fenced.
    update patchbay.router_leases l set lease_until = now() where l.router_id = any (p_routers) and l.lease_until > now();
    get diagnostics n = row_count;
    if n = 0 then
        return 0;
    end if;
    for s in select * from patchbay.switches x where x.waiting_version is not null order by x.id for update loop
        if not exists (select patchbay.unconfirmed(s.id, s.waiting_version)) then
            update patchbay.switches x set next_at = now(), version = x.version + 1 where x.id = s.id;
            perform pg_notify('patchbay_switch', s.id || ' due');
        end if;
    end loop;
    return n;
end
$fn$;

-- ------------------------------------------------------------------ agents at Retell

-- The claim on an agent, for p_seconds more; false: it was lost.
create or replace function patchbay.hold_retell_agent(p_config uuid, p_who text, p_seconds integer) returns boolean
    language sql set search_path = pg_catalog, pg_temp as $fn$
    with held as (
        update patchbay.retell_agents a set claimed_until = greatest(a.claimed_until, now() + make_interval(secs => p_seconds))
        where a.agent_config_id = p_config and a.claimed_by = p_who returning 1
    )
    select exists (select from held)
$fn$;

-- As it was, but for "claim_s": so long is the claim prolonged.
create or replace function patchbay.put_retell_agent(p jsonb) returns boolean
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    r patchbay.retell_agents;
begin
    update patchbay.retell_agents a set
        state = coalesce(p ->> 'state', a.state),
        agent_id = case when p ? 'agent_id' then p ->> 'agent_id' else a.agent_id end,
        llm_id = case when p ? 'llm_id' then p ->> 'llm_id' else a.llm_id end,
        version = case when p ? 'version' then (p ->> 'version')::integer else a.version end,
        pushed = case when p ? 'pushed' then nullif(p -> 'pushed', 'null') else a.pushed end,
        draft = case when p ? 'draft' then (p ->> 'draft')::integer else a.draft end,
        drafted = case when p ? 'drafted' then nullif(p -> 'drafted', 'null') else a.drafted end,
        notes = coalesce(p -> 'notes', a.notes),
        config_version = coalesce((p ->> 'config_version')::bigint, a.config_version),
        drift = case when p ? 'drift' then nullif(p -> 'drift', 'null') else a.drift end,
        drift_checked_at = case when p ? 'drift' then now() else a.drift_checked_at end,
        attempts = coalesce((p ->> 'attempts')::integer, a.attempts),
        next_attempt_at = case when p ? 'retry_after_ms'
            then now() + (p ->> 'retry_after_ms')::bigint * interval '1 millisecond' else a.next_attempt_at end,
        error = case when p ? 'error' then p ->> 'error' else a.error end,
        retired_at = case when p ->> 'state' = 'retired' then now() else a.retired_at end,
        claimed_until = case when (p ->> 'release')::boolean then null
            else greatest(a.claimed_until, now() + make_interval(secs => coalesce((p ->> 'claim_s')::integer, 60))) end,
        claimed_by = case when (p ->> 'release')::boolean then null else a.claimed_by end,
        updated_at = now()
    where a.agent_config_id = (p ->> 'agent_config_id')::uuid and a.claimed_by = p ->> 'claimed_by'
    returning * into r;
    if not found then
        return false;
    end if;
    if r.state = 'ready' then
        update public.agent_configs c set retell_agent_id = r.agent_id, retell_llm_id = r.llm_id
        where c.id = r.agent_config_id
          and (c.retell_agent_id is distinct from r.agent_id or c.retell_llm_id is distinct from r.llm_id);
    end if;
    if r.state = 'retired' and r.agent_id is not null then
        insert into patchbay.retell_tombstones (agent_id, llm_id, agent_config_id, user_id, reason)
        values (r.agent_id, r.llm_id, r.agent_config_id, r.user_id, coalesce(p ->> 'reason', 'retired'))
        on conflict do nothing;
    end if;
    return true;
end
$fn$;

-- ------------------------------------------------------------------ ends nobody told

-- As it was, but for test calls: nobody was told that they began.
create or replace function patchbay.untold_retell_ends(p_after interval, p_max integer) returns setof patchbay.calls
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select c.* from patchbay.calls c
    where c.retell_call_id is not null and c.stack = 'retell' and c.state = 'ended' and not c.rehearsal
      and c.ended_at < now() - p_after and c.ended_at > now() - interval '1 day'
      and c.metadata ->> 'moved_from' is distinct from c.retell_call_id
      and not exists (select from patchbay.call_events e where e.call_id = c.id and e.type = 'pat.call.v1.ended')
    order by c.ended_at limit p_max
$fn$;

-- ------------------------------------------------------------------ answers

-- As it was, but for call_started: nothing in it has to be taken out, and whose it is the call's row says. A backlog of other
-- webhooks does not keep back that somebody has answered.
create or replace function patchbay.retell_news(p_webhook uuid)
    returns table (state text, body text, call_id uuid, user_id uuid, segment integer, told boolean, billed boolean,
                   tools jsonb, answered boolean)
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select case when early.id is null then w.state else 'projected' end, b.text, coalesce(w.call_id, early.id),
           coalesce(c.user_id, l.user_id, early.user_id), coalesce(l.segment, case when early.id is not null then 1 end),
           l.told_at is not null, l.billed_at is not null,
           coalesce((select jsonb_agg(t.id) from patchbay.tool_calls t where t.call_id = coalesce(w.call_id, early.id)), '[]'),
           exists (select from patchbay.call_events e
                   where e.call_id = coalesce(w.call_id, early.id) and e.type = 'pat.call.v1.answered')
    from patchbay.webhook_inbox w
    cross join lateral (select convert_from(w.body, 'UTF8') as text) b
    left join patchbay.calls c on c.id = w.call_id
    left join patchbay.retell_legs l on l.call_id = w.call_id
        and w.state = 'projected' and l.retell_call_id = b.text::jsonb #>> '{call,call_id}'
    left join lateral (
        select k.id, k.user_id from patchbay.calls k
        where w.state = 'received' and w.kind = 'call_started' and k.retell_call_id = b.text::jsonb #>> '{call,call_id}'
          and k.user_id::text = b.text::jsonb #>> '{call,metadata,user_id}') early on true
    where w.id = p_webhook
$fn$;

-- ------------------------------------------------------------------ switches

-- As it was, but for two switches of one agent. One that has begun to take the agent away goes on when a newer one is
-- open: that one waits for it before it makes an agent, so they would wait for each other for ever. And it is not left to
-- its own growing pauses while somebody waits for it.
create or replace function patchbay.switch_begin(p_id uuid, p_worker text, p_epoch bigint, p_step text, p_ms bigint)
    returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    s patchbay.switches;
    had boolean;
begin
    select * into s from patchbay.switch_held(p_id, p_worker, p_epoch);
    if not found then
        return null;
    end if;
    if s.wish is not null and not s.undo then
        return patchbay.switch_json(s) || jsonb_build_object('epoch', s.lease_epoch, 'turn', true);
    end if;
    if p_step in ('provision', 'retire', 'clean_up') and s.step is distinct from p_step then
        perform from public.agent_configs c where c.id = s.agent_config_id for update;
        if exists (select from patchbay.switches o where o.agent_config_id = s.agent_config_id and o.id <> s.id
                   and (p_step = 'provision' and o.finished_at is null and o.step in ('retire', 'clean_up')
                        or p_step <> 'provision' and o.open and o.created_at > s.created_at)) then
            -- Whoever is at it is left alone, and passed by: he may be waiting for the agent's row.
            with due as (
                select o.id from patchbay.switches o
                where p_step = 'provision' and o.agent_config_id = s.agent_config_id and o.id <> s.id
                  and o.finished_at is null and o.step in ('retire', 'clean_up') and o.lease_until is null
                  and o.next_at > o.updated_at + interval '3 s' for update skip locked
            )
            update patchbay.switches o set next_at = o.updated_at + interval '3 s' from due where o.id = due.id;
            return patchbay.switch_wait(p_id, p_worker, p_epoch, s.version, 500, 'another switch of this agent is at work')
                || '{"wait": true}';
        end if;
    end if;
    if p_step = 'provision' and s.made is null then
        select exists (select from patchbay.retell_agents a where a.agent_config_id = s.agent_config_id
                       and a.agent_id is not null and a.state not in ('retired', 'retiring'))
            or exists (select from public.agent_configs c where c.id = s.agent_config_id and c.retell_agent_id is not null
                       and not exists (select from patchbay.retell_tombstones t where t.agent_id = c.retell_agent_id))
        into had;
        s.made := s.to_stack = 'retell' and not had;
        s.before := (select jsonb_build_object('retell_agent_id', c.retell_agent_id, 'retell_llm_id', c.retell_llm_id)
                     from public.agent_configs c where c.id = s.agent_config_id);
    end if;
    if s.step = p_step then
        update patchbay.switch_steps t set state = 'running', attempts = t.attempts + 1, worker = p_worker
        where t.switch_id = s.id and t.ended_at is null;
    else
        insert into patchbay.switch_steps (switch_id, seq, step, state, worker)
        select s.id, coalesce(max(t.seq), 0) + 1, p_step, 'running', p_worker
        from patchbay.switch_steps t where t.switch_id = s.id;
    end if;
    update patchbay.switches x set step = p_step, made = s.made, before = s.before,
        attempts = case when x.step is not distinct from p_step then x.attempts + 1 else 1 end,
        lease_until = now() + p_ms * interval '1 millisecond', version = x.version + 1, updated_at = now()
    where x.id = s.id returning * into s;
    perform pg_notify('patchbay_switch', s.id::text);
    return patchbay.switch_json(s) || jsonb_build_object('epoch', s.lease_epoch);
end
$fn$;

do $rights$
declare
    f text;
begin
    foreach f in array array['routers_dead(text[])', 'hold_retell_agent(uuid, text, integer)', 'put_retell_agent(jsonb)',
                             'untold_retell_ends(interval, integer)', 'retell_news(uuid)',
                             'switch_begin(uuid, text, bigint, text, bigint)'] loop
        execute format('revoke all on function patchbay.%s from public, anon, authenticated', f);
        execute format('grant execute on function patchbay.%s to service_role, patchbay_service', f);
    end loop;
end
$rights$;
