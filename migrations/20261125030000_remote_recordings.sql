-- A call at Retell whose recording we have no copy of can be listened to where Retell keeps it.
--
--   retell_legs.listen, .peaks   which of its addresses may be listened to, and how loud that one is
--   retell_legs.recording        'remote' as well: wanted, and we have no store to copy it to
--   claim_retell_recording       as before; without a store only those nobody has judged yet
--   put_retell_recording         as before, and keeps the choice
--   remote_recordings            what can be listened to there and nowhere else

alter table patchbay.retell_legs add column if not exists listen text;   -- a key of urls: chosen when the call was over
alter table patchbay.retell_legs add column if not exists peaks jsonb;   -- as of patchbay.recordings
alter table patchbay.retell_legs drop constraint if exists retell_legs_recording_check;
alter table patchbay.retell_legs add constraint retell_legs_recording_check
    check (recording in ('none', 'offered', 'remote', 'stored', 'failed', 'unwanted'));
create index if not exists retell_legs_remote on patchbay.retell_legs (next_at) where recording = 'remote';

-- Two statements, each with an index of its own: without a store the second kind only grows.
create or replace function patchbay.claim_retell_recording(p_who text, p_seconds integer, p_store boolean)
    returns table (leg patchbay.retell_legs, settings jsonb, record_calls boolean)
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    found_leg text;
    mine patchbay.retell_legs;
    config uuid;
begin
    select x.retell_call_id into found_leg from patchbay.retell_legs x
    where x.recording = 'offered' and x.next_at <= now() and coalesce(x.claimed_until, '-infinity') < now()
    order by x.next_at limit 1 for update skip locked;
    if found_leg is null and p_store then
        select x.retell_call_id into found_leg from patchbay.retell_legs x
        where x.recording = 'remote' and x.next_at <= now() and coalesce(x.claimed_until, '-infinity') < now()
        order by x.next_at limit 1 for update skip locked;
    end if;
    if found_leg is null then
        return;
    end if;
    update patchbay.retell_legs l set claimed_by = p_who, attempts = l.attempts + 1,
                                      claimed_until = now() + make_interval(secs => p_seconds)
    where l.retell_call_id = found_leg returning l.* into mine;
    select c.agent_config_id into config from patchbay.calls c where c.id = mine.call_id;
    return query select mine, coalesce(patchbay.settings_of(config), '{}'),
                        (select (to_jsonb(u) ->> 'record_calls')::boolean from public.users u where u.id = mine.user_id);
end
$fn$;

-- p_listen null: the choice stays as it is.
create or replace function patchbay.put_retell_recording(p_leg text, p_who text, p_state text, p_wait interval, p_error text,
                                                         p_listen text) returns boolean
    language sql security invoker set search_path = pg_catalog, pg_temp as $fn$
    with kept as (
        update patchbay.call_results r set data = r.data || patchbay.retell_recorded(r.call_id), updated_at = now()
        from patchbay.retell_legs l
        where p_state = 'stored' and l.retell_call_id = p_leg and l.claimed_by = p_who
          and r.call_id = l.call_id and r.source = 'retell'
    ), done as (
        update patchbay.retell_legs set recording = p_state, next_at = now() + p_wait, error = p_error, claimed_by = null,
                                        claimed_until = null, listen = coalesce(p_listen, listen),
                                        attempts = case when p_state = 'remote' then 0 else attempts end
        where retell_call_id = p_leg and claimed_by = p_who
        returning 1)
    select exists (select from done)
$fn$;

-- Daemons of before, while they are replaced.
create or replace function patchbay.put_retell_recording(p_leg text, p_who text, p_state text, p_wait interval, p_error text)
    returns boolean
    language sql security invoker set search_path = pg_catalog, pg_temp as $fn$
    select patchbay.put_retell_recording(p_leg, p_who, p_state, p_wait, p_error, null)
$fn$;

-- The call's first leg, as only that one's copy is the call's recording. One that was here and is deleted does not come back.
create or replace view patchbay.remote_recordings with (security_invoker = true) as
select l.call_id, l.user_id, l.started_at as began_at, l.urls ->> l.listen as url, l.peaks,
       greatest(0, floor(extract(epoch from l.ended_at - l.started_at) * 1000))::bigint as duration_ms
from patchbay.retell_legs l
where l.segment = 1 and l.recording in ('offered', 'remote', 'failed') and l.forgotten_at is null
  and l.urls ->> l.listen is not null
  and not exists (select from patchbay.recordings r
                  where r.call_id = l.call_id and r.name = 'recording' and r.state <> 'failed');
comment on view patchbay.remote_recordings is 'Recordings that may be listened to and are at Retell alone.';

do $rights$
declare
    f text;
begin
    foreach f in array array['claim_retell_recording(text, integer, boolean)',
                             'put_retell_recording(text, text, text, interval, text, text)'] loop
        execute format('revoke all on function patchbay.%s from public', f);
        execute format('grant execute on function patchbay.%s to service_role, patchbay_service', f);
    end loop;
    revoke all on patchbay.remote_recordings from anon, authenticated;
    grant select on patchbay.remote_recordings to service_role, patchbay_service;
end
$rights$;
