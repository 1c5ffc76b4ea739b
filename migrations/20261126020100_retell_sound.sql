-- A webhook of Retell's that is as documented is not copied: jsonb_set and - build the whole call anew, with its transcript.
create or replace function patchbay.retell_sound(payload jsonb) returns jsonb
    language plpgsql immutable set search_path = pg_catalog, pg_temp as $fn$
declare
    last_ms constant numeric := 4102444800000; -- the year 2100
    most_cents constant numeric := 10000000;
    r jsonb := payload -> 'call';
    costs jsonb := r #> '{call_cost,product_costs}';
    wrong text[]; -- what is taken out: paths as texts, as they are of different lengths; null: nothing was touched
    path text;
begin
    if jsonb_typeof(r) is distinct from 'object' then
        return payload;
    end if;
    select array_agg(array[x.key]::text) into wrong
    from (values ('start_timestamp', last_ms), ('end_timestamp', last_ms), ('transfer_end_timestamp', last_ms),
                 ('duration_ms', 2147483647)) x (key, high)
    where r ? x.key and not case jsonb_typeof(r -> x.key) when 'number' then (r ->> x.key)::numeric between 0 and x.high else false end;
    if jsonb_typeof(r #> '{call_analysis,call_successful}') <> 'boolean' then
        wrong := wrong || '{call_analysis,call_successful}'::text;
    end if;
    if jsonb_typeof(r #> '{call_analysis,in_voicemail}') <> 'boolean' then
        wrong := wrong || '{call_analysis,in_voicemail}'::text;
    end if;
    if jsonb_typeof(r -> 'latency') = 'object' then
        wrong := wrong || (select array_agg(array['latency', s.key, v.key]::text)
            from jsonb_each(r -> 'latency') s
            cross join jsonb_each(case jsonb_typeof(s.value) when 'object' then s.value else '{}' end) v
            where v.key <> 'values'
              and not case jsonb_typeof(v.value) when 'number' then (v.value #>> '{}')::numeric between 0 and 86400000 else false end);
    end if;
    if jsonb_typeof(r -> 'call_cost') = 'object'
       and not (case jsonb_typeof(r #> '{call_cost,combined_cost}')
                when 'number' then abs((r #>> '{call_cost,combined_cost}')::numeric) < most_cents else false end) then
        wrong := wrong || '{call_cost,combined_cost}'::text;
    end if;
    if jsonb_typeof(costs) = 'array' then
        costs := coalesce(
            (select jsonb_agg(p order by i) from jsonb_array_elements(costs) with ordinality x (p, i)
             where case jsonb_typeof(p -> 'cost') when 'number' then abs((p ->> 'cost')::numeric) < most_cents else false end), '[]');
        if costs <> r #> '{call_cost,product_costs}' then
            r := jsonb_set(r, '{call_cost,product_costs}', costs);
            wrong := coalesce(wrong, '{}');
        end if;
    end if;
    if wrong is null then
        return payload;
    end if;
    foreach path in array wrong loop
        r := r #- path::text[];
    end loop;
    return jsonb_set(payload, '{call}', r);
end
$fn$;
