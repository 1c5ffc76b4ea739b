-- Voices people have made of their own. public.voices has those that can be used; this table remembers how each came
-- about: who agreed, to what, and what became of it at the vendor, where all tenants share one account.

create table if not exists patchbay.voice_clones (
    id uuid primary key,
    user_id uuid not null references public.users (id) on delete cascade,
    state text not null default 'asked' check (state in ('asked', 'ready', 'failed', 'leaving', 'gone')),
    name text not null check (length(name) between 1 and 80),
    voice_id text unique,                      -- the vendor's, once it has answered
    sample_type text not null,
    sample_bytes bigint not null,
    sample_ms bigint,
    sample_sha256 text not null,
    consent_text text not null check (consent_text <> ''),
    consent_by text not null,                  -- whose token said so
    consent_at timestamptz not null default now(),
    error text,
    created_at timestamptz not null default now(),
    changed_at timestamptz not null default now()
);
create index if not exists voice_clones_user on patchbay.voice_clones (user_id, created_at desc);
create index if not exists voice_clones_open on patchbay.voice_clones (changed_at) where state in ('asked', 'leaving');

alter table patchbay.voice_clones enable row level security;
drop policy if exists service on patchbay.voice_clones;
create policy service on patchbay.voice_clones to service_role, patchbay_service using (true) with check (true);
drop policy if exists owner_reads on patchbay.voice_clones;
create policy owner_reads on patchbay.voice_clones for select to authenticated using ((select auth.uid()) = user_id);
revoke all on patchbay.voice_clones from anon, authenticated;
grant select, insert, update, delete on patchbay.voice_clones to service_role, patchbay_service;
grant select on patchbay.voice_clones to authenticated;
grant select, insert, update, delete on public.voices to service_role, patchbay_service;

create or replace function patchbay.voice_told(p_event text, p_user uuid, p_voice text, p_data jsonb) returns void
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    event_id uuid := patchbay.uuidv7();
    subj text := format('pat.voice.v1.%s.%s.%s', p_event, p_user, regexp_replace(p_voice, '[^A-Za-z0-9_-]', '_', 'g'));
begin
    insert into patchbay.outbox (id, subject, payload) values (event_id, subj, jsonb_build_object(
        'specversion', '1.0', 'id', event_id, 'source', '/patchbay/stack-switcher', 'type', 'pat.voice.v1.' || p_event,
        'subject', p_voice, 'time', to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
        'datacontenttype', 'application/json', 'userid', p_user,
        'data', jsonb_build_object('user_id', p_user, 'voice_id', p_voice) || p_data));
    perform pg_notify('patchbay_outbox', subj);
end
$fn$;

-- May this user have a voice made? {"id"}: it is written down and may be asked for; {"error", "message"}: why not.
-- p: id, user_id, name, sample_*, consent_text, consent_by, max.
create or replace function patchbay.clone_begin(p jsonb) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    cap patchbay.stack_capabilities;
    have integer;
begin
    -- One user's requests one after the other: two at once must not both be the last one allowed.
    perform pg_advisory_xact_lock(hashtextextended('voice_clones ' || (p ->> 'user_id'), 0));
    select k.* into cap from public.agent_configs c
    join patchbay.stack_capabilities k on k.stack = c.active_voice_stack and k.capability = 'voice_cloning'
    where c.user_id = (p ->> 'user_id')::uuid order by c.created_at, c.id limit 1;
    if cap is null then
        return jsonb_build_object('error', 'not_found', 'message', 'no such user, or no agent of his');
    end if;
    if not cap.supported then
        return jsonb_build_object('error', 'conflict', 'message',
                                  'no voices of your own on this stack: ' || coalesce(cap.reason, cap.stack::text));
    end if;
    select count(*) into have from patchbay.voice_clones x where x.user_id = (p ->> 'user_id')::uuid
        and (x.state in ('ready', 'leaving') or x.state = 'asked' and x.changed_at > now() - interval '15 minutes');
    if have >= (p ->> 'max')::integer then
        return jsonb_build_object('error', 'conflict', 'message', format('at most %s voices of your own', p ->> 'max'));
    end if;
    insert into patchbay.voice_clones (id, user_id, name, sample_type, sample_bytes, sample_ms, sample_sha256,
                                       consent_text, consent_by)
    select (p ->> 'id')::uuid, (p ->> 'user_id')::uuid, p ->> 'name', p ->> 'sample_type', (p ->> 'sample_bytes')::bigint,
           (p ->> 'sample_ms')::bigint, p ->> 'sample_sha256', p ->> 'consent_text', p ->> 'consent_by';
    return jsonb_build_object('id', p ->> 'id');
end
$fn$;

