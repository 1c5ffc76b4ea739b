#!/bin/bash
# subscribers.sh FILE RELOAD... - puts the accounts of those who read their own events (patchbay.subscribers) into FILE,
# from where accounts.conf includes them, and has nats-server read its configuration by the command RELOAD:
#
#   deploy/nats/subscribers.sh deploy/secrets/nats_subscribers.conf docker compose kill -s HUP nats
#   PAT_DATABASE_URL=... deploy/nats/subscribers.sh /etc/nats/subscribers.conf systemctl reload nats
#
# The database is PAT_DATABASE_URL, or docker compose's without one. The server is told twice: what a new account imports
# as a service works from the second reading on (seen with nats-server 2.15.1; github.com/nats-io/nats-server/issues/8560
# is of that kind). Nobody is disconnected by it whose account stays as it is.
set -euo pipefail

file=${1:?usage: subscribers.sh FILE RELOAD...}
shift
[ $# -gt 0 ] || { echo "subscribers.sh: how is nats-server told? (usage: subscribers.sh FILE RELOAD...)" >&2; exit 2; }
query='select patchbay.nats_accounts()'
if [ -n "${PAT_DATABASE_URL:-}" ]; then
  text=$(psql -XAtq -v ON_ERROR_STOP=1 -c "$query" "$PAT_DATABASE_URL")
else
  text=$(docker compose exec -T postgres psql -XAtq -v ON_ERROR_STOP=1 -U postgres -d patchbay -c "$query")
fi
printf '%s\n' "$text" >"$file" # in place: a container has this very file mounted
"$@"
sleep 1 # two signals at once are one
"$@"
