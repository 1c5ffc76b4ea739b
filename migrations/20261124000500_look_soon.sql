-- A call whose agent has gone, and whose end nobody told, is looked at soon.
--
-- The carrier tells of a call's end once. Where the router it told was dead, the call was looked at two minutes after it had begun,
-- or five after the last look, and so long it counted as one of its user's calls. The agent knows sooner: it writes down what it has
-- used. (Retell's own word ends a call without a look.) A call that goes on, with another agent or a transfer, is left by the look.

create or replace function patchbay.on_agent_over() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $fn$
begin
    update patchbay.calls set look_at = now() + interval '10 seconds'
    where id = new.call_id and state <> 'ended' and look_at > now() + interval '10 seconds';
    return null;
end
$fn$;
revoke all on function patchbay.on_agent_over() from public;

drop trigger if exists patchbay_agent_over on patchbay.usage;
create trigger patchbay_agent_over after insert on patchbay.usage for each row
    when (new.component = 'agent') execute function patchbay.on_agent_over();
