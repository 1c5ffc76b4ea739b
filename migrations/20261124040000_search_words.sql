-- What somebody types into a search is looked for as it is typed: % and _ are characters of names and addresses, not wildcards.
--
-- Before, a rollout for "team_a" took "team-a" along, and one for "%" took everybody.
--
--   like_of          a pattern that finds a text wherever it is
--   rollout_cohort   as before, but for that

create or replace function patchbay.like_of(p_text text) returns text
    language sql immutable strict parallel safe set search_path = pg_catalog, pg_temp as $fn$
    select '%' || replace(replace(replace(p_text, '\', '\\'), '%', '\%'), '_', '\_') || '%'
$fn$;
revoke all on function patchbay.like_of(text) from public, anon, authenticated;
grant execute on function patchbay.like_of(text) to service_role, patchbay_service;

create or replace function patchbay.rollout_cohort(p_cohort jsonb, p_to public.voice_ai_stack)
    returns table (seq bigint, user_id uuid, agent_config_id uuid, from_stack public.voice_ai_stack)
    language sql stable set search_path = pg_catalog, pg_temp as $fn$
    with wanted as (
        select x.id as user_id, min(x.n) as n
        from (select e.id::uuid as id, e.n
              from jsonb_array_elements_text(case jsonb_typeof(p_cohort -> 'user_ids') when 'array' then p_cohort -> 'user_ids'
                                                                                     else '[]' end)
                   with ordinality e (id, n)) x
        group by x.id
    ), found as (
        select u.id as user_id, row_number() over (order by lower(u.name), u.id) as n
        from public.users u join public.agent_configs c on c.id = patchbay.config_of(u.id, null)
        cross join (select p_cohort #>> '{filter,search}' as search, patchbay.like_of(p_cohort #>> '{filter,search}') as pattern,
                           p_cohort #>> '{filter,stack}' as stack offset 0) f -- reckoned once
        where jsonb_typeof(p_cohort -> 'filter') = 'object' and c.active_voice_stack <> p_to
          and (f.stack is null or c.active_voice_stack::text = f.stack)
          and (coalesce(f.search, '') = '' or u.name ilike f.pattern or u.email ilike f.pattern or u.id::text = f.search
               or exists (select from public.service_numbers s where s.user_id = u.id and s.phone_number like f.pattern))
        order by 2 limit coalesce((p_cohort #>> '{filter,limit}')::bigint, 10001)
    ), everybody as (select * from wanted union all select * from found)
    select row_number() over (order by e.n), e.user_id, c.id, c.active_voice_stack
    from everybody e left join public.agent_configs c on c.id = patchbay.config_of(e.user_id, null)
$fn$;
