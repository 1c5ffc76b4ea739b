"""Recordings people upload to have a voice made: format, length and sound are told from files of real encoders."""

import json
import os
import subprocess
from pathlib import Path

import av
import numpy as np
import pytest

PROGRAM = Path(os.environ.get("PAT_BUILD_DIR", "build/dev")) / "test/sample_it"


def told(path: Path) -> dict:
    return json.loads(subprocess.run([PROGRAM, path], capture_output=True, text=True, check=True, timeout=30).stdout)


def tone(seconds: float, rate: int, loudness: float = 0.3) -> np.ndarray:
    t = np.arange(int(seconds * rate)) / rate
    return (loudness * np.sin(2 * np.pi * 220 * t)).astype(np.float32)


def write(path: Path, codec: str, container: str, sound: np.ndarray, rate: int) -> Path:
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, layout="mono")
        for at in range(0, len(sound), 960):
            frame = av.AudioFrame.from_ndarray(sound[None, at:at + 960], format="flt", layout="mono")
            frame.sample_rate, frame.pts = rate, at
            resampled = av.AudioResampler(stream.codec_context.format.name, "mono", rate).resample(frame)
            for f in resampled:
                f.pts = at
                out.mux(stream.encode(f))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("name, codec, container, rate, type_", [
    ("a.wav", "pcm_s16le", "wav", 44100, "audio/wav"), ("b.wav", "pcm_f32le", "wav", 16000, "audio/wav"),
    ("c.wav", "pcm_s24le", "wav", 48000, "audio/wav"), ("d.wav", "pcm_u8", "wav", 8000, "audio/wav"),
    ("e.wav", "pcm_s32le", "wav", 44100, "audio/wav"),
    ("a.mp3", "libmp3lame", "mp3", 44100, "audio/mpeg"),
    ("b.mp3", "libmp3lame", "mp3", 16000, "audio/mpeg"), ("a.m4a", "aac", "mp4", 44100, "audio/mp4"),
    ("a.ogg", "libopus", "ogg", 48000, "audio/ogg"),
    ("a.webm", "libopus", "webm", 48000, "audio/webm")])
def test_format_and_length_are_told(tmp_path, name, codec, container, rate, type_):
    path = write(tmp_path / name, codec, container, tone(3.2, rate), rate)
    s = told(path)
    assert (s["error"], s["type"]) == (0, type_)
    assert 3100 <= s["duration_ms"] <= 3400


def test_a_recorders_webm_has_no_length_and_is_told_all_the_same(tmp_path):
    """As Chromium's MediaRecorder writes it: live, no duration, clusters of unknown size."""
    path = tmp_path / "live.webm"
    with av.open(str(path), "w", format="webm", options={"live": "1"}) as out:
        stream = out.add_stream("libopus", rate=48000, layout="mono")
        for at in range(0, 48000 * 3, 960):
            frame = av.AudioFrame.from_ndarray(tone(1, 48000)[None, :960], format="flt", layout="mono")
            frame.sample_rate, frame.pts = 48000, at
            for f in av.AudioResampler(stream.codec_context.format.name, "mono", 48000).resample(frame):
                f.pts = at
                out.mux(stream.encode(f))
        out.mux(stream.encode(None))
    s = told(path)
    assert (s["error"], s["type"]) == (0, "audio/webm") and 2800 <= s["duration_ms"] <= 3100


def test_silence_and_noise_at_the_limit_are_noticed(tmp_path):
    rate = 24000
    half = np.concatenate([tone(2, rate), np.zeros(2 * rate, np.float32)])
    for codec in ("pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le"):
        assert 48 <= told(write(tmp_path / f"{codec}.wav", codec, "wav", half, rate))["speech"] <= 52, codec
    assert told(write(tmp_path / "none.wav", "pcm_s16le", "wav", np.zeros(rate, np.float32), rate))["speech"] == 0
    assert told(write(tmp_path / "quiet.wav", "pcm_s16le", "wav", tone(1, rate, 0.003), rate))["speech"] == 0
    square = np.sign(tone(1, rate)).astype(np.float32)
    assert told(write(tmp_path / "loud.wav", "pcm_s16le", "wav", square, rate))["clipped"] > 90


@pytest.mark.parametrize("data", [b"", b"RIFF", b"RIFF\0\0\0\0WAVEfmt ", b"\xff\xfb\x90\x00" + b"\0" * 400, b"not a sound at all, is it",
                                  b"\0\0\0\x18ftypM4A \0\0\0\0" + b"\0" * 40, b"%PDF-1.7 and so on and on", b"OggS" + b"\0" * 30])
def test_what_is_no_recording_is_refused(tmp_path, data):
    (tmp_path / "x").write_bytes(data)
    assert told(tmp_path / "x")["error"] != 0
