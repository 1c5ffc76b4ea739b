-- What a user wants done with calls before any agent hears them, and what catches a call no agent can take.
--
-- The product's own columns say some of it (contacts.is_whitelisted, transfer_preferences, transfer_unknown_callers,
-- transfer_numbers); what has no column there is here. patchbay.route_policies puts both together, for the routers. A user
-- without a row has the defaults below.
create table if not exists patchbay.user_policies (
    user_id uuid primary key,
    version bigint not null default 1,             -- counts the changes of this row: what an ETag says
    time_zone text,                                -- IANA name; null: the product's column, else UTC
    block_list text[] not null default '{}',       -- E.164, or the beginning of one and a *: '+1900*'
    block_action text not null default 'busy' check (block_action in ('busy', 'reject', 'voicemail')),
    withheld text not null default 'serve' check (withheld in ('serve', 'forward', 'voicemail', 'busy', 'reject')),
    -- preferences: as transfer_preferences.always_transfer_whitelist says
    whitelist text not null default 'preferences' check (whitelist in ('preferences', 'serve', 'forward')),
    -- preferences: as agent_configs.transfer_unknown_callers says
    unknown text not null default 'preferences'
        check (unknown in ('preferences', 'serve', 'forward', 'voicemail', 'busy', 'reject')),
    forward_number text check (forward_number ~ '^\+[1-9]\d{1,14}$'),  -- null: the default transfer number
    business_hours jsonb check (jsonb_typeof(business_hours) = 'object'),  -- {"mon": [["09:00", "17:00"]], ...}; null: always
    holidays jsonb not null default '[]' check (jsonb_typeof(holidays) = 'array'),  -- [{"date": "2026-12-25", "hours": []}]
    after_hours text not null default 'voicemail'
        check (after_hours in ('serve', 'forward', 'voicemail', 'busy', 'reject')),
    after_hours_number text check (after_hours_number ~ '^\+[1-9]\d{1,14}$'),  -- null: forward_number
    quiet_hours jsonb check (jsonb_typeof(quiet_hours) = 'object'),  -- {"start": "22:00", "end": "08:00"}; nobody is rung up
    max_concurrent integer check (max_concurrent between 1 and 10000),
    max_per_minute integer check (max_per_minute between 1 and 100000),  -- calls that begin, all numbers of the user's together
    over_limit text not null default 'busy' check (over_limit in ('forward', 'voicemail', 'busy', 'reject')),
    over_budget text not null default 'voicemail' check (over_budget in ('forward', 'voicemail', 'busy', 'reject')),
    allowed_countries text[],                      -- ISO 3166-1 alpha-2, for forwards and transfers; null: what the operator allows
    daily_forward_cents integer check (daily_forward_cents >= 0),  -- null: the operator's
    -- What catches a call whose stack cannot serve it, in this order; after the last there is a spoken apology.
    fallback text[] not null default '{other_stack,voicemail,forward,apology}'
        check (fallback <@ array['other_stack', 'voicemail', 'forward', 'apology']),
    fallback_number text check (fallback_number ~ '^\+[1-9]\d{1,14}$'),
    updated_by uuid,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

-- What a user may spend and has spent, by whoever keeps count of it. Calls stop being served when it is used up.
create table if not exists patchbay.user_budgets (
    user_id uuid primary key,
    cap_cents bigint check (cap_cents >= 0),       -- null: none
    spent_cents bigint not null default 0,
    updated_at timestamptz not null default now()
);

-- Every call the routers sent to a phone outside, by forward or transfer: what it may cost counts from its beginning.
create table if not exists patchbay.forwards (
    id uuid primary key,
    call_id uuid not null,
    user_id uuid not null,
    kind text not null check (kind in ('forward', 'transfer')),
    country text,                                  -- ISO 3166-1 alpha-2 of where it went
    microusd_per_min bigint not null check (microusd_per_min >= 0),
    reserved_microusd bigint not null check (reserved_microusd >= 0),  -- counts until the call has ended
    started_at timestamptz not null default now()
);
create index if not exists forwards_day on patchbay.forwards (started_at, user_id);

create or replace function patchbay.on_policies_written() returns trigger
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
begin
    if new is distinct from old then
        new.version := old.version + 1;
        new.updated_at := now();
    end if;
    return new;
end
$fn$;
revoke all on function patchbay.on_policies_written() from public;
drop trigger if exists patchbay_version on patchbay.user_policies;
create trigger patchbay_version before update on patchbay.user_policies
    for each row execute function patchbay.on_policies_written();

drop trigger if exists patchbay_config on patchbay.user_policies;
create trigger patchbay_config after insert or update or delete on patchbay.user_policies
    for each row execute function patchbay.on_config_change('user_id');

-- Only crossing the cap is news: what was spent changes with every call.
create or replace function patchbay.on_budget_change() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $fn$
declare
    was constant boolean := tg_op <> 'INSERT' and coalesce(old.spent_cents >= old.cap_cents, false);
    is_over constant boolean := tg_op <> 'DELETE' and coalesce(new.spent_cents >= new.cap_cents, false);
begin
    if was <> is_over then
        perform patchbay.config_changed(case when tg_op = 'DELETE' then old.user_id else new.user_id end, null,
                                        'user_budgets', lower(tg_op), array['over_budget']);
    end if;
    return null;
end
$fn$;
revoke all on function patchbay.on_budget_change() from public;
drop trigger if exists patchbay_config on patchbay.user_budgets;
create trigger patchbay_config after insert or update or delete on patchbay.user_budgets
    for each row execute function patchbay.on_budget_change();

-- One row per agent; policies is null when there is nothing but defaults, which is most of them: the routers keep a million.
create or replace view patchbay.route_policies with (security_invoker = true) as
select c.id as agent_config_id, c.user_id, nullif(jsonb_strip_nulls(jsonb_build_object(
    'time_zone', case when p.business_hours is not null or p.holidays <> '[]' or q.quiet is not null
                      then coalesce(p.time_zone, j.row ->> 'schedule_timezone', j.row ->> 'timezone') end,
    'block', to_jsonb(nullif(p.block_list, '{}')),
    'block_action', nullif(p.block_action, 'busy'),
    'withheld', nullif(p.withheld, 'serve'),
    'whitelist', case when k.numbers is not null then w.whitelist end,
    'unknown', w.unknown,
    'contacts', case when w.whitelist is not null or w.unknown is not null then k.numbers end,
    'forward_number', case when p.user_id is not null or k.numbers is not null or w.unknown = 'forward'
                           then coalesce(p.forward_number, t.number) end,
    'hours', p.business_hours,
    'holidays', nullif(p.holidays, '[]'),
    'after_hours', nullif(p.after_hours, 'voicemail'),
    'after_hours_number', p.after_hours_number,
    'quiet', case when p.user_id is not null or k.numbers is not null or w.unknown = 'forward' then q.quiet end,
    'max_concurrent', p.max_concurrent,
    'max_per_minute', p.max_per_minute,
    'over_limit', nullif(p.over_limit, 'busy'),
    'over_budget', nullif(p.over_budget, 'voicemail'),
    'budget_spent', case when b.spent_cents >= b.cap_cents then true end,
    'countries', to_jsonb(p.allowed_countries),
    'daily_forward_cents', p.daily_forward_cents,
    'fallback', to_jsonb(nullif(p.fallback, '{other_stack,voicemail,forward,apology}')),
    'fallback_number', p.fallback_number,
    'vetting', nullif(j.row ->> 'vetting_strategy', 'name-and-purpose'))), '{}') as policies
from public.agent_configs c
cross join lateral (select to_jsonb(c) as row offset 0) j
left join patchbay.user_policies p on p.user_id = c.user_id
left join patchbay.user_budgets b on b.user_id = c.user_id
cross join lateral (
    select case coalesce(p.whitelist, 'preferences')
               when 'forward' then 'forward'
               when 'preferences' then case when j.row #>> '{transfer_preferences,always_transfer_whitelist}' = 'true'
                                            then 'forward' end
           end as whitelist,
           case coalesce(p.unknown, 'preferences')
               when 'serve' then null
               when 'preferences' then case when j.row ->> 'transfer_unknown_callers' = 'true' then 'forward' end
               else p.unknown
           end as unknown
) w
cross join lateral (
    select coalesce(p.quiet_hours, case when j.row #>> '{transfer_preferences,business_hours_only}' = 'true'
                                        then j.row #> '{transfer_preferences,quiet_hours}' end) as quiet
) q
-- Bounded: a router holds them all. Who has more keeps those he made last.
left join lateral (
    select jsonb_agg(x.phone_number) as numbers
    from (select y.phone_number from public.contacts y where y.user_id = c.user_id and y.is_whitelisted
          order by y.created_at desc, y.id limit 5000) x
) k on true
-- A number behind a passcode is for those who say it.
left join lateral (
    select x.phone_number as number
    from public.transfer_numbers x
    where x.user_id = c.user_id and x.phone_number ~ '^\+[1-9]\d{1,14}$'
      and coalesce(to_jsonb(x) ->> 'transfer_secret', '') = ''
      and coalesce(to_jsonb(x) ->> 'config_id', c.id::text) = c.id::text
    order by coalesce(x.is_default, false) desc, x.created_at, x.id
    limit 1
) t on true;

do $rights$
declare
    t text;
begin
    foreach t in array array['user_policies', 'user_budgets', 'forwards'] loop
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
    revoke all on patchbay.route_policies from anon, authenticated;
    grant select on patchbay.route_policies to service_role, patchbay_service;
end
$rights$;
