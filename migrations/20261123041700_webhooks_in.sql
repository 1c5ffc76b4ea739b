-- Vendors' webhooks: stored many at a time, used in batches, put back on demand; and the outbox keeps their order per call.
--
--   webhook_inbox   knows the sender's name of a webhook, and when it was put back
--   outbox.key      whose turn it is, where the subject does not say: webhooks of one call, room, voice or row
--   use_webhook     what one stored webhook means: by sender, into calls, voices or configs
--   use_webhooks    takes some that wait, each in a transaction of its own inside, and says what became of them
--   replay_webhooks puts stored ones back: one, those of a sender since a time, or all that are parked

alter table patchbay.webhook_inbox add column if not exists kind text not null default '';
alter table patchbay.webhook_inbox add column if not exists order_key text not null default '';
alter table patchbay.webhook_inbox add column if not exists replayed_at timestamptz;
alter table patchbay.outbox add column if not exists key text; -- null: outbox_key(subject)

-- Who stands in front of an event: of few keys there is ever more than one row that is neither published nor given up.
create index if not exists outbox_keys on patchbay.outbox ((coalesce(key, patchbay.outbox_key(subject))), created_at, id)
    where published_at is null and parked_at is null;
drop index if exists patchbay.outbox_failing;
-- Changes of configuration and of stacks have a queue of their own: a million webhooks in front of them cost them nothing.
create index if not exists outbox_urgent on patchbay.outbox (created_at, id)
    where published_at is null and parked_at is null
      and (subject like 'pat.config.v1.%' or subject like 'pat.switch.v1.%');
create index if not exists outbox_rest on patchbay.outbox (created_at, id)
    where published_at is null and parked_at is null
      and not (subject like 'pat.config.v1.%' or subject like 'pat.switch.v1.%');
drop index if exists patchbay.outbox_due;

-- An event of the relay's, said by the database: published as soon as this transaction is there.
create or replace function patchbay.tell_event(p_type text, p_token text, p_key text, p_user text, p_data jsonb,
                                               p_order text default null) returns uuid
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    event_id constant uuid := patchbay.uuidv7();
    -- A token of a subject: no dots, blanks or wildcards.
    subject constant text := format('%s.%s.%s', p_type, regexp_replace(coalesce(nullif(p_token, ''), '-'), '[^!-~]|[.*>]', '_', 'g'),
                                    regexp_replace(coalesce(nullif(p_key, ''), '-'), '[^!-~]|[.*>]', '_', 'g'));
begin
    insert into patchbay.outbox (id, subject, key, next_attempt_at, payload)
    values (event_id, subject, p_order, now(), jsonb_build_object(
        'specversion', '1.0', 'id', event_id, 'source', '/patchbay/webhook-relay', 'type', p_type, 'subject', p_key,
        'time', to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
        'datacontenttype', 'application/json', 'userid', coalesce(p_user, '-'), 'data', p_data));
    perform pg_notify('patchbay_outbox', subject);
    return event_id;
end
$fn$;

-- ------------------------------------------------------------------ ElevenLabs
-- A shared voice goes, or will, or stays after all. The vendor's page names these kinds, not their fields: voices are
-- taken from wherever the body names them. Each user of such a voice is told; nobody uses it: the operator is ("-").
create or replace function patchbay.put_elevenlabs(p_kind text, body jsonb) returns text
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
#variable_conflict use_variable
-- The product's tables may have columns of any name one day: ours are all qualified.
declare
    event constant text := case p_kind when 'voice_removed' then 'unavailable'
                                       when 'voice_removal_notice' then 'removal_announced'
                                       when 'voice_removal_notice_withdrawn' then 'removal_withdrawn' end;
    why constant text := case p_kind when 'voice_removed' then 'removed by its owner at the vendor'
                                     when 'voice_removal_notice' then 'its owner takes it back'
                                     else 'its owner leaves it after all' end;
    voice text;
    mine record;
    n integer := 0;
begin
    if event is null then
        return format('nothing here uses a "%s"', p_kind);
    end if;
    for voice in
        select distinct v #>> '{}' from (select jsonb_path_query(body, 'lax $.**.voice_id') as v
                                         union select jsonb_path_query(body, 'lax $.**.voice_ids[*]')) x
        where jsonb_typeof(v) = 'string' and v #>> '{}' <> '' order by 1
    loop
        n := n + 1;
        for mine in
            select * from (
                select c.user_id, c.id as config from public.agent_configs c where voice in (c.voice_id, c.cloned_voice_id)
                union
                select v.user_id, null from public.voices v
                where v.voice_id = voice and v.user_id is not null
                  and not exists (select from public.agent_configs c where c.user_id = v.user_id
                                  and voice in (c.voice_id, c.cloned_voice_id))) x
            union all
            select null, null
            where not exists (select from public.agent_configs c where voice in (c.voice_id, c.cloned_voice_id))
              and not exists (select from public.voices v where v.voice_id = voice and v.user_id is not null)
            order by 1, 2
        loop
            perform patchbay.tell_event('pat.voice.v1.' || event, mine.user_id::text, voice, mine.user_id::text,
                jsonb_build_object('voice_id', voice, 'stack', 'livekit', 'reason', why, 'user_id', mine.user_id,
                                   'agent_config_id', mine.config));
        end loop;
    end loop;
    return case when n = 0 then 'it names no voice' end;
