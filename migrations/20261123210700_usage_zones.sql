-- Usage by the days of another time zone than UTC's and a page at a time, and days of sums found by their day.
--
--   usage_at, answers_at    the sums of usage_days and its kin, for the days of a zone
--   usage_report, usage_summary with a zone   as before; without one they are those of UTC
--   usage_report with a limit                 so many rows behind the first p_after of them; without a limit as before
--
-- The sums are kept by days of UTC (decision 20). A day of Berlin has 22 or 23 hours of them in common: the calls of the others
-- are taken out of the one day and put into the next, by their rows in call_costs. So it costs what those calls are, not all. What
-- erased users cost is left by days of UTC alone, and stays so.

-- Counting a day again looked for it in the sums of all days.
create index if not exists usage_days_day on patchbay.usage_days (day);
create index if not exists answer_days_day on patchbay.answer_days (day);

-- Calls whose day in that zone is not their day of UTC: out of the one (sign -1), into the other (1). The nil uuid: everybody's.
create or replace function patchbay.moved_calls(p_user uuid, p_from date, p_to date, p_tz text)
    returns table (call_id uuid, day date, sign integer)
    language plpgsql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
begin
    -- Two statements, for two plans.
    if p_user = '00000000-0000-0000-0000-000000000000' then
        return query
            select k.call_id, s.day, s.sign
            from patchbay.calls c join patchbay.call_costs k on k.call_id = c.id
            cross join lateral (values (k.day, -1), ((c.offered_at at time zone p_tz)::date, 1)) s (day, sign)
            where c.offered_at >= (p_from - 2)::timestamp at time zone 'UTC' and c.offered_at < (p_to + 3)::timestamp at time zone 'UTC'
              and (c.offered_at at time zone p_tz)::date <> (c.offered_at at time zone 'UTC')::date
              and s.day between p_from and p_to;
    else
        return query
            select k.call_id, s.day, s.sign
            from patchbay.calls c join patchbay.call_costs k on k.call_id = c.id
            cross join lateral (values (k.day, -1), ((c.offered_at at time zone p_tz)::date, 1)) s (day, sign)
            where c.user_id = p_user
              and c.offered_at >= (p_from - 2)::timestamp at time zone 'UTC' and c.offered_at < (p_to + 3)::timestamp at time zone 'UTC'
              and (c.offered_at at time zone p_tz)::date <> (c.offered_at at time zone 'UTC')::date
              and s.day between p_from and p_to;
    end if;
end
$fn$;

-- The sums of both tables. p_people: each user's rows; else all under p_user.
create or replace function patchbay.usage_at(p_user uuid, p_from date, p_to date, p_tz text, p_people boolean,
                                             out days patchbay.usage_days[], out stacks patchbay.usage_stack_days[])
    language plpgsql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    nobody constant uuid := '00000000-0000-0000-0000-000000000000';
    moved patchbay.usage_days[];
