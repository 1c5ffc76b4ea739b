-- What a user may spend in a day and in a month (UTC): asked before a call, reserved while it goes on, settled behind it.
--
--   user_budgets     as before, with caps, what one call reserves, and at which percentages somebody is told
--   call_money       what each call has cost, as its record says; the record's trigger keeps it
--   budget_rows      what the routers keep in memory: caps, spent, what a call reserves
--   budget_holds     calls whose money is not settled: under way, or over and not counted yet
--   budget_check     tells, once in a period, that so much of a cap is used: usage.budget_reached
--   budget_json, put_budget   what GET and PUT /v1/users/{id}/budget ask
--
-- spent_cents and cap_cents stay what they were: somebody else's own count, obeyed as well.

alter table patchbay.user_budgets add column if not exists version bigint not null default 1;
alter table patchbay.user_budgets add column if not exists daily_microusd bigint check (daily_microusd >= 0);
alter table patchbay.user_budgets add column if not exists monthly_microusd bigint check (monthly_microusd >= 0);
alter table patchbay.user_budgets add column if not exists reserve_minutes integer not null default 5
    check (reserve_minutes between 1 and 240);
alter table patchbay.user_budgets add column if not exists alert_percents integer[] not null default '{80,100}';
alter table patchbay.user_budgets add column if not exists per_min_microusd bigint;      -- of this user's calls; null: not counted
alter table patchbay.user_budgets add column if not exists estimated_at timestamptz;
alter table patchbay.user_budgets add column if not exists updated_by uuid;

create table if not exists patchbay.call_money (
    call_id uuid primary key,
    user_id uuid not null,
    at timestamptz not null,                    -- when the call began: the period it counts in
    microusd bigint not null,
    known boolean not null,                     -- false: something in it has no price, so it is more
    settled_at timestamptz not null default now()
);
create index if not exists call_money_user on patchbay.call_money (user_id, at) include (microusd);
comment on table patchbay.call_money is 'What each call has cost, as its record says.';

create table if not exists patchbay.budget_alerts (
    user_id uuid not null,
    period text not null check (period in ('day', 'month')),
    starts date not null,
    percent integer not null,
    cap_microusd bigint not null,
    spent_microusd bigint not null,
    at timestamptz not null default now(),
    primary key (user_id, period, starts, percent)
);

do $rights$
declare
    t text;
