-- What Retell tells in a shape of its own costs no call its record.
--
--   retell_sound  a webhook without the values that are not what Retell documents: the rest of the call is kept
--   use_webhook   puts those; what is about no call (chats, alerts, kinds of tomorrow) is parked at once

create or replace function patchbay.retell_sound(payload jsonb) returns jsonb
    language plpgsql immutable set search_path = pg_catalog, pg_temp as $fn$
declare
    last_ms constant numeric := 4102444800000; -- the year 2100
    most_cents constant numeric := 10000000;
    r jsonb := payload -> 'call';
    k text;
    n text;
begin
    if jsonb_typeof(r) is distinct from 'object' then
        return payload;
    end if;
    for k in select x.key
        from (values ('start_timestamp', last_ms), ('end_timestamp', last_ms), ('transfer_end_timestamp', last_ms),
                     ('duration_ms', 2147483647)) x (key, high)
        where not case jsonb_typeof(r -> x.key) when 'number' then (r ->> x.key)::numeric between 0 and x.high else false end
    loop
        r := r - k;
    end loop;
    foreach k in array array['call_successful', 'in_voicemail'] loop
        if jsonb_typeof(r #> array['call_analysis', k]) <> 'boolean' then
            r := r #- array['call_analysis', k];
        end if;
    end loop;
    if jsonb_typeof(r -> 'latency') = 'object' then
        for k, n in select s.key, v.key
            from jsonb_each(r -> 'latency') s
            cross join jsonb_each(case jsonb_typeof(s.value) when 'object' then s.value else '{}' end) v
            where v.key <> 'values'
              and not case jsonb_typeof(v.value) when 'number' then (v.value #>> '{}')::numeric between 0 and 86400000 else false end
        loop
            r := r #- array['latency', k, n];
        end loop;
    end if;
    if jsonb_typeof(r -> 'call_cost') = 'object'
       and not (case jsonb_typeof(r #> '{call_cost,combined_cost}')
                when 'number' then abs((r #>> '{call_cost,combined_cost}')::numeric) < most_cents else false end) then
        r := r #- '{call_cost,combined_cost}';
    end if;
    if jsonb_typeof(r #> '{call_cost,product_costs}') = 'array' then
        r := jsonb_set(r, '{call_cost,product_costs}', coalesce(
            (select jsonb_agg(p order by i) from jsonb_array_elements(r #> '{call_cost,product_costs}') with ordinality x (p, i)
             where case jsonb_typeof(p -> 'cost') when 'number' then abs((p ->> 'cost')::numeric) < most_cents else false end), '[]'));
    end if;
    return jsonb_set(payload, '{call}', r);
end
$fn$;

create or replace function patchbay.use_webhook(w patchbay.webhook_inbox, out call uuid, out verdict text, out reason text)
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    payload jsonb;
    kept jsonb;
begin
    verdict := 'projected';
    if w.source = 'livekit' then
        call := w.call_id;
        if call is null then
            verdict := 'parked';
            reason := 'about no call of ours';
        elsif not exists (select from patchbay.calls c where c.id = call) then
            verdict := 'again';
            reason := 'its call is not known';
        end if;
    else
        payload := convert_from(w.body, 'UTF8')::jsonb;
        case w.source
        when 'retell' then
            kept := patchbay.retell_redacted(payload);
            if kept is distinct from payload then -- passcodes do not stay in the inbox either
                update patchbay.webhook_inbox set body = convert_to(kept::text, 'UTF8') where id = w.id;
            end if;
            if payload -> 'call' is null then
                reason := 'about no call';
            else
                call := patchbay.put_retell(patchbay.retell_sound(kept));
                if call is null then
                    verdict := 'again';
                    reason := 'about no call of ours';
                end if;
            end if;
        when 'elevenlabs' then
            reason := patchbay.put_elevenlabs(w.kind, payload);
        when 'supabase' then
            reason := patchbay.put_supabase(payload);
        else
            reason := format('nobody here knows "%s"', w.source);
        end case;
        if reason is not null and verdict = 'projected' then
            verdict := 'parked';
        end if;
    end if;
    if verdict = 'projected' and call is not null then
        perform patchbay.project_call(call);
    end if;
end
$fn$;

revoke all on function patchbay.retell_sound(jsonb) from public;
grant execute on function patchbay.retell_sound(jsonb) to service_role, patchbay_service;
