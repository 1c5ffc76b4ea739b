-- Erasing a user: who is being erased, how far it has come, and that it was done.
--
-- The relay takes the steps (erase.c); what it has to know of the database is here. The row keeps the user's id only until the
-- end: then a digest of it, counts, and times are left, by which it can be shown that this user was erased, to who knows the id.
create table if not exists patchbay.erasures (
    id uuid primary key default patchbay.uuidv7(),
    user_id uuid,                              -- null: done
    user_sha256 text not null,
    state text not null default 'open' check (state in ('open', 'done')),
    step integer not null default 0,           -- the next one
    counts jsonb not null default '{}',        -- what was removed, by kind
    attempts integer not null default 0,       -- of this step
    error text,                                -- the last one's, no personal data
    asked_by text not null default session_user,
    asked_at timestamptz not null default now(),
    next_at timestamptz not null default now(),
    claimed_by text,
    claimed_until timestamptz,
    done_at timestamptz
);
create unique index if not exists erasures_open on patchbay.erasures (user_id) where state = 'open';
comment on table patchbay.erasures is 'Users who were erased, or are being erased; without personal data once it is done.';
alter table patchbay.erasures enable row level security;
drop policy if exists service on patchbay.erasures;
create policy service on patchbay.erasures to service_role, patchbay_service using (true) with check (true);
revoke all on patchbay.erasures from anon, authenticated;
grant select, insert, update on patchbay.erasures to service_role, patchbay_service;

-- Begins it, or says how far it is. Refused while somebody talks to him.
create or replace function patchbay.erase_user(p_user uuid) returns jsonb
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    e patchbay.erasures;
begin
    select * into e from patchbay.erasures where user_id = p_user and state = 'open';
    if not found then
        if exists (select from patchbay.calls where user_id = p_user and state <> 'ended'
                     and offered_at > now() - interval '2 hours') then
            return jsonb_build_object('error', 'live');
        end if;
        insert into patchbay.erasures (user_id, user_sha256)
        values (p_user, encode(sha256(convert_to(p_user::text, 'UTF8')), 'hex'))
        on conflict do nothing;
        select * into e from patchbay.erasures where user_id = p_user and state = 'open';
    end if;
    return jsonb_build_object('erasure_id', e.id, 'state', e.state, 'step', e.step);
end
$fn$;

create or replace function patchbay.claim_erasure(p_who text, p_seconds integer) returns setof patchbay.erasures
    language sql security invoker set search_path = pg_catalog, pg_temp as $fn$
    update patchbay.erasures set claimed_by = p_who, claimed_until = now() + make_interval(secs => p_seconds)
    where id = (select x.id from patchbay.erasures x
                where x.state = 'open' and x.next_at <= now()
                  and (x.claimed_by = p_who or coalesce(x.claimed_until, '-infinity') < now())
                order by x.asked_at limit 1 for update skip locked)
    returning *
$fn$;

-- A step has been taken (p_error null), or has to be taken again. After the last one the user's id goes, too.
create or replace function patchbay.erasure_stepped(p_id uuid, p_who text, p_next integer, p_last boolean, p_kind text,
                                                    p_count bigint, p_error text) returns void
    language sql security invoker set search_path = pg_catalog, pg_temp as $fn$
    update patchbay.erasures set
        step = case when p_error is null then p_next else step end,
        attempts = case when p_error is null then 0 else attempts + 1 end,
        error = p_error,
        next_at = now() + case when p_error is null then interval '0'
                               else least(power(2, attempts), 300) * interval '1 second' end,
        counts = case when p_count > 0 then counts || jsonb_build_object(p_kind,
            coalesce((counts ->> p_kind)::bigint, 0) + p_count) else counts end,
        state = case when p_last and p_error is null then 'done' else state end,
        done_at = case when p_last and p_error is null then now() end,
        user_id = case when p_last and p_error is null then null else user_id end,
        claimed_by = null, claimed_until = null
    where id = p_id and claimed_by = p_who
$fn$;

-- Tables of ours that have rows of users, or of calls.
create or replace function patchbay.erasable(p_column text) returns setof regclass
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select c.oid::regclass from pg_class c join pg_attribute a on a.attrelid = c.oid
    where c.relnamespace = 'patchbay'::regnamespace and c.relkind in ('r', 'p') and a.attname = p_column
      and a.atttypid = 'uuid'::regtype and not a.attisdropped
      and c.oid not in ('patchbay.erasures'::regclass, 'patchbay.calls'::regclass)
    order by c.relname
$fn$;

-- Stored webhooks of a user: of his calls, or with his id in them.
create or replace function patchbay.webhooks_of(p_user uuid) returns setof uuid
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select w.id from patchbay.webhook_inbox w
    where w.call_id in (select id from patchbay.calls where user_id = p_user)
       or position(p_user::text in convert_from(w.body, 'UTF8')) > 0
$fn$;

-- Everything of a user in our schema, and what we have written into the product's own tables: records of calls made by us,
-- names of his agents at vendors. In one transaction. It runs with the owner's rights, for events are not rewritten by others;
-- only a user who is being erased is.
create or replace function patchbay.erase_rows(p_user uuid) returns bigint
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $fn$
declare
    calls uuid[];
    t regclass;
    n bigint := 0;
    one bigint;
