-- What the admins' pages ask: calls of everybody by number and time, how loud a recording is, and an audit row for every
-- change, whoever makes it.
--
--   calls_offered, calls_from_end, calls_to_end  the list of everybody's calls; the last four digits of a number
--   audit_actor, audit_action                    the audit by who, and by what
--   recordings.peaks     how loud each side is, as the call page draws it; goes when the recording goes
--   json_changes         of two objects what differs, as {"before", "after"}
--   put_policies         as before, and written down
--   hangup_ask           may somebody end this call, and whose is it; written down

create index if not exists calls_offered on patchbay.calls (offered_at desc, id desc);
create index if not exists calls_from_end on patchbay.calls (right(from_number, 4), offered_at desc);
create index if not exists calls_to_end on patchbay.calls (right(to_number, 4), offered_at desc);
create index if not exists audit_actor on patchbay.audit (actor, at desc);
create index if not exists audit_action on patchbay.audit (action, at desc);

alter table patchbay.recordings add column if not exists peaks jsonb;

create or replace function patchbay.recording_peaks_go() returns trigger
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
begin
    if new.state <> 'stored' then
        new.peaks := null;
    end if;
    return new;
end
$fn$;
drop trigger if exists patchbay_peaks_go on patchbay.recordings;
create trigger patchbay_peaks_go before update of state on patchbay.recordings
    for each row execute function patchbay.recording_peaks_go();

-- Null: nothing differs. What is long is cut: it is read by people.
create or replace function patchbay.json_changes(was jsonb, now_is jsonb) returns jsonb
    language sql immutable set search_path = pg_catalog, pg_temp as $fn$
    select case when count(*) > 0 then jsonb_build_object(
        'before', jsonb_object_agg(k, case when length(was ->> k) > 4000 then to_jsonb(left(was ->> k, 4000) || '…') else was -> k end),
        'after', jsonb_object_agg(k, case when length(now_is ->> k) > 4000 then to_jsonb(left(now_is ->> k, 4000) || '…') else now_is -> k end)) end
    from jsonb_object_keys(coalesce(was, '{}') || coalesce(now_is, '{}')) k
    where was -> k is distinct from now_is -> k
$fn$;

create or replace function patchbay.put_policies(p_user uuid, p_set jsonb, p_replace boolean, p_expected bigint, p_by uuid)
    returns jsonb
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    blank constant jsonb := patchbay.default_policies();
    old jsonb;
    want jsonb;
    changes jsonb;
    n bigint;
begin
    perform from patchbay.user_policies p where p.user_id = p_user for update;
    old := patchbay.policies_of(p_user);
    if p_expected <> (old ->> 'version')::bigint then
        return jsonb_build_object('version', old -> 'version');
    end if;
    select jsonb_object_agg(f.key, case when p_set -> f.key <> 'null' then p_set -> f.key
                                        when p_replace or p_set ? f.key then f.value
                                        else old -> f.key end) into want
    from jsonb_each(blank) f;
    if (old ->> 'version')::bigint = 0 then
        insert into patchbay.user_policies
        select r.* from jsonb_populate_record(null::patchbay.user_policies, want || jsonb_build_object(
            'user_id', p_user, 'version', 1, 'updated_by', p_by, 'created_at', now(), 'updated_at', now())) r
        on conflict (user_id) do nothing;
    else
        execute format('update patchbay.user_policies p set (%1$s, updated_by) = (select %1$s, $2 from
                        jsonb_populate_record(null::patchbay.user_policies, $1)) where p.user_id = $3',
                       (select string_agg(quote_ident(k), ', ') from jsonb_object_keys(blank) k))
        using want, p_by, p_user;
    end if;
    get diagnostics n = row_count;
    -- Somebody else made the row meanwhile.
    if n <> 1 then
        return jsonb_build_object('version', patchbay.policies_of(p_user) -> 'version');
    end if;
    changes := patchbay.json_changes(
        (select jsonb_object_agg(k, old -> k) from jsonb_object_keys(blank) k), want);
    if changes is not null then
        perform patchbay.put_audit(changes || jsonb_build_object(
            'actor', coalesce(p_by::text, 'service'), 'actor_id', p_by, 'action', 'policies.change', 'user_id', p_user));
    end if;
    return jsonb_build_object('policies', patchbay.policies_of(p_user));
end
$fn$;

-- p: call_id and who asks. {"user_id"}, or {"error"}.
create or replace function patchbay.hangup_ask(p jsonb, p_admin boolean) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    c patchbay.calls;
    allowed boolean := p_admin or patchbay.is_admin_user((p ->> 'actor_id')::uuid);
begin
    select * into c from patchbay.calls x where x.id = (p ->> 'call_id')::uuid;
    if allowed and c.id is null then
        return '{"error": "not_found"}';
    end if;
    if allowed and c.state = 'ended' then
        return '{"error": "over"}';
    end if;
    perform patchbay.put_audit(p || jsonb_build_object(
        'action', 'call.hangup', 'allowed', allowed, 'subject', p ->> 'call_id', 'user_id', c.user_id,
        'before', jsonb_build_object('state', c.state)));
    return case when allowed then jsonb_build_object('user_id', c.user_id) else '{"error": "forbidden"}' end;
end
$fn$;

revoke all on function patchbay.recording_peaks_go(), patchbay.json_changes(jsonb, jsonb),
    patchbay.put_policies(uuid, jsonb, boolean, bigint, uuid), patchbay.hangup_ask(jsonb, boolean) from public;
grant execute on function patchbay.json_changes(jsonb, jsonb),
    patchbay.put_policies(uuid, jsonb, boolean, bigint, uuid), patchbay.hangup_ask(jsonb, boolean)
    to service_role, patchbay_service;