-- The vendor has made it. The agents of the user speak with it from the next call on, when he wants that.
create or replace function patchbay.clone_made(p_id uuid, p_voice text, p_use boolean) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    k patchbay.voice_clones;
begin
    update patchbay.voice_clones set state = 'ready', voice_id = p_voice, error = null, changed_at = now()
    where id = p_id and state = 'asked' returning * into k;
    if not found then
        return null;
    end if;
    insert into public.voices (user_id, voice_id, voice_name, is_cloned) values (k.user_id, p_voice, k.name, true);
    if p_use then
        update public.agent_configs c set voice_id = p_voice, cloned_voice_id = p_voice, cloned_voice_name = k.name
        where c.user_id = k.user_id;
    end if;
    perform patchbay.voice_told('cloned', k.user_id, p_voice, jsonb_build_object('name', k.name, 'used', p_use));
    return jsonb_build_object('id', k.id, 'voice_id', p_voice, 'name', k.name, 'state', 'ready');
end
$fn$;

-- A voice of the user's own goes: first nobody speaks with it any more, then it leaves the vendor (state leaving, until
-- the vendor has said so). Agents that used it get the fallback. Null: not his, or none.
create or replace function patchbay.voice_leave(p_user uuid, p_voice text, p_fallback text, p_reason text) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    v public.voices;
    moved integer;
begin
    delete from public.voices x where x.user_id = p_user and x.is_cloned
        and patchbay.voice_name(x.voice_id) = patchbay.voice_name(p_voice) returning * into v;
    if not found then
        return null;
    end if;
    update public.agent_configs c set voice_id = p_fallback, cloned_voice_id = null, cloned_voice_name = null
    where c.user_id = p_user and patchbay.voice_name(c.voice_id) = patchbay.voice_name(p_voice);
    get diagnostics moved = row_count;
    -- One that came about before us has no row yet.
    insert into patchbay.voice_clones as k (id, user_id, state, name, voice_id, sample_type, sample_bytes, sample_sha256,
                                            consent_text, consent_by)
    values (patchbay.uuidv7(), p_user, 'leaving', v.voice_name, patchbay.voice_name(v.voice_id), 'unknown', 0, '',
            'made before consent was kept', 'unknown')
    on conflict (voice_id) do update set state = case when k.state = 'gone' then 'gone' else 'leaving' end, changed_at = now();
    perform patchbay.voice_told('deleted', p_user, patchbay.voice_name(v.voice_id),
                                jsonb_build_object('name', v.voice_name, 'reason', p_reason, 'agents_moved', moved));
    return jsonb_build_object('voice_id', patchbay.voice_name(v.voice_id), 'agents_moved', moved);
end
$fn$;

-- What a user may speak with on the stack that answers his calls: the vendor's presets, and only his own clones.
create or replace function patchbay.voices_of(p_user uuid) returns jsonb
    language sql stable set search_path = pg_catalog, pg_temp as $fn$
    select jsonb_build_object(
        'stack', c.active_voice_stack,
        'current', c.voice_id,
        'can_clone', coalesce(k.supported, false),
        'why_not', case when not coalesce(k.supported, false) then coalesce(k.reason, 'not offered') end,
        'voices', coalesce((select jsonb_agg(x.voice order by x.rank, x.voice ->> 'provider', lower(x.voice ->> 'name'))
            from (
                select 1 as rank, jsonb_build_object('voice_id', v.voice_id, 'name', v.voice_name, 'kind', 'own',
                           'provider', 'elevenlabs', 'gender', null, 'accent', null, 'age', null) as voice
                from public.voices v where v.user_id = p_user and v.is_cloned and coalesce(k.supported, false)
                union all
                select 2, jsonb_build_object('voice_id', p.voice_id, 'name', p.name, 'kind', 'preset', 'provider', p.provider,
                           'gender', p.gender, 'accent', p.accent, 'age', p.age)
                from patchbay.voice_presets p where p.stack = c.active_voice_stack and p.offered
                  and p.provider in ('elevenlabs', 'openai')
            ) x), '[]'))
    from public.agent_configs c
    left join patchbay.stack_capabilities k on k.stack = c.active_voice_stack and k.capability = 'voice_cloning'
    where c.user_id = p_user order by c.created_at, c.id limit 1
$fn$;

do $rights$
declare
    f text;
begin
    foreach f in array array['voice_told(text, uuid, text, jsonb)', 'clone_begin(jsonb)', 'clone_made(uuid, text, boolean)',
                             'voice_leave(uuid, text, text, text)', 'voices_of(uuid)'] loop
        execute format('revoke all on function patchbay.%s from public', f);
        execute format('grant execute on function patchbay.%s to service_role, patchbay_service', f);
    end loop;
end
$rights$;
