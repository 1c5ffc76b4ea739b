/** How loud a recording is over time, reckoned here: for what the server does not decode (MP3). */
import { session } from "../session";

const RATE = 8000; // the eye is asked, not the ear
const POINTS = 1200, SIDES = 2;
const BYTES_MAX = 16 << 20; // an hour as phones have it

function loudest(samples: Float32Array): number[] {
  const points = Math.min(POINTS, samples.length);

  return Array.from({ length: points }, (_, i) => {
    const to = Math.floor(((i + 1) * samples.length) / points);
    let most = 0;

    for (let k = Math.floor((i * samples.length) / points); k < to; k++) most = Math.max(most, Math.abs(samples[k]));
    return Math.min(255, Math.round(most * 255));
  });
}

/** As the server tells them; null: too long, or nothing a browser can read. */
export async function peaksOf(path: string): Promise<{ duration_ms: number; peaks: number[][] } | null> {
  const answer = await fetch(path, { headers: { Authorization: `Bearer ${session.token}` } });

  if (!answer.ok || Number(answer.headers.get("Content-Length") ?? BYTES_MAX + 1) > BYTES_MAX) {
    void answer.body?.cancel();
    return null;
  }
  try {
    const sound = await new OfflineAudioContext(SIDES, 1, RATE).decodeAudioData(await answer.arrayBuffer());
    const sides = Math.min(SIDES, sound.numberOfChannels);

    return { duration_ms: sound.duration * 1000, peaks: Array.from({ length: sides }, (_, c) => loudest(sound.getChannelData(c))) };
  } catch {
    return null;
  }
}
