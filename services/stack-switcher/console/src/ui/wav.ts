/** What the browser can play becomes a WAV file: one format for the server to look into, whatever was recorded. */
const RATE = 24_000; // all that the vendor's voices have
const LESS = 16_000; // so that the server takes five minutes, too: it has room for 10 MiB
const LONG_S = 200;
const LOUD = 0.0056; // -45 dBFS, as the server judges (sample.c)

export interface Sample {
  file: Blob;
  seconds: number;
  /** share of the time with sound in it, 0 to 1 */
  speech: number;
}

export async function toWav(recording: Blob): Promise<Sample> {
  const file = await recording.arrayBuffer();
  let sound = await decode(file.slice(0), RATE);

  if (sound.duration > LONG_S) sound = await decode(file, LESS);
  const mono = mix(sound), rate = sound.sampleRate;
  const bytes = new DataView(new ArrayBuffer(44 + mono.length * 2));

  header(bytes, mono.length, rate);
  mono.forEach((v, i) => bytes.setInt16(44 + i * 2, Math.round(Math.max(-1, Math.min(1, v)) * 32767), true));
  return { file: new Blob([bytes], { type: "audio/wav" }), seconds: mono.length / rate, speech: speech(mono, rate) };
}

/** The file is taken. */
const decode = (file: ArrayBuffer, rate: number): Promise<AudioBuffer> => new OfflineAudioContext(1, 1, rate).decodeAudioData(file);

function mix(sound: AudioBuffer): Float32Array {
  const out = sound.getChannelData(0).slice();

  for (let c = 1; c < sound.numberOfChannels; c++) sound.getChannelData(c).forEach((v, i) => (out[i] += v));
  return sound.numberOfChannels > 1 ? out.map((v) => v / sound.numberOfChannels) : out;
}

function header(b: DataView, samples: number, rate: number): void {
  const text = (at: number, s: string) => [...s].forEach((c, i) => b.setUint8(at + i, c.charCodeAt(0)));

  text(0, "RIFF");
  b.setUint32(4, 36 + samples * 2, true);
  text(8, "WAVEfmt ");
  b.setUint32(16, 16, true);
  b.setUint16(20, 1, true); // PCM
  b.setUint16(22, 1, true);
  b.setUint32(24, rate, true);
  b.setUint32(28, rate * 2, true);
  b.setUint16(32, 2, true);
  b.setUint16(34, 16, true);
  text(36, "data");
  b.setUint32(40, samples * 2, true);
}

function speech(mono: Float32Array, rate: number): number {
  const window = rate / 50;
  let loud = 0, n = 0;

  for (let at = 0; at + window <= mono.length; at += window, n++) {
    let power = 0;
    for (let i = at; i < at + window; i++) power += mono[i] * mono[i];
    if (Math.sqrt(power / window) >= LOUD) loud++;
  }
  return n ? loud / n : 0;
}
