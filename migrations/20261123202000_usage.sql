-- What calls cost, line by line and summed up, so that a page need not look at every quantity that was metered.
--
--   cost_lines       the rated lines of calls: what was metered, each leg the carrier had, what Retell billed
--   call_cost        as before, made of them
--   cost_elsewhere   what calls would have cost on the other stack, and what that rests on
--   call_costs       one row per call that has ended: its lines, its sum, how fast it was answered
--   usage_days       sums by user, day, stack, component, provider, account, model; usage_stack_days and answer_days beside it
--   usage_touch      says that a call's costs may have changed; triggers say so for what is written about a call
--   usage_work       works that off: of each call what it counted for is taken out of the sums, and what it counts for now put in
--   usage_rebuild, usage_recount   all of it again from what it is made of
--
-- A day is one of UTC, the day the call was offered. The nil uuid stands for everybody; the one of all ones for users who were
-- erased, of whom only these sums are left.

-- ------------------------------------------------------------------ prices of ours, and what estimates rest on
-- What a minute costs the customer: the same on both stacks. No row: not decided. A tier beside 'standard' is a premium.
create table if not exists patchbay.retail_prices (
    tier text not null default 'standard' check (length(tier) between 1 and 31),
    valid_from timestamptz not null,
    microusd_per_minute bigint not null check (microusd_per_minute >= 0),
    note text,
    primary key (tier, valid_from)
);
create table if not exists patchbay.user_tiers (
    user_id uuid primary key,
    tier text not null check (length(tier) between 1 and 31)
);

-- The agent an estimate supposes on a stack where the call was not.
create table if not exists patchbay.estimate_parts (
    stack public.voice_ai_stack not null,
    component text not null,
    provider text not null,
    model text not null default '',
    measure text not null check (measure in ('seconds', 'sip_seconds', 'characters', 'tokens_fresh', 'tokens_cached', 'tokens_out')),
    primary key (stack, component)
);
insert into patchbay.estimate_parts (stack, component, provider, model, measure) values
    ('livekit', 'agent', 'livekit', '', 'seconds'),
    ('livekit', 'sip', 'livekit', '', 'sip_seconds'),
    ('livekit', 'stt', 'deepgram', 'nova-3', 'seconds'),
    ('livekit', 'llm_in', 'openai', 'gpt-4o-mini', 'tokens_fresh'),
    ('livekit', 'llm_cached', 'openai', 'gpt-4o-mini', 'tokens_cached'),
    ('livekit', 'llm_out', 'openai', 'gpt-4o-mini', 'tokens_out'),
    ('livekit', 'tts_chars', 'elevenlabs', 'eleven_flash_v2_5', 'characters'),
    ('retell', 'voice', 'retell', '', 'seconds'),
    ('retell', 'tts', 'retell', 'elevenlabs', 'seconds'),
    ('retell', 'llm', 'retell', 'gpt-4.1-mini', 'seconds')
on conflict do nothing;

create table if not exists patchbay.assumptions (
    name text primary key,
    value numeric not null,
    unit text not null,
    words text not null
);
insert into patchbay.assumptions (name, value, unit, words) values
    ('characters_per_minute', 450, 'characters',
     'The agent talks half of the time, 900 characters a minute; counted from the transcript where there is one.'),
    ('tokens_in_per_minute', 8000, 'tokens',
     'What the model reads in a minute; taken from Retell''s own count where it tells one.'),
    ('tokens_cached_share', 0.5, 'share', 'Of what the model reads, this much is billed at the cached price.'),
    ('tokens_out_per_minute', 150, 'tokens', 'What the model writes in a minute.'),
    ('livekit_plan_microusd_per_month', 50000000, 'microusd',
     'LiveKit''s plan has a fee each month, whatever is used; no call''s cost contains it, and what the plan includes is not taken off.')
on conflict do nothing;

-- ------------------------------------------------------------------ what is counted
create table if not exists patchbay.call_costs (
    call_id uuid primary key,
    user_id uuid not null,
    day date not null,
    stack text not null,                       -- who served it in the end; '': neither
    answered boolean not null,
    duration_ms bigint not null,
    microusd bigint,                           -- null: a part of it has no price
    known_microusd bigint not null,            -- of what has one
    unpriced integer not null,                 -- lines without
    other_microusd bigint,                     -- on the other stack; null: cannot be told
    tier text not null,                        -- at the time of the call
    retail_microusd bigint,
    lines jsonb not null,
    answers jsonb not null,                    -- {"bucket": how many}: see answer_days
    frozen boolean not null default false,     -- what it was made of is no longer kept
    counted_at timestamptz not null default now()
);
create index if not exists call_costs_user on patchbay.call_costs (user_id, day);
create index if not exists call_costs_thawed on patchbay.call_costs (day) where not frozen;
comment on table patchbay.call_costs is 'What each call cost, line by line, as it stands in the sums.';

create table if not exists patchbay.usage_days (
    user_id uuid not null,
    day date not null,
    stack text not null,                       -- of the line; '': neither. Absent texts are ''
    component text not null,
    provider text not null,
    account text not null,
    model text not null,
    unit text not null,
    lines bigint not null,
    quantity_milli bigint not null,
    microusd bigint not null,
    unpriced bigint not null,                  -- lines without a price: microusd is without them
    primary key (user_id, day, stack, component, provider, account, model, unit)
);
create index if not exists usage_days_unpriced on patchbay.usage_days (user_id, day) where unpriced > 0;
comment on table patchbay.usage_days is 'Usage and cost by user and day; the nil uuid is everybody.';

