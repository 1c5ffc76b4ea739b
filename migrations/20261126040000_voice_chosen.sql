-- A voice that only its vendor can know is asked for there before an agent gets it: any twenty letters were taken for one.
--
--   voice_known   as before, and with what the vendor says of it

-- p_vendor: 'unasked', 'there'; 'silent', it was asked and did not say; 'unset', it cannot be asked here. Where nobody knows, a voice
-- is taken unless a round has found it gone: the next one finds what is not there.
create or replace function patchbay.voice_known(p_user uuid, p_stack public.voice_ai_stack, p_voice text, p_vendor text) returns boolean
    language sql stable set search_path = pg_catalog, pg_temp as $fn$
    with asked as (
        select lower(btrim(p_voice, E' \t\r\n''"')) as voice, patchbay.voice_name(p_voice) as name
    ), presets as (
        select p.voice_id, p.name, p.provider from patchbay.voice_presets p where p.stack = p_stack
        union all
        select p.voice_id, p.name, p.provider
        from patchbay.voice_presets p join patchbay.voice_matches m on m.from_stack = p.stack and m.from_voice = p.voice_id
        where p.stack <> p_stack
    )
    select exists (select from presets p
                   where lower(p.voice_id) in (a.voice, lower(a.name))
                      or (lower(p.name) = lower(a.name) and (a.voice !~ '^11labs-' or p.provider = 'elevenlabs')
                          and (a.voice !~ '^openai-' or p.provider = 'openai')))
        or exists (select from public.voices v where v.user_id = p_user and patchbay.voice_name(v.voice_id) = a.name)
        or (p_stack = 'livekit' and a.voice !~ '^openai-' and patchbay.is_eleven_id(a.name)
            and (p_vendor = 'there'
                 or (p_vendor in ('silent', 'unset')
                     and not exists (select from patchbay.voice_checks k where k.voice_id = a.name and k.state = 'gone'))))
    from asked a
$fn$;

-- Of a replica from before.
create or replace function patchbay.voice_known(p_user uuid, p_stack public.voice_ai_stack, p_voice text) returns boolean
    language sql stable set search_path = pg_catalog, pg_temp as $fn$
    select patchbay.voice_known(p_user, p_stack, p_voice, 'unset')
$fn$;

revoke all on function patchbay.voice_known(uuid, public.voice_ai_stack, text, text) from public, anon, authenticated;
grant execute on function patchbay.voice_known(uuid, public.voice_ai_stack, text, text) to service_role, patchbay_service;
