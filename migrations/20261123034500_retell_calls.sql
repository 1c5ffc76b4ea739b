-- What Retell tells of a call, in full.
--
--   end_reasons      why a call ended: Retell's words, ours, and whose will or fault it was
--   retell_legs      one row per call at Retell: a caller who comes back from a transfer is a second one of the same call
--   retell_redacted  a webhook without what the caller said as a passcode
--   put_retell       as before; the call is found by our own id, every leg's words count, Retell's reason refines the end
--   call_cost        as before, with what Retell billed leg by leg
--   call_latencies   how long answers took, of both stacks side by side

-- ------------------------------------------------------------------ why it ended
-- owner: whose will or fault. ends: with this word the call is over; without, the router tries something else first.
create table if not exists patchbay.end_reasons (
    stack public.voice_ai_stack not null,
    vendor_reason text not null,
    reason text not null,
    owner text not null check (owner in ('caller', 'us', 'provider', 'carrier')),
    ends boolean not null,
    primary key (stack, vendor_reason)
);
comment on table patchbay.end_reasons is 'Why a call ended, in a vendor''s words and in ours; a deployment may add rows.';

insert into patchbay.end_reasons (stack, vendor_reason, reason, owner, ends) values
    ('retell', 'user_hangup', 'caller_hangup', 'caller', true),
    ('retell', 'user_declined', 'caller_declined', 'caller', true),
    ('retell', 'user_requested_dnc', 'caller_hangup', 'caller', true),
    ('retell', 'user_requested_callback', 'caller_hangup', 'caller', true),
    ('retell', 'marked_as_spam', 'marked_as_spam', 'caller', true),
    ('retell', 'agent_hangup', 'agent_hangup', 'us', true),
    ('retell', 'call_transfer', 'transferred', 'us', true),
    ('retell', 'transfer_bridged', 'transferred', 'us', true),
    ('retell', 'transfer_cancelled', 'agent_hangup', 'us', true),
    ('retell', 'call_take_over', 'operator_took_over', 'us', true),
    ('retell', 'voicemail_reached', 'machine', 'us', true),
    ('retell', 'ivr_reached', 'machine', 'us', true),
    ('retell', 'inactivity', 'idle', 'us', true),
    ('retell', 'max_duration_reached', 'max_duration', 'us', true),
    ('retell', 'manual_stopped', 'operator_hangup', 'us', true),
    ('retell', 'registered_call_timeout', 'not_dialled', 'us', false),
    ('retell', 'no_valid_payment', 'provider_account', 'provider', false),
    ('retell', 'credit_exhausted', 'provider_account', 'provider', false),
    ('retell', 'budget_reached', 'provider_account', 'provider', false),
    ('retell', 'concurrency_limit_reached', 'provider_capacity', 'provider', false),
    ('retell', 'no_concurrency_fallback', 'provider_capacity', 'provider', false),
    ('retell', 'scam_detected', 'provider_refused', 'provider', false),
    ('retell', 'error_llm_websocket_open', 'provider_error', 'provider', false),
    ('retell', 'error_llm_websocket_lost_connection', 'provider_error', 'provider', false),
    ('retell', 'error_llm_websocket_runtime', 'provider_error', 'provider', false),
    ('retell', 'error_llm_websocket_corrupt_payload', 'provider_error', 'provider', false),
    ('retell', 'error_no_audio_received', 'no_audio', 'provider', false),
    ('retell', 'error_asr', 'provider_error', 'provider', false),
    ('retell', 'error_retell', 'provider_error', 'provider', false),
    ('retell', 'error_unknown', 'provider_error', 'provider', false),
    ('retell', 'error_user_not_joined', 'no_caller', 'carrier', false),
    ('retell', 'dial_busy', 'busy', 'carrier', false),
    ('retell', 'dial_failed', 'failed', 'carrier', false),
    ('retell', 'dial_no_answer', 'no_answer', 'carrier', false),
    ('retell', 'invalid_destination', 'invalid_number', 'carrier', false),
    ('retell', 'network_blocked', 'failed', 'carrier', false),
    ('retell', 'telephony_provider_permission_denied', 'failed', 'carrier', false),
    ('retell', 'telephony_provider_unavailable', 'failed', 'carrier', false),
    ('retell', 'sip_routing_error', 'failed', 'carrier', false)
