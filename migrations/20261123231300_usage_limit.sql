-- Usage a page at a time.
--
--   usage_report with a limit   so many rows behind the first p_after of them; without a limit as before
--
-- All users' rows of a month are megabytes where there are thousands of them, and a page shows some tens. All have to be summed up
-- for the dearest to be known, but names are looked up and JSON is made for those that are asked for. "count" is how many rows there
-- are in all, "next" the p_after of the page behind this one.

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

revoke all on function patchbay.usage_report(uuid, date, date, text[], integer, text, integer, bigint) from public, anon, authenticated;
grant execute on function patchbay.usage_report(uuid, date, date, text[], integer, text, integer, bigint) to service_role, patchbay_service;
