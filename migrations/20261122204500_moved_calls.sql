-- A caller the router has sent elsewhere (transfer, voicemail) leaves Retell before the call is over: patchbay.calls.metadata
-- then names the Retell call he was taken from (moved_from) and counts the moves. put_retell no longer takes Retell's
-- "user_hangup" for the end of the call, and put_call keeps the outcome of a call that was not only answered. Otherwise the
-- two functions are as before.
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
    -- Several tell how it went, in any order: the agent's answer was not all of it.
    c.outcome := case when f.outcome = 'answered' and old.outcome in ('transferred', 'voicemail') then old.outcome
                      else coalesce(f.outcome, old.outcome) end;
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

    -- Retell's word that the caller has hung up came before ours that we had taken him away.
    if f.metadata ->> 'moved_from' = old.retell_call_id and old.ended_reason = 'user_hangup'
       and f.state is distinct from 'ended' then
        c.state := 'answered';
        c.ended_at := null;
        c.ended_reason := null;
        c.ended_owner := null;
        c.duration_ms := null;
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

    select * into c from patchbay.calls where retell_call_id = r ->> 'call_id' for update;
    if not found then
        select * into c from patchbay.calls where id = ours for update;
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
    -- Only where there is none: the router may be giving the call another one at this very moment.
    if c.retell_call_id is null then
        perform patchbay.put_call(jsonb_build_object('id', c.id, 'retell_call_id', r ->> 'call_id'));
    end if;
    if coalesce(c.stack, 'retell') = 'retell' then
        if started is not null and patchbay.retell_owner(reason) is distinct from 'carrier' then
            perform patchbay.put_call(jsonb_build_object('id', c.id, 'answered_at', started));
        end if;
        -- After a fault the router may dial the other stack into the same call: then its word counts, not this. And when
        -- it took the caller away from Retell (a transfer, voicemail), what Retell saw was no end either.
        if ended is not null and patchbay.retell_owner(reason) in ('caller', 'us')
           and c.metadata ->> 'moved_from' is distinct from r ->> 'call_id' then
            perform patchbay.put_call(jsonb_build_object('id', c.id, 'ended_at', ended, 'ended_reason', reason,
                                                         'ended_owner', patchbay.retell_owner(reason)));
        end if;
    end if;
    return c.id;
end
$fn$;