on conflict do nothing;

-- A word of tomorrow is the provider's, and ends nothing. Null for null.
create or replace function patchbay.retell_end(p_reason text) returns patchbay.end_reasons
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select coalesce(
        (select e from patchbay.end_reasons e where e.stack = 'retell' and e.vendor_reason = p_reason),
        case when p_reason is not null
            then row ('retell', p_reason, 'provider_error', 'provider', false)::patchbay.end_reasons end)
$fn$;

create or replace function patchbay.retell_owner(reason text) returns text
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select (patchbay.retell_end(reason)).owner
$fn$;

-- ------------------------------------------------------------------ legs
create table if not exists patchbay.retell_legs (
    retell_call_id text primary key,
    call_id uuid not null,                     -- no reference: a call is kept apart from what is told of it
    user_id uuid not null,
    segment integer not null,                  -- 1, and one more each time the caller came back
    event text not null,                       -- the furthest told
    reason text,                               -- Retell's word
    started_at timestamptz not null,
    ended_at timestamptz,
    said jsonb,                                -- transcript, transcript_object, transcript_with_tool_calls
    told_at timestamptz,                       -- its turns and its end are events
    billed_at timestamptz,                     -- its costs are
    urls jsonb,                                -- recording_url and its kin, as last told
    recording text not null default 'none'
        check (recording in ('none', 'offered', 'stored', 'failed', 'unwanted')),
    attempts integer not null default 0,       -- of the copy
    next_at timestamptz not null default now(),
    claimed_by text,
    claimed_until timestamptz,
    error text,
    forgotten_at timestamptz,                  -- deleted at Retell
    unique (call_id, segment)
);
create index if not exists retell_legs_user on patchbay.retell_legs (user_id);
create index if not exists retell_legs_offered on patchbay.retell_legs (next_at) where recording = 'offered';
create index if not exists retell_legs_kept on patchbay.retell_legs (ended_at) where forgotten_at is null;
comment on table patchbay.retell_legs is 'One row per call at Retell; a call of ours may have several, one after the other.';

-- Calls at Retell whose results never came: asked for.
create table if not exists patchbay.retell_fetches (
    retell_call_id text primary key,
    call_id uuid not null,
    user_id uuid not null,
    attempts integer not null default 0,
    next_at timestamptz not null,
    done_at timestamptz,
    outcome text
);
create index if not exists retell_fetches_user on patchbay.retell_fetches (user_id);

do $rights$
declare
    t text;
