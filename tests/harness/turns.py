"""Logs of turns (PAT_EVENT_LOG_DIR), run again: the machine must decide as it did in the call."""

import subprocess
from pathlib import Path


def replay(build_dir: Path, folder: Path) -> int:
    """How many logs were run again; an AssertionError says where one was decided otherwise."""
    # One that was killed before its first line was written has an empty one.
    logs = sorted(log for log in Path(folder).glob("*.jsonl") if log.stat().st_size)
    if logs:
        done = subprocess.run([Path(build_dir) / "bin/patchbay-livekit-agent", "--replay", *logs],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
    return len(logs)