create table if not exists patchbay.usage_stack_days (
    user_id uuid not null,
    day date not null,
    stack text not null,
    calls bigint not null,                     -- served there in the end
    answered bigint not null,
    duration_ms bigint not null,
    microusd bigint not null,                  -- of lines of that stack
    unpriced bigint not null,
    retail_microusd bigint not null,
    unpriced_retail bigint not null,           -- answered calls whose tier had no price
    compared bigint not null,                  -- calls both of whose figures are known; those of
    compared_ms bigint not null,
    own_microusd bigint not null,
    other_microusd bigint not null,
    timed bigint not null,                     -- calls with response times
    primary key (user_id, day, stack)
);
create index if not exists usage_stack_days_day on patchbay.usage_stack_days (day);
comment on table patchbay.usage_stack_days is 'Calls and their cost by user, day and stack; the nil uuid is everybody.';

-- How long answers took: bucket n holds those from 1.05^n up to 1.05^(n+1) ms.
create table if not exists patchbay.answer_days (
    user_id uuid not null,
    day date not null,
    stack text not null,
    bucket integer not null,
    n bigint not null,
    primary key (user_id, day, stack, bucket)
);
comment on table patchbay.answer_days is 'How long answers took, by user, day and stack; the nil uuid is everybody.';

-- Calls whose costs may have changed. Rows are only added: whoever writes about a call waits for nobody, and a row that can be
-- seen comes with what it tells of.
create table if not exists patchbay.usage_dirty (
    id bigint generated always as identity primary key,
    call_id uuid not null,
    at timestamptz not null default clock_timestamp()
);

-- Whether LiveKit is slower than Retell, as last told.
create table if not exists patchbay.latency_states (
    user_id uuid primary key,                  -- nil: everybody
    slower boolean not null,
    facts jsonb not null,
    since timestamptz not null default now(),
    looked_at timestamptz not null default now()
);

do $rights$
declare
    t text;
