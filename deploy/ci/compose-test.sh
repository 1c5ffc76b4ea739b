#!/bin/bash
# compose-test.sh - brings docker-compose.yml up with its demo profile, waits until everything is healthy, lets the
# carrier's double call Rita, and takes it down. Passes when her call was answered, dialled to Retell, ended, and
# stands in the database with Retell's own report. Runs under `with-docker.sh run`, on images that were built before.
set -euo pipefail
cd "$(dirname "$0")/../.."

compose() {
  docker-compose --progress quiet --env-file deploy/demo.env --profile demo "$@"
}

fail() {
  echo "compose-test: $1" >&2
  compose ps -a --format '{{.Service}}: {{.Status}}' >&2
  compose logs --tail 40 >&2
  exit 1
}

down() {
  compose down -v --timeout 10 >/dev/null 2>&1 || true
}

carrier=http://127.0.0.1:${PAT_PORT_CARRIER:-19001}

sql() {
  compose exec -T postgres psql -U postgres -d patchbay -Atc "$1"
}

# until_true SECONDS WHAT COMMAND...
until_true() {
  local deadline=$((SECONDS + $1)) what=$2

  shift 2
  until "$@"; do
    [ $SECONDS -lt $deadline ] || fail "waited in vain until $what"
    sleep 0.5
  done
}

ended() {
  curl -fsS -m 5 "$carrier/calls/$sid" >"$story" && grep -q '"state": *"ended"' "$story"
}

stored() {
  [ "$(sql "select count(*) from patchbay.calls where carrier_call_id = '$sid' and state = 'ended'")" = 1 ]
}

reported() {
  [ "$(sql "select count(*) from public.call_records r join patchbay.calls c on c.id = r.id
            where c.carrier_call_id = '$sid' and r.transcript is not null")" = 1 ]
}

story=$(mktemp)
trap 'down; rm -f "$story"' EXIT
down
deploy/secrets.sh
timeout 240 docker-compose --progress quiet --env-file deploy/demo.env --profile demo up -d --no-build --pull never \
  --wait --wait-timeout 180 || fail "the stack did not come up healthy"
compose ps -a --format '{{.Service}}: {{.Status}}'

status=$(curl -s -m 5 -o /dev/null -w '%{http_code}' -d CallSid=x "http://127.0.0.1:${PAT_PORT_ROUTER:-18080}/v1/signalwire/voice")
[ "$status" = 403 ] || [ "$status" = 401 ] || fail "an unsigned request of the carrier got $status"

sid=$(curl -fsS -m 10 -H 'Content-Type: application/json' -d '{"from": "+15550109999", "to": "+15550100001"}' \
  "$carrier/calls" | sed -n 's/.*"sid" *: *"\([^"]*\)".*/\1/p')
[ -n "$sid" ] || fail "the carrier's double placed no call"
until_true 30 "the call has ended" ended
grep -q '"uri": *"sip:[^"]*@sip.retellai.example' "$story" || { cat "$story"; fail "Retell was not dialled"; }
until_true 30 "the call is stored as ended" stored
until_true 30 "Retell's report is in the call's record" reported
echo "compose-test: $sid to Rita was answered, dialled, stored and reported"

for service in router retell-provider livekit-agent stack-switcher webhook-relay; do
  bad=$(compose logs --no-log-prefix "$service" | grep -cE '"level":"error"|AddressSanitizer' || true)
  [ "$bad" = 0 ] || fail "$service logged $bad errors"
done
