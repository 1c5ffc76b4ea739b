-- Config events: when the product's own pages write to its tables, our daemons hear of it.
--
-- A trigger writes the event into patchbay.outbox in the same transaction and gives the change a version. Subject
-- pat.config.v1.changed.<user>.<config>; <config> is "-" while the user has no agent. Names of changed columns travel,
-- values never. NOTIFY patchbay_outbox is a hint to look at once, not the news itself.

-- Versions come from one sequence, drawn while the user's own row here is locked: of one user's changes the later
-- commit has the higher version, and so has the row a number moves to. agent_config_id nil: the user as a whole.
create sequence if not exists patchbay.config_version;

create table if not exists patchbay.config_versions (
    user_id uuid not null,
    agent_config_id uuid not null,
    version bigint not null,
    changed_at timestamptz not null default now(),
    primary key (user_id, agent_config_id)
);
alter table patchbay.config_versions enable row level security;
drop policy if exists service on patchbay.config_versions;
create policy service on patchbay.config_versions to service_role, patchbay_service using (true) with check (true);
revoke all on patchbay.config_versions from anon, authenticated;
grant select on patchbay.config_versions to service_role, patchbay_service;

create or replace function patchbay.config_changed(p_user uuid, p_config uuid, p_table text, p_op text,
                                                   p_fields text[]) returns bigint
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $fn$
declare
    nil constant uuid := '00000000-0000-0000-0000-000000000000';
    v bigint;
    config uuid;
    event_id uuid;
    key text;
begin
    insert into patchbay.config_versions as cv (user_id, agent_config_id, version)
    values (p_user, nil, nextval('patchbay.config_version'))
    on conflict (user_id, agent_config_id)
        do update set version = nextval('patchbay.config_version'), changed_at = now()
    returning cv.version into v;

    for config in
        select p_config where p_config is not null
        union all
        (select c.id from public.agent_configs c where p_config is null and c.user_id = p_user order by c.id)
        union all
        select null where p_config is null and not exists (select from public.agent_configs c where c.user_id = p_user)
    loop
        if config is not null then
            insert into patchbay.config_versions (user_id, agent_config_id, version) values (p_user, config, v)
            on conflict (user_id, agent_config_id) do update set version = excluded.version, changed_at = now();
        end if;
        event_id := patchbay.uuidv7();
        key := coalesce(config::text, '-');
        insert into patchbay.outbox (id, subject, payload)
        values (event_id, format('pat.config.v1.changed.%s.%s', p_user, key), jsonb_build_object(
            'specversion', '1.0', 'id', event_id, 'source', '/patchbay/db', 'type', 'pat.config.v1.changed',
            'subject', key,
            'time', to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
            'datacontenttype', 'application/json', 'userid', p_user,
            'data', jsonb_build_object('user_id', p_user, 'agent_config_id', config, 'version', v,
                                       'table', p_table, 'op', p_op, 'fields', to_jsonb(p_fields))));
        perform pg_notify('patchbay_outbox', format('pat.config.v1.changed.%s.%s', p_user, key));
    end loop;
    return v;
end
$fn$;
revoke all on function patchbay.config_changed(uuid, uuid, text, text, text[]) from public;
grant execute on function patchbay.config_changed(uuid, uuid, text, text, text[]) to service_role, patchbay_service;

-- Arguments of the trigger: the column that names the user, then, optionally, the only columns that count.
create or replace function patchbay.on_config_change() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $fn$
declare
    before jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) end;
    after jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) end;
    owner_column constant text := tg_argv[0];
    only_columns constant text[] := tg_argv[1:];
    fields text[];
    owner uuid;
begin
    -- A contact matters to a call only while it is whitelisted.
    if tg_table_name = 'contacts' then
        before := case when (before ->> 'is_whitelisted')::boolean then before end;
        after := case when (after ->> 'is_whitelisted')::boolean then after end;
    end if;

    select array_agg(k order by k) into fields
    from jsonb_object_keys(coalesce(before, '{}') || coalesce(after, '{}')) k
    where before -> k is distinct from after -> k
      and case when cardinality(only_columns) > 0 then k = any (only_columns || owner_column)
               else k not in ('created_at', 'updated_at') end
      -- of a new or deleted row only what it really has
      and (before is not null and after is not null
           or coalesce(before -> k, after -> k) is distinct from 'null'::jsonb);
    if fields is null then
        return null;
    end if;

    for owner in
        select distinct o from (values ((before ->> owner_column)::uuid), ((after ->> owner_column)::uuid)) v (o)
        where o is not null order by o
    loop
        perform patchbay.config_changed(
            owner,
            case when tg_table_name = 'agent_configs' then (coalesce(after, before) ->> 'id')::uuid end,
            tg_table_name, lower(tg_op), fields);
    end loop;
    return null;
end
$fn$;
revoke all on function patchbay.on_config_change() from public;

drop trigger if exists patchbay_config on public.agent_configs;
create trigger patchbay_config after insert or update or delete on public.agent_configs
    for each row execute function patchbay.on_config_change('user_id');
drop trigger if exists patchbay_config on public.service_numbers;
create trigger patchbay_config after insert or update or delete on public.service_numbers
    for each row execute function patchbay.on_config_change('user_id');
drop trigger if exists patchbay_config on public.voices;
create trigger patchbay_config after insert or update or delete on public.voices
    for each row execute function patchbay.on_config_change('user_id');
drop trigger if exists patchbay_config on public.transfer_numbers;
create trigger patchbay_config after insert or update or delete on public.transfer_numbers
    for each row execute function patchbay.on_config_change('user_id');
drop trigger if exists patchbay_config on public.contacts;
create trigger patchbay_config after insert or update or delete on public.contacts
    for each row execute function patchbay.on_config_change('user_id', 'is_whitelisted', 'phone_number');
-- Only what calls depend on: later versions of the product keep counters and balances in this table.
drop trigger if exists patchbay_config on public.users;
create trigger patchbay_config after insert or update or delete on public.users
    for each row execute function patchbay.on_config_change('id', 'name', 'phone_number', 'service_number',
                                                            'account_status', 'record_calls');
