-- Agents at Retell made from stored settings, the voices of both stacks, and what each stack can do.
--
-- A row of patchbay.retell_agents is what we know of one agent there: which version calls are registered with, what that
-- version was made of, and a draft that is being written. The retell-provider claims a row for as long as it works on it,
-- so that any replica may go on where another one stopped. Voices are data: their names are the vendors', gender, accent
-- and age are what decides which voice stands in for another on the other stack.

-- ------------------------------------------------------------------ voices
create table if not exists patchbay.voice_presets (
    stack public.voice_ai_stack not null,
    voice_id text not null,                    -- as that stack names it
    name text not null,
    provider text not null,
    gender text check (gender in ('male', 'female')),
    accent text,
    age text,
    offered boolean not null default true,     -- the vendor's own list has it
    checked_at timestamptz,                    -- when that was looked up; null: never
    primary key (stack, voice_id)
);

-- Which voice of the other stack stands in for one of this: exact is the same voice, near one of the same gender, accent
-- and age, lossy anything else.
create table if not exists patchbay.voice_matches (
    from_stack public.voice_ai_stack not null,
    from_voice text not null,
    to_voice text not null,
    grade text not null check (grade in ('exact', 'near', 'lossy')),
    primary key (from_stack, from_voice)
);

insert into patchbay.voice_presets (stack, voice_id, name, provider, gender, accent, age) values
    ('retell', '11labs-Adrian', 'Adrian', 'elevenlabs', 'male', 'American', 'young'),
    ('retell', '11labs-Amy', 'Amy', 'elevenlabs', 'female', 'British', 'young'),
    ('retell', '11labs-Anna', 'Anna', 'elevenlabs', 'female', 'American', 'young'),
    ('retell', '11labs-Anthony', 'Anthony', 'elevenlabs', 'male', 'British', 'middle aged'),
    ('retell', '11labs-Billy', 'Billy', 'elevenlabs', 'male', 'American', 'young'),
    ('retell', '11labs-Bing', 'Bing', 'elevenlabs', 'male', 'American', 'young'),
    ('retell', '11labs-Brian', 'Brian', 'elevenlabs', 'male', 'American', 'middle aged'),
    ('retell', '11labs-Chloe', 'Chloe', 'elevenlabs', 'female', 'American', 'young'),
    ('retell', '11labs-Dorothy', 'Dorothy', 'elevenlabs', 'female', 'British', 'young'),
    ('retell', '11labs-Ethan', 'Ethan', 'elevenlabs', 'male', 'American', 'young'),
    ('retell', '11labs-Gilfoy', 'Gilfoy', 'elevenlabs', 'male', 'American', 'young'),
    ('retell', '11labs-Grace', 'Grace', 'elevenlabs', 'female', 'American', 'young'),
    ('retell', '11labs-Jason', 'Jason', 'elevenlabs', 'male', 'American', 'middle aged'),
    ('retell', '11labs-Jenny', 'Jenny', 'elevenlabs', 'female', 'American', 'young'),
    ('retell', '11labs-Joe', 'Joe', 'elevenlabs', 'male', 'American', 'middle aged'),
    ('retell', '11labs-John', 'John', 'elevenlabs', 'male', 'American', 'old'),
    ('retell', '11labs-Julia', 'Julia', 'elevenlabs', 'female', 'American', 'young'),
    ('retell', '11labs-Kate', 'Kate', 'elevenlabs', 'female', 'American', 'young'),
    ('retell', '11labs-Lily', 'Lily', 'elevenlabs', 'female', 'British', 'middle aged'),
    ('retell', '11labs-Lucas', 'Lucas', 'elevenlabs', 'male', 'American', 'young'),
    ('retell', '11labs-Marissa', 'Marissa', 'elevenlabs', 'female', 'American', 'young'),
    ('retell', '11labs-Max', 'Max', 'elevenlabs', 'male', 'American', 'young'),
    ('retell', '11labs-Noah', 'Noah', 'elevenlabs', 'male', 'Australian', 'young'),
    ('retell', '11labs-Paul', 'Paul', 'elevenlabs', 'male', 'American', 'middle aged'),
    ('retell', '11labs-Samad', 'Samad', 'elevenlabs', 'male', 'Indian', 'young'),
    ('retell', '11labs-Steve', 'Steve', 'elevenlabs', 'male', 'American', 'middle aged'),
    ('retell', '11labs-Susan', 'Susan', 'elevenlabs', 'female', 'American', 'middle aged'),
    ('retell', '11labs-victoria', 'victoria', 'elevenlabs', 'female', 'American', 'middle aged'),
    ('retell', '11labs-Zuri', 'Zuri', 'elevenlabs', 'female', 'American', 'young'),
    ('retell', 'openai-Alloy', 'Alloy', 'openai', 'female', 'American', 'young'),
    ('livekit', 'openai-alloy', 'Alloy', 'openai', 'female', 'American', 'young'),
    ('retell', 'openai-Echo', 'Echo', 'openai', 'male', 'American', 'young'),
    ('livekit', 'openai-echo', 'Echo', 'openai', 'male', 'American', 'young'),
    ('retell', 'openai-Fable', 'Fable', 'openai', 'male', 'British', 'young'),
    ('livekit', 'openai-fable', 'Fable', 'openai', 'male', 'British', 'young'),
    ('retell', 'openai-Nova', 'Nova', 'openai', 'female', 'American', 'young'),
    ('livekit', 'openai-nova', 'Nova', 'openai', 'female', 'American', 'young'),
    ('retell', 'openai-Onyx', 'Onyx', 'openai', 'male', 'American', 'middle aged'),
    ('livekit', 'openai-onyx', 'Onyx', 'openai', 'male', 'American', 'middle aged'),
    ('retell', 'openai-Shimmer', 'Shimmer', 'openai', 'female', 'American', 'young'),
    ('livekit', 'openai-shimmer', 'Shimmer', 'openai', 'female', 'American', 'young'),
    ('livekit', 'pNInz6obpgDQGcFmaJgB', 'Adam', 'elevenlabs', 'male', 'American', 'middle aged'),
    ('livekit', 'Xb7hH8MSUJpSbSDYk0k2', 'Alice', 'elevenlabs', 'female', 'British', 'middle aged'),
    ('livekit', 'hpp4J3VqNfWAUOO0d1Us', 'Bella', 'elevenlabs', 'female', 'American', 'young'),
    ('livekit', 'pqHfZKP75CvOlQylNhV4', 'Bill', 'elevenlabs', 'male', 'American', 'old'),
    ('livekit', 'nPczCjzI2devNBz1zQrb', 'Brian', 'elevenlabs', 'male', 'American', 'middle aged'),
    ('livekit', 'N2lVS1w4EtoT3dr4eOWO', 'Callum', 'elevenlabs', 'male', 'American', 'young'),
    ('livekit', 'IKne3meq5aSn9XLyUdCD', 'Charlie', 'elevenlabs', 'male', 'Australian', 'young'),
    ('livekit', 'iP95p4xoKVk53GoZ742B', 'Chris', 'elevenlabs', 'male', 'American', 'middle aged'),
    ('livekit', 'onwK4e9ZLuTAKqWW03F9', 'Daniel', 'elevenlabs', 'male', 'British', 'middle aged'),
    ('livekit', 'MF3mGyEYCl7XYWbV9V6O', 'Elli', 'elevenlabs', 'female', 'American', 'young'),
    ('livekit', 'cjVigY5qzO86Huf0OWal', 'Eric', 'elevenlabs', 'male', 'American', 'middle aged'),
    ('livekit', 'JBFqnCBsd6RMkjVDRZzb', 'George', 'elevenlabs', 'male', 'British', 'middle aged'),
    ('livekit', 'SOYHLrjzK2X1ezoPC6cr', 'Harry', 'elevenlabs', 'male', 'American', 'young'),
    ('livekit', 'cgSgspJ2msm6clMCkdW9', 'Jessica', 'elevenlabs', 'female', 'American', 'young'),
    ('livekit', 'TxGEqnHWrfWFTfGW9XjX', 'Josh', 'elevenlabs', 'male', 'American', 'young'),
    ('livekit', 'FGY2WhTYpPnrIDTdsKH5', 'Laura', 'elevenlabs', 'female', 'American', 'young'),
    ('livekit', 'TX3LPaxmHKxFdv7VOQHJ', 'Liam', 'elevenlabs', 'male', 'American', 'young'),
    ('livekit', 'pFZP5JQG7iQjIQuC4Bku', 'Lily', 'elevenlabs', 'female', 'British', 'middle aged'),
    ('livekit', 'XrExE9yKIg1WjnnlVkGX', 'Matilda', 'elevenlabs', 'female', 'American', 'middle aged'),
    ('livekit', 'SAz9YHcvj6GT2YYXdXww', 'River', 'elevenlabs', null, 'American', 'middle aged'),
    ('livekit', 'CwhRBWXzGAHq8TQ4Fs17', 'Roger', 'elevenlabs', 'male', 'American', 'middle aged'),
    ('livekit', 'EXAVITQu4vr4xnSDxMaL', 'Sarah', 'elevenlabs', 'female', 'American', 'young'),
    ('livekit', 'bIHbv24MWmeRgasZH58o', 'Will', 'elevenlabs', 'male', 'American', 'young'),
    ('livekit', 'openai-ash', 'Ash', 'openai', 'male', 'American', null),
    ('livekit', 'openai-ballad', 'Ballad', 'openai', 'male', 'American', null),
    ('livekit', 'openai-cedar', 'Cedar', 'openai', 'male', 'American', null),
    ('livekit', 'openai-coral', 'Coral', 'openai', 'female', 'American', null),
    ('livekit', 'openai-marin', 'Marin', 'openai', 'female', 'American', null),
    ('livekit', 'openai-sage', 'Sage', 'openai', 'female', 'American', null),
    ('livekit', 'openai-verse', 'Verse', 'openai', 'male', 'American', null)
