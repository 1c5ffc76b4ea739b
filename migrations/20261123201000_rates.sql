-- The house's own prices, beside those shipped, and counting costs again after they changed.
--
--   rates          the house's: each from a moment to a moment. One that holds is never changed, only ended; of a kind there
--                  is one at any time
--   rate_book      both books in one: origin house or shipped, and whether it holds now
--   price_at       as before; of two equally close prices the house's own goes first
--   price_book     as before, with both books
--   rate_add, rate_change, rate_drop, rate_list   what GET, POST, PATCH, DELETE /v1/rates ask
--   reratings      costs counted again, a batch at a time: rerate_start, rerate_step

create or replace function patchbay.rate_kind(provider text, component text, model text, account text) returns int8range
    language sql immutable strict set search_path = pg_catalog, pg_temp as $fn$
    -- As a range, which an exclusion constraint compares without an extension. 63 bits: the upper bound is one more.
    select int8range(h, h, '[]')
    from (select hashtextextended(provider || e'\x1f' || component || e'\x1f' || model || e'\x1f' || account, 0) >> 1 as h) x
$fn$;

create table if not exists patchbay.rates (
    id uuid primary key default patchbay.uuidv7(),
    version bigint not null default 1,                  -- counts the changes of this row: what an ETag says
    provider text not null check (length(provider) between 1 and 31),
    component text not null check (length(component) between 1 and 31),
    model text not null default '' check (length(model) <= 79),        -- '': any that has no row of its own
    account text not null default '' check (length(account) <= 31 and account <> provider),  -- '': any; else the settings' name
    unit text not null check (length(unit) between 1 and 31),
    price_microusd bigint not null check (price_microusd >= 0),        -- for per units
    per bigint not null check (per > 0),
    minimum bigint not null default 0 check (minimum >= 0),
    step bigint not null default 0 check (step >= 0),
    valid_from timestamptz not null,
    valid_to timestamptz check (valid_to > valid_from),                -- null: until it is ended
    source text not null check (length(source) between 1 and 300),     -- where the figure was read
    source_url text check (length(source_url) <= 500),
    read_on date not null default current_date,
    note text check (length(note) <= 1000),
    created_by text not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint rates_one_at_a_time exclude using gist (
        patchbay.rate_kind(provider, component, model, account) with &&, tstzrange(valid_from, valid_to) with &&)
);
comment on table patchbay.rates is 'The house''s own prices; they go before the shipped ones of patchbay.prices.';

-- What held is what calls were counted by: whoever writes here, it stays.
create or replace function patchbay.on_rate_written() returns trigger
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
begin
    if old.valid_from <= now() then
        if tg_op = 'DELETE' then
            raise exception 'a rate that has held is not deleted: end it' using errcode = '23514';
        elsif (to_jsonb(new) - array['valid_to', 'note', 'version', 'updated_at'])
              <> (to_jsonb(old) - array['valid_to', 'note', 'version', 'updated_at']) then
            raise exception 'a rate that has held is not changed: end it and add another' using errcode = '23514';
        end if;
    end if;
    if tg_op = 'DELETE' then
        return old;
    end if;
    if new is distinct from old then
        new.version := old.version + 1;
        new.updated_at := now();
    end if;
    return new;
end
$fn$;
revoke all on function patchbay.on_rate_written() from public;
drop trigger if exists patchbay_written on patchbay.rates;
create trigger patchbay_written before update or delete on patchbay.rates
    for each row execute function patchbay.on_rate_written();

-- A shipped price holds until the next one of its kind.
create or replace view patchbay.rate_book with (security_invoker = true) as
select b.*, case when b.valid_from > now() then 'future' when b.valid_to <= now() then 'past' else 'in_force' end as state
from (
    select r.id, 'house' as origin, r.version, r.provider, r.component, r.model, r.account, r.unit, r.price_microusd, r.per,
           r.minimum, r.step, r.valid_from, r.valid_to, r.source, r.source_url, r.read_on, r.note, r.created_by, r.created_at
    from patchbay.rates r
    union all
    select p.id, 'shipped', 0, p.provider, p.component, p.model, '', p.unit, p.price_microusd, p.per, p.minimum, p.step,
           p.valid_from, lead(p.valid_from) over (partition by p.provider, p.component, p.model order by p.valid_from),
           p.source, null, p.read_on, p.note, null, null
    from patchbay.prices p
) b;

