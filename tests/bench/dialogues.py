"""Spoken dialogues for tests/bench/turns.py: what a caller says, and when a listener should and should not speak.

A turn is a list of pieces: a text (one breath), a number (ms of silence) or a noise ("<cough>", "<bump>", "<breath>"). Texts are
written as a recogniser would write them, so a breath that does not end a sentence has no full stop.

    Turn      said to a silent agent: it should answer after the last piece, and not before
    Over      said 3 s into a long answer: `stops` tells whether the agent should fall silent for it
    Recorded  as Turn, by a person: a sentence of a recording, with its words

Each has a voice of espeak-ng (language, words a minute) or flite. The spoken sound is cached beside the other tools; nothing of
it is kept in the repository.
"""

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from harness import voice

CACHE = Path(os.environ.get("PAT_CACHE", Path.home() / ".cache/patchbay")) / "dialogues"


@dataclass
class Turn:
    kind: str
    pieces: list
    voice: str = "slt"
    language: str = "en-US"
    stops: bool | None = None  # None: the agent is silent
    words: list = field(default_factory=list)  # {"word","start_ms","end_ms"}; filled by sound()

    @property
    def text(self) -> str:
        return " ... ".join(p for p in self.pieces if isinstance(p, str))


def turn(kind, *pieces, voice="slt", language="en-US"):
    return Turn(kind, list(pieces), voice, language)


def over(kind, stops, *pieces, voice="rms", language="en-US"):
    return Turn(kind, list(pieces), voice, language, stops)


