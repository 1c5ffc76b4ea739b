-- 001_baseline: what a fresh install needs before 056_voice_ai_stack.
--
-- Builds the product's own tables (schema public) as they stood at its migration 055, with types, defaults,
-- checks, row level security and grants, and around them the parts of Supabase they lean on: roles, schema auth,
-- schema storage, the realtime publication. Whatever exists is left alone: on a database that already has
-- public.users this file does nothing. One deliberate difference: conversation_contexts keeps its change time in
-- last_updated, and the trigger here sets that column (the original set one the table does not have, so that every
-- update failed).

-- Roles of Supabase. Only a superuser may create one that bypasses row level security; where we are not one,
-- service_role gets explicit policies instead (end of this file).
do $roles$
declare
    name text;
begin
    foreach name in array array['anon', 'authenticated', 'service_role'] loop
        if not exists (select from pg_roles where rolname = name) then
            execute format('create role %I nologin noinherit', name);
        end if;
    end loop;
    if not (select rolbypassrls from pg_roles where rolname = 'service_role') then
        begin
            alter role service_role bypassrls;
        exception when insufficient_privilege then
            raise notice 'service_role cannot bypass row level security here: it gets policies instead';
        end;
    end if;
end
$roles$;

do $baseline$
declare
    has_vector boolean := false;
    t text;
