-- Voices looked after: whose a clone is, what a user may set of a voice, samples heard before a choice, and what became of
-- voices at the vendor, where all tenants share one account.

-- ------------------------------------------------------------------ whose it is

-- Does it look like an id of ElevenLabs? Names of presets do not.
create or replace function patchbay.is_eleven_id(p_voice text) returns boolean
    language sql immutable set search_path = pg_catalog, pg_temp as $fn$
    select p_voice ~ '^[A-Za-z0-9]{15,25}$'
$fn$;

-- Is this voice another user's own? Presets are everybody's, by whatever name a row has them: public.voices calls a row
-- cloned that says nothing, so a clone is only what looks like an id of ElevenLabs. Definer: row level security hides
-- other users' rows from whoever writes, and an answer that hides nothing but a yes is all that is given.
create or replace function patchbay.voice_is_foreign(p_user uuid, p_voice text) returns boolean
    language sql stable security definer set search_path = pg_catalog, pg_temp as $fn$
    select patchbay.is_eleven_id(n.name)
       and not exists (select from patchbay.voice_presets p where p.voice_id = n.name or p.voice_id = p_voice)
       and (exists (select from patchbay.voice_clones k where k.voice_id = n.name and k.user_id <> p_user)
            or exists (select from public.voices v where v.voice_id in (n.name, '11labs-' || n.name) and v.is_cloned
                       and v.user_id <> p_user)
               -- two rows of before anybody looked: who has one keeps it
               and not exists (select from public.voices v where v.voice_id in (n.name, '11labs-' || n.name)
                               and v.is_cloned and v.user_id = p_user))
    from (select patchbay.voice_name(p_voice) as name) n
$fn$;

-- Nobody speaks with another user's clone, whatever wrote the row. Definer: whoever writes may know nothing of schema patchbay.
create or replace function patchbay.guard_voice() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $fn$
begin
    if new.voice_id is not null and (tg_op = 'INSERT' or new.voice_id is distinct from old.voice_id)
       and patchbay.voice_is_foreign(new.user_id, new.voice_id) then
        raise exception 'this voice is another user''s own' using errcode = '42501';
    end if;
    return new;
end
$fn$;
drop trigger if exists zz_patchbay_guard_voice on public.agent_configs;
create trigger zz_patchbay_guard_voice before insert or update of voice_id, user_id on public.agent_configs
    for each row execute function patchbay.guard_voice();

-- Nor does anybody make it his own by writing it down as his.
create or replace function patchbay.guard_own_voice() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $fn$
begin
    if new.is_cloned and new.user_id is not null
       and (tg_op = 'INSERT' or new.voice_id is distinct from old.voice_id or new.user_id is distinct from old.user_id
            or not coalesce(old.is_cloned, false))
       and patchbay.voice_is_foreign(new.user_id, new.voice_id) then
        raise exception 'this voice is another user''s own' using errcode = '42501';
    end if;
    return new;
end
$fn$;
drop trigger if exists zz_patchbay_guard_own_voice on public.voices;
create trigger zz_patchbay_guard_own_voice before insert or update of voice_id, user_id, is_cloned on public.voices
    for each row execute function patchbay.guard_own_voice();

-- As it was, and the word that a voice may not be used: the agent asks again before it speaks.
create or replace function patchbay.voice_settings(p_user uuid, p_voice text, p_parked text) returns jsonb
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select case when patchbay.voice_is_foreign(p_user, p_voice) then '{"refused": true}'::jsonb else (
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
    limit 1) end
$fn$;

-- ------------------------------------------------------------------ tables

alter table patchbay.voice_presets add column if not exists preview_url text;
-- What the vendor calls it; another name here has to be told there.
alter table patchbay.voice_clones add column if not exists vendor_name text;
alter table patchbay.voice_clones add column if not exists rename_at timestamptz;
create index if not exists voice_clones_rename on patchbay.voice_clones (rename_at)
    where state = 'ready' and rename_at is not null;

