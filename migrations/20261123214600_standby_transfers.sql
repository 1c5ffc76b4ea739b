-- The agent that stands by puts callers through as well: its tool takes any name (transfer_any, libcommon/tools.h), the prompt of
-- the call lists the user's, and whose call it is decides who is reached.
create or replace function patchbay.settings_of(p_config uuid) returns jsonb
    language sql stable set search_path = pg_catalog, pg_temp as $fn$
    select to_jsonb(s) || jsonb_build_object('user_tools', patchbay.agent_tools(s.user_id, s.agent_config_id))
    from patchbay.agent_settings s where s.agent_config_id = p_config
    union all
    select jsonb_build_object(
        'agent_config_id', p_config, 'user_id', p_config, 'version', 0, 'user_name', 'standby', 'language', 'multi',
        'system_prompt', '{{standby_prompt}}', 'greeting_template', '{{standby_greeting}}', 'temperature', 0.7,
        'stack_config', '{}'::jsonb, 'transfer_numbers', '[]'::jsonb, 'transfer_any', true, 'user_tools', '[]'::jsonb,
        'extra', '{}'::jsonb)
    where p_config = patchbay.standby_config()
$fn$;
