-- The plan of a rollout, for all of its cohort: users whose settings a plan treats alike are counted here, and planned once for
-- all of them by the daemon (plan.c), however many they are.

-- p: "cohort", "to_stack", "verify_first", "verify_every", and what a plan looks at in the settings: "paths", and "kept", those
-- of which the value matters and not only whether something is set (of a number: whether it is above 0).
-- {"total", "already_there", "movable", "waiting": who would be tried, "live_calls", "without_number", "verified_by_call", "blocked": the first 100 of
-- [{"user_id", "why"}], "blocked_by": {why: how many}, "kinds": [{"n", "marks" of the paths, "voice": its grade, "avatar",
-- "retell_agent"}], "health"}.
create or replace function patchbay.rollout_plan(p jsonb) returns jsonb
    language sql stable set search_path = pg_catalog, pg_temp as $fn$
    with asked as (
        select (p ->> 'to_stack')::public.voice_ai_stack as to_stack,
               -- All of a filter: how many are too many for one rollout is to be seen, not cut off.
               case when p #> '{cohort,filter,limit}' is null and p #> '{cohort,filter}' is not null
                    then jsonb_set(p -> 'cohort', '{filter,limit}', '9007199254740991') else p -> 'cohort' end as cohort
    ), cohort as materialized (
        select c.seq, c.user_id, c.agent_config_id, c.from_stack = a.to_stack as there,
               case when c.agent_config_id is null then 'no such user, or no agent of his'
                    when c.from_stack <> a.to_stack and exists (select from patchbay.switches o where o.user_id = c.user_id and o.open)
                        then 'another switch of this user is under way' end as why
        from asked a cross join lateral patchbay.rollout_cohort(a.cohort, a.to_stack) c
    ), movable as materialized (
        select c.seq, c.user_id, c.agent_config_id from cohort c where c.why is null and not c.there
    ), paths as materialized (
        select e.path, string_to_array(e.path, '.') as keys, p -> 'kept' ? e.path as kept, e.n
        from jsonb_array_elements_text(p -> 'paths') with ordinality e (path, n)
    ), users as materialized (
        select m.seq, m.user_id, m.agent_config_id, x.row ->> 'voice_id' as voice,
               case when k.keep ->> 'voice_id' is not null then k.keep end as keep,
               case when (k.keep ->> 'cloned')::boolean then m.user_id end as owner, (
                   select jsonb_agg(case
                       when v.value is null or v.value in ('null', '""', '[]', '{}') then 'null'
                       when q.kept then v.value
                       else case jsonb_typeof(v.value)
                            when 'string' then '"x"' when 'array' then '[1]' when 'object' then '{"x": 1}'
                            when 'number' then case when v.value::numeric > 0 then '1' else '0' end::jsonb
                            else v.value end end order by q.n)
                   from paths q cross join lateral (select x.row #> q.keys as value) v) as marks
        from movable m
        join patchbay.agent_settings s on s.agent_config_id = m.agent_config_id
        cross join lateral (
            select to_jsonb(s) || jsonb_build_object('user_tools', patchbay.agent_tools(s.user_id, s.agent_config_id)) as row
            offset 0) x
        cross join lateral (
            select jsonb_build_object('voice_id', o.parked -> 'voice_id', 'cloned', o.parked -> 'cloned') as keep
            from (select x.row #> array['stack_config', 'parked', p ->> 'to_stack'] as parked) o) k
    ), alike as (
        -- What stands in for a voice is asked once for all who are alike; whose it is matters where one of his own was put aside.
        select count(*) as n, u.marks, u.voice, u.keep, u.owner, coalesce(to_jsonb(c) ->> 'avatar_url', '') <> '' as avatar,
               c.retell_agent_id is not null and not exists (
                   select from patchbay.retell_tombstones t where t.agent_id = c.retell_agent_id) as retell_agent
        from users u join public.agent_configs c on c.id = u.agent_config_id
        group by u.marks, u.voice, u.keep, u.owner, 6, 7
    ), kinds as (
        select sum(x.n) as n, x.marks, v.grade, x.avatar, x.retell_agent
        from asked a cross join alike x cross join lateral (
            select patchbay.voice_on(x.voice, jsonb_build_object(a.to_stack::text, coalesce(x.keep, '{}')), x.owner,
                                     a.to_stack) ->> 'grade' as grade) v
        group by x.marks, v.grade, x.avatar, x.retell_agent
    ), blocked as (
        select c.seq, c.user_id, c.why from cohort c where c.why is not null
        union all
        select m.seq, m.user_id, 'no plan can be made for this agent' from movable m
        where not exists (select from users u where u.seq = m.seq)
    )
    select jsonb_build_object(
        'total', (select count(*) from cohort), 'already_there', (select count(*) from cohort c where c.there),
        'movable', (select count(*) from users),
        'waiting', (select count(*) from cohort c where c.agent_config_id is not null and not c.there),
        'live_calls', (select count(*) from users u join patchbay.calls k on k.user_id = u.user_id
                       and k.agent_config_id = u.agent_config_id where k.state <> 'ended' and not k.rehearsal),
        'without_number', (select count(*) from users u where u.agent_config_id not in (
            select r.agent_config_id from patchbay.routes r where r.is_active and r.agent_config_id is not null)),
        'verified_by_call', (select count(*) from users u where u.seq <= coalesce((p ->> 'verify_first')::bigint, 0)
                             or u.seq % nullif((p ->> 'verify_every')::bigint, 0) = 0),
        'blocked', (select coalesce(jsonb_agg(jsonb_build_object('user_id', b.user_id, 'why', b.why) order by b.seq), '[]')
                    from (select * from blocked order by seq limit 100) b),
        'blocked_by', (select coalesce(jsonb_object_agg(b.why, b.n), '{}')
                       from (select x.why, count(*) as n from blocked x group by x.why) b),
        'kinds', (select coalesce(jsonb_agg(jsonb_build_object('n', k.n, 'marks', k.marks, 'voice', k.grade, 'avatar', k.avatar,
                                                               'retell_agent', k.retell_agent)), '[]') from kinds k),
        'health', jsonb_build_object('retell', patchbay.stack_hour('retell'), 'livekit', patchbay.stack_hour('livekit')))
$fn$;

-- The door: "start", "wish", "plan". Whoever is no admin is refused, and that is written down. p_admin: by the token.
create or replace function patchbay.rollout_ask(p_op text, p jsonb, p_admin boolean) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
begin
    if not p_admin and not patchbay.is_admin_user((p ->> 'actor_id')::uuid) then
        perform patchbay.put_audit(p || jsonb_build_object(
            'action', 'rollout.' || coalesce(p ->> 'wish', case p_op when 'plan' then 'plan' else 'request' end),
            'allowed', false, 'subject', p ->> 'id', 'after', jsonb_build_object('stack', p ->> 'to_stack')));
        return '{"error": "forbidden", "message": "only an admin switches stacks"}';
    end if;
    return case p_op when 'start' then patchbay.rollout_start(p) when 'wish' then patchbay.rollout_wish(p)
                     when 'plan' then patchbay.rollout_plan(p) end;
end
$fn$;

do $grants$
declare
    f text;
begin
    foreach f in array array['rollout_plan(jsonb)', 'rollout_ask(text, jsonb, boolean)'] loop
        execute format('revoke all on function patchbay.%s from public, anon, authenticated', f);
        execute format('grant execute on function patchbay.%s to service_role, patchbay_service', f);
    end loop;
end
$grants$;