-- Samples that were paid for once. user_id null: a preset saying the usual sentence, which anybody may hear.
create table if not exists patchbay.voice_previews (
    key text primary key,                      -- sha256 over scope, voice, model, settings and text
    user_id uuid references public.users (id) on delete cascade,
    type text not null,
    audio bytea not null,
    made_at timestamptz not null default now(),
    used_at timestamptz not null default now()
);
create index if not exists voice_previews_used on patchbay.voice_previews (used_at);

-- Voices to be looked for at the vendor: due_at null, nothing to do.
create table if not exists patchbay.voice_checks (
    voice_id text primary key,
    due_at timestamptz,
    why text not null,
    state text not null default 'unknown' check (state in ('unknown', 'there', 'gone', 'doubted')),
    checked_at timestamptz,
    attempts integer not null default 0,
    lease_until timestamptz
);
create index if not exists voice_checks_due on patchbay.voice_checks (due_at) where due_at is not null;

-- The round through all voices: one row, and who is at it.
create table if not exists patchbay.voice_rounds (
    id integer primary key default 1 check (id = 1),
    next_at timestamptz not null default now(),
    lease_by text,
    lease_until timestamptz,
    started_at timestamptz,
    finished_at timestamptz,
    seen integer not null default 0,
    error text
);
insert into patchbay.voice_rounds (id) values (1) on conflict do nothing;

-- At the vendor, with our label on it, and of nobody we know: for a person to look at. Never deleted by us, for another
-- installation may share the account.
create table if not exists patchbay.voice_strays (
    voice_id text primary key,
    name text not null,
    label text not null,
    found_at timestamptz not null default now(),
    seen_at timestamptz not null default now()
);

-- What a user has to know about his voices.
create table if not exists patchbay.voice_notices (
    id uuid primary key default patchbay.uuidv7(),
    user_id uuid not null references public.users (id) on delete cascade,
    agent_config_id uuid,
    voice_id text not null,
    voice_name text not null,
    moved_to text,
    reason text not null,
    made_at timestamptz not null default now(),
    seen_at timestamptz
);
create index if not exists voice_notices_open on patchbay.voice_notices (user_id) where seen_at is null;

do $rights$
declare
    t text;
begin
    foreach t in array array['voice_previews', 'voice_checks', 'voice_rounds', 'voice_strays', 'voice_notices'] loop
        execute format('alter table patchbay.%I enable row level security', t);
        execute format('drop policy if exists service on patchbay.%I', t);
        execute format('create policy service on patchbay.%I to service_role, patchbay_service using (true) with check (true)', t);
        execute format('revoke all on patchbay.%I from anon, authenticated', t);
        execute format('grant select, insert, update, delete on patchbay.%I to service_role, patchbay_service', t);
    end loop;
    drop policy if exists owner_reads on patchbay.voice_notices;
    create policy owner_reads on patchbay.voice_notices for select to authenticated using ((select auth.uid()) = user_id);
    grant select on patchbay.voice_notices to authenticated;
end
$rights$;

-- ------------------------------------------------------------------ which voice at the vendor

-- ElevenLabs' id of whatever is stored; null: none of theirs (OpenAI's, or nothing known by that name).
create or replace function patchbay.eleven_voice(p_voice text) returns text
    language sql stable set search_path = pg_catalog, pg_temp as $fn$
    select case when p_voice ~* '^\s*openai-' then null
                when patchbay.is_eleven_id(n.name) then n.name
                else coalesce((select p.voice_id from patchbay.voice_presets p
                               where p.stack = 'livekit' and p.provider = 'elevenlabs' and lower(p.name) = lower(n.name) limit 1),
                              (select m.to_voice from patchbay.voice_matches m
                               where m.from_stack = 'retell' and lower(m.from_voice) = '11labs-' || lower(n.name)
                                 and m.to_voice !~* '^openai-')) end
    from (select patchbay.voice_name(p_voice) as name) n
$fn$;

-- ------------------------------------------------------------------ settings of a voice