end
$fn$;

-- ------------------------------------------------------------------ Supabase
-- A database webhook is a hint: sent once, unsigned but for a shared secret, sometimes lost. Where our trigger stands on
-- the table the change has told itself; then the hint says once more, with the version that is known, that readers
-- should look. Where it does not, the hint is all there is, and makes the version.
create or replace function patchbay.put_supabase(body jsonb) returns text
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
#variable_conflict use_variable
-- The product's tables may have columns of any name one day: ours are all qualified.
declare
    nil constant uuid := '00000000-0000-0000-0000-000000000000';
    uuid_shape constant text := '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$';
    tbl constant text := body ->> 'table';
    op constant text := lower(body ->> 'type');
    before constant jsonb := nullif(body -> 'old_record', 'null');
    after constant jsonb := nullif(body -> 'record', 'null');
    owner_column constant text := case when tbl = 'users' then 'id' else 'user_id' end;
    fields text[];
    owner uuid;
    own_config uuid;
    config uuid;
    n integer := 0;
begin
    if op is null or op not in ('insert', 'update', 'delete') then
        return format('not a change of a row: "%s"', body ->> 'type');
    end if;
    if coalesce(body ->> 'schema', '') <> 'public'
       or tbl is null or tbl not in ('agent_configs', 'service_numbers', 'voices', 'transfer_numbers', 'contacts', 'users') then
        return format('no call depends on %s.%s', body ->> 'schema', tbl);
    end if;
    select array_agg(k order by k) into fields
    from jsonb_object_keys(coalesce(before, '{}') || coalesce(after, '{}')) k
    where before -> k is distinct from after -> k and k not in ('created_at', 'updated_at')
      and (before is not null and after is not null or coalesce(before -> k, after -> k) is distinct from 'null'::jsonb);
    for owner in
        select distinct o::uuid from (values (before ->> owner_column), (after ->> owner_column)) v (o)
        where o ~ uuid_shape order by 1
    loop
        n := n + 1;
        own_config := case when tbl = 'agent_configs' and coalesce(after, before) ->> 'id' ~ uuid_shape
                           then (coalesce(after, before) ->> 'id')::uuid end;
        if not exists (select from pg_trigger t where t.tgrelid = format('public.%I', tbl)::regclass
                       and t.tgname = 'patchbay_config' and t.tgenabled <> 'D') then
            perform patchbay.config_changed(owner, own_config, tbl, op, fields);
            continue;
        end if;
        for config in
            select own_config where own_config is not null
            union all
            (select c.id from public.agent_configs c where own_config is null and c.user_id = owner order by c.id)
            union all
            select null where own_config is null
                          and not exists (select from public.agent_configs c where c.user_id = owner)
        loop
            perform patchbay.tell_event('pat.config.v1.changed', owner::text, config::text, owner::text, jsonb_build_object(
                'user_id', owner, 'agent_config_id', config, 'table', tbl, 'op', op, 'fields', to_jsonb(fields), 'hint', true,
                'version', coalesce((select v.version from patchbay.config_versions v
                                     where v.user_id = owner and v.agent_config_id = coalesce(config, nil)), 0)));
        end loop;
    end loop;
    return case when n = 0 then 'it names no user' end;
end
$fn$;

-- ------------------------------------------------------------------ using them
-- verdict: projected; again (not known yet, or a fault: tried again, ten times); parked (nothing would ever help).
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
            call := patchbay.put_retell(kept);
            if call is null then
                verdict := 'again';
                reason := 'about no call of ours';
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

-- In the order of their calls, so that two relays never wait for each other; of one call in the order they came. What
-- fails alone is noted alone; what is the server's state (a lost race, no memory, going down) ends the batch, uncounted.
create or replace function patchbay.use_webhooks(p_max integer)
    returns table (webhook uuid, sender text, became text, why text)
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    w patchbay.webhook_inbox;
    u record;
