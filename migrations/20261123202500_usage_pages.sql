-- What the sums of usage say, as the API shows it.
--
--   usage_report      usage by day, stack, component, user, account, model
--   usage_csv         the same as a file for a spreadsheet
--   usage_summary     both stacks side by side: cost, what the other one would have cost, how fast answers were
--   call_costs_json   one call
--   assumptions_json  what the figures of the stack a call was not on rest on, in numbers and words
--   latency_look      tells when LiveKit has become slower than Retell, or is not any more
--
-- Money is in millionths of a dollar. Days are those of UTC, the last one included. The nil uuid asks for everybody.

-- p_max rows at most: {"error": "too_many"} when there are more.
create or replace function patchbay.usage_report(p_user uuid, p_from date, p_to date, p_by text[], p_max integer) returns jsonb
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
    keys text[] := '{}';
    shown text[] := '{}';
    people constant boolean := 'user' = any (p_by);
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
    execute format($sql$
        with g as (
            select %1$s %2$s, sum(d.microusd) as microusd, sum(d.unpriced) as unpriced
            from patchbay.%3$I d
            where d.day between $2 and $3 and %4$s
            %5$s
        )
        select count(*), case when count(*) <= $5 then coalesce(jsonb_agg(jsonb_build_object(%6$s 'cost_microusd', g.microusd,
            'unpriced_lines', g.unpriced, 'complete', g.unpriced = 0) %7$s order by %8$s), '[]') end
        from g %9$s where %10$s$sql$,
        coalesce(nullif(array_to_string(keys, ', '), '') || ', ', ''),
        case when fine then 'sum(d.quantity_milli) as quantity_milli, sum(d.lines) as n'
             else 'sum(d.calls) as calls, sum(d.answered) as answered, sum(d.duration_ms) as ms, '
                  'sum(d.calls + abs(d.microusd) + d.unpriced) as n' end,
        case when fine then 'usage_days' else 'usage_stack_days' end,
        case when people and p_user = nobody then 'd.user_id <> $4' else 'd.user_id = $1' end,
        case when keys = '{}' then '' else 'group by ' || array_to_string(keys, ', ') end,
        coalesce(nullif(array_to_string(shown, ', '), '') || ', ', ''),
        case when fine then '' else $x$ || jsonb_build_object('calls', g.calls, 'answered', g.answered,
            'minutes', round(g.ms / 60000.0, 2), 'cost_per_minute_microusd', round(g.microusd * 60000.0 / nullif(g.ms, 0)))$x$ end,
        case when 'day' = any (p_by) then 'g.day, ' else '' end || 'g.microusd desc' ||
            case when keys = '{}' then '' else ', ' || replace(array_to_string(keys, ', '), 'd.', 'g.') end,
        case when people then 'left join public.users u on u.id = g.user_id' else '' end,
        'g.n > 0')
    into n, rows using p_user, p_from, p_to, nobody, p_max;
    if n > p_max then
        return jsonb_build_object('error', 'too_many', 'rows', n);
    end if;
    return jsonb_build_object(
        'from', p_from, 'to', p_to, 'timezone', 'UTC', 'currency', 'USD', 'user_id', nullif(p_user, nobody), 'group_by', to_jsonb(p_by),
        'rows', rows, 'total', patchbay.usage_total(p_user, p_from, p_to), 'missing', patchbay.usage_missing(p_user, p_from, p_to));
end
$fn$;

create or replace function patchbay.usage_total(p_user uuid, p_from date, p_to date) returns jsonb
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select jsonb_build_object(
        'calls', coalesce(sum(calls), 0), 'answered', coalesce(sum(answered), 0),
        'minutes', round(coalesce(sum(duration_ms), 0) / 60000.0, 2), 'cost_microusd', coalesce(sum(microusd), 0),
        'cost_per_minute_microusd', round(sum(microusd) * 60000.0 / nullif(sum(duration_ms), 0)),
        'unpriced_lines', coalesce(sum(unpriced), 0), 'complete', coalesce(sum(unpriced), 0) = 0)
    from patchbay.usage_stack_days where user_id = p_user and day between p_from and p_to
$fn$;