-- What this stack, with this vendor's voice, does something with.
create or replace function patchbay.voice_takes(p_stack public.voice_ai_stack, p_provider text) returns jsonb
    language sql immutable set search_path = pg_catalog, pg_temp as $fn$
    select case when p_stack = 'livekit' and p_provider = 'elevenlabs'
                then '["stability", "similarity_boost", "style", "use_speaker_boost", "speed"]'::jsonb
                else '["speed"]'::jsonb end
$fn$;

create or replace function patchbay.voice_row(p_user uuid, p_voice text) returns public.voices
    language sql stable set search_path = pg_catalog, pg_temp as $fn$
    select x from public.voices x
    where x.user_id = p_user and x.voice_id in (p_voice, patchbay.voice_name(p_voice), '11labs-' || patchbay.voice_name(p_voice))
    order by x.updated_at desc nulls last, x.id limit 1
$fn$;

create or replace function patchbay.voice_values(v public.voices) returns jsonb
    language sql immutable set search_path = pg_catalog, pg_temp as $fn$
    select jsonb_build_object('stability', coalesce(v.stability, 0.5), 'similarity_boost', coalesce(v.similarity_boost, 0.75),
                              'style', coalesce(v.style, 0), 'use_speaker_boost', coalesce(v.use_speaker_boost, true),
                              -- the column takes more than any vendor
                              'speed', greatest(0.7, least(1.2, coalesce(v.voice_speed, 1))))
$fn$;

-- What a user may speak with on the stack that answers his calls: the vendor's presets, and only his own clones; what is
-- set of each, what the stack does with that, and what he has not seen yet.
create or replace function patchbay.voices_of(p_user uuid) returns jsonb
    language sql stable set search_path = pg_catalog, pg_temp as $fn$
    select jsonb_build_object(
        'stack', c.active_voice_stack,
        'current', c.voice_id,
        'can_clone', coalesce(k.supported, false),
        'why_not', case when not coalesce(k.supported, false) then coalesce(k.reason, 'not offered') end,
        'own_text', c.active_voice_stack = 'livekit',
        'notices', coalesce((select jsonb_agg(jsonb_build_object('id', n.id, 'voice_name', n.voice_name, 'reason', n.reason,
                'moved_to', coalesce((select p.name from patchbay.voice_presets p where p.voice_id = n.moved_to limit 1),
                                     n.moved_to), 'made_at', n.made_at) order by n.made_at desc)
            from patchbay.voice_notices n where n.user_id = p_user and n.seen_at is null), '[]'),
        'voices', coalesce((select jsonb_agg(x.voice || jsonb_build_object(
                'settings', patchbay.voice_values(patchbay.voice_row(p_user, x.voice ->> 'voice_id')),
                'takes', patchbay.voice_takes(c.active_voice_stack, x.voice ->> 'provider'))
                order by x.rank, x.voice ->> 'provider', lower(x.voice ->> 'name'))
            from (
                select 1 as rank, jsonb_build_object('voice_id', v.voice_id, 'name', v.voice_name, 'kind', 'own',
                           'provider', 'elevenlabs', 'gender', null, 'accent', null, 'age', null, 'preview', true) as voice
                from public.voices v where v.user_id = p_user and v.is_cloned and coalesce(k.supported, false)
                  and not exists (select from patchbay.voice_presets p where p.voice_id = patchbay.voice_name(v.voice_id))
                union all
                select 2, jsonb_build_object('voice_id', p.voice_id, 'name', p.name, 'kind', 'preset', 'provider', p.provider,
                           'gender', p.gender, 'accent', p.accent, 'age', p.age,
                           'preview', p.stack = 'livekit' or p.preview_url is not null)
                from patchbay.voice_presets p where p.stack = c.active_voice_stack and p.offered
                  and p.provider in ('elevenlabs', 'openai')
            ) x), '[]'))
    from public.agent_configs c
    left join patchbay.stack_capabilities k on k.stack = c.active_voice_stack and k.capability = 'voice_cloning'
    where c.user_id = p_user order by c.created_at, c.id limit 1
$fn$;

