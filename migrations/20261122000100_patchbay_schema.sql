-- Schema patchbay: calls, what happened in them, and the two queues that make sure nothing accepted is lost.
--
-- Nothing here refers to the product's own tables by foreign key: those come and go, our history stays. Every table
-- has row level security. Our daemons work as members of patchbay_service (nologin: the operator creates login roles
-- in it); users may read their own calls and nothing else.
do $role$
begin
    if not exists (select from pg_roles where rolname = 'patchbay_service') then
        create role patchbay_service nologin;
    end if;
end
$role$;

do $schema$
begin
    if to_regnamespace('patchbay') is null then
        create schema patchbay;
    end if;
end
$schema$;

-- Everybody may look names up in it: the guard on public.agent_configs runs with the rights of whoever writes there and
-- asks three functions of ours. Tables and all other functions are granted one by one.
grant usage on schema patchbay to public;

-- RFC 9562 version 7: milliseconds since 1970, then the random part (and the variant) of a version 4 id.
create or replace function patchbay.uuidv7() returns uuid
    language sql volatile parallel safe set search_path = pg_catalog, pg_temp as $fn$
    select (lpad(to_hex(floor(extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0') || '7'
            || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid
$fn$;

-- Who may change what only an admin may (see the guard), besides tokens with app_metadata.role = 'admin'.
create table if not exists patchbay.admins (
    user_id uuid primary key,
    note text,
    created_at timestamptz not null default now()
);

create table if not exists patchbay.calls (
    id uuid primary key,                       -- our call id, UUIDv7, minted by the router
    version bigint not null default 1,         -- counts the changes of this row
    user_id uuid not null,
    agent_config_id uuid,
    config_version bigint,                     -- patchbay.config_versions.version the call was routed with
    direction text not null default 'inbound' check (direction in ('inbound', 'outbound')),
    from_number text,                          -- null: withheld
    to_number text,
    caller_withheld boolean not null default false,
    stack public.voice_ai_stack,               -- who serves it now
    fallback boolean not null default false,   -- true: not the user's own stack
    state text not null default 'offered' check (state in ('offered', 'routed', 'answered', 'ended')),
    outcome text check (outcome in ('answered', 'transferred', 'screened', 'voicemail', 'failed')),
    carrier text not null default 'signalwire',
    carrier_call_id text,
    retell_call_id text unique,
    livekit_room text,
    sip_target text,                           -- what the answer told the carrier to dial
    offered_at timestamptz not null default now(),
    routed_at timestamptz,
    answered_at timestamptz,
    ended_at timestamptz,
    ended_reason text,
    ended_owner text check (ended_owner in ('caller', 'us', 'provider', 'carrier')),
    duration_ms bigint check (duration_ms >= 0),   -- from the answer to the end
    greeting_ms integer check (greeting_ms >= 0),  -- from the answer to the first syllable
    router_build text,
    metadata jsonb not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index if not exists calls_user on patchbay.calls (user_id, offered_at desc);
create index if not exists calls_carrier_call_id on patchbay.calls (carrier_call_id) where carrier_call_id is not null;
create index if not exists calls_open on patchbay.calls (offered_at) where state <> 'ended';

-- What the provider that served a call reported about it, all reports merged, in the shape of Retell's call object.
create table if not exists patchbay.call_results (
    call_id uuid not null,
    source public.voice_ai_stack not null,
    user_id uuid not null,
    event text,                                -- the furthest event seen
    data jsonb not null default '{}',
    updated_at timestamptz not null default now(),
    primary key (call_id, source)
);

-- Append-only. An event may arrive before its call's row. user_id null: a number that is nobody's.
create table if not exists patchbay.call_events (
    id uuid primary key,                       -- the CloudEvent's id
    call_id uuid not null,
    user_id uuid,
    type text not null,
    subject text not null,
    occurred_at timestamptz not null,
    data jsonb not null default '{}',
    stored_at timestamptz not null default now()
);
create index if not exists call_events_call on patchbay.call_events (call_id, occurred_at);

-- Webhooks as they came, stored before they are acknowledged. headers: only those the verification and the
-- projection need, never an Authorization.
create table if not exists patchbay.webhook_inbox (
    id uuid primary key,
    source text not null,
    dedupe_key text not null,
    headers jsonb not null default '{}',
    body bytea not null,
    received_at timestamptz not null default now(),
    state text not null default 'received' check (state in ('received', 'projected', 'parked')),
    attempts integer not null default 0,
    next_attempt_at timestamptz,
    projected_at timestamptz,
    call_id uuid,
    error text,
    unique (source, dedupe_key)
);
create index if not exists webhook_inbox_open on patchbay.webhook_inbox (received_at) where state = 'received';

-- Events written in the transaction of the change they tell of; published_at null: NATS may not have it yet.
create table if not exists patchbay.outbox (
    id uuid primary key default patchbay.uuidv7(),   -- the CloudEvent's id and the Nats-Msg-Id
    subject text not null,
    payload jsonb not null,                          -- the whole CloudEvent
    created_at timestamptz not null default now(),
    published_at timestamptz
);
create index if not exists outbox_unpublished on patchbay.outbox (created_at) where published_at is null;
create index if not exists outbox_published on patchbay.outbox (published_at) where published_at is not null;

-- ------------------------------------------------------------------ rights
do $rights$
declare
    t text;
begin
    foreach t in array array['admins', 'calls', 'call_results', 'call_events', 'webhook_inbox', 'outbox'] loop
        execute format('alter table patchbay.%I enable row level security', t);
        execute format('drop policy if exists service on patchbay.%I', t);
        execute format('create policy service on patchbay.%I to service_role, patchbay_service
                        using (true) with check (true)', t);
        execute format('revoke all on patchbay.%I from anon, authenticated', t);
    end loop;
    foreach t in array array['calls', 'call_results', 'webhook_inbox', 'outbox'] loop
        execute format('grant select, insert, update, delete on patchbay.%I to service_role, patchbay_service', t);
    end loop;
    -- Events are never rewritten. Pruning old ones is the owner's.
    grant select, insert on patchbay.call_events to service_role, patchbay_service;
    grant select on patchbay.admins to patchbay_service;
    grant select, insert, update, delete on patchbay.admins to service_role;

    foreach t in array array['calls', 'call_results', 'call_events'] loop
        execute format('drop policy if exists owner_reads on patchbay.%I', t);
        execute format('create policy owner_reads on patchbay.%I for select to authenticated
                        using ((select auth.uid()) = user_id)', t);
        execute format('grant select on patchbay.%I to authenticated', t);
    end loop;

    -- Our daemons read the product's tables, write call records, and (the switch) agent configs.
    grant usage on schema public to patchbay_service;
    foreach t in array array['users', 'agent_configs', 'service_numbers', 'transfer_numbers', 'voices', 'contacts',
                             'call_records'] loop
        execute format('grant select on public.%I to patchbay_service', t);
        execute format('drop policy if exists patchbay_service on public.%I', t);
        execute format('create policy patchbay_service on public.%I to patchbay_service
                        using (true) with check (true)', t);
    end loop;
    grant insert, update on public.call_records to patchbay_service;
    grant update on public.agent_configs to patchbay_service;
end
$rights$;

revoke all on function patchbay.uuidv7() from public;
grant execute on function patchbay.uuidv7() to service_role, patchbay_service;
