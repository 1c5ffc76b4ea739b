-- 056_voice_ai_stack: which voice AI provider answers a user's calls.
--
-- The names and types are the product's own. Guarded, so that it applies to a fresh database, to one at 055 and to
-- one that already has it. retell_agent_id stays as it is.
do $enum$
begin
    if to_regtype('public.voice_ai_stack') is null then
        create type public.voice_ai_stack as enum ('retell', 'livekit');
    end if;
end
$enum$;

alter table public.agent_configs
    add column if not exists active_voice_stack public.voice_ai_stack default 'retell',
    add column if not exists livekit_room_id text,
    add column if not exists stack_config jsonb default '{}'::jsonb;

create index if not exists idx_agent_configs_voice_stack on public.agent_configs (active_voice_stack);

comment on column public.agent_configs.active_voice_stack is 'Active Voice AI provider (retell or livekit)';
comment on column public.agent_configs.livekit_room_id is 'LiveKit room ID (only used when stack is livekit)';
comment on column public.agent_configs.stack_config is 'Stack-specific configuration (JSON)';