-- One voice of those a user may speak with, as in voices_of; null: none of his.
create or replace function patchbay.voice_of(p_user uuid, p_voice text) returns jsonb
    language sql stable set search_path = pg_catalog, pg_temp as $fn$
    select v || jsonb_build_object('stack', o.j -> 'stack', 'own_text', o.j -> 'own_text')
    from (select patchbay.voices_of(p_user) as j offset 0) o, jsonb_array_elements(o.j -> 'voices') v
    where lower(v ->> 'voice_id') = lower(p_voice) or v ->> 'voice_id' = patchbay.voice_name(p_voice)
       or v ->> 'voice_id' = '11labs-' || patchbay.voice_name(p_voice)
    order by v ->> 'voice_id' = p_voice desc limit 1
$fn$;

-- A new name, of a clone; settings, of any voice of his. Null: no such voice; {"error"}: why not.
create or replace function patchbay.voice_change(p_user uuid, p_voice text, p_name text, p_set jsonb) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    v jsonb := patchbay.voice_of(p_user, p_voice);
    kept public.voices;
    before text;
begin
    if v is null then
        return null;
    end if;
    kept := patchbay.voice_row(p_user, v ->> 'voice_id');
    if p_name is not null then
        if v ->> 'kind' <> 'own' then
            return jsonb_build_object('error', 'only a voice of your own has a name of its own');
        end if;
        before := v ->> 'name';
        update public.voices x set voice_name = p_name
        where x.user_id = p_user and x.is_cloned and patchbay.voice_name(x.voice_id) = patchbay.voice_name(v ->> 'voice_id');
        update patchbay.voice_clones k set vendor_name = coalesce(k.vendor_name, k.name), name = p_name, rename_at = now()
        where k.user_id = p_user and k.voice_id = patchbay.voice_name(v ->> 'voice_id') and k.name <> p_name;
        update public.agent_configs c set cloned_voice_name = p_name
        where c.user_id = p_user and patchbay.voice_name(c.cloned_voice_id) = patchbay.voice_name(v ->> 'voice_id');
        if before <> p_name then
            perform patchbay.voice_told('renamed', p_user, patchbay.voice_name(v ->> 'voice_id'),
                                        jsonb_build_object('name', p_name, 'before', before));
        end if;
    end if;
    if p_set is not null then
        if kept.id is null then
            insert into public.voices (user_id, voice_id, voice_name, is_cloned)
            values (p_user, v ->> 'voice_id', v ->> 'name', false) returning * into kept;
        end if;
        update public.voices x set
            stability = coalesce((p_set ->> 'stability')::numeric, x.stability),
            similarity_boost = coalesce((p_set ->> 'similarity_boost')::numeric, x.similarity_boost),
            style = coalesce((p_set ->> 'style')::numeric, x.style),
            use_speaker_boost = coalesce((p_set ->> 'use_speaker_boost')::boolean, x.use_speaker_boost),
            voice_speed = coalesce((p_set ->> 'speed')::numeric, x.voice_speed)
        where x.id = kept.id;
    end if;
    return patchbay.voice_of(p_user, p_voice);
end
$fn$;

-- ------------------------------------------------------------------ previews

-- How a voice is heard: {"error", "message"}; or the sample there is ("audio", base64); or what to ask whom for ("ask":
-- elevenlabs, openai, fetch). p_text null: the usual sentence. Null: no such voice of his.
create or replace function patchbay.preview_of(p_user uuid, p_voice text, p_text text, p_set jsonb, p_model text) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    usual constant text := 'Hello, this is how I sound on the phone. How can I help you today?';
    v jsonb := patchbay.voice_of(p_user, p_voice);
    ask jsonb;
    owner uuid := p_user;
    said text := coalesce(p_text, usual);
    settings jsonb;
    k text;
    kept patchbay.voice_previews;
