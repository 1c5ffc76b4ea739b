-- Who was refused what, by the user it was about: an attempt to abort, promote or roll back a switch named the switch only, and was
-- not found where somebody looked at what had been tried with that user.
--
--   switch_ask   as before, but for that

create or replace function patchbay.switch_ask(p_op text, p jsonb, p_admin boolean) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
begin
    if not p_admin and not patchbay.is_admin_user((p ->> 'actor_id')::uuid) then
        perform patchbay.put_audit(p || jsonb_build_object(
            'action', 'switch.' || coalesce(p ->> 'wish', case p_op when 'facts' then 'plan' else 'request' end),
            'allowed', false, 'subject', p ->> 'id', 'after', jsonb_build_object('stack', p ->> 'stack'),
            'user_id', coalesce(p ->> 'user_id', (select w.user_id::text from patchbay.switches w where w.id = (p ->> 'id')::uuid))));
        return '{"error": "forbidden", "message": "only an admin switches stacks"}';
    end if;
    if p_op = 'start' then
        return patchbay.switch_start(p);
    elsif p_op = 'wish' then
        return patchbay.switch_wish(p);
    end if;
    return coalesce(jsonb_build_object('facts', patchbay.switch_facts(
                        (p ->> 'user_id')::uuid, (p ->> 'agent_config_id')::uuid, (p ->> 'stack')::public.voice_ai_stack)),
                    '{}');
end
$fn$;
