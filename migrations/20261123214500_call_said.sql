-- What was said in a call so far, for an agent that goes on with it and has not heard it: a leg that died and is dialled again
-- when nobody is left who knew the call, or the other stack in its place.
--
-- {"said": [{"role": "user" | "agent", "content", "start_ms"}], "segment": the last one whose usage is told, or 0, "language": the
-- agent's or null}; start_ms: since the call was offered. The latest that fit into max_bytes, in their order; of somebody
-- else's call nothing.
create or replace function patchbay.call_said(p_call uuid, p_user uuid, max_bytes integer default 65536) returns jsonb
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    with turns as (
        select split_part(e.type, '.', 4) as role, x.said, e.occurred_at, e.id,
               greatest(0, floor(extract(epoch from e.occurred_at - c.offered_at) * 1000))::bigint as start_ms,
               sum(octet_length(x.said)) over (order by e.occurred_at desc, e.id desc) as bytes
        from patchbay.calls c
        join patchbay.call_events e on e.call_id = c.id and e.type in ('pat.turn.v1.user', 'pat.turn.v1.agent'),
        lateral (select coalesce(e.data ->> 'heard', e.data ->> 'text') as said) x
        where c.id = p_call and c.user_id = p_user and x.said <> ''
    )
    select jsonb_build_object(
        'said', coalesce((select jsonb_agg(jsonb_build_object('role', role, 'content', said, 'start_ms', start_ms)
                                           order by occurred_at, id) from turns where bytes <= max_bytes), '[]'),
        'segment', coalesce((select max(u.segment) from patchbay.usage u where u.call_id = p_call and u.user_id = p_user), 0),
        'language', (select s.language from patchbay.calls c join patchbay.agent_settings s
                     on s.agent_config_id = c.agent_config_id where c.id = p_call and c.user_id = p_user))
$fn$;
revoke all on function patchbay.call_said(uuid, uuid, integer) from public;
grant execute on function patchbay.call_said(uuid, uuid, integer) to service_role, patchbay_service;
