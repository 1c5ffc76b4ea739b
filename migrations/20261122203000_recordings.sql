-- Recordings of calls, and what our own agent's events say about a call that is over.
--
--   patchbay.recordings  one row per recording or clip of a call: where it is, or how far it has come
--   put_recording        merges what an agent knows about one; told again or late, it ends in the same row
--   claim_recordings     hands recordings whose agent went quiet to another agent, which makes the file of the pieces
--   livekit_result       what the events of a call say, in the shape of Retell's call object
--   project_call         as before, with that and with the recording once it exists

create table if not exists patchbay.recordings (
    call_id     uuid not null, -- no reference: the row of the call may be stored after this one
    name        text not null check (name ~ '^[a-z0-9-]{1,39}$'),
    user_id     uuid not null,
    epoch       integer not null default 1,
    state       text not null check (state in ('recording', 'joining', 'stored', 'failed', 'deleted')),
    began_at    timestamptz not null,
    seen_at     timestamptz not null default now(),
    object      text,
    url         text,
    duration_ms bigint check (duration_ms >= 0),
    filled_ms   bigint check (filled_ms >= 0), -- of it, silence for what was lost
    bytes       bigint check (bytes >= 0),
    primary key (call_id, name)
);
create index if not exists recordings_user on patchbay.recordings (user_id, began_at desc);
create index if not exists recordings_open on patchbay.recordings (seen_at) where state in ('recording', 'joining');
comment on table patchbay.recordings is 'One row per recording or clip of a call; the file itself is in the object store.';

alter table patchbay.recordings enable row level security;
drop policy if exists service on patchbay.recordings;
create policy service on patchbay.recordings to service_role, patchbay_service using (true) with check (true);
drop policy if exists owner_reads on patchbay.recordings;
create policy owner_reads on patchbay.recordings for select to authenticated using ((select auth.uid()) = user_id);
revoke all on patchbay.recordings from anon, authenticated;
grant select, insert, update, delete on patchbay.recordings to service_role, patchbay_service;
grant select on patchbay.recordings to authenticated;

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
end
$fn$;

-- A call that is over, or a recording nobody has said a word about for ten times as long: then its call has ended
-- unheard of, too.
create or replace function patchbay.claim_recordings(quiet interval, at_most integer)
    returns setof patchbay.recordings
    language sql security invoker set search_path = pg_catalog, pg_temp as $fn$
    update patchbay.recordings r set seen_at = now(), state = 'joining'
    where (r.call_id, r.name) in (
        select x.call_id, x.name
        from patchbay.recordings x
        where x.state in ('recording', 'joining') and x.seen_at < now() - quiet
          and (x.seen_at < now() - 10 * quiet
               or exists (select from patchbay.calls c where c.id = x.call_id and c.ended_at < now() - quiet))
        order by x.seen_at
        limit at_most
        for update skip locked)
    returning r.*
$fn$;