begin
    select array_agg(row (x.*)::patchbay.usage_days) into moved from (
        select case when p_people then k.user_id else p_user end, m.day, coalesce(l.stack, ''), l.component, l.provider,
               coalesce(l.account, ''), coalesce(l.model, ''), l.unit, sum(m.sign), coalesce(sum(m.sign * l.quantity_milli), 0)::bigint,
               coalesce(sum(m.sign * l.microusd), 0)::bigint, coalesce(sum(m.sign) filter (where l.microusd is null), 0)
        from patchbay.moved_calls(p_user, p_from, p_to, p_tz) m join patchbay.call_costs k on k.call_id = m.call_id
        cross join lateral jsonb_to_recordset(k.lines) l (stack text, component text, provider text, account text, model text,
                                                          unit text, quantity_milli bigint, microusd bigint)
        group by 1, 2, 3, 4, 5, 6, 7, 8) x;
    select array_agg(row (x.*)::patchbay.usage_days) into days from (
        select d.user_id, d.day, d.stack, d.component, d.provider, d.account, d.model, d.unit, sum(d.lines)::bigint,
               sum(d.quantity_milli)::bigint, sum(d.microusd)::bigint, sum(d.unpriced)::bigint
        from (select u.* from patchbay.usage_days u where not p_people and u.user_id = p_user and u.day between p_from and p_to
              union all
              select u.* from patchbay.usage_days u where p_people and u.user_id <> nobody and u.day between p_from and p_to
              union all
              select m.* from unnest(moved) m) d
        group by 1, 2, 3, 4, 5, 6, 7, 8 having sum(d.lines) <> 0) x;
    select array_agg(row (x.*)::patchbay.usage_stack_days) into stacks from (
        select s.user_id, s.day, s.stack, sum(s.calls)::bigint, sum(s.answered)::bigint, sum(s.duration_ms)::bigint,
               sum(s.microusd)::bigint, sum(s.unpriced)::bigint, sum(s.retail_microusd)::bigint, sum(s.unpriced_retail)::bigint,
               sum(s.compared)::bigint, sum(s.compared_ms)::bigint, sum(s.own_microusd)::bigint, sum(s.other_microusd)::bigint,
               sum(s.timed)::bigint
        from (
        select u.* from patchbay.usage_stack_days u where not p_people and u.user_id = p_user and u.day between p_from and p_to
        union all
        select u.* from patchbay.usage_stack_days u where p_people and u.user_id <> nobody and u.day between p_from and p_to
        union all
        select case when p_people then k.user_id else p_user end, m.day, k.stack, sum(m.sign), sum(m.sign * k.answered::integer),
               sum(m.sign * k.duration_ms)::bigint, 0, 0, coalesce(sum(m.sign * k.retail_microusd), 0)::bigint,
               coalesce(sum(m.sign) filter (where k.answered and k.retail_microusd is null), 0),
               coalesce(sum(m.sign) filter (where b.yes), 0), coalesce(sum(m.sign * k.duration_ms) filter (where b.yes), 0)::bigint,
               coalesce(sum(m.sign * k.microusd) filter (where b.yes), 0)::bigint,
               coalesce(sum(m.sign * k.other_microusd) filter (where b.yes), 0)::bigint,
               coalesce(sum(m.sign) filter (where k.answers <> '{}'), 0)
        from patchbay.moved_calls(p_user, p_from, p_to, p_tz) m join patchbay.call_costs k on k.call_id = m.call_id
        cross join lateral (select k.microusd is not null and k.other_microusd is not null as yes) b
        group by 1, 2, 3
        union all
        -- What lines cost belongs to their own stack.
        select d.user_id, d.day, d.stack, 0, 0, 0, sum(d.microusd)::bigint, sum(d.unpriced)::bigint, 0, 0, 0, 0, 0, 0, 0
        from unnest(moved) d group by 1, 2, 3) s
        group by 1, 2, 3) x;
end
$fn$;

create or replace function patchbay.answers_at(p_user uuid, p_from date, p_to date, p_tz text) returns setof patchbay.answer_days
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select * from patchbay.answer_days d where d.user_id = p_user and d.day between p_from and p_to
    union all
    select p_user, m.day, k.stack, n.key::integer, sum(m.sign * n.value::bigint)::bigint
    from patchbay.moved_calls(p_user, p_from, p_to, p_tz) m join patchbay.call_costs k on k.call_id = m.call_id
    cross join lateral jsonb_each_text(k.answers) n
    group by 2, 3, 4
$fn$;

-- ------------------------------------------------------------------ parts, of rows
create or replace function patchbay.usage_total(p_rows patchbay.usage_stack_days[]) returns jsonb
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select jsonb_build_object(
        'calls', coalesce(sum(calls), 0), 'answered', coalesce(sum(answered), 0),
        'minutes', round(coalesce(sum(duration_ms), 0) / 60000.0, 2), 'cost_microusd', coalesce(sum(microusd), 0),
        'cost_per_minute_microusd', round(sum(microusd) * 60000.0 / nullif(sum(duration_ms), 0)),
        'unpriced_lines', coalesce(sum(unpriced), 0), 'complete', coalesce(sum(unpriced), 0) = 0)
    from unnest(p_rows)
$fn$;

create or replace function patchbay.usage_missing(p_rows patchbay.usage_days[]) returns jsonb
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select coalesce(jsonb_agg(jsonb_build_object(
        'provider', provider, 'component', component, 'model', nullif(model, ''), 'unit', unit, 'lines', n,
        'quantity', quantity / 1000.0,
        'reason', case when provider = 'retell' then 'Retell has not told what it cost' else 'no price of it at that time' end)
        order by provider, component, model, unit), '[]')
    from (select provider, component, model, unit, sum(unpriced) as n, sum(quantity_milli) as quantity from unnest(p_rows)
          where unpriced > 0 group by 1, 2, 3, 4) x