begin
    if v is null then
        return null;
    end if;
    if not (v ->> 'preview')::boolean then
        return jsonb_build_object('error', 'not_found', 'message', 'the vendor has no sample of this voice');
    end if;
    if p_text is not null and not (v ->> 'own_text')::boolean then
        return jsonb_build_object('error', 'conflict', 'message', 'on this stack a voice is heard with the vendor''s own sample');
    end if;
    settings := (v -> 'settings') || coalesce(p_set, '{}');
    select jsonb_object_agg(e.key, e.value) into settings from jsonb_each(settings) e where v -> 'takes' ? e.key;
    if v ->> 'stack' = 'retell' then
        ask := jsonb_build_object('ask', 'fetch', 'url', (select p.preview_url from patchbay.voice_presets p
                                                          where p.stack = 'retell' and p.voice_id = v ->> 'voice_id'));
        settings := '{}';
        said := ask ->> 'url';
        owner := null;
    else
        ask := jsonb_build_object('ask', v ->> 'provider', 'settings', settings, 'text', said,
            'voice', case v ->> 'provider' when 'openai' then lower(patchbay.voice_name(v ->> 'voice_id'))
                                           else patchbay.eleven_voice(v ->> 'voice_id') end);
        if v ->> 'kind' = 'preset' and p_text is null then
            owner := null;
        end if;
    end if;
    k := encode(sha256(convert_to(concat_ws('|', coalesce(owner::text, ''), v ->> 'stack', v ->> 'voice_id', p_model, settings, said),
                                  'UTF8')), 'hex');
    update patchbay.voice_previews x set used_at = now() where x.key = k returning * into kept;
    if kept.key is not null then
        return jsonb_build_object('key', k, 'type', kept.type, 'audio', translate(encode(kept.audio, 'base64'), E'\n', ''));
    end if;
    return ask || jsonb_build_object('key', k, 'owner', owner);
end
$fn$;

-- Kept; the least used go beyond p_max bytes.
create or replace function patchbay.preview_keep(p_key text, p_owner uuid, p_type text, p_audio text, p_max bigint) returns bigint
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    n bigint;
begin
    insert into patchbay.voice_previews (key, user_id, type, audio)
    select p_key, p_owner, p_type, decode(p_audio, 'base64')
    where p_owner is null or exists (select from public.users u where u.id = p_owner)
    on conflict (key) do update set used_at = now();
    delete from patchbay.voice_previews d using (
        select x.key, sum(octet_length(x.audio)) over (order by x.used_at desc, x.key) as total from patchbay.voice_previews x
    ) o where o.key = d.key and o.total > p_max;
    get diagnostics n = row_count;
    return n;
end
$fn$;

-- Where the vendor's own samples are, from its list.
create or replace function patchbay.put_retell_previews(p_list jsonb) returns integer
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    n integer;
begin
    update patchbay.voice_presets p set preview_url = v.url
    from (select x ->> 'voice_id' as id, nullif(x ->> 'preview_audio_url', '') as url from jsonb_array_elements(p_list) x) v
    where p.stack = 'retell' and p.voice_id = v.id and p.preview_url is distinct from v.url;
    get diagnostics n = row_count;
    return n;
end
$fn$;

-- ------------------------------------------------------------------ voices the vendor has no more

-- Who speaks instead of a voice that is gone: the nearest preset for a preset, the fallback for a clone.
create or replace function patchbay.voice_instead(p_voice text, p_fallback text) returns text
    language sql stable set search_path = pg_catalog, pg_temp as $fn$
    select x.voice_id from (
        select s.voice_id, 1 as rank, s.gender is not distinct from p.gender as g, s.accent is not distinct from p.accent as a,
               s.age is not distinct from p.age as b
        from patchbay.voice_presets p join patchbay.voice_presets s on s.stack = 'livekit' and s.provider = 'elevenlabs' and s.offered
        where p.stack = 'livekit' and p.voice_id = p_voice and s.voice_id <> p_voice
        union all select p_fallback, 2, true, true, true where p_fallback <> p_voice
        union all select s.voice_id, 3, true, true, true from patchbay.voice_presets s
        where s.stack = 'livekit' and s.provider = 'elevenlabs' and s.offered and s.voice_id <> p_voice
    ) x order by x.rank, x.g desc, x.a desc, x.b desc, x.voice_id limit 1
