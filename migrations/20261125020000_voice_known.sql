-- A voice nobody knows is refused where it is chosen: the API took any text, and each call then spoke with a voice that stood in.
--
--   voice_known   may this user choose it on this stack?

-- By any of its spellings: a preset of this stack's, one of the other stack's that somebody here stands in for, or his own. LiveKit
-- speaks with whatever ElevenLabs has: an id of that form is taken, and voices that are not there are found by the rounds through them.
create or replace function patchbay.voice_known(p_user uuid, p_stack public.voice_ai_stack, p_voice text) returns boolean
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
        or (p_stack = 'livekit' and a.voice !~ '^openai-' and patchbay.is_eleven_id(a.name))
    from asked a
$fn$;

revoke all on function patchbay.voice_known(uuid, public.voice_ai_stack, text) from public, anon, authenticated;
grant execute on function patchbay.voice_known(uuid, public.voice_ai_stack, text) to service_role, patchbay_service;
