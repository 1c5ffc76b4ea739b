-- A look at a rollout costs the same however many of its users have been moved.
--
-- rollout_sync joined all who have been moved with all of its users: until somebody had made statistics of a new rollout's rows,
-- each with each, some twenty times a second. It now looks at those under way, and of those moved at whom somebody takes back.
--
--   rollout_sync, rollout_counts   as before

create index if not exists switches_back on patchbay.switches (created_at) where undo or wish is not null;

create or replace function patchbay.rollout_counts(p_id uuid) returns jsonb
    language plpgsql stable set search_path = pg_catalog, pg_temp as $fn$
begin
    return '{"total": 0, "waiting": 0, "moving": 0, "ready": 0, "moved": 0, "failed": 0, "skipped": 0, "returning": 0,
             "returned": 0, "left": 0, "kept": 0}'::jsonb
        || coalesce((select jsonb_object_agg(c.state, c.n) || jsonb_build_object('total', sum(c.n))
                     from (select u.state, count(*) as n from patchbay.rollout_users u
                           where u.rollout_id = p_id group by u.state) c), '{}');
end
$fn$;

-- What has become of the users' switches, written into their rows: how many rows have changed. Who is failed or returned by
-- somebody else's hand is told as that.
create or replace function patchbay.rollout_sync(r patchbay.rollouts) returns bigint
    language plpgsql set search_path = pg_catalog, pg_temp as $fn$
declare
    x record;
    n bigint := 0;
begin
    for x in
        select y.*
        from (
            select k.seq, k.was, k.switch_id, s.error, s.outcome,
                   case when s.id is null then case k.was when 'returning' then 'returned' else 'failed' end
                        when s.cut_at is not null and s.uncut_at is null and s.finished_at is not null
                            then case when k.was = 'returning' then 'kept' else 'moved' end
                        when s.finished_at is not null then case when k.was = 'returning' or s.cut_at is not null
                            then 'returned' else 'failed' end
                        when s.undo or s.wish is not null then case when k.was = 'returning' or s.cut_at is not null
                            then 'returning' else 'moving' end
                        when k.was = 'returning' then 'returning'
                        when 'observe' = any (s.done) then 'moved'
                        when s.hold and not s.promoted and 'verify' = any (s.done) then 'ready'
                        else 'moving' end as state
            from (select u.seq, u.state as was, u.switch_id from patchbay.rollout_users u
                  where u.rollout_id = r.id and u.state in ('moving', 'ready', 'returning')
                  union all
                  -- Who has been moved stays so until somebody takes him back. A rollout's switches are younger than it.
                  select u.seq, u.state, u.switch_id
                  from patchbay.switches b join patchbay.rollout_users u on u.switch_id = b.id
                  where (b.undo or b.wish is not null) and b.created_at >= r.created_at
                    and u.rollout_id = r.id and u.state = 'moved'
                  union all
                  select u.seq, u.state, null from patchbay.rollout_users u
                  where u.rollout_id = r.id and u.state = 'moved' and u.switch_id is null) k
            left join patchbay.switches s on s.id = k.switch_id) y
        where y.state <> y.was
    loop
        update patchbay.rollout_users u set state = x.state, changed_at = now(),
            unshared_at = case when u.shared_at is not null and x.state not in ('ready', 'moving')
                               then coalesce(u.unshared_at, now()) end,
            note = case x.state when 'failed' then coalesce(
                            (select t.error from patchbay.switch_steps t
                             where t.switch_id = x.switch_id and t.state = 'failed' order by t.seq desc limit 1),
                            x.error, x.outcome, 'the switch is gone')
                        when 'kept' then x.outcome else u.note end
        where u.rollout_id = r.id and u.seq = x.seq;
        n := n + 1;
    end loop;
    return n;
end
$fn$;
