-- Calls as the daemons store them, and as the product's inbox sees them.
--
--   put_call      merges what somebody knows about a call into patchbay.calls
--   put_result    merges what a provider reported about it into patchbay.call_results
--   put_retell    takes one Retell webhook: finds its call, does both
--   project_call  makes the one public.call_records row of a call (its id is our call id) from the two
--
-- All of them may run again, late and in any order, and end in the same rows. They run with the caller's rights.

-- Every key of facts is a column of patchbay.calls; id is required, user_id for a new call. Later facts replace
-- earlier ones, but: state never goes back, of times of the way in the earliest counts, who ended a call first ended
-- it, metadata is merged, null means "do not know". Returns the row's version; it counts only real changes.
create or replace function patchbay.put_call(facts jsonb) returns bigint
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    states constant text[] := array['offered', 'routed', 'answered', 'ended'];
    known_columns constant text[] := array[
        'id', 'user_id', 'agent_config_id', 'config_version', 'direction', 'from_number', 'to_number',
        'caller_withheld', 'stack', 'fallback', 'state', 'outcome', 'carrier', 'carrier_call_id', 'retell_call_id',
        'livekit_room', 'sip_target', 'offered_at', 'routed_at', 'answered_at', 'ended_at', 'ended_reason',
        'ended_owner', 'duration_ms', 'greeting_ms', 'router_build', 'metadata'];
    unknown text;
    f patchbay.calls;
    old patchbay.calls;
    c patchbay.calls;
begin
    select k into unknown from jsonb_object_keys(facts) k where k <> all (known_columns) limit 1;
    if unknown is not null then
        raise exception 'a call has no "%"', unknown using errcode = '22023';
    end if;
    f := jsonb_populate_record(null::patchbay.calls, facts);
    if f.id is null then
        raise exception 'a call needs its id' using errcode = '22023';
    end if;

    insert into patchbay.calls (id, version, user_id, offered_at)
    select f.id, 0, f.user_id, coalesce(least(f.offered_at, f.routed_at, f.answered_at, f.ended_at), now())
    where f.user_id is not null
    on conflict (id) do nothing;
    select * into old from patchbay.calls where id = f.id for update;
    if not found then
        raise exception 'call % is not known and these facts have no user_id', f.id using errcode = '22023';
    end if;
    if f.user_id <> old.user_id then
        raise exception 'call % belongs to another user', f.id using errcode = '22023';
    end if;

    if f.state <> all (states) then
        raise exception 'a call cannot be "%"', f.state using errcode = '22023';
    end if;

    c := old;
    c.agent_config_id := coalesce(f.agent_config_id, old.agent_config_id);
    c.config_version := coalesce(f.config_version, old.config_version);
    c.direction := coalesce(f.direction, old.direction);
    c.from_number := coalesce(f.from_number, old.from_number);
    c.to_number := coalesce(f.to_number, old.to_number);
    c.caller_withheld := coalesce(f.caller_withheld, old.caller_withheld);
    c.stack := coalesce(f.stack, old.stack);
    c.fallback := coalesce(f.fallback, old.fallback);
    c.state := states[greatest(array_position(states, old.state), array_position(states, f.state),
                               case when f.ended_at is not null then 4 when f.answered_at is not null then 3
                                    when f.routed_at is not null then 2 end)];
    c.outcome := coalesce(f.outcome, old.outcome);
    c.carrier := coalesce(f.carrier, old.carrier);
    c.carrier_call_id := coalesce(f.carrier_call_id, old.carrier_call_id);
    c.retell_call_id := coalesce(f.retell_call_id, old.retell_call_id);
    c.livekit_room := coalesce(f.livekit_room, old.livekit_room);
    c.sip_target := coalesce(f.sip_target, old.sip_target);
    c.offered_at := least(f.offered_at, old.offered_at);
    -- A state without its time: now. Clocks of two hosts differ: nothing happens before the offer.
    c.routed_at := coalesce(least(f.routed_at, old.routed_at), case when f.state = 'routed' then now() end);
    c.answered_at := coalesce(least(f.answered_at, old.answered_at), case when f.state = 'answered' then now() end);
    c.ended_at := coalesce(old.ended_at, f.ended_at, case when f.state = 'ended' then now() end);
    c.routed_at := case when c.routed_at is not null then greatest(c.routed_at, c.offered_at) end;
    c.answered_at := case when c.answered_at is not null then greatest(c.answered_at, c.offered_at) end;
    c.ended_at := case when c.ended_at is not null then greatest(c.ended_at, c.offered_at) end;
    c.ended_reason := coalesce(old.ended_reason, f.ended_reason);
    c.ended_owner := coalesce(old.ended_owner, f.ended_owner);
    c.greeting_ms := coalesce(f.greeting_ms, old.greeting_ms);
    c.router_build := coalesce(f.router_build, old.router_build);
    c.metadata := old.metadata || coalesce(f.metadata, '{}');
    c.duration_ms := coalesce(f.duration_ms, old.duration_ms);
    if c.state = 'ended' and c.answered_at is not null and f.duration_ms is null and old.duration_ms is null then
        c.duration_ms := greatest(0, round(extract(epoch from c.ended_at - c.answered_at) * 1000));
    end if;

    if c is distinct from old or old.version = 0 then
        update patchbay.calls set
            version = old.version + 1, updated_at = now(),
            agent_config_id = c.agent_config_id, config_version = c.config_version, direction = c.direction,
            from_number = c.from_number, to_number = c.to_number, caller_withheld = c.caller_withheld,
            stack = c.stack, fallback = c.fallback, state = c.state, outcome = c.outcome, carrier = c.carrier,
            carrier_call_id = c.carrier_call_id, retell_call_id = c.retell_call_id, livekit_room = c.livekit_room,
            sip_target = c.sip_target, offered_at = c.offered_at, routed_at = c.routed_at,
            answered_at = c.answered_at, ended_at = c.ended_at, ended_reason = c.ended_reason,
            ended_owner = c.ended_owner, duration_ms = c.duration_ms, greeting_ms = c.greeting_ms,
            router_build = c.router_build, metadata = c.metadata
        where id = c.id;
        return old.version + 1;
    end if;
    return old.version;
