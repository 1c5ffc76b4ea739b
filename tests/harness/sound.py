"""How near what was heard is to what was spoken: a voice's own samples, and distance, level and holes beside them.

All at voice.RATE: what a telephone heard is resampled first.
"""

import json
import urllib.request

import numpy as np

SARAH = "EXAVITQu4vr4xnSDxMaL"


def spoken(stack, text: str) -> np.ndarray:
    """The voice's own samples of a text, past our agent."""
    url = f"{stack.double('elevenlabs')}/v1/text-to-speech/{SARAH}?output_format=pcm_48000"
    request = urllib.request.Request(url, json.dumps({"text": text}).encode(),
                                     {"xi-api-key": "k", "Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as r:
        return np.frombuffer(r.read(), dtype=np.int16)


def bands(samples: np.ndarray, top_hz: int = 3400) -> np.ndarray:
    """dB per 20 ms and third of an octave, as a telephone carries them."""
    size = 1920
    n = (len(samples) - size) // 960
    frames = np.stack([samples[i * 960:i * 960 + size] for i in range(n)]).astype(np.float64) * np.hanning(size)
    power = np.abs(np.fft.rfft(frames)) ** 2
    edges = 200 * 2 ** (np.arange(0, 14) / 3)
    edges = edges[edges <= top_hz * 1.26]
    hz = np.fft.rfftfreq(size, 1 / 48000)
    return 10 * np.log10(np.stack([power[:, (hz >= a) & (hz < b)].sum(axis=1) for a, b in zip(edges, edges[1:])]) + 1e7)


def aligned(heard: np.ndarray, said: np.ndarray) -> np.ndarray:
    """The part of what was heard that fits best."""
    size = 1 << (len(heard) + len(said)).bit_length()
    fit = np.fft.irfft(np.fft.rfft(heard.astype(np.float64), size) * np.conj(np.fft.rfft(said.astype(np.float64), size)))
    at = int(np.argmax(fit[:len(heard)]))
    return heard[at:at + len(said)]


def distance(heard: np.ndarray, said: np.ndarray) -> float:
    """Mean difference in dB where there is sound, after sliding one over the other. inf: not all of it is there."""
    part = aligned(heard, said)
    if len(part) < 0.95 * len(said):
        return float("inf")
    a, b = bands(said[:len(part)]), bands(part)
    audible = a > a.max() - 45
    return float(np.abs(a - b)[audible].mean())


def _frames(samples: np.ndarray) -> np.ndarray:
    """RMS of each 20 ms."""
    n = len(samples) // 960
    return np.sqrt((samples[:n * 960].reshape(n, 960).astype(np.float64) ** 2).mean(axis=1)) + 1


def level_db(heard: np.ndarray, said: np.ndarray) -> float:
    """How much louder it was heard than spoken, over what is loud enough to count."""
    part = aligned(heard, said)
    a, b = _frames(said[:len(part)]), _frames(part)
    loud = a > a.max() / 10
    return float(20 * np.log10(np.median(b[loud] / a[loud])))


def holes(heard: np.ndarray, said: np.ndarray) -> int:
    """Frames of 20 ms in which there was a voice, and all but nothing was heard."""
    part = aligned(heard, said)
    a, b = _frames(said[:len(part)]), _frames(part)
    # A neighbour's voice as well: a frame at a word's edge may begin a little later.
    voice = (a > a.max() / 10) & (np.roll(a, 1) > a.max() / 10) & (np.roll(a, -1) > a.max() / 10)
    return int((voice & (b < a / 20)).sum())