-- p50, p90 and p99 of a figure in the timings of an agent's turns; null when no turn has it.
create or replace function patchbay.turn_percentiles(p_call uuid, figure text) returns jsonb
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select case when count(x.ms) > 0 then jsonb_build_object(
        'p50', percentile_cont(0.5) within group (order by x.ms),
        'p90', percentile_cont(0.9) within group (order by x.ms),
        'p99', percentile_cont(0.99) within group (order by x.ms),
        'num', count(x.ms)) end
    from patchbay.call_events e, lateral (select (e.data #>> array['timings', figure])::double precision as ms) x
    where e.call_id = p_call and e.type = 'pat.turn.v1.agent'
$fn$;

-- Built from stored events, never from one agent's memory: an agent that died has told its turns before.
-- Times are milliseconds since the call was answered; a turn's words are on one line.
create or replace function patchbay.livekit_result(c patchbay.calls) returns jsonb
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    with turns as (
        select split_part(e.type, '.', 4) as role, e.occurred_at, e.id, e.data,
               btrim(regexp_replace(coalesce(e.data ->> 'heard', e.data ->> 'text', ''), '\s+', ' ', 'g')) as said,
               greatest(0, round(extract(epoch from e.occurred_at - coalesce(c.answered_at, c.offered_at)) * 1000))
                   as end_ms,
               greatest(0, (e.data ->> 'ended_ms')::numeric - (e.data ->> 'started_ms')::numeric) as length_ms
        from patchbay.call_events e
        where e.call_id = c.id and e.type in ('pat.turn.v1.user', 'pat.turn.v1.agent', 'pat.turn.v1.tool')
    ), lines as (
        select role, occurred_at, id,
               case when role = 'tool'
                   then data - array['call_id', 'user_id'] || jsonb_build_object('role', 'tool')
                   else jsonb_strip_nulls(jsonb_build_object(
                       'role', role, 'content', said, 'start_ms', greatest(0, end_ms - length_ms), 'end_ms', end_ms,
                       'interrupted', case when (data ->> 'interrupted')::boolean then true end)) end as line
        from turns where role = 'tool' or said <> ''
    ), recording as (
        select url from patchbay.recordings where call_id = c.id and name = 'recording' and state = 'stored'
    )
    select jsonb_strip_nulls(jsonb_build_object(
        'transcript_object', (select jsonb_agg(line order by occurred_at, id) from lines where role <> 'tool'),
        'transcript_with_tool_calls', case when exists (select from lines where role = 'tool')
            then (select jsonb_agg(line order by occurred_at, id) from lines) end,
        'latency', jsonb_build_object('llm', patchbay.turn_percentiles(c.id, 'llm_first_ms'),
                                      'e2e', patchbay.turn_percentiles(c.id, 'response_ms')),
        'recording_url', (select url from recording),
        'recording_multi_channel_url', (select url from recording)))
$fn$;

create or replace function patchbay.project_call(p_call uuid) returns boolean
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    c patchbay.calls;
    r patchbay.call_results;
    want jsonb;
    cols text[];
begin
    -- The lock lets two projections of one call run one after the other.
    select * into c from patchbay.calls where id = p_call for update;
    if not found or not exists (select from public.users u where u.id = c.user_id) then
        return false;
    end if;
    select * into r from patchbay.call_results
    where call_id = p_call and source = coalesce(c.stack, 'retell');
    if c.stack = 'livekit' then
        r.data := patchbay.livekit_result(c) || coalesce(r.data, '{}');
    end if;
    select jsonb_object_agg(key, value) into want
    from jsonb_each(patchbay.call_record(c, r.data, r.event)) where value <> 'null';
    -- Somebody else's handler may have stored Retell's webhook under an id of its own.
    if exists (select from public.call_records x where x.retell_call_id = c.retell_call_id and x.id <> c.id) then
        want := want - 'retell_call_id';
    end if;
    select array_agg(quote_ident(a.attname) order by a.attnum) into cols
    from pg_attribute a
    where a.attrelid = 'public.call_records'::regclass and a.attnum > 0 and not a.attisdropped
      and a.attgenerated = '' and want ? a.attname;

    execute format(
        'insert into public.call_records as t (%1$s)
         select %1$s from jsonb_populate_record(null::public.call_records, $1)
         on conflict (id) do update set (%1$s) = row (%2$s) where (%3$s) is distinct from (%2$s)',
        array_to_string(cols, ', '),
        (select string_agg('excluded.' || x, ', ') from unnest(cols) x),
        (select string_agg('t.' || x, ', ') from unnest(cols) x))
    using want;
    return true;
end
$fn$;

revoke all on function patchbay.put_recording(jsonb), patchbay.claim_recordings(interval, integer),
    patchbay.turn_percentiles(uuid, text), patchbay.livekit_result(patchbay.calls) from public;
grant execute on function patchbay.put_recording(jsonb), patchbay.claim_recordings(interval, integer),
    patchbay.turn_percentiles(uuid, text), patchbay.livekit_result(patchbay.calls)
    to service_role, patchbay_service;
