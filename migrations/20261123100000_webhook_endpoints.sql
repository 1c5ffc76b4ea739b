-- Webhooks to customers: who wants which events, what is queued for whom, and how it went.
--
--   webhook_endpoints   where a user wants his events
--   webhook_secrets     what they are signed with; several while one is being changed
--   webhook_messages    an event as it is sent, once, however many endpoints want it
--   webhook_deliveries  one row per endpoint and event: the queue and the log in one
--   webhook_fan_out     events become deliveries, in one transaction, each once
--   webhook_claim       a few due deliveries for one relay, for a while
--   webhook_settle      how attempts ended; endpoints that are gone or dead are disabled, and it is told
--   webhook_replay      another chance for what was given up
--   prune_deliveries    what is old goes
--
-- A claimed delivery's next_attempt_at lies in the future: should its relay die, it is due again then. attempts counts
-- claims and fences: who comes back late with an old number is not heard. Only ready rows are claimed, so that a
-- million rows that wait behind another one cost nobody anything.

create table if not exists patchbay.webhook_endpoints (
    id uuid primary key default patchbay.uuidv7(),
    user_id uuid not null,
    url text not null,
    description text,
    kind text not null default 'standard' check (kind in ('standard', 'edge_function')),
    events text[] not null default '{*}',            -- 'call.ended', 'call.*', '*'
    signing text[] not null default '{v1}' check (signing <@ '{v1,v1a}' and cardinality(signing) > 0),
    payload text not null default 'full' check (payload in ('full', 'thin')),
    ordering text not null default 'none' check (ordering in ('none', 'key', 'strict')),
    timeout_ms integer not null default 15000 check (timeout_ms between 1000 and 30000),
    max_concurrency integer not null default 10 check (max_concurrency between 1 and 100),
    api_key text,                                    -- edge_function: for apikey and Authorization
    region text,                                     -- edge_function: x-region
    state text not null default 'enabled' check (state in ('enabled', 'disabled', 'deleted')),
    state_reason text,                               -- 'gone', 'failing', 'user'
    state_changed_at timestamptz not null default now(),
    failing_since timestamptz,                       -- no success since
    failures integer not null default 0,             -- since then
    last_success_at timestamptz,                     -- to the minute
    hold_until timestamptz,                          -- it asked for a pause, or is given one
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index if not exists webhook_endpoints_user on patchbay.webhook_endpoints (user_id) where state <> 'deleted';

create table if not exists patchbay.webhook_secrets (
    id uuid primary key default patchbay.uuidv7(),
    endpoint_id uuid not null references patchbay.webhook_endpoints on delete cascade,
    scheme text not null check (scheme in ('v1', 'v1a')),
    secret text not null,                            -- whsec_... or whsk_...
    public_key text,                                 -- v1a: whpk_...
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz                           -- null: the present one
);
create index if not exists webhook_secrets_endpoint on patchbay.webhook_secrets (endpoint_id);

create table if not exists patchbay.webhook_messages (
    id uuid primary key,                             -- the event's id, and the webhook-id
    user_id uuid not null,
    type text not null,                              -- 'call.ended'
    key text not null,                               -- the call, config, switch it is about
    occurred_at timestamptz not null,
    body text not null,                              -- what is signed and sent, byte for byte
    thin text not null,                              -- the same without contents
    stored_at timestamptz not null default now()
);
create index if not exists webhook_messages_stored on patchbay.webhook_messages (stored_at);

create table if not exists patchbay.webhook_deliveries (
    id uuid primary key default patchbay.uuidv7(),
    endpoint_id uuid not null,
    event_id uuid not null,
    user_id uuid not null,
    type text not null,
    lane text,                                       -- in order within it; null: in no order
    ready boolean not null default true,             -- false: somebody in its lane goes first
    occurred_at timestamptz not null,
    state text not null default 'pending' check (state in ('pending', 'delivered', 'dead')),
    attempts integer not null default 0,             -- claims, ever
    tries integer not null default 0,                -- that count against the schedule
    max_tries integer,                               -- null: the schedule's
    next_attempt_at timestamptz,
    last_attempt_at timestamptz,
    last_status integer,                             -- HTTP; null: none came
    last_ms integer,
    last_fault text check (last_fault in ('receiver', 'network', 'ours')),
    last_error text,
    last_response text,                              -- the beginning of what came with a failure
    log jsonb not null default '[]',                 -- the last attempts
    created_at timestamptz not null default now(),
    done_at timestamptz,
    unique (event_id, endpoint_id)
);
create index if not exists webhook_deliveries_due on patchbay.webhook_deliveries (endpoint_id, next_attempt_at)
    where state = 'pending' and ready;
create index if not exists webhook_deliveries_lane on patchbay.webhook_deliveries (endpoint_id, lane, occurred_at, event_id)
    where state = 'pending' and lane is not null;
create index if not exists webhook_deliveries_head on patchbay.webhook_deliveries (endpoint_id, lane)
    where state = 'pending' and ready and lane is not null;
create index if not exists webhook_deliveries_user on patchbay.webhook_deliveries (user_id, created_at desc, id desc);
create index if not exists webhook_deliveries_dead on patchbay.webhook_deliveries (endpoint_id, created_at) where state = 'dead';
create index if not exists webhook_deliveries_done on patchbay.webhook_deliveries (created_at) where state <> 'pending';

-- ------------------------------------------------------------------ what is wanted
-- 'call.*' and '*' as one expects; relays accept only patterns of this kind.
create or replace function patchbay.webhook_wants(p_events text[], p_type text) returns boolean
    language sql immutable strict parallel safe set search_path = pg_catalog, pg_temp as $fn$
    select exists (select from unnest(p_events) p where p_type like replace(replace(p, '_', '\_'), '*', '%'))
$fn$;

-- ------------------------------------------------------------------ order
-- Who may go in a lane: the earliest, unless another one has already been tried. The lock of a lane is taken after the
-- caller's own rows are written and before this looks: whoever comes second sees what the first one did.
create or replace function patchbay.webhook_lock_lanes(p_endpoints uuid[], p_lanes text[]) returns void
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
begin
    -- Always in the same order, or two of us wait for each other.
    perform pg_advisory_xact_lock(x.lock) from (
        select distinct hashtextextended(u.endpoint::text || u.lane, 7811920442103379) as lock
        from unnest(p_endpoints, p_lanes) as u(endpoint, lane) order by 1) x;
end
$fn$;

create or replace function patchbay.webhook_promote(p_endpoint uuid, p_lane text) returns void
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    head uuid;
begin
    if exists (select from patchbay.webhook_deliveries where endpoint_id = p_endpoint and lane = p_lane
               and state = 'pending' and ready and attempts > 0) then
        return;
    end if;
    select id into head from patchbay.webhook_deliveries where endpoint_id = p_endpoint and lane = p_lane
        and state = 'pending' order by occurred_at, event_id limit 1;
    update patchbay.webhook_deliveries set ready = false where endpoint_id = p_endpoint and lane = p_lane
        and state = 'pending' and ready and id <> head;
    update patchbay.webhook_deliveries set ready = true where id = head and not ready;
end
$fn$;

-- ------------------------------------------------------------------ in
-- p_events: [{"id","user_id","type","key","at","body","thin"}]. Says which endpoints have something to do. In a lane,
-- p_settle_ms is how long an event waits for an earlier one that is still on its way.
create or replace function patchbay.webhook_fan_out(p_events jsonb, p_settle_ms integer) returns setof uuid
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    endpoints uuid[];
    lane_endpoints uuid[];
    lanes text[];
    i integer;
begin
    with event as materialized (
        select distinct on (x.id) x.* from jsonb_to_recordset(p_events)
            as x(id uuid, user_id uuid, type text, key text, at timestamptz, body text, thin text)
        -- A test call of ours is nobody's business.
        where not exists (select from patchbay.calls c where c.rehearsal
                          and c.id = case when x.key ~ '^[0-9a-f]{8}-[0-9a-f-]{27}$' then x.key::uuid end)
    ), wanted as materialized (
        select v.*, e.id as endpoint, case e.ordering when 'key' then v.key when 'strict' then '' end as lane
        from event v join patchbay.webhook_endpoints e on e.user_id = v.user_id
        where e.state = 'enabled' and patchbay.webhook_wants(e.events, v.type)
          -- Enabled again before the notice comes, it needs none.
          and not (v.type = 'webhook.endpoint_disabled' and v.key = e.id::text)
          -- What happened before there was an endpoint is not its business; clocks differ a little.
          and v.at > e.created_at - interval '1 minute'
    ), kept as (
        insert into patchbay.webhook_messages (id, user_id, type, key, occurred_at, body, thin)
        select distinct on (w.id) w.id, w.user_id, w.type, w.key, w.at, w.body, w.thin from wanted w order by w.id
        on conflict (id) do nothing
    ), put as (
        insert into patchbay.webhook_deliveries
            (endpoint_id, event_id, user_id, type, lane, ready, occurred_at, next_attempt_at)
        select w.endpoint, w.id, w.user_id, w.type, w.lane, w.lane is null, w.at,
               case when w.lane is null then now() else now() + p_settle_ms * interval '1 millisecond' end
        from wanted w order by w.endpoint, w.at, w.id
        on conflict (event_id, endpoint_id) do nothing
        returning endpoint_id, webhook_deliveries.lane
    )
    select array_agg(distinct p.endpoint_id), array_agg(p.endpoint_id) filter (where p.lane is not null),
           array_agg(p.lane) filter (where p.lane is not null)
    into endpoints, lane_endpoints, lanes from (select distinct put.endpoint_id, put.lane from put) p;

    if lanes is not null then
        perform patchbay.webhook_lock_lanes(lane_endpoints, lanes);
        for i in 1 .. cardinality(lanes) loop
            perform patchbay.webhook_promote(lane_endpoints[i], lanes[i]);
        end loop;
    end if;
    return query select unnest(endpoints);
end
$fn$;

-- Endpoints with something due within p_ms, among the next p_max that have anything queued behind p_after.
-- `last` is where to go on; all rows have it. Jumps from endpoint to endpoint: rows that wait are not read.
create or replace function patchbay.webhook_due(p_after uuid, p_ms integer, p_max integer)
    returns table (endpoint_id uuid, due boolean)
    language plpgsql stable set search_path = pg_catalog, pg_temp as $fn$
#variable_conflict use_column
begin
    return query
    with recursive walk as (
        (select d.endpoint_id as endpoint, d.next_attempt_at as at, 1 as n from patchbay.webhook_deliveries d
         where d.state = 'pending' and d.ready and d.endpoint_id > p_after order by d.endpoint_id, d.next_attempt_at limit 1)
        union all
        select x.* from walk w cross join lateral (
            select d.endpoint_id, d.next_attempt_at, w.n + 1 from patchbay.webhook_deliveries d
            where d.state = 'pending' and d.ready and d.endpoint_id > w.endpoint
            order by d.endpoint_id, d.next_attempt_at limit 1) x
        where w.n < p_max)
    select w.endpoint, coalesce(w.at <= now() + p_ms * interval '1 millisecond' and e.state = 'enabled'
           and coalesce(e.hold_until, now()) <= now() + p_ms * interval '1 millisecond', false)
    from walk w left join patchbay.webhook_endpoints e on e.id = w.endpoint order by w.endpoint;
end
$fn$;

-- ------------------------------------------------------------------ out
-- Up to p_free[i] due deliveries of p_endpoints[i], with all that sending needs. They come back by webhook_settle, or
-- are due again p_margin_ms after their time-out.
create or replace function patchbay.webhook_claim(p_endpoints uuid[], p_free integer[], p_margin_ms integer, p_body_max integer)
    returns table (id uuid, endpoint_id uuid, event_id uuid, user_id uuid, type text, attempts integer, tries integer,
                   max_tries integer, body text, url text, secrets text, timeout_ms integer, max_concurrency integer,
                   kind text, api_key text, region text, failures integer, ordered boolean)
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
#variable_conflict use_column
begin
    return query
    with mine as materialized (
        select e.*, u.free, (
            select string_agg(s.scheme || ':' || s.secret, ' ' order by s.created_at desc) from patchbay.webhook_secrets s
            where s.endpoint_id = e.id and s.scheme = any (e.signing) and coalesce(s.expires_at, now()) >= now()) as secrets
        from unnest(p_endpoints, p_free) as u(id, free) join patchbay.webhook_endpoints e on e.id = u.id
        where e.state = 'enabled' and coalesce(e.hold_until, now()) <= now()
    ), due as materialized (
        select d.id from mine m cross join lateral (
            select x.id from patchbay.webhook_deliveries x
            where x.endpoint_id = m.id and x.state = 'pending' and x.ready and x.next_attempt_at <= now()
            order by x.next_attempt_at limit least(m.free, m.max_concurrency) for update skip locked) d
    ), taken as (
        update patchbay.webhook_deliveries d set attempts = d.attempts + 1, tries = d.tries + 1,
            next_attempt_at = now() + (m.timeout_ms + p_margin_ms) * interval '1 millisecond'
        from mine m where m.id = d.endpoint_id and d.id = any (array(select due.id from due))
        returning d.id, d.endpoint_id, d.event_id, d.user_id, d.type, d.attempts, d.tries, d.max_tries,
                  d.lane is not null as ordered
    )
    select t.id, t.endpoint_id, t.event_id, t.user_id, t.type, t.attempts, t.tries, t.max_tries,
           case when m.payload = 'thin' or octet_length(g.body) > p_body_max then g.thin else g.body end,
           m.url, m.secrets, m.timeout_ms, m.max_concurrency, m.kind, m.api_key, m.region, m.failures, t.ordered
    from taken t join mine m on m.id = t.endpoint_id left join patchbay.webhook_messages g on g.id = t.event_id;
end
$fn$;

-- The notice that an endpoint gets nothing more, through the outbox: what is told there is told for certain.
create or replace function patchbay.webhook_tell_disabled(p_endpoint patchbay.webhook_endpoints) returns void
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    event_id constant uuid := patchbay.uuidv7();
    subject constant text := format('pat.webhook.v1.endpoint_disabled.%s.%s', p_endpoint.user_id, p_endpoint.id);
begin
    insert into patchbay.outbox (id, subject, payload) values (event_id, subject, jsonb_build_object(
        'specversion', '1.0', 'id', event_id, 'source', '/patchbay/webhook-relay',
        'type', 'pat.webhook.v1.endpoint_disabled', 'subject', p_endpoint.id,
        'time', to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
        'datacontenttype', 'application/json', 'userid', p_endpoint.user_id,
        'data', jsonb_build_object(
            'user_id', p_endpoint.user_id, 'endpoint_id', p_endpoint.id, 'url', split_part(p_endpoint.url, '?', 1),
            'reason', p_endpoint.state_reason, 'failures', p_endpoint.failures,
            'failing_since', to_char(p_endpoint.failing_since at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))));
    perform pg_notify('patchbay_outbox', subject);
end
$fn$;

-- p_results: [{"id","attempt","what","status","ms","fault","error","response","next_ms","hold_ms","gone"}]; what:
-- delivered, retry (in next_ms), dead, back (our own fault: it does not count). An endpoint is disabled when it says
-- that it is gone, or when for p_disable_ms and in at least five attempts nothing was taken. Says which deliveries it
-- has noted (the others were somebody else's by now), and which endpoints it has disabled (delivery null).
create or replace function patchbay.webhook_settle(p_results jsonb, p_disable_ms bigint)
    returns table (delivery_id uuid, disabled uuid)
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
#variable_conflict use_column
declare
    noted uuid[];
    final_endpoints uuid[];
    final_lanes text[];
    per record;
    endpoint patchbay.webhook_endpoints;
    i integer;
begin
    with result as materialized (
        select * from jsonb_to_recordset(p_results) as x(id uuid, attempt integer, what text, status integer, ms integer,
            fault text, error text, response text, next_ms bigint)
    ), done as (
        update patchbay.webhook_deliveries d set
            state = case r.what when 'delivered' then 'delivered' when 'dead' then 'dead' else 'pending' end,
            tries = case r.what when 'back' then d.tries - 1 else d.tries end,
            next_attempt_at = case when r.what in ('retry', 'back') then now() + r.next_ms * interval '1 millisecond' end,
            done_at = case when r.what in ('delivered', 'dead') then now() end,
            last_attempt_at = now(), last_status = r.status, last_ms = r.ms, last_fault = r.fault, last_error = r.error,
            last_response = r.response,
            log = (case when jsonb_array_length(d.log) >= 20 then d.log - 0 else d.log end) || jsonb_strip_nulls(
                jsonb_build_object('at', to_char(now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                    'status', r.status, 'ms', r.ms, 'fault', r.fault, 'error', r.error))
        from result r where d.id = r.id and d.attempts = r.attempt and d.state = 'pending'
        returning d.id, d.endpoint_id, d.lane, d.state
    )
    select array_agg(d.id), array_agg(d.endpoint_id) filter (where d.lane is not null and d.state <> 'pending'),
           array_agg(d.lane) filter (where d.lane is not null and d.state <> 'pending')
    into noted, final_endpoints, final_lanes from done d;

    if final_lanes is not null then
        perform patchbay.webhook_lock_lanes(final_endpoints, final_lanes);
        for i in 1 .. cardinality(final_lanes) loop
            perform patchbay.webhook_promote(final_endpoints[i], final_lanes[i]);
        end loop;
    end if;
    return query select unnest(noted), null::uuid;

    -- Endpoints in the order of their ids: two relays must not wait for each other.
    for per in
        select d.endpoint_id, bool_or(r.what = 'delivered') as took, bool_or(coalesce(r.gone, false)) as gone,
               count(*) filter (where r.what in ('retry', 'dead') and r.fault <> 'ours') as failed,
               max(r.hold_ms) as hold_ms
        from jsonb_to_recordset(p_results) as r(id uuid, what text, fault text, hold_ms bigint, gone boolean)
        join patchbay.webhook_deliveries d on d.id = r.id where r.id = any (noted) group by 1 order by 1
    loop
        if per.took and not per.gone and per.hold_ms is null then
            update patchbay.webhook_endpoints e set failing_since = null, failures = 0, hold_until = null,
                   last_success_at = now()
            where e.id = per.endpoint_id and (e.failures > 0 or e.hold_until is not null or e.last_success_at is null
                                              or e.last_success_at < now() - interval '1 minute');
            continue;
        end if;
        if per.failed = 0 and per.hold_ms is null and not per.gone then
            continue;
        end if;
        update patchbay.webhook_endpoints e set
            failing_since = case when per.took then null else coalesce(e.failing_since, now()) end,
            failures = case when per.took then 0 else e.failures end + per.failed,
            last_success_at = case when per.took then now() else e.last_success_at end,
            hold_until = case when per.hold_ms is not null
                then greatest(coalesce(e.hold_until, now()), now() + per.hold_ms * interval '1 millisecond') else e.hold_until end
        where e.id = per.endpoint_id returning * into endpoint;
        if endpoint.state = 'enabled' and (per.gone or (not per.took and endpoint.failures >= 5
                and endpoint.failing_since <= now() - p_disable_ms * interval '1 millisecond')) then
            update patchbay.webhook_endpoints e set state = 'disabled',
                   state_reason = case when per.gone then 'gone' else 'failing' end, state_changed_at = now(), updated_at = now()
            where e.id = per.endpoint_id returning * into endpoint;
            perform patchbay.webhook_tell_disabled(endpoint);
            return query select null::uuid, endpoint.id;
        end if;
    end loop;
end
$fn$;

-- One delivery (p_delivery), or those of an endpoint in one of p_states since p_since, at most p_max: due now, with the
-- whole schedule before them. Says which endpoints, and how many each.
create or replace function patchbay.webhook_replay(p_user uuid, p_delivery uuid, p_endpoint uuid, p_states text[],
                                                   p_since timestamptz, p_max integer)
    returns table (endpoint_id uuid, replayed integer)
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
#variable_conflict use_column
declare
    endpoints uuid[];
    lane_endpoints uuid[];
    lanes text[];
    i integer;
begin
    with picked as materialized (
        select d.id from patchbay.webhook_deliveries d
        where d.user_id = p_user and (p_delivery is null or d.id = p_delivery)
          and (p_endpoint is null or d.endpoint_id = p_endpoint) and d.state = any (p_states) and d.state <> 'pending'
          and (p_since is null or d.created_at >= p_since)
        order by d.occurred_at, d.event_id limit p_max for update skip locked
    ), again as (
        update patchbay.webhook_deliveries d set state = 'pending', tries = 0, next_attempt_at = now(), done_at = null,
            ready = d.lane is null
        from picked where d.id = picked.id returning d.endpoint_id, d.lane
    )
    select array_agg(a.endpoint_id), array_agg(a.endpoint_id) filter (where a.lane is not null),
           array_agg(a.lane) filter (where a.lane is not null)
    into endpoints, lane_endpoints, lanes from again a;

    if lanes is not null then
        perform patchbay.webhook_lock_lanes(lane_endpoints, lanes);
        for i in 1 .. cardinality(lanes) loop
            perform patchbay.webhook_promote(lane_endpoints[i], lanes[i]);
        end loop;
    end if;
    return query select x, count(*)::integer from unnest(endpoints) x group by x;
end
$fn$;

-- ------------------------------------------------------------------ what is old
-- At most p_max deliveries that ended (or wait at an endpoint that is not served) and are older than p_days, and what
-- they were made of. -1: another relay is at it.
create or replace function patchbay.prune_deliveries(p_days integer, p_max integer) returns integer
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $fn$
declare
    before constant timestamptz := now() - make_interval(days => p_days);
    n integer;
    m integer;
begin
    if p_days is null or p_days < 1 or p_max is null or p_max < 1 then
        raise exception 'prune_deliveries: days and rows are at least 1' using errcode = '22023';
    end if;
    if not pg_try_advisory_xact_lock(7811920442103380) then
        return -1;
    end if;
    delete from patchbay.webhook_deliveries where id in (
        select id from patchbay.webhook_deliveries where state <> 'pending' and created_at < before
        order by created_at limit p_max for update skip locked);
    get diagnostics n = row_count;
    if n < p_max then
        delete from patchbay.webhook_deliveries where id in (
            select d.id from patchbay.webhook_endpoints e cross join lateral (
                select x.id from patchbay.webhook_deliveries x where x.endpoint_id = e.id and x.state = 'pending'
                and (x.ready or x.lane is not null) and (e.state = 'deleted' or x.created_at < before)
                limit p_max - n for update skip locked) d
            where e.state <> 'enabled' limit p_max - n);
        get diagnostics m = row_count;
        n := n + m;
    end if;
    if n < p_max then
        delete from patchbay.webhook_messages where id in (
            select g.id from patchbay.webhook_messages g where g.stored_at < before
            and not exists (select from patchbay.webhook_deliveries d where d.event_id = g.id)
            order by g.stored_at limit p_max - n for update skip locked);
        get diagnostics m = row_count;
        n := n + m;
    end if;
    return n;
end
$fn$;

-- ------------------------------------------------------------------ rights
-- No user reads these directly, not even his own: secrets are among them. The API asks the relay.
do $rights$
declare
    t text;
begin
    foreach t in array array['webhook_endpoints', 'webhook_secrets', 'webhook_messages', 'webhook_deliveries'] loop
        execute format('alter table patchbay.%I enable row level security', t);
        execute format('drop policy if exists service on patchbay.%I', t);
        execute format('create policy service on patchbay.%I to service_role, patchbay_service
                        using (true) with check (true)', t);
        execute format('revoke all on patchbay.%I from anon, authenticated', t);
        execute format('grant select, insert, update, delete on patchbay.%I to service_role, patchbay_service', t);
    end loop;
    foreach t in array array[
        'webhook_wants(text[], text)', 'webhook_lock_lanes(uuid[], text[])', 'webhook_promote(uuid, text)',
        'webhook_fan_out(jsonb, integer)', 'webhook_due(uuid, integer, integer)',
        'webhook_claim(uuid[], integer[], integer, integer)', 'webhook_settle(jsonb, bigint)',
        'webhook_tell_disabled(patchbay.webhook_endpoints)',
        'webhook_replay(uuid, uuid, uuid, text[], timestamptz, integer)', 'prune_deliveries(integer, integer)'] loop
        execute format('revoke all on function patchbay.%s from public', t);
        execute format('grant execute on function patchbay.%s to service_role, patchbay_service', t);
    end loop;
end
$rights$;
