-- What somebody wished of a switch is in the audit with how it was before and after; before, only with the state it was in.
--
--   switch_wish   as before; written down with state, wish, promoted and window_until on both sides

create or replace function patchbay.switch_wish(p jsonb) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    s patchbay.switches;
    was jsonb;
    what constant text := p ->> 'wish';
begin
    select * into s from patchbay.switches where id = (p ->> 'id')::uuid for update;
    if not found then
        return jsonb_build_object('error', 'not_found', 'message', 'no such switch');
    end if;
    if s.wish = what or (what = 'abort' and s.outcome = 'aborted') or (what = 'rollback' and s.outcome = 'rolled_back') then
        return jsonb_build_object('switch', patchbay.switch_json(s));
    end if;
    if not patchbay.switch_json(s) -> 'may' ? what then
        return jsonb_build_object('error', 'conflict', 'switch', patchbay.switch_json(s), 'message', case
            when s.finished_at is not null or s.undo or s.wish is not null then 'it is over, or on its way back'
            when what = 'abort' then 'the user is on the new stack already: roll back'
            when what = 'promote' then 'it does not wait for anybody'
            when s.cut_at is null then 'the user is on the old stack still: abort'
            else 'the time to go back is over' end);
    end if;
    was := jsonb_build_object('state', s.state, 'wish', s.wish, 'promoted', s.promoted, 'window_until', s.window_until);
    begin
        update patchbay.switches x set
            wish = case when what = 'promote' then x.wish else what end, open = x.open or what = 'rollback',
            promoted = x.promoted or what = 'promote' and x.cut_at is null,
            window_until = case when what = 'promote' and x.cut_at is not null then now() else x.window_until end,
            next_at = now(), version = x.version + 1, updated_at = now()
        where x.id = s.id returning * into s;
    exception when unique_violation then
        return jsonb_build_object('error', 'conflict', 'message', 'another switch of this user is under way',
                                  'switch', patchbay.switch_json(s));
    end;
    perform patchbay.put_audit(jsonb_build_object(
        'actor', p ->> 'actor', 'actor_id', p ->> 'actor_id', 'action', 'switch.' || what, 'user_id', s.user_id,
        'subject', s.id, 'why', p ->> 'why', 'peer', p ->> 'peer', 'before', was,
        'after', jsonb_build_object('state', s.state, 'wish', s.wish, 'promoted', s.promoted, 'window_until', s.window_until)));
    perform pg_notify('patchbay_switch', s.id || ' due');
    return jsonb_build_object('switch', patchbay.switch_json(s));
end
$fn$;

revoke all on function patchbay.switch_wish(jsonb) from public, anon, authenticated;
grant execute on function patchbay.switch_wish(jsonb) to service_role, patchbay_service;