do $rights$
begin
    alter table patchbay.rates enable row level security;
    drop policy if exists service on patchbay.rates;
    create policy service on patchbay.rates to service_role, patchbay_service using (true) with check (true);
    revoke all on patchbay.rates, patchbay.rate_book from anon, authenticated;
    grant select, insert, update, delete on patchbay.rates to service_role, patchbay_service;
    grant select on patchbay.rate_book to service_role, patchbay_service;
end
$rights$;

-- The price of that moment. One of this very account ("openai-2" may be somebody else) goes before the vendor's, one of the
-- model before one of all models, the house's before a shipped one.
create or replace function patchbay.price_at(p_account text, p_provider text, p_component text, p_model text, p_at timestamptz)
    returns patchbay.prices
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select x.p from (
        select p, p.provider is not distinct from p_account as own, p.model <> '' as exact, false as house, p.valid_from
        from patchbay.prices p
        where p.provider in (p_account, p_provider) and p.component = p_component
          and p.model in (coalesce(p_model, ''), '') and p.valid_from <= p_at
        union all
        select (r.id, r.provider, r.component, r.model, r.valid_from, r.price_microusd, r.per, r.unit, r.minimum, r.step,
                r.source, r.read_on, r.note)::patchbay.prices,
               r.account <> '' or r.provider is not distinct from p_account, r.model <> '', true, r.valid_from
        from patchbay.rates r
        where r.component = p_component and r.model in (coalesce(p_model, ''), '')
          and r.valid_from <= p_at and (r.valid_to is null or r.valid_to > p_at)
          and (r.account = '' and r.provider in (p_account, p_provider) or r.provider = p_provider and r.account = p_account)
    ) x
    order by x.own desc, x.exact desc, x.house desc, x.valid_from desc
    limit 1
$fn$;

-- An account's own price goes by the account's name, as the agents ask for it.
create or replace function patchbay.price_book() returns jsonb
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select coalesce(jsonb_agg(jsonb_build_object(
        'provider', b.name, 'component', b.component, 'model', b.model,
        'valid_from_ms', case when isfinite(b.valid_from) then round(extract(epoch from b.valid_from) * 1000)::bigint
                              else 0 end,
        'price_microusd', b.price_microusd, 'per', b.per, 'minimum', b.minimum, 'step', b.step)
        || case when b.origin = 'house' then jsonb_strip_nulls(jsonb_build_object(
               'house', true, 'valid_to_ms', round(extract(epoch from b.valid_to) * 1000)::bigint)) else '{}' end
        order by b.name, b.component, b.model, b.valid_from, b.origin desc), '[]')
    from (select coalesce(nullif(r.account, ''), r.provider) as name, r.* from patchbay.rate_book r) b
$fn$;

-- ------------------------------------------------------------------ reading and writing them

create or replace function patchbay.rate_refused(p_status integer, p_code text, p_field text, p_message text) returns jsonb
    language sql immutable set search_path = pg_catalog, pg_temp as $fn$
    select jsonb_build_object('refused', jsonb_build_object('status', p_status, 'code', p_code, 'field', p_field,
                                                            'message', p_message))
$fn$;

-- Somebody tried what admins may do.
create or replace function patchbay.not_an_admin(p_by jsonb, p_action text) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
begin
    perform patchbay.put_audit(p_by || jsonb_build_object('action', p_action, 'allowed', false));
    return patchbay.rate_refused(403, 'forbidden', null, 'for admins only');
end
$fn$;

