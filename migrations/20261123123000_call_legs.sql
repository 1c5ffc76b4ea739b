-- Every leg the carrier has of a call, what it told about each, and what is still to be asked for.
--
--   patchbay.call_legs       one row per leg: the caller's, the stack's, another phone's
--   put_leg                  merges what somebody heard about one; told again, late or in any order it ends in the same row
--   take_status              a status callback: finds the call, merges; what is about no call of ours yet is parked
--   patchbay.carrier_parked  such callbacks, for a day
--   claim_calls              hands calls nobody has told of for a while to whoever asks the carrier about them
--   patchbay.chores          what one router at a time does now and then
--   recordings               a file of the carrier's that is still to be fetched ('fetching')

create table if not exists patchbay.call_legs (
    leg         text primary key check (length(leg) between 1 and 128), -- the carrier's id of it
    call_id     uuid not null,                                         -- no reference: the call may be stored after it
    user_id     uuid not null,
    kind        text not null check (kind in ('caller', 'stack', 'transfer', 'consult')),
    stack       public.voice_ai_stack,                                 -- of kind stack
    carrier     text not null default 'signalwire',
    state       text not null default 'initiated' check (state in ('initiated', 'ringing', 'talking', 'ended')),
    sequence    integer,                                               -- the highest the carrier has counted to
    began_at    timestamptz not null default now(),
    ringing_at  timestamptz,
    answered_at timestamptz,
    ended_at    timestamptz,
    end_reason  text,                                                  -- a word of docs/end-reasons.md
    sip_code    integer,
    seconds     integer check (seconds >= 0),                          -- talked, as the carrier counts
    updated_at  timestamptz not null default now()
);
create index if not exists call_legs_call on patchbay.call_legs (call_id);
comment on table patchbay.call_legs is 'One row per leg the carrier has of a call.';

create table if not exists patchbay.carrier_parked (
    leg        text not null,
    key        text not null,              -- of the callback: its sequence number, else its time and state
    facts      jsonb not null,
    came_at    timestamptz not null default now(),
    primary key (leg, key)
);
create index if not exists carrier_parked_came on patchbay.carrier_parked (came_at);

create table if not exists patchbay.chores (
    name    text primary key,
    next_at timestamptz not null default now(),
    state   jsonb not null default '{}'
);

-- When somebody should look at an open call again.
alter table patchbay.calls add column if not exists look_at timestamptz not null default now() + interval '2 minutes';
create index if not exists calls_look on patchbay.calls (look_at) where state <> 'ended';

alter table patchbay.recordings drop constraint if exists recordings_state_check;
alter table patchbay.recordings add constraint recordings_state_check
    check (state in ('recording', 'joining', 'fetching', 'stored', 'failed', 'deleted'));
alter table patchbay.recordings add column if not exists source_url text;                   -- where the carrier keeps it
alter table patchbay.recordings add column if not exists attempts integer not null default 0;
alter table patchbay.recordings add column if not exists next_at timestamptz;
alter table patchbay.recordings add column if not exists error text;
create index if not exists recordings_fetch on patchbay.recordings (next_at) where state = 'fetching';

-- Reasons from the one that says most; the vague ones give way to any other, whichever came first.
create or replace function patchbay.vague_reason(reason text) returns integer
    language sql immutable set search_path = pg_catalog, pg_temp as $fn$
    select case reason when 'completed' then 1 when 'unheard' then 2 else 0 end
$fn$;

-- Facts: leg, call_id, user_id, kind; any of stack, carrier, state, at, sequence, end_reason, sip_code, seconds. Returns 'new'
-- when they changed something, 'known' when they did not, 'other_call' when the leg belongs to another call, 'impossible' when
-- a leg that talked is said to have ended unanswered (or the other way round): then the row keeps both.
create or replace function patchbay.put_leg(facts jsonb) returns text
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    states constant text[] := array['initiated', 'ringing', 'talking', 'ended'];
    unanswered constant text[] := array['busy', 'no_answer', 'declined', 'caller_gave_up', 'invalid_number'];
    f patchbay.call_legs := jsonb_populate_record(null::patchbay.call_legs, facts);
    at constant timestamptz := coalesce((facts ->> 'at')::timestamptz, now());
    old patchbay.call_legs;
    l patchbay.call_legs;
    made integer;