begin
    if to_regclass('public.users') is not null then
        raise notice 'public.users exists: the baseline is already there';
        return;
    end if;

    -- Schema auth: the users and what a request's token says about its sender.
    if to_regnamespace('auth') is null then
        create schema auth;
    end if;
    if to_regclass('auth.users') is null then
        create table auth.users (
            id uuid primary key default gen_random_uuid(),
            email text,
            raw_user_meta_data jsonb not null default '{}',
            created_at timestamptz not null default now()
        );
    end if;
    if to_regprocedure('auth.jwt()') is null then
        create function auth.jwt() returns jsonb language sql stable as $fn$
            select coalesce(nullif(current_setting('request.jwt.claim', true), ''),
                            nullif(current_setting('request.jwt.claims', true), ''))::jsonb
        $fn$;
    end if;
    if to_regprocedure('auth.uid()') is null then
        create function auth.uid() returns uuid language sql stable as $fn$
            select coalesce(nullif(current_setting('request.jwt.claim.sub', true), ''),
                            nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid
        $fn$;
    end if;
    if to_regprocedure('auth.role()') is null then
        create function auth.role() returns text language sql stable as $fn$
            select coalesce(nullif(current_setting('request.jwt.claim.role', true), ''),
                            nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role')
        $fn$;
    end if;
    begin
        grant usage on schema auth to anon, authenticated, service_role;
        grant execute on function auth.uid(), auth.role(), auth.jwt() to anon, authenticated, service_role;
    exception when insufficient_privilege then
        null; -- hosted Supabase owns the schema and has granted this already
    end;

    -- Schema storage: where voice previews live.
    if to_regnamespace('storage') is null then
        create schema storage;
    end if;
    if to_regclass('storage.buckets') is null then
        create table storage.buckets (
            id text primary key,
            name text not null unique,
            public boolean not null default false,
            file_size_limit bigint,
            allowed_mime_types text[],
            created_at timestamptz not null default now()
        );
    end if;
    if to_regclass('storage.objects') is null then
        create table storage.objects (
            id uuid primary key default gen_random_uuid(),
            bucket_id text references storage.buckets (id),
            name text not null,
            owner uuid,
            metadata jsonb,
            created_at timestamptz not null default now(),
            updated_at timestamptz not null default now(),
            unique (bucket_id, name)
        );
        alter table storage.objects enable row level security;
        create policy "Public bucket is readable by all" on storage.objects
            for select using (bucket_id = 'public');
        grant usage on schema storage to anon, authenticated, service_role;
        grant select on storage.objects to anon, authenticated;
        grant all on storage.objects, storage.buckets to service_role;
    end if;
    if to_regprocedure('storage.foldername(text)') is null then
        create function storage.foldername(name text) returns text[] language sql immutable as $fn$
            select (string_to_array(name, '/'))[1 : array_length(string_to_array(name, '/'), 1) - 1]
        $fn$;
    end if;
    insert into storage.buckets (id, name, public, file_size_limit, allowed_mime_types)
    values ('public', 'public', true, 52428800, array['audio/mpeg', 'image/png', 'image/jpeg', 'image/webp'])
    on conflict (id) do nothing;

    begin
        create extension if not exists vector;
        has_vector := true;
    exception when others then
        raise notice 'extension vector is not available: embeddings are kept as real[]';
    end;

    -- ---------------------------------------------------------------- tables
    create table public.users (
        id uuid primary key references auth.users (id) on delete cascade,
        email text not null unique,
        name text not null,
        phone_verified boolean default false,
        phone_number text unique check (phone_number is null or phone_number ~ '^\+[1-9]\d{1,14}$'),
        service_number text unique check (service_number is null or service_number ~ '^\+[1-9]\d{1,14}$'),
        created_at timestamptz default now(),
        updated_at timestamptz default now()
    );
    create index idx_users_phone_number on public.users (phone_number) where phone_number is not null;
    create index idx_users_service_number on public.users (service_number) where service_number is not null;

    create table public.contacts (
        id uuid primary key default gen_random_uuid(),
        user_id uuid not null references public.users (id) on delete cascade,
        name text not null check (btrim(name) <> ''),
        phone_number text not null check (phone_number ~ '^\+[1-9]\d{1,14}$'),
        is_whitelisted boolean default true,
        notes text,
        created_at timestamptz default now(),
        updated_at timestamptz default now(),
        unique (user_id, phone_number)
    );

    create table public.agent_configs (
        id uuid primary key default gen_random_uuid(),
        user_id uuid not null references public.users (id) on delete cascade,
        voice text default 'kate',
        greeting_template text default 'Hello, you have reached the assistant of {name}. How can I help you?',
        vetting_criteria jsonb not null default
            '{"require_name": true, "require_reason": true, "allow_emergencies": true,
              "auto_transfer_keywords": [], "auto_reject_keywords": []}',
        transfer_preferences jsonb not null default
            '{"always_transfer_whitelist": true, "transfer_on_request": true, "business_hours_only": false,
              "quiet_hours": {"start": "22:00", "end": "08:00"}}',
        response_style text default 'professional'
            check (response_style in ('professional', 'casual', 'friendly')),
        avatar_url text,
        voice_id text default '11labs-Kate',
        prompt text,
        system_prompt text default 'You answer the phone for your user. Greet the caller, find out who is calling and '
            'why, be brief and friendly, and take a message when nobody is available.',
        retell_agent_id text,
        retell_llm_id text,
        agent_name text,
        language text default 'en-US',
        temperature numeric(3, 2) default 0.7 check (temperature between 0 and 1),
        max_tokens integer default 150 check (max_tokens between 50 and 500),
        vetting_strategy text default 'name-and-purpose'
            check (vetting_strategy in ('name-and-purpose', 'strict', 'lenient')),
        transfer_unknown_callers boolean default false,
        cloned_voice_id text,
        cloned_voice_name text,
        transfer_phone_number text,
        transfer_secret text,
        agent_volume numeric(3, 1) default 1.0,
        ambient_sound text,
        ambient_sound_volume numeric(3, 1) default 1.0,
        noise_suppression text default 'medium',
        created_at timestamptz default now(),
        updated_at timestamptz default now(),
        constraint agent_configs_user_id_key unique (user_id)
    );
    create index idx_agent_configs_user_id on public.agent_configs (user_id);

    create table public.call_records (
        id uuid primary key default gen_random_uuid(),
        user_id uuid not null references public.users (id) on delete cascade,
        contact_id uuid references public.contacts (id) on delete set null,
        caller_number text not null check (caller_number ~ '^\+[1-9]\d{1,14}$'),
        contact_phone text,
        service_number text,
        call_sid text,
        direction text default 'inbound' check (direction in ('inbound', 'outbound')),
        duration integer check (duration >= 0),
        duration_seconds integer check (duration_seconds >= 0),
        disposition text not null
            check (disposition in ('answered_by_pat', 'transferred_to_user', 'screened_out', 'voicemail', 'failed')),
        status text,
        recording_url text,
        recording_url_multichannel text,
        transcript text,
        screening_notes text,
        user_sentiment text,
        call_summary text,
        started_at timestamptz not null,
        ended_at timestamptz check (ended_at is null or ended_at >= started_at),
        created_at timestamptz default now(),
        metadata jsonb,
        event_type text,
        retell_call_id text,
        call_type text,
        disconnection_reason text,
        call_successful boolean,
        in_voicemail boolean,
        transcript_object jsonb,
        transcript_with_tool_calls jsonb,
        call_analysis_full jsonb,
        llm_latency_p50 numeric(10, 2),
        llm_latency_p90 numeric(10, 2),
        llm_latency_p99 numeric(10, 2),
        e2e_latency_p50 numeric(10, 2),
        e2e_latency_p90 numeric(10, 2),
        e2e_latency_p99 numeric(10, 2),
        call_cost_total numeric(10, 4),
        call_cost_llm numeric(10, 4),
        call_cost_tts numeric(10, 4),
        call_cost_stt numeric(10, 4),
        call_cost_telephony numeric(10, 4),
        agent_id text
    );
    create index idx_call_records_user_id on public.call_records (user_id);
    create index idx_call_records_user_started on public.call_records (user_id, started_at desc);
    create index idx_call_records_contact_id on public.call_records (contact_id) where contact_id is not null;
    create index idx_call_records_caller_number on public.call_records (caller_number);
    create index idx_call_records_contact_phone on public.call_records (contact_phone);
    create index idx_call_records_call_sid on public.call_records (call_sid);
    create index idx_call_records_service_number on public.call_records (service_number);
    create index idx_call_records_event_type on public.call_records (event_type);
    create unique index idx_call_records_retell_call_id on public.call_records (retell_call_id)
        where retell_call_id is not null;
    create index idx_call_records_metadata on public.call_records using gin (metadata);

    create table public.service_numbers (
        id uuid primary key default gen_random_uuid(),
        user_id uuid not null references public.users (id) on delete cascade,
        phone_number text not null unique check (phone_number ~ '^\+[1-9]\d{1,14}$'),
        phone_sid text not null unique,
        friendly_name text,
        is_active boolean default true,
        capabilities jsonb default '{"voice": true, "sms": true, "mms": true}',
        purchased_at timestamptz default now(),
        created_at timestamptz default now(),
        updated_at timestamptz default now(),
        retell_phone_id text unique,
        termination_uri text
    );
    create index idx_service_numbers_active on public.service_numbers (user_id, is_active) where is_active;

    create table public.transfer_numbers (
        id uuid primary key default gen_random_uuid(),
        user_id uuid not null references auth.users (id) on delete cascade,
        agent_id text,
        llm_id text,
        label text not null,
        phone_number text not null,
        is_default boolean default false,
        transfer_secret text,
        created_at timestamptz default now(),
        updated_at timestamptz default now()
    );
    create index idx_transfer_numbers_user_id on public.transfer_numbers (user_id);

    create table public.voices (
        id uuid primary key default gen_random_uuid(),
        user_id uuid references public.users (id) on delete cascade,
        voice_id text not null,
        voice_name text not null,
        is_cloned boolean default true,
        stability numeric(3, 2) default 0.50 check (stability between 0 and 1),
        similarity_boost numeric(3, 2) default 0.75 check (similarity_boost between 0 and 1),
        style numeric(3, 2) default 0.00 check (style between 0 and 1),
        use_speaker_boost boolean default true,
        voice_speed numeric(3, 2) default 1 check (voice_speed between 0.5 and 2),
        voice_temperature numeric(3, 2) default 1 check (voice_temperature between 0 and 2),
        interruption_sensitivity numeric(3, 2) default 1 check (interruption_sensitivity between 0 and 1),
        responsiveness numeric(3, 2) default 1 check (responsiveness between 0 and 2),
        enable_backchannel boolean default false,
        agent_volume numeric(3, 1) default 1 check (agent_volume between 0 and 2),
        ambient_sound text default 'off'
            check (ambient_sound in ('off', 'coffee-shop', 'convention-hall', 'summer-outdoor', 'mountain-outdoor',
                                     'high-school-hallway')),
        ambient_sound_volume numeric(3, 1) default 1 check (ambient_sound_volume between 0 and 2),
        noise_suppression text default 'medium' check (noise_suppression in ('off', 'low', 'medium', 'high')),
        boosted_keywords text[],
        created_at timestamptz default now(),
        updated_at timestamptz default now()
    );
    create index idx_voices_user_id on public.voices (user_id);
    create index idx_voices_voice_id on public.voices (voice_id);

    create table public.sms_messages (
        id uuid primary key default gen_random_uuid(),
        user_id uuid not null references public.users (id) on delete cascade,
        contact_id uuid references public.contacts (id) on delete set null,
        sender_number text not null check (sender_number ~ '^\+[1-9]\d{1,14}$'),
        recipient_number text not null check (recipient_number ~ '^\+[1-9]\d{1,14}$'),
        direction text not null check (direction in ('inbound', 'outbound')),
        content text not null check (length(content) between 1 and 1600),
        status text default 'sent' check (status in ('sent', 'delivered', 'failed', 'pending')),
        sent_at timestamptz not null default now(),
        is_ai_generated boolean default false,
        created_at timestamptz default now()
    );
    create index idx_sms_messages_user_sent on public.sms_messages (user_id, sent_at desc);

    create table public.conversation_contexts (
        id uuid primary key default gen_random_uuid(),
        contact_id uuid not null unique references public.contacts (id) on delete cascade,
        summary text not null check (btrim(summary) <> ''),
        key_topics text[],
        preferences jsonb,
        relationship_notes text,
        interaction_count integer default 0 check (interaction_count >= 0),
        last_updated timestamptz default now(),
        created_at timestamptz default now(),
        ai_paused_until timestamptz
    );
    if has_vector then
        execute 'alter table public.conversation_contexts add column embedding vector(1536)';
        execute 'create index idx_conversation_contexts_embedding on public.conversation_contexts
                 using hnsw (embedding vector_cosine_ops)';
    else
        alter table public.conversation_contexts add column embedding real[];
    end if;

    create table public.phone_verifications (
        id uuid primary key default gen_random_uuid(),
        user_id uuid not null references public.users (id) on delete cascade,
        phone_number text not null,
        code text not null check (code ~ '^\d{6}$'),
        verified boolean default false,
        expires_at timestamptz not null default now() + interval '10 minutes',
        created_at timestamptz default now(),
        updated_at timestamptz default now()
    );

    create table public.notification_preferences (
        id uuid primary key default gen_random_uuid(),
        user_id uuid not null unique references public.users (id) on delete cascade,
        email_enabled boolean default false,
        email_address text,
        email_missed_calls boolean default true,
        email_new_messages boolean default true,
        email_inbound_calls boolean default false,
        email_inbound_messages boolean default false,
        email_all_calls boolean default false,
        email_all_messages boolean default false,
        sms_enabled boolean default false,
        sms_phone_number text,
        sms_missed_calls boolean default true,
        sms_new_messages boolean default true,
        sms_inbound_calls boolean default false,
        sms_inbound_messages boolean default false,
        sms_all_calls boolean default false,
        sms_all_messages boolean default false,
        created_at timestamptz default now(),
        updated_at timestamptz default now()
    );

    create table public.sms_opt_outs (
        id uuid primary key default gen_random_uuid(),
        phone_number text not null unique,
        status text not null default 'opted_out' check (status in ('opted_out', 'opted_in')),
        created_at timestamptz default now(),
        updated_at timestamptz default now()
    );

    create table public.area_codes (
        area_code text primary key,
        country text not null default 'US',
        region text,
        city text,
        created_at timestamptz default now()
    );

    create table public.phone_number_pool (
        id uuid primary key default gen_random_uuid(),
        phone_number text not null unique,
        phone_sid text unique,
        area_code text,
        status text not null default 'provisioning'
            check (status in ('provisioning', 'ready', 'assigned', 'failed')),
        assigned_to uuid references public.users (id) on delete set null,
        created_at timestamptz default now(),
        updated_at timestamptz default now()
    );

    -- ------------------------------------------------------------- functions
    create function public.handle_new_user() returns trigger
        language plpgsql security definer set search_path = public, pg_temp as $fn$
    begin
        insert into public.users (id, email, name)
        values (new.id, new.email,
                coalesce(nullif(new.raw_user_meta_data ->> 'name', ''), split_part(new.email, '@', 1)))
        on conflict (id) do nothing;
        return new;
    end
    $fn$;
    create trigger on_auth_user_created after insert on auth.users
        for each row execute function public.handle_new_user();

    create function public.handle_updated_at() returns trigger language plpgsql as $fn$
    begin
        new.updated_at := now();
        return new;
    end
    $fn$;
    create function public.update_updated_at_column() returns trigger language plpgsql as $fn$
    begin
        new.updated_at := now();
        return new;
    end
    $fn$;
    create function public.touch_conversation_context() returns trigger language plpgsql as $fn$
    begin
        new.last_updated := now();
        return new;
    end
    $fn$;
    foreach t in array array['users', 'contacts', 'agent_configs', 'service_numbers', 'phone_verifications'] loop
        execute format('create trigger handle_%s_updated_at before update on public.%I
                        for each row execute function public.handle_updated_at()', t, t);
    end loop;
    foreach t in array array['transfer_numbers', 'voices'] loop
        execute format('create trigger update_%s_updated_at before update on public.%I
                        for each row execute function public.update_updated_at_column()', t, t);
    end loop;
    create trigger touch_conversation_context before update on public.conversation_contexts
        for each row execute function public.touch_conversation_context();

    create function public.get_available_pool_number(wanted_area_code text default null)
        returns setof public.phone_number_pool language sql as $fn$
        select * from public.phone_number_pool
        where status = 'ready' and (wanted_area_code is null or area_code = wanted_area_code)
        order by created_at limit 1 for update skip locked
    $fn$;

    -- -------------------------------------------------- row level security
    grant usage on schema public to anon, authenticated, service_role;
    foreach t in array array['users', 'contacts', 'agent_configs', 'call_records', 'service_numbers',
                             'transfer_numbers', 'voices', 'sms_messages', 'conversation_contexts',
                             'phone_verifications', 'notification_preferences', 'sms_opt_outs', 'area_codes',
                             'phone_number_pool'] loop
        execute format('grant all on public.%I to anon, authenticated, service_role', t);
        if t <> 'phone_number_pool' then
            execute format('alter table public.%I enable row level security', t);
        end if;
    end loop;

    foreach t in array array['contacts', 'agent_configs', 'call_records', 'sms_messages', 'transfer_numbers',
                             'voices'] loop
        execute format('create policy "Users can view own %s" on public.%I
                        for select using (auth.uid() = user_id)', t, t);
        execute format('create policy "Users can insert own %s" on public.%I
                        for insert with check (auth.uid() = user_id)', t, t);
        execute format('create policy "Users can update own %s" on public.%I
                        for update using (auth.uid() = user_id)', t, t);
        execute format('create policy "Users can delete own %s" on public.%I
                        for delete using (auth.uid() = user_id)', t, t);
    end loop;

    create policy "Users can view own service_numbers" on public.service_numbers
        for select to authenticated using (auth.uid() = user_id);
    create policy "Users can insert own service_numbers" on public.service_numbers
        for insert to authenticated with check (auth.uid() = user_id);
    create policy "Users can update own service_numbers" on public.service_numbers
        for update to authenticated using (auth.uid() = user_id);
    create policy "Users can delete own service_numbers" on public.service_numbers
        for delete to authenticated using (auth.uid() = user_id);

    create policy "Users can view own profile" on public.users for select using (auth.uid() = id);
    create policy "Users can insert own profile" on public.users for insert with check (auth.uid() = id);
    create policy "Users can update own profile" on public.users for update using (auth.uid() = id);

    create policy "Users can view own notification_preferences" on public.notification_preferences
        for select using (auth.uid() = user_id);
    create policy "Users can insert own notification_preferences" on public.notification_preferences
        for insert with check (auth.uid() = user_id);
    create policy "Users can update own notification_preferences" on public.notification_preferences
        for update using (auth.uid() = user_id);

    create policy "Users can view own phone_verifications" on public.phone_verifications
        for select using (auth.uid() = user_id);

    create policy "Users can use contexts of own contacts" on public.conversation_contexts
        for all using (exists (select from public.contacts c
                               where c.id = conversation_contexts.contact_id and c.user_id = auth.uid()));

    -- These two are as wide as the original's: they are named after the service role, yet bind nobody.
    create policy "Service role manages sms_opt_outs" on public.sms_opt_outs for all using (true);
    create policy "Area codes are readable by all" on public.area_codes for select using (true);
    create policy "Service role manages area_codes" on public.area_codes for all using (true);

    if not (select rolbypassrls from pg_roles where rolname = 'service_role') then
        foreach t in array array['users', 'contacts', 'agent_configs', 'call_records', 'service_numbers',
                                 'transfer_numbers', 'voices', 'sms_messages', 'conversation_contexts',
                                 'phone_verifications', 'notification_preferences'] loop
            execute format('create policy "service_role bypass" on public.%I for all to service_role
                            using (true) with check (true)', t);
        end loop;
    end if;

    -- ------------------------------------------------------------- realtime
    if not exists (select from pg_publication where pubname = 'supabase_realtime') then
        create publication supabase_realtime;
    end if;
    begin
        alter publication supabase_realtime add table public.sms_messages, public.call_records;
    exception when insufficient_privilege then
        raise notice 'add public.sms_messages and public.call_records to publication supabase_realtime yourself';
    end;
end
$baseline$;
