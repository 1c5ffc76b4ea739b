-- A recording at Retell whose address has expired gets another one, for who listens to it and for who copies it.
--
--   retell_legs.renewing_until, .renewed_at   who asks Retell for it holds it until then; when Retell last answered
--   claim_renewal                             what who met an expired address is to do
--   put_renewal                               what Retell answered

alter table patchbay.retell_legs add column if not exists renewing_until timestamptz;
alter table patchbay.retell_legs add column if not exists renewed_at timestamptz;

-- {"url"}: it has another already; {"retell_call_id", "listen"}: Retell is to be asked, until p_seconds are over nobody else
-- does; {"wait": true}: somebody is asking. Null: that user's call has nothing to listen to, or Retell has just been asked and
-- what it gave was refused as well.
create or replace function patchbay.claim_renewal(p_call uuid, p_user uuid, p_refused text, p_seconds integer) returns jsonb
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    leg patchbay.retell_legs;
begin
    select l.* into leg from patchbay.retell_legs l
    where l.call_id = p_call and l.segment = 1
      and exists (select from patchbay.remote_recordings m where m.call_id = p_call and m.user_id = p_user)
    for update of l;
    if not found then
        return null;
    end if;
    if leg.urls ->> leg.listen <> p_refused then
        return jsonb_build_object('url', leg.urls ->> leg.listen);
    end if;
    if leg.renewing_until > now() then
        return '{"wait": true}';
    end if;
    if leg.renewed_at > now() - interval '5 seconds' then
        return null;
    end if;
    update patchbay.retell_legs set renewing_until = now() + make_interval(secs => p_seconds)
    where retell_call_id = leg.retell_call_id;
    return jsonb_build_object('retell_call_id', leg.retell_call_id, 'listen', leg.listen);
end
$fn$;

-- p_urls null: Retell did not answer, and may be asked again at once. A leg that has none (no recording was wanted) gets none.
create or replace function patchbay.put_renewal(p_leg text, p_urls jsonb) returns void
    language sql security invoker set search_path = pg_catalog, pg_temp as $fn$
    update patchbay.retell_legs set urls = urls || coalesce(p_urls, '{}'), renewing_until = null,
                                    renewed_at = case when p_urls is null then renewed_at else now() end
    where retell_call_id = p_leg and urls is not null and forgotten_at is null
$fn$;

do $rights$
declare
    f text;
begin
    foreach f in array array['claim_renewal(uuid, uuid, text, integer)', 'put_renewal(text, jsonb)'] loop
        execute format('revoke all on function patchbay.%s from public', f);
        execute format('grant execute on function patchbay.%s to service_role, patchbay_service', f);
    end loop;
end
$rights$;
