-- What the daemons load: who serves which number, and everything an agent needs to know for a call.
--
-- Both views read the product's rows as JSON and pick the fields by name, so that columns it adds later are used when
-- they are there (several agents per user, agent per number, account status) and columns it changes or drops do not
-- hang on our views. The reader's own rights apply.

-- The routers read a user's routes after each change of his; the table's own index covers active numbers only.
create index if not exists patchbay_service_numbers_user on public.service_numbers (user_id);

-- One row per number that could ring, active or not. A number in service_numbers wins over users.service_number.
create or replace view patchbay.routes with (security_invoker = true) as
select n.number, n.user_id, a.agent_config_id, coalesce(a.stack, 'retell'::public.voice_ai_stack) as stack,
       a.retell_agent_id, n.is_active, coalesce(v.version, 0) as version,
       to_jsonb(u) ->> 'name' as user_name,
       a.agent_name,
       coalesce(a.agent_is_active, false) as agent_is_active,
       coalesce(to_jsonb(u) ->> 'account_status', 'active') as account_status
from (
    select s.phone_number as number, s.user_id, coalesce(s.is_active, true) as is_active,
           to_jsonb(s) ->> 'agent_id' as wanted_agent
    from public.service_numbers s
    union all
    select x.service_number, x.id, true, null
    from public.users x
    where x.service_number is not null
      and not exists (select from public.service_numbers s where s.phone_number = x.service_number)
) n
join public.users u on u.id = n.user_id
left join lateral (
    select c.id as agent_config_id, c.active_voice_stack as stack, c.retell_agent_id,
           to_jsonb(c) ->> 'agent_name' as agent_name,
           coalesce((to_jsonb(c) ->> 'is_active')::boolean, true) as agent_is_active
    from public.agent_configs c
    where c.user_id = n.user_id
    order by c.id::text is not distinct from n.wanted_agent desc,
             coalesce((to_jsonb(c) ->> 'is_default')::boolean, false) desc,
             c.created_at, c.id
    limit 1
) a on true
left join patchbay.config_versions v
    on v.user_id = n.user_id and v.agent_config_id = '00000000-0000-0000-0000-000000000000';

-- One row per agent. Passcodes and vendor keys are not in it: only that a passcode exists.
create or replace view patchbay.agent_settings with (security_invoker = true) as
select c.id as agent_config_id, c.user_id, coalesce(v.version, 0) as version,
       c.active_voice_stack, c.stack_config, c.retell_agent_id, c.retell_llm_id,
       u.row ->> 'name' as user_name,
       u.row ->> 'phone_number' as user_phone_number,
       j.row ->> 'agent_name' as agent_name,
       coalesce(j.row ->> 'language', 'en-US') as language,
       j.row ->> 'system_prompt' as system_prompt,
       j.row ->> 'greeting_template' as greeting_template,
       replace(coalesce(j.row ->> 'greeting_template', ''), '{name}', coalesce(u.row ->> 'name', '')) as greeting,
       j.row ->> 'voice_id' as voice_id,
       (j.row ->> 'temperature')::numeric as temperature,
       (j.row ->> 'max_tokens')::integer as max_tokens,
       j.row ->> 'response_style' as response_style,
       j.row ->> 'vetting_strategy' as vetting_strategy,
       j.row -> 'vetting_criteria' as vetting_criteria,
       j.row -> 'transfer_preferences' as transfer_preferences,
       coalesce((j.row ->> 'transfer_unknown_callers')::boolean, false) as transfer_unknown_callers,
       (j.row ->> 'agent_volume')::numeric as agent_volume,
       nullif(j.row ->> 'ambient_sound', 'off') as ambient_sound,
       (j.row ->> 'ambient_sound_volume')::numeric as ambient_sound_volume,
       j.row ->> 'noise_suppression' as noise_suppression,
       coalesce((j.row ->> 'is_active')::boolean, true) as is_active,
       coalesce(t.numbers, '[]') as transfer_numbers,
       w.voice,
       -- columns the product added after its migration 055, by their names
       j.row - array['id', 'user_id', 'active_voice_stack', 'stack_config', 'livekit_room_id', 'retell_agent_id',
                     'retell_llm_id', 'agent_name', 'language', 'system_prompt', 'greeting_template', 'voice_id',
                     'temperature', 'max_tokens', 'response_style', 'vetting_strategy', 'vetting_criteria',
                     'transfer_preferences', 'transfer_unknown_callers', 'agent_volume', 'ambient_sound',
                     'ambient_sound_volume', 'noise_suppression', 'is_active', 'prompt', 'voice', 'cloned_voice_id',
                     'cloned_voice_name', 'transfer_phone_number', 'transfer_secret', 'avatar_url', 'created_at',
                     'updated_at'] as extra
from public.agent_configs c
-- offset 0: the row is made into JSON once, not once per field
cross join lateral (select to_jsonb(c) as row offset 0) j
left join lateral (select to_jsonb(x) as row from public.users x where x.id = c.user_id offset 0) u on true
left join patchbay.config_versions v on v.user_id = c.user_id and v.agent_config_id = c.id
left join lateral (
    select jsonb_agg(jsonb_build_object('id', n.id, 'label', n.label, 'phone_number', n.phone_number,
                                        'is_default', n.is_default, 'has_passcode', n.has_passcode)
                     order by n.is_default desc, n.created_at, n.id) as numbers
    from (
        select x.id, x.label, x.phone_number, coalesce(x.is_default, false) as is_default,
               coalesce(to_jsonb(x) ->> 'transfer_secret', '') <> '' as has_passcode, x.created_at
        from public.transfer_numbers x
        where x.user_id = c.user_id
          and coalesce(to_jsonb(x) ->> 'config_id', c.id::text) = c.id::text
        union all
        -- the single number of old configs, where nothing superseded it
        select null, 'default', j.row ->> 'transfer_phone_number', true,
               coalesce(j.row ->> 'transfer_secret', '') <> '', null
        where coalesce(j.row ->> 'transfer_phone_number', '') <> ''
          and not exists (select from public.transfer_numbers x where x.user_id = c.user_id)
    ) n
) t on true
left join lateral (
    -- Nothing makes (user, voice) unique: the row touched last is the one the user sees.
    select to_jsonb(x) - array['user_id', 'created_at', 'updated_at'] as voice
    from public.voices x
    where x.user_id = c.user_id
      and x.voice_id in (j.row ->> 'voice_id', regexp_replace(j.row ->> 'voice_id', '^11labs-', ''))
    order by x.updated_at desc nulls last, x.id
    limit 1
) w on true;

revoke all on patchbay.routes, patchbay.agent_settings from anon, authenticated;
grant select on patchbay.routes, patchbay.agent_settings to service_role, patchbay_service;