-- As the API shows it; valid_from null: always. overruled: a price of the house's holds now in its stead.
create or replace function patchbay.rate_json(p_id uuid) returns jsonb
    language sql stable set search_path = pg_catalog, pg_temp as $fn$
    select to_jsonb(b) || jsonb_build_object('valid_from', case when isfinite(b.valid_from) then b.valid_from end, 'overruled', b.origin = 'shipped' and b.state = 'in_force' and exists (
        select from patchbay.rates r where (r.provider, r.component, r.model, r.account) = (b.provider, b.component, b.model, '')
        and tstzrange(r.valid_from, r.valid_to) @> now()))
    from patchbay.rate_book b where b.id = p_id
$fn$;

create or replace function patchbay.rate_list(p_find jsonb, p_limit integer, p_after uuid) returns jsonb
    language sql stable set search_path = pg_catalog, pg_temp as $fn$
    with found as (
        select b.id, row_number() over (order by b.provider, b.component, b.model, b.account, b.valid_from desc, b.origin, b.id) as n
        from patchbay.rate_book b
        where (p_find ->> 'provider' is null or b.provider = p_find ->> 'provider')
          and (p_find ->> 'component' is null or b.component = p_find ->> 'component')
          and (p_find ->> 'state' is null or b.state = p_find ->> 'state')
          and (p_find ->> 'origin' is null or b.origin = p_find ->> 'origin')
    ), page as (
        select f.* from found f
        where f.n > coalesce((select x.n from found x where x.id = p_after), 0) order by f.n limit p_limit
    )
    select jsonb_build_object('total', (select count(*) from found),
                              'rates', coalesce((select jsonb_agg(patchbay.rate_json(p.id) order by p.n) from page p), '[]'),
                              'next', (select p.id from page p where p.n = (select max(n) from page)
                                       and p.n < (select count(*) from found) and (select count(*) from page) = p_limit))
$fn$;

create or replace function patchbay.rate_audit(p_by jsonb, p_action text, p_id uuid, p_before jsonb, p_after jsonb) returns void
    language sql set search_path = pg_catalog, pg_temp as $fn$
    select patchbay.put_audit(p_by || jsonb_build_object('action', p_action, 'subject', p_id, 'before', p_before,
                                                         'after', p_after))
$fn$;

-- Somebody else's holds then.
create or replace function patchbay.rate_in_the_way(p_kind int8range, p_from timestamptz, p_to timestamptz, p_but uuid)
    returns jsonb
    language sql stable set search_path = pg_catalog, pg_temp as $fn$
    select patchbay.rate_refused(409, 'exists', 'valid_from', format(
               'another rate of the same kind holds from %s to %s: end it first',
               to_char(r.valid_from at time zone 'UTC', 'YYYY-MM-DD HH24:MI'),
               coalesce(to_char(r.valid_to at time zone 'UTC', 'YYYY-MM-DD HH24:MI'), 'now on')))
           || jsonb_build_object('rate_id', r.id)
    from patchbay.rates r
    where patchbay.rate_kind(r.provider, r.component, r.model, r.account) && p_kind
      and tstzrange(r.valid_from, r.valid_to) && tstzrange(p_from, p_to) and r.id is distinct from p_but
    order by r.valid_from limit 1
$fn$;

-- p: the fields of a rate; "end_previous": the one that holds at valid_from ends then. p_by: for the audit. {"rate"}, or
-- {"refused": {"status", "code", "field", "message"}}.
create or replace function patchbay.rate_add(p jsonb, p_by jsonb) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    r patchbay.rates := jsonb_populate_record(null::patchbay.rates, p);
    old patchbay.rates;
    blocked jsonb;