on conflict do nothing;

insert into patchbay.voice_matches (from_stack, from_voice, to_voice, grade) values
    ('retell', '11labs-Adrian', 'CwhRBWXzGAHq8TQ4Fs17', 'near'),
    ('retell', '11labs-Amy', 'Xb7hH8MSUJpSbSDYk0k2', 'near'),
    ('retell', '11labs-Anna', 'EXAVITQu4vr4xnSDxMaL', 'near'),
    ('retell', '11labs-Anthony', 'cjVigY5qzO86Huf0OWal', 'lossy'),
    ('retell', '11labs-Billy', 'bIHbv24MWmeRgasZH58o', 'near'),
    ('retell', '11labs-Bing', 'TX3LPaxmHKxFdv7VOQHJ', 'near'),
    ('retell', '11labs-Brian', 'nPczCjzI2devNBz1zQrb', 'exact'),
    ('retell', '11labs-Chloe', 'FGY2WhTYpPnrIDTdsKH5', 'near'),
    ('retell', '11labs-Dorothy', 'pFZP5JQG7iQjIQuC4Bku', 'near'),
    ('retell', '11labs-Ethan', 'TX3LPaxmHKxFdv7VOQHJ', 'near'),
    ('retell', '11labs-Gilfoy', 'N2lVS1w4EtoT3dr4eOWO', 'near'),
    ('retell', '11labs-Grace', 'XrExE9yKIg1WjnnlVkGX', 'near'),
    ('retell', '11labs-Jason', 'iP95p4xoKVk53GoZ742B', 'near'),
    ('retell', '11labs-Jenny', 'cgSgspJ2msm6clMCkdW9', 'near'),
    ('retell', '11labs-Joe', 'nPczCjzI2devNBz1zQrb', 'near'),
    ('retell', '11labs-John', 'pqHfZKP75CvOlQylNhV4', 'near'),
    ('retell', '11labs-Julia', 'FGY2WhTYpPnrIDTdsKH5', 'near'),
    ('retell', '11labs-Kate', 'EXAVITQu4vr4xnSDxMaL', 'near'),
    ('retell', '11labs-Lily', 'pFZP5JQG7iQjIQuC4Bku', 'exact'),
    ('retell', '11labs-Lucas', 'bIHbv24MWmeRgasZH58o', 'near'),
    ('retell', '11labs-Marissa', 'cgSgspJ2msm6clMCkdW9', 'near'),
    ('retell', '11labs-Max', 'TxGEqnHWrfWFTfGW9XjX', 'near'),
    ('retell', '11labs-Noah', 'IKne3meq5aSn9XLyUdCD', 'near'),
    ('retell', '11labs-Paul', 'nPczCjzI2devNBz1zQrb', 'near'),
    ('retell', '11labs-Samad', 'cjVigY5qzO86Huf0OWal', 'lossy'),
    ('retell', '11labs-Steve', 'CwhRBWXzGAHq8TQ4Fs17', 'near'),
    ('retell', '11labs-Susan', 'XrExE9yKIg1WjnnlVkGX', 'near'),
    ('retell', '11labs-victoria', 'Xb7hH8MSUJpSbSDYk0k2', 'lossy'),
    ('retell', '11labs-Zuri', 'FGY2WhTYpPnrIDTdsKH5', 'near'),
    ('retell', 'openai-Alloy', 'openai-alloy', 'exact'),
    ('livekit', 'openai-alloy', 'openai-Alloy', 'exact'),
    ('retell', 'openai-Echo', 'openai-echo', 'exact'),
    ('livekit', 'openai-echo', 'openai-Echo', 'exact'),
    ('retell', 'openai-Fable', 'openai-fable', 'exact'),
    ('livekit', 'openai-fable', 'openai-Fable', 'exact'),
    ('retell', 'openai-Nova', 'openai-nova', 'exact'),
    ('livekit', 'openai-nova', 'openai-Nova', 'exact'),
    ('retell', 'openai-Onyx', 'openai-onyx', 'exact'),
    ('livekit', 'openai-onyx', 'openai-Onyx', 'exact'),
    ('retell', 'openai-Shimmer', 'openai-shimmer', 'exact'),
    ('livekit', 'openai-shimmer', 'openai-Shimmer', 'exact'),
    ('livekit', 'pNInz6obpgDQGcFmaJgB', '11labs-Joe', 'near'),
    ('livekit', 'Xb7hH8MSUJpSbSDYk0k2', '11labs-Amy', 'near'),
    ('livekit', 'hpp4J3VqNfWAUOO0d1Us', '11labs-Anna', 'near'),
    ('livekit', 'pqHfZKP75CvOlQylNhV4', '11labs-John', 'near'),
    ('livekit', 'nPczCjzI2devNBz1zQrb', '11labs-Brian', 'exact'),
    ('livekit', 'N2lVS1w4EtoT3dr4eOWO', '11labs-Gilfoy', 'near'),
    ('livekit', 'IKne3meq5aSn9XLyUdCD', '11labs-Noah', 'near'),
    ('livekit', 'iP95p4xoKVk53GoZ742B', '11labs-Jason', 'near'),
    ('livekit', 'onwK4e9ZLuTAKqWW03F9', '11labs-Anthony', 'near'),
    ('livekit', 'MF3mGyEYCl7XYWbV9V6O', '11labs-Jenny', 'near'),
    ('livekit', 'cjVigY5qzO86Huf0OWal', '11labs-Steve', 'near'),
    ('livekit', 'JBFqnCBsd6RMkjVDRZzb', '11labs-Anthony', 'near'),
    ('livekit', 'SOYHLrjzK2X1ezoPC6cr', '11labs-Ethan', 'near'),
    ('livekit', 'cgSgspJ2msm6clMCkdW9', '11labs-Marissa', 'near'),
    ('livekit', 'TxGEqnHWrfWFTfGW9XjX', '11labs-Max', 'near'),
    ('livekit', 'FGY2WhTYpPnrIDTdsKH5', '11labs-Chloe', 'near'),
    ('livekit', 'TX3LPaxmHKxFdv7VOQHJ', '11labs-Ethan', 'near'),
    ('livekit', 'pFZP5JQG7iQjIQuC4Bku', '11labs-Lily', 'exact'),
    ('livekit', 'XrExE9yKIg1WjnnlVkGX', '11labs-Susan', 'near'),
    ('livekit', 'SAz9YHcvj6GT2YYXdXww', '11labs-Susan', 'lossy'),
    ('livekit', 'CwhRBWXzGAHq8TQ4Fs17', '11labs-Steve', 'near'),
    ('livekit', 'EXAVITQu4vr4xnSDxMaL', '11labs-Kate', 'near'),
    ('livekit', 'bIHbv24MWmeRgasZH58o', '11labs-Lucas', 'near'),
    ('livekit', 'openai-ash', 'openai-Onyx', 'lossy'),
    ('livekit', 'openai-ballad', 'openai-Fable', 'lossy'),
    ('livekit', 'openai-cedar', 'openai-Onyx', 'lossy'),
    ('livekit', 'openai-coral', 'openai-Nova', 'lossy'),
    ('livekit', 'openai-marin', 'openai-Nova', 'lossy'),
    ('livekit', 'openai-sage', 'openai-Shimmer', 'lossy'),
    ('livekit', 'openai-verse', 'openai-Echo', 'lossy')
