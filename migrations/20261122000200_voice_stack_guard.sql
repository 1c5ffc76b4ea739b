-- The guard: only admins decide which stack serves a user, and which vendor objects are his.
--
-- Row level security lets every user write every column of his own agent_configs row, and Supabase grants
-- table-wide, so the refusal has to be a trigger. It runs with the rights of whoever writes (security invoker) and
-- lets pass: the table's owner, service_role, patchbay_service, and signed-in admins. For everybody else a changed
-- value of a guarded column is refused with SQLSTATE 42501; an unchanged one passes, so that pages which write back
-- a whole row keep working. What may be assumed about sessions is in migrations/README.md.

update public.agent_configs set active_voice_stack = 'retell' where active_voice_stack is null;
alter table public.agent_configs alter column active_voice_stack set default 'retell';
alter table public.agent_configs alter column active_voice_stack set not null;

-- True when the request's token is an admin's. Claims are a session setting that anybody with plain SQL can write:
-- they count only where the session's login may become service_role anyway (PostgREST's authenticator).
create or replace function patchbay.is_admin() returns boolean
    language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $fn$
declare
    claims jsonb;
    role_column_admin boolean := false;
begin
    if not pg_has_role(session_user, 'service_role', 'MEMBER') then
        return false;
    end if;
    claims := nullif(current_setting('request.jwt.claims', true), '')::jsonb;
    if claims is null or claims ->> 'role' is distinct from 'authenticated' then
        return false;
    end if;
    if jsonb_typeof(claims -> 'app_metadata') = 'object' and claims -> 'app_metadata' ->> 'role' = 'admin' then
        return true;
    end if;
    if exists (select from patchbay.admins a where a.user_id::text = claims ->> 'sub') then
        return true;
    end if;
    -- users.role counts only where our trigger keeps users from writing it themselves.
    if exists (select from pg_trigger where tgrelid = to_regclass('public.users')
               and tgname = 'zz_patchbay_guard_role' and tgenabled in ('O', 'A')) then
        select to_jsonb(u) ->> 'role' in ('admin', 'god') into role_column_admin
        from public.users u where u.id::text = claims ->> 'sub';
    end if;
    return coalesce(role_column_admin, false);
end
$fn$;

-- Takes the writer's role as an argument because in a security definer function current_user is the definer.
create or replace function patchbay.may_set_stack(writer name, tbl oid) returns boolean
    language sql stable security invoker set search_path = pg_catalog, pg_temp as $fn$
    select pg_has_role(writer, c.relowner, 'USAGE')
        or pg_has_role(writer, 'service_role', 'USAGE')
        or pg_has_role(writer, 'patchbay_service', 'USAGE')
        or (writer = 'authenticated' and patchbay.is_admin())
    from pg_class c where c.oid = tbl
$fn$;

create or replace function patchbay.guard_voice_stack() returns trigger
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    guarded constant text[] := array['active_voice_stack', 'stack_config', 'livekit_room_id', 'retell_agent_id',
                                     'retell_llm_id'];
    -- What an agent nobody has provisioned looks like.
    blank jsonb := '{"stack_config": {}}';
    before jsonb;
    after jsonb;
    known jsonb;
    col text;
