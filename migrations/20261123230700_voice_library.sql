-- A voice of the vendor's library is nobody's to delete there. public.voices says of a row that it is cloned when whoever wrote
-- it said nothing, so what leaves a user's list goes on to the vendor only where it may be a clone of his and of nobody else;
-- and there it is looked at before it is deleted (vendor_delete).
--
--   voice_leave   as before; presets, names that are no ids of the vendor's and voices somebody else has are only taken from the list
--   clone_kept    the vendor says that it is no clone of ours: it stays there, and nobody is remembered as having had it made

create or replace function patchbay.voice_leave(p_user uuid, p_voice text, p_fallback text, p_reason text) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    v public.voices;
    called text;
    moved integer;
begin
    delete from public.voices x where x.user_id = p_user and x.is_cloned
        and patchbay.voice_name(x.voice_id) = patchbay.voice_name(p_voice) returning * into v;
    if not found then
        return null;
    end if;
    called := patchbay.voice_name(v.voice_id);
    update public.agent_configs c set voice_id = p_fallback, cloned_voice_id = null, cloned_voice_name = null
    where c.user_id = p_user and patchbay.voice_name(c.voice_id) = patchbay.voice_name(p_voice);
    get diagnostics moved = row_count;
    if exists (select from patchbay.voice_clones k where k.user_id = p_user and k.voice_id = called)
       or patchbay.is_eleven_id(called) and not patchbay.voice_is_foreign(p_user, called)
          and not exists (select from patchbay.voice_presets p where p.voice_id = called) then
        -- One that came about before us has no row yet.
        insert into patchbay.voice_clones as k (id, user_id, state, name, voice_id, sample_type, sample_bytes, sample_sha256,
                                                consent_text, consent_by)
        values (patchbay.uuidv7(), p_user, 'leaving', v.voice_name, called, 'unknown', 0, '', 'made before consent was kept', 'unknown')
        on conflict (voice_id) do update set state = case when k.state = 'gone' then 'gone' else 'leaving' end, changed_at = now();
    end if;
    perform patchbay.voice_told('deleted', p_user, called,
                                jsonb_build_object('name', v.voice_name, 'reason', p_reason, 'agents_moved', moved));
    return jsonb_build_object('voice_id', called, 'agents_moved', moved);
end
$fn$;

-- A row that was only made for the leaving goes: by it the voice would be one of this user's own, and foreign to everybody else.
create or replace function patchbay.clone_kept(p_id uuid) returns void
    language sql security invoker set search_path = pg_catalog, pg_temp as $fn$
    select patchbay.clone_settled(p_id);
    delete from patchbay.voice_clones k where k.id = p_id and k.state = 'gone' and k.sample_type = 'unknown'
$fn$;

do $grants$
declare
    f text;
begin
    foreach f in array array['voice_leave(uuid, text, text, text)', 'clone_kept(uuid)'] loop
        execute format('revoke all on function patchbay.%s from public', f);
        execute format('grant execute on function patchbay.%s to service_role, patchbay_service', f);
    end loop;
end
$grants$;