on conflict do nothing;

-- What a stack can do, for pages and for checks. Data: a vendor's offer changes, a product rule may too.
create table if not exists patchbay.stack_capabilities (
    stack public.voice_ai_stack not null,
    capability text not null,
    supported boolean not null,
    reason text,                               -- shown where it is not
    primary key (stack, capability)
);
insert into patchbay.stack_capabilities (stack, capability, supported, reason) values
    ('retell', 'preset_voices', true, null),
    ('retell', 'voice_cloning', false, 'Preset voices only'),
    ('retell', 'voice_preview', true, null),
    ('retell', 'max_tokens', false, 'The model is told to be brief instead'),
    ('livekit', 'preset_voices', true, null),
    ('livekit', 'voice_cloning', true, null),
    ('livekit', 'voice_preview', true, null),
    ('livekit', 'max_tokens', true, null)
on conflict do nothing;

-- The name both stacks' spellings of a voice have in common: quotes, blanks and our prefixes cut off.
create or replace function patchbay.voice_name(p_voice text) returns text
    language sql immutable set search_path = pg_catalog, pg_temp as $fn$
    select regexp_replace(btrim(coalesce(p_voice, ''), E' \t\r\n''"'), '^(11labs|openai)-', '', 'i')
$fn$;

-- A voice Retell speaks with, for whatever is stored: {"voice_id", "grade", "why"}. Never null: at worst the product's
-- default voice, lossy.
create or replace function patchbay.retell_voice(p_voice text) returns jsonb
    language sql stable set search_path = pg_catalog, pg_temp as $fn$
    with asked as (
        select btrim(coalesce(p_voice, ''), E' \t\r\n''"') as voice, lower(patchbay.voice_name(p_voice)) as name
    ), wanted as (
        -- a preset of Retell's by its own name, prefix or not; else what stands in for a voice of ours
        select p.voice_id, 'exact' as grade, 1 as rank from patchbay.voice_presets p, asked a
        where p.stack = 'retell' and (lower(p.voice_id) = lower(a.voice)
                                      or (lower(p.name) = a.name and a.voice !~* '^(11labs|openai)-'))
        union all
        select m.to_voice, m.grade, 2 from patchbay.voice_matches m, asked a
        where m.from_stack = 'livekit' and (lower(m.from_voice) = a.name or lower(m.from_voice) = lower(a.voice)
                                            or m.from_voice = 'openai-' || a.name)
        union all
        -- one of ElevenLabs' names with Retell's prefix, which Retell does not have
        select m.to_voice, case m.grade when 'exact' then 'near' else m.grade end, 3
        from patchbay.voice_presets p join patchbay.voice_matches m
            on m.from_stack = p.stack and m.from_voice = p.voice_id, asked a
        where p.stack = 'livekit' and lower(p.name) = a.name
    ), best as (
        (select w.voice_id, w.grade from wanted w order by w.rank limit 1)
        union all
        select '11labs-Kate', 'lossy' where not exists (select from wanted)
    ), found as (
        -- one the vendor took out of its list is replaced by the nearest that is left
        select s.voice_id, case when s.voice_id = b.voice_id then b.grade
                                when s.gender is not distinct from p.gender and s.accent is not distinct from p.accent
                                     and b.grade <> 'lossy' then 'near' else 'lossy' end as grade,
               b.voice_id as meant
        from best b
        left join patchbay.voice_presets p on p.stack = 'retell' and p.voice_id = b.voice_id
        join patchbay.voice_presets s on s.stack = 'retell' and s.offered and s.provider in ('elevenlabs', 'openai')
        order by s.voice_id = b.voice_id desc, s.gender is not distinct from p.gender desc,
                 s.accent is not distinct from p.accent desc, s.age is not distinct from p.age desc,
                 s.provider is not distinct from p.provider desc, s.voice_id
        limit 1
    )
    select jsonb_build_object('voice_id', f.voice_id, 'grade', f.grade, 'why', case
               when f.grade = 'exact' then null
               when f.meant <> f.voice_id then f.meant || ' is no longer offered'
               when not exists (select from wanted) then 'no preset of this name: a cloned or unknown voice'
               else 'the nearest preset' end)
    from found f