begin
    foreach t in array array['end_reasons', 'retell_legs', 'retell_fetches'] loop
        execute format('alter table patchbay.%I enable row level security', t);
        execute format('drop policy if exists service on patchbay.%I', t);
        execute format('create policy service on patchbay.%I to service_role, patchbay_service
                        using (true) with check (true)', t);
        execute format('revoke all on patchbay.%I from anon, authenticated', t);
        execute format('grant select, insert, update, delete on patchbay.%I to service_role, patchbay_service', t);
    end loop;
    drop policy if exists anybody_reads on patchbay.end_reasons;
    create policy anybody_reads on patchbay.end_reasons for select to authenticated using (true);
    grant select on patchbay.end_reasons to authenticated;
end
$rights$;

-- The row of the leg a webhook is about. The caller holds the call's row.
create or replace function patchbay.put_retell_leg(c patchbay.calls, payload jsonb) returns void
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    events constant text[] := array['call_started', 'transcript_updated', 'call_ended', 'call_analyzed'];
    r constant jsonb := payload -> 'call';
    links constant jsonb := jsonb_strip_nulls(jsonb_build_object(
        'recording_url', r -> 'recording_url', 'recording_multi_channel_url', r -> 'recording_multi_channel_url',
        'scrubbed_recording_url', r -> 'scrubbed_recording_url',
        'scrubbed_recording_multi_channel_url', r -> 'scrubbed_recording_multi_channel_url'));
    words constant jsonb := jsonb_strip_nulls(jsonb_build_object(
        'transcript', r -> 'transcript', 'transcript_object', r -> 'transcript_object',
        'transcript_with_tool_calls', r -> 'transcript_with_tool_calls'));
    over constant boolean := coalesce(payload ->> 'event', '') in ('call_ended', 'call_analyzed');
begin
    insert into patchbay.retell_legs as l (retell_call_id, call_id, user_id, segment, event, reason, started_at, ended_at,
                                           said, urls, recording)
    select r ->> 'call_id', c.id, c.user_id,
           (select coalesce(max(segment), 0) + 1 from patchbay.retell_legs where call_id = c.id),
           payload ->> 'event', r ->> 'disconnection_reason', to_timestamp((r ->> 'start_timestamp')::numeric / 1000.0),
           to_timestamp((r ->> 'end_timestamp')::numeric / 1000.0), case when over then nullif(words, '{}') end,
           nullif(links, '{}'), case when over and links <> '{}' then 'offered' else 'none' end
    on conflict (retell_call_id) do update set
        event = case when array_position(events, excluded.event) >= coalesce(array_position(events, l.event), 0)
                     then excluded.event else l.event end,
        reason = coalesce(l.reason, excluded.reason),
        ended_at = coalesce(l.ended_at, excluded.ended_at),
        said = coalesce(excluded.said, l.said),
        urls = case when excluded.urls is not null then coalesce(l.urls, '{}') || excluded.urls else l.urls end,
        recording = case when l.recording = 'none' then excluded.recording else l.recording end
    where l.call_id = c.id;
end
$fn$;

-- What was said in all legs of a call, one after the other; {} where there is but one.
create or replace function patchbay.retell_said(p_call uuid) returns jsonb
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    with legs as (
        select segment, said from patchbay.retell_legs where call_id = p_call and said is not null
    ), joined as (
        select k.key, jsonb_agg(t.value order by l.segment, t.n) as list
        from (values ('transcript_object'), ('transcript_with_tool_calls')) k (key), legs l,
             jsonb_array_elements(case jsonb_typeof(l.said -> k.key) when 'array' then l.said -> k.key else '[]' end)
                 with ordinality t (value, n)
        group by k.key
    )
    select case when (select count(*) from legs) > 1 then coalesce((select jsonb_object_agg(key, list) from joined), '{}')
        || jsonb_strip_nulls(jsonb_build_object('transcript', (
               select string_agg(btrim(said ->> 'transcript', e' \n'), e'\n' order by segment) from legs)))
    else '{}' end
$fn$;

-- Where the recording is that we keep: its address stands for Retell's, which expires. {} while there is none.
create or replace function patchbay.retell_recorded(p_call uuid) returns jsonb
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select coalesce((select jsonb_build_object('recording_url', url, 'recording_multi_channel_url', url)
                     from patchbay.recordings where call_id = p_call and name = 'recording' and state = 'stored'), '{}')
$fn$;

-- ------------------------------------------------------------------ passcodes
-- A passcode at Retell is asked for by a tool of ours, which says so ("ask": "passcode") in what it answers; the caller's
-- words and keys from there to the next tool are taken for it, six utterances at most. What a model made an argument of is
-- one as well. In their place stands [passcode], wherever the webhook repeats them. Without any of it: as it came.
create or replace function patchbay.retell_redacted(payload jsonb) returns jsonb
    language plpgsql immutable set search_path = pg_catalog, pg_temp as $fn$
declare
    call jsonb := payload -> 'call';
    list jsonb := call -> 'transcript_with_tool_calls';
    changed jsonb := '[]';
    hidden integer[] := '{}';   -- which utterances, counted from 1
    words text[] := '{}';       -- and what they said
    answered integer[] := '{}'; -- utterances of the caller's since the agent spoke
    spoken integer := 0;
    left_over integer := 0;     -- utterances still taken for a passcode
    touched boolean := false;
    args jsonb;
    t jsonb;
    k text;
begin
    if jsonb_typeof(list) is distinct from 'array' or list::text !~* 'passcode' then
        return payload;
    end if;
    for t in select value from jsonb_array_elements(list) loop
        case t ->> 'role'
        when 'tool_call_invocation' then
            left_over := 0;
            begin
                args := (t ->> 'arguments')::jsonb;
            exception when others then
                args := null;
            end;
            if jsonb_typeof(args) = 'object' and args ? 'passcode' then
                t := t || jsonb_build_object('arguments', (args || '{"passcode": "[passcode]"}')::text);
                touched := true;
                hidden := hidden || answered;
            end if;
        when 'tool_call_result' then
            if t ->> 'content' ~ '"ask"\s*:\s*"passcode"' then
                left_over := 6;
            end if;
        when 'dtmf' then
            if left_over > 0 then
                t := t || '{"digit": "*"}';
                touched := true;
            end if;
        else
            if t ->> 'role' in ('user', 'agent', 'transfer_target') then
                spoken := spoken + 1;
                answered := case when t ->> 'role' = 'user' then answered || spoken else '{}' end;
                if t ->> 'role' = 'user' and left_over > 0 then
                    hidden := hidden || spoken;
                    left_over := left_over - 1;
                end if;
            end if;
        end case;
        changed := changed || jsonb_build_array(t);
    end loop;
    if not touched and hidden = '{}' then
        return payload;
    end if;

    with numbered as (
        select value as v, n, value ->> 'role' in ('user', 'agent', 'transfer_target') as speech,
               count(*) filter (where value ->> 'role' in ('user', 'agent', 'transfer_target')) over (order by n) as nth
        from jsonb_array_elements(changed) with ordinality x (value, n)
    )
    select jsonb_agg(case when speech and nth = any (hidden)
                          then v || '{"content": "[passcode]", "words": []}' else v end order by n),
           coalesce(array_agg(v ->> 'content') filter (where speech and nth = any (hidden)), '{}')
    into changed, words from numbered;
    call := call || jsonb_build_object('transcript_with_tool_calls', changed);
    if jsonb_typeof(call -> 'transcript_object') = 'array' then
        call := call || jsonb_build_object('transcript_object', (
            select coalesce(jsonb_agg(case when value ->> 'role' = 'user'
                                and (case when jsonb_array_length(call -> 'transcript_object') = spoken
                                     then n = any (hidden) else value ->> 'content' = any (words) end)
                            then value || '{"content": "[passcode]", "words": []}' else value end order by n), '[]')
            from jsonb_array_elements(call -> 'transcript_object') with ordinality x (value, n)));
    end if;
    if words <> '{}' then
        if call ? 'transcript' then
            call := call || jsonb_build_object('transcript', coalesce(patchbay.transcript_text(
                coalesce(call -> 'transcript_object', changed)), ''));
        end if;
        foreach k in array words || array(select regexp_replace(w, '\D', '', 'g') from unnest(words) w) loop
            if length(k) > 2 and call #>> '{call_analysis,call_summary}' is not null then
                call := jsonb_set(call, '{call_analysis,call_summary}', to_jsonb(replace(
                    call #>> '{call_analysis,call_summary}', btrim(k, ' .,!?'), '[passcode]')));
            end if;
        end loop;
    end if;
    -- The same once more, in other shapes.
    call := call - array(select o from jsonb_object_keys(call) o where o ~ '^(pre_|post_|scrubbed_)\w*transcript');
    return payload || jsonb_build_object('call', call);
end
$fn$;

-- ------------------------------------------------------------------ one webhook
-- {"event", "call": {...}}. Returns our call id; null when the call is not ours or not known yet (park it). It is found by
-- metadata.call_id, which register-call gave to Retell; by Retell's id only together with the number called. A call whose
-- row was lost is made again from metadata.user_id.
create or replace function patchbay.put_retell(payload jsonb) returns uuid
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    uuid_shape constant text := '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$';
    links constant text[] := array['recording_url', 'recording_multi_channel_url', 'scrubbed_recording_url',
                                   'scrubbed_recording_multi_channel_url'];
    clean jsonb := patchbay.retell_redacted(payload);
    r jsonb := clean -> 'call';
    event constant text := payload ->> 'event';
    ours uuid;
    owner uuid;
    c patchbay.calls;
    started timestamptz := to_timestamp((r ->> 'start_timestamp')::numeric / 1000.0);
    ended timestamptz := to_timestamp((r ->> 'end_timestamp')::numeric / 1000.0);
    reason constant text := r ->> 'disconnection_reason';
    why patchbay.end_reasons;
begin
    if r ->> 'call_id' is null or event is null then
        raise exception 'not a webhook of Retell: no event or no call_id' using errcode = '22023';
    end if;
    if r #>> '{metadata,call_id}' ~ uuid_shape then
        ours := (r #>> '{metadata,call_id}')::uuid;
    end if;
    if r #>> '{metadata,user_id}' ~ uuid_shape then
        owner := (r #>> '{metadata,user_id}')::uuid;
    end if;

    if ours is not null then
        select * into c from patchbay.calls where id = ours for update;
    else
        select * into c from patchbay.calls
        where retell_call_id = r ->> 'call_id' and to_number = r ->> 'to_number' for update;
    end if;
    if c.id is null then
        if ours is null or owner is null or not exists (select from public.users u where u.id = owner) then
            return null;
        end if;
        perform patchbay.put_call(jsonb_build_object(
            'id', ours, 'user_id', owner, 'stack', 'retell', 'state', 'routed', 'offered_at', started,
            'from_number', r ->> 'from_number', 'to_number', r ->> 'to_number',
            'retell_call_id', r ->> 'call_id'));
        select * into c from patchbay.calls where id = ours;
    end if;
    if owner <> c.user_id then
        return null;
    end if;
    -- A user who wants no recordings has none: not even an address of one.
    if exists (select from public.users u where u.id = c.user_id and to_jsonb(u) ->> 'record_calls' = 'false') then
        r := r - links;
        clean := clean || jsonb_build_object('call', r);
    end if;
    if started is not null and reason is distinct from 'registered_call_timeout' then
        perform patchbay.put_retell_leg(c, clean);
    end if;
    -- An earlier leg of the call: of all it says, only its words are missing. Or a registration that was never dialled:
    -- nothing it says is about the call.
    if c.retell_call_id <> r ->> 'call_id' or reason = 'registered_call_timeout' then
        update patchbay.call_results set data = data || patchbay.retell_said(c.id), updated_at = now()
        where call_id = c.id and source = 'retell' and patchbay.retell_said(c.id) <> '{}';
        return c.id;
    end if;

    perform patchbay.put_result(c.id, 'retell', event, r || patchbay.retell_said(c.id)
                                                       || patchbay.retell_recorded(c.id));
    -- Only where there is none: the router may be giving the call another one at this very moment.
    if c.retell_call_id is null then
        perform patchbay.put_call(jsonb_build_object('id', c.id, 'retell_call_id', r ->> 'call_id'));
    end if;
    if coalesce(c.stack, 'retell') = 'retell' then
        why := patchbay.retell_end(reason);
        if started is not null and why.owner is distinct from 'carrier' then
            perform patchbay.put_call(jsonb_build_object('id', c.id, 'answered_at', started));
        end if;
        -- After a fault the router may dial the other stack into the same call: then its word counts, not this. And when
        -- it took the caller away from Retell (a transfer, voicemail), what Retell saw was no end either.
        if ended is not null and why.ends and c.metadata ->> 'moved_from' is distinct from r ->> 'call_id' then
            perform patchbay.put_call(jsonb_build_object('id', c.id, 'ended_at', ended, 'ended_reason', why.reason,
                                                         'ended_owner', why.owner));
        end if;
        update patchbay.calls set version = version + 1, updated_at = now(), ended_reason = why.reason,
                                  ended_owner = why.owner
        where id = c.id and why.reason is not null and ended_reason = 'completed' and stack = 'retell'
          and metadata ->> 'moved_from' is distinct from r ->> 'call_id';
    end if;
    return c.id;
end
$fn$;

-- The carrier only knows that a leg was over ("completed"). What Retell has said about it, earlier, is more.
create or replace function patchbay.on_call_completed() returns trigger
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    why patchbay.end_reasons;
begin
    select (patchbay.retell_end(l.reason)).* into why from patchbay.retell_legs l
    where l.retell_call_id = new.retell_call_id and l.reason is not null;
    if why.reason is not null then
        new.ended_reason := why.reason;
        new.ended_owner := why.owner;
    end if;
    return new;
end
$fn$;
drop trigger if exists patchbay_completed on patchbay.calls;
create trigger patchbay_completed before update of ended_reason on patchbay.calls for each row
    when (new.ended_reason = 'completed' and old.ended_reason is null and new.stack = 'retell'
          and new.metadata ->> 'moved_from' is distinct from new.retell_call_id)
    execute function patchbay.on_call_completed();

-- ------------------------------------------------------------------ what it cost
create or replace function patchbay.retell_part(product text) returns text
    language sql immutable set search_path = pg_catalog, pg_temp as $fn$
    select case when product ~* 'gpt|claude|gemini|llm|s2s' then 'llm'
                when product ~* 'tts|voice_clon|elevenlabs|cartesia|minimax|fish|inworld|openai_voice' then 'tts'
                when product ~* 'stt|asr|transcri' then 'stt'
                when product ~* 'telephony|twilio|telnyx|sip|phone' then 'telephony'
                else 'platform' end
$fn$;

-- As before; what Retell billed are rows of patchbay.usage in cents, and cost what they say.
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
               case when m.unit = 'usd_cent' then m.quantity_milli * 10
                    when p.id is not null then patchbay.cost_microusd(m.quantity_milli, p.price_microusd, p.per,
                                                                      p.minimum, p.step) end as microusd
        from (select * from metered union all select * from carried) m
        left join lateral patchbay.price_at(m.account, m.provider, m.component, m.model, m.used_at) p
            on m.unit <> 'usd_cent'
    ), billed as (
        -- Retell took part, and its products are not metered (yet): the sum it told, or that it has told none.
        select (data #>> '{call_cost,combined_cost}')::numeric as cents
        from patchbay.call_results where call_id = c.id and source = 'retell'
          and not exists (select from metered where provider = 'retell')
    ), lines as (
        select component, provider, account, model, unit, segment, quantity_milli, price_id, microusd,
               case when provider = 'retell' then patchbay.retell_part(component)
                    when component like 'llm%' then 'llm' when component like 'tts%' then 'tts'
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

-- ------------------------------------------------------------------ how fast it answered
-- Milliseconds. e2e: from the caller's last sound to the agent's first; llm: to the model's first words.
create or replace view patchbay.call_latencies with (security_invoker = true) as
select r.call_id, r.user_id, r.source as stack, x.stage,
       (x.figures ->> 'p50')::double precision as p50, (x.figures ->> 'p90')::double precision as p90,
       (x.figures ->> 'p95')::double precision as p95, (x.figures ->> 'p99')::double precision as p99,
       (x.figures ->> 'num')::double precision as num
from patchbay.call_results r
cross join lateral jsonb_each(case jsonb_typeof(r.data -> 'latency') when 'object' then r.data -> 'latency'
                                                                     else '{}' end) x (stage, figures)
where jsonb_typeof(x.figures) = 'object' and x.figures ? 'p50'
union all
select e.call_id, e.user_id, 'livekit', x.stage,
       percentile_cont(0.5) within group (order by x.ms), percentile_cont(0.9) within group (order by x.ms),
       percentile_cont(0.95) within group (order by x.ms), percentile_cont(0.99) within group (order by x.ms),
       count(x.ms)
from patchbay.call_events e
cross join lateral (values ('e2e', (e.data #>> '{timings,response_ms}')::double precision),
                           ('llm', (e.data #>> '{timings,llm_first_ms}')::double precision),
                           ('tts', (e.data #>> '{timings,tts_first_ms}')::double precision)) x (stage, ms)
where e.type = 'pat.turn.v1.agent' and x.ms is not null and not e.data ? 'retell_call_id'
group by e.call_id, e.user_id, x.stage;
grant select on patchbay.call_latencies to service_role, patchbay_service, authenticated;

-- ------------------------------------------------------------------ for the retell-provider
-- A stored webhook as the provider makes events of it: state, body (text), our call, its user, segment of the leg, whether
-- its turns and its costs are events already, ids of the tool calls that are.
create or replace function patchbay.retell_news(p_webhook uuid)
    returns table (state text, body text, call_id uuid, user_id uuid, segment integer, told boolean, billed boolean,
                   tools jsonb, answered boolean)
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select w.state, b.text, w.call_id, coalesce(c.user_id, l.user_id), l.segment, l.told_at is not null, l.billed_at is not null,
           coalesce((select jsonb_agg(t.id) from patchbay.tool_calls t where t.call_id = w.call_id), '[]'),
           exists (select from patchbay.call_events e where e.call_id = w.call_id and e.type = 'pat.call.v1.answered')
    from patchbay.webhook_inbox w
    cross join lateral (select convert_from(w.body, 'UTF8') as text) b
    left join patchbay.calls c on c.id = w.call_id
    left join patchbay.retell_legs l on l.call_id = w.call_id
        and w.state = 'projected' and l.retell_call_id = b.text::jsonb #>> '{call,call_id}'
    where w.id = p_webhook
$fn$;

-- Calls whose results never came: over for p_after, at Retell by then, nothing told. The next try is p_again later, and
-- each one later by as much again; nobody else gets them meanwhile.
create or replace function patchbay.claim_retell_fetches(p_after interval, p_again interval, p_max integer)
    returns setof patchbay.retell_fetches
    language sql security invoker set search_path = pg_catalog, pg_temp as $fn$
    with due as (
        select c.retell_call_id, c.id, c.user_id
        from patchbay.calls c
        left join patchbay.retell_fetches f on f.retell_call_id = c.retell_call_id
        left join patchbay.retell_legs l on l.retell_call_id = c.retell_call_id
        where c.retell_call_id is not null and c.ended_at < now() - p_after and c.ended_at > now() - interval '3 days'
          and coalesce(l.event, '') not in ('call_ended', 'call_analyzed')
          and f.done_at is null and coalesce(f.next_at, '-infinity') <= now()
        order by c.ended_at limit p_max
        for update of c skip locked
    )
    insert into patchbay.retell_fetches as f (retell_call_id, call_id, user_id, attempts, next_at)
    select retell_call_id, id, user_id, 1, now() + p_again from due
    on conflict (retell_call_id) do update set
        attempts = f.attempts + 1, next_at = now() + p_again * (f.attempts + 1)
        where f.done_at is null and f.next_at <= now()
    returning f.*
$fn$;
create index if not exists calls_retell_ended on patchbay.calls (ended_at) where retell_call_id is not null;

-- What was asked for goes the way of a webhook that came: stored under the same key, told by the same event (p_id, p_subject,
-- p_news). False: it has come meanwhile.
create or replace function patchbay.put_retell_fetched(p_webhook uuid, p_body text, p_id uuid, p_subject text, p_news jsonb)
    returns boolean
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    payload constant jsonb := p_body;
    fresh boolean;
begin
    with kept as (
        insert into patchbay.webhook_inbox (id, source, dedupe_key, body, call_id)
        values (p_webhook, 'retell', (payload ->> 'event') || ':' || (payload #>> '{call,call_id}'),
                convert_to(p_body, 'UTF8'), (p_news #>> '{data,call_id}')::uuid)
        on conflict (source, dedupe_key) do nothing returning id
    ), news as (
        insert into patchbay.outbox (id, subject, payload) select p_id, p_subject, p_news from kept returning id
    )
    select exists (select from news) into fresh;
    if fresh then
        perform pg_notify('patchbay_outbox', p_subject);
    end if;
    update patchbay.retell_fetches set done_at = now(), outcome = case when fresh then 'fetched' else 'came' end
    where retell_call_id = payload #>> '{call,call_id}';
    return fresh;
end
$fn$;

-- Calls that ended by Retell's word while the carrier said nothing: the end is told by whoever notices. Rows of calls.
create or replace function patchbay.untold_retell_ends(p_after interval, p_max integer) returns setof patchbay.calls
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select c.* from patchbay.calls c
    where c.retell_call_id is not null and c.stack = 'retell' and c.state = 'ended'
      and c.ended_at < now() - p_after and c.ended_at > now() - interval '1 day'
      and c.metadata ->> 'moved_from' is distinct from c.retell_call_id
      and not exists (select from patchbay.call_events e where e.call_id = c.id and e.type = 'pat.call.v1.ended')
    order by c.ended_at limit p_max
$fn$;

-- Recordings to be copied, for p_seconds. wanted: what the settings of the call's agent say of it now.
create or replace function patchbay.claim_retell_recording(p_who text, p_seconds integer)
    returns table (leg patchbay.retell_legs, settings jsonb, record_calls boolean)
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    mine patchbay.retell_legs;
    config uuid;
begin
    update patchbay.retell_legs l set claimed_by = p_who, attempts = l.attempts + 1,
                                      claimed_until = now() + make_interval(secs => p_seconds)
    where l.retell_call_id = (
        select x.retell_call_id from patchbay.retell_legs x
        where x.recording = 'offered' and x.next_at <= now() and coalesce(x.claimed_until, '-infinity') < now()
        order by x.next_at limit 1 for update skip locked)
    returning l.* into mine;
    if not found then
        return;
    end if;
    select c.agent_config_id into config from patchbay.calls c where c.id = mine.call_id;
    return query select mine, coalesce(patchbay.settings_of(config), '{}'),
                        (select (to_jsonb(u) ->> 'record_calls')::boolean from public.users u where u.id = mine.user_id);
end
$fn$;

-- The result of a copy: "stored", "unwanted", "failed" for good, or "offered" again at next_at. False: the claim was lost.
create or replace function patchbay.put_retell_recording(p_leg text, p_who text, p_state text, p_wait interval, p_error text)
    returns boolean
    language sql security invoker set search_path = pg_catalog, pg_temp as $fn$
    with kept as (
        update patchbay.call_results r set data = r.data || patchbay.retell_recorded(r.call_id), updated_at = now()
        from patchbay.retell_legs l
        where p_state = 'stored' and l.retell_call_id = p_leg and l.claimed_by = p_who
          and r.call_id = l.call_id and r.source = 'retell'
    ), done as (
        update patchbay.retell_legs set recording = p_state, next_at = now() + p_wait, error = p_error, claimed_by = null,
                                        claimed_until = null
        where retell_call_id = p_leg and claimed_by = p_who
        returning 1)
    select exists (select from done)
$fn$;

-- Calls Retell need not keep any longer: all told, the recording here (or not wanted), looked at by the analysis.
create or replace function patchbay.retell_to_forget(p_max integer) returns setof text
    language sql security invoker set search_path = pg_catalog, pg_temp as $fn$
    update patchbay.retell_legs l set next_at = now() + interval '10 minutes'
    where l.retell_call_id in (
        select x.retell_call_id from patchbay.retell_legs x
        where x.forgotten_at is null and x.told_at is not null and x.next_at <= now()
          and x.recording in ('none', 'stored', 'unwanted')
          and (x.event = 'call_analyzed' or x.ended_at < now() - interval '1 hour')
        order by x.ended_at limit p_max for update skip locked)
    returning l.retell_call_id
$fn$;

do $grants$
declare
    f text;
begin
    foreach f in array array[
        'retell_end(text)', 'retell_owner(text)', 'put_retell_leg(patchbay.calls, jsonb)', 'retell_said(uuid)', 'retell_recorded(uuid)',
        'retell_redacted(jsonb)', 'put_retell(jsonb)', 'retell_part(text)', 'call_cost(patchbay.calls)',
        'retell_news(uuid)', 'claim_retell_fetches(interval, interval, integer)',
        'put_retell_fetched(uuid, text, uuid, text, jsonb)', 'untold_retell_ends(interval, integer)',
        'claim_retell_recording(text, integer)', 'put_retell_recording(text, text, text, interval, text)',
        'retell_to_forget(integer)'] loop
        execute format('revoke all on function patchbay.%s from public', f);
        execute format('grant execute on function patchbay.%s to service_role, patchbay_service', f);
    end loop;
    revoke all on function patchbay.on_call_completed() from public;
end
$grants$;

-- put_call takes the end of a call back when the caller was only moved; Retell's word for that is ours by now.
do $patch$
begin
    execute replace(pg_get_functiondef('patchbay.put_call(jsonb)'::regprocedure), $a$old.ended_reason = 'user_hangup'$a$,
                    $a$old.ended_reason in ('user_hangup', 'caller_hangup')$a$);
end
$patch$;