begin
    foreach t in array array['call_money', 'budget_alerts'] loop
        execute format('alter table patchbay.%I enable row level security', t);
        execute format('drop policy if exists service on patchbay.%I', t);
        execute format('create policy service on patchbay.%I to service_role, patchbay_service
                        using (true) with check (true)', t);
        execute format('revoke all on patchbay.%I from anon, authenticated', t);
        execute format('grant select, insert, update, delete on patchbay.%I to service_role, patchbay_service', t);
        execute format('drop policy if exists owner_reads on patchbay.%I', t);
        execute format('create policy owner_reads on patchbay.%I for select to authenticated
                        using ((select auth.uid()) = user_id)', t);
        execute format('grant select on patchbay.%I to authenticated', t);
    end loop;
end
$rights$;

-- ------------------------------------------------------------------ the routers hear of it

create or replace function patchbay.on_budget_change() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $fn$
declare
    fields text[] := '{}';
begin
    if (tg_op <> 'INSERT' and coalesce(old.spent_cents >= old.cap_cents, false))
       <> (tg_op <> 'DELETE' and coalesce(new.spent_cents >= new.cap_cents, false)) then
        fields := fields || text 'over_budget';
    end if;
    if tg_op <> 'UPDATE' or (old.daily_microusd, old.monthly_microusd, old.reserve_minutes)
                            is distinct from (new.daily_microusd, new.monthly_microusd, new.reserve_minutes) then
        if (tg_op <> 'INSERT' and (old.daily_microusd is not null or old.monthly_microusd is not null))
           or (tg_op <> 'DELETE' and (new.daily_microusd is not null or new.monthly_microusd is not null)) then
            fields := fields || text 'budget';
        end if;
    end if;
    if fields <> '{}' then
        perform patchbay.config_changed(case when tg_op = 'DELETE' then old.user_id else new.user_id end, null,
                                        'user_budgets', lower(tg_op), fields);
    end if;
    return null;
end
$fn$;
revoke all on function patchbay.on_budget_change() from public;

-- ------------------------------------------------------------------ what is spent

create or replace function patchbay.period_start(p_period text, p_at timestamptz) returns timestamptz
    language sql immutable set search_path = pg_catalog, pg_temp as $fn$
    select date_trunc(p_period, p_at at time zone 'UTC') at time zone 'UTC'
$fn$;

create or replace function patchbay.spent_since(p_user uuid, p_since timestamptz) returns bigint
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select coalesce(sum(m.microusd), 0)::bigint from patchbay.call_money m where m.user_id = p_user and m.at >= p_since
$fn$;

-- Millionths of a dollar for a minute, of this user's last 30 days; else of everybody's; else Retell's list price.
create or replace function patchbay.cost_per_minute(p_user uuid) returns bigint
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select coalesce(
        (select case when sum(c.duration_ms) >= 60000 then round(sum(m.microusd) * 60000.0 / sum(c.duration_ms))::bigint end
         from patchbay.call_money m join patchbay.calls c on c.id = m.call_id
         where m.user_id = p_user and m.at >= now() - interval '30 days' and c.duration_ms > 0 and m.microusd > 0),
        (select case when sum(x.duration_ms) >= 60000 then round(sum(x.microusd) * 60000.0 / sum(x.duration_ms))::bigint end
         from (select m.microusd, c.duration_ms from patchbay.call_money m join patchbay.calls c on c.id = m.call_id
               where m.at >= now() - interval '7 days' and c.duration_ms > 0 and m.microusd > 0
               order by m.settled_at desc limit 1000) x),
        117000)
$fn$;

-- One row per user with a cap. reserve: what a call that begins may cost.
create or replace function patchbay.budget_rows(p_user uuid)
    returns table (user_id uuid, day_cap bigint, month_cap bigint, day_spent bigint, month_spent bigint, per_min bigint,
                   reserve bigint)
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select b.user_id, b.daily_microusd, b.monthly_microusd,
           patchbay.spent_since(b.user_id, patchbay.period_start('day', now())),
           patchbay.spent_since(b.user_id, patchbay.period_start('month', now())),
           p.per_min, p.per_min * b.reserve_minutes
    from patchbay.user_budgets b
    cross join lateral (select coalesce(b.per_min_microusd, 117000) as per_min) p
    where (b.daily_microusd is not null or b.monthly_microusd is not null) and (p_user is null or b.user_id = p_user)
$fn$;

-- Calls of users with a cap: under way for p_longest at most, or over for a quarter of an hour at most. settled: its costs
-- are in call_money (and had a moment to be complete). paid: what of it is there already. A call no stack served costs
-- nothing here.
create or replace function patchbay.budget_holds(p_user uuid, p_longest interval)
    returns table (user_id uuid, call_id uuid, begun_at timestamptz, ended_at timestamptz, settled boolean, paid bigint)
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select c.user_id, c.id, c.offered_at, case when c.state = 'ended' then coalesce(c.ended_at, c.offered_at) end,
           c.state = 'ended' and m.call_id is not null and coalesce(c.ended_at, c.offered_at) < now() - interval '5 seconds',
           coalesce(m.microusd, 0)
    from patchbay.user_budgets b
    join patchbay.calls c on c.user_id = b.user_id
    left join patchbay.call_money m on m.call_id = c.id
    where (b.daily_microusd is not null or b.monthly_microusd is not null) and (p_user is null or b.user_id = p_user)
      and c.stack is not null and not c.rehearsal
      and (c.state <> 'ended' and c.offered_at > now() - p_longest
           or c.state = 'ended' and c.offered_at > now() - p_longest - interval '15 minutes'
              and c.ended_at > now() - interval '15 minutes')
$fn$;

-- What is reserved for them, beyond what was paid.
create or replace function patchbay.budget_reserved(p_user uuid) returns bigint
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select coalesce(sum(greatest(0, greatest(r.reserve, r.per_min * ceil(extract(epoch from
               coalesce(h.ended_at, now()) - h.begun_at) / 60)::bigint) - h.paid)), 0)::bigint
    from patchbay.budget_rows(p_user) r, patchbay.budget_holds(p_user, interval '5 hours') h
    where not h.settled
$fn$;

-- May a call begin? For what no router admits.
create or replace function patchbay.budget_allows(p_user uuid) returns boolean
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select coalesce((select bool_and(coalesce(r.day_spent + h.held + r.reserve <= r.day_cap, true)
                                     and coalesce(r.month_spent + h.held + r.reserve <= r.month_cap, true))
                     from patchbay.budget_rows(p_user) r, lateral (select patchbay.budget_reserved(p_user) as held) h), true)
       and not exists (select from patchbay.user_budgets b where b.user_id = p_user and b.spent_cents >= b.cap_cents)
$fn$;

-- ------------------------------------------------------------------ somebody is told

create or replace function patchbay.budget_told(a patchbay.budget_alerts) returns void
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    event_id uuid := patchbay.uuidv7();
    subj text := format('pat.usage.v1.budget_reached.%s.%s', a.user_id, a.user_id);
begin
    insert into patchbay.outbox (id, subject, payload) values (event_id, subj, jsonb_build_object(
        'specversion', '1.0', 'id', event_id, 'source', '/patchbay/stack-switcher', 'type', 'pat.usage.v1.budget_reached',
        'subject', a.user_id, 'time', to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
        'datacontenttype', 'application/json', 'userid', a.user_id,
        'data', jsonb_build_object('user_id', a.user_id, 'period', a.period, 'starts', a.starts, 'percent', a.percent,
                                   'cap_microusd', a.cap_microusd, 'spent_microusd', a.spent_microusd,
                                   'stopped', a.percent = 100)));
    perform pg_notify('patchbay_outbox', subj);
end
$fn$;

-- 100: no further call fits, so the last reservation counts. Each percentage once in a period, whatever happens meanwhile.
create or replace function patchbay.budget_check(p_user uuid) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $fn$
declare
    a patchbay.budget_alerts;
begin
    update patchbay.user_budgets b set per_min_microusd = patchbay.cost_per_minute(p_user), estimated_at = now()
    where b.user_id = p_user and (b.estimated_at is null or b.estimated_at < now() - interval '1 hour')
      and (b.daily_microusd is not null or b.monthly_microusd is not null);
    for a in
        insert into patchbay.budget_alerts as x (user_id, period, starts, percent, cap_microusd, spent_microusd)
        select p_user, p.period, (patchbay.period_start(p.period, now()) at time zone 'UTC')::date, pct, p.cap, p.spent
        from patchbay.budget_rows(p_user) r
        join patchbay.user_budgets b on b.user_id = p_user
        cross join lateral (values ('day', r.day_cap, r.day_spent), ('month', r.month_cap, r.month_spent)) p (period, cap, spent)
        cross join unnest(b.alert_percents) pct
        where p.cap is not null and (p.spent * 100 >= p.cap * pct or pct = 100 and p.spent + r.reserve > p.cap)
        on conflict do nothing
        returning x.*
    loop
        perform patchbay.budget_told(a);
    end loop;
end
$fn$;

-- A call's record was written: what it cost so far.
create or replace function patchbay.on_call_money() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $fn$
declare
    c patchbay.calls;
    cost constant jsonb := to_jsonb(new) #> '{metadata,patchbay,cost}';
    money bigint;
begin
    select x.* into c from patchbay.calls x where x.id = new.id and not x.rehearsal;
    if not found then
        return null;
    end if;
    money := coalesce((cost #>> '{microusd,total}')::bigint,
                      (select sum((l ->> 'microusd')::bigint)::bigint from jsonb_array_elements(cost -> 'lines') l),
                      round((to_jsonb(new) ->> 'call_cost_total')::numeric * 1000000)::bigint,
                      case when c.state = 'ended' and cost is not null then 0 end);
    if money is null then
        return null;
    end if;
    insert into patchbay.call_money as m (call_id, user_id, at, microusd, known)
    values (new.id, c.user_id, c.offered_at, money, cost is null or cost #>> '{microusd,total}' is not null)
    on conflict (call_id) do update set microusd = excluded.microusd, known = excluded.known, settled_at = now()
        where (m.microusd, m.known) is distinct from (excluded.microusd, excluded.known);
    if found and exists (select from patchbay.user_budgets b where b.user_id = c.user_id
                         and (b.daily_microusd is not null or b.monthly_microusd is not null)) then
        perform patchbay.budget_check(c.user_id);
    end if;
    return null;
end
$fn$;
revoke all on function patchbay.on_call_money() from public;
drop trigger if exists patchbay_money on public.call_records;
create trigger patchbay_money after insert or update on public.call_records
    for each row execute function patchbay.on_call_money();

-- What was there before this file.
insert into patchbay.call_money (call_id, user_id, at, microusd, known)
select c.id, c.user_id, c.offered_at, coalesce((to_jsonb(r) #>> '{metadata,patchbay,cost,microusd,total}')::bigint,
       round((to_jsonb(r) ->> 'call_cost_total')::numeric * 1000000)::bigint), true
from patchbay.calls c join public.call_records r on r.id = c.id
where not c.rehearsal and (to_jsonb(r) #>> '{metadata,patchbay,cost,microusd,total}' is not null
                           or to_jsonb(r) ->> 'call_cost_total' is not null)
on conflict do nothing;

-- ------------------------------------------------------------------ over HTTP

create or replace function patchbay.budget_json(p_user uuid) returns jsonb
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    with b as (
        select * from patchbay.user_budgets where user_id = p_user
    ), held as (
        select patchbay.budget_reserved(p_user) as microusd
    ), periods as (
        select p.period, p.cap, s.starts, s.starts + ('1 ' || p.period)::interval as ends,
               patchbay.spent_since(p_user, s.starts) as used,
               (select count(*) from patchbay.call_money m where m.user_id = p_user and m.at >= s.starts) as calls,
               extract(epoch from now() - s.starts) / extract(epoch from (s.starts + ('1 ' || p.period)::interval) - s.starts) as gone
        from (values ('day', (select daily_microusd from b)), ('month', (select monthly_microusd from b))) p (period, cap)
        cross join lateral (select patchbay.period_start(p.period, now()) as starts) s
    )
    select jsonb_build_object(
        'user_id', p_user, 'version', coalesce((select version from b), 0),
        'daily_microusd', (select daily_microusd from b), 'monthly_microusd', (select monthly_microusd from b),
        'reserve_minutes', coalesce((select reserve_minutes from b), 5),
        'alert_percents', coalesce((select to_jsonb(alert_percents) from b), '[80, 100]'),
        'per_minute_microusd', coalesce((select per_min_microusd from b), patchbay.cost_per_minute(p_user)),
        'allows', patchbay.budget_allows(p_user),
        'periods', (select jsonb_object_agg(period, jsonb_build_object(
            'starts', starts, 'ends', ends, 'cap_microusd', cap, 'used_microusd', used, 'calls', calls,
            'reserved_microusd', (select microusd from held),
            'left_microusd', greatest(0, cap - used - (select microusd from held)),
            -- As it went so far; of the first twentieth of a period nothing can be said.
            'forecast_microusd', case when gone >= 0.05 then round(used / gone)::bigint end)) from periods),
        'alerts', (select coalesce(jsonb_agg(to_jsonb(a) - 'user_id' order by a.at desc), '[]')
                   from (select * from patchbay.budget_alerts x where x.user_id = p_user order by x.at desc limit 20) a),
        'updated_at', (select updated_at from b))
$fn$;

-- p: {"daily_microusd", "monthly_microusd", "reserve_minutes", "alert_percents"}; what is not named gets its default.
-- p_expected: the version this replaces; null: any.
create or replace function patchbay.put_budget(p_user uuid, p_expected bigint, p jsonb, p_by jsonb) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    old patchbay.user_budgets;
    was jsonb;
begin
    if not exists (select from public.users u where u.id = p_user) then
        return patchbay.rate_refused(404, 'not_found', null, 'no such user');
    end if;
    perform pg_advisory_xact_lock(hashtextextended('patchbay.put_budget' || p_user, 0));
    select b.* into old from patchbay.user_budgets b where b.user_id = p_user for update;
    if p_expected <> coalesce(old.version, 0) then
        return patchbay.rate_refused(412, 'stale', 'If-Match', 'somebody has changed it meanwhile: read it again');
    end if;
    was := to_jsonb(old);
    insert into patchbay.user_budgets as b (user_id, daily_microusd, monthly_microusd, reserve_minutes, alert_percents,
                                            per_min_microusd, estimated_at, updated_by)
    values (p_user, (p ->> 'daily_microusd')::bigint, (p ->> 'monthly_microusd')::bigint,
            coalesce((p ->> 'reserve_minutes')::integer, 5),
            coalesce((select array_agg(x::integer order by x::integer) from jsonb_array_elements_text(p -> 'alert_percents') x),
                     case when p ? 'alert_percents' then '{}' else '{80,100}' end::integer[]),
            patchbay.cost_per_minute(p_user), now(), (p_by ->> 'actor_id')::uuid)
    on conflict (user_id) do update
    set (daily_microusd, monthly_microusd, reserve_minutes, alert_percents, per_min_microusd, estimated_at, updated_by,
         version, updated_at)
      = (excluded.daily_microusd, excluded.monthly_microusd, excluded.reserve_minutes, excluded.alert_percents,
         excluded.per_min_microusd, excluded.estimated_at, excluded.updated_by, b.version + 1, now());
    perform patchbay.put_audit(p_by || jsonb_build_object('action', 'budget.set', 'user_id', p_user, 'before', was, 'after',
        (select to_jsonb(b) from patchbay.user_budgets b where b.user_id = p_user)));
    perform patchbay.budget_check(p_user);
    return jsonb_build_object('budget', patchbay.budget_json(p_user));
end
$fn$;

do $rights$
declare
    f text;
begin
    foreach f in array array[
        'period_start(text, timestamptz)', 'spent_since(uuid, timestamptz)', 'cost_per_minute(uuid)', 'budget_rows(uuid)',
        'budget_holds(uuid, interval)', 'budget_reserved(uuid)', 'budget_allows(uuid)',
        'budget_told(patchbay.budget_alerts)', 'budget_check(uuid)', 'budget_json(uuid)',
        'put_budget(uuid, bigint, jsonb, jsonb)'
    ] loop
        execute format('revoke all on function patchbay.%s from public', f);
        execute format('grant execute on function patchbay.%s to service_role, patchbay_service', f);
    end loop;
end
$rights$;