$fn$;

-- What Retell's own list says: {"gone": [...], "back": [...], "added": [...]}. A list without one of the presets we know
-- is no list, and changes nothing (null).
create or replace function patchbay.put_retell_voices(p_list jsonb) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    listed text[] := array(select v ->> 'voice_id' from jsonb_array_elements(p_list) v);
    gone text[];
    back text[];
    added text[];
begin
    if not exists (select from patchbay.voice_presets p where p.stack = 'retell' and p.voice_id = any (listed)) then
        return null;
    end if;
    with changed as (
        update patchbay.voice_presets p set offered = not p.offered
        where p.stack = 'retell' and p.offered is distinct from (p.voice_id = any (listed))
        returning p.voice_id, p.offered
    )
    select array_agg(c.voice_id) filter (where not c.offered), array_agg(c.voice_id) filter (where c.offered)
    into gone, back from changed c;
    with fresh as (
        insert into patchbay.voice_presets (stack, voice_id, name, provider, gender, accent, age)
        select distinct on (v ->> 'voice_id') 'retell'::public.voice_ai_stack, v ->> 'voice_id',
               coalesce(v ->> 'voice_name', v ->> 'voice_id'), coalesce(v ->> 'provider', 'unknown'),
               case when v ->> 'gender' in ('male', 'female') then v ->> 'gender' end, v ->> 'accent', lower(v ->> 'age')
        from jsonb_array_elements(p_list) v where v ->> 'voice_id' <> ''
        on conflict do nothing
        returning voice_id
    )
    select array_agg(f.voice_id) into added from fresh f;
    -- The vendor knows its voices better than our first list did.
    update patchbay.voice_presets p set
        gender = coalesce(case when v ->> 'gender' in ('male', 'female') then v ->> 'gender' end, p.gender),
        accent = coalesce(v ->> 'accent', p.accent), age = coalesce(lower(v ->> 'age'), p.age)
    from jsonb_array_elements(p_list) v
    where p.stack = 'retell' and p.voice_id = v ->> 'voice_id';
    update patchbay.voice_presets p set checked_at = now() where p.stack = 'retell';
    return jsonb_build_object('gone', to_jsonb(coalesce(gone, '{}')), 'back', to_jsonb(coalesce(back, '{}')),
                              'added', to_jsonb(coalesce(added, '{}')));
