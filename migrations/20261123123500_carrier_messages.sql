-- What the router asks when it goes through the carrier's lists.
--
--   known_messages  of these recordings, which calls and which messages we have
--   left_legs       which of these legs belong to calls that are over (orphan_legs it was), and how each is spoken to

-- list: [{"n", "call_sid", "name"}]. One row each: n again, have when the message is there, the call's columns when its call is.
create or replace function patchbay.known_messages(list jsonb)
    returns table (n integer, have boolean, id uuid, user_id uuid, agent_config_id uuid, carrier_call_id text,
                   retell_call_id text, from_number text, to_number text, stack text, call_state text,
                   config_version bigint, offered_ms bigint, legs jsonb)
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select x.n, r.have, c.id, c.user_id, c.agent_config_id, c.carrier_call_id, c.retell_call_id, c.from_number, c.to_number,
           c.stack::text, c.state, coalesce(c.config_version, 0), floor(extract(epoch from c.offered_at) * 1000)::bigint,
           case when c.id is not null then '[]'::jsonb end
    from jsonb_to_recordset(list) x (n integer, call_sid text, name text)
    left join lateral (select true as have from patchbay.recordings r where r.name = x.name limit 1) r on true
    left join lateral (select * from patchbay.calls c where c.carrier_call_id = x.call_sid
                       order by c.state = 'ended', c.offered_at desc limit 1) c on true
$fn$;
create index if not exists recordings_messages on patchbay.recordings (name) where name like 'm-%';

drop function if exists patchbay.orphan_legs(text[], interval);
create or replace function patchbay.left_legs(legs text[], grace interval)
    returns table (leg text, call_id uuid, user_id uuid, kind text, form text)
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select l.leg, l.call_id, l.user_id, l.kind,
           case when l.kind = 'caller' then coalesce(c.metadata ->> 'carrier_form', 'cxml') else 'cxml' end
    from patchbay.call_legs l join patchbay.calls c on c.id = l.call_id
    where l.leg = any (legs) and c.state = 'ended' and c.ended_at < now() - grace
      and c.updated_at < now() - grace
      and not exists (select from patchbay.calls o where o.carrier_call_id = l.leg and o.state <> 'ended')
$fn$;

revoke all on function patchbay.known_messages(jsonb), patchbay.left_legs(text[], interval) from public;
grant execute on function patchbay.known_messages(jsonb), patchbay.left_legs(text[], interval)
    to service_role, patchbay_service;

-- A call that a stack has answered and that ended without a word about how it went was answered; the word that it was may
-- come after the end.
create or replace function patchbay.on_call_outcome() returns trigger
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
begin
    new.outcome := 'answered';
    return new;
end
$fn$;
drop trigger if exists patchbay_outcome on patchbay.calls;
create trigger patchbay_outcome before insert or update on patchbay.calls for each row
    when (new.state = 'ended' and new.outcome is null and new.answered_at is not null)
    execute function patchbay.on_call_outcome();
revoke all on function patchbay.on_call_outcome() from public;
grant execute on function patchbay.on_call_outcome() to service_role, patchbay_service;