begin
    r.id := patchbay.uuidv7();
    r.version := 1;
    r.model := coalesce(r.model, '');
    r.account := case when coalesce(r.account, '') = r.provider then '' else coalesce(r.account, '') end;
    r.minimum := coalesce(r.minimum, 0);
    r.step := coalesce(r.step, 0);
    r.valid_from := coalesce(r.valid_from, date_trunc('milliseconds', now()));
    r.read_on := coalesce(r.read_on, current_date);
    r.created_by := p_by ->> 'actor';
    r.created_at := now();
    r.updated_at := now();
    if r.valid_to <= r.valid_from then
        return patchbay.rate_refused(400, 'invalid', 'valid_to', 'must be after valid_from');
    end if;
    perform pg_advisory_xact_lock(lower(patchbay.rate_kind(r.provider, r.component, r.model, r.account)));
    if coalesce((p ->> 'end_previous')::boolean, false) then
        select x.* into old from patchbay.rates x
        where patchbay.rate_kind(x.provider, x.component, x.model, x.account)
              && patchbay.rate_kind(r.provider, r.component, r.model, r.account)
          and x.valid_from < r.valid_from and (x.valid_to is null or x.valid_to > r.valid_from) for update;
        if found then
            update patchbay.rates set valid_to = r.valid_from where id = old.id;
            perform patchbay.rate_audit(p_by, 'rate.end', old.id, to_jsonb(old), patchbay.rate_json(old.id));
        end if;
    end if;
    blocked := patchbay.rate_in_the_way(patchbay.rate_kind(r.provider, r.component, r.model, r.account), r.valid_from,
                                        r.valid_to, null);
    if blocked is not null then
        -- Nothing was ended for nothing.
        if old.id is not null then
            raise exception 'in the way' using errcode = 'PB409', detail = blocked::text;
        end if;
        return blocked;
    end if;
    insert into patchbay.rates select r.*;
    perform patchbay.rate_audit(p_by, 'rate.add', r.id, null, to_jsonb(r));
    return jsonb_build_object('rate', patchbay.rate_json(r.id));
exception when sqlstate 'PB409' then
    return blocked;
end
$fn$;

-- p_set: fields and what they shall be; of one that holds, valid_to and note alone. p_expected: its version; null: any.
create or replace function patchbay.rate_change(p_id uuid, p_expected bigint, p_set jsonb, p_by jsonb) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    old patchbay.rates;
    r patchbay.rates;
    field text;
    blocked jsonb;
begin
    select x.* into old from patchbay.rates x where x.id = p_id for update;
    if not found then
        return case when exists (select from patchbay.prices where id = p_id)
                    then patchbay.rate_refused(409, 'shipped', 'id', 'it came with the program: add one of your own, which goes before it')
                    else patchbay.rate_refused(404, 'not_found', null, 'no such rate') end;
    elsif p_expected <> old.version then
        return patchbay.rate_refused(412, 'stale', 'If-Match', 'somebody has changed it meanwhile: read it again');
    end if;
    select k into field from jsonb_object_keys(p_set) k
    where old.valid_from <= now() and k not in ('valid_to', 'note') order by k limit 1;
    if field is not null then
        return patchbay.rate_refused(409, 'in_force', field, 'it has held: end it (valid_to) and add another');
    elsif old.valid_to <= now() and p_set ? 'valid_to' then
        return patchbay.rate_refused(409, 'in_force', 'valid_to', 'it is over');
    end if;
    r := jsonb_populate_record(old, p_set - 'end_previous');
    r.model := coalesce(r.model, '');
    r.account := case when coalesce(r.account, '') = r.provider then '' else coalesce(r.account, '') end;
    r.minimum := coalesce(r.minimum, 0);
    r.step := coalesce(r.step, 0);
    r.valid_from := coalesce(r.valid_from, old.valid_from);
    r.read_on := coalesce(r.read_on, old.read_on);
    if r.valid_to <= r.valid_from then
        return patchbay.rate_refused(400, 'invalid', 'valid_to', 'must be after valid_from');
    end if;
    blocked := patchbay.rate_in_the_way(patchbay.rate_kind(r.provider, r.component, r.model, r.account), r.valid_from,
                                        r.valid_to, p_id);
    if blocked is not null then
        return blocked;
    end if;
    update patchbay.rates x
    set (provider, component, model, account, unit, price_microusd, per, minimum, step, valid_from, valid_to, source,
         source_url, read_on, note)
      = (r.provider, r.component, r.model, r.account, r.unit, r.price_microusd, r.per, r.minimum, r.step, r.valid_from,
         r.valid_to, r.source, r.source_url, r.read_on, r.note)
    where x.id = p_id;
    perform patchbay.rate_audit(p_by, case when old.valid_from <= now() and p_set ? 'valid_to' then 'rate.end'
                                           else 'rate.change' end, p_id, to_jsonb(old), patchbay.rate_json(p_id));
    return jsonb_build_object('rate', patchbay.rate_json(p_id));