begin
    for w in
        select x.* from (
            select i.* from patchbay.webhook_inbox i
            where i.state = 'received' and coalesce(i.next_attempt_at, i.received_at) <= now()
            order by i.received_at, i.id limit p_max for update skip locked) x
        order by coalesce(x.call_id::text, x.order_key), x.received_at, x.id
    loop
        begin
            select * into u from patchbay.use_webhook(w);
        exception when others then
            if left(sqlstate, 2) in ('08', '25', '40', '53', '55', '57', '58', 'XX') then
                raise;
            end if;
            select null::uuid as call, 'again' as verdict, left(sqlerrm, 500) as reason into u;
        end;
        webhook := w.id;
        sender := w.source;
        why := u.reason;
        became := case when u.verdict = 'again' and w.attempts + 1 >= 10 then 'parked'
                       when u.verdict = 'again' then 'received' else u.verdict end;
        update patchbay.webhook_inbox i set
            attempts = i.attempts + 1, call_id = coalesce(u.call, i.call_id), state = became, error = u.reason,
            projected_at = case when became = 'projected' then now() end,
            next_attempt_at = case when became = 'received'
                                   then now() + least(power(2, i.attempts), 300) * interval '1 second' end
        where i.id = w.id;
        return next;
    end loop;
end
$fn$;

-- Puts back at most p_max webhooks that are not waiting already, the oldest first, and tells webhook.received of each
-- again. Exactly one of: p_id; p_source with p_since; p_parked. p_run: what was put back since then is left alone, so
-- that one run can ask until it gets 0.
create or replace function patchbay.replay_webhooks(p_id uuid, p_source text, p_since timestamptz, p_until timestamptz,
                                                    p_parked boolean, p_run timestamptz, p_max integer) returns integer
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    w record;
    n integer := 0;
begin
    if p_id is null and p_since is null and not coalesce(p_parked, false) then
        raise exception 'which webhooks: one, since a time, or all that are parked' using errcode = '22023';
    end if;
    for w in
        update patchbay.webhook_inbox i set
            state = 'received', attempts = 0, error = null, next_attempt_at = null, projected_at = null,
            replayed_at = clock_timestamp()
        where i.id in (
            select x.id from patchbay.webhook_inbox x
            where (x.state <> 'received' or p_id is not null) and (p_id is null or x.id = p_id) and (p_source is null or x.source = p_source)
              and (p_since is null or x.received_at >= p_since) and (p_until is null or x.received_at < p_until)
              and (not coalesce(p_parked, false) or x.state = 'parked')
              and (x.replayed_at is null or x.replayed_at < coalesce(p_run, now()))
            order by x.received_at, x.id limit p_max for update skip locked)
        returning i.id, i.source, i.kind, i.order_key, i.call_id, i.received_at,
                  (select c.user_id from patchbay.calls c where c.id = i.call_id) as owner
    loop
        n := n + 1;
        perform patchbay.tell_event('pat.webhook.v1.received', w.source, w.id::text, w.source, jsonb_build_object(
            'source', w.source, 'webhook_id', w.id, 'kind', w.kind, 'call_id', w.call_id, 'user_id', w.owner, 'replayed', true),
            nullif(w.order_key, ''));
    end loop;
    return n;
end
$fn$;

create or replace function patchbay.on_webhook_parked() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $fn$
declare
    kind text := new.kind;
    owner uuid;
begin
    if kind = '' then -- taken in before there was this column
        begin
            kind := coalesce(convert_from(new.body, 'UTF8')::jsonb ->> 'event', '');
        exception when others then
            kind := ''; -- not even JSON, which may be why it is parked
        end;
    end if;
    select user_id into owner from patchbay.calls where id = new.call_id;
    perform patchbay.tell_event('pat.webhook.v1.parked', new.source, new.id::text, coalesce(owner::text, new.source),
        jsonb_build_object('source', new.source, 'webhook_id', new.id, 'kind', kind, 'call_id', new.call_id,
                           'user_id', owner, 'attempts', new.attempts,
                           'error', coalesce(new.error, 'about no call of ours')));
    return null;
end
$fn$;

do $rights$
declare
    f text;
begin
    foreach f in array array['tell_event(text, text, text, text, jsonb, text)', 'put_elevenlabs(text, jsonb)', 'put_supabase(jsonb)',
                             'use_webhook(patchbay.webhook_inbox)', 'use_webhooks(integer)',
                             'replay_webhooks(uuid, text, timestamptz, timestamptz, boolean, timestamptz, integer)',
                             'on_webhook_parked()'] loop
        execute format('revoke all on function patchbay.%s from public', f);
    end loop;
    foreach f in array array['tell_event(text, text, text, text, jsonb, text)', 'put_elevenlabs(text, jsonb)', 'put_supabase(jsonb)',
                             'use_webhook(patchbay.webhook_inbox)', 'use_webhooks(integer)',
                             'replay_webhooks(uuid, text, timestamptz, timestamptz, boolean, timestamptz, integer)'] loop
        execute format('grant execute on function patchbay.%s to service_role, patchbay_service', f);
    end loop;
end
$rights$;
