#!/bin/sh
# First start of the compose file's PostgreSQL: the database and the two roles that log in. patchbay_owner owns the
# database and runs the migrations (no superuser, as on Supabase); patchbay_daemon is what the daemons are.
set -eu
psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d postgres \
  -v owner_password="$(cat /run/secrets/db_owner_password)" -v daemon_password="$(cat /run/secrets/db_daemon_password)" <<'SQL'
create role patchbay_service nologin;
create role service_role nologin noinherit bypassrls;
create role patchbay_owner login createrole password :'owner_password';
create role patchbay_daemon login password :'daemon_password' in role patchbay_service;
create database patchbay owner patchbay_owner;
SQL
