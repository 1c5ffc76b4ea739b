-- What happens to a rollout is told: each line of patchbay.rollout_log is an event pat.rollout.v1.<event>.-.<rollout>, written
-- into the outbox by the transaction that makes the change. A trigger, so that nothing is written down and not told.

create or replace function patchbay.on_rollout_log() returns trigger
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    r patchbay.rollouts;
    event_id constant uuid := patchbay.uuidv7();
    event text;
    subj text;
    more jsonb := '{}';
begin
    select * into strict r from patchbay.rollouts x where x.id = new.rollout_id;
    event := case new.event
        when 'step' then 'advanced' when 'sharing' then 'advanced'
        when 'abort' then 'recalled' when 'rollback' then 'recalled'
        when 'finished' then case r.outcome when 'halted' then 'rolled_back' else r.outcome end
        else new.event end;
    subj := format('pat.rollout.v1.%s.-.%s', event, r.id);
    more := case event
        when 'advanced' then jsonb_build_object('target', r.steps -> r.step)
        when 'judged' then jsonb_build_object('verdict', r.verdict, 'gates', r.verdicts)
        when 'halted' then jsonb_build_object('gates', r.verdicts)
        when 'held' then jsonb_build_object('held_for', r.held_for)
        when 'recalled' then jsonb_build_object('back', r.back)
        else case when new.event = 'finished' then jsonb_build_object('outcome', r.outcome) else '{}' end end;
    insert into patchbay.outbox (id, subject, payload) values (event_id, subj, jsonb_build_object(
        'specversion', '1.0', 'id', event_id, 'source', '/patchbay/stack-switcher', 'type', 'pat.rollout.v1.' || event,
        'subject', r.id, 'time', to_char(new.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
        'datacontenttype', 'application/json',
        'data', jsonb_build_object(
            'rollout_id', r.id, 'name', r.name, 'to', r.to_stack, 'mode', r.mode, 'state', r.state, 'phase', r.phase,
            'step', r.step, 'steps', jsonb_array_length(r.steps), 'counts', patchbay.rollout_counts(r.id), 'who', new.who,
            'why', case when event = 'started' then r.why else new.detail end) || more));
    perform pg_notify('patchbay_outbox', subj);
    return null;
end
$fn$;
revoke all on function patchbay.on_rollout_log() from public;

drop trigger if exists patchbay_told on patchbay.rollout_log;
create trigger patchbay_told after insert on patchbay.rollout_log for each row execute function patchbay.on_rollout_log();
