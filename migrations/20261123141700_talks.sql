-- Talking to an agent from a browser: calls no carrier has, carried by 'web'.
--
--   talk_begin    somebody wants to: his own agent, or an admin; within what a user may use; the call's row
--   talk_sweep    those nobody came to, and those longer than they may be, are closed
--   on_web_ended  the end of such a call is told, whoever wrote it down: there is no carrier's leg to say so
--
-- metadata.talk of the call's row: {"max_ms", "join_ms", "by"}.

-- What a carrier costs when there is none.
insert into patchbay.prices (provider, component, valid_from, price_microusd, per, unit, source, read_on, note)
values ('web', 'phone', '2026-01-01', 0, 60, 'second', 'patchbay', '2026-11-23', 'no carrier takes part in a call from a browser'),
       ('web', 'phone_sip', '2026-01-01', 0, 60, 'second', 'patchbay', '2026-11-23', 'no carrier takes part in a call from a browser')
on conflict (provider, component, model, valid_from) do nothing;

create index if not exists calls_web on patchbay.calls (user_id, offered_at desc) where carrier = 'web';
create index if not exists calls_web_open on patchbay.calls (offered_at) where carrier = 'web' and state <> 'ended';

-- {"id", "user_id", "actor", "actor_id", "peer", "max_ms", "day_ms", "join_ms"}: {"call_id", "stack", "agent_config_id",
-- "config_version", "max_ms", "left_ms", "settings", "retell_agent_id", "retell_agent_version", "instead": an earlier one nobody came to},
-- or {"error", "message"}: forbidden, not_found, conflict, budget (with "retry_s"). p_admin: by the token.
create or replace function patchbay.talk_begin(p jsonb, p_admin boolean) returns jsonb
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    call constant uuid := (p ->> 'id')::uuid;
    owner constant uuid := (p ->> 'user_id')::uuid;
    a patchbay.agent_settings;
    r patchbay.retell_agents;
    open patchbay.calls;
    used bigint;
    longest bigint;
    first timestamptz;
    audit constant jsonb := p || jsonb_build_object('action', 'talk', 'subject', call);
    data jsonb;
begin
    if owner is distinct from (p ->> 'actor_id')::uuid and not p_admin
       and not patchbay.is_admin_user((p ->> 'actor_id')::uuid) then
        perform patchbay.put_audit(audit || '{"allowed": false}');
        return '{"error": "forbidden", "message": "only your own agent"}';
    end if;
    perform pg_advisory_xact_lock(hashtextextended('patchbay.talk ' || owner, 0));
    select * into a from patchbay.agent_settings s
    where s.user_id = owner and s.agent_config_id = patchbay.config_of(owner, null);
    if not found then
        return '{"error": "not_found", "message": "this user has no agent"}';
    end if;

    select * into open from patchbay.calls c
    where c.user_id = owner and c.carrier = 'web' and c.state <> 'ended' order by c.offered_at desc limit 1;
    if open.state = 'answered' then
        return '{"error": "conflict", "message": "somebody is talking to this agent already, in another window"}';
    end if;
    if open.id is not null then
        perform patchbay.put_call(jsonb_build_object('id', open.id, 'state', 'ended', 'outcome', 'failed',
                                                     'ended_reason', 'caller_gave_up', 'ended_owner', 'caller'));
    end if;

    select coalesce(sum(coalesce(c.duration_ms, 0)), 0), min(c.offered_at) filter (where c.duration_ms > 0) into used, first
    from patchbay.calls c where c.user_id = owner and c.carrier = 'web' and c.offered_at > now() - interval '1 day';
    if not patchbay.budget_allows(owner) then
        perform patchbay.put_audit(audit || '{"allowed": false, "why": "spend_cap"}');
        return '{"error": "budget", "message": "what this user may spend is used up", "retry_s": 3600}';
    end if;
    longest := least((p ->> 'max_ms')::bigint, (p ->> 'day_ms')::bigint - used);
    if longest < 15000 then
        perform patchbay.put_audit(audit || jsonb_build_object('allowed', false, 'why', 'budget',
                                                               'after', jsonb_build_object('used_ms', used)));
        return jsonb_build_object('error', 'budget', 'message', 'no minutes for talking are left today, try again later',
            'retry_s', greatest(60, ceil(extract(epoch from first + interval '1 day' - now()))::integer));
    end if;

    if a.active_voice_stack = 'retell' then
        select * into r from patchbay.retell_agents x
        where x.agent_config_id = a.agent_config_id and x.retired_at is null and x.agent_id is not null;
        if r.agent_id is null and exists (select from patchbay.retell_tombstones t where t.agent_id = a.retell_agent_id) then
            a.retell_agent_id := null;
        end if;
        if coalesce(r.agent_id, a.retell_agent_id) is null then
            return '{"error": "conflict", "message": "the agent is not made at its vendor yet, try again in a minute"}';
        end if;
    end if;

    insert into patchbay.calls (id, version, user_id, agent_config_id, config_version, direction, stack, state, carrier,
                                livekit_room, offered_at, routed_at, look_at, metadata)
    values (call, 1, owner, a.agent_config_id, a.version, 'inbound', a.active_voice_stack, 'routed', 'web',
            case when a.active_voice_stack = 'livekit' then 'call_' || call end, now(), now(), now() + interval '10 years',
            jsonb_build_object('talk', jsonb_build_object('max_ms', longest, 'join_ms', p -> 'join_ms', 'by', p ->> 'actor')));
    perform patchbay.put_audit(audit || jsonb_build_object('after', jsonb_build_object('stack', a.active_voice_stack, 'max_ms', longest)));
    data := jsonb_build_object('call_id', call, 'user_id', owner, 'agent_config_id', a.agent_config_id, 'to', null, 'from', null,
                               'withheld', false, 'carrier', 'web', 'carrier_call_id', null, 'stack', a.active_voice_stack);
    perform patchbay.talk_told('offered', call, owner, data);
    return jsonb_build_object(
        'call_id', call, 'stack', a.active_voice_stack, 'agent_config_id', a.agent_config_id, 'config_version', a.version,
        'max_ms', longest, 'left_ms', (p ->> 'day_ms')::bigint - used,
        'retell_agent_id', coalesce(r.agent_id, a.retell_agent_id), 'retell_agent_version', r.version,
        'instead', case when open.id is not null then jsonb_build_object(
            'call_id', open.id, 'stack', open.stack, 'retell_call_id', open.retell_call_id) end,
        'settings', to_jsonb(a) || jsonb_build_object(
            'user_tools', patchbay.agent_tools(owner, a.agent_config_id),
            'record_calls', (select to_jsonb(u) -> 'record_calls' from public.users u where u.id = owner)));
