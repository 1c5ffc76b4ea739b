-- Reading and writing patchbay.user_policies as one document, for the API: all fields are there, versions are compared.

create or replace function patchbay.default_policies() returns jsonb
    language sql immutable set search_path = pg_catalog, pg_temp as $fn$
    select '{
        "time_zone": null, "block_list": [], "block_action": "busy", "withheld": "serve",
        "whitelist": "preferences", "unknown": "preferences", "forward_number": null, "business_hours": null,
        "holidays": [], "after_hours": "voicemail", "after_hours_number": null, "quiet_hours": null,
        "max_concurrent": null, "max_per_minute": null, "over_limit": "busy", "over_budget": "voicemail",
        "allowed_countries": null, "daily_forward_cents": null,
        "fallback": ["other_stack", "voicemail", "forward", "apology"], "fallback_number": null}'::jsonb
$fn$;

-- The row as JSON; for a user without one the defaults, at version 0.
create or replace function patchbay.policies_of(p_user uuid) returns jsonb
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select coalesce((select to_jsonb(p) - array['created_at', 'updated_by'] from patchbay.user_policies p
                     where p.user_id = p_user),
                    patchbay.default_policies()
                    || jsonb_build_object('user_id', p_user, 'version', 0, 'updated_at', null))
$fn$;

-- p_set: fields; null is a field's default. p_replace: those not named get their defaults too. p_expected: the version to
-- be changed, null: whichever. {"policies": ...}, or {"version": n} when that is another one by now.
create or replace function patchbay.put_policies(p_user uuid, p_set jsonb, p_replace boolean, p_expected bigint, p_by uuid)
    returns jsonb
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    blank constant jsonb := patchbay.default_policies();
    old jsonb;
    want jsonb;
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
    return case when n = 1 then jsonb_build_object('policies', patchbay.policies_of(p_user))
                else jsonb_build_object('version', patchbay.policies_of(p_user) -> 'version') end;
end
$fn$;

revoke all on function patchbay.default_policies(), patchbay.policies_of(uuid),
    patchbay.put_policies(uuid, jsonb, boolean, bigint, uuid) from public;
grant execute on function patchbay.default_policies(), patchbay.policies_of(uuid),
    patchbay.put_policies(uuid, jsonb, boolean, bigint, uuid) to service_role, patchbay_service;