end
$fn$;

-- ------------------------------------------------------------------ agents
create table if not exists patchbay.retell_agents (
    agent_config_id uuid primary key,
    user_id uuid not null,
    state text not null default 'wanted' check (state in ('wanted', 'ready', 'failed', 'retiring', 'retired')),
    agent_id text,
    llm_id text,
    version integer,                           -- published; calls are registered with it
    pushed jsonb,                              -- {"agent", "llm"}: what that version was made of
    draft integer,                             -- a version being written
    drafted jsonb,                             -- what is in it so far
    notes jsonb not null default '[]',         -- how each setting maps: [{"field", "grade", "note"}]
    config_version bigint not null default 0,  -- of the settings last pushed
    drift jsonb,                               -- what somebody else changed at Retell; null: nothing
    drift_checked_at timestamptz,
    attempts integer not null default 0,
    next_attempt_at timestamptz,
    error text,
    claimed_by text,
    claimed_until timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    retired_at timestamptz
);
create index if not exists retell_agents_due on patchbay.retell_agents (next_attempt_at)
    where state in ('wanted', 'failed', 'retiring');
create index if not exists retell_agents_agent on patchbay.retell_agents (agent_id) where agent_id is not null;

-- What was deleted at Retell, and why: ids are never used again, and nobody wonders later where an agent went.
create table if not exists patchbay.retell_tombstones (
    agent_id text not null,
    llm_id text,
    agent_config_id uuid not null,
    user_id uuid not null,
    reason text not null,
    deleted_at timestamptz not null default now(),
    primary key (agent_id)
);