begin
    foreach t in array array['retail_prices', 'user_tiers', 'estimate_parts', 'assumptions', 'call_costs', 'usage_days',
                             'usage_stack_days', 'answer_days', 'usage_dirty', 'latency_states'] loop
        execute format('alter table patchbay.%I enable row level security', t);
        execute format('drop policy if exists service on patchbay.%I', t);
        execute format('create policy service on patchbay.%I to service_role, patchbay_service
                        using (true) with check (true)', t);
        execute format('revoke all on patchbay.%I from anon, authenticated', t);
        execute format('grant select, insert, update, delete on patchbay.%I to service_role, patchbay_service', t);
    end loop;
end
$rights$;

-- ------------------------------------------------------------------ lines
-- One per thing that costs. leg: 'livekit' and 'retell' as metered there, 'caller', 'stack', 'transfer', 'consult' what the
-- carrier carried. The carrier counts a leg from its answer to its end; where it told of no leg, the call's own times serve.
-- A leg at Retell that no bill came for is a line without a sum. What is frozen comes as it was counted.
create or replace function patchbay.cost_lines(p_calls uuid[])
    returns table (call_id uuid, leg text, segment integer, stack text, component text, provider text, account text, model text,
                   unit text, quantity_milli bigint, price_id uuid, microusd bigint, part text, reason text)
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    with c as materialized (
        select k.id, k.stack::text as stack, k.direction, k.carrier, k.state, k.duration_ms, k.retell_call_id,
               coalesce(k.answered_at, k.offered_at) as began_at
        from patchbay.calls k
        where k.id = any (p_calls) and not k.rehearsal
          and not exists (select from patchbay.call_costs f where f.call_id = k.id and f.frozen)
    ), metered as (
        select u.call_id, u.leg, u.segment, case when u.leg in ('retell', 'livekit') then u.leg else c.stack end as stack,
               u.component, u.provider, u.account, u.model, u.unit, u.quantity_milli, u.used_at
        from c join patchbay.usage u on u.call_id = c.id
    ), legs as (
        select l.call_id, l.kind as leg, row_number() over (partition by l.call_id, l.kind order by l.began_at, l.leg)::integer,
               case when l.kind = 'stack' then coalesce(l.stack::text, c.stack) else c.stack end as stack,
               case l.kind when 'stack' then 'phone_sip' else 'phone' end, l.carrier, null,
               case l.kind when 'caller' then c.direction when 'stack' then null else 'outbound' end, 'second',
               coalesce(l.seconds * 1000::bigint, greatest(0, round(extract(epoch from l.ended_at - l.answered_at) * 1000))::bigint, 0)
                   as ms, coalesce(l.answered_at, l.began_at)
        from c join patchbay.call_legs l on l.call_id = c.id and l.state = 'ended'
    ), untold as (
        select c.id, x.leg, 1, c.stack, x.component, c.carrier, null, x.model, 'second', c.duration_ms, c.began_at
        from c cross join lateral (values ('caller', 'phone', c.direction), ('stack', 'phone_sip', null)) x (leg, component, model)
        where c.state = 'ended' and c.duration_ms > 0 and (x.leg = 'caller' or c.stack is not null)
          and not exists (select from patchbay.call_legs l where l.call_id = c.id and l.kind = x.leg and l.state = 'ended')
    ), priced as (
        select m.*, p.id as price_id,
               case when m.unit = 'usd_cent' then m.quantity_milli * 10
                    when p.id is not null then patchbay.cost_microusd(m.quantity_milli, p.price_microusd, p.per,
                                                                      p.minimum, p.step) end as microusd
        from (select * from metered union all select * from legs where ms > 0 union all select * from untold) m
        left join lateral patchbay.price_at(m.account, m.provider, m.component, m.model, m.used_at) p on m.unit <> 'usd_cent'
    ), billed as (
        -- Retell took part and its products are not metered (yet): the sum it told, or that it has told none.
        select c.id, coalesce(l.segment, 1) as segment,
               case when l.retell_call_id is null or l.retell_call_id = c.retell_call_id
                    then (r.data #>> '{call_cost,combined_cost}')::numeric end as cents
        from c
        left join patchbay.retell_legs l on l.call_id = c.id
        left join patchbay.call_results r on r.call_id = c.id and r.source = 'retell'
        where (l.call_id is not null or r.call_id is not null)
          and not exists (select from patchbay.usage u where u.call_id = c.id and u.provider = 'retell'
                            and (l.segment is null or u.segment = l.segment))
    )
    select p.call_id, p.leg, p.segment, p.stack, p.component, p.provider, p.account, p.model, p.unit, p.quantity_milli, p.price_id,
           p.microusd,
           case when p.provider = 'retell' then patchbay.retell_part(p.component)
                when p.component like 'llm%' then 'llm' when p.component like 'tts%' then 'tts'
                when p.component like 'stt%' then 'stt'
                when p.component in ('sip', 'phone', 'phone_sip') then 'telephony' else 'platform' end,
           'no price of it at that time'
    from priced p
    union all
    select b.id, 'retell', b.segment, 'retell', 'call', 'retell', null, null, 'usd_cent', round(b.cents * 1000)::bigint, null,
           round(b.cents * 10000)::bigint, 'platform', 'Retell has not told what it cost'
    from billed b
    union all
    select f.call_id, l.leg, l.segment, l.stack, l.component, l.provider, l.account, l.model, l.unit, l.quantity_milli,
           l.price_id, l.microusd, l.part, l.reason
    from patchbay.call_costs f
    cross join lateral jsonb_to_recordset(f.lines) l (leg text, segment integer, stack text, component text, provider text,
        account text, model text, unit text, quantity_milli bigint, price_id uuid, microusd bigint, part text, reason text)
    where f.call_id = any (p_calls) and f.frozen
$fn$;

-- As before: null where nothing of the call was metered by us (then Retell's own bill is all there is).
create or replace function patchbay.call_cost(c patchbay.calls) returns jsonb
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    with lines as materialized (
        select * from patchbay.cost_lines(array[c.id])
        where exists (select from patchbay.usage u where u.call_id = c.id)
           or exists (select from patchbay.call_costs f where f.call_id = c.id and f.frozen)
    ), sums as (
        select part, case when count(*) = count(microusd) then sum(microusd) end as microusd from lines group by part
    )
    select case when exists (select from lines) then jsonb_build_object(
        'currency', 'USD',
        'microusd', jsonb_build_object('llm', 0, 'tts', 0, 'stt', 0, 'telephony', 0, 'platform', 0)
            || (select jsonb_object_agg(part, microusd) from sums)
            || jsonb_build_object('total', (select case when count(*) = count(microusd) then sum(microusd) end from sums)),
        'missing', (select coalesce(jsonb_agg(distinct jsonb_build_object(
                        'provider', provider, 'component', component, 'model', model, 'reason', reason)), '[]')
                    from lines where microusd is null),
        'lines', (select jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                        'component', component, 'provider', provider, 'account', account, 'model', model, 'leg', leg,
                        'segment', segment, 'unit', unit, 'quantity', quantity_milli / 1000.0, 'microusd', microusd,
                        'price_id', price_id)) order by part, component, provider, model, leg, segment) from lines)) end
$fn$;

