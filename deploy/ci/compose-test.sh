#!/bin/bash
# compose-test.sh - brings docker-compose.yml up with its demo profile, waits until everything is healthy, lets the
# carrier's double call both users, and takes it down. Passes when Rita's call was dialled to Retell and Leo's was
# answered by the agent in LiveKit's room, with their events and rows (tests/harness/compose.py). Runs under
# `with-docker.sh run`, on images that were built before.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/env
. scripts/env

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

trap down EXIT
down
deploy/secrets.sh
timeout 240 docker-compose --progress quiet --env-file deploy/demo.env --profile demo up -d --no-build --pull never \
  --wait --wait-timeout 180 || fail "the stack did not come up healthy"
compose ps -a --format '{{.Service}}: {{.Status}}'

status=$(curl -s -m 5 -o /dev/null -w '%{http_code}' -d CallSid=x "http://127.0.0.1:${PAT_PORT_ROUTER:-18080}/v1/signalwire/voice")
[ "$status" = 403 ] || [ "$status" = 401 ] || fail "an unsigned request of the carrier got $status"

# Both calls, with what was heard, the events and the rows, as scripts/demo --once judges them.
PYTHONPATH=tests timeout 120 "$PAT_VENV/bin/python" -m harness.compose || fail "a call was not served"

for service in router retell-provider livekit-agent stack-switcher webhook-relay; do
  bad=$(compose logs --no-log-prefix "$service" | grep -cE '"level":"error"|AddressSanitizer' || true)
  [ "$bad" = 0 ] || fail "$service logged $bad errors"
done