end
$fn$;

-- A report of a provider in the shape of Retell's call object (start_timestamp, end_timestamp, transcript,
-- transcript_object, recording_url, disconnection_reason, call_analysis, latency, call_cost, ...). event says how far
-- the call had come: an earlier one, come late, fills gaps and replaces nothing.
create or replace function patchbay.put_result(p_call uuid, p_source public.voice_ai_stack, p_event text, p_data jsonb)
    returns void language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    events constant text[] := array['call_started', 'transcript_updated', 'call_ended', 'call_analyzed'];
    rank constant integer := coalesce(array_position(events, p_event), 2);
begin
    insert into patchbay.call_results as r (call_id, source, user_id, event, data)
    select p_call, p_source, c.user_id, p_event,
           coalesce((select jsonb_object_agg(key, value) from jsonb_each(p_data) where value <> 'null'), '{}')
    from patchbay.calls c where c.id = p_call
    on conflict (call_id, source) do update set
        event = case when rank >= coalesce(array_position(events, r.event), 0) then excluded.event else r.event end,
        data = case when rank >= coalesce(array_position(events, r.event), 0)
                    then r.data || excluded.data else excluded.data || r.data end,
        updated_at = now();
    if not found then
        raise exception 'call % is not known', p_call using errcode = '22023';
    end if;
end
$fn$;

-- Who ended a call, from Retell's disconnection_reason.
create or replace function patchbay.retell_owner(reason text) returns text
    language sql immutable set search_path = pg_catalog, pg_temp as $fn$
    select case
        when reason in ('user_hangup', 'user_declined', 'marked_as_spam') then 'caller'
        when reason in ('agent_hangup', 'call_transfer', 'voicemail_reached', 'ivr_reached', 'inactivity',
                        'max_duration_reached', 'transfer_bridged', 'transfer_cancelled', 'manual_stopped',
                        'call_take_over') then 'us'
        when reason like 'dial\_%' or reason like 'telephony\_%'
             or reason in ('invalid_destination', 'sip_routing_error') then 'carrier'
        when reason is not null then 'provider'
    end
