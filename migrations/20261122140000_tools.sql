-- What agents do in calls besides talking: tool calls, messages taken, callbacks asked for, and the users' own tools.
--
-- Written by our daemons through the put_ functions: say what you know, as often as you like, the id decides. A number
-- to call back is the caller's data: users read their own rows, nobody else's.

create table if not exists patchbay.tool_calls (
    id uuid primary key,                       -- of the event pat.turn.v1.tool
    call_id uuid not null,
    user_id uuid not null,
    turn integer,
    tool text not null,
    arguments jsonb not null default '{}',     -- redacted
    outcome text not null,
    error text,
    duration_ms integer check (duration_ms >= 0),
    created_at timestamptz not null default now()
);
create index if not exists tool_calls_call on patchbay.tool_calls (call_id, created_at);
create index if not exists tool_calls_user on patchbay.tool_calls (user_id, created_at desc);

create table if not exists patchbay.voicemails (
    id uuid primary key,
    call_id uuid not null,
    user_id uuid not null,
    agent_config_id uuid,
    from_number text,                          -- null: withheld
    callback_number text,
    caller_name text,
    transcript text not null default '',
    -- Where in the call it was spoken: the call's recording has the sound from there on. Null: nothing was spoken for it.
    started_ms bigint check (started_ms >= 0),
    ended_ms bigint check (ended_ms >= started_ms),
    recording_url text,                        -- only when an object of its own exists
    created_at timestamptz not null default now(),
    read_at timestamptz
);
create index if not exists voicemails_user on patchbay.voicemails (user_id, created_at desc);
create index if not exists voicemails_call on patchbay.voicemails (call_id);

create table if not exists patchbay.callbacks (
    id uuid primary key,
    call_id uuid not null,
    user_id uuid not null,
    agent_config_id uuid,
    number text not null check (number ~ '^\+[1-9]\d{6,14}$'),
    caller_name text,
    reason text,
    due_at timestamptz not null,
    time_zone text not null,                   -- the user's, in which it was asked for
    local_time text not null,                  -- as asked for: 2026-11-23T15:00
    state text not null default 'open' check (state in ('open', 'done', 'canceled')),
    created_at timestamptz not null default now(),
    closed_at timestamptz
);
create index if not exists callbacks_open on patchbay.callbacks (due_at) where state = 'open';
create index if not exists callbacks_user on patchbay.callbacks (user_id, due_at desc);