begin
    if not exists (select from patchbay.erasures where user_id = p_user and state = 'open') then
        raise exception 'this user is not being erased' using errcode = '22023';
    end if;
    select coalesce(array_agg(id), '{}') into calls from patchbay.calls where user_id = p_user;
    update public.agent_configs set retell_agent_id = null, retell_llm_id = null, livekit_room_id = null, stack_config = '{}'
    where user_id = p_user
      and (retell_agent_id is not null or retell_llm_id is not null or livekit_room_id is not null or stack_config <> '{}');
    delete from patchbay.webhook_inbox where id in (select patchbay.webhooks_of(p_user));
    get diagnostics n = row_count;
    for t in select patchbay.erasable('call_id') loop
        execute format('delete from %s where call_id = any($1)', t) using calls;
        get diagnostics one = row_count;
        n := n + one;
    end loop;
    for t in select patchbay.erasable('user_id') loop
        execute format('delete from %s where user_id = $1', t) using p_user;
        get diagnostics one = row_count;
        n := n + one;
    end loop;
    delete from public.call_records where user_id = p_user and (metadata ? 'patchbay' or id = any(calls));
    get diagnostics one = row_count;
    n := n + one;
    delete from patchbay.calls where user_id = p_user;
    get diagnostics one = row_count;
    n := n + one;
    -- Last: what the deletions above have told themselves is among it.
    delete from patchbay.outbox where position(p_user::text in subject) > 0 or position(p_user::text in payload::text) > 0
        or (payload #>> '{data,call_id}')::uuid = any(calls);
    get diagnostics one = row_count;
    return n + one;
end
$fn$;

-- Calls, agents and models at Retell that are a user's: {"kind", "id"}, calls first, models last.
create or replace function patchbay.retell_of_user(p_user uuid) returns table (kind text, id text)
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    with gone as (
        select f.retell_call_id from patchbay.retell_fetches f where f.user_id = p_user and f.outcome = 'forgotten'
        union select l.retell_call_id from patchbay.retell_legs l where l.user_id = p_user and l.forgotten_at is not null
    ), things as (
        select 1 as n, 'call' as kind, l.retell_call_id as id from patchbay.retell_legs l where l.user_id = p_user
        union select 1, 'call', c.retell_call_id from patchbay.calls c where c.user_id = p_user
        union select 2, 'agent', a.agent_id from patchbay.retell_agents a where a.user_id = p_user
        union select 2, 'agent', g.retell_agent_id from public.agent_configs g where g.user_id = p_user
        union select 3, 'llm', a.llm_id from patchbay.retell_agents a where a.user_id = p_user
        union select 3, 'llm', g.retell_llm_id from public.agent_configs g where g.user_id = p_user
    )
    select t.kind, t.id from things t
    where t.id <> '' and t.id not in (select retell_call_id from gone)
      -- an agent that others use as well, by hand, is not his alone
      and not exists (select from public.agent_configs g where g.user_id <> p_user and t.id in (g.retell_agent_id, g.retell_llm_id))
    order by t.n, t.id
$fn$;

-- What vendors keep of him, as far as we know: asked of each in turn until nothing is left.
create or replace function patchbay.at_vendors(p_user uuid) returns jsonb
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select jsonb_build_object('retell', (select count(*) from patchbay.retell_of_user(p_user)))
$fn$;

-- One of them is gone there. Nobody may make it anew: the agent's row is held until it is deleted.
create or replace function patchbay.retell_is_gone(p_user uuid, p_kind text, p_id text) returns void
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
begin
    case p_kind
    when 'call' then
        update patchbay.retell_legs set forgotten_at = now() where retell_call_id = p_id;
        insert into patchbay.retell_fetches (retell_call_id, call_id, user_id, next_at, done_at, outcome)
        select p_id, c.id, p_user, now(), now(), 'forgotten' from patchbay.calls c where c.retell_call_id = p_id
        on conflict (retell_call_id) do update set done_at = now(), outcome = 'forgotten';
    when 'agent' then
        update patchbay.retell_agents set agent_id = null, claimed_by = 'erasure', claimed_until = now() + interval '1 day'
        where user_id = p_user and agent_id = p_id;
        update public.agent_configs set retell_agent_id = null where user_id = p_user and retell_agent_id = p_id;
    else
        update patchbay.retell_agents set llm_id = null, claimed_by = 'erasure', claimed_until = now() + interval '1 day'
        where user_id = p_user and llm_id = p_id;
        update public.agent_configs set retell_llm_id = null where user_id = p_user and retell_llm_id = p_id;
    end case;
end
$fn$;

do $grants$
declare
    f text;
begin
    foreach f in array array['erase_user(uuid)', 'claim_erasure(text, integer)', 'erasable(text)', 'webhooks_of(uuid)',
                             'erasure_stepped(uuid, text, integer, boolean, text, bigint, text)', 'erase_rows(uuid)',
                             'at_vendors(uuid)', 'retell_of_user(uuid)', 'retell_is_gone(uuid, text, text)'] loop
        execute format('revoke all on function patchbay.%s from public', f);
        execute format('grant execute on function patchbay.%s to service_role, patchbay_service', f);
    end loop;
end
$grants$;
