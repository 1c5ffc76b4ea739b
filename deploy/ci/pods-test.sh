#!/bin/bash
# pods-test.sh - runs each pod of the Helm chart in our image, without a cluster and without servers (tests/harness/pods.py).
# Under `with-docker.sh run`, on images that were built before.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/env
. scripts/env
PYTHONPATH=tests timeout 300 "$PAT_VENV/bin/python" -m harness.pods