$fn$;

-- Agents that speak with it move, their users are told. How many agents moved.
create or replace function patchbay.voice_gone(p_voice text, p_fallback text, p_why text) returns integer
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    other text := patchbay.voice_instead(p_voice, p_fallback);
    mine record;
    n integer := 0;
begin
    for mine in
        select c.user_id, c.id as config, coalesce(
                   (select v.voice_name from public.voices v where v.user_id = c.user_id
                    and v.voice_id in (p_voice, '11labs-' || p_voice) order by v.updated_at desc nulls last limit 1),
                   (select p.name from patchbay.voice_presets p where p.voice_id = p_voice limit 1), p_voice) as name
        from public.agent_configs c
        where c.active_voice_stack = 'livekit' and patchbay.eleven_voice(c.voice_id) = p_voice
        order by c.user_id, c.id
    loop
        update public.agent_configs c set voice_id = other,
            cloned_voice_id = case when patchbay.voice_name(c.cloned_voice_id) = p_voice then null else c.cloned_voice_id end,
            cloned_voice_name = case when patchbay.voice_name(c.cloned_voice_id) = p_voice then null else c.cloned_voice_name end
        where c.id = mine.config;
        insert into patchbay.voice_notices (user_id, agent_config_id, voice_id, voice_name, moved_to, reason)
        values (mine.user_id, mine.config, p_voice, mine.name, other, p_why);
        perform patchbay.voice_told('unavailable', mine.user_id, p_voice, jsonb_build_object(
            'stack', 'livekit', 'agent_config_id', mine.config, 'reason', p_why, 'name', mine.name, 'moved_to', other));
        n := n + 1;
    end loop;
    -- Users who have it and do not speak with it just now.
    insert into patchbay.voice_notices (user_id, voice_id, voice_name, reason)
    select distinct on (v.user_id) v.user_id, p_voice, v.voice_name, p_why from public.voices v
    where v.is_cloned and v.user_id is not null and v.voice_id in (p_voice, '11labs-' || p_voice)
      and not exists (select from patchbay.voice_notices x where x.user_id = v.user_id and x.voice_id = p_voice and x.seen_at is null);
    delete from public.voices v where v.is_cloned and v.voice_id in (p_voice, '11labs-' || p_voice);
    update patchbay.voice_clones k set state = 'gone', error = p_why, changed_at = now()
    where k.voice_id = p_voice and k.state in ('ready', 'leaving');
    update patchbay.voice_presets p set offered = false
    where p.stack = 'livekit' and p.voice_id = p_voice and p.offered;
    return n;
end
$fn$;

-- Look for the voices of this user's agents, soon: a call could not speak with one; or for p_voice.
create or replace function patchbay.voice_doubt(p_user uuid, p_voice text, p_why text) returns integer
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    n integer;
begin
    insert into patchbay.voice_checks as k (voice_id, due_at, why)
    select distinct x.voice, now(), p_why from (
        select patchbay.eleven_voice(c.voice_id) as voice from public.agent_configs c
        where c.user_id = p_user and c.active_voice_stack = 'livekit'
        union all select patchbay.eleven_voice(p_voice)
    ) x where x.voice is not null
    on conflict (voice_id) do update set due_at = now(), why = excluded.why, attempts = 0
        -- a hundred calls with one voice ask once a minute
        where k.checked_at is null or k.checked_at < now() - interval '1 minute';
    get diagnostics n = row_count;
    return n;
end
$fn$;

-- A round begins, or goes on where a replica died: true, it is p_who's. Every voice in use is to be seen in it.
create or replace function patchbay.voice_round_claim(p_who text, p_seconds integer) returns boolean
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
begin
    update patchbay.voice_rounds r set lease_by = p_who, lease_until = now() + make_interval(secs => p_seconds),
        started_at = now(), seen = 0
    where r.id = 1 and r.next_at <= now() and coalesce(r.lease_until, '-infinity') < now();
    return found;
