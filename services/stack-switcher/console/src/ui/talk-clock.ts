/** How long an answer takes as an ear measures it: from the caller's last sound to the agent's first, in this browser. */
const CALLER = 0.012, AGENT = 0.006; // RMS above which there is a voice
const PAUSE_MS = 600; // a shorter silence of the agent is a breath

export class TurnClock {
  private caller = -Infinity;
  private agent = -Infinity;

  /** Levels as they are now. A number: the agent has begun to answer, so many milliseconds after the caller's last sound. */
  feed(now: number, caller: number, agent: number): number | null {
    const before = this.agent;

    if (caller > CALLER) this.caller = now;
    if (agent <= AGENT) return null;
    this.agent = now;
    return now - before > PAUSE_MS && this.caller > before && before > -Infinity ? now - this.caller : null;
  }
}

/** A stream's level, whenever it is asked for. */
export class Ear {
  private analyser: AnalyserNode;
  private samples: Float32Array<ArrayBuffer>;

  constructor(context: AudioContext, stream: MediaStream) {
    this.analyser = context.createAnalyser();
    this.analyser.fftSize = 1024;
    this.samples = new Float32Array(this.analyser.fftSize);
    context.createMediaStreamSource(stream).connect(this.analyser);
  }

  rms(): number {
    this.analyser.getFloatTimeDomainData(this.samples);
    return Math.sqrt(this.samples.reduce((sum, v) => sum + v * v, 0) / this.samples.length);
  }
}