end
$fn$;

create or replace function patchbay.rate_drop(p_id uuid, p_expected bigint, p_by jsonb) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    old patchbay.rates;
    was jsonb;
begin
    select x.* into old from patchbay.rates x where x.id = p_id for update;
    if not found or p_expected <> old.version then
        return patchbay.rate_change(p_id, p_expected, '{}', p_by);
    elsif old.valid_from <= now() then
        return patchbay.rate_refused(409, 'in_force', 'valid_from', 'it has held, calls are counted by it: end it (valid_to)');
    end if;
    was := patchbay.rate_json(p_id);
    delete from patchbay.rates where id = p_id;
    perform patchbay.rate_audit(p_by, 'rate.drop', p_id, was, null);
    return jsonb_build_object('rate', was);
end
$fn$;

-- ------------------------------------------------------------------ counting again

-- One request to count again. What it has looked at and found is committed with the calls it changed, so that whoever
-- takes it up goes on behind the last one.
create table if not exists patchbay.reratings (
    id uuid primary key default patchbay.uuidv7(),
    state text not null default 'waiting' check (state in ('waiting', 'running', 'done', 'failed')),
    dry_run boolean not null,
    from_at timestamptz not null,
    to_at timestamptz not null check (to_at > from_at),
    user_id uuid,                                      -- null: everybody's
    calls bigint not null,                             -- to be looked at
    looked bigint not null default 0,
    changed bigint not null default 0,                 -- come out otherwise
    unpriced_before bigint not null default 0,         -- calls without a sum
    unpriced_after bigint not null default 0,
    before_microusd bigint not null default 0,         -- of all sums that were known
    after_microusd bigint not null default 0,
    parts jsonb not null default '{}',                 -- {"deepgram stt": {"before", "after"}} of the calls that changed
    examples uuid[] not null default '{}',
    after_id uuid,                                     -- the last one looked at
    lease_by text,
    lease_until timestamptz,
    attempts integer not null default 0,               -- that failed, since the last that did not
    error text,
    asked_by text not null,
    asked_by_id uuid,
    why text,
    created_at timestamptz not null default now(),
    finished_at timestamptz
);
create index if not exists reratings_open on patchbay.reratings (created_at) where finished_at is null;
create index if not exists reratings_newest on patchbay.reratings (created_at desc);

do $rights$
begin
    alter table patchbay.reratings enable row level security;
    drop policy if exists service on patchbay.reratings;
    create policy service on patchbay.reratings to service_role, patchbay_service using (true) with check (true);
    revoke all on patchbay.reratings from anon, authenticated;
    grant select, insert, update, delete on patchbay.reratings to service_role, patchbay_service;
end
$rights$;

create or replace function patchbay.rerate_json(r patchbay.reratings) returns jsonb
    language sql stable set search_path = pg_catalog, pg_temp as $fn$
    select to_jsonb(r) - array['lease_by', 'lease_until', 'after_id', 'attempts', 'asked_by_id', 'from_at', 'to_at']
        || jsonb_build_object('from', r.from_at, 'to', r.to_at)
$fn$;

-- Calls with something metered; of one cursor, in the order of their ids.
create or replace function patchbay.rerate_calls(r patchbay.reratings, p_max bigint) returns setof patchbay.calls
    language sql stable set search_path = pg_catalog, pg_temp as $fn$
    select c.* from patchbay.calls c
    where c.offered_at >= r.from_at and c.offered_at < r.to_at and (r.user_id is null or c.user_id = r.user_id)
      and (r.after_id is null or c.id > r.after_id)
      and exists (select from patchbay.usage u where u.call_id = c.id)
    order by c.id limit p_max
