"""A recording as an ordinary player hears it: FFmpeg's demuxer and decoder (PyAV), nothing of ours."""

import io

import av
import numpy as np

from harness import voice


def decode(data: bytes, codec: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Samples of caller and agent, mono each, at voice.RATE. codec: "libopus" instead of FFmpeg's own decoder."""
    parts = []
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.audio[0]
        assert stream.codec_context.name == "opus" and stream.codec_context.layout.nb_channels == 2
        decoder = av.CodecContext.create(codec, "r") if codec else stream.codec_context
        if codec:
            decoder.extradata = stream.codec_context.extradata
            decoder.sample_rate, decoder.layout = stream.codec_context.sample_rate, stream.codec_context.layout
        resampler = av.AudioResampler(format="s16", layout="stereo", rate=voice.RATE)
        for packet in container.demux(stream):
            for frame in decoder.decode(packet):
                parts += [f.to_ndarray().reshape(-1, 2) for f in resampler.resample(frame)]
    samples = np.concatenate(parts)
    return samples[:, 0].copy(), samples[:, 1].copy()


def voiced_ms(samples: np.ndarray, from_ms: float = 0) -> float | None:
    """When a voice first begins after from_ms (two voiced frames of 20 ms in a row); None: it does not."""
    loud = voice.voiced(samples)
    for i in range(int(from_ms // 20), len(loud) - 1):
        if loud[i] and loud[i + 1]:
            return i * 20.0
    return None


def halves(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Before and after the longest silence between two voices."""
    loud = np.flatnonzero(voice.voiced(samples))
    i = int(np.diff(loud).argmax())
    middle = int(loud[i] + loud[i + 1]) // 2 * (voice.RATE // 50)
    return samples[:middle], samples[middle:]
