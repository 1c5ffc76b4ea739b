-- What calls use and what that costs.
--
--   patchbay.prices   the book of prices: each row holds from valid_from until the next of its kind. Data, not code: a
--                     deployment puts its own contract in by another row. A figure nobody has read somewhere is not here
--   patchbay.usage    what was metered: one row per call, leg, segment, component, account and model
--   put_usage         takes one quantity; told again, it is one row all the same
--   cost_microusd     what a quantity costs, in whole millionths of a dollar; libcommon/prices.c says the same
--   call_cost         a call's costs, and what has no price: then the total is null, never a guess
--   price_book        all of it, as the agents read it for their limits
--   project_call      as before, with the costs of calls whose usage we metered

create table if not exists patchbay.prices (
    id uuid primary key default patchbay.uuidv7(),
    provider text not null check (length(provider) between 1 and 31),
    component text not null check (length(component) between 1 and 31),
    model text not null default '' check (length(model) <= 79),  -- '': any that has no row of its own
    valid_from timestamptz not null,
    price_microusd bigint not null check (price_microusd >= 0),  -- for per units
    per bigint not null check (per > 0),
    unit text not null,
    minimum bigint not null default 0 check (minimum >= 0),      -- units billed at least
    step bigint not null default 0 check (step >= 0),            -- a started one counts whole; 0: by the unit's thousandth
    source text not null,                                        -- where the figure was read
    read_on date not null,
    note text,
    unique (provider, component, model, valid_from)
);
comment on table patchbay.prices is 'Effective-dated prices of what calls use, in millionths of a dollar.';

create table if not exists patchbay.usage (
    id uuid primary key,                       -- of the event pat.usage.v1.recorded
    call_id uuid not null,
    user_id uuid not null,
    leg text not null,
    segment integer not null default 1,
    component text not null,
    provider text not null,
    account text,                              -- of the provider's, as the daemon's settings name it
    model text,
    unit text not null,
    quantity_milli bigint not null check (quantity_milli >= 0),
    used_at timestamptz not null,
    stored_at timestamptz not null default now()
);
create index if not exists usage_call on patchbay.usage (call_id);
create index if not exists usage_user on patchbay.usage (user_id, used_at desc);

do $rights$
declare
    t text;