do $rights$
declare
    t text;
begin
    foreach t in array array['voice_presets', 'voice_matches', 'stack_capabilities', 'retell_agents',
                             'retell_tombstones'] loop
        execute format('alter table patchbay.%I enable row level security', t);
        execute format('drop policy if exists service on patchbay.%I', t);
        execute format('create policy service on patchbay.%I to service_role, patchbay_service
                        using (true) with check (true)', t);
        execute format('revoke all on patchbay.%I from anon, authenticated', t);
        execute format('grant select, insert, update, delete on patchbay.%I to service_role, patchbay_service', t);
    end loop;
    -- Which voices there are and what a stack can do is no secret: pages ask.
    foreach t in array array['voice_presets', 'voice_matches', 'stack_capabilities'] loop
        execute format('drop policy if exists everybody_reads on patchbay.%I', t);
        execute format('create policy everybody_reads on patchbay.%I for select to authenticated using (true)', t);
        execute format('grant select on patchbay.%I to authenticated', t);
    end loop;
end
$rights$;

-- The settings of one agent as whoever serves it gets them; null: there is no such agent.
create or replace function patchbay.settings_of(p_config uuid) returns jsonb
    language sql stable set search_path = pg_catalog, pg_temp as $fn$
    select to_jsonb(s) || jsonb_build_object('user_tools', patchbay.agent_tools(s.user_id, s.agent_config_id))
    from patchbay.agent_settings s where s.agent_config_id = p_config
$fn$;

-- Takes an agent's row for p_seconds: {"agent": row, "settings", "voice"}; null while somebody else has it, or there is
-- none. p_want: make the row when there is none, from the ids the product has, and want an agent that was retired again.
create or replace function patchbay.claim_retell_agent(p_config uuid, p_who text, p_seconds integer, p_want boolean)
    returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    r patchbay.retell_agents;
    s jsonb;
begin
    if p_want then
        insert into patchbay.retell_agents as a (agent_config_id, user_id, agent_id, llm_id)
        select c.id, c.user_id, c.retell_agent_id, c.retell_llm_id from public.agent_configs c
        where c.id = p_config
        on conflict (agent_config_id) do update
            set state = 'wanted', agent_id = null, llm_id = null, version = null, pushed = null, draft = null,
                drafted = null, drift = null, retired_at = null, attempts = 0, next_attempt_at = null, error = null
            where a.state = 'retired';
        -- An id that was deleted is nobody's any more.
        update patchbay.retell_agents a set agent_id = null, llm_id = null
        where a.agent_config_id = p_config and a.version is null
          and exists (select from patchbay.retell_tombstones t where t.agent_id = a.agent_id);
    end if;
    update patchbay.retell_agents a
    set claimed_by = p_who, claimed_until = now() + make_interval(secs => p_seconds)
    where a.agent_config_id = p_config and a.state <> 'retired'
      and (a.claimed_until is null or a.claimed_until < now() or a.claimed_by = p_who)
    returning * into r;
    if not found then
        return null;
    end if;
    s := patchbay.settings_of(p_config);
    return jsonb_build_object('agent', to_jsonb(r), 'settings', s,
                              'voice', patchbay.retell_voice(s ->> 'voice_id'));
end
$fn$;

-- Writes what is in p ({"agent_config_id", "claimed_by", fields...}) while the claim holds, and prolongs it; "release"
-- true gives it back. The product's own columns follow the ids. False: the claim was lost.
create or replace function patchbay.put_retell_agent(p jsonb) returns boolean
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    r patchbay.retell_agents;
begin
    update patchbay.retell_agents a set
        state = coalesce(p ->> 'state', a.state),
        agent_id = case when p ? 'agent_id' then p ->> 'agent_id' else a.agent_id end,
        llm_id = case when p ? 'llm_id' then p ->> 'llm_id' else a.llm_id end,
        version = case when p ? 'version' then (p ->> 'version')::integer else a.version end,
        pushed = case when p ? 'pushed' then nullif(p -> 'pushed', 'null') else a.pushed end,
        draft = case when p ? 'draft' then (p ->> 'draft')::integer else a.draft end,
        drafted = case when p ? 'drafted' then nullif(p -> 'drafted', 'null') else a.drafted end,
        notes = coalesce(p -> 'notes', a.notes),
        config_version = coalesce((p ->> 'config_version')::bigint, a.config_version),
        drift = case when p ? 'drift' then nullif(p -> 'drift', 'null') else a.drift end,
        drift_checked_at = case when p ? 'drift' then now() else a.drift_checked_at end,
        attempts = coalesce((p ->> 'attempts')::integer, a.attempts),
        next_attempt_at = case when p ? 'retry_after_ms'
            then now() + (p ->> 'retry_after_ms')::bigint * interval '1 millisecond' else a.next_attempt_at end,
        error = case when p ? 'error' then p ->> 'error' else a.error end,
        retired_at = case when p ->> 'state' = 'retired' then now() else a.retired_at end,
        claimed_until = case when (p ->> 'release')::boolean then null else greatest(a.claimed_until, now() + interval '60 s') end,
        claimed_by = case when (p ->> 'release')::boolean then null else a.claimed_by end,
        updated_at = now()
    where a.agent_config_id = (p ->> 'agent_config_id')::uuid and a.claimed_by = p ->> 'claimed_by'
    returning * into r;
    if not found then
        return false;
    end if;
    if r.state = 'ready' then
        update public.agent_configs c set retell_agent_id = r.agent_id, retell_llm_id = r.llm_id
        where c.id = r.agent_config_id
          and (c.retell_agent_id is distinct from r.agent_id or c.retell_llm_id is distinct from r.llm_id);
    end if;
    if r.state = 'retired' and r.agent_id is not null then
        insert into patchbay.retell_tombstones (agent_id, llm_id, agent_config_id, user_id, reason)
        values (r.agent_id, r.llm_id, r.agent_config_id, r.user_id, coalesce(p ->> 'reason', 'retired'))
        on conflict do nothing;
    end if;
    return true;
end
$fn$;

-- Agents somebody has to work on now, at most p_limit of them.
create or replace function patchbay.due_retell_agents(p_limit integer) returns setof uuid
    language sql stable set search_path = pg_catalog, pg_temp as $fn$
    select a.agent_config_id from patchbay.retell_agents a
    left join patchbay.config_versions v
        on v.user_id = a.user_id and v.agent_config_id = a.agent_config_id
    where (a.claimed_until is null or a.claimed_until < now())
      and (a.state in ('wanted', 'retiring') or (a.state = 'failed') or (a.state = 'ready'
           and coalesce(v.version, 0) > a.config_version))
      and (a.next_attempt_at is null or a.next_attempt_at <= now())
    order by a.next_attempt_at nulls first, a.updated_at
    limit p_limit
$fn$;

do $grants$
declare
    f text;
begin
    foreach f in array array['voice_name(text)', 'retell_voice(text)', 'put_retell_voices(jsonb)', 'settings_of(uuid)',
                             'claim_retell_agent(uuid, text, integer, boolean)', 'put_retell_agent(jsonb)',
                             'due_retell_agents(integer)'] loop
        execute format('revoke all on function patchbay.%s from public, anon, authenticated', f);
        execute format('grant execute on function patchbay.%s to service_role, patchbay_service', f);
    end loop;
end
$grants$;

-- A version that was published is news for the routers.
drop trigger if exists patchbay_config on patchbay.retell_agents;
create trigger patchbay_config after insert or update or delete on patchbay.retell_agents
    for each row execute function patchbay.on_config_change('user_id', 'agent_id', 'version', 'retired_at');
