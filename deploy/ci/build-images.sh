#!/bin/bash
# build-images.sh - every image that docker-compose.yml names, built here: ours from the Dockerfile, the upstream ones
# as stand-ins (deploy/standins), all on a base made from Debian's archive. Runs under `with-docker.sh build`.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/env
. scripts/env
export DOCKER_BUILDKIT=1
# Debian's client has BuildKit in it; another `docker` first on PATH may want a plugin.
docker=/usr/bin/docker

build() {
  local begun=$SECONDS

  $docker build -q --network host "$@" >/dev/null
  echo "image ${*: -2:1}: $((SECONDS - begun)) s"
}

if ! $docker image inspect debian:bookworm-slim >/dev/null 2>&1; then
  deploy/ci/base-image.sh "$DOCKER_WORK/base.tar"
  $docker import --change 'CMD ["bash"]' "$DOCKER_WORK/base.tar" debian:bookworm-slim >/dev/null
  rm -f "$DOCKER_WORK/base.tar"
fi

context=$DOCKER_WORK/standins
rm -rf "$context"
cp -r deploy/standins "$context"
cp -L "$PAT_CACHE/bin/nats-server" "$PAT_CACHE/bin/livekit-server" "$context/"
build --target postgres -t postgres:15-bookworm "$context"
build --target nats -t nats:2-alpine "$context"
build --target livekit -t livekit/livekit-server:v1.13.5 "$context"

id=$(git describe --always --dirty --abbrev=12 2>/dev/null || echo unknown)
build --build-arg "PAT_BUILD_ID=$id" --target runtime -t patchbay:dev .
build --build-arg "PAT_BUILD_ID=$id" --target demo -t patchbay-demo:dev .

# What earlier builds left.
$docker image prune -f >/dev/null
$docker builder prune -f --keep-storage 4GB >/dev/null