-- What had no price, so that sums are without it.
create or replace function patchbay.usage_missing(p_user uuid, p_from date, p_to date) returns jsonb
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select coalesce(jsonb_agg(jsonb_build_object(
        'provider', provider, 'component', component, 'model', nullif(model, ''), 'unit', unit, 'lines', n,
        'quantity', quantity / 1000.0,
        'reason', case when provider = 'retell' then 'Retell has not told what it cost' else 'no price of it at that time' end)
        order by provider, component, model, unit), '[]')
    from (select provider, component, model, unit, sum(unpriced) as n, sum(quantity_milli) as quantity from patchbay.usage_days
          where user_id = p_user and day between p_from and p_to and unpriced > 0 group by 1, 2, 3, 4) x
$fn$;

-- RFC 4180. What a spreadsheet would take for a formula is made a text by an apostrophe (owasp.org, CSV Injection).
create or replace function patchbay.csv_cell(p_text text) returns text
    language sql immutable set search_path = pg_catalog, pg_temp as $fn$
    select case when t ~ E'[",\r\n\t]' or t ~ '^ | $' then '"' || replace(t, '"', '""') || '"' else t end
    from (select case when p_text ~ E'^\\s*[-=+@]' or p_text ~ E'^[\t\r\n]' then '''' || p_text else coalesce(p_text, '') end as t) x
$fn$;

create or replace function patchbay.usage_csv(p_report jsonb) returns text
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    with names as (
        select name, n from unnest(array['day', 'stack', 'user_id', 'user_name', 'user_email', 'component', 'provider', 'account',
                                         'model', 'unit', 'quantity', 'calls', 'answered', 'minutes']) with ordinality x (name, n)
        where (name in ('calls', 'answered', 'minutes') and not p_report -> 'group_by' ?| array['component', 'account', 'model'])
           or name in ('day', 'stack', 'account', 'model') and p_report -> 'group_by' ? name
           or name in ('component', 'provider', 'unit', 'quantity') and p_report -> 'group_by' ? 'component'
           or name in ('user_id', 'user_name', 'user_email') and p_report -> 'group_by' ? 'user'
    )
    select (select coalesce(string_agg(name, ',' order by n) || ',', '') from names) || E'cost_usd,complete\r\n'
        || coalesce((select string_agg(
               (select coalesce(string_agg(case when jsonb_typeof(r -> name) = 'number' then r ->> name
                                                else patchbay.csv_cell(r ->> name) end, ',' order by n) || ',', '') from names)
               || trim_scale((r ->> 'cost_microusd')::numeric / 1000000)::text || ','
               || case when (r ->> 'complete')::boolean then 'yes' else 'no' end, E'\r\n' order by o) || E'\r\n'
           from jsonb_array_elements(p_report -> 'rows') with ordinality y (r, o)), '')
$fn$;

-- ------------------------------------------------------------------ assumptions
create or replace function patchbay.assumptions_json(p_at timestamptz) returns jsonb
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select coalesce((select jsonb_agg(jsonb_build_object('name', a.name, 'value', a.value, 'unit', a.unit, 'words', a.words)
                                      order by a.name) from patchbay.assumptions a), '[]')
        || coalesce((select jsonb_agg(jsonb_build_object(
               'name', e.stack || '_' || e.component, 'value', case when p.id is not null then p.price_microusd end,
               'unit', case when p.id is not null then 'microusd per ' || p.per || ' ' || p.unit || 's' else 'no price' end,
               'words', 'An agent on ' || case e.stack when 'retell' then 'Retell' else 'LiveKit' end || ' is supposed to use '
                        || e.provider || case when e.model <> '' then ' ' || e.model else '' end || ' (' || replace(e.component, '_', ' ')
                        || ')' || coalesce(', at the price of ' || p.source || ' read on ' || p.read_on, ', which has no price here') || '.')
               order by e.stack, e.component)
               from patchbay.estimate_parts e
               left join lateral patchbay.price_at(e.provider, e.provider, e.component, e.model, p_at) p on true), '[]')
        || '[{"name": "carrier", "value": null, "unit": "",
              "words": "Both stacks are behind the same carrier: its minutes are the same on both sides."},
             {"name": "not_counted", "value": null, "unit": "",
              "words": "Not counted on either side: numbers'' rent, fees for many calls at a time, discounts, recording, own servers; of Retell, dearer models for prompts over 3,500 tokens."}]'
$fn$;

-- ------------------------------------------------------------------ one call
-- Null: no such call. Reckoned at once, not taken from the sums.
create or replace function patchbay.call_costs_json(p_call uuid) returns jsonb
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    with c as (
        select * from patchbay.calls where id = p_call and not rehearsal
    ), lines as materialized (
        select * from patchbay.cost_lines(array[p_call])
    ), own as (
        select case when count(*) = count(microusd) then coalesce(sum(microusd), 0) end as microusd,
               coalesce(sum(microusd), 0) as known from lines
    ), other as (
        select e.stack, e.microusd, e.details from patchbay.cost_elsewhere(array[p_call]) e
    ), tier as (
        select coalesce((select k.tier from patchbay.call_costs k where k.call_id = p_call),
                        (select u.tier from patchbay.user_tiers u, c where u.user_id = c.user_id), 'standard') as name
    )
    select jsonb_build_object(
        'call_id', c.id, 'user_id', c.user_id, 'stack', c.stack, 'state', c.state, 'duration_ms', c.duration_ms, 'currency', 'USD',
        'cost_microusd', own.microusd, 'known_microusd', own.known, 'complete', own.microusd is not null,
        'parts', coalesce((select jsonb_object_agg(part, microusd) from (
            select part, case when count(*) = count(microusd) then sum(microusd) end as microusd from lines group by part) x), '{}'),
        'lines', coalesce((select jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
            'leg', leg, 'segment', segment, 'stack', stack, 'part', part, 'component', component, 'provider', provider,
            'account', account, 'model', model, 'unit', unit, 'quantity', quantity_milli / 1000.0, 'rate_id', price_id,
            'cost_microusd', microusd, 'reason', case when microusd is null then reason end))
            order by part, component, provider, model, leg, segment, quantity_milli) from lines), '[]'),
        'missing', coalesce((select jsonb_agg(distinct jsonb_build_object(
            'provider', provider, 'component', component, 'model', model, 'reason', reason)) from lines where microusd is null), '[]'),
        'tier', tier.name,
        'retail_microusd', (select patchbay.cost_microusd(c.duration_ms, r.microusd_per_minute, 60, 0, 0)
                            from patchbay.retail_prices r where r.tier = tier.name and r.valid_from <= c.offered_at
                            order by r.valid_from desc limit 1),
        'other', case when other.stack is not null then other.details || jsonb_build_object(
            'stack', other.stack, 'cost_microusd', other.microusd, 'estimate', true) end,
        -- Against Retell, whichever of the two is the estimate.
        'saving_share', case c.stack when 'livekit' then round(1 - own.microusd / nullif(other.microusd, 0)::numeric, 4)
                                     when 'retell' then round(1 - other.microusd / nullif(own.microusd, 0)::numeric, 4) end,
        'assumptions', patchbay.assumptions_json(coalesce(c.answered_at, c.offered_at)))
    from c cross join own cross join tier left join other on true
$fn$;

-- ------------------------------------------------------------------ both stacks
-- {"retell": {"answers", "p50_ms", "p95_ms"}, ...}; a bucket stands for its middle.
create or replace function patchbay.answer_times(p_user uuid, p_from date, p_to date) returns jsonb
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    with b as (
        select stack, bucket, sum(n) as n from patchbay.answer_days
        where user_id = p_user and day between p_from and p_to group by 1, 2 having sum(n) > 0
    ), upto as (
        select stack, bucket, sum(n) over (partition by stack order by bucket) as n, sum(n) over (partition by stack) as total from b
    )
    select coalesce(jsonb_object_agg(stack, j), '{}') from (
        select stack, jsonb_build_object(
            'answers', max(total), 'p50_ms', round(power(1.05, min(bucket) filter (where n >= total * 0.50) + 0.5)),
            'p95_ms', round(power(1.05, min(bucket) filter (where n >= total * 0.95) + 0.5))) as j
        from upto group by stack) x
$fn$;

create or replace function patchbay.usage_summary(p_user uuid, p_from date, p_to date) returns jsonb
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    with d as (
        select stack, sum(calls) as calls, sum(answered) as answered, sum(duration_ms) as ms, sum(microusd) as microusd,
               sum(unpriced) as unpriced, sum(retail_microusd) as retail, sum(unpriced_retail) as no_retail, sum(compared) as compared,
               sum(compared_ms) as compared_ms, sum(own_microusd) as own, sum(other_microusd) as other, sum(timed) as timed
        from patchbay.usage_stack_days where user_id = p_user and day between p_from and p_to group by stack
    ), t as (
        select patchbay.answer_times(p_user, p_from, p_to) as j
    ), s as (
        select n.stack, jsonb_build_object(
            'calls', coalesce(d.calls, 0), 'answered', coalesce(d.answered, 0), 'minutes', round(coalesce(d.ms, 0) / 60000.0, 2),
            'cost_microusd', coalesce(d.microusd, 0), 'unpriced_lines', coalesce(d.unpriced, 0), 'complete', coalesce(d.unpriced, 0) = 0,
            'cost_per_minute_microusd', round(d.microusd * 60000.0 / nullif(d.ms, 0)),
            'latency', t.j -> n.stack || jsonb_build_object('calls', d.timed),
            'other', case when d.compared > 0 then jsonb_build_object(
                'stack', case n.stack when 'retell' then 'livekit' else 'retell' end, 'calls', d.compared,
                'minutes', round(d.compared_ms / 60000.0, 2), 'own_microusd', d.own, 'cost_microusd', d.other) end) as j
        from (values ('retell'), ('livekit')) n (stack) left join d on d.stack = n.stack cross join t
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
        'user_id', nullif(p_user, '00000000-0000-0000-0000-000000000000'), 'from', p_from, 'to', p_to, 'timezone', 'UTC',
        'currency', 'USD', 'total', patchbay.usage_total(p_user, p_from, p_to), 'stacks', (select jsonb_object_agg(stack, j) from s),
        -- What serves neither stack: callers screened away, messages taken without an agent.
        'neither', (select jsonb_build_object('calls', coalesce(sum(calls), 0), 'cost_microusd', coalesce(sum(microusd), 0))
                    from d where stack = ''),
        'missing', patchbay.usage_missing(p_user, p_from, p_to),
        'comparison', (select jsonb_build_object(
            'calls', k.calls, 'minutes', round(k.ms / 60000.0, 2), 'measured_on_retell', k.on_retell,
            'measured_on_livekit', k.calls - k.on_retell, 'all_on_retell_microusd', k.retell, 'all_on_livekit_microusd', k.livekit,
            'saving_microusd', k.retell - k.livekit, 'saving_share', round(1 - k.livekit / nullif(k.retell, 0)::numeric, 4),
            -- One plan serves everybody: a single user's figures are without it.
            'plan_microusd', case when p_user = '00000000-0000-0000-0000-000000000000' then round(k.fee * k.months) end,
            'saving_share_with_plan', case when p_user = '00000000-0000-0000-0000-000000000000'
                then round(1 - (k.livekit + k.fee * k.months) / nullif(k.retell, 0)::numeric, 4) end,
            'break_even_minutes_per_month', case when k.retell > k.livekit
                then round(k.fee / ((k.retell - k.livekit) / (k.ms / 60000.0))) end) from k),
        'assumptions', patchbay.assumptions_json(least(now(), (p_to + 1)::timestamp at time zone 'UTC')),
        'retail', (select jsonb_build_object(
            'tier', case when p_user <> '00000000-0000-0000-0000-000000000000'
                         then coalesce((select u.tier from patchbay.user_tiers u where u.user_id = p_user), 'standard') end,
            'microusd', coalesce(sum(retail), 0), 'unpriced_calls', coalesce(sum(no_retail), 0)) from d),
        'slower', (select case when l.slower then l.facts || jsonb_build_object('since', l.since) end
                   from patchbay.latency_states l where l.user_id = p_user),
        'waiting', (select count(*) from (select from patchbay.usage_dirty limit 1000) w))
$fn$;

-- ------------------------------------------------------------------ slower
-- Everybody, and each user with p_calls calls or more on both stacks within p_days: is the middle answer, or the slow one in
-- twenty, p_percent or more later on LiveKit? Told when that has changed, by whoever looks: an event, and the state's row.
-- Returns {"answers": answer_times of everybody, "slower": how many users, "everybody": bool, "told": how many}.
create or replace function patchbay.latency_look(p_days integer, p_percent integer, p_calls integer) returns jsonb
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    nobody constant uuid := '00000000-0000-0000-0000-000000000000';
    since constant date := (now() at time zone 'UTC')::date - p_days + 1;
    today constant date := (now() at time zone 'UTC')::date;
    who uuid;
    enough boolean;
    was boolean;
    is_slower boolean;
    t jsonb;
    facts jsonb;
    event_id uuid;
    subj text;
    key text;
    told integer := 0;
begin
    perform pg_advisory_xact_lock(7811920442103392);
    for who, enough in
        with counted as (
            select user_id from patchbay.usage_stack_days
            where day between since and today and stack in ('retell', 'livekit') and user_id <> 'ffffffff-ffff-ffff-ffff-ffffffffffff'
            group by user_id
            having sum(timed) filter (where stack = 'retell') >= p_calls and sum(timed) filter (where stack = 'livekit') >= p_calls)
        select user_id, true from counted
        union all
        -- Too few calls by now to say so any longer.
        select l.user_id, false from patchbay.latency_states l
        where l.slower and l.user_id not in (select user_id from counted)
    loop
        t := patchbay.answer_times(who, since, today);
        is_slower := enough and coalesce((t #>> '{livekit,p50_ms}')::numeric * 100 >= (t #>> '{retell,p50_ms}')::numeric * (100 + p_percent)
                           or (t #>> '{livekit,p95_ms}')::numeric * 100 >= (t #>> '{retell,p95_ms}')::numeric * (100 + p_percent), false);
        facts := jsonb_build_object('livekit', t -> 'livekit', 'retell', t -> 'retell', 'margin_percent', p_percent, 'days', p_days);
        select l.slower into was from patchbay.latency_states l where l.user_id = who;
        insert into patchbay.latency_states as l (user_id, slower, facts) values (who, is_slower, facts)
        on conflict (user_id) do update set slower = excluded.slower, facts = excluded.facts, looked_at = now(),
            since = case when l.slower = excluded.slower then l.since else now() end;
        if is_slower is distinct from coalesce(was, false) then
            event_id := patchbay.uuidv7();
            key := case when who = nobody then '-' else who::text end;
            subj := 'pat.health.v1.latency.livekit.' || key;
            insert into patchbay.outbox (id, subject, payload) values (event_id, subj, jsonb_strip_nulls(jsonb_build_object(
                'specversion', '1.0', 'id', event_id, 'source', '/patchbay/stack-switcher', 'type', 'pat.health.v1.latency',
                'subject', key, 'time', to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                'datacontenttype', 'application/json', 'userid', nullif(key, '-'))) || jsonb_build_object(
                'data', facts || jsonb_build_object('stack', 'livekit', 'slower', is_slower, 'user_id', nullif(key, '-'))));
            perform pg_notify('patchbay_outbox', subj);
            told := told + 1;
        end if;
    end loop;
    return jsonb_build_object(
        'answers', patchbay.answer_times(nobody, since, today), 'told', told,
        'slower', (select count(*) from patchbay.latency_states where slower and user_id <> nobody),
        'everybody', coalesce((select slower from patchbay.latency_states where user_id = nobody), false));
end
$fn$;

do $grants$
declare
    f text;
begin
    foreach f in array array[
        'usage_report(uuid, date, date, text[], integer)', 'usage_total(uuid, date, date)', 'usage_missing(uuid, date, date)',
        'csv_cell(text)', 'usage_csv(jsonb)', 'assumptions_json(timestamptz)', 'call_costs_json(uuid)', 'answer_times(uuid, date, date)',
        'usage_summary(uuid, date, date)', 'latency_look(integer, integer, integer)'] loop
        execute format('revoke all on function patchbay.%s from public, anon, authenticated', f);
        execute format('grant execute on function patchbay.%s to service_role, patchbay_service', f);
    end loop;
end
$grants$;
