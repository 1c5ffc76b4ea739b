#!/bin/bash
# secrets.sh - the secrets of docker-compose.yml, one file each in deploy/secrets: makes those that are missing, keeps
# the others. Random where only our own containers must agree; a placeholder where a vendor gives the value (the
# demo's doubles take it as it is): put yours into the file before you start for real.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p -m 700 secrets
cd secrets

random() { od -An -tx1 -N24 /dev/urandom | tr -d ' \n'; }

# keep NAME VALUE: readable by the containers' users; the folder keeps others on the machine out.
keep() {
  [ -s "$1" ] || printf '%s' "$2" >"$1"
  chmod 444 "$1"
}

for name in nats_password postgres_password db_owner_password db_daemon_password livekit_api_secret call_secret inside_token supabase_jwt_secret; do
  keep "$name" "$(random)"
done
for vendor in signalwire_signing_key retell_api_key deepgram_api_key openai_api_key elevenlabs_api_key; do
  keep "$vendor" "placeholder-$vendor"
done
keep db_owner_url "postgres://patchbay_owner:$(cat db_owner_password)@postgres:5432/patchbay"
keep db_daemon_url "postgres://patchbay_daemon:$(cat db_daemon_password)@postgres:5432/patchbay"
keep nats_auth.conf "NATS_PASSWORD: \"$(cat nats_password)\""
[ -e nats_subscribers.conf ] || touch nats_subscribers.conf # deploy/nats/subscribers.sh fills it
keep livekit_keys.yaml "patchbay: $(cat livekit_api_secret)"
chmod 600 livekit_keys.yaml # livekit-server refuses a key file that others may read
