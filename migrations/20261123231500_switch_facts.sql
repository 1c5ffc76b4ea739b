-- Facts for a switch without a look at everybody's numbers.
--
-- patchbay.routes finds an agent for each number, so asking it for those of an agent reckoned all of them: 450 ms with 10,000 numbers.
-- An agent's numbers are its user's, and those it finds by an index.

create or replace function patchbay.switch_facts(p_user uuid, p_config uuid, p_to public.voice_ai_stack) returns jsonb
    language sql stable set search_path = pg_catalog, pg_temp as $fn$
    select jsonb_build_object(
        'user_id', c.user_id, 'agent_config_id', c.id, 'from', c.active_voice_stack, 'to', p_to,
        'settings', patchbay.settings_of(c.id),
        'avatar', to_jsonb(c) -> 'avatar_url', 'sms_prompt', to_jsonb(c) ->> 'prompt' is not null,
        'voice', patchbay.voice_on(c.voice_id, coalesce(c.stack_config -> 'parked', '{}'), c.user_id, p_to),
        'numbers', (select coalesce(jsonb_agg(r.number order by r.number), '[]') from patchbay.routes r
                    where r.user_id = c.user_id and r.agent_config_id = c.id and r.is_active),
        'retell_agent', c.retell_agent_id is not null and not exists (
            select from patchbay.retell_tombstones t where t.agent_id = c.retell_agent_id),
        'live_calls', (select count(*) from patchbay.calls k
                       where k.user_id = c.user_id and k.agent_config_id = c.id and k.state <> 'ended' and not k.rehearsal),
        'open_switch', (select o.id from patchbay.switches o where o.user_id = c.user_id and o.open),
        'capabilities', (select jsonb_object_agg(k.capability, jsonb_build_object('supported', k.supported, 'reason', k.reason))
                         from patchbay.stack_capabilities k where k.stack = p_to),
        'health', jsonb_build_object('retell', patchbay.stack_hour('retell'), 'livekit', patchbay.stack_hour('livekit')),
        'cost', patchbay.minute_costs(c.user_id, 30))
    from public.agent_configs c where c.id = patchbay.config_of(p_user, p_config)
$fn$;
