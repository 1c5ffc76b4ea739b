-- Rollouts: many users switched by one request, a few at a time, or with a share of their calls first, and back by themselves
-- when the new stack is measurably worse.
--
-- A row of patchbay.rollouts walks as those of patchbay.switches do: one replica of the stack-switcher holds it by a lease,
-- looks (rollout_look), decides (rollout_next.c), and does one thing (the functions below); each is one transaction that does
-- nothing for whoever has lost the lease, or once a person has changed the state. Who takes part is frozen into
-- rollout_users when it begins; what becomes of each is his switch's business. Changes are told on channel
-- patchbay_rollout: the id, and ' due' when somebody should look at once.

create table if not exists patchbay.rollouts (
    id uuid primary key,
    version bigint not null default 1,          -- counts the changes of this row and its users'
    name text,
    to_stack public.voice_ai_stack not null,
    mode text not null check (mode in ('users', 'calls')),
    steps jsonb not null,                       -- [{"percent"} or {"count"}], as they were asked for, completed
    gates jsonb not null default '{}',
    cohort jsonb not null default '{}',         -- {"filter"}, or {"listed": how many}
    at_a_time integer not null check (at_a_time > 0),
    hold boolean not null default false,        -- a person approves each further step
    keep_ms bigint not null,                    -- of every switch
    verify_first integer not null default 0,    -- so many are verified by a call,
    verify_every integer not null default 0,    -- and then one in so many
    max_failures integer not null,
    state text not null default 'running' check (state in ('running', 'paused', 'held', 'returning', 'finished')),
    phase text not null default 'moving' check (phase in ('moving', 'sharing', 'cutting')),
    step integer not null default 0,            -- of steps, from 0
    step_began_at timestamptz not null default now(),
    settled_at timestamptz,                     -- everybody this step is for has been moved
    promoted boolean not null default false,    -- a person goes on without the gates, or without being asked
    held_for text check (held_for in ('approval', 'inconclusive', 'failures')),
    forgiven integer not null default 0,        -- failures a person knows of
    back text check (back in ('abort', 'rollback', 'halt')),
    reason text,                                -- why it waits for a person, or goes back
    verdict text check (verdict in ('pass', 'fail', 'inconclusive')),
    verdicts jsonb not null default '[]',       -- each gate's
    judged_at timestamptz,
    outcome text check (outcome in ('completed', 'aborted', 'rolled_back', 'halted')),
    finished_at timestamptz,
    why text,
    asked_by text not null,
    asked_by_id uuid,
    idempotency_key text,
    request_digest text not null,               -- the request may name people: it is not kept
    lease_by text,
    lease_until timestamptz,
    lease_epoch bigint not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create unique index if not exists rollouts_idempotent on patchbay.rollouts (asked_by, idempotency_key)
    where idempotency_key is not null;
create index if not exists rollouts_newest on patchbay.rollouts (created_at desc, id desc);
create index if not exists rollouts_open on patchbay.rollouts (lease_until) where finished_at is null;

create table if not exists patchbay.rollout_users (
    rollout_id uuid not null references patchbay.rollouts on delete cascade,
    seq integer not null,
    user_id uuid not null,
    agent_config_id uuid,
    from_stack public.voice_ai_stack,
    -- ready: verified, held before the cut-over. left: stays where he was. kept: could not go back.
    state text not null default 'waiting' check (state in (
        'waiting', 'moving', 'ready', 'moved', 'failed', 'skipped', 'returning', 'returned', 'left', 'kept')),
    verify boolean not null default false,
    switch_id uuid references patchbay.switches on delete set null,
    note text,
    shared_at timestamptz,                      -- calls went to both stacks from then on
    unshared_at timestamptz,
    changed_at timestamptz not null default now(),
    primary key (rollout_id, seq)
);
create unique index if not exists rollout_users_user on patchbay.rollout_users (rollout_id, user_id);
create index if not exists rollout_users_state on patchbay.rollout_users (rollout_id, state, seq);
create index if not exists rollout_users_switch on patchbay.rollout_users (switch_id);
create index if not exists rollout_users_erase on patchbay.rollout_users (user_id);

-- What was decided, by whom or by which figures.
create table if not exists patchbay.rollout_log (
    id bigint generated always as identity primary key,
    rollout_id uuid not null references patchbay.rollouts on delete cascade,
    at timestamptz not null default clock_timestamp(),
    event text not null,
    who text not null,
    step integer not null,
    detail text,
    verdicts jsonb
);
create index if not exists rollout_log_rollout on patchbay.rollout_log (rollout_id, id);

-- So many of a hundred of a user's new calls go to to_stack while the row has the other one. Routers read it with the
-- user's settings; it goes away with the switch it belongs to.
create table if not exists patchbay.call_shares (
    agent_config_id uuid primary key,
    user_id uuid not null,
    to_stack public.voice_ai_stack not null,
    percent integer not null check (percent between 1 and 100),
    switch_id uuid not null references patchbay.switches on delete cascade
);
create index if not exists call_shares_switch on patchbay.call_shares (switch_id);
create index if not exists call_shares_user on patchbay.call_shares (user_id);

do $rights$
declare
    t text;
begin
    foreach t in array array['rollouts', 'rollout_users', 'rollout_log', 'call_shares'] loop
        execute format('alter table patchbay.%I enable row level security', t);
        execute format('drop policy if exists service on patchbay.%I', t);
        execute format('create policy service on patchbay.%I to service_role, patchbay_service
                        using (true) with check (true)', t);
        execute format('revoke all on patchbay.%I from anon, authenticated', t);
        execute format('grant select, insert, update, delete on patchbay.%I to service_role, patchbay_service', t);
    end loop;
end
$rights$;

drop trigger if exists patchbay_config on patchbay.call_shares;
create trigger patchbay_config after insert or update or delete on patchbay.call_shares
    for each row execute function patchbay.on_config_change('user_id', 'percent', 'to_stack');

-- Once a switch has cut over, or will not, nothing is shared any more: in the same transaction.
create or replace function patchbay.on_switch_unshares() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $fn$
begin
    delete from patchbay.call_shares where switch_id = new.id;
    return null;
end
$fn$;
revoke all on function patchbay.on_switch_unshares() from public;
drop trigger if exists patchbay_unshare on patchbay.switches;
create trigger patchbay_unshare after update of cut_at, undo, finished_at on patchbay.switches
    for each row when ((new.cut_at is not null or new.undo or new.finished_at is not null)
                       and (old.cut_at is null and not old.undo and old.finished_at is null))
    execute function patchbay.on_switch_unshares();

-- ------------------------------------------------------------------ the picture

create or replace function patchbay.rollout_counts(p_id uuid) returns jsonb
    language sql stable set search_path = pg_catalog, pg_temp as $fn$
    select '{"total": 0, "waiting": 0, "moving": 0, "ready": 0, "moved": 0, "failed": 0, "skipped": 0, "returning": 0,
             "returned": 0, "left": 0, "kept": 0}'::jsonb
        || coalesce((select jsonb_object_agg(c.state, c.n) || jsonb_build_object('total', sum(c.n))
                     from (select u.state, count(*) as n from patchbay.rollout_users u
                           where u.rollout_id = p_id group by u.state) c), '{}')
$fn$;

-- How many of the cohort a step of mode users is to have tried, those of earlier steps among them.
create or replace function patchbay.rollout_target(p_step jsonb, p_total bigint) returns bigint
    language sql immutable set search_path = pg_catalog, pg_temp as $fn$
    select least(p_total, coalesce((p_step ->> 'count')::bigint,
                                   ceil(p_total * (p_step ->> 'percent')::numeric / 100)::bigint))
$fn$;

create or replace function patchbay.rollout_json(r patchbay.rollouts) returns jsonb
    language sql stable set search_path = pg_catalog, pg_temp as $fn$
    select to_jsonb(r) - array['request_digest', 'lease_by', 'lease_until', 'lease_epoch', 'idempotency_key', 'forgiven',
                               'promoted', 'gates', 'verdicts', 'asked_by_id']
        || jsonb_build_object(
            'counts', patchbay.rollout_counts(r.id),
            'rules', r.gates, 'gates', r.verdicts,
            'wait_until', case when r.state = 'running' and r.settled_at is not null then r.settled_at
                + (coalesce((r.gates ->> 'bake_s')::numeric, 0) + coalesce((r.gates ->> 'wait_s')::numeric, 0))
                  * interval '1 second' end,
            'may', to_jsonb(array_remove(array[
                case when r.state = 'running' then 'pause' end,
                case when r.state = 'paused' then 'resume' end,
                case when r.state = 'held' or r.state = 'running' and r.settled_at is not null and not r.promoted then 'promote' end,
                case when r.state in ('running', 'paused', 'held') then 'abort' end,
                case when r.state in ('running', 'paused', 'held')
                          or r.state = 'finished' and r.outcome in ('completed', 'aborted')
                          and exists (select from patchbay.rollout_users u join patchbay.switches s on s.id = u.switch_id
                                      where u.rollout_id = r.id and u.state = 'moved' and s.finished_at is null
                                        and not s.undo and s.wish is null
                                        and (s.window_until > now() or not 'drain' = any (s.done)))
                     then 'rollback' end], null)),
            'log', (select coalesce(jsonb_agg(to_jsonb(l) - array['rollout_id'] order by l.id), '[]')
                    from (select x.* from patchbay.rollout_log x where x.rollout_id = r.id order by x.id desc limit 100) l))
$fn$;

-- Something has changed: written down, told.
create or replace function patchbay.rollout_note(r patchbay.rollouts, p_event text, p_who text, p_detail text, p_due boolean)
    returns void
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
begin
    insert into patchbay.rollout_log (rollout_id, event, who, step, detail, verdicts)
    values (r.id, p_event, p_who, r.step, p_detail, nullif(r.verdicts, '[]'));
    perform pg_notify('patchbay_rollout', r.id || case when p_due then ' due' else '' end);
end
$fn$;

-- ------------------------------------------------------------------ asking

-- Who a request means, in its order: a list's, or the filter's by name. No config: he has no agent. A filter leaves out who
-- is on the new stack already, and who has no agent.
create or replace function patchbay.rollout_cohort(p_cohort jsonb, p_to public.voice_ai_stack)
    returns table (seq bigint, user_id uuid, agent_config_id uuid, from_stack public.voice_ai_stack)
    language sql stable set search_path = pg_catalog, pg_temp as $fn$
    with wanted as (
        select x.id as user_id, min(x.n) as n
        from (select e.id::uuid as id, e.n
              from jsonb_array_elements_text(case jsonb_typeof(p_cohort -> 'user_ids') when 'array' then p_cohort -> 'user_ids'
                                                                                     else '[]' end)
                   with ordinality e (id, n)) x
        group by x.id
    ), found as (
        select u.id as user_id, row_number() over (order by lower(u.name), u.id) as n
        from public.users u join public.agent_configs c on c.id = patchbay.config_of(u.id, null)
        cross join lateral (select p_cohort -> 'filter' ->> 'search' as search, p_cohort -> 'filter' ->> 'stack' as stack) f
        where jsonb_typeof(p_cohort -> 'filter') = 'object' and c.active_voice_stack <> p_to
          and (f.stack is null or c.active_voice_stack::text = f.stack)
          and (coalesce(f.search, '') = '' or u.name ilike '%' || f.search || '%' or u.email ilike '%' || f.search || '%'
               or u.id::text = f.search
               or exists (select from public.service_numbers s where s.user_id = u.id
                          and s.phone_number like '%' || f.search || '%'))
        order by 2 limit coalesce((p_cohort #>> '{filter,limit}')::bigint, 10001)
    ), everybody as (select * from wanted union all select * from found)
    select row_number() over (order by e.n), e.user_id, c.id, c.active_voice_stack
    from everybody e left join public.agent_configs c on c.id = patchbay.config_of(e.user_id, null)
$fn$;

-- A request, read and completed by the daemon: {"id", "name", "to_stack", "cohort", "mode", "steps", "gates", "at_a_time",
-- "hold", "keep_ms", "verify_first", "verify_every", "max_failures", "why", "key", "actor", "actor_id", "peer", "users_max"}.
-- {"rollout", "created"}, or {"error", "message", "rollout"}.
create or replace function patchbay.rollout_start(p jsonb) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    r patchbay.rollouts;
    digest constant text := md5((p - array['id', 'actor_id', 'peer', 'actor', 'key'])::text);
    n bigint;
begin
    if p ->> 'key' is not null then
        select * into r from patchbay.rollouts where asked_by = p ->> 'actor' and idempotency_key = p ->> 'key';
        if found then
            return case when r.request_digest = digest
                   then jsonb_build_object('rollout', patchbay.rollout_json(r), 'created', false)
                   else jsonb_build_object('error', 'mismatch', 'message', 'this key was used for another request',
                                           'rollout', jsonb_build_object('id', r.id)) end;
        end if;
    end if;
    begin
        insert into patchbay.rollouts (id, name, to_stack, mode, steps, gates, cohort, at_a_time, hold, keep_ms, verify_first,
                                       verify_every, max_failures, why, asked_by, asked_by_id, idempotency_key, request_digest)
        values ((p ->> 'id')::uuid, p ->> 'name', (p ->> 'to_stack')::public.voice_ai_stack, p ->> 'mode', p -> 'steps',
                p -> 'gates', case when p -> 'cohort' ? 'user_ids'
                              then jsonb_build_object('listed', jsonb_array_length(p #> '{cohort,user_ids}'))
                              else p -> 'cohort' end,
                (p ->> 'at_a_time')::integer, (p ->> 'hold')::boolean, (p ->> 'keep_ms')::bigint,
                (p ->> 'verify_first')::integer, (p ->> 'verify_every')::integer, (p ->> 'max_failures')::integer,
                p ->> 'why', p ->> 'actor', (p ->> 'actor_id')::uuid, p ->> 'key', digest)
        returning * into r;
    exception when unique_violation then
        select * into r from patchbay.rollouts
        where asked_by = p ->> 'actor' and idempotency_key = p ->> 'key' and request_digest = digest;
        if found then
            return jsonb_build_object('rollout', patchbay.rollout_json(r), 'created', false);
        end if;
        return '{"error": "mismatch", "message": "this key was used for another request"}';
    end;
    insert into patchbay.rollout_users (rollout_id, seq, user_id, agent_config_id, from_stack, state, note, verify)
    select r.id, c.seq, c.user_id, c.agent_config_id, c.from_stack,
           case when c.agent_config_id is null then 'failed' when c.from_stack = r.to_stack then 'skipped' else 'waiting' end,
           case when c.agent_config_id is null then 'no such user, or no agent of his'
                when c.from_stack = r.to_stack then 'on ' || r.to_stack::text || ' already' end,
           c.seq <= r.verify_first or r.verify_every > 0 and c.seq % r.verify_every = 0
    from patchbay.rollout_cohort(p -> 'cohort', r.to_stack) c;
    select count(*) filter (where u.state = 'waiting') into n from patchbay.rollout_users u where u.rollout_id = r.id;
    if n = 0 or n > (p ->> 'users_max')::bigint then
        delete from patchbay.rollouts where id = r.id;
        return jsonb_build_object('error', 'conflict', 'message', case when n = 0 then 'there is nobody to move'
                                  else 'more users than one rollout takes (' || (p ->> 'users_max') || ')' end);
    end if;
    perform patchbay.put_audit(jsonb_build_object(
        'actor', r.asked_by, 'actor_id', r.asked_by_id, 'action', 'rollout.request', 'subject', r.id, 'why', r.why,
        'peer', p ->> 'peer', 'after', jsonb_build_object('stack', r.to_stack, 'mode', r.mode, 'users', n)));
    perform patchbay.rollout_note(r, 'started', r.asked_by, n || ' users', true);
    return jsonb_build_object('rollout', patchbay.rollout_json(r), 'created', true);
end
$fn$;

-- pause, resume, promote, abort, rollback: {"rollout"}, or {"error", "message", "rollout"}. Asked twice is asked once.
create or replace function patchbay.rollout_wish(p jsonb) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    r patchbay.rollouts;
    what constant text := p ->> 'wish';
    was text;
begin
    select * into r from patchbay.rollouts where id = (p ->> 'id')::uuid for update;
    if not found then
        return '{"error": "not_found", "message": "no such rollout"}';
    end if;
    if what = 'pause' and r.state = 'paused' or what = r.back and r.state in ('returning', 'finished')
       or what = 'resume' and r.state = 'running' or what = 'promote' and r.promoted then
        return jsonb_build_object('rollout', patchbay.rollout_json(r));
    end if;
    if not patchbay.rollout_json(r) -> 'may' ? what then
        return jsonb_build_object('error', 'conflict', 'rollout', jsonb_build_object('id', r.id), 'message', case
            when r.state = 'finished' and what = 'rollback' then 'the time to go back is over'
            when r.state = 'finished' then 'it is over'
            when r.state = 'returning' then 'it is on its way back'
            when what = 'promote' then 'it does not wait for anybody'
            else 'not while it is ' || r.state end);
    end if;
    was := r.state;
    update patchbay.rollouts x set
        state = case what when 'pause' then 'paused' when 'abort' then 'returning' when 'rollback' then 'returning'
                          else 'running' end,
        back = case when what in ('abort', 'rollback') then what else x.back end,
        promoted = x.promoted or what = 'promote' and (x.state = 'running' or x.held_for <> 'failures'),
        forgiven = case when what = 'promote' and x.held_for = 'failures'
                        then (select count(*) from patchbay.rollout_users u where u.rollout_id = x.id and u.state = 'failed')
                        else x.forgiven end,
        held_for = null, reason = case when what in ('abort', 'rollback') then 'asked for' end,
        finished_at = null, outcome = null, version = x.version + 1, updated_at = now()
    where x.id = r.id returning * into r;
    perform patchbay.put_audit(jsonb_build_object(
        'actor', p ->> 'actor', 'actor_id', p ->> 'actor_id', 'action', 'rollout.' || what, 'subject', r.id,
        'why', p ->> 'why', 'peer', p ->> 'peer', 'before', jsonb_build_object('state', was),
        'after', jsonb_build_object('state', r.state)));
    perform patchbay.rollout_note(r, case what when 'promote' then 'promoted' when 'pause' then 'paused'
                                     when 'resume' then 'resumed' else what end, p ->> 'actor', p ->> 'why', true);
    return jsonb_build_object('rollout', patchbay.rollout_json(r));
end
$fn$;

-- The door: "start", "wish", "plan" (a page of the cohort's facts, from p.after on). Whoever is no admin is refused, and that
-- is written down. p_admin: by the token.
create or replace function patchbay.rollout_ask(p_op text, p jsonb, p_admin boolean) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
begin
    if not p_admin and not patchbay.is_admin_user((p ->> 'actor_id')::uuid) then
        perform patchbay.put_audit(p || jsonb_build_object(
            'action', 'rollout.' || coalesce(p ->> 'wish', case p_op when 'plan' then 'plan' else 'request' end),
            'allowed', false, 'subject', p ->> 'id', 'after', jsonb_build_object('stack', p ->> 'to_stack')));
        return '{"error": "forbidden", "message": "only an admin switches stacks"}';
    end if;
    if p_op = 'start' then
        return patchbay.rollout_start(p);
    elsif p_op = 'wish' then
        return patchbay.rollout_wish(p);
    end if;
    -- What patchbay.switch_facts has of one, without what is the same for all, or dear: health and cost.
    return (
        with cohort as materialized (
            select * from patchbay.rollout_cohort(p -> 'cohort', (p ->> 'to_stack')::public.voice_ai_stack)
        ), page as (
            select * from cohort where seq > coalesce((p ->> 'after')::bigint, 0) order by seq limit (p ->> 'limit')::bigint
        )
        select jsonb_build_object('total', (select count(*) from cohort), 'users', coalesce(jsonb_agg(jsonb_build_object(
            'user_id', g.user_id, 'agent_config_id', c.id, 'from', c.active_voice_stack, 'to', p ->> 'to_stack',
            'settings', patchbay.settings_of(c.id), 'avatar', to_jsonb(c) -> 'avatar_url',
            'voice', case when c.id is not null then
                patchbay.voice_on(c.voice_id, coalesce(c.stack_config -> 'parked', '{}'), c.user_id,
                                  (p ->> 'to_stack')::public.voice_ai_stack) end,
            'numbers', (select coalesce(jsonb_agg(x.number order by x.number), '[]') from patchbay.routes x
                        where x.agent_config_id = c.id and x.is_active),
            'retell_agent', c.retell_agent_id is not null and not exists (
                select from patchbay.retell_tombstones t where t.agent_id = c.retell_agent_id),
            'live_calls', (select count(*) from patchbay.calls k where k.user_id = c.user_id and k.agent_config_id = c.id
                           and k.state <> 'ended' and not k.rehearsal),
            'open_switch', (select o.id from patchbay.switches o where o.user_id = c.user_id and o.open)) order by g.seq), '[]'),
            'next', case when count(*) = (p ->> 'limit')::bigint then max(g.seq) end,
            'health', jsonb_build_object('retell', patchbay.stack_hour('retell'), 'livekit', patchbay.stack_hour('livekit')))
        from page g left join public.agent_configs c on c.id = g.agent_config_id);
end
$fn$;

-- ------------------------------------------------------------------ the work

create or replace function patchbay.rollout_claim(p_worker text, p_ms bigint) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    r patchbay.rollouts;
begin
    select * into r from patchbay.rollouts x
    where x.finished_at is null and (x.lease_until is null or x.lease_until <= now())
    order by x.created_at limit 1 for update skip locked;
    if not found then
        return null;
    end if;
    update patchbay.rollouts x set lease_by = p_worker, lease_epoch = x.lease_epoch + 1,
        lease_until = now() + p_ms * interval '1 millisecond'
    where x.id = r.id returning * into r;
    return jsonb_build_object('id', r.id, 'epoch', r.lease_epoch);
end
$fn$;

create or replace function patchbay.rollout_held(p_id uuid, p_worker text, p_epoch bigint) returns setof patchbay.rollouts
    language sql set search_path = pg_catalog, pg_temp as $fn$
    select x.* from patchbay.rollouts x
    where x.id = p_id and x.lease_by = p_worker and x.lease_epoch = p_epoch and x.lease_until > now() for update
$fn$;

-- What has become of the users' switches, written into their rows: how many rows have changed. Who is failed or returned by
-- somebody else's hand is told as that.
create or replace function patchbay.rollout_sync(r patchbay.rollouts) returns bigint
    language sql set search_path = pg_catalog, pg_temp as $fn$
    with seen as (
        select u.seq, u.state as was, u.note as said, s.error, s.outcome, s.undo, s.cut_at is not null as cut,
               case when s.id is null then case u.state when 'returning' then 'returned' else 'failed' end
                    when s.cut_at is not null and s.uncut_at is null and s.finished_at is not null
                        then case when u.state = 'returning' then 'kept' else 'moved' end
                    when s.finished_at is not null then case when u.state = 'returning' or s.cut_at is not null
                        then 'returned' else 'failed' end
                    when s.undo or s.wish is not null then case when u.state = 'returning' or s.cut_at is not null
                        then 'returning' else 'moving' end
                    when u.state = 'returning' then 'returning'
                    when 'observe' = any (s.done) then 'moved'
                    when s.hold and not s.promoted and 'verify' = any (s.done) then 'ready'
                    else 'moving' end as state
        from patchbay.rollout_users u left join patchbay.switches s on s.id = u.switch_id
        where u.rollout_id = r.id and u.state in ('moving', 'ready', 'moved', 'returning')
    ), put as (
        update patchbay.rollout_users u set state = x.state, changed_at = now(),
            unshared_at = case when u.shared_at is not null and x.state not in ('ready', 'moving')
                               then coalesce(u.unshared_at, now()) end,
            note = case x.state when 'failed' then coalesce(
                            (select t.error from patchbay.switch_steps t
                             where t.switch_id = u.switch_id and t.state = 'failed' order by t.seq desc limit 1),
                            x.error, x.outcome, 'the switch is gone')
                        when 'kept' then x.outcome else u.note end
        from seen x
        where u.rollout_id = r.id and u.seq = x.seq and x.state <> x.was
        returning 1
    )
    select count(*) from put
$fn$;

-- The lease for p_ms more, the users' rows as they are now, and everything that decides what comes next. null: somebody else
-- has it.
create or replace function patchbay.rollout_look(p_id uuid, p_worker text, p_epoch bigint, p_ms bigint) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    r patchbay.rollouts;
    n bigint;
    counts jsonb;
begin
    select * into r from patchbay.rollout_held(p_id, p_worker, p_epoch);
    if not found then
        return null;
    end if;
    n := patchbay.rollout_sync(r);
    update patchbay.rollouts x set lease_until = now() + p_ms * interval '1 millisecond',
        version = x.version + sign(n)::integer, updated_at = case when n > 0 then now() else x.updated_at end
    where x.id = r.id returning * into r;
    if n > 0 then
        perform pg_notify('patchbay_rollout', r.id::text);
    end if;
    counts := patchbay.rollout_counts(r.id);
    return jsonb_build_object(
        'state', r.state, 'mode', r.mode, 'phase', r.phase, 'step', r.step, 'steps', jsonb_array_length(r.steps),
        'hold', r.hold, 'promoted', r.promoted, 'back', r.back, 'at_a_time', r.at_a_time,
        'failures', (counts ->> 'failed')::bigint - r.forgiven, 'max_failures', r.max_failures, 'counts', counts,
        'target', case when r.mode = 'users' then patchbay.rollout_target(r.steps -> r.step, (counts ->> 'total')::bigint)
                       else (counts ->> 'total')::bigint end,
        'percent', r.steps -> r.step -> 'percent',
        'unshared', case when r.phase = 'sharing' then (
            select count(*) from patchbay.rollout_users u left join patchbay.call_shares h on h.switch_id = u.switch_id
            where u.rollout_id = r.id and u.state = 'ready'
              and h.percent is distinct from (r.steps -> r.step ->> 'percent')::integer) else 0 end,
        'settled', r.settled_at is not null, 'verdict', r.verdict, 'gates', r.gates, 'verdicts', r.verdicts,
        'judged', r.judged_at >= r.settled_at + coalesce((r.gates ->> 'bake_s')::numeric, 0) * interval '1 second',
        'judged_ms', extract(epoch from clock_timestamp() - r.judged_at)::numeric * 1000,
        'bake_left_ms', ceil(coalesce((r.gates ->> 'bake_s')::numeric, 0) * 1000
                             - extract(epoch from clock_timestamp() - r.settled_at)::numeric * 1000),
        'wait_left_ms', ceil((coalesce((r.gates ->> 'bake_s')::numeric, 0) + coalesce((r.gates ->> 'wait_s')::numeric, 0)) * 1000
                             - extract(epoch from clock_timestamp() - r.settled_at)::numeric * 1000));
end
$fn$;

-- The next p_n who wait, within the step, begin. Each switch and what it is for are one transaction.
create or replace function patchbay.rollout_start_users(p_id uuid, p_worker text, p_epoch bigint, p_n integer) returns integer
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    r patchbay.rollouts;
    u patchbay.rollout_users;
    said jsonb;
    n integer := 0;
begin
    select * into r from patchbay.rollout_held(p_id, p_worker, p_epoch);
    if not found or r.state <> 'running' then
        return null;
    end if;
    for u in select x.* from patchbay.rollout_users x where x.rollout_id = r.id and x.state = 'waiting'
             order by x.seq limit p_n loop
        said := patchbay.switch_start(jsonb_build_object(
            'id', patchbay.uuidv7(), 'user_id', u.user_id, 'agent_config_id', u.agent_config_id, 'stack', r.to_stack,
            'keep_ms', r.keep_ms, 'hold', r.mode = 'calls', 'verify', u.verify, 'force', false,
            'why', left('rollout ' || coalesce(r.name, r.id::text) || coalesce(': ' || r.why, ''), 500),
            'actor', r.asked_by, 'actor_id', r.asked_by_id));
        update patchbay.rollout_users x set changed_at = now(),
            state = case when said ? 'created' then 'moving'
                         when said ->> 'message' like 'the user is on %' then 'skipped' else 'failed' end,
            switch_id = case when said ? 'created' then (said #>> '{switch,id}')::uuid end, note = said ->> 'message'
        where x.rollout_id = r.id and x.seq = u.seq;
        n := n + 1;
    end loop;
    update patchbay.rollouts x set version = x.version + 1, updated_at = now() where x.id = r.id;
    perform pg_notify('patchbay_rollout', r.id::text);
    return n;
end
$fn$;

-- The step's share for p_n more of those who are ready; the routers hear of each as of any other setting.
create or replace function patchbay.rollout_share(p_id uuid, p_worker text, p_epoch bigint, p_n integer) returns integer
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    r patchbay.rollouts;
    n integer;
begin
    select * into r from patchbay.rollout_held(p_id, p_worker, p_epoch);
    if not found or r.state <> 'running' or r.phase <> 'sharing' then
        return null;
    end if;
    with chosen as (
        select u.seq, u.user_id, u.agent_config_id, u.switch_id, (r.steps -> r.step ->> 'percent')::integer as percent
        from patchbay.rollout_users u
        join patchbay.switches s on s.id = u.switch_id and s.cut_at is null and not s.undo and s.finished_at is null
        left join patchbay.call_shares h on h.switch_id = u.switch_id
        where u.rollout_id = r.id and u.state = 'ready'
          and h.percent is distinct from (r.steps -> r.step ->> 'percent')::integer
        order by u.seq limit p_n for update of u
    ), put as (
        insert into patchbay.call_shares as h (agent_config_id, user_id, to_stack, percent, switch_id)
        select x.agent_config_id, x.user_id, r.to_stack, x.percent, x.switch_id from chosen x order by x.seq
        on conflict (agent_config_id) do update set percent = excluded.percent, to_stack = excluded.to_stack,
            switch_id = excluded.switch_id
        returning h.switch_id
    ), noted as (
        update patchbay.rollout_users u set shared_at = coalesce(u.shared_at, now()), changed_at = now()
        from put where u.rollout_id = r.id and u.switch_id = put.switch_id returning 1
    )
    select count(*) into n from noted;
    return n;
end
$fn$;

-- p_n more of those who are ready cut over.
create or replace function patchbay.rollout_cut_users(p_id uuid, p_worker text, p_epoch bigint, p_n integer) returns integer
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    r patchbay.rollouts;
    u patchbay.rollout_users;
    n integer := 0;
begin
    select * into r from patchbay.rollout_held(p_id, p_worker, p_epoch);
    if not found or r.state <> 'running' or r.phase <> 'cutting' then
        return null;
    end if;
    for u in select x.* from patchbay.rollout_users x where x.rollout_id = r.id and x.state = 'ready'
             order by x.seq limit p_n loop
        -- Refused when somebody has aborted it meanwhile: the next look sees that.
        perform patchbay.switch_wish(jsonb_build_object('id', u.switch_id, 'wish', 'promote', 'actor', r.asked_by,
                                                        'actor_id', r.asked_by_id, 'why', 'rollout ' || r.id));
        update patchbay.rollout_users x set state = 'moving', changed_at = now() where x.rollout_id = r.id and x.seq = u.seq;
        n := n + 1;
    end loop;
    update patchbay.rollouts x set version = x.version + 1, updated_at = now() where x.id = r.id;
    perform pg_notify('patchbay_rollout', r.id::text);
    return n;
end
$fn$;

-- On the way back. abort leaves who has been moved; the others take all back. First nothing is shared any more; who has
-- not cut over is aborted once no call of his is on the new stack (an agent made for it is deleted then), or after
-- p_drain_ms. p_settle_ms: calls still being written down. At most p_n switches are asked. How many were.
create or replace function patchbay.rollout_back(p_id uuid, p_worker text, p_epoch bigint, p_settle_ms bigint,
                                                 p_drain_ms bigint, p_n integer) returns integer
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    r patchbay.rollouts;
    x record;
    said jsonb;
    n integer := 0;
begin
    select * into r from patchbay.rollout_held(p_id, p_worker, p_epoch);
    if not found or r.state <> 'returning' then
        return null;
    end if;
    update patchbay.rollout_users u set state = 'left', changed_at = now() where u.rollout_id = r.id and u.state = 'waiting';
    delete from patchbay.call_shares h using patchbay.rollout_users u where u.rollout_id = r.id and h.switch_id = u.switch_id;
    update patchbay.rollout_users u set state = 'returning', changed_at = now(),
        unshared_at = case when u.shared_at is not null then coalesce(u.unshared_at, now()) end
    from patchbay.switches s
    where u.rollout_id = r.id and s.id = u.switch_id
      and (u.state = 'ready' or u.state = 'moving' and (s.cut_at is null or r.back <> 'abort')
           or u.state = 'moved' and r.back <> 'abort');
    for x in select u.seq, u.switch_id, s.cut_at
             from patchbay.rollout_users u join patchbay.switches s on s.id = u.switch_id
             where u.rollout_id = r.id and u.state = 'returning' and s.finished_at is null and s.wish is null and not s.undo
               and (s.cut_at is not null or u.shared_at is null
                    or now() - u.unshared_at > p_drain_ms * interval '1 millisecond'
                    or now() - u.unshared_at > p_settle_ms * interval '1 millisecond' and not exists (
                        select from patchbay.calls k where k.user_id = u.user_id and k.agent_config_id = u.agent_config_id
                        and k.stack = r.to_stack and k.state <> 'ended' and not k.rehearsal))
             order by u.seq limit p_n loop
        said := patchbay.switch_wish(jsonb_build_object(
            'id', x.switch_id, 'wish', case when x.cut_at is null then 'abort' else 'rollback' end, 'actor',
            case when r.back = 'halt' then 'stack-switcher' else r.asked_by end, 'why', 'rollout ' || r.id || ': ' || r.reason));
        -- It has cut over this moment: an abort that leaves what is done leaves it; else the next look asks again.
        if said ? 'error' then
            update patchbay.rollout_users u set changed_at = now(), note = said ->> 'message',
                state = case when x.cut_at is not null then 'kept'
                        when r.back = 'abort' and said #> '{switch,may}' ? 'rollback' then 'moving' else u.state end
            where u.rollout_id = r.id and u.seq = x.seq;
        end if;
        n := n + 1;
    end loop;
    if n > 0 then
        update patchbay.rollouts y set version = y.version + 1, updated_at = now() where y.id = r.id;
        perform pg_notify('patchbay_rollout', r.id::text);
    end if;
    return n;
end
$fn$;

-- What the replica has decided: p has any of "state", "phase", "step", "settled", "held_for", "back", "reason", "outcome",
-- "verdicts" with "verdict"; "event" is written down. p.was: only while the state is that. null: it is not, or not held.
create or replace function patchbay.rollout_move(p_id uuid, p_worker text, p_epoch bigint, p jsonb) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    r patchbay.rollouts;
begin
    select * into r from patchbay.rollout_held(p_id, p_worker, p_epoch);
    if not found or r.state <> p ->> 'was' then
        return null;
    end if;
    update patchbay.rollouts x set
        state = coalesce(p ->> 'state', x.state), phase = coalesce(p ->> 'phase', x.phase),
        step = coalesce((p ->> 'step')::integer, x.step),
        step_began_at = case when p ? 'step' then now() else x.step_began_at end,
        promoted = x.promoted and not p ? 'step',
        settled_at = case when p ? 'step' then null when (p ->> 'settled')::boolean then now() else x.settled_at end,
        held_for = p ->> 'held_for', back = coalesce(p ->> 'back', x.back),
        reason = case when p ? 'reason' then p ->> 'reason' else x.reason end,
        verdicts = case when p ? 'verdicts' then p -> 'verdicts' when p ? 'step' then '[]' else x.verdicts end,
        verdict = case when p ? 'verdicts' then p ->> 'verdict' when p ? 'step' then null else x.verdict end,
        judged_at = case when p ? 'verdicts' then clock_timestamp() when p ? 'step' then null else x.judged_at end,
        outcome = case when p ->> 'state' = 'finished' then p ->> 'outcome' end,
        finished_at = case when p ->> 'state' = 'finished' then clock_timestamp() end,
        lease_by = case when p ->> 'state' = 'finished' then null else x.lease_by end,
        lease_until = case when p ->> 'state' = 'finished' then null else x.lease_until end,
        version = x.version + 1, updated_at = now()
    where x.id = r.id returning * into r;
    if p ? 'event' then
        perform patchbay.rollout_note(r, p ->> 'event', 'stack-switcher', r.reason, false);
    else
        perform pg_notify('patchbay_rollout', r.id::text);
    end if;
    if p ->> 'event' in ('halted', 'finished', 'held') then
        perform patchbay.put_audit(jsonb_build_object(
            'actor', 'stack-switcher', 'action', 'rollout.' || (p ->> 'event'), 'subject', r.id, 'why', r.reason,
            'before', jsonb_build_object('state', p ->> 'was'),
            'after', jsonb_build_object('state', r.state, 'outcome', r.outcome, 'verdicts', r.verdicts)));
    end if;
    return jsonb_build_object('version', r.version);
end
$fn$;

-- ------------------------------------------------------------------ measuring

-- A median, and between which two of the values the true one lies with 95 % (the ranks of the sign test).
create or replace function patchbay.median_of(p_values double precision[]) returns jsonb
    language sql immutable set search_path = pg_catalog, pg_temp as $fn$
    select case when x.n = 0 then '{"n": 0}' else jsonb_build_object(
        'n', x.n, 'value', (select percentile_cont(0.5) within group (order by v) from unnest(p_values) v),
        'low', x.sorted[greatest(1, floor(x.n / 2.0 - 0.98 * sqrt(x.n))::integer)],
        'high', x.sorted[least(x.n, ceil(1 + x.n / 2.0 + 0.98 * sqrt(x.n))::integer)]) end
    from (select coalesce(cardinality(p_values), 0) as n, array(select v from unnest(p_values) v order by v) as sorted) x
$fn$;

-- What the cohort's calls were like on the new stack and on the old: {"failure_rate": {"new": {"n", "failed"}, "old"},
-- "answer_ms" and "response_ms": {"new": {"n", "value", "low", "high"}, "old"}, "cost_per_minute": {"new": {"n", "minutes",
-- "microusd", "mm", "cc", "mc"}, "old"}}. New: since the user's calls have gone there. Old: mode calls, the others of the
-- same time; mode users, those of 7 days before the rollout and until the user was moved. A call counts for the stack it
-- was first meant for: one that fell back to the other has failed there.
create or replace function patchbay.rollout_measure(p_id uuid) returns jsonb
    language sql stable set search_path = pg_catalog, pg_temp as $fn$
    with r as materialized (
        select x.*, greatest(20, 20000 / greatest(1, (select count(*) from patchbay.rollout_users u
                                                      where u.rollout_id = x.id and u.switch_id is not null))) as calls_max
        from patchbay.rollouts x where x.id = p_id
    ), people as materialized (
        select u.user_id, u.agent_config_id, s.cut_at, s.uncut_at, u.shared_at, u.unshared_at,
               case when r.mode = 'calls' then u.shared_at else r.created_at - interval '7 days' end as begins
        from r join patchbay.rollout_users u on u.rollout_id = r.id left join patchbay.switches s on s.id = u.switch_id
        where u.agent_config_id is not null and (r.mode = 'users' or u.shared_at is not null)
    ), calls as materialized (
        select k.id, k.duration_ms, k.stack as served, t.side,
               (f.at is not null or k.fallback or k.state = 'ended' and k.outcome = 'failed'
                                               and k.ended_owner is distinct from 'caller') as failed,
               extract(epoch from k.answered_at - k.offered_at) * 1000 as answer_ms, k.answered_at, k.state, k.offered_at
        from r, people p
        cross join lateral (
            select x.* from patchbay.calls x
            where x.user_id = p.user_id and x.agent_config_id = p.agent_config_id and x.direction = 'inbound'
              and not x.rehearsal and x.offered_at >= p.begins
              and (p.uncut_at is null or x.offered_at < p.uncut_at)
            order by x.offered_at desc limit r.calls_max) k
        left join lateral (
            select e.data ->> 'from' as at from patchbay.call_events e
            where e.call_id = k.id and e.type = 'pat.call.v1.failed_over' and e.data ->> 'from' in ('retell', 'livekit')
            order by e.occurred_at limit 1) f on true
        cross join lateral (select coalesce(f.at, case when not k.fallback then k.stack::text
                                                  when k.stack = 'retell' then 'livekit' when k.stack = 'livekit' then 'retell'
                                             end) as stack) m
        cross join lateral (select case
            when m.stack = r.to_stack::text
                 and k.offered_at >= least(p.shared_at, p.cut_at) then 'new'
            when m.stack <> r.to_stack::text and (r.mode = 'calls' or p.cut_at is null or k.offered_at < p.cut_at) then 'old'
            end as side) t
        where t.side is not null
    ), sides as (select unnest(array['new', 'old']) as side
    ), costs as materialized (
        select k.side, k.duration_ms / 60000.0 as m, ((select patchbay.call_cost(y) from patchbay.calls y where y.id = k.id) #>> '{microusd,total}')::numeric as c
        from (select x.*, row_number() over (partition by x.side order by x.offered_at desc) as nth from calls x
              where not x.failed and x.state = 'ended' and x.duration_ms > 0) k, r
        where k.nth <= 300 and jsonb_typeof(r.gates -> 'cost_per_minute') = 'object'
    ), responses as materialized (
        select k.side, l.p50 as ms
        from (select x.*, row_number() over (partition by x.side order by x.offered_at desc) as nth from calls x
              where not x.failed and x.answered_at is not null) k, r
        cross join lateral (select y.p50 from patchbay.call_latencies y
                            where y.call_id = k.id and y.stage = 'e2e' and y.stack = k.served limit 1) l
        where k.nth <= 1000 and jsonb_typeof(r.gates -> 'response_ms') = 'object'
    )
    select jsonb_build_object(
        'failure_rate', (select jsonb_object_agg(s.side, (
            select jsonb_build_object('n', count(*), 'failed', count(*) filter (where x.failed)) from calls x
            where x.side = s.side and (x.failed or x.answered_at is not null))) from sides s),
        'answer_ms', (select jsonb_object_agg(s.side, patchbay.median_of(array(
            select x.answer_ms::double precision from calls x
            where x.side = s.side and not x.failed and x.answer_ms is not null))) from sides s),
        'response_ms', (select jsonb_object_agg(s.side, patchbay.median_of(array(
            select x.ms from responses x where x.side = s.side))) from sides s),
        'cost_per_minute', (select jsonb_object_agg(s.side, (
            select jsonb_build_object('n', count(*), 'minutes', coalesce(sum(x.m), 0), 'microusd', coalesce(sum(x.c), 0),
                                      'mm', coalesce(sum(x.m * x.m), 0), 'cc', coalesce(sum(x.c * x.c), 0),
                                      'mc', coalesce(sum(x.m * x.c), 0))
            from costs x where x.side = s.side and x.c is not null)) from sides s))
$fn$;

-- ------------------------------------------------------------------ looking

create or replace function patchbay.rollout_user_json(u patchbay.rollout_users) returns jsonb
    language sql stable set search_path = pg_catalog, pg_temp as $fn$
    select to_jsonb(u) - array['rollout_id', 'shared_at', 'unshared_at'] || jsonb_build_object(
        'name', (select to_jsonb(p) ->> 'name' from public.users p where p.id = u.user_id),
        'cut_at', s.cut_at, 'switch_state', s.state, 'switch_error', s.error)
    from (select) one left join patchbay.switches s on s.id = u.switch_id
$fn$;

create or replace function patchbay.rollout_report(r patchbay.rollouts) returns jsonb
    language sql stable set search_path = pg_catalog, pg_temp as $fn$
    select patchbay.rollout_json(r) || jsonb_build_object(
        'took_s', round(extract(epoch from coalesce(r.finished_at, now()) - r.created_at)),
        'log', (select coalesce(jsonb_agg(to_jsonb(l) - array['rollout_id'] order by l.id), '[]')
                from patchbay.rollout_log l where l.rollout_id = r.id),
        'failures', (select coalesce(jsonb_object_agg(f.note, f.n), '{}')
                     from (select coalesce(u.note, '?') as note, count(*) as n from patchbay.rollout_users u
                           where u.rollout_id = r.id and u.state in ('failed', 'kept') group by 1) f),
        'verified_by_call', (select count(*) from patchbay.rollout_users u join patchbay.switch_steps t on t.switch_id = u.switch_id
                             where u.rollout_id = r.id and t.step = 'verify' and t.result ->> 'by' = 'router.rehearse'),
        'users', (select coalesce(jsonb_agg(patchbay.rollout_user_json(u) order by u.seq), '[]')
                  from patchbay.rollout_users u where u.rollout_id = r.id))
$fn$;

do $grants$
declare
    f text;
begin
    foreach f in array array[
        'rollout_counts(uuid)', 'rollout_target(jsonb, bigint)', 'rollout_json(patchbay.rollouts)',
        'rollout_note(patchbay.rollouts, text, text, text, boolean)',
        'rollout_cohort(jsonb, public.voice_ai_stack)', 'rollout_start(jsonb)', 'rollout_wish(jsonb)',
        'rollout_ask(text, jsonb, boolean)', 'rollout_claim(text, bigint)',
        'rollout_held(uuid, text, bigint)', 'rollout_sync(patchbay.rollouts)', 'rollout_look(uuid, text, bigint, bigint)',
        'rollout_start_users(uuid, text, bigint, integer)', 'rollout_share(uuid, text, bigint, integer)',
        'rollout_cut_users(uuid, text, bigint, integer)', 'rollout_back(uuid, text, bigint, bigint, bigint, integer)',
        'rollout_move(uuid, text, bigint, jsonb)', 'median_of(double precision[])', 'rollout_measure(uuid)',
        'rollout_user_json(patchbay.rollout_users)', 'rollout_report(patchbay.rollouts)'] loop
        execute format('revoke all on function patchbay.%s from public, anon, authenticated', f);
        execute format('grant execute on function patchbay.%s to service_role, patchbay_service', f);
    end loop;
end
$grants$;