-- ------------------------------------------------------------------ on the other stack
-- {"microusd": sum or null, "lines": [...], "measured": [...], "assumed": [...], "missing": [...]} per answered call. The
-- carrier's legs stay what they were. What was counted on the real stack is taken from there: seconds, characters of the agent's,
-- tokens Retell tells; the rest is assumed.
create or replace function patchbay.cost_elsewhere(p_calls uuid[])
    returns table (call_id uuid, stack text, microusd bigint, details jsonb)
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    with a as (
        select max(value) filter (where name = 'characters_per_minute') as characters,
               max(value) filter (where name = 'tokens_in_per_minute') as tokens,
               max(value) filter (where name = 'tokens_cached_share') as cached,
               max(value) filter (where name = 'tokens_out_per_minute') as written
        from patchbay.assumptions
    ), c as materialized (
        select k.id, case k.stack when 'retell' then 'livekit' else 'retell' end as other, k.carrier,
               coalesce(k.answered_at, k.offered_at) as at,
               coalesce((select nullif(sum(coalesce(l.seconds * 1000::bigint,
                             round(extract(epoch from l.ended_at - l.answered_at) * 1000))), 0)
                         from patchbay.call_legs l where l.call_id = k.id and l.kind = 'stack' and l.state = 'ended'),
                        k.duration_ms) / 1000.0 as seconds,
               case when k.stack = 'retell' then r.characters end as characters, case when k.stack = 'retell' then r.tokens end as tokens
        from patchbay.calls k
        left join lateral (
            select (select sum(length(t ->> 'content')) from jsonb_array_elements(
                        case jsonb_typeof(x.data -> 'transcript_object') when 'array' then x.data -> 'transcript_object'
                                                                         else '[]' end) t
                    where t ->> 'role' = 'agent') as characters,
                   nullif((x.data #>> '{llm_token_usage,average}')::numeric
                          * (x.data #>> '{llm_token_usage,num_requests}')::numeric, 0) as tokens
            from patchbay.call_results x where x.call_id = k.id and x.source = 'retell') r on true
        where k.id = any (p_calls) and k.stack is not null and k.state = 'ended' and k.duration_ms > 0 and not k.rehearsal
    ), measured as (
        select c.*, coalesce(c.characters, a.characters * c.seconds / 60) as chars_used,
               coalesce(c.tokens, a.tokens * c.seconds / 60) as tokens_used, a.cached, a.written * c.seconds / 60 as tokens_out
        from c cross join a
    ), parts as (
        select m.id, m.other, e.component, e.provider, e.model, p.id as price_id,
               case e.measure when 'characters' then 'character' when 'tokens_fresh' then 'token' when 'tokens_cached' then 'token'
                              when 'tokens_out' then 'token' else 'second' end as unit, q.milli,
               case when p.id is not null then patchbay.cost_microusd(q.milli, p.price_microusd, p.per, p.minimum, p.step) end
                   as microusd
        from measured m
        join patchbay.estimate_parts e on e.stack::text = m.other and (e.measure <> 'sip_seconds' or m.carrier <> 'web')
        cross join lateral (select round(1000 * case e.measure
            when 'characters' then m.chars_used when 'tokens_fresh' then m.tokens_used * (1 - m.cached)
            when 'tokens_cached' then m.tokens_used * m.cached when 'tokens_out' then m.tokens_out else m.seconds end)::bigint
            as milli) q
        left join lateral patchbay.price_at(e.provider, e.provider, e.component, e.model, m.at) p on true
    ), carried as (
        select l.call_id, l.component, l.provider, l.model, l.price_id, l.unit, l.quantity_milli, l.microusd
        from patchbay.cost_lines(p_calls) l where l.component in ('phone', 'phone_sip')
    ), everything as (
        select p.id, p.component, p.provider, nullif(p.model, '') as model, p.price_id, p.unit, p.milli, p.microusd from parts p
        union all
        select k.call_id, k.component, k.provider, k.model, k.price_id, k.unit, k.quantity_milli, k.microusd from carried k
    ), sums as (
        select e.id, case when count(*) = count(e.microusd) then sum(e.microusd)::bigint end as microusd,
               jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                   'component', e.component, 'provider', e.provider, 'model', e.model, 'unit', e.unit,
                   'quantity', e.milli / 1000.0, 'cost_microusd', e.microusd, 'rate_id', e.price_id))
                   order by e.provider, e.component, e.milli) as lines,
               coalesce(jsonb_agg(distinct jsonb_build_object('provider', e.provider, 'component', e.component, 'model', e.model,
                   'reason', 'no price of it at that time')) filter (where e.microusd is null), '[]') as missing
        from everything e group by e.id
    )
    select m.id, m.other, s.microusd, jsonb_build_object(
        'lines', s.lines, 'missing', s.missing,
        'measured', to_jsonb(array_remove(array['seconds', case when m.characters is not null then 'characters' end,
                                                case when m.tokens is not null then 'tokens_in' end], null)),
        'assumed', case m.other when 'retell' then '[]' else to_jsonb(array_remove(array[
            case when m.characters is null then 'characters_per_minute' end,
            case when m.tokens is null then 'tokens_in_per_minute' end, 'tokens_cached_share', 'tokens_out_per_minute'], null)) end)
    from measured m join sums s on s.id = m.id
$fn$;

