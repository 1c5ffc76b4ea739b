-- Who may read a user's events at NATS: an nkey of his own, in an account of his own, that holds nothing but what is
-- imported into it (deploy/nats/README.md). webhook-relay makes the consumers he reads by.

create table if not exists patchbay.subscribers (
    nkey text primary key check (nkey ~ '^U[A-Z2-7]{55}$'),  -- public; one key is one user's
    user_id uuid not null references public.users (id) on delete cascade,
    name text not null default '' check (length(name) <= 100),
    created_at timestamptz not null default now()
);
create index if not exists subscribers_user on patchbay.subscribers (user_id);

alter table patchbay.subscribers enable row level security;
drop policy if exists service on patchbay.subscribers;
create policy service on patchbay.subscribers to service_role, patchbay_service using (true) with check (true);
revoke all on patchbay.subscribers from anon, authenticated;
grant select, insert, update, delete on patchbay.subscribers to service_role, patchbay_service;

-- The subscribers' accounts, as nats-server reads them: deploy/nats/accounts.conf includes this text. Nothing in it is
-- anybody's free text: ids and keys only.
create or replace function patchbay.nats_accounts() returns text
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select coalesce(string_agg(format(E'user_%s {\n  users: [%s]\n  imports: [\n%s  ]\n}\n', s.user_id, s.keys, i.text),
                               '' order by s.user_id), '')
    from (select user_id, string_agg(format('{ nkey: %s }', nkey), ', ' order by nkey) as keys
          from patchbay.subscribers group by user_id) s
    cross join lateral (
        select string_agg(format(
            E'    { stream: { account: PATCHBAY, subject: "pat.%1$s.v1.*.%2$s.>" } }\n'
            '    { service: { account: PATCHBAY, subject: "$JS.API.CONSUMER.MSG.NEXT.%3$s.user_%2$s" } }\n'
            '    { service: { account: PATCHBAY, subject: "$JS.ACK.%3$s.user_%2$s.>" } }\n',
            a.area, s.user_id, upper(a.area)), '' order by a.area) as text
        from unnest(array['call', 'config', 'switch', 'turn', 'usage', 'voice', 'webhook']) a (area)) i
$fn$;
revoke all on function patchbay.nats_accounts() from public, anon, authenticated;
grant execute on function patchbay.nats_accounts() to service_role, patchbay_service;
