#!/bin/bash
# with-docker.sh build|run COMMAND... - COMMAND with a Docker engine of its own behind DOCKER_HOST.
#
# build: the engine has the machine's network and makes neither bridge nor firewall rule; `docker build --network
#        host` reaches the package archive, and the machine's network stays as it was.
# run:   engine, containers, published ports and COMMAND live in a private network namespace with only loopback, so
#        that nothing outside sees them and nothing is left behind.
# Both use the same store, $DOCKER_WORK, which must be on a disk (overlay2 does not stand on tmpfs or overlay).
# The engine ends with COMMAND, however that ends.
set -euo pipefail
mode=$1
shift
work=${DOCKER_WORK:?names the folder of the engine}

case $mode in
build) network=(--bridge=none --iptables=false --ip6tables=false --ip-forward=false) ;;
run)
  if [ -z "${PAT_PRIVATE_NET:-}" ]; then
    PAT_PRIVATE_NET=1 exec unshare --net --mount --propagation private "$0" run "$@"
  fi
  ip link set lo up
  network=(--bip=10.88.7.1/24)
  ;;
*) echo "with-docker.sh: build or run, not $mode" >&2; exit 2 ;;
esac

mkdir -p "$work"
exec 8>"$work/lock"
flock -w 600 8 || { echo "with-docker.sh: another engine uses $work" >&2; exit 1; }
rm -f "$work/pid" "$work/sock"

# Without CAP_SYS_RESOURCE a container cannot raise limits: it gets those of this shell.
files=$(ulimit -Hn)
dockerd --data-root "$work/data" --exec-root "$work/exec" --pidfile "$work/pid" --host "unix://$work/sock" \
  --storage-driver overlay2 --default-ulimit "nofile=$files:$files" "${network[@]}" >"$work/dockerd.log" 2>&1 8>&- &
engine=$!
end() {
  kill "$engine" 2>/dev/null || true
  wait "$engine" 2>/dev/null || true
}
trap end EXIT
trap 'exit 130' INT TERM

export DOCKER_HOST=unix://$work/sock
for _ in $(seq 150); do
  if /usr/bin/docker info >/dev/null 2>&1; then
    "$@" 8>&-
    exit
  fi
  kill -0 "$engine" 2>/dev/null || break
  sleep 0.2
done
echo "with-docker.sh: the engine did not come up" >&2
tail -20 "$work/dockerd.log" >&2
exit 1