$fn$;

-- One webhook of Retell: {"event", "call": {...}}. Returns our call id; null when the call is not ours or not known
-- yet (park it). The call is found by its Retell id, else by metadata.call_id, which register-call gave to Retell; a
-- call whose row was lost is made again from metadata.user_id.
create or replace function patchbay.put_retell(payload jsonb) returns uuid
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    uuid_shape constant text := '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$';
    r constant jsonb := payload -> 'call';
    event constant text := payload ->> 'event';
    ours uuid;
    owner uuid;
    c patchbay.calls;
    started timestamptz := to_timestamp((r ->> 'start_timestamp')::numeric / 1000.0);
    ended timestamptz := to_timestamp((r ->> 'end_timestamp')::numeric / 1000.0);
    reason constant text := r ->> 'disconnection_reason';
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

    select * into c from patchbay.calls where retell_call_id = r ->> 'call_id';
    if not found then
        select * into c from patchbay.calls where id = ours;
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
    -- A second registration of the same call that was never dialled: nothing it says is about the call.
    if c.retell_call_id <> r ->> 'call_id' or reason = 'registered_call_timeout' then
        return c.id;
    end if;

    perform patchbay.put_result(c.id, 'retell', event, r);
    perform patchbay.put_call(jsonb_build_object('id', c.id, 'retell_call_id', r ->> 'call_id'));
    if coalesce(c.stack, 'retell') = 'retell' then
        if started is not null and patchbay.retell_owner(reason) is distinct from 'carrier' then
            perform patchbay.put_call(jsonb_build_object('id', c.id, 'answered_at', started));
        end if;
        -- After a fault the router may dial the other stack into the same call: then its word counts, not this.
        if ended is not null and patchbay.retell_owner(reason) in ('caller', 'us') then
            perform patchbay.put_call(jsonb_build_object('id', c.id, 'ended_at', ended, 'ended_reason', reason,
                                                         'ended_owner', patchbay.retell_owner(reason)));
        end if;
    end if;
    return c.id;
end
$fn$;

-- Cents of the products whose name matches, as USD; null when there is none.
create or replace function patchbay.cost_usd(cost jsonb, pattern text) returns numeric
    language sql immutable set search_path = pg_catalog, pg_temp as $fn$
    select round(sum((p ->> 'cost')::numeric) / 100, 4)
    from jsonb_array_elements(case jsonb_typeof(cost -> 'product_costs') when 'array' then cost -> 'product_costs'
                                                                         else '[]' end) p
    where p ->> 'product' ~* pattern
$fn$;

-- "Agent: ...", one turn a line, as the inbox parses it.
create or replace function patchbay.transcript_text(turns jsonb) returns text
    language sql immutable set search_path = pg_catalog, pg_temp as $fn$
    select string_agg(case t ->> 'role' when 'agent' then 'Agent' when 'user' then 'User' else 'Transfer' end
                      || ': ' || (t ->> 'content'), e'\n' order by n)
    from jsonb_array_elements(case jsonb_typeof(turns) when 'array' then turns else '[]' end) with ordinality x (t, n)
    where t ->> 'role' in ('agent', 'user', 'transfer_target') and coalesce(t ->> 'content', '') <> ''
$fn$;

