"""libcommon's bus, db and journal against real servers: their C tests, with servers that come, go and freeze."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness.control import Control  # noqa: E402
from harness.nats import Nats  # noqa: E402

BUILD = Path(os.environ.get("PAT_BUILD_DIR", Path(__file__).resolve().parents[2] / "build/dev"))


def run(program: str, pattern: str, servers: dict, timeout_s: float, **env: str) -> None:
    """The tests whose names match the pattern; their output is shown when one fails."""
    with Control(servers) as control:
        done = subprocess.run([BUILD / "test" / program, pattern], env=os.environ | control.env | env, timeout=timeout_s,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    print(done.stdout)
    assert done.returncode == 0, f"{program} {pattern} ended with {done.returncode}"
    assert "[       OK ]" in done.stdout, f"no test of {program} matches {pattern}"


@pytest.fixture
def nats(tmp_path):
    with Nats(tmp_path / "nats") as server:
        yield server


@pytest.mark.parametrize("pattern", ["test_bus*", "test_request*", "test_rpc*", "test_js*", "test_consumer*", "test_kv*",
                                     "test_restart*", "test_absent*", "test_frozen*"])
def test_bus(nats, pattern):
    run("bus_it", pattern, {"nats": nats}, 110, PAT_TEST_NATS_URL=nats.url)
