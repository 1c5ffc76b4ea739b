-- Voices of people who leave, and who did what to a voice.
--
--   voices_left        how many voices a user still has at the vendor; for at_vendors, by which an erasure asks
--   voices_to_forget   of a user who is being erased: his agents speak otherwise, and what is to be deleted there
--   voice_orphans      what is left at the vendor of rows that were deleted: whoever deletes a user, his voices go as well
--   clone_next, clone_settled, clone_postponed   what is unfinished with the vendor, one at a time
--   clone_made, voice_change, voice_leave with who asked: as before, and written down

-- Voices to be deleted at the vendor whose row is gone. Ids only: nobody's name.
create table if not exists patchbay.voice_orphans (
    clone_id uuid primary key,
    voice_id text,                             -- null: asked for, and whether it was made is not known
    due_at timestamptz not null default now(),
    attempts integer not null default 0,
    since timestamptz not null default now()
);
create index if not exists voice_orphans_due on patchbay.voice_orphans (due_at);

do $rights$
begin
    alter table patchbay.voice_orphans enable row level security;
    drop policy if exists service on patchbay.voice_orphans;
    create policy service on patchbay.voice_orphans to service_role, patchbay_service using (true) with check (true);
    revoke all on patchbay.voice_orphans from anon, authenticated;
    grant select, insert, update, delete on patchbay.voice_orphans to service_role, patchbay_service;
end
$rights$;

-- Definer: whoever deletes a user need not know of this schema. What was asked for may be made for a minute yet (the vendor's
-- deadline), so it is looked for after two.
create or replace function patchbay.voice_orphaned() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $fn$
begin
    if old.state in ('asked', 'ready', 'leaving') then
        insert into patchbay.voice_orphans (clone_id, voice_id, due_at)
        values (old.id, old.voice_id, case when old.voice_id is null then old.created_at + interval '2 minutes' else now() end)
        on conflict do nothing;
    end if;
    -- A name somebody gave it.
    delete from patchbay.voice_strays s where s.label = 'patchbay ' || old.id;
    return null;
end
$fn$;
drop trigger if exists patchbay_voice_orphaned on patchbay.voice_clones;
create trigger patchbay_voice_orphaned after delete on patchbay.voice_clones
    for each row execute function patchbay.voice_orphaned();

-- What is about to be deleted is no stray.
create or replace function patchbay.voice_no_stray() returns trigger
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
begin
    return case when exists (select from patchbay.voice_orphans o where o.voice_id = new.voice_id
                                or new.label = 'patchbay ' || o.clone_id) then null else new end;
end
$fn$;
drop trigger if exists patchbay_voice_no_stray on patchbay.voice_strays;
create trigger patchbay_voice_no_stray before insert on patchbay.voice_strays
    for each row execute function patchbay.voice_no_stray();

-- ------------------------------------------------------------------ erasure

-- Clones that can be used and are nobody else's as well: made by us, or by the product, which names them in agent_configs. A row
-- of public.voices alone is not enough: it is cloned there when it says nothing, and a voice of the vendor's library that was
-- taken into the account has an id like a clone's.
create or replace function patchbay.voices_his_alone(p_user uuid) returns setof text
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select distinct patchbay.voice_name(v.voice_id) from public.voices v
    where v.user_id = p_user and v.is_cloned and patchbay.voice_name(v.voice_id) ~ '^[A-Za-z0-9]{15,25}$'
      and not patchbay.voice_is_foreign(p_user, v.voice_id)
      and (exists (select from patchbay.voice_clones k where k.user_id = p_user and k.voice_id = patchbay.voice_name(v.voice_id))
           or exists (select from public.agent_configs c where c.user_id = p_user
                        and patchbay.voice_name(c.cloned_voice_id) = patchbay.voice_name(v.voice_id)))
      and not exists (select from patchbay.voice_presets p where p.voice_id = patchbay.voice_name(v.voice_id))
      and not exists (select from public.voices o where o.is_cloned and o.user_id <> p_user
                        and patchbay.voice_name(o.voice_id) = patchbay.voice_name(v.voice_id))
$fn$;

