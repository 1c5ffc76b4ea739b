-- The agent at Retell that stands by for users who have none there: one for all, whose prompt and greeting come with each call
-- as dynamic variables. It is a row of patchbay.retell_agents like any, under an id of its own, so that it is made, kept,
-- checked and mended as the users' are; only its settings are not a user's.
create or replace function patchbay.standby_config() returns uuid
    language sql immutable set search_path = pg_catalog, pg_temp as
    $fn$ select '00000000-0000-8000-8073-74616e646279'::uuid $fn$;

-- As before, and the settings of the one that stands by.
create or replace function patchbay.settings_of(p_config uuid) returns jsonb
    language sql stable set search_path = pg_catalog, pg_temp as $fn$
    select to_jsonb(s) || jsonb_build_object('user_tools', patchbay.agent_tools(s.user_id, s.agent_config_id))
    from patchbay.agent_settings s where s.agent_config_id = p_config
    union all
    select jsonb_build_object(
        'agent_config_id', p_config, 'user_id', p_config, 'version', 0, 'user_name', 'standby', 'language', 'multi',
        'system_prompt', '{{standby_prompt}}', 'greeting_template', '{{standby_greeting}}', 'temperature', 0.7,
        'stack_config', '{}'::jsonb, 'transfer_numbers', '[]'::jsonb, 'user_tools', '[]'::jsonb, 'extra', '{}'::jsonb)
    where p_config = patchbay.standby_config()
$fn$;

-- Somebody wants it: the row from which it is made.
create or replace function patchbay.want_standby() returns uuid
    language sql security invoker set search_path = pg_catalog, pg_temp as $fn$
    insert into patchbay.retell_agents (agent_config_id, user_id)
    values (patchbay.standby_config(), patchbay.standby_config())
    on conflict (agent_config_id) do nothing;
    select patchbay.standby_config()
$fn$;

revoke all on function patchbay.standby_config(), patchbay.want_standby() from public, anon, authenticated;
grant execute on function patchbay.standby_config(), patchbay.want_standby() to service_role, patchbay_service;