begin
    insert into patchbay.call_legs (leg, call_id, user_id, kind, began_at)
    values (f.leg, f.call_id, f.user_id, f.kind, at)
    on conflict (leg) do nothing;
    get diagnostics made = row_count;
    select * into strict old from patchbay.call_legs where leg = f.leg for update;
    if old.call_id <> f.call_id or old.user_id <> f.user_id then
        return 'other_call';
    end if;
    l := old;
    l.stack := coalesce(old.stack, f.stack);
    l.carrier := coalesce(f.carrier, old.carrier);
    l.state := states[greatest(array_position(states, old.state), array_position(states, f.state))];
    l.sequence := greatest(old.sequence, f.sequence);
    l.began_at := least(old.began_at, at);
    l.ringing_at := least(old.ringing_at, case when f.state = 'ringing' then at end);
    l.answered_at := least(old.answered_at, case when f.state = 'talking' then at end);
    l.ended_at := least(old.ended_at, case when f.state = 'ended' then at end);
    if old.end_reason is null or (patchbay.vague_reason(f.end_reason), f.end_reason collate "C")
                                 < (patchbay.vague_reason(old.end_reason), old.end_reason collate "C") then
        l.end_reason := coalesce(f.end_reason, old.end_reason);
    end if;
    l.sip_code := greatest(old.sip_code, f.sip_code);
    l.seconds := greatest(old.seconds, f.seconds);
    if l is distinct from old then
        update patchbay.call_legs set stack = l.stack, carrier = l.carrier, state = l.state, sequence = l.sequence,
            began_at = l.began_at, ringing_at = l.ringing_at, answered_at = l.answered_at, ended_at = l.ended_at,
            end_reason = l.end_reason, sip_code = l.sip_code, seconds = l.seconds, updated_at = now()
        where leg = l.leg;
    end if;
    if l.answered_at is not null and l.end_reason = any (unanswered) then
        return 'impossible';
    end if;
    return case when made = 1 or l is distinct from old then 'new' else 'known' end;
end
$fn$;

-- The legs of a call, as legs.c reads them.
create or replace function patchbay.legs_of(p_call uuid) returns jsonb
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
        'leg', l.leg, 'kind', l.kind, 'state', l.state, 'sequence', l.sequence, 'reason', l.end_reason,
        'sip_code', l.sip_code, 'seconds', l.seconds,
        'began_ms', floor(extract(epoch from l.began_at) * 1000)::bigint,
        'ringing_ms', floor(extract(epoch from l.ringing_at) * 1000)::bigint,
        'answered_ms', floor(extract(epoch from l.answered_at) * 1000)::bigint,
        'ended_ms', floor(extract(epoch from l.ended_at) * 1000)::bigint)) order by l.began_at, l.leg), '[]')
    from patchbay.call_legs l where l.call_id = p_call
$fn$;

-- The caller's leg follows the call's own row: nobody has to say it twice.
create or replace function patchbay.on_call_leg() returns trigger
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
begin
    perform patchbay.put_leg(jsonb_build_object(
        'leg', new.carrier_call_id, 'call_id', new.id, 'user_id', new.user_id, 'kind', 'caller', 'carrier', new.carrier,
        'at', new.offered_at, 'state', 'ringing'));
    if new.answered_at is not null then
        perform patchbay.put_leg(jsonb_build_object(
            'leg', new.carrier_call_id, 'call_id', new.id, 'user_id', new.user_id, 'kind', 'caller',
            'at', new.answered_at, 'state', 'talking'));
    end if;
    if new.state = 'ended' then
        perform patchbay.put_leg(jsonb_build_object(
            'leg', new.carrier_call_id, 'call_id', new.id, 'user_id', new.user_id, 'kind', 'caller',
            'at', new.ended_at, 'state', 'ended', 'end_reason', new.ended_reason));
    end if;
    return null;
end
$fn$;
drop trigger if exists patchbay_leg on patchbay.calls;
drop trigger if exists patchbay_leg_new on patchbay.calls;
create trigger patchbay_leg after update on patchbay.calls for each row
    when (new.carrier_call_id is not null and (new.carrier_call_id is distinct from old.carrier_call_id
                                               or new.state is distinct from old.state))
    execute function patchbay.on_call_leg();
create trigger patchbay_leg_new after insert on patchbay.calls for each row
    when (new.carrier_call_id is not null) execute function patchbay.on_call_leg();