end
$fn$;

-- An event of a call from a browser, stored and on its way.
create or replace function patchbay.talk_told(p_event text, p_call uuid, p_user uuid, p_data jsonb) returns void
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    event_id constant uuid := patchbay.uuidv7();
    kind constant text := 'pat.call.v1.' || p_event;
    subj constant text := format('%s.%s.%s', kind, p_user, p_call);
begin
    insert into patchbay.call_events (id, call_id, user_id, type, subject, occurred_at, data)
    values (event_id, p_call, p_user, kind, subj, clock_timestamp(), p_data);
    insert into patchbay.outbox (id, subject, payload) values (event_id, subj, jsonb_build_object(
        'specversion', '1.0', 'id', event_id, 'source', '/patchbay/stack-switcher', 'type', kind, 'subject', p_call,
        'time', to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
        'datacontenttype', 'application/json', 'userid', p_user, 'data', p_data));
    perform pg_notify('patchbay_outbox', subj);
end
$fn$;

create or replace function patchbay.on_web_ended() returns trigger
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
begin
    perform patchbay.talk_told('ended', new.id, new.user_id, jsonb_build_object(
        'call_id', new.id, 'user_id', new.user_id, 'stack', new.stack, 'reason', coalesce(new.ended_reason, 'completed'),
        'owner', coalesce(new.ended_owner, 'caller'),
        'duration_ms', greatest(0, round(extract(epoch from new.ended_at - new.offered_at) * 1000)),
        'talk_ms', new.duration_ms,
        'ids', jsonb_build_object('carrier_call_id', '', 'retell_call_id', new.retell_call_id,
                                  'livekit_room', new.livekit_room)));
    return null;
end
$fn$;
drop trigger if exists patchbay_web_ended on patchbay.calls;
create trigger patchbay_web_ended after update on patchbay.calls
    for each row when (new.carrier = 'web' and new.state = 'ended' and old.state <> 'ended')
    execute function patchbay.on_web_ended();

-- The end of a call that could not begin.
create or replace function patchbay.talk_failed(p_call uuid, p_reason text, p_owner text) returns void
    language sql security invoker set search_path = pg_catalog, pg_temp as $fn$
    select patchbay.put_call(jsonb_build_object('id', p_call, 'state', 'ended', 'outcome', 'failed',
                                                'ended_reason', p_reason, 'ended_owner', p_owner))
    from patchbay.calls c where c.id = p_call and c.carrier = 'web' and c.state <> 'ended'
$fn$;

-- [{"call_id", "stack", "retell_call_id"}]: closed now, and to be stopped at their stack. An agent ends its calls by itself when
-- their time is up; p_grace_ms later it is taken for lost.
create or replace function patchbay.talk_sweep(p_grace_ms bigint) returns jsonb
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    c record;
    closed jsonb := '[]';
begin
    for c in
        select x.id, x.stack, x.retell_call_id, x.answered_at from patchbay.calls x
        where x.carrier = 'web' and x.state <> 'ended'
          and case when x.answered_at is null
                   then x.offered_at + make_interval(secs => coalesce((x.metadata #>> '{talk,join_ms}')::bigint, 60000) / 1000.0)
                   else x.answered_at + make_interval(secs =>
                        (coalesce((x.metadata #>> '{talk,max_ms}')::bigint, 600000) + p_grace_ms) / 1000.0) end < now()
        order by x.offered_at limit 100 for update skip locked
    loop
        perform patchbay.put_call(jsonb_build_object('id', c.id, 'state', 'ended') || case when c.answered_at is null
            then '{"outcome": "failed", "ended_reason": "caller_gave_up", "ended_owner": "caller"}'::jsonb
            else '{"outcome": "answered", "ended_reason": "max_duration", "ended_owner": "us"}'::jsonb end);
        closed := closed || jsonb_build_object('call_id', c.id, 'stack', c.stack, 'retell_call_id', c.retell_call_id);
    end loop;
    return closed;
end
$fn$;

do $rights$
declare
    f text;
begin
    foreach f in array array['talk_begin(jsonb, boolean)', 'talk_told(text, uuid, uuid, jsonb)', 'on_web_ended()',
                             'talk_failed(uuid, text, text)', 'talk_sweep(bigint)'] loop
        execute format('revoke all on function patchbay.%s from public, anon, authenticated', f);
        execute format('grant execute on function patchbay.%s to service_role, patchbay_service', f);
    end loop;
end
$rights$;