end
$fn$;

-- One page of the vendor's clones; the lease goes on.
create or replace function patchbay.voice_round_page(p_who text, p_seconds integer, p_page jsonb) returns boolean
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
begin
    update patchbay.voice_rounds r set lease_until = now() + make_interval(secs => p_seconds),
        seen = r.seen + jsonb_array_length(p_page)
    where r.id = 1 and r.lease_by = p_who and r.lease_until > now();
    if not found then
        return false;
    end if;
    insert into patchbay.voice_checks as k (voice_id, why, state, checked_at)
    select distinct v ->> 'voice_id', 'round', 'there', now() from jsonb_array_elements(p_page) v
    where exists (select from patchbay.voice_clones c where c.voice_id = v ->> 'voice_id')
       or exists (select from public.voices x where x.voice_id in (v ->> 'voice_id', '11labs-' || (v ->> 'voice_id')))
    on conflict (voice_id) do update set state = 'there', checked_at = now(), due_at = null, attempts = 0;
    insert into patchbay.voice_strays as s (voice_id, name, label)
    select distinct on (v ->> 'voice_id') v ->> 'voice_id', coalesce(v ->> 'name', ''), v ->> 'description'
    from jsonb_array_elements(p_page) v
    where v ->> 'description' ~ '^patchbay [0-9a-f-]{36}$'
      and not exists (select from patchbay.voice_clones c where c.voice_id = v ->> 'voice_id'
                      or c.id::text = substr(v ->> 'description', 10))
      and not exists (select from public.voices x where x.voice_id in (v ->> 'voice_id', '11labs-' || (v ->> 'voice_id')))
    on conflict (voice_id) do update set seen_at = now(), name = excluded.name;
    return true;
end
$fn$;

-- The round is over (p_error null) or is tried again in ten minutes: {"strays", "to_check"}. Voices in use the list did not
-- have are asked for one by one: it holds clones only.
create or replace function patchbay.voice_round_done(p_who text, p_every_ms bigint, p_error text) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    began timestamptz;
    n integer := 0;
begin
    update patchbay.voice_rounds r set finished_at = now(), error = left(p_error, 500), lease_by = null, lease_until = null,
        next_at = now() + case when p_error is null then make_interval(secs => p_every_ms / 1000.0)
                               else least(make_interval(secs => p_every_ms / 1000.0), interval '10 minutes') end
    where r.id = 1 and r.lease_by = p_who returning r.started_at into began;
    if not found then
        return null;
    end if;
    if p_error is null then
        delete from patchbay.voice_strays s where s.seen_at < began;
        insert into patchbay.voice_checks as k (voice_id, due_at, why)
        select distinct x.voice, now(), 'round' from (
            select patchbay.eleven_voice(c.voice_id) as voice from public.agent_configs c where c.active_voice_stack = 'livekit'
            union all select k.voice_id from patchbay.voice_clones k where k.state = 'ready'
            union all select patchbay.voice_name(v.voice_id) from public.voices v where v.is_cloned
                and patchbay.is_eleven_id(patchbay.voice_name(v.voice_id))
        ) x where x.voice is not null
        on conflict (voice_id) do update set due_at = now(), why = 'round', attempts = 0
            where k.checked_at is null or k.checked_at < began;
        get diagnostics n = row_count;
        delete from patchbay.voice_checks k where k.due_at is null and k.checked_at < now() - interval '30 days';
    end if;
    return jsonb_build_object('to_check', n, 'strays', (select count(*) from patchbay.voice_strays));
end
$fn$;

-- The next voice to ask the vendor for; null: none.
create or replace function patchbay.voice_check_claim(p_seconds integer) returns text
    language sql set search_path = pg_catalog, pg_temp as $fn$
    update patchbay.voice_checks k set lease_until = now() + make_interval(secs => p_seconds), attempts = k.attempts + 1
    where k.voice_id = (select x.voice_id from patchbay.voice_checks x
                        where x.due_at <= now() and coalesce(x.lease_until, '-infinity') < now()
                        order by x.due_at limit 1 for update skip locked)
    returning k.voice_id