begin
    foreach t in array array['prices', 'usage'] loop
        execute format('alter table patchbay.%I enable row level security', t);
        execute format('drop policy if exists service on patchbay.%I', t);
        execute format('create policy service on patchbay.%I to service_role, patchbay_service
                        using (true) with check (true)', t);
        execute format('revoke all on patchbay.%I from anon, authenticated', t);
        execute format('grant select, insert, update, delete on patchbay.%I to service_role, patchbay_service', t);
    end loop;
    drop policy if exists owner_reads on patchbay.usage;
    create policy owner_reads on patchbay.usage for select to authenticated using ((select auth.uid()) = user_id);
    grant select on patchbay.usage to authenticated;
end
$rights$;

-- List prices, as quoted on the day they were read. Retell bills by the call and says so itself.
insert into patchbay.prices (provider, component, model, valid_from, price_microusd, per, unit, minimum, step, source,
                             read_on, note)
values
    ('deepgram', 'stt', 'nova-3', '2026-08-01', 4800, 60, 'second', 0, 0, 'deepgram.com/pricing', '2026-08-01', 'streaming, pay as you go'),
    ('deepgram', 'stt', 'nova-3:multi', '2026-08-01', 5800, 60, 'second', 0, 0, 'deepgram.com/pricing', '2026-08-01', 'streaming, multilingual'),
    ('deepgram', 'stt', 'flux-general-en', '2026-08-01', 6500, 60, 'second', 0, 0, 'deepgram.com/pricing', '2026-08-01', null),
    ('deepgram', 'stt', 'flux-general-multi', '2026-08-01', 7800, 60, 'second', 0, 0, 'deepgram.com/pricing', '2026-08-01', null),
    ('openai', 'llm_in', 'gpt-4o-mini', '2026-08-01', 150000, 1000000, 'token', 0, 0, 'openai.com/api/pricing', '2026-08-01', null),
    ('openai', 'llm_cached', 'gpt-4o-mini', '2026-08-01', 75000, 1000000, 'token', 0, 0, 'openai.com/api/pricing', '2026-08-01', null),
    ('openai', 'llm_out', 'gpt-4o-mini', '2026-08-01', 600000, 1000000, 'token', 0, 0, 'openai.com/api/pricing', '2026-08-01', null),
    ('openai', 'llm_in', 'gpt-4.1', '2026-08-01', 2000000, 1000000, 'token', 0, 0, 'openai.com/api/pricing', '2026-08-01', null),
    ('openai', 'llm_cached', 'gpt-4.1', '2026-08-01', 500000, 1000000, 'token', 0, 0, 'openai.com/api/pricing', '2026-08-01', null),
    ('openai', 'llm_out', 'gpt-4.1', '2026-08-01', 8000000, 1000000, 'token', 0, 0, 'openai.com/api/pricing', '2026-08-01', null),
    ('openai', 'llm_in', 'gpt-6-luna', '2026-10-01', 100000, 1000000, 'token', 0, 0, 'openai.com/api/pricing', '2026-10-01', 'writing the cache costs 125000, and is not metered'),
    ('openai', 'llm_cached', 'gpt-6-luna', '2026-10-01', 10000, 1000000, 'token', 0, 0, 'openai.com/api/pricing', '2026-10-01', null),
    ('openai', 'llm_out', 'gpt-6-luna', '2026-10-01', 500000, 1000000, 'token', 0, 0, 'openai.com/api/pricing', '2026-10-01', null),
    ('openai', 'llm_in', 'gpt-5.6-luna', '2026-10-01', 200000, 1000000, 'token', 0, 0, 'openai.com/api/pricing', '2026-10-01', null),
    ('openai', 'llm_cached', 'gpt-5.6-luna', '2026-10-01', 20000, 1000000, 'token', 0, 0, 'openai.com/api/pricing', '2026-10-01', null),
    ('openai', 'llm_out', 'gpt-5.6-luna', '2026-10-01', 1200000, 1000000, 'token', 0, 0, 'openai.com/api/pricing', '2026-10-01', null),
    ('elevenlabs', 'tts_chars', 'eleven_flash_v2_5', '2026-07-01', 50000, 1000, 'character', 0, 0, 'elevenlabs.io/pricing/api', '2026-07-01', null),
    ('elevenlabs', 'tts_chars', 'eleven_flash_v2_5', '2026-10-06', 40000, 1000, 'character', 0, 0, 'elevenlabs.io/pricing/api', '2026-10-06', null),
    ('elevenlabs', 'tts_chars', 'eleven_turbo_v2_5', '2026-07-01', 50000, 1000, 'character', 0, 0, 'elevenlabs.io/pricing/api', '2026-07-01', null),
    ('elevenlabs', 'tts_chars', 'eleven_turbo_v2_5', '2026-10-06', 40000, 1000, 'character', 0, 0, 'elevenlabs.io/pricing/api', '2026-10-06', null),
    ('elevenlabs', 'tts_chars', 'eleven_multilingual_v2', '2026-07-01', 100000, 1000, 'character', 0, 0, 'elevenlabs.io/pricing/api', '2026-07-01', null),
    ('elevenlabs', 'tts_chars', 'eleven_v3', '2026-07-01', 100000, 1000, 'character', 0, 0, 'elevenlabs.io/pricing/api', '2026-07-01', null),
    ('livekit', 'agent', '', '2026-09-25', 10000, 60, 'second', 10, 0, 'livekit.com/pricing', '2026-09-25', 'Cloud, beyond what the plan includes; own servers: put a row with 0'),
    ('livekit', 'sip', '', '2026-09-25', 4000, 60, 'second', 0, 60, 'livekit.com/pricing', '2026-09-25', 'Cloud, plan Ship, third-party trunk; own servers: put a row with 0'),
    ('livekit', 'participant', '', '2026-09-25', 500, 60, 'second', 0, 60, 'livekit.com/pricing', '2026-09-25', 'Cloud, plan Ship: a caller in a browser'),
    ('signalwire', 'phone', 'inbound', '2026-01-01', 6600, 60, 'second', 0, 0, 'signalwire.com/pricing/voice', '2026-10-01', 'local number'),
    ('signalwire', 'phone', 'outbound', '2026-01-01', 8000, 60, 'second', 0, 0, 'signalwire.com/pricing/voice', '2026-10-01', null),
    ('signalwire', 'phone_sip', '', '2026-01-01', 3000, 60, 'second', 0, 0, 'signalwire.com/pricing/voice', '2026-10-01', 'the leg to the voice stack'),
    -- Metered to be seen; nobody sends a bill for it.
    ('patchbay', 'tts_cached_chars', '', '-infinity', 0, 1, 'character', 0, 0, 'our own phrase cache', '2026-11-22', null),
    ('deepgram', 'stt_audio', '', '-infinity', 0, 1, 'second', 0, 0, 'streaming is billed by the life of the connection', '2026-11-22', 'seconds of sound sent, beside those connected')
on conflict (provider, component, model, valid_from) do nothing;

-- Whole numbers only, rounded to the nearest millionth, halves up. What was not used costs nothing, whatever the minimum.
create or replace function patchbay.cost_microusd(quantity_milli bigint, price_microusd bigint, per bigint,
                                                  minimum bigint, step bigint) returns bigint
    language sql immutable strict set search_path = pg_catalog, pg_temp as $fn$
    select case when quantity_milli = 0 then 0 else div(
        2 * case when step > 0 then div(q + step::numeric * 1000 - 1, step::numeric * 1000) * step * 1000 else q end
          * price_microusd + per::numeric * 1000,
        2 * per::numeric * 1000)::bigint end
    from (select greatest(quantity_milli::numeric, minimum::numeric * 1000) as q) x
$fn$;

-- The price of that moment. One of this very account ("openai-2" may be somebody else) goes before the vendor's, one of the
-- model before one of all models.
create or replace function patchbay.price_at(p_account text, p_provider text, p_component text, p_model text, p_at timestamptz)
    returns patchbay.prices
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select p from patchbay.prices p
    where p.provider in (p_account, p_provider) and p.component = p_component and p.model in (coalesce(p_model, ''), '')
      and p.valid_from <= p_at
    order by p.provider is distinct from p_account, p.model = '', p.valid_from desc
    limit 1
$fn$;

-- Keys: id, call_id, user_id, leg, segment, component, provider, account, model, unit, quantity_milli, used_at.
create or replace function patchbay.put_usage(facts jsonb) returns void
    language sql security invoker set search_path = pg_catalog, pg_temp as $fn$
    insert into patchbay.usage (id, call_id, user_id, leg, segment, component, provider, account, model, unit,
                                quantity_milli, used_at)
    select f.id, f.call_id, f.user_id, f.leg, coalesce(f.segment, 1), f.component, f.provider, f.account, f.model, f.unit,
           f.quantity_milli, coalesce(f.used_at, now())
    from jsonb_populate_record(null::patchbay.usage, facts) f
    on conflict (id) do nothing
$fn$;

create or replace function patchbay.price_book() returns jsonb
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select coalesce(jsonb_agg(jsonb_build_object(
        'provider', p.provider, 'component', p.component, 'model', p.model,
        'valid_from_ms', case when isfinite(p.valid_from) then round(extract(epoch from p.valid_from) * 1000)::bigint
                              else 0 end,
        'price_microusd', p.price_microusd, 'per', p.per, 'minimum', p.minimum, 'step', p.step)
        order by p.provider, p.component, p.model, p.valid_from), '[]')
    from patchbay.prices p
$fn$;

-- What a call cost, as far as we know. {"currency", "microusd": {"total", "llm", "tts", "stt", "telephony", "platform"},
-- "missing": [{"provider", "component", "model", "reason"}], "lines": [...]}; a sum one part of which has no price is
-- null. Null: nothing of this call was metered by us (then Retell's own bill is all there is). The carrier's minutes are
-- those between answer and end; a leg on Retell within the same call counts with the bill it told.
create or replace function patchbay.call_cost(c patchbay.calls) returns jsonb
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    with metered as (
        select u.component, u.provider, u.account, u.model, u.unit, u.segment, u.quantity_milli, u.used_at
        from patchbay.usage u where u.call_id = c.id
    ), carried as (
        select component, c.carrier, null, model, 'second', 1, c.duration_ms, coalesce(c.answered_at, c.offered_at)
        from (values ('phone', c.direction), ('phone_sip', null)) x (component, model)
        where c.state = 'ended' and c.duration_ms > 0 and exists (select from metered)
    ), priced as (
        select m.*, p.id as price_id,
               case when p.id is not null then patchbay.cost_microusd(m.quantity_milli, p.price_microusd, p.per,
                                                                      p.minimum, p.step) end as microusd
        from (select * from metered union all select * from carried) m
        left join lateral patchbay.price_at(m.account, m.provider, m.component, m.model, m.used_at) p on true
    ), billed as (
        select (data #>> '{call_cost,combined_cost}')::numeric as cents
        from patchbay.call_results where call_id = c.id and source = 'retell'
    ), lines as (
        select component, provider, account, model, unit, segment, quantity_milli, price_id, microusd,
               case when component like 'llm%' then 'llm' when component like 'tts%' then 'tts'
                    when component like 'stt%' then 'stt'
                    when component in ('sip', 'phone', 'phone_sip') then 'telephony' else 'platform' end as part,
               'no price of it at that time' as reason
        from priced
        union all
        select 'call', 'retell', null, null, 'usd_cent', 1, round(cents * 1000)::bigint, null,
               round(cents * 10000)::bigint, 'platform', 'Retell has not told what it cost'
        from billed
    ), sums as (
        select part, case when count(*) = count(microusd) then sum(microusd) end as microusd from lines group by part
    )
    select case when exists (select from metered) then jsonb_build_object(
        'currency', 'USD',
        'microusd', jsonb_build_object('llm', 0, 'tts', 0, 'stt', 0, 'telephony', 0, 'platform', 0)
            || (select jsonb_object_agg(part, microusd) from sums)
            || jsonb_build_object('total', (select case when count(*) = count(microusd) then sum(microusd) end from sums)),
        'missing', (select coalesce(jsonb_agg(distinct jsonb_build_object(
                        'provider', provider, 'component', component, 'model', model, 'reason', reason)), '[]')
                    from lines where microusd is null),
        'lines', (select jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                        'component', component, 'provider', provider, 'account', account, 'model', model,
                        'segment', segment, 'unit', unit, 'quantity', quantity_milli / 1000.0, 'microusd', microusd,
                        'price_id', price_id)) order by part, component, provider, model, segment) from lines)) end