-- A tool of the user's: an HTTPS endpoint of his that his agents may call during a call, signed like our webhooks.
create table if not exists patchbay.user_tools (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null,
    agent_config_id uuid,                      -- null: all of his agents
    name text not null check (name ~ '^[A-Za-z0-9_-]{1,64}$'),
    description text not null default '' check (length(description) <= 2000),
    parameters jsonb not null default '{"type": "object", "properties": {}}' check (jsonb_typeof(parameters) = 'object'),
    url text not null check (url ~ '^https?://'),
    secret text not null check (secret ~ '^whsec_[A-Za-z0-9+/=]{24,}$'),
    timeout_ms integer not null default 10000 check (timeout_ms between 500 and 60000),
    filler text check (length(filler) <= 200), -- said while it takes long; null: the usual words
    enabled boolean not null default true,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create unique index if not exists user_tools_name on patchbay.user_tools
    (user_id, coalesce(agent_config_id, '00000000-0000-0000-0000-000000000000'), name);

-- ------------------------------------------------------------------ rights
do $rights$
declare
    t text;
begin
    foreach t in array array['tool_calls', 'voicemails', 'callbacks', 'user_tools'] loop
        execute format('alter table patchbay.%I enable row level security', t);
        execute format('drop policy if exists service on patchbay.%I', t);
        execute format('create policy service on patchbay.%I to service_role, patchbay_service
                        using (true) with check (true)', t);
        execute format('revoke all on patchbay.%I from anon, authenticated', t);
        execute format('grant select, insert, update, delete on patchbay.%I to service_role, patchbay_service', t);
    end loop;
    -- Secrets of user_tools are written through the API and never read back: no select for users.
    foreach t in array array['tool_calls', 'voicemails', 'callbacks'] loop
        execute format('drop policy if exists owner_reads on patchbay.%I', t);
        execute format('create policy owner_reads on patchbay.%I for select to authenticated
                        using ((select auth.uid()) = user_id)', t);
        execute format('grant select on patchbay.%I to authenticated', t);
    end loop;
end
$rights$;

drop trigger if exists patchbay_config on patchbay.user_tools;
create trigger patchbay_config after insert or update or delete on patchbay.user_tools
    for each row execute function patchbay.on_config_change('user_id');

-- ------------------------------------------------------------------ what the daemons write
create or replace function patchbay.put_tool_call(p jsonb) returns void
    language sql set search_path = pg_catalog, pg_temp as $fn$
    insert into patchbay.tool_calls (id, call_id, user_id, turn, tool, arguments, outcome, error, duration_ms)
    select (p ->> 'id')::uuid, (p ->> 'call_id')::uuid, (p ->> 'user_id')::uuid, (p ->> 'turn')::integer, p ->> 'tool',
           coalesce(p -> 'arguments', '{}'), p ->> 'outcome', p ->> 'error', (p ->> 'duration_ms')::integer
    on conflict (id) do nothing
$fn$;

create or replace function patchbay.put_voicemail(p jsonb) returns void
    language sql set search_path = pg_catalog, pg_temp as $fn$
    insert into patchbay.voicemails as v (id, call_id, user_id, agent_config_id, from_number, callback_number, caller_name,
                                          transcript, started_ms, ended_ms, recording_url)
    select (p ->> 'id')::uuid, (p ->> 'call_id')::uuid, (p ->> 'user_id')::uuid, (p ->> 'agent_config_id')::uuid,
           p ->> 'from_number', p ->> 'callback_number', p ->> 'caller_name', coalesce(p ->> 'transcript', ''),
           (p ->> 'started_ms')::bigint, (p ->> 'ended_ms')::bigint, p ->> 'recording_url'
    on conflict (id) do update set
        transcript = case when excluded.transcript <> '' then excluded.transcript else v.transcript end,
        recording_url = coalesce(excluded.recording_url, v.recording_url)
    where v.user_id = excluded.user_id
$fn$;

create or replace function patchbay.put_callback(p jsonb) returns void
    language sql set search_path = pg_catalog, pg_temp as $fn$
    insert into patchbay.callbacks (id, call_id, user_id, agent_config_id, number, caller_name, reason, due_at, time_zone,
                                    local_time)
    select (p ->> 'id')::uuid, (p ->> 'call_id')::uuid, (p ->> 'user_id')::uuid, (p ->> 'agent_config_id')::uuid,
           p ->> 'number', p ->> 'caller_name', p ->> 'reason', (p ->> 'due_at')::timestamptz, p ->> 'time_zone',
           p ->> 'local_time'
    on conflict (id) do nothing
$fn$;

-- The spoken passcode of a number, for the moment of comparing it: nothing keeps it, no view shows it. p_number null: the
-- agent's single number of old. No row: no such number of that user, or it needs none.
create or replace function patchbay.transfer_secret(p_user uuid, p_config uuid, p_number uuid) returns text
    language sql stable set search_path = pg_catalog, pg_temp as $fn$
    select nullif(s, '') from (
        select to_jsonb(n) ->> 'transfer_secret' as s from public.transfer_numbers n
        where n.user_id = p_user and n.id = p_number
        union all
        select to_jsonb(c) ->> 'transfer_secret' from public.agent_configs c
        where p_number is null and c.user_id = p_user and c.id = p_config
    ) x
$fn$;

do $grants$
declare
    f text;
begin
    foreach f in array array['put_tool_call(jsonb)', 'put_voicemail(jsonb)', 'put_callback(jsonb)',
                             'transfer_secret(uuid, uuid, uuid)'] loop
        execute format('revoke all on function patchbay.%s from public, anon, authenticated', f);
        execute format('grant execute on function patchbay.%s to service_role, patchbay_service', f);
    end loop;
end
$grants$;

-- ------------------------------------------------------------------ what the daemons read
-- The user's own tools, as an agent's settings carry them: no address, no secret.
create or replace function patchbay.agent_tools(p_user uuid, p_config uuid) returns jsonb
    language sql stable set search_path = pg_catalog, pg_temp as $fn$
    select coalesce(jsonb_agg(jsonb_build_object('id', t.id, 'name', t.name, 'description', t.description,
                                                 'parameters', t.parameters, 'timeout_ms', t.timeout_ms,
                                                 'filler', t.filler) order by t.name, t.id), '[]')
    from patchbay.user_tools t
    where t.user_id = p_user and t.enabled and coalesce(t.agent_config_id, p_config) = p_config
$fn$;
revoke all on function patchbay.agent_tools(uuid, uuid) from public, anon, authenticated;
grant execute on function patchbay.agent_tools(uuid, uuid) to service_role, patchbay_service;
