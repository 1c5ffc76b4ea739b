-- What vendors say they bill for a day, beside what we counted.
--
--   invoices        one row per vendor and day, filled in by whichever replica claims it
--   claim_invoice   a day of a vendor that has not been asked for, or long ago: bills of a day still grow for some days
--   put_invoice     what the vendor said; far from ours it is told: usage.invoice_differs
--   invoice_list    what GET /v1/invoices asks

create table if not exists patchbay.invoices (
    vendor text not null,
    day date not null,                          -- UTC
    unit text not null default 'microusd',      -- character: that vendor tells no money
    theirs bigint,                              -- null: not told yet
    asked_at timestamptz,                       -- and answered
    attempts integer not null default 0,        -- that failed since
    error text,
    next_at timestamptz not null default now(),
    lease_by text,
    lease_until timestamptz,
    told_at timestamptz,                        -- that it differs
    primary key (vendor, day)
);

do $rights$
begin
    alter table patchbay.invoices enable row level security;
    drop policy if exists service on patchbay.invoices;
    create policy service on patchbay.invoices to service_role, patchbay_service using (true) with check (true);
    revoke all on patchbay.invoices from anon, authenticated;
    grant select, insert, update, delete on patchbay.invoices to service_role, patchbay_service;
end
$rights$;

