-- What a minute of a user's calls costs, without a look into 500 calls.
--
-- minute_costs reckoned each of a user's last 500 calls on LiveKit anew, and read Retell's whole report of each of those there, the
-- transcript among it: 0.8 to 1.3 s for somebody with many calls, at each plan and each switch. Now it takes what call_costs has
-- (decisions/0020), and what is kept here of the reports.
--
--   retell_figures     what a plan needs of Retell's report of a call: its bill, what its agent said, what its model read
--   on_retell_result   keeps them as the report has them
--   minute_costs       as before

create table if not exists patchbay.retell_figures (
    call_id uuid primary key,
    source public.voice_ai_stack not null default 'retell' check (source = 'retell'),
    cents numeric,                             -- null: no bill yet
    characters bigint,                         -- of the agent's
    tokens numeric,
    foreign key (call_id, source) references patchbay.call_results (call_id, source) on delete cascade
);
alter table patchbay.retell_figures enable row level security;
drop policy if exists service on patchbay.retell_figures;
create policy service on patchbay.retell_figures to service_role, patchbay_service using (true) with check (true);
revoke all on patchbay.retell_figures from anon, authenticated;
grant select, insert, update, delete on patchbay.retell_figures to service_role, patchbay_service;

create or replace function patchbay.put_retell_figures(p_call uuid, p_data jsonb) returns void
    language sql security invoker set search_path = pg_catalog, pg_temp as $fn$
    insert into patchbay.retell_figures as f (call_id, cents, characters, tokens)
    values (p_call, (p_data #>> '{call_cost,combined_cost}')::numeric,
            (select sum(length(t ->> 'content')) from jsonb_array_elements(
                 case jsonb_typeof(p_data -> 'transcript_object') when 'array' then p_data -> 'transcript_object' else '[]' end) t
             where t ->> 'role' = 'agent'),
            (p_data #>> '{llm_token_usage,average}')::numeric * (p_data #>> '{llm_token_usage,num_requests}')::numeric)
    on conflict (call_id) do update set cents = excluded.cents, characters = excluded.characters, tokens = excluded.tokens
$fn$;

create or replace function patchbay.on_retell_result() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $fn$
begin
    perform patchbay.put_retell_figures(new.call_id, new.data);
    return null;
end
$fn$;
drop trigger if exists patchbay_figures on patchbay.call_results;
create trigger patchbay_figures after insert or update of data on patchbay.call_results for each row
    when (new.source = 'retell') execute function patchbay.on_retell_result();

-- Those a plan may still ask for.
do $told$
begin
    perform patchbay.put_retell_figures(r.call_id, r.data) from patchbay.call_results r join patchbay.calls c on c.id = r.call_id
    where r.source = 'retell' and c.offered_at > now() - interval '31 days'
      and not exists (select from patchbay.retell_figures f where f.call_id = r.call_id);
end
$told$;

-- A user's newest calls on a stack, however many he has on the other.
create index if not exists calls_user_stack on patchbay.calls (user_id, stack, offered_at desc)
    where state = 'ended' and duration_ms > 0 and not rehearsal;

-- What a minute of this user's calls cost, or would cost, on each stack: measured on the calls of the last p_days that ran
-- there; else reckoned at today's prices from how much was said and used on the other; else from the assumptions.
create or replace function patchbay.minute_costs(p_user uuid, p_days integer) returns jsonb
    language plpgsql stable set search_path = pg_catalog, pg_temp as $fn$
declare
    assumed jsonb := '{"characters_per_minute": 450, "tokens_in_per_minute": 8000, "tokens_cached_share": 0.5, "tokens_out_per_minute": 150}';
    lk record;
    rt record;
    carrier numeric;
    lk_sum numeric;
    rt_sum numeric;
begin
    -- Both stacks hang behind the same carrier. Sums are millionths of a dollar a minute, at today's prices.
    select sum(p.price_microusd * 60.0 / p.per) into carrier
    from (values ('phone', 'inbound'), ('phone_sip', null)) x (component, model)
    cross join lateral patchbay.price_at('signalwire', 'signalwire', x.component, x.model, now()) p;

    -- A stack from and to, in that order, is what only calls_user_stack has: by time alone, all on the other stack would be passed.
    -- What was counted is what the call costs; who is still to be counted (again) is reckoned here.
    select count(*) as calls, sum(k.duration_ms) / 60000.0 as minutes, sum(k.microusd) as microusd into lk
    from (select c.duration_ms,
                 case when f.call_id is null or c.id in (select d.call_id from patchbay.usage_dirty d)
                      then (select (patchbay.call_cost(y) #>> '{microusd,total}')::numeric from patchbay.calls y where y.id = c.id)
                      when f.lines <> '[]' and (f.frozen or exists (select from patchbay.usage u where u.call_id = c.id))
                      then f.microusd::numeric end as microusd
          from (select x.id, x.duration_ms from patchbay.calls x
                where x.user_id = p_user and x.stack between 'livekit' and 'livekit' and x.state = 'ended' and x.duration_ms > 0 and not x.rehearsal
                  and x.offered_at > now() - p_days * interval '1 day'
                order by x.stack, x.offered_at desc limit 500) c
          left join patchbay.call_costs f on f.call_id = c.id) k
    where k.microusd is not null;

    select count(*) as calls, sum(c.duration_ms) / 60000.0 as minutes, sum(r.cents * 10000) as microusd,
           sum(r.characters) as characters, sum(r.tokens) as tokens into rt
    from (select x.id, x.duration_ms from patchbay.calls x
          where x.user_id = p_user and x.stack between 'retell' and 'retell' and x.state = 'ended' and x.duration_ms > 0 and not x.rehearsal
            and x.offered_at > now() - p_days * interval '1 day'
          order by x.stack, x.offered_at desc limit 500) c
    join patchbay.retell_figures r on r.call_id = c.id
    where r.cents is not null;

    if lk.minutes > 0 then
        lk_sum := lk.microusd / lk.minutes;
    else
        lk_sum := (
            select sum(p.price_microusd * x.quantity / p.per)
            from (values
                ('livekit', 'agent', '', 60.0), ('livekit', 'sip', '', 60.0), ('deepgram', 'stt', 'nova-3', 60.0),
                ('openai', 'llm_in', 'gpt-4o-mini',
                 coalesce(rt.tokens / nullif(rt.minutes, 0), (assumed ->> 'tokens_in_per_minute')::numeric)
                     * (1 - (assumed ->> 'tokens_cached_share')::numeric)),
                ('openai', 'llm_cached', 'gpt-4o-mini',
                 coalesce(rt.tokens / nullif(rt.minutes, 0), (assumed ->> 'tokens_in_per_minute')::numeric)
                     * (assumed ->> 'tokens_cached_share')::numeric),
                ('openai', 'llm_out', 'gpt-4o-mini', (assumed ->> 'tokens_out_per_minute')::numeric),
                ('elevenlabs', 'tts_chars', 'eleven_flash_v2_5',
                 coalesce(rt.characters / nullif(rt.minutes, 0), (assumed ->> 'characters_per_minute')::numeric))
            ) x (provider, component, model, quantity)
            cross join lateral patchbay.price_at(x.provider, x.provider, x.component, x.model, now()) p) + carrier;
    end if;
    if rt.minutes > 0 then
        rt_sum := rt.microusd / rt.minutes + carrier;
    else
        rt_sum := (select sum(p.price_microusd * 60.0 / p.per)
                   from (values ('voice', ''), ('tts', 'elevenlabs'), ('llm', 'gpt-4.1-mini')) x (component, model)
                   cross join lateral patchbay.price_at('retell', 'retell', x.component, x.model, now()) p) + carrier;
    end if;
    return jsonb_build_object(
        'days', p_days, 'currency', 'USD', 'assumptions', assumed,
        'retell', jsonb_build_object('microusd_per_minute', round(rt_sum), 'calls', rt.calls,
            'minutes', round(coalesce(rt.minutes, 0), 2),
            'basis', case when rt.minutes > 0 then 'measured' else 'list_price' end),
        'livekit', jsonb_build_object('microusd_per_minute', round(lk_sum), 'calls', lk.calls,
            'minutes', round(coalesce(lk.minutes, 0), 2),
            'basis', case when lk.minutes > 0 then 'measured' when rt.minutes > 0 then 'reckoned' else 'assumed' end));
end
$fn$;

revoke all on function patchbay.put_retell_figures(uuid, jsonb) from public, anon, authenticated;
revoke all on function patchbay.on_retell_result() from public;
grant execute on function patchbay.put_retell_figures(uuid, jsonb) to service_role, patchbay_service;
