-- What customers are charged, set over HTTP: prices a minute by tier, and who is on which.
--
--   retail_list, retail_add, retail_drop   the prices (patchbay.retail_prices); one that has held is never changed
--   tier_json, put_tier                    a user's tier (patchbay.user_tiers)
--   put_budget                             as before; what there was before the first budget is null in the audit
--
-- Like rates: {"refused": ...} where it cannot be, and who did what is in the audit.

alter table patchbay.retail_prices add column if not exists id uuid not null default patchbay.uuidv7();
alter table patchbay.retail_prices add column if not exists created_at timestamptz not null default now();
create unique index if not exists retail_prices_id on patchbay.retail_prices (id);

-- valid_to is where the next one of its tier begins.
create or replace view patchbay.retail_book with (security_invoker = true) as
    select x.*, case when x.valid_from > now() then 'future' when x.valid_to <= now() then 'past' else 'in_force' end as state
    from (select r.id, r.tier, r.microusd_per_minute, r.valid_from, r.note,
                 lead(r.valid_from) over (partition by r.tier order by r.valid_from) as valid_to
          from patchbay.retail_prices r) x;
revoke all on patchbay.retail_book from anon, authenticated;
grant select on patchbay.retail_book to service_role, patchbay_service;

create or replace function patchbay.retail_json(p_id uuid) returns jsonb
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select to_jsonb(b) from patchbay.retail_book b where b.id = p_id
$fn$;

-- Tiers somebody is on or that have a price, 'standard' always; and all prices, newest first. There are few.
create or replace function patchbay.retail_list() returns jsonb
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    with named as (
        select u.tier, count(*) as users from patchbay.user_tiers u group by u.tier
    ), tiers as (
        select t.tier, case when t.tier = 'standard' then (select count(*) from public.users) - coalesce((select sum(n.users) from named n
                                                            where n.tier <> 'standard'), 0)
                            else coalesce((select n.users from named n where n.tier = t.tier), 0) end as users
        from (select 'standard' as tier union select r.tier from patchbay.retail_prices r union select n.tier from named n) t
    )
    select jsonb_build_object(
        'tiers', (select jsonb_agg(jsonb_build_object('tier', t.tier, 'users', t.users, 'microusd_per_minute',
                      (select b.microusd_per_minute from patchbay.retail_book b where b.tier = t.tier and b.state = 'in_force'))
                      order by t.tier <> 'standard', t.tier) from tiers t),
        'prices', (select coalesce(jsonb_agg(to_jsonb(b) order by b.tier <> 'standard', b.tier, b.valid_from desc), '[]')
                   from patchbay.retail_book b))
$fn$;

-- p: {"tier", "microusd_per_minute", "valid_from", "note"}. A price put in late counts: what it is charged by then is counted
-- again.
create or replace function patchbay.retail_add(p jsonb, p_by jsonb) returns jsonb
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    r patchbay.retail_prices;
    made jsonb;
begin
    insert into patchbay.retail_prices as x (tier, valid_from, microusd_per_minute, note)
    values (p ->> 'tier', coalesce((p ->> 'valid_from')::timestamptz, date_trunc('milliseconds', now())),
            (p ->> 'microusd_per_minute')::bigint, p ->> 'note')
    on conflict do nothing returning x.* into r;
    if r.id is null then
        return patchbay.rate_refused(409, 'exists', 'valid_from', 'this tier has a price from that moment on');
    end if;
    made := patchbay.retail_json(r.id);
    if r.valid_from < now() then
        perform patchbay.usage_touch_between(r.valid_from, coalesce((made ->> 'valid_to')::timestamptz, now()));
    end if;
    perform patchbay.rate_audit(p_by, 'retail.add', r.id, null, made);
    return jsonb_build_object('price', made);
end
$fn$;

create or replace function patchbay.retail_drop(p_id uuid, p_by jsonb) returns jsonb
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    was jsonb;
begin
    perform from patchbay.retail_prices r where r.id = p_id for update;
    was := patchbay.retail_json(p_id);
    if was is null then
        return patchbay.rate_refused(404, 'not_found', null, 'no such price');
    elsif was ->> 'state' <> 'future' then
        return patchbay.rate_refused(409, 'in_force', 'valid_from', 'it has held, calls are counted by it: add another that follows it');
    end if;
    delete from patchbay.retail_prices r where r.id = p_id;
    perform patchbay.rate_audit(p_by, 'retail.drop', p_id, was, null);
    return jsonb_build_object('price', was);
end
$fn$;

-- ------------------------------------------------------------------ whose tier

create or replace function patchbay.tier_json(p_user uuid) returns jsonb
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select jsonb_build_object('user_id', p_user, 'tier', t.tier, 'microusd_per_minute',
        (select b.microusd_per_minute from patchbay.retail_book b where b.tier = t.tier and b.state = 'in_force'))
    from (select coalesce((select u.tier from patchbay.user_tiers u where u.user_id = p_user), 'standard') as tier) t
$fn$;

-- Calls from now on. A tier is one that has a price, or 'standard': a mistyped one would charge nothing.
create or replace function patchbay.put_tier(p_user uuid, p_tier text, p_by jsonb) returns jsonb
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    was text;
begin
    if not exists (select from public.users u where u.id = p_user) then
        return patchbay.rate_refused(404, 'not_found', null, 'no such user');
    elsif p_tier <> 'standard' and not exists (select from patchbay.retail_prices r where r.tier = p_tier) then
        return patchbay.rate_refused(400, 'invalid', 'tier', 'no tier of this name has a price');
    end if;
    perform pg_advisory_xact_lock(hashtextextended('patchbay.put_tier' || p_user, 0));
    was := patchbay.tier_json(p_user) ->> 'tier';
    if was <> p_tier then
        delete from patchbay.user_tiers u where u.user_id = p_user;
        insert into patchbay.user_tiers (user_id, tier) select p_user, p_tier where p_tier <> 'standard';
        perform patchbay.put_audit(p_by || jsonb_build_object('action', 'retail.tier', 'user_id', p_user,
            'before', jsonb_build_object('tier', was), 'after', jsonb_build_object('tier', p_tier)));
    end if;
    return jsonb_build_object('tier', patchbay.tier_json(p_user));
end
$fn$;

-- ------------------------------------------------------------------ the audit of budgets

-- Before the first one there was none: not one of nothing.
do $patch$
declare
    def text := pg_get_functiondef('patchbay.put_budget(uuid, bigint, jsonb, jsonb)'::regprocedure);
begin
    if position('was := to_jsonb(old);' in def) > 0 then
        execute replace(def, 'was := to_jsonb(old);', 'was := case when old.user_id is not null then to_jsonb(old) end;');
    elsif position('old.user_id is not null then to_jsonb(old)' in def) = 0 then
        raise exception 'put_budget is not what this file knows';
    end if;
end
$patch$;

do $grants$
declare
    f text;
begin
    foreach f in array array['retail_json(uuid)', 'retail_list()', 'retail_add(jsonb, jsonb)', 'retail_drop(uuid, jsonb)',
                             'tier_json(uuid)', 'put_tier(uuid, text, jsonb)'] loop
        execute format('revoke all on function patchbay.%s from public, anon, authenticated', f);
        execute format('grant execute on function patchbay.%s to service_role, patchbay_service', f);
    end loop;
end
$grants$;