$fn$;

-- What the vendor said: 'there', 'gone', or null (no answer: asked again, later each time). {"state", "moved"}. When more
-- voices have gone within the hour than are left, it is the account that is another one, not the voices: nobody is moved.
create or replace function patchbay.voice_check_told(p_voice text, p_state text, p_fallback text) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    k patchbay.voice_checks;
    reason text;
    gone integer;
    there integer;
    moved integer := 0;
begin
    -- One after the other: what is counted here must not change meanwhile.
    perform pg_advisory_xact_lock(hashtextextended('voice_checks', 0));
    select * into k from patchbay.voice_checks x where x.voice_id = p_voice for update;
    if not found then
        return null;
    end if;
    if p_state is null then
        update patchbay.voice_checks x set lease_until = null,
            due_at = now() + least(power(2, x.attempts), 3600) * interval '1 second' where x.voice_id = p_voice;
        return jsonb_build_object('state', 'unknown', 'moved', 0);
    end if;
    if p_state = 'gone' then
        select count(*) filter (where x.state in ('gone', 'doubted') and x.checked_at > now() - interval '1 hour'),
               count(*) filter (where x.state = 'there')
        into gone, there from patchbay.voice_checks x where x.voice_id <> p_voice;
        if gone >= 3 and gone > there then
            p_state := 'doubted';
        end if;
    end if;
    update patchbay.voice_checks x set state = p_state, checked_at = now(), due_at = null, attempts = 0, lease_until = null
    where x.voice_id = p_voice;
    if p_state = 'gone' then
        reason := case k.why when 'round' then 'the vendor has it no more'
                             else 'a call could not speak with it, and the vendor has it no more' end;
        moved := patchbay.voice_gone(p_voice, p_fallback, reason);
    elsif p_state = 'there' then
        update patchbay.voice_presets p set offered = true where p.stack = 'livekit' and p.voice_id = p_voice and not p.offered;
    end if;
    return jsonb_build_object('state', p_state, 'moved', moved);
end
$fn$;

-- For admins: the last round, and what it found.
create or replace function patchbay.voice_care() returns jsonb
    language sql stable set search_path = pg_catalog, pg_temp as $fn$
    select jsonb_build_object(
        'next_at', r.next_at, 'started_at', r.started_at, 'finished_at', r.finished_at, 'seen', r.seen, 'error', r.error,
        'checks', (select coalesce(jsonb_object_agg(x.state, x.n), '{}') from (
            select k.state, count(*) as n from patchbay.voice_checks k group by k.state) x),
        'strays', (select coalesce(jsonb_agg(to_jsonb(s) order by s.found_at), '[]') from (
            select * from patchbay.voice_strays order by found_at limit 500) s))
    from patchbay.voice_rounds r where r.id = 1
$fn$;

do $rights$
declare
    f text;
begin
    foreach f in array array['is_eleven_id(text)', 'voice_is_foreign(uuid, text)', 'eleven_voice(text)',
            'voice_takes(public.voice_ai_stack, text)',
            'voice_row(uuid, text)', 'voice_values(public.voices)', 'voices_of(uuid)', 'voice_of(uuid, text)',
            'voice_change(uuid, text, text, jsonb)', 'preview_of(uuid, text, text, jsonb, text)',
            'preview_keep(text, uuid, text, text, bigint)', 'put_retell_previews(jsonb)', 'voice_instead(text, text)',
            'voice_gone(text, text, text)', 'voice_doubt(uuid, text, text)', 'voice_round_claim(text, integer)',
            'voice_round_page(text, integer, jsonb)', 'voice_round_done(text, bigint, text)', 'voice_check_claim(integer)',
            'voice_check_told(text, text, text)', 'voice_care()', 'guard_voice()', 'guard_own_voice()'] loop
        execute format('revoke all on function patchbay.%s from public', f);
        execute format('grant execute on function patchbay.%s to service_role, patchbay_service', f);
    end loop;
end
$rights$;