create or replace function patchbay.voices_left(p_user uuid) returns bigint
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select (select count(*) from patchbay.voice_clones k where k.user_id = p_user and k.state in ('asked', 'ready', 'leaving'))
         + (select count(*) from patchbay.voices_his_alone(p_user) x
            where not exists (select from patchbay.voice_clones k where k.voice_id = x))
$fn$;

-- Only of a user who is being erased. young: asked for so lately that the vendor may still make it.
create or replace function patchbay.voices_to_forget(p_user uuid, p_fallback text)
    returns table (id uuid, voice_id text, young boolean, n bigint)
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
begin
    if not exists (select from patchbay.erasures e where e.user_id = p_user and e.state = 'open') then
        return;
    end if;
    perform patchbay.voice_leave(p_user, x, p_fallback, 'erased') from patchbay.voices_his_alone(p_user) x;
    return query
        select k.id, k.voice_id, k.voice_id is null and k.created_at > now() - interval '2 minutes', count(*) over ()
        from patchbay.voice_clones k where k.user_id = p_user and k.state in ('asked', 'ready', 'leaving')
        order by 3, k.id;
end
$fn$;

create or replace function patchbay.at_vendors(p_user uuid) returns jsonb
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select jsonb_build_object('retell', (select count(*) from patchbay.retell_of_user(p_user)),
                              'voices', patchbay.voices_left(p_user))
$fn$;

-- ------------------------------------------------------------------ what is unfinished with the vendor

-- state 'orphan': no row of a user's any more. voice_id null: to be found by our id in its description.
create or replace function patchbay.clone_next() returns table (id uuid, voice_id text, state text, name text)
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select x.id, x.voice_id, x.state, x.name from (
        select k.id, k.voice_id, k.state, k.name, k.changed_at as at from patchbay.voice_clones k
        where k.state = 'leaving' or (k.state = 'asked' and k.changed_at < now() - interval '15 minutes')
           or (k.state = 'ready' and k.rename_at is not null)
        union all
        select o.clone_id, o.voice_id, 'orphan', '', o.due_at from patchbay.voice_orphans o where o.due_at <= now()
    ) x order by x.at limit 1
$fn$;

-- It is not at the vendor (any more).
create or replace function patchbay.clone_settled(p_id uuid) returns void
    language sql security invoker set search_path = pg_catalog, pg_temp as $fn$
    delete from patchbay.voice_orphans o where o.clone_id = p_id;
    update patchbay.voice_clones k set state = case k.state when 'asked' then 'failed' else 'gone' end,
        error = case k.state when 'asked' then 'the vendor never answered' else k.error end, changed_at = now()
    where k.id = p_id and (k.state in ('leaving', 'asked')
        or k.state = 'ready' and exists (select from patchbay.erasures e where e.user_id = k.user_id and e.state = 'open'))
$fn$;

-- The vendor did not do it: the others first. Of what has no owner, later each time, an hour at most.
create or replace function patchbay.clone_postponed(p_id uuid) returns void
    language sql security invoker set search_path = pg_catalog, pg_temp as $fn$
    update patchbay.voice_orphans o set attempts = o.attempts + 1,
        due_at = now() + least(20 * power(2, least(o.attempts, 10)), 3600) * interval '1 second' where o.clone_id = p_id;
    update patchbay.voice_clones k set changed_at = now() where k.id = p_id
$fn$;

-- As before, and how many are still to be deleted there.
create or replace function patchbay.voice_care() returns jsonb
    language sql stable set search_path = pg_catalog, pg_temp as $fn$
    select jsonb_build_object(
        'next_at', r.next_at, 'started_at', r.started_at, 'finished_at', r.finished_at, 'seen', r.seen, 'error', r.error,
        'checks', (select coalesce(jsonb_object_agg(x.state, x.n), '{}') from (
            select k.state, count(*) as n from patchbay.voice_checks k group by k.state) x),
        'leaving', (select count(*) from patchbay.voice_clones k where k.state = 'leaving') + (select count(*) from patchbay.voice_orphans),
        'strays', (select coalesce(jsonb_agg(to_jsonb(s) order by s.found_at), '[]') from (
            select * from patchbay.voice_strays order by found_at limit 500) s))
    from patchbay.voice_rounds r where r.id = 1
$fn$;

-- ------------------------------------------------------------------ written down

