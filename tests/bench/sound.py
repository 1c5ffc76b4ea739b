"""Is what is heard what was synthesised? Two recordings compared: no reference ear, but the same ear for everybody.

distance_db  log-spectral distance: the mean over frames of the root of the mean squared difference of their levels in 24
             bands up to 7 kHz, where the synthesised frame is loud; 0 is the same sound, an Opus of 32 kbit/s is about 3
gaps_ms      of frames loud in what was synthesised and silent in what was heard: underruns, losses, cut edges
pesq         ITU-T P.862.2 (wide band, at most 4.64), where the package "pesq" could be built

Clocks differ, and a receiver stretches speech to fill its buffer: each 0.4 s is aligned anew, by at most 60 ms.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from harness import voice

RATE, FRAME, HOP = 16000, 512, 320
PIECE, SHIFT = 6400, 960


def _lag(said: np.ndarray, heard: np.ndarray, most: int | None = None) -> int:
    """How far into heard said is found."""
    size = 1 << (len(said) + len(heard)).bit_length()
    found = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(said, size)), size)
    return int(np.argmax(found[:most or max(1, len(heard) - len(said) // 2)]))


def _aligned(said: np.ndarray, heard: np.ndarray) -> np.ndarray:
    """heard, piece by piece where said has it."""
    heard = np.pad(heard, (SHIFT, len(said) + SHIFT))
    start, out = _lag(said, heard), []
    for at in range(0, len(said), PIECE):
        piece = said[at:at + PIECE]
        low = max(0, start + at - SHIFT)
        around = heard[low:low + len(piece) + 2 * SHIFT]
        shift = _lag(piece, around, 2 * SHIFT) if np.abs(piece).max() > 0.01 else start + at - low
        out.append(heard[low + shift:low + shift + len(piece)])
    return np.concatenate(out)[:len(said)]


def _bands(samples: np.ndarray) -> np.ndarray:
    """Level in dB per frame and band."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::HOP] * np.hanning(FRAME)
    power = np.abs(np.fft.rfft(frames)) ** 2
    edges = np.unique(np.round(np.geomspace(4, 224, 25)).astype(int))
    return 10 * np.log10(np.add.reduceat(power[:, :edges[-1]], edges[:-1], axis=1) + 1e-6)


def _pesq(said: np.ndarray, heard: np.ndarray) -> float | None:
    cache = Path(os.environ.get("PAT_CACHE", Path.home() / ".cache/patchbay")) / "pesq"
    if not (cache / "tried").exists():
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", cache, "pesq==0.0.4"],
                       capture_output=True)
        cache.mkdir(parents=True, exist_ok=True)
        (cache / "tried").touch()
    sys.path.append(str(cache))
    try:
        from pesq import pesq
        return round(float(pesq(RATE, said, heard, "wb")), 2)
    except Exception:  # not built, or no utterance found in the sound
        return None
    finally:
        sys.path.remove(str(cache))


def compare(said: np.ndarray, said_rate: int, heard: np.ndarray, heard_rate: int) -> dict:
    """Both int16 mono; said without silence at its ends."""
    a, b = (voice.resample(s, r, RATE).astype(np.float64) / 32768 for s, r in ((said, said_rate), (heard, heard_rate)))
    b = _aligned(a, b)
    b *= np.sqrt((a ** 2).mean() / max((b ** 2).mean(), 1e-12))
    x, y = _bands(a), _bands(b)
    level, other = 10 * np.log10((10 ** (x / 10)).sum(1)), 10 * np.log10((10 ** (y / 10)).sum(1))
    loud = level > level.max() - 30
    near = np.maximum(x, (level.max() - 50)), np.maximum(y, (level.max() - 50))  # what nobody hears does not count
    gaps = (level > level.max() - 20) & (other < level - 20)
    return {"distance_db": round(float(np.sqrt(((near[0] - near[1]) ** 2).mean(1))[loud].mean()), 2),
            "gaps_ms": int(gaps.sum() * HOP * 1000 // RATE), "pesq": _pesq(a, b)}
