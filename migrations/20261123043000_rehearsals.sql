-- Rehearsals: calls of our own to a stack, to see that it would serve one. They have a row in patchbay.calls like any call, for
-- whoever looks for what happened, and are left out of everything that is counted, billed or shown to a user.
alter table patchbay.calls add column if not exists rehearsal boolean not null default false;

-- Who is rehearsed: what a router otherwise knows by the number that was called. number: one of the user's, the caller's.
create or replace function patchbay.rehearsal_of(p_config uuid) returns jsonb
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select jsonb_build_object(
        'user_id', s.user_id, 'config_version', s.version,
        'number', (select r.number from patchbay.routes r where r.user_id = s.user_id
                   order by r.agent_config_id is distinct from s.agent_config_id, r.number limit 1),
        'retell_agent_id', coalesce(p.agent_id, case when t.agent_id is null then s.retell_agent_id end),
        'retell_agent_version', p.version,
        -- nothing is recorded, nobody has been asked
        'settings', jsonb_set(to_jsonb(s), '{extra}', coalesce(s.extra, '{}') || '{"recording_enabled": false}'))
    from patchbay.agent_settings s
    left join patchbay.retell_agents p on p.agent_config_id = s.agent_config_id and p.retired_at is null
                                          and p.agent_id is not null
    left join patchbay.retell_tombstones t on t.agent_id = s.retell_agent_id
    where s.agent_config_id = p_config
$fn$;

-- The row is there, and marked, before anything is asked of anybody.
create or replace function patchbay.begin_rehearsal(facts jsonb) returns void
    language sql security invoker set search_path = pg_catalog, pg_temp as $fn$
    insert into patchbay.calls (id, version, user_id, agent_config_id, config_version, direction, from_number, to_number,
                                stack, state, carrier, livekit_room, offered_at, routed_at, router_build, rehearsal)
    select f.id, 1, f.user_id, f.agent_config_id, f.config_version, 'inbound', f.from_number, f.to_number,
           f.stack, 'routed', f.carrier, f.livekit_room, now(), now(), f.router_build, true
    from jsonb_populate_record(null::patchbay.calls, facts) f
    on conflict (id) do nothing
$fn$;

-- What is written about a call by its id is dropped when the call was a rehearsal: usage, and the record users see.
create or replace function patchbay.skip_rehearsal() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $fn$
declare
    call uuid := (to_jsonb(new) ->> tg_argv[0])::uuid;
begin
    if exists (select from patchbay.calls c where c.id = call and c.rehearsal) then
        return null;
    end if;
    return new;
end
$fn$;

drop trigger if exists patchbay_skip_rehearsal on patchbay.usage;
create trigger patchbay_skip_rehearsal before insert on patchbay.usage
    for each row execute function patchbay.skip_rehearsal('call_id');
drop trigger if exists patchbay_skip_rehearsal on public.call_records;
create trigger patchbay_skip_rehearsal before insert on public.call_records
    for each row execute function patchbay.skip_rehearsal('id');

revoke all on function patchbay.rehearsal_of(uuid), patchbay.begin_rehearsal(jsonb), patchbay.skip_rehearsal()
    from public, anon, authenticated;
grant execute on function patchbay.rehearsal_of(uuid), patchbay.begin_rehearsal(jsonb) to service_role, patchbay_service;
