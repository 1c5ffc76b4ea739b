#!/bin/bash
# base-image.sh OUT.tar - a root file system like debian:bookworm-slim, made from this machine's own apt sources,
# for a machine that reaches Debian's archive but no image registry.
set -euo pipefail
out=$1
sources=/etc/apt/sources.list.d/debian.sources
[ -e "$sources" ] || sources=/etc/apt/sources.list

# As the official slim image: no manuals and no translations, only the copyright files.
slim=(
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright'
  --dpkgopt='path-exclude=/usr/share/info/*' --dpkgopt='path-exclude=/usr/share/locale/*'
  --dpkgopt='path-exclude=/usr/share/man/*'
)
# Nothing of the host stays inside but where it gets its packages.
clean=(
  --customize-hook='rm -f "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/* "$1"/etc/resolv.conf "$1"/etc/hostname'
  --customize-hook="cp $sources \"\$1$sources\""
  --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin "$1"/var/cache/apt/archives/*.deb'
)
exec mmdebstrap --quiet --mode=root --variant=minbase --format=tar \
  --aptopt='Acquire::Check-Date "false"' --aptopt='Acquire::Check-Valid-Until "false"' \
  "${slim[@]}" "${clean[@]}" bookworm "$out" "$sources"
