"""The agent's clients of Deepgram, OpenAI and ElevenLabs against the doubles, which really listen and speak."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from harness import voice
from harness.process import Process

BUILD = Path(os.environ.get("PAT_BUILD_DIR", Path(__file__).resolve().parents[2] / "build/dev"))


@pytest.fixture(scope="module")
def env(tmp_path_factory):
    folder = tmp_path_factory.mktemp("speech")
    ports = folder / "ports"
    doubles = Process("doubles", [BUILD / "bin/patchbay-doubles"], folder / "log", {"PAT_PORT_FILE": str(ports)})
    doubles.start().wait_until(ports.exists, 10)
    sentence = folder / "sentence.raw"
    sentence.write_bytes(voice.speak("please transfer me to sales", "rms").tobytes())
    yield {f"PAT_TEST_{name.upper()}": str(port) for name, port in json.loads(ports.read_text()).items()} | {
        "PAT_TEST_SENTENCE": str(sentence)}
    doubles.stop()
    assert doubles.child.returncode == 0, doubles.tail()


@pytest.mark.parametrize("client", ["stt", "llm", "tts"])
def test_client(env, client):
    done = subprocess.run([BUILD / "test/speech_it", client], env=os.environ | env, timeout=110, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace")
    print(done.stdout)
    assert done.returncode == 0 and "[       OK ]" in done.stdout
