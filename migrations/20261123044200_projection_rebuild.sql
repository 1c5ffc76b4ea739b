-- The projection into public.call_records can be made again, and comes out the same to the byte.
--
--   call_row       what the row of a call has to say, from what is stored here and nothing else: no clock, no earlier row
--   project_call   as before; and a column it filled once and has nothing for any more goes back to its default
--   rebuild_calls  projects the calls of a user or a time again, and says how many rows came out otherwise
--   prune          as before; a call's events go only after what they say is kept in call_results

-- Columns of public.call_records that the last projection filled; null: none so far.
alter table patchbay.calls add column if not exists projected text[];

create or replace function patchbay.call_row(c patchbay.calls) returns jsonb
    language plpgsql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    r patchbay.call_results;
    want jsonb;
    cost jsonb;
begin
    select * into r from patchbay.call_results
    where call_id = c.id and source = coalesce(c.stack, 'retell');
    if c.stack = 'livekit' then
        r.data := patchbay.livekit_result(c) || coalesce(r.data, '{}');
    end if;
    select jsonb_object_agg(key, value) into want
    from jsonb_each(patchbay.call_record(c, r.data, r.event) || jsonb_build_object(
        'created_at', c.offered_at,
        'telephony_vendor', case when c.carrier in ('signalwire', 'twilio', 'vonage', 'bandwidth') then c.carrier end))
    where value <> 'null';
    -- Somebody else's handler may have stored Retell's webhook under an id of its own.
    if exists (select from public.call_records x where x.retell_call_id = c.retell_call_id and x.id <> c.id) then
        want := want - 'retell_call_id';
    end if;
    -- These columns are ours alone once we have metered something: a sum that is not known any more becomes null again,
    -- and metadata says what is missing. Lines that are alike have no order of their own: they get one.
    cost := patchbay.call_cost(c);
    if cost is not null then
        cost := cost || jsonb_build_object('lines', (
            select jsonb_agg(l order by n, l)
            from (select l, min(o) over (partition by l ->> 'component', l ->> 'provider', l ->> 'model', l -> 'segment') as n
                  from jsonb_array_elements(cost -> 'lines') with ordinality x (l, o)) y));
        want := want || (
            select jsonb_object_agg('call_cost_' || part, round((cost #>> array['microusd', part])::numeric / 1000000, 4))
            from unnest(array['total', 'llm', 'tts', 'stt', 'telephony']) part)
            || jsonb_build_object('metadata', jsonb_set(want -> 'metadata', '{patchbay,cost}', cost));
    end if;
    return want;
end
$fn$;

create or replace function patchbay.project_call(p_call uuid) returns boolean
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    c patchbay.calls;
    want jsonb;
    cols text[];
    gone text[];
    filled text[];
begin
    -- The lock lets two projections of one call run one after the other.
    select * into c from patchbay.calls where id = p_call for update;
    if not found or not exists (select from public.users u where u.id = c.user_id) then
        return false;
    end if;
    want := patchbay.call_row(c);
    select array_agg(quote_ident(a.attname) order by a.attnum) filter (where want ? a.attname),
           array_agg(quote_ident(a.attname) order by a.attnum) filter (where not want ? a.attname),
           array_agg(a.attname::text order by a.attname) filter (where want ? a.attname)
    into cols, gone, filled
    from pg_attribute a
    where a.attrelid = 'public.call_records'::regclass and a.attnum > 0 and not a.attisdropped
      and a.attgenerated = '' and (want ? a.attname or a.attname = any (c.projected));

    execute format(
        'insert into public.call_records as t (%1$s)
         select %1$s from jsonb_populate_record(null::public.call_records, $1)
         on conflict (id) do update set (%1$s) = row (%2$s)%4$s where (%3$s) is distinct from (%2$s)%5$s',
        array_to_string(cols, ', '),
        (select string_agg('excluded.' || x, ', ') from unnest(cols) x),
        (select string_agg('t.' || x, ', ') from unnest(cols) x),
        coalesce((select string_agg(', ' || x || ' = default', '') from unnest(gone) x), ''),
        case when gone is not null then ' or true' else '' end)
    using want;
    if filled is distinct from c.projected then
        update patchbay.calls set projected = filled where id = c.id;
    end if;
    return true;
end
$fn$;

-- Looks at p_max calls behind p_after, in the order of their ids, and projects each again. p_write false: says only how
-- many rows would come out otherwise. last is null when there are no more.
create or replace function patchbay.rebuild_calls(p_user uuid, p_from timestamptz, p_to timestamptz, p_after uuid, p_max integer,
                                                  p_write boolean, out looked integer, out different integer,
                                                  out last uuid, out examples uuid[])
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    call uuid;
    before jsonb;
    after jsonb;
begin
    looked := 0;
    different := 0;
    examples := '{}';
    for call in
        select x.id from patchbay.calls x
        where (p_after is null or x.id > p_after) and (p_user is null or x.user_id = p_user)
          and (p_from is null or x.offered_at >= p_from) and (p_to is null or x.offered_at < p_to)
        order by x.id limit p_max
    loop
        looked := looked + 1;
        last := call;
        begin
            select to_jsonb(r) into before from public.call_records r where r.id = call;
            perform patchbay.project_call(call);
            select to_jsonb(r) into after from public.call_records r where r.id = call;
            if not p_write then
                raise exception 'only looking' using errcode = 'PB001';
            end if;
        exception when sqlstate 'PB001' then
            null; -- what was projected is undone, what was seen is kept
        end;
        if before is distinct from after then
            different := different + 1;
            if cardinality(examples) < 10 then
                examples := examples || call;
            end if;
        end if;
    end loop;
    if looked < p_max then
        last := null;
    end if;
end
$fn$;

create or replace function patchbay.prune(p_kind text, p_days integer, p_max integer) returns integer
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $fn$
declare
    before constant timestamptz := now() - make_interval(days => p_days);
    old uuid[];
    n integer;
begin
    if p_days is null or p_days < 1 or p_max is null or p_max < 1 then
        raise exception 'prune: days and rows are at least 1' using errcode = '22023';
    end if;
    -- Of this transaction: a pooler may sit in between.
    if not pg_try_advisory_xact_lock(7811920442103378) then
        return -1;
    end if;
    case p_kind
    when 'outbox' then
        delete from patchbay.outbox where id in (
            select id from patchbay.outbox where published_at is not null and published_at < before
            order by published_at limit p_max for update skip locked);
    when 'outbox_parked' then
        delete from patchbay.outbox where id in (
            select id from patchbay.outbox where parked_at is not null and parked_at < before
            order by parked_at limit p_max for update skip locked);
    when 'webhook_inbox' then
        delete from patchbay.webhook_inbox where id in (
            select id from patchbay.webhook_inbox where state = 'projected' and received_at < before
            order by received_at limit p_max for update skip locked);
    when 'webhook_inbox_parked' then
        delete from patchbay.webhook_inbox where id in (
            select id from patchbay.webhook_inbox where state = 'parked' and received_at < before
            order by received_at limit p_max for update skip locked);
    when 'call_events' then
        select array_agg(x.id) into old from (
            select id from patchbay.call_events where stored_at < before
            order by stored_at limit p_max for update skip locked) x;
        -- What is kept already came from all of the events; what is left of them now says less.
        insert into patchbay.call_results as r (call_id, source, user_id, data)
        select c.id, 'livekit', c.user_id, patchbay.livekit_result(c)
        from patchbay.calls c
        where c.id in (select e.call_id from patchbay.call_events e where e.id = any (old)) and c.stack = 'livekit'
        on conflict (call_id, source) do update set data = excluded.data || r.data;
        delete from patchbay.call_events where id = any (old);
    else
        raise exception 'prune: no rows of kind "%"', p_kind using errcode = '22023';
    end case;
    get diagnostics n = row_count;
    return n;
end
$fn$;

revoke all on function patchbay.call_row(patchbay.calls),
    patchbay.rebuild_calls(uuid, timestamptz, timestamptz, uuid, integer, boolean) from public;
grant execute on function patchbay.call_row(patchbay.calls),
    patchbay.rebuild_calls(uuid, timestamptz, timestamptz, uuid, integer, boolean) to service_role, patchbay_service;