$fn$;

-- {"from", "to", "user_id", "dry_run", "actor", "actor_id", "peer", "why"}. The same once more while it is not finished is
-- the same rerating.
create or replace function patchbay.rerate_start(p jsonb) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    r patchbay.reratings;
begin
    if (p ->> 'to')::timestamptz <= (p ->> 'from')::timestamptz then
        return patchbay.rate_refused(400, 'invalid', 'to', 'must be after from');
    elsif p ->> 'user_id' is not null and not exists (select from public.users u where u.id = (p ->> 'user_id')::uuid) then
        return patchbay.rate_refused(404, 'not_found', 'user_id', 'no such user');
    end if;
    perform pg_advisory_xact_lock(hashtextextended('patchbay.rerate_start', 0));
    select x.* into r from patchbay.reratings x
    where x.finished_at is null and x.from_at = (p ->> 'from')::timestamptz and x.to_at = (p ->> 'to')::timestamptz
      and x.user_id is not distinct from (p ->> 'user_id')::uuid and x.dry_run = (p ->> 'dry_run')::boolean;
    if found then
        return jsonb_build_object('rerating', patchbay.rerate_json(r), 'created', false);
    end if;
    r.from_at := (p ->> 'from')::timestamptz;
    r.to_at := (p ->> 'to')::timestamptz;
    r.user_id := (p ->> 'user_id')::uuid;
    insert into patchbay.reratings as x (dry_run, from_at, to_at, user_id, calls, asked_by, asked_by_id, why)
    values ((p ->> 'dry_run')::boolean, r.from_at, r.to_at, r.user_id,
            (select count(*) from patchbay.rerate_calls(r, null)), p ->> 'actor', (p ->> 'actor_id')::uuid, p ->> 'why')
    returning x.* into r;
    perform patchbay.put_audit(p || jsonb_build_object('action', 'rates.rerate', 'subject', r.id, 'before', null,
        'after', jsonb_build_object('from', r.from_at, 'to', r.to_at, 'dry_run', r.dry_run, 'calls', r.calls)));
    return jsonb_build_object('rerating', patchbay.rerate_json(r), 'created', true);
end
$fn$;

-- The costs of one call, line by line.
create or replace function patchbay.rerate_parts(p_parts jsonb, p_before jsonb, p_after jsonb) returns jsonb
    language sql immutable set search_path = pg_catalog, pg_temp as $fn$
    select coalesce(jsonb_object_agg(name, jsonb_build_object('before', was, 'after', now)), '{}')
    from (select name, sum(was) as was, sum(now) as now
          from (select (l ->> 'provider') || ' ' || (l ->> 'component') as name, coalesce((l ->> 'microusd')::bigint, 0) as was, 0 as now
                from jsonb_array_elements(coalesce(p_before -> 'lines', '[]')) l
                union all
                select (l ->> 'provider') || ' ' || (l ->> 'component'), 0, coalesce((l ->> 'microusd')::bigint, 0)
                from jsonb_array_elements(coalesce(p_after -> 'lines', '[]')) l
                union all
                select key, (value ->> 'before')::bigint, (value ->> 'after')::bigint from jsonb_each(p_parts)) x
          group by name) y
$fn$;

-- Looks at p_max calls of the oldest rerating that is nobody's or p_worker's. Null: there is none. {"id", "done"}.
create or replace function patchbay.rerate_step(p_worker text, p_lease interval, p_max integer) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    r patchbay.reratings;
    c patchbay.calls;
    was jsonb;
    becomes jsonb;
    n integer := 0;