-- Ours: the lines of the calls that began on that day, as their records say them.
create or replace function patchbay.invoice_ours(p_vendor text, p_from date, p_to date)
    returns table (day date, microusd bigint, quantity bigint, calls bigint)
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select (c.offered_at at time zone 'UTC')::date, coalesce(sum((l ->> 'microusd')::bigint), 0)::bigint,
           coalesce(sum((l ->> 'quantity')::numeric), 0)::bigint, count(distinct c.id)
    from patchbay.calls c
    join public.call_records r on r.id = c.id
    cross join lateral jsonb_array_elements(r.metadata #> '{patchbay,cost,lines}') l
    where c.offered_at >= p_from::timestamp at time zone 'UTC' and c.offered_at < (p_to + 1)::timestamp at time zone 'UTC'
      and not c.rehearsal and l ->> 'provider' = p_vendor
      and (p_vendor <> 'elevenlabs' or l ->> 'component' = 'tts_chars')
    group by 1
$fn$;

-- {"vendor", "day", "from_ms", "to_ms"}; null: nothing is due. A day is asked for when it is over, and once more on each of
-- the next three nights.
create or replace function patchbay.claim_invoice(p_vendors text[], p_days integer, p_worker text, p_lease interval)
    returns jsonb
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    today constant date := (now() at time zone 'UTC')::date;
    i patchbay.invoices;
begin
    insert into patchbay.invoices (vendor, day, unit)
    select v, today - n, case v when 'elevenlabs' then 'character' else 'microusd' end
    from unnest(p_vendors) v, generate_series(1, p_days) n
    on conflict do nothing;
    update patchbay.invoices x set lease_by = p_worker, lease_until = now() + p_lease
    where (x.vendor, x.day) = (select y.vendor, y.day from patchbay.invoices y
        where y.vendor = any (p_vendors) and y.day < today and y.day >= today - p_days and y.next_at <= now()
          and (y.lease_until is null or y.lease_until < now())
          and (y.asked_at is null or y.asked_at < (y.day + 4)::timestamp at time zone 'UTC')
        order by y.next_at, y.day desc, y.vendor limit 1 for update skip locked)
    returning x.* into i;
    return case when i.vendor is not null then jsonb_build_object(
        'vendor', i.vendor, 'day', i.day,
        'from_ms', (extract(epoch from i.day::timestamp at time zone 'UTC') * 1000)::bigint,
        'to_ms', (extract(epoch from (i.day + 1)::timestamp at time zone 'UTC') * 1000)::bigint) end;
end
$fn$;

create or replace function patchbay.invoice_differs(p_ours bigint, p_theirs bigint) returns numeric
    language sql immutable set search_path = pg_catalog, pg_temp as $fn$
    -- In percent of theirs; positive: we counted more. Null: nothing to compare.
    select case when p_theirs is null then null when p_theirs = p_ours then 0
                when p_theirs = 0 then 100 else round((p_ours - p_theirs) * 100.0 / p_theirs, 2) end
$fn$;

create or replace function patchbay.put_invoice(p_vendor text, p_day date, p_worker text, p_theirs bigint, p_error text,
                                                p_margin integer, p_least bigint) returns jsonb
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    i patchbay.invoices;
    ours bigint;
    percent numeric;
    event_id uuid := patchbay.uuidv7();
    subj text := format('pat.usage.v1.invoice_differs.-.%s', p_vendor);
begin
    update patchbay.invoices x
    set theirs = case when p_error is null then p_theirs else x.theirs end, error = p_error, lease_until = null,
        asked_at = case when p_error is null then now() else x.asked_at end,
        attempts = case when p_error is null then 0 else x.attempts + 1 end,
        next_at = case when p_error is null then date_trunc('day', now() at time zone 'UTC') at time zone 'UTC' + interval '26 hours'
                       else now() + least(interval '6 hours', interval '1 minute' * (2 ^ least(x.attempts, 9))) end
    where x.vendor = p_vendor and x.day = p_day and x.lease_by = p_worker returning x.* into i;
    if i.vendor is null or p_error is not null then
        return null;
    end if;
    select case i.unit when 'microusd' then o.microusd else o.quantity end into ours
    from patchbay.invoice_ours(p_vendor, p_day, p_day) o;
    ours := coalesce(ours, 0);
    percent := patchbay.invoice_differs(ours, p_theirs);
    if abs(percent) > p_margin and abs(ours - p_theirs) > p_least and i.told_at is null then
        update patchbay.invoices x set told_at = now() where x.vendor = p_vendor and x.day = p_day;
        insert into patchbay.outbox (id, subject, payload) values (event_id, subj, jsonb_build_object(
            'specversion', '1.0', 'id', event_id, 'source', '/patchbay/stack-switcher', 'type', 'pat.usage.v1.invoice_differs',
            'subject', p_vendor, 'time', to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
            'datacontenttype', 'application/json',
            'data', jsonb_build_object('vendor', p_vendor, 'day', p_day, 'unit', i.unit, 'ours', ours, 'theirs', p_theirs,
                                       'percent', percent)));
        perform pg_notify('patchbay_outbox', subj);
    end if;
    return jsonb_build_object('ours', ours, 'theirs', p_theirs, 'percent', percent);
end
$fn$;

-- The last p_days days, newest first. A vendor that tells nothing is not here.
create or replace function patchbay.invoice_list(p_vendor text, p_days integer, p_margin integer, p_least bigint) returns jsonb
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    with span as (
        select (now() at time zone 'UTC')::date - p_days as first, (now() at time zone 'UTC')::date as last
    ), rows as (
        select i.*, case i.unit when 'microusd' then coalesce(o.microusd, 0) else coalesce(o.quantity, 0) end as ours,
               coalesce(o.calls, 0) as calls
        from span s
        join patchbay.invoices i on i.day between s.first and s.last and (p_vendor is null or i.vendor = p_vendor)
        left join lateral (select * from patchbay.invoice_ours(i.vendor, s.first, s.last) x where x.day = i.day) o on true
    )
    select jsonb_build_object('margin_percent', p_margin, 'invoices', coalesce(jsonb_agg(jsonb_build_object(
        'vendor', r.vendor, 'day', r.day, 'unit', r.unit, 'ours', r.ours, 'theirs', r.theirs, 'calls', r.calls,
        'percent', patchbay.invoice_differs(r.ours, r.theirs),
        'differs', coalesce(abs(patchbay.invoice_differs(r.ours, r.theirs)) > p_margin and abs(r.ours - r.theirs) > p_least, false),
        'asked_at', r.asked_at, 'error', r.error) order by r.day desc, r.vendor), '[]'))
    from rows r
$fn$;

do $rights$
declare
    f text;
begin
    foreach f in array array['invoice_ours(text, date, date)', 'claim_invoice(text[], integer, text, interval)',
                             'invoice_differs(bigint, bigint)',
                             'put_invoice(text, date, text, bigint, text, integer, bigint)',
                             'invoice_list(text, integer, integer, bigint)'] loop
        execute format('revoke all on function patchbay.%s from public', f);
        execute format('grant execute on function patchbay.%s to service_role, patchbay_service', f);
    end loop;
end
$rights$;