$fn$;

create or replace function patchbay.answer_times(p_rows patchbay.answer_days[]) returns jsonb
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    with b as (
        select stack, bucket, sum(n) as n from unnest(p_rows) group by 1, 2 having sum(n) > 0
    ), upto as (
        select stack, bucket, sum(n) over (partition by stack order by bucket) as n, sum(n) over (partition by stack) as total from b
    )
    select coalesce(jsonb_object_agg(stack, j), '{}') from (
        select stack, jsonb_build_object(
            'answers', max(total), 'p50_ms', round(power(1.05, min(bucket) filter (where n >= total * 0.50) + 0.5)),
            'p95_ms', round(power(1.05, min(bucket) filter (where n >= total * 0.95) + 0.5))) as j
        from upto group by stack) x
$fn$;

-- ------------------------------------------------------------------ what is asked for
-- All have to be summed up for the dearest to be known, but names are looked up and JSON is made for those that are asked for: all
-- users' rows of a month are megabytes where there are thousands of them, and a page shows some tens. "count" is how many rows there
-- are in all, "next" the p_after of the page behind this one.
--
-- p_limit null: all of them, p_max at most: {"error": "too_many"} when there are more; {"error": "tz"}: this database does not know
-- the zone.
create or replace function patchbay.usage_report(p_user uuid, p_from date, p_to date, p_by text[], p_max integer, p_tz text,
                                                 p_limit integer, p_after bigint) returns jsonb
    language plpgsql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    nobody constant uuid := '00000000-0000-0000-0000-000000000000';
    -- name, what it is, what is shown of it
    known constant text[] := array[
        ['day', 'd.day', '''day'', g.day'],
        ['stack', 'd.stack', '''stack'', nullif(g.stack, '''')'],
        ['component', 'd.component, d.provider, d.unit',
         '''component'', g.component, ''provider'', g.provider, ''unit'', g.unit, ''quantity'', g.quantity_milli / 1000.0'],
        ['account', 'd.account', '''account'', nullif(g.account, '''')'],
        ['model', 'd.model', '''model'', nullif(g.model, '''')'],
        ['user', 'd.user_id', '''user_id'', nullif(g.user_id, ''ffffffff-ffff-ffff-ffff-ffffffffffff''), ''user_name'', u.name, ''user_email'', u.email']];
    fine constant boolean := p_by && array['component', 'account', 'model'];
    kept constant boolean := p_tz = 'UTC';
    people constant boolean := 'user' = any (p_by);
    keys text[] := '{}';
    shown text[] := '{}';
    days patchbay.usage_days[];
    stacks patchbay.usage_stack_days[];
    ordered text;
    rows jsonb;
    n bigint;
    i integer;
begin
    for i in 1 .. array_length(known, 1) loop
        if known[i][1] = any (p_by) then
            keys := keys || known[i][2];
            shown := shown || known[i][3];
        end if;
    end loop;
    ordered := case when 'day' = any (p_by) then 'g.day, ' else '' end || 'g.microusd desc' ||
        case when keys = '{}' then '' else ', ' || replace(array_to_string(keys, ', '), 'd.', 'g.') end;
    perform now() at time zone p_tz; -- does the database know it?
    if not kept then
        select x.days, x.stacks into days, stacks
        from patchbay.usage_at(p_user, p_from, p_to, p_tz, people and p_user = nobody) x;
    end if;
    execute format($sql$
        with g as (
            select %1$s %2$s, sum(d.microusd) as microusd, sum(d.unpriced) as unpriced
            from %3$s d
            where d.day between $2 and $3 and %4$s
            %5$s
        ), page as (
            select * from g where g.n > 0 order by %8$s limit coalesce($8, $5 + 1) offset $9
        )
        select (select count(*) from g where g.n > 0), coalesce(jsonb_agg(jsonb_build_object(%6$s 'cost_microusd', g.microusd,
            'unpriced_lines', g.unpriced, 'complete', g.unpriced = 0) %7$s order by %8$s), '[]')
        from page g %9$s$sql$,
        coalesce(nullif(array_to_string(keys, ', '), '') || ', ', ''),
        case when fine then 'sum(d.quantity_milli) as quantity_milli, sum(d.lines) as n'
             else 'sum(d.calls) as calls, sum(d.answered) as answered, sum(d.duration_ms) as ms, '
                  'sum(d.calls + abs(d.microusd) + d.unpriced) as n' end,
        case when not kept then case when fine then 'unnest($6)' else 'unnest($7)' end
             when fine then 'patchbay.usage_days' else 'patchbay.usage_stack_days' end,
        case when people and p_user = nobody then 'd.user_id <> $4' else 'd.user_id = $1' end,
        case when keys = '{}' then '' else 'group by ' || array_to_string(keys, ', ') end,
        coalesce(nullif(array_to_string(shown, ', '), '') || ', ', ''),
        case when fine then '' else $x$ || jsonb_build_object('calls', g.calls, 'answered', g.answered,
            'minutes', round(g.ms / 60000.0, 2), 'cost_per_minute_microusd', round(g.microusd * 60000.0 / nullif(g.ms, 0)))$x$ end,
        ordered,
        case when people then 'left join public.users u on u.id = g.user_id' else '' end)
    into n, rows using p_user, p_from, p_to, nobody, p_max, days, stacks, p_limit, coalesce(p_after, 0);
    if p_limit is null and n - coalesce(p_after, 0) > p_max then
        return jsonb_build_object('error', 'too_many', 'rows', n);
    end if;
    return jsonb_build_object(
        'from', p_from, 'to', p_to, 'timezone', p_tz, 'currency', 'USD', 'user_id', nullif(p_user, nobody), 'group_by', to_jsonb(p_by),
        'rows', rows, 'count', n, 'next', case when n > coalesce(p_after, 0) + p_limit then (coalesce(p_after, 0) + p_limit)::text end,
        'total', case when kept then patchbay.usage_total(p_user, p_from, p_to) else patchbay.usage_total(stacks) end,
        'missing', case when kept then patchbay.usage_missing(p_user, p_from, p_to) else patchbay.usage_missing(days) end);
exception when invalid_parameter_value then
    return '{"error": "tz"}';
end
$fn$;

create or replace function patchbay.usage_report(p_user uuid, p_from date, p_to date, p_by text[], p_max integer, p_tz text) returns jsonb
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select patchbay.usage_report(p_user, p_from, p_to, p_by, p_max, p_tz, null, null)
$fn$;

create or replace function patchbay.usage_report(p_user uuid, p_from date, p_to date, p_by text[], p_max integer) returns jsonb
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select patchbay.usage_report(p_user, p_from, p_to, p_by, p_max, 'UTC')
$fn$;

-- {"error": "tz"}: this database does not know the zone.
create or replace function patchbay.usage_summary(p_user uuid, p_from date, p_to date, p_tz text) returns jsonb
    language plpgsql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    nobody constant uuid := '00000000-0000-0000-0000-000000000000';
    days patchbay.usage_days[];
    stacks patchbay.usage_stack_days[];
    answers patchbay.answer_days[];
    times jsonb;
begin
    if p_tz = 'UTC' then
        return patchbay.usage_summary(p_user, p_from, p_to);
    end if;
    select x.days, x.stacks into days, stacks from patchbay.usage_at(p_user, p_from, p_to, p_tz, false) x;
    select array_agg(a) into answers from patchbay.answers_at(p_user, p_from, p_to, p_tz) a;
    times := patchbay.answer_times(answers);
    return (
    with d as (
        select stack, sum(calls) as calls, sum(answered) as answered, sum(duration_ms) as ms, sum(microusd) as microusd,
               sum(unpriced) as unpriced, sum(retail_microusd) as retail, sum(unpriced_retail) as no_retail, sum(compared) as compared,
               sum(compared_ms) as compared_ms, sum(own_microusd) as own, sum(other_microusd) as other, sum(timed) as timed
        from unnest(stacks) group by stack
    ), s as (
        select n.stack, jsonb_build_object(
            'calls', coalesce(d.calls, 0), 'answered', coalesce(d.answered, 0), 'minutes', round(coalesce(d.ms, 0) / 60000.0, 2),
            'cost_microusd', coalesce(d.microusd, 0), 'unpriced_lines', coalesce(d.unpriced, 0), 'complete', coalesce(d.unpriced, 0) = 0,
            'cost_per_minute_microusd', round(d.microusd * 60000.0 / nullif(d.ms, 0)),
            'latency', times -> n.stack || jsonb_build_object('calls', d.timed),
            'other', case when d.compared > 0 then jsonb_build_object(
                'stack', case n.stack when 'retell' then 'livekit' else 'retell' end, 'calls', d.compared,
                'minutes', round(d.compared_ms / 60000.0, 2), 'own_microusd', d.own, 'cost_microusd', d.other) end) as j
        from (values ('retell'), ('livekit')) n (stack) left join d on d.stack = n.stack
    ), k as (
        select coalesce(sum(compared), 0) as calls, coalesce(sum(compared_ms), 0) as ms,
               coalesce(sum(case stack when 'retell' then own else other end), 0) as retell,
               coalesce(sum(case stack when 'retell' then other else own end), 0) as livekit,
               coalesce(sum(compared) filter (where stack = 'retell'), 0) as on_retell,
               (select value from patchbay.assumptions where name = 'livekit_plan_microusd_per_month') as fee,
               (p_to - p_from + 1) / 30.0 as months
        from d where stack in ('retell', 'livekit')
    )
    select jsonb_build_object(
        'user_id', nullif(p_user, nobody), 'from', p_from, 'to', p_to, 'timezone', p_tz,
        'currency', 'USD', 'total', patchbay.usage_total(stacks), 'stacks', (select jsonb_object_agg(stack, j) from s),
        'neither', (select jsonb_build_object('calls', coalesce(sum(calls), 0), 'cost_microusd', coalesce(sum(microusd), 0))
                    from d where stack = ''),
        'missing', patchbay.usage_missing(days),
        'comparison', (select jsonb_build_object(
            'calls', k.calls, 'minutes', round(k.ms / 60000.0, 2), 'measured_on_retell', k.on_retell,
            'measured_on_livekit', k.calls - k.on_retell, 'all_on_retell_microusd', k.retell, 'all_on_livekit_microusd', k.livekit,
            'saving_microusd', k.retell - k.livekit, 'saving_share', round(1 - k.livekit / nullif(k.retell, 0)::numeric, 4),
            -- One plan serves everybody: a single user's figures are without it.
            'plan_microusd', case when p_user = nobody then round(k.fee * k.months) end,
            'saving_share_with_plan', case when p_user = nobody
                then round(1 - (k.livekit + k.fee * k.months) / nullif(k.retell, 0)::numeric, 4) end,
            'break_even_minutes_per_month', case when k.retell > k.livekit
                then round(k.fee / ((k.retell - k.livekit) / (k.ms / 60000.0))) end) from k),
        'assumptions', patchbay.assumptions_json(least(now(), (p_to + 1)::timestamp at time zone p_tz)),
        'retail', (select jsonb_build_object(
            'tier', case when p_user <> nobody
                         then coalesce((select u.tier from patchbay.user_tiers u where u.user_id = p_user), 'standard') end,
            'microusd', coalesce(sum(retail), 0), 'unpriced_calls', coalesce(sum(no_retail), 0)) from d),
        'slower', (select case when l.slower then l.facts || jsonb_build_object('since', l.since) end
                   from patchbay.latency_states l where l.user_id = p_user),
        'waiting', (select count(*) from (select from patchbay.usage_dirty limit 1000) w)));
exception when invalid_parameter_value then
    return '{"error": "tz"}';
end
$fn$;

do $grants$
declare
    f text;
begin
    foreach f in array array[
        'moved_calls(uuid, date, date, text)', 'usage_at(uuid, date, date, text, boolean)', 'answers_at(uuid, date, date, text)',
        'usage_total(patchbay.usage_stack_days[])', 'usage_missing(patchbay.usage_days[])', 'answer_times(patchbay.answer_days[])',
        'usage_report(uuid, date, date, text[], integer, text, integer, bigint)', 'usage_report(uuid, date, date, text[], integer, text)', 'usage_report(uuid, date, date, text[], integer)',
        'usage_summary(uuid, date, date, text)'] loop
        execute format('revoke all on function patchbay.%s from public, anon, authenticated', f);
        execute format('grant execute on function patchbay.%s to service_role, patchbay_service', f);
    end loop;
end
$grants$;