$fn$;

create or replace function patchbay.project_call(p_call uuid) returns boolean
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    c patchbay.calls;
    r patchbay.call_results;
    want jsonb;
    cost jsonb;
    cols text[];
begin
    -- The lock lets two projections of one call run one after the other.
    select * into c from patchbay.calls where id = p_call for update;
    if not found or not exists (select from public.users u where u.id = c.user_id) then
        return false;
    end if;
    select * into r from patchbay.call_results
    where call_id = p_call and source = coalesce(c.stack, 'retell');
    if c.stack = 'livekit' then
        r.data := patchbay.livekit_result(c) || coalesce(r.data, '{}');
    end if;
    select jsonb_object_agg(key, value) into want
    from jsonb_each(patchbay.call_record(c, r.data, r.event)) where value <> 'null';
    -- Somebody else's handler may have stored Retell's webhook under an id of its own.
    if exists (select from public.call_records x where x.retell_call_id = c.retell_call_id and x.id <> c.id) then
        want := want - 'retell_call_id';
    end if;
    -- These columns are ours alone once we have metered something: a sum that is not known any more becomes null again,
    -- and metadata says what is missing.
    cost := patchbay.call_cost(c);
    if cost is not null then
        want := want || (
            select jsonb_object_agg('call_cost_' || part, round((cost #>> array['microusd', part])::numeric / 1000000, 4))
            from unnest(array['total', 'llm', 'tts', 'stt', 'telephony']) part)
            || jsonb_build_object('metadata', jsonb_set(want -> 'metadata', '{patchbay,cost}', cost));
    end if;
    select array_agg(quote_ident(a.attname) order by a.attnum) into cols
    from pg_attribute a
    where a.attrelid = 'public.call_records'::regclass and a.attnum > 0 and not a.attisdropped
      and a.attgenerated = '' and want ? a.attname;

    execute format(
        'insert into public.call_records as t (%1$s)
         select %1$s from jsonb_populate_record(null::public.call_records, $1)
         on conflict (id) do update set (%1$s) = row (%2$s) where (%3$s) is distinct from (%2$s)',
        array_to_string(cols, ', '),
        (select string_agg('excluded.' || x, ', ') from unnest(cols) x),
        (select string_agg('t.' || x, ', ') from unnest(cols) x))
    using want;
    return true;
end
$fn$;

revoke all on function patchbay.cost_microusd(bigint, bigint, bigint, bigint, bigint),
    patchbay.price_at(text, text, text, text, timestamptz), patchbay.put_usage(jsonb), patchbay.price_book(),
    patchbay.call_cost(patchbay.calls) from public;
grant execute on function patchbay.cost_microusd(bigint, bigint, bigint, bigint, bigint),
    patchbay.price_at(text, text, text, text, timestamptz), patchbay.put_usage(jsonb), patchbay.price_book(),
    patchbay.call_cost(patchbay.calls) to service_role, patchbay_service;