-- ------------------------------------------------------------------ how fast
-- {"bucket": how many} of a call on its stack. Retell tells each answer's time, or percentiles: then half of the answers count as
-- the 50th, the next as the 90th, and so on, which keeps each percentile what it was told to be.
create or replace function patchbay.call_answers(c patchbay.calls) returns jsonb
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    with turns as (
        select (e.data #>> '{timings,response_ms}')::numeric as ms, 1::numeric as n
        from patchbay.call_events e
        where c.stack = 'livekit' and e.call_id = c.id and e.type = 'pat.turn.v1.agent' and not e.data ? 'retell_call_id'
    ), told as (
        select r.data #> '{latency,e2e}' as e2e from patchbay.call_results r
        where r.call_id = c.id and r.source = c.stack and jsonb_typeof(r.data #> '{latency,e2e}') = 'object'
          and not exists (select from turns where ms is not null)
    ), each as (
        select ms, n from turns
        union all
        select v::numeric, 1 from told, jsonb_array_elements_text(
            case jsonb_typeof(e2e -> 'values') when 'array' then e2e -> 'values' else '[]' end) v
        union all
        select (e2e ->> x.name)::numeric, x.share * coalesce((e2e ->> 'num')::numeric, 1)
        from told, (values ('p50', 0.5), ('p90', 0.4), ('p95', 0.05), ('p99', 0.05)) x (name, share)
        where coalesce(jsonb_typeof(e2e -> 'values'), '') <> 'array'
    )
    select coalesce(jsonb_object_agg(bucket, n), '{}') from (
        select floor(ln(ms) / ln(1.05))::integer as bucket, greatest(1, round(sum(n)))::bigint as n
        from each where ms between 1 and 600000 group by 1) x
$fn$;

-- ------------------------------------------------------------------ counting
-- Whoever changes the sums holds this to the end of his transaction.
create or replace function patchbay.usage_lock() returns void
    language sql set search_path = pg_catalog, pg_temp as $fn$
    select pg_advisory_xact_lock(7811920442103391)
$fn$;

-- The sums of these calls as they are in call_costs, by user and for everybody; p_sign -1 takes them out.
create or replace function patchbay.usage_add(p_calls uuid[], p_sign integer) returns void
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    nobody constant uuid := '00000000-0000-0000-0000-000000000000';
begin
    insert into patchbay.usage_days as d (user_id, day, stack, component, provider, account, model, unit, lines, quantity_milli,
                                          microusd, unpriced)
    select w.id, k.day, coalesce(l.stack, ''), l.component, l.provider, coalesce(l.account, ''), coalesce(l.model, ''), l.unit,
           p_sign * count(*), p_sign * coalesce(sum(l.quantity_milli), 0), p_sign * coalesce(sum(l.microusd), 0),
           p_sign * count(*) filter (where l.microusd is null)
    from patchbay.call_costs k
    cross join lateral jsonb_to_recordset(k.lines) l (stack text, component text, provider text, account text, model text,
                                                      unit text, quantity_milli bigint, microusd bigint)
    cross join lateral (values (k.user_id), (nobody)) w (id)
    where k.call_id = any (p_calls)
    group by 1, 2, 3, 4, 5, 6, 7, 8
    on conflict (user_id, day, stack, component, provider, account, model, unit) do update set
        lines = d.lines + excluded.lines, quantity_milli = d.quantity_milli + excluded.quantity_milli,
        microusd = d.microusd + excluded.microusd, unpriced = d.unpriced + excluded.unpriced;

    insert into patchbay.usage_stack_days as d (user_id, day, stack, calls, answered, duration_ms, microusd, unpriced,
        retail_microusd, unpriced_retail, compared, compared_ms, own_microusd, other_microusd, timed)
    select w.id, x.day, x.stack, p_sign * sum(x.calls), p_sign * sum(x.answered), p_sign * sum(x.ms), p_sign * sum(x.microusd),
           p_sign * sum(x.unpriced), p_sign * sum(x.retail), p_sign * sum(x.no_retail), p_sign * sum(x.compared),
           p_sign * sum(x.compared_ms), p_sign * sum(x.own), p_sign * sum(x.other), p_sign * sum(x.timed)
    from (
        select k.user_id, k.day, k.stack, 1 as calls, k.answered::integer as answered, k.duration_ms as ms, 0::bigint as microusd,
               0 as unpriced, coalesce(k.retail_microusd, 0) as retail,
               (k.answered and k.retail_microusd is null)::integer as no_retail, b.yes::integer as compared,
               case when b.yes then k.duration_ms else 0 end as compared_ms, case when b.yes then k.microusd else 0 end as own,
               case when b.yes then k.other_microusd else 0 end as other, (k.answers <> '{}')::integer as timed
        from patchbay.call_costs k
        cross join lateral (select k.microusd is not null and k.other_microusd is not null as yes) b
        where k.call_id = any (p_calls)
        union all
        select k.user_id, k.day, coalesce(l.stack, ''), 0, 0, 0, coalesce(l.microusd, 0), (l.microusd is null)::integer, 0, 0, 0, 0,
               0, 0, 0
        from patchbay.call_costs k
        cross join lateral jsonb_to_recordset(k.lines) l (stack text, microusd bigint)
        where k.call_id = any (p_calls)) x
    cross join lateral (values (x.user_id), (nobody)) w (id)
    group by 1, 2, 3
    on conflict (user_id, day, stack) do update set
        calls = d.calls + excluded.calls, answered = d.answered + excluded.answered,
        duration_ms = d.duration_ms + excluded.duration_ms, microusd = d.microusd + excluded.microusd,
        unpriced = d.unpriced + excluded.unpriced, retail_microusd = d.retail_microusd + excluded.retail_microusd,
        unpriced_retail = d.unpriced_retail + excluded.unpriced_retail, compared = d.compared + excluded.compared,
        compared_ms = d.compared_ms + excluded.compared_ms, own_microusd = d.own_microusd + excluded.own_microusd,
        other_microusd = d.other_microusd + excluded.other_microusd, timed = d.timed + excluded.timed;

    insert into patchbay.answer_days as d (user_id, day, stack, bucket, n)
    select w.id, k.day, k.stack, a.key::integer, p_sign * sum(a.value::bigint)
    from patchbay.call_costs k
    cross join lateral jsonb_each_text(k.answers) a
    cross join lateral (values (k.user_id), (nobody)) w (id)
    where k.call_id = any (p_calls)
    group by 1, 2, 3, 4
    on conflict (user_id, day, stack, bucket) do update set n = d.n + excluded.n;
end
$fn$;

-- These calls as they are now. Only those that have ended count; what was counted before is taken out first, so that it does
-- not matter how often, or why. Whoever is being erased is not counted any more. Returns how many rows came out otherwise.
create or replace function patchbay.usage_count(p_calls uuid[]) returns integer
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    fresh patchbay.call_costs[];
    changed uuid[];
begin
    perform patchbay.usage_lock();
    with lines as materialized (
        select * from patchbay.cost_lines(p_calls)
    ), summed as (
        select l.call_id, jsonb_agg(jsonb_strip_nulls(to_jsonb(l) - 'call_id'
                   - case when l.microusd is null then '' else 'reason' end)
                   order by l.part, l.component, l.provider, l.account, l.model, l.leg, l.segment, l.quantity_milli) as lines,
               coalesce(sum(l.microusd), 0) as known, count(*) filter (where l.microusd is null) as unpriced
        from lines l group by l.call_id
    ), elsewhere as materialized (
        select * from patchbay.cost_elsewhere(p_calls)
    )
    select array_agg(row (c.id, c.user_id, (c.offered_at at time zone 'UTC')::date, coalesce(c.stack::text, ''),
                          c.answered_at is not null, coalesce(c.duration_ms, 0),
                          case when coalesce(s.unpriced, 0) = 0 then coalesce(s.known, 0) end, coalesce(s.known, 0),
                          coalesce(s.unpriced, 0), e.microusd, t.tier,
                          case when coalesce(c.duration_ms, 0) = 0 then 0
                               else patchbay.cost_microusd(c.duration_ms, p.microusd_per_minute, 60, 0, 0) end,
                          coalesce(s.lines, '[]'), patchbay.call_answers(c), false, now())::patchbay.call_costs)
    into fresh
    from patchbay.calls c
    left join patchbay.call_costs o on o.call_id = c.id
    left join summed s on s.call_id = c.id
    left join elsewhere e on e.call_id = c.id
    cross join lateral (select coalesce(o.tier, (select u.tier from patchbay.user_tiers u where u.user_id = c.user_id),
                                        'standard') as tier) t
    left join lateral (select r.microusd_per_minute from patchbay.retail_prices r
                       where r.tier = t.tier and r.valid_from <= c.offered_at order by r.valid_from desc limit 1) p on true
    where c.id = any (p_calls) and c.state = 'ended' and not c.rehearsal and o.frozen is not true
      and not exists (select from patchbay.erasures x where x.user_id = c.user_id and x.state = 'open');

    select coalesce(array_agg(coalesce(f.call_id, o.call_id)), '{}') into changed
    from unnest(fresh) f
    full join (select * from patchbay.call_costs x where x.call_id = any (p_calls) and not x.frozen) o on o.call_id = f.call_id
    where (to_jsonb(f) - 'counted_at') is distinct from (to_jsonb(o) - 'counted_at');
    if changed = '{}' then
        return 0;
    end if;

    perform patchbay.usage_add(changed, -1);
    delete from patchbay.call_costs where call_id = any (changed);
    insert into patchbay.call_costs select f.* from unnest(fresh) f where f.call_id = any (changed);
    perform patchbay.usage_add(changed, 1);
    delete from patchbay.usage_days d using patchbay.call_costs k
    where k.call_id = any (changed) and d.lines = 0 and d.day = k.day
      and d.user_id in (k.user_id, '00000000-0000-0000-0000-000000000000');
    return cardinality(changed);
end
$fn$;

create or replace function patchbay.usage_touch(p_calls uuid[]) returns void
    language sql security invoker set search_path = pg_catalog, pg_temp as $fn$
    insert into patchbay.usage_dirty (call_id) select distinct x from unnest(p_calls) x
$fn$;

-- Calls offered then, or that used something then: after prices of that time were changed. Returns how many.
create or replace function patchbay.usage_touch_between(p_from timestamptz, p_to timestamptz) returns bigint
    language sql security invoker set search_path = pg_catalog, pg_temp as $fn$
    with touched as (
        insert into patchbay.usage_dirty (call_id)
        select c.id from patchbay.calls c
        where c.offered_at >= p_from - interval '6 hours' and c.offered_at < p_to and c.state = 'ended'
        returning 1)
    select count(*) from touched
$fn$;

-- Works off at most p_max rows of what was touched. Returns how many: fewer than p_max, and nothing is left. -1: another one is at it.
create or replace function patchbay.usage_work(p_max integer) returns integer
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    calls uuid[];
    n integer;
begin
    if not pg_try_advisory_xact_lock(7811920442103391) then
        return -1;
    end if;
    with taken as (
        delete from patchbay.usage_dirty where id in (select id from patchbay.usage_dirty order by id limit p_max)
        returning call_id)
    select count(*), coalesce(array_agg(distinct call_id), '{}') into n, calls from taken;
    if n > 0 then
        perform patchbay.usage_count(calls); -- a statement of its own: it sees all that was committed with those rows
    end if;
    return n;
end
$fn$;

-- ------------------------------------------------------------------ who touches
create or replace function patchbay.on_usage() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $fn$
begin
    insert into patchbay.usage_dirty (call_id) select distinct n.call_id from written n;
    return null;
end
$fn$;
create or replace function patchbay.on_call_facts() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $fn$
begin
    insert into patchbay.usage_dirty (call_id) values ((to_jsonb(new) ->> tg_argv[0])::uuid);
    return null;
end
$fn$;

drop trigger if exists patchbay_usage_new on patchbay.usage;
create trigger patchbay_usage_new after insert on patchbay.usage referencing new table as written
    for each statement execute function patchbay.on_usage();
drop trigger if exists patchbay_usage_changed on patchbay.usage;
create trigger patchbay_usage_changed after update on patchbay.usage referencing new table as written
    for each statement execute function patchbay.on_usage();
drop trigger if exists patchbay_usage_new on patchbay.calls;
create trigger patchbay_usage_new after insert on patchbay.calls for each row
    when (new.state = 'ended') execute function patchbay.on_call_facts('id');
drop trigger if exists patchbay_usage on patchbay.calls;
create trigger patchbay_usage after update on patchbay.calls for each row
    when ((new.state = 'ended' or old.state = 'ended')
          and (new.state, new.stack, new.duration_ms, new.answered_at, new.carrier, new.user_id, new.offered_at, new.rehearsal)
              is distinct from
              (old.state, old.stack, old.duration_ms, old.answered_at, old.carrier, old.user_id, old.offered_at, old.rehearsal))
    execute function patchbay.on_call_facts('id');
drop trigger if exists patchbay_usage_new on patchbay.call_legs;
create trigger patchbay_usage_new after insert on patchbay.call_legs for each row
    when (new.state = 'ended') execute function patchbay.on_call_facts('call_id');
drop trigger if exists patchbay_usage on patchbay.call_legs;
create trigger patchbay_usage after update on patchbay.call_legs for each row
    when (new.state = 'ended' and (new.state, new.seconds, new.answered_at, new.ended_at, new.stack, new.kind)
                              is distinct from (old.state, old.seconds, old.answered_at, old.ended_at, old.stack, old.kind))
    execute function patchbay.on_call_facts('call_id');
drop trigger if exists patchbay_usage_new on patchbay.call_results;
create trigger patchbay_usage_new after insert on patchbay.call_results for each row
    execute function patchbay.on_call_facts('call_id');
drop trigger if exists patchbay_usage on patchbay.call_results;
create trigger patchbay_usage after update of data on patchbay.call_results for each row
    when ((new.data -> 'call_cost', new.data -> 'latency', new.data -> 'transcript_object', new.data -> 'llm_token_usage')
          is distinct from
          (old.data -> 'call_cost', old.data -> 'latency', old.data -> 'transcript_object', old.data -> 'llm_token_usage'))
    execute function patchbay.on_call_facts('call_id');

-- ------------------------------------------------------------------ again
-- Counts p_max calls behind p_after again. p_write false: only says how many would come out otherwise. last null: no more.
create or replace function patchbay.usage_rebuild(p_user uuid, p_from timestamptz, p_to timestamptz, p_after uuid, p_max integer,
                                                  p_write boolean, out looked integer, out different integer, out last uuid)
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    calls uuid[];
begin
    select array_agg(x.id order by x.id) into calls from (
        select c.id from patchbay.calls c
        where (p_after is null or c.id > p_after) and (p_user is null or c.user_id = p_user)
          and (p_from is null or c.offered_at >= p_from) and (p_to is null or c.offered_at < p_to)
        order by c.id limit p_max) x;
    last := case when cardinality(calls) = p_max then calls[p_max] end;
    if not p_write then -- what waits to be counted is not wrong
        calls := array(select x from unnest(calls) x where not exists (select from patchbay.usage_dirty d where d.call_id = x));
    end if;
    looked := coalesce(cardinality(calls), 0);
    different := 0;
    begin
        if looked > 0 then
            different := patchbay.usage_count(calls);
        end if;
        if not p_write then
            raise exception 'only looking' using errcode = 'PB001';
        end if;
    exception when sqlstate 'PB001' then
        null;
    end;
end
$fn$;

-- The sums of a day from the calls of that day, whatever stood there. Returns how many rows came out otherwise. Users who were
-- erased keep their one row.
create or replace function patchbay.usage_recount(p_day date, p_write boolean) returns integer
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    nobody constant uuid := '00000000-0000-0000-0000-000000000000';
    erased constant uuid := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
    before jsonb[];
    after jsonb[];
    n integer := 0;
    t text;
    calls uuid[];
    row_of constant text := 'select array_agg(to_jsonb(d)) from patchbay.%I d where d.day = $1';
    was jsonb[];
begin
    perform patchbay.usage_lock();
    begin
        before := '{}';
        foreach t in array array['usage_days', 'usage_stack_days', 'answer_days'] loop
            execute format(row_of, t) into was using p_day;
            before := before || coalesce(was, '{}');
            execute format('delete from patchbay.%I where day = $1 and user_id <> $2', t) using p_day, erased;
        end loop;
        select array_agg(k.call_id) into calls from patchbay.call_costs k where k.day = p_day;
        perform patchbay.usage_add(coalesce(calls, '{}'), 1);
        perform patchbay.usage_copy(erased, nobody, p_day);
        after := '{}';
        foreach t in array array['usage_days', 'usage_stack_days', 'answer_days'] loop
            execute format(row_of, t) into was using p_day;
            after := after || coalesce(was, '{}');
        end loop;
        -- A row of nothing is as good as none.
        select count(*) into n from (
            (select x from unnest(before) x except all select x from unnest(after) x)
            union all
            (select x from unnest(after) x except all select x from unnest(before) x)) y
        where coalesce((x ->> 'lines')::bigint, (x ->> 'n')::bigint, (x ->> 'calls')::bigint + abs((x ->> 'microusd')::bigint)
                       + (x ->> 'unpriced')::bigint) <> 0;
        if not p_write then
            raise exception 'only looking' using errcode = 'PB001';
        end if;
    exception when sqlstate 'PB001' then
        null;
    end;
    return n;
end
$fn$;

-- Adds what stands under one id to what stands under another. p_day null: of all days.
create or replace function patchbay.usage_copy(p_of uuid, p_to uuid, p_day date) returns void
    language sql security invoker set search_path = pg_catalog, pg_temp as $fn$
    insert into patchbay.usage_days as d
    select p_to, o.day, o.stack, o.component, o.provider, o.account, o.model, o.unit, o.lines, o.quantity_milli, o.microusd, o.unpriced
    from patchbay.usage_days o where o.user_id = p_of and (p_day is null or o.day = p_day)
    on conflict (user_id, day, stack, component, provider, account, model, unit) do update set
        lines = d.lines + excluded.lines, quantity_milli = d.quantity_milli + excluded.quantity_milli,
        microusd = d.microusd + excluded.microusd, unpriced = d.unpriced + excluded.unpriced;
    insert into patchbay.usage_stack_days as d
    select p_to, o.day, o.stack, o.calls, o.answered, o.duration_ms, o.microusd, o.unpriced, o.retail_microusd, o.unpriced_retail,
           o.compared, o.compared_ms, o.own_microusd, o.other_microusd, o.timed
    from patchbay.usage_stack_days o where o.user_id = p_of and (p_day is null or o.day = p_day)
    on conflict (user_id, day, stack) do update set
        calls = d.calls + excluded.calls, answered = d.answered + excluded.answered,
        duration_ms = d.duration_ms + excluded.duration_ms, microusd = d.microusd + excluded.microusd,
        unpriced = d.unpriced + excluded.unpriced, retail_microusd = d.retail_microusd + excluded.retail_microusd,
        unpriced_retail = d.unpriced_retail + excluded.unpriced_retail, compared = d.compared + excluded.compared,
        compared_ms = d.compared_ms + excluded.compared_ms, own_microusd = d.own_microusd + excluded.own_microusd,
        other_microusd = d.other_microusd + excluded.other_microusd, timed = d.timed + excluded.timed;
    insert into patchbay.answer_days as d
    select p_to, o.day, o.stack, o.bucket, o.n from patchbay.answer_days o where o.user_id = p_of and (p_day is null or o.day = p_day)
    on conflict (user_id, day, stack, bucket) do update set n = d.n + excluded.n;
$fn$;

-- ------------------------------------------------------------------ erasure, retention
-- A user's rows go; what he cost stays in the sums of those who were erased, so that everybody's still add up.
create or replace function patchbay.usage_forget(p_user uuid) returns void
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
begin
    perform patchbay.usage_lock();
    perform patchbay.usage_copy(p_user, 'ffffffff-ffff-ffff-ffff-ffffffffffff', null);
    delete from patchbay.usage_days where user_id = p_user;
    delete from patchbay.usage_stack_days where user_id = p_user;
    delete from patchbay.answer_days where user_id = p_user;
    delete from patchbay.call_costs where user_id = p_user;
end
$fn$;

do $patch$
declare
    def text := pg_get_functiondef('patchbay.erase_rows(uuid)'::regprocedure);
begin
    if position('usage_forget' in def) = 0 then
        execute replace(def, 'select coalesce(array_agg(id), ''{}'') into calls from patchbay.calls',
            e'perform patchbay.usage_forget(p_user);\n    select coalesce(array_agg(id), ''{}'') into calls from patchbay.calls');
    end if;
    -- Whose costs are counted again counts again here.
    def := pg_get_functiondef('patchbay.rerate_step(text, interval, integer)'::regprocedure);
    if position('usage_touch' in def) = 0 then
        execute replace(def, e'        n := n + 1;\n        r.after_id := c.id;\n',
            e'        n := n + 1;\n        r.after_id := c.id;\n        if not r.dry_run then\n'
            '            perform patchbay.usage_touch(array[c.id]);\n        end if;\n');
    end if;
    def := pg_get_functiondef('patchbay.prune(text, integer, integer)'::regprocedure);
    if position('''usage''' in def) = 0 then
        execute replace(def, e'    else\n        raise exception ''prune: no rows of kind', $new$    when 'usage' then
        -- What was metered of calls of that age; what they cost stays as it was counted.
        perform patchbay.usage_lock();
        with aged as (
            update patchbay.call_costs set frozen = true where call_id in (
                select call_id from patchbay.call_costs where not frozen and day < (before at time zone 'UTC')::date
                  and counted_at < now() - interval '1 day' order by day limit p_max)
            returning call_id)
        select array_agg(call_id) into old from aged;
        delete from patchbay.usage where call_id = any (old);
        return coalesce(cardinality(old), 0);
$new$ || e'    else\n        raise exception ''prune: no rows of kind');
    end if;
    if position('usage_forget' in pg_get_functiondef('patchbay.erase_rows(uuid)'::regprocedure)) = 0
        or position('usage_touch' in pg_get_functiondef('patchbay.rerate_step(text, interval, integer)'::regprocedure)) = 0
        or position('''usage''' in pg_get_functiondef('patchbay.prune(text, integer, integer)'::regprocedure)) = 0 then
        raise exception 'erase_rows, rerate_step or prune are not what this file knows';
    end if;
end
$patch$;

-- ------------------------------------------------------------------ what there is already
do $begin$
begin
    if not exists (select from patchbay.call_costs) and not exists (select from patchbay.usage_dirty) then
        insert into patchbay.usage_dirty (call_id) select id from patchbay.calls where state = 'ended' order by id;
    end if;
end
$begin$;

do $grants$
declare
    f text;
begin
    foreach f in array array[
        'cost_lines(uuid[])', 'call_cost(patchbay.calls)', 'cost_elsewhere(uuid[])', 'call_answers(patchbay.calls)', 'usage_lock()',
        'usage_add(uuid[], integer)', 'usage_count(uuid[])', 'usage_touch(uuid[])', 'usage_touch_between(timestamptz, timestamptz)',
        'usage_work(integer)', 'usage_rebuild(uuid, timestamptz, timestamptz, uuid, integer, boolean)',
        'usage_recount(date, boolean)', 'usage_copy(uuid, uuid, date)', 'usage_forget(uuid)'] loop
        execute format('revoke all on function patchbay.%s from public, anon, authenticated', f);
        execute format('grant execute on function patchbay.%s to service_role, patchbay_service', f);
    end loop;
    revoke all on function patchbay.on_usage(), patchbay.on_call_facts() from public;
end
$grants$;