ALL = [
    # whole sentences
    turn("plain", "Please tell me your opening hours."),
    turn("plain", "Do you have a free room on Friday?", voice="rms"),
    turn("plain", "I want to speak about my last order.", voice="en-us 150"),
    turn("plain", "How much does the annual plan cost?", voice="en-gb 185"),
    turn("plain", "My package has not arrived yet.", voice="kal16"),
    # one word
    turn("short", "Yes."),
    turn("short", "No.", voice="rms"),
    turn("short", "Okay.", voice="en-us 160"),
    turn("short", "Friday.", voice="awb"),
    turn("short", "Hello?", voice="en-gb 150"),
    # a pause in the middle of a sentence
    turn("pause", "I would like to", 900, "book a table for two."),
    turn("pause", "I want to speak about", 1100, "my last order.", voice="rms"),
    turn("pause", "I have a question", 400, "about my invoice.", voice="en-us 150"),
    turn("pause", "My name is", 700, "Peter Miller.", voice="awb"),
    turn("pause", "I need to change", 800, "my delivery address.", voice="en-gb 140"),
    turn("pause", "The problem is that", 1000, "the machine does not start any more.", voice="rms"),
    turn("pause", "Can you tell me if the", 700, "office is open on Monday?", voice="en-us 170"),
    # fillers
    turn("filler", "Um", 600, "can you help me with a new appointment?"),
    turn("filler", "I need, uh,", 700, "a plumber for my kitchen.", voice="rms"),
    turn("filler", "Let me see", 900, "I think it was Tuesday.", voice="en-us 150"),
    turn("filler", "Well", 500, "it is about the bill, you know", 600, "the one from March.", voice="awb"),
    turn("filler", "Hold on", 1000, "here it is, the order from last week.", voice="en-gb 160"),
    turn("filler", "Hmm", 800, "maybe the second one.", voice="en-us 140"),
    # corrections and second thoughts
    turn("correction", "Please call me back tomorrow, no wait,", 500, "on Friday."),
    turn("correction", "It was on the third, sorry,", 600, "the fourth of May.", voice="rms"),
    turn("correction", "I want two tickets, or", 800, "make it three.", voice="en-us 160"),
    turn("correction", "Send it to the office, I mean", 700, "to my home address.", voice="en-gb 150"),
    # numbers, spelled
    turn("number", "My number is 5 5 5", 700, "1 2 3 4."),
    turn("number", "It is 0 4 1", 600, "5 5 5", 600, "9 8 7 6.", voice="rms"),
    turn("number", "The code is 4 7", 800, "1 9.", voice="en-us 140"),
    turn("number", "My zip code is", 700, "9 0 2 1 0.", voice="awb"),
    turn("number", "My name is spelled M I L", 700, "L E R.", voice="en-us 130"),
    # before the first word
    turn("hesitation", "<breath>", 500, "Good morning, I have a question about my invoice."),
    turn("hesitation", "<cough>", 600, "Excuse me, is this the dentist?", voice="rms"),
    turn("hesitation", "Uh", 700, "hello, is anybody there?", voice="en-us 150"),
    # long ones
    turn("long", "Good morning, I am calling because I ordered a washing machine from you three weeks ago", 400,
         "and it has still not arrived, so I would like to know", 500, "when I can expect it."),
    turn("long", "My neighbour told me that you repair old bicycles", 350, "and I have one from my grandfather", 450,
         "that needs new brakes and a chain.", voice="rms"),
    turn("long", "I have been a customer for ten years and I have never had a problem, but this time", 700,
         "nobody answers my letters.", voice="en-gb 170"),
    # other languages
    turn("german", "Ich möchte gerne einen Termin für nächste Woche.", voice="de 150", language="de-DE"),
    turn("german", "Ich hätte gerne einen", 800, "Tisch für zwei Personen.", voice="de 150", language="de-DE"),
    turn("german", "Meine Nummer ist 0 8 9", 700, "1 2 3 4 5 6.", voice="de 140", language="de-DE"),
    turn("german", "Ähm", 600, "ich rufe wegen der Rechnung an.", voice="de 160", language="de-DE"),
    turn("spanish", "Quisiera reservar una mesa para dos.", voice="es 160", language="es-ES"),
    turn("spanish", "Quiero hablar con", 800, "la señora García.", voice="es 150", language="es-ES"),
    turn("french", "Je voudrais prendre rendez-vous pour demain.", voice="fr 160", language="fr-FR"),
    turn("french", "Je voudrais parler à", 800, "monsieur Martin.", voice="fr 150", language="fr-FR"),
    # while the agent talks: only listening, or a noise
    over("backchannel", False, "Mhm."),
    over("backchannel", False, "Okay.", voice="slt"),
    over("backchannel", False, "Uh-huh.", voice="en-us 150"),
    over("backchannel", False, "Yeah.", 900, "right.", voice="awb"),
    over("backchannel", False, "Ja, genau.", voice="de 150", language="de-DE"),
    over("noise", False, "<cough>"),
    over("noise", False, "<bump>"),
    over("noise", False, "<cough>", 700, "<cough>"),
    # ... and meaning it
    over("interruption", True, "Wait, I need something else."),
    over("interruption", True, "Stop.", voice="slt"),
    over("interruption", True, "Sorry, can I ask you a question?", voice="en-us 160"),
    over("interruption", True, "No, that is not what I mean.", voice="awb"),
    over("interruption", True, "Moment, ich habe noch eine Frage.", voice="de 150", language="de-DE"),
    over("interruption", True, "Um, excuse me, please connect me with a person.", voice="en-gb 160"),
]


def _espeak(text: str, language: str, speed: str) -> np.ndarray:
    with tempfile.NamedTemporaryFile(suffix=".wav") as f:
        subprocess.run(["espeak-ng", "-v", language, "-s", speed, "-w", f.name, text], check=True, capture_output=True)
        samples, rate = voice._read_wav(Path(f.name))
    return voice.resample(samples, rate, voice.RATE)


def speak(text: str, who: str) -> np.ndarray:
    path = CACHE / f"{hashlib.sha256(f'{who}:{text}'.encode()).hexdigest()[:24]}.npy"
    if path.exists():
        return np.load(path)
    samples = voice.trim(_espeak(text, *who.split()) if " " in who else voice.speak(text, who))
    # As loud as a phone's user speaks, whoever it is.
    samples = (samples * (2600 / max(1.0, np.sqrt((samples.astype(np.float64) ** 2).mean())))).clip(-32000, 32000).astype(np.int16)
    CACHE.mkdir(parents=True, exist_ok=True)
    np.save(path, samples)
    return samples


