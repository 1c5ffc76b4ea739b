"""Speaking and hearing without the internet: flite speaks, pocketsphinx listens.

A recogniser with a grammar tells which of many sentences was said, which is what a test asks: was it really this one,
against the others it might have been.
"""

import random
import re
import subprocess
import tempfile
import wave
from pathlib import Path

import numpy as np

RATE = 48000

OPENINGS = ["hello", "good morning", "hi there", "good afternoon"]
WISHES = ["i would like to book a table for two", "please tell me your opening hours", "i want to speak about my last order",
          "can you help me with a new appointment", "i need to change my delivery address", "please call me back tomorrow morning",
          "how much does the annual plan cost", "i have a question about my invoice", "do you have a free room on friday",
          "my package has not arrived yet"]
CLOSINGS = ["", "thank you", "please"]


def sentences() -> list[str]:
    """What a caller of ours may say, when nobody says otherwise."""
    return [" ".join(filter(None, (o, w, c))) for o in OPENINGS for w in WISHES for c in CLOSINGS]


def any_sentence(rng: random.Random | None = None) -> str:
    return (rng or random.SystemRandom()).choice(sentences())


def words(text: str) -> list[str]:
    return re.sub(r"[^a-z0-9' ]+", " ", text.lower().replace("-", " ")).split()


def same_words(a: str, b: str) -> bool:
    return words(a) == words(b)


def overlap(said: str, heard: str) -> float:
    """Share of the words said that were heard, in order (longest common subsequence)."""
    s, h = words(said), words(heard)
    if not s:
        return 0.0
    row = [0] * (len(h) + 1)
    for w in s:
        above = row[:]
        for j, v in enumerate(h, 1):
            row[j] = above[j - 1] + 1 if w == v else max(above[j], row[j - 1])
    return row[-1] / len(s)


def _read_wav(path: Path) -> tuple[np.ndarray, int]:
    with wave.open(str(path)) as w:
        return np.frombuffer(w.readframes(w.getnframes()), dtype=np.int16), w.getframerate()


def resample(samples: np.ndarray, rate: int, to: int) -> np.ndarray:
    """sox does it properly (a band-limited filter)."""
    if rate == to or not len(samples):
        return samples
    done = subprocess.run(["sox", "-t", "raw", "-r", str(rate), "-e", "signed", "-b", "16", "-c", "1", "-",
                           "-t", "raw", "-r", str(to), "-"], input=samples.tobytes(), capture_output=True, check=True)
    return np.frombuffer(done.stdout, dtype=np.int16)


def speak(text: str, voice: str = "slt", rate: int = RATE) -> np.ndarray:
    """Mono 16-bit samples of flite saying it."""
    with tempfile.TemporaryDirectory(prefix="patchbay-voice-") as folder:
        path = Path(folder) / "said.wav"
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True, capture_output=True)
        samples, had = _read_wav(path)
    return resample(samples, had, rate)


def trim(samples: np.ndarray, rate: int = RATE, threshold: int = 300) -> np.ndarray:
    """Without the silence at both ends."""
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > threshold)
    return samples[max(0, loud[0] - rate // 50):loud[-1] + rate // 50] if len(loud) else samples[:0]


def voiced(samples: np.ndarray, rate: int = RATE, frame_ms: int = 20, threshold: float = 200.0) -> np.ndarray:
    """One bool per frame: is there a voice? (RMS over threshold)"""
    size = rate * frame_ms // 1000
    n = len(samples) // size
    if not n:
        return np.zeros(0, dtype=bool)
    frames = samples[:n * size].reshape(n, size).astype(np.float64)
    return np.sqrt((frames ** 2).mean(axis=1)) > threshold


def _grammar(candidates: list[str]) -> str:
    said = " | ".join(" ".join(words(c)) for c in dict.fromkeys(candidates) if words(c))
    return f"#JSGF V1.0;\ngrammar said;\npublic <said> = ( {said} );\n"


_MODEL = Path("/usr/share/pocketsphinx/model/en-us")


def _dictionary(needed: set[str], folder: Path) -> Path:
    """The model's dictionary and, for names it does not have, a pronunciation by flite's letter-to-sound rules."""
    known = {line.split(" ", 1)[0] for line in (_MODEL / "cmudict-en-us.dict").read_text().splitlines()}
    extra = []
    for word in sorted(needed - known):
        done = subprocess.run(["flite", "-ps", "-t", word, "-o", "none"], capture_output=True, text=True, check=True)
        phones = [p.upper() for p in done.stdout.split() if p != "pau"]
        extra.append(f"{word} {' '.join('AH' if p == 'AX' else p for p in phones)}")
    if not extra:
        return _MODEL / "cmudict-en-us.dict"
    path = folder / "words.dict"
    path.write_text((_MODEL / "cmudict-en-us.dict").read_text() + "\n".join(extra) + "\n")
    return path


def _widen(samples: np.ndarray, rate: int) -> np.ndarray:
    """The model knows voices of 8 kHz bandwidth, and takes the emptiness above a telephone's 4 kHz for other sounds than
    were said. A little noise, 29 dB below the voice, and it does not."""
    wide = resample(samples, rate, 16000).astype(np.float64)
    hiss = np.random.default_rng(1).normal(0, np.sqrt((wide ** 2).mean()) / 28, len(wide))
    return np.clip(wide + hiss, -32768, 32767).astype(np.int16)


def hear(samples: np.ndarray, candidates: list[str] | None = None, rate: int = RATE) -> str:
    """What was said: one of the candidates (or "" when none fits), or free English without them."""
    samples = trim(samples, rate)  # of a voice behind digital silence the ear misses one in ten
    if not len(samples):
        return ""
    if rate < 16000:
        samples, rate = _widen(samples, rate), 16000
    with tempfile.TemporaryDirectory(prefix="patchbay-ear-") as name:
        folder = Path(name)
        path = folder / "heard.wav"
        with wave.open(str(path), "wb") as w:
            w.setnchannels(1)
            w.setsampwidth(2)
            w.setframerate(16000)
            w.writeframes(resample(samples, rate, 16000).tobytes())
        args = ["pocketsphinx_continuous", "-infile", str(path), "-hmm", str(_MODEL / "en-us"), "-logfn", "/dev/null"]
        if candidates:
            (folder / "said.gram").write_text(_grammar(candidates))
            needed = {w for c in candidates for w in words(c)}
            args += ["-dict", str(_dictionary(needed, folder)), "-jsgf", str(folder / "said.gram")]
        else:
            args += ["-dict", str(_MODEL / "cmudict-en-us.dict"), "-lm", str(_MODEL / "en-us.lm.bin")]
        done = subprocess.run(args, capture_output=True, text=True, timeout=60)
        return " ".join(done.stdout.split())
