"""What a livekit-agent does not carry about: libraries that only its libraries' libraries would need."""

import os
import subprocess
from pathlib import Path

import pytest
from harness.stack import ROOT

BUILD = Path(os.environ.get("PAT_BUILD_DIR", ROOT / "build/asan"))


@pytest.fixture(scope="module")
def loaded() -> str:
    return subprocess.run(["ldd", BUILD / "bin/patchbay-livekit-agent"], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("name", ["libnss3", "libsoup", "libsqlite3", "libxml2", "libicuuc", "libsrtp2", "libwebrtc"])
def test_agent__is_not_made_larger_by(loaded, name):
    assert name not in loaded


def test_agent__has_a_small_library_in_place_of_upnp(loaded):
    assert next(line for line in loaded.splitlines() if "libgupnp-igd" in line).split()[2].endswith("/lib/patchbay/libgupnp-igd-1.0.so.4")
