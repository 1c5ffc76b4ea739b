-- The clip of a message that a caller left with our own agent: a recording named "m-" and the message's id. Its address is
-- in the message's row as soon as both are known, whichever comes first and whoever finished the file.

create or replace function patchbay.put_recording(facts jsonb) returns void
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    f patchbay.recordings := jsonb_populate_record(null::patchbay.recordings, facts);
begin
    insert into patchbay.recordings as r (call_id, name, user_id, epoch, state, began_at, object, url, duration_ms,
                                          filled_ms, bytes)
    values (f.call_id, f.name, f.user_id, coalesce(f.epoch, 1), f.state, f.began_at, f.object, f.url, f.duration_ms,
            f.filled_ms, f.bytes)
    on conflict (call_id, name) do update set
        epoch = greatest(r.epoch, excluded.epoch),
        -- Being recorded again (another agent goes on) reopens one that failed; a stored one stays what it is.
        state = case when r.state in ('stored', 'deleted') then r.state else excluded.state end,
        began_at = least(r.began_at, excluded.began_at),
        seen_at = now(),
        object = coalesce(excluded.object, r.object),
        url = coalesce(excluded.url, r.url),
        duration_ms = coalesce(excluded.duration_ms, r.duration_ms),
        filled_ms = coalesce(excluded.filled_ms, r.filled_ms),
        bytes = coalesce(excluded.bytes, r.bytes);
    if f.state = 'stored' and f.name ~ '^m-[0-9a-f-]{36}$' then
        update patchbay.voicemails v set recording_url = f.url
        where v.id = substr(f.name, 3)::uuid and v.call_id = f.call_id and v.user_id = f.user_id;
    end if;
end
$fn$;

create or replace function patchbay.put_voicemail(p jsonb) returns void
    language sql set search_path = pg_catalog, pg_temp as $fn$
    insert into patchbay.voicemails as v (id, call_id, user_id, agent_config_id, from_number, callback_number, caller_name,
                                          transcript, started_ms, ended_ms, recording_url)
    select (p ->> 'id')::uuid, (p ->> 'call_id')::uuid, (p ->> 'user_id')::uuid, (p ->> 'agent_config_id')::uuid,
           p ->> 'from_number', p ->> 'callback_number', p ->> 'caller_name', coalesce(p ->> 'transcript', ''),
           (p ->> 'started_ms')::bigint, (p ->> 'ended_ms')::bigint,
           coalesce(p ->> 'recording_url', (select r.url from patchbay.recordings r
                                            where r.call_id = (p ->> 'call_id')::uuid and r.name = 'm-' || (p ->> 'id')
                                              and r.user_id = (p ->> 'user_id')::uuid and r.state = 'stored'))
    on conflict (id) do update set
        transcript = case when excluded.transcript <> '' then excluded.transcript else v.transcript end,
        recording_url = coalesce(excluded.recording_url, v.recording_url)
    where v.user_id = excluded.user_id
$fn$;
