-- What is old goes, what cannot be published steps aside, and a parked webhook is told.
--
--   outbox_key    whose turn it is: rows of one key are published one after the other
--   prune         deletes a few rows that are older than their owner wants to keep
--   webhook_inbox tells webhook.parked in the transaction that parks

-- ------------------------------------------------------------------ the outbox
alter table patchbay.outbox add column if not exists attempts integer not null default 0;
alter table patchbay.outbox add column if not exists next_attempt_at timestamptz;
alter table patchbay.outbox add column if not exists last_error text;
alter table patchbay.outbox add column if not exists parked_at timestamptz;  -- given up; null again: tried again

-- pat.<area>.v1.<event>.<user>.<key> -> <user>.<key>: what was told of one call or config stays in order.
create or replace function patchbay.outbox_key(p_subject text) returns text
    language sql immutable strict parallel safe set search_path = pg_catalog, pg_temp as $fn$
    select case when p_subject ~ '^pat\.[^.]+\.v\d+\.[^.]+\.' then substring(p_subject from '^(?:[^.]+\.){4}(.*)$')
                else p_subject end
$fn$;
revoke all on function patchbay.outbox_key(text) from public;
grant execute on function patchbay.outbox_key(text) to service_role, patchbay_service;

-- Few rows are ever in these. The first finds who waits behind a failing row, the second what a person has to look at.
create index if not exists outbox_failing on patchbay.outbox (patchbay.outbox_key(subject), created_at, id)
    where published_at is null and parked_at is null and attempts > 0;
create index if not exists outbox_parked on patchbay.outbox (parked_at) where parked_at is not null;
-- The order of publishing, without what is parked.
create index if not exists outbox_due on patchbay.outbox (created_at, id)
    where published_at is null and parked_at is null;
drop index if exists patchbay.outbox_unpublished;

-- ------------------------------------------------------------------ what is old
create index if not exists webhook_inbox_done on patchbay.webhook_inbox (state, received_at) where state <> 'received';
create index if not exists call_events_stored on patchbay.call_events (stored_at);

-- Deletes at most p_max rows of one kind that are older than p_days, the oldest first, and says how many; -1: another
-- is at it. Waits for no lock. Events may not be rewritten, so this runs with the owner's rights, and only old ones go.
create or replace function patchbay.prune(p_kind text, p_days integer, p_max integer) returns integer
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $fn$
declare
    before constant timestamptz := now() - make_interval(days => p_days);
    n integer;
begin
    if p_days is null or p_days < 1 or p_max is null or p_max < 1 then
        raise exception 'prune: days and rows are at least 1' using errcode = '22023';
    end if;
    -- Of this transaction: a pooler may sit in between.
    if not pg_try_advisory_xact_lock(7811920442103378) then
        return -1;
    end if;
    case p_kind
    when 'outbox' then
        delete from patchbay.outbox where id in (
            select id from patchbay.outbox where published_at is not null and published_at < before
            order by published_at limit p_max for update skip locked);
    when 'outbox_parked' then
        delete from patchbay.outbox where id in (
            select id from patchbay.outbox where parked_at is not null and parked_at < before
            order by parked_at limit p_max for update skip locked);
    when 'webhook_inbox' then
        delete from patchbay.webhook_inbox where id in (
            select id from patchbay.webhook_inbox where state = 'projected' and received_at < before
            order by received_at limit p_max for update skip locked);
    when 'webhook_inbox_parked' then
        delete from patchbay.webhook_inbox where id in (
            select id from patchbay.webhook_inbox where state = 'parked' and received_at < before
            order by received_at limit p_max for update skip locked);
    when 'call_events' then
        delete from patchbay.call_events where id in (
            select id from patchbay.call_events where stored_at < before
            order by stored_at limit p_max for update skip locked);
    else
        raise exception 'prune: no rows of kind "%"', p_kind using errcode = '22023';
    end case;
    get diagnostics n = row_count;
    return n;
end
$fn$;
revoke all on function patchbay.prune(text, integer, integer) from public;
grant execute on function patchbay.prune(text, integer, integer) to service_role, patchbay_service;

-- ------------------------------------------------------------------ webhook.parked
create or replace function patchbay.on_webhook_parked() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $fn$
declare
    event_id constant uuid := patchbay.uuidv7();
    body jsonb;
    owner uuid;
begin
    begin
        body := convert_from(new.body, 'UTF8')::jsonb;
    exception when others then
        body := '{}';  -- not even JSON, which may be why it is parked
    end;
    select user_id into owner from patchbay.calls where id = new.call_id;
    insert into patchbay.outbox (id, subject, payload)
    values (event_id, format('pat.webhook.v1.parked.%s.%s', new.source, new.id), jsonb_build_object(
        'specversion', '1.0', 'id', event_id, 'source', '/patchbay/webhook-relay', 'type', 'pat.webhook.v1.parked',
        'subject', new.id::text,
        'time', to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
        'datacontenttype', 'application/json', 'userid', coalesce(owner::text, new.source),
        'data', jsonb_build_object(
            'source', new.source, 'webhook_id', new.id, 'kind', coalesce(body ->> 'event', ''), 'call_id', new.call_id,
            'user_id', owner, 'attempts', new.attempts,
            'error', coalesce(new.error, 'about no call of ours'))));
    perform pg_notify('patchbay_outbox', format('pat.webhook.v1.parked.%s.%s', new.source, new.id));
    return null;
end
$fn$;
revoke all on function patchbay.on_webhook_parked() from public;

drop trigger if exists patchbay_parked on patchbay.webhook_inbox;
create trigger patchbay_parked after update of state on patchbay.webhook_inbox
    for each row when (new.state = 'parked' and old.state <> 'parked')
    execute function patchbay.on_webhook_parked();