-- p_by: {"actor", "actor_id", "peer", "why"}, of whoever asks.
create or replace function patchbay.clone_made(p_id uuid, p_voice text, p_use boolean, p_by jsonb) returns jsonb
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    k patchbay.voice_clones;
    spoke jsonb;
    made jsonb;
begin
    select * into k from patchbay.voice_clones x where x.id = p_id;
    spoke := (select to_jsonb(c.voice_id) from public.agent_configs c where c.user_id = k.user_id
              order by c.created_at, c.id limit 1);
    made := patchbay.clone_made(p_id, p_voice, p_use);
    if made is not null then
        perform patchbay.put_audit(p_by || jsonb_build_object(
            'action', 'voice.clone', 'user_id', k.user_id, 'subject', k.id,
            'before', case when p_use then jsonb_build_object('speaks_with', spoke) end,
            'after', jsonb_build_object('voice_id', p_voice, 'name', k.name, 'sample_type', k.sample_type,
                                        'sample_ms', k.sample_ms)
                     || case when p_use then jsonb_build_object('speaks_with', p_voice) else '{}' end));
    end if;
    return made;
end
$fn$;

create or replace function patchbay.voice_change(p_user uuid, p_voice text, p_name text, p_set jsonb, p_by jsonb) returns jsonb
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    was jsonb := patchbay.voice_of(p_user, p_voice);
    now_is jsonb := patchbay.voice_change(p_user, p_voice, p_name, p_set);
    changes jsonb;
begin
    if now_is is null or now_is ? 'error' then
        return now_is;
    end if;
    changes := patchbay.json_changes(was -> 'settings' || jsonb_build_object('name', was -> 'name'),
                                     now_is -> 'settings' || jsonb_build_object('name', now_is -> 'name'));
    if changes is not null then
        perform patchbay.put_audit(p_by || jsonb_build_object(
            'action', 'voice.change', 'user_id', p_user,
            'subject', (select k.id from patchbay.voice_clones k
                        where k.user_id = p_user and k.voice_id = patchbay.voice_name(was ->> 'voice_id')),
            'before', jsonb_build_object('voice_id', was -> 'voice_id') || (changes -> 'before'),
            'after', jsonb_build_object('voice_id', was -> 'voice_id') || (changes -> 'after')));
    end if;
    return now_is;
end
$fn$;

create or replace function patchbay.voice_leave(p_user uuid, p_voice text, p_fallback text, p_reason text, p_by jsonb) returns jsonb
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    called jsonb := (select to_jsonb(v.voice_name) from public.voices v where v.user_id = p_user and v.is_cloned
                     and patchbay.voice_name(v.voice_id) = patchbay.voice_name(p_voice) order by v.updated_at desc nulls last limit 1);
    gone jsonb := patchbay.voice_leave(p_user, p_voice, p_fallback, p_reason);
begin
    if gone is not null then
        perform patchbay.put_audit(p_by || jsonb_build_object(
            'action', 'voice.delete', 'user_id', p_user,
            'subject', (select k.id from patchbay.voice_clones k
                        where k.user_id = p_user and k.voice_id = gone ->> 'voice_id'),
            'before', jsonb_build_object('voice_id', gone -> 'voice_id', 'name', called),
            'after', jsonb_build_object('agents_moved', gone -> 'agents_moved')
                     || case when (gone ->> 'agents_moved')::integer > 0 then jsonb_build_object('speaks_with', p_fallback)
                             else '{}' end));
    end if;
    return gone;
end
$fn$;

do $grants$
declare
    f text;
begin
    foreach f in array array[
        'voice_orphaned()', 'voice_care()', 'voice_no_stray()', 'voices_his_alone(uuid)', 'voices_left(uuid)', 'voices_to_forget(uuid, text)',
        'at_vendors(uuid)', 'clone_next()', 'clone_settled(uuid)', 'clone_postponed(uuid)', 'clone_made(uuid, text, boolean, jsonb)',
        'voice_change(uuid, text, text, jsonb, jsonb)', 'voice_leave(uuid, text, text, text, jsonb)'] loop
        execute format('revoke all on function patchbay.%s from public', f);
        execute format('grant execute on function patchbay.%s to service_role, patchbay_service', f);
    end loop;
end
$grants$;
