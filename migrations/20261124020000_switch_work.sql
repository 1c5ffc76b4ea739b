-- What a switch of a user's stack costs PostgreSQL, at less than half.
--
-- A function of language sql that sets its search_path is planned anew for each statement that calls it; one of plpgsql keeps its
-- plans for as long as the connection lives. Those a switch calls are of that kind now and answer as before. Whoever works at a switch
-- is told what decides the next step, and not the whole picture each time. A step that ends leaves the columns the indexes are
-- made of alone, so that its row is written where it is (HOT).
--
--   uuidv7, outbox_key, put_audit, config_of, switch_held, unconfirmed, switch_json   as before
--   price_at, voice_is_foreign, voice_settings, agent_tools, stack_hour, settings_of, switch_facts
--                                                                                     as before
--   switch_work                                                                       a switch as its worker sees it
--   switch_claim, switch_begin, switch_wait, switch_done, switch_turn, switch_cut, switch_observe
--                                                                                     as before, answering that

-- ------------------------------------------------------------------ what is called all over

create or replace function patchbay.uuidv7() returns uuid
    language plpgsql volatile parallel safe set search_path = pg_catalog, pg_temp as $fn$
begin
    return (lpad(to_hex(floor(extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0') || '7'
            || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid;
end
$fn$;

create or replace function patchbay.outbox_key(p_subject text) returns text
    language plpgsql immutable strict parallel safe set search_path = pg_catalog, pg_temp as $fn$
begin
    return case when p_subject ~ '^pat\.[^.]+\.v\d+\.[^.]+\.' then substring(p_subject from '^(?:[^.]+\.){4}(.*)$')
                else p_subject end;
end
$fn$;

create or replace function patchbay.put_audit(p jsonb) returns void
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
begin
    insert into patchbay.audit (actor, actor_id, action, allowed, user_id, subject, why, before, after, peer)
    values (p ->> 'actor', (p ->> 'actor_id')::uuid, p ->> 'action', coalesce((p ->> 'allowed')::boolean, true),
            (p ->> 'user_id')::uuid, (p ->> 'subject')::uuid, p ->> 'why', p -> 'before', p -> 'after', p ->> 'peer');
end
$fn$;

-- Which config a request about a user means: the one his calls go to (the order of patchbay.routes).
create or replace function patchbay.config_of(p_user uuid, p_config uuid) returns uuid
    language plpgsql stable set search_path = pg_catalog, pg_temp as $fn$
begin
    return (
        select c.id from public.agent_configs c
        where c.user_id = p_user and (p_config is null or c.id = p_config)
        order by coalesce((to_jsonb(c) ->> 'is_default')::boolean, false) desc, c.created_at, c.id
        limit 1);
end
$fn$;

-- ------------------------------------------------------------------ what a plan is made of

create or replace function patchbay.price_at(p_account text, p_provider text, p_component text, p_model text, p_at timestamptz)
    returns patchbay.prices
    language plpgsql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    found patchbay.prices;
begin
    select (x.p).* into found from (
        select p, p.provider is not distinct from p_account as own, p.model <> '' as exact, false as house, p.valid_from
        from patchbay.prices p
        where p.provider in (p_account, p_provider) and p.component = p_component
          and p.model in (coalesce(p_model, ''), '') and p.valid_from <= p_at
        union all
        select (r.id, r.provider, r.component, r.model, r.valid_from, r.price_microusd, r.per, r.unit, r.minimum, r.step,
                r.source, r.read_on, r.note)::patchbay.prices,
               r.account <> '' or r.provider is not distinct from p_account, r.model <> '', true, r.valid_from
        from patchbay.rates r
        where r.component = p_component and r.model in (coalesce(p_model, ''), '')
          and r.valid_from <= p_at and (r.valid_to is null or r.valid_to > p_at)
          and (r.account = '' and r.provider in (p_account, p_provider) or r.provider = p_provider and r.account = p_account)
    ) x
    order by x.own desc, x.exact desc, x.house desc, x.valid_from desc
    limit 1;
    return found;
end
$fn$;

create or replace function patchbay.voice_is_foreign(p_user uuid, p_voice text) returns boolean
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $fn$
begin
    return (
        select patchbay.is_eleven_id(n.name)
           and not exists (select from patchbay.voice_presets p where p.voice_id = n.name or p.voice_id = p_voice)
           and (exists (select from patchbay.voice_clones k where k.voice_id = n.name and k.user_id <> p_user)
                or exists (select from public.voices v where v.voice_id in (n.name, '11labs-' || n.name) and v.is_cloned
                           and v.user_id <> p_user)
                   -- two rows of before anybody looked: who has one keeps it
                   and not exists (select from public.voices v where v.voice_id in (n.name, '11labs-' || n.name)
                                   and v.is_cloned and v.user_id = p_user))
        from (select patchbay.voice_name(p_voice) as name) n);
end
$fn$;

create or replace function patchbay.voice_settings(p_user uuid, p_voice text, p_parked text) returns jsonb
    language plpgsql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
begin
    return (
        select case when patchbay.voice_is_foreign(p_user, p_voice) then '{"refused": true}'::jsonb else (
        -- Nothing makes (user, voice) unique: the row touched last is the one the user sees.
        (select to_jsonb(x) - array['user_id', 'created_at', 'updated_at']
         from public.voices x
         where x.user_id = p_user and x.voice_id in (p_voice, regexp_replace(p_voice, '^11labs-', ''))
         order by x.updated_at desc nulls last, x.id
         limit 1)
        union all
        (select to_jsonb(x) - array['id', 'user_id', 'voice_id', 'voice_name', 'is_cloned', 'stability', 'similarity_boost',
                                    'style', 'use_speaker_boost', 'created_at', 'updated_at']
         from public.voices x
         where x.user_id = p_user and x.voice_id = p_parked
         order by x.updated_at desc nulls last, x.id
         limit 1)
        limit 1) end);
end
$fn$;

create or replace function patchbay.agent_tools(p_user uuid, p_config uuid) returns jsonb
    language plpgsql stable set search_path = pg_catalog, pg_temp as $fn$
begin
    return (
        select coalesce(jsonb_agg(jsonb_build_object('id', t.id, 'name', t.name, 'description', t.description,
                                                     'parameters', t.parameters, 'timeout_ms', t.timeout_ms,
                                                     'filler', t.filler) order by t.name, t.id), '[]')
        from patchbay.user_tools t
        where t.user_id = p_user and t.enabled and coalesce(t.agent_config_id, p_config) = p_config);
end
$fn$;

-- The last hour of a stack, everybody's calls.
create or replace function patchbay.stack_hour(p_stack public.voice_ai_stack) returns jsonb
    language plpgsql stable set search_path = pg_catalog, pg_temp as $fn$
begin
    return (
        select jsonb_build_object(
            'routed', count(*), 'answered', count(*) filter (where c.answered_at is not null or c.outcome = 'answered'),
            'failed_over', (select count(*) from patchbay.call_events e
                            where e.type = 'pat.call.v1.failed_over' and e.data ->> 'from' = p_stack::text
                              and e.occurred_at > now() - interval '1 hour'))
        from patchbay.calls c where c.stack = p_stack and c.offered_at > now() - interval '1 hour' and not c.rehearsal);
end
$fn$;

create or replace function patchbay.settings_of(p_config uuid) returns jsonb
    language plpgsql stable set search_path = pg_catalog, pg_temp as $fn$
begin
    return (
        select to_jsonb(s) || jsonb_build_object('user_tools', patchbay.agent_tools(s.user_id, s.agent_config_id))
        from patchbay.agent_settings s where s.agent_config_id = p_config
        union all
        select jsonb_build_object(
            'agent_config_id', p_config, 'user_id', p_config, 'version', 0, 'user_name', 'standby', 'language', 'multi',
            'system_prompt', '{{standby_prompt}}', 'greeting_template', '{{standby_greeting}}', 'temperature', 0.7,
            'stack_config', '{}'::jsonb, 'transfer_numbers', '[]'::jsonb, 'transfer_any', true, 'user_tools', '[]'::jsonb,
            'extra', '{}'::jsonb)
        where p_config = patchbay.standby_config());
end
$fn$;

-- Everything a plan needs; null: no such user, or no agent of his.
create or replace function patchbay.switch_facts(p_user uuid, p_config uuid, p_to public.voice_ai_stack) returns jsonb
    language plpgsql stable set search_path = pg_catalog, pg_temp as $fn$
begin
    return (
        select jsonb_build_object(
            'user_id', c.user_id, 'agent_config_id', c.id, 'from', c.active_voice_stack, 'to', p_to,
            'settings', patchbay.settings_of(c.id),
            'avatar', to_jsonb(c) -> 'avatar_url', 'sms_prompt', to_jsonb(c) ->> 'prompt' is not null,
            'voice', patchbay.voice_on(c.voice_id, coalesce(c.stack_config -> 'parked', '{}'), c.user_id, p_to),
            'numbers', (select coalesce(jsonb_agg(r.number order by r.number), '[]') from patchbay.routes r
                        where r.user_id = c.user_id and r.agent_config_id = c.id and r.is_active),
            'retell_agent', c.retell_agent_id is not null and not exists (
                select from patchbay.retell_tombstones t where t.agent_id = c.retell_agent_id),
            'live_calls', (select count(*) from patchbay.calls k
                           where k.user_id = c.user_id and k.agent_config_id = c.id and k.state <> 'ended' and not k.rehearsal),
            'open_switch', (select o.id from patchbay.switches o where o.user_id = c.user_id and o.open),
            'capabilities', (select jsonb_object_agg(k.capability, jsonb_build_object('supported', k.supported, 'reason', k.reason))
                             from patchbay.stack_capabilities k where k.stack = p_to),
            'health', jsonb_build_object('retell', patchbay.stack_hour('retell'), 'livekit', patchbay.stack_hour('livekit')),
            'cost', patchbay.minute_costs(c.user_id, 30))
        from public.agent_configs c where c.id = patchbay.config_of(p_user, p_config));
end
$fn$;

-- ------------------------------------------------------------------ the row

create or replace function patchbay.switch_json(s patchbay.switches) returns jsonb
    language plpgsql stable set search_path = pg_catalog, pg_temp as $fn$
begin
    return (
        select to_jsonb(s) - array['request', 'lease_by', 'lease_until', 'lease_epoch', 'idempotency_key', 'next_at', 'done']
            || jsonb_build_object(
                'done', to_jsonb(s.done), 'cut', s.cut_at is not null, 'uncut', s.uncut_at is not null,
                'window_left_ms', greatest(0, ceil(extract(epoch from s.window_until - now()) * 1000))::bigint,
                'may', to_jsonb(array_remove(array[
                    case when s.finished_at is null and not s.undo and s.wish is null and s.cut_at is null then 'abort' end,
                    case when s.finished_at is null and not s.undo and s.wish is null and s.cut_at is not null
                              and s.step is distinct from 'retire' and not 'retire' = any (s.done)
                              and (s.window_until > now() or not 'drain' = any (s.done)) then 'rollback' end,
                    case when s.finished_at is null and not s.undo and s.wish is null
                              and (s.hold and not s.promoted and s.cut_at is null
                                   or s.window_until > now() and s.step is distinct from 'retire') then 'promote' end], null)),
                'steps', (select coalesce(jsonb_agg(to_jsonb(t) - array['switch_id', 'worker'] order by t.seq), '[]')
                          from patchbay.switch_steps t where t.switch_id = s.id)));
end
$fn$;

-- A switch as its worker sees it: what decides the next step and what the steps need. 'plan' has the voice, for the step that asks
-- whether it speaks.
create or replace function patchbay.switch_work(s patchbay.switches) returns jsonb
    language plpgsql stable set search_path = pg_catalog, pg_temp as $fn$
begin
    return jsonb_build_object(
        'id', s.id, 'epoch', s.lease_epoch, 'version', s.version, 'user_id', s.user_id, 'agent_config_id', s.agent_config_id,
        'from_stack', s.from_stack, 'to_stack', s.to_stack, 'state', s.state, 'done', s.done, 'undo', s.undo, 'wish', s.wish,
        'step', s.step, 'attempts', s.attempts, 'error', s.error, 'hold', s.hold, 'promoted', s.promoted, 'verify', s.verify,
        'force', s.force, 'made', s.made, 'cut_version', s.cut_version, 'finished_at', s.finished_at,
        'window_left_ms', greatest(0, ceil(extract(epoch from s.window_until - now()) * 1000))::bigint,
        'plan', case when s.step = 'verify' then jsonb_build_object('voice', s.plan -> 'voice') end);
end
$fn$;

-- ------------------------------------------------------------------ the work

-- The row, locked, while p_worker holds it in this epoch; no row else.
create or replace function patchbay.switch_held(p_id uuid, p_worker text, p_epoch bigint) returns setof patchbay.switches
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
begin
    return query select x.* from patchbay.switches x
    where x.id = p_id and x.lease_by = p_worker and x.lease_epoch = p_epoch and x.lease_until > now() for update;
end
$fn$;

-- A switch that has something to do now, held for p_ms: its row; null: none. Whoever is at it is passed by.
create or replace function patchbay.switch_claim(p_worker text, p_ms bigint, p_id uuid) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    s patchbay.switches;
begin
    select * into s from patchbay.switches x
    where x.finished_at is null and x.next_at <= now() and (x.lease_until is null or x.lease_until <= now())
      and (p_id is null or x.id = p_id)
    order by x.next_at limit 1 for update skip locked;
    if not found then
        return null;
    end if;
    update patchbay.switches x set lease_by = p_worker, lease_epoch = x.lease_epoch + 1,
        lease_until = now() + p_ms * interval '1 millisecond'
    where x.id = s.id returning * into s;
    return patchbay.switch_work(s);
end
$fn$;

-- Begins a step: written down before anything is done. {"wait"} when another switch of this agent is taking the agent
-- away that this one would make, {"turn"} when somebody has asked to go back meanwhile.
create or replace function patchbay.switch_begin(p_id uuid, p_worker text, p_epoch bigint, p_step text, p_ms bigint)
    returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    s patchbay.switches;
    had boolean;
begin
    select * into s from patchbay.switch_held(p_id, p_worker, p_epoch);
    if not found then
        return null;
    end if;
    if s.wish is not null and not s.undo then
        return patchbay.switch_work(s) || '{"turn": true}';
    end if;
    if p_step in ('provision', 'retire', 'clean_up') and s.step is distinct from p_step then
        perform from public.agent_configs c where c.id = s.agent_config_id for update;
        if exists (select from patchbay.switches o where o.agent_config_id = s.agent_config_id and o.id <> s.id
                   and (p_step = 'provision' and o.finished_at is null and o.step in ('retire', 'clean_up')
                        or p_step <> 'provision' and o.open and o.created_at > s.created_at)) then
            -- Whoever is at it is left alone, and passed by: he may be waiting for the agent's row.
            with due as (
                select o.id from patchbay.switches o
                where p_step = 'provision' and o.agent_config_id = s.agent_config_id and o.id <> s.id
                  and o.finished_at is null and o.step in ('retire', 'clean_up') and o.lease_until is null
                  and o.next_at > o.updated_at + interval '3 s' for update skip locked
            )
            update patchbay.switches o set next_at = o.updated_at + interval '3 s' from due where o.id = due.id;
            return patchbay.switch_wait(p_id, p_worker, p_epoch, s.version, 500, 'another switch of this agent is at work')
                || '{"wait": true}';
        end if;
    end if;
    if p_step = 'provision' and s.made is null then
        select exists (select from patchbay.retell_agents a where a.agent_config_id = s.agent_config_id
                       and a.agent_id is not null and a.state not in ('retired', 'retiring'))
            or exists (select from public.agent_configs c where c.id = s.agent_config_id and c.retell_agent_id is not null
                       and not exists (select from patchbay.retell_tombstones t where t.agent_id = c.retell_agent_id))
        into had;
        s.made := s.to_stack = 'retell' and not had;
        s.before := (select jsonb_build_object('retell_agent_id', c.retell_agent_id, 'retell_llm_id', c.retell_llm_id)
                     from public.agent_configs c where c.id = s.agent_config_id);
    end if;
    if s.step = p_step then
        update patchbay.switch_steps t set state = 'running', attempts = t.attempts + 1, worker = p_worker
        where t.switch_id = s.id and t.ended_at is null;
    else
        insert into patchbay.switch_steps (switch_id, seq, step, state, worker)
        select s.id, coalesce(max(t.seq), 0) + 1, p_step, 'running', p_worker
        from patchbay.switch_steps t where t.switch_id = s.id;
    end if;
    update patchbay.switches x set step = p_step, made = s.made, before = s.before,
        attempts = case when x.step is not distinct from p_step then x.attempts + 1 else 1 end,
        lease_until = now() + p_ms * interval '1 millisecond', version = x.version + 1, updated_at = now()
    where x.id = s.id returning * into s;
    perform pg_notify('patchbay_switch', s.id::text);
    return patchbay.switch_work(s);
end
$fn$;

-- Not yet: the row is given back for p_ms, less when something happened to it since version p_seen.
create or replace function patchbay.switch_wait(p_id uuid, p_worker text, p_epoch bigint, p_seen bigint, p_ms bigint,
                                                p_why text) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    s patchbay.switches;
begin
    update patchbay.switches x set error = p_why, lease_by = null, lease_until = null, updated_at = now(),
        next_at = case when x.version > p_seen then now() else now() + p_ms * interval '1 millisecond' end
    where x.id = p_id and x.lease_by = p_worker and x.lease_epoch = p_epoch and x.lease_until > now() returning * into s;
    if not found then
        return null;
    end if;
    update patchbay.switch_steps t set state = 'waiting', error = p_why where t.switch_id = s.id and t.ended_at is null;
    if s.next_at <= now() then
        perform pg_notify('patchbay_switch', s.id || ' due');
    end if;
    return patchbay.switch_work(s);
end
$fn$;

-- The step is done: p_state (null: as it was) and what came of it, told. It was due when it was claimed, and still is.
create or replace function patchbay.switch_finish_step(s patchbay.switches, p_step text, p_state text, p_result jsonb)
    returns patchbay.switches
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
begin
    update patchbay.switch_steps t set state = 'done', result = p_result, error = null, ended_at = clock_timestamp()
    where t.switch_id = s.id and t.ended_at is null;
    update patchbay.switches x set done = x.done || p_step, step = null, attempts = 0, error = null,
        state = coalesce(p_state, x.state), version = x.version + 1, updated_at = now(),
        plan = case when p_step = 'validate' then coalesce(p_result -> 'plan', x.plan) else x.plan end,
        -- Who serves is settled once the routers know.
        open = x.open and p_step not in ('observe', 'observe_back', 'clean_up'),
        waiting_version = case when p_step in ('observe', 'observe_back') then null else x.waiting_version end,
        outcome = case p_step when 'retire' then 'retired'
                  when 'clean_up' then case when x.uncut_at is not null then 'rolled_back' when x.wish = 'abort' then 'aborted'
                                            else 'failed' end else x.outcome end,
        finished_at = case when p_step in ('retire', 'clean_up') then clock_timestamp() end
    where x.id = s.id returning * into s;
    if p_state is not null then
        perform patchbay.switch_told(s, p_state, jsonb_build_object('result', p_result - 'plan'));
    end if;
    perform pg_notify('patchbay_switch', s.id::text);
    return s;
end
$fn$;

create or replace function patchbay.switch_done(p_id uuid, p_worker text, p_epoch bigint, p_step text, p_state text,
                                                p_result jsonb) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    s patchbay.switches;
    c public.agent_configs;
begin
    select * into s from patchbay.switch_held(p_id, p_worker, p_epoch);
    if not found then
        return null;
    end if;
    if p_step = any (s.done) then
        return patchbay.switch_work(s);
    end if;
    if p_step = 'retire' and s.from_stack = 'livekit' then
        update public.agent_configs x set stack_config = x.stack_config - 'livekit'
        where x.id = s.agent_config_id and x.stack_config -> 'livekit' = '{"kept": true}'
          and x.active_voice_stack = 'retell';
    elsif p_step = 'clean_up' and s.made and s.before ->> 'retell_agent_id' is not null then
        -- The ids the product had. Never null where there was none: SMS replies ask for one.
        update public.agent_configs x set retell_agent_id = s.before ->> 'retell_agent_id',
            retell_llm_id = s.before ->> 'retell_llm_id'
        where x.id = s.agent_config_id and x.retell_agent_id is distinct from s.before ->> 'retell_agent_id';
    end if;
    s := patchbay.switch_finish_step(s, p_step, p_state, p_result);
    return patchbay.switch_work(s);
end
$fn$;

-- A step cannot be done, or nobody wants it any more: the way back begins.
create or replace function patchbay.switch_turn(p_id uuid, p_worker text, p_epoch bigint, p_why text) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    s patchbay.switches;
begin
    select * into s from patchbay.switch_held(p_id, p_worker, p_epoch);
    if not found then
        return null;
    end if;
    update patchbay.switch_steps t set state = 'failed', error = p_why, ended_at = clock_timestamp()
    where t.switch_id = s.id and t.ended_at is null;
    -- One that has not cut over will not: another may begin. One that has is open until routers know.
    update patchbay.switches x set undo = true, step = null, attempts = 0, error = p_why, waiting_version = null,
        open = x.open and x.cut_at is not null, version = x.version + 1, updated_at = now()
    where x.id = s.id returning * into s;
    perform pg_notify('patchbay_switch', s.id::text);
    return patchbay.switch_work(s);
end
$fn$;

-- The one transaction that changes who serves: stack, settings, version, event, audit. p_step: cutover or cut_back. Done
-- twice it changes nothing. {"error"}: somebody else has changed the stack.
create or replace function patchbay.switch_cut(p_id uuid, p_worker text, p_epoch bigint, p_step text) returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    nil constant uuid := '00000000-0000-0000-0000-000000000000';
    back constant boolean := p_step = 'cut_back';
    s patchbay.switches;
    c public.agent_configs;
    was jsonb;
    want jsonb;
    target public.voice_ai_stack;
    v bigint;
begin
    select * into s from patchbay.switch_held(p_id, p_worker, p_epoch);
    if not found then
        return null;
    end if;
    if p_step = any (s.done) then
        return patchbay.switch_work(s);
    end if;
    if s.wish is not null and not s.undo then
        return patchbay.switch_work(s) || '{"turn": true}';
    end if;
    target := case when back then s.from_stack else s.to_stack end;
    select * into c from public.agent_configs x where x.id = s.agent_config_id for update;
    if not found then
        return jsonb_build_object('error', 'the agent is gone');
    end if;
    if c.active_voice_stack = target and not back then
        return jsonb_build_object('error', 'somebody else has put the user on ' || target::text);
    end if;
    was := jsonb_build_object('active_voice_stack', c.active_voice_stack, 'stack_config', c.stack_config,
                              'voice_id', c.voice_id, 'retell_agent_id', c.retell_agent_id,
                              'retell_llm_id', c.retell_llm_id, 'livekit_room_id', c.livekit_room_id);
    if c.active_voice_stack <> target then
        want := patchbay.switch_settings(c, target, s.id, s.keep_ms > 0);
        update public.agent_configs x set active_voice_stack = target, voice_id = want ->> 'voice_id',
            stack_config = want -> 'stack_config', livekit_room_id = want ->> 'livekit_room_id'
        where x.id = c.id returning * into c;
    end if;
    select x.version into v from patchbay.config_versions x where x.user_id = s.user_id and x.agent_config_id = nil;
    update patchbay.switches x set
        cut_at = case when back then x.cut_at else now() end, cut_version = case when back then x.cut_version else v end,
        uncut_at = case when back then now() end, waiting_version = v,
        window_until = case when back then null else now() + x.keep_ms * interval '1 millisecond' end,
        before = case when back then x.before else was || coalesce(x.before, '{}') end,
        after = jsonb_build_object('active_voice_stack', c.active_voice_stack, 'stack_config', c.stack_config,
                                   'voice_id', c.voice_id, 'retell_agent_id', c.retell_agent_id,
                                   'retell_llm_id', c.retell_llm_id, 'livekit_room_id', c.livekit_room_id)
    where x.id = s.id returning * into s;
    -- An agent another switch keeps for its way back is in use now, or is this one's to keep.
    update patchbay.switches x set finished_at = clock_timestamp(), outcome = 'superseded', version = x.version + 1,
        updated_at = now(), lease_by = null, lease_until = null, waiting_version = null
    where x.agent_config_id = s.agent_config_id and x.id <> s.id and x.finished_at is null and not x.open and not x.undo;
    perform patchbay.put_audit(jsonb_build_object(
        'actor', s.asked_by, 'actor_id', s.asked_by_id, 'action', 'switch.' || p_step, 'user_id', s.user_id,
        'subject', s.id, 'why', s.why, 'before', was, 'after', s.after));
    s := patchbay.switch_finish_step(s, p_step, case when back then 'rolled_back' else 'cutover' end,
                                     jsonb_build_object('version', v, 'stack', target, 'voice', want -> 'voice'));
    return patchbay.switch_work(s);
end
$fn$;

-- ------------------------------------------------------------------ routers

-- Routers that are there and have not said that they route by p_version.
create or replace function patchbay.unconfirmed(p_switch uuid, p_version bigint) returns setof text
    language plpgsql stable set search_path = pg_catalog, pg_temp as $fn$
begin
    return query
    select l.router_id from patchbay.router_leases l
    where l.lease_until > now() and not exists (
        select from patchbay.router_confirms f
        where f.switch_id = p_switch and f.router_id = l.router_id and f.version >= p_version);
end
$fn$;

-- Have all routers? If not, the row is given back until one says so, or p_ms have passed. Looked and written under the
-- row's lock, which a router's word takes too: no word is lost in between.
create or replace function patchbay.switch_observe(p_id uuid, p_worker text, p_epoch bigint, p_step text, p_ms bigint)
    returns jsonb
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    s patchbay.switches;
    missing text[];
begin
    select * into s from patchbay.switch_held(p_id, p_worker, p_epoch);
    if not found then
        return null;
    end if;
    if p_step = any (s.done) then
        return patchbay.switch_work(s);
    end if;
    missing := array(select patchbay.unconfirmed(s.id, s.waiting_version));
    if cardinality(missing) > 0 then
        return patchbay.switch_wait(p_id, p_worker, p_epoch, s.version, p_ms,
                                    'not confirmed by ' || array_to_string(missing, ', ')) || '{"wait": true}';
    end if;
    s := patchbay.switch_finish_step(s, p_step, case when p_step = 'observe' then 'observed' end, jsonb_build_object(
        'version', s.waiting_version,
        'confirmed', (select coalesce(jsonb_object_agg(f.router_id, ceil(extract(epoch from
                          f.confirmed_at - coalesce(s.uncut_at, s.cut_at)) * 1000)), '{}')
                      from patchbay.router_confirms f where f.switch_id = s.id and f.version >= s.waiting_version),
        -- Those whose lease ran out: each serves by then as decisions/0019 says.
        'fenced', (select coalesce(jsonb_agg(l.router_id), '[]') from patchbay.router_leases l
                   where l.lease_until <= now() and l.lease_until > coalesce(s.uncut_at, s.cut_at)
                     and not exists (select from patchbay.router_confirms f where f.switch_id = s.id
                                     and f.router_id = l.router_id and f.version >= s.waiting_version))));
    return patchbay.switch_work(s);
end
$fn$;

revoke all on function patchbay.switch_work(patchbay.switches) from public, anon, authenticated;
grant execute on function patchbay.switch_work(patchbay.switches) to service_role, patchbay_service;