begin
    select x.* into r from patchbay.reratings x
    where x.finished_at is null and (x.lease_by = p_worker or x.lease_until is null or x.lease_until < now())
    order by x.created_at limit 1 for update skip locked;
    if not found then
        return null;
    end if;
    for c in select * from patchbay.rerate_calls(r, p_max) loop
        n := n + 1;
        r.after_id := c.id;
        select x.metadata #> '{patchbay,cost}' into was from public.call_records x where x.id = c.id;
        becomes := patchbay.call_row(c) #> '{metadata,patchbay,cost}';
        r.before_microusd := r.before_microusd + coalesce((was #>> '{microusd,total}')::bigint, 0);
        r.after_microusd := r.after_microusd + coalesce((becomes #>> '{microusd,total}')::bigint, 0);
        r.unpriced_before := r.unpriced_before + (was #>> '{microusd,total}' is null)::integer;
        r.unpriced_after := r.unpriced_after + (becomes #>> '{microusd,total}' is null)::integer;
        if was is distinct from becomes then
            r.changed := r.changed + 1;
            r.parts := patchbay.rerate_parts(r.parts, was, becomes);
            if cardinality(r.examples) < 10 then
                r.examples := r.examples || c.id;
            end if;
            if not r.dry_run then
                perform patchbay.project_call(c.id);
            end if;
        end if;
    end loop;
    update patchbay.reratings x
    set looked = x.looked + n, changed = r.changed, parts = r.parts, examples = r.examples, after_id = r.after_id,
        before_microusd = r.before_microusd, after_microusd = r.after_microusd, unpriced_before = r.unpriced_before,
        unpriced_after = r.unpriced_after, attempts = 0, error = null, lease_by = p_worker, lease_until = now() + p_lease,
        state = case when n < p_max then 'done' else 'running' end, finished_at = case when n < p_max then now() end
    where x.id = r.id returning x.* into r;
    if r.finished_at is not null then
        perform patchbay.put_audit(jsonb_build_object(
            'actor', r.asked_by, 'actor_id', r.asked_by_id, 'action', 'rates.rerated', 'subject', r.id, 'user_id', r.user_id,
            'before', jsonb_build_object('microusd', r.before_microusd, 'unpriced', r.unpriced_before),
            'after', jsonb_build_object('microusd', r.after_microusd, 'unpriced', r.unpriced_after, 'looked', r.looked,
                                        'changed', r.changed, 'dry_run', r.dry_run)));
    end if;
    return jsonb_build_object('id', r.id, 'done', r.finished_at is not null);
end
$fn$;

-- A batch could not be taken: after some tries the whole has failed, and says why.
create or replace function patchbay.rerate_failed(p_worker text, p_error text) returns void
    language sql set search_path = pg_catalog, pg_temp as $fn$
    update patchbay.reratings x
    set attempts = x.attempts + 1, error = left(p_error, 500), lease_by = p_worker, lease_until = now() + interval '5 seconds',
        state = case when x.attempts >= 9 then 'failed' else x.state end,
        finished_at = case when x.attempts >= 9 then now() end
    where x.id = (select y.id from patchbay.reratings y where y.finished_at is null
                  and (y.lease_by = p_worker or y.lease_until is null or y.lease_until < now()) order by y.created_at limit 1)
$fn$;

do $rights$
declare
    f text;
begin
    foreach f in array array[
        'rate_kind(text, text, text, text)', 'price_at(text, text, text, text, timestamptz)', 'price_book()',
        'rate_refused(integer, text, text, text)', 'not_an_admin(jsonb, text)', 'rate_json(uuid)', 'rate_list(jsonb, integer, uuid)',
        'rate_audit(jsonb, text, uuid, jsonb, jsonb)', 'rate_in_the_way(int8range, timestamptz, timestamptz, uuid)',
        'rate_add(jsonb, jsonb)', 'rate_change(uuid, bigint, jsonb, jsonb)', 'rate_drop(uuid, bigint, jsonb)',
        'rerate_json(patchbay.reratings)', 'rerate_calls(patchbay.reratings, bigint)', 'rerate_start(jsonb)',
        'rerate_parts(jsonb, jsonb, jsonb)', 'rerate_step(text, interval, integer)', 'rerate_failed(text, text)'
    ] loop
        execute format('revoke all on function patchbay.%s from public', f);
        execute format('grant execute on function patchbay.%s to service_role, patchbay_service', f);
    end loop;
end
$rights$;
