-- Switching a user's stack: the saga's rows, who asked for what, and which routers have heard of it.
--
-- A row of patchbay.switches walks from requested to retired, or back. A replica of the stack-switcher holds it by a lease
-- while it takes a step; every write of such a replica names the lease, and does nothing once somebody else has it
-- (null). What a step has done and that it has are one transaction wherever the step is ours alone. Everything that
-- changes a row tells so on channel patchbay_switch: its id, and ' due' when somebody should take it up at once.

create table if not exists patchbay.switches (
    id uuid primary key,
    version bigint not null default 1,          -- counts the changes of this row
    user_id uuid not null,
    agent_config_id uuid not null,
    from_stack public.voice_ai_stack not null,
    to_stack public.voice_ai_stack not null,
    state text not null default 'requested' check (state in (
        'requested', 'validated', 'provisioned', 'verified', 'cutover', 'observed', 'drained', 'retired',
        'rolled_back', 'failed')),
    done text[] not null default '{}',          -- steps, in the order they were finished
    undo boolean not null default false,        -- on the way back
    open boolean not null default true,         -- may still change who serves the user
    outcome text check (outcome in ('retired', 'superseded', 'rolled_back', 'aborted', 'failed')),
    finished_at timestamptz,                    -- nothing is left to do
    step text,                                  -- begun and not finished
    attempts integer not null default 0,        -- of that step
    error text,                                 -- why it waits, or failed
    wish text check (wish in ('abort', 'rollback')),
    hold boolean not null default false,        -- stops before the cut-over until promoted
    promoted boolean not null default false,    -- the hold is over
    verify boolean not null default true,
    force boolean not null default false,       -- whatever the plan says of health
    keep_ms bigint not null check (keep_ms >= 0), -- the old agent, from the cut-over on; 0: deleted once drained
    why text,
    asked_by text not null,
    asked_by_id uuid,
    idempotency_key text,
    request jsonb not null default '{}',
    plan jsonb,
    made boolean,                               -- provisioned an agent that was not there before
    before jsonb,
    after jsonb,
    cut_at timestamptz,
    cut_version bigint,                         -- the user's config version from then on
    uncut_at timestamptz,
    window_until timestamptz,                   -- rollback is one request until then
    waiting_version bigint,                     -- routers are asked whether they have it
    next_at timestamptz not null default now(),
    lease_by text,
    lease_until timestamptz,
    lease_epoch bigint not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create unique index if not exists switches_one_open on patchbay.switches (user_id) where open;
create unique index if not exists switches_idempotent on patchbay.switches (asked_by, idempotency_key)
    where idempotency_key is not null;
create index if not exists switches_due on patchbay.switches (next_at) where finished_at is null;
create index if not exists switches_user on patchbay.switches (user_id, created_at desc);
create index if not exists switches_newest on patchbay.switches (created_at desc, id desc);
create index if not exists switches_waiting on patchbay.switches (user_id) where waiting_version is not null;

create table if not exists patchbay.switch_steps (
    switch_id uuid not null references patchbay.switches on delete cascade,
    seq integer not null,
    step text not null,
    state text not null check (state in ('running', 'waiting', 'done', 'failed')),
    attempts integer not null default 1,
    worker text,
    result jsonb,
    error text,
    started_at timestamptz not null default clock_timestamp(),
    ended_at timestamptz,
    primary key (switch_id, seq)
);

-- Who did, or was refused, what an admin may do.
create table if not exists patchbay.audit (
    id uuid primary key default patchbay.uuidv7(),
    at timestamptz not null default clock_timestamp(),
    actor text not null,
    actor_id uuid,
    action text not null,
    allowed boolean not null default true,
    user_id uuid,
    subject uuid,                               -- the switch
    why text,
    before jsonb,
    after jsonb,
    peer text
);
create index if not exists audit_user on patchbay.audit (user_id, at desc);
create index if not exists audit_at on patchbay.audit (at desc);

-- Routers that are there. One whose lease is over has fenced itself before (it measures less than the lease).
create table if not exists patchbay.router_leases (
    router_id text primary key,
    build text,
    started_at timestamptz not null default now(),
    seen_at timestamptz not null default now(),
    lease_until timestamptz not null
);
create table if not exists patchbay.router_confirms (
    switch_id uuid not null references patchbay.switches on delete cascade,
    router_id text not null,
    version bigint not null,
    confirmed_at timestamptz not null default clock_timestamp(),
    primary key (switch_id, router_id)
);

do $rights$
declare
    t text;
begin
    foreach t in array array['switches', 'switch_steps', 'audit', 'router_leases', 'router_confirms'] loop
        execute format('alter table patchbay.%I enable row level security', t);
        execute format('drop policy if exists service on patchbay.%I', t);
        execute format('create policy service on patchbay.%I to service_role, patchbay_service
                        using (true) with check (true)', t);
        execute format('revoke all on patchbay.%I from anon, authenticated', t);
    end loop;
    foreach t in array array['switches', 'switch_steps', 'router_leases', 'router_confirms'] loop
        execute format('grant select, insert, update, delete on patchbay.%I to service_role, patchbay_service', t);
    end loop;
    -- What was done stays written down.
    grant select, insert on patchbay.audit to service_role, patchbay_service;
end
$rights$;

-- ------------------------------------------------------------------ who may

-- An admin by our own table, or by users.role where our trigger keeps users from writing it themselves.
create or replace function patchbay.is_admin_user(p_user uuid) returns boolean
    language plpgsql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    found_role text;
begin
    if exists (select from patchbay.admins a where a.user_id = p_user) then
        return true;
    end if;
    if exists (select from pg_trigger where tgrelid = to_regclass('public.users')
               and tgname = 'zz_patchbay_guard_role' and tgenabled in ('O', 'A')) then
        select to_jsonb(u) ->> 'role' into found_role from public.users u where u.id = p_user;
    end if;
    return coalesce(found_role in ('admin', 'god'), false);
end
$fn$;

create or replace function patchbay.put_audit(p jsonb) returns void
    language sql set search_path = pg_catalog, pg_temp as $fn$
    insert into patchbay.audit (actor, actor_id, action, allowed, user_id, subject, why, before, after, peer)
    values (p ->> 'actor', (p ->> 'actor_id')::uuid, p ->> 'action', coalesce((p ->> 'allowed')::boolean, true),
            (p ->> 'user_id')::uuid, (p ->> 'subject')::uuid, p ->> 'why', p -> 'before', p -> 'after', p ->> 'peer')
$fn$;

-- ------------------------------------------------------------------ settings

-- A clone, or any voice a stack does not offer by name, steps aside for the nearest one on Retell and comes back with
-- LiveKit. {"voice_id", "becomes", "grade", "why", "restored"}: what the column holds, and shall hold on that stack.
create or replace function patchbay.voice_on(p_voice text, p_parked jsonb, p_user uuid, p_stack public.voice_ai_stack)
    returns jsonb
    language plpgsql stable set search_path = pg_catalog, pg_temp as $fn$
declare
    kept text := p_parked #>> array[p_stack::text, 'voice_id'];
    v jsonb;
    m record;
begin
    if kept is not null and (not coalesce((p_parked #>> array[p_stack::text, 'cloned'])::boolean, false)
                             or exists (select from public.voices x where x.user_id = p_user and x.voice_id = kept)) then
        return jsonb_build_object('voice_id', p_voice, 'becomes', kept, 'grade', 'exact', 'restored', true,
                                  'why', 'the voice this user had there before');
    end if;
    if p_stack = 'retell' then
        v := patchbay.retell_voice(p_voice);
        return jsonb_build_object(
            'voice_id', p_voice, 'grade', v ->> 'grade', 'why', v ->> 'why', 'restored', false, 'spoken', v ->> 'voice_id',
            -- A name both sides know stays as it is written.
            'becomes', case when v ->> 'grade' = 'exact' or p_voice ~* '^(11labs|openai)-' then p_voice
                            else v ->> 'voice_id' end);
    end if;
    select x.to_voice, x.grade into m from patchbay.voice_matches x
    where x.from_stack = 'retell' and lower(x.from_voice) = lower(p_voice);
    return jsonb_build_object(
        'voice_id', p_voice, 'becomes', p_voice, 'restored', false,
        'spoken', coalesce(m.to_voice, regexp_replace(p_voice, '^11labs-', '')),
        'grade', coalesce(m.grade, 'exact'),
        'why', case when m.grade is null or m.grade = 'exact' then null else 'the nearest voice; '
                    || p_voice || ' is back with Retell' end);
end
$fn$;

-- What agent_configs shall hold after a change to p_to: {"voice_id", "stack_config", "livekit_room_id", "voice"}.
create or replace function patchbay.switch_settings(c public.agent_configs, p_to public.voice_ai_stack, p_switch uuid,
                                                    p_keep boolean) returns jsonb
    language plpgsql stable set search_path = pg_catalog, pg_temp as $fn$
declare
    source text := c.active_voice_stack;
    config jsonb := coalesce(c.stack_config, '{}');
    parked jsonb := coalesce(config -> 'parked', '{}');
    voice jsonb := patchbay.voice_on(c.voice_id, parked, c.user_id, p_to);
    room text;
begin
    parked := parked - p_to::text;
    if voice ->> 'becomes' is distinct from c.voice_id then
        parked := parked || jsonb_build_object(source, jsonb_build_object(
            'voice_id', c.voice_id,
            'cloned', exists (select from public.voices x
                              where x.user_id = c.user_id and x.voice_id = c.voice_id and x.is_cloned)));
    end if;
    config := config || jsonb_build_object('parked', parked, 'previous', jsonb_build_object(
        'stack', source, 'switch_id', p_switch, 'at', now(), 'voice_id', c.voice_id,
        'retell_agent_id', c.retell_agent_id, 'retell_llm_id', c.retell_llm_id));
    -- A failed call on Retell still finds LiveKit while the old agent is kept.
    if p_to = 'retell' and p_keep and not config ? 'livekit' then
        config := config || '{"livekit": {"kept": true}}';
    elsif p_to = 'livekit' and config -> 'livekit' = '{"kept": true}' then
        config := config - 'livekit';
    end if;
    select x.livekit_room into room from patchbay.calls x
    where x.user_id = c.user_id and x.agent_config_id = c.id and x.livekit_room is not null and not x.rehearsal
    order by x.offered_at desc limit 1;
    return jsonb_build_object('voice_id', voice -> 'becomes', 'stack_config', config, 'voice', voice,
                              'livekit_room_id', coalesce(room, c.livekit_room_id));
end
$fn$;

-- The sliders of a voice that stepped aside stay the user's; what belongs to the voice alone does not go with another.
create or replace function patchbay.voice_settings(p_user uuid, p_voice text, p_parked text) returns jsonb
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    -- Nothing makes (user, voice) unique: the row touched last is the one the user sees.
    (select to_jsonb(x) - array['user_id', 'created_at', 'updated_at']
     from public.voices x
     where x.user_id = p_user and x.voice_id in (p_voice, regexp_replace(p_voice, '^11labs-', ''))
     order by x.updated_at desc nulls last, x.id
     limit 1)
    union all
    (select to_jsonb(x) - array['id', 'user_id', 'voice_id', 'voice_name', 'is_cloned', 'stability', 'similarity_boost',
                                'style', 'use_speaker_boost', 'created_at', 'updated_at']
     from public.voices x
     where x.user_id = p_user and x.voice_id = p_parked
     order by x.updated_at desc nulls last, x.id
     limit 1)
    limit 1
$fn$;
grant execute on function patchbay.voice_settings(uuid, text, text) to service_role, patchbay_service;

-- As it was, but for the settings of a parked voice.
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
    select patchbay.voice_settings(c.user_id, j.row ->> 'voice_id', case when c.active_voice_stack = 'retell'
                                   then c.stack_config #>> '{parked,livekit,voice_id}' end) as voice
) w on true;

-- ------------------------------------------------------------------ the row

create or replace function patchbay.switch_json(s patchbay.switches) returns jsonb
    language sql stable set search_path = pg_catalog, pg_temp as $fn$
    select to_jsonb(s) - array['request', 'lease_by', 'lease_until', 'lease_epoch', 'idempotency_key', 'next_at', 'done']
        || jsonb_build_object(
            'done', to_jsonb(s.done), 'cut', s.cut_at is not null, 'uncut', s.uncut_at is not null,
            'window_left_ms', greatest(0, ceil(extract(epoch from s.window_until - now()) * 1000))::bigint,
            'may', to_jsonb(array_remove(array[
                case when s.finished_at is null and not s.undo and s.wish is null and s.cut_at is null then 'abort' end,
                case when s.finished_at is null and not s.undo and s.wish is null and s.cut_at is not null
                          and s.step is distinct from 'retire' and not 'retire' = any (s.done)
                          and (s.window_until > now() or not 'drain' = any (s.done)) then 'rollback' end,
                case when s.finished_at is null and not s.undo and s.wish is null
                          and (s.hold and not s.promoted and s.cut_at is null
                               or s.window_until > now() and s.step is distinct from 'retire') then 'promote' end], null)),
            'steps', (select coalesce(jsonb_agg(to_jsonb(t) - array['switch_id', 'worker'] order by t.seq), '[]')
                      from patchbay.switch_steps t where t.switch_id = s.id))
$fn$;

create or replace function patchbay.switch_told(s patchbay.switches, p_event text, p_data jsonb) returns void
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    event_id uuid := patchbay.uuidv7();
    subj text := format('pat.switch.v1.%s.%s.%s', p_event, s.user_id, s.id);
begin
    insert into patchbay.outbox (id, subject, payload) values (event_id, subj, jsonb_build_object(
        'specversion', '1.0', 'id', event_id, 'source', '/patchbay/stack-switcher', 'type', 'pat.switch.v1.' || p_event,
        'subject', s.id, 'time', to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
        'datacontenttype', 'application/json', 'userid', s.user_id,
        'data', jsonb_build_object('switch_id', s.id, 'user_id', s.user_id, 'agent_config_id', s.agent_config_id,
                                   'from', s.from_stack, 'to', s.to_stack, 'state', s.state, 'asked_by', s.asked_by,
                                   'why', s.why) || coalesce(p_data, '{}')));
    perform pg_notify('patchbay_outbox', subj);
end
$fn$;

-- Which config a request about a user means: the one his calls go to (the order of patchbay.routes).
create or replace function patchbay.config_of(p_user uuid, p_config uuid) returns uuid
    language sql stable set search_path = pg_catalog, pg_temp as $fn$
    select c.id from public.agent_configs c
    where c.user_id = p_user and (p_config is null or c.id = p_config)
    order by coalesce((to_jsonb(c) ->> 'is_default')::boolean, false) desc, c.created_at, c.id
    limit 1
$fn$;

-- A request: {"id", "user_id", "agent_config_id", "stack", "why", "keep_ms", "hold", "verify", "force", "key", "actor",
-- "actor_id", "peer"}. {"switch", "created"}, or {"error", "message", "switch"}: not_found, conflict, mismatch.
create or replace function patchbay.switch_start(p jsonb) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    s patchbay.switches;
    c public.agent_configs;
    said jsonb := p - array['id', 'actor_id', 'peer', 'actor', 'key'];
begin
    if p ->> 'key' is not null then
        select * into s from patchbay.switches
        where asked_by = p ->> 'actor' and idempotency_key = p ->> 'key';
        if found then
            return case when s.request = said then jsonb_build_object('switch', patchbay.switch_json(s), 'created', false)
                   else jsonb_build_object('error', 'mismatch', 'message', 'this key was used for another request',
                                           'switch', patchbay.switch_json(s)) end;
        end if;
    end if;
    select x.* into c from public.agent_configs x
    where x.id = patchbay.config_of((p ->> 'user_id')::uuid, (p ->> 'agent_config_id')::uuid);
    if not found then
        return jsonb_build_object('error', 'not_found', 'message', 'no such user, or no agent of his');
    end if;
    if c.active_voice_stack = (p ->> 'stack')::public.voice_ai_stack
       and not exists (select from patchbay.switches x where x.user_id = c.user_id and x.open) then
        return jsonb_build_object('error', 'conflict', 'message', 'the user is on ' || (p ->> 'stack') || ' already');
    end if;
    begin
        insert into patchbay.switches (id, user_id, agent_config_id, from_stack, to_stack, hold, verify, force, keep_ms, why,
                                       asked_by, asked_by_id, idempotency_key, request)
        values ((p ->> 'id')::uuid, c.user_id, c.id, c.active_voice_stack, (p ->> 'stack')::public.voice_ai_stack,
                coalesce((p ->> 'hold')::boolean, false), coalesce((p ->> 'verify')::boolean, true),
                coalesce((p ->> 'force')::boolean, false), (p ->> 'keep_ms')::bigint, p ->> 'why', p ->> 'actor',
                (p ->> 'actor_id')::uuid, p ->> 'key', said)
        returning * into s;
    exception when unique_violation then
        -- Two at once: the other one's is the switch of both, or in the way.
        select * into s from patchbay.switches
        where asked_by = p ->> 'actor' and idempotency_key = p ->> 'key' and request = said;
        if found then
            return jsonb_build_object('switch', patchbay.switch_json(s), 'created', false);
        end if;
        select * into s from patchbay.switches where user_id = c.user_id and open;
        return jsonb_build_object('error', 'conflict', 'message', 'another switch of this user is under way',
                                  'switch', patchbay.switch_json(s));
    end;
    perform patchbay.put_audit(jsonb_build_object(
        'actor', s.asked_by, 'actor_id', s.asked_by_id, 'action', 'switch.request', 'user_id', s.user_id, 'subject', s.id,
        'why', s.why, 'peer', p ->> 'peer', 'before', jsonb_build_object('stack', s.from_stack),
        'after', jsonb_build_object('stack', s.to_stack)));
    perform patchbay.switch_told(s, 'requested', null);
    perform pg_notify('patchbay_switch', s.id || ' due');
    return jsonb_build_object('switch', patchbay.switch_json(s), 'created', true);
end
$fn$;

-- abort, rollback, promote: {"switch"}, or {"error", "message", "switch"}.
create or replace function patchbay.switch_wish(p jsonb) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    s patchbay.switches;
    what constant text := p ->> 'wish';
begin
    select * into s from patchbay.switches where id = (p ->> 'id')::uuid for update;
    if not found then
        return jsonb_build_object('error', 'not_found', 'message', 'no such switch');
    end if;
    if s.wish = what or (what = 'abort' and s.outcome = 'aborted') or (what = 'rollback' and s.outcome = 'rolled_back') then
        return jsonb_build_object('switch', patchbay.switch_json(s));
    end if;
    if not patchbay.switch_json(s) -> 'may' ? what then
        return jsonb_build_object('error', 'conflict', 'switch', patchbay.switch_json(s), 'message', case
            when s.finished_at is not null or s.undo or s.wish is not null then 'it is over, or on its way back'
            when what = 'abort' then 'the user is on the new stack already: roll back'
            when what = 'promote' then 'it does not wait for anybody'
            when s.cut_at is null then 'the user is on the old stack still: abort'
            else 'the time to go back is over' end);
    end if;
    begin
        update patchbay.switches x set
            wish = case when what = 'promote' then x.wish else what end, open = x.open or what = 'rollback',
            promoted = x.promoted or what = 'promote' and x.cut_at is null,
            window_until = case when what = 'promote' and x.cut_at is not null then now() else x.window_until end,
            next_at = now(), version = x.version + 1, updated_at = now()
        where x.id = s.id returning * into s;
    exception when unique_violation then
        return jsonb_build_object('error', 'conflict', 'message', 'another switch of this user is under way',
                                  'switch', patchbay.switch_json(s));
    end;
    perform patchbay.put_audit(jsonb_build_object(
        'actor', p ->> 'actor', 'actor_id', p ->> 'actor_id', 'action', 'switch.' || what, 'user_id', s.user_id,
        'subject', s.id, 'why', p ->> 'why', 'peer', p ->> 'peer', 'before', jsonb_build_object('state', s.state)));
    perform pg_notify('patchbay_switch', s.id || ' due');
    return jsonb_build_object('switch', patchbay.switch_json(s));
end
$fn$;

-- The door for requests by token: "start", "wish", "facts" with p as those take it. Whoever is no admin is refused, and
-- that is written down. p_admin: by the token.
create or replace function patchbay.switch_ask(p_op text, p jsonb, p_admin boolean) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
begin
    if not p_admin and not patchbay.is_admin_user((p ->> 'actor_id')::uuid) then
        perform patchbay.put_audit(p || jsonb_build_object(
            'action', 'switch.' || coalesce(p ->> 'wish', case p_op when 'facts' then 'plan' else 'request' end),
            'allowed', false, 'subject', p ->> 'id', 'after', jsonb_build_object('stack', p ->> 'stack')));
        return '{"error": "forbidden", "message": "only an admin switches stacks"}';
    end if;
    if p_op = 'start' then
        return patchbay.switch_start(p);
    elsif p_op = 'wish' then
        return patchbay.switch_wish(p);
    end if;
    return coalesce(jsonb_build_object('facts', patchbay.switch_facts(
                        (p ->> 'user_id')::uuid, (p ->> 'agent_config_id')::uuid, (p ->> 'stack')::public.voice_ai_stack)),
                    '{}');
end
$fn$;

-- ------------------------------------------------------------------ the work

-- A switch that has something to do now, held for p_ms: its row; null: none. Whoever is at it is passed by.
create or replace function patchbay.switch_claim(p_worker text, p_ms bigint, p_id uuid) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    s patchbay.switches;
begin
    select * into s from patchbay.switches x
    where x.finished_at is null and x.next_at <= now() and (x.lease_until is null or x.lease_until <= now())
      and (p_id is null or x.id = p_id)
    order by x.next_at limit 1 for update skip locked;
    if not found then
        return null;
    end if;
    update patchbay.switches x set lease_by = p_worker, lease_epoch = x.lease_epoch + 1,
        lease_until = now() + p_ms * interval '1 millisecond'
    where x.id = s.id returning * into s;
    return patchbay.switch_json(s) || jsonb_build_object('epoch', s.lease_epoch);
end
$fn$;

-- The row, locked, while p_worker holds it in this epoch; no row else.
create or replace function patchbay.switch_held(p_id uuid, p_worker text, p_epoch bigint) returns setof patchbay.switches
    language sql set search_path = pg_catalog, pg_temp as $fn$
    select x.* from patchbay.switches x
    where x.id = p_id and x.lease_by = p_worker and x.lease_epoch = p_epoch and x.lease_until > now() for update
$fn$;

-- Begins a step: written down before anything is done. {"wait"} when another switch of this agent is taking the agent
-- away that this one would make, {"turn"} when somebody has asked to go back meanwhile.
create or replace function patchbay.switch_begin(p_id uuid, p_worker text, p_epoch bigint, p_step text, p_ms bigint)
    returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    s patchbay.switches;
    had boolean;
begin
    select * into s from patchbay.switch_held(p_id, p_worker, p_epoch);
    if not found then
        return null;
    end if;
    if s.wish is not null and not s.undo then
        return patchbay.switch_json(s) || jsonb_build_object('epoch', s.lease_epoch, 'turn', true);
    end if;
    if p_step in ('provision', 'retire', 'clean_up') then
        perform from public.agent_configs c where c.id = s.agent_config_id for update;
        if exists (select from patchbay.switches o where o.agent_config_id = s.agent_config_id and o.id <> s.id
                   and (p_step = 'provision' and o.finished_at is null and o.step in ('retire', 'clean_up')
                        or p_step <> 'provision' and o.open and o.created_at > s.created_at)) then
            return patchbay.switch_wait(p_id, p_worker, p_epoch, s.version, 500, 'another switch of this agent is at work')
                || '{"wait": true}';
        end if;
    end if;
    if p_step = 'provision' and s.made is null then
        select exists (select from patchbay.retell_agents a where a.agent_config_id = s.agent_config_id
                       and a.agent_id is not null and a.state not in ('retired', 'retiring'))
            or exists (select from public.agent_configs c where c.id = s.agent_config_id and c.retell_agent_id is not null
                       and not exists (select from patchbay.retell_tombstones t where t.agent_id = c.retell_agent_id))
        into had;
        s.made := s.to_stack = 'retell' and not had;
        s.before := (select jsonb_build_object('retell_agent_id', c.retell_agent_id, 'retell_llm_id', c.retell_llm_id)
                     from public.agent_configs c where c.id = s.agent_config_id);
    end if;
    if s.step = p_step then
        update patchbay.switch_steps t set state = 'running', attempts = t.attempts + 1, worker = p_worker
        where t.switch_id = s.id and t.ended_at is null;
    else
        insert into patchbay.switch_steps (switch_id, seq, step, state, worker)
        select s.id, coalesce(max(t.seq), 0) + 1, p_step, 'running', p_worker
        from patchbay.switch_steps t where t.switch_id = s.id;
    end if;
    update patchbay.switches x set step = p_step, made = s.made, before = s.before,
        attempts = case when x.step is not distinct from p_step then x.attempts + 1 else 1 end,
        lease_until = now() + p_ms * interval '1 millisecond', version = x.version + 1, updated_at = now()
    where x.id = s.id returning * into s;
    perform pg_notify('patchbay_switch', s.id::text);
    return patchbay.switch_json(s) || jsonb_build_object('epoch', s.lease_epoch);
end
$fn$;

-- A long step: the row is held for p_ms more.
create or replace function patchbay.switch_renew(p_id uuid, p_worker text, p_epoch bigint, p_ms bigint) returns boolean
    language sql set search_path = pg_catalog, pg_temp as $fn$
    with held as (
        update patchbay.switches x set lease_until = now() + p_ms * interval '1 millisecond'
        where x.id in (select h.id from patchbay.switch_held(p_id, p_worker, p_epoch) h) returning 1
    )
    select exists (select from held)
$fn$;

-- Not yet: the row is given back for p_ms, less when something happened to it since version p_seen.
create or replace function patchbay.switch_wait(p_id uuid, p_worker text, p_epoch bigint, p_seen bigint, p_ms bigint,
                                                p_why text) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    s patchbay.switches;
begin
    update patchbay.switches x set error = p_why, lease_by = null, lease_until = null, updated_at = now(),
        next_at = case when x.version > p_seen then now() else now() + p_ms * interval '1 millisecond' end
    where x.id in (select h.id from patchbay.switch_held(p_id, p_worker, p_epoch) h) returning * into s;
    if not found then
        return null;
    end if;
    update patchbay.switch_steps t set state = 'waiting', error = p_why where t.switch_id = s.id and t.ended_at is null;
    if s.next_at <= now() then
        perform pg_notify('patchbay_switch', s.id || ' due');
    end if;
    return patchbay.switch_json(s);
end
$fn$;

-- The step is done: p_state (null: as it was) and what came of it, told.
create or replace function patchbay.switch_finish_step(s patchbay.switches, p_step text, p_state text, p_result jsonb)
    returns patchbay.switches
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
begin
    update patchbay.switch_steps t set state = 'done', result = p_result, error = null, ended_at = clock_timestamp()
    where t.switch_id = s.id and t.ended_at is null;
    update patchbay.switches x set done = x.done || p_step, step = null, attempts = 0, error = null, next_at = now(),
        state = coalesce(p_state, x.state), version = x.version + 1, updated_at = now(),
        plan = case when p_step = 'validate' then coalesce(p_result -> 'plan', x.plan) else x.plan end,
        -- Who serves is settled once the routers know.
        open = x.open and p_step not in ('observe', 'observe_back', 'clean_up'),
        waiting_version = case when p_step in ('observe', 'observe_back') then null else x.waiting_version end,
        outcome = case p_step when 'retire' then 'retired'
                  when 'clean_up' then case when x.uncut_at is not null then 'rolled_back' when x.wish = 'abort' then 'aborted'
                                            else 'failed' end else x.outcome end,
        finished_at = case when p_step in ('retire', 'clean_up') then clock_timestamp() end
    where x.id = s.id returning * into s;
    if p_state is not null then
        perform patchbay.switch_told(s, p_state, jsonb_build_object('result', p_result - 'plan'));
    end if;
    perform pg_notify('patchbay_switch', s.id::text);
    return s;
end
$fn$;

create or replace function patchbay.switch_done(p_id uuid, p_worker text, p_epoch bigint, p_step text, p_state text,
                                                p_result jsonb) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    s patchbay.switches;
    c public.agent_configs;
begin
    select * into s from patchbay.switch_held(p_id, p_worker, p_epoch);
    if not found then
        return null;
    end if;
    if p_step = any (s.done) then
        return patchbay.switch_json(s) || jsonb_build_object('epoch', s.lease_epoch);
    end if;
    if p_step = 'retire' and s.from_stack = 'livekit' then
        update public.agent_configs x set stack_config = x.stack_config - 'livekit'
        where x.id = s.agent_config_id and x.stack_config -> 'livekit' = '{"kept": true}'
          and x.active_voice_stack = 'retell';
    elsif p_step = 'clean_up' and s.made and s.before ->> 'retell_agent_id' is not null then
        -- The ids the product had. Never null where there was none: SMS replies ask for one.
        update public.agent_configs x set retell_agent_id = s.before ->> 'retell_agent_id',
            retell_llm_id = s.before ->> 'retell_llm_id'
        where x.id = s.agent_config_id and x.retell_agent_id is distinct from s.before ->> 'retell_agent_id';
    end if;
    s := patchbay.switch_finish_step(s, p_step, p_state, p_result);
    return patchbay.switch_json(s) || jsonb_build_object('epoch', s.lease_epoch);
end
$fn$;

-- A step cannot be done, or nobody wants it any more: the way back begins.
create or replace function patchbay.switch_turn(p_id uuid, p_worker text, p_epoch bigint, p_why text) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    s patchbay.switches;
begin
    select * into s from patchbay.switch_held(p_id, p_worker, p_epoch);
    if not found then
        return null;
    end if;
    update patchbay.switch_steps t set state = 'failed', error = p_why, ended_at = clock_timestamp()
    where t.switch_id = s.id and t.ended_at is null;
    -- One that has not cut over will not: another may begin. One that has is open until routers know.
    update patchbay.switches x set undo = true, step = null, attempts = 0, error = p_why, waiting_version = null,
        open = x.open and x.cut_at is not null, version = x.version + 1, updated_at = now()
    where x.id = s.id returning * into s;
    perform pg_notify('patchbay_switch', s.id::text);
    return patchbay.switch_json(s) || jsonb_build_object('epoch', s.lease_epoch);
end
$fn$;

-- The one transaction that changes who serves: stack, settings, version, event, audit. p_step: cutover or cut_back. Done
-- twice it changes nothing. {"error"}: somebody else has changed the stack.
create or replace function patchbay.switch_cut(p_id uuid, p_worker text, p_epoch bigint, p_step text) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    nil constant uuid := '00000000-0000-0000-0000-000000000000';
    back constant boolean := p_step = 'cut_back';
    s patchbay.switches;
    c public.agent_configs;
    was jsonb;
    want jsonb;
    target public.voice_ai_stack;
    v bigint;
begin
    select * into s from patchbay.switch_held(p_id, p_worker, p_epoch);
    if not found then
        return null;
    end if;
    if p_step = any (s.done) then
        return patchbay.switch_json(s) || jsonb_build_object('epoch', s.lease_epoch);
    end if;
    if s.wish is not null and not s.undo then
        return patchbay.switch_json(s) || jsonb_build_object('epoch', s.lease_epoch, 'turn', true);
    end if;
    target := case when back then s.from_stack else s.to_stack end;
    select * into c from public.agent_configs x where x.id = s.agent_config_id for update;
    if not found then
        return jsonb_build_object('error', 'the agent is gone');
    end if;
    if c.active_voice_stack = target and not back then
        return jsonb_build_object('error', 'somebody else has put the user on ' || target::text);
    end if;
    was := jsonb_build_object('active_voice_stack', c.active_voice_stack, 'stack_config', c.stack_config,
                              'voice_id', c.voice_id, 'retell_agent_id', c.retell_agent_id,
                              'retell_llm_id', c.retell_llm_id, 'livekit_room_id', c.livekit_room_id);
    if c.active_voice_stack <> target then
        want := patchbay.switch_settings(c, target, s.id, s.keep_ms > 0);
        update public.agent_configs x set active_voice_stack = target, voice_id = want ->> 'voice_id',
            stack_config = want -> 'stack_config', livekit_room_id = want ->> 'livekit_room_id'
        where x.id = c.id returning * into c;
    end if;
    select x.version into v from patchbay.config_versions x where x.user_id = s.user_id and x.agent_config_id = nil;
    update patchbay.switches x set
        cut_at = case when back then x.cut_at else now() end, cut_version = case when back then x.cut_version else v end,
        uncut_at = case when back then now() end, waiting_version = v,
        window_until = case when back then null else now() + x.keep_ms * interval '1 millisecond' end,
        before = case when back then x.before else was || coalesce(x.before, '{}') end,
        after = jsonb_build_object('active_voice_stack', c.active_voice_stack, 'stack_config', c.stack_config,
                                   'voice_id', c.voice_id, 'retell_agent_id', c.retell_agent_id,
                                   'retell_llm_id', c.retell_llm_id, 'livekit_room_id', c.livekit_room_id)
    where x.id = s.id returning * into s;
    -- An agent another switch keeps for its way back is in use now, or is this one's to keep.
    update patchbay.switches x set finished_at = clock_timestamp(), outcome = 'superseded', version = x.version + 1,
        updated_at = now(), lease_by = null, lease_until = null, waiting_version = null
    where x.agent_config_id = s.agent_config_id and x.id <> s.id and x.finished_at is null and not x.open and not x.undo;
    perform patchbay.put_audit(jsonb_build_object(
        'actor', s.asked_by, 'actor_id', s.asked_by_id, 'action', 'switch.' || p_step, 'user_id', s.user_id,
        'subject', s.id, 'why', s.why, 'before', was, 'after', s.after));
    s := patchbay.switch_finish_step(s, p_step, case when back then 'rolled_back' else 'cutover' end,
                                     jsonb_build_object('version', v, 'stack', target, 'voice', want -> 'voice'));
    return patchbay.switch_json(s) || jsonb_build_object('epoch', s.lease_epoch);
end
$fn$;

-- ------------------------------------------------------------------ routers

-- Routers that are there and have not said that they route by p_version.
create or replace function patchbay.unconfirmed(p_switch uuid, p_version bigint) returns setof text
    language sql stable set search_path = pg_catalog, pg_temp as $fn$
    select l.router_id from patchbay.router_leases l
    where l.lease_until > now() and not exists (
        select from patchbay.router_confirms f
        where f.switch_id = p_switch and f.router_id = l.router_id and f.version >= p_version)
$fn$;

-- Have all routers? If not, the row is given back until one says so, or p_ms have passed. Looked and written under the
-- row's lock, which a router's word takes too: no word is lost in between.
create or replace function patchbay.switch_observe(p_id uuid, p_worker text, p_epoch bigint, p_step text, p_ms bigint)
    returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    s patchbay.switches;
    missing text[];
begin
    select * into s from patchbay.switch_held(p_id, p_worker, p_epoch);
    if not found then
        return null;
    end if;
    if p_step = any (s.done) then
        return patchbay.switch_json(s) || jsonb_build_object('epoch', s.lease_epoch);
    end if;
    missing := array(select patchbay.unconfirmed(s.id, s.waiting_version));
    if cardinality(missing) > 0 then
        return patchbay.switch_wait(p_id, p_worker, p_epoch, s.version, p_ms,
                                    'not confirmed by ' || array_to_string(missing, ', ')) || '{"wait": true}';
    end if;
    s := patchbay.switch_finish_step(s, p_step, case when p_step = 'observe' then 'observed' end, jsonb_build_object(
        'version', s.waiting_version,
        'confirmed', (select coalesce(jsonb_object_agg(f.router_id, ceil(extract(epoch from
                          f.confirmed_at - coalesce(s.uncut_at, s.cut_at)) * 1000)), '{}')
                      from patchbay.router_confirms f where f.switch_id = s.id and f.version >= s.waiting_version),
        -- Those whose lease ran out: each serves by then as decisions/0019 says.
        'fenced', (select coalesce(jsonb_agg(l.router_id), '[]') from patchbay.router_leases l
                   where l.lease_until <= now() and l.lease_until > coalesce(s.uncut_at, s.cut_at)
                     and not exists (select from patchbay.router_confirms f where f.switch_id = s.id
                                     and f.router_id = l.router_id and f.version >= s.waiting_version))));
    return patchbay.switch_json(s) || jsonb_build_object('epoch', s.lease_epoch);
end
$fn$;

-- A router is there for p_ms more: [{"switch_id", "user_id", "version"}] it has not confirmed yet.
create or replace function patchbay.router_beat(p_router text, p_build text, p_ms bigint) returns jsonb
    language sql set search_path = pg_catalog, pg_temp as $fn$
    delete from patchbay.router_leases l where l.lease_until < now() - interval '1 day';
    insert into patchbay.router_leases as l (router_id, build, lease_until)
    values (p_router, p_build, now() + p_ms * interval '1 millisecond')
    on conflict (router_id) do update set lease_until = excluded.lease_until, seen_at = now(), build = excluded.build;
    select coalesce(jsonb_agg(jsonb_build_object('switch_id', s.id, 'user_id', s.user_id, 'version', s.waiting_version)), '[]')
    from (select x.* from patchbay.switches x where x.waiting_version is not null and not exists (
              select from patchbay.router_confirms f
              where f.switch_id = x.id and f.router_id = p_router and f.version >= x.waiting_version)
          limit 256) s;
$fn$;

-- It routes this user by p_version.
create or replace function patchbay.router_confirm(p_router text, p_user uuid, p_version bigint) returns integer
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    s patchbay.switches;
    n integer := 0;
begin
    for s in select * from patchbay.switches x
             where x.user_id = p_user and x.waiting_version is not null and x.waiting_version <= p_version for update loop
        insert into patchbay.router_confirms as f (switch_id, router_id, version) values (s.id, p_router, s.waiting_version)
        on conflict (switch_id, router_id) do update set version = excluded.version, confirmed_at = clock_timestamp()
            where f.version < excluded.version;
        n := n + 1;
        if not exists (select patchbay.unconfirmed(s.id, s.waiting_version)) then
            update patchbay.switches x set next_at = now(), version = x.version + 1 where x.id = s.id;
            perform pg_notify('patchbay_switch', s.id || ' due');
        end if;
    end loop;
    return n;
end
$fn$;

create or replace function patchbay.router_leave(p_router text) returns void
    language sql set search_path = pg_catalog, pg_temp as $fn$
    delete from patchbay.router_leases where router_id = p_router
$fn$;

-- ------------------------------------------------------------------ what a plan is made of

-- What Retell asks by the minute, to tell beforehand; its bill of a call says itself what that call was.
insert into patchbay.prices (provider, component, model, valid_from, price_microusd, per, unit, minimum, step, source,
                             read_on, note)
values
    ('retell', 'voice', '', '2026-09-28', 55000, 60, 'second', 0, 0, 'retellai.com/pricing', '2026-10-01', 'voice infrastructure; for estimates'),
    ('retell', 'tts', 'elevenlabs', '2026-09-28', 40000, 60, 'second', 0, 0, 'retellai.com/pricing', '2026-10-01', 'for estimates'),
    ('retell', 'tts', 'openai', '2026-09-28', 15000, 60, 'second', 0, 0, 'retellai.com/pricing', '2026-10-01', 'for estimates'),
    ('retell', 'llm', 'gpt-4.1-mini', '2026-09-28', 12800, 60, 'second', 0, 0, 'retellai.com/pricing', '2026-10-01', 'for estimates')
on conflict (provider, component, model, valid_from) do nothing;

-- What a minute of this user's calls cost, or would cost, on each stack: measured on the calls of the last p_days that ran
-- there; else reckoned at today's prices from how much was said and used on the other; else from the assumptions.
create or replace function patchbay.minute_costs(p_user uuid, p_days integer) returns jsonb
    language plpgsql stable set search_path = pg_catalog, pg_temp as $fn$
declare
    assumed jsonb := '{"characters_per_minute": 450, "tokens_in_per_minute": 8000, "tokens_cached_share": 0.5, "tokens_out_per_minute": 150}';
    lk record;
    rt record;
    carrier numeric;
    lk_sum numeric;
    rt_sum numeric;
begin
    -- Both stacks hang behind the same carrier. Sums are millionths of a dollar a minute, at today's prices.
    select sum(p.price_microusd * 60.0 / p.per) into carrier
    from (values ('phone', 'inbound'), ('phone_sip', null)) x (component, model)
    cross join lateral patchbay.price_at('signalwire', 'signalwire', x.component, x.model, now()) p;

    select count(*) as calls, sum(k.duration_ms) / 60000.0 as minutes,
           sum((k.cost #>> '{microusd,total}')::numeric) as microusd into lk
    from (select c.duration_ms, patchbay.call_cost(c) as cost from patchbay.calls c
          where c.user_id = p_user and c.stack = 'livekit' and c.state = 'ended' and c.duration_ms > 0 and not c.rehearsal
            and c.offered_at > now() - p_days * interval '1 day'
          order by c.offered_at desc limit 500) k
    where k.cost #>> '{microusd,total}' is not null;

    select count(*) as calls, sum(c.duration_ms) / 60000.0 as minutes,
           sum((r.data #>> '{call_cost,combined_cost}')::numeric * 10000) as microusd,
           sum((select sum(length(t ->> 'content')) from jsonb_array_elements(
                case jsonb_typeof(r.data -> 'transcript_object') when 'array' then r.data -> 'transcript_object' else '[]' end) t
                where t ->> 'role' = 'agent')) as characters,
           sum((r.data #>> '{llm_token_usage,average}')::numeric * (r.data #>> '{llm_token_usage,num_requests}')::numeric)
               as tokens into rt
    from (select * from patchbay.calls x
          where x.user_id = p_user and x.stack = 'retell' and x.state = 'ended' and x.duration_ms > 0 and not x.rehearsal
            and x.offered_at > now() - p_days * interval '1 day'
          order by x.offered_at desc limit 500) c
    join patchbay.call_results r on r.call_id = c.id and r.source = 'retell'
    where (r.data #>> '{call_cost,combined_cost}') is not null;

    if lk.minutes > 0 then
        lk_sum := lk.microusd / lk.minutes;
    else
        lk_sum := (
            select sum(p.price_microusd * x.quantity / p.per)
            from (values
                ('livekit', 'agent', '', 60.0), ('livekit', 'sip', '', 60.0), ('deepgram', 'stt', 'nova-3', 60.0),
                ('openai', 'llm_in', 'gpt-4o-mini',
                 coalesce(rt.tokens / nullif(rt.minutes, 0), (assumed ->> 'tokens_in_per_minute')::numeric)
                     * (1 - (assumed ->> 'tokens_cached_share')::numeric)),
                ('openai', 'llm_cached', 'gpt-4o-mini',
                 coalesce(rt.tokens / nullif(rt.minutes, 0), (assumed ->> 'tokens_in_per_minute')::numeric)
                     * (assumed ->> 'tokens_cached_share')::numeric),
                ('openai', 'llm_out', 'gpt-4o-mini', (assumed ->> 'tokens_out_per_minute')::numeric),
                ('elevenlabs', 'tts_chars', 'eleven_flash_v2_5',
                 coalesce(rt.characters / nullif(rt.minutes, 0), (assumed ->> 'characters_per_minute')::numeric))
            ) x (provider, component, model, quantity)
            cross join lateral patchbay.price_at(x.provider, x.provider, x.component, x.model, now()) p) + carrier;
    end if;
    if rt.minutes > 0 then
        rt_sum := rt.microusd / rt.minutes + carrier;
    else
        rt_sum := (select sum(p.price_microusd * 60.0 / p.per)
                   from (values ('voice', ''), ('tts', 'elevenlabs'), ('llm', 'gpt-4.1-mini')) x (component, model)
                   cross join lateral patchbay.price_at('retell', 'retell', x.component, x.model, now()) p) + carrier;
    end if;
    return jsonb_build_object(
        'days', p_days, 'currency', 'USD', 'assumptions', assumed,
        'retell', jsonb_build_object('microusd_per_minute', round(rt_sum), 'calls', rt.calls,
            'minutes', round(coalesce(rt.minutes, 0), 2),
            'basis', case when rt.minutes > 0 then 'measured' else 'list_price' end),
        'livekit', jsonb_build_object('microusd_per_minute', round(lk_sum), 'calls', lk.calls,
            'minutes', round(coalesce(lk.minutes, 0), 2),
            'basis', case when lk.minutes > 0 then 'measured' when rt.minutes > 0 then 'reckoned' else 'assumed' end));
end
$fn$;

-- The last hour of a stack, everybody's calls.
create or replace function patchbay.stack_hour(p_stack public.voice_ai_stack) returns jsonb
    language sql stable set search_path = pg_catalog, pg_temp as $fn$
    select jsonb_build_object(
        'routed', count(*), 'answered', count(*) filter (where c.answered_at is not null or c.outcome = 'answered'),
        'failed_over', (select count(*) from patchbay.call_events e
                        where e.type = 'pat.call.v1.failed_over' and e.data ->> 'from' = p_stack::text
                          and e.occurred_at > now() - interval '1 hour'))
    from patchbay.calls c where c.stack = p_stack and c.offered_at > now() - interval '1 hour' and not c.rehearsal
$fn$;

-- Everything a plan needs; null: no such user, or no agent of his.
create or replace function patchbay.switch_facts(p_user uuid, p_config uuid, p_to public.voice_ai_stack) returns jsonb
    language sql stable set search_path = pg_catalog, pg_temp as $fn$
    select jsonb_build_object(
        'user_id', c.user_id, 'agent_config_id', c.id, 'from', c.active_voice_stack, 'to', p_to,
        'settings', patchbay.settings_of(c.id),
        'avatar', to_jsonb(c) -> 'avatar_url', 'sms_prompt', to_jsonb(c) ->> 'prompt' is not null,
        'voice', patchbay.voice_on(c.voice_id, coalesce(c.stack_config -> 'parked', '{}'), c.user_id, p_to),
        'numbers', (select coalesce(jsonb_agg(r.number order by r.number), '[]') from patchbay.routes r
                    where r.agent_config_id = c.id and r.is_active),
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

do $grants$
declare
    f text;
begin
    foreach f in array array[
        'is_admin_user(uuid)', 'put_audit(jsonb)', 'voice_on(text, jsonb, uuid, public.voice_ai_stack)',
        'switch_settings(public.agent_configs, public.voice_ai_stack, uuid, boolean)', 'voice_settings(uuid, text, text)',
        'switch_json(patchbay.switches)', 'switch_told(patchbay.switches, text, jsonb)', 'config_of(uuid, uuid)',
        'switch_start(jsonb)', 'switch_wish(jsonb)', 'switch_ask(text, jsonb, boolean)', 'switch_claim(text, bigint, uuid)', 'switch_held(uuid, text, bigint)',
        'switch_begin(uuid, text, bigint, text, bigint)', 'switch_renew(uuid, text, bigint, bigint)', 'switch_wait(uuid, text, bigint, bigint, bigint, text)',
        'switch_finish_step(patchbay.switches, text, text, jsonb)',
        'switch_done(uuid, text, bigint, text, text, jsonb)', 'switch_turn(uuid, text, bigint, text)',
        'switch_cut(uuid, text, bigint, text)', 'unconfirmed(uuid, bigint)',
        'switch_observe(uuid, text, bigint, text, bigint)', 'router_beat(text, text, bigint)',
        'router_confirm(text, uuid, bigint)', 'router_leave(text)', 'minute_costs(uuid, integer)',
        'stack_hour(public.voice_ai_stack)', 'switch_facts(uuid, uuid, public.voice_ai_stack)'] loop
        execute format('revoke all on function patchbay.%s from public, anon, authenticated', f);
        execute format('grant execute on function patchbay.%s to service_role, patchbay_service', f);
    end loop;
end
$grants$;