begin
    if tg_op = 'TRUNCATE' then
        if patchbay.may_set_stack(current_user, tg_relid) then
            return null;
        end if;
        raise exception 'agent_configs may be truncated by an admin only' using errcode = '42501';
    end if;

    if tg_op <> 'UPDATE' then
        -- Everybody starts on the stack that is the column's default, whatever the operator made it.
        blank := blank || jsonb_build_object('active_voice_stack', (
            select substring(pg_get_expr(d.adbin, d.adrelid) from '^''([^'']*)''')
            from pg_attribute a join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
            where a.attrelid = tg_relid and a.attname = 'active_voice_stack'));
    end if;
    before := case tg_op when 'INSERT' then blank else to_jsonb(old) end;
    after := case tg_op when 'DELETE' then blank else to_jsonb(new) end;

    foreach col in array guarded loop
        continue when coalesce(before -> col, 'null') = coalesce(after -> col, 'null')
            or (col = 'stack_config' and coalesce(nullif(before -> col, 'null'), '{}')
                                       = coalesce(nullif(after -> col, 'null'), '{}'));
        if patchbay.may_set_stack(current_user, tg_relid) then
            exit;
        end if;
        -- An upsert passes here as an insert first. Where it is bound to meet the row it repeats, it changes
        -- nothing, and what its update does is checked as an update.
        if tg_op = 'INSERT' then
            if known is null then
                known := patchbay.upsert_target(tg_relid, after);
            end if;
            continue when known -> col = coalesce(after -> col, 'null');
        end if;
        raise exception 'agent_configs.% may be % by an admin only', col,
            case tg_op when 'DELETE' then 'discarded' when 'INSERT' then 'set' else 'changed' end
            using errcode = '42501', column = col, table = 'agent_configs', schema = 'public',
                  hint = 'Stack and vendor ids are set by the stack switch.';
    end loop;
    return case tg_op when 'DELETE' then old else new end;
end
$fn$;

-- The writer's own row that an insert of this row must collide with, or '{}'. By id always; by user_id only while
-- that is unique (later versions of the product allow several agents per user). The lock keeps the row until the end
-- of the transaction, so the collision is certain.
create or replace function patchbay.upsert_target(tbl oid, proposed jsonb) returns jsonb
    language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    row jsonb;
begin
    select to_jsonb(a) into row from public.agent_configs a
    where a.id = (proposed ->> 'id')::uuid for key share;
    if row is null and exists (
        select from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
        where i.indrelid = tbl and i.indisunique and i.indisvalid and i.indimmediate and i.indnkeyatts = 1
          and i.indpred is null and a.attname = 'user_id') then
        select to_jsonb(a) into row from public.agent_configs a
        where a.user_id = (proposed ->> 'user_id')::uuid for key share;
    end if;
    return coalesce(row, '{}');
end
$fn$;

-- They tell a caller about nobody but himself, and every writer of the table needs them.
grant execute on function patchbay.is_admin(), patchbay.may_set_stack(name, oid), patchbay.upsert_target(oid, jsonb)
    to public;

-- "zz": triggers fire in the order of their names, and the last word on the row must be ours.
drop trigger if exists zz_patchbay_guard on public.agent_configs;
create trigger zz_patchbay_guard before insert or update or delete on public.agent_configs
    for each row execute function patchbay.guard_voice_stack();
drop trigger if exists zz_patchbay_guard_truncate on public.agent_configs;
create trigger zz_patchbay_guard_truncate before truncate on public.agent_configs
    for each statement execute function patchbay.guard_voice_stack();

-- users.role: later versions of the product have it, and let every user write his own row.
create or replace function patchbay.guard_user_role() returns trigger
    language plpgsql security invoker set search_path = pg_catalog, pg_temp as $fn$
declare
    before text := case when tg_op = 'UPDATE' then to_jsonb(old) ->> 'role' end;
    after text := to_jsonb(new) ->> 'role';
begin
    if after is not distinct from before or (tg_op = 'INSERT' and after is not distinct from 'user')
       or patchbay.may_set_stack(current_user, tg_relid) then
        return new;
    end if;
    raise exception 'users.role may be changed by an admin only'
        using errcode = '42501', column = 'role', table = 'users', schema = 'public';
end
$fn$;

do $attach$
begin
    if exists (select from pg_attribute where attrelid = 'public.users'::regclass and attname = 'role'
               and not attisdropped) then
        drop trigger if exists zz_patchbay_guard_role on public.users;
        create trigger zz_patchbay_guard_role before insert or update on public.users
            for each row execute function patchbay.guard_user_role();
    end if;
end
$attach$;