-- The row as it should be, as a JSON object whose keys are columns of public.call_records; null: leave alone. Pure:
-- the same two rows always give the same answer.
create or replace function patchbay.call_record(c patchbay.calls, r jsonb, event text) returns jsonb
    language sql immutable set search_path = pg_catalog, pg_temp as $fn$
    with party as (
        select case when c.direction = 'inbound' then c.from_number else c.to_number end as theirs,
               case when c.direction = 'inbound' then c.to_number else c.from_number end as ours,
               '^\+[1-9]\d{1,14}$' as e164,
               to_timestamp((r ->> 'start_timestamp')::numeric / 1000.0) as started,
               to_timestamp((r ->> 'end_timestamp')::numeric / 1000.0) as ended,
               r ->> 'disconnection_reason' as reason
    ), facts as (
        select *, theirs ~ e164 and not c.caller_withheld as presentable,
               coalesce(c.ended_at, ended) as over_at,
               c.answered_at is not null or coalesce(started < ended, false) as answered
        from party
    )
    select jsonb_build_object(
        'id', c.id,
        'user_id', c.user_id,
        -- The column insists on an E.164 number. This one cannot exist, and metadata says why it stands there.
        'caller_number', case when presentable then theirs else '+10000000000' end,
        'contact_phone', case when presentable then theirs else '+10000000000' end,
        'service_number', ours,
        'call_sid', c.carrier_call_id,
        'vendor_call_id', c.carrier_call_id,
        'telephony_vendor', case when c.carrier = 'signalwire' then 'signalwire' end,
        'voice_platform', c.stack,
        'voice_platform_call_id', case c.stack when 'retell' then c.retell_call_id else c.livekit_room end,
        'livekit_call_id', case c.stack when 'livekit' then c.livekit_room end,
        'livekit_room_id', case c.stack when 'livekit' then c.livekit_room end,
        'retell_call_id', c.retell_call_id,
        'direction', c.direction,
        'agent_id', case c.stack when 'retell' then coalesce(r ->> 'agent_id', c.agent_config_id::text)
                                 else c.agent_config_id::text end,
        'disposition', case
            when c.outcome = 'transferred' or reason in ('call_transfer', 'transfer_bridged') then 'transferred_to_user'
            when c.outcome = 'screened' then 'screened_out'
            when c.outcome = 'voicemail' then 'voicemail'
            when c.outcome = 'failed' or (over_at is not null and not answered) then 'failed'
            else 'answered_by_pat' end,
        'status', case
            when over_at is null and coalesce(r ->> 'call_status', '') <> 'error' then 'in-progress'
            when reason = 'dial_busy' or c.ended_reason = 'busy' then 'busy'
            when reason = 'dial_no_answer' or c.ended_reason in ('no-answer', 'no_answer') then 'no-answer'
            when answered or c.outcome in ('answered', 'transferred', 'voicemail', 'screened') then 'completed'
            else 'failed' end,
        'started_at', c.offered_at,
        'ended_at', case when over_at is not null then greatest(over_at, c.offered_at) end,
        'duration_seconds', case when over_at is not null then greatest(0, round(coalesce(
            extract(epoch from ended - started), c.duration_ms / 1000.0, 0)))::integer end,
        'disconnection_reason', coalesce(reason, c.ended_reason),
        'call_type', r ->> 'call_type',
        'event_type', event,
        'transcript', coalesce(nullif(r ->> 'transcript', ''), patchbay.transcript_text(r -> 'transcript_object')),
        'transcript_object', r -> 'transcript_object',
        'transcript_with_tool_calls', r -> 'transcript_with_tool_calls',
        'recording_url', r ->> 'recording_url',
        'recording_url_multichannel', r ->> 'recording_multi_channel_url',
        'call_analysis_full', r -> 'call_analysis',
        'call_summary', r #>> '{call_analysis,call_summary}',
        'user_sentiment', r #>> '{call_analysis,user_sentiment}',
        'call_successful', r #> '{call_analysis,call_successful}',
        'in_voicemail', r #> '{call_analysis,in_voicemail}',
        'llm_latency_p50', r #> '{latency,llm,p50}',
        'llm_latency_p90', r #> '{latency,llm,p90}',
        'llm_latency_p99', r #> '{latency,llm,p99}',
        'e2e_latency_p50', r #> '{latency,e2e,p50}',
        'e2e_latency_p90', r #> '{latency,e2e,p90}',
        'e2e_latency_p99', r #> '{latency,e2e,p99}')
    || jsonb_build_object(
        -- Retell counts in cents, these columns in dollars.
        'call_cost_total', round((r #>> '{call_cost,combined_cost}')::numeric / 100, 4),
        'call_cost_llm', patchbay.cost_usd(r -> 'call_cost', 'gpt|claude|gemini|llm|s2s'),
        'call_cost_tts', patchbay.cost_usd(r -> 'call_cost', 'tts|voice|elevenlabs|cartesia|minimax|fish'),
        'call_cost_stt', patchbay.cost_usd(r -> 'call_cost', 'stt|asr|transcri'),
        'call_cost_telephony', patchbay.cost_usd(r -> 'call_cost', 'telephony|twilio|telnyx|sip|phone'),
        -- Retell's own payload stays readable where the product used to keep it.
        'metadata', coalesce(case when c.stack = 'retell' and r is not null
                             then jsonb_build_object('event', event, 'call', r) end, '{}')
            || jsonb_build_object('patchbay', jsonb_strip_nulls(jsonb_build_object(
                'call_id', c.id, 'stack', c.stack, 'fallback', c.fallback, 'state', c.state,
                'ended_owner', c.ended_owner, 'ended_reason', c.ended_reason, 'greeting_ms', c.greeting_ms,
                'caller_withheld', c.caller_withheld or theirs is null,
                'caller', case when not presentable and not c.caller_withheld then theirs end))))
    from facts
$fn$;

-- Brings the call's row in public.call_records up to date; the only place of ours that writes there. Columns the
-- table does not have are left out, values we do not know leave theirs alone, and a projection that changes nothing
-- writes nothing. False: the call or its user is not (any longer) there.
create or replace function patchbay.project_call(p_call uuid) returns boolean
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    c patchbay.calls;
    r patchbay.call_results;
    turns jsonb;
    want jsonb;
    cols text[];
begin
    -- The lock lets two projections of one call run one after the other.
    select * into c from patchbay.calls where id = p_call for update;
    if not found or not exists (select from public.users u where u.id = c.user_id) then
        return false;
    end if;
    select * into r from patchbay.call_results
    where call_id = p_call and source = coalesce(c.stack, 'retell');
    -- Our own agent reports turn by turn; its transcript is what these events say was said and heard.
    if c.stack = 'livekit' and not coalesce(r.data ?| array['transcript', 'transcript_object'], false) then
        select jsonb_agg(jsonb_build_object('role', split_part(e.type, '.', 4), 'content', said)
                         order by e.occurred_at, e.id)
        into turns
        from patchbay.call_events e, lateral (select coalesce(e.data ->> 'heard', e.data ->> 'text') as said) x
        where e.call_id = c.id and e.type in ('pat.turn.v1.user', 'pat.turn.v1.agent') and said <> '';
        if turns is not null then
            r.data := coalesce(r.data, '{}') || jsonb_build_object('transcript_object', turns);
        end if;
    end if;
    select jsonb_object_agg(key, value) into want
    from jsonb_each(patchbay.call_record(c, r.data, r.event)) where value <> 'null';
    -- Somebody else's handler may have stored Retell's webhook under an id of its own.
    if exists (select from public.call_records x where x.retell_call_id = c.retell_call_id and x.id <> c.id) then
        want := want - 'retell_call_id';
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

revoke all on function patchbay.put_call(jsonb), patchbay.put_result(uuid, public.voice_ai_stack, text, jsonb),
    patchbay.retell_owner(text), patchbay.put_retell(jsonb), patchbay.cost_usd(jsonb, text),
    patchbay.transcript_text(jsonb), patchbay.call_record(patchbay.calls, jsonb, text), patchbay.project_call(uuid)
    from public;
grant execute on function patchbay.put_call(jsonb), patchbay.put_result(uuid, public.voice_ai_stack, text, jsonb),
    patchbay.retell_owner(text), patchbay.put_retell(jsonb), patchbay.cost_usd(jsonb, text),
    patchbay.transcript_text(jsonb), patchbay.call_record(patchbay.calls, jsonb, text), patchbay.project_call(uuid)
    to service_role, patchbay_service;