-- What a status callback says: leg, key, state; any of parent, at, sequence, end_reason, sip_code, seconds, carrier, park
-- (false: about nobody's number, or told only once). One row: the call, if it is ours, what became of the leg's facts, and
-- the leg's kind. No row: not ours, or not yet; then it is parked when it may be.
create or replace function patchbay.take_status(facts jsonb)
    returns table (id uuid, user_id uuid, agent_config_id uuid, carrier_call_id text, retell_call_id text,
                   from_number text, to_number text, stack text, call_state text, config_version bigint,
                   offered_ms bigint, kind text, news text, legs jsonb)
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    p_leg constant text := facts ->> 'leg';
    c patchbay.calls;
    l patchbay.call_legs;
    happened text;
begin
    select * into l from patchbay.call_legs x where x.leg = p_leg;
    if found then
        select * into c from patchbay.calls x where x.id = l.call_id;
    else
        -- An offer may come twice (the fallback address asked as well): the open one, else the latest.
        select * into c from patchbay.calls x where x.carrier_call_id = p_leg
        order by x.state = 'ended', x.offered_at desc limit 1;
        l.kind := 'caller';
    end if;
    if c.id is null then
        if coalesce((facts ->> 'park')::boolean, true) then
            insert into patchbay.carrier_parked (leg, key, facts) values (p_leg, facts ->> 'key', facts - 'park')
            on conflict do nothing;
        end if;
        return;
    end if;
    happened := patchbay.put_leg(jsonb_strip_nulls(
        facts - array['key', 'park', 'parent', 'stack', 'kind']
        || jsonb_build_object('call_id', c.id, 'user_id', c.user_id, 'kind', l.kind)));
    return query select c.id, c.user_id, c.agent_config_id, c.carrier_call_id, c.retell_call_id, c.from_number, c.to_number,
        c.stack::text, c.state, coalesce(c.config_version, 0), floor(extract(epoch from c.offered_at) * 1000)::bigint,
        l.kind, happened, patchbay.legs_of(c.id);
end
$fn$;

-- Parked callbacks whose call has come meanwhile, taken out; what waited longer than a day goes.
create or replace function patchbay.claim_parked(at_most integer) returns setof jsonb
    language sql security invoker set search_path = pg_catalog, pg_temp as $fn$
    delete from patchbay.carrier_parked p
    where (p.leg, p.key) in (select x.leg, x.key from patchbay.carrier_parked x
                             where x.came_at < now() - interval '1 day'
                             order by x.came_at limit at_most for update skip locked);
    delete from patchbay.carrier_parked p
    where (p.leg, p.key) in (
        select x.leg, x.key from patchbay.carrier_parked x
        where exists (select from patchbay.calls c where c.carrier_call_id = x.leg)
           or exists (select from patchbay.call_legs l where l.leg = x.leg)
        order by x.came_at limit at_most for update skip locked)
    returning p.facts
$fn$;

-- Open calls that should be looked at, and when again should this look come to nothing. last_ms: the last sign of life.
create or replace function patchbay.claim_calls(lease interval, at_most integer)
    returns table (id uuid, user_id uuid, agent_config_id uuid, carrier_call_id text, retell_call_id text,
                   from_number text, to_number text, stack text, call_state text, config_version bigint,
                   offered_ms bigint, answered_ms bigint, last_ms bigint, form text, gone integer, legs jsonb)
    language sql security invoker set search_path = pg_catalog, pg_temp as $fn$
    with due as (
        select x.id from patchbay.calls x
        where x.state <> 'ended' and x.look_at <= now()
        order by x.look_at limit at_most for update skip locked
    ), taken as (
        update patchbay.calls c set look_at = now() + lease from due where c.id = due.id returning c.*
    )
    select c.id, c.user_id, c.agent_config_id, c.carrier_call_id, c.retell_call_id, c.from_number, c.to_number,
           c.stack::text, c.state, coalesce(c.config_version, 0), floor(extract(epoch from c.offered_at) * 1000)::bigint,
           floor(extract(epoch from c.answered_at) * 1000)::bigint,
           floor(extract(epoch from greatest(c.offered_at, c.routed_at, c.answered_at,
               (select max(e.occurred_at) from patchbay.call_events e where e.call_id = c.id),
               (select max(greatest(l.ringing_at, l.answered_at, l.ended_at)) from patchbay.call_legs l
                where l.call_id = c.id))) * 1000)::bigint,
           coalesce(c.metadata ->> 'carrier_form', 'cxml'), coalesce((c.metadata ->> 'stack_gone')::integer, 0),
           patchbay.legs_of(c.id)
    from taken c
$fn$;

-- Whoever gets a row does that chore now; nobody else for the interval.
create or replace function patchbay.claim_chore(p_name text, every interval) returns setof jsonb
    language sql security invoker set search_path = pg_catalog, pg_temp as $fn$
    insert into patchbay.chores (name, next_at) values (p_name, '-infinity') on conflict do nothing;
    update patchbay.chores c set next_at = now() + every
    where c.name = (select x.name from patchbay.chores x where x.name = p_name and x.next_at <= now() for update skip locked)
    returning c.state
$fn$;

-- Of these legs, those that nothing of ours needs any more: their call has ended a while ago. Unknown ones are not ours to judge.
create or replace function patchbay.orphan_legs(legs text[], grace interval)
    returns table (leg text, call_id uuid, user_id uuid, kind text)
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select l.leg, l.call_id, l.user_id, l.kind
    from patchbay.call_legs l join patchbay.calls c on c.id = l.call_id
    where l.leg = any (legs) and c.state = 'ended' and c.ended_at < now() - grace
      and c.updated_at < now() - grace
      and not exists (select from patchbay.calls o where o.carrier_call_id = l.leg and o.state <> 'ended')
$fn$;

-- A message the carrier has taken: its file is to be fetched. Told again it changes nothing.
create or replace function patchbay.put_fetch(facts jsonb) returns void
    language sql security invoker set search_path = pg_catalog, pg_temp as $fn$
    insert into patchbay.recordings (call_id, name, user_id, state, began_at, source_url, duration_ms, next_at)
    select (facts ->> 'call_id')::uuid, facts ->> 'name', (facts ->> 'user_id')::uuid, 'fetching', now(),
           facts ->> 'source_url', (facts ->> 'duration_ms')::bigint, now()
    on conflict (call_id, name) do update set
        duration_ms = coalesce(patchbay.recordings.duration_ms, excluded.duration_ms)
    where patchbay.recordings.duration_ms is null and excluded.duration_ms is not null
$fn$;

-- Files to be fetched now; each is somebody else's again after the lease.
create or replace function patchbay.claim_fetches(lease interval, at_most integer) returns setof patchbay.recordings
    language sql security invoker set search_path = pg_catalog, pg_temp as $fn$
    update patchbay.recordings r set attempts = r.attempts + 1, next_at = now() + lease
    where (r.call_id, r.name) in (
        select x.call_id, x.name from patchbay.recordings x
        where x.state = 'fetching' and x.next_at <= now()
        order by x.next_at limit at_most for update skip locked)
    returning r.*
$fn$;

-- A message in the caller's own words or sound: for the row the product's inbox shows, where the call was nothing else.
create or replace function patchbay.put_message(p_call uuid, facts jsonb) returns void
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    c patchbay.calls;
begin
    select * into c from patchbay.calls where id = p_call;
    if found and c.outcome = 'voicemail' then
        perform patchbay.put_result(p_call, coalesce(c.stack, 'retell'), null, facts);
    end if;
end
$fn$;

do $rights$
declare
    t text;
begin
    foreach t in array array['call_legs', 'carrier_parked', 'chores'] loop
        execute format('alter table patchbay.%I enable row level security', t);
        execute format('drop policy if exists service on patchbay.%I', t);
        execute format('create policy service on patchbay.%I to service_role, patchbay_service
                        using (true) with check (true)', t);
        execute format('revoke all on patchbay.%I from anon, authenticated', t);
        execute format('grant select, insert, update, delete on patchbay.%I to service_role, patchbay_service', t);
    end loop;
    drop policy if exists owner_reads on patchbay.call_legs;
    create policy owner_reads on patchbay.call_legs for select to authenticated using ((select auth.uid()) = user_id);
    grant select on patchbay.call_legs to authenticated;
end
$rights$;

revoke all on function patchbay.vague_reason(text), patchbay.put_leg(jsonb), patchbay.legs_of(uuid), patchbay.on_call_leg(),
    patchbay.take_status(jsonb), patchbay.claim_parked(integer), patchbay.claim_calls(interval, integer),
    patchbay.claim_chore(text, interval), patchbay.orphan_legs(text[], interval), patchbay.put_fetch(jsonb),
    patchbay.claim_fetches(interval, integer), patchbay.put_message(uuid, jsonb) from public;
grant execute on function patchbay.vague_reason(text), patchbay.put_leg(jsonb), patchbay.legs_of(uuid), patchbay.on_call_leg(),
    patchbay.take_status(jsonb), patchbay.claim_parked(integer), patchbay.claim_calls(interval, integer),
    patchbay.claim_chore(text, interval), patchbay.orphan_legs(text[], interval), patchbay.put_fetch(jsonb),
    patchbay.claim_fetches(interval, integer), patchbay.put_message(uuid, jsonb)
    to service_role, patchbay_service;