def noise(tag: str) -> np.ndarray:
    """Sounds that are no words; the same every time."""
    rng = np.random.default_rng(len(tag))
    ms, loud = {"<cough>": (260, 7000), "<bump>": (90, 12000), "<breath>": (450, 700)}[tag]
    n = voice.RATE * ms // 1000
    colour = np.convolve(rng.standard_normal(n + 63), np.ones(24) / 24, "same")[:n] if tag != "<breath>" else rng.standard_normal(n)
    shape = np.exp(-np.linspace(0, 5, n)) if tag != "<breath>" else np.hanning(n)
    samples = colour / np.abs(colour).max() * shape * loud
    return samples.astype(np.int16)


def timed(text: str, at_ms: float, ms: float) -> list[dict]:
    """Words of a breath over its length, by their letters."""
    found = text.split()
    letters = [len(w) + 1 for w in found]
    ends = np.cumsum(letters) / sum(letters) * ms + at_ms
    return [{"word": w, "start_ms": round(e - n / sum(letters) * ms), "end_ms": round(e)} for w, e, n in zip(found, ends, letters)]


def sound(t: Turn) -> np.ndarray:
    """The whole turn; fills in its words."""
    if isinstance(t, Recorded):
        return t.sound()
    parts, at, t.words = [], 0.0, []
    for piece in t.pieces:
        if isinstance(piece, int):
            part = np.zeros(voice.RATE * piece // 1000, np.int16)
        elif piece.startswith("<"):
            part = noise(piece)
        else:
            part = speak(piece, t.voice)
            t.words += timed(piece, at, len(part) / voice.RATE * 1000)
        parts.append(part)
        at += len(part) / voice.RATE * 1000
    return np.concatenate(parts)


@dataclass
class Recorded(Turn):
    """Sentences read by a person."""
    path: Path = Path()

    def sound(self) -> np.ndarray:
        raw = np.frombuffer(self.path.read_bytes(), np.int16)
        raw = raw[22:] if self.path.suffix == ".wav" else raw  # both are 16 kHz; a header of 44 bytes
        samples = voice.trim(voice.resample(raw, 16000, voice.RATE), threshold=600)
        self.words = timed(self.pieces[0], 0, len(samples) / voice.RATE * 1000)
        return samples


def _pocketsphinx() -> Path | None:
    """The test data in the source package of pocketsphinx on PyPI, unpacked; None where it cannot be had."""
    folder = CACHE / "pocketsphinx"
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        got = subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", "pocketsphinx", "-d", folder,
                              "pocketsphinx==5.1.1"], capture_output=True, text=True)
        if got.returncode:
            print("no recordings: " + got.stderr.strip().splitlines()[-1], file=sys.stderr)
            return None
        with tarfile.open(next(folder.glob("*.tar.gz"))) as tar:
            tar.extractall(folder, [m for m in tar.getmembers() if m.isfile() and "/test/data/" in m.name and ".." not in m.name])
        (folder / "complete").touch()
    return next(folder.glob("*/test/data"))


def recorded() -> list[Recorded]:
    """Readings of LibriVox (public domain) and commands (BSD, as the package)."""
    data = _pocketsphinx()
    if not data:
        return []
    out = []
    for folder, name in (("librivox", "transcription"), ("cards", "cards.transcription")):
        for line in sorted((data / folder / name).read_text().splitlines()):
            words, file = re.match(r"(?:<s> )?(.*?)(?: </s>)? \((.*)\)", line).groups()
            path = next((data / folder).glob(f"{Path(file).name}.wav"), None)
            if path:
                out.append(Recorded("recorded", [words.strip().lower().capitalize() + "."], path=path))
    return out + [Recorded("recorded", ["Go forward ten meters."], path=data / "goforward.raw")]


def everything(with_recordings: bool = True) -> list[Turn]:
    return ALL + (recorded() if with_recordings else [])
