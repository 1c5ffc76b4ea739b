-- How well each stack has served, by the hour, and what the routers make of it now: for GET /v1/health/stacks, which must not
-- look through a month of calls.
create table if not exists patchbay.stack_hours (
    hour timestamptz not null,
    stack public.voice_ai_stack not null,
    attempts bigint not null,                  -- calls that were to be served there
    failed bigint not null,                    -- those it did not serve, those kept away while it was down among them
    primary key (hour, stack)
);

create table if not exists patchbay.stack_states (
    stack public.voice_ai_stack primary key,
    state text not null check (state in ('up', 'degraded', 'down')),
    reasons jsonb not null default '[]',
    since timestamptz not null
);

do $rights$
declare
    t text;
begin
    foreach t in array array['stack_hours', 'stack_states'] loop
        execute format('alter table patchbay.%I enable row level security', t);
        execute format('drop policy if exists service on patchbay.%I', t);
        execute format('create policy service on patchbay.%I to service_role, patchbay_service
                        using (true) with check (true)', t);
        execute format('revoke all on patchbay.%I from anon, authenticated', t);
        execute format('grant select, insert, update, delete on patchbay.%I to service_role, patchbay_service', t);
    end loop;
end
$rights$;

create index if not exists calls_offered_at on patchbay.calls (offered_at);

-- {"stack", "state", "reasons", "since_ms"}: told by the router whose evidence it was; they may come out of order.
create or replace function patchbay.put_stack_state(p jsonb) returns void
    language sql security invoker set search_path = pg_catalog, pg_temp as $fn$
    insert into patchbay.stack_states as s (stack, state, reasons, since)
    values ((p ->> 'stack')::public.voice_ai_stack, p ->> 'state', coalesce(p -> 'reasons', '[]'),
            to_timestamp((p ->> 'since_ms')::numeric / 1000))
    on conflict (stack) do update set state = excluded.state, reasons = excluded.reasons, since = excluded.since
        where excluded.since >= s.since
$fn$;

-- The last three hours again (at first: a month). A stack has failed a call when the call went on elsewhere, was kept away from
-- it, or ended there unanswered while the caller waited; a call counts once per stack. Rehearsals are no calls.
create or replace function patchbay.count_stack_hours() returns void
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    since timestamptz := date_trunc('hour', now()) - interval '2 hours';
begin
    if not pg_try_advisory_xact_lock(hashtextextended('patchbay.count_stack_hours', 0)) then
        return;
    end if;
    if not exists (select from patchbay.stack_hours) then
        since := date_trunc('hour', now()) - interval '30 days';
    end if;
    delete from patchbay.stack_hours where hour < now() - interval '31 days';
    insert into patchbay.stack_hours as h (hour, stack, attempts, failed)
    with c as materialized (
        select id, date_trunc('hour', offered_at) as hour, stack::text as stack, state, answered_at, outcome, ended_owner
        from patchbay.calls where offered_at >= since and not rehearsal
    ), e as materialized (
        select c.id, c.hour, v.type, v.data from c join patchbay.call_events v on v.call_id = c.id
        where v.type in ('pat.call.v1.failed_over', 'pat.call.v1.routed')
    ), tried as (
        select id, hour, data ->> 'from' as stack, false as ok from e where type = 'pat.call.v1.failed_over'
        union all
        select e.id, e.hour, left(r, -5), false from e cross join lateral jsonb_array_elements_text(e.data -> 'reasons') r
        where e.type = 'pat.call.v1.routed' and r in ('retell_down', 'livekit_down')
        union all
        select id, hour, stack, answered_at is not null from c
        where answered_at is not null
           or (state = 'ended' and outcome = 'failed' and ended_owner is distinct from 'caller')
    ), one as (
        select id, hour, stack, bool_and(ok) as ok from tried where stack in ('retell', 'livekit') group by 1, 2, 3
    )
    select hour, stack::public.voice_ai_stack, count(*), count(*) filter (where not ok) from one group by 1, 2
    on conflict (hour, stack) do update set attempts = excluded.attempts, failed = excluded.failed
        where (h.attempts, h.failed) is distinct from (excluded.attempts, excluded.failed);
end
$fn$;

-- {"retell": {"attempts", "failed", "availability", "goal", "budget_left"}, "livekit": ...} of 30 days. goal: in 100,000.
-- budget_left: 1 nothing of what may fail has failed, 0 all of it, negative more. Without calls: 1 and 1.
create or replace function patchbay.stack_availability(p_goal integer) returns jsonb
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select jsonb_object_agg(stack, jsonb_build_object(
        'days', 30, 'attempts', attempts, 'failed', failed,
        'availability', case when attempts = 0 then 1 else round(1 - failed::numeric / attempts, 6) end,
        'goal', round(p_goal::numeric / 100000, 5),
        'budget_left', case when failed = 0 then 1 when p_goal >= 100000 then 0
                       else round(1 - failed::numeric / attempts / (1 - p_goal::numeric / 100000), 4) end))
    from (select s.stack, coalesce(sum(h.attempts), 0)::bigint as attempts, coalesce(sum(h.failed), 0)::bigint as failed
          from unnest(enum_range(null::public.voice_ai_stack)) as s(stack)
          left join patchbay.stack_hours h on h.stack = s.stack and h.hour >= now() - interval '30 days'
          group by s.stack) x
$fn$;

revoke all on function patchbay.put_stack_state(jsonb), patchbay.count_stack_hours(), patchbay.stack_availability(integer)
    from public, anon, authenticated;
grant execute on function patchbay.put_stack_state(jsonb), patchbay.count_stack_hours(),
    patchbay.stack_availability(integer) to service_role, patchbay_service;
